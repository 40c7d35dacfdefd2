//! From a message to an assignment: which object to read, and where its
//! anonymised copy goes.
//!
//! Invariant: whatever a message says, the worker reads and deletes originals
//! only in the input buckets, and writes only the one key in the output bucket
//! that belongs to that original. A forged message can neither overwrite
//! another photo's output nor take one of our originals out of our hands.

use std::collections::BTreeSet;

use contract::{GivenJob, Job, JobError, JobMessage, ObjectLocation, PhotoId, PhotoKey, ProjectName, key};

/// The buckets that the worker may touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buckets {
    /// Originals of ours, and of the given web service.
    pub input: String,
    /// Anonymised photos.
    pub output: String,
    /// More buckets in which the given web service's originals may lie.
    pub extra_inputs: BTreeSet<String>,
}

/// Whose photo it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Stored by irmgard, which waits for a result.
    Irmgard {
        /// The photo.
        id: PhotoId,
        /// Its timelapse project.
        project: ProjectName,
    },
    /// Stored by the given web service, which expects no answer.
    Given {
        /// Row number in its database.
        id: i64,
    },
}

impl Origin {
    /// The photo's number if it is one of ours.
    #[must_use]
    pub const fn photo(&self) -> Option<PhotoId> {
        match self {
            Self::Irmgard { id, .. } => Some(*id),
            Self::Given { .. } => None,
        }
    }

    /// The number in the message, whoever gave it.
    #[must_use]
    pub const fn number(&self) -> i64 {
        match self {
            Self::Irmgard { id, .. } => id.get(),
            Self::Given { id } => *id,
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Whose photo.
    pub origin: Origin,
    /// The photo as it came.
    pub original: ObjectLocation,
    /// Where the anonymised photo goes.
    pub output: ObjectLocation,
}

/// A message that is no assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// It names one of our photos, but makes no sense: a verdict on it.
    Malformed {
        /// The photo.
        id: PhotoId,
        /// What is wrong.
        why: String,
    },
    /// It belongs to no photo of ours: parked for a person.
    Unattributable {
        /// What is wrong.
        why: String,
    },
}

impl Assignment {
    /// Reads a message body.
    ///
    /// # Errors
    /// See [`Rejection`].
    pub fn read(body: &[u8], buckets: &Buckets) -> Result<Self, Rejection> {
        match JobMessage::decode(body) {
            Ok(JobMessage::Ours(job)) => ours(job, buckets),
            Ok(JobMessage::Given(job)) => given(&job, buckets),
            Err(JobError::Malformed { id, why }) => Err(Rejection::Malformed { id, why }),
            Err(error) => Err(Rejection::Unattributable {
                why: error.to_string(),
            }),
        }
    }
}

fn ours(job: Job, buckets: &Buckets) -> Result<Assignment, Rejection> {
    let malformed = |why: &str| Rejection::Malformed {
        id: job.id,
        why: why.to_owned(),
    };
    if job.uri.bucket() != buckets.input {
        return Err(malformed("uri names another bucket than the input bucket"));
    }
    let key = PhotoKey::parse(job.uri.key())
        .filter(|key| key.id == job.id && key.project == job.project)
        .ok_or_else(|| malformed("uri is not the place of this photo's original"))?;
    if job.output.bucket() != buckets.output || job.output.key() != key.anonymized() {
        return Err(malformed(
            "output is not the place of this photo's anonymised copy",
        ));
    }
    Ok(Assignment {
        origin: Origin::Irmgard {
            id: job.id,
            project: job.project,
        },
        original: job.uri,
        output: job.output,
    })
}

fn given(job: &GivenJob, buckets: &Buckets) -> Result<Assignment, Rejection> {
    let rejected = |why: String| Rejection::Unattributable { why };
    let original = ObjectLocation::from_storage_location(&job.storage_location)
        .map_err(|e| rejected(format!("storage_location: {e}")))?;
    if original.bucket() != buckets.input && !buckets.extra_inputs.contains(original.bucket()) {
        return Err(rejected("storage_location is in no input bucket".to_owned()));
    }
    if original.key().starts_with(key::PREFIX) {
        return Err(rejected(format!(
            "keys beginning with {} are irmgard's, and its messages carry a version",
            key::PREFIX
        )));
    }
    let output =
        ObjectLocation::new(&buckets.output, original.key()).map_err(|e| rejected(format!("output: {e}")))?;
    Ok(Assignment {
        origin: Origin::Given { id: job.id },
        original,
        output,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets() -> Buckets {
        Buckets {
            input: "input".to_owned(),
            output: "output".to_owned(),
            extra_inputs: BTreeSet::from(["infiles".to_owned()]),
        }
    }

    fn message(id: i64, uri: &str, output: &str) -> Vec<u8> {
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
    fn our_message_is_an_assignment() {
        let assignment = Assignment::read(&message(17, URI, OUTPUT), &buckets()).unwrap();
        assert_eq!(assignment.original.to_string(), URI);
        assert_eq!(assignment.output.to_string(), OUTPUT);
        assert_eq!(assignment.origin.photo().map(PhotoId::get), Some(17));
    }

    #[test]
    fn forged_places_are_malformed() {
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
            let read = Assignment::read(&message(id, uri, output), &buckets());
            assert!(
                matches!(read, Err(Rejection::Malformed { id: of, .. }) if of.get() == id),
                "{uri} {output}: {read:?}"
            );
        }
    }

    fn given_message(location: &str) -> Vec<u8> {
        serde_json::json!({"id": 1, "name": "a.jpg", "storage_location": location})
            .to_string()
            .into_bytes()
    }

    #[test]
    fn message_of_the_given_web_service_keeps_the_object_name() {
        for bucket in ["input", "infiles"] {
            let read =
                Assignment::read(&given_message(&format!("{bucket}/cam 1/ä.jpg")), &buckets()).unwrap();
            assert_eq!(read.output.to_string(), "s3://output/cam 1/ä.jpg");
            assert_eq!(read.origin, Origin::Given { id: 1 });
        }
    }

    #[test]
    fn what_belongs_to_no_photo_is_parked() {
        let bodies: [&[u8]; 12] = [
            b"",
            b"not json",
            b"[]",
            b"{\"version\":2,\"id\":17}",
            &given_message("secrets/a.jpg"),
            &given_message("output/a.jpg"),
            &given_message("input/photos/north/2026-02-03/17.png"),
            // To a store that reads keys as paths, these are others' objects.
            &given_message("input/./photos/north/2026-02-03/17.png"),
            &given_message("input/x/../photos/north/2026-02-03/17.png"),
            &given_message("input//photos/north/2026-02-03/17.png"),
            &given_message("input/../output/photos/north/2026-02-03/17.jpg"),
            &given_message("input/a\\..\\photos\\17.jpg"),
        ];
        for body in bodies {
            let read = Assignment::read(body, &buckets());
            assert!(
                matches!(read, Err(Rejection::Unattributable { .. })),
                "{}: {read:?}",
                String::from_utf8_lossy(body)
            );
        }
    }

    #[test]
    fn unreadable_rest_of_our_message_is_malformed() {
        let read = Assignment::read(b"{\"version\":1,\"id\":17,\"name\":3}", &buckets());
        assert!(matches!(read, Err(Rejection::Malformed { id, .. }) if id.get() == 17));
    }
}
