//! Years of a registry that nobody looks after, on a clock that is moved by hand: it renews signatures before they expire and
//! changes its keys, the root's too, while cells are away for days, months, or years, and come back.
//!
//! All keys are at hand here, the root's too. In a fleet a person renews root, targets and the skills' roles (`csactl keys renew`), told a
//! month before by the alert `UpdateMetadataExpires`; what the registry renews alone is snapshot, timestamp and the director's targets.
//! What the years show is that no cell is lost on the way, however long it was away.
//!
//! A cell is stranded if it can reach the registry and does not get to its newest state.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use ed25519_dalek::SigningKey;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use swarm_tuf::repository::{
    Chore, Keyring, Lifetimes, NewDelegation, NewRole, NewRoles, PublishError, Repository, Stored, Upkeep,
};
use swarm_tuf::{
    Client, Ed25519Signer, Fetch, Host, Key, Limits, Mode, Moment, ROOT, Refusal, TARGETS, TargetFile,
    TargetPath, find, local_file, refresh,
};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
const START: Moment = Moment(1_800_000_000);
const LIFETIMES: Lifetimes =
    Lifetimes { root_s: 365 * DAY, targets_s: 90 * DAY, snapshot_s: 7 * DAY, timestamp_s: DAY };
const UPKEEP: Upkeep = Upkeep {
    renew_before: Lifetimes {
        root_s: 60 * DAY,
        targets_s: 30 * DAY,
        snapshot_s: 3 * DAY,
        timestamp_s: 12 * HOUR,
    },
    rotate_after: Lifetimes {
        root_s: 300 * DAY,
        targets_s: 90 * DAY,
        snapshot_s: 30 * DAY,
        timestamp_s: 30 * DAY,
    },
};
/// How often the registry looks for chores.
const ROUND: i64 = 6 * HOUR;

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub years: u32,
    pub cells: u32,
    pub seed: u64,
    pub handover: Handover,
}

/// How the root changes its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover {
    /// As the specification asks: signed with the old keys and the new, and every root kept.
    ByTheOldKeys,
    /// The mistake: roots older than the newest are no longer served. For the test of the simulation itself.
    OldRootsRemoved,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Years {
    pub years: u32,
    pub cells: u32,
    pub updates: u64,
    /// Key changes, by role.
    pub rotations: BTreeMap<String, u64>,
    pub roots: u64,
    /// The longest time that a cell was away, in days.
    pub longest_away_days: i64,
    /// Cells that did not get to the newest state though they could reach the registry.
    pub stranded: u32,
    /// Why the first of them did not.
    pub first_problem: Option<String>,
}

/// Lets the years pass.
pub fn simulate(plan: Plan) -> Result<Years, PublishError> {
    let mut random = StdRng::seed_from_u64(plan.seed);
    let mut registry = Registry::new(plan.handover)?;
    let mut cells: Vec<Cell> = (0..plan.cells).map(|_| Cell::new(&registry)).collect();
    let mut years = Years { years: plan.years, cells: plan.cells, ..Years::default() };
    let end = START.plus(i64::from(plan.years) * 365 * DAY);
    let mut now = START;
    while now < end {
        registry.round(now, &mut years)?;
        if now.0 % (5 * DAY) < ROUND {
            registry.new_artifact(now)?;
        }
        for cell in &mut cells {
            if cell.away_until <= now && cell.stranded.is_none() {
                cell.update(&registry, now, &mut years);
                cell.away_until = now.plus(away(&mut random));
            }
        }
        now = now.plus(ROUND);
    }
    // In the end all come back, also those that were away for years.
    registry.round(end, &mut years)?;
    for cell in &mut cells {
        cell.update(&registry, end, &mut years);
    }
    let mut problems = cells.iter().filter_map(|cell| cell.stranded.clone());
    years.first_problem = problems.next();
    years.stranded = u32::from(years.first_problem.is_some()) + problems.count() as u32;
    years.roots = registry.repository.root().head.version.get();
    Ok(years)
}

/// Most cells are away for hours; some over a holiday, some for a repair, some in a store room for years.
fn away(random: &mut StdRng) -> i64 {
    match random.random_range(0..1_000) {
        0..900 => random.random_range(0..DAY),
        900..980 => random.random_range(DAY..30 * DAY),
        980..998 => random.random_range(30 * DAY..400 * DAY),
        _ => random.random_range(400 * DAY..1_700 * DAY),
    }
}

struct Registry {
    repository: Repository,
    keyring: Keyring,
    files: BTreeMap<String, Vec<u8>>,
    handover: Handover,
    keys: u64,
    newest: TargetPath,
    artifacts: u64,
}

impl Registry {
    fn new(handover: Handover) -> Result<Self, PublishError> {
        let (mut keyring, mut keys) = (Keyring::default(), 0);
        let mut role = |count, threshold: u64| NewRole {
            keys: (0..count).map(|_| new_key(&mut keyring, &mut keys, START)).collect(),
            threshold: NonZeroU64::MIN.saturating_add(threshold - 1),
        };
        let roles =
            NewRoles { root: role(3, 2), targets: role(2, 2), snapshot: role(1, 1), timestamp: role(1, 1) };
        let pick = NewDelegation {
            name: "pick".to_owned(),
            keys: vec![new_key(&mut keyring, &mut keys, START)],
            threshold: NonZeroU64::MIN,
            paths: vec!["skills/pick/*".to_owned()],
            terminating: true,
        };
        let mut repository = Repository::create(roles, LIFETIMES);
        repository.delegate(TARGETS, &pick)?;
        let newest = name(0)?;
        let files = BTreeMap::new();
        let mut registry = Self { repository, keyring, files, handover, keys, newest, artifacts: 0 };
        registry.new_artifact(START)?;
        Ok(registry)
    }

    /// Does what is due, as a registry would that starts anew for it.
    fn round(&mut self, now: Moment, years: &mut Years) -> Result<(), PublishError> {
        self.restart()?;
        let chores = self.repository.chores(now, &UPKEEP);
        for chore in &chores {
            match chore {
                Chore::Renew { role } => self.repository.touch(role)?,
                Chore::Rotate { role } => {
                    let (count, threshold) = self
                        .repository
                        .keys(role)
                        .map_or((1, NonZeroU64::MIN), |(keys, threshold)| (keys.len(), threshold));
                    let keys: Vec<Key> =
                        (0..count).map(|_| new_key(&mut self.keyring, &mut self.keys, now)).collect();
                    self.repository.set_keys(role, &keys, threshold)?;
                    *years.rotations.entry(role.clone()).or_default() += 1;
                }
            }
        }
        if chores.is_empty() { Ok(()) } else { self.publish(now) }
    }

    fn new_artifact(&mut self, now: Moment) -> Result<(), PublishError> {
        self.artifacts += 1;
        self.newest = name(self.artifacts)?;
        let file = TargetFile::of(self.newest.as_str().as_bytes());
        self.repository.set_target("pick", &self.newest, file)?;
        self.publish(now)
    }

    fn publish(&mut self, now: Moment) -> Result<(), PublishError> {
        for file in self.repository.publish(&self.keyring, now)? {
            self.files.insert(file.name, file.bytes);
        }
        if self.handover == Handover::OldRootsRemoved {
            let newest = format!("{}.root.json", self.repository.root().head.version);
            self.files.retain(|name, _| !name.ends_with(".root.json") || *name == newest);
        }
        Ok(())
    }

    fn restart(&mut self) -> Result<(), PublishError> {
        let file = |role: &str, version: u64| {
            self.files.get(&format!("{version}.{role}.json")).cloned().unwrap_or_default()
        };
        let version =
            |role: &str| self.repository.roles().get(role).map_or(0, |targets| targets.head.version.get());
        let stored = Stored {
            root: file(ROOT, self.repository.root().head.version.get()),
            timestamp: self.files.get("timestamp.json").cloned().unwrap_or_default(),
            snapshot: file("snapshot", self.repository.snapshot().map_or(0, swarm_tuf::Signed::version)),
            roles: [TARGETS, "pick"]
                .iter()
                .map(|role| ((*role).to_owned(), file(role, version(role))))
                .collect(),
        };
        self.repository = Repository::open(&stored, LIFETIMES)?;
        Ok(())
    }
}

/// The next key. In a simulation they may be guessed.
fn new_key(keyring: &mut Keyring, count: &mut u64, now: Moment) -> Key {
    *count += 1;
    let mut secret = [0; 32];
    secret[..8].copy_from_slice(&count.to_le_bytes());
    keyring.add(Ed25519Signer::new(SigningKey::from_bytes(&secret)).created(now))
}

fn name(number: u64) -> Result<TargetPath, PublishError> {
    let path = format!("skills/pick/pick_v1.{number}.0.tar.gz");
    path.parse().map_err(|_| Refusal::NoSuchTarget { path }.into())
}

struct Cell {
    folder: BTreeMap<String, Vec<u8>>,
    away_until: Moment,
    seen: Moment,
    stranded: Option<String>,
}

impl Cell {
    fn new(registry: &Registry) -> Self {
        let root = registry.files.get("1.root.json").cloned().unwrap_or_default();
        let folder = BTreeMap::from([(local_file(ROOT), root)]);
        Self { folder, away_until: START, seen: START, stranded: None }
    }

    fn update(&mut self, registry: &Registry, now: Moment, years: &mut Years) {
        years.updates += 1;
        years.longest_away_days = years.longest_away_days.max((now.0 - self.seen.0) / DAY);
        self.seen = now;
        if let Err(refusal) = self.try_update(registry, now) {
            let roots = registry.repository.root().head.version;
            self.stranded.get_or_insert(format!("{now}, root {roots}: {refusal}"));
        }
    }

    fn try_update(&mut self, registry: &Registry, now: Moment) -> Result<(), Refusal> {
        let root = self.folder.get(&local_file(ROOT)).cloned().unwrap_or_default();
        let mut client = Client::new(&root, now, Mode::Online, Limits::default())?;
        let mut host = Memory { folder: &mut self.folder, files: &registry.files };
        refresh(&mut client, &mut host)?;
        find(&mut client, &mut host, &registry.newest).map(|_| ())
    }
}

struct Memory<'a> {
    folder: &'a mut BTreeMap<String, Vec<u8>>,
    files: &'a BTreeMap<String, Vec<u8>>,
}

impl Host for Memory<'_> {
    type Error = Refusal;

    fn load(&mut self, file: &str) -> Result<Option<Vec<u8>>, Refusal> {
        Ok(self.folder.get(file).cloned())
    }

    fn fetch(&mut self, fetch: &Fetch) -> Result<Option<Vec<u8>>, Refusal> {
        Ok(self.files.get(&fetch.file).cloned())
    }

    fn store(&mut self, file: &str, bytes: &[u8]) -> Result<(), Refusal> {
        self.folder.insert(file.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn remove(&mut self, file: &str) -> Result<(), Refusal> {
        self.folder.remove(file);
        Ok(())
    }
}
