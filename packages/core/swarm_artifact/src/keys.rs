//! Ed25519 keys as PEM (PKCS#8 and SubjectPublicKeyInfo, RFC 8410), the form that OpenSSL and Python read too.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, KeypairBytes,
};
use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::sum::{ParseSumError, Sha256Sum};

/// Name of a key: the SHA-256 of its 32 public bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub Sha256Sum);

impl KeyId {
    pub fn of(key: &VerifyingKey) -> Self {
        Self(Sha256Sum::of(key.as_bytes()))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for KeyId {
    type Err = ParseSumError;

    fn from_str(text: &str) -> Result<Self, ParseSumError> {
        text.parse().map(Self)
    }
}

/// Why a PEM text is not a usable Ed25519 key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("not an Ed25519 private key in PKCS#8 PEM ('-----BEGIN PRIVATE KEY-----'): {0}")]
    Private(String),
    #[error("not an Ed25519 public key in PEM ('-----BEGIN PUBLIC KEY-----'): {0}")]
    Public(String),
    #[error("the key cannot be written as PEM: {0}")]
    Encode(String),
}

pub fn private_key_from_pem(pem: &str) -> Result<SigningKey, KeyError> {
    SigningKey::from_pkcs8_pem(pem).map_err(|error| KeyError::Private(error.to_string()))
}

/// PKCS#8 version 1, without the public half: OpenSSL 3.0 and Python's `cryptography` 48 cannot read version 2 (RFC 5958).
pub fn private_key_to_pem(key: &SigningKey) -> Result<String, KeyError> {
    let bytes = KeypairBytes { secret_key: key.to_bytes(), public_key: None };
    match bytes.to_pkcs8_pem(LineEnding::LF) {
        Ok(pem) => Ok((*pem).clone()),
        Err(error) => Err(KeyError::Encode(error.to_string())),
    }
}

pub fn public_key_from_pem(pem: &str) -> Result<VerifyingKey, KeyError> {
    VerifyingKey::from_public_key_pem(pem).map_err(|error| KeyError::Public(error.to_string()))
}

pub fn public_key_to_pem(key: &VerifyingKey) -> Result<String, KeyError> {
    key.to_public_key_pem(LineEnding::LF).map_err(|error| KeyError::Encode(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_pem() {
        let key = SigningKey::from_bytes(&[7; 32]);
        assert_eq!(private_key_from_pem(&private_key_to_pem(&key).unwrap()).unwrap(), key);
        let public = key.verifying_key();
        assert_eq!(public_key_from_pem(&public_key_to_pem(&public).unwrap()).unwrap(), public);
    }

    /// The key of RFC 8410, section 10.3, as OpenSSL writes it.
    #[test]
    fn the_private_key_of_rfc_8410_is_read_and_written_alike() {
        let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        let key = private_key_from_pem(pem).unwrap();
        assert_eq!(private_key_to_pem(&key).unwrap(), pem);
    }

    #[test]
    fn a_public_key_is_not_taken_for_a_private_one() {
        let pem = public_key_to_pem(&SigningKey::from_bytes(&[7; 32]).verifying_key()).unwrap();
        let error = private_key_from_pem(&pem).unwrap_err().to_string();
        assert!(error.starts_with("not an Ed25519 private key in PKCS#8 PEM"), "{error}");
    }
}
