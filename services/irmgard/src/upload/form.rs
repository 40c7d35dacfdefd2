//! A streaming parser for `multipart/form-data` (RFC 7578, RFC 2046 section 5.1). It passes the bytes of a
//! field on without a copy, and limits everything else.

use std::borrow::Cow;

use bytes::{Buf, Bytes, BytesMut};
use memchr::memmem::Finder;

use super::{error::UploadError, limited_body::LimitedBody};

/// Maximum number of bytes before the first delimiter, and after the last.
const MAX_BYTES_OUTSIDE_FIELDS: usize = 64 * 1024;
/// Maximum size of one part's headers, bytes.
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// Maximum number of headers of one part.
const MAX_HEADERS: usize = 32;
/// Maximum number of parts of one form.
pub const MAX_FORM_PARTS: usize = 64;
/// Maximum size of a text field, bytes.
const MAX_TEXT_BYTES: usize = 1024;
/// RFC 2046, section 5.1.1: a boundary has 1 to 70 characters.
const MAX_BOUNDARY_BYTES: usize = 70;

/// The body is not a valid form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// `Content-Type` has no boundary, or an invalid one.
    #[error("the Content-Type has no usable boundary")]
    Boundary,
    /// The body ends before the closing boundary.
    #[error("the form ends before its closing boundary")]
    Unfinished,
    /// Too many bytes outside of the fields.
    #[error("too many bytes outside of the form's fields")]
    OutsideFields,
    /// A boundary is followed by neither a line break nor `--`.
    #[error("a boundary is followed by neither a line break nor two hyphens")]
    Delimiter,
    /// The headers of a part are malformed or too long.
    #[error("the headers of a field cannot be read")]
    Headers,
    #[error("a field has no name")]
    Name,
    #[error("more than {MAX_FORM_PARTS} fields")]
    Parts,
    #[error("a text field has more than {MAX_TEXT_BYTES} bytes")]
    Text,
}

/// The boundary in a `Content-Type` of `multipart/form-data`; `None` for any other type.
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

/// The source of a photo's bytes.
#[derive(Debug)]
pub enum PhotoSource {
    /// The body is the photo.
    Body(LimitedBody),
    /// The photo is the current field of the form.
    Field(Box<Form>),
}

impl PhotoSource {
    /// The next bytes of the photo; `None` at its end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, UploadError> {
        match self {
            Self::Body(body) => body.next().await,
            Self::Field(form) => form.next_chunk().await,
        }
    }
}

/// A form that is being read.
#[derive(Debug)]
pub struct Form {
    body: LimitedBody,
    buffer: Bytes,
    delimiter: Finder<'static>,
    position: FormPosition,
    parts: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FormPosition {
    BeforeFirst,
    InField,
    AfterDelimiter,
    AfterLast,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormField {
    pub name: String,
    /// The file name as the client sent it.
    pub file_name: Option<String>,
}

impl Form {
    pub fn new(body: LimitedBody, boundary: &str) -> Self {
        Self {
            body,
            // The first delimiter may lack its leading line break.
            buffer: Bytes::from_static(b"\r\n"),
            delimiter: Finder::new(&format!("\r\n--{boundary}")).into_owned(),
            position: FormPosition::BeforeFirst,
            parts: 0,
        }
    }

    /// Moves to the next field and skips the rest of the current one. `None` after the last field, when the
    /// whole body is read.
    pub async fn next_field(&mut self) -> Result<Option<FormField>, UploadError> {
        let mut preamble_bytes = 0;
        while matches!(self.position, FormPosition::BeforeFirst | FormPosition::InField) {
            let in_preamble = self.position == FormPosition::BeforeFirst;
            match self.read_until_delimiter().await? {
                Some(bytes) if in_preamble => preamble_bytes += bytes.len(),
                Some(_) => {}
                None => self.position = FormPosition::AfterDelimiter,
            }
            if preamble_bytes > MAX_BYTES_OUTSIDE_FIELDS {
                return Err(FormError::OutsideFields.into());
            }
        }
        if self.position == FormPosition::AfterLast {
            return Ok(None);
        }
        if self.read_delimiter_end().await? {
            self.position = FormPosition::AfterLast;
            self.read_to_the_end().await?;
            return Ok(None);
        }
        self.parts += 1;
        if self.parts > MAX_FORM_PARTS {
            return Err(FormError::Parts.into());
        }
        let field = self.read_headers().await?;
        self.position = FormPosition::InField;
        Ok(Some(field))
    }

    /// The field's next bytes; `None` at its end.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, UploadError> {
        if self.position != FormPosition::InField {
            return Ok(None);
        }
        let chunk = self.read_until_delimiter().await?;
        if chunk.is_none() {
            self.position = FormPosition::AfterDelimiter;
        }
        Ok(chunk)
    }

    /// The whole field as text.
    pub async fn read_text(&mut self) -> Result<String, UploadError> {
        let mut text = BytesMut::new();
        while let Some(chunk) = self.next_chunk().await? {
            text.extend_from_slice(&chunk);
            if text.len() > MAX_TEXT_BYTES {
                return Err(FormError::Text.into());
            }
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Bytes before the next delimiter, never empty. `None` once the delimiter is consumed.
    async fn read_until_delimiter(&mut self) -> Result<Option<Bytes>, UploadError> {
        loop {
            if let Some(at) = self.delimiter.find(&self.buffer) {
                if at > 0 {
                    return Ok(Some(self.buffer.split_to(at)));
                }
                self.buffer.advance(self.delimiter.needle().len());
                return Ok(None);
            }
            let complete = self.buffer.len() - self.partial_delimiter_len();
            if complete > 0 {
                return Ok(Some(self.buffer.split_to(complete)));
            }
            self.fill_buffer().await?;
        }
    }

    /// Number of bytes at the end of the buffer that may begin a delimiter.
    fn partial_delimiter_len(&self) -> usize {
        let needle = self.delimiter.needle();
        let longest = self.buffer.len().min(needle.len() - 1);
        (1..=longest)
            .rev()
            .find(|&length| self.buffer.ends_with(needle.get(..length).unwrap_or_default()))
            .unwrap_or(0)
    }

    /// Reads the rest of the delimiter's line; returns whether it is the closing delimiter.
    async fn read_delimiter_end(&mut self) -> Result<bool, UploadError> {
        loop {
            let padding = self
                .buffer
                .iter()
                .take_while(|b| matches!(b, b' ' | b'\t'))
                .count();
            if padding > MAX_HEADER_BYTES {
                return Err(FormError::Delimiter.into());
            }
            match self.buffer.get(padding..padding + 2) {
                Some(b"\r\n") => {
                    // Do not consume it: it may be the line break that ends empty headers.
                    self.buffer.advance(padding);
                    return Ok(false);
                }
                Some(b"--") if padding == 0 => return Ok(true),
                Some(_) => return Err(FormError::Delimiter.into()),
                None => self.fill_buffer().await?,
            }
        }
    }

    /// Reads a part's headers. They begin with the line break of the delimiter's line.
    async fn read_headers(&mut self) -> Result<FormField, UploadError> {
        let end = loop {
            if let Some(end) = memchr::memmem::find(&self.buffer, b"\r\n\r\n") {
                break end;
            }
            if self.buffer.len() > MAX_HEADER_BYTES {
                return Err(FormError::Headers.into());
            }
            self.fill_buffer().await?;
        };
        if end > MAX_HEADER_BYTES {
            return Err(FormError::Headers.into());
        }
        let block = self.buffer.split_to(end + 4);
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
        Ok(FormField {
            name: parameter(&disposition, "name")
                .ok_or(FormError::Name)?
                .into_owned(),
            file_name: parameter(&disposition, "filename").map(Cow::into_owned),
        })
    }

    /// Reads the body to its end, so that the connection can be reused and a truncated body is noticed.
    async fn read_to_the_end(&mut self) -> Result<(), UploadError> {
        let mut after = self.buffer.len();
        self.buffer.clear();
        while after <= MAX_BYTES_OUTSIDE_FIELDS {
            match self.body.next().await? {
                Some(bytes) => after += bytes.len(),
                None => return Ok(()),
            }
        }
        Err(FormError::OutsideFields.into())
    }

    async fn fill_buffer(&mut self) -> Result<(), UploadError> {
        let chunk = self.body.next().await?.ok_or(FormError::Unfinished)?;
        if self.buffer.is_empty() {
            self.buffer = chunk;
        } else {
            let mut joined = BytesMut::with_capacity(self.buffer.len() + chunk.len());
            joined.extend_from_slice(&self.buffer);
            joined.extend_from_slice(&chunk);
            self.buffer = joined.freeze();
        }
        Ok(())
    }
}

/// The value of a header parameter: a token or a quoted string (RFC 9110, section 5.6.6). A backslash escapes
/// only a quote and itself, because some clients send Windows paths.
fn parameter<'h>(header: &'h str, name: &str) -> Option<Cow<'h, str>> {
    let mut rest = header.split_once(';')?.1;
    loop {
        let (key, after) = rest.split_once('=')?;
        // Skip a parameter without a value before this one.
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

/// Splits at the closing quote: the unescaped string, and the text after the quote.
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
