//! The demo's report: a table of results, addresses and next commands.

use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};
use local::PersistentStack;

use super::photo::{MIN_SCORE, PhotoResult, PhotoStatus};
use crate::command::output::print_line;

const HEADER: [&str; 7] = [
    "photo", "project", "people", "faces", "hidden", "seconds", "result",
];

/// Prints the table, the addresses and the next commands.
pub fn print(results: &[PhotoResult], stack: &PersistentStack, address: &str, environment_file: &Path) {
    print_line(&table(results));
    print_line(&format!(
        "people, faces: found with a score of {MIN_SCORE} or more; hidden: all hidden objects, less certain ones too; \
         seconds: from the start of the POST to the result\n"
    ));
    print_line(&format!("web service      http://{address}"));
    let example = results.iter().find_map(|result| match result.status {
        PhotoStatus::Anonymized { id, .. } => Some(id),
        _ => None,
    });
    if let Some(id) = example {
        print_line(&format!(
            "look at a photo  curl -o photo.jpg http://{address}/photos/{id}/image"
        ));
        print_line(&format!("what was found   curl http://{address}/photos/{id}"));
    }
    let store = stack.stack().object_store().access();
    print_line(&format!(
        "in the store     bucket {}, {}",
        store.output_bucket, store.endpoint
    ));
    for (heading, name) in [("metrics", "irmgard"), ("", "anonymizer")] {
        if let Some(service) = stack.service(name) {
            print_line(&format!(
                "{heading:<17}http://{}/metrics ({name})",
                service.admin_address()
            ));
        }
    }
    print_line(&format!("logs             {}", stack.pods_directory().display()));
    print_line(&format!(
        "for a shell      set -a; . {}; set +a",
        environment_file.display()
    ));
    let unsuccessful = results.iter().filter(|result| !result.is_anonymized()).count();
    if unsuccessful > 0 {
        print_line(&format!(
            "\n{unsuccessful} of {} photos were refused or failed: see the table.",
            results.len()
        ));
        if results
            .iter()
            .any(|result| matches!(result.status, PhotoStatus::Failed { .. }))
        {
            print_line(
                &"To list the failed photos, in a shell with this environment: target/release/irmgard failed list",
            );
        }
    }
}

fn table(results: &[PhotoResult]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(HEADER);
    for photo in results {
        let seconds = format!("{:.2}", photo.duration.as_secs_f64());
        let [people, faces, hidden, result] = match &photo.status {
            PhotoStatus::Anonymized {
                people,
                faces,
                hidden,
                url,
                ..
            } => [
                people.to_string(),
                faces.to_string(),
                hidden.to_string(),
                url.clone(),
            ],
            PhotoStatus::Failed { id, reason } => without_counts(format!("photo {id} failed: {reason}")),
            PhotoStatus::Refused { reason } => without_counts(format!("refused: {reason}")),
        };
        table.add_row([
            &photo.name,
            &photo.project,
            &people,
            &faces,
            &hidden,
            &seconds,
            &result,
        ]);
    }
    for column in 2..=5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn without_counts(result: String) -> [String; 4] {
    [String::new(), String::new(), String::new(), result]
}
