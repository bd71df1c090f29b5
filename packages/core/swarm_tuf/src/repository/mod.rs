//! The side that signs: what is to be published, as plain values; and its files, signed with the keys that are at hand.
//!
//! Flow
//! 1. [`Repository::create`] with the keys of the four roles, or [`Repository::open`] with the files that were written last.
//! 2. Change it: [`Repository::set_target`], [`Repository::delegate`], [`Repository::set_keys`], ... Nothing is signed yet.
//! 3. [`Repository::publish`] signs what changed and returns the files, in the order in which they are to be written. A
//!    reader sees the new state from the last one on, the timestamp.
//!
//! What is published has passed the rules of the client. Keys that are kept away from the network sign a [`Draft`] instead
//! ([`Repository::draft_root`], [`Repository::draft_role`]), which [`Repository::adopt_root`] and [`Repository::adopt_role`]
//! take in before the next `publish`.
//!
//! Going back to an older artifact is going forward here: new metadata, with a higher version, that names the older one.

mod edit;
mod upkeep;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

use sha2::{Digest, Sha256};

use crate::key::{Key, KeyId, Signer};
use crate::metadata::{
    Draft, Head, MetaFile, Metadata, Root, Signed, Snapshot, TargetFile, Targets, Timestamp,
};
use crate::moment::Moment;
use crate::names::{ROOT, SNAPSHOT, TARGETS, TIMESTAMP, remote_file};
use crate::refusal::Refusal;
use crate::rules::{self, Clock};

pub use edit::NewDelegation;
pub use upkeep::{Chore, Upkeep};

/// For how long metadata is good once it is signed, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    pub root_s: i64,
    /// Also for delegated roles.
    pub targets_s: i64,
    pub snapshot_s: i64,
    pub timestamp_s: i64,
}

impl Lifetimes {
    /// Of a role by its name.
    pub fn of(&self, role: &str) -> i64 {
        match role {
            ROOT => self.root_s,
            SNAPSHOT => self.snapshot_s,
            TIMESTAMP => self.timestamp_s,
            _ => self.targets_s,
        }
    }
}

/// The keys that are at hand for signing.
#[derive(Default)]
pub struct Keyring {
    signers: BTreeMap<KeyId, Box<dyn Signer>>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.signers.keys()).finish()
    }
}

impl Keyring {
    /// Adds a key and returns its public half.
    pub fn add(&mut self, signer: impl Signer + 'static) -> Key {
        let key = signer.public();
        self.signers.insert(key.id(), Box::new(signer));
        key
    }

    pub fn remove(&mut self, key: &KeyId) {
        self.signers.remove(key);
    }

    /// Signs with all keys of the ring that are among `keyids`.
    pub fn sign<T: Metadata>(&self, draft: &mut Draft<T>, keyids: &[KeyId]) -> Result<(), PublishError> {
        let message = draft.signing_bytes();
        for keyid in keyids {
            if let Some(signer) = self.signers.get(keyid) {
                let signature = signer
                    .sign(&message)
                    .map_err(|problem| PublishError::Signer { key: keyid.clone(), problem })?;
                draft.add(keyid.clone(), &signature);
            }
        }
        Ok(())
    }
}

/// Why nothing was published, or a change was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// What would have been published is not what a client believes; most often keys are missing.
    #[error("this cannot be published: {0}")]
    Refused(#[from] Refusal),
    #[error("key {key} does not sign: {problem}")]
    Signer { key: KeyId, problem: String },
    #[error("there is no role '{}'; there are: {known}", .role.escape_debug())]
    NoSuchRole { role: String, known: String },
    #[error("role '{}' may not provide '{}': none of the paths delegated to it matches", .role.escape_debug(), .path.escape_debug())]
    NotItsPath { role: String, path: String },
    #[error("delegation to '{}': {problem}", .role.escape_debug())]
    BadDelegation { role: String, problem: String },
    #[error("version numbers of {0} are used up")]
    NoVersionLeft(String),
}

/// A file to write, relative to the repository's metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// The newest files of a repository, for [`Repository::open`].
#[derive(Clone, Debug, Default)]
pub struct Stored {
    pub root: Vec<u8>,
    pub timestamp: Vec<u8>,
    pub snapshot: Vec<u8>,
    /// Targets and the delegated roles, by role; the version that the snapshot names.
    pub roles: BTreeMap<String, Vec<u8>>,
}

/// Keys of one top-level role, and how many of them must sign.
#[derive(Clone, Debug)]
pub struct NewRole {
    pub keys: Vec<Key>,
    pub threshold: NonZeroU64,
}

/// Keys of the four roles of a new repository.
#[derive(Clone, Debug)]
pub struct NewRoles {
    pub root: NewRole,
    pub targets: NewRole,
    pub snapshot: NewRole,
    pub timestamp: NewRole,
}

/// What is published, and what will be with the next [`Repository::publish`].
#[derive(Clone, Debug)]
pub struct Repository {
    lifetimes: Lifetimes,
    /// As it will be; the same as the published one unless `changed` has it.
    root: Root,
    roles: BTreeMap<String, Targets>,
    changed: BTreeSet<String>,
    published_root: Option<Signed<Root>>,
    snapshot: Option<Signed<Snapshot>>,
    timestamp: Option<Signed<Timestamp>>,
    /// Of the next snapshot. A role stays here when nobody delegates to it any more, since clients refuse its vanishing.
    meta: BTreeMap<String, MetaFile>,
    /// Signed and not returned by `publish` yet.
    pending: Vec<File>,
}

impl Repository {
    /// A repository without targets. Nothing is signed before [`Repository::publish`].
    pub fn create(roles: NewRoles, lifetimes: Lifetimes) -> Self {
        let unpublished = Moment(0);
        let mut repository = Self {
            lifetimes,
            root: Root {
                head: Head::new::<Root>(NonZeroU64::MIN, unpublished),
                consistent_snapshot: true,
                keys: BTreeMap::new(),
                roles: BTreeMap::new(),
            },
            roles: BTreeMap::from([(TARGETS.to_owned(), edit::no_targets())]),
            changed: BTreeSet::from([TARGETS.to_owned()]),
            published_root: None,
            snapshot: None,
            timestamp: None,
            meta: BTreeMap::new(),
            pending: Vec::new(),
        };
        let NewRoles { root, targets, snapshot, timestamp } = roles;
        for (name, role) in [(ROOT, root), (TARGETS, targets), (SNAPSHOT, snapshot), (TIMESTAMP, timestamp)] {
            repository.set_top_level_keys(name, &role.keys, role.threshold);
        }
        repository
    }

    /// A repository whose first root was signed by people elsewhere. Nothing else is signed before [`Repository::publish`].
    pub fn begin(root: &[u8], lifetimes: Lifetimes) -> Result<Self, PublishError> {
        let first = rules::first_root(root)?;
        if first.version() != 1 {
            // Whoever pinned an older root needs every one in between.
            let offered = first.version();
            return Err(Refusal::Version { role: ROOT.to_owned(), expected: 1, offered }.into());
        }
        let mut repository = Self {
            lifetimes,
            root: first.body,
            roles: BTreeMap::from([(TARGETS.to_owned(), edit::no_targets())]),
            changed: BTreeSet::new(),
            published_root: None,
            snapshot: None,
            timestamp: None,
            meta: BTreeMap::new(),
            pending: Vec::new(),
        };
        repository.adopt_root(root)?;
        Ok(repository)
    }

    /// Goes on where the last [`Repository::publish`] ended. The files pass the same rules as on a client, but for the time:
    /// whoever can change the storage must not get a signature for it.
    pub fn open(stored: &Stored, lifetimes: Lifetimes) -> Result<Self, Refusal> {
        let clock = Clock { now: Moment(i64::MIN), grace_s: 0 };
        let root = rules::first_root(&stored.root)?;
        let timestamp = rules::local_timestamp(&root, &stored.timestamp)?;
        let snapshot = rules::next_snapshot(&root, &timestamp, None, &stored.snapshot, clock)?;
        let mut roles: BTreeMap<String, Targets> = BTreeMap::new();
        let mut wanted = vec![(TARGETS.to_owned(), None::<String>)];
        while let Some((role, delegator)) = wanted.pop() {
            if roles.contains_key(&role) {
                continue;
            }
            let expected = snapshot.body().file(&role);
            let expected = expected.ok_or_else(|| Refusal::NotInSnapshot { role: role.clone() })?;
            let file = remote_file(&role, Some(expected.version.get()));
            let bytes = stored.roles.get(&role).ok_or(Refusal::Missing { file })?;
            let authority = match delegator.and_then(|delegator| roles.get(&delegator)) {
                None => root.body().authority(TARGETS),
                Some(targets) => {
                    targets.delegations.as_ref().and_then(|delegations| delegations.authority(&role))
                }
            };
            let targets = rules::next_targets(&role, authority, expected, bytes, clock)?.body;
            for name in edit::delegated_by(&targets) {
                wanted.push((name, Some(role.clone())));
            }
            roles.insert(role, targets);
        }
        Ok(Self {
            lifetimes,
            root: root.body().clone(),
            roles,
            changed: BTreeSet::new(),
            meta: snapshot.body().meta.clone(),
            published_root: Some(root),
            snapshot: Some(snapshot),
            timestamp: Some(timestamp),
            pending: Vec::new(),
        })
    }

    /// Signs everything that changed, and a new timestamp in any case. On an error nothing has changed.
    pub fn publish(&mut self, keyring: &Keyring, now: Moment) -> Result<Vec<File>, PublishError> {
        let mut next = self.clone();
        if next.changed.contains(ROOT) {
            let mut draft = next.draft_root(now)?;
            keyring.sign(&mut draft, &next.root_signers())?;
            next.adopt_root(&draft.to_bytes())?;
        }
        let roles: Vec<String> =
            next.changed.iter().filter(|role| next.roles.contains_key(*role)).cloned().collect();
        for role in roles {
            let mut draft = next.draft_role(&role, now)?;
            let keyids = next.authority(&role).map(|authority| authority.keyids.to_vec());
            keyring.sign(&mut draft, &keyids.unwrap_or_default())?;
            next.adopt_role(&role, &draft.to_bytes())?;
        }
        next.sign_snapshot(keyring, now)?;
        next.sign_timestamp(keyring, now)?;
        next.changed.clear();
        let files = std::mem::take(&mut next.pending);
        *self = next;
        Ok(files)
    }

    /// The next root, for people who sign it one after the other.
    pub fn draft_root(&self, now: Moment) -> Result<Draft<Root>, PublishError> {
        let mut root = self.root.clone();
        let published = self.published_root.as_ref().map(|root| root.body().head.version);
        root.head = self.head::<Root>(ROOT, published, now)?;
        Ok(Draft::new(root))
    }

    /// Takes a root that enough keys of the old and the new one have signed.
    pub fn adopt_root(&mut self, bytes: &[u8]) -> Result<(), PublishError> {
        let root = match &self.published_root {
            Some(published) => rules::next_root(published, bytes)?,
            None => rules::first_root(bytes)?,
        };
        // Other keys of a role: what they have signed is signed anew.
        for role in [TARGETS, SNAPSHOT, TIMESTAMP] {
            let before = self.published_root.as_ref().and_then(|root| root.body().roles.get(role));
            if before != root.body().roles.get(role) {
                self.changed.insert(role.to_owned());
            }
        }
        self.pending.push(File { name: remote_file(ROOT, Some(root.version())), bytes: bytes.to_vec() });
        self.changed.remove(ROOT);
        self.root = root.body().clone();
        self.published_root = Some(root);
        Ok(())
    }

    /// The next version of a targets role, for people who sign it one after the other.
    pub fn draft_role(&self, role: &str, now: Moment) -> Result<Draft<Targets>, PublishError> {
        let mut targets = self.role(role)?.clone();
        let published = self.meta.get(&format!("{role}.json")).map(|file| file.version);
        targets.head = self.head::<Targets>(role, published, now)?;
        Ok(Draft::new(targets))
    }

    /// Takes a targets role that enough of its keys have signed. Roles that it delegates to for the first time, or with other
    /// keys than before, have to be adopted too, or be signed by the keyring, before [`Repository::publish`] succeeds.
    pub fn adopt_role(&mut self, role: &str, bytes: &[u8]) -> Result<(), PublishError> {
        self.role(role)?;
        let file = format!("{role}.json");
        let published = self.meta.get(&file).map_or(0, |file| file.version.get());
        let version = NonZeroU64::new(published.saturating_add(1)).unwrap_or(NonZeroU64::MIN);
        let expected = MetaFile { version, length: None, hashes: None };
        let clock = Clock { now: Moment(i64::MIN), grace_s: 0 };
        let targets = rules::next_targets(role, self.authority(role), &expected, bytes, clock)?;
        self.pending.push(File { name: remote_file(role, Some(version.get())), bytes: bytes.to_vec() });
        self.meta.insert(file, describe(version, bytes));
        let before = self.roles.insert(role.to_owned(), targets.body);
        self.changed.remove(role);
        self.changed.insert(SNAPSHOT.to_owned());
        self.follow_delegations(role, before.and_then(|targets| targets.delegations).as_ref());
        Ok(())
    }

    fn sign_snapshot(&mut self, keyring: &Keyring, now: Moment) -> Result<(), PublishError> {
        let published = self.snapshot.as_ref().map(|snapshot| snapshot.body().head.version);
        if published.is_some() && !self.changed.contains(SNAPSHOT) {
            return Ok(());
        }
        let head = self.head::<Snapshot>(SNAPSHOT, published, now)?;
        let mut draft = Draft::new(Snapshot { head, meta: self.meta.clone() });
        self.sign_top_level(SNAPSHOT, &mut draft, keyring)?;
        let bytes = draft.to_bytes();
        let snapshot = rules::local_snapshot(self.signed_root()?, &bytes)?;
        self.pending.push(File { name: remote_file(SNAPSHOT, Some(snapshot.version())), bytes });
        self.snapshot = Some(snapshot);
        Ok(())
    }

    fn sign_timestamp(&mut self, keyring: &Keyring, now: Moment) -> Result<(), PublishError> {
        let Some(snapshot) = &self.snapshot else {
            return Err(Refusal::Missing { file: "snapshot.json".to_owned() }.into());
        };
        let described = describe(snapshot.body().head.version, snapshot.bytes());
        let published = self.timestamp.as_ref().map(|timestamp| timestamp.body().head.version);
        let head = self.head::<Timestamp>(TIMESTAMP, published, now)?;
        let meta = BTreeMap::from([("snapshot.json".to_owned(), described)]);
        let mut draft = Draft::new(Timestamp { head, meta });
        self.sign_top_level(TIMESTAMP, &mut draft, keyring)?;
        let bytes = draft.to_bytes();
        self.timestamp = Some(rules::local_timestamp(self.signed_root()?, &bytes)?);
        self.pending.push(File { name: remote_file(TIMESTAMP, None), bytes });
        Ok(())
    }

    fn sign_top_level<T: Metadata>(
        &self,
        role: &str,
        draft: &mut Draft<T>,
        keyring: &Keyring,
    ) -> Result<(), PublishError> {
        keyring.sign(draft, self.root.roles.get(role).map_or(&[], |keys| &keys.keyids))
    }

    fn signed_root(&self) -> Result<&Signed<Root>, Refusal> {
        self.published_root.as_ref().ok_or_else(|| Refusal::Missing { file: "1.root.json".to_owned() })
    }

    /// Version and expiry of what is signed next.
    fn head<T: Metadata>(
        &self,
        role: &str,
        published: Option<NonZeroU64>,
        now: Moment,
    ) -> Result<Head, PublishError> {
        let version = published.map_or(Some(NonZeroU64::MIN), |version| version.checked_add(1));
        let version = version.ok_or_else(|| PublishError::NoVersionLeft(role.to_owned()))?;
        Ok(Head::new::<T>(version, now.plus(self.lifetimes.of(role))))
    }

    /// Keys of the root role, of the published root and of the next one.
    fn root_signers(&self) -> Vec<KeyId> {
        let keyids = |root: &Root| root.roles.get(ROOT).map(|keys| keys.keyids.clone()).unwrap_or_default();
        let mut all = keyids(&self.root);
        for keyid in self.published_root.iter().flat_map(|root| keyids(root.body())) {
            if !all.contains(&keyid) {
                all.push(keyid);
            }
        }
        all
    }
}

fn describe(version: NonZeroU64, bytes: &[u8]) -> MetaFile {
    let digest = hex::encode(Sha256::digest(bytes));
    let hashes = BTreeMap::from([("sha256".to_owned(), digest)]);
    MetaFile { version, length: Some(bytes.len() as u64), hashes: Some(hashes) }
}

impl TargetFile {
    /// Of a target with these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::new(bytes.len() as u64, Sha256::digest(bytes).into())
    }

    /// Of a target with this length in bytes and this SHA-256.
    pub fn new(length: u64, sha256: [u8; 32]) -> Self {
        let hashes = BTreeMap::from([("sha256".to_owned(), hex::encode(sha256))]);
        Self { length, hashes, custom: None }
    }
}
