//! What the decision knows of the cell beforehand: arms, limits in force, timing, tolerances.

use std::fmt;

use swarm_kinematics::{ArmModel, Load};

use crate::MAX_ROBOTS;
use crate::file::{EnvelopeError, EnvelopeFile, RobotShape};
use crate::limits::{Envelope, RobotLimits};

/// One robot of the cell.
#[derive(Clone, Debug)]
pub struct ArmConfig {
    /// As the cell's declaration names it.
    pub name: String,
    pub model: ArmModel,
    /// Index of the joint whose axis goes through the elbow, 0 = next to the base.
    pub elbow_joint: usize,
    /// Gripper and what it holds at all times: its weight is no contact.
    pub payload: Load,
}

/// Permits older than this stop a driver, s: what AoU-02 of the safety manual asks of every driver. One that waits longer (a simulated
/// arm on a busy machine) makes no distance longer.
pub const PERMIT_TIMEOUT_S: f64 = 0.020;

/// How fast the cell decides and reacts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// Time between steps, s. A late step ramps at most twice this far.
    pub period_s: f64,
    /// Time between two permits while nothing changes, s.
    pub permit_period_s: f64,
    /// From a decision to the begin of braking, s, even if nothing that is said after the decision reaches the driver. The age of the
    /// joint states that the decision was made on is measured, and comes on top.
    pub reaction_s: f64,
    /// Longest time between two steps while robots move, s; beyond it the cell stops. Infinite where the machine gives no
    /// real-time scheduling.
    pub max_cycle_gap_s: f64,
}

/// How far measurements may differ from an ideal robot's before they count as a fault.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerances {
    /// Measured joint velocity, speeds of tool and elbow, and momentum, as a multiple of the limit. Commands are held to the limit itself.
    pub measured_speed: f64,
    /// Measured acceleration, as a multiple of the limit: contact and sensor noise accelerate more than commands do.
    pub measured_acceleration: f64,
    /// Time constant of the filter on measured acceleration, s.
    pub acceleration_filter_s: f64,
    /// A command above this multiple of a limit is absurd and stops the cell; below it is scaled down.
    pub absurd_command: f64,
    /// Below it a joint counts as at rest, rad/s.
    pub rest_rad_s: f64,
    /// A joint that is this much faster than, or moves the other way than, it was told within `response_s` moves by itself,
    /// rad/s.
    pub unexpected_rad_s: f64,
    /// Time within which a robot's measured velocity has followed what it was told, s.
    pub response_s: f64,
    /// A robot that was told to move for this long and has not moved does not follow, s.
    pub follow_s: f64,
    /// A joint that is told to stand may be this far from its place, rad.
    pub standstill_rad: f64,
    /// Positions may differ from the sum of the velocities by this much; older differences fade in a second, rad.
    pub consistency_rad: f64,
    /// Longest time between two joint states across which positions are held against velocities, s; never more than the time-out of
    /// joint states. A simulator on a busy machine needs less than that: its clock goes on while its arms do not.
    pub max_joint_state_gap_s: f64,
    /// Permit scale at the end of a graded slow-down, where the stop begins: enough to back out.
    pub slowest_scale: f64,
}

/// Everything that does not change from cycle to cycle.
#[derive(Clone, Debug)]
pub struct Config {
    arms: Vec<ArmConfig>,
    ceiling: Envelope,
    in_force: Envelope,
    generation: u64,
    timing: Timing,
    tolerances: Tolerances,
}

/// Every mistake of a configuration.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    #[error("the cell's safety ceiling: {0}")]
    Ceiling(#[from] EnvelopeError),
    #[error("the safety configuration is not usable: {}", Listed(.0))]
    Invalid(Vec<String>),
}

struct Listed<'a>(&'a [String]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl Timing {
    /// A step every `period_s`, a permit every 4 ms, the reaction time that follows, and no bound on late steps, as without real-time
    /// scheduling.
    pub fn every(period_s: f64) -> Self {
        let permit_period_s = 0.004;
        Self {
            period_s,
            permit_period_s,
            reaction_s: Self::least_reaction_s(period_s, permit_period_s),
            max_cycle_gap_s: f64::INFINITY,
        }
    }

    /// Least reaction time, s. The worst case is a monitor that dies after a decision that grants motion: until the next step would
    /// have come and its permit been sent, nobody can know, and then the driver waits out its permit.
    pub fn least_reaction_s(period_s: f64, permit_period_s: f64) -> f64 {
        period_s + permit_period_s + PERMIT_TIMEOUT_S
    }
}

impl Default for Timing {
    /// As the shipped cell declares it: 1 ms between steps, so that the reaction time is 25 ms.
    fn default() -> Self {
        Self::every(0.001)
    }
}

impl Default for Tolerances {
    fn default() -> Self {
        Self {
            measured_speed: 1.1,
            measured_acceleration: 4.0,
            acceleration_filter_s: 0.02,
            absurd_command: 2.0,
            rest_rad_s: 0.02,
            unexpected_rad_s: 0.1,
            response_s: 0.1,
            follow_s: 0.5,
            // What a joint just within `unexpected_rad_s` does in `follow_s`. The contact level of the shipped cell, 25 N at a lever of
            // 0.5 m, bends a compliant joint (600 N m/rad) by 0.02 rad; encoders are a thousand times finer.
            standstill_rad: 0.05,
            consistency_rad: 0.03,
            max_joint_state_gap_s: f64::INFINITY,
            slowest_scale: 0.1,
        }
    }
}

impl Config {
    /// The cell under its own ceiling, no skill's envelope loaded (generation 0).
    pub fn new(
        arms: Vec<ArmConfig>,
        ceiling: &EnvelopeFile,
        timing: Timing,
        tolerances: Tolerances,
    ) -> Result<Self, ConfigError> {
        let shapes: Vec<RobotShape> =
            arms.iter().map(|arm| RobotShape { name: &arm.name, role: None, dof: arm.model.dof() }).collect();
        let ceiling = ceiling.ceiling(&shapes)?;
        let mut problems = Vec::new();
        for (i, arm) in arms.iter().enumerate() {
            if arms[..i].iter().any(|other| other.name == arm.name) {
                problems.push(format!("robot '{}' is declared twice", arm.name));
            }
            let payload = &arm.payload;
            let known = payload.mass_kg.is_finite() && payload.com_m.iter().all(|v| v.is_finite());
            if !known || payload.mass_kg < 0.0 {
                problems.push(format!(
                    "robot '{}': payload {payload:?}, expected finite, mass 0 or more",
                    arm.name
                ));
            }
            if arm.elbow_joint >= arm.model.dof() {
                let (joint, joints) = (arm.elbow_joint, arm.model.dof());
                problems
                    .push(format!("robot '{}': elbow joint {joint}, the arm has {joints} joints", arm.name));
            }
            within_makers_limits(arm, &ceiling.robots[i], &mut problems);
        }
        check_figures(&timing, &tolerances, &mut problems);
        if !problems.is_empty() {
            return Err(ConfigError::Invalid(problems));
        }
        Ok(Self { arms, ceiling, in_force: ceiling, generation: 0, timing, tolerances })
    }

    /// The same cell under a skill's envelope, or under its ceiling alone. `roles` names the role that each robot plays,
    /// in the robots' order. `generation` must be new: the next step sees by it that the limits were exchanged.
    pub fn with_envelope(
        &self,
        envelope: Option<&EnvelopeFile>,
        roles: &[Option<&str>],
        generation: u64,
    ) -> Result<Self, EnvelopeError> {
        let shapes: Vec<RobotShape> = self
            .arms
            .iter()
            .enumerate()
            .map(|(i, arm)| RobotShape {
                name: &arm.name,
                role: roles.get(i).copied().flatten(),
                dof: arm.model.dof(),
            })
            .collect();
        let in_force = match envelope {
            Some(file) => file.under(&self.ceiling, &shapes)?,
            None => self.ceiling,
        };
        Ok(Self { in_force, generation, ..self.clone() })
    }

    /// The robots, in the order of the cell's declaration; 1 to [`MAX_ROBOTS`].
    pub fn arms(&self) -> &[ArmConfig] {
        &self.arms
    }

    /// Index of a robot.
    pub fn robot(&self, name: &str) -> Option<usize> {
        self.arms.iter().position(|arm| arm.name == name)
    }

    /// The cell's own limits.
    pub fn ceiling(&self) -> &Envelope {
        &self.ceiling
    }

    /// The limits that hold now.
    pub fn in_force(&self) -> &Envelope {
        &self.in_force
    }

    /// Number of the limits that hold now.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub fn timing(&self) -> &Timing {
        &self.timing
    }

    pub fn tolerances(&self) -> &Tolerances {
        &self.tolerances
    }
}

/// The ceiling asks no joint for more than its maker allows.
fn within_makers_limits(arm: &ArmConfig, limits: &RobotLimits, problems: &mut Vec<String>) {
    // A declaration rounds what the URDF writes out in full.
    const ROUNDING: f64 = 1e-4;
    for (i, joint) in arm.model.joints().iter().enumerate().take(MAX_ROBOTS.max(limits.joints.lower.len())) {
        let l = &limits.joints;
        let mut beyond = |name: &str, value: f64, maker: f64, is_beyond: bool| {
            if is_beyond {
                problems.push(format!(
                    "robot '{}' joint '{}': {name} {value} is beyond the maker's {maker}",
                    arm.name, joint.name
                ));
            }
        };
        beyond("lower_rad", l.lower[i], joint.lower, l.lower[i] < joint.lower - ROUNDING);
        beyond("upper_rad", l.upper[i], joint.upper, l.upper[i] > joint.upper + ROUNDING);
        let effort = l.effort[i].is_finite() && l.effort[i] > joint.effort + ROUNDING;
        beyond("effort_nm", l.effort[i], joint.effort, effort);
        beyond("velocity_rad_s", l.velocity[i], joint.velocity, l.velocity[i] > joint.velocity + ROUNDING);
    }
}

/// Two and a half periods of joint states at the 500 Hz that drivers publish them with: a shorter bound would leave no pair of them to hold
/// positions against velocities, s.
const LEAST_JOINT_STATE_GAP_S: f64 = 0.005;

fn check_figures(timing: &Timing, tolerances: &Tolerances, problems: &mut Vec<String>) {
    let t = tolerances;
    let at_least = [
        ("timing.period_s", timing.period_s, f64::MIN_POSITIVE),
        ("timing.permit_period_s", timing.permit_period_s, f64::MIN_POSITIVE),
        ("timing.max_cycle_gap_s", timing.max_cycle_gap_s, timing.period_s),
        ("tolerances.measured_speed", t.measured_speed, 1.0),
        ("tolerances.measured_acceleration", t.measured_acceleration, 1.0),
        ("tolerances.acceleration_filter_s", t.acceleration_filter_s, 0.0),
        ("tolerances.absurd_command", t.absurd_command, 1.0),
        ("tolerances.rest_rad_s", t.rest_rad_s, f64::MIN_POSITIVE),
        ("tolerances.unexpected_rad_s", t.unexpected_rad_s, t.rest_rad_s),
        ("tolerances.response_s", t.response_s, timing.period_s),
        ("tolerances.follow_s", t.follow_s, t.response_s),
        ("tolerances.standstill_rad", t.standstill_rad, f64::MIN_POSITIVE),
        ("tolerances.consistency_rad", t.consistency_rad, f64::MIN_POSITIVE),
        ("tolerances.max_joint_state_gap_s", t.max_joint_state_gap_s, LEAST_JOINT_STATE_GAP_S),
        ("tolerances.slowest_scale", t.slowest_scale, 0.0),
    ];
    for (name, value, least) in at_least {
        let enough = value >= least;
        if !enough {
            problems.push(format!("{name} is {value}, expected at least {least}"));
        }
    }
    if t.slowest_scale > 1.0 {
        problems.push(format!("tolerances.slowest_scale is {}, expected at most 1", t.slowest_scale));
    }
    if !(timing.period_s.is_finite() && timing.reaction_s.is_finite()) {
        problems.push("timing.period_s and timing.reaction_s must be finite".to_owned());
    }
    let least = Timing::least_reaction_s(timing.period_s, timing.permit_period_s);
    // Microseconds, in which nodes have their times, are not exact in binary.
    let enough = timing.reaction_s >= least - 1e-9;
    if !enough {
        problems.push(format!(
            "timing.reaction_s is {}, expected at least {least:.6}: period {} + permit period {} + the {PERMIT_TIMEOUT_S} after which \
             drivers stop without a permit; distances must be kept for all of it",
            timing.reaction_s, timing.period_s, timing.permit_period_s
        ));
    }
}
