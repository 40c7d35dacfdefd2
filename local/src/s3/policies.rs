//! Accounts and permissions of the local S3 store: one account for each of our programs, with the policy of the manifests.

use anyhow::{Context, bail, ensure};
use axum::http::HeaderMap;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::path::S3Path;
use s3s::{S3Result, s3_error};
use serde::Deserialize;

use crate::error::Result;
use crate::secret;

/// The accounts and their policies. The owner's account has all permissions and is not in the list.
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
        "operator-shell",
        include_str!("../../../manifests/base/minio/policies/operator-shell.json"),
    ),
    (
        "sweep",
        include_str!("../../../manifests/base/minio/policies/sweep.json"),
    ),
];

/// The prefix of the owner's access key in every local store. External stores do not have it.
const KEY_PREFIX: &str = "local-";

/// A new access key for the owner of a local store.
pub(crate) fn owner_access_key() -> Result<String> {
    Ok(format!("{KEY_PREFIX}{}", secret::suffix()?))
}

/// The access key of a program's account, derived from the owner's key; the secret is the same. `None` if there is no such
/// account, or the store is external.
pub(crate) fn account_access_key(owner: &str, account: &str) -> Option<String> {
    let is_owner = owner
        .strip_prefix(KEY_PREFIX)
        .is_some_and(|rest| !rest.contains('-'));
    let is_account = ACCOUNTS.iter().any(|(name, _)| *name == account);
    (is_owner && is_account).then(|| format!("{owner}-{account}"))
}

/// The keys and the permissions of all accounts.
pub(super) fn accounts(access_key: &str, secret_key: &str) -> anyhow::Result<(SimpleAuth, Permissions)> {
    let mut keys = SimpleAuth::from_single(access_key, secret_key);
    let mut policies = Vec::new();
    for (account, policy) in ACCOUNTS {
        let Some(key) = account_access_key(access_key, account) else {
            continue;
        };
        keys.register(key.clone(), secret_key.into());
        policies.push((
            key,
            Policy::parse(policy).with_context(|| format!("policy of {account}"))?,
        ));
    }
    let permissions = Permissions {
        owner: access_key.into(),
        policies,
    };
    Ok((keys, permissions))
}

/// Rejects operations that the account's policy does not allow.
pub(super) struct Permissions {
    owner: String,
    policies: Vec<(String, Policy)>,
}

impl Permissions {
    fn allows(&self, access_key: &str, operation: &str, path: &S3Path, headers: &HeaderMap) -> bool {
        if access_key == self.owner {
            return true;
        }
        let policy = self.policies.iter().find(|(key, _)| key == access_key);
        let required = required_actions(operation, path, headers);
        policy.zip(required).is_some_and(|((_, policy), required)| {
            required
                .iter()
                .all(|(action, resource)| policy.allows(action, resource))
        })
    }
}

#[async_trait::async_trait]
impl S3Access for Permissions {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let access_key = cx
            .credentials()
            .map_or("", |credentials| credentials.access_key.as_str());
        if self.allows(access_key, cx.s3_op().name(), cx.s3_path(), cx.headers()) {
            Ok(())
        } else {
            Err(s3_error!(AccessDenied, "Access Denied"))
        }
    }
}

/// The actions on resources that an operation requires
/// (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html>). `None` for operations that only
/// the owner may use.
fn required_actions(
    operation: &str,
    path: &S3Path,
    headers: &HeaderMap,
) -> Option<Vec<(&'static str, String)>> {
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
    let mut required = vec![(action, resource)];
    if let Some(source) = headers.get("x-amz-copy-source") {
        let (bucket, key) = source.to_str().ok()?.trim_start_matches('/').split_once('/')?;
        required.push(("s3:GetObject", arn(bucket, Some(key))));
    }
    Some(required)
}

/// The ARN of a bucket or an object. A test's buckets `…-input` and `…-output` have the ARNs of `input` and `output`.
fn arn(bucket: &str, key: Option<&str>) -> String {
    let policy_name = ["input", "output"].into_iter().find(|name| {
        bucket
            .strip_suffix(name)
            .is_some_and(|before| before.ends_with('-'))
    });
    let bucket = policy_name.unwrap_or(bucket);
    key.map_or_else(
        || format!("arn:aws:s3:::{bucket}"),
        |key| format!("arn:aws:s3:::{bucket}/{key}"),
    )
}

/// The subset of the policy language that the manifests use: `Allow` statements.
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
    fn parse(text: &str) -> anyhow::Result<Self> {
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
                    bail!("{text}: wildcards are only supported as one * at the end");
                }
            }
        }
        Ok(policy)
    }

    fn allows(&self, action: &str, resource: &str) -> bool {
        let any_matches = |patterns: &[String], text: &str| {
            patterns.iter().any(|pattern| {
                pattern
                    .strip_suffix('*')
                    .map_or(pattern == text, |start| text.starts_with(start))
            })
        };
        self.statement.iter().any(|statement| {
            any_matches(&statement.action, action) && any_matches(&statement.resource, resource)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether an account may use the operation on `photos/a/1.jpg` of a bucket, or on the bucket.
    fn is_allowed(account: &str, operation: &str, bucket: &str, from: Option<&str>) -> bool {
        let (_, permissions) = accounts("local-1", "secret").unwrap();
        let path = if operation.starts_with("List") || operation == "HeadBucket" {
            S3Path::bucket(bucket)
        } else {
            S3Path::object(bucket, "photos/a/1.jpg")
        };
        let copied = from.map(|from| ("x-amz-copy-source".parse().unwrap(), from.parse().unwrap()));
        let headers = HeaderMap::from_iter(copied);
        permissions.allows(&format!("local-1-{account}"), operation, &path, &headers)
    }

    #[test]
    fn irmgard_may_store_originals_but_not_read_them() {
        for operation in ["PutObject", "UploadPart", "DeleteObject", "AbortMultipartUpload"] {
            assert!(is_allowed("irmgard", operation, "input", None), "{operation}");
        }
        for operation in ["ListObjectsV2", "HeadBucket", "GetObject", "HeadObject"] {
            assert!(is_allowed("irmgard", operation, "output", None), "{operation}");
        }
        assert!(is_allowed("irmgard", "ListObjectsV2", "input", None));
        for operation in [
            "GetObject",
            "HeadObject",
            "GetObjectAttributes",
            "PutBucketPolicy",
        ] {
            assert!(!is_allowed("irmgard", operation, "input", None), "{operation}");
        }
        let photo = Some("input/photos/a/2.jpg");
        assert!(!is_allowed("irmgard", "CopyObject", "input", photo));
        assert!(!is_allowed("irmgard", "PutObject", "output", None));
        assert!(!is_allowed("nobody", "PutObject", "input", None));
    }

    #[test]
    fn sweep_may_delete_originals_but_not_read_them() {
        for operation in ["DeleteObject", "AbortMultipartUpload"] {
            assert!(is_allowed("sweep", operation, "input", None), "{operation}");
        }
        for bucket in ["input", "output"] {
            assert!(is_allowed("sweep", "ListObjectsV2", bucket, None));
            for operation in ["GetObject", "HeadObject", "PutObject", "CopyObject"] {
                assert!(!is_allowed("sweep", operation, bucket, None), "{operation}");
            }
        }
        assert!(!is_allowed("sweep", "DeleteObject", "output", None));
    }

    #[test]
    fn the_buckets_of_a_test_have_the_same_permissions() {
        assert!(is_allowed("irmgard", "PutObject", "scratch-1-input", None));
        assert!(!is_allowed("irmgard", "GetObject", "scratch-1-input", None));
        assert!(!is_allowed("irmgard", "PutObject", "my-other", None));
        assert!(!is_allowed("irmgard", "PutObject", "myinput", None));
    }

    #[test]
    fn only_local_stores_have_accounts() {
        assert_eq!(
            account_access_key("local-1", "operator-shell").as_deref(),
            Some("local-1-operator-shell")
        );
        assert_eq!(
            account_access_key("local-1-operator-shell", "operator-shell"),
            None
        );
        assert_eq!(account_access_key("AKIA1", "operator-shell"), None);
        assert_eq!(account_access_key("local-1", "nobody"), None);
    }

    #[test]
    fn an_unsupported_policy_is_an_error() {
        for policy in [
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["s3:*"],"Resource":["*"]}]}"#,
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":["a*b"]}]}"#,
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":["*"],"Condition":{}}]}"#,
        ] {
            assert!(Policy::parse(policy).is_err(), "{policy}");
        }
    }
}
