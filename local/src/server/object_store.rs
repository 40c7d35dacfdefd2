//! A private S3 store: the process `local s3-server`.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::DisplayErrorContext;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use schema::component;

use super::managed::{ManagedServer, Probe};
use super::s3_policies::owner_access_key;
use crate::access::ObjectStoreAccess;
use crate::error::{Context, Error, Result};
use crate::layout::Layout;
use crate::process::{Program, local_program};
use crate::{ports, secret};

/// Starts a store, and creates the buckets `input` and `output`.
pub(crate) async fn start(layout: Layout<'_>) -> Result<(ObjectStoreAccess, ManagedServer)> {
    let root = layout.directory.join("object-store");
    fs::create_dir_all(&root).context(|| format!("cannot create {}", root.display()))?;
    fs::set_permissions(&root, Permissions::from_mode(0o700))
        .context(|| "cannot set the permissions of a directory".into())?;
    let listen = format!("127.0.0.1:{}", ports::free()?);
    let access = ObjectStoreAccess {
        endpoint: format!("http://{listen}"),
        access_key_id: owner_access_key()?,
        secret_access_key: secret::password()?,
        region: "us-east-1".into(),
        input_bucket: "input".into(),
        output_bucket: "output".into(),
    };
    let program = Program {
        name: "S3 server".into(),
        executable: local_program()?,
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
        output: layout.output(component::OBJECT_STORE, "object-store.out")?,
        account: None,
        lifetime: layout.lifetime("KILL"),
        sources: Vec::new(),
    };
    let mut server = ManagedServer::new(vec![program], Probe::ObjectStore(access.clone()), None);
    server.start().await?;
    create_buckets(&access).await?;
    Ok((access, server))
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
    let response = client(access).list_buckets().send().await;
    response
        .map(drop)
        .map_err(|error| DisplayErrorContext(error).to_string())
}

/// Creates the two buckets, unless they exist.
pub(crate) async fn create_buckets(access: &ObjectStoreAccess) -> Result<()> {
    let client = client(access);
    for bucket in [&access.input_bucket, &access.output_bucket] {
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
