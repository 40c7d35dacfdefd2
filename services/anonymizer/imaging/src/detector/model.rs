//! The files of the two networks. They are part of the program.

use sha2::{Digest, Sha256};

use super::runtime::ModelFile;

/// A network's file.
pub(super) struct Model {
    pub name: &'static str,
    bytes: &'static [u8],
    sha256: &'static str,
}

/// NanoDet-g: people and vehicles (`models/README.md`).
pub(super) const NANODET: Model = Model {
    name: "nanodet_g_int8.onnx",
    bytes: include_bytes!("../../../models/nanodet_g_int8.onnx"),
    sha256: "005feeb0577b2eda77b62b1f419e3df72dee52e3f8820607bb004df125033365",
};

/// CenterFace: faces (`models/README.md`).
pub(super) const CENTERFACE: Model = Model {
    name: "centerface_int8.onnx",
    bytes: include_bytes!("../../../models/centerface_int8.onnx"),
    sha256: "7fc471391a808a4c56f0111f1d1f342cacd4b2c1d64cf39bf8eb2fd46799a6b3",
};

/// The file's checksum differs from the measured file's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("model {name}: sha256 is {found}, expected {expected}")]
pub struct WrongModel {
    name: &'static str,
    found: String,
    expected: &'static str,
}

impl Model {
    /// The file, after a check of its checksum.
    pub(super) fn verified(&self) -> Result<ModelFile, WrongModel> {
        let found: String = Sha256::digest(self.bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        if found == self.sha256 {
            Ok(ModelFile {
                name: self.name,
                bytes: self.bytes,
            })
        } else {
            Err(WrongModel {
                name: self.name,
                found,
                expected: self.sha256,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_files_are_the_measured_ones() {
        assert!(NANODET.verified().is_ok());
        assert!(CENTERFACE.verified().is_ok());
    }

    #[test]
    fn another_file_is_refused_by_name() {
        let swapped = Model {
            bytes: CENTERFACE.bytes,
            ..NANODET
        };
        let error = swapped.verified().err().unwrap().to_string();
        assert!(
            error.starts_with("model nanodet_g_int8.onnx: sha256 is 7fc471"),
            "{error}"
        );
    }
}
