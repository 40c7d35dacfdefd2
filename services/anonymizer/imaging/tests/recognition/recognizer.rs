//! Recognises people by their faces with faceres, a network of the `human` library (`../models/README.md`).

use imaging::picture::Picture;
use ort::{environment::Environment, session::Session, value::TensorRef};

use crate::{
    head::Head,
    shapes::{cropped, resized},
    support::library,
};

/// Side of the network's input, pixels.
const SIDE: u32 = 224;

/// 1024 numbers for each face, minus the mean of all faces: the common effect of obscuring identifies nobody.
pub type Descriptors = Vec<Vec<f32>>;

pub struct Recognizer {
    session: Session,
    /// Ends with the process.
    _environment: Environment,
}

impl Recognizer {
    pub fn load() -> Self {
        let environment = ort::init_from(library()).unwrap().build().unwrap();
        let network = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/models/faceres.onnx");
        let session = Session::builder(&environment)
            .unwrap()
            .with_intra_threads(1)
            .unwrap()
            .commit_from_file(network)
            .unwrap();
        Self {
            session,
            _environment: environment,
        }
    }

    pub fn describe(&mut self, heads: &[Head]) -> Descriptors {
        let mut all: Descriptors = heads.iter().map(|head| self.descriptor(&face(head))).collect();
        for at in 0..all[0].len() {
            let mean = all.iter().map(|descriptor| descriptor[at]).sum::<f32>() / all.len() as f32;
            all.iter_mut().for_each(|descriptor| descriptor[at] -= mean);
        }
        all
    }

    /// The network takes red, green and blue from 0 to 255: `enhance` in `src/face/faceres.ts` of vladmandic/human, commit
    /// 151df64.
    fn descriptor(&mut self, face: &Picture) -> Vec<f32> {
        let values: Vec<f32> = face.pixels.iter().copied().map(f32::from).collect();
        let shape = [1, SIDE as usize, SIDE as usize, 3];
        let input = TensorRef::from_array_view((shape, values.as_slice())).unwrap();
        let outputs = self.session.run(ort::inputs![input]).unwrap();
        outputs["descriptor"]
            .try_extract_tensor::<f32>()
            .unwrap()
            .1
            .to_vec()
    }
}

/// The square around the face. It lies inside the ellipse that hides a head, so the surroundings identify nobody.
fn face(head: &Head) -> Picture {
    let side = head.face.width().max(head.face.height());
    let x = f32::midpoint(head.face.left, head.face.right) - side / 2.0;
    let y = f32::midpoint(head.face.top, head.face.bottom) - side / 2.0;
    let square = [x, y, side, side].map(|number| number.round() as u32);
    resized(&cropped(&head.picture, square), SIDE, SIDE)
}

/// The index of the most similar original for each probe. Of several equal ones, the first counts.
pub fn most_similar(gallery: &Descriptors, probes: &Descriptors) -> Vec<usize> {
    let nearest = |probe: &Vec<f32>| {
        let distance = |other: &usize| -similarity(probe, &gallery[*other]);
        (0..gallery.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)))
    };
    probes.iter().map(|probe| nearest(probe).unwrap()).collect()
}

/// The cosine of the angle between two descriptors.
fn similarity(a: &[f32], b: &[f32]) -> f32 {
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    product(a, b) / (product(a, a) * product(b, b)).sqrt().max(f32::MIN_POSITIVE)
}
