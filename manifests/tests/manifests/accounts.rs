//! Access to the Kubernetes API.

use manifests::object::{list_of, text};
use serde_json::Value;

use crate::{assert_no_violations, builds, check_workloads};

/// The workloads that use the Kubernetes API. Only they mount a token.
const WITH_TOKEN: [&str; 4] = ["postgres", "postgres-settings", "rabbitmq", "fluentd"];

#[test]
fn only_api_clients_mount_a_token() {
    check_workloads("service accounts' tokens", |workload, build| {
        let pod = workload.pod();
        let needs = WITH_TOKEN.contains(&workload.name());
        let mut violations = Vec::new();
        if pod["automountServiceAccountToken"] != Value::Bool(needs) {
            violations.push(format!("automountServiceAccountToken must be {needs}"));
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
                violations.push(format!("the account {account:?} has no role"));
            }
        } else if !pod["serviceAccountName"].is_null() {
            violations.push("it has an account without using it".to_owned());
        }
        violations
    });
}

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

/// An intruder in a pod has the pod's account. Rules name the objects that they change, where Kubernetes allows it. `create`, which
/// cannot name objects, is granted neither for pods nor for objects that create pods.
#[test]
fn roles_name_the_objects_that_they_change() {
    let Some(builds) = builds("what roles change") else {
        return;
    };
    let mut violations = Vec::new();
    let mut checked = 0;
    for build in &builds {
        let roles = build
            .objects
            .iter()
            .filter(|o| matches!(o.kind(), "Role" | "ClusterRole"));
        for role in roles {
            for rule in list_of(role.at("/rules")) {
                checked += 1;
                violations.extend(excess(rule).map(|what| format!("{}: {role}: {what}: {rule}", build.name)));
            }
        }
    }
    assert!(checked > 20, "only {checked} rules were checked");
    assert_no_violations(violations);
}

/// Why a rule grants too much.
fn excess(rule: &Value) -> Option<&'static str> {
    let verbs = || list_of(&rule["verbs"]).iter().map(text);
    let named = list_of(&rule["resourceNames"]);
    let mut resources = list_of(&rule["resources"]).iter().map(text);
    if verbs().any(|verb| verb == "create") && !resources.all(|kind| matches!(kind, "configmaps" | "events"))
    {
        return Some("it creates pods or grants access");
    }
    let reads = |verb| matches!(verb, "create" | "get" | "list" | "watch");
    if named.is_empty() && !verbs().all(reads) {
        return Some("it changes any object");
    }
    // Kubernetes cannot match the name of a new object, so such a rule grants nothing.
    (!named.is_empty() && verbs().any(|verb| verb == "create")).then_some("`create` has no name")
}

#[test]
fn a_rule_that_grants_too_much_is_found() {
    let rule = |verbs: &[&str], resource: &str, names: &[&str]| serde_json::json!({ "resources": [resource], "verbs": verbs, "resourceNames": names });
    for bad in [
        rule(&["get", "patch"], "pods", &[]),
        rule(&["deletecollection"], "configmaps", &[]),
        rule(&["create"], "pods", &[]),
        rule(&["create"], "configmaps", &["one"]),
    ] {
        assert!(excess(&bad).is_some(), "{bad}");
    }
    for good in [
        rule(&["create", "list", "watch"], "configmaps", &[]),
        rule(&["patch"], "pods", &["one"]),
    ] {
        assert_eq!(excess(&good), None, "{good}");
    }
}
