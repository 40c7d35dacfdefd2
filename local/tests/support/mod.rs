//! Helpers for the tests: an S3 client, and facts about processes from `/proc`.

#![allow(dead_code, reason = "each test file uses only some helpers")]

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::primitives::ByteStream;
use local::ObjectStoreAccess;

/// An S3 client.
pub struct S3Store(Client);

impl S3Store {
    pub fn new(access: &ObjectStoreAccess) -> Self {
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

/// The command lines that contain this directory. Zombies have no command line.
pub fn processes_with(directory: &Path) -> Vec<String> {
    let directory = directory.display().to_string();
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let command = fs::read(entry.ok()?.path().join("cmdline")).ok()?;
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            command.contains(&directory).then_some(command)
        })
        .collect()
}

/// The pids of all processes.
pub fn all_pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").unwrap();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// These processes and their descendants.
pub fn with_descendants(pids: impl IntoIterator<Item = i32>) -> BTreeSet<i32> {
    let mut found: BTreeSet<i32> = pids.into_iter().collect();
    let parents: Vec<(i32, i32)> = all_pids()
        .filter_map(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // After the name in parentheses come state and parent (proc(5)).
            let parent = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?;
            Some((pid, parent.parse().ok()?))
        })
        .collect();
    loop {
        let before = found.len();
        for (pid, parent) in &parents {
            if found.contains(parent) {
                found.insert(*pid);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// The TCP addresses on which a process listens.
pub fn listening_addresses(pid: i32) -> BTreeSet<SocketAddr> {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return BTreeSet::new();
    };
    let sockets: BTreeSet<String> = descriptors
        .filter_map(|entry| {
            let target = fs::read_link(entry.ok()?.path()).ok()?;
            let inode = target
                .to_str()?
                .strip_prefix("socket:[")?
                .strip_suffix(']')?
                .to_owned();
            Some(inode)
        })
        .collect();
    listening_sockets()
        .into_iter()
        .filter(|(inode, _)| sockets.contains(inode))
        .map(|(_, address)| address)
        .collect()
}

/// All listening TCP sockets by inode (proc_net_tcp(5)).
pub fn listening_sockets() -> Vec<(String, SocketAddr)> {
    const LISTEN: &str = "0A";
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .flat_map(|table| {
            table
                .lines()
                .filter_map(|line| {
                    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
                    let address = parse_address(fields.get(1)?)?;
                    (*fields.get(3)? == LISTEN).then_some(((*fields.get(9)?).to_owned(), address))
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Parses `0100007F:1538`: the address as words in the machine's byte order, and the port.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let words: Vec<u8> = (0..host.len())
        .step_by(8)
        .filter_map(|start| u32::from_str_radix(host.get(start..start + 8)?, 16).ok())
        .flat_map(u32::to_ne_bytes)
        .collect();
    let host = match words.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(words).ok()?)),
        _ => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(words).ok()?)),
    };
    Some(SocketAddr::new(
        host.to_canonical(),
        u16::from_str_radix(port, 16).ok()?,
    ))
}
