//! Who may do what: bearer tokens (RFC 6750), known by their SHA-256.

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

/// How often the tokens file is read again. A change counts when two reads in a row are the same.
const READ_INTERVAL: Duration = Duration::from_secs(1);

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// To send photos.
    Upload,
    /// To look at photos and what is known about them.
    Read,
}

/// Whoever makes a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The token's name; `None` where no tokens are in use.
    pub name: Option<String>,
    /// The only project that the token is for.
    pub project: Option<ProjectName>,
}

/// Why a request is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// There is no `Authorization`.
    NoToken,
    /// `Authorization` is not `Bearer` with a token.
    NoBearerToken,
    /// The token is none of ours.
    UnknownToken,
    /// The token of this name is not for this scope.
    WrongScope(String),
}

/// The tokens that are in use; clones share them.
#[derive(Clone, Debug)]
pub struct Tokens(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    file: PathBuf,
    table: RwLock<Arc<Table>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Table(Vec<Token>);

#[derive(Debug, PartialEq, Eq)]
struct Token {
    name: String,
    sha256: [u8; 32],
    upload: bool,
    read: bool,
    project: Option<ProjectName>,
}

/// The tokens file cannot be used. Names neither the variable, which whoever
/// reports it does, nor what a line holds.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// Lines that are no tokens.
    #[error("{}", .0.join("; "))]
    Lines(Vec<String>),
    /// A changed file that lists no token.
    #[error("it lists no token any more; to refuse everybody, list one that nobody has")]
    Empty,
}

impl Tokens {
    /// Everybody may do everything.
    #[must_use]
    pub const fn open_to_all() -> Self {
        Self(None)
    }

    /// Only those whose token is in this file: a line
    /// `name:sha256:scopes[:project]` for each, scopes `upload`, `read` or
    /// both with a comma; empty lines and those that begin with `#` are none.
    ///
    /// # Errors
    /// All lines that make no sense.
    pub fn from_file(file: &Path) -> Result<Self, TokensError> {
        let table = Table::parse(&fs::read_to_string(file)?)?;
        Ok(Self(Some(Arc::new(Shared {
            file: file.to_owned(),
            table: RwLock::new(Arc::new(table)),
        }))))
    }

    /// Whether there are any.
    #[must_use]
    pub const fn in_use(&self) -> bool {
        self.0.is_some()
    }

    /// Takes up changes of the file until `end`.
    ///
    /// Until a change is complete and makes sense, the tokens that were read last stay in use.
    pub async fn follow_file(self, end: CancellationToken) {
        let Some(shared) = self.0 else {
            return end.cancelled().await;
        };
        let mut changes = Changes::default();
        let mut reported = false;
        while end
            .run_until_cancelled(tokio::time::sleep(READ_INTERVAL))
            .await
            .is_some()
        {
            match shared.read_again(&mut changes) {
                Ok(changed) => {
                    reported = false;
                    if changed {
                        tracing::info!("the tokens file has changed: its tokens are in use now");
                    }
                }
                Err(error) if !reported => {
                    reported = true;
                    tracing::error!(%error, "TOKENS_FILE cannot be used: the tokens that were read before stay");
                }
                Err(_) => {}
            }
        }
    }

    /// Lets a request in, or not. `authorization` is the header's value.
    ///
    /// # Errors
    /// See [`Denied`].
    pub fn admit(&self, authorization: Option<&[u8]>, scope: Scope) -> Result<Caller, Denied> {
        let Some(shared) = &self.0 else {
            return Ok(Caller::default());
        };
        let authorization = authorization.ok_or(Denied::NoToken)?;
        let token = bearer(authorization).ok_or(Denied::NoBearerToken)?;
        shared.table().admit(token, scope)
    }
}

impl Shared {
    fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the file; returns whether other tokens are in use now.
    fn read_again(&self, changes: &mut Changes) -> Result<bool, TokensError> {
        let text = fs::read_to_string(&self.file)?;
        // Who writes the file in place may not have written all of it yet.
        if !changes.is_complete(&text) {
            return Ok(false);
        }
        let table = Table::parse(&text)?;
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

/// The digest of the text that was read last.
#[derive(Debug, Default)]
struct Changes(Option<[u8; 32]>);

impl Changes {
    /// Whether the text is the same as that of the read before.
    fn is_complete(&mut self, text: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(text).into();
        self.0.replace(digest) == Some(digest)
    }
}

impl Table {
    fn parse(text: &str) -> Result<Self, TokensError> {
        let mut tokens = Vec::new();
        let mut mistakes = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match Token::parse(line) {
                Ok(token) => tokens.push(token),
                Err(why) => mistakes.push(format!("line {}: {why}", number + 1)),
            }
        }
        if mistakes.is_empty() {
            Ok(Self(tokens))
        } else {
            Err(TokensError::Lines(mistakes))
        }
    }

    /// Compares with every token, whichever it is, in constant time.
    fn admit(&self, token: &[u8], scope: Scope) -> Result<Caller, Denied> {
        let sha256: [u8; 32] = Sha256::digest(token).into();
        let mut found = None;
        for known in &self.0 {
            let same: Choice = known.sha256.ct_eq(&sha256);
            if bool::from(same) {
                found = Some(known);
            }
        }
        let token = found.ok_or(Denied::UnknownToken)?;
        let allowed = match scope {
            Scope::Upload => token.upload,
            Scope::Read => token.read,
        };
        if !allowed {
            return Err(Denied::WrongScope(token.name.clone()));
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
        // A name goes to rows and log lines: the rule for project names keeps it plain.
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
    /// Whether the token is for this project.
    #[must_use]
    pub fn may_see(&self, project: &str) -> bool {
        self.project.as_ref().is_none_or(|only| only.as_str() == project)
    }
}

/// The token of `Authorization: Bearer <token>`.
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
    fn a_token_is_let_in_for_its_scope() {
        let text =
            line("cam-1", "abc", "upload") + "\n# staff\n" + &line("office", "xyz", "read, upload:site-1");
        let (_file, tokens) = tokens(&text);
        let caller = tokens.admit(Some(b"Bearer abc"), Scope::Upload).unwrap();
        assert_eq!((caller.name.as_deref(), caller.project), (Some("cam-1"), None));
        assert_eq!(
            tokens.admit(Some(b"Bearer abc"), Scope::Read),
            Err(Denied::WrongScope("cam-1".to_owned()))
        );
        let office = tokens.admit(Some(b"bearer  xyz "), Scope::Read).unwrap();
        assert!(office.may_see("site-1") && !office.may_see("site-2"));
        for (wrong, denied) in [
            ("Bearer abd", Denied::UnknownToken),
            ("Bearer abc xyz", Denied::UnknownToken),
            ("Bearer ", Denied::NoBearerToken),
            ("Bearer", Denied::NoBearerToken),
            ("Basic abc", Denied::NoBearerToken),
            ("abc", Denied::NoBearerToken),
            ("", Denied::NoBearerToken),
        ] {
            assert_eq!(
                tokens.admit(Some(wrong.as_bytes()), Scope::Upload),
                Err(denied),
                "{wrong:?}"
            );
        }
        assert_eq!(tokens.admit(None, Scope::Upload), Err(Denied::NoToken));
    }

    #[test]
    fn an_empty_file_lets_nobody_in_and_no_file_everybody() {
        assert!(
            tokens("# none yet\n")
                .1
                .admit(Some(b"Bearer x"), Scope::Read)
                .is_err()
        );
        assert!(Tokens::open_to_all().admit(None, Scope::Read).is_ok());
    }

    #[test]
    fn every_mistake_is_told_by_its_line_and_without_its_content() {
        let text = "secret\na:zz:read\n".to_owned()
            + &line("b c", "s", "read")
            + &line("d", "s", "write")
            + &line("e", "s", "read:../x")
            + &line("f", "s", "read:x:y");
        let error = Table::parse(&text).unwrap_err().to_string();
        for number in 1..=6 {
            assert!(error.contains(&format!("line {number}: ")), "{error}");
        }
        assert!(!error.contains("secret") && !error.contains("zz"));
    }

    /// Reads the file as often as a change takes; returns whether other tokens are in use.
    fn read_twice(shared: &Shared) -> Result<bool, TokensError> {
        let mut changes = Changes::default();
        assert!(!shared.read_again(&mut changes)?);
        shared.read_again(&mut changes)
    }

    #[test]
    fn a_changed_file_is_taken_up_and_a_broken_one_is_not() {
        let (file, tokens) = tokens(&line("a", "old", "read"));
        let shared = tokens.0.clone().unwrap();
        assert!(!read_twice(&shared).unwrap());
        fs::write(file.path(), line("a", "new", "read")).unwrap();
        assert!(read_twice(&shared).unwrap());
        assert!(tokens.admit(Some(b"Bearer old"), Scope::Read).is_err());
        for unusable in ["broken", "", "# none\n", "\u{0}"] {
            fs::write(file.path(), unusable).unwrap();
            assert!(read_twice(&shared).is_err(), "{unusable:?}");
            assert!(
                tokens.admit(Some(b"Bearer new"), Scope::Read).is_ok(),
                "{unusable:?}"
            );
        }
        fs::write(file.path(), [0xff, 0xfe]).unwrap();
        assert!(read_twice(&shared).is_err());
        fs::remove_file(file.path()).unwrap();
        assert!(read_twice(&shared).is_err());
        assert!(tokens.admit(Some(b"Bearer new"), Scope::Read).is_ok());
    }

    /// Cut anywhere, a line can still be one: of a token that is good for every project.
    #[test]
    fn a_file_that_is_being_written_refuses_nobody_and_widens_no_right() {
        let old = line("a", "old", "read:site-1");
        let both = old.clone() + &line("a", "new", "read:site-1");
        let (file, tokens) = tokens(&old);
        let shared = tokens.0.clone().unwrap();
        let mut changes = Changes::default();
        for length in 0..both.len() {
            fs::write(file.path(), &both[..length]).unwrap();
            let _ = shared.read_again(&mut changes);
            let caller = tokens.admit(Some(b"Bearer old"), Scope::Read).unwrap();
            assert!(!caller.may_see("site-2"), "{length}");
        }
        fs::write(file.path(), &both).unwrap();
        while !shared.read_again(&mut changes).unwrap() {}
        for token in ["Bearer old", "Bearer new"] {
            let caller = tokens.admit(Some(token.as_bytes()), Scope::Read).unwrap();
            assert!(caller.may_see("site-1") && !caller.may_see("site-2"), "{token}");
        }
    }

    /// As a Secret changes in a pod: a link to another folder takes the place of the one that is there.
    #[test]
    fn a_secret_that_changes_in_a_pod_is_taken_up() {
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
        let shared = tokens.0.clone().unwrap();
        write("..2", &(old + &line("a", "new", "read")));
        fs::remove_dir_all(folder.path().join("..1")).unwrap();
        assert!(read_twice(&shared).unwrap());
        for token in ["Bearer old", "Bearer new"] {
            assert!(
                tokens.admit(Some(token.as_bytes()), Scope::Read).is_ok(),
                "{token}"
            );
        }
    }
}
