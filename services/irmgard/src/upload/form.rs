//! `multipart/form-data` (RFC 7578, RFC 2046 section 5.1), read as it
//! arrives: the bytes of a field are handed on without a copy, and what is not
//! a field's bytes is bounded.

use std::borrow::Cow;

use bytes::{Buf, Bytes, BytesMut};
use memchr::memmem::Finder;

use super::{error::UploadError, source::Source};

/// Bytes before the first delimiter, and after the last.
const MAX_AROUND_BYTES: usize = 64 * 1024;
/// Bytes of one part's headers.
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// Headers of one part.
const MAX_HEADERS: usize = 32;
/// Parts of one form.
pub const MAX_PARTS: usize = 64;
/// Bytes of a field that is text.
const MAX_TEXT_BYTES: usize = 1024;
/// RFC 2046, 5.1.1: a boundary has 1 to 70 characters.
const MAX_BOUNDARY_BYTES: usize = 70;

/// The body is no form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// `Content-Type` names no boundary, or an impossible one.
    #[error("the Content-Type has no usable boundary")]
    Boundary,
    /// The body ends within the form.
    #[error("the form ends before its closing boundary")]
    Unfinished,
    /// Too many bytes that belong to no field.
    #[error("too many bytes outside of the form's fields")]
    Around,
    /// After a boundary comes neither a line break nor `--`.
    #[error("a boundary is followed by neither a line break nor two hyphens")]
    Delimiter,
    /// A part's headers cannot be read, or are too long.
    #[error("the headers of a field cannot be read")]
    Headers,
    /// A part has no name.
    #[error("a field has no name")]
    Name,
    /// Too many parts.
    #[error("more than {MAX_PARTS} fields")]
    Parts,
    /// A field of text is too long.
    #[error("a text field has more than {MAX_TEXT_BYTES} bytes")]
    Text,
}

/// The boundary of a `Content-Type` of `multipart/form-data`; `None` for any
/// other type.
///
/// # Errors
/// [`FormError::Boundary`].
pub fn boundary(content_type: &str) -> Result<Option<String>, FormError> {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("multipart/form-data") {
        return Ok(None);
    }
    parameter(content_type, "boundary")
        .filter(|boundary| (1..=MAX_BOUNDARY_BYTES).contains(&boundary.len()))
        .filter(|boundary| boundary.bytes().all(|b| (0x20..0x7f).contains(&b)) && !boundary.ends_with(' '))
        .map(|boundary| Some(boundary.into_owned()))
        .ok_or(FormError::Boundary)
}

/// Where the bytes of a photo come from.
#[derive(Debug)]
pub enum Chunks {
    /// The body is the photo.
    Body(Source),
    /// The photo is the field that the form is at.
    Field(Box<Form>),
}

impl Chunks {
    /// The photo's next bytes; `None` at its end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, UploadError> {
        match self {
            Self::Body(source) => source.next().await,
            Self::Field(form) => form.chunk().await,
        }
    }
}

/// A form that is being read.
#[derive(Debug)]
pub struct Form {
    source: Source,
    pending: Bytes,
    delimiter: Finder<'static>,
    place: Place,
    parts: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    BeforeFirst,
    InField,
    AfterDelimiter,
    AfterLast,
}

/// A field's name, and the file name that came with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name.
    pub name: String,
    /// The file name, as it came.
    pub file_name: Option<String>,
}

impl Form {
    /// Reads a form with this boundary.
    pub fn new(source: Source, boundary: &str) -> Self {
        Self {
            source,
            // The first delimiter may lack the line break that belongs to it.
            pending: Bytes::from_static(b"\r\n"),
            delimiter: Finder::new(&format!("\r\n--{boundary}")).into_owned(),
            place: Place::BeforeFirst,
            parts: 0,
        }
    }

    /// Goes to the next field, past what is left of the one before; `None`
    /// after the last, when the whole body is read.
    pub async fn next_field(&mut self) -> Result<Option<Field>, UploadError> {
        let mut skipped = 0;
        while matches!(self.place, Place::BeforeFirst | Place::InField) {
            let preamble = self.place == Place::BeforeFirst;
            match self.until_delimiter().await? {
                Some(bytes) if preamble => skipped += bytes.len(),
                Some(_) => {}
                None => self.place = Place::AfterDelimiter,
            }
            if skipped > MAX_AROUND_BYTES {
                return Err(FormError::Around.into());
            }
        }
        if self.place == Place::AfterLast {
            return Ok(None);
        }
        if self.last_delimiter().await? {
            self.place = Place::AfterLast;
            self.read_to_the_end().await?;
            return Ok(None);
        }
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(FormError::Parts.into());
        }
        let field = self.headers().await?;
        self.place = Place::InField;
        Ok(Some(field))
    }

    /// The field's next bytes; `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, UploadError> {
        if self.place != Place::InField {
            return Ok(None);
        }
        let chunk = self.until_delimiter().await?;
        if chunk.is_none() {
            self.place = Place::AfterDelimiter;
        }
        Ok(chunk)
    }

    /// The whole field, as text.
    pub async fn text(&mut self) -> Result<String, UploadError> {
        let mut text = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            text.extend_from_slice(&chunk);
            if text.len() > MAX_TEXT_BYTES {
                return Err(FormError::Text.into());
            }
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Bytes before the next delimiter, never empty; `None` once it is past.
    async fn until_delimiter(&mut self) -> Result<Option<Bytes>, UploadError> {
        loop {
            if let Some(at) = self.delimiter.find(&self.pending) {
                if at > 0 {
                    return Ok(Some(self.pending.split_to(at)));
                }
                self.pending.advance(self.delimiter.needle().len());
                return Ok(None);
            }
            let certain = self.pending.len() - self.beginning_of_delimiter();
            if certain > 0 {
                return Ok(Some(self.pending.split_to(certain)));
            }
            self.more().await?;
        }
    }

    /// How many of the last bytes may be the beginning of a delimiter.
    fn beginning_of_delimiter(&self) -> usize {
        let needle = self.delimiter.needle();
        let longest = self.pending.len().min(needle.len() - 1);
        (1..=longest)
            .rev()
            .find(|&length| self.pending.ends_with(needle.get(..length).unwrap_or_default()))
            .unwrap_or(0)
    }

    /// Reads what follows a delimiter on its line; whether it was the last.
    async fn last_delimiter(&mut self) -> Result<bool, UploadError> {
        loop {
            let padding = self
                .pending
                .iter()
                .take_while(|b| matches!(b, b' ' | b'\t'))
                .count();
            if padding > MAX_HEADER_BYTES {
                return Err(FormError::Delimiter.into());
            }
            match self.pending.get(padding..padding + 2) {
                Some(b"\r\n") => {
                    // Kept: it may be the line break that ends empty headers.
                    self.pending.advance(padding);
                    return Ok(false);
                }
                Some(b"--") if padding == 0 => return Ok(true),
                Some(_) => return Err(FormError::Delimiter.into()),
                None => self.more().await?,
            }
        }
    }

    /// Reads a part's headers; they begin with the line break of the
    /// delimiter's line.
    async fn headers(&mut self) -> Result<Field, UploadError> {
        let end = loop {
            if let Some(end) = memchr::memmem::find(&self.pending, b"\r\n\r\n") {
                break end;
            }
            if self.pending.len() > MAX_HEADER_BYTES {
                return Err(FormError::Headers.into());
            }
            self.more().await?;
        };
        if end > MAX_HEADER_BYTES {
            return Err(FormError::Headers.into());
        }
        let block = self.pending.split_to(end + 4);
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let lines = block.get(2..).unwrap_or_default();
        let Ok(httparse::Status::Complete((_, headers))) = httparse::parse_headers(lines, &mut headers)
        else {
            return Err(FormError::Headers.into());
        };
        let disposition = headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case("content-disposition"))
            .map(|header| String::from_utf8_lossy(header.value))
            .ok_or(FormError::Name)?;
        Ok(Field {
            name: parameter(&disposition, "name")
                .ok_or(FormError::Name)?
                .into_owned(),
            file_name: parameter(&disposition, "filename").map(Cow::into_owned),
        })
    }

    /// A body that goes on after the form is read, so that the connection can
    /// be used again, and that a body cut short is noticed.
    async fn read_to_the_end(&mut self) -> Result<(), UploadError> {
        let mut after = self.pending.len();
        self.pending.clear();
        while after <= MAX_AROUND_BYTES {
            match self.source.next().await? {
                Some(bytes) => after += bytes.len(),
                None => return Ok(()),
            }
        }
        Err(FormError::Around.into())
    }

    async fn more(&mut self) -> Result<(), UploadError> {
        let chunk = self.source.next().await?.ok_or(FormError::Unfinished)?;
        if self.pending.is_empty() {
            self.pending = chunk;
        } else {
            let mut joined = BytesMut::with_capacity(self.pending.len() + chunk.len());
            joined.extend_from_slice(&self.pending);
            joined.extend_from_slice(&chunk);
            self.pending = joined.freeze();
        }
        Ok(())
    }
}

/// The value of a parameter in a header: a token, or a quoted string (RFC
/// 9110, 5.6.6). A backslash escapes only a quote and itself: some clients
/// send paths of Windows.
fn parameter<'h>(header: &'h str, name: &str) -> Option<Cow<'h, str>> {
    let mut rest = header.split_once(';')?.1;
    loop {
        let (key, after) = rest.split_once('=')?;
        // A parameter without a value, before this one.
        let key = key.rsplit(';').next().unwrap_or_default().trim();
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = after.find(';').unwrap_or(after.len());
                let (value, next) = after.split_at(end);
                (Cow::Borrowed(value.trim_end()), next)
            }
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = next.split_once(';')?.1;
    }
}

/// The string up to the closing quote, and what follows that.
fn unquote(quoted: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut value = String::new();
    let mut rest = quoted;
    loop {
        let at = rest.find(['"', '\\'])?;
        let (plain, marked) = rest.split_at(at);
        value.push_str(plain);
        let mut marks = marked.chars();
        if marks.next() == Some('"') {
            return Some((Cow::Owned(value), marks.as_str()));
        }
        match marks.next() {
            Some(escaped @ ('"' | '\\')) => {
                value.push(escaped);
                rest = marks.as_str();
            }
            _ => {
                value.push('\\');
                rest = marked.get(1..)?;
            }
        }
    }
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;
