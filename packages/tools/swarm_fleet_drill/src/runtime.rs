//! A simulated skill runtime and safety monitor, over the real artifact store.
//!
//! Artifacts are handled as `swarm_skill_runtime` does it: taken into the store, which verifies them; no run begins meanwhile; nothing
//! moves when the pointer is changed; then marked as good. What is simulated is the work: runs of random length that move an arm.
//! It keeps notes of its own of what must not happen ([`Notes`]).

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use swarm_artifact::{ArchiveDigest, ArtifactId, Intent, SignatureFile, Trust, verify};
use swarm_base::ErrorChain;
use swarm_bridge_core::{Deployed, Ended, RunSeen};
use swarm_registry_client::bridge::{Exchange, Refused, RuntimeHeard, SafetyHeard};
use swarm_store::{Object, Store, StoreError};

use crate::cell::WallClock;

const SAY_EVERY: Duration = Duration::from_millis(100);
/// From a stop of the safety monitor to its reset.
const STOPPED_FOR: Duration = Duration::from_millis(400);
const STOP_CAUSE: &str = "tcp_speed";

/// How long runs and the pauses between them are, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) run_ms: (u64, u64),
    pub(crate) pause_ms: (u64, u64),
}

/// The artifact whose runs the safety monitor stops, from the moment that it is set.
#[derive(Debug, Default)]
pub(crate) struct Defect {
    artifact: Mutex<Option<ArtifactId>>,
}

impl Defect {
    pub(crate) fn set(&self, artifact: Option<ArtifactId>) {
        *self.artifact.lock().unwrap_or_else(PoisonError::into_inner) = artifact;
    }

    fn is(&self, artifact: ArtifactId) -> bool {
        *self.artifact.lock().unwrap_or_else(PoisonError::into_inner) == Some(artifact)
    }
}

/// What the runtime saw, whatever it was asked for.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Exchanges while the arm moved.
    pub(crate) swapped_in_motion: AtomicU64,
    /// Artifacts that it was given and that were not what was signed.
    pub(crate) given_unverified: AtomicU64,
    /// Runs that the safety monitor stopped.
    pub(crate) bad_runs: AtomicU64,
    /// When the first of them was said.
    pub(crate) first_bad: OnceLock<Instant>,
    /// What was in force, and since when.
    pub(crate) held: Mutex<Vec<(Instant, ArtifactId)>>,
}

#[derive(Debug)]
struct Run {
    artifact: ArtifactId,
    ends: Instant,
    good: bool,
}

#[derive(Debug)]
struct State {
    in_force: Option<Deployed>,
    last_good: Option<semver::Version>,
    run: Option<Run>,
    runs: u64,
    ended: Ended,
    next_run: Instant,
    may_run: bool,
    /// Until when the safety monitor stops the cell.
    stopped_until: Option<Instant>,
    /// An exchange is under way.
    busy: bool,
    said: Option<Instant>,
    ticked: Instant,
    rng: SmallRng,
}

/// One cell's runtime.
#[derive(Debug)]
pub(crate) struct Runtime {
    store: Store,
    trust: Trust,
    clock: Arc<WallClock>,
    pace: Pace,
    defect: Arc<Defect>,
    process: u64,
    /// The arm itself.
    moving: AtomicBool,
    /// Time that it moved, in microseconds.
    moved_us: AtomicU64,
    state: Mutex<State>,
    pub(crate) notes: Notes,
}

impl Runtime {
    /// Begins with what the store says is deployed, as the runtime does after a restart.
    pub(crate) fn open(
        folder: &Path,
        trust: Trust,
        clock: Arc<WallClock>,
        pace: Pace,
        defect: Arc<Defect>,
    ) -> Result<Self> {
        let store = Store::open(folder)?;
        let in_force = store.current(&trust).unwrap_or_default().as_ref().map(deployed);
        let now = Instant::now();
        let runtime = Self {
            store,
            trust,
            clock,
            pace,
            defect,
            process: rand::random(),
            moving: AtomicBool::new(false),
            moved_us: AtomicU64::new(0),
            state: Mutex::new(State {
                in_force,
                last_good: None,
                run: None,
                runs: 0,
                ended: Ended::Not,
                next_run: now,
                may_run: true,
                stopped_until: None,
                busy: false,
                said: None,
                ticked: now,
                rng: SmallRng::from_rng(&mut rand::rng()),
            }),
            notes: Notes::default(),
        };
        let last_good = runtime.rollback_version();
        runtime.state().last_good = last_good;
        Ok(runtime)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn in_force(&self) -> Option<ArtifactId> {
        self.state().in_force.as_ref().map(|deployed| deployed.artifact)
    }

    /// Since it began.
    pub(crate) fn moved(&self) -> Duration {
        Duration::from_micros(self.moved_us.load(Ordering::Relaxed))
    }

    /// Lets time pass; gives what is said now, if anything is.
    pub(crate) fn tick(&self, now: Instant) -> Option<(RuntimeHeard, SafetyHeard)> {
        let mut state = self.state();
        let passed = now.saturating_duration_since(std::mem::replace(&mut state.ticked, now));
        if state.run.is_some() {
            self.moved_us.fetch_add(passed.as_micros() as u64, Ordering::Relaxed);
        }
        let mut news = false;
        if state.run.as_ref().is_some_and(|run| now >= run.ends)
            && let Some(run) = state.run.take()
        {
            self.moving.store(false, Ordering::SeqCst);
            state.ended = if run.good { Ended::Succeeded } else { Ended::Failed };
            if !run.good && self.defect.is(run.artifact) {
                state.stopped_until = Some(now + STOPPED_FOR);
                self.notes.bad_runs.fetch_add(1, Ordering::Relaxed);
                let _ = self.notes.first_bad.get_or_init(|| now);
            }
            state.next_run = now + between(&mut state.rng, self.pace.pause_ms);
            news = true;
        }
        if state.stopped_until.is_some_and(|until| now >= until) {
            state.stopped_until = None;
            news = true;
        }
        let free = state.may_run && !state.busy && state.stopped_until.is_none() && state.run.is_none();
        if free
            && now >= state.next_run
            && let Some(artifact) = state.in_force.as_ref().map(|deployed| deployed.artifact)
        {
            let good = !self.defect.is(artifact);
            let length = between(&mut state.rng, self.pace.run_ms);
            state.run = Some(Run { artifact, ends: now + length, good });
            state.runs += 1;
            self.moving.store(true, Ordering::SeqCst);
            news = true;
        }
        let due = state.said.is_none_or(|said| now >= said + SAY_EVERY);
        (news || due).then(|| {
            state.said = Some(now);
            self.say(&state)
        })
    }

    fn say(&self, state: &State) -> (RuntimeHeard, SafetyHeard) {
        let artifact = state.in_force.as_ref().map(|deployed| deployed.artifact);
        let running = state.run.is_some();
        let trace_id =
            if state.runs == 0 { String::new() } else { format!("{:016x}-{}", self.process, state.runs) };
        let ended = if running { Ended::Not } else { state.ended };
        let runtime = RuntimeHeard {
            deployed: state.in_force.clone(),
            last_good: state.last_good.clone(),
            run: RunSeen { process: self.process, artifact, trace_id, running, ended },
        };
        let stopped_by = if state.stopped_until.is_some() { STOP_CAUSE } else { "" };
        let safety = SafetyHeard { passes_motion: running, stopped_by: stopped_by.to_owned(), artifact };
        (runtime, safety)
    }

    /// Does what the order gives an object for, once nothing moves. No run begins meanwhile.
    fn exchange(
        &self,
        intent: Intent,
        object: impl FnOnce() -> Result<Object, StoreError>,
    ) -> Result<String, Refused> {
        {
            let mut state = self.state();
            if !state.may_run {
                return Err(no("the runtime is inactive"));
            }
            if std::mem::replace(&mut state.busy, true) {
                return Err(no("an exchange is under way"));
            }
        }
        let exchanged =
            object().map_err(|error| refused(&error)).and_then(|object| self.flip(&object, intent));
        let last_good = self.rollback_version();
        let mut state = self.state();
        state.busy = false;
        state.said = None;
        state.last_good = last_good;
        exchanged
    }

    fn flip(&self, object: &Object, intent: Intent) -> Result<String, Refused> {
        self.store.check_deploy(object, intent, self.clock.unix_now()).map_err(|error| refused(&error))?;
        if self.state().run.is_some() {
            return Err(no("a run is in progress"));
        }
        let moved_before = self.moving.load(Ordering::SeqCst);
        let pointer =
            self.store.deploy(object, intent, self.clock.unix_now()).map_err(|error| refused(&error))?;
        let now = deployed(object);
        let said = format!("{} {} is deployed", now.skill, now.version);
        self.notes.held.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), now.artifact));
        self.state().in_force = Some(now);
        if moved_before || self.moving.load(Ordering::SeqCst) {
            self.notes.swapped_in_motion.fetch_add(1, Ordering::Relaxed);
        }
        // The runtime warns where this fails, and runs it.
        let _ = self.store.mark_good(pointer.generation);
        let _ = self.store.prune(swarm_store::KEPT);
        Ok(said)
    }

    fn rollback_version(&self) -> Option<semver::Version> {
        self.store.rollback_target().ok().map(|target| target.version)
    }

    /// Whether the files are what a trusted person signed; looked at here and not where they come from.
    fn is_signed(&self, archive: &str, signatures: &str) -> bool {
        let (Ok(archive), Ok(signatures)) = (fs::read(archive), fs::read_to_string(signatures)) else {
            // A disk that fails is another matter.
            return true;
        };
        let now = self.clock.unix_now();
        SignatureFile::parse(&signatures).is_ok_and(|signatures| {
            verify(&ArchiveDigest::of(&archive), &signatures, &self.trust, now).is_ok()
        })
    }
}

impl Exchange for Runtime {
    fn deploy(
        &self,
        archive: &str,
        signatures: &str,
        skill: &str,
        allow_older: bool,
    ) -> Result<String, Refused> {
        if !self.is_signed(archive, signatures) {
            self.notes.given_unverified.fetch_add(1, Ordering::Relaxed);
        }
        let intent = if allow_older { Intent::Rollback } else { Intent::Upgrade };
        self.exchange(intent, || {
            let now = self.clock.unix_now();
            let object = self.store.ingest(archive.as_ref(), signatures.as_ref(), &self.trust, now)?;
            debug_assert_eq!(object.manifest().skill.skill_id.as_str(), skill);
            Ok(object)
        })
    }

    fn roll_back_to(&self, version: &str) -> Result<String, String> {
        let version = version.parse().map_err(|error| format!("{version}: {error}"))?;
        let target = || {
            let target = self.store.rollback_target_of(&version)?;
            self.store.object(target.artifact, &self.trust)
        };
        self.exchange(Intent::Rollback, target).map_err(|refused| refused.why)
    }

    fn let_runs_begin(&self, allowed: bool) -> Result<(), String> {
        self.state().may_run = allowed;
        Ok(())
    }
}

fn deployed(object: &Object) -> Deployed {
    let skill = &object.manifest().skill;
    Deployed { artifact: object.id(), skill: skill.skill_id.to_string(), version: skill.version.clone() }
}

fn between(rng: &mut SmallRng, (least, most): (u64, u64)) -> Duration {
    Duration::from_millis(rng.random_range(least..=most))
}

fn no(why: &str) -> Refused {
    Refused { why: why.to_owned(), unacceptable: false }
}

fn refused(error: &StoreError) -> Refused {
    Refused { unacceptable: error.refusal_code().is_some(), why: ErrorChain(error).to_string() }
}
