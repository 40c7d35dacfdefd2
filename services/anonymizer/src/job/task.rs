//! From a message to a task: which object to read, and where its anonymised copy goes.
//!
//! Invariant: whatever a message says, the worker reads and deletes originals only in the input buckets. It writes only
//! one key in the output bucket: the one that belongs to the original. A forged message can neither overwrite the
//! output of another photo nor make the worker delete an original of irmgard.

use contract::{
    Job, JobError, JobMessage, LegacyJob, ObjectLocation, PhotoId, PhotoKey, ProjectName,
    headers::{X_KILLED_RETURNS, X_UNREADABLE_RETURNS},
    key,
};
use service_runtime::broker::{Delivery, Message};
use telemetry::TraceContext;

use crate::settings::Buckets;

/// A delivered message: its body and what its headers say about earlier deliveries.
#[derive(Debug)]
pub struct JobEnvelope {
    /// The message as the worker would publish it again: body, id, our headers.
    pub message: Message,
    /// The message was delivered before, so its photo may have crashed a worker.
    pub is_suspect: bool,
    /// How often the message returned to the queue because its original could not be read.
    pub unreadable_returns: u64,
    /// How often the message returned to the queue because its child process was killed from outside.
    pub killed_returns: u64,
    pub trace: Option<TraceContext>,
}

impl From<&Delivery> for JobEnvelope {
    fn from(delivery: &Delivery) -> Self {
        Self {
            message: delivery.as_message(),
            is_suspect: delivery.deliveries_before() > 0,
            unreadable_returns: delivery.header_count(X_UNREADABLE_RETURNS),
            killed_returns: delivery.header_count(X_KILLED_RETURNS),
            trace: TraceContext::extract(|name| delivery.header_text(name)),
        }
    }
}

/// The service that stored a photo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhotoOwner {
    /// irmgard, which waits for a result.
    Irmgard { id: PhotoId, project: ProjectName },
    /// The legacy web service, which expects no result.
    LegacyService {
        /// Row number in its database.
        id: i64,
    },
}

impl PhotoOwner {
    /// The photo's id, if irmgard owns the photo.
    #[must_use]
    pub const fn photo_id(&self) -> Option<PhotoId> {
        match self {
            Self::Irmgard { id, .. } => Some(*id),
            Self::LegacyService { .. } => None,
        }
    }

    /// The id in the message, whatever service wrote it.
    #[must_use]
    pub const fn raw_id(&self) -> i64 {
        match self {
            Self::Irmgard { id, .. } => id.get(),
            Self::LegacyService { id } => *id,
        }
    }
}

/// A photo to anonymise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhotoTask {
    pub owner: PhotoOwner,
    pub original: ObjectLocation,
    /// Where the anonymised photo goes.
    pub output: ObjectLocation,
}

/// A message that is not a valid job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidJob {
    /// The message names a photo of irmgard, but is not valid: the photo fails.
    Malformed { id: PhotoId, detail: String },
    /// The message names no photo of irmgard: it is parked.
    Unattributable { detail: String },
}

impl PhotoTask {
    /// Parses a message body.
    ///
    /// # Errors
    /// See [`InvalidJob`].
    pub fn parse(body: &[u8], buckets: &Buckets) -> Result<Self, InvalidJob> {
        match JobMessage::decode(body) {
            Ok(JobMessage::Versioned(job)) => irmgard_task(job, buckets),
            Ok(JobMessage::Legacy(job)) => legacy_task(&job, buckets),
            Err(JobError::Malformed { id, why }) => Err(InvalidJob::Malformed { id, detail: why }),
            Err(error) => Err(InvalidJob::Unattributable {
                detail: error.to_string(),
            }),
        }
    }
}

fn irmgard_task(job: Job, buckets: &Buckets) -> Result<PhotoTask, InvalidJob> {
    let malformed = |detail: &str| InvalidJob::Malformed {
        id: job.id,
        detail: detail.to_owned(),
    };
    if job.uri.bucket() != buckets.input {
        return Err(malformed("uri is not in the input bucket"));
    }
    let key = PhotoKey::parse(job.uri.key())
        .filter(|key| key.id == job.id && key.project == job.project)
        .ok_or_else(|| malformed("uri is not the location of this photo's original"))?;
    if job.output.bucket() != buckets.output || job.output.key() != key.anonymized() {
        return Err(malformed(
            "output is not the location of this photo's anonymised copy",
        ));
    }
    Ok(PhotoTask {
        owner: PhotoOwner::Irmgard {
            id: job.id,
            project: job.project,
        },
        original: job.uri,
        output: job.output,
    })
}

fn legacy_task(job: &LegacyJob, buckets: &Buckets) -> Result<PhotoTask, InvalidJob> {
    let unattributable = |detail: String| InvalidJob::Unattributable { detail };
    let original = ObjectLocation::from_storage_location(&job.storage_location)
        .map_err(|e| unattributable(format!("storage_location: {e}")))?;
    if original.bucket() != buckets.input && !buckets.extra_inputs.contains(original.bucket()) {
        return Err(unattributable(
            "storage_location is not in an input bucket".to_owned(),
        ));
    }
    if original.key().starts_with(key::PREFIX) {
        return Err(unattributable(format!(
            "keys that begin with {} belong to irmgard, but the message has no version",
            key::PREFIX
        )));
    }
    let output = ObjectLocation::new(&buckets.output, original.key())
        .map_err(|e| unattributable(format!("output: {e}")))?;
    Ok(PhotoTask {
        owner: PhotoOwner::LegacyService { id: job.id },
        original,
        output,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn buckets() -> Buckets {
        Buckets {
            input: "input".to_owned(),
            output: "output".to_owned(),
            extra_inputs: BTreeSet::from(["infiles".to_owned()]),
        }
    }

    fn irmgard_message(id: i64, uri: &str, output: &str) -> Vec<u8> {
        serde_json::json!({
            "version": 1, "id": id, "name": "a.png", "project": "north",
            "storage_location": uri.trim_start_matches("s3://"), "uri": uri, "output": output,
        })
        .to_string()
        .into_bytes()
    }

    const URI: &str = "s3://input/photos/north/2026-02-03/17.png";
    const OUTPUT: &str = "s3://output/photos/north/2026-02-03/17.jpg";

    #[test]
    fn irmgard_message_is_a_task() {
        let task = PhotoTask::parse(&irmgard_message(17, URI, OUTPUT), &buckets()).unwrap();
        assert_eq!(task.original.to_string(), URI);
        assert_eq!(task.output.to_string(), OUTPUT);
        assert_eq!(task.owner.photo_id().map(PhotoId::get), Some(17));
    }

    #[test]
    fn forged_locations_are_malformed() {
        let forged = [
            (17, "s3://other/photos/north/2026-02-03/17.png", OUTPUT),
            (17, "s3://output/photos/north/2026-02-03/17.png", OUTPUT),
            (18, URI, OUTPUT),
            (17, "s3://input/photos/south/2026-02-03/17.png", OUTPUT),
            (17, "s3://input/secret.png", OUTPUT),
            (17, URI, "s3://output/photos/north/2026-02-03/18.jpg"),
            (17, URI, "s3://output/photos/north/2026-02-03/17.png"),
            (17, URI, "s3://input/photos/north/2026-02-03/17.jpg"),
        ];
        for (id, uri, output) in forged {
            let task = PhotoTask::parse(&irmgard_message(id, uri, output), &buckets());
            assert!(
                matches!(task, Err(InvalidJob::Malformed { id: failed, .. }) if failed.get() == id),
                "{uri} {output}: {task:?}"
            );
        }
    }

    fn legacy_message(location: &str) -> Vec<u8> {
        serde_json::json!({"id": 1, "name": "a.jpg", "storage_location": location})
            .to_string()
            .into_bytes()
    }

    #[test]
    fn legacy_message_keeps_the_object_key() {
        for bucket in ["input", "infiles"] {
            let task =
                PhotoTask::parse(&legacy_message(&format!("{bucket}/cam 1/ä.jpg")), &buckets()).unwrap();
            assert_eq!(task.output.to_string(), "s3://output/cam 1/ä.jpg");
            assert_eq!(task.owner, PhotoOwner::LegacyService { id: 1 });
        }
    }

    #[test]
    fn message_that_names_no_photo_is_unattributable() {
        let bodies: [&[u8]; 12] = [
            b"",
            b"not json",
            b"[]",
            b"{\"version\":2,\"id\":17}",
            &legacy_message("secrets/a.jpg"),
            &legacy_message("output/a.jpg"),
            &legacy_message("input/photos/north/2026-02-03/17.png"),
            // A store that reads keys as paths resolves these to other objects.
            &legacy_message("input/./photos/north/2026-02-03/17.png"),
            &legacy_message("input/x/../photos/north/2026-02-03/17.png"),
            &legacy_message("input//photos/north/2026-02-03/17.png"),
            &legacy_message("input/../output/photos/north/2026-02-03/17.jpg"),
            &legacy_message("input/a\\..\\photos\\17.jpg"),
        ];
        for body in bodies {
            let task = PhotoTask::parse(body, &buckets());
            assert!(
                matches!(task, Err(InvalidJob::Unattributable { .. })),
                "{}: {task:?}",
                String::from_utf8_lossy(body)
            );
        }
    }

    #[test]
    fn invalid_field_in_irmgard_message_is_malformed() {
        let task = PhotoTask::parse(b"{\"version\":1,\"id\":17,\"name\":3}", &buckets());
        assert!(matches!(task, Err(InvalidJob::Malformed { id, .. }) if id.get() == 17));
    }
}
