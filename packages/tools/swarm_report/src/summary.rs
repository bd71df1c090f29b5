//! The run in a few lines for the terminal: how it ended, under which conditions, nearest to which limits, every stop.

use std::fmt::Write as _;

use swarm_plot::short;

use crate::run::{Extreme, Run};

/// Text that ends with a line end.
pub fn summary(run: &Run) -> String {
    let mut out = String::new();
    // Writing into a string never fails.
    write(&mut out, run).expect("a string takes everything");
    out
}

fn write(out: &mut String, run: &Run) -> std::fmt::Result {
    let skill = if run.skill.is_empty() { "no skill heard" } else { &run.skill };
    write!(out, "{skill}: {}", run.outcome())?;
    if let Some(result) = &run.result {
        write!(out, " in {:.1} s", result.duration_s)?;
        if !result.message.is_empty() {
            write!(out, ", {}", result.message)?;
        }
    }
    writeln!(out)?;
    let header = run.header.clone().unwrap_or_default();
    let or_unknown = |text: &str| if text.is_empty() { "unknown".to_owned() } else { text.to_owned() };
    let seed = header.seed.map_or_else(|| "none".to_owned(), |seed| seed.to_string());
    writeln!(out, "  cell {}   seed {seed}   run {}", or_unknown(&header.cell), or_unknown(&run.trace_id))?;
    writeln!(out, "  artifact {}", or_unknown(&run.artifact))?;
    if !run.robots.is_empty() {
        writeln!(out, "  {:<12} {:<9} {:<20} {:<20} separation", "robot", "role", "speed", "force")?;
    }
    for robot in &run.robots {
        let most = |at: Option<Extreme>, unit| {
            at.map_or("unknown".to_owned(), |at| format!("{} of {} {unit}", short(at.value), short(at.limit)))
        };
        let least = robot.closest().map_or("unknown".to_owned(), |at| {
            format!("{} m, at least {}", short(at.value), short(at.limit))
        });
        let (speed, force) = (most(robot.fastest(), "m/s"), most(robot.strongest(), "N"));
        writeln!(out, "  {:<12} {:<9} {speed:<20} {force:<20} {least}", robot.name, robot.role)?;
    }
    if run.stops.is_empty() {
        writeln!(out, "  no stop")?;
    }
    for (index, stop) in run.stops.iter().enumerate() {
        let status = &stop.status;
        let detail = if status.detail.is_empty() { "no detail given" } else { &status.detail };
        writeln!(
            out,
            "  stop {} at {:.2} s: {} ({}): {detail}",
            index + 1,
            stop.from_s,
            status.state,
            or_unknown(&status.cause)
        )?;
    }
    for notice in &run.notices {
        writeln!(out, "  note: {}", notice.0)?;
    }
    Ok(())
}
