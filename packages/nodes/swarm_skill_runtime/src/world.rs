//! The latest that was heard of the cell: measurements per robot, parts, safety monitor. Plain values with the time they arrived; those
//! of parts with the time of their image.

use std::collections::HashMap;

use nalgebra::Isometry3;
use swarm_base::{Duration, Time};
use swarm_kinematics::JointVector;
use swarm_safety_core::ingest::Stamp;
use swarm_skill_core::{
    ArmAtRest, GripperSample, JointSample, RoleInputs, SafetyView, TopicSample, WrenchSample,
};

use crate::robots::Robots;
use crate::sightings::Sightings;

/// The latest of everything.
#[derive(Debug)]
pub struct World {
    robots: Vec<Measured>,
    /// Joint name to robot and place in its chain.
    joints: HashMap<String, (usize, usize)>,
    sightings: Sightings,
    topics: Vec<TopicSample>,
    safety: Option<(Time, Safety)>,
}

#[derive(Debug)]
struct Measured {
    name: String,
    q: JointVector,
    qd: JointVector,
    /// When each joint was heard last; a robot is as old as its oldest joint.
    heard: Vec<Option<Time>>,
    wrench: Option<WrenchSample>,
    gripper: Option<GripperSample>,
}

/// What the safety monitor said, as far as a runtime needs it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Safety {
    pub epoch: u64,
    pub permits_motion: bool,
    /// State, cause and detail as words.
    pub state: String,
    /// Artifact whose envelope is loaded; empty if none.
    pub artifact: String,
    /// All of it, for whoever watches.
    pub view: swarm_view::SafetyView,
}

/// Whoever needs the arms waits so long for what has never been heard of one: after a start the middleware may take seconds to bring
/// publishers and subscriptions together.
pub const FIRST_HEARING: Duration = Duration::from_millis(5_000);

/// A safety monitor that has been silent for longer than this permits nothing. It speaks at 50 Hz.
const SAFETY_TIMEOUT: Duration = Duration::from_millis(500);

impl World {
    pub fn new(robots: &Robots) -> Self {
        let measured = |robot: &crate::robots::Robot| Measured {
            name: robot.name.clone(),
            q: JointVector::zeros(),
            qd: JointVector::zeros(),
            heard: vec![None; robot.arm.dof()],
            wrench: None,
            gripper: None,
        };
        let joints = robots.robots.iter().enumerate().flat_map(|(robot, known)| {
            known
                .arm
                .joints()
                .iter()
                .enumerate()
                .map(move |(joint, info)| (info.name.clone(), (robot, joint)))
        });
        Self {
            robots: robots.robots.iter().map(measured).collect(),
            joints: joints.collect(),
            sightings: Sightings::default(),
            topics: Vec::new(),
            safety: None,
        }
    }

    /// Joint positions (rad) and velocities (rad/s) by name, of one robot or several. Unknown joints (fingers) are passed over, and so is
    /// a message without as many velocities as names: without a velocity nobody can say that an arm stands.
    pub fn hear_joints(&mut self, names: &[String], position: &[f64], velocity: &[f64], now: Time) {
        if position.len() != names.len() || velocity.len() != names.len() {
            return;
        }
        for ((name, q), qd) in names.iter().zip(position).zip(velocity) {
            if let Some(&(robot, joint)) = self.joints.get(name) {
                let measured = &mut self.robots[robot];
                measured.q[joint] = *q;
                measured.qd[joint] = *qd;
                measured.heard[joint] = Some(now);
            }
        }
    }

    pub fn hear_wrench(&mut self, robot: usize, flange: [f64; 6], now: Time) {
        self.robots[robot].wrench = Some(WrenchSample { flange, at: now });
    }

    pub fn hear_gripper(&mut self, robot: usize, gripper: GripperSample) {
        self.robots[robot].gripper = Some(gripper);
    }

    /// A part has been seen, in an image with this stamp.
    pub fn hear_part(&mut self, part: &str, in_world: Isometry3<f64>, stamp: &Stamp) {
        self.sightings.hear(part, in_world, stamp);
    }

    /// A message of a topic among the cell's peripherals.
    pub fn hear_topic(&mut self, peripheral: &str, content: serde_json::Value, now: Time) {
        let sample = TopicSample { peripheral: peripheral.into(), content: content.into(), at: now };
        match self.topics.iter_mut().find(|known| *known.peripheral == *peripheral) {
            Some(known) => *known = sample,
            None => self.topics.push(sample),
        }
    }

    pub fn hear_safety(&mut self, safety: Safety, now: Time) {
        self.safety = Some((now, safety));
    }

    /// What a role that this robot plays is told; the error names what has never been heard.
    pub fn inputs(&self, robot: usize) -> Result<RoleInputs, String> {
        let measured = &self.robots[robot];
        let name = &measured.name;
        let at = measured.heard_at().ok_or_else(|| format!("no joint state of {name} has been heard"))?;
        let wrench = measured.wrench.ok_or_else(|| format!("no wrench of {name} has been heard"))?;
        Ok(RoleInputs {
            joints: JointSample { q: measured.q, qd: measured.qd, at },
            wrench,
            gripper: measured.gripper,
            parts: self.sightings.latest().to_vec(),
            words: Vec::new(),
            topics: self.topics.clone(),
        })
    }

    /// Every arm, for the rule that a deployment needs rest.
    pub fn arms(&self, now: Time) -> Vec<ArmAtRest> {
        let arm = |measured: &Measured| ArmAtRest {
            robot: measured.name.clone(),
            joints: measured.heard_at().map(|at| (now.since(at), fastest(&measured.qd))),
        };
        self.robots.iter().map(arm).collect()
    }

    /// What the safety monitor says now: silence permits nothing.
    pub fn safety(&self, now: Time) -> SafetyView {
        let silent = |state: String| SafetyView { epoch: 0, permits_motion: false, state };
        match &self.safety {
            None => silent("no /safety_monitor status has been heard; is the safety monitor running?".into()),
            Some((at, safety)) if now.since(*at) > SAFETY_TIMEOUT => {
                let age = now.since(*at).as_secs_f64();
                SafetyView {
                    epoch: safety.epoch,
                    ..silent(format!("the last /safety_monitor status is {age:.1} s old"))
                }
            }
            Some((_, safety)) => SafetyView {
                epoch: safety.epoch,
                permits_motion: safety.permits_motion,
                state: safety.state.clone(),
            },
        }
    }

    /// What the safety monitor said last, with its age.
    pub fn safety_view(&self, now: Time) -> swarm_view::SafetyView {
        let Some((at, safety)) = &self.safety else {
            return swarm_view::SafetyView::default();
        };
        swarm_view::SafetyView { age_s: Some(now.since(*at).as_secs_f64()), ..safety.view.clone() }
    }

    /// Where every arm is, rad, in the order of the declaration; `None` for one that has not been heard.
    pub fn postures(&self) -> Vec<Option<JointVector>> {
        self.robots.iter().map(|measured| measured.heard_at().map(|_| measured.q)).collect()
    }

    /// The latest sighting of every part, and what was not kept.
    pub fn sightings(&self) -> &Sightings {
        &self.sightings
    }

    /// Whether the safety monitor has said after `moment` that motion is permitted, and has not taken it back.
    pub fn permits_motion_since(&self, moment: Time, now: Time) -> bool {
        let heard_after = self.safety.as_ref().is_some_and(|(at, _)| *at > moment);
        heard_after && self.safety(now).permits_motion
    }

    /// The artifact whose envelope the safety monitor holds, while it is heard.
    pub fn loaded_artifact(&self, now: Time) -> Option<&str> {
        let (at, safety) = self.safety.as_ref()?;
        (now.since(*at) <= SAFETY_TIMEOUT).then_some(safety.artifact.as_str())
    }
}

impl Measured {
    fn heard_at(&self) -> Option<Time> {
        self.heard.iter().copied().min().flatten()
    }
}

/// Largest speed; a value that is not a number is no rest and stays one.
fn fastest(qd: &JointVector) -> f64 {
    if qd.iter().any(|value| value.is_nan()) { f64::NAN } else { qd.amax() }
}
