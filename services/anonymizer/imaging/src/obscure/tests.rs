use proptest::prelude::*;

use super::*;

const CHANNELS: usize = 3;

/// A picture in which every pixel differs from its neighbours.
fn noise(width: u32, height: u32, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    (0..CHANNELS as u32 * width * height)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[1]
        })
        .collect()
}

fn any_mode() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Mosaic), Just(Mode::Blur), Just(Mode::Solid)]
}

fn any_area(limit: u32) -> impl Strategy<Value = Area> {
    (0..limit, 0..limit, 0..limit, 0..limit).prop_map(|(x, y, width, height)| Area { x, y, width, height })
}

fn pixel(pixels: &[u8], width: u32, x: u32, y: u32) -> &[u8] {
    &pixels[CHANNELS * (y * width + x) as usize..][..CHANNELS]
}

/// The cells that the areas' pixels fall into, as the module cuts them.
fn grids(areas: &[Area], width: u32, height: u32) -> Vec<Grid> {
    let inside: Vec<Area> = areas.iter().filter_map(|a| a.clipped(width, height)).collect();
    merge::overlapping(&inside)
        .iter()
        .map(|group| Grid::around(group, width, height))
        .collect()
}

/// Calls `visit` with each taken cell: left, top, right, bottom.
fn cells(grid: &Grid, mut visit: impl FnMut([u32; 4])) {
    for (row, rows) in grid.rows.windows(2).enumerate() {
        for (column, columns) in grid.columns.windows(2).enumerate() {
            if grid.taken[row * grid.across() + column] {
                visit([columns[0], rows[0], columns[1], rows[1]]);
            }
        }
    }
}

proptest! {
    #[test]
    fn no_area_makes_it_panic(
        width in 1u32..70, height in 1u32..70, mode in any_mode(),
        areas in prop::collection::vec((any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>()), 0..6),
        near in prop::collection::vec(any_area(90), 0..12),
    ) {
        let mut all: Vec<Area> = near;
        all.extend(areas.into_iter().map(|(x, y, width, height)| Area { x, y, width, height }));
        let mut pixels = noise(width, height, 1);
        obscure(&mut pixels, width, height, &all, mode);
    }

    #[test]
    fn pixels_of_no_cell_stay_and_every_area_lies_in_cells(
        width in 1u32..120, height in 1u32..120, mode in any_mode(),
        areas in prop::collection::vec(any_area(130), 0..8),
    ) {
        let original = noise(width, height, 7);
        let mut pixels = original.clone();
        obscure(&mut pixels, width, height, &areas, mode);
        let mut hidden = vec![false; (width * height) as usize];
        for grid in grids(&areas, width, height) {
            cells(&grid, |[left, top, right, bottom]| {
                for y in top..bottom {
                    hidden[(y * width + left) as usize..(y * width + right) as usize].fill(true);
                }
            });
        }
        for y in 0..height {
            for x in 0..width {
                let within = |a: &Area| {
                    x >= a.x && x - a.x < a.width && y >= a.y && y - a.y < a.height
                };
                let is_hidden = hidden[(y * width + x) as usize];
                prop_assert!(is_hidden || !areas.iter().any(within));
                if !is_hidden {
                    prop_assert_eq!(pixel(&pixels, width, x, y), pixel(&original, width, x, y));
                }
            }
        }
    }

    /// The heart of it: whoever shuffles the pixels inside the cells gets the
    /// same output, so nothing but the cells' means is left.
    #[test]
    fn nothing_but_the_cells_means_is_left(
        width in 1u32..150, height in 1u32..150, mode in any_mode(),
        area in any_area(150), shuffle in any::<u32>(),
    ) {
        let mut pixels = noise(width, height, 3);
        let mut other = pixels.clone();
        for grid in grids(&[area], width, height) {
            cells(&grid, |[left, top, right, bottom]| {
                let places: Vec<usize> = (top..bottom)
                    .flat_map(|y| (left..right).map(move |x| CHANNELS * (y * width + x) as usize))
                    .collect();
                let turn = shuffle as usize % places.len();
                let colors: Vec<[u8; 3]> = places.iter().map(|&p| [other[p], other[p + 1], other[p + 2]]).collect();
                for (i, place) in places.iter().enumerate() {
                    other[*place..place + 3].copy_from_slice(&colors[(i + turn) % colors.len()]);
                }
            });
        }
        obscure(&mut pixels, width, height, &[area], mode);
        obscure(&mut other, width, height, &[area], mode);
        prop_assert_eq!(pixels, other);
    }

    #[test]
    fn cells_are_as_large_as_promised(
        width in 1u32..400, height in 1u32..400, areas in prop::collection::vec(any_area(400), 1..6),
    ) {
        for grid in grids(&areas, width, height) {
            cells(&grid, |[left, top, right, bottom]| {
                assert!(right - left >= MIN_CELL.min(width) && bottom - top >= MIN_CELL.min(height));
            });
        }
        for area in areas.iter().filter_map(|a| a.clipped(width, height)) {
            let short = area.width.min(area.height);
            for grid in grids(&[area], width, height) {
                cells(&grid, |[left, top, right, bottom]| {
                    assert!(CELLS_ACROSS * (right - left) >= short && CELLS_ACROSS * (bottom - top) >= short);
                });
            }
        }
    }
}

#[test]
fn overlapping_areas_share_one_grid_without_a_seam() {
    let areas = [
        Area {
            x: 10,
            y: 10,
            width: 60,
            height: 60,
        },
        Area {
            x: 40,
            y: 40,
            width: 100,
            height: 100,
        },
        Area {
            x: 200,
            y: 10,
            width: 20,
            height: 20,
        },
    ];
    let grids = grids(&areas, 300, 300);
    assert_eq!(grids.len(), 2);
    // The coarsest area's cell counts: 100 / 8, rounded up.
    assert_eq!(grids[0].columns[1] - grids[0].columns[0], 13);
    assert_eq!(grids[1].columns[1] - grids[1].columns[0], 8);
}

#[test]
fn an_area_wholly_outside_the_picture_changes_nothing() {
    let original = noise(20, 20, 5);
    let mut pixels = original.clone();
    let outside = Area {
        x: 20,
        y: 0,
        width: 10,
        height: 10,
    };
    obscure(&mut pixels, 20, 20, &[outside], Mode::Mosaic);
    assert_eq!(pixels, original);
}

#[test]
fn solid_leaves_one_grey() {
    let mut pixels = noise(32, 32, 9);
    let area = Area {
        x: 0,
        y: 0,
        width: 32,
        height: 32,
    };
    obscure(&mut pixels, 32, 32, &[area], Mode::Solid);
    assert!(pixels.iter().all(|value| *value == 128));
}

#[test]
fn a_mosaic_is_blurred_no_step_between_cells_is_left() {
    let (width, height) = (128, 128);
    // Black and white squares as large as the cells, the sharpest mosaic.
    let mut pixels: Vec<u8> = (0..width * height)
        .flat_map(|i| {
            [if (i % width / 16 + i / width / 16) % 2 == 0 {
                0
            } else {
                255
            }; 3]
        })
        .collect();
    let area = Area {
        x: 0,
        y: 0,
        width,
        height,
    };
    obscure(&mut pixels, width, height, &[area], Mode::Mosaic);
    for y in 0..height {
        for x in 1..width {
            let step = pixel(&pixels, width, x, y)[0].abs_diff(pixel(&pixels, width, x - 1, y)[0]);
            assert!(step <= 17, "step of {step} at {x},{y}");
        }
    }
}
