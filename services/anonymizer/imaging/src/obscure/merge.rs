//! Which areas hang together.

use super::Area;

/// Groups of areas that overlap, directly or through others.
pub(super) fn overlapping(areas: &[Area]) -> Vec<Vec<Area>> {
    let mut group_of: Vec<usize> = (0..areas.len()).collect();
    for (i, a) in areas.iter().enumerate() {
        for (j, b) in areas.iter().enumerate().take(i) {
            if a.overlaps(*b) {
                let (from, to) = (root(&group_of, i), root(&group_of, j));
                group_of[from.max(to)] = from.min(to);
            }
        }
    }
    let mut groups: Vec<Vec<Area>> = vec![Vec::new(); areas.len()];
    for (i, area) in areas.iter().enumerate() {
        groups[root(&group_of, i)].push(*area);
    }
    groups.retain(|group| !group.is_empty());
    groups
}

/// The first area of the group that `i` belongs to.
fn root(group_of: &[usize], mut i: usize) -> usize {
    while group_of[i] != i {
        i = group_of[i];
    }
    i
}
