//! Users and passwords of cameras, from a private file or from the environment.
//!
//! ```yaml
//! schema: 1
//! default: {user: admin, password: "..."}
//! cameras:
//!   192.168.1.102: {user: recorder, password: "..."}
//!   urn:uuid:4d454930-0000-1000-8000-001a2b3c4d5e:
//!     user: admin
//!     password: "..."
//!     certificate: "9F:86:D0:81:..."   # SHA-256 fingerprint of the certificate that this camera shows
//! ```
//!
//! A camera is named by its host or by its endpoint reference. No password leaves this crate in a message, a log or a
//! `Debug` text.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs, io};

use swarm_yaml::{Cursor, MAX_SIZE, Mistakes, Value};

use crate::tls::{Fingerprint, Trust};

/// Variables that hold user and password for every camera that the file does not name.
pub const USER_VARIABLE: &str = "SWARM_CAMERA_USER";
pub const PASSWORD_VARIABLE: &str = "SWARM_CAMERA_PASSWORD";

/// How long a camera may take to answer, where nothing else is asked for. Weak cameras take over a second for a SOAP answer.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: String,
    password: String,
}

impl Credentials {
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: user.into(), password: password.into() }
    }

    pub fn user(&self) -> &str {
        &self.user
    }

    /// For who must log in elsewhere with them, as the RTSP client does.
    pub fn reveal_password(&self) -> &str {
        &self.password
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).field("password", &"(hidden)").finish()
    }
}

/// How one camera is talked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    pub credentials: Option<Credentials>,
    pub trust: Trust,
    /// For connecting, and again for the answer.
    pub timeout: Duration,
}

impl Default for Access {
    fn default() -> Self {
        Self { credentials: None, trust: Trust::default(), timeout: DEFAULT_TIMEOUT }
    }
}

/// The credentials of a cell's cameras.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keyring {
    default: Option<Entry>,
    cameras: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    credentials: Option<Credentials>,
    certificate: Option<Fingerprint>,
}

#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    #[error("cannot read the credentials file {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "the credentials file {} may be read by others than its owner (mode {mode:03o}): \
         `chmod 600 {0}`, and change the passwords in it if others had access", path.display()
    )]
    NotPrivate { path: PathBuf, mode: u32 },
    #[error("the credentials file {} belongs to user id {owner}, expected yours ({user}) or root's", path.display())]
    Owner { path: PathBuf, owner: u32, user: u32 },
    #[error("the credentials file {} is larger than {MAX_SIZE} bytes", path.display())]
    TooLarge { path: PathBuf },
    #[error("the credentials file {}: {mistakes}", path.display())]
    Content { path: PathBuf, mistakes: Mistakes },
    #[error("{set} is set and {missing} is not: cameras need both")]
    HalfSet { set: &'static str, missing: &'static str },
}

impl Keyring {
    /// Reads a file that nobody but its owner may read.
    pub fn from_file(path: &Path) -> Result<Self, KeyringError> {
        let io = |source| KeyringError::Io { path: path.to_owned(), source };
        let file = fs::File::open(path).map_err(io)?;
        // Of the open file, so that nobody can put another in its place after the look.
        let metadata = file.metadata().map_err(io)?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyringError::NotPrivate { path: path.to_owned(), mode });
        }
        let user = nix::unistd::geteuid().as_raw();
        if metadata.uid() != user && metadata.uid() != 0 {
            return Err(KeyringError::Owner { path: path.to_owned(), owner: metadata.uid(), user });
        }
        let mut text = String::new();
        file.take(MAX_SIZE as u64 + 1).read_to_string(&mut text).map_err(io)?;
        if text.len() > MAX_SIZE {
            return Err(KeyringError::TooLarge { path: path.to_owned() });
        }
        Self::parse(&text).map_err(|mistakes| KeyringError::Content { path: path.to_owned(), mistakes })
    }

    /// What [`USER_VARIABLE`] and [`PASSWORD_VARIABLE`] hold; empty where neither is set.
    pub fn from_environment() -> Result<Self, KeyringError> {
        Self::from_variables(env::var(USER_VARIABLE).ok(), env::var(PASSWORD_VARIABLE).ok())
    }

    /// The file where one is named, and the environment for the cameras that it does not name.
    pub fn load(file: Option<&Path>) -> Result<Self, KeyringError> {
        let environment = Self::from_environment()?;
        let Some(file) = file else { return Ok(environment) };
        let mut keyring = Self::from_file(file)?;
        keyring.default = keyring.default.or(environment.default);
        Ok(keyring)
    }

    fn from_variables(user: Option<String>, password: Option<String>) -> Result<Self, KeyringError> {
        let credentials = match (user, password) {
            (None, None) => return Ok(Self::default()),
            (Some(user), Some(password)) => Credentials { user, password },
            (Some(_), None) => {
                return Err(KeyringError::HalfSet { set: USER_VARIABLE, missing: PASSWORD_VARIABLE });
            }
            (None, Some(_)) => {
                return Err(KeyringError::HalfSet { set: PASSWORD_VARIABLE, missing: USER_VARIABLE });
            }
        };
        let default = Entry { credentials: Some(credentials), certificate: None };
        Ok(Self { default: Some(default), cameras: BTreeMap::new() })
    }

    fn parse(text: &str) -> Result<Self, Mistakes> {
        swarm_yaml::read(text, |document| {
            let [schema, default, cameras] = mapping(document)?.fields(["schema", "default", "cameras"])?;
            let schema = schema.required("schema: 1", |schema| schema.schema(1));
            let default = default.optional(None, |default| entry(default).map(Some));
            let cameras = cameras.optional(BTreeMap::new(), |cameras| {
                mapping(cameras)?.mapping("hosts or endpoint references", |_, camera| entry(camera))
            });
            schema?;
            Some(Self { default: default?, cameras: cameras? })
        })
    }

    /// How to talk to the camera that goes by one of `names` (host, endpoint reference): the first name with an entry counts.
    /// A fingerprint stands for one camera, so that the default entry may have none.
    pub fn access<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Access {
        let own = names.into_iter().find_map(|name| self.cameras.get(name));
        let credentials = own.and_then(|entry| entry.credentials.clone());
        let default = || self.default.as_ref().and_then(|entry| entry.credentials.clone());
        let trust = match own.and_then(|entry| entry.certificate) {
            Some(fingerprint) => Trust::Certificate(fingerprint),
            None => Trust::Nothing,
        };
        Access { credentials: credentials.or_else(default), trust, timeout: DEFAULT_TIMEOUT }
    }

    /// What the camera's own entry holds: nothing where there is none, whatever the default entry says.
    pub fn own_credentials(&self, name: &str) -> Option<Credentials> {
        self.cameras.get(name).and_then(|entry| entry.credentials.clone())
    }

    pub fn is_empty(&self) -> bool {
        self.default.is_none() && self.cameras.is_empty()
    }
}

/// Notes what is no mapping without showing it: it may be a password in the wrong place.
fn mapping<'c, 'a>(cursor: &'c Cursor<'a>) -> Option<&'c Cursor<'a>> {
    match cursor.value() {
        Value::Mapping(_) => Some(cursor),
        _ => cursor.wrong("expected a mapping"),
    }
}

fn entry(camera: &Cursor<'_>) -> Option<Entry> {
    let [user, password, certificate] = mapping(camera)?.fields(["user", "password", "certificate"])?;
    let halves = (user.get().is_some(), password.get().is_some());
    let user =
        user.optional(String::new(), |user| user.text_that(|text| !text.is_empty(), "the name of a user"));
    let password = password.optional(String::new(), |password| match password.value() {
        Value::Text(text) => Some(text.clone()),
        _ => password.wrong("expected a text: put the password in quotes"),
    });
    let certificate = certificate.optional(None, |certificate| certificate.parse().map(Some));
    let credentials = match halves {
        (false, false) => None,
        (true, true) => Some(Credentials { user: user?, password: password? }),
        _ => return camera.wrong("expected user and password, found only one of them"),
    };
    Some(Entry { credentials, certificate: certificate? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
schema: 1
default: {user: admin, password: d3fault}
cameras:
  192.168.1.102: {user: recorder, password: 'pa: ss'}
  urn:uuid:1: {certificate: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'}
";

    fn file(content: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cameras.yaml");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    #[test]
    fn a_camera_goes_by_any_of_its_names() {
        let (_folder, path) = file(FILE, 0o600);
        let keyring = Keyring::from_file(&path).unwrap();
        let own = keyring.access(["urn:uuid:2", "192.168.1.102"]);
        assert_eq!(own.credentials, Some(Credentials::new("recorder", "pa: ss")));
        let pinned = keyring.access(["urn:uuid:1"]);
        assert_eq!(pinned.credentials, Some(Credentials::new("admin", "d3fault")));
        assert!(matches!(pinned.trust, Trust::Certificate(_)));
        assert_eq!(keyring.access(["10.0.0.9"]).trust, Trust::Nothing);
        assert_eq!(keyring.own_credentials("192.168.1.102"), own.credentials);
        assert_eq!(
            keyring.own_credentials("10.0.0.9"),
            None,
            "the default is for cameras that the user names"
        );
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let (_folder, path) = file(FILE, 0o640);
        let path_text = path.display();
        assert_eq!(
            Keyring::from_file(&path).unwrap_err().to_string(),
            format!(
                "the credentials file {path_text} may be read by others than its owner (mode 640): \
                 `chmod 600 {path_text}`, and change the passwords in it if others had access"
            )
        );
    }

    #[test]
    fn mistakes_have_places_and_never_the_password() {
        let text = "schema: 1\ndefault: {user: admin, password: 123456789}\n\
                    cameras: {a: {user: x}, b: {pasword: s3cret}, c: s3cret}\n";
        let (_folder, path) = file(text, 0o600);
        let error = Keyring::from_file(&path).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "the credentials file {}: 4 mistakes\n  \
                 line 2, column 34: default.password: expected a text: put the password in quotes\n  \
                 line 3, column 14: cameras.a: expected user and password, found only one of them\n  \
                 line 3, column 29: cameras.b.pasword: unknown field; did you mean password?\n  \
                 line 3, column 50: cameras.c: expected a mapping",
                path.display()
            )
        );
    }

    #[test]
    fn debug_hides_the_password() {
        let (_folder, path) = file(FILE, 0o600);
        let keyring = Keyring::from_file(&path).unwrap();
        let text = format!("{keyring:?} {:?}", keyring.access(["192.168.1.102"]));
        assert!(text.contains("recorder") && !text.contains("d3fault") && !text.contains("pa: ss"), "{text}");
    }

    #[test]
    fn half_of_the_environment_is_no_credentials() {
        let error = Keyring::from_variables(Some("admin".into()), None).unwrap_err().to_string();
        assert_eq!(error, "SWARM_CAMERA_USER is set and SWARM_CAMERA_PASSWORD is not: cameras need both");
        assert!(Keyring::from_variables(None, None).unwrap().is_empty());
    }
}
