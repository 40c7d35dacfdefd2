//! Lists the objects of a bucket.

use anyhow::Context;
use chrono::{DateTime, Utc};
use contract::ObjectLocation;
use service_runtime::store::{Store, StoreError};

/// An object in a listing.
pub(super) struct ListedObject {
    pub(super) location: ObjectLocation,
    pub(super) since: DateTime<Utc>,
    pub(super) size_bytes: i64,
}

/// The objects of a bucket with a common key prefix, page by page.
pub(super) struct ObjectPages<'a> {
    store: &'a Store,
    bucket: &'a str,
    prefix: &'a str,
    token: Option<String>,
    done: bool,
}

impl<'a> ObjectPages<'a> {
    pub(super) const fn new(store: &'a Store, bucket: &'a str, prefix: &'a str) -> Self {
        Self {
            store,
            bucket,
            prefix,
            token: None,
            done: false,
        }
    }

    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Vec<ListedObject>>> {
        if self.done {
            return Ok(None);
        }
        let page = self
            .store
            .client()
            .list_objects_v2()
            .bucket(self.bucket)
            .prefix(self.prefix)
            .set_continuation_token(self.token.take())
            .send()
            .await
            .map_err(StoreError::from)
            .with_context(|| format!("objects in bucket {}", self.bucket))?;
        self.token = page.next_continuation_token.clone();
        self.done = self.token.is_none();
        let objects = page.contents().iter().filter_map(|object| {
            Some(ListedObject {
                location: ObjectLocation::new(self.bucket, object.key()?).ok()?,
                since: convert_time(object.last_modified())?,
                size_bytes: object.size().unwrap_or(0),
            })
        });
        Ok(Some(objects.collect()))
    }
}

/// Converts the SDK's time.
pub(super) fn convert_time(time: Option<&aws_sdk_s3::primitives::DateTime>) -> Option<DateTime<Utc>> {
    let time = time?;
    DateTime::from_timestamp(time.secs(), time.subsec_nanos())
}
