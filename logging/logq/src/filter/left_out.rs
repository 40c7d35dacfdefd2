//! Counts lines that a filter leaves out because they have no time or no level.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use schema::field;

use super::{Fields, Filter};

/// What a line lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    Time,
    Level,
}

/// How many lines a filter left out because of what they lack.
#[derive(Debug, Default)]
pub struct LeftOut {
    without_time: AtomicU64,
    without_level: AtomicU64,
}

impl LeftOut {
    /// Adds lines that lack this.
    pub fn add(&self, lack: Lack, lines: u64) {
        self.counter(lack).fetch_add(lines, Ordering::Relaxed);
    }

    /// A note for each kind of lines that were left out.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        [(Lack::Time, "time"), (Lack::Level, "level")]
            .into_iter()
            .filter_map(|(lack, name)| match self.counter(lack).load(Ordering::Relaxed) {
                0 => None,
                1 => Some(format!("1 line without a {name} was left out")),
                lines => Some(format!("{lines} lines without a {name} were left out")),
            })
    }

    const fn counter(&self, lack: Lack) -> &AtomicU64 {
        match lack {
            Lack::Time => &self.without_time,
            Lack::Level => &self.without_level,
        }
    }
}

impl Filter {
    /// Wraps the filter, if it tests the time or the level.
    #[must_use]
    pub fn counting(self, left_out: &Arc<LeftOut>) -> Self {
        if self.tests_time_or_level() {
            Self::Counting(Box::new(self), Arc::clone(left_out))
        } else {
            self
        }
    }

    /// The counts of a filter that [counts](Self::Counting).
    #[must_use]
    pub fn left_out(&self) -> Option<Arc<LeftOut>> {
        match self {
            Self::Counting(_, left_out) => Some(Arc::clone(left_out)),
            _ => None,
        }
    }

    /// The lines that a filter which [counts](Self::Counting) leaves out because they have no level; None if it does not
    /// test the level. For a source that selects lines elsewhere.
    #[must_use]
    pub fn lines_without_level(&self) -> Option<Self> {
        let Self::Counting(filter, _) = self else {
            return None;
        };
        let with_any_level = filter.with_any_level()?;
        let has_level = Self::Exists(field::LEVEL.to_owned());
        Some(Self::All(vec![
            with_any_level,
            filter.clone().negated(),
            has_level.negated(),
        ]))
    }

    /// The filter without its tests of the level; None if it has none.
    fn with_any_level(&self) -> Option<Self> {
        let relax = |parts: &[Self]| {
            let relaxed: Vec<Option<Self>> = parts.iter().map(Self::with_any_level).collect();
            let tests_level = relaxed.iter().any(Option::is_some);
            let parts = relaxed.into_iter().zip(parts);
            tests_level.then(|| {
                parts
                    .map(|(relaxed, part)| relaxed.unwrap_or_else(|| part.clone()))
                    .collect()
            })
        };
        match self {
            Self::All(parts) => relax(parts).map(Self::All),
            Self::Any(parts) => relax(parts).map(Self::Any),
            Self::Counting(part, _) => part.with_any_level(),
            Self::Level(_) => Some(Self::EVERYTHING),
            _ => None,
        }
    }

    fn tests_time_or_level(&self) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::tests_time_or_level),
            Self::Compare(name, ..) => name == field::TIMESTAMP,
            Self::Level(_) | Self::Counting(..) => true,
            _ => false,
        }
    }

    /// Whether the line matches. Counts a line that is left out because of what it lacks.
    #[must_use]
    pub fn select(&self, line: &impl Fields) -> bool {
        let matches = self.matches(line);
        if !matches && let Self::Counting(_, left_out) = self {
            self.lack(line).into_iter().for_each(|lack| left_out.add(lack, 1));
        }
        matches
    }

    /// What a line that does not match lacks, if it would match with any time and any level. Only for a filter that
    /// [counts](Self::Counting).
    #[must_use]
    pub fn lack(&self, line: &impl Fields) -> Option<Lack> {
        let Self::Counting(filter, _) = self else {
            return None;
        };
        let lacks = |name| !line.any(name, &mut |_| true);
        let (time, level) = (lacks(field::TIMESTAMP), lacks(field::LEVEL));
        let would_match = |time, level| filter.matches_without(line, time, level);
        if !(time || level) || !would_match(time, level) {
            None
        } else if would_match(false, level) {
            Some(Lack::Level)
        } else {
            Some(Lack::Time)
        }
    }

    /// Whether the line matches if tests of its time, or its level, hold.
    fn matches_without(&self, line: &impl Fields, time: bool, level: bool) -> bool {
        let test = |part: &Self| part.matches_without(line, time, level);
        match self {
            Self::All(parts) => parts.iter().all(test),
            Self::Any(parts) => parts.iter().any(test),
            Self::Counting(part, _) => test(part),
            Self::Compare(name, ..) if time && name == field::TIMESTAMP => true,
            Self::Level(_) if level => true,
            _ => self.matches(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use log_normalizer::Document;
    use serde_json::{Value, json};

    use super::*;
    use crate::filter::{Comparison, Literal};

    #[test]
    fn lines_that_lack_a_time_or_a_level() {
        let since = Filter::Compare(
            field::TIMESTAMP.to_owned(),
            Comparison::AtLeast,
            Literal::new("2026-11-22T10:00:00Z"),
        );
        let component = Filter::Equals("component".to_owned(), Literal::new("a"));
        let filter = Filter::All(vec![since, Filter::Level("warn"), component]);
        let left_out = Arc::default();
        let filter = filter.counting(&left_out);
        let lack = |line: Value| filter.lack(&Document::try_from(line).unwrap());
        let time = "2026-11-22T10:00:00Z";
        assert_eq!(lack(json!({"component": "a", "level": "warn"})), Some(Lack::Time));
        assert_eq!(
            lack(json!({"component": "a", "@timestamp": time})),
            Some(Lack::Level)
        );
        assert_eq!(lack(json!({"component": "a"})), Some(Lack::Time));
        for other in [
            json!({"component": "b", "level": "warn"}),
            json!({"component": "a", "level": "info"}),
            json!({"component": "a", "@timestamp": "2026-11-22T09:00:00Z"}),
        ] {
            assert_eq!(lack(other.clone()), None, "{other}");
        }
        let line = Document::try_from(json!({"component": "a"})).unwrap();
        assert!(!filter.select(&line));
        assert_eq!(
            left_out.notes().collect::<Vec<_>>(),
            ["1 line without a time was left out"]
        );
    }

    #[test]
    fn lines_without_a_level_are_a_filter() {
        let is = |name: &str, value| Filter::Equals(name.to_owned(), Literal::new(value));
        let conditions = Filter::Any(vec![Filter::Level("warn"), is("message", "m")]);
        let filter = Filter::All(vec![is("component", "a"), conditions]);
        assert!(filter.lines_without_level().is_none());
        let filter = filter.counting(&Arc::default());
        let without_level = filter.lines_without_level().unwrap();
        for (line, left_out) in [
            (json!({"component": "a", "message": "x"}), true),
            (json!({"component": "a", "message": "m"}), false),
            (json!({"component": "b", "message": "x"}), false),
            (json!({"component": "a", "message": "x", "level": "info"}), false),
        ] {
            let line = Document::try_from(line).unwrap();
            assert_eq!(without_level.matches(&line), left_out, "{line:?}");
            assert_eq!(
                !filter.matches(&line) && filter.lack(&line).is_some(),
                left_out,
                "{line:?}"
            );
        }
        let of_component = Filter::All(vec![is("component", "a")]).counting(&Arc::default());
        assert!(of_component.lines_without_level().is_none());
    }

    #[test]
    fn notes_for_one_line_and_for_many() {
        let left_out = LeftOut::default();
        left_out.add(Lack::Time, 1);
        left_out.add(Lack::Level, 2);
        let notes: Vec<String> = left_out.notes().collect();
        assert_eq!(
            notes,
            [
                "1 line without a time was left out",
                "2 lines without a level were left out"
            ]
        );
        assert_eq!(LeftOut::default().notes().count(), 0);
    }
}
