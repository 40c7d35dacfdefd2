//! Faulty networks.

#![cfg(feature = "failpoints")]

use contract::Verdict;

use crate::harness::{Harness, astronaut};

#[path = "../../imaging/tests/support/onnx.rs"]
mod onnx;

/// A score of NaN does not mean that the photo is empty: the photo fails in the worker
/// and in the child, and has no output.
#[tokio::test(flavor = "multi_thread")]
async fn photo_fails_if_a_network_returns_nan() {
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
        let mut harness = Harness::with_environment(|environment| {
            let failpoint = format!("anonymizer::networks=return({})", folder.path().display());
            environment.insert("FAILPOINTS".into(), failpoint);
        })
        .await;
        harness.start_worker().await;
        let photo = harness.submit(17, astronaut()).await;
        let result = harness.next_result().await;
        let Verdict::Failed { reason, detail } = result.verdict else {
            panic!("{:?}", result.verdict);
        };
        assert_eq!(reason.code(), "processing-error");
        assert!(detail.starts_with(network) && detail.contains("NaN"), "{detail}");
        assert_eq!(harness.read_object(&photo.original).await.unwrap(), astronaut());
        assert!(!harness.object_exists(&photo.output).await);
    }
}
