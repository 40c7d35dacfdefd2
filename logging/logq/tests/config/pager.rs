//! The pager, on a pseudo-terminal.

use std::{
    fs::{self, File},
    io::Read,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use nix::pty::{Winsize, openpty};

use crate::{Home, chmod};

/// The terminal's content, standard error and the exit status.
pub struct TerminalOutput {
    pub terminal: String,
    pub errors: String,
    pub code: Option<i32>,
}

/// Runs a command with a terminal as standard output.
fn on_terminal(command: &mut Command) -> TerminalOutput {
    on_terminal_of(command, 0)
}

/// The same with this number of columns; 0 if the width is unknown.
pub fn on_terminal_of(command: &mut Command, columns: u16) -> TerminalOutput {
    let size = Winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let terminal = openpty(&size, None).unwrap();
    let mut child = command
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(Stdio::from(terminal.slave))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The terminal ends when all writers have closed it.
    command.stdout(Stdio::null());
    let mut shown = File::from(terminal.master);
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        // At its end, reading a terminal fails with EIO.
        let _ = shown.read_to_end(&mut all);
        String::from_utf8_lossy(&all).replace("\r\n", "\n")
    });
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    let code = child.wait().unwrap().code();
    TerminalOutput {
        terminal: reader.join().unwrap(),
        errors,
        code,
    }
}

/// A pager that prints a marker and its arguments.
fn pager(home: &Home, script: &str) -> String {
    let path = home.path().join("pager");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    chmod(&path, 0o755);
    path.to_str().unwrap().to_owned()
}

const SAYS: &str = "echo \"PAGED $1 LESS=$LESS LV=$LV\"\ncat";

#[test]
fn pretty_output_uses_the_pager_on_a_terminal() {
    let home = Home::new();
    let says = pager(&home, SAYS);
    let pods = home.pods.to_str().unwrap();
    let logq = |arguments: &[&str], variables: &[(&str, &str)]| {
        let all = [arguments, &["-c", "postgres", pods]].concat();
        on_terminal(home.logq(&all).envs(variables.iter().copied()))
    };
    let own = [("LOGQ_PAGER", says.as_str())];
    let other = [("PAGER", says.as_str())];
    let named = format!("'{says}' first");
    let both = [("LOGQ_PAGER", named.as_str()), ("PAGER", "false"), ("LESS", "S")];
    let none = [("LOGQ_PAGER", "never"), ("PAGER", says.as_str())];
    let cat = [("PAGER", "cat")];
    for (arguments, variables, first) in [
        ([].as_slice(), own.as_slice(), "PAGED  LESS=FRX LV=-c"),
        (&[], &other, "PAGED  LESS=FRX LV=-c"),
        (&[], &both, "PAGED first LESS=S LV=-c"),
        (&["--stats"], &own, "PAGED  LESS=FRX LV=-c"),
        (&["--pager", &says], &[], "PAGED  LESS=FRX LV=-c"),
        (&[], &none, ""),
        (&[], &cat, ""),
        (&["--no-pager"], &own, ""),
        (&["--pager", "never"], &own, ""),
        (&["-o", "jsonl"], &own, ""),
        (&["-o", "raw"], &own, ""),
    ] {
        let seen = logq(arguments, variables);
        assert_eq!(seen.code, Some(0), "{arguments:?}: {}", seen.errors);
        let paged = seen.terminal.lines().next().unwrap_or_default();
        if first.is_empty() {
            assert!(!paged.contains("PAGED"), "{arguments:?} {variables:?}: {paged}");
        } else {
            assert_eq!(paged, first, "{arguments:?} {variables:?}");
        }
        let lines = seen.terminal.lines().count() - usize::from(!first.is_empty());
        assert!(lines >= 2, "{arguments:?}: {}", seen.terminal);
    }
    // A pipe uses no pager unless --pager requests it.
    for (arguments, paged) in [([].as_slice(), false), (&["--pager", "always"], true)] {
        let all = [arguments, &["-c", "postgres", pods]].concat();
        let output = home.logq(&all).env("PAGER", &says).output().unwrap();
        assert_eq!(home.out(&output).contains("PAGED"), paged, "{arguments:?}");
    }
}

#[test]
fn waterfall_uses_the_pager_but_standard_input_does_not() {
    let home = Home::new();
    let says = pager(&home, SAYS);
    let pods = home.pods.to_str().unwrap();
    let seen = on_terminal(home.logq(&["trace", "4bf92f35", pods]).env("PAGER", &says));
    assert!(seen.terminal.starts_with("PAGED"), "{}", seen.terminal);
    let file = home.path().join("a.log");
    fs::write(&file, "one\ntwo\n").unwrap();
    let mut command = home.logq(&["-"]);
    command.env("PAGER", &says);
    let seen = with_input(&mut command, &file);
    assert!(
        seen.terminal.contains("two") && !seen.terminal.contains("PAGED"),
        "{}",
        seen.terminal
    );
}

/// Like [`on_terminal`], with a file as standard input.
fn with_input(command: &mut Command, input: &Path) -> TerminalOutput {
    let shell = format!("exec \"$0\" \"$@\" < {}", input.display());
    let mut through = Command::new("sh");
    through
        .args(["-c", &shell])
        .arg(command.get_program())
        .args(command.get_args());
    through.env_clear();
    through.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    on_terminal(&mut through)
}

#[test]
fn notes_follow_the_pager() {
    let home = Home::new();
    let says = pager(&home, "cat > /dev/null\necho paged >&2");
    let pods = home.pods.to_str().unwrap();
    let seen = on_terminal(home.logq(&["--limit", "3", pods]).env("PAGER", &says));
    assert_eq!(seen.errors, "paged\nlogq: 3 of 10 lines shown\n");
}

#[test]
fn missing_pager_is_not_an_error() {
    let home = Home::new();
    let pods = home.pods.to_str().unwrap();
    let mut command = home.logq(&["-c", "postgres", pods]);
    let seen = on_terminal(command.env("PAGER", "/nowhere/less -R"));
    assert_eq!(seen.code, Some(0));
    assert_eq!(seen.terminal.lines().count(), 2, "{}", seen.terminal);
    assert_eq!(
        seen.errors,
        "logq: cannot run the pager /nowhere/less: No such file or directory (os error 2)\n"
    );
    // A missing less is not an error.
    let mut command = home.logq(&["-c", "postgres", pods]);
    let seen = on_terminal(command.env("PATH", "/nowhere"));
    assert_eq!((seen.code, seen.errors.as_str()), (Some(0), ""));
    assert_eq!(seen.terminal.lines().count(), 2, "{}", seen.terminal);
    let mut command = home.logq(&["-c", "postgres", pods]);
    let seen = on_terminal(command.env("PAGER", "less '"));
    assert_eq!(seen.code, Some(0));
}

#[test]
fn quitting_the_pager_ends_logq_quietly() {
    let home = Home::new();
    let file = home.path().join("long.log");
    fs::write(&file, "a line of text\n".repeat(200_000)).unwrap();
    let first = pager(&home, "read line\necho \"$line\"");
    let seen = on_terminal(home.logq(&[file.to_str().unwrap()]).env("PAGER", &first));
    assert_eq!((seen.code, seen.errors.as_str()), (Some(0), ""));
    assert_eq!(seen.terminal.lines().count(), 1, "{}", seen.terminal);
}

/// Ctrl-C interrupts the pager's current action; pager and logq keep running.
#[test]
fn interrupt_ends_the_lines_but_not_the_pager() {
    let home = Home::new();
    let file = home.path().join("long.log");
    fs::write(&file, "a line of text\n".repeat(200_000)).unwrap();
    // The shell reads slowly: all lines would take seconds.
    let stays = pager(
        &home,
        "trap '' INT\nread line\nkill -INT $PPID\nn=0\nwhile read -r line; do n=$((n + 1)); done\n\
         [ $n -lt 190000 ] && echo stopped\nkill -0 $PPID && echo there",
    );
    let seen = on_terminal(home.logq(&[file.to_str().unwrap()]).env("PAGER", &stays));
    assert_eq!((seen.code, seen.errors.as_str()), (Some(0), ""));
    assert_eq!(seen.terminal, "stopped\nthere\n");
}

/// The same before the first match, while nothing is written.
#[test]
fn quitting_the_pager_does_not_wait_for_the_next_line() {
    let home = Home::new();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let leaves = pager(&home, "exit 0");
    let mut command = home.logq(&["--source", "opensearch", "--since", "1h"]);
    command
        .env("PAGER", &leaves)
        .env("LOGQ_OPENSEARCH_URL", url)
        .env("LOGQ_OPENSEARCH_TIMEOUT", "3600");
    let seen = on_terminal(&mut command);
    assert_eq!((seen.code, seen.errors.as_str()), (Some(0), ""));
}

#[test]
fn less_exits_if_the_output_fits() {
    if !Path::new("/usr/bin/less").exists() {
        return local::not_tested("the pager less: /usr/bin/less is not installed");
    }
    let home = Home::new();
    let pods = home.pods.to_str().unwrap();
    let seen = on_terminal(&mut home.logq(&["-c", "postgres", "--color", "always", pods]));
    assert_eq!((seen.code, seen.errors.as_str()), (Some(0), ""));
    assert!(
        seen.terminal.contains("d1 duration") && seen.terminal.contains("\u{1b}["),
        "{}",
        seen.terminal
    );
}
