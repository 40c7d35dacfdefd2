use contract::PhotoResult;

/// Any result message is parsed without a panic.
pub fn check(body: &[u8]) {
    match PhotoResult::decode(body) {
        Ok(result) => {
            assert!(result.id.get() > 0);
            assert_eq!(PhotoResult::decode(&result.encode().unwrap()), Ok(result));
        }
        Err(error) => assert!(error.to_string().len() < 1000, "{error}"),
    }
}
