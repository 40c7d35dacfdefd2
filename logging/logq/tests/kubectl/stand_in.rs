//! Replaces kubectl in tests without a cluster. It answers `get pods` and `logs` from a folder in the kubelet's format,
//! forwards a port to a server, and prints the errors of kubectl 1.34. Tests set it in `LOGQ_KUBECTL`.
//!
//! Variables:
//!
//! - `STAND_IN_FOLDER`: contains `pods.json` and `pods/`.
//! - `STAND_IN_CALLS`: a file that gets a line at the start (`+`) and the end (`-`) of each call, with the process id.
//! - `STAND_IN_SAYS`: an error that replaces every answer.
//! - `STAND_IN_ENDLESS`: a command (`get`, `logs`) with an endless answer.
//! - `STAND_IN_SILENT`: a command without an answer.
//! - `STAND_IN_STAYS`: a command that does not exit after its answer.
//! - `STAND_IN_SERVER`: `HOST:PORT` behind the service `irmgard/opensearch`.
//!
//! The annotation `stand-in/fault` of a pod injects a fault: `gone`, `forbidden`, `unread`, `breaks`, `forgotten` (the
//! lines of the previous start are deleted). The file `forward` in the folder injects a fault into port-forwards: see
//! `stand_in_forward.rs`.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program prints"
)]

#[path = "stand_in_forward.rs"]
mod forward;

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, BufRead, BufReader, Read, Seek, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::Duration,
};

use line::{Cri, Time};
use serde_json::{Value, json};

/// An error text. kubectl then exits with 1.
type Refusal = String;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    record('+', &arguments);
    let is = |name| env::var(name).is_ok_and(|call| arguments.contains(&call));
    while is("STAND_IN_SILENT") {
        thread::park();
    }
    if is("STAND_IN_ENDLESS") {
        let blank = [b' '; 65_536];
        while io::stdout().write_all(&blank).is_ok() {}
    }
    let done = env::var("STAND_IN_SAYS").map_or_else(|_| run(&arguments), Err);
    if is("STAND_IN_STAYS")
        && let Ok(nothing) = fs::File::open("/dev/null")
        && nix::unistd::dup2_stdout(nothing).is_ok()
    {
        loop {
            thread::park();
        }
    }
    record('-', &arguments);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(stderr) => {
            eprintln!("{stderr}");
            ExitCode::from(1)
        }
    }
}

fn record(sign: char, arguments: &[String]) {
    let Some(file) = env::var_os("STAND_IN_CALLS") else {
        return;
    };
    let file = fs::OpenOptions::new().append(true).create(true).open(file);
    // A single write, because other processes write to this file.
    let line = format!("{sign} {} {}\n", std::process::id(), arguments.join(" "));
    let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = written {
        eprintln!("stand-in: {error}");
    }
}

fn run(arguments: &[String]) -> Result<(), Refusal> {
    let words: Vec<&String> = arguments.iter().filter(|word| !word.starts_with("--")).collect();
    let mut options = BTreeMap::new();
    for option in arguments.iter().filter_map(|word| word.strip_prefix("--")) {
        let (name, value) = option.split_once('=').unwrap_or((option, "true"));
        options.insert(name, value);
    }
    if let Some(file) = options.remove("kubeconfig")
        && !Path::new(file).exists()
    {
        return Err(format!("error: stat {file}: no such file or directory"));
    }
    if let Some(context) = options.remove("context")
        && context != "there"
    {
        let stderr = "Error in configuration: context was not found for specified context";
        return Err(format!("{stderr}: {context}"));
    }
    match words.as_slice() {
        [get, pods] if *get == "get" && *pods == "pods" => list(options),
        [get, service, name] if *get == "get" && *service == "service" => forward::service(name, options),
        [logs, pod] if *logs == "logs" => lines(pod, options),
        [forward, service, port] if *forward == "port-forward" => forward::forward(service, port, options),
        [config, current] if *config == "config" && *current == "current-context" => {
            println!("there");
            Ok(())
        }
        _ => Err(format!("error: unknown command {words:?}")),
    }
}

fn none_left(options: &BTreeMap<&str, &str>) -> Result<(), Refusal> {
    match options.keys().next() {
        Some(name) => Err(format!("error: unknown flag: --{name}")),
        None => Ok(()),
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env::var_os("STAND_IN_FOLDER").unwrap_or_default())
}

fn failed(error: impl std::fmt::Display) -> Refusal {
    format!("error: {error}")
}

fn pods() -> Result<Vec<Value>, Refusal> {
    let json = fs::read(folder().join("pods.json")).map_err(failed)?;
    let mut list: Value = serde_json::from_slice(&json).map_err(failed)?;
    match list.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => Ok(items),
        _ => Err("error: no items".to_owned()),
    }
}

fn text<'a>(pod: &'a Value, pointer: &str) -> &'a str {
    pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn list(mut options: BTreeMap<&str, &str>) -> Result<(), Refusal> {
    let everywhere = options.remove("all-namespaces").is_some();
    let namespace = options.remove("namespace").unwrap_or("default");
    let selector = options.remove("selector").unwrap_or_default();
    if options.remove("output") != Some("json") {
        return Err("error: only --output=json".to_owned());
    }
    options.remove("request-timeout");
    none_left(&options)?;
    if namespace == "forbidden" {
        return Err(
            "Error from server (Forbidden): pods is forbidden: User \"somebody\" cannot list resource \"pods\" \
             in API group \"\" in the namespace \"forbidden\""
                .to_owned(),
        );
    }
    let mut items = Vec::new();
    for mut pod in pods()? {
        if (everywhere || text(&pod, "/metadata/namespace") == namespace) && selected(&pod, selector) {
            let status = status(&pod);
            if let Some(pod) = pod.as_object_mut() {
                pod.insert("status".to_owned(), status);
            }
            items.push(pod);
        }
    }
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
    println!("{list}");
    Ok(())
}

/// Parses `a=b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a` and `!a`, separated by commas.
fn selected(pod: &Value, selector: &str) -> bool {
    let label = |name: &str| {
        let labels = pod.pointer("/metadata/labels");
        labels.and_then(|labels| labels.get(name.trim())?.as_str())
    };
    let one_of = |name: &str, set: &str| {
        let mut values = set.trim_matches(['(', ')']).split(',').map(str::trim);
        label(name).is_some_and(|own| values.any(|value| value == own))
    };
    let mut inside = false;
    let requirements = selector.split(|c: char| {
        inside = (inside || c == '(') && c != ')';
        c == ',' && !inside
    });
    requirements
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .all(|text| {
            if let Some((name, set)) = text.split_once(" notin ") {
                !one_of(name, set)
            } else if let Some((name, set)) = text.split_once(" in ") {
                one_of(name, set)
            } else if let Some((name, value)) = text.split_once("!=") {
                label(name) != Some(value)
            } else if let Some((name, value)) = text.split_once('=') {
                label(name) == Some(value.trim_start_matches('='))
            } else if let Some(name) = text.strip_prefix('!') {
                label(name).is_none()
            } else {
                label(text).is_some()
            }
        })
}

/// The container's folder, and the numbers of its starts that have a file.
fn starts(pod: &Value, container: &str) -> (PathBuf, Vec<u64>) {
    let [namespace, name, uid] =
        ["namespace", "name", "uid"].map(|part| text(pod, &format!("/metadata/{part}")));
    let place = folder().join(format!("pods/{namespace}_{name}_{uid}/{container}"));
    let files = fs::read_dir(&place).into_iter().flatten().flatten();
    let mut starts: Vec<u64> = files
        .filter_map(|file| file.file_name().to_str()?.strip_suffix(".log")?.parse().ok())
        .collect();
    starts.sort_unstable();
    (place, starts)
}

fn status(pod: &Value) -> Value {
    let states = |kind: &str| {
        let containers = pod.pointer(&format!("/spec/{kind}")).and_then(Value::as_array);
        let states = containers.into_iter().flatten().map(|container| {
            let name = text(container, "/name");
            let (_, starts) = starts(pod, name);
            let id = |start: &u64| format!("containerd://{start}");
            let state = if starts.is_empty() {
                json!({ "waiting": { "reason": "ContainerCreating" } })
            } else {
                json!({ "running": {} })
            };
            let before = starts.iter().rev().nth(1).map(id);
            let last = before.map_or(json!({}), |id| json!({ "terminated": { "containerID": id } }));
            json!({
                "name": name, "state": state, "lastState": last,
                "containerID": starts.last().map(id), "restartCount": starts.len().saturating_sub(1),
            })
        });
        states.collect::<Vec<_>>()
    };
    let containers = states("containers");
    let phase = if containers
        .iter()
        .any(|state| state.pointer("/state/running").is_some())
    {
        "Running"
    } else {
        "Pending"
    };
    json!({
        "phase": phase, "containerStatuses": containers, "initContainerStatuses": states("initContainers"),
    })
}

fn lines(pod: &str, mut options: BTreeMap<&str, &str>) -> Result<(), Refusal> {
    let namespace = options.remove("namespace").unwrap_or("default");
    let container = options.remove("container").unwrap_or_default();
    if options.remove("timestamps") != Some("true") {
        return Err("error: only with --timestamps".to_owned());
    }
    let tail = match options.remove("tail").map(str::parse::<i64>) {
        Some(Ok(most)) => usize::try_from(most).ok(),
        _ => return Err("error: only with --tail=NUMBER".to_owned()),
    };
    let previous = options.remove("previous") == Some("true");
    let follow = options.remove("follow") == Some("true");
    let since = options
        .remove("since-time")
        .map(|text| Time::parse(text).ok_or(text));
    let since = since
        .transpose()
        .map_err(|text| format!("error: --since-time {text}"))?;
    none_left(&options)?;
    let name = pod.strip_prefix("pod/").ok_or("error: only pod/NAME")?;
    let known = pods()?;
    let pod = known
        .iter()
        .find(|pod| text(pod, "/metadata/namespace") == namespace && text(pod, "/metadata/name") == name);
    let fault = pod.map_or("gone", |pod| text(pod, "/metadata/annotations/stand-in~1fault"));
    let (Some(pod), false) = (pod, fault == "gone") else {
        return Err(format!(
            "error: error from server (NotFound): pods \"{name}\" not found in namespace \"{namespace}\""
        ));
    };
    match fault {
        "forbidden" => {
            return Err(format!(
                "Error from server (Forbidden): pods \"{name}\" is forbidden: User \"somebody\" cannot get \
                 resource \"pods/log\""
            ));
        }
        "unread" => {
            println!("unable to retrieve container logs for containerd://1a1543bf");
            return Ok(());
        }
        _ => {}
    }
    let (place, mut starts) = starts(pod, container);
    if previous {
        starts.pop();
        if starts.is_empty() || fault == "forgotten" {
            return Err(format!(
                "Error from server (BadRequest): previous terminated container \"{container}\" in pod \"{name}\" \
                 not found"
            ));
        }
    }
    let Some(start) = starts.last() else {
        return Err(format!(
            "Error from server (BadRequest): container \"{container}\" in pod \"{name}\" is waiting to start: \
             ContainerCreating"
        ));
    };
    let mut out = io::stdout().lock();
    let file = place.join(format!("{start}.log"));
    let next = place.join(format!("{}.log", start + 1));
    give(&file, tail, since, follow.then_some(next.as_path()), &mut out).map_err(failed)?;
    if fault == "breaks" {
        return Err("error: unexpected EOF".to_owned());
    }
    Ok(())
}

/// Like `ReadLogs` in `pkg/kubelet/kuberuntime/logs`: joins the parts of a line, of which only the first has a time,
/// and skips lines in other formats. With --follow, it runs until the container ends.
fn give(
    file: &Path,
    tail: Option<usize>,
    since: Option<Time>,
    until: Option<&Path>,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut lines = BufReader::new(fs::File::open(file)?);
    let mut begins = true;
    let mut at = 0;
    if let Some(tail) = tail {
        let count = BufReader::new(fs::File::open(file)?).split(b'\n').count();
        for _ in 0..count.saturating_sub(tail) {
            at += lines.read_until(b'\n', &mut Vec::new())? as u64;
        }
    }
    loop {
        let mut line = Vec::new();
        lines.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            let Some(until) = until else { return Ok(()) };
            out.flush()?;
            if until.exists() || !file.exists() {
                let mut rest = Vec::new();
                return lines.read_to_end(&mut rest).map(|_| ());
            }
            thread::sleep(Duration::from_millis(5));
            lines.seek(io::SeekFrom::Start(at))?;
            continue;
        }
        at += line.len() as u64;
        line.pop();
        let Some(cri) = Cri::parse(&line) else { continue };
        if since.is_some_and(|since| cri.time < since) {
            continue;
        }
        if begins {
            write!(out, "{} ", cri.time)?;
        }
        out.write_all(cri.content)?;
        begins = !cri.partial;
        if begins {
            out.write_all(b"\n")?;
        }
    }
}
