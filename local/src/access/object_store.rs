//! The S3 store.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::DisplayErrorContext;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use serde::{Deserialize, Serialize};

use super::variable::{Access, Environment, required, set, variable, variable_or};
use crate::error::{Error, Result};
use crate::s3;

/// Address, keys and buckets of an S3 store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ObjectStoreAccess {
    /// The base URL.
    pub endpoint: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    /// The region for request signatures.
    pub region: String,
    /// The bucket for the originals.
    pub input_bucket: String,
    /// The bucket for the anonymised photos.
    pub output_bucket: String,
}

/// Switches an environment to the object store account of one of our programs (`irmgard`, `anonymizer`, `operator-shell`, `sweep`). The
/// account has the permissions of the manifests. Does nothing for an external store.
pub fn use_account(environment: &mut Environment, account: &str) {
    if let Some(access_key) = environment.get_mut("OBJECT_STORE_ACCESS_KEY_ID")
        && let Some(account_key) = s3::account_access_key(access_key, account)
    {
        *access_key = account_key;
    }
}

impl ObjectStoreAccess {
    /// The server that the environment names, if any.
    ///
    /// # Errors
    /// [`Error::MissingSetting`] without credentials.
    pub fn from_environment() -> Result<Option<Self>> {
        let Some(endpoint) = variable("OBJECT_STORE_ENDPOINT") else {
            return Ok(None);
        };
        Ok(Some(Self {
            endpoint,
            access_key_id: required("OBJECT_STORE_ENDPOINT", "OBJECT_STORE_ACCESS_KEY_ID")?,
            secret_access_key: required("OBJECT_STORE_ENDPOINT", "OBJECT_STORE_SECRET_ACCESS_KEY")?,
            region: variable_or("OBJECT_STORE_REGION", "us-east-1"),
            input_bucket: variable_or("OBJECT_STORE_INPUT_BUCKET", "input"),
            output_bucket: variable_or("OBJECT_STORE_OUTPUT_BUCKET", "output"),
        }))
    }

    fn client(&self) -> Client {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let (id, secret) = (&self.access_key_id, &self.secret_access_key);
        Client::from_conf(
            aws_sdk_s3::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .http_client(http)
                .credentials_provider(Credentials::new(id, secret, None, None, "local stack"))
                .region(Region::new(self.region.clone()))
                .endpoint_url(&self.endpoint)
                .force_path_style(true)
                .build(),
        )
    }

    /// Creates the two buckets, unless they exist.
    pub(crate) async fn create_buckets(&self) -> Result<()> {
        let client = self.client();
        for bucket in [&self.input_bucket, &self.output_bucket] {
            if let Err(error) = client.create_bucket().bucket(bucket).send().await {
                let exists = error.as_service_error().is_some_and(|error| {
                    error.is_bucket_already_owned_by_you() || error.is_bucket_already_exists()
                });
                if !exists {
                    return Err(Error::request(
                        format!("cannot create bucket {bucket}"),
                        DisplayErrorContext(error),
                    ));
                }
            }
        }
        Ok(())
    }
}

impl Access for ObjectStoreAccess {
    const SERVER: &'static str = "object-store";

    fn find() -> Result<Option<Self>> {
        Self::from_environment()
    }

    fn write(&self, environment: &mut Environment) {
        set(
            environment,
            [
                ("OBJECT_STORE_ENDPOINT", &*self.endpoint),
                ("OBJECT_STORE_ACCESS_KEY_ID", &self.access_key_id),
                ("OBJECT_STORE_SECRET_ACCESS_KEY", &self.secret_access_key),
                ("OBJECT_STORE_REGION", &self.region),
                ("OBJECT_STORE_INPUT_BUCKET", &self.input_bucket),
                ("OBJECT_STORE_OUTPUT_BUCKET", &self.output_bucket),
            ],
        );
    }

    async fn probe(&self) -> std::result::Result<(), String> {
        let response = self.client().list_buckets().send().await;
        response
            .map(drop)
            .map_err(|error| DisplayErrorContext(error).to_string())
    }

    async fn prepare(&self) -> Result<()> {
        self.create_buckets().await
    }
}
