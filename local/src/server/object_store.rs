//! A private S3 store: this crate's own `local s3-server` as a process.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::DisplayErrorContext;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use schema::component;

use super::own::{Own, Probe};
use super::s3_rights::owner;
use crate::access::ObjectStoreAccess;
use crate::error::{Context, Error, Result};
use crate::process::{Program, local};
use crate::site::Site;
use crate::{ports, secret};

/// Starts a store, and creates the buckets `input` and `output`.
pub(crate) async fn start(site: Site<'_>) -> Result<(ObjectStoreAccess, Own)> {
    let root = site.directory.join("object-store");
    fs::create_dir_all(&root).context(|| format!("cannot create {}", root.display()))?;
    fs::set_permissions(&root, Permissions::from_mode(0o700))
        .context(|| "cannot close a directory".into())?;
    let listen = format!("127.0.0.1:{}", ports::free()?);
    let access = ObjectStoreAccess {
        endpoint: format!("http://{listen}"),
        access_key_id: owner()?,
        secret_access_key: secret::password()?,
        region: "us-east-1".into(),
        input_bucket: "input".into(),
        output_bucket: "output".into(),
    };
    let program = Program {
        name: "S3 server".into(),
        executable: local()?,
        arguments: vec![
            "s3-server".into(),
            "--listen".into(),
            listen,
            "--root".into(),
            root.display().to_string(),
        ],
        environment: BTreeMap::from([
            ("OBJECT_STORE_ACCESS_KEY_ID".into(), access.access_key_id.clone()),
            (
                "OBJECT_STORE_SECRET_ACCESS_KEY".into(),
                access.secret_access_key.clone(),
            ),
        ]),
        directory: root,
        output: site.output(component::OBJECT_STORE, "object-store.out")?,
        account: None,
        lifetime: site.lifetime("KILL"),
        sources: Vec::new(),
    };
    let mut own = Own::new(vec![program], Probe::ObjectStore(access.clone()), None);
    own.start().await?;
    create_buckets(&access).await?;
    Ok((access, own))
}

fn client(access: &ObjectStoreAccess) -> Client {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let credentials = Credentials::new(
        &access.access_key_id,
        &access.secret_access_key,
        None,
        None,
        "local stack",
    );
    Client::from_conf(
        aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http)
            .credentials_provider(credentials)
            .region(Region::new(access.region.clone()))
            .endpoint_url(&access.endpoint)
            .force_path_style(true)
            .build(),
    )
}

pub(super) async fn probe(access: &ObjectStoreAccess) -> std::result::Result<(), String> {
    let answer = client(access).list_buckets().send().await;
    answer
        .map(drop)
        .map_err(|error| DisplayErrorContext(error).to_string())
}

/// Creates the two buckets; one that is there already is as good.
pub(crate) async fn create_buckets(access: &ObjectStoreAccess) -> Result<()> {
    let client = client(access);
    for bucket in [&access.input_bucket, &access.output_bucket] {
        if let Err(error) = client.create_bucket().bucket(bucket).send().await {
            let there = error.as_service_error().is_some_and(|error| {
                error.is_bucket_already_owned_by_you() || error.is_bucket_already_exists()
            });
            if !there {
                return Err(Error::request(
                    format!("bucket {bucket} is created"),
                    DisplayErrorContext(error),
                ));
            }
        }
    }
    Ok(())
}
