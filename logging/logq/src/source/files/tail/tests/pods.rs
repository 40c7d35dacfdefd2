//! Pod metadata from pod lists.

use super::*;

/// Writes a pod list. A label names the component of each pod.
fn list(file: &Path, names: &[&str]) {
    let items: Vec<_> = names
        .iter()
        .map(|name| {
            serde_json::json!({ "metadata": { "namespace": "photos", "name": name, "uid": "u1",
                "labels": { "app.kubernetes.io/name": format!("of {name}") } } })
        })
        .collect();
    fs::write(file, serde_json::json!({ "items": items }).to_string()).unwrap();
}

/// Returns the components of the next lines, after a forced scan.
fn components(tail: &mut Tail) -> Vec<String> {
    tail.next_scan = Duration::ZERO;
    let entries = tail.poll(Duration::ZERO);
    let components = entries.into_iter().map(|entry| {
        let component = entry.document.text("component");
        component.unwrap_or_default().to_owned()
    });
    components.collect()
}

#[test]
fn pods_are_resolved_while_following() {
    let folder = TempDir::new().unwrap();
    let pods = folder.path().join("pods.json");
    let list = |names: &[&str]| list(&pods, names);
    list(&["irmgard-0"]);
    append(&folder.path().join(POD).join("0.log"), &cri(1, 'F', "x"));
    let other = folder.path().join("photos_postgres-0_u1/main/0.log");
    append(&other, &cri(1, 'F', "y"));
    let mut tail = open(folder.path(), Start::Beginning);
    assert_eq!(components(&mut tail), ["of irmgard-0"]);
    list(&["irmgard-0", "postgres-0"]);
    assert_eq!(components(&mut tail), ["of postgres-0"]);

    // The wait for unknown pods is limited.
    append(
        &folder.path().join("photos_odd-0_u1/main/0.log"),
        &cri(1, 'F', "z"),
    );
    assert_eq!(components(&mut tail), [""; 0]);
    later(&mut tail, 3);
    assert_eq!(components(&mut tail), ["main"]);

    // An incomplete list is reported once, and the known pods stay.
    fs::write(&pods, "{").unwrap();
    append(&other, &cri(2, 'F', "y"));
    assert_eq!(components(&mut tail), ["of postgres-0"]);
    assert_eq!(components(&mut tail), [""; 0]);
    assert_eq!(tail.take_errors().len(), 1);

    // Items that are not pods are reported once for each list.
    fs::write(&pods, r#"{"items":[5]}"#).unwrap();
    assert_eq!(components(&mut tail), [""; 0]);
    assert_eq!(components(&mut tail), [""; 0]);
    assert_eq!(tail.take_errors().len(), 1);
    assert!(Tail::open(&[folder.path().to_owned()], Start::End).is_ok());
}

#[test]
fn each_folder_has_its_own_pod_list() {
    let folders = [POD, "photos_postgres-0_u1/main"].map(|pod| {
        let folder = TempDir::new().unwrap();
        append(&folder.path().join(pod).join("0.log"), &cri(1, 'F', "x"));
        folder
    });
    let [first, second] = &folders;
    list(&first.path().join("pods.json"), &["irmgard-0"]);
    list(&second.path().join("pods.json"), &["postgres-0"]);
    let paths = folders.each_ref().map(|folder| folder.path().to_owned());
    let mut tail = Tail::open(&paths, Start::Beginning).unwrap();
    let mut all = components(&mut tail);
    all.sort_unstable();
    assert_eq!(all, ["of irmgard-0", "of postgres-0"]);
    // A pod that appears in one of the lists later.
    append(
        &first.path().join("photos_rabbitmq-0_u1/main/0.log"),
        &cri(2, 'F', "y"),
    );
    assert_eq!(components(&mut tail), [""; 0]);
    list(&first.path().join("pods.json"), &["irmgard-0", "rabbitmq-0"]);
    assert_eq!(components(&mut tail), ["of rabbitmq-0"]);
}
