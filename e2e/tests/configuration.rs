//! Checks that `docs/configuration.md` matches the variables that the programs read.
//! `make generate` writes it.

use std::{fmt::Write, path::Path};

use service_runtime::settings::{Variable, documentation::Default};

const HEAD: &str = "\
# Configuration

Every setting is an environment variable. A test generates this page from the code that parses them.

- For each variable `NAME`, `NAME_FILE` can name a file with the value, such as a mounted secret. `TOKENS_FILE` is
  always a path. An empty value counts as not set.
- A program reports all invalid settings at once, by name and without their values, and exits with code 2.
- No credential has a default.
- Formats: sizes `64MiB` or a number of bytes; durations `500ms`, `30s`, `15m`, `24h`, `7d`.

A variable is **required** only by the commands that use it. `irmgard migrate` reads only PostgreSQL's variables.
`irmgard sweep`, `irmgard bind` and `irmgard failed` read those of PostgreSQL and the object store. `anonymizer file`
needs no server.
";

#[test]
fn the_page_lists_all_variables() {
    let mut text = HEAD.to_owned();
    text.push_str("\n## Services\n\n| variable | read by | default | what it does |\n|---|---|---|---|\n");
    for (variable, programs) in service_variables() {
        let default = match &variable.default {
            Default::Required => "**required**".to_owned(),
            Default::Unset => "–".to_owned(),
            Default::Value(value) => format!("`{value}`"),
        };
        let about = variable.about.replace('|', "\\|");
        writeln!(text, "| `{}` | {programs} | {default} | {about} |", variable.name).unwrap();
    }
    text.push_str(
        "\n## Log lines and traces\n\nEvery program reads these variables. `anonymizer file` writes no log lines; it prints \
         the result of each\nphoto, as text or with `--json`.\n\n",
    );
    text.push_str("| variable | default | what it does |\n|---|---|---|\n");
    for variable in telemetry::VARIABLES {
        let meaning = variable.meaning.replace('|', "\\|");
        writeln!(text, "| `{}` | {} | {meaning} |", variable.name, variable.default).unwrap();
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &text).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == text,
        "docs/configuration.md is out of date: run `make generate`"
    );
}

/// All variables with the programs that read them. Variables with the same name are adjacent.
fn service_variables() -> Vec<(Variable, &'static str)> {
    let mut rows: Vec<(Variable, &str)> = Vec::new();
    for (program, variables) in [
        ("irmgard", irmgard::settings::document()),
        ("anonymizer", anonymizer::settings::document()),
    ] {
        for variable in variables {
            if let Some((_, programs)) = rows.iter_mut().find(|(listed, _)| *listed == variable) {
                *programs = "both";
                continue;
            }
            let same_name = rows.iter().rposition(|(listed, _)| listed.name == variable.name);
            rows.insert(
                same_name.map_or(rows.len(), |index| index + 1),
                (variable, program),
            );
        }
    }
    rows
}
