//! What the gate reports of itself in `/diagnostics`.

use swarm_base::{Clock as _, Time};
use swarm_black_box::Hex;
use swarm_black_box_file::Health;
use swarm_ros::diagnostics::{Level, Report};
use swarm_rt::KernelClock;

use crate::board::{Board, Status};

/// The deciding and the publishing thread, since the last report.
pub fn gate(board: &Board) -> Report {
    gate_of(&board.look())
}

/// The black box, now.
pub fn black_box(health: &Health) -> Report {
    black_box_at(health, KernelClock.now())
}

fn gate_of(status: &Status) -> Report {
    let report = if !status.lost.is_empty() {
        Report::new(Level::Error, format!("real time is lost: {}", status.lost.join("; ")))
    } else if status.state.is_stop() {
        Report::new(Level::Error, status.state.name())
    } else {
        Report::ok(status.state.name())
    };
    report
        .with("epoch", status.epoch)
        .with("cycle", status.cycle)
        .with("real_time", status.real_time)
        .with("degraded", status.degraded)
        .with("lost_cycles", status.lost_cycles)
        .with("overruns", status.overruns)
        .with("longest_gap_ms", format!("{:.3}", status.longest_gap.as_secs_f64() * 1e3))
        .with("refused_commands", status.refused_commands)
        .with("publish_failures", status.publish_failures)
}

fn black_box_at(health: &Health, now: Time) -> Report {
    let status = health.status();
    let report = match &status.trouble {
        Some(trouble) => Report::new(Level::Error, trouble),
        None if health.is_failing(now) => Report::new(
            Level::Error,
            "not everything is recorded: the disk is too slow, or the recording thread has ended",
        ),
        None if status.lost_cycles + status.not_taken > 0 => Report::new(Level::Warn, "cycles are missing"),
        None if status.file.is_some() => Report::ok("recording"),
        None => Report::ok("ready"),
    };
    let seal = status.last_seal.map_or_else(String::new, |seal| Hex(&seal).to_string());
    report
        .with("file", status.file.clone().unwrap_or_default())
        .with("files", status.files)
        .with("bytes", status.bytes)
        .with("lost_cycles", status.lost_cycles)
        .with("not_taken_cycles", status.not_taken)
        .with("last_seal", seal)
}

#[cfg(test)]
mod tests {
    use swarm_base::Duration;
    use swarm_black_box_file::OnDiskFailure;

    use super::*;

    // SR-22
    #[test]
    fn cycles_that_found_no_way_to_the_recorder_are_an_error_and_then_stay_counted() {
        let health = Health::new(OnDiskFailure::Continue, Duration::from_millis(1_000));
        let look = |now| {
            let report = black_box_at(&health, now);
            let count = report.values.iter().find(|(name, _)| name == "not_taken_cycles").unwrap().1.clone();
            (report.level, count)
        };
        assert_eq!(look(Time::ZERO), (Level::Ok, "0".to_owned()));
        health.lose(Time::ZERO);
        health.lose(Time::ZERO);
        assert_eq!(look(Time::ZERO), (Level::Error, "2".to_owned()));
        assert_eq!(look(Time::from_millis(1_000)), (Level::Warn, "2".to_owned()));
    }
}
