//! One cycle of the decision, top to bottom.
//!
//! What it costs: some 65,000 instructions for three arms of 9 to 10 capsules with people being looked for (callgrind).
//! - 27 %: the nearest pairs of capsules. Of more than 300 pairs about a dozen need their distance; balls rule the others out.
//! - 15 %: how far joints move capsules. 12 %: poses of bodies and capsules in the world. 9 %: velocities and momenta.
//! - 10 %: copying and clearing. 5 %: whether the cell could still stop. The rest: checks, commands, verdict.
//!
//! None of it depends much on what the cell does. In the evidence `safety-cost` the least of three times that a verdict takes shows
//! what does vary; what a single time has above that is the machine's, as has the fixed work beside it.

use swarm_base::Time;
use swarm_kinematics::{JointVector, Placed};

use crate::MAX_ROBOTS;
use crate::cause::{Cause, CauseKind};
use crate::checks::{self, Findings, age_s};
use crate::config::Config;
use crate::foreseen;
use crate::human::{self, Nearness};
use crate::inputs::Inputs;
use crate::motion::{self, Gate, Taken};
use crate::obedience::{check_obedience, goes_on, take_samples};
use crate::observed::{self, Scene};
use crate::state::{RobotState, State};
use crate::transition::{exchange_limits, is_open, kind, settle, transition};
use crate::verdict::{Measures, RobotVerdict, Verdict};

/// Decides one cycle: the next state, and what the robots are told. See the crate's documentation for the flow.
pub fn step(config: &Config, state: &State, inputs: &Inputs, now: Time) -> (State, Verdict) {
    // SR-21
    // Both parts of the answer are made in their place, since they are much to copy.
    let mut answer = (*state, Verdict::UNDECIDED);
    let (next, verdict) = (&mut answer.0, &mut answer.1);
    next.cycle += 1;
    next.last_step = Some(now);
    let mut findings = Findings::default();

    let dt = time_passed(config, state, now, &mut findings);
    let mut room = [Placed::nowhere(); MAX_ROBOTS];
    let scene = observed::observe(config, inputs, now, &mut room);
    let near = human::nearness(config, inputs, &scene, now);
    exchange_limits(config, &scene, next, &mut findings);
    checks::check_inputs(config, inputs, now, &mut findings);
    let accelerations = take_samples(config, &scene, next, &mut findings);
    checks::check_measured(config, &scene, &accelerations, &mut findings);
    if is_open(next.safety) {
        check_obedience(config, &scene, next, &mut findings, now);
    }
    // SR-03
    if inputs.emergency_stop.held || inputs.emergency_stop.pressed {
        findings.report(Cause::cell(CauseKind::EmergencyStop, 0.0, 0.0));
    }
    // SR-22
    if inputs.not_recorded {
        findings.report(Cause::cell(CauseKind::NotRecorded, 0.0, 0.0));
    }
    // SR-18
    if inputs.not_real_time {
        findings.report(Cause::cell(CauseKind::NotRealTime, 0.0, 0.0));
    }

    let taken = take_commands(config, inputs, &scene, next, &mut findings, now);
    let open = is_open(next.safety) && findings.worst().is_none();
    let scales = scales(config, &scene, next, &near);
    let mut outputs = ramped(config, next, &scales, open, dt);
    foreseen::check(config, &scene, &outputs, &mut findings);
    let active = std::array::from_fn(|i| next.robots[i].target_since.is_some());
    human::check(config, &scene, &outputs, active, &near, &mut findings);

    let accepted = taken.iter().any(|taken| taken.accepted);
    let reset = transition(config, inputs, &scene, next, &findings, accepted, now);
    if open && !is_open(next.safety) {
        // Something came up in this step: brake from where the robots are, not from what they were about to be told.
        outputs = ramped(config, next, &scales, false, dt);
    }
    if !is_open(next.safety) {
        next.robots.iter_mut().for_each(RobotState::let_go);
    }
    for (robot, output) in next.robots.iter_mut().zip(outputs) {
        robot.output = output;
        robot.told.tell(config, &output, now);
    }
    settle(config, &scene, &scales, next, accepted);

    verdict.state = next.safety;
    verdict.cause = next.cause;
    verdict.cause_cycle = next.cause_cycle;
    verdict.epoch = next.epoch;
    verdict.cycle = next.cycle;
    verdict.changed = next.safety != state.safety || kind(next) != kind(state);
    verdict.reset = reset;
    for (i, robot) in verdict.robots.iter_mut().enumerate().take(config.arms().len()) {
        *robot = RobotVerdict {
            velocity: next.robots[i].output,
            // SR-16
            scale: if next.safety.moves() { scales[i] } else { 0.0 },
            // A stop in the same step holds the gripper where it was.
            gripper: if is_open(next.safety) { next.robots[i].gripper } else { state.robots[i].gripper },
            gripper_new: is_open(next.safety) && taken[i].gripper_new,
            refusal: taken[i].refusal,
            stop_ineffective: goes_on(config, &scene, next, i, now).is_some(),
            measures: measures(config, inputs, &scene, &near, i, now),
        };
        next.robots[i].gripper = robot.gripper;
    }
    answer
}

/// Seconds that outputs may ramp through, and the clock's own faults.
fn time_passed(config: &Config, state: &State, now: Time, findings: &mut Findings) -> f64 {
    let timing = config.timing();
    let Some(last) = state.last_step else { return 0.0 };
    if now < last {
        let back = last.since(now).as_secs_f64();
        findings.report(Cause::cell(CauseKind::ClockBackwards, back, 0.0));
        return 0.0;
    }
    let passed = now.since(last).as_secs_f64();
    if state.safety.moves() && passed > timing.max_cycle_gap_s {
        findings.report(Cause::cell(CauseKind::CycleOverrun, passed, timing.max_cycle_gap_s));
    }
    passed.min(2.0 * timing.period_s)
}

fn take_commands(
    config: &Config,
    inputs: &Inputs,
    scene: &Scene,
    next: &mut State,
    findings: &mut Findings,
    now: Time,
) -> [Taken; MAX_ROBOTS] {
    let mut taken = [Taken::default(); MAX_ROBOTS];
    let open = is_open(next.safety);
    for (i, taken) in taken.iter_mut().enumerate().take(config.arms().len()) {
        let gate = Gate { robot: i, epoch: next.epoch, open, now };
        let (robot, seen) = (&mut next.robots[i], scene.robots[i].as_ref());
        *taken = motion::take_commands(config, &gate, &inputs.robots[i], seen, robot, findings);
        motion::check_silence(config, &gate, robot, findings);
    }
    taken
}

fn scales(config: &Config, scene: &Scene, next: &State, near: &[Nearness; MAX_ROBOTS]) -> [f64; MAX_ROBOTS] {
    let mut scales = [0.0; MAX_ROBOTS];
    for (i, arm) in config.arms().iter().enumerate().take(MAX_ROBOTS) {
        if let Some(seen) = &scene.robots[i] {
            let (limits, wish) = (&config.in_force().robots[i], &next.robots[i].target);
            let scale = motion::scale(config, arm, limits, seen, wish, scene.separation[i]);
            scales[i] = scale.min(human::scale(config, i, seen, wish, &near[i]));
        }
    }
    scales
}

/// Outputs one ramp step farther: towards the scaled wishes, or to standstill.
fn ramped(
    config: &Config,
    next: &State,
    scales: &[f64; MAX_ROBOTS],
    open: bool,
    dt: f64,
) -> [JointVector; MAX_ROBOTS] {
    let mut outputs = [JointVector::zeros(); MAX_ROBOTS];
    for (i, output) in outputs.iter_mut().enumerate().take(config.arms().len()) {
        let robot = &next.robots[i];
        let goal = if open { robot.target * scales[i] } else { JointVector::zeros() };
        *output = motion::ramp(&robot.output, &goal, &config.in_force().robots[i].joints.acceleration, dt);
    }
    outputs
}

fn measures(
    config: &Config,
    inputs: &Inputs,
    scene: &Scene,
    near: &[Nearness; MAX_ROBOTS],
    i: usize,
    now: Time,
) -> Measures {
    let (limits, cell) = (&config.in_force().robots[i], &config.in_force().cell);
    let joints_age = age_s(now, inputs.robots[i].joints.as_ref().map(|joints| joints.sent));
    let wrench_age = age_s(now, inputs.robots[i].wrench.as_ref().map(|wrench| wrench.sent));
    let mut measures = Measures {
        tcp_speed_limit_m_s: limits.tcp_speed_m_s,
        elbow_speed_limit_m_s: limits.elbow_speed_m_s,
        momentum_limit_kg_m_s: limits.momentum_kg_m_s,
        power_limit_w: limits.power_w,
        contact_force_limit_n: limits.wrench.collision_force_n,
        separation_m: scene.separation[i],
        separation_limit_m: cell.min_separation_m,
        human_separation_m: near[i].separation,
        input_age_s: joints_age.max(wrench_age),
        ..Measures::NONE
    };
    let Some(seen) = &scene.robots[i] else { return measures };
    measures.tcp_speed_m_s = seen.tcp_speed;
    measures.elbow_speed_m_s = seen.elbow_speed;
    measures.momentum_kg_m_s = seen.momentum;
    measures.power_w = seen.power;
    measures.self_separation_m = seen.self_gap;
    measures.fixture_separation_m = seen.fixture_gap;
    measures.contact_force_n = seen.load.map_or(0.0, |(force, _)| force);
    for joint in 0..config.arms()[i].model.dof() {
        let ratio = seen.joints.qd[joint].abs() / limits.joints.velocity[joint];
        measures.joint_velocity_ratio = measures.joint_velocity_ratio.max(ratio);
    }
    measures
}
