//! Authorisation by bearer tokens (RFC 6750), stored as SHA-256 digests.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use contract::ProjectName;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use tokio_util::sync::CancellationToken;

/// How often the tokens file is read. A change takes effect when two reads in a row are identical.
const READ_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Send photos.
    Upload,
    /// Read photos and their metadata.
    Read,
}

/// The sender of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// Name of the token; `None` if no tokens are in use.
    pub name: Option<String>,
    /// The only project that the token allows; `None`: all projects.
    pub project: Option<ProjectName>,
}

/// Why a request is not authorised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessDenied {
    /// The header `Authorization` is missing.
    NoToken,
    /// The header is not `Bearer` with a token.
    NoBearerToken,
    UnknownToken,
    /// The token with this name does not allow the scope.
    WrongScope(String),
}

/// The tokens in use. Clones share them.
#[derive(Clone, Debug)]
pub struct Tokens(Option<Arc<TokenFile>>);

#[derive(Debug)]
struct TokenFile {
    path: PathBuf,
    table: RwLock<Arc<TokenTable>>,
}

#[derive(Debug, PartialEq, Eq)]
struct TokenTable(Vec<Token>);

#[derive(Debug, PartialEq, Eq)]
struct Token {
    name: String,
    sha256: [u8; 32],
    upload: bool,
    read: bool,
    project: Option<ProjectName>,
}

/// The tokens file cannot be used. The message names neither the variable, which the caller reports, nor the
/// content of a line.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    #[error("cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// Errors, one per line of the file.
    #[error("{}", .0.join("; "))]
    Lines(Vec<String>),
    /// The file changed and lists no token any more.
    #[error("the file lists no token any more; to refuse all requests, list one token that is never used")]
    Empty,
}

impl Tokens {
    /// Allows all requests.
    #[must_use]
    pub const fn allow_all() -> Self {
        Self(None)
    }

    /// Reads the tokens from a file, one line `name:sha256:scopes[:project]` each. Scopes are `upload`,
    /// `read`, or both, separated by a comma. Empty lines and lines that begin with `#` are skipped.
    ///
    /// # Errors
    /// All wrong lines at once.
    pub fn from_file(file: &Path) -> Result<Self, TokensError> {
        let table = TokenTable::parse(&fs::read_to_string(file)?)?;
        Ok(Self(Some(Arc::new(TokenFile {
            path: file.to_owned(),
            table: RwLock::new(Arc::new(table)),
        }))))
    }

    #[must_use]
    pub const fn are_required(&self) -> bool {
        self.0.is_some()
    }

    /// Reloads the file when it changes, until `end`.
    ///
    /// While the file is incomplete or wrong, the current tokens stay in use.
    pub async fn reload_on_change(self, end: CancellationToken) {
        let Some(token_file) = self.0 else {
            return end.cancelled().await;
        };
        let mut changes = ChangeDetector::default();
        let mut reported = false;
        while end
            .run_until_cancelled(tokio::time::sleep(READ_INTERVAL))
            .await
            .is_some()
        {
            match token_file.reload(&mut changes) {
                Ok(changed) => {
                    reported = false;
                    if changed {
                        tracing::info!("the tokens file has changed: its tokens are in use now");
                    }
                }
                Err(error) if !reported => {
                    reported = true;
                    tracing::error!(%error, "TOKENS_FILE cannot be used: the previous tokens stay in use");
                }
                Err(_) => {}
            }
        }
    }

    /// Authorises a request. `authorization` is the header's value.
    pub fn authorize(&self, authorization: Option<&[u8]>, scope: Scope) -> Result<Caller, AccessDenied> {
        let Some(token_file) = &self.0 else {
            return Ok(Caller::default());
        };
        let authorization = authorization.ok_or(AccessDenied::NoToken)?;
        let token = bearer(authorization).ok_or(AccessDenied::NoBearerToken)?;
        token_file.table().authorize(token, scope)
    }
}

impl TokenFile {
    fn table(&self) -> Arc<TokenTable> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the file; returns whether the tokens changed.
    fn reload(&self, changes: &mut ChangeDetector) -> Result<bool, TokensError> {
        let text = fs::read_to_string(&self.path)?;
        // A writer may not have written the whole file yet.
        if !changes.is_complete(&text) {
            return Ok(false);
        }
        let table = TokenTable::parse(&text)?;
        if table == *self.table() {
            return Ok(false);
        }
        if table.0.is_empty() {
            return Err(TokensError::Empty);
        }
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
        Ok(true)
    }
}

/// Digest of the last text.
#[derive(Debug, Default)]
struct ChangeDetector(Option<[u8; 32]>);

impl ChangeDetector {
    /// Whether the text is the same as at the last call.
    fn is_complete(&mut self, text: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(text).into();
        self.0.replace(digest) == Some(digest)
    }
}

impl TokenTable {
    fn parse(text: &str) -> Result<Self, TokensError> {
        let mut tokens = Vec::new();
        let mut errors = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match Token::parse(line) {
                Ok(token) => tokens.push(token),
                Err(reason) => errors.push(format!("line {}: {reason}", number + 1)),
            }
        }
        if errors.is_empty() {
            Ok(Self(tokens))
        } else {
            Err(TokensError::Lines(errors))
        }
    }

    /// Compares the token with every known one, in constant time.
    fn authorize(&self, token: &[u8], scope: Scope) -> Result<Caller, AccessDenied> {
        let sha256: [u8; 32] = Sha256::digest(token).into();
        let mut matched = None;
        for candidate in &self.0 {
            let same: Choice = candidate.sha256.ct_eq(&sha256);
            if bool::from(same) {
                matched = Some(candidate);
            }
        }
        let token = matched.ok_or(AccessDenied::UnknownToken)?;
        let allowed = match scope {
            Scope::Upload => token.upload,
            Scope::Read => token.read,
        };
        if !allowed {
            return Err(AccessDenied::WrongScope(token.name.clone()));
        }
        Ok(Caller {
            name: Some(token.name.clone()),
            project: token.project.clone(),
        })
    }
}

impl Token {
    fn parse(line: &str) -> Result<Self, &'static str> {
        let mut parts = line.split(':').map(str::trim);
        let (Some(name), Some(sha256), Some(scopes)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("write name:sha256:scopes or name:sha256:scopes:project");
        };
        let project = parts.next();
        if parts.next().is_some() {
            return Err("more than four parts");
        }
        // Names go into rows and log lines; the rule for project names keeps them plain.
        if name.parse::<ProjectName>().is_err() {
            return Err("a name is 1 to 64 letters, digits, '.', '_' or '-'");
        }
        let mut digest = [0; 32];
        hex::decode_to_slice(sha256, &mut digest).map_err(|_| "the SHA-256 is not 64 hexadecimal digits")?;
        let (mut upload, mut read) = (false, false);
        for scope in scopes.split(',').map(str::trim) {
            match scope {
                "upload" => upload = true,
                "read" => read = true,
                _ => return Err("scopes are upload and read"),
            }
        }
        Ok(Self {
            name: name.to_owned(),
            sha256: digest,
            upload,
            read,
            project: project
                .map(str::parse)
                .transpose()
                .map_err(|_| "the project's name is not allowed")?,
        })
    }
}

impl Caller {
    /// Whether the caller may access this project.
    #[must_use]
    pub fn may_access(&self, project: &str) -> bool {
        self.project.as_ref().is_none_or(|only| only.as_str() == project)
    }
}

/// The token in `Authorization: Bearer <token>`.
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked(7)?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, token: &str, rest: &str) -> String {
        format!("{name}:{}:{rest}\n", hex::encode(Sha256::digest(token)))
    }

    fn tokens(text: &str) -> (tempfile::NamedTempFile, Tokens) {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        let tokens = Tokens::from_file(file.path()).unwrap();
        (file, tokens)
    }

    #[test]
    fn a_token_allows_only_its_scope() {
        let text =
            line("cam-1", "abc", "upload") + "\n# staff\n" + &line("office", "xyz", "read, upload:site-1");
        let (_file, tokens) = tokens(&text);
        let caller = tokens.authorize(Some(b"Bearer abc"), Scope::Upload).unwrap();
        assert_eq!((caller.name.as_deref(), caller.project), (Some("cam-1"), None));
        assert_eq!(
            tokens.authorize(Some(b"Bearer abc"), Scope::Read),
            Err(AccessDenied::WrongScope("cam-1".to_owned()))
        );
        let office = tokens.authorize(Some(b"bearer  xyz "), Scope::Read).unwrap();
        assert!(office.may_access("site-1") && !office.may_access("site-2"));
        for (wrong, denied) in [
            ("Bearer abd", AccessDenied::UnknownToken),
            ("Bearer abc xyz", AccessDenied::UnknownToken),
            ("Bearer ", AccessDenied::NoBearerToken),
            ("Bearer", AccessDenied::NoBearerToken),
            ("Basic abc", AccessDenied::NoBearerToken),
            ("abc", AccessDenied::NoBearerToken),
            ("", AccessDenied::NoBearerToken),
        ] {
            assert_eq!(
                tokens.authorize(Some(wrong.as_bytes()), Scope::Upload),
                Err(denied),
                "{wrong:?}"
            );
        }
        assert_eq!(tokens.authorize(None, Scope::Upload), Err(AccessDenied::NoToken));
    }

    #[test]
    fn an_empty_file_refuses_all_and_no_file_allows_all() {
        assert!(
            tokens("# none yet\n")
                .1
                .authorize(Some(b"Bearer x"), Scope::Read)
                .is_err()
        );
        assert!(Tokens::allow_all().authorize(None, Scope::Read).is_ok());
    }

    #[test]
    fn mistakes_name_the_line_but_not_its_content() {
        let text = "secret\na:zz:read\n".to_owned()
            + &line("b c", "s", "read")
            + &line("d", "s", "write")
            + &line("e", "s", "read:../x")
            + &line("f", "s", "read:x:y");
        let error = TokenTable::parse(&text).unwrap_err().to_string();
        for number in 1..=6 {
            assert!(error.contains(&format!("line {number}: ")), "{error}");
        }
        assert!(!error.contains("secret") && !error.contains("zz"));
    }

    /// Reads the file twice, so that a change takes effect; returns whether the tokens changed.
    fn reload_twice(token_file: &TokenFile) -> Result<bool, TokensError> {
        let mut changes = ChangeDetector::default();
        assert!(!token_file.reload(&mut changes)?);
        token_file.reload(&mut changes)
    }

    #[test]
    fn a_changed_file_is_loaded_and_a_broken_one_is_not() {
        let (file, tokens) = tokens(&line("a", "old", "read"));
        let token_file = tokens.0.clone().unwrap();
        assert!(!reload_twice(&token_file).unwrap());
        fs::write(file.path(), line("a", "new", "read")).unwrap();
        assert!(reload_twice(&token_file).unwrap());
        assert!(tokens.authorize(Some(b"Bearer old"), Scope::Read).is_err());
        for unusable in ["broken", "", "# none\n", "\u{0}"] {
            fs::write(file.path(), unusable).unwrap();
            assert!(reload_twice(&token_file).is_err(), "{unusable:?}");
            assert!(
                tokens.authorize(Some(b"Bearer new"), Scope::Read).is_ok(),
                "{unusable:?}"
            );
        }
        fs::write(file.path(), [0xff, 0xfe]).unwrap();
        assert!(reload_twice(&token_file).is_err());
        fs::remove_file(file.path()).unwrap();
        assert!(reload_twice(&token_file).is_err());
        assert!(tokens.authorize(Some(b"Bearer new"), Scope::Read).is_ok());
    }

    /// A line that is cut off can still be valid, and then allows every project.
    #[test]
    fn a_partly_written_file_changes_no_right() {
        let old = line("a", "old", "read:site-1");
        let both = old.clone() + &line("a", "new", "read:site-1");
        let (file, tokens) = tokens(&old);
        let token_file = tokens.0.clone().unwrap();
        let mut changes = ChangeDetector::default();
        for length in 0..both.len() {
            fs::write(file.path(), &both[..length]).unwrap();
            let _ = token_file.reload(&mut changes);
            let caller = tokens.authorize(Some(b"Bearer old"), Scope::Read).unwrap();
            assert!(!caller.may_access("site-2"), "{length}");
        }
        fs::write(file.path(), &both).unwrap();
        while !token_file.reload(&mut changes).unwrap() {}
        for token in ["Bearer old", "Bearer new"] {
            let caller = tokens.authorize(Some(token.as_bytes()), Scope::Read).unwrap();
            assert!(
                caller.may_access("site-1") && !caller.may_access("site-2"),
                "{token}"
            );
        }
    }

    /// As Kubernetes updates a Secret in a pod: it replaces a symbolic link to the folder.
    #[test]
    fn a_secret_that_changes_in_a_pod_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let version = folder.path().join(name);
            fs::create_dir(&version).unwrap();
            fs::write(version.join("tokens"), text).unwrap();
            std::os::unix::fs::symlink(name, folder.path().join("..new")).unwrap();
            fs::rename(folder.path().join("..new"), folder.path().join("..data")).unwrap();
        };
        let old = line("a", "old", "read");
        write("..1", &old);
        let file = folder.path().join("tokens");
        std::os::unix::fs::symlink("..data/tokens", &file).unwrap();
        let tokens = Tokens::from_file(&file).unwrap();
        let token_file = tokens.0.clone().unwrap();
        write("..2", &(old + &line("a", "new", "read")));
        fs::remove_dir_all(folder.path().join("..1")).unwrap();
        assert!(reload_twice(&token_file).unwrap());
        for token in ["Bearer old", "Bearer new"] {
            assert!(
                tokens.authorize(Some(token.as_bytes()), Scope::Read).is_ok(),
                "{token}"
            );
        }
    }
}
