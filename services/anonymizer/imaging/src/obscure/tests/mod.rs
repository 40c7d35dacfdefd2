//! Examples of what regions look like.

mod properties;

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

fn region(x: u32, y: u32, width: u32, height: u32) -> Region {
    Region {
        rect: PixelRect { x, y, width, height },
        shape: Shape::RoundedRect,
        cell: width.min(height).div_ceil(8),
        mode: ObscureMode::Mosaic,
    }
}

fn area(width: u32, height: u32) -> PixelRect {
    PixelRect {
        x: 100,
        y: 100,
        width,
        height,
    }
}

fn pixel(pixels: &[u8], width: u32, x: u32, y: u32) -> &[u8] {
    &pixels[CHANNELS * (y * width + x) as usize..][..CHANNELS]
}

#[test]
fn neighbours_keep_separate_cells() {
    let (width, height) = (300, 300);
    let (small, large) = (region(10, 10, 64, 64), region(120, 120, 160, 160));
    let mut together = noise(width, height, 19);
    let mut alone = together.clone();
    obscure(&mut together, width, height, &[small, large]);
    obscure(&mut alone, width, height, &[small]);
    for (x, y) in (0..100).flat_map(|y| (0..100).map(move |x| (x, y))) {
        assert_eq!(pixel(&together, width, x, y), pixel(&alone, width, x, y));
    }
    assert_eq!((small.cell(), large.cell()), (8, 20));
}

#[test]
fn an_empty_region_or_one_outside_the_picture_changes_nothing() {
    let original = noise(20, 20, 5);
    let mut pixels = original.clone();
    obscure(
        &mut pixels,
        20,
        20,
        &[region(20, 0, 10, 10), region(5, 5, 0, 10), region(5, 5, 10, 0)],
    );
    assert_eq!(pixels, original);
}

#[test]
fn solid_leaves_one_grey() {
    let mut pixels = noise(32, 32, 9);
    let whole = Region {
        mode: ObscureMode::Solid,
        ..region(0, 0, 32, 32)
    };
    obscure(&mut pixels, 32, 32, &[whole]);
    assert!(pixels.iter().all(|value| *value == 128));
}

#[test]
fn a_mosaic_has_no_steps_between_cells() {
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
    obscure(&mut pixels, width, height, &[region(0, 0, width, height)]);
    for y in 0..height {
        for x in 1..width {
            let step = pixel(&pixels, width, x, y)[0].abs_diff(pixel(&pixels, width, x - 1, y)[0]);
            assert!(step <= 17, "step of {step} at {x},{y}");
        }
    }
}

#[test]
fn a_soft_edge_falls_off_within_half_a_cell() {
    let mut pixels = vec![0; CHANNELS * 400 * 400];
    let solid = Region {
        mode: ObscureMode::Solid,
        ..region(100, 100, 160, 160)
    };
    obscure(&mut pixels, 400, 400, &[solid]);
    let row: Vec<u8> = (255..275).map(|x| pixel(&pixels, 400, x, 180)[0]).collect();
    assert!(row.is_sorted_by(|a, b| a >= b), "{row:?}");
    assert_eq!((row[4], row[15]), (128, 0));
    assert!((55..75).contains(&row[10]), "{row:?}");
}

/// A square head, a third as wide as the person, in a corner of the person's box.
#[test]
fn a_head_in_the_corner_of_a_persons_box_is_covered() {
    for (width, height) in [(90, 270), (300, 700), (240, 200)] {
        let person = area(width, height);
        let region = Region::for_object(Class::Person, person, ObscureModes::uniform(ObscureMode::Solid));
        let mut pixels = vec![0; CHANNELS * 600 * 1000];
        obscure(&mut pixels, 600, 1000, &[region]);
        let head = width.min(height) / 3;
        for left in [person.x, person.x + width - head, person.x + (width - head) / 2] {
            let replaced = (person.y..person.y + head)
                .flat_map(|y| (left..left + head).map(move |x| (x, y)))
                .filter(|&(x, y)| pixel(&pixels, 600, x, y)[0] == 128)
                .count();
            let share = replaced as f64 / f64::from(head * head);
            assert!(share >= 0.95, "{width}x{height}: {share}");
        }
    }
}

#[test]
fn an_object_at_the_pictures_edge_is_covered_up_to_the_edge() {
    let half_a_face = Region {
        shape: Shape::Ellipse,
        mode: ObscureMode::Solid,
        ..region(0, 50, 30, 80)
    };
    let mut pixels = vec![0; CHANNELS * 200 * 200];
    obscure(&mut pixels, 200, 200, &[half_a_face]);
    assert!((50..130).all(|y| pixel(&pixels, 200, 0, y)[0] == 128));
    assert_eq!(pixel(&pixels, 200, 34, 50)[0], 0);
}

#[test]
fn an_object_that_the_pictures_edge_cuts_off_keeps_the_cells_of_the_whole_object() {
    let cell = |class, part: (u32, u32), whole| {
        let part = area(part.0, part.1);
        Region::for_part(class, part, whole, false, ObscureModes::default()).cell()
    };
    assert_eq!(cell(Class::Face, (40, 200), [160.0, 200.0]), 20);
    assert_eq!(cell(Class::Person, (100, 600), [240.0, 600.0]), 20);
    // The network sees half of the head, which is about as wide as high.
    assert_eq!(cell(Class::Face, (50, 240), [50.0, 240.0]), 20);
}

#[test]
fn a_person_with_a_face_is_more_than_a_head() {
    let person = area(240, 240);
    let cell = |has_face| {
        Region::for_part(
            Class::Person,
            person,
            [240.0, 240.0],
            has_face,
            ObscureModes::default(),
        )
        .cell()
    };
    assert_eq!((cell(false), cell(true)), (30, 20));
}

#[test]
fn obscuring_ends_when_it_is_stopped() {
    let original = noise(100, 100, 23);
    let mut pixels = original.clone();
    assert!(!obscure_until(
        &mut pixels,
        100,
        100,
        &[region(0, 0, 50, 50)],
        || true
    ));
    assert_eq!(pixels, original);
    assert!(obscure_until(
        &mut pixels,
        100,
        100,
        &[region(0, 0, 50, 50)],
        || false
    ));
    assert_ne!(pixels, original);
}

#[test]
fn each_class_has_its_shape_and_cells() {
    let modes = ObscureModes {
        vehicle: ObscureMode::Solid,
        ..ObscureModes::uniform(ObscureMode::Blur)
    };
    let style = |class, width, height| {
        let region = Region::for_object(class, area(width, height), modes);
        (region.shape, region.cell(), region.mode)
    };
    assert_eq!(
        style(Class::Face, 160, 200),
        (Shape::Ellipse, 20, ObscureMode::Blur)
    );
    assert_eq!(
        style(Class::Person, 240, 600),
        (Shape::RoundedRect, 20, ObscureMode::Blur)
    );
    // The box may show only a head.
    assert_eq!(
        style(Class::Person, 240, 300),
        (Shape::RoundedRect, 30, ObscureMode::Blur)
    );
    assert_eq!(
        style(Class::Truck, 640, 320),
        (Shape::RoundedRect, 20, ObscureMode::Solid)
    );
    // The visible part of a person that the picture's edge cuts off.
    assert_eq!(
        style(Class::Person, 40, 1920),
        (Shape::RoundedRect, 40, ObscureMode::Blur)
    );
    assert_eq!(style(Class::Face, 20, 30), (Shape::Ellipse, 8, ObscureMode::Blur));
}
