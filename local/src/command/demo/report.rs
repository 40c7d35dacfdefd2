//! What the demonstration tells at its end.

use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};

use super::journey::{End, Journey};
use super::say;

const HEADER: [&str; 6] = ["photo", "project", "people", "faces", "seconds", "result"];

/// Prints the table, the web service's address and how to go on.
pub fn print(journeys: &[Journey], address: &str, directory: &Path) {
    say(&table(journeys));
    say(&format!("\nweb service      http://{address}"));
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
    say(&format!("logs             {}/*.log", directory.display()));
    say(&"end it           make down");
}

fn table(journeys: &[Journey]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(HEADER);
    for journey in journeys {
        let (people, faces, result) = match &journey.end {
            End::Anonymized {
                people,
                faces,
                output,
                ..
            } => (people.to_string(), faces.to_string(), output.clone()),
            End::Failed { id, reason } => (
                String::new(),
                String::new(),
                format!("photo {id} failed: {reason}"),
            ),
            End::Refused { reason } => (String::new(), String::new(), format!("refused: {reason}")),
        };
        let seconds = format!("{:.2}", journey.duration.as_secs_f64());
        table.add_row([
            &journey.name,
            &journey.project,
            &people,
            &faces,
            &seconds,
            &result,
        ]);
    }
    for column in 2..=4 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
