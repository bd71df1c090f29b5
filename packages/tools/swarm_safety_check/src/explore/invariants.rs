//! What must hold of every step, whatever was heard before. Judged from outside: inputs before, answer after.

use swarm_base::Time;
use swarm_safety_core::{CauseKind, MAX_ROBOTS, ResetRequest, SafetyState, State, inspect, step};

use super::alphabet::{Clock, Command, Letter, Press};
use super::world::{PERIOD, Transition};

/// A promise about every step.
#[derive(Debug)]
pub struct Invariant {
    pub id: &'static str,
    pub says: &'static str,
    holds: fn(&Transition<'_>) -> bool,
}

macro_rules! invariants {
    ($($holds:ident: $id:literal $says:literal,)*) => { [$(Invariant { id: $id, says: $says, holds: $holds },)*] };
}

/// All that are judged on every step. [`RESETTABLE`] and [`REPEATABLE`] come on top.
pub const INVARIANTS: [Invariant; 19] = invariants! {
    fault_stops: "fault-stops" "a fault of any input leaves nothing moving or ready in the step that sees it",
    estop_wins: "estop-wins" "a press of the emergency stop, however short, makes the state ESTOP in the same step",
    estop_held: "estop-left-by-reset" "ESTOP is left only by a reset of the present epoch, with nothing held, nothing wrong, every input fresh and every arm at rest",
    latched: "stops-latched" "STOP1 and DENY are left only by a granted reset or for a deeper stop; STOP2 also by itself where that is configured, after the time configured without any fault",
    never_milder: "never-milder" "a stop never becomes a milder stop",
    reset_to_ready: "reset-to-ready" "a reset that ends a stop leads to READY with every output zero, never to RUN or SLOW",
    reset_of_epoch: "reset-of-epoch" "a reset is granted only to the present epoch, and never while robots may move",
    epoch_grows: "epoch-grows" "the epoch never falls, grows by one with a reset that ends a stop and with new limits, and else stays",
    strange_commands: "strange-commands" "a command of an old epoch or of another artifact gives no robot a wish",
    run_needs_command: "run-needs-command" "RUN begins only in READY, and only with a valid command in the same step",
    start_denies: "start-denies" "from DENY nothing leads to motion, and READY only with every input fresh",
    presence_missing: "presence-missing" "with zones declared, no robot is told to speed up while presence is missing, old or no number",
    velocity_capped: "velocity-capped" "no joint is told more than its velocity limit, and no joint that a robot has not is told anything",
    acceleration_capped: "acceleration-capped" "no output changes by more than its acceleration limit allows in two periods, or in the time that has passed",
    permit_zero: "permit-zero" "the permit is zero unless the state is RUN or SLOW, and never outside 0..1",
    stop_slows: "stop-slows" "where motion is refused no output speeds up or changes its sign, and each reaches zero",
    stop_lets_go: "stop-lets-go" "a stop forgets every wish, and changes no gripper",
    cause_shown: "cause-shown" "DENY and every stop show a cause, READY, RUN and SLOW none; the start-up cause is DENY's",
    answer_is_state: "answer-is-state" "the verdict tells the state, epoch and cycle that the next step begins with, and every change",
};

/// Judged once per representative: see [`super::Explorer`].
pub const RESETTABLE: (&str, &str) = (
    "always-resettable",
    "whatever happened, once every input is healthy and the arms are at rest, a reset leads to READY within 600 cycles",
);

/// Judged on every step with at most one letter, since it doubles what a step costs.
pub const REPEATABLE: (&str, &str) = ("repeatable", "the same arguments give the same answer, bit for bit");

/// Bit of [`REPEATABLE`] in [`broken`]'s answer.
pub const REPEATABLE_BIT: u32 = 31;

/// The invariants that this step breaks, one bit each.
pub fn broken(transition: &Transition<'_>) -> u32 {
    let bits = INVARIANTS.iter().enumerate();
    let bits = bits.fold(0, |bits, (i, invariant)| bits | (u32::from(!(invariant.holds)(transition)) << i));
    bits | (u32::from(!repeatable(transition)) << REPEATABLE_BIT)
}

/// Names of the bits.
pub fn names(broken: u32) -> Vec<&'static str> {
    let ids = INVARIANTS.iter().map(|invariant| invariant.id);
    let named = ids.enumerate().filter(|(i, _)| broken & (1 << i) != 0).map(|(_, id)| id);
    let repeatable = (broken & (1 << REPEATABLE_BIT) != 0).then_some(REPEATABLE.0);
    named.chain(repeatable).collect()
}

const fn is_open(state: SafetyState) -> bool {
    matches!(state, SafetyState::Ready | SafetyState::Run | SafetyState::Slow)
}

const fn depth(state: SafetyState) -> u8 {
    match state {
        SafetyState::Estop => 3,
        SafetyState::Stop1 => 2,
        SafetyState::Stop2 => 1,
        _ => 0,
    }
}

fn states(t: &Transition<'_>) -> (SafetyState, SafetyState) {
    (t.before.state.state(), t.after.state.state())
}

fn ended_a_stop(t: &Transition<'_>) -> bool {
    let (from, to) = states(t);
    !is_open(from) && is_open(to)
}

fn granted(t: &Transition<'_>) -> bool {
    matches!(t.verdict.reset, Some(Ok(_)))
}

/// Seconds since then; infinite if there was no such time.
fn age(now: Time, since: Option<Time>) -> f64 {
    since.map_or(f64::INFINITY, |since| now.since(since).as_secs_f64())
}

/// What a step must not overlook whatever the state: an input that is missing, old, absurd or refused, a clock that went back.
fn sensor_fault(t: &Transition<'_>) -> bool {
    let cell = &t.config.in_force().cell;
    let robots = t.inputs.robots.iter().zip(&t.config.in_force().robots).take(t.config.arms().len());
    let any = robots.into_iter().any(|(input, limits)| {
        let (Some(joints), Some(wrench)) = (&input.joints, &input.wrench) else { return true };
        let load = wrench.force.norm();
        let reach = |joint: usize| {
            let (q, qd) = (joints.q[joint], joints.qd[joint]);
            q < limits.joints.lower[joint]
                || q > limits.joints.upper[joint]
                || qd.abs() > limits.joints.velocity[joint] * t.config.tolerances().measured_speed
        };
        age(t.now, Some(joints.sent)) > cell.joint_state_timeout_s
            || age(t.now, Some(wrench.sent)) > cell.wrench_timeout_s
            || !joints.q.iter().chain(&joints.qd).all(|value| value.is_finite())
            || !wrench.force.iter().chain(&wrench.torque).all(|value| value.is_finite())
            // The payload weighs 11 N at most.
            || load > limits.wrench.collision_force_n + 15.0
            || input.refused.is_some()
            || (0..joints.q.len()).any(reach)
    });
    any || t.before.state.cycle() > 0 && t.now < last_step(t)
}

fn last_step(t: &Transition<'_>) -> Time {
    Time(t.before.now.0 - PERIOD.0)
}

/// By what was said, not by what became of it: taking it down is the core's too.
fn pressed(t: &Transition<'_>) -> bool {
    let said = |press| t.action.has(Letter::EmergencyStop(press));
    let held = t.before.inputs.emergency_stop.held && !said(Press::Released);
    held || said(Press::Held) || said(Press::Tapped)
}

/// What must stop an open cell, beside what its sensors say.
fn open_fault(t: &Transition<'_>) -> bool {
    let moves = t.before.state.state().moves();
    let late = moves && t.action.has(Letter::Clock(Clock::Overrun));
    let absurd = |i: usize| {
        let of = |command| t.action.has(Letter::Command(i, command));
        let source = of(Command::OtherRun) && !t.action.has(Letter::Limits) && {
            let robot = inspect::robots(&t.before.state)[i];
            let other = robot.last_command().is_some_and(|(run, _)| super::world::World::is_of_run(run));
            other && robot.target().amax() > 0.0
        };
        of(Command::NotANumber) || source || of(Command::Absurd) && !t.action.has(Letter::Limits)
    };
    late || (0..MAX_ROBOTS).any(absurd)
}

fn fault_stops(t: &Transition<'_>) -> bool {
    let (from, to) = states(t);
    if !is_open(from) {
        return !sensor_fault(t) || !is_open(to);
    }
    !(sensor_fault(t) || open_fault(t) || pressed(t)) || !is_open(to)
}

fn estop_wins(t: &Transition<'_>) -> bool {
    !pressed(t) || t.after.state.state() == SafetyState::Estop
}

fn at_rest(t: &Transition<'_>) -> bool {
    let rest = t.config.tolerances().rest_rad_s;
    let robots = inspect::robots(&t.before.state);
    let measured =
        t.inputs.robots.iter().all(|input| input.joints.is_some_and(|joints| joints.qd.amax() <= rest));
    measured && robots.iter().all(|robot| robot.output().amax() <= rest)
}

fn estop_held(t: &Transition<'_>) -> bool {
    let (from, to) = states(t);
    if from != SafetyState::Estop || to == SafetyState::Estop {
        return true;
    }
    let asked = t.inputs.reset == Some(ResetRequest { epoch: asked_epoch(t) });
    to == SafetyState::Ready && granted(t) && asked && !pressed(t) && !sensor_fault(t) && at_rest(t)
}

/// The epoch that a reset must name: new limits of the same step have begun theirs.
fn asked_epoch(t: &Transition<'_>) -> u64 {
    t.before.state.epoch() + u64::from(t.before.limits != t.after.limits)
}

fn latched(t: &Transition<'_>) -> bool {
    let (from, to) = states(t);
    if is_open(from) || from == to || granted(t) || depth(to) > depth(from) {
        return true;
    }
    let hold = t.config.in_force().cell.release_after_s;
    let quiet = inspect::clear_since(&t.before.state).is_some_and(|since| age(t.now, Some(since)) >= hold);
    // With a hold of no time at all the step that finds nothing wrong is the first and the last.
    from == SafetyState::Stop2 && to == SafetyState::Ready && hold.is_finite() && quiet && !sensor_fault(t)
}

fn never_milder(t: &Transition<'_>) -> bool {
    let (from, to) = states(t);
    !(from.is_stop() && to.is_stop()) || depth(to) >= depth(from)
}

fn still(t: &Transition<'_>) -> bool {
    t.verdict.robots.iter().all(|robot| robot.velocity.amax() <= t.config.tolerances().rest_rad_s)
}

fn reset_to_ready(t: &Transition<'_>) -> bool {
    !ended_a_stop(t) || t.after.state.state() == SafetyState::Ready && still(t)
}

fn reset_of_epoch(t: &Transition<'_>) -> bool {
    let Some(request) = t.inputs.reset else { return t.verdict.reset.is_none() };
    let moves = t.before.state.state().moves() && t.before.limits == t.after.limits;
    !granted(t) || request.epoch == asked_epoch(t) && !moves
}

fn epoch_grows(t: &Transition<'_>) -> bool {
    let (before, after) = (t.before.state.epoch(), t.after.state.epoch());
    let reset = ended_a_stop(t) && granted(t);
    after == before + u64::from(reset) + u64::from(t.before.limits != t.after.limits)
}

fn strange_commands(t: &Transition<'_>) -> bool {
    let (before, after) = (inspect::robots(&t.before.state), inspect::robots(&t.after.state));
    (0..MAX_ROBOTS).all(|i| {
        let strange = [Command::OldEpoch, Command::OtherArtifact];
        let strange = strange.iter().any(|command| t.action.has(Letter::Command(i, *command)));
        !strange || after[i].target().amax() == 0.0 || after[i].target_since() == before[i].target_since()
    })
}

/// A valid motion or gripper command came with this step.
fn commanded(t: &Transition<'_>) -> bool {
    let epoch = asked_epoch(t);
    t.inputs.robots.iter().any(|input| {
        let motion = input.command.is_some_and(|command| command.epoch == epoch && command.artifact_matches);
        let gripper = input.gripper.is_some_and(|gripper| gripper.epoch == epoch && gripper.artifact_matches);
        motion || gripper
    })
}

fn run_needs_command(t: &Transition<'_>) -> bool {
    let (from, to) = states(t);
    from.moves() || !to.moves() || from == SafetyState::Ready && commanded(t)
}

fn start_denies(t: &Transition<'_>) -> bool {
    let (from, to) = states(t);
    from != SafetyState::Deny || !to.moves() && (to != SafetyState::Ready || granted(t) && !sensor_fault(t))
}

fn speeds_up(t: &Transition<'_>, robot: usize) -> bool {
    let (before, after) =
        (inspect::robots(&t.before.state)[robot].output(), t.verdict.robots[robot].velocity);
    before
        .iter()
        .zip(&after)
        .any(|(before, after)| after.abs() > before.abs() + 1e-12 || before * after < 0.0)
}

fn presence_missing(t: &Transition<'_>) -> bool {
    let humans = &t.config.in_force().humans;
    let sample = t.inputs.presence[0].filter(|sample| !sample.range_m.is_nan());
    let there = age(t.now, sample.map(|sample| sample.sent)) <= humans.timeout_s;
    !humans.is_monitored() || there || (0..MAX_ROBOTS).all(|i| !speeds_up(t, i))
}

fn velocity_capped(t: &Transition<'_>) -> bool {
    t.verdict.robots.iter().zip(&t.config.ceiling().robots).all(|(robot, limits)| {
        // Joints that are not there have a limit of zero.
        robot.velocity.iter().zip(&limits.joints.velocity).all(|(v, limit)| v.abs() <= limit * (1.0 + 1e-12))
    })
}

fn acceleration_capped(t: &Transition<'_>) -> bool {
    let first = t.before.state.cycle() == 0;
    let passed = if first { 0.0 } else { t.now.since(last_step(t)).as_secs_f64() };
    let dt = passed.min(2.0 * PERIOD.as_secs_f64());
    let before = inspect::robots(&t.before.state);
    t.verdict.robots.iter().zip(&before).zip(&t.config.ceiling().robots).all(|((robot, before), limits)| {
        let change = robot.velocity - before.output();
        change
            .iter()
            .zip(&limits.joints.acceleration)
            .all(|(change, limit)| change.abs() <= limit * dt + 1e-12)
    })
}

fn permit_zero(t: &Transition<'_>) -> bool {
    let moves = t.after.state.state().moves();
    t.verdict.robots.iter().all(|robot| (0.0..=1.0).contains(&robot.scale) && (moves || robot.scale == 0.0))
}

fn stop_slows(t: &Transition<'_>) -> bool {
    let passes = t.after.state.state().moves();
    let braked = |i: usize| {
        let before = inspect::robots(&t.before.state)[i].output();
        let now = t.verdict.robots[i].velocity;
        // A step that takes time takes speed away.
        let passed = t.now > last_step(t);
        now.amax() < before.amax() || before.amax() == 0.0 || !passed
    };
    passes || (0..MAX_ROBOTS).all(|i| !speeds_up(t, i) && braked(i))
}

fn stop_lets_go(t: &Transition<'_>) -> bool {
    let (before, after) = (inspect::robots(&t.before.state), inspect::robots(&t.after.state));
    is_open(t.after.state.state())
        || before.iter().zip(&after).all(|(before, after)| {
            after.target().amax() == 0.0
                && after.target_since().is_none()
                && after.gripper() == before.gripper()
        })
}

fn cause_shown(t: &Transition<'_>) -> bool {
    let state = t.after.state.state();
    let start_up = t.verdict.cause.is_some_and(|cause| cause.kind == CauseKind::StartUp);
    t.verdict.cause.is_none() == is_open(state) && (!start_up || state == SafetyState::Deny)
}

fn answer_is_state(t: &Transition<'_>) -> bool {
    let (state, verdict): (&State, _) = (&t.after.state, t.verdict);
    let cycle = state.cycle() == t.before.state.cycle() + 1 && state.cycle() == verdict.cycle;
    let told = verdict.state == state.state()
        && verdict.epoch == state.epoch()
        && verdict.cause.as_ref() == state.cause();
    cycle && told && (verdict.changed || verdict.state == t.before.state.state())
}

fn repeatable(t: &Transition<'_>) -> bool {
    if t.action.letters[1].is_some() {
        return true;
    }
    let again = step(t.config, &t.before.state, t.inputs, t.now);
    // Numbers that are none compare unequal to themselves; as text they do not.
    again == (t.after.state, *t.verdict)
        || format!("{again:?}") == format!("{:?}", (t.after.state, *t.verdict))
}
