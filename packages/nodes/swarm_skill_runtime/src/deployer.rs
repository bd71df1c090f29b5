//! Carries out the steps of a deployment ([`swarm_skill_core::Deployment`] says which): store, checks, safety monitor, pointer.
//!
//! Nothing here knows ROS: the safety monitor and the arms' state are asked through [`Surroundings`], so that tests run the whole of it.

mod files;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use semver::Version;
use swarm_artifact::{ArtifactId, Intent, Trust};
use swarm_base::ErrorChain;
use swarm_bt_check::{Finding, Severity};
use swarm_metrics::Metrics;
use swarm_onnx::Provider;
use swarm_safety_core::Config;
use swarm_skill_core::{Busy, Deployment, Fault, Next, Peripherals, Request, Skill, SkillProblem, Step};
use swarm_store::{Object, Store, StoreError};

use crate::beside::Candidate;
use crate::robots::Robots;
use files::{Files, PolicyClock, read_entry};

/// A skill that is in force: what the next run uses.
#[derive(Debug)]
pub struct ActiveSkill {
    pub skill_id: String,
    pub version: Version,
    pub artifact: ArtifactId,
    pub skill: Skill,
    /// How it compared with what was running while it waited, in words; `None` if nothing was.
    pub beside: Option<String>,
}

impl ActiveSkill {
    /// `cooperative_assembly 1.0.0`
    pub fn title(&self) -> String {
        format!("{} {}", self.skill_id, self.version)
    }
}

/// What a run may be started of.
#[derive(Clone, Debug)]
pub enum InForce {
    Nothing,
    Skill(Arc<ActiveSkill>),
    /// An order is being carried out: nothing may be started until it is known what is in force.
    Changing,
}

/// What a deployment needs from outside.
pub trait Surroundings {
    /// Waits until nothing moves, if there is patience for it: see [`crate::beside::await_rest`]. Gives how the candidate
    /// compared with a run that it waited for; the error says what still moves.
    fn await_rest(&self, candidate: &Candidate<'_>) -> Result<Option<String>, String>;

    /// Makes the safety monitor load the envelope of an artifact; `None` unloads. The error is its refusal, or why it did not answer.
    fn load_envelope(&self, artifact: Option<ArtifactId>) -> Result<(), String>;
}

/// What an operator asked for, with its arguments.
#[derive(Clone, Debug)]
pub enum Order {
    Deploy {
        archive: PathBuf,
        /// Empty: beside the archive.
        signature: PathBuf,
        /// Empty: whatever the manifest says.
        skill_id: String,
        /// Whether an older version may follow the deployed one.
        intent: Intent,
    },
    Reload,
    /// To the last good version, or to the one named.
    Rollback(Option<Version>),
}

impl Order {
    fn request(&self) -> Request {
        match self {
            Self::Deploy { .. } => Request::Deploy,
            Self::Reload => Request::Reload,
            Self::Rollback(_) => Request::Rollback,
        }
    }

    fn intent(&self) -> Intent {
        match self {
            Self::Deploy { intent, .. } => *intent,
            Self::Reload => Intent::Upgrade,
            Self::Rollback(_) => Intent::Rollback,
        }
    }
}

/// Why an order was not carried out, and what is still deployed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NotDeployed {
    pub message: String,
    /// The artifact itself is refused: asking again would not help.
    pub unacceptable: bool,
}

/// Files and libraries that a deployment reads.
#[derive(Clone, Debug)]
pub struct Places {
    pub store: PathBuf,
    pub trust_file: PathBuf,
    /// Library of ONNX Runtime; loaded when the first policy is.
    pub onnx_runtime: PathBuf,
    /// What policies compute on.
    pub provider: Provider,
}

/// Deploys, one order at a time. Shared between the services and the control loop.
#[derive(Debug)]
pub struct Deployer {
    places: Places,
    robots: Arc<Robots>,
    metrics: Arc<Metrics>,
    peripherals: Arc<dyn Peripherals + Send + Sync>,
    deployment: Mutex<Deployment>,
    active: Mutex<Option<Arc<ActiveSkill>>>,
    /// The store could not be told that what is in force is good.
    untold: AtomicBool,
}

/// What one order has gathered so far.
#[derive(Default)]
struct Progress {
    object: Option<Object>,
    candidate: Option<ActiveSkill>,
    /// What the artifact is stands in the way.
    unacceptable: bool,
}

impl Deployer {
    pub fn new(places: Places, robots: Arc<Robots>) -> Self {
        Self {
            places,
            robots,
            metrics: Arc::default(),
            peripherals: Arc::new(Vec::new()),
            deployment: Mutex::default(),
            active: Mutex::default(),
            untold: AtomicBool::default(),
        }
    }

    /// Where the inferences of deployed policies are counted.
    #[must_use]
    pub fn counting_in(self, metrics: Arc<Metrics>) -> Self {
        Self { metrics, ..self }
    }

    /// What skills may ask of the cell besides its robots; without this, nothing.
    #[must_use]
    pub fn asking(self, peripherals: Arc<dyn Peripherals + Send + Sync>) -> Self {
        Self { peripherals, ..self }
    }

    /// The skill in force.
    pub fn active(&self) -> Option<Arc<ActiveSkill>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a run may be started of. To be asked by whoever holds what [`Surroundings::await_rest`] looks at.
    pub fn in_force(&self) -> InForce {
        if self.is_busy() {
            return InForce::Changing;
        }
        self.active().map_or(InForce::Nothing, InForce::Skill)
    }

    /// Whether an order is being carried out; no run may start then.
    pub fn is_busy(&self) -> bool {
        !self.deployment.lock().unwrap_or_else(PoisonError::into_inner).is_idle()
    }

    /// Whether the store names a deployed artifact, in force or not.
    pub fn has_deployment(&self) -> bool {
        Store::open(&self.places.store)
            .and_then(|store| store.deployed())
            .is_ok_and(|deployed| deployed.is_some())
    }

    /// Version that a rollback would go to; empty if there is none.
    pub fn last_good(&self) -> String {
        let target = Store::open(&self.places.store).and_then(|store| store.rollback_target());
        target.map(|target| target.version.to_string()).unwrap_or_default()
    }

    /// Carries an order out. The error says why it was refused and what is still deployed.
    pub fn carry_out(
        &self,
        order: &Order,
        around: &dyn Surroundings,
    ) -> Result<Arc<ActiveSkill>, NotDeployed> {
        let mut progress = Progress::default();
        self.carry_out_steps(order, around, &mut progress).map_err(|reason| NotDeployed {
            message: self.refused(&reason),
            unacceptable: progress.unacceptable,
        })
    }

    fn carry_out_steps(
        &self,
        order: &Order,
        around: &dyn Surroundings,
        progress: &mut Progress,
    ) -> Result<Arc<ActiveSkill>, String> {
        let mut next = self.begin(order.request()).map(Next::Do).map_err(|busy| busy.to_string())?;
        loop {
            next = match next {
                Next::Do(step) => {
                    tracing::info!("{}", step.as_str());
                    let outcome = self.step(step, order, progress, around);
                    self.deployment.lock().unwrap_or_else(PoisonError::into_inner).report(outcome)
                }
                Next::Done => return self.active().ok_or_else(|| "nothing was activated".to_owned()),
                Next::Refused(reason) => return Err(reason),
            };
        }
    }

    fn begin(&self, request: Request) -> Result<Step, Busy> {
        self.deployment.lock().unwrap_or_else(PoisonError::into_inner).begin(request)
    }

    fn refused(&self, reason: &str) -> String {
        match self.active() {
            Some(active) => format!("{reason}; {} stays deployed", active.title()),
            None => format!("{reason}; nothing is deployed"),
        }
    }

    fn step(
        &self,
        step: Step,
        order: &Order,
        progress: &mut Progress,
        around: &dyn Surroundings,
    ) -> Result<(), String> {
        let object = || progress.object.as_ref().ok_or("no artifact was verified");
        match step {
            Step::Verify => progress.object = Some(self.verify(order, &mut progress.unacceptable)?),
            Step::Check => {
                let checked = self.check(object()?);
                progress.unacceptable = matches!(checked, Err(Fault::OfArtifact(_)));
                progress.candidate = Some(checked.map_err(|fault| fault.to_string())?);
            }
            Step::RequireRest => {
                let object = object()?;
                let beside = around.await_rest(&|| self.untimed(object).map(|(skill, _)| skill))?;
                progress.candidate.as_mut().ok_or("nothing was checked")?.beside = beside;
            }
            Step::LoadEnvelope => around.load_envelope(Some(object()?.id()))?,
            Step::Flip => self.flip(order, object()?)?,
            Step::Activate => self.activate(order, progress)?,
            Step::RestoreEnvelope => around.load_envelope(self.active().map(|active| active.artifact))?,
        }
        Ok(())
    }

    fn verify(&self, order: &Order, unacceptable: &mut bool) -> Result<Object, String> {
        let (store, trust) = (self.store()?, self.trust()?);
        let object = match order {
            Order::Deploy { archive, signature, intent, .. } => {
                let beside = swarm_store::signature_path(archive);
                let signature: &Path = if signature.as_os_str().is_empty() { &beside } else { signature };
                let object = store.ingest(archive, signature, &trust, swarm_store::unix_now());
                object.and_then(|object| {
                    store.check_deploy(&object, *intent, swarm_store::unix_now())?;
                    Ok(object)
                })
            }
            Order::Reload => match store.current(&trust) {
                Ok(Some(object)) => Ok(object),
                Ok(None) => return Err("no skill has been deployed yet; use /skill_runtime/deploy".into()),
                Err(error) => Err(error),
            },
            Order::Rollback(None) => store.rollback_object(&trust),
            Order::Rollback(Some(version)) => {
                store.rollback_target_of(version).and_then(|target| store.object(target.artifact, &trust))
            }
        }
        .map_err(|error| {
            *unacceptable = error.refusal_code().is_some();
            ErrorChain(&error).to_string()
        })?;
        if let Order::Deploy { skill_id, .. } = order
            && !skill_id.is_empty()
            && object.manifest().skill.skill_id.as_str() != skill_id
        {
            let found = &object.manifest().skill.skill_id;
            *unacceptable = true;
            return Err(format!("the artifact holds the skill '{found}', not '{skill_id}'"));
        }
        Ok(object)
    }

    fn check(&self, object: &Object) -> Result<ActiveSkill, Fault> {
        let source = &object.manifest().skill;
        let material = Files { object, places: &self.places, clock: PolicyClock::Wall(&self.metrics) };
        let robots = self.robots.by_role(&self.limits(object)?);
        let skill = Skill::assemble(source, &robots, &*self.peripherals, &material)?;
        for finding in warnings(&skill).take(MOST_WARNINGS) {
            tracing::warn!("{} {}: {finding}", source.skill_id, source.version);
        }
        Ok(ActiveSkill {
            skill_id: source.skill_id.to_string(),
            version: source.version.clone(),
            artifact: object.id(),
            skill,
            beside: None,
        })
    }

    /// The cell's limits tightened by the envelope of an artifact.
    fn limits(&self, object: &Object) -> Result<Config, Fault> {
        let source = &object.manifest().skill;
        let path = &source.envelope;
        let envelope = read_entry(object, path)?;
        self.robots.under(&String::from_utf8_lossy(&envelope), swarm_store::unix_now()).map_err(|error| {
            let reason = format!("{path}: {error}");
            // An envelope names roles, and one that no robot plays is a mistake in it.
            match source.roles.keys().find(|role| !self.robots.has(**role)) {
                Some(&role) => Fault::OfCell(format!("{}; {reason}", SkillProblem::NoRobot { role })),
                None => Fault::OfArtifact(reason),
            }
        })
    }

    /// The skill in force once more, for a preview, with the limits that it runs under.
    pub fn rehearsal(&self, active: &ActiveSkill) -> Result<(Skill, Config), String> {
        let object = self.store()?.object(active.artifact, &self.trust()?);
        self.untimed(&object.map_err(|error| ErrorChain(&error).to_string())?)
    }

    /// A skill beside the one that runs, with its limits: its policies answer in no time, are not those that a run asks, and are not
    /// counted.
    fn untimed(&self, object: &Object) -> Result<(Skill, Config), String> {
        let limits = self.limits(object).map_err(|fault| fault.to_string())?;
        let material = Files { object, places: &self.places, clock: PolicyClock::Virtual };
        let robots = self.robots.by_role(&limits);
        let skill = Skill::assemble(&object.manifest().skill, &robots, &*self.peripherals, &material);
        Ok((skill.map_err(|problems| problems.to_string())?, limits))
    }

    fn flip(&self, order: &Order, object: &Object) -> Result<(), String> {
        let deployed = self.store()?.deploy(object, order.intent(), swarm_store::unix_now());
        deployed.map(drop).map_err(|error| ErrorChain(&error).to_string())
    }

    /// The pointer has been flipped; whatever fails from here on must not make the new skill unusable.
    fn activate(&self, order: &Order, progress: &mut Progress) -> Result<(), String> {
        let candidate = progress.candidate.take().ok_or("nothing was checked")?;
        let artifact = candidate.artifact;
        *self.active.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(candidate));
        if let Err(reason) = self.tell_good(artifact) {
            tracing::warn!("the deployed skill could not be marked as good: {reason}; it is tried again");
        }
        if order.request() != Request::Reload
            && let Err(reason) = self.prune()
        {
            tracing::warn!("artifacts that nobody needs stay in the store: {reason}");
        }
        Ok(())
    }

    /// Tells the store that an artifact is good, if that is what it has deployed. A crash after the flip, or a disk that failed, may have
    /// left that unsaid, and a rollback goes past what was never good.
    fn tell_good(&self, artifact: ArtifactId) -> Result<(), String> {
        let tell = || -> Result<(), StoreError> {
            let store = Store::open(&self.places.store)?;
            match store.deployed()? {
                Some(deployed) if deployed.current == artifact => {
                    store.mark_good(deployed.generation).map(drop)
                }
                _ => Ok(()),
            }
        };
        let told = tell();
        self.untold.store(told.is_err(), Ordering::Relaxed);
        told.map_err(|error| ErrorChain(&error).to_string())
    }

    /// Tells the store again what it could not be told. Whether it knows now and did not before.
    pub fn tell_good_again(&self) -> bool {
        let untold = self.active().filter(|_| self.untold.load(Ordering::Relaxed));
        untold.is_some_and(|active| self.tell_good(active.artifact).is_ok())
    }

    fn prune(&self) -> Result<(), String> {
        let pruned = self.store()?.prune(swarm_store::KEPT);
        pruned.map(drop).map_err(|error| ErrorChain(&error).to_string())
    }

    fn store(&self) -> Result<Store, String> {
        Store::open(&self.places.store).map_err(|error| ErrorChain(&error).to_string())
    }

    fn trust(&self) -> Result<Trust, String> {
        swarm_store::read_trust(&self.places.trust_file).map_err(|error| ErrorChain(&error).to_string())
    }
}

/// Warnings about a skill that are logged and shown at most; `cell bt check` shows all of them.
pub const MOST_WARNINGS: usize = 10;

/// What the static checker warns of, in the trees of a skill that it lets pass.
pub fn warnings(skill: &Skill) -> impl Iterator<Item = &Finding> {
    skill.report.findings.iter().filter(|finding| finding.severity == Severity::Warning)
}
