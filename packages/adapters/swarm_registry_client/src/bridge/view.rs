//! What the bridge knows, and what follows from it. Everything here happens under one lock, and nothing here waits.

use std::collections::BTreeMap;

use swarm_api::cell::{Health, Motion};
use swarm_artifact::ArtifactId;
use swarm_base::{Duration, Time};
use swarm_bridge_core::{
    Backoff, Belief, Cached, Deployed, Have, HealthWatch, Memory, Now, Plan, RegistryView, RunSeen, Runtime,
    SILENT_AFTER, Said, Schedule, Standing, Trouble, Want, plan,
};

use super::Settings;
use crate::{ClientError, Look, OfInterest, SpoolState};

/// Metadata is refreshed this often without any news.
const REFRESH_EVERY: Duration = Duration::from_millis(60_000);
const REFRESH_BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(1_000), longest: Duration::from_millis(60_000) };
const DOWNLOAD_BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(1_000), longest: Duration::from_millis(120_000) };
const DEPLOY_BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(500), longest: Duration::from_millis(60_000) };
/// A node that reports an error does so once a second.
const ERRORS_LAST: Duration = Duration::from_millis(5_000);

/// A status of the runtime, as values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeHeard {
    pub deployed: Option<Deployed>,
    pub last_good: Option<semver::Version>,
    pub run: RunSeen,
}

/// A status of the safety monitor, as values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SafetyHeard {
    /// It lets commands through.
    pub passes_motion: bool,
    /// Why it stops the cell; empty in no stop.
    pub stopped_by: String,
    pub artifact: Option<ArtifactId>,
}

/// An attempt that is made again, and why the last one failed.
#[derive(Clone, Debug, Default)]
struct Attempts {
    schedule: Schedule,
    why: String,
}

#[derive(Debug)]
pub struct View {
    settings: Settings,
    runtime: Option<(Time, RuntimeHeard)>,
    safety: Option<(Time, SafetyHeard)>,
    errors: BTreeMap<String, (Time, String)>,
    health: HealthWatch,
    pub memory: Memory,
    look: Option<Look>,
    registry: RegistryView,
    download: Attempts,
    deploy: Attempts,
    attempts_for: Option<ArtifactId>,
    asked: Option<ArtifactId>,
    /// Process of the runtime that was told to begin no run, until somebody activates it; see [`Have::refusal_stands`]. None at the
    /// start: it may have been started again while this bridge was down.
    refuses_runs: Option<u64>,
    /// Refreshes that ended, well or not.
    pub refreshes: u64,
    pub cache: Vec<Cached>,
    pub cache_bytes: u64,
    /// Bytes that were not downloaded, because a delta made them.
    pub saved_bytes: u64,
    /// Of the download under way, 0 to 1.
    pub progress: Option<f64>,
    pub spool: SpoolState,
    pub spool_trouble: Option<String>,
}

/// The plan and what is said of it.
#[derive(Clone, Debug)]
pub struct Decision {
    pub plan: Plan,
    pub standing: Standing,
    pub motion: Motion,
    pub want: Want,
    pub running: Option<Deployed>,
}

impl View {
    pub fn new(settings: Settings, memory: Memory) -> Self {
        Self {
            settings,
            health: HealthWatch::default(),
            memory,
            runtime: None,
            safety: None,
            errors: BTreeMap::new(),
            look: None,
            registry: RegistryView::default(),
            download: Attempts::default(),
            deploy: Attempts::default(),
            attempts_for: None,
            asked: None,
            refuses_runs: None,
            refreshes: 0,
            cache: Vec::new(),
            cache_bytes: 0,
            saved_bytes: 0,
            progress: None,
            spool: SpoolState::default(),
            spool_trouble: None,
        }
    }

    // --- what is heard

    /// Gives whether somebody should look at once.
    pub fn hear_runtime(&mut self, now: Time, heard: RuntimeHeard) -> bool {
        let counted = self.health.hear_runtime(heard.run.clone());
        let silent = self.runtime.as_ref().is_none_or(|(at, _)| now.since(*at) > SILENT_AFTER);
        // Somebody may have activated it unheard.
        if silent {
            self.refuses_runs = None;
        }
        if let Some(running) = &heard.deployed {
            let want = self.want();
            if self.memory.hear_running(running, &want) && self.asked != Some(running.artifact) {
                tracing::info!("{} {} is deployed, not by this bridge", running.skill, running.version);
            }
            self.memory.hear_belief(running.artifact, self.image_has(running.artifact));
        }
        let news = self.runtime.as_ref().is_none_or(|(_, last)| {
            silent
                || last.run.process != heard.run.process
                || last.deployed != heard.deployed
                || last.run.running != heard.run.running
        });
        self.runtime = Some((now, heard));
        if news {
            self.ask_about_what_runs(now);
        }
        news || counted
    }

    /// The last refresh may have come while the runtime was silent, or ran something else.
    fn ask_about_what_runs(&mut self, now: Time) {
        let running = self.runtime.as_ref().and_then(|(_, heard)| heard.deployed.as_ref());
        if let (Some(look), Some(running)) = (&self.look, running)
            && !look.believed.contains_key(&running.artifact)
        {
            self.registry.refresh.hurry(now);
        }
    }

    pub fn hear_safety(&mut self, now: Time, heard: SafetyHeard) -> bool {
        self.health.hear_safety(&heard.stopped_by, heard.artifact);
        let news = self.safety.as_ref().is_none_or(|(_, last)| last.passes_motion != heard.passes_motion);
        self.safety = Some((now, heard));
        news
    }

    pub fn hear_lifecycle(&mut self, ending: bool) {
        self.health.hear_lifecycle(ending);
        if !ending {
            self.refuses_runs = None;
        }
    }

    /// The runtime, which was `process` before, was told to begin no run, or that it may.
    pub fn runs_allowed(&mut self, allowed: bool, process: Option<u64>) {
        self.memory.runs_refused = !allowed;
        self.refuses_runs = process.filter(|_| !allowed);
    }

    /// Process of the runtime that spoke last.
    pub fn runtime_process(&self) -> Option<u64> {
        self.runtime.as_ref().map(|(_, heard)| heard.run.process)
    }

    /// A part of some node reports an error in `/diagnostics`; or does no longer.
    pub fn hear_diagnostics(&mut self, now: Time, part: String, error: Option<String>) {
        match error {
            Some(error) => {
                self.errors.insert(part, (now, error));
            }
            None => {
                self.errors.remove(&part);
            }
        }
    }

    // --- the registry

    /// The registry answered something.
    pub fn contact(&mut self, unix_s: i64) {
        self.memory.last_contact_unix_s = Some(unix_s);
    }

    /// The director has news, or the registry is back, or somebody asks.
    pub fn hurry(&mut self, now: Time) {
        self.registry.refresh.hurry(now);
        self.download.schedule.hurry(now);
    }

    /// Somebody on the cell asks to try everything again.
    pub fn try_again(&mut self, now: Time) {
        self.memory.try_again();
        self.hurry(now);
        self.deploy.schedule.hurry(now);
    }

    /// Metadata was fetched and believed.
    pub fn refreshed(&mut self, look: Look, now: Now) {
        self.registry.refresh.succeeded(now.monotonic, REFRESH_EVERY);
        self.registry.trouble = None;
        self.memory.last_believed_unix_s = Some(now.unix_s);
        self.contact(now.unix_s);
        self.see(Some(look));
        self.ask_about_what_runs(now.monotonic);
        self.refreshes += 1;
    }

    /// It could not be; `offline` is what the metadata on the disk still says. Where it says nothing, what was believed before goes on
    /// to hold until it has expired: the link's trouble is no reason to forget what was withdrawn.
    pub fn refresh_failed(&mut self, error: &ClientError, offline: Option<Look>, now: Now) {
        self.registry.refresh.failed(now.monotonic, REFRESH_BACKOFF, rand::random());
        let why = error.to_string();
        if self.registry.trouble.as_ref().map(Trouble::why) != Some(why.as_str()) {
            tracing::warn!("the metadata is not refreshed: {why}");
        }
        self.registry.trouble =
            Some(if error.is_refusal() { Trouble::NotBelieved(why) } else { Trouble::Away(why) });
        if offline.is_some() {
            self.see(offline);
        }
        self.refreshes += 1;
    }

    /// What the metadata says now; none if none is believed.
    pub fn see(&mut self, look: Option<Look>) {
        self.look = look;
        self.registry.expires_unix_s = self.look.as_ref().and_then(|look| look.expires_unix_s);
        let want = self.want();
        self.memory.hear_want(&want);
        for (artifact, belief) in self.look.iter().flat_map(|look| &look.believed) {
            self.memory.hear_belief(*artifact, *belief);
        }
        if want.artifact() != self.attempts_for {
            self.attempts_for = want.artifact();
            (self.download, self.deploy) = (Attempts::default(), Attempts::default());
        }
    }

    pub fn look(&self) -> Option<&Look> {
        self.look.as_ref()
    }

    pub fn want(&self) -> Want {
        self.look.as_ref().map_or(Want::Unknown, |look| look.want.clone())
    }

    /// Artifacts of which the image repository is asked whether it has them: all that ran here. A runtime that is silent now may come
    /// back with any of them, and most likely with the newest.
    pub fn of_interest(&self, now: Now) -> OfInterest {
        let runtime = self.runtime(now);
        let good = self.with_have(&runtime, now, |have| have.last_good().map(|good| good.artifact));
        let runs = match &runtime {
            Runtime::Silent => self.memory.history().first().map(|ran| &ran.deployed),
            Runtime::Says { deployed, .. } => deployed.as_ref(),
        };
        let in_force = [runs.map(|runs| runs.artifact), good];
        let ran = self.memory.history().iter().map(|ran| ran.deployed.clone());
        let (in_force, before) = ran.partition(|ran| in_force.contains(&Some(ran.artifact)));
        OfInterest { in_force, before }
    }

    // --- what was tried

    /// The runtime is about to be asked to run this.
    pub fn ask_for(&mut self, artifact: ArtifactId) {
        self.asked = Some(artifact);
        self.memory.ask_for(artifact);
    }

    pub fn downloaded(&mut self, result: Result<(), String>, now: Time) {
        note(&mut self.download, result, DOWNLOAD_BACKOFF, now);
    }

    pub fn deployed(&mut self, result: Result<(), String>, now: Time) {
        note(&mut self.deploy, result, DEPLOY_BACKOFF, now);
    }

    /// Attempts to deploy what is wanted that failed, since one went well.
    pub fn deploy_failures(&self) -> u32 {
        self.deploy.schedule.failures()
    }

    // --- what follows

    pub fn motion(&self, now: Time) -> Motion {
        let fresh = |at: &Time| now.since(*at) <= SILENT_AFTER;
        match (&self.runtime, &self.safety) {
            (Some((at, _)), Some((safety_at, _))) if !fresh(at) || !fresh(safety_at) => Motion::Unknown,
            (Some((_, runtime)), Some((_, safety))) if runtime.run.running || safety.passes_motion => {
                Motion::Moving
            }
            (Some(_), Some(_)) => Motion::AtRest,
            _ => Motion::Unknown,
        }
    }

    fn runtime(&self, now: Now) -> Runtime {
        match &self.runtime {
            Some((at, heard)) if now.monotonic.since(*at) <= SILENT_AFTER => {
                Runtime::Says { deployed: heard.deployed.clone(), last_good: heard.last_good.clone() }
            }
            _ => Runtime::Silent,
        }
    }

    fn belief(&self, artifact: Option<ArtifactId>) -> Belief {
        let Some(artifact) = artifact else { return Belief::NotAsked };
        match &self.look {
            Some(look) if look.to_leave.contains(&artifact) => Belief::ToLeave,
            _ => self.image_has(artifact),
        }
    }

    fn image_has(&self, artifact: ArtifactId) -> Belief {
        self.look.as_ref().and_then(|look| look.believed.get(&artifact).copied()).unwrap_or_default()
    }

    fn with_have<T>(&self, runtime: &Runtime, now: Now, then: impl FnOnce(&Have<'_>) -> T) -> T {
        let mut have = Have {
            runtime,
            motion: self.motion(now.monotonic),
            running_believed: self.belief(runtime.deployed().map(|running| running.artifact)),
            last_good_believed: Belief::NotAsked,
            cache: &self.cache,
            cache_limit_bytes: self.settings.cache_limit_bytes,
            registry: &self.registry,
            download: (&self.download.schedule, &self.download.why),
            deploy: (&self.deploy.schedule, &self.deploy.why),
            memory: &self.memory,
            // One that is started again is active.
            refusal_stands: self.refuses_runs.is_some() && self.refuses_runs == self.runtime_process(),
        };
        have.last_good_believed = self.belief(have.last_good().map(|good| good.artifact));
        then(&have)
    }

    pub fn decide(&self, now: Now) -> Decision {
        let (runtime, want) = (self.runtime(now), self.want());
        self.with_have(&runtime, now, |have| {
            let plan = plan(have, &want, &self.settings.windows, &self.settings.offline, now);
            let standing = Standing::of(have, &want, &plan, now);
            Decision {
                standing,
                motion: have.motion,
                want: want.clone(),
                running: runtime.deployed().cloned(),
                plan,
            }
        })
    }

    /// The report to the registry, unnumbered.
    pub fn draft(&self, reporter: &swarm_bridge_core::Reporter, now: Now) -> swarm_api::cell::Report {
        let (runtime, decision) = (self.runtime(now), self.decide(now));
        let said = Said {
            image: self.look.as_ref().map_or(0, |look| look.image),
            director: self.look.as_ref().map_or(0, |look| look.director),
            window_open: self.settings.windows.is_open(now.unix_s),
            health: self.health.health(),
        };
        let troubles = self.troubles(now.monotonic);
        self.with_have(&runtime, now, |have| reporter.draft(have, &decision.standing, said, &troubles, now))
    }

    /// What is wrong besides the assignment: what the cell's nodes report, and what cannot be handed in.
    pub fn troubles(&self, now: Time) -> Vec<String> {
        let errors = self.errors.iter().filter(|(_, (at, _))| now.since(*at) <= ERRORS_LAST);
        let mut troubles: Vec<_> = errors.map(|(part, (_, error))| format!("{part}: {error}")).collect();
        troubles.extend(self.spool_trouble.clone());
        if self.spool.refused > 0 {
            troubles
                .push(format!("the registry did not take {} of what is in the spool", self.spool.refused));
        }
        troubles
    }

    pub fn health(&self) -> Health {
        self.health.health()
    }

    pub fn trouble(&self) -> Option<&Trouble> {
        self.registry.trouble.as_ref()
    }

    pub fn expires_unix_s(&self) -> Option<i64> {
        self.registry.expires_unix_s
    }
}

fn note(attempts: &mut Attempts, result: Result<(), String>, backoff: Backoff, now: Time) {
    match result {
        Ok(()) => {
            attempts.schedule.succeeded(now, Duration::ZERO);
            attempts.why.clear();
        }
        Err(why) => {
            if attempts.why != why {
                tracing::warn!("{why}");
            }
            attempts.schedule.failed(now, backoff, rand::random());
            attempts.why = why;
        }
    }
}
