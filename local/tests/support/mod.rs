//! What the tests look with.

use std::fs;
use std::path::Path;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::primitives::ByteStream;
use local::ObjectStoreAccess;

/// An S3 client as the tests need it.
pub struct Store(Client);

impl Store {
    pub fn of(access: &ObjectStoreAccess) -> Self {
        let credentials = Credentials::new(
            &access.access_key_id,
            &access.secret_access_key,
            None,
            None,
            "test",
        );
        Self(Client::from_conf(
            aws_sdk_s3::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .http_client(aws_smithy_http_client::Builder::new().build_http())
                .credentials_provider(credentials)
                .region(Region::new(access.region.clone()))
                .endpoint_url(&access.endpoint)
                .force_path_style(true)
                .build(),
        ))
    }

    pub async fn put(&self, bucket: &str, key: &str, bytes: &'static [u8]) {
        let body = ByteStream::from_static(bytes);
        self.0
            .put_object()
            .bucket(bucket)
            .key(key)
            .body(body)
            .send()
            .await
            .unwrap();
    }

    pub async fn get(&self, bucket: &str, key: &str) -> Vec<u8> {
        let object = self.0.get_object().bucket(bucket).key(key).send().await.unwrap();
        object.body.collect().await.unwrap().to_vec()
    }
}

/// The command lines of processes that name this directory. A zombie has none.
pub fn processes_about(directory: &Path) -> Vec<String> {
    let wanted = directory.display().to_string();
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let line = fs::read(entry.ok()?.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains(&wanted).then_some(line)
        })
        .collect()
}
