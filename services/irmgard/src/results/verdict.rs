//! Parses messages into verdicts on photos.

use contract::{FailureReason, JobError, JobMessage, PhotoResult, Verdict, headers::MAX_MESSAGE_BYTES};

/// The message contains no verdict on a photo of this service. The text says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnusableMessage(pub String);

/// Parses a worker's result message.
///
/// # Errors
/// The message is too long or malformed.
pub fn parse_result(body: &[u8]) -> Result<PhotoResult, UnusableMessage> {
    if body.len() > MAX_MESSAGE_BYTES {
        return Err(UnusableMessage(format!(
            "the message has {} bytes, more than {MAX_MESSAGE_BYTES}",
            body.len()
        )));
    }
    PhotoResult::decode(body).map_err(|e| UnusableMessage(e.to_string()))
}

/// Parses a job that the broker gave up. `death` is the newest entry of its `x-death` header: queue, reason and count.
///
/// # Errors
/// The job names no photo of this service.
pub fn parse_dead_letter(
    body: &[u8],
    death: Option<&(String, String, i64)>,
) -> Result<PhotoResult, UnusableMessage> {
    let id = match JobMessage::decode(body) {
        Ok(JobMessage::Versioned(job)) => job.id,
        Err(JobError::Malformed { id, .. }) => id,
        Ok(JobMessage::Legacy(_)) => {
            return Err(UnusableMessage("a job of another web service".to_owned()));
        }
        Err(error) => return Err(UnusableMessage(error.to_string())),
    };
    let detail = death.map_or_else(
        || "the broker gave up the job".to_owned(),
        |(queue, reason, count)| format!("the broker gave up the job: {reason} in {queue}, {count} times"),
    );
    Ok(PhotoResult::new(
        id,
        Verdict::failed(FailureReason::DeliveryLimit, detail),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_of_an_unknown_version_belongs_to_no_photo() {
        let error = parse_result(br#"{"version":2,"id":1,"outcome":"anonymized"}"#).unwrap_err();
        assert!(error.0.contains("unknown version 2"), "{error}");
    }

    #[test]
    fn a_message_beyond_the_limit_is_not_parsed() {
        let body = vec![b' '; MAX_MESSAGE_BYTES + 1];
        assert!(parse_result(&body).is_err());
        assert!(parse_dead_letter(&body, None).is_err());
    }

    #[test]
    fn a_dead_lettered_job_fails_its_photo_even_if_malformed() {
        let death = ("images".to_owned(), "delivery_limit".to_owned(), 1);
        let result = parse_dead_letter(br#"{"version":1,"id":7}"#, Some(&death)).unwrap();
        assert_eq!(result.id.get(), 7);
        let Verdict::Failed { reason, detail } = result.verdict else {
            panic!("the verdict of a dead letter is a failure");
        };
        assert_eq!(reason, FailureReason::DeliveryLimit);
        assert!(detail.contains("delivery_limit in images"), "{detail}");
    }

    /// Any publisher to the queue can write any `x-death`.
    #[test]
    fn the_detail_of_a_dead_letter_is_truncated() {
        let death = ("ä".repeat(100_000), "rejected".to_owned(), 1);
        let result = parse_dead_letter(br#"{"version":1,"id":7}"#, Some(&death)).unwrap();
        let Verdict::Failed { detail, .. } = result.verdict else {
            panic!("the verdict of a dead letter is a failure");
        };
        assert_eq!(detail.chars().count(), contract::MAX_DETAIL_CHARS + 1);
        assert!(detail.ends_with("ä…"), "{detail}");
    }

    #[test]
    fn a_dead_lettered_job_of_the_given_web_service_is_unusable() {
        let body = br#"{"id":7,"name":"a.jpg","storage_location":"infiles/a.jpg"}"#;
        assert!(parse_dead_letter(body, None).is_err());
    }
}
