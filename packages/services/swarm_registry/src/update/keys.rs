//! The registry's online key: it signs snapshot and timestamp of both repositories, and the director's targets.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ed25519_dalek::SigningKey;
use swarm_artifact::private_key_from_pem;
use swarm_tuf::repository::Keyring;
use swarm_tuf::{Ed25519Signer, Root};

const END: &str = "-----END PRIVATE KEY-----";

/// One key mostly. While a new root moves to another key, the file has both: whichever the root names signs.
#[derive(Clone)]
pub struct UpdateKeys {
    keys: Vec<SigningKey>,
}

impl std::fmt::Debug for UpdateKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UpdateKeys({})", self.keys.len())
    }
}

impl UpdateKeys {
    /// Reads a file of private keys (PEM, PKCS #8, Ed25519) that nobody but its owner may read.
    pub fn read(path: &Path) -> Result<Self, String> {
        let cannot = |error: std::io::Error| format!("cannot read '{}': {error}", path.display());
        let mode = std::fs::metadata(path).map_err(cannot)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(format!(
                "others may read the private key in '{}' (mode {mode:o}, expected 600): chmod 600, and replace the key if others were there",
                path.display()
            ));
        }
        let text = std::fs::read_to_string(path).map_err(cannot)?;
        Self::parse(&text).map_err(|problem| format!("in '{}': {problem}", path.display()))
    }

    pub fn parse(text: &str) -> Result<Self, String> {
        let mut keys = Vec::new();
        for block in text.split_inclusive(END).filter(|block| !block.trim().is_empty()) {
            keys.push(private_key_from_pem(block.trim()).map_err(|error| error.to_string())?);
        }
        if keys.is_empty() { Err("no private key in PEM".to_owned()) } else { Ok(Self { keys }) }
    }

    /// Signs as the keys that this root names: further fields of a key in the root are part of its id.
    pub(super) fn keyring(&self, root: &Root) -> Keyring {
        let mut keyring = Keyring::default();
        for public in root.keys.values() {
            for secret in &self.keys {
                if let Some(signer) = Ed25519Signer::known_as(secret.clone(), public.clone()) {
                    keyring.add(signer);
                }
            }
        }
        keyring
    }
}

#[cfg(test)]
mod tests {
    use swarm_artifact::private_key_to_pem;

    use super::*;

    #[test]
    fn a_file_has_one_key_or_several_and_is_its_owners_alone() {
        let pem = |seed| private_key_to_pem(&SigningKey::from_bytes(&[seed; 32])).unwrap();
        let two = format!("{}\n{}\n", pem(1), pem(2));
        assert_eq!(UpdateKeys::parse(&two).unwrap().keys.len(), 2);
        for bad in ["", "\n", "no key", &two[..two.len() - 10]] {
            assert!(UpdateKeys::parse(bad).is_err(), "{bad}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("online.pem");
        std::fs::write(&path, two).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(UpdateKeys::read(&path).unwrap_err().contains("mode 640"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let shown = format!("{:?}", UpdateKeys::read(&path).unwrap());
        assert_eq!(shown, "UpdateKeys(2)");
    }
}
