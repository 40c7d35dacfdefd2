//! A private S3 store: the process `local s3-server`.

use std::collections::BTreeMap;

use schema::component;

use super::handle::Server;
use super::managed::ManagedServer;
use crate::access::ObjectStoreAccess;
use crate::error::Result;
use crate::layout::StackLayout;
use crate::process::{Program, create_private_directory};
use crate::project::local_program;
use crate::{ports, s3, secret};

/// Starts a store, and creates the buckets `input` and `output`.
pub(crate) async fn start(layout: StackLayout<'_>) -> Result<Server<ObjectStoreAccess>> {
    let root = layout.directory.join("object-store");
    create_private_directory(&root, None)?;
    let listen = format!("127.0.0.1:{}", ports::free()?);
    let access = ObjectStoreAccess {
        endpoint: format!("http://{listen}"),
        access_key_id: s3::owner_access_key()?,
        secret_access_key: secret::password()?,
        region: "us-east-1".into(),
        input_bucket: "input".into(),
        output_bucket: "output".into(),
    };
    let output = layout.output(component::OBJECT_STORE, "object-store.out")?;
    let program = Program {
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
        ..Program::new(
            "S3 server",
            local_program()?,
            &root,
            output,
            layout.lifetime("KILL"),
        )
    };
    let mut server = ManagedServer::new(vec![program], None);
    server.start(&access).await?;
    access.create_buckets().await?;
    Ok(Server::managed(access, server))
}
