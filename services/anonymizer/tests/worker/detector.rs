//! Networks that are not in order.

#![cfg(feature = "failpoints")]

use contract::Outcome;

use crate::harness::{Site, astronaut};

#[path = "../../imaging/tests/support/onnx.rs"]
mod onnx;

/// A score that is no number is not "nobody is here": the photo fails, wherever
/// it is worked on, and comes to no output.
#[tokio::test(flavor = "multi_thread")]
async fn photo_fails_if_a_network_answers_nan() {
    for network in ["NanoDet", "CenterFace"] {
        let (mut nanodet, mut centerface) = (onnx::nanodet(), onnx::centerface());
        let faulty = if network == "NanoDet" {
            &mut nanodet
        } else {
            &mut centerface
        };
        faulty[0].channels[0] = f32::NAN;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("nanodet.onnx"), onnx::file(&nanodet)).unwrap();
        std::fs::write(folder.path().join("centerface.onnx"), onnx::file(&centerface)).unwrap();
        let mut site = Site::with(|environment| {
            let failpoint = format!("anonymizer::networks=return({})", folder.path().display());
            environment.insert("FAILPOINTS".into(), failpoint);
        })
        .await;
        site.start().await;
        let photo = site.post(17, astronaut()).await;
        let result = site.result().await;
        let Outcome::Failed { reason, detail } = result.outcome else {
            panic!("{:?}", result.outcome);
        };
        assert_eq!(reason.code(), "processing-error");
        assert!(detail.starts_with(network) && detail.contains("NaN"), "{detail}");
        assert_eq!(site.read(&photo.original).await.unwrap(), astronaut());
        assert!(!site.is_there(&photo.output).await);
    }
}
