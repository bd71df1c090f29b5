//! When a fault can be seen, by the documented tolerances; written apart from the core.

use std::collections::VecDeque;

use swarm_safety_core::{Config, Input, Verdict};

use super::rig::{PERIOD, Said};

/// When a fault could be seen at the earliest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Observable {
    /// In the cycle in which it begins.
    AtOnce,
    /// That many cycles later.
    After(u32),
    /// When the last healthy message of this input is older than its time-out.
    Overdue(Input),
    /// When the newest message of this input, by its stamp, is older than its time-out.
    Stale(Input),
    /// When positions differ from the sum of the velocities by more than the tolerance, 0.03 rad; older differences fade in 1 s.
    Contradiction,
    /// When a joint is 0.1 rad/s faster than, or turns otherwise than, it was told within 0.1 s.
    Disobedience,
    /// When a joint that was told more than 0.1 rad/s has reported less than a tenth of it for this long, s.
    Standing(f64),
}

impl Observable {
    /// As a sentence's end, with the figures of the limits in force.
    pub fn text(self, config: &Config) -> String {
        let limit = |input| timeout_s(config, input);
        match self {
            Self::AtOnce => "at once".to_owned(),
            Self::After(cycles) => format!("{cycles} cycles later"),
            Self::Overdue(input) => {
                format!("when the {}'s time-out of {} s is over", input.name(), limit(input))
            }
            Self::Stale(input) => {
                format!("when the newest {} is older than {} s by its stamp", input.name(), limit(input))
            }
            Self::Contradiction => "when positions and velocities differ by 0.03 rad".to_owned(),
            Self::Disobedience => "when 0.1 rad/s off what was told within 0.1 s".to_owned(),
            Self::Standing(limit) => format!("when a joint has not followed for {limit} s"),
        }
    }
}

/// Longest age of an input, s.
fn timeout_s(config: &Config, input: Input) -> f64 {
    let limits = config.in_force();
    match input {
        Input::JointState => limits.cell.joint_state_timeout_s,
        Input::Wrench => limits.cell.wrench_timeout_s,
        Input::Command | Input::GripperCommand => limits.cell.command_timeout_s,
        Input::HumanPresence => limits.humans.timeout_s,
    }
}

/// Cycles for which a robot may still do what it was told: 0.1 s.
const TOLD_CYCLES: usize = (100_000_000 / PERIOD.0) as usize;

/// What has been said of one arm until now.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    /// Reported before: positions, velocities, stamp.
    before: Option<(Vec<f64>, Vec<f64>, u64)>,
    sum: Vec<f64>,
    /// Velocities told lately, newest last.
    told: VecDeque<Vec<f64>>,
    /// Cycles for which each joint has not followed.
    standing: Vec<u32>,
}

/// A cycle as it is judged.
#[derive(Debug)]
pub(super) struct Look<'a> {
    pub config: &'a Config,
    pub said: &'a Said,
    pub arm: usize,
    /// Cycles since the fault began.
    pub age: u32,
    /// Wall clock, ns.
    pub now_ns: u64,
    /// Stamp of the newest message of each kind until now, ns.
    pub newest: &'a Newest,
}

/// Stamps of the newest messages of one arm and of the sensor that looks for people, ns.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Newest {
    joints: u64,
    wrench: u64,
    command: u64,
    presence: u64,
}

impl Newest {
    pub(super) fn hears(&mut self, said: &Said, arm: usize) {
        let keep = |kept: &mut u64, stamp: Option<u64>| *kept = (*kept).max(stamp.unwrap_or(0));
        keep(&mut self.joints, said.joints[arm].last().map(|message| message.sent_ns));
        keep(&mut self.wrench, said.wrench[arm].last().map(|message| message.sent_ns));
        keep(&mut self.command, said.command[arm].last().map(|message| message.sent_ns));
        keep(&mut self.presence, said.presence.last().map(|message| message.1));
    }

    const fn of(&self, input: Input) -> u64 {
        match input {
            Input::JointState => self.joints,
            Input::Wrench => self.wrench,
            Input::Command | Input::GripperCommand => self.command,
            Input::HumanPresence => self.presence,
        }
    }
}

impl Watch {
    pub(super) fn new() -> Self {
        Self { before: None, sum: vec![0.0; 7], told: VecDeque::new(), standing: vec![0; 7] }
    }

    pub(super) fn told(&mut self, verdict: &Verdict, arm: usize) {
        self.told.push_back(verdict.robots[arm].velocity.iter().copied().collect());
        if self.told.len() > TOLD_CYCLES {
            self.told.pop_front();
        }
    }

    pub(super) fn sees(&self, observable: Observable, look: &Look<'_>) -> bool {
        let period = PERIOD.as_secs_f64();
        match observable {
            Observable::AtOnce => true,
            Observable::After(cycles) => look.age >= cycles,
            // The last healthy message came with the cycle before the first.
            Observable::Overdue(input) => {
                f64::from(look.age + 1) * period > timeout_s(look.config, input) + 1e-9
            }
            Observable::Stale(input) => {
                let age_ns = look.now_ns.saturating_sub(look.newest.of(input));
                age_ns as f64 * 1e-9 > timeout_s(look.config, input) + 1e-9
            }
            Observable::Contradiction => self.sum.iter().any(|sum| sum.abs() > 0.03),
            Observable::Disobedience => look.said.joints[look.arm].iter().any(|message| {
                let told = |joint: usize| self.told.iter().map(move |told| told[joint]);
                look.age > 0
                    && message.velocity.iter().enumerate().any(|(joint, velocity)| {
                        let low = told(joint).fold(0.0, f64::min) * 1.1 - 0.1;
                        let high = told(joint).fold(0.0, f64::max) * 1.1 + 0.1;
                        !(low..=high).contains(velocity)
                    })
            }),
            Observable::Standing(limit) => {
                self.standing.iter().any(|cycles| f64::from(*cycles) * period > limit + 1e-9)
            }
        }
    }

    /// Takes in what is reported; of several messages in one cycle the last one is what is seen.
    pub(super) fn hears(&mut self, said: &Said, arm: usize) {
        let Some(message) = said.joints[arm].last() else { return };
        if let Some(told) = self.told.back() {
            for ((standing, told), velocity) in self.standing.iter_mut().zip(told).zip(&message.velocity) {
                let follows = told.abs() <= 0.1 || velocity / told >= 0.1;
                *standing = if follows { 0 } else { *standing + 1 };
            }
        }
        let now = (message.position.clone(), message.velocity.clone(), message.sent_ns);
        if let Some((position, velocity, sent_ns)) = &self.before {
            let dt = message.sent_ns.saturating_sub(*sent_ns) as f64 * 1e-9;
            // Arrays of a malformed message may differ in length.
            let values = position.iter().zip(velocity).zip(now.0.iter().zip(&now.1));
            for (sum, ((q, qd), (q_now, qd_now))) in self.sum.iter_mut().zip(values) {
                *sum = *sum * (1.0 - dt) + q_now - q - (qd + qd_now) / 2.0 * dt;
            }
        }
        self.before = Some(now);
    }
}
