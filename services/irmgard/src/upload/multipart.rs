//! A photo of unknown length that is larger than a part: S3's multipart
//! upload, one part in memory at a time.

use std::sync::Arc;

use aws_sdk_s3::{
    primitives::{ByteStream, SdkBody},
    types::{CompletedMultipartUpload, CompletedPart},
};
use bytes::Bytes;
use contract::{ObjectLocation, media::MediaType};

use super::{error::UploadError, objects::Originals, progress::Progress, transfer::Transfer};
use crate::store::StoreError;

/// Completing takes the store longer than taking a part: it may put the parts
/// together. In time limits of the store.
const COMPLETION: u32 = 4;

/// A multipart upload that has begun. Dropped before
/// [`MultipartUpload::complete`] succeeded, it is aborted in the background.
pub struct MultipartUpload {
    originals: Originals,
    location: ObjectLocation,
    id: String,
    parts: Vec<CompletedPart>,
    ended: bool,
}

impl MultipartUpload {
    /// Begins one.
    pub async fn begin(
        originals: &Originals,
        location: &ObjectLocation,
        media_type: MediaType,
    ) -> Result<Self, UploadError> {
        let store = originals.store();
        let request = store.client().create_multipart_upload();
        let request = request
            .bucket(location.bucket())
            .key(location.key())
            .content_type(media_type.as_str());
        let begun = Box::pin(store.ask(request.send())).await?;
        let id = begun
            .upload_id
            .ok_or_else(|| StoreError::Refused("no upload id".to_owned()))?;
        Ok(Self {
            originals: originals.clone(),
            location: location.clone(),
            id,
            parts: Vec::new(),
            ended: false,
        })
    }

    /// Sends a part; all but the last have the same size.
    pub async fn part(&mut self, bytes: Vec<Bytes>) -> Result<(), UploadError> {
        let number = i32::try_from(self.parts.len() + 1).unwrap_or(i32::MAX);
        let store = self.originals.store();
        let permit = store.breaker().permit().map_err(StoreError::from)?;
        let progress = Arc::new(Progress::new());
        let body = Transfer::of(bytes, Arc::clone(&progress), Arc::clone(store.alive()));
        let request = store
            .client()
            .upload_part()
            .bucket(self.location.bucket())
            .key(self.location.key())
            .upload_id(&self.id)
            .part_number(number)
            .content_length(i64::try_from(body.remaining()).unwrap_or(i64::MAX))
            .body(ByteStream::new(SdkBody::from_body_1_x(body)));
        let request = Box::pin(request.send());
        let sent = self.originals.watched(&progress, permit, request).await?;
        self.parts.push(
            CompletedPart::builder()
                .part_number(number)
                .set_e_tag(sent.e_tag)
                .build(),
        );
        Ok(())
    }

    /// Makes the parts one object.
    pub async fn complete(mut self) -> Result<(), UploadError> {
        let store = self.originals.store();
        let permit = store.breaker().permit().map_err(StoreError::from)?;
        let parts = CompletedMultipartUpload::builder()
            .set_parts(Some(std::mem::take(&mut self.parts)))
            .build();
        let request = store
            .client()
            .complete_multipart_upload()
            .bucket(self.location.bucket())
            .key(self.location.key())
            .upload_id(&self.id)
            .multipart_upload(parts);
        let limit = store.timeout() * COMPLETION;
        let answer = Box::pin(store.within(limit, request.send())).await;
        store.report(permit, &answer);
        answer?;
        self.ended = true;
        Ok(())
    }
}

impl Drop for MultipartUpload {
    fn drop(&mut self) {
        if !self.ended {
            self.originals
                .abort_later(self.location.clone(), std::mem::take(&mut self.id));
        }
    }
}
