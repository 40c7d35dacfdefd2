//! Parses lines of a pod's log files, which the container runtime writes, and of `kubectl logs --timestamps`.

use std::fmt;

use crate::Time;

/// The stream that a program wrote its line to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// The value of [`schema::field::LOG_IOSTREAM`].
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Stdout, Self::Stderr]
            .into_iter()
            .find(|stream| stream.name() == name)
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One line of a pod's file: `<time> <stdout|stderr> <P|F> <content>`.
///
/// The format is Kubernetes', `design-proposals/node/kubelet-cri-logging.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cri<'a> {
    /// Time at which the runtime read the line.
    pub time: Time,
    pub stream: Stream,
    /// Whether the program's line continues in the next line of this stream.
    pub partial: bool,
    /// The program's text, without a newline.
    pub content: &'a [u8],
}

impl<'a> Cri<'a> {
    /// Parses a line without its newline; None if the runtime did not write it.
    #[must_use]
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let (time, rest) = word(without_return(line));
        let time = runtimes_time(time)?;
        let (stream, rest) = word(rest?);
        let stream = match stream {
            b"stdout" => Stream::Stdout,
            b"stderr" => Stream::Stderr,
            _ => return None,
        };
        let (tags, content) = word(rest?);
        // The first of several tags, `P:x`, says whether the line continues.
        let partial = match tags.split(|byte| *byte == b':').next()? {
            b"P" => true,
            b"F" => false,
            _ => return None,
        };
        Some(Self {
            time,
            stream,
            partial,
            content: content.unwrap_or_default(),
        })
    }
}

/// Splits `<time> <content>`, a line of `kubectl logs --timestamps`; None if it does not begin with a time.
#[must_use]
pub fn timestamped(line: &[u8]) -> Option<(Time, &[u8])> {
    let (time, content) = word(without_return(line));
    Some((runtimes_time(time)?, content.unwrap_or_default()))
}

/// A line may end in CR LF.
pub(crate) fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Parses Go's RFC3339Nano. Stricter than [`Time::parse`], because other lines may begin with a time, too.
fn runtimes_time(text: &[u8]) -> Option<Time> {
    let of_go = |byte: &u8| byte.is_ascii_digit() || b"-+:.TZ".contains(byte);
    // `2026-11-22T10:49:43` and at most `.123456789+01:00`.
    let fits = text.len() <= 35 && text.get(10) == Some(&b'T') && text.iter().all(of_go);
    let digits = text
        .iter()
        .skip(20)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let text = std::str::from_utf8(text).ok()?;
    if fits && digits <= 9 {
        Time::parse(text)
    } else {
        None
    }
}

/// The part up to the first space, and the rest after it.
fn word(line: &[u8]) -> (&[u8], Option<&[u8]>) {
    match line.iter().position(|byte| *byte == b' ') {
        Some(at) => (&line[..at], Some(&line[at + 1..])),
        None => (line, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-11-22T10:49:43.101234567Z";

    #[test]
    fn a_whole_line_and_a_part() {
        let line = format!("{TIME} stderr F  two  spaces ");
        let cri = Cri::parse(line.as_bytes()).unwrap();
        assert_eq!(cri.time.to_string(), TIME);
        assert_eq!((cri.stream, cri.partial), (Stream::Stderr, false));
        assert_eq!(cri.content, b" two  spaces ");

        let line = format!("{TIME} stdout P:x half");
        let cri = Cri::parse(line.as_bytes()).unwrap();
        assert_eq!((cri.stream, cri.partial), (Stream::Stdout, true));
    }

    #[test]
    fn content_may_be_empty_or_binary() {
        for end in ["F", "F "] {
            assert_eq!(
                Cri::parse(format!("{TIME} stdout {end}").as_bytes())
                    .unwrap()
                    .content,
                b""
            );
        }
        let line = [TIME.as_bytes(), b" stdout F \xff\0\r"].concat();
        assert_eq!(Cri::parse(&line).unwrap().content, b"\xff\0");
    }

    #[test]
    fn lines_of_another_format_are_none() {
        for line in [
            "",
            "rpc error: no such container",
            TIME,
            &format!("{TIME} stdout"),
            &format!("{TIME} stdin F x"),
            &format!("{TIME} stdout X x"),
            &format!("{TIME} stdout  F x"),
            &format!(" {TIME} stdout F x"),
            "yesterday stdout F x",
            "2026-11-22 10:49:43Z stdout F x",
            "2026-11-22T10:49:43z stdout F x",
            "2026-11-22T10:49:43.1234567890Z stdout F x",
        ] {
            assert_eq!(Cri::parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn kubectl_writes_the_time_before_the_content() {
        let (time, content) = timestamped(b"2026-11-22T11:49:43.1+01:00 a b").unwrap();
        assert_eq!(time.to_string(), "2026-11-22T10:49:43.100000000Z");
        assert_eq!(content, b"a b");
        assert_eq!(timestamped(b"a b"), None);
    }
}
