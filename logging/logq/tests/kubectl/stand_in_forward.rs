//! `kubectl port-forward`, as of kubectl 1.34. The file `forward` in the folder injects a fault:
//!
//! - `forbidden`
//! - `pending`: as long as the file exists.
//! - `silent`: the cluster does not answer.
//! - `scaled`: the service has no pod.
//! - `deaf`: nothing listens in the pod.
//! - `lost`: the pod is deleted; reported once, then the file is removed.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Write},
    net::{Shutdown, TcpListener, TcpStream},
    process, thread,
    time::Duration,
};

use serde_json::json;

use crate::{Refusal, failed, folder, none_left};

fn fault() -> String {
    fs::read_to_string(folder().join("forward")).unwrap_or_default()
}

/// `get service`, for a service whose selector matches no pod of the folder.
pub fn service(name: &str, mut options: BTreeMap<&str, &str>) -> Result<(), Refusal> {
    let namespace = options.remove("namespace").unwrap_or("default");
    if options.remove("output") != Some("json") {
        return Err("error: only --output=json".to_owned());
    }
    options.remove("request-timeout");
    none_left(&options)?;
    if (namespace, name, fault().as_str()) != ("irmgard", "opensearch", "scaled") {
        return Err(format!(
            "Error from server (NotFound): services \"{name}\" not found"
        ));
    }
    let selector = json!({ "app.kubernetes.io/name": "opensearch" });
    let service = json!({ "apiVersion": "v1", "kind": "Service", "spec": { "selector": selector } });
    writeln!(io::stdout(), "{service}").map_err(failed)
}

pub fn forward(service: &str, port: &str, mut options: BTreeMap<&str, &str>) -> Result<(), Refusal> {
    let namespace = options.remove("namespace").unwrap_or("default");
    if options.remove("address") != Some("127.0.0.1") {
        return Err("error: only to this machine".to_owned());
    }
    options.remove("pod-running-timeout");
    none_left(&options)?;
    match fault().as_str() {
        "forbidden" => {
            return Err(
                "Error from server (Forbidden): pods \"opensearch-0\" is forbidden: User \"somebody\" cannot create \
                 resource \"pods/portforward\" in API group \"\" in the namespace \"irmgard\""
                    .to_owned(),
            );
        }
        "pending" => {
            return Err(
                "error: unable to forward port because pod is not running. Current status=Pending".to_owned(),
            );
        }
        "scaled" => return Err("error: timed out waiting for the condition".to_owned()),
        "silent" => loop {
            thread::park();
        },
        _ => {}
    }
    let server = match (namespace, service, env::var("STAND_IN_SERVER")) {
        ("irmgard", "service/opensearch", Ok(server)) => server,
        _ => {
            let name = service.trim_start_matches("service/");
            return Err(format!(
                "Error from server (NotFound): services \"{name}\" not found"
            ));
        }
    };
    if port != ":9200" {
        return Err(format!(
            "error: Service opensearch does not have a service port {}",
            port.trim_start_matches(':')
        ));
    }
    let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
    let own = listener.local_addr().map_err(failed)?.port();
    let mut out = io::stdout();
    writeln!(out, "Forwarding from 127.0.0.1:{own} -> 9200").map_err(failed)?;
    thread::spawn(move || {
        for peer in listener.incoming().flatten() {
            let _ = writeln!(io::stdout(), "Handling connection for {own}");
            if fault() == "deaf" {
                eprintln!(
                    "E1122 14:18:56.148921   25630 portforward.go:424] \"Unhandled Error\" err=\"an error occurred \
                     forwarding {own} -> 9200: connection refused\""
                );
                eprintln!("error: lost connection to pod");
                process::exit(1);
            }
            let Ok(behind) = TcpStream::connect(&server) else {
                continue;
            };
            if let (Ok(answers), Ok(asker)) = (behind.try_clone(), peer.try_clone()) {
                pump(peer, behind);
                pump(answers, asker);
            }
        }
    });
    while fault() != "lost" {
        thread::sleep(Duration::from_millis(5));
    }
    fs::remove_file(folder().join("forward")).map_err(failed)?;
    Err("error: lost connection to pod".to_owned())
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}
