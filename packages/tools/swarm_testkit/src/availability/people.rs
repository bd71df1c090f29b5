//! A person beside the demo cell: where people are looked for, how this one walks, and what the cell does about it.
//!
//! The scenario is an assumption, written down here alone:
//! - One sensor above the middle of the space that the arms move in, as a 3D camera or radar that resolves a hand: a range every 30 ms, the scan
//!   period of protective laser scanners. It sees the horizontal distance from there to the body's surface. (The gate takes
//!   each zone's word for every robot, so that a second sensor farther to one side would only shorten distances.)
//! - `K` = 1.6 m/s and `C` = 8 (d - 14 mm) with d = 40 mm: EN ISO 13855:2010, 5 and 6.2.3. `Z_d` and `Z_r` are assumed.
//! - The bench ends at y = -0.6 m (the workspace in the ceiling). A gangway of 1.2 m begins 0.1 m from it. Somebody, 0.5 m
//!   wide, walks along its middle from one end of the hall to the other, 4 m to both sides, at `K`, once in 15 s.
//!
//! What it can show is bounded by that place. With the gangway 0.1 m nearer, one run in five was stopped by the formula: there even
//! arms that stand are too near. Where it is, the formula asks the demo's slow motions for nothing, so that the graded time equals the
//! unrestricted one; a cell whose arms move faster, or whose people come nearer, has to be measured with its own figures.

use anyhow::{Result, bail};
use nalgebra::Point3;
use swarm_base::{Duration, Time};
use swarm_safety_core::{Config, Inputs, PresenceSample, SafetyState, Verdict};

use crate::lockstep::Bystander;

/// How fast people walk, m/s.
pub const WALK_M_S: f64 = 1.6;
const INTRUSION_M: f64 = 8.0 * (0.040 - 0.014);
const SENSOR_M: f64 = 0.05;
const ROBOT_M: f64 = 0.01;
/// Longest age of what a sensor says, s. Where one message in a hundred is lost, six scans in a row are lost once in years.
const TIMEOUT_S: f64 = 0.2;
/// Time between two scans.
pub const SCAN: Duration = Duration::from_millis(30);

/// Middle of the gangway, m.
pub const GANGWAY_Y_M: f64 = -0.6 - 0.1 - 1.2 / 2.0;
/// Half of a person's width, m.
const BODY_M: f64 = 0.25;
/// How far to both sides one walks, m.
const FAR_M: f64 = 4.0;
/// One pass each, s.
pub const INTERVAL_S: f64 = 15.0;
/// How long nobody must be there before a cell that stopped for somebody goes on, s: an assumption, too.
pub const RELEASE_AFTER_S: f64 = 1.0;

/// The text of `ceiling` with a zone in which people are looked for, where it says that they are not.
pub fn watched(ceiling: &str) -> Result<String> {
    const UNWATCHED: &str = "  humans: unmonitored";
    let Some(line) = ceiling.lines().find(|line| line.starts_with(UNWATCHED)) else {
        bail!("the safety ceiling has no line '{UNWATCHED}', which the scenario replaces");
    };
    let humans = format!(
        "  humans: {{provenance: \"the scenario of the evidence\", zones: [{{name: middle, point_m: [0, 0.3, 0.35]}}], timeout_s: {TIMEOUT_S:?}, \
         speed_m_s: {WALK_M_S:?}, intrusion_m: {INTRUSION_M:?}, sensor_uncertainty_m: {SENSOR_M:?}, \
         robot_uncertainty_m: {ROBOT_M:?}}}"
    );
    Ok(ceiling.replace(line, &humans))
}

/// What a cell does about people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The gate's: slow down as far as the formula asks.
    Graded,
    /// Every arm stands while somebody is within the distance that full speed asks for, and goes on some time after. The wish is
    /// held back before the gate, and the skill goes on from where it was: kinder than a stop, which would end the run.
    StopOnly,
}

/// Somebody who walks past.
#[derive(Debug)]
pub struct Passer<'a> {
    policy: Policy,
    config: &'a Config,
    /// When the first pass begins, s.
    offset_s: f64,
    scanned: Option<Time>,
    near: f64,
    held_until: Time,
    cycles: u64,
    /// Cycles with somebody in the hall, cycles slowed or stood still, least distance to a robot, m.
    present: u64,
    slowed: u64,
    nearest_m: f64,
}

/// What became of a run beside somebody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passed {
    pub cycles: u64,
    pub present: u64,
    pub slowed: u64,
    pub nearest_m: f64,
}

impl Passed {
    pub fn add(&mut self, other: &Self) {
        self.cycles += other.cycles;
        self.present += other.present;
        self.slowed += other.slowed;
        self.nearest_m = self.nearest_m.min(other.nearest_m);
    }
}

impl<'a> Passer<'a> {
    /// `seed` says when the first pass begins.
    pub fn new(policy: Policy, config: &'a Config, seed: u64) -> Self {
        const GOLDEN: f64 = 0.618_033_988_75;
        Self {
            policy,
            config,
            offset_s: INTERVAL_S * (GOLDEN * seed as f64).fract(),
            scanned: None,
            near: f64::INFINITY,
            held_until: Time::ZERO,
            cycles: 0,
            present: 0,
            slowed: 0,
            nearest_m: f64::INFINITY,
        }
    }

    pub fn passed(&self) -> Passed {
        let Self { cycles, present, slowed, nearest_m, .. } = *self;
        Passed { cycles, present, slowed, nearest_m }
    }

    /// Where one is, along the gangway; `None` while nobody is in the hall.
    fn place(&self, since_start: Duration) -> Option<f64> {
        let at = (since_start.as_secs_f64() + INTERVAL_S - self.offset_s) % INTERVAL_S * WALK_M_S;
        (at < 2.0 * FAR_M).then_some(at - FAR_M)
    }

    /// Every arm stands under [`Policy::StopOnly`].
    fn holds(&mut self, now: Time) -> bool {
        if self.near < protective_distance(self.config) {
            self.held_until = now + Duration::from_secs_f64(RELEASE_AFTER_S);
        }
        now < self.held_until
    }
}

impl Bystander for Passer<'_> {
    fn before(&mut self, since_start: Duration, now: Time, inputs: &mut Inputs) {
        let place = self.place(since_start);
        self.cycles += 1;
        self.present += u64::from(place.is_some());
        if self.scanned.is_none_or(|at| now.since(at) >= SCAN) {
            self.scanned = Some(now);
            let zones = self.config.in_force().humans.zones.as_slice();
            for (sample, zone) in inputs.presence.iter_mut().zip(zones) {
                let range_m = place.map_or(f64::INFINITY, |x| range_to(&zone.point, x));
                *sample = Some(PresenceSample { range_m, stamp_ns: now.0, sent: now });
            }
        }
        if self.policy == Policy::StopOnly && self.holds(now) {
            self.slowed += 1;
            for command in inputs.robots.iter_mut().filter_map(|robot| robot.command.as_mut()) {
                command.velocity.fill(0.0);
            }
        }
    }

    fn after(&mut self, _: &Inputs, verdict: &Verdict) {
        let robots = &verdict.robots[..self.config.arms().len()];
        self.near =
            robots.iter().map(|robot| robot.measures.human_separation_m).fold(f64::INFINITY, f64::min);
        self.nearest_m = self.nearest_m.min(self.near);
        if self.policy == Policy::Graded && verdict.state == SafetyState::Slow {
            self.slowed += 1;
        }
    }
}

/// From a zone's point to the surface of a person at `x` on the gangway, m.
fn range_to(point: &Point3<f64>, x: f64) -> f64 {
    ((x - point.x).hypot(GANGWAY_Y_M - point.y) - BODY_M).max(0.0)
}

/// The distance that ISO/TS 15066 5.5.4 asks for at the highest speeds that the limits allow, m.
fn protective_distance(config: &Config) -> f64 {
    let limits = config.in_force();
    let robots = &limits.robots[..config.arms().len()];
    let speed = robots.iter().map(|robot| robot.tcp_speed_m_s).fold(0.0, f64::max);
    let braking = robots.iter().flat_map(|robot| {
        let joints = robot.joints.velocity.iter().zip(&robot.joints.acceleration);
        joints.filter(|(v, _)| **v > 0.0).map(|(velocity, acceleration)| velocity / acceleration)
    });
    let (braking, reaction) = (braking.fold(0.0, f64::max), config.timing().reaction_s);
    let humans = &limits.humans;
    humans.speed_m_s * (SCAN.as_secs_f64() + reaction + braking)
        + speed * (reaction + braking / 2.0)
        + humans.intrusion_m
        + humans.sensor_uncertainty_m
        + humans.robot_uncertainty_m
}
