use contract::{JobError, JobMessage, PhotoKey};

/// Any job message is parsed without a panic.
pub fn check(body: &[u8]) {
    match JobMessage::decode(body) {
        Ok(JobMessage::Versioned(job)) => {
            let again = JobMessage::decode(&job.encode().unwrap());
            if let Some(key) = PhotoKey::parse(job.uri.key()) {
                assert!(key.anonymized().starts_with(contract::key::PREFIX));
                assert!(!key.anonymized().split('/').any(|part| part == ".."), "{key:?}");
            }
            assert!(job.id.get() > 0);
            assert_eq!(again, Ok(JobMessage::Versioned(job)));
        }
        Ok(JobMessage::Legacy(_)) => {}
        Err(error) => {
            assert!(error.to_string().len() < 1000, "{error}");
            if let JobError::Malformed { id, .. } = error {
                assert!(id.get() > 0);
            }
        }
    }
}
