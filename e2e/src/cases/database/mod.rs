//! The database is away: with one pod, for moments and for longer; with three pods, one of which goes, or two.

mod one;
mod three;

use anyhow::Result;

use super::Stage;
use crate::cluster::{Seen, until};

/// Both numbers of pods.
pub(super) async fn run(stage: &mut Stage) -> Result<()> {
    if stage.cluster.settings().wants("one") {
        let ended = one::run(stage).await;
        stage.part("one pod", ended);
    }
    if stage.cluster.settings().wants("three") {
        let ended = three::run(stage).await;
        stage.part("three pods", ended);
    }
    stage.report.cannot_show(
        "The loss of a node or a zone: all pods are on one node, whose kernel closes the connections of a pod that was killed. What comes \
         closest: the object of the killed pod is held in the API, as that of a lost node is, and no other is made in its place.",
    );
    Ok(())
}

/// Changes how many pods of the database there are, and waits until those that must go are gone.
async fn scale(stage: &Stage, count: u32) -> Result<()> {
    stage.cluster.scale("statefulset/postgres", count).await?;
    let patience = stage.cluster.settings().patience;
    until("pods of the database are gone", patience, async || {
        let pods = super::patroni::pods(&stage.cluster).await?;
        Ok(if pods.len() <= count as usize {
            Seen::Yes(())
        } else {
            Seen::NotYet(format!("{} pods", pods.len()))
        })
    })
    .await
}
