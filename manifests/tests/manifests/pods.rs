//! What every pod must be: closed, in a namespace that is.

use manifests::object::list_of;

use crate::{builds, check};

/// The one namespace whose pods may reach into the node.
const OPEN: &str = "irmgard-fluentd";

/// Volumes that Pod Security's `restricted` allows.
const VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "projected",
    "secret",
];

#[test]
fn namespaces_are_restricted_but_for_one() {
    let Some(builds) = builds("Pod Security") else {
        return;
    };
    for build in &builds {
        for object in build.objects.iter().filter(|object| object.kind() == "Namespace") {
            let enforced = object.labels().remove("pod-security.kubernetes.io/enforce");
            let wanted = if object.name() == OPEN {
                "privileged"
            } else {
                "restricted"
            };
            assert_eq!(enforced.as_deref(), Some(wanted), "{}: {object}", build.name);
        }
        for object in &build.objects {
            if object.template().is_some() {
                let is_fluentd = object
                    .pod_labels()
                    .get(schema::label::NAME)
                    .is_some_and(|name| name == "fluentd");
                assert_eq!(object.namespace() == OPEN, is_fluentd, "{}: {object}", build.name);
            }
        }
    }
}

/// What `restricted` asks for (kubernetes.io/docs/concepts/security/pod-security-standards), and a file system that is not written.
#[test]
fn pods_are_closed() {
    check("what pods may do", |workload, _| {
        let pod = workload.pod();
        let mut wrong = Vec::new();
        let mut must = |holds: bool, what: &str| {
            if !holds {
                wrong.push(what.to_owned());
            }
        };
        let is_open = workload.namespace() == OPEN;
        must(
            pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault",
            "no seccomp profile",
        );
        must(
            is_open || pod["securityContext"]["runAsNonRoot"] == true,
            "it may run as root",
        );
        for name in ["hostNetwork", "hostPID", "hostIPC"] {
            must(pod[name].is_null(), name);
        }
        for volume in list_of(&pod["volumes"]) {
            let allowed = VOLUMES.iter().any(|kind| !volume[*kind].is_null());
            must(allowed || is_open, "a volume that is not allowed");
        }
        for container in workload.containers() {
            let context = &container["securityContext"];
            must(context["allowPrivilegeEscalation"] == false, "it may gain rights");
            must(context["privileged"].is_null(), "it is privileged");
            must(
                context["capabilities"] == serde_json::json!({ "drop": ["ALL"] }),
                "it keeps capabilities",
            );
            let may_write = workload.name() == "dashboards" && workload.kind() == "Deployment";
            must(
                may_write || context["readOnlyRootFilesystem"] == true,
                "it may write to its root file system",
            );
            must(
                list_of(&container["ports"])
                    .iter()
                    .all(|port| port["hostPort"].is_null()),
                "a port of the node",
            );
        }
        wrong
    });
}
