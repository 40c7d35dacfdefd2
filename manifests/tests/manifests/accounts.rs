//! Who may ask the Kubernetes API, and for what.

use manifests::object::{list_of, text};
use serde_json::Value;

use crate::{builds, check, none};

/// Who asks the Kubernetes API: a token is mounted there and nowhere else.
const WITH_TOKEN: [&str; 4] = ["postgres", "postgres-settings", "rabbitmq", "fluentd"];

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

/// Who is in a pod has its account. What can be named is named, so that nobody changes what is another's; what cannot be (`create`
/// and `list`) is no pod, and nothing that makes one.
#[test]
fn roles_name_what_they_change() {
    let Some(builds) = builds("what roles change") else {
        return;
    };
    let mut wrong = Vec::new();
    let mut seen = 0;
    for build in &builds {
        let roles = build
            .objects
            .iter()
            .filter(|o| matches!(o.kind(), "Role" | "ClusterRole"));
        for role in roles {
            for rule in list_of(role.at("/rules")) {
                seen += 1;
                wrong.extend(unnamed(rule).map(|what| format!("{}: {role}: {what}: {rule}", build.name)));
            }
        }
    }
    assert!(seen > 20, "only {seen} rules were looked at");
    none(wrong);
}

/// What a rule lets change that it should not; None where it is well.
fn unnamed(rule: &Value) -> Option<&'static str> {
    let verbs = || list_of(&rule["verbs"]).iter().map(text);
    let named = list_of(&rule["resourceNames"]);
    let mut resources = list_of(&rule["resources"]).iter().map(text);
    if verbs().any(|verb| verb == "create") && !resources.all(|kind| matches!(kind, "configmaps" | "events"))
    {
        return Some("it makes what runs or what lets in");
    }
    let reads = |verb| matches!(verb, "create" | "get" | "list" | "watch");
    if named.is_empty() && !verbs().all(reads) {
        return Some("it changes any of them");
    }
    // Kubernetes cannot name what is not there yet: such a rule grants nothing.
    (!named.is_empty() && verbs().any(|verb| verb == "create")).then_some("`create` has no name")
}

#[test]
fn a_role_that_changes_anything_is_seen() {
    let rule = |verbs: &[&str], resource: &str, names: &[&str]| serde_json::json!({ "resources": [resource], "verbs": verbs, "resourceNames": names });
    for bad in [
        rule(&["get", "patch"], "pods", &[]),
        rule(&["deletecollection"], "configmaps", &[]),
        rule(&["create"], "pods", &[]),
        rule(&["create"], "configmaps", &["one"]),
    ] {
        assert!(unnamed(&bad).is_some(), "{bad}");
    }
    for good in [
        rule(&["create", "list", "watch"], "configmaps", &[]),
        rule(&["patch"], "pods", &["one"]),
    ] {
        assert_eq!(unnamed(&good), None, "{good}");
    }
}
