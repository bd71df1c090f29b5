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
use crate::cause::{Cause, CauseKind, Severity};
use crate::checks::{self, Findings, age_s};
use crate::config::Config;
use crate::foreseen;
use crate::human::{self, Nearness};
use crate::inputs::{Inputs, JointSample};
use crate::motion::{self, Gate, Taken};
use crate::observed::{self, Scene};
use crate::state::{RobotState, SafetyState, State};
use crate::verdict::{Measures, ResetRefusal, RobotVerdict, Verdict};

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

const fn is_open(state: SafetyState) -> bool {
    matches!(state, SafetyState::Ready | SafetyState::Run | SafetyState::Slow)
}

fn kind(state: &State) -> Option<(CauseKind, Option<usize>)> {
    state.cause.map(|cause| (cause.kind, cause.robot))
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

/// New limits begin a new epoch. They must come while the cell is at rest.
fn exchange_limits(config: &Config, scene: &Scene, next: &mut State, findings: &mut Findings) {
    if config.generation() == next.generation {
        return;
    }
    // SR-17
    next.generation = config.generation();
    next.epoch += 1;
    if let Some((robot, velocity)) = fastest_moving(config, scene, next) {
        let limit = config.tolerances().rest_rad_s;
        findings.report(Cause::robot(CauseKind::EnvelopeChange, robot, velocity, limit));
    }
    next.robots.iter_mut().for_each(RobotState::let_go);
    if next.safety.moves() {
        next.safety = SafetyState::Ready;
    }
}

/// A robot that is told to move or moves, and how fast.
fn fastest_moving(config: &Config, scene: &Scene, state: &State) -> Option<(usize, f64)> {
    (0..config.arms().len().min(MAX_ROBOTS))
        .map(|i| {
            let measured = scene.robots[i].as_ref().map_or(0.0, |seen| seen.joints.qd.amax());
            let told = state.robots[i].output.amax();
            // Even the smallest output is motion.
            (
                i,
                if told > 0.0 {
                    measured.max(told).max(config.tolerances().rest_rad_s * 1.001)
                } else {
                    measured
                },
            )
        })
        .filter(|(_, velocity)| *velocity > config.tolerances().rest_rad_s)
        .max_by(|a, b| a.1.total_cmp(&b.1))
}

/// Takes the newest joint states; gives accelerations, a first-order low-pass over the difference of velocities by the sender's
/// stamps.
fn take_samples(
    config: &Config,
    scene: &Scene,
    next: &mut State,
    findings: &mut Findings,
) -> [JointVector; MAX_ROBOTS] {
    let mut accelerations = [JointVector::zeros(); MAX_ROBOTS];
    let open = is_open(next.safety);
    for (i, robot) in next.robots.iter_mut().enumerate() {
        let Some(seen) = &scene.robots[i] else { continue };
        if let Some(before) = robot.joints.filter(|before| before.sequence != seen.joints.sequence) {
            robot.acceleration = filtered(config, robot, &before, seen.joints);
            robot.told.compare(config, &before, seen.joints);
        }
        // SR-14, SR-15. After a stop, an arm that has come to rest may be moved by hand.
        let brakes = robot.stopping.is_some() && !seen.is_at_rest(config.tolerances().rest_rad_s);
        robot.told.stand(&seen.joints.q, open || brakes);
        if let Some((joint, rad)) = robot.told.contradiction(config) {
            let limit = config.tolerances().consistency_rad;
            findings.report(Cause::joint(CauseKind::JointInconsistent, i, joint, rad, limit));
        }
        robot.joints = Some(*seen.joints);
        accelerations[i] = robot.acceleration;
    }
    accelerations
}

fn filtered(config: &Config, robot: &RobotState, before: &JointSample, after: &JointSample) -> JointVector {
    let dt = after.stamp_ns.saturating_sub(before.stamp_ns) as f64 * 1e-9;
    if dt <= 0.0 {
        return robot.acceleration;
    }
    let share = dt / (config.tolerances().acceleration_filter_s + dt);
    let raw = (after.qd - before.qd) / dt;
    let filtered = robot.acceleration + (raw - robot.acceleration) * share;
    // What is no number would stay in the filter for ever.
    if filtered.iter().all(|value| value.is_finite()) { filtered } else { raw }
}

/// Robots move as they were told: neither otherwise, nor not at all.
fn check_obedience(config: &Config, scene: &Scene, next: &mut State, findings: &mut Findings, now: Time) {
    for (i, seen) in scene.robots.iter().enumerate() {
        let Some(seen) = seen else { continue };
        let robot = &mut next.robots[i];
        // SR-15
        if let Some((joint, velocity, limit)) = robot.told.otherwise(config, seen) {
            findings.report(Cause::joint(CauseKind::UnexpectedMotion, i, joint, velocity, limit));
        }
        if let Some((joint, way)) = robot.told.strayed(config, seen) {
            let limit = config.tolerances().standstill_rad;
            findings.report(Cause::joint(CauseKind::LeftStandstill, i, joint, way, limit));
        }
        let output = robot.output;
        if let Some(cause) = robot.told.not_following(config, i, &output, seen, now) {
            findings.report(cause);
        }
    }
}

/// A robot that still moves otherwise than braking explains, although a stop has been asking it to brake for long enough.
fn goes_on(config: &Config, scene: &Scene, state: &State, robot: usize, now: Time) -> Option<Cause> {
    let known = &state.robots[robot];
    // The span of what it was told covers twice the response time.
    if age_s(now, Some(known.stopping?)) <= 2.0 * config.tolerances().response_s {
        return None;
    }
    let seen = scene.robots[robot].as_ref()?;
    // A silent robot is a fault of its own; what it said last tells nothing of what it does.
    if age_s(now, Some(seen.joints.sent)) > config.in_force().cell.joint_state_timeout_s {
        return None;
    }
    let (joint, velocity, limit) = known.told.otherwise(config, seen).or_else(|| {
        known.told.strayed(config, seen)?;
        let fastest = seen.joints.qd.iamax();
        Some((fastest, seen.joints.qd[fastest], config.tolerances().rest_rad_s))
    })?;
    Some(Cause::joint(CauseKind::StopIneffective, robot, joint, velocity, limit))
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

/// The one place where the state changes. Returns the answer to a reset.
fn transition(
    config: &Config,
    inputs: &Inputs,
    scene: &Scene,
    next: &mut State,
    findings: &Findings,
    accepted: bool,
    now: Time,
) -> Option<Result<u64, ResetRefusal>> {
    let reset =
        inputs.reset.map(|request| reset_answer(config, inputs, scene, next, findings, request.epoch));
    // Also where the stop ends by itself in the same step: who asked for a new epoch gets one.
    let stopped = !is_open(next.safety);
    let worst = findings.worst();
    match next.safety {
        // SR-01
        SafetyState::Deny => match worst {
            Some(cause) if cause.kind.severity() == Severity::Estop => enter(next, SafetyState::Estop, cause),
            // Shows what is missing now.
            _ => refresh(next, worst.unwrap_or(Cause::cell(CauseKind::StartUp, 0.0, 0.0))),
        },
        SafetyState::Ready | SafetyState::Run | SafetyState::Slow => match worst {
            Some(cause) if cause.kind.is_silence() && next.safety == SafetyState::Ready => {
                enter(next, SafetyState::Deny, cause);
            }
            Some(cause) => enter(next, stop_for(&cause), cause),
            None if accepted && next.safety == SafetyState::Ready => next.safety = SafetyState::Run,
            None => {}
        },
        SafetyState::Stop2 | SafetyState::Stop1 | SafetyState::Estop => {
            match worst {
                // A worse finding deepens a stop; an equal one does not replace the first cause.
                Some(cause) if depth(stop_for(&cause)) > depth(next.safety) => {
                    enter(next, stop_for(&cause), cause);
                }
                _ => {}
            }
            escalate(config, scene, next, now);
            let clear = worst.is_none() && fastest_moving(config, scene, next).is_none();
            next.clear_since = if clear { next.clear_since.or(Some(now)) } else { None };
            if next.safety == SafetyState::Stop2
                && let Some(since) = next.clear_since
                && age_s(now, Some(since)) >= config.in_force().cell.release_after_s
            {
                make_ready(next);
            }
        }
    }
    // SR-02
    if stopped && let Some(Ok(_)) = reset {
        next.epoch += 1;
        make_ready(next);
        return Some(Ok(next.epoch));
    }
    reset
}

/// Whether a reset may go ahead. In READY it has nothing to do and succeeds.
fn reset_answer(
    config: &Config,
    inputs: &Inputs,
    scene: &Scene,
    state: &State,
    findings: &Findings,
    epoch: u64,
) -> Result<u64, ResetRefusal> {
    if epoch != state.epoch {
        return Err(ResetRefusal::WrongEpoch { request: epoch, current: state.epoch });
    }
    if state.safety.moves() {
        return Err(ResetRefusal::Running);
    }
    if inputs.emergency_stop.held || inputs.emergency_stop.pressed {
        return Err(ResetRefusal::EmergencyStopHeld);
    }
    if let Some(cause) = findings.worst() {
        return Err(ResetRefusal::CausePersists(cause));
    }
    if let Some((robot, velocity)) = fastest_moving(config, scene, state) {
        return Err(ResetRefusal::Moving { robot, velocity });
    }
    Ok(state.epoch)
}

/// A stop without effect becomes a deeper one. A robot that has come to rest may be moved by hand.
fn escalate(config: &Config, scene: &Scene, next: &mut State, now: Time) {
    for i in 0..config.arms().len().min(MAX_ROBOTS) {
        // SR-14
        let tolerances = config.tolerances();
        let robot = &mut next.robots[i];
        let at_rest = scene.robots[i].as_ref().is_some_and(|seen| seen.is_at_rest(tolerances.rest_rad_s));
        robot.resting = if at_rest { robot.resting.or(Some(now)) } else { None };
        // An arm that brakes and turns back is at rest for a moment, too.
        if robot.resting.is_some_and(|since| age_s(now, Some(since)) > 2.0 * tolerances.response_s) {
            robot.stopping = None;
        }
        if let (Some(cause), Some(deeper)) = (goes_on(config, scene, next, i, now), deeper(next.safety)) {
            enter(next, deeper, cause);
            break;
        }
    }
}

const fn deeper(state: SafetyState) -> Option<SafetyState> {
    match state {
        SafetyState::Stop2 => Some(SafetyState::Stop1),
        SafetyState::Stop1 => Some(SafetyState::Estop),
        _ => None,
    }
}

const fn stop_for(cause: &Cause) -> SafetyState {
    match cause.kind.severity() {
        Severity::Deny | Severity::Stop2 => SafetyState::Stop2,
        Severity::Stop1 => SafetyState::Stop1,
        Severity::Estop => SafetyState::Estop,
    }
}

const fn depth(state: SafetyState) -> u8 {
    match state {
        SafetyState::Estop => 3,
        SafetyState::Stop1 => 2,
        SafetyState::Stop2 => 1,
        _ => 0,
    }
}

fn enter(next: &mut State, state: SafetyState, cause: Cause) {
    for robot in &mut next.robots {
        // The robots have been told of this stop with this step.
        robot.stopping = next.last_step.filter(|_| robot.stopping.is_some() || depth(next.safety) == 0);
        robot.resting = None;
    }
    next.safety = state;
    next.clear_since = None;
    next.cause = Some(cause);
    next.cause_cycle = next.cycle;
}

/// Keeps the cycle in which a cause was first seen.
fn refresh(next: &mut State, cause: Cause) {
    if kind(next) != Some((cause.kind, cause.robot)) {
        next.cause_cycle = next.cycle;
    }
    next.cause = Some(cause);
}

fn make_ready(next: &mut State) {
    next.robots.iter_mut().for_each(RobotState::end_braking);
    next.safety = SafetyState::Ready;
    next.cause = None;
    next.cause_cycle = 0;
    next.clear_since = None;
}

/// RUN or SLOW by the scales of the robots that are being moved; READY when no run moves any.
fn settle(config: &Config, scene: &Scene, scales: &[f64; MAX_ROBOTS], next: &mut State, accepted: bool) {
    if !next.safety.moves() {
        return;
    }
    let active = |i: usize| next.robots[i].target_since.is_some();
    let count = config.arms().len().min(MAX_ROBOTS);
    let idle = !(0..count).any(active);
    next.safety = if idle && !accepted && fastest_moving(config, scene, next).is_none() {
        SafetyState::Ready
    } else if (0..count).any(|i| active(i) && scales[i] < 1.0) {
        SafetyState::Slow
    } else {
        SafetyState::Run
    };
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
