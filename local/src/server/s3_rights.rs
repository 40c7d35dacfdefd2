//! Who may do what in the local store: the accounts of our programs, with the policies that the manifests give them.

use anyhow::{Context, bail, ensure};
use axum::http::HeaderMap;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::path::S3Path;
use s3s::{S3Result, s3_error};
use serde::Deserialize;

use crate::error::Result;
use crate::secret;

/// The accounts beside the one that may do everything.
const ACCOUNTS: [(&str, &str); 4] = [
    (
        "irmgard",
        include_str!("../../../manifests/base/minio/policies/irmgard.json"),
    ),
    (
        "anonymizer",
        include_str!("../../../manifests/base/minio/policies/anonymizer.json"),
    ),
    (
        "desk",
        include_str!("../../../manifests/base/minio/policies/desk.json"),
    ),
    (
        "sweep",
        include_str!("../../../manifests/base/minio/policies/sweep.json"),
    ),
];

/// What the access key of every store of ours begins with: it tells them from those that are given from outside.
const OURS: &str = "local-";

/// An access key for the owner of a store of ours.
pub(crate) fn owner() -> Result<String> {
    Ok(format!("{OURS}{}", secret::suffix()?))
}

/// The access key of one of our programs' accounts beside that of the owner, with the same secret; `None` where there is no
/// such account, as at a store from outside.
pub(crate) fn access_key_of(owner: &str, account: &str) -> Option<String> {
    let is_owner = owner.strip_prefix(OURS).is_some_and(|rest| !rest.contains('-'));
    let is_account = ACCOUNTS.iter().any(|(name, _)| *name == account);
    (is_owner && is_account).then(|| format!("{owner}-{account}"))
}

/// The keys of all accounts, and what each may do.
pub(super) fn accounts(access_key: &str, secret_key: &str) -> anyhow::Result<(SimpleAuth, Rights)> {
    let mut keys = SimpleAuth::from_single(access_key, secret_key);
    let mut policies = Vec::new();
    for (account, policy) in ACCOUNTS {
        let Some(key) = access_key_of(access_key, account) else {
            continue;
        };
        keys.register(key.clone(), secret_key.into());
        policies.push((
            key,
            Policy::read(policy).with_context(|| format!("policy of {account}"))?,
        ));
    }
    let rights = Rights {
        owner: access_key.into(),
        policies,
    };
    Ok((keys, rights))
}

/// Refuses what an account's policy does not allow.
pub(super) struct Rights {
    owner: String,
    policies: Vec<(String, Policy)>,
}

impl Rights {
    fn allow(&self, access_key: &str, operation: &str, path: &S3Path, headers: &HeaderMap) -> bool {
        if access_key == self.owner {
            return true;
        }
        let policy = self.policies.iter().find(|(key, _)| key == access_key);
        let needed = needed(operation, path, headers);
        policy.zip(needed).is_some_and(|((_, policy), needed)| {
            needed
                .iter()
                .all(|(action, resource)| policy.allows(action, resource))
        })
    }
}

#[async_trait::async_trait]
impl S3Access for Rights {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let access_key = cx.credentials().map_or("", |given| given.access_key.as_str());
        if self.allow(access_key, cx.s3_op().name(), cx.s3_path(), cx.headers()) {
            Ok(())
        } else {
            Err(s3_error!(AccessDenied, "Access Denied"))
        }
    }
}

/// What an operation needs, as actions on resources
/// (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html>); `None` for one that only the owner
/// has any use for.
fn needed(operation: &str, path: &S3Path, headers: &HeaderMap) -> Option<Vec<(&'static str, String)>> {
    let action = match operation {
        "GetObject" | "HeadObject" => "s3:GetObject",
        "PutObject"
        | "CreateMultipartUpload"
        | "UploadPart"
        | "CompleteMultipartUpload"
        | "CopyObject"
        | "UploadPartCopy" => "s3:PutObject",
        "DeleteObject" => "s3:DeleteObject",
        "AbortMultipartUpload" => "s3:AbortMultipartUpload",
        "HeadBucket" | "ListObjects" | "ListObjectsV2" => "s3:ListBucket",
        "ListMultipartUploads" => "s3:ListBucketMultipartUploads",
        _ => return None,
    };
    let resource = match path {
        S3Path::Root => return None,
        S3Path::Bucket { bucket } => arn(bucket, None),
        S3Path::Object { bucket, key } => arn(bucket, Some(key)),
    };
    let mut needed = vec![(action, resource)];
    if let Some(source) = headers.get("x-amz-copy-source") {
        let (bucket, key) = source.to_str().ok()?.trim_start_matches('/').split_once('/')?;
        needed.push(("s3:GetObject", arn(bucket, Some(key))));
    }
    Some(needed)
}

/// The name of a bucket or an object in policies. The buckets `…-input` and `…-output`, which a test has for itself, stand for
/// `input` and `output`.
fn arn(bucket: &str, key: Option<&str>) -> String {
    let stands_for = ["input", "output"].into_iter().find(|name| {
        bucket
            .strip_suffix(name)
            .is_some_and(|before| before.ends_with('-'))
    });
    let bucket = stands_for.unwrap_or(bucket);
    key.map_or_else(
        || format!("arn:aws:s3:::{bucket}"),
        |key| format!("arn:aws:s3:::{bucket}/{key}"),
    )
}

/// As much of the policy language as the manifests use: rights that are given.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Policy {
    version: String,
    statement: Vec<Statement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Statement {
    effect: String,
    action: Vec<String>,
    resource: Vec<String>,
}

impl Policy {
    fn read(text: &str) -> anyhow::Result<Self> {
        let policy: Self = serde_json::from_str(text)?;
        ensure!(
            policy.version == "2012-10-17",
            "unknown version {}",
            policy.version
        );
        for statement in &policy.statement {
            ensure!(statement.effect == "Allow", "unknown effect {}", statement.effect);
            for text in statement.action.iter().chain(&statement.resource) {
                if text.trim_end_matches('*').contains(['*', '?', '$']) {
                    bail!("{text}: only a * at the end is understood");
                }
            }
        }
        Ok(policy)
    }

    fn allows(&self, action: &str, resource: &str) -> bool {
        let one_matches = |patterns: &[String], text: &str| {
            patterns.iter().any(|pattern| {
                pattern
                    .strip_suffix('*')
                    .map_or(pattern == text, |start| text.starts_with(start))
            })
        };
        self.statement
            .iter()
            .any(|given| one_matches(&given.action, action) && one_matches(&given.resource, resource))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether an account may do it to `photos/a/1.jpg` of a bucket, or to the bucket.
    fn may(account: &str, operation: &str, bucket: &str, from: Option<&str>) -> bool {
        let (_, rights) = accounts("local-1", "secret").unwrap();
        let path = if operation.starts_with("List") || operation == "HeadBucket" {
            S3Path::bucket(bucket)
        } else {
            S3Path::object(bucket, "photos/a/1.jpg")
        };
        let copied = from.map(|from| ("x-amz-copy-source".parse().unwrap(), from.parse().unwrap()));
        let headers = HeaderMap::from_iter(copied);
        rights.allow(&format!("local-1-{account}"), operation, &path, &headers)
    }

    #[test]
    fn the_web_service_can_store_originals_and_not_read_them() {
        for operation in ["PutObject", "UploadPart", "DeleteObject", "AbortMultipartUpload"] {
            assert!(may("irmgard", operation, "input", None), "{operation}");
        }
        for operation in ["ListObjectsV2", "HeadBucket", "GetObject", "HeadObject"] {
            assert!(may("irmgard", operation, "output", None), "{operation}");
        }
        assert!(may("irmgard", "ListObjectsV2", "input", None));
        for operation in [
            "GetObject",
            "HeadObject",
            "GetObjectAttributes",
            "PutBucketPolicy",
        ] {
            assert!(!may("irmgard", operation, "input", None), "{operation}");
        }
        let photo = Some("input/photos/a/2.jpg");
        assert!(!may("irmgard", "CopyObject", "input", photo));
        assert!(!may("irmgard", "PutObject", "output", None));
        assert!(!may("nobody", "PutObject", "input", None));
    }

    #[test]
    fn the_sweep_can_delete_originals_and_read_none() {
        for operation in ["DeleteObject", "AbortMultipartUpload"] {
            assert!(may("sweep", operation, "input", None), "{operation}");
        }
        for bucket in ["input", "output"] {
            assert!(may("sweep", "ListObjectsV2", bucket, None));
            for operation in ["GetObject", "HeadObject", "PutObject", "CopyObject"] {
                assert!(!may("sweep", operation, bucket, None), "{operation}");
            }
        }
        assert!(!may("sweep", "DeleteObject", "output", None));
    }

    #[test]
    fn a_tests_own_buckets_have_the_same_rules() {
        assert!(may("irmgard", "PutObject", "scratch-1-input", None));
        assert!(!may("irmgard", "GetObject", "scratch-1-input", None));
        assert!(!may("irmgard", "PutObject", "my-other", None));
        assert!(!may("irmgard", "PutObject", "myinput", None));
    }

    #[test]
    fn only_stores_of_ours_have_accounts() {
        assert_eq!(access_key_of("local-1", "desk").as_deref(), Some("local-1-desk"));
        assert_eq!(access_key_of("local-1-desk", "desk"), None);
        assert_eq!(access_key_of("AKIA1", "desk"), None);
        assert_eq!(access_key_of("local-1", "nobody"), None);
    }

    #[test]
    fn a_policy_that_is_not_understood_is_none() {
        for policy in [
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["s3:*"],"Resource":["*"]}]}"#,
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":["a*b"]}]}"#,
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":["*"],"Condition":{}}]}"#,
        ] {
            assert!(Policy::read(policy).is_err(), "{policy}");
        }
    }
}
