//! The reports of the cases: their data, and the Markdown that the templates make of it.

use std::{fs, path::Path};

use e2e::{cases::CASES, report::Report};

const TEMPLATE: &str = "{% extends \"layout.md\" %}{% block body %}{{ tables.first }}{% endblock %}";

fn report() -> Report {
    Report::new("Case", "make e2e")
}

#[test]
fn an_unmet_requirement_fails_the_case() {
    let mut report = report();
    report.require("photos lost: 0", true, "0 of 12");
    assert!(report.passed());
    let text = report.markdown(TEMPLATE).unwrap();
    assert!(text.contains("Passed: all 1 requirements are met."), "{text}");
    report.require("no failed request", false, "503: 2 | none: 1");
    assert!(!report.passed());
    let text = report.markdown(TEMPLATE).unwrap();
    assert!(
        text.contains("**Failed**: 1 of 2 requirements are not met."),
        "{text}"
    );
    assert!(
        text.contains("| no failed request | **no** | 503: 2 \\| none: 1 |"),
        "{text}"
    );
}

#[test]
fn an_aborted_case_has_not_passed() {
    let mut report = report();
    report.abort("postgres:\n  not ready");
    assert!(!report.passed());
    let text = report.markdown(TEMPLATE).unwrap();
    assert!(text.contains("**Aborted**: postgres: not ready"), "{text}");
}

#[test]
fn later_rows_are_added_to_their_table() {
    let mut report = report();
    report.row("first", vec![("a", "1".to_owned())]);
    report.row("second", vec![("b", "3".to_owned())]);
    report.row("first", vec![("a", "2".to_owned())]);
    let text = report.markdown(TEMPLATE).unwrap();
    assert!(text.contains("\n\n| a |\n|---|\n| 1 |\n| 2 |\n\n"), "{text}");
}

#[test]
fn a_fact_with_the_same_name_is_replaced() {
    let mut report = report();
    report.environment("images", "a");
    report.environment("images", "b");
    let text = report.markdown(TEMPLATE).unwrap();
    assert!(
        text.contains("| images | b |") && !text.contains("| images | a |"),
        "{text}"
    );
}

/// `make generate` renders them again, for a changed template.
#[test]
fn the_committed_reports_are_rendered_from_their_data() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/measured");
    for case in CASES {
        let path = folder.join(case.name);
        let data = fs::read_to_string(path.with_extension("json")).unwrap();
        let report: Report = serde_json::from_str(&data).unwrap();
        let rendered = report.markdown(case.template).unwrap();
        if std::env::var_os("UPDATE").is_some() {
            fs::write(path.with_extension("md"), &rendered).unwrap();
        }
        let committed = fs::read_to_string(path.with_extension("md")).unwrap();
        assert_eq!(rendered, committed, "{}: run `make generate`", case.name);
        assert!(rendered.starts_with(&format!("# {}\n", case.title)));
    }
}

#[test]
fn the_report_of_a_case_without_measurements_is_complete() {
    for case in CASES {
        let text = report().markdown(case.template).unwrap();
        assert!(text.contains("## Requirements"), "{}: {text}", case.name);
    }
}
