//! From a message to a verdict on a photo.

use contract::{
    FailureReason, JobError, JobMessage, Outcome, PhotoId, PhotoResult, headers::MAX_MESSAGE_BYTES,
};

/// A verdict on a photo, from whichever queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The photo.
    pub id: PhotoId,
    /// What became of it.
    pub outcome: Outcome,
}

/// The message is no verdict on a photo of ours. The text tells why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unattributable(pub String);

impl Verdict {
    /// Reads a worker's result message.
    ///
    /// # Errors
    /// When it is too long, malformed, or of an unknown version.
    pub fn from_result(body: &[u8]) -> Result<Self, Unattributable> {
        if body.len() > MAX_MESSAGE_BYTES {
            return Err(Unattributable(format!(
                "message of {} bytes: more than {MAX_MESSAGE_BYTES}",
                body.len()
            )));
        }
        let result = PhotoResult::decode(body).map_err(|e| Unattributable(e.to_string()))?;
        Ok(Self {
            id: result.id,
            outcome: result.outcome,
        })
    }

    /// Reads a job that the broker gave up on; `death` is the newest entry of
    /// its `x-death` header: queue, reason and count.
    ///
    /// # Errors
    /// When the job names no photo of ours.
    pub fn from_dead_letter(
        body: &[u8],
        death: Option<&(String, String, i64)>,
    ) -> Result<Self, Unattributable> {
        let id = match JobMessage::decode(body) {
            Ok(JobMessage::Ours(job)) => job.id,
            Err(JobError::Malformed { id, .. }) => id,
            Ok(JobMessage::Given(_)) => {
                return Err(Unattributable("a job of another web service".to_owned()));
            }
            Err(error) => return Err(Unattributable(error.to_string())),
        };
        let detail = death.map_or_else(
            || "the broker gave the job up".to_owned(),
            |(queue, reason, count)| {
                format!("the broker gave the job up: {reason} in {queue}, {count} times")
            },
        );
        Ok(Self {
            id,
            outcome: Outcome::failed(FailureReason::DeliveryLimit, detail),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: i64) -> PhotoId {
        PhotoId::try_from(n).unwrap()
    }

    #[test]
    fn a_result_of_an_unknown_version_belongs_to_no_photo() {
        let error = Verdict::from_result(br#"{"version":2,"id":1,"outcome":"anonymized"}"#).unwrap_err();
        assert!(error.0.contains("unknown version 2"), "{error}");
    }

    #[test]
    fn a_long_message_is_not_read() {
        let body = vec![b' '; MAX_MESSAGE_BYTES + 1];
        assert!(Verdict::from_result(&body).is_err());
        assert!(Verdict::from_dead_letter(&body, None).is_err());
    }

    #[test]
    fn a_dead_job_fails_its_photo_even_when_it_is_malformed() {
        let death = ("images".to_owned(), "delivery_limit".to_owned(), 1);
        let verdict = Verdict::from_dead_letter(br#"{"version":1,"id":7}"#, Some(&death)).unwrap();
        assert_eq!(verdict.id, id(7));
        let Outcome::Failed { reason, detail } = verdict.outcome else {
            panic!("a dead letter is a failure");
        };
        assert_eq!(reason, FailureReason::DeliveryLimit);
        assert!(detail.contains("delivery_limit in images"), "{detail}");
    }

    /// Whoever may publish to the queue can write any `x-death`.
    #[test]
    fn a_dead_letters_detail_is_cut() {
        let death = ("ä".repeat(100_000), "rejected".to_owned(), 1);
        let verdict = Verdict::from_dead_letter(br#"{"version":1,"id":7}"#, Some(&death)).unwrap();
        let Outcome::Failed { detail, .. } = verdict.outcome else {
            panic!("a dead letter is a failure");
        };
        assert_eq!(detail.chars().count(), contract::MAX_DETAIL_CHARS + 1);
        assert!(detail.ends_with("ä…"), "{detail}");
    }

    #[test]
    fn a_dead_job_of_the_given_web_service_is_not_taken_for_ours() {
        let body = br#"{"id":7,"name":"a.jpg","storage_location":"infiles/a.jpg"}"#;
        assert!(Verdict::from_dead_letter(body, None).is_err());
    }
}
