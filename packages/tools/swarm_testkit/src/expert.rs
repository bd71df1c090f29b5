//! Insertions in the simulated cell: who steers, and how it ended.
//!
//! - [`expert`] knows where the parts really are. It can't be shipped: its answers are the labels which the policy learns.
//! - [`compliant`] sees what the policy sees, and gives way to the force it feels. It takes the peg to places where a policy gets
//!   to, with contacts and wrong estimates, so that the expert can say there what would be right.

use anyhow::Result;
use nalgebra::{Isometry3, Vector3};
use swarm_base::Time;
use swarm_skill_core::{
    ACTION_LEN, Insertion, InsertionWatch, MAX_ANGULAR_RAD_PER_S, MAX_LINEAR_M_PER_S, OBSERVATION_LEN,
    clip_action, observe, tip_in_pocket,
};

use crate::script::{Approach, ScriptedCell};

/// What a steering function is told in a tick.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// What a policy sees.
    pub observation: [f32; OBSERVATION_LEN],
    /// Tip in pocket as it really is.
    pub truth: Isometry3<f64>,
}

/// How an insertion ended.
#[derive(Clone, Debug)]
pub struct Ending {
    pub insertion: Insertion,
    /// Depth in truth, m.
    pub depth_m: f64,
    pub ticks: u64,
    /// Largest force that was observed, N.
    pub peak_n: f64,
}

impl Ending {
    /// Seated by its own account and in truth: the last 3 mm of the pocket may be left by an estimate that is high.
    pub fn is_success(&self) -> bool {
        matches!(self.insertion, Insertion::Seated { .. }) && self.depth_m > 0.024
    }
}

/// Pushing force at which the peg isn't driven further down, N.
const PUSH_N: f64 = 8.0;

/// Sinking speed, m/s, at height `z_m` above the mouth under a force `push_n` of the pocket against the peg.
fn sinking(z_m: f64, push_n: f64) -> f64 {
    let free = if z_m > 0.004 { 0.012 } else { 0.008 };
    -free * (1.0 - push_n / PUSH_N).clamp(-1.0, 1.0)
}

/// Steers by the truth: centred, upright, down.
pub fn expert(situation: &Situation) -> [f64; ACTION_LEN] {
    let (p, r) = (situation.truth.translation.vector, situation.truth.rotation.scaled_axis());
    let push_n = f64::from(situation.observation[8]);
    bounded([-6.0 * p.x, -6.0 * p.y, sinking(p.z, push_n), -4.0 * r.x, -4.0 * r.y, -4.0 * r.z])
}

/// Steers by the estimate and gives way: `give` in m/s per N sideways, rad/s per N m about each axis times ten.
pub fn compliant(situation: &Situation, give: f64) -> [f64; ACTION_LEN] {
    let o = situation.observation.map(f64::from);
    let force = Vector3::new(o[6], o[7], o[8]);
    // In contact the estimate counts less than the force.
    let trust = 3.0 / (1.0 + 0.5 * force.norm());
    let turn = 10.0 * give;
    bounded([
        -trust * o[0] + give * force.x,
        -trust * o[1] + give * force.y,
        sinking(o[2], force.z),
        -trust * o[3] + turn * o[9],
        -trust * o[4] + turn * o[10],
        -trust * o[5] + turn * o[11],
    ])
}

fn bounded(action: [f64; ACTION_LEN]) -> [f64; ACTION_LEN] {
    let mut bounded = action;
    for (index, value) in bounded.iter_mut().enumerate() {
        let limit = if index < 3 { MAX_LINEAR_M_PER_S } else { MAX_ANGULAR_RAD_PER_S };
        *value = value.clamp(-limit, limit);
    }
    bounded
}

/// One insertion from where the tip stands; `steer` answers every tick. Ends as in the runtime: by the watch over the observation.
pub fn insert(
    cell: &mut ScriptedCell,
    approach: &Approach,
    mut steer: impl FnMut(&Situation) -> [f32; ACTION_LEN],
) -> Result<Ending> {
    let mut watch = InsertionWatch::start(Time::ZERO);
    let mut previous_action = [0.0; ACTION_LEN];
    let mut peak_n: f64 = 0.0;
    for ticks in 0_u64.. {
        let observation = observe(&cell.insertion_inputs(approach, previous_action));
        let force = Vector3::new(observation[6], observation[7], observation[8]);
        peak_n = peak_n.max(f64::from(force.norm()));
        let insertion = watch.judge(&observation, Time::from_millis(10 * ticks));
        if insertion != Insertion::Going {
            cell.tick(&[])?;
            return Ok(Ending { insertion, depth_m: cell.last.mating.depth_m, ticks, peak_n });
        }
        let parts = cell.last.parts;
        let truth = tip_in_pocket(&parts.pocket_in_world, &parts.tip_in_world);
        let answer = steer(&Situation { observation, truth });
        let Some(action) = clip_action(&answer) else {
            anyhow::bail!("the answer {answer:?} to {observation:?} is not finite");
        };
        cell.act(approach, &action)?;
        previous_action = action;
    }
    unreachable!("the watch ends every insertion in time")
}
