//! Files that appear complete or not at all, keys that only their owner can read, and nothing that is overwritten.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use ed25519_dalek::SigningKey;
use swarm_artifact::{private_key_from_pem, private_key_to_pem};

/// Who may read a new file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Access {
    /// Mode 0400: a certificate's key, which is never changed.
    OwnerReads,
    /// Mode 0600.
    OwnerOnly,
    /// Mode 0444.
    EveryoneReads,
    /// Mode 0644.
    Everyone,
}

impl Access {
    const fn mode(self) -> u32 {
        match self {
            Self::OwnerReads => 0o400,
            Self::OwnerOnly => 0o600,
            Self::EveryoneReads => 0o444,
            Self::Everyone => 0o644,
        }
    }
}

/// Largest text file worth reading, in bytes.
const MAX_TEXT: u64 = 8 * 1024 * 1024;

/// Writes a file that must not exist yet.
pub(crate) fn create(path: &Path, bytes: &[u8], access: Access) -> anyhow::Result<()> {
    let opened = File::options().write(true).create_new(true).mode(access.mode()).open(path);
    if let Err(error) = &opened
        && error.kind() == io::ErrorKind::AlreadyExists
    {
        bail!(
            "'{}' exists already and is not overwritten; choose another name or remove it yourself",
            path.display()
        );
    }
    let mut file = opened.with_context(|| format!("cannot create '{}'", path.display()))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.with_context(|| format!("cannot write '{}'", path.display()))
}

/// Replaces a file (or makes it): a reader sees the old bytes or the new ones.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let parent = parent(path);
    let replaced = (|| {
        let mut file = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(Access::Everyone.mode()))
            .tempfile_in(parent)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(parent)?.sync_all()
    })();
    replaced.with_context(|| format!("cannot write '{}'", path.display()))
}

/// The folder that a path is in.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub(crate) fn folder(path: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot make the folder '{}'", path.display()))
}

pub(crate) fn read(path: &Path) -> anyhow::Result<String> {
    let failed = || format!("cannot read '{}'", path.display());
    let mut text = String::new();
    let file = File::open(path).with_context(failed)?;
    file.take(MAX_TEXT + 1).read_to_string(&mut text).with_context(failed)?;
    if text.len() as u64 > MAX_TEXT {
        bail!("'{}' is longer than the {MAX_TEXT} bytes that are read of such a file", path.display());
    }
    Ok(text)
}

/// A text that nobody but its owner may read: a private key, or a token.
pub(crate) fn read_secret(path: &Path) -> anyhow::Result<String> {
    check_secret(path)?;
    read(path)
}

/// Whether nobody but the file's owner may read it.
pub(crate) fn check_secret(path: &Path) -> anyhow::Result<()> {
    let metadata = fs::metadata(path).with_context(|| format!("cannot read '{}'", path.display()))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let path = path.display();
        bail!("'{path}' has mode {mode:04o}: others can read or change this secret; run `chmod 600 {path}`");
    }
    Ok(())
}

/// A private key, PEM.
pub(crate) fn read_key(path: &Path) -> anyhow::Result<SigningKey> {
    private_key_from_pem(&read_secret(path)?).with_context(|| format!("'{}'", path.display()))
}

/// Makes a key and its file; it is never overwritten.
pub(crate) fn new_key(path: &Path) -> anyhow::Result<SigningKey> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)
        .map_err(|error| anyhow::anyhow!("no random numbers from the system: {error}"))?;
    let key = SigningKey::from_bytes(&secret);
    create(path, private_key_to_pem(&key)?.as_bytes(), Access::OwnerOnly)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_owners_alone_and_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root-1.pem");
        let key = new_key(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read_key(&path).unwrap(), key);
        assert!(new_key(&path).unwrap_err().to_string().contains("not overwritten"));
        assert_eq!(read_key(&path).unwrap(), key);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = read_key(&path).unwrap_err().to_string();
        assert!(error.contains("mode 0640") && error.contains("chmod 600"), "{error}");
    }
}
