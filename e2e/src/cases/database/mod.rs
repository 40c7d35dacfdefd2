//! Outages of the database: with one pod, short and long; with three pods, the loss of one or two.

mod one_pod;
mod three_pods;

use anyhow::Result;

use super::Harness;
use crate::cluster::{Condition, wait_until};

pub(super) async fn run(harness: &mut Harness) -> Result<()> {
    if harness.cluster.settings().includes("one") {
        let result = one_pod::run(harness).await;
        harness.require_completion("one pod", result);
    }
    if harness.cluster.settings().includes("three") {
        let result = three_pods::run(harness).await;
        harness.require_completion("three pods", result);
    }
    Ok(())
}

/// Scales the database, and waits until the surplus pods are deleted.
async fn scale(harness: &Harness, count: u32) -> Result<()> {
    harness.cluster.scale("statefulset/postgres", count).await?;
    let time_limit = harness.time_limit();
    wait_until(
        "surplus pods of the database are deleted",
        time_limit,
        async || {
            let pods = super::patroni::pods(&harness.cluster).await?;
            Ok(if pods.len() <= count as usize {
                Condition::Met(())
            } else {
                Condition::Unmet(format!("{} pods", pods.len()))
            })
        },
    )
    .await
}
