//! The client as a list of steps: it says what to load, fetch, store and remove next, and is told what came of it.
//!
//! The numbers are those of the detailed client workflow in the specification.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::limits::Limits;
use crate::metadata::{Root, Signed, Snapshot, Targets, Timestamp};
use crate::moment::Moment;
use crate::names::{ROOT, SNAPSHOT, TARGETS, TIMESTAMP, TargetPath, local_file, remote_file};
use crate::refusal::Refusal;
use crate::rules::{self, Clock, NewTimestamp};
use crate::target::Target;

/// Whether there is a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Online,
    /// Only what is in the local folder, which may have expired `grace_s` seconds ago.
    Offline {
        grace_s: i64,
    },
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read this file of the local folder; answer with [`Answer::Bytes`] or [`Answer::Missing`].
    Load { file: String },
    /// Get this; answer alike. Missing means that the server says so (404, 403); everything else that goes wrong ends the
    /// update.
    Fetch(Fetch),
    /// Put this into the local folder, atomically and synced; answer with [`Answer::Done`].
    Store { file: String, bytes: Vec<u8> },
    /// Remove this from the local folder if it is there, synced; answer with [`Answer::Done`].
    Remove { file: String },
    /// The four top-level roles are up to date.
    Refreshed,
    /// The search has ended.
    Found(Box<Target>),
}

/// One file of metadata on the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Relative to the repository's metadata, percent-encoded.
    pub file: String,
    /// Stop reading behind this many bytes, and refuse the file. [`Client::step`] refuses it too.
    pub max_length: u64,
    /// Stop waiting after this long in all, and give up.
    pub time_limit: Duration,
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing was asked yet, or it was done.
    Done,
    Bytes(Vec<u8>),
    Missing,
}

/// One update against one repository. Everything in it is held against the time at which it began (5.1).
#[derive(Debug)]
pub struct Client {
    limits: Limits,
    mode: Mode,
    clock: Clock,
    root: Signed<Root>,
    timestamp: Option<Signed<Timestamp>>,
    snapshot: Option<Signed<Snapshot>>,
    /// Targets roles of this snapshot, by name. That one is here does not mean that any delegation to it holds.
    roles: BTreeMap<String, Signed<Targets>>,
    roots_left: u32,
    phase: Phase,
    /// Changes of the local folder that come before anything else, in this order.
    effects: VecDeque<Step>,
}

#[derive(Clone, Debug)]
enum Phase {
    FetchRoot,
    GotRoot,
    LoadTimestamp,
    LoadedTimestamp,
    GotTimestamp,
    LoadSnapshot,
    LoadedSnapshot,
    GotSnapshot,
    /// A targets role, and where its answer comes from.
    Role {
        search: Search,
        wanted: Wanted,
        asked: Asked,
    },
    /// The search goes on.
    Next(Search),
    Refreshed,
    Failed(Refusal),
}

#[derive(Clone, Debug)]
struct Wanted {
    role: String,
    delegator: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Nobody,
    Folder,
    Server,
}

/// 5.6.7: depth first, in order of trust.
#[derive(Clone, Debug)]
struct Search {
    /// None: only the top-level targets role is wanted, for a refresh.
    path: Option<TargetPath>,
    /// What is still to be visited, next one last.
    stack: Vec<Wanted>,
    visited: BTreeSet<String>,
}

impl Client {
    /// Begins an update with the root from the local folder; it must be signed as it says itself (5.2).
    pub fn new(root: &[u8], now: Moment, mode: Mode, limits: Limits) -> Result<Self, Refusal> {
        let (phase, grace_s) = match mode {
            Mode::Online => (Phase::FetchRoot, 0),
            Mode::Offline { grace_s } => (Phase::LoadTimestamp, grace_s),
        };
        Ok(Self {
            limits,
            mode,
            clock: Clock { now, grace_s },
            root: rules::first_root(root)?,
            timestamp: None,
            snapshot: None,
            roles: BTreeMap::new(),
            roots_left: limits.roots,
            phase,
            effects: VecDeque::new(),
        })
    }

    /// Takes what came of the last step, and says the next. A refusal ends this update; the next one begins anew with what
    /// was stored until here, which is everything that was believed.
    pub fn step(&mut self, mut answer: Answer) -> Result<Step, Refusal> {
        loop {
            if let Some(effect) = self.effects.pop_front() {
                return Ok(effect);
            }
            match self.advance(std::mem::replace(&mut answer, Answer::Done)) {
                // An effect of this step comes before the step that follows it.
                Ok(Some(step)) if self.effects.is_empty() => return Ok(step),
                Ok(Some(step)) => {
                    self.effects.push_back(step);
                }
                Ok(None) => {}
                Err(refusal) => {
                    // A search that found nothing, or a delegated role that is not believed, spoils no other search.
                    let refreshed = self.roles.contains_key(TARGETS);
                    self.phase = if refreshed { Phase::Refreshed } else { Phase::Failed(refusal.clone()) };
                    return Err(refusal);
                }
            }
        }
    }

    /// After [`Step::Refreshed`] or [`Step::Found`]: looks for a target. Answer the steps until [`Step::Found`].
    pub fn search(&mut self, path: &TargetPath) {
        if matches!(self.phase, Phase::Refreshed) {
            self.phase = Phase::Next(Search::new(Some(path.clone())));
        }
    }

    /// The root that is believed now.
    pub fn root(&self) -> &Signed<Root> {
        &self.root
    }

    pub fn timestamp(&self) -> Option<&Signed<Timestamp>> {
        self.timestamp.as_ref()
    }

    pub fn snapshot(&self) -> Option<&Signed<Snapshot>> {
        self.snapshot.as_ref()
    }

    /// The top-level targets role, once it is refreshed.
    pub fn targets(&self) -> Option<&Signed<Targets>> {
        self.roles.get(TARGETS)
    }

    /// The earliest moment at which something of the metadata expires that is believed: of the top-level roles, and of those that were asked
    /// for a target. None before all top-level roles are there.
    pub fn expires(&self) -> Option<Moment> {
        let (timestamp, snapshot) = (self.timestamp.as_ref()?.expires(), self.snapshot.as_ref()?.expires());
        self.targets()?;
        let roles = self.roles.values().map(Signed::expires);
        roles.chain([self.root.expires(), timestamp, snapshot]).min()
    }

    /// One transition. `None`: the next one needs no answer.
    fn advance(&mut self, answer: Answer) -> Result<Option<Step>, Refusal> {
        match self.phase.clone() {
            Phase::FetchRoot => {
                let next = self.root.version().checked_add(1).filter(|_| self.roots_left > 0);
                let Some(next) = next else { return self.roots_done() };
                self.phase = Phase::GotRoot;
                Ok(Some(self.fetch(remote_file(ROOT, Some(next)), self.limits.root)))
            }
            Phase::GotRoot => match answer {
                Answer::Bytes(bytes) => self.take_root(&bytes),
                _ => self.roots_done(),
            },
            Phase::LoadTimestamp => {
                if self.mode != Mode::Online {
                    self.clock.check(ROOT, &self.root)?;
                }
                self.phase = Phase::LoadedTimestamp;
                Ok(Some(load(TIMESTAMP)))
            }
            Phase::LoadedTimestamp => {
                if let Answer::Bytes(bytes) = answer {
                    // One that is not believed any more says nothing.
                    self.timestamp = rules::local_timestamp(&self.root, &bytes).ok();
                }
                if self.mode != Mode::Online {
                    self.timestamp.as_ref().ok_or_else(|| not_here(TIMESTAMP))?;
                    return self.timestamp_done();
                }
                self.phase = Phase::GotTimestamp;
                Ok(Some(self.fetch(remote_file(TIMESTAMP, None), self.limits.timestamp)))
            }
            Phase::GotTimestamp => self.take_timestamp(answer),
            Phase::LoadSnapshot => {
                self.phase = Phase::LoadedSnapshot;
                Ok(Some(load(SNAPSHOT)))
            }
            Phase::LoadedSnapshot => self.loaded_snapshot(answer),
            Phase::GotSnapshot => self.take_snapshot(answer),
            Phase::Role { search, wanted, asked } => self.take_role(search, wanted, asked, answer),
            Phase::Next(search) => self.search_on(search),
            Phase::Refreshed => Ok(Some(Step::Refreshed)),
            Phase::Failed(refusal) => Err(refusal),
        }
    }

    // 5.3.4 to 5.3.9
    fn take_root(&mut self, bytes: &[u8]) -> Result<Option<Step>, Refusal> {
        within("the next root", bytes, self.limits.root)?;
        let root = rules::next_root(&self.root, bytes)?;
        // Before the root is stored: a crash between the two must not leave what the new root no longer vouches for.
        if rules::rotated(self.root.body(), root.body()) {
            self.effects.push_back(Step::Remove { file: local_file(TIMESTAMP) });
            self.effects.push_back(Step::Remove { file: local_file(SNAPSHOT) });
        }
        self.effects.push_back(store(ROOT, root.bytes()));
        self.root = root;
        self.roots_left -= 1;
        self.phase = Phase::FetchRoot;
        Ok(None)
    }

    // 5.3.10
    fn roots_done(&mut self) -> Result<Option<Step>, Refusal> {
        self.clock.check(ROOT, &self.root)?;
        self.phase = Phase::LoadTimestamp;
        Ok(None)
    }

    // 5.4
    fn take_timestamp(&mut self, answer: Answer) -> Result<Option<Step>, Refusal> {
        let bytes = came(answer, remote_file(TIMESTAMP, None))?;
        within("timestamp.json", &bytes, self.limits.timestamp)?;
        match rules::next_timestamp(&self.root, self.timestamp.as_ref(), &bytes, self.clock)? {
            NewTimestamp::Newer(timestamp) => {
                self.effects.push_back(store(TIMESTAMP, timestamp.bytes()));
                self.timestamp = Some(timestamp);
            }
            NewTimestamp::Same => {}
        }
        self.timestamp_done()
    }

    fn timestamp_done(&mut self) -> Result<Option<Step>, Refusal> {
        if let Some(timestamp) = &self.timestamp {
            self.clock.check(TIMESTAMP, timestamp)?;
        }
        self.phase = Phase::LoadSnapshot;
        Ok(None)
    }

    // 5.5: the one in the folder is enough if it is the one that the timestamp names.
    fn loaded_snapshot(&mut self, answer: Answer) -> Result<Option<Step>, Refusal> {
        let timestamp = self.timestamp.as_ref().ok_or_else(|| not_here(TIMESTAMP))?;
        if let Answer::Bytes(bytes) = answer {
            match rules::next_snapshot(&self.root, timestamp, None, &bytes, self.clock) {
                Ok(snapshot) => {
                    self.snapshot = Some(snapshot);
                    self.phase = Phase::Next(Search::new(None));
                    return Ok(None);
                }
                Err(refusal) if self.mode != Mode::Online => return Err(refusal),
                Err(_) => self.snapshot = rules::local_snapshot(&self.root, &bytes).ok(),
            }
        } else if self.mode != Mode::Online {
            return Err(not_here(SNAPSHOT));
        }
        let expected = timestamp.body().snapshot();
        let file = remote_file(SNAPSHOT, self.versioned(expected.version.get()));
        let fetch = self.fetch(file, expected.length.unwrap_or(self.limits.snapshot));
        self.phase = Phase::GotSnapshot;
        Ok(Some(fetch))
    }

    fn take_snapshot(&mut self, answer: Answer) -> Result<Option<Step>, Refusal> {
        let timestamp = self.timestamp.as_ref().ok_or_else(|| not_here(TIMESTAMP))?;
        let expected = timestamp.body().snapshot();
        let file = remote_file(SNAPSHOT, self.versioned(expected.version.get()));
        let bytes = came(answer, file)?;
        within("snapshot.json", &bytes, expected.length.unwrap_or(self.limits.snapshot))?;
        let snapshot =
            rules::next_snapshot(&self.root, timestamp, self.snapshot.as_ref(), &bytes, self.clock)?;
        self.effects.push_back(store(SNAPSHOT, snapshot.bytes()));
        self.snapshot = Some(snapshot);
        self.phase = Phase::Next(Search::new(None));
        Ok(None)
    }

    // 5.6.7: takes the next role of the search.
    fn search_on(&mut self, mut search: Search) -> Result<Option<Step>, Refusal> {
        let Some(wanted) = search.stack.pop() else {
            let path = search.path.map(|path| path.to_string()).unwrap_or_default();
            return Err(Refusal::NoSuchTarget { path });
        };
        if search.visited.contains(&wanted.role) {
            self.phase = Phase::Next(search);
            return Ok(None);
        }
        if search.visited.len() >= self.limits.roles {
            return Err(Refusal::TooManyRoles { limit: self.limits.roles });
        }
        search.visited.insert(wanted.role.clone());
        self.phase = Phase::Role { search, wanted, asked: Asked::Nobody };
        Ok(None)
    }

    // 5.6.1 to 5.6.6, for any targets role: in memory, in the folder, on the server.
    fn take_role(
        &mut self,
        search: Search,
        wanted: Wanted,
        asked: Asked,
        answer: Answer,
    ) -> Result<Option<Step>, Refusal> {
        let role = wanted.role.clone();
        let snapshot = self.snapshot.as_ref().ok_or_else(|| not_here(SNAPSHOT))?;
        let Some(expected) = snapshot.body().file(&role).cloned() else {
            return Err(Refusal::NotInSnapshot { role });
        };
        let version = self.versioned(expected.version.get());
        let limit = expected.length.unwrap_or(self.limits.targets);
        let believed =
            |bytes: &[u8]| rules::next_targets(&role, self.authority(&wanted), &expected, bytes, self.clock);
        let next = match (asked, answer) {
            (Asked::Nobody, _) => match self.roles.get(&role) {
                Some(known) => {
                    // Another delegation led to it before; this one must hold by itself.
                    rules::check_delegated(&role, self.authority(&wanted), known)?;
                    return self.role_done(search, &role);
                }
                None => Asked::Folder,
            },
            (Asked::Folder, Answer::Bytes(bytes)) => match believed(&bytes) {
                Ok(targets) => {
                    self.roles.insert(role.clone(), targets);
                    return self.role_done(search, &role);
                }
                Err(refusal) if self.mode != Mode::Online => return Err(refusal),
                Err(_) => Asked::Server,
            },
            (Asked::Folder, _) if self.mode != Mode::Online => return Err(not_here(&role)),
            (Asked::Folder, _) => Asked::Server,
            (Asked::Server, answer) => {
                let bytes = came(answer, remote_file(&role, version))?;
                within(&role, &bytes, limit)?;
                let targets = believed(&bytes)?;
                self.effects.push_back(store(&role, targets.bytes()));
                self.roles.insert(role.clone(), targets);
                return self.role_done(search, &role);
            }
        };
        let step = match next {
            Asked::Server => self.fetch(remote_file(&role, version), limit),
            _ => load(&role),
        };
        self.phase = Phase::Role { search, wanted, asked: next };
        Ok(Some(step))
    }

    /// The role is believed: has it the target, or who else might?
    fn role_done(&mut self, mut search: Search, role: &str) -> Result<Option<Step>, Refusal> {
        let Some(path) = &search.path else {
            self.phase = Phase::Refreshed;
            return Ok(None);
        };
        let targets = self.roles.get(role).ok_or_else(|| not_here(role))?.body();
        if let Some(file) = targets.targets.get(path.as_str()) {
            let target = Target {
                path: path.clone(),
                role: role.to_owned(),
                file: file.clone(),
                consistent_snapshot: self.root.body().consistent_snapshot,
            };
            self.phase = Phase::Refreshed;
            return Ok(Some(Step::Found(Box::new(target))));
        }
        let next = targets.delegations.as_ref().map(|delegations| delegations.for_path(path.as_str()));
        let next = next.unwrap_or_default();
        if next.last().is_some_and(|last| last.terminating) {
            search.stack.clear();
        }
        let delegator = Some(role.to_owned());
        let wanted = next.into_iter().map(|next| Wanted { role: next.role, delegator: delegator.clone() });
        search.stack.extend(wanted.rev());
        self.phase = Phase::Next(search);
        Ok(None)
    }

    fn authority(&self, wanted: &Wanted) -> Option<crate::threshold::Authority<'_>> {
        match &wanted.delegator {
            None => self.root.body().authority(TARGETS),
            Some(delegator) => {
                self.roles.get(delegator)?.body().delegations.as_ref()?.authority(&wanted.role)
            }
        }
    }

    fn versioned(&self, version: u64) -> Option<u64> {
        self.root.body().consistent_snapshot.then_some(version)
    }

    fn fetch(&self, file: String, max_length: u64) -> Step {
        Step::Fetch(Fetch { file, max_length, time_limit: self.limits.time_for(max_length) })
    }
}

impl Search {
    fn new(path: Option<TargetPath>) -> Self {
        let first = Wanted { role: TARGETS.to_owned(), delegator: None };
        Self { path, stack: vec![first], visited: BTreeSet::new() }
    }
}

fn load(role: &str) -> Step {
    Step::Load { file: local_file(role) }
}

fn store(role: &str, bytes: &[u8]) -> Step {
    Step::Store { file: local_file(role), bytes: bytes.to_vec() }
}

fn not_here(role: &str) -> Refusal {
    Refusal::NotHere { file: local_file(role) }
}

fn came(answer: Answer, file: String) -> Result<Vec<u8>, Refusal> {
    match answer {
        Answer::Bytes(bytes) => Ok(bytes),
        Answer::Done | Answer::Missing => Err(Refusal::Missing { file }),
    }
}

fn within(what: &str, bytes: &[u8], limit: u64) -> Result<(), Refusal> {
    if bytes.len() as u64 > limit {
        return Err(Refusal::TooLong { what: what.to_owned(), limit });
    }
    Ok(())
}
