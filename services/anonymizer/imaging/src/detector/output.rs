//! A network's output. Its numbers are checked here: a score that is not a number would be below every threshold, and
//! its object would not be hidden.

use ort::{
    session::{Session, SessionOutputs},
    value::TensorRef,
};

use super::{DetectorError, canvas::Planes};

/// The outputs of one run.
pub(super) struct Outputs<'s> {
    network: &'static str,
    outputs: SessionOutputs<'s>,
}

impl<'s> Outputs<'s> {
    /// Runs the network on the canvas's planes.
    pub fn run(network: &'static str, session: &'s mut Session, planes: Planes<'_>) -> ort::Result<Self> {
        let shape = [1, 3, planes.height, planes.width];
        let input = TensorRef::from_array_view((shape, planes.values))?;
        Ok(Self {
            network,
            outputs: session.run(ort::inputs![input])?,
        })
    }

    /// The output of this name.
    ///
    /// # Errors
    /// [`DetectorError::Output`] if it is missing, has another shape, or has a number that is not finite.
    pub fn numbers<const N: usize>(&self, name: &str, shape: [usize; N]) -> Result<&[f32], DetectorError> {
        let wrong = |why: String| DetectorError::Output {
            network: self.network,
            why: format!("output {name} {why}"),
        };
        let output = self
            .outputs
            .get(name)
            .ok_or_else(|| wrong("is missing".to_owned()))?;
        let (found, numbers) = output.try_extract_tensor::<f32>()?;
        if !found
            .iter()
            .map(|side| usize::try_from(*side).ok())
            .eq(shape.map(Some))
        {
            return Err(wrong(format!("has the shape {found:?}, expected {shape:?}")));
        }
        match numbers.iter().find(|number| !number.is_finite()) {
            Some(number) => Err(wrong(format!("holds {number}"))),
            None => Ok(numbers),
        }
    }
}
