use std::convert::Infallible;

use axum::body::Body;
use proptest::prelude::*;

use super::*;
use crate::upload::UploadSettings;

fn form(chunks: Vec<Vec<u8>>, boundary: &str) -> Form {
    let chunks = futures::stream::iter(
        chunks
            .into_iter()
            .map(|chunk| Ok::<_, Infallible>(Bytes::from(chunk))),
    );
    let source = LimitedBody::new(Body::from_stream(chunks), 1 << 30, &UploadSettings::default());
    Form::new(source, boundary)
}

/// All fields with their bytes.
async fn read_all(mut form: Form) -> Result<Vec<(FormField, Vec<u8>)>, UploadError> {
    let mut fields = Vec::new();
    while let Some(field) = form.next_field().await? {
        let mut bytes = Vec::new();
        while let Some(chunk) = form.next_chunk().await? {
            assert!(!chunk.is_empty());
            bytes.extend_from_slice(&chunk);
        }
        fields.push((field, bytes));
    }
    Ok(fields)
}

fn parse(form: Form) -> Result<Vec<(FormField, Vec<u8>)>, UploadError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(read_all(form))
}

fn parse_text(body: &str) -> Result<Vec<(FormField, Vec<u8>)>, UploadError> {
    parse(form(vec![body.as_bytes().to_vec()], "b"))
}

fn form_error(result: Result<Vec<(FormField, Vec<u8>)>, UploadError>) -> FormError {
    match result {
        Err(UploadError::Form(error)) => error,
        other => panic!("not a form error: {other:?}"),
    }
}

#[test]
fn reads_fields_from_browsers_and_curl() {
    let fields = parse_text(
        "preamble\r\n--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a \\\"b\\\";c.jpg\"\r\n\
         Content-Type: image/jpeg\r\n\r\n\r\n--\r\nbytes\r\n\r\n--b \t\r\ncontent-disposition:form-data;name=taken_at\
         \r\n\r\n\r\n--b--\r\nepilogue",
    )
    .unwrap();
    let names: Vec<_> = fields.iter().map(|(field, _)| field.name.as_str()).collect();
    assert_eq!(names, ["image", "taken_at"]);
    assert_eq!(fields[0].0.file_name.as_deref(), Some("a \"b\";c.jpg"));
    assert_eq!(fields[0].1, b"\r\n--\r\nbytes\r\n");
    assert_eq!(fields[1].1, b"");
}

#[test]
fn a_boundary_comes_from_the_content_type() {
    let parse = |text: &str| boundary(text);
    assert_eq!(parse("image/jpeg"), Ok(None));
    assert_eq!(
        parse("Multipart/Form-Data; boundary=x-1"),
        Ok(Some("x-1".to_owned()))
    );
    assert_eq!(
        parse("multipart/form-data; charset=utf-8; Boundary=\"a b\""),
        Ok(Some("a b".to_owned()))
    );
    for bad in [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"",
    ] {
        assert_eq!(parse(bad), Err(FormError::Boundary), "{bad}");
    }
    let long = format!("multipart/form-data; boundary={}", "x".repeat(71));
    assert_eq!(parse(&long), Err(FormError::Boundary));
}

#[test]
fn a_windows_path_keeps_its_backslashes() {
    let header = r#"form-data; name="image"; filename="C:\new\a.jpg""#;
    assert_eq!(parameter(header, "filename").as_deref(), Some(r"C:\new\a.jpg"));
    assert_eq!(parameter(header, "name").as_deref(), Some("image"));
    assert_eq!(parameter("form-data; flag; name=x", "name").as_deref(), Some("x"));
    assert_eq!(parameter("form-data; name=\"open", "name"), None);
}

#[test]
fn malformed_forms_are_refused() {
    let head = "Content-Disposition: form-data; name=\"x\"\r\n\r\n";
    assert_eq!(form_error(parse_text("")), FormError::Unfinished);
    assert_eq!(
        form_error(parse_text("no delimiter at all")),
        FormError::Unfinished
    );
    assert_eq!(
        form_error(parse_text(&format!("--b\r\n{head}cut"))),
        FormError::Unfinished
    );
    assert_eq!(form_error(parse_text("--bb\r\n")), FormError::Delimiter);
    assert_eq!(
        form_error(parse_text("--b\r\n\r\nno headers\r\n--b--")),
        FormError::Name
    );
    assert_eq!(
        form_error(parse_text("--b\r\nX: y\r\n\r\n\r\n--b--")),
        FormError::Name
    );
    assert_eq!(
        form_error(parse_text("--b\r\n\x01bad\r\n\r\n\r\n--b--")),
        FormError::Headers
    );
}

#[test]
fn bytes_outside_of_fields_are_limited() {
    let big = "x".repeat(MAX_BYTES_OUTSIDE_FIELDS + 1);
    assert_eq!(form_error(parse_text(&big)), FormError::OutsideFields);
    assert_eq!(
        form_error(parse_text(&format!("--b--\r\n{big}"))),
        FormError::OutsideFields
    );
    let headers = format!("--b\r\nX: {big}");
    assert_eq!(form_error(parse_text(&headers)), FormError::Headers);
    let many = "--b\r\nContent-Disposition: form-data; name=x\r\n\r\n\r\n".repeat(MAX_FORM_PARTS + 1);
    assert_eq!(form_error(parse_text(&many)), FormError::Parts);
    let crowded = format!("--b\r\n{}\r\n\r\n", "A: b\r\n".repeat(MAX_HEADERS + 1));
    assert_eq!(form_error(parse_text(&crowded)), FormError::Headers);
}

proptest! {
    #[test]
    fn the_fields_do_not_depend_on_how_the_bytes_arrive(
        contents in prop::collection::vec(
            prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b'b'), any::<u8>()], 0..60),
            0..4,
        ),
        cuts in prop::collection::vec(1_usize..9, 1..20),
    ) {
        let mut body = Vec::new();
        for (number, content) in contents.iter().enumerate() {
            // Content with a delimiter makes another form.
            prop_assume!(memchr::memmem::find(content, b"\r\n--b-b").is_none());
            body.extend_from_slice(format!("\r\n--b-b\r\nContent-Disposition: form-data; name=f{number}\r\n\r\n").as_bytes());
            body.extend_from_slice(content);
        }
        body.extend_from_slice(b"\r\n--b-b--\r\n");
        let mut chunks = Vec::new();
        let mut rest = &body[2..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break }
            let (chunk, next) = rest.split_at((*cut).min(rest.len()));
            chunks.push(chunk.to_vec());
            rest = next;
        }
        let fields = parse(form(chunks, "b-b")).unwrap();
        let got: Vec<_> = fields.iter().map(|(_, bytes)| bytes.clone()).collect();
        prop_assert_eq!(got, contents);
    }

    #[test]
    fn arbitrary_bytes_never_cause_an_endless_loop(
        body in prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b'b'), any::<u8>()], 0..200),
    ) {
        let _ = parse(form(body.chunks(7).map(<[u8]>::to_vec).collect(), "b"));
    }
}
