//! Text formats of single programs, by the first bytes of a line.

use schema::level::{DEBUG, ERROR, INFO, WARN};

use super::{
    super::level::{LevelPosition, LevelScale, from_letter, from_word},
    TextStart,
};
use crate::{
    prefix::{self, after_digits},
    time::Timestamp,
};

/// Last lines of a program.
const ENDINGS: [&[u8]; 5] = [
    b"panic: ",
    b"fatal error: ",
    b"Unhandled exception. ",
    prefix::PYTHON_TRACE,
    prefix::JAVA_TRACE,
];

/// `line`: the first of the message.
pub(super) fn parse(line: &str, message: &str) -> Option<TextStart> {
    let bytes = line.as_bytes();
    if ENDINGS.iter().any(|start| bytes.starts_with(start)) || prefix::is_rust_panic(bytes) {
        return Some(TextStart::level(ERROR));
    }
    match bytes.first()? {
        b'<' => syslog(line),
        b'[' => tornado(line)
            .or_else(|| jvm(line).map(TextStart::level))
            .or_else(|| nest(line).map(TextStart::level))
            .or_else(|| php(line)),
        b'0'..=b'9' => redis(line).or_else(|| sidekiq(line)),
        b'a'..=b'z' => dotnet(bytes).map(TextStart::level),
        b'A'..=b'Z' => klog(bytes)
            .map(TextStart::level)
            .or_else(|| ruby(bytes))
            .or_else(|| php(line))
            .or_else(|| logrus(line))
            .or_else(|| java_util_logging(line, message)),
        _ => None,
    }
}

/// `<165>1 2026-11-22T10:49:43Z host …` (RFC 5424), `<34>Nov 22 10:49:43 host …` (RFC 3164).
fn syslog(line: &str) -> Option<TextStart> {
    let (priority, rest) = line.strip_prefix('<')?.split_once('>')?;
    let is_number =
        priority.len() <= 3 && !priority.is_empty() && priority.bytes().all(|b| b.is_ascii_digit());
    let priority: i64 = priority
        .parse()
        .ok()
        .filter(|priority| is_number && *priority < 192)?;
    let (is_new, rest) = match rest.strip_prefix("1 ") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let timestamp = Timestamp::at_start(rest.as_bytes());
    (timestamp.is_some() || (is_new && rest.starts_with("- "))).then(|| TextStart {
        time: timestamp.and_then(|timestamp| timestamp.time),
        level: LevelScale::Syslog.level(priority % 8),
    })
}

/// `[E 2026-11-22 10:49:43.101 module:1] …`, with a two-digit year in older versions.
fn tornado(line: &str) -> Option<TextStart> {
    let rest = line.strip_prefix('[')?;
    let level = from_letter(*rest.as_bytes().first()?)?;
    let date = rest.get(1..)?.strip_prefix(' ')?;
    let clock = after_pattern(date.as_bytes(), b"000000 ").map_or(date.as_bytes(), |clock| clock);
    let timestamp = Timestamp::at_start(clock)?;
    rest.starts_with(|c: char| c.is_ascii_uppercase())
        .then_some(TextStart {
            time: timestamp.time,
            level: Some(level),
        })
}

/// `[0.005s][info][gc] …` of the Java virtual machine.
fn jvm(line: &str) -> Option<&'static str> {
    let fraction = after_digits(line.as_bytes().strip_prefix(b"[")?)?.strip_prefix(b".")?;
    let rest = after_digits(fraction)?.strip_prefix(b"s][")?;
    let end = rest.iter().position(|byte| *byte == b']')?;
    let word = std::str::from_utf8(rest.get(..end)?).ok()?;
    from_word(word.trim_end(), LevelPosition::AfterTime)
}

/// `1:M 22 Nov 2026 10:49:43.101 * …`; the sign is the level.
fn redis(line: &str) -> Option<TextStart> {
    let rest = after_digits(line.as_bytes())?.strip_prefix(b":")?;
    let [b'A'..=b'Z', b' ', date @ ..] = rest else {
        return None;
    };
    let timestamp = Timestamp::at_start(date)?;
    let [b' ', sign, b' ', ..] = date.get(timestamp.length..)? else {
        return None;
    };
    let level = match sign {
        b'.' | b'-' => DEBUG,
        b'*' => INFO,
        b'#' => WARN,
        _ => return None,
    };
    Some(TextStart {
        time: timestamp.time,
        level: Some(level),
    })
}

/// `2026-11-22T10:49:43.101Z pid=1 tid=a class=Job WARN: …` of Sidekiq.
fn sidekiq(line: &str) -> Option<TextStart> {
    let timestamp = Timestamp::at_start(line.as_bytes())?;
    let rest = line.get(timestamp.length..)?.strip_prefix(' ')?;
    let is_sidekiq = rest.starts_with("pid=");
    let word = rest.split(' ').find(|part| !part.contains('='))?;
    let level = from_word(word.strip_suffix(':')?, LevelPosition::AfterTime)?;
    is_sidekiq.then_some(TextStart {
        time: timestamp.time,
        level: Some(level),
    })
}

/// `[Nest] 1  - 11/22/2026, 10:49:43 AM    WARN [Context] …`; the date's order depends on the language.
fn nest(line: &str) -> Option<&'static str> {
    const MAX_WORDS: usize = 8;
    let rest = line.strip_prefix("[Nest] ")?;
    let mut words = rest.split_ascii_whitespace().take(MAX_WORDS);
    let level = words.find_map(|word| match word {
        "LOG" => Some(INFO),
        word if word.bytes().all(|byte| byte.is_ascii_uppercase()) => {
            from_word(word, LevelPosition::AfterTime)
        }
        _ => None,
    })?;
    words.next()?.starts_with('[').then_some(level)
}

/// `[22-Nov-2026 10:49:43 UTC] PHP Warning:  …`, also without the time.
fn php(line: &str) -> Option<TextStart> {
    let (time, rest) = match line.strip_prefix('[') {
        Some(inner) => {
            let (date, rest) = inner.split_once("] ")?;
            (Timestamp::at_start(date.as_bytes())?.time, rest)
        }
        None => (None, line),
    };
    let (kind, _) = rest.strip_prefix("PHP ")?.split_once(":  ")?;
    let level = match kind {
        "Warning" | "Core Warning" | "Compile Warning" => WARN,
        "Notice" | "Deprecated" => INFO,
        "Fatal error" | "Parse error" | "Core error" | "Compile error" | "Recoverable fatal error" => ERROR,
        _ => return None,
    };
    Some(TextStart {
        time,
        level: Some(level),
    })
}

/// `fail: Category[0]` of .NET's console; the message follows in indented lines.
fn dotnet(line: &[u8]) -> Option<&'static str> {
    let (word, _) = prefix::dotnet_header(line)?;
    from_word(std::str::from_utf8(word).ok()?, LevelPosition::Member)
}

/// `E1122 10:49:43.101234       1 file.go:12] …` of klog; glog and CockroachDB write a year before the month.
fn klog(line: &[u8]) -> Option<&'static str> {
    let (letter, rest) = line.split_first()?;
    let patterns: [&[u8]; 3] = [b"0000 ", b"00000000 ", b"000000 "];
    let clock = patterns.iter().find_map(|date| after_pattern(rest, date))?;
    let rest = after_pattern(clock, b"00:00:00.000000")?;
    let fits = b"IWEF".contains(letter) && rest.first().is_some_and(|byte| prefix::is_space(*byte));
    from_letter(*letter).filter(|_| fits)
}

/// `E, [2026-11-22T10:49:43.101234 #1] ERROR -- : …` of Ruby's Logger.
fn ruby(line: &[u8]) -> Option<TextStart> {
    let (letter, rest) = line.split_first()?;
    let date = rest.strip_prefix(b", [")?;
    let timestamp = Timestamp::at_start(date)?;
    Some(TextStart {
        time: timestamp.time,
        level: Some(from_letter(*letter)?),
    })
}

/// `INFO[0000] …`, `WARN[2026-11-22T10:49:43Z] …` of logrus.
fn logrus(line: &str) -> Option<TextStart> {
    let (word, rest) = line.split_once('[')?;
    let (inner, _) = rest.split_once(']')?;
    let is_word = word.len() <= 7 && word.bytes().all(|byte| byte.is_ascii_uppercase());
    let timestamp = Timestamp::at_start(inner.as_bytes()).filter(|found| found.length == inner.len());
    let is_time = timestamp.is_some() || inner.bytes().all(|byte| byte.is_ascii_digit());
    let level = from_word(word, LevelPosition::Member).filter(|_| is_word && is_time && !inner.is_empty())?;
    Some(TextStart {
        time: timestamp.and_then(|found| found.time),
        level: Some(level),
    })
}

/// `Nov 22, 2026 10:49:43 AM package.Class method`, then `SEVERE: …` in the next line.
fn java_util_logging(line: &str, message: &str) -> Option<TextStart> {
    if !prefix::is_java_header(line.as_bytes()) {
        return None;
    }
    let second = message.lines().nth(1)?;
    let (word, _) = second.split_once(": ")?;
    Some(TextStart {
        time: Timestamp::at_start(line.as_bytes())?.time,
        level: from_word(word, LevelPosition::Member),
    })
}

/// The text after a pattern in which `0` is any digit.
fn after_pattern<'a>(text: &'a [u8], pattern: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(pattern.len())?;
    let fits = |(byte, pattern): (&u8, &u8)| match pattern {
        b'0' => byte.is_ascii_digit(),
        other => byte == other,
    };
    start.iter().zip(pattern).all(fits).then_some(rest)
}
