//! Requests and limits of resources: every container has them, and their sum fits the overlay's cluster.

use manifests::{Object, object::text};
use serde_json::Value;

use crate::{assert_no_violations, builds, overlays};

/// The resources for pods on minikube's node of 4 CPUs and 8 GB, without those of Kubernetes.
const MILLICPUS: u64 = 3400;
const MEBIBYTES: u64 = 7000;

/// CPUs in thousandths: `250m`, `2`.
fn millicpus(quantity: &str) -> Option<u64> {
    match quantity.strip_suffix('m') {
        Some(thousandths) => thousandths.parse().ok(),
        None => Some(quantity.parse::<u64>().ok()? * 1000),
    }
}

/// Memory in MiB: `256Mi`, `1Gi`.
fn mebibytes(quantity: &str) -> Option<u64> {
    if let Some(number) = quantity.strip_suffix("Mi") {
        return number.parse().ok();
    }
    Some(quantity.strip_suffix("Gi")?.parse::<u64>().ok()? * 1024)
}

#[test]
fn every_container_has_requests_and_limits() {
    let Some(overlays) = overlays("requests and limits") else {
        return;
    };
    let mut violations = Vec::new();
    for build in &overlays {
        for workload in &build.objects {
            for container in workload.containers() {
                let mut read = |kind: &str, name: &str, read: fn(&str) -> Option<u64>| {
                    let number = read(text(&container["resources"][kind][name]));
                    if number.is_none() {
                        violations.push(format!("{}: {workload}: {kind} of {name}", build.name));
                    }
                    number.unwrap_or(0)
                };
                for (name, reader) in [
                    ("cpu", millicpus as fn(&str) -> Option<u64>),
                    ("memory", mebibytes),
                    ("ephemeral-storage", mebibytes),
                ] {
                    let (request, limit) = (read("requests", name, reader), read("limits", name, reader));
                    assert!(
                        request <= limit,
                        "{}: {workload}: {name}: {request} of {limit}",
                        build.name
                    );
                }
            }
        }
    }
    assert_no_violations(violations);
}

/// Of permanent pods: the sum of CPU requests, which the scheduler uses, and the sum of memory limits, which they may reach.
#[test]
fn minikube_has_room() {
    let Some(mut overlays) = overlays("minikube's room") else {
        return;
    };
    overlays.retain(|build| build.name == "overlay minikube");
    let [build] = overlays.as_slice() else {
        panic!("there is no overlay minikube");
    };
    let (mut cpu, mut memory) = (0, 0);
    let stay = |object: &&Object| matches!(object.kind(), "Deployment" | "StatefulSet" | "DaemonSet");
    for workload in build.objects.iter().filter(stay) {
        // A DaemonSet has one pod on the only node.
        let replicas = workload.at("/spec/replicas").as_u64().unwrap_or(1);
        for container in manifests::object::list_of(&workload.pod()["containers"]) {
            let resources = &container["resources"];
            cpu += replicas * millicpus(text(&resources["requests"]["cpu"])).unwrap();
            memory += replicas * mebibytes(text(&resources["limits"]["memory"])).unwrap();
        }
    }
    assert!(
        cpu > 0 && cpu <= MILLICPUS,
        "{cpu} thousandths of a CPU of {MILLICPUS}"
    );
    assert!(memory > 0 && memory <= MEBIBYTES, "{memory} MiB of {MEBIBYTES}");
}

/// The Ingress accepts the largest photo that irmgard accepts, and not much more: `65m` for `64MiB`.
#[test]
fn the_ingress_accepts_the_largest_photo() {
    let Some(builds) = builds("the limit of the Ingress") else {
        return;
    };
    let page =
        std::fs::read_to_string(manifests::tools::project_root().join("docs/configuration.md")).unwrap();
    let row = page
        .lines()
        .find(|line| line.starts_with("| `MAX_UPLOAD_BYTES` "));
    let cell = row.and_then(|row| row.split(" | ").nth(2)).unwrap();
    let largest: u64 = cell
        .trim_matches('`')
        .strip_suffix("MiB")
        .unwrap()
        .parse()
        .unwrap();
    let mut checked = 0;
    for build in &builds {
        for ingress in build.objects.iter().filter(|object| object.kind() == "Ingress") {
            checked += 1;
            let limit =
                text(ingress.at("/metadata/annotations/nginx.ingress.kubernetes.io~1proxy-body-size"));
            assert_eq!(limit, format!("{}m", largest + 1), "{}: {ingress}", build.name);
        }
    }
    assert!(checked > 1, "only {checked} Ingresses were checked");
}

/// Connections of one irmgard with its default pools: for requests, for background work, for the relay, and for new ids.
const CONNECTIONS: u64 = 16 + 4 + 1 + 1;

/// Connections of Patroni, people and migrations.
const OTHER_CONNECTIONS: u64 = 20;

/// The limit holds during a rollout, which doubles the pods: an ending pod keeps its connections until it has drained.
#[test]
fn the_database_has_enough_connections() {
    let Some(builds) = builds("connections to the database") else {
        return;
    };
    let patroni: Value =
        serde_saphyr::from_str(include_str!("../../../services/postgres/patroni.yml")).unwrap();
    let limit = patroni["bootstrap"]["dcs"]["postgresql"]["parameters"]["max_connections"]
        .as_u64()
        .unwrap();
    for build in &builds {
        let named = |kind: &str| {
            let wanted = |object: &&Object| object.kind() == kind && object.name() == "irmgard";
            build.objects.iter().find(wanted)
        };
        let most = named("HorizontalPodAutoscaler")
            .map(|scaler| scaler.at("/spec/maxReplicas"))
            .or_else(|| named("Deployment").map(|deployment| deployment.at("/spec/replicas")))
            .and_then(Value::as_u64)
            .unwrap();
        let wanted = 2 * most * CONNECTIONS + OTHER_CONNECTIONS;
        assert!(
            wanted <= limit,
            "{}: {most} pods want {wanted} of {limit} connections",
            build.name
        );
    }
}

/// Behind an Ingress, all connections come from the controller. irmgard reads the client's address from X-Forwarded-For, and one
/// address may have all connections.
#[test]
fn behind_an_ingress_clients_keep_their_addresses() {
    let Some(builds) = builds("what irmgard knows of its proxy") else {
        return;
    };
    let mut checked = 0;
    for build in &builds {
        let behind = build.objects.iter().any(|object| object.kind() == "Ingress");
        let settings = build
            .objects
            .iter()
            .find(|object| object.kind() == "ConfigMap" && !object.at("/data/POSTGRES_DATABASE").is_null());
        let Some(settings) = settings else { continue };
        checked += usize::from(behind);
        let trusts = !settings.at("/data/TRUSTED_PROXIES").is_null();
        let share = settings.at("/data/MAX_CONNECTIONS_PER_ADDRESS");
        assert_eq!(trusts, behind, "{}", build.name);
        assert_eq!(!share.is_null(), behind, "{}", build.name);
    }
    assert!(checked > 1, "only {checked} Ingresses were checked");
}
