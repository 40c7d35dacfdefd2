use proptest::prelude::*;

use super::*;

const FINE: f32 = 1.0;
const COARSE: f32 = 0.25;

const WHOLE: Rect = Rect {
    left: 0.0,
    top: 0.0,
    right: 1000.0,
    bottom: 1000.0,
};

/// A photo of 1000 × 1000 pixels with two passes.
fn photo() -> PhotoContext {
    let tile = |left: f32, top: f32| Rect {
        left,
        top,
        right: left + 600.0,
        bottom: top + 600.0,
    };
    PhotoContext {
        rect: WHOLE,
        passes: Some(Passes {
            fine_tiles: vec![
                tile(0.0, 0.0),
                tile(400.0, 0.0),
                tile(0.0, 400.0),
                tile(400.0, 400.0),
            ],
            coarse: COARSE,
        }),
    }
}

fn candidate(class: Class, score: f32, scale: f32, [left, top, right, bottom]: [f32; 4]) -> Candidate {
    let rect = Rect {
        left,
        top,
        right,
        bottom,
    };
    Candidate {
        class,
        score,
        rect,
        hidden: rect,
        upper: Rect {
            bottom: rect.top + 0.4 * rect.height(),
            ..rect
        },
        input_size: rect.height() * scale,
        scale,
        is_best_class: true,
        rotation: Rotation::None,
    }
}

fn person(score: f32, scale: f32, rect: [f32; 4]) -> Candidate {
    candidate(Class::Person, score, scale, rect)
}

/// Scores of the candidates that count.
fn selected(candidates: &[Candidate]) -> Vec<f32> {
    selected_in(&photo(), candidates)
}

fn selected_in(photo: &PhotoContext, candidates: &[Candidate]) -> Vec<f32> {
    let found = select(candidates.to_vec(), photo, &DetectSettings::default());
    found.iter().map(|found| found.score).collect()
}

#[test]
fn an_unsure_person_needs_the_other_pass_or_a_face() {
    let rect = [100.0, 100.0, 200.0, 400.0];
    let unsure = person(0.4, FINE, rect);
    assert!(selected(&[unsure]).is_empty());
    assert_eq!(selected(&[person(0.5, FINE, rect)]), [0.5]);
    let again = person(0.2, COARSE, [110.0, 110.0, 190.0, 390.0]);
    assert_eq!(selected(&[unsure, again]), [0.4]);
    // Another report of the same pass does not confirm it.
    assert!(selected(&[unsure, person(0.2, FINE, [110.0, 110.0, 210.0, 390.0])]).is_empty());
    let face = candidate(Class::Face, 0.25, FINE, [130.0, 110.0, 170.0, 150.0]);
    assert_eq!(selected(&[unsure, face]), [0.4, 0.25]);
    let elsewhere = candidate(Class::Face, 0.25, FINE, [530.0, 110.0, 570.0, 150.0]);
    assert_eq!(selected(&[unsure, elsewhere]), [0.25]);
}

#[test]
fn an_undecidable_candidate_is_hidden() {
    let unsure = person(0.4, FINE, [100.0, 100.0, 200.0, 400.0]);
    let one_look = PhotoContext {
        rect: WHOLE,
        passes: None,
    };
    assert_eq!(selected_in(&one_look, &[unsure]), [0.4]);
    // Under 16 pixels in the coarse pass.
    assert_eq!(selected(&[person(0.3, FINE, [10.0, 10.0, 30.0, 70.0])]), [0.3]);
    // No tile of the fine pass shows all of it.
    assert_eq!(
        selected(&[person(0.4, COARSE, [100.0, 100.0, 500.0, 800.0])]),
        [0.4]
    );
    let settings = DetectSettings {
        classes: [Class::Person].into(),
        ..DetectSettings::default()
    };
    assert_eq!(select(vec![unsure], &photo(), &settings).len(), 1);
}

#[test]
fn a_large_unsure_person_needs_more_and_is_not_a_second_view_of_a_surer_one() {
    let rect = [100.0, 100.0, 400.0, 600.0];
    let unsure = person(0.4, FINE, rect);
    let again = |score| person(score, COARSE, [110.0, 110.0, 390.0, 590.0]);
    assert!(selected(&[unsure, again(0.3)]).is_empty());
    assert_eq!(selected(&[unsure, again(0.36)]), [0.4]);
    let face = |score| candidate(Class::Face, score, FINE, [200.0, 110.0, 280.0, 200.0]);
    assert_eq!(selected(&[unsure, face(0.25)]), [0.25]);
    assert_eq!(selected(&[unsure, face(0.35)]), [0.4, 0.35]);
    let surer = person(0.6, FINE, [100.0, 100.0, 300.0, 500.0]);
    assert_eq!(selected(&[unsure, surer, face(0.35)]), [0.6, 0.35]);
}

#[test]
fn a_view_of_a_person_that_a_surer_one_covers_adds_nothing() {
    let better = person(0.8, FINE, [0.0, 0.0, 100.0, 200.0]);
    let covered = person(0.7, FINE, [2.0, 10.0, 102.0, 200.0]);
    assert_eq!(selected(&[covered, better]), [0.8]);
    // A body without its head, as the edge of a tile cuts it.
    let body = person(0.8, FINE, [0.0, 75.0, 100.0, 200.0]);
    let whole = person(0.79, FINE, [0.0, 0.0, 100.0, 200.0]);
    assert_eq!(selected(&[body, whole]), [0.8, 0.79]);
}

#[test]
fn another_view_of_a_surer_person_whose_head_is_hidden_adds_nothing() {
    let better = person(0.8, FINE, [0.0, 0.0, 100.0, 200.0]);
    let longer = |score| person(score, FINE, [0.0, 5.0, 100.0, 400.0]);
    assert_eq!(selected(&[better, longer(0.7)]), [0.8]);
    assert_eq!(selected(&[better, longer(0.75)]), [0.8, 0.75]);
    // Its head may stand out.
    let higher = person(0.7, FINE, [0.0, -40.0, 100.0, 200.0]);
    assert_eq!(selected(&[better, higher]), [0.8, 0.7]);
}

#[test]
fn a_group_whose_heads_are_hidden_adds_nothing() {
    let left = person(0.7, FINE, [0.0, 0.0, 110.0, 300.0]);
    let right = person(0.6, FINE, [100.0, 0.0, 200.0, 300.0]);
    let group = person(0.55, FINE, [0.0, 0.0, 200.0, 350.0]);
    assert_eq!(selected(&[left, right, group]), [0.7, 0.6]);
    // There may be a head between them.
    let apart = person(0.6, FINE, [140.0, 0.0, 200.0, 300.0]);
    assert_eq!(selected(&[left, apart, group]), [0.7, 0.6, 0.55]);
}

#[test]
fn a_face_confirms_the_person_whose_head_it_is() {
    let unsure = person(0.4, FINE, [100.0, 100.0, 200.0, 400.0]);
    let face = |top: f32| candidate(Class::Face, 0.25, FINE, [130.0, top, 170.0, top + 40.0]);
    assert_eq!(selected(&[unsure, face(150.0)]), [0.4, 0.25]);
    assert_eq!(selected(&[unsure, face(300.0)]), [0.25]);
}

#[test]
fn of_several_boxes_of_a_vehicle_the_best_counts() {
    let vehicle = |class, score, rect| candidate(class, score, FINE, rect);
    let car = vehicle(Class::Car, 0.6, [0.0, 0.0, 200.0, 150.0]);
    let again = vehicle(Class::Truck, 0.5, [20.0, 10.0, 220.0, 160.0]);
    let part = vehicle(Class::Car, 0.5, [50.0, 50.0, 110.0, 110.0]);
    let behind = vehicle(Class::Bus, 0.45, [100.0, 0.0, 300.0, 150.0]);
    assert_eq!(selected(&[car, again, part, behind]), [0.6, 0.45]);
}

#[test]
fn a_small_unsure_person_is_upright() {
    let of_width = |score, width: f32| person(score, FINE, [10.0, 10.0, 10.0 + width, 40.0_f32]);
    assert_eq!(selected(&[of_width(0.2, 20.0)]), [0.2]);
    assert!(selected(&[of_width(0.2, 28.0)]).is_empty());
    assert_eq!(selected(&[of_width(0.35, 28.0)]), [0.35]);
    let turned = Candidate {
        input_size: 30.0,
        ..person(0.2, FINE, [10.0, 10.0, 40.0, 26.0])
    };
    assert_eq!(selected(&[turned]), [0.2]);
}

#[test]
fn all_candidates_count_if_comparing_them_takes_too_long() {
    let unsure = person(0.4, FINE, [100.0, 100.0, 200.0, 400.0]);
    assert_eq!(selected(&vec![unsure; MAX_COMPARED]).len(), 0);
    assert_eq!(selected(&vec![unsure; MAX_COMPARED + 1]).len(), MAX_COMPARED + 1);
}

#[test]
fn part_of_a_person_is_hidden_and_not_reported() {
    let whole = person(0.8, FINE, [0.0, 0.0, 100.0, 400.0]);
    let bust = person(0.6, FINE, [10.0, -20.0, 90.0, 150.0]);
    let neighbour = person(0.7, FINE, [60.0, 0.0, 160.0, 400.0]);
    let settings = DetectSettings::default();
    let counting = select(vec![bust, whole, neighbour], &photo(), &settings);
    let shown: Vec<_> = objects(&counting, &settings)
        .iter()
        .map(|found| (found.score, found.is_repeated))
        .collect();
    assert_eq!(shown, [(0.8, false), (0.7, false), (0.6, true)]);
}

#[test]
fn classes_do_not_hide_each_other() {
    let rect = [0.0, 0.0, 100.0, 200.0];
    let both = [
        person(0.8, FINE, rect),
        candidate(Class::Motorcycle, 0.6, FINE, rect),
    ];
    assert_eq!(selected(&both), [0.8, 0.6]);
}

#[test]
fn a_large_machine_is_not_a_truck_and_a_large_car_is_a_car() {
    let large = [0.0, 0.0, 500.0, 400.0];
    let small = [0.0, 0.0, 200.0, 150.0];
    for (class, score, rect, is_best_class, counts) in [
        (Class::Truck, 0.65, large, true, false),
        (Class::Truck, 0.7, large, true, true),
        (Class::Truck, 0.45, small, true, true),
        (Class::Car, 0.5, large, true, true),
        (Class::Car, 0.45, large, true, false),
        (Class::Car, 0.6, large, false, false),
    ] {
        let vehicle = Candidate {
            is_best_class,
            ..candidate(class, score, FINE, rect)
        };
        assert_eq!(!selected(&[vehicle]).is_empty(), counts, "{class:?} {score}");
    }
}

#[test]
fn small_objects_have_a_lower_minimum_score() {
    let height = |pixels: f32| person(0.2, FINE, [0.0, 0.0, 20.0, pixels]);
    assert_eq!(selected(&[height(60.0)]), [0.2]);
    assert!(selected(&[height(110.0)]).is_empty());
}

fn any_candidate() -> impl Strategy<Value = Candidate> {
    let edges = (0.0f32..900.0, 0.0f32..900.0, 1.0f32..500.0, 1.0f32..500.0);
    (0.0f32..1.0, edges, any::<bool>()).prop_map(|(score, (x, y, w, h), is_fine)| {
        let scale = if is_fine { FINE } else { COARSE };
        person(score, scale, [x, y, x + w, y + h])
    })
}

proptest! {
    #[test]
    fn at_least_the_head_of_a_sure_person_is_hidden(candidates in prop::collection::vec(any_candidate(), 0..40)) {
        let found = select(candidates.clone(), &photo(), &DetectSettings::default());
        for sure in candidates.iter().filter(|one| one.score >= SURE) {
            let covers = |found: &Candidate| found.hidden.overlap(&sure.rect) >= COVERED * sure.rect.area();
            let better = found.iter().filter(|found| found.score >= sure.score);
            let better: Vec<Rect> = better.map(|found| found.hidden).collect();
            let is_head_hidden =
                sure.score < SURE_PERSON && sure.upper.covered_share(&better) >= UPPER_COVERED;
            prop_assert!(is_head_hidden || found.iter().any(covers));
        }
        for pair in found.windows(2) {
            prop_assert!(pair[0].score >= pair[1].score);
        }
    }
}
