//! Public keys of metadata and their signatures: Ed25519, ECDSA on P-256, RSA-PSS; all with SHA-256 where a digest is needed.

use std::collections::BTreeMap;
use std::fmt;

use ed25519_dalek::pkcs8::spki::der::Document;
use ed25519_dalek::pkcs8::spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use ring::signature::{ECDSA_P256_SHA256_ASN1, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::json::Json;
use crate::moment::Moment;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// When a key came into use; our own field, covered by the key's id like every other.
const CREATED: &str = "x-swarm-created";

/// Name of a key in metadata: what its role's metadata says. Ours are the SHA-256 of the key's canonical JSON.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub String);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_debug().fmt(f)
    }
}

/// A public key as metadata has it. One of a type that is not known here is kept, and never verifies anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    pub keytype: String,
    pub scheme: String,
    pub keyval: KeyValue,
    #[serde(flatten)]
    pub other: BTreeMap<String, Json>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyValue {
    /// Hexadecimal for Ed25519, PEM (SubjectPublicKeyInfo) for the others.
    #[serde(default)]
    pub public: String,
    #[serde(flatten)]
    pub other: BTreeMap<String, Json>,
}

/// What a key is made of, whatever it is called: two that are equal are one key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Material {
    Ed25519([u8; 32]),
    /// The uncompressed point.
    P256(Vec<u8>),
    /// RSAPublicKey in DER.
    RsaPss(Vec<u8>),
}

impl Key {
    pub fn ed25519(key: &VerifyingKey) -> Self {
        Self {
            keytype: "ed25519".to_owned(),
            scheme: "ed25519".to_owned(),
            keyval: KeyValue { public: hex::encode(key.as_bytes()), other: BTreeMap::new() },
            other: BTreeMap::new(),
        }
    }

    /// Notes when the key came into use, for [`crate::repository::Upkeep`].
    #[must_use]
    pub fn created(mut self, at: Moment) -> Self {
        self.other.insert(CREATED.to_owned(), Json::Text(at.to_string()));
        self
    }

    pub fn created_at(&self) -> Option<Moment> {
        serde_json::from_value(self.other.get(CREATED)?.as_text()?.into()).ok()
    }

    pub fn id(&self) -> KeyId {
        let json = serde_json::to_vec(self).expect("texts and JSON can be written");
        let json = Json::parse(&json).expect("was written a line above");
        KeyId(hex::encode(Sha256::digest(json.canonical())))
    }

    pub(crate) fn material(&self) -> Option<Material> {
        match (self.keytype.as_str(), self.scheme.as_str()) {
            ("ed25519", "ed25519") => {
                let mut bytes = [0; 32];
                hex::decode_to_slice(&self.keyval.public, &mut bytes).ok()?;
                Some(Material::Ed25519(bytes))
            }
            // The second name is that of the specification before 1.0.22; sigstore's first roots have it.
            ("ecdsa" | "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256") => {
                self.subject_key(EC, Some(P256)).map(Material::P256)
            }
            ("rsa", "rsassa-pss-sha256") => self.subject_key(RSA, None).map(Material::RsaPss),
            _ => None,
        }
    }

    fn subject_key(&self, algorithm: ObjectIdentifier, curve: Option<ObjectIdentifier>) -> Option<Vec<u8>> {
        let (label, document) = Document::from_pem(self.keyval.public.trim()).ok()?;
        let info: SubjectPublicKeyInfoRef<'_> = document.decode_msg().ok()?;
        let right_curve = curve.is_none() || info.algorithm.parameters_oid().ok() == curve;
        let right = label == "PUBLIC KEY" && info.algorithm.oid == algorithm && right_curve;
        right.then(|| info.subject_public_key.as_bytes().map(<[u8]>::to_vec)).flatten()
    }
}

impl Material {
    /// `signature` in hexadecimal, as metadata has it; whatever is not a signature is not one by this key.
    pub(crate) fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let Ok(signature) = hex::decode(signature) else { return false };
        match self {
            // Strict: refuses small-order points too, so that no two verifiers can disagree about a signature.
            Self::Ed25519(key) => VerifyingKey::from_bytes(key).is_ok_and(|key| {
                ed25519_dalek::Signature::from_slice(&signature)
                    .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok())
            }),
            Self::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(message, &signature).is_ok()
            }
            Self::RsaPss(key) => {
                UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, key).verify(message, &signature).is_ok()
            }
        }
    }
}

/// Something that signs: a key in memory, or one in a module that never lets it out.
pub trait Signer {
    fn public(&self) -> Key;

    /// The signature of `message` in bytes, or why there is none.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String>;
}

/// An Ed25519 key in memory.
#[derive(Clone, Debug)]
pub struct Ed25519Signer {
    secret: SigningKey,
    public: Key,
}

impl Ed25519Signer {
    pub fn new(secret: SigningKey) -> Self {
        let public = Key::ed25519(&secret.verifying_key());
        Self { secret, public }
    }

    /// Its public key then says when it came into use, see [`Key::created`].
    #[must_use]
    pub fn created(mut self, at: Moment) -> Self {
        self.public = self.public.created(at);
        self
    }

    /// For a key whose public half in metadata has further fields.
    pub fn known_as(secret: SigningKey, public: Key) -> Option<Self> {
        let same = public.material() == Some(Material::Ed25519(secret.verifying_key().to_bytes()));
        same.then_some(Self { secret, public })
    }
}

impl Signer for Ed25519Signer {
    fn public(&self) -> Key {
        self.public.clone()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        Ok(self.secret.sign(message).to_bytes().to_vec())
    }
}
