//! The OpenAPI document and the tables in docs match the code. These tests need no servers.

use std::{fs, path::Path};

use irmgard::api::{Code, openapi_json};

fn project_root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

#[test]
fn the_committed_openapi_document_is_current() {
    let file = project_root().join("docs/openapi.json");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, openapi_json()).unwrap();
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == openapi_json(),
        "docs/openapi.json is out of date: run `make generate`"
    );
}

#[test]
fn every_code_is_documented() {
    let text = fs::read_to_string(project_root().join("docs/api.md")).unwrap();
    for code in Code::ALL {
        let row = format!("| `{}` | {} |", code.as_str(), code.status().as_u16());
        assert!(text.contains(&row), "docs/api.md lacks {row}");
    }
}

#[test]
fn every_row_of_the_compatibility_table_names_a_test() {
    let text = fs::read_to_string(project_root().join("docs/compatibility.md")).unwrap();
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.contains("---") && !line.contains("| Test |"));
    let mut tests = 0;
    for row in rows {
        let last = row.trim_end_matches('|').rsplit('|').next().unwrap().trim();
        let (file, test) = last
            .trim_matches('`')
            .split_once("::")
            .unwrap_or_else(|| panic!("no test: {row}"));
        let source =
            fs::read_to_string(project_root().join(file)).unwrap_or_else(|_| panic!("no file {file}: {row}"));
        assert!(
            source.contains(&format!("fn {test}(")),
            "no test {test} in {file}"
        );
        tests += 1;
    }
    assert!(tests > 0);
}
