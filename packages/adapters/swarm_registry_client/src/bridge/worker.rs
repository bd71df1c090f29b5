//! The worker: plan, carry out the first step, look again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use swarm_artifact::ArtifactId;
use swarm_base::Shutdown;
use swarm_bridge_core::{Memory, Now, Step, Wanted};
use swarm_tuf::Mode;

use super::shared::Shared;
use super::{Active, Exchange};
use crate::{Cache, ClientError, Connection, Look, Repositories, store_memory};

/// Longest time between two looks; windows open and back-offs end without anybody saying so.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// From the runtime's answer to the status that shows it, which comes ten times a second.
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);
const STATUS_LOOK: Duration = Duration::from_millis(10);
/// The signature file comes over the network, and only the trust file vouches for it: it is fetched so often before the artifact is
/// refused for good.
const SIGNATURE_TRIES: u32 = 3;
/// The time of the last contact alone is worth no more writes than this.
const CONTACT_GRAIN_S: i64 = 30;

pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) connection: Connection,
    pub(super) repositories: Repositories,
    pub(super) cache: Cache,
    pub(super) runtime: Arc<dyn Exchange>,
    pub(super) active: Active,
    pub(super) shutdown: Shutdown,
    /// As it is on the disk.
    pub(super) kept: Memory,
    /// Why it is not, where it could not be written.
    pub(super) not_kept: String,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl Worker {
    /// Until the end.
    pub(super) fn run(mut self) {
        self.begin();
        while !self.shutdown.is_requested() {
            let now = self.shared.now();
            let decision = self.shared.view().decide(now);
            match decision.plan.first() {
                Some(step) if (self.active)() => {
                    tracing::debug!("{step}");
                    self.carry_out(step, &decision.plan.steps);
                }
                _ => self.shared.wait(LOOK_EVERY),
            }
            self.keep_memory();
        }
        self.keep_memory();
    }

    /// What was believed when the bridge ended still holds.
    fn begin(&mut self) {
        let now = self.shared.now();
        match self.look_offline(now) {
            Ok(look) => self.shared.view().see(Some(look)),
            Err(error) => tracing::info!("nothing is believed yet: {error}"),
        }
        let wanted = self.shared.view().want().artifact();
        if let Err(error) = self.cache.discard_others(wanted) {
            tracing::warn!("{error}");
        }
        self.count_cache();
    }

    fn carry_out(&mut self, step: &Step, steps: &[Step]) {
        match step {
            Step::Refresh => self.refresh(),
            Step::Evict(artifact) => self.evict(*artifact),
            Step::Download(wanted) => self.download(wanted),
            Step::Verify(wanted) => {
                let deploy = steps.iter().find_map(|step| match step {
                    Step::Deploy { allow_older, .. } => Some(*allow_older),
                    _ => None,
                });
                // Checked and used in one go; nothing else is done in between.
                if let (true, Some(allow_older)) = (self.verify(wanted), deploy) {
                    self.deploy(wanted, allow_older);
                }
            }
            Step::Deploy { wanted, allow_older } => {
                if self.verify(wanted) {
                    self.deploy(wanted, *allow_older);
                }
            }
            Step::RollBackTo { artifact, version } => {
                let result = {
                    let shared = Arc::clone(&self.shared);
                    let _exchanging = shared.exchanging();
                    shared.view().ask_for(*artifact);
                    self.keep_memory();
                    self.runtime.roll_back_to(&version.to_string())
                };
                let result = result.and_then(|said| self.shown(*artifact, &said));
                self.shared.view().deployed(result, self.shared.now().monotonic);
            }
            Step::RefuseRuns => self.let_runs_begin(false),
            Step::AllowRuns => self.let_runs_begin(true),
        }
    }

    fn refresh(&mut self) {
        let now = self.shared.now();
        let of_interest = self.shared.view().of_interest(now);
        match self.repositories.look(Mode::Online, now.unix_s, &of_interest) {
            Ok(look) => self.shared.view().refreshed(look, now),
            Err(error) => {
                let offline = self.look_offline(now).ok();
                self.shared.view().refresh_failed(&error, offline, now);
            }
        }
    }

    fn look_offline(&mut self, now: Now) -> Result<Look, ClientError> {
        let of_interest = self.shared.view().of_interest(now);
        let grace_s = self.shared.settings.offline.grace_s();
        self.repositories.look(Mode::Offline { grace_s }, now.unix_s, &of_interest)
    }

    fn evict(&self, artifact: ArtifactId) {
        match self.cache.evict(artifact) {
            Ok(()) => tracing::info!("artifact {artifact} made room in the cache"),
            Err(error) => {
                // Otherwise it would be tried again at once, and for ever.
                tracing::warn!("{error}");
                self.shared.wait(LOOK_EVERY);
            }
        }
        self.count_cache();
    }

    fn download(&self, wanted: &Wanted) {
        let look = self.shared.view().look().cloned();
        let Some(target) = look.and_then(|look| look.target) else {
            // The assignment changed meanwhile.
            self.shared.wait(LOOK_EVERY);
            return;
        };
        let (artifact, length) = (wanted.artifact, target.file.length.max(1) as f64);
        // What ran here of this skill, newest first.
        let bases: Vec<_> = {
            let view = self.shared.view();
            let ran = view.memory.history().iter().map(|ran| &ran.deployed);
            ran.filter(|ran| ran.skill == wanted.skill).map(|ran| ran.artifact).collect()
        };
        let began = Instant::now();
        let downloaded = self.cache.discard_others(Some(artifact)).and_then(|()| {
            self.cache.download_from(&self.connection, artifact, &target, &bases, |received| {
                let mut view = self.shared.view();
                view.progress = Some(received as f64 / length);
                // Somebody else is wanted now, or nobody.
                view.want().artifact() == Some(artifact) && !self.shutdown.is_requested()
            })
        });
        if let Ok(how) = &downloaded {
            let seconds = began.elapsed().as_secs_f64();
            tracing::info!("{wanted} ({artifact}) is in the cache after {seconds:.2} s, {how}");
            let by_delta = how.by_delta.map_or(target.file.length, |(_, bytes)| bytes);
            self.shared.view().saved_bytes += target.file.length.saturating_sub(by_delta);
        }
        self.count_cache();
        let mut view = self.shared.view();
        view.progress = None;
        if matches!(downloaded, Err(ClientError::Stopped)) {
            return;
        }
        let result = downloaded.map(drop).map_err(|error| format!("{wanted} cannot be downloaded: {error}"));
        view.downloaded(result, self.shared.now().monotonic);
    }

    /// Whether the cached file may be handed to the runtime.
    fn verify(&self, wanted: &Wanted) -> bool {
        let now = self.shared.now();
        let look = self.shared.view().look().cloned();
        let Some(target) = look.and_then(|look| look.target) else { return false };
        let verified = self.shared.trust().and_then(|trust| {
            match self.cache.verify(wanted.artifact, &target, &trust, now.unix_s) {
                Ok(()) => Ok(()),
                Err(error @ (ClientError::NotSigned(_) | ClientError::BadSignatureFile { .. })) => {
                    let mut view = self.shared.view();
                    if !error.is_about_time() && view.deploy_failures() + 1 >= SIGNATURE_TRIES {
                        view.memory.refuse(wanted.artifact, &error.to_string());
                    }
                    Err(error.to_string())
                }
                Err(error) => Err(error.to_string()),
            }
        });
        self.count_cache();
        let good = verified.is_ok();
        if let Err(why) = verified {
            self.shared.view().deployed(Err(why), now.monotonic);
        }
        good
    }

    fn deploy(&mut self, wanted: &Wanted, allow_older: bool) {
        let path = |path: PathBuf| path.to_string_lossy().into_owned();
        let (archive, signatures) =
            (path(self.cache.archive(wanted.artifact)), path(self.cache.signatures(wanted.artifact)));
        let answer = {
            let shared = Arc::clone(&self.shared);
            let _exchanging = shared.exchanging();
            let mut view = shared.view();
            // A person may have left it while the file was checked.
            if view.memory.left() == Some(wanted.artifact) {
                return;
            }
            view.ask_for(wanted.artifact);
            drop(view);
            self.keep_memory();
            self.runtime.deploy(&archive, &signatures, &wanted.skill, allow_older)
        };
        let result = match answer {
            Ok(said) => self.shown(wanted.artifact, &said),
            Err(refused) => {
                if refused.unacceptable {
                    self.shared.view().memory.refuse(wanted.artifact, &refused.why);
                }
                Err(refused.why)
            }
        };
        self.shared.view().deployed(result, self.shared.now().monotonic);
    }

    /// Waits for the status that names what was exchanged; the next plan is made from it.
    fn shown(&self, artifact: ArtifactId, said: &str) -> Result<(), String> {
        let deadline = Instant::now() + STATUS_TIMEOUT;
        loop {
            let running = self.shared.view().decide(self.shared.now()).running;
            if running.is_some_and(|running| running.artifact == artifact) {
                tracing::info!("{said}");
                return Ok(());
            }
            if Instant::now() >= deadline || self.shutdown.is_requested() {
                let seconds = STATUS_TIMEOUT.as_secs();
                return Err(format!(
                    "the runtime said '{said}', but no status of it has named {artifact} within {seconds} s"
                ));
            }
            std::thread::sleep(STATUS_LOOK);
        }
    }

    fn let_runs_begin(&self, allowed: bool) {
        let process = self.shared.view().runtime_process();
        let result = self.runtime.let_runs_begin(allowed);
        let mut view = self.shared.view();
        match result {
            Ok(()) => {
                view.runs_allowed(allowed, process);
                let what = if allowed { "may begin runs again" } else { "is told to begin no run" };
                tracing::warn!("the skill runtime {what}");
            }
            Err(why) => {
                tracing::warn!("{why}");
                drop(view);
                self.shared.wait(LOOK_EVERY);
            }
        }
    }

    fn count_cache(&self) {
        let (entries, bytes) = (self.cache.entries(), self.cache.bytes());
        let mut view = self.shared.view();
        match entries {
            Ok(entries) => view.cache = entries,
            Err(error) => tracing::warn!("{error}"),
        }
        view.cache_bytes = bytes;
    }

    fn keep_memory(&mut self) {
        let memory = self.shared.view().memory.clone();
        let contact = |memory: &Memory| memory.last_contact_unix_s.unwrap_or(0);
        let mut with_contact = self.kept.clone();
        with_contact.last_contact_unix_s = memory.last_contact_unix_s;
        if with_contact == memory && (contact(&memory) - contact(&self.kept)).abs() < CONTACT_GRAIN_S {
            return;
        }
        match store_memory(&self.shared.settings.data, &memory) {
            Ok(()) => {
                self.kept = memory;
                self.not_kept.clear();
            }
            Err(error) => {
                let why = error.to_string();
                if why != self.not_kept {
                    tracing::warn!("the bridge's memory is not kept: {why}");
                    self.not_kept = why;
                }
            }
        }
    }
}
