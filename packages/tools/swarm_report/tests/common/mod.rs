//! A run made up by formula, so that every figure the report must show is known here.

use std::collections::BTreeMap;

use swarm_run_log::{
    Event, FORMAT, Line, Outcome, Record, RobotInfo, RobotSafety, RoleProgress, RoleState, RunHeader,
    RunResult, Runtime, Status, StatusState,
};

pub(crate) const ROBOTS: [(&str, &str, &str); 3] =
    [("ur5e_left", "ur5e", "leader"), ("ur5e_right", "ur5e", "follower"), ("panda", "panda", "spotter")];
/// First second of each phase; the last one is the end.
const PHASES: [(&str, f64); 7] = [
    ("approach", 2.0),
    ("grasp", 6.0),
    ("carry", 8.5),
    ("align", 14.0),
    ("insert", 19.0),
    ("retreat", 24.0),
    ("", 28.0),
];
pub(crate) const SPEED_LIMIT: f64 = 0.25;
pub(crate) const FORCE_LIMIT: f64 = 60.0;
pub(crate) const SEPARATION_LIMIT: f64 = 0.05;
/// The highest force, at one single status.
pub(crate) const PEAK_FORCE: (f64, f64) = (21.0, 18.4);

pub(crate) fn header() -> RunHeader {
    RunHeader {
        format: FORMAT,
        cell: "demo_bench".into(),
        started_utc: "2026-11-21T03:40:00Z".into(),
        seed: Some(7),
        simulated: true,
        permit_timeout_s: 0.1,
        permit_timeout_default_s: 0.02,
        machine: "2 cores, Linux 6.18".into(),
        robots: ROBOTS
            .iter()
            .map(|(name, model, role)| RobotInfo {
                name: (*name).into(),
                model: (*model).into(),
                role: (*role).into(),
            })
            .collect(),
    }
}

fn line(t_s: f64, record: Record) -> Line {
    Line { t_s, record }
}

fn event(t_s: f64, name: &str, text: &str) -> Line {
    line(t_s, Record::Event(Event { name: name.into(), text: text.into() }))
}

fn state_at(t: f64) -> StatusState {
    match t {
        _ if t < 1.0 => StatusState::Deny,
        _ if t < 2.0 => StatusState::Ready,
        _ if (11.0..12.0).contains(&t) => StatusState::Stop2,
        _ if (15.0..17.0).contains(&t) => StatusState::Slow,
        _ if t < 28.0 => StatusState::Run,
        _ => StatusState::Ready,
    }
}

fn phase_at(t: f64) -> &'static str {
    PHASES.iter().rev().find(|(_, from)| t >= *from).map_or("", |(phase, _)| phase)
}

pub(crate) fn status_at(t: f64) -> Status {
    let state = state_at(t);
    let moving = matches!(state, StatusState::Run | StatusState::Slow);
    let scale = if state == StatusState::Slow { 0.4 } else { 1.0 };
    let robots = ROBOTS.iter().zip([1.0, 0.8, 0.35]).map(|((name, ..), share)| {
        let insert = phase_at(t) == "insert" && share < 1.0 && share > 0.5;
        let peak = insert && (t - PEAK_FORCE.0).abs() < 1e-6;
        RobotSafety {
            robot: (*name).into(),
            speed_scale: if moving { scale } else { 0.0 },
            tcp_speed: if moving { 0.2 * share * scale * (t * 0.8).sin().abs() } else { 0.0 },
            tcp_speed_limit: SPEED_LIMIT,
            contact_force: if peak {
                PEAK_FORCE.1
            } else {
                1.0 + share + if insert { 8.0 * (t * 3.0).sin().abs() } else { 0.3 * (t * 7.0).sin() }
            },
            contact_force_limit: FORCE_LIMIT,
            separation: 0.3 + 0.22 * (t * 0.22).cos() + 0.05 * share,
            separation_limit: SEPARATION_LIMIT,
            joint_velocity_ratio: if moving { 0.4 * share } else { 0.0 },
            input_age: 0.004,
        }
    });
    let stop = state == StatusState::Stop2;
    Status {
        state,
        cause: if stop { "separation".into() } else { String::new() },
        detail: if stop {
            "ur5e_right forearm is 0.041 m from panda hand, at least 0.05 m are required; move them apart and reset".into()
        } else {
            String::new()
        },
        robot: if stop { "ur5e_right".into() } else { String::new() },
        joint: if stop { "forearm - panda hand".into() } else { String::new() },
        value: if stop { 0.041 } else { 0.0 },
        limit: if stop { 0.05 } else { 0.0 },
        skill: "cooperative_assembly@1.0.0".into(),
        artifact: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into(),
        trace_id: "run-7f3a".into(),
        epoch: 1,
        cycle: (t * 500.0) as u64,
        robots: robots.collect(),
        ..Status::default()
    }
}

fn runtime_at(t: f64) -> Runtime {
    let state = match t {
        _ if t < 2.0 => RoleState::Idle,
        _ if (11.0..12.6).contains(&t) => RoleState::Holding,
        _ if t < 28.0 => RoleState::Running,
        _ => RoleState::Succeeded,
    };
    Runtime {
        skill: "cooperative_assembly".into(),
        version: "1.0.0".into(),
        trace_id: "run-7f3a".into(),
        running: (2.0..28.0).contains(&t),
        roles: ROBOTS
            .iter()
            .map(|(robot, _, role)| RoleProgress {
                role: (*role).into(),
                robot: (*robot).into(),
                phase: phase_at(t).into(),
                progress: ((t - 2.0) / 26.0).clamp(0.0, 1.0),
                state,
                message: if state == RoleState::Holding {
                    "the safety monitor stopped the cell".into()
                } else {
                    String::new()
                },
            })
            .collect(),
        ..Runtime::default()
    }
}

/// A run of 29 s with one protective stop at 11 s, slow from 15 to 17 s.
pub(crate) fn run_with_one_stop() -> Vec<Line> {
    let mut lines = vec![line(0.0, Record::Run(header()))];
    for tick in 0..=29 * 20 {
        let t = f64::from(tick) * 0.05;
        if tick % 2 == 0 {
            lines.push(line(t, Record::Runtime(runtime_at(t))));
        }
        lines.push(line(t, Record::Status(status_at(t))));
    }
    lines.extend([
        event(0.2, "deploy", "cooperative_assembly 1.0.0, verified with 2 of 2 signatures"),
        event(1.0, "reset", "by the demo, epoch 1"),
        event(2.0, "execute", "all roles"),
        event(12.0, "reset", "released by itself: the arms are apart again"),
    ]);
    lines.sort_by(|a, b| a.t_s.total_cmp(&b.t_s));
    lines.push(line(
        29.0,
        Record::Result(RunResult {
            outcome: Outcome::Succeeded,
            message: "part B is seated".into(),
            duration_s: 26.0,
            figures: BTreeMap::from([("insertion_depth_mm".into(), 12.0), ("lateral_error_mm".into(), 0.31)]),
        }),
    ));
    lines
}

pub(crate) fn text(lines: &[Line]) -> String {
    lines.iter().map(|line| line.to_json() + "\n").collect()
}
