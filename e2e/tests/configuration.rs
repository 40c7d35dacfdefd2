//! Checks that `docs/configuration.md` matches the variables that the programs read.
//! `UPDATE=1 cargo test -p e2e --test configuration` writes it.

use std::{fmt::Write, path::Path};

use chassis::settings::{Variable, documentation::Default};

const HEAD: &str = "\
# Configuration

Every setting is an environment variable. This page is made from the programs' own reading of them, and a test keeps it
true.

- Each variable `NAME` can also be given as `NAME_FILE`, the path of a file that holds the value, as a mounted secret is;
  `TOKENS_FILE` is such a path itself. An empty value counts as not set.
- A program that finds mistakes tells all of them at once, by name and without any value, and ends with exit code 2.
- No credential has a default.
- Sizes are written `64MiB` or as a plain number of bytes, durations `500ms`, `30s`, `15m`, `24h`, `7d`.

What is **required** is so only for the commands that use it: `irmgard migrate` reads the variables of PostgreSQL alone,
`irmgard sweep`, `irmgard bind` and `irmgard failed` those of PostgreSQL and of the object store, `anonymizer file` none of a server.
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
        "\n## Log lines and traces\n\nRead by every program; but `anonymizer file` writes no log \
                   lines: it\ntells what became of each photo, as text or with `--json`.\n\n",
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
        "docs/configuration.md is out of date: UPDATE=1 cargo test -p e2e --test configuration"
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
