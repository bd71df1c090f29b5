//! The cell of [`Bench`] at work, under every check: arms that do what they are told, a sensor that looks for people, resets after every
//! stop; and, where it is to be [`Script::Eventful`], stops of each kind, people who come near, and limits that are exchanged.

use std::sync::Arc;

use swarm_base::{Clock as _, Time};
use swarm_kinematics::JointVector;
use swarm_rt::KernelClock;
use swarm_safety_core::ingest::Refused;
use swarm_safety_core::{
    CommandSample, Input, InputFault, JointSample, PresenceSample, ResetRequest, SafetyState, Verdict,
};
use swarm_safety_monitor::deciding::{Cycle, Said};

use crate::cell::{Bench, samples};

/// What happens beside the motion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// Nothing.
    Steady,
    /// In every round each of these once: a person who comes near, an exchange of limits, an emergency stop; in every other one a
    /// message that is refused.
    Eventful,
}

/// Turns of a round, 2 ms each.
const ROUND: u64 = 1_500;
const REFUSED: u64 = 300;
const APPROACH: std::ops::Range<u64> = 600..800;
const EXCHANGE: u64 = 870;
const IDLE: std::ops::Range<u64> = 800..900;
const PRESS: u64 = 1_400;
const RELEASE: u64 = 1_450;

/// Amplitude (rad/s) and angular frequency (rad/s) of the motion of two joints of each arm.
const SPEED: f64 = 0.25;
const OMEGA: f64 = std::f64::consts::PI;
/// How fast an arm returns to where its motion belongs, 1/s.
const RETURN: f64 = 0.5;
/// A person out of reach, m: every term of the separation formula is computed, and none binds.
const FAR_M: f64 = 10.0;

/// The cell, and how its work goes.
pub(crate) struct Work {
    pub bench: Bench,
    script: Script,
    arms: Vec<Arm>,
    begin: Time,
    last: Time,
    turns: u64,
    sequence: u64,
    verdict: Option<Verdict>,
    /// Cycles in each of [`SafetyState::ALL`].
    cycles: [u64; 7],
}

struct Arm {
    q: JointVector,
    qd: JointVector,
    told: JointVector,
}

impl Work {
    pub(crate) fn new(bench: Bench, script: Script) -> Self {
        let still = JointVector::zeros();
        let arms = bench.home.iter().map(|home| Arm { q: *home, qd: still, told: still }).collect();
        let now = KernelClock.now();
        Self {
            bench,
            script,
            arms,
            begin: now,
            last: now,
            turns: 0,
            sequence: 0,
            verdict: None,
            cycles: [0; 7],
        }
    }

    /// Hears every cycle since the last turn, then lets the cell speak.
    pub(crate) fn turn(&mut self, mut each: impl FnMut(&Cycle)) {
        while let Some(said) = self.bench.hear() {
            let Said::Cycle(cycle) = said else { continue };
            each(&cycle);
            self.cycles[cycle.verdict.state as usize] += 1;
            for (arm, robot) in self.arms.iter_mut().zip(&cycle.verdict.robots) {
                arm.told = robot.velocity;
            }
            self.verdict = Some(cycle.verdict);
        }
        self.bench.clear_retired();
        let now = KernelClock.now();
        self.act(now);
        self.speak(now);
        self.turns += 1;
    }

    /// Cycles heard so far, by the name of their state.
    pub(crate) fn cycles(&self) -> impl Iterator<Item = (&'static str, u64)> {
        SafetyState::ALL.iter().map(|state| state.name()).zip(self.cycles)
    }

    /// Share of the cycles in which motion passed.
    pub(crate) fn moving_share(&self) -> f64 {
        let moving = self.cycles[SafetyState::Run as usize] + self.cycles[SafetyState::Slow as usize];
        moving as f64 / self.cycles.iter().sum::<u64>().max(1) as f64
    }

    /// Forgets the cycles counted so far.
    pub(crate) fn count_anew(&mut self) {
        self.cycles = [0; 7];
    }

    /// Drives do as they were told.
    fn act(&mut self, now: Time) {
        let passed = (now - self.last).as_secs_f64();
        self.last = now;
        for arm in &mut self.arms {
            arm.q += (arm.qd + arm.told) * (passed / 2.0);
            arm.qd = arm.told;
        }
    }

    fn speak(&mut self, now: Time) {
        let at = match self.script {
            Script::Steady => 0,
            Script::Eventful => self.turns % ROUND,
        };
        let wishes = self.wishes(now, at);
        self.sequence += 1;
        let (sequence, arms) = (self.sequence, &self.arms);
        let epoch = self.verdict.map(|verdict| verdict.epoch);
        let range_m = if APPROACH.contains(&at) {
            // 3 m to 0.8 m: through the distances at which robots slow down to those at which they stop.
            3.0 - 2.2 * (at - APPROACH.start) as f64 / (APPROACH.end - APPROACH.start) as f64
        } else {
            FAR_M
        };
        let config = Arc::clone(&self.bench.config);
        self.bench.mouth.say(|inputs| {
            for (i, (arm, own)) in config.arms().iter().zip(arms).enumerate() {
                let (joints, wrench) = samples(arm, &own.q, now, sequence);
                let robot = &mut inputs.robots[i];
                robot.joints = Some(JointSample { qd: own.qd, ..joints });
                robot.wrench = Some(wrench);
                robot.command = wishes.as_ref().zip(epoch).map(|(wishes, epoch)| CommandSample {
                    velocity: wishes[i],
                    epoch,
                    run: 1,
                    sequence,
                    artifact_matches: true,
                    sent: now,
                });
            }
            inputs.presence[0] = Some(PresenceSample { range_m, stamp_ns: now.0, sent: now });
        });
        self.happen(at);
    }

    /// What each arm is to do; `None` while no skill commands.
    fn wishes(&self, now: Time, at: u64) -> Option<Vec<JointVector>> {
        if IDLE.contains(&at) || at >= PRESS {
            return None;
        }
        let phase = OMEGA * (now - self.begin).as_secs_f64();
        let mut wishes = Vec::new();
        for (i, (arm, home)) in self.arms.iter().zip(&self.bench.home).enumerate() {
            let (dof, phase) = (self.bench.config.arms()[i].model.dof(), phase + i as f64);
            let mut velocity = (home - arm.q) * RETURN;
            velocity[dof - 3] += SPEED * phase.cos();
            velocity[dof - 1] += SPEED * phase.sin();
            wishes.push(velocity);
        }
        Some(wishes)
    }

    fn happen(&mut self, at: u64) {
        if self.script == Script::Eventful {
            match at {
                REFUSED if (self.turns / ROUND) % 2 == 1 => {
                    let refused =
                        Refused { fault: InputFault::NotFinite, joint: Some(0), value: 0.0, limit: 0.0 };
                    self.bench.mouth.refuse(1, Input::JointState, refused);
                }
                EXCHANGE => self.bench.exchange_limits(),
                PRESS => self.bench.mouth.emergency_stop(true),
                RELEASE => self.bench.mouth.emergency_stop(false),
                _ => {}
            }
        }
        let stands = self.arms.iter().all(|arm| arm.told == JointVector::zeros());
        let pressed = (PRESS..RELEASE).contains(&at);
        if let Some(verdict) = self.verdict.filter(|verdict| !is_open(verdict.state))
            && stands
            && !pressed
        {
            self.bench.mouth.reset(ResetRequest { epoch: verdict.epoch });
        }
    }
}

const fn is_open(state: SafetyState) -> bool {
    matches!(state, SafetyState::Ready | SafetyState::Run | SafetyState::Slow)
}
