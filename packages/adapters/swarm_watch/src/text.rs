//! One view as lines: for scripts, logs, and people without a terminal.

use std::fmt::Write as _;

use swarm_view::{Against, CellView, LeaseView, RobotView, RoleView};

/// The whole view.
pub fn lines(view: &CellView) -> String {
    let mut out = String::new();
    let skill = or_none(&view.skill);
    let run = match (view.run.as_str(), view.running) {
        ("", _) => "no run yet".to_owned(),
        (run, true) => format!("run {run} is on"),
        (run, false) => format!("run {run} has ended"),
    };
    let _ = writeln!(out, "skill {skill}, {run}");
    for role in &view.roles {
        let _ = writeln!(
            out,
            "{:<9} {:<12} {:<9} {:>4.0} %  {}",
            role.role,
            role.robot,
            role.activity.as_str(),
            role.progress * 100.0,
            doing(role, view)
        );
    }
    for lease in &view.leases {
        let _ = writeln!(out, "lease {}: {}", lease.resource, held(lease));
    }
    let _ = writeln!(out, "{}", safety(view));
    for robot in &view.safety.robots {
        let _ = writeln!(out, "  {:<12} {}", robot.robot, against_limits(robot));
    }
    out
}

/// What a role does, or for whom or why it does not.
pub fn doing(role: &RoleView, view: &CellView) -> String {
    let phase = if role.phase.is_empty() { String::new() } else { format!("[{}] ", role.phase) };
    let asked = view.leases.iter().find(|lease| lease.waiting.contains(&role.role));
    let what = match (&role.barrier, role.message.as_str(), asked) {
        (Some(barrier), ..) if barrier.waits_for.is_empty() => format!("enters {}", barrier.phase),
        (Some(barrier), ..) => format!("waits at {} for {}", barrier.phase, barrier.waits_for.join(", ")),
        (None, "", Some(lease)) if lease.holder.is_empty() => format!("asks for {}", lease.resource),
        (None, "", Some(lease)) => format!("waits for {}, held by {}", lease.resource, lease.holder),
        (None, "", None) => role.leaves.join(" | "),
        (None, message, _) => message.to_owned(),
    };
    (phase + &what).trim_end().to_owned()
}

/// Who holds a lease with which token, and who waits.
pub fn held(lease: &LeaseView) -> String {
    let holder = match lease.holder.as_str() {
        "" => "free".to_owned(),
        holder => format!("held by {holder}, token {}", lease.token_text()),
    };
    let waiting = lease.waiting.join(", ");
    if waiting.is_empty() { holder } else { format!("{holder}; waiting: {waiting}") }
}

/// The safety monitor's state as a sentence.
pub fn safety(view: &CellView) -> String {
    let safety = &view.safety;
    let Some(age_s) = safety.age_s else {
        return "safety monitor: never heard".to_owned();
    };
    let silent = if age_s > 0.5 { format!(", silent for {age_s:.1} s") } else { String::new() };
    let cause = match (safety.cause.as_str(), safety.detail.as_str()) {
        ("", _) => String::new(),
        (cause, "") => format!(": {cause}"),
        (cause, detail) => format!(": {cause} ({detail})"),
    };
    format!("safety {} epoch {}{silent}{cause}", safety.state, safety.epoch)
}

fn against_limits(robot: &RobotView) -> String {
    format!(
        "speed {}  force {}  separation {}  permit {:.0} %",
        figure(robot.tcp_speed, "m/s", 2),
        figure(robot.contact_force, "N", 1),
        figure(robot.separation, "m", 2),
        robot.speed_scale * 100.0
    )
}

/// Value and limit, as `0.12 / 0.25 m/s`; a dash for what is not known or not monitored.
pub fn figure(against: Against, unit: &str, decimals: usize) -> String {
    let number =
        |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}"));
    format!("{} / {} {unit}", number(against.value), number(against.limit))
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}
