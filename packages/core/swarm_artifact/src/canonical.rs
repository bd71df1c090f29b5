//! The canonical bytes of an artifact: what exactly is signed.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::sum::{ArtifactId, Sha256Sum};

/// Domain of the signing digest. A signature made for anything else (a registry's metadata, another format version)
/// can never count for an artifact, because no other message begins with these bytes.
pub const SIGNING_DOMAIN: &[u8] = b"swarm-csa-v1\0";

/// Hashes an archive chunk by chunk, in constant memory.
#[derive(Clone, Debug, Default)]
pub struct ArchiveHasher {
    sha256: Sha256,
    length: u64,
}

impl ArchiveHasher {
    pub fn update(&mut self, chunk: &[u8]) {
        self.sha256.update(chunk);
        self.length += chunk.len() as u64;
    }

    pub fn finish(self) -> ArchiveDigest {
        ArchiveDigest { id: ArtifactId(Sha256Sum(self.sha256.finalize().into())), length: self.length }
    }
}

/// SHA-256 and length of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveDigest {
    pub id: ArtifactId,
    /// Length of the archive in bytes.
    pub length: u64,
}

impl ArchiveDigest {
    /// Digest of an archive that is in memory.
    pub fn of(archive: &[u8]) -> Self {
        let mut hasher = ArchiveHasher::default();
        hasher.update(archive);
        hasher.finish()
    }

    /// `SHA-256("swarm-csa-v1\0" || length as u64 big-endian || SHA-256(archive))`: the message of every signature.
    pub fn signing_digest(&self) -> SigningDigest {
        let mut sha256 = Sha256::new();
        sha256.update(SIGNING_DOMAIN);
        sha256.update(self.length.to_be_bytes());
        sha256.update(self.id.0.0);
        SigningDigest(sha256.finalize().into())
    }
}

/// The 32 bytes that signers sign with Ed25519 (RFC 8032, no pre-hash).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SigningDigest([u8; 32]);

impl SigningDigest {
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SigningDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningDigest({})", Sha256Sum(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_do_not_change_the_digest() {
        let archive: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        let mut hasher = ArchiveHasher::default();
        archive.chunks(77).for_each(|chunk| hasher.update(chunk));
        assert_eq!(hasher.finish(), ArchiveDigest::of(&archive));
    }

    #[test]
    fn the_signing_digest_is_pinned() {
        // Computed with Python's hashlib:
        // sha256(b"swarm-csa-v1\0" + (3).to_bytes(8, "big") + sha256(b"abc").digest()).hexdigest()
        let digest = ArchiveDigest::of(b"abc").signing_digest();
        assert_eq!(
            Sha256Sum(*digest.as_bytes()).to_string(),
            "12560ef45896eae8a7ce075c018a2ee44a29648b3f656f62c4e7fd01b661e488"
        );
    }
}
