//! Which stop, or motion, the cell is in: the only place where its state changes.

use swarm_base::Time;

use crate::MAX_ROBOTS;
use crate::cause::{Cause, CauseKind, Severity};
use crate::checks::{Findings, age_s};
use crate::config::Config;
use crate::inputs::Inputs;
use crate::obedience::goes_on;
use crate::observed::Scene;
use crate::state::{RobotState, SafetyState, State};
use crate::verdict::ResetRefusal;

pub(crate) const fn is_open(state: SafetyState) -> bool {
    matches!(state, SafetyState::Ready | SafetyState::Run | SafetyState::Slow)
}

pub(crate) fn kind(state: &State) -> Option<(CauseKind, Option<usize>)> {
    state.cause.map(|cause| (cause.kind, cause.robot))
}

/// The state that findings and a reset lead to. Returns the answer to the reset.
pub(crate) fn transition(
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
pub(crate) fn settle(
    config: &Config,
    scene: &Scene,
    scales: &[f64; MAX_ROBOTS],
    next: &mut State,
    accepted: bool,
) {
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

/// New limits begin a new epoch. They must come while the cell is at rest.
pub(crate) fn exchange_limits(config: &Config, scene: &Scene, next: &mut State, findings: &mut Findings) {
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
