//! S3: one client and the operations that both services share. Failures are classified once.
//!
//! It uses plain S3 with path-style addresses, so that any S3 server works. It does not retry: the caller
//! decides about that.

mod download;
mod error;
mod http;
mod settings;

use std::time::Instant;

use aws_sdk_s3::{
    Client,
    config::{
        BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
        SharedHttpClient, StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig,
    },
    primitives::ByteStream,
};
use contract::ObjectLocation;
use secrecy::ExposeSecret;

pub use download::Download;
pub use error::StoreError;
pub use settings::StoreSettings;

use self::http::StoreHttp;

/// Metadata of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectHead {
    pub size_bytes: u64,
    /// Entity tag, with its quotes.
    pub etag: Option<String>,
    pub content_type: Option<String>,
}

/// An object store. Clones share connections.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    upload_client: Client,
    http: StoreHttp,
    settings: StoreSettings,
}

impl Store {
    /// Creates a client; sends nothing yet.
    ///
    /// # Errors
    /// The CA certificates cannot be parsed.
    pub fn new(settings: StoreSettings) -> Result<Self, StoreError> {
        let http = http::http_client(&settings)?;
        let shared = SharedHttpClient::new(http.clone());
        let timeouts = TimeoutConfig::builder().connect_timeout(settings.connect_timeout);
        let unlimited = timeouts.clone().build();
        let limited = timeouts.read_timeout(settings.answer_timeout).build();
        Ok(Self {
            client: client(&settings, shared.clone(), limited),
            upload_client: client(&settings, shared, unlimited),
            http,
            settings,
        })
    }

    #[must_use]
    pub const fn settings(&self) -> &StoreSettings {
        &self.settings
    }

    /// The SDK's client with a time limit: a response must begin within [`StoreSettings::answer_timeout`],
    /// including the time to send the request, and may not pause for longer.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// The SDK's client without a time limit, for bodies that arrive as slowly as a camera sends them. The
    /// caller watches the progress.
    ///
    /// A streamed body is sent as it arrives, with `UNSIGNED-PAYLOAD` in the signature. Its length must be known.
    #[must_use]
    pub const fn upload_client(&self) -> &Client {
        &self.upload_client
    }

    /// Drops idle connections older than `since`, the start of a request that had no answer in time: the server may
    /// have vanished. Call it after a timeout of your own; [`Store::client`] does it after its own.
    pub fn report_timeout(&self, since: Instant) {
        self.http.replace_pool(since);
    }

    /// Reads a whole object.
    pub async fn get(&self, location: &ObjectLocation, max_bytes: u64) -> Result<Vec<u8>, StoreError> {
        // Boxed: the SDK's future is large and would be part of every caller's.
        let mut download = Box::pin(self.download(location, max_bytes)).await?;
        let size = download.size_bytes().unwrap_or(0);
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        while let Some(chunk) = download.next().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// Begins to read an object. Needs the memory of one chunk only.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] beyond `max_bytes`; the object is not read then. [`StoreError::NotFound`] as
    /// in [`Store::head`].
    pub async fn download(&self, location: &ObjectLocation, max_bytes: u64) -> Result<Download, StoreError> {
        let object = self
            .client
            .get_object()
            .bucket(location.bucket())
            .key(location.key())
            .send()
            .await
            .map_err(StoreError::from);
        let object = match object {
            Ok(object) => object,
            Err(error) => return Err(self.resolve_not_found(error, location).await),
        };
        let size_bytes = object
            .content_length()
            .and_then(|length| u64::try_from(length).ok());
        if let Some(size_bytes) = size_bytes.filter(|size| *size > max_bytes) {
            return Err(StoreError::TooLarge { size_bytes });
        }
        Ok(Download {
            body: object.body,
            size_bytes,
            max_bytes,
            read: 0,
        })
    }

    /// Stores an object; replaces an existing one.
    ///
    /// # Errors
    /// After [`StoreError::Unavailable`] the object may or may not be stored.
    pub async fn put(
        &self,
        location: &ObjectLocation,
        bytes: impl Into<ByteStream>,
        content_type: &str,
    ) -> Result<(), StoreError> {
        self.client
            .put_object()
            .bucket(location.bucket())
            .key(location.key())
            .content_type(content_type)
            .body(bytes.into())
            .send()
            .await
            .map(drop)
            .map_err(StoreError::from)
    }

    /// Reads the metadata of an object.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the object does not exist. A missing bucket is
    /// [`StoreError::Unavailable`]: it says nothing about the object.
    pub async fn head(&self, location: &ObjectLocation) -> Result<ObjectHead, StoreError> {
        let head = self
            .client
            .head_object()
            .bucket(location.bucket())
            .key(location.key())
            .send()
            .await
            .map_err(StoreError::from);
        match head {
            Ok(head) => Ok(ObjectHead {
                size_bytes: head
                    .content_length()
                    .and_then(|length| u64::try_from(length).ok())
                    .unwrap_or(0),
                etag: head.e_tag().map(ToOwned::to_owned),
                content_type: head.content_type().map(ToOwned::to_owned),
            }),
            Err(error) => Err(self.resolve_not_found(error, location).await),
        }
    }

    /// Tells a missing object from a missing bucket. The response to a HEAD has no body, and some servers
    /// answer "no such key" for both.
    async fn resolve_not_found(&self, error: StoreError, location: &ObjectLocation) -> StoreError {
        if error != StoreError::NotFound {
            return error;
        }
        match self.check_bucket(location.bucket()).await {
            Ok(()) => StoreError::NotFound,
            Err(error) => error,
        }
    }

    /// Whether the object exists.
    pub async fn exists(&self, location: &ObjectLocation) -> Result<bool, StoreError> {
        match self.head(location).await {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes an object; succeeds if it does not exist.
    ///
    /// # Errors
    /// After [`StoreError::Unavailable`] the object may or may not be deleted.
    pub async fn delete(&self, location: &ObjectLocation) -> Result<(), StoreError> {
        let deleted = self
            .client
            .delete_object()
            .bucket(location.bucket())
            .key(location.key())
            .send()
            .await
            .map(drop)
            .map_err(StoreError::from);
        match deleted {
            Err(StoreError::NotFound) => Ok(()),
            other => other,
        }
    }

    /// Checks that the bucket is usable.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it does not exist or the store does not answer.
    pub async fn check_bucket(&self, bucket: &str) -> Result<(), StoreError> {
        let response = self
            .client
            .head_bucket()
            .bucket(bucket)
            .send()
            .await
            .map_err(StoreError::from);
        match response {
            Ok(_) => Ok(()),
            Err(StoreError::NotFound) => {
                Err(StoreError::Unavailable(format!("bucket {bucket} does not exist")))
            }
            Err(error) => Err(error),
        }
    }
}

fn client(settings: &StoreSettings, http: SharedHttpClient, timeouts: TimeoutConfig) -> Client {
    let credentials = Credentials::new(
        settings.access_key_id.as_str(),
        settings.secret_access_key.expose_secret(),
        None,
        None,
        "settings",
    );
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(&settings.endpoint)
        .region(Region::new(settings.region.clone()))
        .credentials_provider(credentials)
        .force_path_style(true)
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::disabled())
        // Both would limit the same transfers, with limits of their own.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // Many servers do not support checksum trailers, which also require a chunked body.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build();
    Client::from_conf(config)
}
