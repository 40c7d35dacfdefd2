//! What the demonstration tells at its end.

use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};
use local::Lasting;

use super::found::SURE;
use super::journey::{End, Journey};
use crate::command::say;

const HEADER: [&str; 7] = [
    "photo", "project", "people", "faces", "hidden", "seconds", "result",
];

/// Prints the table, the web service's address and how to go on.
pub fn print(journeys: &[Journey], lasting: &Lasting, address: &str, environment: &Path) {
    say(&table(journeys));
    say(&format!(
        "people and faces: surely found (score {SURE} or more); hidden: all boxes, the unsure ones too; \
         seconds: from the start of the POST to the result\n"
    ));
    say(&format!("web service      http://{address}"));
    let example = journeys.iter().find_map(|journey| match journey.end {
        End::Anonymized { id, .. } => Some(id),
        _ => None,
    });
    if let Some(id) = example {
        say(&format!(
            "look at a photo  curl -o photo.jpg http://{address}/photos/{id}/image"
        ));
        say(&format!("what was found   curl http://{address}/photos/{id}"));
    }
    let stack = lasting.stack();
    let store = stack.object_store().access();
    say(&format!(
        "in the store     bucket {}, {}",
        store.output_bucket, store.endpoint
    ));
    for (heading, name) in [("metrics", "irmgard"), ("", "anonymizer")] {
        if let Some(service) = lasting.service(name) {
            say(&format!(
                "{heading:<17}http://{}/metrics ({name})",
                service.admin_address()
            ));
        }
    }
    say(&format!("logs             {}", lasting.pods().display()));
    say(&format!(
        "for a shell      set -a; . {}; set +a",
        environment.display()
    ));
    let wrong = journeys.iter().filter(|journey| !journey.succeeded()).count();
    if wrong > 0 {
        say(&format!(
            "\n{wrong} of {} photos were refused or failed: see the table.",
            journeys.len()
        ));
        if journeys
            .iter()
            .any(|journey| matches!(journey.end, End::Failed { .. }))
        {
            say(&"Their originals wait for a person (in such a shell): target/release/irmgard failed list");
        }
    }
}

fn table(journeys: &[Journey]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(HEADER);
    for journey in journeys {
        let seconds = format!("{:.2}", journey.duration.as_secs_f64());
        let [people, faces, hidden, result] = match &journey.end {
            End::Anonymized {
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
            End::Failed { id, reason } => nothing(format!("photo {id} failed: {reason}")),
            End::Refused { reason } => nothing(format!("refused: {reason}")),
        };
        table.add_row([
            &journey.name,
            &journey.project,
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

fn nothing(result: String) -> [String; 4] {
    [String::new(), String::new(), String::new(), result]
}
