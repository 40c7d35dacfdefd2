//! Literals of which a matching text contains at least one.

use aho_corasick::{AhoCorasick, MatchKind};
use memchr::memmem::Finder;
use regex_syntax::hir::{Hir, HirKind, literal::Extractor};

/// Literals of which the raw bytes of a matching line contain at least one.
#[derive(Debug, Default)]
pub struct RequiredLiterals {
    texts: Vec<Vec<u8>>,
    search: Searcher,
}

#[derive(Debug, Default)]
enum Searcher {
    #[default]
    None,
    One(Box<Finder<'static>>),
    Many(AhoCorasick),
}

/// More texts do not pay off.
const MAX_TEXTS: usize = 64;

impl RequiredLiterals {
    /// None if one of the texts is useless as a literal.
    pub fn any<T: AsRef<[u8]>>(texts: &[T]) -> Option<Self> {
        let texts: Vec<Vec<u8>> = texts
            .iter()
            .map(|text| longest_stable_piece(text.as_ref()).to_vec())
            .collect();
        if texts.is_empty() || texts.len() > MAX_TEXTS || texts.iter().any(Vec::is_empty) {
            return None;
        }
        let search = match texts.as_slice() {
            [only] => Searcher::One(Box::new(Finder::new(only).into_owned())),
            texts => {
                let leftmost = AhoCorasick::builder()
                    .match_kind(MatchKind::LeftmostFirst)
                    .build(texts);
                Searcher::Many(leftmost.ok()?)
            }
        };
        Some(Self { texts, search })
    }

    /// An ASCII text in any case.
    pub fn any_case(text: &str) -> Option<Self> {
        if text.is_empty() || !text.is_ascii() {
            return None;
        }
        let search = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build([text])
            .ok()?;
        Some(Self {
            texts: vec![text.into()],
            search: Searcher::Many(search),
        })
    }

    /// Extracts the literals of a regular expression.
    pub fn from_regex(pattern: &str) -> Option<Self> {
        let hir = regex_syntax::parse(pattern).ok()?;
        Self::any(&required_texts(&hir)?)
    }

    /// Whether one of them consists only of these characters.
    pub fn has_only(&self, chars: &str) -> bool {
        self.texts
            .iter()
            .any(|text| text.iter().all(|byte| chars.as_bytes().contains(byte)))
    }

    pub fn texts(&self) -> impl Iterator<Item = &str> {
        // `longest_stable_piece` returns valid UTF-8.
        self.texts
            .iter()
            .filter_map(|text| std::str::from_utf8(text).ok())
    }

    pub fn any_in(&self, content: &[u8]) -> bool {
        match &self.search {
            Searcher::None => true,
            Searcher::One(finder) => finder.find(content).is_some(),
            Searcher::Many(searcher) => searcher.is_match(content),
        }
    }
}

/// The longest piece that JSON writes in only one way, apart from `\u` (see [`super::has_escapes`]), without invalid
/// UTF-8.
fn longest_stable_piece(text: &[u8]) -> &[u8] {
    let may_differ = |byte: &u8| byte.is_ascii_control() || b"\"\\/".contains(byte);
    let pieces = text
        .split(may_differ)
        .map(|piece| match std::str::from_utf8(piece) {
            Ok(text) if !text.contains('\u{fffd}') => piece,
            _ => piece
                .split(|byte| !byte.is_ascii())
                .max_by_key(|part| part.len())
                .unwrap_or_default(),
        });
    pieces.max_by_key(|piece| piece.len()).unwrap_or_default()
}

/// Texts of which every match contains at least one; None if unknown.
fn required_texts(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    let inner = match hir.kind() {
        HirKind::Concat(parts) => parts
            .iter()
            .enumerate()
            .flat_map(|(at, part)| {
                // Combine the prefixes of the rest with the literals of this part.
                let rest = parts.get(at..).unwrap_or_default();
                [prefixes(&Hir::concat(rest.to_vec())), required_texts(part)]
            })
            .flatten()
            .max_by_key(|texts| selectivity(texts)),
        HirKind::Alternation(parts) => {
            let all: Option<Vec<_>> = parts.iter().map(required_texts).collect();
            all.map(|all| all.into_iter().flatten().collect())
        }
        HirKind::Repetition(repeated) if repeated.min > 0 => required_texts(&repeated.sub),
        HirKind::Capture(group) => required_texts(&group.sub),
        _ => None,
    };
    [inner, prefixes(hir)]
        .into_iter()
        .flatten()
        .filter(|texts| selectivity(texts).0 > 0)
        .max_by_key(|texts| selectivity(texts))
}

fn prefixes(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    let texts = Extractor::new().extract(hir);
    let texts: Vec<Vec<u8>> = texts
        .literals()?
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .collect();
    (!texts.is_empty() && texts.len() <= MAX_TEXTS).then_some(texts)
}

/// The length of the shortest text, then the smallest number of texts.
fn selectivity(texts: &[Vec<u8>]) -> (usize, std::cmp::Reverse<usize>) {
    let shortest = texts.iter().map(|text| longest_stable_piece(text).len()).min();
    (shortest.unwrap_or_default(), std::cmp::Reverse(texts.len()))
}
