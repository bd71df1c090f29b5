//! A server that publishes, and a cell with its folder; both are maps.
#![allow(dead_code)] // each test file uses some of it

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use ed25519_dalek::SigningKey;
use swarm_tuf::repository::{Keyring, Lifetimes, NewDelegation, NewRole, NewRoles, Repository, Stored};
use swarm_tuf::{
    Client, Draft, Ed25519Signer, Fetch, Host, KeyId, Limits, Metadata, Mode, Moment, Refusal, Signer,
    Target, TargetFile, TargetPath, find, refresh,
};

pub(crate) const DAY: i64 = 86_400;
pub(crate) const NOW: Moment = Moment(1_800_000_000);
pub(crate) const LIFETIMES: Lifetimes =
    Lifetimes { root_s: 365 * DAY, targets_s: 90 * DAY, snapshot_s: 7 * DAY, timestamp_s: DAY };

pub(crate) fn path(path: &str) -> TargetPath {
    path.parse().unwrap()
}

pub(crate) fn signer(seed: u8) -> Ed25519Signer {
    Ed25519Signer::new(SigningKey::from_bytes(&[seed; 32]))
}

pub(crate) struct Server {
    pub(crate) repository: Repository,
    pub(crate) keyring: Keyring,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) now: Moment,
}

impl Server {
    pub(crate) fn new() -> Self {
        let mut keyring = Keyring::default();
        let mut role = |seed| NewRole { keys: vec![keyring.add(signer(seed))], threshold: NonZeroU64::MIN };
        let roles = NewRoles { root: role(1), targets: role(2), snapshot: role(3), timestamp: role(4) };
        let repository = Repository::create(roles, LIFETIMES);
        Self { repository, keyring, files: BTreeMap::new(), now: NOW }
    }

    pub(crate) fn publish(&mut self) {
        for file in self.repository.publish(&self.keyring, self.now).unwrap() {
            self.files.insert(file.name, file.bytes);
        }
    }

    pub(crate) fn publish_target(&mut self, role: &str, name: &str, bytes: &[u8]) {
        self.repository.set_target(role, &path(name), TargetFile::of(bytes)).unwrap();
        self.publish();
    }

    pub(crate) fn skill(&mut self, name: &str, seed: u8) {
        self.skill_in_repository(name, seed);
    }

    pub(crate) fn skill_in_repository(&mut self, name: &str, seed: u8) {
        self.delegate("targets", name, seed, &[&format!("skills/{name}/*")]);
    }

    pub(crate) fn delegate(&mut self, delegator: &str, name: &str, seed: u8, paths: &[&str]) {
        let delegation = self.delegation(name, seed, paths);
        self.repository.delegate(delegator, &delegation).unwrap();
    }

    pub(crate) fn terminate(&mut self, delegator: &str, name: &str, seed: u8, paths: &[&str]) {
        let delegation = NewDelegation { terminating: true, ..self.delegation(name, seed, paths) };
        self.repository.delegate(delegator, &delegation).unwrap();
    }

    fn delegation(&mut self, name: &str, seed: u8, paths: &[&str]) -> NewDelegation {
        NewDelegation {
            name: name.to_owned(),
            keys: vec![self.keyring.add(signer(seed))],
            threshold: NonZeroU64::MIN,
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            terminating: false,
        }
    }

    pub(crate) fn rotate(&mut self, role: &str, seed: u8) {
        let key = self.keyring.add(signer(seed));
        self.repository.set_keys(role, &[key], NonZeroU64::MIN).unwrap();
    }

    pub(crate) fn add_key(&mut self, role: &str, seed: u8) {
        let new = self.keyring.add(signer(seed));
        let mut keys: Vec<_> = self.repository.keys(role).unwrap().0.into_iter().cloned().collect();
        keys.push(new);
        self.repository.set_keys(role, &keys, NonZeroU64::MIN).unwrap();
    }

    pub(crate) fn keys(&self, role: &str) -> Vec<KeyId> {
        self.repository.keys(role).unwrap().0.into_iter().map(swarm_tuf::Key::id).collect()
    }

    pub(crate) fn keys_published(&self, role: &str) -> Vec<KeyId> {
        let newest = self.files.iter().rfind(|(name, _)| name.ends_with(".root.json")).unwrap();
        let root = swarm_tuf::Signed::<swarm_tuf::Root>::parse("root", newest.0, newest.1).unwrap();
        root.body().roles[role].keyids.clone()
    }

    /// Metadata as somebody with this key would have it.
    pub(crate) fn signed_by<T: Metadata>(&self, body: T, seed: u8) -> Vec<u8> {
        let mut draft = Draft::new(body);
        self.keyring.sign(&mut draft, &[signer(seed).public().id()]).unwrap();
        draft.to_bytes()
    }

    /// A registry that starts again, from what it wrote.
    pub(crate) fn reopen(&mut self) -> Result<(), Refusal> {
        let newest = |role: &str| {
            let version = |name: &String| name.split_once('.')?.0.parse::<u64>().ok();
            let files = self.files.iter().filter(|(name, _)| name.ends_with(&format!(".{role}.json")));
            files.max_by_key(|(name, _)| version(name)).unwrap().1.clone()
        };
        let stored = Stored {
            root: newest("root"),
            timestamp: self.files["timestamp.json"].clone(),
            snapshot: newest("snapshot"),
            roles: self.repository.roles().keys().map(|role| (role.clone(), newest(role))).collect(),
        };
        self.repository = Repository::open(&stored, LIFETIMES)?;
        Ok(())
    }
}

pub(crate) struct Cell {
    pub(crate) folder: BTreeMap<String, Vec<u8>>,
    pub(crate) now: Moment,
    pub(crate) mode: Mode,
    pub(crate) limits: Limits,
    /// The disk takes this many changes more.
    pub(crate) crash_after: Option<u32>,
    fetched: Vec<String>,
}

impl Cell {
    /// A cell with the first root, as it is set up.
    pub(crate) fn new(server: &Server) -> Self {
        let folder = BTreeMap::from([("root.json".to_owned(), server.files["1.root.json"].clone())]);
        Self {
            folder,
            now: server.now,
            mode: Mode::Online,
            limits: Limits::default(),
            crash_after: None,
            fetched: Vec::new(),
        }
    }

    pub(crate) fn client(&self) -> Result<Client, Refusal> {
        Client::new(&self.folder["root.json"], self.now, self.mode, self.limits)
    }

    pub(crate) fn host<'a>(&'a mut self, server: &'a Server) -> Memory<'a> {
        Memory { cell: self, server }
    }

    pub(crate) fn find(&mut self, server: &Server, name: &str) -> Result<Target, Refusal> {
        let mut client = self.client()?;
        let mut host = self.host(server);
        refresh(&mut client, &mut host)?;
        find(&mut client, &mut host, &path(name))
    }

    /// What was fetched since the last question.
    pub(crate) fn fetched(&mut self) -> Vec<String> {
        std::mem::take(&mut self.fetched)
    }

    pub(crate) fn root_version(&self) -> u64 {
        swarm_tuf::Signed::<swarm_tuf::Root>::parse("root", "root.json", &self.folder["root.json"])
            .unwrap()
            .version()
    }

    fn change(&mut self) -> Result<(), Refusal> {
        match &mut self.crash_after {
            Some(0) => Err(Refusal::NotHere { file: "the power".to_owned() }),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

pub(crate) struct Memory<'a> {
    cell: &'a mut Cell,
    server: &'a Server,
}

impl Host for Memory<'_> {
    type Error = Refusal;

    fn load(&mut self, file: &str) -> Result<Option<Vec<u8>>, Refusal> {
        Ok(self.cell.folder.get(file).cloned())
    }

    fn fetch(&mut self, fetch: &Fetch) -> Result<Option<Vec<u8>>, Refusal> {
        self.cell.fetched.push(fetch.file.clone());
        Ok(self.server.files.get(&fetch.file).cloned())
    }

    fn store(&mut self, file: &str, bytes: &[u8]) -> Result<(), Refusal> {
        self.cell.change()?;
        self.cell.folder.insert(file.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn remove(&mut self, file: &str) -> Result<(), Refusal> {
        self.cell.change()?;
        self.cell.folder.remove(file);
        Ok(())
    }
}
