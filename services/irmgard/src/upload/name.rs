//! What a photo may be called.

use terminal::is_acted_on;

/// A file name is cut to so many bytes.
const MAX_NAME_BYTES: usize = 255;

/// The last part of what may be a path, without what a terminal would act
/// on; `None` where nothing is left.
pub fn plain_name(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut plain: String = last.chars().filter(|c| !is_acted_on(*c)).collect();
    while plain.len() > MAX_NAME_BYTES {
        plain.pop();
    }
    let plain = plain.trim();
    (!matches!(plain, "" | "." | "..")).then(|| plain.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_path_and_control_characters() {
        for (name, plain) in [
            ("a.jpg", Some("a.jpg")),
            ("../../etc/passwd", Some("passwd")),
            (r"C:\photos\b.jpg", Some("b.jpg")),
            ("x\r\nSet-Cookie: y\u{1b}[2J\0.jpg", Some("xSet-Cookie: y[2J.jpg")),
            ("a\u{202e}gpj.exe\u{2069}\u{200f}", Some("agpj.exe")),
            ("..", None),
            ("dir/", None),
            ("  ", None),
        ] {
            assert_eq!(plain_name(name).as_deref(), plain, "{name:?}");
        }
        assert_eq!(plain_name(&"ä".repeat(200)).unwrap().len(), 254);
    }
}
