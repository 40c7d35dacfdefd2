//! Pod Security: pods and namespaces are restricted.

use manifests::object::list_of;

use crate::{builds, check_workloads};

/// The only namespace whose pods may use the node's files.
const PRIVILEGED: &str = "irmgard-fluentd";

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
fn all_namespaces_but_one_are_restricted() {
    let Some(builds) = builds("Pod Security") else {
        return;
    };
    for build in &builds {
        for object in build.objects.iter().filter(|object| object.kind() == "Namespace") {
            let enforced = object.labels().remove("pod-security.kubernetes.io/enforce");
            let wanted = if object.name() == PRIVILEGED {
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
                assert_eq!(
                    object.namespace() == PRIVILEGED,
                    is_fluentd,
                    "{}: {object}",
                    build.name
                );
            }
        }
    }
}

/// The requirements of `restricted` (kubernetes.io/docs/concepts/security/pod-security-standards), and a read-only file system.
#[test]
fn pods_are_restricted() {
    check_workloads("what pods may do", |workload, _| {
        let pod = workload.pod();
        let mut violations = Vec::new();
        let mut must = |holds: bool, what: &str| {
            if !holds {
                violations.push(what.to_owned());
            }
        };
        let is_privileged = workload.namespace() == PRIVILEGED;
        must(
            pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault",
            "no seccomp profile",
        );
        must(
            is_privileged || pod["securityContext"]["runAsNonRoot"] == true,
            "it may run as root",
        );
        for name in ["hostNetwork", "hostPID", "hostIPC"] {
            must(pod[name].is_null(), name);
        }
        for volume in list_of(&pod["volumes"]) {
            let allowed = VOLUMES.iter().any(|kind| !volume[*kind].is_null());
            must(allowed || is_privileged, "a volume that is not allowed");
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
        violations
    });
}
