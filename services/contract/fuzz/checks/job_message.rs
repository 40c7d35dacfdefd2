use contract::{JobError, JobMessage, PhotoKey};

/// Whatever lies in the job queue is read without harm.
pub fn check(body: &[u8]) {
    match JobMessage::decode(body) {
        Ok(JobMessage::Ours(job)) => {
            let again = JobMessage::decode(&job.encode().unwrap());
            if let Some(key) = PhotoKey::parse(job.uri.key()) {
                assert!(key.anonymized().starts_with(contract::key::PREFIX));
                assert!(!key.anonymized().split('/').any(|part| part == ".."), "{key:?}");
            }
            assert!(job.id.get() > 0);
            assert_eq!(again, Ok(JobMessage::Ours(job)));
        }
        Ok(JobMessage::Given(_)) => {}
        Err(error) => {
            assert!(error.to_string().len() < 1000, "{error}");
            if let JobError::Malformed { id, .. } = error {
                assert!(id.get() > 0);
            }
        }
    }
}
