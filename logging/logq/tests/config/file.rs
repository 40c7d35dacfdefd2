//! The configuration file and the environment variables.

use std::{fs, process::Command};

use crate::{Home, chmod};

/// All keys, with an example.
const FULL: &str = r#"
output = "logfmt"
color = "never"
utc = true
fields = ["message", "level"]
hide = "kubernetes"
since = "4h"
namespace = ["photos"]
pager = "less -S"

[opensearch]
url = "https://logs.example:9200"
username = "reader"
password_file = "password"

[views.mine]
about = "what I look at"
options = ["--component", "irmgard", "--field", "duration_seconds>=0.5"]

[views.short]
options = "-c postgres --grep 'duration: 12.5 ms'"
"#;

#[test]
fn arguments_override_variables_override_the_file() {
    let home = Home::with("output = \"logfmt\"\nutc = true\n");
    let pods = home.pods.to_str().unwrap();
    let first = |output: &str| output.lines().next().unwrap_or_default().to_owned();
    let shown = |arguments: &[&str], variables: &[(&str, &str)]| {
        let all = [&["-c", "postgres", pods], arguments].concat();
        let output = home.logq(&all).envs(variables.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", home.errors(&output));
        first(&home.out(&output))
    };
    let by_file = shown(&[], &[]);
    assert!(by_file.starts_with("@timestamp=2026"), "{by_file}");
    let by_variable = shown(&[], &[("LOGQ_OUTPUT", "raw")]);
    assert!(by_variable.starts_with("{\"application_name\""), "{by_variable}");
    let typed = shown(&["-o", "jsonl"], &[("LOGQ_OUTPUT", "raw")]);
    assert!(typed.starts_with("{\"@timestamp\""), "{typed}");
    let built_in = shown(&[], &[("LOGQ_CONFIG", "")]);
    assert!(built_in.contains("10:00:03.000 INFO  postgres"), "{built_in}");
    // A switch can be set to false.
    let zone = |arguments: &[&str], variables: &[(&str, &str)]| {
        let variables = [&[("TZ", "Asia/Tokyo"), ("LOGQ_OUTPUT", "pretty")], variables].concat();
        shown(arguments, &variables).split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(zone(&[], &[]), "10:00:03.000");
    assert_eq!(zone(&["--utc=false"], &[]), "19:00:03.000");
    assert_eq!(zone(&[], &[("LOGQ_UTC", "0")]), "19:00:03.000");
    assert_eq!(zone(&["--utc"], &[("LOGQ_UTC", "0")]), "10:00:03.000");
}

#[test]
fn file_can_be_chosen_or_disabled() {
    let home = Home::with("output = \"logfmt\"\n");
    let other = home.path().join("other.toml");
    fs::write(&other, "output = \"raw\"\n").unwrap();
    let other = other.to_str().unwrap();
    let xdg = home.path().join("xdg/logq");
    fs::create_dir_all(&xdg).unwrap();
    fs::write(xdg.join("config.toml"), "output = \"json\"\n").unwrap();
    let xdg = home.path().join("xdg");
    let xdg = xdg.to_str().unwrap();
    let of = |arguments: &[&str], variables: &[(&str, &str)]| {
        let output = home
            .logq(&[arguments, ["config"].as_slice()].concat())
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let out = home.out(&output);
        let line = out.lines().find(|line| line.starts_with("output "));
        line.unwrap_or_else(|| panic!("{out}{}", home.errors(&output)))
            .split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(of(&[], &[]), "logfmt HOME/.config/logq/config.toml:1");
    assert_eq!(
        of(&[], &[("XDG_CONFIG_HOME", xdg)]),
        "json HOME/xdg/logq/config.toml:1"
    );
    assert_eq!(of(&["--config", other], &[]), "raw HOME/other.toml:1");
    assert_eq!(of(&[], &[("LOGQ_CONFIG", other)]), "raw HOME/other.toml:1");
    assert_eq!(of(&[], &[("LOGQ_CONFIG", "")]), "pretty default");
    assert_eq!(of(&[], &[("LOGQ_OUTPUT", "json")]), "json LOGQ_OUTPUT");

    let output = home
        .logq(&["--config", "/nowhere.toml", "config"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        home.errors(&output)
            .starts_with("logq: error: /nowhere.toml: cannot read the configuration: "),
        "{}",
        home.errors(&output)
    );
}

#[test]
fn other_than_regular_files_are_rejected() {
    let home = Home::new();
    let pipe = home.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
    let folder = home.path().to_str().unwrap();
    let refused = |path: &str, why: &str| {
        let output = home.logq(&["config"]).env("LOGQ_CONFIG", path).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let message = home.errors(&output);
        assert!(
            message.ends_with(&format!("cannot read the configuration: {why}\n")),
            "{message}"
        );
    };
    refused(folder, "it is a folder");
    refused(pipe.to_str().unwrap(), "it is not a regular file");
    refused("/dev/zero", "it is longer than 1048576 bytes");
    // A shell's `<(…)`, and an empty file.
    let script = r#""$0" config --config <(echo 'output = "raw"') && "$0" config --config /dev/null"#;
    let output = Command::new("bash")
        .args(["-c", script, env!("CARGO_BIN_EXE_logq")])
        .output()
        .unwrap();
    let out = home.out(&output);
    assert!(output.status.success(), "{}", home.errors(&output));
    assert!(out.contains("raw") && out.contains("file: /dev/null"), "{out}");
}

#[test]
fn effective_settings_are_shown_without_secrets() {
    let home = Home::with(FULL);
    fs::write(home.path().join(".config/logq/password"), "hunter2\n").unwrap();
    let show = |variables: &[(&str, &str)]| {
        let output = home
            .logq(&["config"])
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        assert_eq!(home.errors(&output), "");
        // The column width depends on the path of the home directory.
        home.out(&output)
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n")
            .collect::<String>()
    };
    insta::assert_snapshot!("settings", show(&[("LOGQ_COLOR", "always")]));
    let secrets = show(&[
        ("LOGQ_OPENSEARCH_URL", "http://localhost:9200"),
        ("LOGQ_OPENSEARCH_USERNAME", "me"),
        ("LOGQ_OPENSEARCH_PASSWORD", "hunter2"),
    ]);
    assert!(!secrets.contains("hunter2"), "{secrets}");
    insta::assert_snapshot!("secrets", secrets);
}

#[test]
fn errors_in_the_file_name_the_location() {
    let home = Home::with(
        r#"colour = "never"
output = "yaml"
utc = "yes"
since = "soon"
hide = [1]
pager = "less '"
namespace = 17
[opensearch]
pasword_file = "x"
url = true
password = "hunter2"
[views.broker]
options = ["-c", "x"]
[views.one]
about = 5
[views.two]
option = ["-c", "x"]
[views.three]
options = ["--levle", "warn"]
[views.four]
options = "trace 4bf92f35"
[views.five]
options = "-c 'x"
[views]
six = "-c x"
"-seven" = { options = "-c x" }
"#,
    );
    let output = home.logq(&["config"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(home.out(&output), "");
    insta::assert_snapshot!("errors", home.errors(&output));

    // Help works with an invalid file.
    let output = home.logq(&["--help"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(
        home.out(&output).contains("[env: LOGQ_SINCE=]"),
        "{}",
        home.out(&output)
    );

    fs::write(home.config(), "views = 3\nopensearch = \"x\"\n").unwrap();
    let output = home.logq(&["config"]).output().unwrap();
    insta::assert_snapshot!("errors_tables", home.errors(&output));
    fs::write(home.config(), "utc = true\ncolor = never\n").unwrap();
    let output = home.logq(&["config"]).output().unwrap();
    insta::assert_snapshot!("errors_toml", home.errors(&output));
}

#[test]
fn errors_in_variables_name_the_variable() {
    let home = Home::new();
    for (variable, value, message) in [
        (
            "LOGQ_COLOR",
            "red",
            "LOGQ_COLOR: \"red\" is not one of auto, always, never",
        ),
        (
            "LOGQ_UTC",
            "perhaps",
            "LOGQ_UTC: \"perhaps\": value was not a boolean",
        ),
        (
            "LOGQ_RETAIN_KEEP",
            "ever",
            "LOGQ_RETAIN_KEEP: \"ever\": expected a whole number",
        ),
    ] {
        let output = home.logq(&["config"]).env(variable, value).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{variable}");
        let errors = home.errors(&output);
        assert!(errors.starts_with(&format!("logq: error: {message}")), "{errors}");
    }
}

#[test]
fn password_needs_a_private_file() {
    let home = Home::with("[opensearch]\nusername = \"reader\"\npassword = \"hunter2\"\n");
    let output = home.logq(&["config"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        home.errors(&output),
        "logq: error: HOME/.config/logq/config.toml:3: other users can read opensearch.password in this file \
         (mode 0644). Run chmod 600 HOME/.config/logq/config.toml, or move it to a separate file and set \
         opensearch.password_file\n"
    );
    chmod(&home.config(), 0o600);
    let output = home.logq(&["config"]).output().unwrap();
    assert_eq!(home.errors(&output), "");
    assert!(!home.out(&output).contains("hunter2"), "{}", home.out(&output));
}

#[test]
fn errors_of_the_connection_name_the_file() {
    let home = Home::with("[opensearch]\nurl = \"logs.example\"\nusername = \"reader\"\n");
    let output = home.logq(&["--since", "1h"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!("errors_connection", home.errors(&output));
}

#[test]
fn configured_namespace_does_not_apply_to_files() {
    let home = Home::with("namespace = \"elsewhere\"\nsince = \"1h\"\n");
    let pods = home.pods.to_str().unwrap();
    let output = home.logq(&["--stats", pods]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", home.errors(&output));
    let output = home.logq(&["--stats", pods, "-n", "elsewhere"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}
