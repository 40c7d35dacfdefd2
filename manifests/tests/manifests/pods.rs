//! What every pod must be: closed, without a token that it does not need, and with time to end.

use manifests::{
    Object,
    object::{labels, list_of, selects, text},
};
use serde_json::Value;

use crate::{builds, none, variables::variables};

/// The one namespace whose pods may reach into the node.
const OPEN: &str = "irmgard-fluentd";

/// Who asks the Kubernetes API: a token is mounted there and nowhere else.
const WITH_TOKEN: [&str; 4] = ["postgres", "postgres-settings", "rabbitmq", "fluentd"];

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

/// What is wrong with the pods of one workload.
type Check = fn(&Object, &Build) -> Vec<String>;

use crate::Build;

fn check(what: &str, check: Check) {
    let Some(builds) = builds(what) else {
        return;
    };
    let mut wrong = Vec::new();
    let mut seen = 0;
    for build in &builds {
        for workload in build.objects.iter().filter(|object| object.template().is_some()) {
            seen += 1;
            wrong.extend(
                check(workload, build)
                    .into_iter()
                    .map(|what| format!("{}: {workload}: {what}", build.name)),
            );
        }
    }
    assert!(seen > 20, "only {seen} workloads were looked at");
    none(wrong);
}

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

#[test]
fn tokens_are_where_they_are_needed() {
    check("service accounts' tokens", |workload, build| {
        let pod = workload.pod();
        let needs = WITH_TOKEN.contains(&workload.name());
        let mut wrong = Vec::new();
        if pod["automountServiceAccountToken"] != Value::Bool(needs) {
            wrong.push(format!("automountServiceAccountToken must be {needs}"));
        }
        if needs {
            let account = text(&pod["serviceAccountName"]);
            let bound = build.objects.iter().any(|object| {
                matches!(object.kind(), "RoleBinding" | "ClusterRoleBinding")
                    && list_of(object.at("/subjects")).iter().any(|subject| {
                        subject["name"] == account && subject["namespace"] == workload.namespace()
                    })
            });
            if !bound {
                wrong.push(format!("nothing is granted to the account {account:?}"));
            }
        } else if !pod["serviceAccountName"].is_null() {
            wrong.push("an account that it does not use".to_owned());
        }
        wrong
    });
}

/// Rights are named one by one.
#[test]
fn roles_have_no_wildcard() {
    let Some(builds) = builds("roles") else {
        return;
    };
    for build in &builds {
        for object in build
            .objects
            .iter()
            .filter(|o| matches!(o.kind(), "Role" | "ClusterRole"))
        {
            for rule in list_of(object.at("/rules")) {
                for part in ["apiGroups", "resources", "verbs"] {
                    let words = list_of(&rule[part]);
                    assert!(
                        !words.is_empty() && words.iter().all(|word| word != "*"),
                        "{}: {object}: {rule}",
                        build.name
                    );
                    assert!(
                        words.iter().all(|word| word != "secrets"),
                        "{}: {object} reads secrets",
                        build.name
                    );
                }
            }
        }
    }
}

/// A pod has longer to end than its program takes.
#[test]
fn there_is_time_to_drain() {
    check("the time to drain", |workload, build| {
        let mut wrong = Vec::new();
        for container in workload.containers() {
            let set = variables(container, workload, &build.objects);
            let Some(grace) = set
                .get("SHUTDOWN_GRACE")
                .filter(|_| workload.kind() == "Deployment")
            else {
                continue;
            };
            if text(&container["name"]) == "desk" {
                continue;
            }
            let seconds: u64 = grace.trim_end_matches('s').parse().unwrap();
            // docs/configuration.md: giving back jobs takes up to 8 s more.
            let needed = seconds + if workload.name() == "anonymizer" { 8 } else { 0 };
            let given = workload.pod()["terminationGracePeriodSeconds"]
                .as_u64()
                .unwrap_or(30);
            if given < needed + 2 {
                wrong.push(format!("{given} s to end, but it may take {needed} s"));
            }
        }
        wrong
    });
}

/// A data service that is killed while it recovers has to recover again.
/// Of a web service all old pods stay until a new one is ready, of workers all but one; and a release that does not come is given up.
#[test]
fn a_bad_release_stops_by_itself() {
    check("releases", |workload, build| {
        let mut wrong = Vec::new();
        if !matches!(workload.name(), "irmgard" | "anonymizer") || workload.kind() != "Deployment" {
            return wrong;
        }
        let is_web = workload.name() == "irmgard";
        let rolling = workload.at("/spec/strategy/rollingUpdate");
        let allowed = u64::from(!is_web);
        if rolling["maxUnavailable"]
            .as_u64()
            .is_none_or(|count| count > allowed)
        {
            wrong.push(format!(
                "a release may take {} pods at once",
                rolling["maxUnavailable"]
            ));
        }
        if !workload.at("/spec/progressDeadlineSeconds").is_u64() {
            wrong.push("nothing says when a release has failed".to_owned());
        }
        for container in workload.containers() {
            if container["readinessProbe"].is_null() {
                wrong.push("nothing says when a new pod is ready".to_owned());
            }
            // Requests still come while the cluster learns that the pod ends.
            if is_web && !variables(container, workload, &build.objects).contains_key("DRAIN_DELAY") {
                wrong.push("it ends while requests are sent to it".to_owned());
            }
        }
        wrong
    });
}

#[test]
fn probes_kill_no_data_service() {
    check("probes", |workload, _| {
        let mut wrong = Vec::new();
        for container in list_of(&workload.pod()["containers"]) {
            match workload.kind() {
                "StatefulSet" => {
                    if !container["livenessProbe"].is_null() {
                        wrong.push("a liveness probe on a data service".to_owned());
                    }
                    if container["readinessProbe"].is_null() {
                        wrong.push("no readiness probe".to_owned());
                    }
                }
                "Deployment" | "DaemonSet" if text(&container["name"]) != "desk" => {
                    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
                        if container[probe].is_null() {
                            wrong.push(format!("no {probe}"));
                        }
                    }
                }
                _ => {}
            }
        }
        wrong
    });
}

/// A node can be drained, one pod of each service at a time.
#[test]
fn services_survive_a_drain() {
    check("disruption budgets and spread", |workload, build| {
        let mut wrong = Vec::new();
        if !matches!(workload.kind(), "Deployment" | "StatefulSet") || workload.at("/spec/replicas") == 0 {
            return wrong;
        }
        let budgets: Vec<&Object> = build
            .objects
            .iter()
            .filter(|object| {
                object.kind() == "PodDisruptionBudget"
                    && selects(
                        &labels(object.at("/spec/selector/matchLabels")),
                        &workload.pod_labels(),
                    )
            })
            .collect();
        match budgets.as_slice() {
            [budget] if budget.at("/spec/maxUnavailable") == 1 => {}
            [_] => wrong.push("its budget is not one pod at a time".to_owned()),
            _ => wrong.push(format!("{} budgets", budgets.len())),
        }
        let spreads = list_of(&workload.pod()["topologySpreadConstraints"]);
        let replicas = workload.at("/spec/replicas").as_u64().unwrap_or(2);
        if replicas > 1 && spreads.is_empty() {
            wrong.push("its pods may all be on one node".to_owned());
        }
        for spread in spreads {
            if spread["whenUnsatisfiable"] != "ScheduleAnyway" {
                wrong.push("a spread that keeps pods from running".to_owned());
            }
            if !selects(
                &labels(&spread["labelSelector"]["matchLabels"]),
                &workload.pod_labels(),
            ) {
                wrong.push("a spread that counts other pods".to_owned());
            }
        }
        wrong
    });
}

/// A change of a ConfigMap or a Secret makes new pods: their names carry a hash.
#[test]
fn configuration_rolls_pods() {
    check("names of configuration", |workload, build| {
        let mut wrong = Vec::new();
        let mut names = Vec::new();
        named(workload.pod(), &mut names);
        for (kind, name) in names {
            let object = build.objects.iter().find(|object| {
                object.kind() == kind && object.name() == name && object.namespace() == workload.namespace()
            });
            if object.is_none() {
                wrong.push(format!("there is no {kind} {name}"));
            }
            let has_hash = name.rsplit_once('-').is_some_and(|(_, hash)| {
                hash.len() == 10 && hash.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            });
            if !has_hash {
                wrong.push(format!("{kind} {name} has no hash in its name"));
            }
        }
        wrong
    });
}

/// All ConfigMaps and Secrets that a pod names.
fn named<'a>(value: &'a Value, names: &mut Vec<(&'a str, &'a str)>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match name.as_str() {
                    "configMap" | "configMapRef" | "configMapKeyRef" => {
                        names.push(("ConfigMap", text(&member["name"])))
                    }
                    "secretRef" | "secretKeyRef" => names.push(("Secret", text(&member["name"]))),
                    "secret" => {
                        let by_volume = text(&member["secretName"]);
                        names.push((
                            "Secret",
                            if by_volume.is_empty() {
                                text(&member["name"])
                            } else {
                                by_volume
                            },
                        ));
                    }
                    _ => named(member, names),
                }
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| named(element, names)),
        _ => {}
    }
}

/// What nothing mounts is left over, or misspelt where it should be mounted.
#[test]
fn configuration_is_used() {
    let Some(builds) = builds("what is mounted") else {
        return;
    };
    let mut wrong = Vec::new();
    for build in &builds {
        let mut used = Vec::new();
        for workload in &build.objects {
            named(workload.pod(), &mut used);
        }
        for object in &build.objects {
            let is_configuration = matches!(object.kind(), "ConfigMap" | "Secret");
            if is_configuration && !used.contains(&(object.kind(), object.name())) {
                wrong.push(format!("{}: nothing uses {object}", build.name));
            }
        }
    }
    none(wrong);
}
