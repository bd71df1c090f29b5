//! The four kinds of metadata, read strictly and kept as the bytes that came.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::delegation::Delegations;
use crate::json::Json;
use crate::key::{Key, KeyId};
use crate::moment::Moment;
use crate::names::{ROOT, SNAPSHOT, TARGETS, TIMESTAMP};
use crate::refusal::Refusal;
use crate::threshold::Authority;

/// The version of the specification that metadata from here follows.
pub const SPEC_VERSION: &str = "1.0.34";

/// A kind of metadata.
pub trait Metadata: Clone + DeserializeOwned + Serialize {
    /// What `_type` says.
    const TYPE: &'static str;

    fn head(&self) -> &Head;

    fn head_mut(&mut self) -> &mut Head;

    /// What must hold besides the types of the fields; says what does not.
    fn check(&self) -> Result<(), String>;
}

/// What all metadata has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    #[serde(rename = "_type")]
    pub kind: String,
    pub spec_version: String,
    pub version: NonZeroU64,
    pub expires: Moment,
}

impl Head {
    pub(crate) fn new<T: Metadata>(version: NonZeroU64, expires: Moment) -> Self {
        Self { kind: T::TYPE.to_owned(), spec_version: SPEC_VERSION.to_owned(), version, expires }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    #[serde(flatten)]
    pub head: Head,
    #[serde(default)]
    pub consistent_snapshot: bool,
    pub keys: BTreeMap<KeyId, Key>,
    pub roles: BTreeMap<String, RoleKeys>,
}

/// The keys of a role, and how many of them must sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleKeys {
    pub keyids: Vec<KeyId>,
    pub threshold: NonZeroU64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timestamp {
    #[serde(flatten)]
    pub head: Head,
    pub meta: BTreeMap<String, MetaFile>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    #[serde(flatten)]
    pub head: Head,
    /// By file name without the version, such as `targets.json`.
    pub meta: BTreeMap<String, MetaFile>,
}

/// What one metadata file says of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaFile {
    pub version: NonZeroU64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<BTreeMap<String, String>>,
}

/// The top-level targets role, or a delegated one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    #[serde(flatten)]
    pub head: Head,
    pub targets: BTreeMap<String, TargetFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegations: Option<Delegations>,
}

/// What is signed of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetFile {
    /// In bytes.
    pub length: u64,
    /// Hexadecimal, by algorithm.
    pub hashes: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<Json>,
}

impl Metadata for Root {
    const TYPE: &'static str = ROOT;

    fn head(&self) -> &Head {
        &self.head
    }

    fn head_mut(&mut self) -> &mut Head {
        &mut self.head
    }

    fn check(&self) -> Result<(), String> {
        for role in [ROOT, TIMESTAMP, SNAPSHOT, TARGETS] {
            let keys = self.roles.get(role).ok_or_else(|| format!("no keys are given for role {role}"))?;
            unique(&keys.keyids, role)?;
        }
        Ok(())
    }
}

impl Root {
    /// Who may sign one of the four top-level roles. A root that was read has all of them.
    pub(crate) fn authority(&self, role: &str) -> Option<Authority<'_>> {
        let RoleKeys { keyids, threshold } = self.roles.get(role)?;
        Some(Authority { keys: &self.keys, keyids, threshold: *threshold })
    }
}

impl Metadata for Timestamp {
    const TYPE: &'static str = TIMESTAMP;

    fn head(&self) -> &Head {
        &self.head
    }

    fn head_mut(&mut self) -> &mut Head {
        &mut self.head
    }

    fn check(&self) -> Result<(), String> {
        match self.meta.get("snapshot.json") {
            Some(_) if self.meta.len() == 1 => Ok(()),
            _ => Err("meta must name snapshot.json and nothing else".to_owned()),
        }
    }
}

impl Timestamp {
    /// The snapshot this timestamp belongs to.
    pub fn snapshot(&self) -> &MetaFile {
        &self.meta["snapshot.json"] // `check` has seen it
    }
}

impl Metadata for Snapshot {
    const TYPE: &'static str = SNAPSHOT;

    fn head(&self) -> &Head {
        &self.head
    }

    fn head_mut(&mut self) -> &mut Head {
        &mut self.head
    }

    fn check(&self) -> Result<(), String> {
        match self.meta.keys().find(|name| name.strip_suffix(".json").is_none()) {
            Some(name) => Err(format!("meta names '{}', which does not end with .json", name.escape_debug())),
            None => Ok(()),
        }
    }
}

impl Snapshot {
    pub fn file(&self, role: &str) -> Option<&MetaFile> {
        self.meta.get(&format!("{role}.json"))
    }
}

impl Metadata for Targets {
    const TYPE: &'static str = TARGETS;

    fn head(&self) -> &Head {
        &self.head
    }

    fn head_mut(&mut self) -> &mut Head {
        &mut self.head
    }

    fn check(&self) -> Result<(), String> {
        self.delegations.as_ref().map_or(Ok(()), Delegations::check)
    }
}

pub(crate) fn unique(keyids: &[KeyId], role: &str) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    match keyids.iter().find(|id| !seen.insert(*id)) {
        Some(twice) => Err(format!("key {twice} is listed twice for role {}", role.escape_debug())),
        None => Ok(()),
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    pub keyid: KeyId,
    /// Hexadecimal; whatever else is here is a signature that does not match.
    pub sig: String,
}

/// Metadata with its signatures, read from bytes. Reading believes nothing: see the rules in [`crate::Client`].
#[derive(Clone, Debug)]
pub struct Signed<T> {
    pub(crate) body: T,
    pub(crate) signatures: Vec<Signature>,
    canonical: Vec<u8>,
    bytes: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Wire<T> {
    signatures: Vec<Signature>,
    signed: T,
}

impl<T: Metadata> Signed<T> {
    /// Reads `bytes` as metadata of `role`; `file` is for the error.
    pub fn parse(role: &str, file: &str, bytes: &[u8]) -> Result<Self, Refusal> {
        let refused =
            |problem: String| Refusal::Format { role: role.to_owned(), file: file.to_owned(), problem };
        // Whatever a second reader could read otherwise (a key twice, a fraction) is refused by the first.
        let json = Json::parse(bytes).map_err(|error| refused(error.to_string()))?;
        let signed = json.get("signed").ok_or_else(|| refused("it has no field `signed`".to_owned()))?;
        let kind = signed.get("_type").and_then(Json::as_text).unwrap_or_default();
        if kind != T::TYPE {
            return Err(refused(format!("its _type is '{}', expected '{}'", kind.escape_debug(), T::TYPE)));
        }
        let Wire { signatures, signed: body } =
            serde_json::from_slice::<Wire<T>>(bytes).map_err(|error| refused(error.to_string()))?;
        let head = body.head();
        if !head.spec_version.starts_with("1.") {
            let version = head.spec_version.escape_debug();
            return Err(refused(format!(
                "it follows version '{version}' of the specification, expected 1.x"
            )));
        }
        let ids: Vec<KeyId> = signatures.iter().map(|signature| signature.keyid.clone()).collect();
        unique(&ids, role).and_then(|()| body.check()).map_err(refused)?;
        Ok(Self { body, signatures, canonical: signed.canonical(), bytes: bytes.to_vec() })
    }

    /// What the metadata says.
    pub fn body(&self) -> &T {
        &self.body
    }

    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    pub fn version(&self) -> u64 {
        self.body.head().version.get()
    }

    pub fn expires(&self) -> Moment {
        self.body.head().expires
    }

    /// The bytes as they came.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn check_signed(&self, role: &str, authority: Authority<'_>) -> Result<(), Refusal> {
        authority.check(role, &self.canonical, &self.signatures)
    }
}

/// Metadata that is being signed, perhaps by several people one after the other.
#[derive(Clone, Debug)]
pub struct Draft<T> {
    body: T,
    signatures: Vec<Signature>,
}

impl<T: Metadata> Draft<T> {
    pub fn new(body: T) -> Self {
        Self { body, signatures: Vec::new() }
    }

    pub fn body(&self) -> &T {
        &self.body
    }

    /// What each of them signs.
    pub fn signing_bytes(&self) -> Vec<u8> {
        let json = serde_json::to_vec(&self.body).expect("metadata can be written");
        Json::parse(&json).expect("was written a line above").canonical()
    }

    /// Adds a signature (bytes), in place of an earlier one by the same key.
    pub fn add(&mut self, keyid: KeyId, signature: &[u8]) {
        self.signatures.retain(|other| other.keyid != keyid);
        self.signatures.push(Signature { keyid, sig: hex::encode(signature) });
    }

    /// The file; whoever gets it goes on with [`Draft::from`] or publishes it.
    pub fn to_bytes(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Out<'a, T> {
            signatures: &'a [Signature],
            signed: &'a T,
        }
        let out = Out { signatures: &self.signatures, signed: &self.body };
        serde_json::to_vec(&out).expect("metadata can be written")
    }
}

impl<T> From<Signed<T>> for Draft<T> {
    fn from(signed: Signed<T>) -> Self {
        Self { body: signed.body, signatures: signed.signatures }
    }
}
