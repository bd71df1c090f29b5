//! A verdict as JSON, with the cell's names. JSON has no number for the infinite: it is null.

use serde::Serialize;
use serde_json::{Map, Value, json};
use swarm_base::Time;
use swarm_safety_core::{Cause, Config, Measures, Refusal, RobotVerdict, Verdict};

/// One line of `cell safety eval`.
pub(crate) fn verdict(config: &Config, verdict: &Verdict, now: Time) -> Value {
    let robots: Map<String, Value> = config
        .arms()
        .iter()
        .zip(&verdict.robots)
        .map(|(arm, robot)| (arm.name.clone(), of_robot(robot, arm.model.dof())))
        .collect();
    let reset = verdict.reset.map(|answer| match answer {
        Ok(epoch) => json!({"epoch": epoch}),
        Err(refusal) => json!({"refused": refusal.detail(config)}),
    });
    json!({
        "cycle": verdict.cycle,
        "now_s": now.as_secs_f64(),
        "state": verdict.state.name(),
        "cause": verdict.cause.map(|found| CauseText::of(config, &found)),
        "cause_cycle": verdict.cause_cycle,
        "epoch": verdict.epoch,
        "changed": verdict.changed,
        "reset": reset,
        "robots": robots,
    })
}

/// A cause with names and figures, as every JSON of this program gives it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct CauseText {
    /// Stable name, such as `joint_velocity`.
    pub code: String,
    /// Empty for the whole cell.
    pub robot: String,
    /// Joint, or the two things that are close; empty if none.
    pub joint: String,
    pub value: f64,
    pub limit: f64,
    /// Of value and limit; empty where they say nothing.
    pub unit: &'static str,
    pub detail: String,
}

impl CauseText {
    pub(crate) fn of(config: &Config, cause: &Cause) -> Self {
        Self {
            code: cause.kind.code().to_owned(),
            robot: cause.robot_name(config).to_owned(),
            joint: cause.joint_name(config),
            value: cause.value,
            limit: cause.limit,
            unit: cause.kind.unit(),
            detail: cause.detail(config),
        }
    }
}

fn of_robot(robot: &RobotVerdict, joints: usize) -> Value {
    let velocity: Vec<f64> = robot.velocity.iter().take(joints).copied().collect();
    json!({
        "velocity": velocity,
        "scale": robot.scale,
        "gripper": robot.gripper.map(|target| json!({
            "width_m": target.width_m, "force_n": target.force_n,
        })),
        "gripper_new": robot.gripper_new,
        "refusal": robot.refusal.map(Refusal::code),
        "stop_ineffective": robot.stop_ineffective,
        "measures": measures(&robot.measures),
    })
}

fn measures(measures: &Measures) -> Value {
    measures.figures().into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect()
}
