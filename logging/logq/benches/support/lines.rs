//! Generates lines in the formats of our programs under load; always the same ones.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

/// The trace of one of the first lines.
pub const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Occurs in one of several hundred thousand lines.
pub const RARE: &str = "IDAT or fDAT chunk";

/// A time in the middle of the lines.
pub const A_SECOND: &str = "2026-11-22T08:00:30Z";

/// One second later.
pub const THE_NEXT_SECOND: &str = "2026-11-22T08:00:31Z";

/// Generates lines.
pub struct LineGenerator {
    number: u64,
    state: u64,
    micros: u64,
}

impl LineGenerator {
    /// Starts with the first line.
    pub const fn new() -> Self {
        Self {
            number: 0,
            state: 0x9e37_79b9_7f4a_7c15,
            micros: 0,
        }
    }

    /// The next line, with its newline.
    pub fn next_line(&mut self) -> String {
        self.number += 1;
        self.micros += self.random(4_000);
        let time = format!(
            "2026-11-22T{:02}:{:02}:{:02}.{:06}Z",
            8 + self.micros / 3_600_000_000 % 12,
            self.micros / 60_000_000 % 60,
            self.micros / 1_000_000 % 60,
            self.micros % 1_000_000
        );
        let (trace, span) = if self.number == 10 {
            (TRACE.to_owned(), "00f067aa0ba902b7".to_owned())
        } else {
            (
                format!("{:016x}{:016x}", self.next(), self.next()),
                format!("{:016x}", self.next()),
            )
        };
        let photo = self.random(100_000);
        let begin = |level: &str, message: &str, component: &str| {
            format!(
                r#"{{"@timestamp":"{time}","level":"{level}","message":"{message}","component":"{component}","service":{{"name":"{component}","version":"0.1.0"}}"#
            )
        };
        let traced = format!(r#""trace_id":"{trace}","span_id":"{span}""#);
        let seconds = self.seconds();
        let line = match self.number % 1_000 {
            // Retried while the database is unavailable, then failed.
            500 | 750 => {
                let level = if self.number.is_multiple_of(2_000) {
                    "error"
                } else {
                    "warn"
                };
                let begin = begin(level, "the outbox cannot be read", "irmgard");
                format!(
                    r#"{begin},"error":{{"message":"pool timed out while waiting for an open connection"}},"target":"irmgard::outbox::relay"}}"#
                )
            }
            600 => {
                let detail = if self.number % 400_000 == 600 {
                    "corrupt picture: IDAT or fDAT chunk does not have enough data for image."
                } else {
                    "corrupt picture: TurboJPEG error: Premature end of JPEG file"
                };
                let begin = begin(
                    "warn",
                    "the photo cannot be anonymised; its original stays",
                    "anonymizer",
                );
                format!(
                    r#"{begin},{traced},"messaging":{{"destination":{{"name":"images"}},"delivery_count":0}},"photo":{{"id":{photo}}},"project":"site-7","outcome":"failed","duration_seconds":{seconds},"failure":{{"reason":"corrupt-image","detail":"{detail}"}},"target":"anonymizer::job::report"}}"#
                )
            }
            n if n % 40 == 1 => {
                let begin = begin("info", "anonymised a photo", "anonymizer");
                let (detect, decode) = (self.seconds(), self.seconds());
                format!(
                    r#"{begin},{traced},"messaging":{{"destination":{{"name":"images"}},"delivery_count":0}},"photo":{{"id":{photo},"size_bytes":444241,"width_pixels":2126,"height_pixels":1463}},"project":"site-south","outcome":"anonymized","duration_seconds":{seconds},"stage":{{"get_seconds":0.002187484,"decode_seconds":{decode},"detect_seconds":{detect},"obscure_seconds":0.019844053,"encode_seconds":0.013546255,"put_seconds":0.011845296,"publish_seconds":0.008807282,"delete_seconds":0.000893864}},"output":{{"size_bytes":302145}},"detections":{{"person":36,"face":94}},"target":"anonymizer::job::report"}}"#
                )
            }
            n if n % 40 == 2 => {
                let begin = begin("info", "result received", "irmgard");
                format!(
                    r#"{begin},{traced},"photo":{{"id":{photo}}},"outcome":"anonymized","target":"irmgard::results::consume"}}"#
                )
            }
            _ => {
                let begin = begin("info", "request answered", "irmgard");
                format!(
                    r#"{begin},{traced},"http":{{"request":{{"method":"GET"}},"route":"/photos/{{id}}","response":{{"status_code":200}}}},"photo":{{"id":{photo}}},"duration_seconds":{seconds},"outcome":"ok","target":"irmgard::api::observe"}}"#
                )
            }
        };
        line + "\n"
    }

    /// Mostly short, sometimes several seconds.
    fn seconds(&mut self) -> f64 {
        let nanos = match self.random(1_000) {
            0 => self.random(9_000_000_000),
            _ => self.random(1_000_000),
        };
        nanos as f64 / 1e9
    }

    fn random(&mut self, below: u64) -> u64 {
        self.next() % below
    }

    /// Marsaglia's xorshift64*.
    const fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}
