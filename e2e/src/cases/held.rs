//! Pods that are killed and whose place stays empty, as those of a node that is lost.

use anyhow::Result;

use crate::cluster::{Cluster, Deletion, Pod};

/// Stops all processes of a pod: they have no time for a farewell when they are killed, and nobody hears of them meanwhile.
const FREEZE: [&str; 4] = ["--", "sh", "-c", "kill -s STOP -- -1"];
/// Kills pods, without a farewell; their objects stay, so that nobody makes others in their place until they are released.
pub async fn kill(cluster: &Cluster, pods: &[Pod]) -> Result<()> {
    for pod in pods {
        cluster.keep(pod).await?;
    }
    for pod in pods {
        let mut arguments = vec!["exec", "--namespace", &pod.namespace, &pod.name];
        arguments.extend(FREEZE);
        cluster.kubectl().run(&arguments).await?;
        cluster.delete(pod, Deletion::Forced).await?;
    }
    Ok(())
}

/// Lets others come in their place.
pub async fn release(cluster: &Cluster, pods: &[Pod]) -> Result<()> {
    let mut ended = Ok(());
    for pod in pods {
        // Each of them, also where one fails: an object that is kept keeps its namespace.
        ended = ended.and(cluster.free(&pod.namespace, &pod.name).await);
    }
    ended
}
