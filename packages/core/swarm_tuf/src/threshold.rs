//! The one rule by which metadata counts as signed. Root, the other top-level roles, delegated roles, the director's and what
//! a repository loads back: all of them come here.
//!
//! It is not the rule of `swarm_artifact`, whose threshold counts *signers*: people whom the cell's operator named, with
//! times of validity and revocation, over a digest of 32 bytes. Here *keys* are counted, they are named by other metadata,
//! and a key is revoked by newer metadata without it. What both would share is one comparison of two numbers; an artifact has
//! to pass both.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

use crate::key::{Key, KeyId};
use crate::metadata::Signature;
use crate::refusal::{Refusal, Rejection};

/// Who may sign a role, as the delegating metadata says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Authority<'a> {
    pub(crate) keys: &'a BTreeMap<KeyId, Key>,
    pub(crate) keyids: &'a [KeyId],
    pub(crate) threshold: NonZeroU64,
}

impl Authority<'_> {
    /// Whether enough different keys of the role signed `message`. A signature that does not count is passed over: it must
    /// not be able to block metadata that enough others signed.
    pub(crate) fn check(self, role: &str, message: &[u8], signatures: &[Signature]) -> Result<(), Refusal> {
        let mut counted = BTreeSet::new();
        let mut rejected = Vec::new();
        for Signature { keyid, sig } in signatures {
            if let Err(rejection) = self.count(&mut counted, keyid, message, sig) {
                rejected.push(rejection);
            }
        }
        if counted.len() as u64 >= self.threshold.get() {
            return Ok(());
        }
        let (role, counted, threshold) = (role.to_owned(), counted.len(), self.threshold.get());
        Err(Refusal::Signatures { role, counted, threshold, rejected })
    }

    fn count(
        self,
        counted: &mut BTreeSet<crate::key::Material>,
        keyid: &KeyId,
        message: &[u8],
        signature: &str,
    ) -> Result<(), Rejection> {
        if !self.keyids.contains(keyid) {
            return Err(Rejection::NotOfRole(keyid.clone()));
        }
        let key = self.keys.get(keyid).ok_or_else(|| Rejection::NoSuchKey(keyid.clone()))?;
        // "Clients MUST calculate each KEYID" (4.3). One key that fails this does not spoil the file: sigstore's root 11 has
        // one.
        if key.id() != *keyid {
            return Err(Rejection::WrongId(keyid.clone()));
        }
        let material = key.material().ok_or_else(|| Rejection::UnknownType(keyid.clone()))?;
        if !material.verifies(message, signature) {
            return Err(Rejection::BadSignature(keyid.clone()));
        }
        // Any further field gives the same key another id.
        if counted.insert(material) { Ok(()) } else { Err(Rejection::SameKey(keyid.clone())) }
    }
}
