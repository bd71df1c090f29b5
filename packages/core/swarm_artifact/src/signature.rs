//! The signature file (`.sig`): one or more Ed25519 signatures over an artifact's signing digest.
//!
//! ```yaml
//! schema_version: 1
//! signatures:
//! - key_id: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08   # SHA-256 of the public key
//!   signer: site_a                        # what the signer calls itself; who counts is decided by the trust file
//!   signature: "base64 of the 64 bytes"
//! ```
//!
//! JSON is YAML, so a signer that writes JSON is read as well.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, Signer as _, SigningKey};
use swarm_yaml::{Cursor, Mistakes, quoted};

use crate::canonical::SigningDigest;
use crate::keys::KeyId;

/// The signatures that come with an artifact. Nothing in here is believed before [`crate::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureFile {
    pub signatures: Vec<SignatureEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureEntry {
    pub key_id: KeyId,
    /// What the signer calls itself. Not covered by the signature: shown to people, never used to decide.
    pub claimed_signer: String,
    pub signature: Signature,
}

/// Why a signature file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature file cannot be read: {mistakes}")]
pub struct SignatureFileError {
    pub mistakes: Mistakes,
}

impl SignatureFile {
    /// A signature file holds one line per signer; one with more is an attempt to keep the verifier busy.
    pub const MAX_SIGNATURES: usize = 64;
    /// Largest file worth reading.
    pub const MAX_BYTES: u64 = 64 * 1024;

    pub fn parse(text: &str) -> Result<Self, SignatureFileError> {
        swarm_yaml::read(text, |document| {
            let [schema, signatures] = document.fields(["schema_version", "signatures"])?;
            let schema = schema.required("1", |at| at.schema(1));
            let signatures = signatures.required("a list of signatures", read_entries);
            schema?;
            Some(Self { signatures: signatures? })
        })
        .map_err(|mistakes| SignatureFileError { mistakes })
    }

    /// Signs `digest` and adds the signature; one that the same key made before is replaced.
    pub fn sign(&mut self, digest: &SigningDigest, key: &SigningKey, signer: &str) {
        let key_id = KeyId::of(&key.verifying_key());
        self.signatures.retain(|entry| entry.key_id != key_id);
        let signature = key.sign(digest.as_bytes());
        self.signatures.push(SignatureEntry { key_id, claimed_signer: signer.to_owned(), signature });
    }

    pub fn empty() -> Self {
        Self { signatures: Vec::new() }
    }

    pub fn to_yaml(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::from("schema_version: 1\nsignatures:\n");
        for entry in &self.signatures {
            let SignatureEntry { key_id, claimed_signer, signature } = entry;
            let signature = BASE64.encode(signature.to_bytes());
            let signer = quoted(claimed_signer);
            let _ =
                writeln!(text, "- key_id: \"{key_id}\"\n  signer: {signer}\n  signature: \"{signature}\"");
        }
        if self.signatures.is_empty() {
            text.push_str("  []\n");
        }
        text
    }
}

fn read_entries(list: &Cursor<'_>) -> Option<Vec<SignatureEntry>> {
    if list.items("a list of signatures")?.len() > SignatureFile::MAX_SIGNATURES {
        return list.expected(format!("at most {} signatures", SignatureFile::MAX_SIGNATURES));
    }
    list.list("a list of signatures", read_entry)
}

fn read_entry(item: &Cursor<'_>) -> Option<SignatureEntry> {
    let [key_id, signer, signature] = item.fields(["key_id", "signer", "signature"])?;
    let key_id = key_id.required("the SHA-256 of the signer's public key", Cursor::parse);
    let claimed_signer = signer.required("what the signer calls itself", Cursor::text);
    let signature = signature.required("the signature", |at| {
        let bytes = BASE64.decode(at.text()?).ok().and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
        bytes.or_else(|| at.wrong("expected the base64 of 64 bytes (an Ed25519 signature)"))
    });
    Some(SignatureEntry {
        key_id: key_id?,
        claimed_signer: claimed_signer?,
        signature: Signature::from_bytes(&signature?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::ArchiveDigest;

    #[test]
    fn what_is_written_is_read_back_and_a_second_signature_of_a_key_replaces_the_first() {
        let digest = ArchiveDigest::of(b"archive").signing_digest();
        let mut file = SignatureFile::empty();
        assert_eq!(SignatureFile::parse(&file.to_yaml()).unwrap(), file);
        file.sign(&digest, &SigningKey::from_bytes(&[1; 32]), "site \"a\": #1");
        file.sign(&digest, &SigningKey::from_bytes(&[2; 32]), "site_b");
        file.sign(&digest, &SigningKey::from_bytes(&[1; 32]), "site_a");
        assert_eq!(
            file.signatures.iter().map(|entry| &entry.claimed_signer).collect::<Vec<_>>(),
            ["site_b", "site_a"]
        );
        assert_eq!(SignatureFile::parse(&file.to_yaml()).unwrap(), file);
    }

    #[test]
    fn json_is_read_too() {
        let signature = BASE64.encode([0; 64]);
        let key_id = KeyId::of(&SigningKey::from_bytes(&[1; 32]).verifying_key());
        let json = format!(
            r#"{{"schema_version": 1, "signatures": [{{"key_id": "{key_id}", "signer": "a", "signature": "{signature}"}}]}}"#
        );
        assert_eq!(SignatureFile::parse(&json).unwrap().signatures.len(), 1);
    }

    #[test]
    fn more_signatures_than_a_verifier_should_try_are_refused_unread() {
        let signatures = |count| format!("schema_version: 1\nsignatures: [{}]\n", "x, ".repeat(count));
        let error = SignatureFile::parse(&signatures(SignatureFile::MAX_SIGNATURES + 1)).unwrap_err();
        assert_eq!(
            error.mistakes.as_slice()[0].problem,
            "expected at most 64 signatures, found a list of 65"
        );
        let error = SignatureFile::parse(&signatures(SignatureFile::MAX_SIGNATURES)).unwrap_err();
        assert_eq!(error.mistakes.as_slice().len(), 64, "each is read");
    }

    #[test]
    fn all_mistakes_are_listed() {
        let text =
            "schema_version: 2\nsignatures:\n- key_id: abc\n  signer: a\n- signer: b\n  signature: AAAA\n";
        assert_eq!(
            SignatureFile::parse(text).unwrap_err().to_string(),
            "the signature file cannot be read: 5 mistakes\n  \
             line 1, column 17: schema_version: expected 1 (the form that this program reads), found the number 2\n  \
             line 3, column 3: signatures[0].signature: missing; expected the signature\n  \
             line 3, column 11: signatures[0].key_id: expected 64 lower-case hex digits (a SHA-256), found 'abc'\n  \
             line 5, column 3: signatures[1].key_id: missing; expected the SHA-256 of the signer's public key\n  \
             line 6, column 14: signatures[1].signature: expected the base64 of 64 bytes (an Ed25519 signature)"
        );
    }
}
