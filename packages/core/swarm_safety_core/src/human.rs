//! People near the robots: speed and separation monitoring, ISO/TS 15066 5.5.4.
//!
//! A robot may be so fast that a person who walks towards it is not reached before it has stopped:
//!
//! `S >= v_h (T_r + T_s) + S_r + S_s + C + Z_d + Z_r`
//!
//! with `v_h` the person's speed, `T_r` the reaction time (from a decision to the begin of braking), `T_s` the braking time, `S_r`
//! and `S_s` the robot's ways in both, `C`, `Z_d`, `Z_r` as in [`HumanLimits`]. Both sides have moved since they were seen, each
//! since its own sample: `S` is less what a person has walked since the sensor saw him, and `S_r` has the robot's way since its
//! joint state. For a motion that is scaled by `k`, `T_s` and the ways grow with `k`, so that the formula is a quadratic in `k`.

use swarm_base::Time;
use swarm_kinematics::JointVector;

use crate::MAX_ROBOTS;
use crate::cause::{Cause, CauseKind, Other};
use crate::checks::{Findings, age_s};
use crate::config::{ArmConfig, Config};
use crate::foreseen::braking_time_s;
use crate::inputs::{Input, Inputs};
use crate::limits::{HumanLimits, HumanZone};
use crate::observed::{Observed, Scene};

/// What the zones say of one robot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nearness {
    /// Least distance at which a person may be by now, m; infinite without zones.
    pub separation: f64,
    /// Zone that says so: the most demanding, which need not be the one that saw somebody nearest.
    zone: usize,
    /// Age of what it said, s.
    age: f64,
}

/// How near people may be to every robot. A zone that is silent, or whose message is too old, means distance 0.
pub(crate) fn nearness(config: &Config, inputs: &Inputs, scene: &Scene, now: Time) -> [Nearness; MAX_ROBOTS] {
    let humans = &config.in_force().humans;
    let mut all = [Nearness { separation: f64::INFINITY, zone: 0, age: 0.0 }; MAX_ROBOTS];
    for (i, zone) in humans.zones.as_slice().iter().enumerate() {
        let sample = inputs.presence.get(i).copied().flatten();
        let age = age_s(now, sample.map(|sample| sample.sent));
        let walked = humans.speed_m_s * age;
        let range = sample.filter(|_| age <= humans.timeout_s).map_or(0.0, |sample| sample.range_m - walked);
        for (robot, (arm, seen)) in config.arms().iter().zip(&scene.robots).enumerate().take(MAX_ROBOTS) {
            let Some(seen) = seen else { continue };
            let separation = range - reach(arm, seen, zone);
            // `max` makes a range that is not a number a distance of 0.
            if separation.is_nan() || separation < all[robot].separation {
                all[robot] = Nearness { separation: separation.max(0.0), zone: i, age };
            }
        }
    }
    all
}

/// The farthest that a moving link is from the zone's point, m.
fn reach(arm: &ArmConfig, seen: &Observed, zone: &HumanZone) -> f64 {
    let links = arm.model.link_capsules();
    seen.placed.capsules.farthest(&zone.point, |i| links.get(i).is_some_and(|link| link.body > 0))
}

/// The formula for one robot and one motion, as a quadratic in the scale of the motion: `still + rate k + bend k^2`.
struct Required {
    still: f64,
    rate: f64,
    bend: f64,
}

impl Required {
    fn new(config: &Config, robot: usize, seen: &Observed, velocity: &JointVector) -> Self {
        let (arm, limits) = (&config.arms()[robot], &config.in_force().robots[robot].joints);
        let humans = &config.in_force().humans;
        let reaction = config.timing().reaction_s;
        let braking = braking_time_s(limits, velocity, arm.model.dof());
        let way = seen.placed.levers.travel(&velocity.abs()).longest();
        Self {
            still: humans.speed_m_s * reaction + fixed(humans),
            rate: humans.speed_m_s * braking + way * (seen.age_s + reaction),
            bend: way * braking / 2.0,
        }
    }

    fn at(&self, scale: f64) -> f64 {
        self.still + self.rate * scale + self.bend * scale * scale
    }

    /// Largest scale, up to 1, that `separation` allows; 0 if not even standstill is enough.
    fn scale(&self, separation: f64) -> f64 {
        let room = separation - self.still;
        if self.at(1.0) <= separation {
            return 1.0;
        }
        if room <= 0.0 {
            return 0.0;
        }
        // The root in the form that does not cancel.
        (2.0 * room / (self.rate + (self.rate * self.rate + 4.0 * self.bend * room).sqrt())).min(1.0)
    }
}

fn fixed(humans: &HumanLimits) -> f64 {
    humans.intrusion_m + humans.sensor_uncertainty_m + humans.robot_uncertainty_m
}

/// Share of the wish that people leave to a robot, 0..1. One reaction time of their way is kept in hand, so that a person who
/// comes nearer slows the robot down instead of stopping it.
pub(crate) fn scale(
    config: &Config,
    robot: usize,
    seen: &Observed,
    wish: &JointVector,
    near: &Nearness,
) -> f64 {
    if near.separation == f64::INFINITY {
        return 1.0;
    }
    let in_hand = config.in_force().humans.speed_m_s * config.timing().reaction_s;
    Required::new(config, robot, seen, wish).scale(near.separation - in_hand)
}

/// Is every robot that moves, or is about to be told to, slow enough for how near people are? Of both velocities the larger counts,
/// joint by joint: a robot that lags behind a slow-down is as fast as it is, and one that will speed up as fast as it is told.
pub(crate) fn check(
    config: &Config,
    scene: &Scene,
    outputs: &[JointVector; MAX_ROBOTS],
    active: [bool; MAX_ROBOTS],
    near: &[Nearness; MAX_ROBOTS],
    findings: &mut Findings,
) {
    // SR-11
    let humans = &config.in_force().humans;
    if !humans.is_monitored() {
        return;
    }
    for (i, seen) in scene.robots.iter().enumerate() {
        let Some(seen) = seen else { continue };
        let moves = outputs[i].amax() > 0.0 || !seen.is_at_rest(config.tolerances().rest_rad_s);
        if !moves && !active[i] {
            continue;
        }
        let about = Other::Zone(near[i].zone);
        if near[i].age > humans.timeout_s {
            let kind = CauseKind::Timeout(Input::HumanPresence);
            let cause = Cause::robot(kind, i, near[i].age, humans.timeout_s);
            findings.report(Cause { other: Some(about), ..cause });
        }
        let fastest = seen.joints.qd.zip_map(&outputs[i], |measured, told| measured.abs().max(told.abs()));
        let required = Required::new(config, i, seen, &fastest).at(1.0);
        let apart = near[i].separation >= required;
        if !apart {
            let cause = Cause::robot(CauseKind::HumanSeparation, i, near[i].separation, required);
            findings.report(Cause { other: Some(about), ..cause });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_scale_is_the_largest_that_the_formula_allows(
            still in 0.0..0.5f64, rate in 0.0..2.0f64, bend in 0.0..2.0f64, separation in 0.0..5.0f64,
        ) {
            let required = Required { still, rate, bend };
            let scale = required.scale(separation);
            prop_assert!((0.0..=1.0).contains(&scale));
            prop_assert!(scale == 0.0 || required.at(scale) <= separation + 1e-9);
            prop_assert!(scale == 1.0 || separation <= still || required.at(scale + 1e-3) > separation);
        }
    }
}
