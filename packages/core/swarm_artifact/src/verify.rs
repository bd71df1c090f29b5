//! The one check whether an artifact is believed. Every caller (command line, store, safety monitor) uses this function.

use std::collections::BTreeSet;
use std::fmt;

use swarm_yaml::moment;

use crate::canonical::ArchiveDigest;
use crate::keys::KeyId;
use crate::signature::{SignatureEntry, SignatureFile};
use crate::sum::ArtifactId;
use crate::trust::{KeyRole, Trust, TrustedKey};

/// Proof that an archive is believed; only [`verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    artifact: ArtifactId,
    signers: BTreeSet<String>,
    ignored: Vec<Rejection>,
}

impl Verified {
    pub fn artifact(&self) -> ArtifactId {
        self.artifact
    }

    /// The distinct signers that count, as the trust file names them.
    pub fn signers(&self) -> &BTreeSet<String> {
        &self.signers
    }

    /// Signatures that did not count; for the log.
    pub fn ignored(&self) -> &[Rejection] {
        &self.ignored
    }
}

/// Why one signature does not count. In the order of gravity, gravest last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rejection {
    UnknownKey { key_id: KeyId, claimed_signer: String },
    WrongRole { key_id: KeyId, signer: String },
    NotYetValid { key_id: KeyId, signer: String, not_before_unix: i64, now_unix: i64 },
    Expired { key_id: KeyId, signer: String, not_after_unix: i64, now_unix: i64 },
    Revoked { key_id: KeyId, signer: String },
    BadSignature { key_id: KeyId, signer: String },
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey { key_id, claimed_signer } => {
                let signer = claimed_signer.escape_debug();
                write!(f, "key {key_id} (which calls itself '{signer}') is not in the trust file")
            }
            Self::WrongRole { key_id, signer } => {
                write!(f, "key {key_id} of {signer} has no role 'artifact' in the trust file")
            }
            Self::NotYetValid { key_id, signer, not_before_unix, now_unix } => {
                let (start, now) = (moment(*not_before_unix), moment(*now_unix));
                write!(f, "key {key_id} of {signer} is valid from {start}, and it is {now}")
            }
            Self::Expired { key_id, signer, not_after_unix, now_unix } => {
                let (end, now) = (moment(*not_after_unix), moment(*now_unix));
                write!(f, "key {key_id} of {signer} expired at {end}, and it is {now}")
            }
            Self::Revoked { key_id, signer } => write!(f, "key {key_id} of {signer} is revoked"),
            Self::BadSignature { key_id, signer } => {
                write!(f, "the signature of {signer} with key {key_id} does not match this archive")
            }
        }
    }
}

/// Why an archive is not believed. The variant names the gravest reason; `others` holds the rest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    #[error(
        "bad signature on artifact {artifact}: {}; {shortfall}; the archive or its signature was changed: get both again \
         from the signer",
        list(reasons)
    )]
    BadSignature { artifact: ArtifactId, reasons: Vec<Rejection>, shortfall: Shortfall },
    #[error(
        "revoked key on artifact {artifact}: {}; {shortfall}; have it signed again with a key that is not revoked",
        list(reasons)
    )]
    Revoked { artifact: ArtifactId, reasons: Vec<Rejection>, shortfall: Shortfall },
    #[error(
        "expired key on artifact {artifact}: {}; {shortfall}; have it signed again with a current key (and check this \
         machine's clock)",
        list(reasons)
    )]
    Expired { artifact: ArtifactId, reasons: Vec<Rejection>, shortfall: Shortfall },
    #[error(
        "key not yet valid on artifact {artifact}: {}; {shortfall}; check this machine's clock",
        list(reasons)
    )]
    NotYetValid { artifact: ArtifactId, reasons: Vec<Rejection>, shortfall: Shortfall },
    #[error(
        "key without the role on artifact {artifact}: {}; {shortfall}; have it signed with a key that may sign artifacts",
        list(reasons)
    )]
    WrongRole { artifact: ArtifactId, reasons: Vec<Rejection>, shortfall: Shortfall },
    #[error(
        "unknown key on artifact {artifact}: {}; {shortfall}; if the signer is to be believed, add its public key to the \
         trust file",
        list(reasons)
    )]
    UnknownKey { artifact: ArtifactId, reasons: Vec<Rejection>, shortfall: Shortfall },
    #[error("too few signatures on artifact {artifact}: {shortfall}; have further signers sign it")]
    TooFew { artifact: ArtifactId, shortfall: Shortfall },
}

impl VerifyError {
    /// A short, stable name of the variant, for scripts and counters.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BadSignature { .. } => "bad_signature",
            Self::Revoked { .. } => "revoked_key",
            Self::Expired { .. } => "expired_key",
            Self::NotYetValid { .. } => "key_not_yet_valid",
            Self::WrongRole { .. } => "key_without_role",
            Self::UnknownKey { .. } => "unknown_key",
            Self::TooFew { .. } => "too_few_signatures",
        }
    }
}

/// How many distinct signers count, and how many are needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    pub counted: BTreeSet<String>,
    pub threshold: usize,
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { counted, threshold } = self;
        write!(f, "{} of {threshold} needed signers count", counted.len())?;
        if !counted.is_empty() {
            write!(f, " ({})", counted.iter().map(String::as_str).collect::<Vec<_>>().join(", "))?;
        }
        Ok(())
    }
}

fn list(reasons: &[Rejection]) -> String {
    reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Decides whether enough distinct signers of the trust file signed this archive.
///
/// A signature that does not count (unknown key, expired, ...) is passed over: it must not be able to block an artifact
/// that enough others signed. What counts is the number of distinct *signers*; a key listed twice, or two keys of one
/// signer, count once. `now_unix` is in seconds since 1970-01-01 UTC; both ends of a key's validity are inclusive.
pub fn verify(
    digest: &ArchiveDigest,
    signatures: &SignatureFile,
    trust: &Trust,
    now_unix: i64,
) -> Result<Verified, VerifyError> {
    let mut counted = BTreeSet::new();
    let mut rejections = Vec::new();
    for entry in &signatures.signatures {
        match check_one(digest, entry, trust, now_unix) {
            Ok(key) => {
                counted.insert(key.signer.clone());
            }
            Err(rejection) => rejections.push(rejection),
        }
    }
    // A trust file cannot be parsed with threshold 0, but one can be built by hand.
    if counted.len() >= trust.threshold.max(1) {
        return Ok(Verified { artifact: digest.id, signers: counted, ignored: rejections });
    }
    Err(refusal(digest.id, rejections, Shortfall { counted, threshold: trust.threshold.max(1) }))
}

fn check_one<'t>(
    digest: &ArchiveDigest,
    entry: &SignatureEntry,
    trust: &'t Trust,
    now_unix: i64,
) -> Result<&'t TrustedKey, Rejection> {
    let key_id = entry.key_id;
    let Some(key) = trust.key(&key_id) else {
        return Err(Rejection::UnknownKey { key_id, claimed_signer: entry.claimed_signer.clone() });
    };
    let signer = key.signer.clone();
    // verify_strict also refuses small-order points, so that no two verifiers can disagree about a signature.
    if key.key.verify_strict(digest.signing_digest().as_bytes(), &entry.signature).is_err() {
        return Err(Rejection::BadSignature { key_id, signer });
    }
    if key.revoked {
        return Err(Rejection::Revoked { key_id, signer });
    }
    if let Some(not_after_unix) = key.not_after_unix.filter(|end| now_unix > *end) {
        return Err(Rejection::Expired { key_id, signer, not_after_unix, now_unix });
    }
    if let Some(not_before_unix) = key.not_before_unix.filter(|start| now_unix < *start) {
        return Err(Rejection::NotYetValid { key_id, signer, not_before_unix, now_unix });
    }
    if !key.roles.contains(&KeyRole::Artifact) {
        return Err(Rejection::WrongRole { key_id, signer });
    }
    Ok(key)
}

fn refusal(artifact: ArtifactId, mut reasons: Vec<Rejection>, shortfall: Shortfall) -> VerifyError {
    reasons.sort_by(|a, b| b.cmp(a));
    match reasons.first() {
        None => VerifyError::TooFew { artifact, shortfall },
        Some(Rejection::BadSignature { .. }) => VerifyError::BadSignature { artifact, reasons, shortfall },
        Some(Rejection::Revoked { .. }) => VerifyError::Revoked { artifact, reasons, shortfall },
        Some(Rejection::Expired { .. }) => VerifyError::Expired { artifact, reasons, shortfall },
        Some(Rejection::NotYetValid { .. }) => VerifyError::NotYetValid { artifact, reasons, shortfall },
        Some(Rejection::WrongRole { .. }) => VerifyError::WrongRole { artifact, reasons, shortfall },
        Some(Rejection::UnknownKey { .. }) => VerifyError::UnknownKey { artifact, reasons, shortfall },
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn trusted(seed: u8, signer: &str) -> TrustedKey {
        TrustedKey {
            key: key(seed).verifying_key(),
            signer: signer.to_owned(),
            roles: BTreeSet::from([KeyRole::Artifact]),
            not_before_unix: None,
            not_after_unix: None,
            revoked: false,
        }
    }

    fn signed(seeds: &[u8]) -> (ArchiveDigest, SignatureFile) {
        let digest = ArchiveDigest::of(b"an archive");
        let mut file = SignatureFile::empty();
        for seed in seeds {
            file.sign(&digest.signing_digest(), &key(*seed), &format!("signer {seed}"));
        }
        (digest, file)
    }

    #[test]
    fn enough_distinct_signers_are_believed() {
        let trust = Trust { threshold: 2, keys: vec![trusted(1, "a"), trusted(2, "b"), trusted(3, "b")] };
        let (digest, file) = signed(&[1, 2]);
        let verified = verify(&digest, &file, &trust, NOW).unwrap();
        assert_eq!(verified.artifact(), digest.id);
        assert_eq!(verified.signers().iter().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn two_keys_of_one_signer_and_one_key_twice_count_once() {
        let trust = Trust { threshold: 2, keys: vec![trusted(1, "a"), trusted(2, "b"), trusted(3, "b")] };
        let (digest, file) = signed(&[2, 3]);
        assert!(matches!(verify(&digest, &file, &trust, NOW), Err(VerifyError::TooFew { .. })));
        let (digest, mut file) = signed(&[1]);
        file.signatures.push(file.signatures[0].clone());
        let error = verify(&digest, &file, &trust, NOW).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "too few signatures on artifact {}: 1 of 2 needed signers count (a); have further signers sign it",
                digest.id
            )
        );
    }

    #[test]
    fn a_signature_that_does_not_count_cannot_block_the_others() {
        let mut revoked = trusted(2, "b");
        revoked.revoked = true;
        let trust = Trust { threshold: 1, keys: vec![trusted(1, "a"), revoked] };
        let (digest, file) = signed(&[9, 2, 1]);
        let verified = verify(&digest, &file, &trust, NOW).unwrap();
        assert_eq!(verified.signers().iter().collect::<Vec<_>>(), ["a"]);
        assert_eq!(verified.ignored().len(), 2);
    }

    #[test]
    fn both_ends_of_a_validity_are_inclusive() {
        let mut limited = trusted(1, "a");
        limited.not_before_unix = Some(NOW - 10);
        limited.not_after_unix = Some(NOW + 10);
        let trust = Trust { threshold: 1, keys: vec![limited] };
        let (digest, file) = signed(&[1]);
        let at = |now| verify(&digest, &file, &trust, now).map(|_| ());
        assert!(matches!(at(NOW - 11), Err(VerifyError::NotYetValid { .. })));
        assert_eq!(at(NOW - 10), Ok(()));
        assert_eq!(at(NOW + 10), Ok(()));
        assert!(matches!(at(NOW + 11), Err(VerifyError::Expired { .. })));
    }

    #[test]
    fn a_signature_of_another_archive_of_the_raw_hash_or_under_another_key_is_bad() {
        let trust = Trust { threshold: 1, keys: vec![trusted(1, "a"), trusted(2, "b")] };
        let (digest, file) = signed(&[1]);
        let other = ArchiveDigest::of(b"another archive");
        assert!(matches!(verify(&other, &file, &trust, NOW), Err(VerifyError::BadSignature { .. })));
        let longer = ArchiveDigest { length: digest.length + 1, ..digest };
        assert!(matches!(verify(&longer, &file, &trust, NOW), Err(VerifyError::BadSignature { .. })));
        let mut renamed = file;
        renamed.signatures[0].key_id = KeyId::of(&key(2).verifying_key());
        assert!(matches!(verify(&digest, &renamed, &trust, NOW), Err(VerifyError::BadSignature { .. })));
    }

    #[test]
    fn the_gravest_reason_names_the_error_and_all_are_listed() {
        let mut revoked = trusted(2, "b");
        revoked.revoked = true;
        let mut other_role = trusted(3, "c");
        other_role.roles = BTreeSet::from([KeyRole::Registry]);
        let trust = Trust { threshold: 1, keys: vec![revoked, other_role] };
        let (digest, file) = signed(&[9, 2, 3]);
        let id = |seed| KeyId::of(&key(seed).verifying_key());
        assert_eq!(
            verify(&digest, &file, &trust, NOW).unwrap_err().to_string(),
            format!(
                "revoked key on artifact {}: key {} of b is revoked; key {} of c has no role 'artifact' in the trust file; \
                 key {} (which calls itself 'signer 9') is not in the trust file; 0 of 1 needed signers count; \
                 have it signed again with a key that is not revoked",
                digest.id,
                id(2),
                id(3),
                id(9)
            )
        );
    }
}
