//! The width of the waterfall.

use crate::{Home, pager::on_terminal_of, world};

/// A trace with a line that is longer than some terminals are wide.
const TRACE: &str = world::TRACE;

fn widest(text: &str) -> usize {
    text.lines()
        .map(|line| line.chars().count())
        .max()
        .unwrap_or_default()
}

#[test]
fn waterfall_is_as_wide_as_the_terminal() {
    let home = Home::new();
    let pods = home.pods.to_str().unwrap();
    let drawn = |columns: u16, named: Option<&str>| {
        let mut command = home.logq(&["trace", TRACE, "--utc", "--no-pager", "--color", "never", pods]);
        command.envs(named.map(|columns| ("COLUMNS", columns)));
        let seen = on_terminal_of(&mut command, columns);
        assert_eq!(seen.code, Some(0), "{}", seen.errors);
        seen.terminal
    };
    // A truncated line ends in the last column.
    let narrow = drawn(60, None);
    assert_eq!(widest(&narrow), 60, "{narrow}");
    assert!(drawn(60, None).contains('…'));
    let wide = drawn(160, None);
    assert!(
        (100..=160).contains(&widest(&wide)) && !wide.contains('…'),
        "{wide}"
    );
    assert_eq!(drawn(60, Some("160")), wide);
    // An invalid COLUMNS is ignored.
    assert_eq!(drawn(160, Some("wide")), wide);
    // If the width is unknown, logq uses 80 columns.
    assert_eq!(drawn(0, None), drawn(80, None));
}

#[test]
fn pipe_gets_complete_lines() {
    let home = Home::new();
    let pods = home.pods.to_str().unwrap();
    let drawn = |named: Option<&str>| {
        let mut command = home.logq(&["trace", TRACE, "--utc", pods]);
        let output = command
            .envs(named.map(|columns| ("COLUMNS", columns)))
            .output()
            .unwrap();
        home.out(&output)
    };
    for columns in [None, Some("41"), Some("200")] {
        let drawn = drawn(columns);
        assert!(
            drawn.contains("d1 duration: 12.5 ms  statement: COMMIT\n"),
            "{drawn}"
        );
        assert!(!drawn.contains('…'), "{drawn}");
    }
    assert_eq!(drawn(None), drawn(Some("80")));
}
