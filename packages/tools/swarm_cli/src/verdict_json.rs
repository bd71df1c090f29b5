//! A verdict as JSON, with the cell's names. Numbers that JSON does not have are the texts "inf", "-inf" and "nan".

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
        "now_s": number(now.as_secs_f64()),
        "state": verdict.state.name(),
        "cause": verdict.cause.map(|found| cause(config, &found)),
        "cause_cycle": verdict.cause_cycle,
        "epoch": verdict.epoch,
        "changed": verdict.changed,
        "reset": reset,
        "robots": robots,
    })
}

/// A cause with names and figures.
pub(crate) fn cause(config: &Config, cause: &Cause) -> Value {
    json!({
        "code": cause.kind.code(),
        "robot": cause.robot_name(config),
        "joint": cause.joint_name(config),
        "value": number(cause.value),
        "limit": number(cause.limit),
        "unit": cause.kind.unit(),
        "detail": cause.detail(config),
    })
}

/// A figure; what JSON has no number for is a text.
pub(crate) fn number(value: f64) -> Value {
    if value.is_finite() {
        json!(value)
    } else if value.is_nan() {
        json!("nan")
    } else {
        json!(if value > 0.0 { "inf" } else { "-inf" })
    }
}

fn of_robot(robot: &RobotVerdict, joints: usize) -> Value {
    let velocity: Vec<Value> = robot.velocity.iter().take(joints).map(|value| number(*value)).collect();
    json!({
        "velocity": velocity,
        "scale": number(robot.scale),
        "gripper": robot.gripper.map(|target| json!({
            "width_m": number(target.width_m), "force_n": number(target.force_n),
        })),
        "gripper_new": robot.gripper_new,
        "refusal": robot.refusal.map(Refusal::code),
        "stop_ineffective": robot.stop_ineffective,
        "measures": measures(&robot.measures),
    })
}

fn measures(measures: &Measures) -> Value {
    let Measures {
        tcp_speed_m_s,
        tcp_speed_limit_m_s,
        elbow_speed_m_s,
        elbow_speed_limit_m_s,
        momentum_kg_m_s,
        momentum_limit_kg_m_s,
        power_w,
        power_limit_w,
        contact_force_n,
        contact_force_limit_n,
        separation_m,
        separation_limit_m,
        self_separation_m,
        fixture_separation_m,
        human_separation_m,
        joint_velocity_ratio,
        input_age_s,
    } = *measures;
    json!({
        "tcp_speed_m_s": number(tcp_speed_m_s),
        "tcp_speed_limit_m_s": number(tcp_speed_limit_m_s),
        "elbow_speed_m_s": number(elbow_speed_m_s),
        "elbow_speed_limit_m_s": number(elbow_speed_limit_m_s),
        "momentum_kg_m_s": number(momentum_kg_m_s),
        "momentum_limit_kg_m_s": number(momentum_limit_kg_m_s),
        "power_w": number(power_w),
        "power_limit_w": number(power_limit_w),
        "contact_force_n": number(contact_force_n),
        "contact_force_limit_n": number(contact_force_limit_n),
        "separation_m": number(separation_m),
        "separation_limit_m": number(separation_limit_m),
        "self_separation_m": number(self_separation_m),
        "fixture_separation_m": number(fixture_separation_m),
        "human_separation_m": number(human_separation_m),
        "joint_velocity_ratio": number(joint_velocity_ratio),
        "input_age_s": number(input_age_s),
    })
}
