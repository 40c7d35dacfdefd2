//! Multipart uploads to S3, for photos of unknown length that exceed one part. One part is in memory at a time.

use std::sync::Arc;

use aws_sdk_s3::{
    primitives::{ByteStream, SdkBody},
    types::{CompletedMultipartUpload, CompletedPart},
};
use bytes::Bytes;
use contract::{ObjectLocation, media::MediaType};

use super::{
    error::UploadError, original_store::OriginalStore, progress::TransferProgress, transfer::TransferBody,
};
use crate::store::StoreError;

/// Time limit for completing an upload, in time limits of the store: it may have to concatenate the parts.
const COMPLETION_TIMEOUTS: u32 = 4;

/// A multipart upload. It is aborted in the background if it is dropped before [`MultipartUpload::complete`] succeeds.
pub struct MultipartUpload {
    originals: OriginalStore,
    location: ObjectLocation,
    id: String,
    parts: Vec<CompletedPart>,
    finished: bool,
}

impl MultipartUpload {
    pub async fn begin(
        originals: &OriginalStore,
        location: &ObjectLocation,
        media_type: MediaType,
    ) -> Result<Self, UploadError> {
        let store = originals.store();
        let request = store.client().create_multipart_upload();
        let request = request
            .bucket(location.bucket())
            .key(location.key())
            .content_type(media_type.as_str());
        let created = Box::pin(store.send(request.send())).await?;
        let id = created
            .upload_id
            .ok_or_else(|| StoreError::Refused("no upload id".to_owned()))?;
        Ok(Self {
            originals: originals.clone(),
            location: location.clone(),
            id,
            parts: Vec::new(),
            finished: false,
        })
    }

    /// Sends a part. All parts but the last must have the same size.
    pub async fn upload_part(&mut self, bytes: Vec<Bytes>) -> Result<(), UploadError> {
        let number = i32::try_from(self.parts.len() + 1).unwrap_or(i32::MAX);
        let store = self.originals.store();
        let permit = store.breaker().permit().map_err(StoreError::from)?;
        let progress = Arc::new(TransferProgress::new());
        let body = TransferBody::from_bytes(bytes, Arc::clone(&progress), Arc::clone(store.liveness()));
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
        let sent = self.originals.send_watched(&progress, permit, request).await?;
        self.parts.push(
            CompletedPart::builder()
                .part_number(number)
                .set_e_tag(sent.e_tag)
                .build(),
        );
        Ok(())
    }

    /// Combines the parts into the object.
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
        let limit = store.timeout() * COMPLETION_TIMEOUTS;
        let answer = Box::pin(store.send_within(limit, request.send())).await;
        store.report(permit, &answer);
        answer?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for MultipartUpload {
    fn drop(&mut self) {
        if !self.finished {
            self.originals
                .abort_later(self.location.clone(), std::mem::take(&mut self.id));
        }
    }
}
