//! S3: one client, and the few operations that both services share, with
//! their failures classified once.
//!
//! Plain S3 only, path style, so that any server that speaks it will do.
//! Nothing is retried here: how often and how long is the caller's decision.

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

/// What is known about an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectHead {
    /// Size in bytes.
    pub size_bytes: u64,
    /// Entity tag, with its quotes.
    pub etag: Option<String>,
    /// Media type, as it was stored.
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
    /// A client; nothing is sent yet.
    ///
    /// # Errors
    /// When the CA certificates cannot be read.
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

    /// The settings.
    #[must_use]
    pub const fn settings(&self) -> &StoreSettings {
        &self.settings
    }

    /// The SDK's client, where an answer must begin within
    /// [`StoreSettings::answer_timeout`], sending included, and may not pause
    /// for longer.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// The SDK's client without a limit on the answer, for bodies that arrive
    /// as slowly as a camera sends them: the caller watches the progress.
    ///
    /// A body that is a stream is sent as it comes, with `UNSIGNED-PAYLOAD`
    /// in the signature; its length must be known.
    #[must_use]
    pub const fn upload_client(&self) -> &Client {
        &self.upload_client
    }

    /// Drops idle connections older than `since`, when a request began that had no answer in time: the server may have
    /// vanished. Call it after a timeout of your own; [`Store::client`] does so after its own.
    pub fn report_timeout(&self, since: Instant) {
        self.http.renew(since);
    }

    /// Reads a whole object.
    ///
    /// # Errors
    /// As [`Store::download`].
    pub async fn get(&self, location: &ObjectLocation, max_bytes: u64) -> Result<Vec<u8>, StoreError> {
        // The SDK's future is large and deep, and would be part of every caller's.
        let mut download = Box::pin(self.download(location, max_bytes)).await?;
        let size = download.size_bytes().unwrap_or(0);
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        while let Some(chunk) = download.next().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// Begins to read an object; takes the memory of a piece, not of the whole.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] beyond `max_bytes`, which is not read then;
    /// [`StoreError::NotFound`] as [`Store::head`].
    pub async fn download(&self, location: &ObjectLocation, max_bytes: u64) -> Result<Download, StoreError> {
        let object = self
            .client
            .get_object()
            .bucket(location.bucket())
            .key(location.key())
            .send()
            .await
            .map_err(error::classify);
        let object = match object {
            Ok(object) => object,
            Err(error) => return Err(self.explained(error, location).await),
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

    /// Stores an object, over whatever was there.
    ///
    /// # Errors
    /// After [`StoreError::Unavailable`] it may be stored or not.
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
            .map_err(error::classify)
    }

    /// Looks at an object.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none. A missing bucket is
    /// [`StoreError::Unavailable`]: it says nothing about the object.
    pub async fn head(&self, location: &ObjectLocation) -> Result<ObjectHead, StoreError> {
        let head = self
            .client
            .head_object()
            .bucket(location.bucket())
            .key(location.key())
            .send()
            .await
            .map_err(error::classify);
        match head {
            Ok(head) => Ok(ObjectHead {
                size_bytes: head
                    .content_length()
                    .and_then(|length| u64::try_from(length).ok())
                    .unwrap_or(0),
                etag: head.e_tag().map(ToOwned::to_owned),
                content_type: head.content_type().map(ToOwned::to_owned),
            }),
            Err(error) => Err(self.explained(error, location).await),
        }
    }

    /// Tells a missing object from a missing bucket: the answer to a HEAD has
    /// no body that could, and some servers say "no such key" for both.
    async fn explained(&self, error: StoreError, location: &ObjectLocation) -> StoreError {
        if error != StoreError::NotFound {
            return error;
        }
        match self.check_bucket(location.bucket()).await {
            Ok(()) => StoreError::NotFound,
            Err(error) => error,
        }
    }

    /// Whether there is such an object.
    ///
    /// # Errors
    /// When that cannot be said.
    pub async fn exists(&self, location: &ObjectLocation) -> Result<bool, StoreError> {
        match self.head(location).await {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes an object; one that is not there is deleted already.
    ///
    /// # Errors
    /// After [`StoreError::Unavailable`] it may be deleted or not.
    pub async fn delete(&self, location: &ObjectLocation) -> Result<(), StoreError> {
        let deleted = self
            .client
            .delete_object()
            .bucket(location.bucket())
            .key(location.key())
            .send()
            .await
            .map(drop)
            .map_err(error::classify);
        match deleted {
            Err(StoreError::NotFound) => Ok(()),
            other => other,
        }
    }

    /// Whether the bucket can be used.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it does not exist or cannot be asked.
    pub async fn check_bucket(&self, bucket: &str) -> Result<(), StoreError> {
        let asked = self
            .client
            .head_bucket()
            .bucket(bucket)
            .send()
            .await
            .map_err(error::classify);
        match asked {
            Ok(_) => Ok(()),
            Err(StoreError::NotFound) => Err(StoreError::Unavailable(format!("there is no bucket {bucket}"))),
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
        // Both watch the same transfers, with limits of their own.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // Checksum trailers are younger than many servers, and they need a
        // body in chunks.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build();
    Client::from_conf(config)
}
