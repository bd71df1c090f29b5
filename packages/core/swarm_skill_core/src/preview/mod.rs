//! What a skill would do: its trees, run for all roles on a kinematic twin, with nothing moving.
//!
//! # What it says, and what not
//!
//! The trees, the motions and the roles' protocol are those of a run; only the cell is another, a [`Twin`]: arms follow perfectly, parts
//! are where they are seen, fingers that close hold. So a preview knows how long a skill takes, which space its arms use, and how near
//! they come to the limits of the envelope in force. It does not know contact, nor what the gate slows down. Peripherals do what they are
//! asked at once and answer what the scene says, or nothing; a topic says what the scene says, in every tick, or is silent. Policies are
//! asked as in a run; with what they are asked through (a lock-step runner, a network that is given its time) is up to whoever assembled
//! the skill.
//!
//! # Flow
//!
//! Every 10 ms of the virtual clock: 1. the run ticks on what the twin measures; 2. the twin moves on; 3. [`margins`] looks at every limit,
//! [`swept`] at the space. In the end the worst margin of each limit and robot is there, each with the place where it is worst: time,
//! role, phase, node. A margin below zero is a breach.

mod margins;
mod swept;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

pub use margins::{Limit, Margin};
pub use swept::Swept;

use serde_json::Value;
use swarm_base::{Duration, Role, Time};
use swarm_kinematics::JointVector;
use swarm_safety_core::Config;

use crate::cooperation::Timing;
use crate::errand::{End, News, Order, TopicSample, Word};
use crate::link::LocalLink;
use crate::preview::margins::Margins;
use crate::preview::swept::Space;
use crate::role_spec::{RoleSpec, RunIdentity};
use crate::run::{Outcome, Run, RunState, SafetyView};
use crate::skill::Skill;
use crate::twin::{Twin, TwinArm, TwinPart};

/// Where a preview begins, and how fine it is.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The parts that the skill will see.
    pub parts: Vec<TwinPart>,
    /// Where the arms are, in the order of the skill's roles; at home where it is not known.
    pub starts: Vec<Option<JointVector>>,
    /// What a peripheral answers, or says where it is a topic, by its name: a message as JSON, with the fields of its ROS type.
    pub answers: BTreeMap<String, Arc<Value>>,
    /// Edge of the voxels in which the swept space is counted, m.
    pub voxel_m: f64,
    /// A skill that is not over by then is given up.
    pub longest: Duration,
}

/// What a skill would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    pub outcome: Outcome,
    pub duration: Duration,
    /// When all roles had entered each phase.
    pub phases: Vec<(String, Duration)>,
    pub arms: Vec<Footprint>,
    /// What the trees lease, by role, sorted.
    pub leases: Vec<(Role, String)>,
    /// The worst margin of every limit and robot.
    pub margins: Vec<Margin>,
}

/// The space that an arm uses.
#[derive(Clone, Debug, PartialEq)]
pub struct Footprint {
    pub role: Role,
    pub robot: String,
    pub swept: Swept,
}

/// Where something happens in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Since the start.
    pub at: Duration,
    pub role: Role,
    /// Empty before the first.
    pub phase: String,
    /// Path of the leaf in the role's tree; empty where none is under way.
    pub node: String,
}

/// Why a skill is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PreviewRefusal {
    #[error("the preview {0}")]
    Outcome(String),
    #[error("the preview breaks the envelope: {}", list(.0))]
    Breaches(Vec<Margin>),
    #[error("robot {robot} of role {role} is not one of the cell's")]
    NoRobot { role: Role, robot: String },
}

impl Scene {
    /// Arms at home, voxels of 4 cm, three minutes at most.
    pub fn with_parts(parts: Vec<TwinPart>) -> Self {
        Self {
            parts,
            starts: Vec::new(),
            answers: BTreeMap::new(),
            voxel_m: 0.04,
            longest: Duration::from_millis(180_000),
        }
    }
}

impl Scene {
    /// What a peripheral answers to an order: it has done it.
    fn answer(&self, order: &Order) -> Option<Word> {
        let ended = |errand: u32, end| Some(Word { errand, news: News::Ended(end) });
        match order {
            Order::Begin { errand, peripheral, .. } => {
                let answer = self.answers.get(&**peripheral).cloned();
                ended(*errand, End::Succeeded(answer.unwrap_or_else(|| Arc::new(Value::Null))))
            }
            Order::Cancel { errand } => ended(*errand, End::Canceled),
            Order::Withdraw { .. } | Order::Publish { .. } => None,
        }
    }

    /// What every topic says. A name that is no topic's is never looked for here.
    fn topics(&self, at: Time) -> Vec<TopicSample> {
        let sample = |(name, content): (&String, &Arc<Value>)| TopicSample {
            peripheral: name.as_str().into(),
            content: Arc::clone(content),
            at,
        };
        self.answers.iter().map(sample).collect()
    }
}

const TICK: Duration = Duration::from_millis(10);

/// Runs the skill on a twin, under the envelope in force in `config`.
///
/// # Errors
/// Only if a role's robot is not in `config`; what is wrong with what the skill does is [`Preview::verdict`]'s.
pub fn preview(skill: &Skill, config: &Config, scene: &Scene) -> Result<Preview, PreviewRefusal> {
    preview_watched(skill, config, scene, &mut |_| ControlFlow::Continue(()))
}

/// As [`preview`], shown to `watch` after every tick. It may break it off with a reason: then the outcome is that it was canceled, and
/// everything else is what there was until then.
///
/// # Errors
/// As [`preview`].
pub fn preview_watched(
    skill: &Skill,
    config: &Config,
    scene: &Scene,
    watch: &mut dyn FnMut(&Run) -> ControlFlow<String>,
) -> Result<Preview, PreviewRefusal> {
    let robots: Vec<usize> = skill
        .roles
        .iter()
        .map(|spec| {
            let missing = || PreviewRefusal::NoRobot { role: spec.role, robot: spec.robot.clone() };
            config.robot(&spec.robot).ok_or_else(missing)
        })
        .collect::<Result<_, _>>()?;
    let start = |index: usize| scene.starts.get(index).copied().flatten();
    let arms =
        skill.roles.iter().enumerate().map(|(index, spec)| {
            TwinArm::new(spec.arm.clone(), spec.tool, start(index).unwrap_or(spec.home))
        });
    let mut twin = Twin::new(arms.collect(), scene.parts.clone());
    let mut run = begin(skill);
    let mut margins = Margins::new(config, &robots);
    let mut space: Vec<Space> = skill.roles.iter().map(|_| Space::new(scene.voxel_m)).collect();
    let mut phases: Vec<(String, Duration)> = Vec::new();
    let mut now = Time::ZERO;
    // Nobody stops a preview.
    let safety = SafetyView { epoch: 1, permits_motion: true, state: "RUN".into() };
    let mut words: Vec<(Role, Word)> = Vec::new();
    let outcome = loop {
        now = now + TICK;
        let mut inputs: Vec<_> = (0..robots.len()).map(|index| twin.inputs(index, now)).collect();
        for (spec, inputs) in skill.roles.iter().zip(&mut inputs) {
            let own = words.iter().filter(|(role, _)| *role == spec.role);
            inputs.words = own.map(|(_, word)| word.clone()).collect();
            inputs.topics = scene.topics(now);
        }
        let state = run.tick(&inputs, &safety, now).clone();
        words = run.orders().filter_map(|(role, order)| Some((role, scene.answer(order)?))).collect();
        let wishes: Vec<_> = run.outputs().map(|(_, wish)| *wish).collect();
        for (index, wish) in wishes.iter().enumerate() {
            twin.advance(index, wish, TICK.as_secs_f64());
        }
        margins.look(&twin, &run, now.since(Time::ZERO));
        for (arm, space) in twin.arms().iter().zip(&mut space) {
            space.mark(arm);
        }
        note_phase(&run, now, &mut phases);
        if let ControlFlow::Break(reason) = watch(&run) {
            break Outcome::Canceled(reason);
        }
        match state {
            RunState::Ended(outcome) => break outcome,
            _ if now.since(Time::ZERO) >= scene.longest => {
                break Outcome::Aborted(format!("not over after {:.0} s", scene.longest.as_secs_f64()));
            }
            _ => {}
        }
    };
    let footprint = |(spec, space): (&RoleSpec, Space)| Footprint {
        role: spec.role,
        robot: spec.robot.clone(),
        swept: space.into_swept(),
    };
    Ok(Preview {
        outcome,
        duration: now.since(Time::ZERO),
        phases,
        arms: skill.roles.iter().zip(space).map(footprint).collect(),
        leases: leases(skill),
        margins: margins.into_worst(),
    })
}

impl Preview {
    /// Margins below zero, the worst of its kind first where units allow it.
    pub fn breaches(&self) -> impl Iterator<Item = &Margin> {
        self.margins.iter().filter(|margin| margin.margin() < 0.0)
    }

    /// Whether the skill may run: it succeeds, and breaks no limit. A breach is said first, since it may be why the rest failed.
    pub fn verdict(&self) -> Result<(), PreviewRefusal> {
        let breaches: Vec<Margin> = self.breaches().cloned().collect();
        if !breaches.is_empty() {
            return Err(PreviewRefusal::Breaches(breaches));
        }
        match &self.outcome {
            Outcome::Succeeded => Ok(()),
            Outcome::Aborted(reason) => Err(PreviewRefusal::Outcome(format!("ends with an abort: {reason}"))),
            Outcome::Canceled(reason) => Err(PreviewRefusal::Outcome(format!("was canceled: {reason}"))),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {:.2} s, role {}", self.at.as_secs_f64(), self.role)?;
        for (what, text) in [("phase", &self.phase), ("node", &self.node)] {
            if !text.is_empty() {
                write!(f, ", {what} {text}")?;
            }
        }
        Ok(())
    }
}

fn list(breaches: &[Margin]) -> String {
    breaches.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn begin(skill: &Skill) -> Run {
    let roles = skill.role_names();
    let links = LocalLink::connect(&roles).into_iter().map(|link| Box::new(link) as _).collect();
    let identity = RunIdentity {
        run: "preview".into(),
        epoch: 1,
        instance: 1,
        roles,
        phases: skill.phases.clone(),
        timing: Timing::default(),
    };
    Run::new(skill.roles.clone(), identity, links, 1, Time::ZERO)
}

fn note_phase(run: &Run, now: Time, phases: &mut Vec<(String, Duration)>) {
    let states = run.role_states();
    let Some(first) = states.first() else { return };
    let together = states.iter().all(|state| state.phase == first.phase);
    let known = phases.last().map_or("", |(phase, _)| phase);
    if together && first.phase != known {
        phases.push((first.phase.clone(), now.since(Time::ZERO)));
    }
}

fn leases(skill: &Skill) -> Vec<(Role, String)> {
    let mut leases = Vec::new();
    for spec in &skill.roles {
        for node in spec.tree.nodes().iter().filter(|node| node.id == "AcquireLease") {
            if let Some(resource) = spec.tree.literal(node.uid, "resource") {
                leases.push((spec.role, resource.to_string()));
            }
        }
    }
    leases.sort();
    leases.dedup();
    leases
}
