//! Evidence in the buckets that the database is another one, or has lost rows.
//!
//! An original without a row is either a leftover, or its row is lost because the database was replaced,
//! restored or recreated. In the second case the original may be the last copy of an acknowledged photo. Ids
//! tell the cases apart: each id is given out once, in ascending order, and nearly every id gets a row.

use contract::ObjectLocation;

/// Range of ids, on each side of an original without a row, in which rows are counted.
pub(super) const NEIGHBOURS: i64 = 100;

/// Findings in both buckets that say something about the database.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    /// The object with the highest id.
    pub(super) newest: Option<(i64, ObjectLocation)>,
    /// An object whose id belongs to a photo with another object.
    pub(super) id_given_twice: Option<ObjectLocation>,
    /// An anonymised photo without a row: its job was published after the commit.
    pub(super) output_without_row: Option<ObjectLocation>,
    /// Ids of the originals without a row.
    pub(super) without_row: Vec<i64>,
}

impl Evidence {
    pub(super) fn record_object(&mut self, id: i64, location: &ObjectLocation) {
        if self.newest.as_ref().is_none_or(|(newest, _)| id > *newest) {
            self.newest = Some((id, location.clone()));
        }
    }

    /// The highest id of any object; 0 if there is none.
    pub(super) fn highest_id(&self) -> i64 {
        self.newest.as_ref().map_or(0, |(id, _)| *id)
    }

    /// Why the database must be another one, or must have lost rows. `last_id` is the last id that it gave
    /// out. `rows_near` is the number of rows within [`NEIGHBOURS`] of each id in `without_row`.
    pub(super) fn contradiction(&self, last_id: i64, rows_near: &[i64]) -> Option<String> {
        if let Some((id, location)) = self.newest.as_ref().filter(|(id, _)| *id > last_id) {
            return Some(format!(
                "object {location} has id {id}, above the database's last id {last_id}"
            ));
        }
        if let Some(location) = &self.id_given_twice {
            return Some(format!("the row of the photo of {location} names another object"));
        }
        if let Some(location) = &self.output_without_row {
            return Some(format!("the anonymised photo {location} has no row"));
        }
        let lost = neighbours(&self.without_row)
            .zip(rows_near)
            .find(|((_, missing), rows)| *rows < missing);
        lost.map(|((id, missing), rows)| {
            format!(
                "rows are missing around id {id}: {missing} originals without a row, {rows} photos with one"
            )
        })
    }
}

/// Each id with the number of ids within [`NEIGHBOURS`] of it, itself included.
fn neighbours(ids: &[i64]) -> impl Iterator<Item = (i64, i64)> {
    let (mut first, mut end) = (0, 0);
    ids.iter().map(move |&id| {
        while ids.get(first).is_some_and(|other| id - other > NEIGHBOURS) {
            first += 1;
        }
        while ids.get(end).is_some_and(|other| other - id <= NEIGHBOURS) {
            end += 1;
        }
        (id, i64::try_from(end - first).unwrap_or(i64::MAX))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> ObjectLocation {
        text.parse().unwrap()
    }

    /// The contradiction for originals without a row among these rows.
    fn contradiction(without_row: &[i64], rows: impl Iterator<Item = i64> + Clone) -> Option<String> {
        let evidence = Evidence {
            without_row: without_row.to_vec(),
            ..Evidence::default()
        };
        let near: Vec<i64> = without_row
            .iter()
            .map(|id| rows.clone().filter(|row| (row - id).abs() <= NEIGHBOURS).count() as i64)
            .collect();
        evidence.contradiction(i64::MAX, &near)
    }

    #[test]
    fn a_few_originals_without_a_row_are_left_over() {
        assert_eq!(contradiction(&[], 1..=3), None);
        assert_eq!(contradiction(&[2], 1..=1), None);
        assert_eq!(contradiction(&[40, 41], (1..=39).chain(42..=60)), None);
        assert_eq!(contradiction(&[1, 5_000, 9_000], 2..=10_000), None);
    }

    #[test]
    fn many_beside_each_other_are_lost_rows() {
        for (missing, rows) in [
            (vec![1], 0..0),
            (vec![1, 2, 3], 4..5),
            // A long history does not hide a gap at its end.
            (vec![3, 100_050, 100_051, 100_052], 4..99_950),
            ((100_000..105_000).collect(), 0..100_000),
        ] {
            assert!(
                contradiction(&missing, rows.clone()).is_some(),
                "{} {rows:?}",
                missing.len()
            );
        }
    }

    #[test]
    fn one_object_can_show_that_rows_are_lost() {
        let object = at("s3://input/photos/a/2026-01-02/7.jpg");
        let beyond = Evidence {
            newest: Some((7, object.clone())),
            ..Evidence::default()
        };
        assert!(
            beyond
                .contradiction(6, &[])
                .unwrap()
                .contains("has id 7, above the database's last id 6")
        );
        assert_eq!(beyond.contradiction(7, &[]), None);
        let twice = Evidence {
            id_given_twice: Some(object.clone()),
            ..Evidence::default()
        };
        assert!(twice.contradiction(7, &[]).is_some());
        let anonymised = Evidence {
            output_without_row: Some(object),
            ..Evidence::default()
        };
        assert!(anonymised.contradiction(7, &[]).is_some());
    }

    proptest! {
        #[test]
        fn neighbours_are_counted(ids in prop::collection::btree_set(1_i64..2_000, 0..200)) {
            let ids: Vec<i64> = ids.into_iter().collect();
            for (id, count) in neighbours(&ids) {
                let expected = ids.iter().filter(|other| (*other - id).abs() <= NEIGHBOURS).count();
                prop_assert_eq!(count, expected as i64);
            }
        }
    }
}
