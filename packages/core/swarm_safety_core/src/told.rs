//! What robots do against what they were told.
//!
//! A drive takes its time: what it was told in the last moments ([`Tolerances::response_s`]) and standstill span the velocities
//! that a healthy robot can have. The span is kept in two halves of at least that time, so that its size is fixed.
//!
//! The span needs a slack, since velocities are noisy and drives overshoot; below it a joint could creep for ever. So a joint that is
//! told to stand is held to its place too, which noise does not add up in: what IEC 61800-5-2 calls a safe operating stop.
//!
//! [`Tolerances::response_s`]: crate::Tolerances::response_s

use swarm_base::Time;
use swarm_kinematics::{JointVector, MAX_JOINTS, portable};

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
    /// When each joint last followed, or the arm as a whole while the joint had nothing to follow.
    pub followed: [Time; MAX_JOINTS],
    /// Where each joint was when it was last told to move, or not held to its place, rad.
    pub stood: JointVector,
    /// Positions less the sum of velocities, fading, rad.
    pub residual: JointVector,
}

wire_struct!(Span { low, high });
wire_struct!(Told { newest, before, since, followed, stood, residual });

impl Told {
    pub(crate) const NOTHING: Self = Self {
        newest: Span::STILL,
        before: Span::STILL,
        since: None,
        followed: [Time::ZERO; MAX_JOINTS],
        stood: STILL,
        residual: STILL,
    };

    /// Notes what the robot is told from now on.
    pub(crate) fn tell(&mut self, config: &Config, velocity: &JointVector, now: Time) {
        if age_s(now, self.since) > config.tolerances().response_s {
            self.before = self.newest;
            self.newest = Span::STILL;
            self.since = Some(now);
        }
        self.newest = self.newest.with(velocity);
    }

    /// What it was told lately.
    fn span(&self) -> Span {
        Span { low: self.newest.low.inf(&self.before.low), high: self.newest.high.sup(&self.before.high) }
    }

    /// Notes where joints stand: where they are, as long as they were told to move lately or are not `held` to their places.
    pub(crate) fn stand(&mut self, q: &JointVector, held: bool) {
        let Span { low, high } = self.span();
        for joint in 0..MAX_JOINTS {
            if !held || low[joint] < 0.0 || high[joint] > 0.0 {
                self.stood[joint] = q[joint];
            }
        }
    }

    /// The joint that is farthest from where it was told to stand, if that is too far: rad, and with its sign.
    pub(crate) fn strayed(&self, config: &Config, seen: &Observed) -> Option<(usize, f64)> {
        let way = seen.joints.q - self.stood;
        let joint = way.iamax();
        (way[joint].abs() > config.tolerances().standstill_rad).then_some((joint, way[joint]))
    }

    /// A joint outside the span of what it was told: measured velocity and the end of the span that it exceeds.
    pub(crate) fn otherwise(&self, config: &Config, seen: &Observed) -> Option<(usize, f64, f64)> {
        let (slack, share) = (config.tolerances().unexpected_rad_s, config.tolerances().measured_speed);
        let Span { low, high } = self.span();
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

    /// A joint that has been told to move for long and has not moved.
    pub(crate) fn not_following(
        &mut self,
        config: &Config,
        robot: usize,
        told: &JointVector,
        seen: &Observed,
        now: Time,
    ) -> Option<Cause> {
        // Less than a tenth of what it was told is not moving.
        const MOVING: f64 = 0.1;
        let (qd, tolerances) = (&seen.joints.qd, config.tolerances());
        let asked = |joint: &usize| told[*joint].abs() > tolerances.unexpected_rad_s;
        let mut newest = None;
        for joint in (0..MAX_JOINTS).filter(asked) {
            if qd[joint] / told[joint] >= MOVING {
                self.followed[joint] = now;
            }
            newest = newest.max(Some(self.followed[joint]));
        }
        // An arm that stands while its joints are told to move in turns does not follow either.
        let arm = newest.unwrap_or(now);
        for joint in (0..MAX_JOINTS).filter(|joint| !asked(joint)) {
            self.followed[joint] = self.followed[joint].max(arm);
        }
        let late = |joint: &usize| age_s(now, Some(self.followed[*joint])) > tolerances.follow_s;
        let joint = (0..MAX_JOINTS).filter(asked).find(late)?;
        Some(Cause::joint(CauseKind::NotFollowing, robot, joint, qd[joint], told[joint]))
    }

    /// Takes a further joint state.
    pub(crate) fn compare(&mut self, config: &Config, before: &JointSample, after: &JointSample) {
        // Time constant with which old differences fade, s.
        const FADING_S: f64 = 1.0;
        // Far beyond every tolerance. One absurd message must not be remembered for minutes, nor what is no number for ever.
        const MOST_RAD: f64 = 1.0;
        let tolerances = config.tolerances();
        let dt = after.stamp_ns.saturating_sub(before.stamp_ns) as f64 * 1e-9;
        if dt > tolerances.response_s {
            // What it was told since the joint state before need not be in the span any more.
            self.stood = after.q;
        }
        if dt > tolerances.max_joint_state_gap_s.min(config.in_force().cell.joint_state_timeout_s) {
            // Across a silence nothing is known of the velocities.
            self.residual = STILL;
            return;
        }
        let difference = after.q - before.q - (before.qd + after.qd) * (dt / 2.0);
        let residual = self.residual * portable::exp(-dt / FADING_S) + difference;
        self.residual =
            residual.map(|rad| if rad.is_nan() { MOST_RAD } else { rad.clamp(-MOST_RAD, MOST_RAD) });
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
