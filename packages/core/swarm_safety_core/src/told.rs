//! What robots do against what they were told.
//!
//! A drive takes its time: what it was told in the last moments ([`Tolerances::response_s`]) and standstill span the velocities
//! that a healthy robot can have. The span is kept in two halves of at least that time, so that its size is fixed.
//!
//! [`Tolerances::response_s`]: crate::Tolerances::response_s

use swarm_base::Time;
use swarm_kinematics::JointVector;

use crate::cause::{Cause, CauseKind};
use crate::checks::age_s;
use crate::config::Config;
use crate::inputs::JointSample;
use crate::observed::Observed;
use crate::wire::wire_struct;

/// Lowest and highest velocity of each joint, rad/s; standstill is always in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    pub low: JointVector,
    pub high: JointVector,
}

const STILL: JointVector = JointVector::from_array_storage(nalgebra::ArrayStorage([[0.0; 7]]));

impl Span {
    const STILL: Self = Self { low: STILL, high: STILL };

    fn with(&self, velocity: &JointVector) -> Self {
        Self { low: self.low.inf(velocity), high: self.high.sup(velocity) }
    }
}

/// The velocities that a robot was told lately, and whether it follows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Told {
    pub newest: Span,
    pub before: Span,
    /// Begin of the newer half.
    pub since: Option<Time>,
    /// When it last followed, or had nothing to follow.
    pub followed: Option<Time>,
    /// Positions less the sum of velocities, fading, rad.
    pub residual: JointVector,
}

wire_struct!(Span { low, high });
wire_struct!(Told { newest, before, since, followed, residual });

impl Told {
    pub(crate) const NOTHING: Self =
        Self { newest: Span::STILL, before: Span::STILL, since: None, followed: None, residual: STILL };

    /// Notes what the robot is told from now on.
    pub(crate) fn tell(&mut self, config: &Config, velocity: &JointVector, now: Time) {
        if age_s(now, self.since) > config.tolerances().response_s {
            self.before = self.newest;
            self.newest = Span::STILL;
            self.since = Some(now);
        }
        self.newest = self.newest.with(velocity);
    }

    /// A joint outside the span of what it was told: measured velocity and the end of the span that it exceeds.
    pub(crate) fn otherwise(&self, config: &Config, seen: &Observed) -> Option<(usize, f64, f64)> {
        let (slack, share) = (config.tolerances().unexpected_rad_s, config.tolerances().measured_speed);
        let (low, high) = (self.newest.low.inf(&self.before.low), self.newest.high.sup(&self.before.high));
        seen.joints.qd.iter().enumerate().find_map(|(joint, qd)| {
            let (low, high) = (low[joint] * share - slack, high[joint] * share + slack);
            if *qd > high {
                Some((joint, *qd, high))
            } else if *qd < low {
                Some((joint, *qd, low))
            } else {
                None
            }
        })
    }

    /// A robot that has been told to move for long and has not moved.
    pub(crate) fn not_following(
        &mut self,
        config: &Config,
        robot: usize,
        told: &JointVector,
        seen: &Observed,
        now: Time,
    ) -> Option<Cause> {
        // Less than a tenth of what its fastest joint was told is not moving.
        const MOVING: f64 = 0.1;
        let joint = told.iamax();
        let idle = told[joint].abs() <= config.tolerances().unexpected_rad_s;
        let follows = seen.joints.qd[joint] / told[joint] >= MOVING;
        if idle || follows || self.followed.is_none() {
            self.followed = Some(now);
        }
        let late = age_s(now, self.followed) > config.tolerances().follow_s;
        late.then(|| Cause::joint(CauseKind::NotFollowing, robot, joint, seen.joints.qd[joint], told[joint]))
    }

    /// Takes a further joint state.
    pub(crate) fn compare(&mut self, config: &Config, before: &JointSample, after: &JointSample) {
        // Time constant with which old differences fade, s.
        const FADING_S: f64 = 1.0;
        // Longer than the time-outs of cells with real arms.
        const SILENCE_S: f64 = 0.025;
        // With more patience it is a simulated cell on a busy machine, whose arms lose time: four of its periods have passed on the
        // clock and one for the arm. That must not add up to a contradiction.
        const PATIENT_SILENCE_S: f64 = 0.007;
        let dt = after.stamp_ns.saturating_sub(before.stamp_ns) as f64 * 1e-9;
        let timeout_s = config.in_force().cell.joint_state_timeout_s;
        if dt > if timeout_s > SILENCE_S { PATIENT_SILENCE_S } else { timeout_s } {
            // Across a silence nothing is known of the velocities.
            self.residual = STILL;
            return;
        }
        let difference = after.q - before.q - (before.qd + after.qd) * (dt / 2.0);
        self.residual = self.residual * (-dt / FADING_S).exp() + difference;
    }

    /// The joint whose positions and velocities contradict each other, and by how much (rad). As long as they do, whether or not a joint
    /// state has just come: a reset between two of them must not be granted.
    pub(crate) fn contradiction(&self, config: &Config) -> Option<(usize, f64)> {
        let joint = self.residual.iamax();
        let most = self.residual[joint].abs();
        let agrees = most <= config.tolerances().consistency_rad;
        (!agrees).then_some((joint, most))
    }
}
