//! Properties of all regions in all pictures.

use proptest::prelude::*;

use super::{super::*, *};

fn any_mode() -> impl Strategy<Value = ObscureMode> {
    prop_oneof![
        Just(ObscureMode::Mosaic),
        Just(ObscureMode::Blur),
        Just(ObscureMode::Solid)
    ]
}

fn any_rect(limit: u32) -> impl Strategy<Value = PixelRect> {
    (0..limit, 0..limit, 0..limit, 0..limit).prop_map(|(x, y, width, height)| PixelRect {
        x,
        y,
        width,
        height,
    })
}

fn any_region(limit: u32) -> impl Strategy<Value = Region> {
    let shape = prop_oneof![Just(Shape::Ellipse), Just(Shape::RoundedRect)];
    (any_rect(limit), shape, 1u32..20, any_mode()).prop_map(|(rect, shape, cells_across, mode)| Region {
        rect,
        shape,
        cell: rect.width.min(rect.height).div_ceil(cells_across),
        mode,
    })
}

/// Whether the pixel's centre lies inside the region's shape, by the equations of ellipse and circle. `None` for pixels
/// within a hundredth of the border.
fn is_inside(region: &Region, width: u32, height: u32, x: u32, y: u32) -> Option<bool> {
    let Some(Region { rect, shape, .. }) = region.clipped(width, height) else {
        return Some(false);
    };
    let axis = |pixel: u32, start: u32, length: u32, limit: u32| {
        let half = f64::from(length) / 2.0;
        let from_center = f64::from(pixel) + 0.5 - f64::from(start) - half;
        let open = if from_center > 0.0 {
            start + length == limit
        } else {
            start == 0
        };
        (if open { 0.0 } else { from_center.abs() }, half)
    };
    let (across, half_width) = axis(x, rect.x, rect.width, width);
    let (down, half_height) = axis(y, rect.y, rect.height, height);
    let radius = 2.0 * f64::from(CORNER_RADIUS) * half_width.min(half_height);
    let (radius_x, radius_y) = match shape {
        Shape::Ellipse => (half_width, half_height),
        Shape::RoundedRect => (radius, radius),
    };
    let corner_x = (across - (half_width - radius_x)).max(0.0) / radius_x;
    let corner_y = (down - (half_height - radius_y)).max(0.0) / radius_y;
    let distance = corner_x.hypot(corner_y);
    ((distance - 1.0).abs() > 0.01).then_some(distance < 1.0)
}

/// The groups of pixels whose means a region keeps: each cell's pixels inside the shape, and those outside. Indexes into
/// the pixels.
fn groups(region: &Region, width: u32, height: u32) -> Vec<Vec<usize>> {
    let Some(region) = region.clipped(width, height) else {
        return Vec::new();
    };
    let outline = Outline::new(&region, width, height);
    let rect = region.rect;
    let (across, down) = (rect.width / region.cell(), rect.height / region.cell());
    let (across, down) = (across.max(1), down.max(1));
    let border = |i: u32, start: u32, length: u32, count: u32| start + i * length / count;
    let mut groups = Vec::new();
    for (row, column) in (0..down).flat_map(|row| (0..across).map(move |column| (row, column))) {
        let mut parts = [Vec::new(), Vec::new()];
        for y in border(row, rect.y, rect.height, down)..border(row + 1, rect.y, rect.height, down) {
            let inside = outline.inside(y);
            for x in
                border(column, rect.x, rect.width, across)..border(column + 1, rect.x, rect.width, across)
            {
                parts[usize::from(inside.contains(&x))].push((y * width + x) as usize);
            }
        }
        groups.extend(parts);
    }
    groups
}

/// Rotates the colours within each group.
fn shuffle(pixels: &mut [u8], groups: &[Vec<usize>], by: usize) {
    let original = pixels.to_vec();
    for group in groups {
        for (i, place) in group.iter().enumerate() {
            let from = group[(i + by) % group.len()];
            pixels[CHANNELS * place..][..CHANNELS].copy_from_slice(&original[CHANNELS * from..][..CHANNELS]);
        }
    }
}

proptest! {
    #[test]
    fn no_region_makes_it_panic(
        width in 1u32..70, height in 1u32..70,
        far in prop::collection::vec((any::<[u32; 5]>(), any_mode()), 0..6),
        near in prop::collection::vec(any_region(90), 0..12),
    ) {
        let far = far.into_iter().map(|([x, y, width, height, cell], mode)| Region {
            cell,
            mode,
            ..region(x, y, width, height)
        });
        let all: Vec<Region> = near.into_iter().chain(far).collect();
        obscure(&mut noise(width, height, 1), width, height, &all);
    }

    #[test]
    fn no_object_makes_it_panic(numbers in any::<[u32; 4]>(), class in 0usize..Class::ALL.len()) {
        let [x, y, width, height] = numbers;
        let rect = PixelRect { x, y, width, height };
        let region = Region::for_object(Class::ALL[class], rect, ObscureModes::default());
        prop_assert!(region.cell() >= MIN_CELL);
        obscure(&mut noise(20, 20, 1), 20, 20, &[region]);
    }

    #[test]
    fn only_shapes_and_their_soft_edges_change(
        width in 1u32..120, height in 1u32..120,
        regions in prop::collection::vec(any_region(130), 0..8),
    ) {
        let original = noise(width, height, 7);
        let mut pixels = original.clone();
        obscure(&mut pixels, width, height, &regions);
        for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
            let near = |region: &Region| region.clipped(width, height).is_some_and(|region| {
                let (rect, feather) = (region.rect, region.cell().div_ceil(2));
                x + feather >= rect.x && x < rect.right() + feather
                    && y + feather >= rect.y && y < rect.bottom() + feather
            });
            if !regions.iter().any(near) {
                prop_assert_eq!(pixel(&pixels, width, x, y), pixel(&original, width, x, y));
            }
        }
    }

    /// Shuffling the pixels inside the cells changes nothing inside the shape, so only the cells' means are left.
    #[test]
    fn only_the_cells_means_are_left_inside_the_shape(
        width in 1u32..150, height in 1u32..150, region in any_region(150), by in any::<u16>(),
    ) {
        let mut pixels = noise(width, height, 3);
        let mut other = pixels.clone();
        shuffle(&mut other, &groups(&region, width, height), by.into());
        obscure(&mut pixels, width, height, &[region]);
        obscure(&mut other, width, height, &[region]);
        for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
            if is_inside(&region, width, height, x, y) == Some(true) {
                prop_assert_eq!(pixel(&pixels, width, x, y), pixel(&other, width, x, y));
            }
        }
    }

    /// The same holds for several regions: no shape shows pixels that lie inside any shape and only in cells of the finest
    /// region.
    #[test]
    fn pixels_inside_a_shape_do_not_show_through_other_regions(
        width in 8u32..120, height in 8u32..120, finest in any_region(120),
        others in prop::collection::vec(any_region(120), 0..5), by in any::<u16>(),
    ) {
        let cell = |region: &Region| region.clipped(width, height).map_or(0, |region| region.cell());
        let coarser = |other: &Region| cell(other) > cell(&finest) && other.mode != ObscureMode::Solid;
        let mut regions: Vec<Region> = others.into_iter().filter(coarser).collect();
        regions.push(Region { mode: ObscureMode::Mosaic, ..finest });
        let mut pixels = noise(width, height, 5);
        let mut other = pixels.clone();
        // Only the pixels inside are shuffled: the others stay visible.
        let inside: Vec<_> = groups(&finest, width, height).into_iter().skip(1).step_by(2).collect();
        shuffle(&mut other, &inside, by.into());
        obscure(&mut pixels, width, height, &regions);
        obscure(&mut other, width, height, &regions);
        prop_assert_eq!(pixels, other);
    }

    /// The interpolation between cells of `cell` pixels changes by at most 255 / `cell` from pixel to pixel.
    #[test]
    fn where_regions_overlap_the_coarsest_cell_counts(
        regions in prop::collection::vec(any_region(100), 1..6), soft in any::<bool>(),
    ) {
        let (width, height) = (100, 100);
        let mode = if soft { ObscureMode::Blur } else { ObscureMode::Mosaic };
        let regions: Vec<Region> = regions.into_iter().map(|region| Region { mode, ..region }).collect();
        // Black and white squares of 10 pixels: their means differ, unlike those of noise.
        let square = |x: u32, y: u32| if (x / 10 + y / 10).is_multiple_of(2) { 0 } else { 255 };
        let mut pixels: Vec<u8> =
            (0..width * height).flat_map(|i| [square(i % width, i / width); 3]).collect();
        obscure(&mut pixels, width, height, &regions);
        let clipped = regions.iter().filter_map(|region| region.clipped(width, height));
        let Some(coarsest) = clipped.max_by_key(|region| (region.cell(), *region)) else {
            return Ok(());
        };
        let limit = 255 / coarsest.cell().min(width) + 2;
        let inside = |x: u32, y: u32| is_inside(&coarsest, width, height, x, y) == Some(true);
        for (x, y) in (1..height).flat_map(|y| (1..width).map(move |x| (x, y))) {
            for (other_x, other_y) in [(x - 1, y), (x, y - 1)] {
                if inside(x, y) && inside(other_x, other_y) {
                    let (a, b) = (pixel(&pixels, width, x, y), pixel(&pixels, width, other_x, other_y));
                    prop_assert!(a.iter().zip(b).all(|(a, b)| u32::from(a.abs_diff(*b)) <= limit));
                }
            }
        }
    }

    #[test]
    fn a_solid_region_is_grey_whatever_overlaps_it(
        width in 1u32..100, height in 1u32..100,
        regions in prop::collection::vec(any_region(110), 1..8),
    ) {
        let mut pixels = noise(width, height, 13);
        obscure(&mut pixels, width, height, &regions);
        for region in regions.iter().filter(|region| region.mode == ObscureMode::Solid) {
            for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
                if is_inside(region, width, height, x, y) == Some(true) {
                    prop_assert_eq!(pixel(&pixels, width, x, y), [128; 3]);
                }
            }
        }
    }

    #[test]
    fn the_order_of_regions_does_not_matter(
        regions in prop::collection::vec(any_region(100), 0..8).prop_flat_map(|regions| {
            (Just(regions.clone()), Just(regions).prop_shuffle())
        }),
    ) {
        let mut pixels = [noise(90, 80, 17), noise(90, 80, 17)];
        obscure(&mut pixels[0], 90, 80, &regions.0);
        obscure(&mut pixels[1], 90, 80, &regions.1);
        prop_assert_eq!(&pixels[0], &pixels[1]);
    }

    /// A region that another one covers is not painted, so no part of it may lie outside.
    #[test]
    fn a_covered_region_lies_inside_with_its_soft_edge(
        outer in any_region(150), inner in any_region(90), width in 60u32..150, height in 60u32..150,
    ) {
        let (Some(outer), Some(inner)) = (outer.clipped(width, height), inner.clipped(width, height)) else {
            return Ok(());
        };
        let [cover, covered] = [&outer, &inner].map(|region| Outline::new(region, width, height));
        let is_out = |x: u32, y: u32| is_inside(&outer, width, height, x, y) == Some(false);
        let stands_out = covered.soft_rows().any(|y| covered.soft_columns().any(|x| is_out(x, y)));
        if cover.covers(&covered) {
            prop_assert!(!stands_out);
        } else {
            let is_in = |x: u32, y: u32| is_inside(&outer, width, height, x, y) == Some(true);
            prop_assert!(!covered.soft_rows().all(|y| covered.soft_columns().all(|x| is_in(x, y))));
        }
    }

    #[test]
    fn cells_have_at_least_the_minimum_size(
        width in 1u32..400, height in 1u32..400, region in any_region(400),
    ) {
        if let Some(clipped) = region.clipped(width, height) {
            let outline = Outline::new(&clipped, width, height);
            let mosaic = Mosaic::new(&noise(width, height, 1), width, &clipped, &outline);
            let (columns, rows) = mosaic.borders();
            for (borders, side) in [(columns, width), (rows, height)] {
                for cell in borders.windows(2).map(|cell| cell[1] - cell[0]) {
                    prop_assert!(cell >= MIN_CELL.min(side));
                    prop_assert!(cell >= region.cell().min(side));
                }
            }
        }
    }
}
