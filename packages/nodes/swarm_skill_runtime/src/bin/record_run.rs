//! `ros2 run swarm_skill_runtime record_run --out run.jsonl`
//!
//! Writes what the safety monitor and the skill runtime say into a log of JSON lines (`swarm_run_log`), each flushed at once, so that
//! whatever ends the recording leaves a log. It ends with Ctrl-C, or with the run if `--until-run-ends` is given.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use futures::FutureExt as _;
use futures::StreamExt as _;
use r2r::std_msgs::msg::Bool;
use r2r::swarm_msgs::msg::{PartPoses, RuntimeStatus, SafetyStatus};
use swarm_base::Shutdown;
use swarm_ros::arguments::Arguments;
use swarm_ros::{CellFile, CommandNode, qos};
use swarm_run_log::{
    Event, FORMAT, Line, Outcome, Record, RobotInfo, RoleState, RunHeader, RunResult, StatusState,
};
use swarm_skill_core::{MeanPose, tip_in_pocket};
use swarm_skill_runtime::messages;

/// Records a run for the report.
#[derive(Debug, Parser)]
#[command(name = "record_run")]
struct Options {
    /// The log; an existing file is replaced.
    #[arg(long)]
    out: PathBuf,
    /// The cell's declaration.
    #[arg(long, default_value = "config/cell.yaml")]
    cell: PathBuf,
    /// Seed of a simulated cell's part poses.
    #[arg(long)]
    seed: Option<u64>,
    /// The cell is a real one, not a simulated one.
    #[arg(long, conflicts_with = "seed")]
    real: bool,
    /// Age of a permit at which the drivers of this run stop, s; the declared one if left out.
    #[arg(long)]
    permit_timeout: Option<f64>,
    /// End when a run has ended.
    #[arg(long)]
    until_run_ends: bool,
}

fn main() -> ExitCode {
    let options = Options::parse_from(Arguments::of_process().own);
    match record(&options) {
        Ok(lines) => {
            println!("{lines} lines in {}", options.out.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("record_run: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn record(options: &Options) -> anyhow::Result<u64> {
    let interrupted = Shutdown::new();
    swarm_ros::request_shutdown_on_signals(&interrupted).context("cannot listen for Ctrl-C")?;
    let cell = CellFile::read(&options.cell)?;
    let mut log = Log::create(&options.out)?;
    log.write(Record::Run(header(options, &cell)))?;

    let mut node = CommandNode::create("record_run")?;
    let mut safety = node.node.subscribe::<SafetyStatus>("/safety_monitor", qos::LATCHED_BACKLOG)?;
    let mut runtime = node.node.subscribe::<RuntimeStatus>("/skill_runtime/status", qos::LATCHED)?;
    let mut stops = node.node.subscribe::<Bool>("/emergency_stop", qos::STOP_BEST_EFFORT)?;
    let mut parts = node.node.subscribe::<PartPoses>("/part_poses", qos::SENSOR_BACKLOG)?;
    let mut run = ObservedRun::default();
    while !(interrupted.is_requested() || options.until_run_ends && run.has_ended()) {
        node.node.spin_once(Duration::from_millis(10));
        while let Some(Some(message)) = safety.next().now_or_never() {
            log.write(Record::Status(status(&message)))?;
        }
        while let Some(Some(message)) = stops.next().now_or_never() {
            let text = if message.data { "pressed" } else { "let go; the latch stays" };
            log.write(Record::Event(Event { name: "emergency_stop".into(), text: text.into() }))?;
        }
        while let Some(Some(message)) = parts.next().now_or_never() {
            run.see(&message);
        }
        while let Some(Some(message)) = runtime.next().now_or_never() {
            let news = runtime_status(&message);
            for event in run.hear(&news, log.elapsed_s()) {
                log.write(Record::Event(event))?;
            }
            log.write(Record::Runtime(news))?;
        }
    }
    if let Some(result) = run.result() {
        log.write(Record::Result(result))?;
    }
    Ok(log.lines)
}

/// The file, with the time since it was made.
struct Log {
    file: File,
    path: PathBuf,
    started: Instant,
    lines: u64,
}

impl Log {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot create the log {}", path.display()))?;
        Ok(Self { file, path: path.to_owned(), started: Instant::now(), lines: 0 })
    }

    fn elapsed_s(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// One line in one write: it is in the operating system's hands before the next one begins.
    fn write(&mut self, record: Record) -> anyhow::Result<()> {
        let mut text = Line { t_s: self.elapsed_s(), record }.to_json();
        text.push('\n');
        self.lines += 1;
        self.file
            .write_all(text.as_bytes())
            .with_context(|| format!("cannot write to {}", self.path.display()))
    }
}

/// The last run that was seen on the status.
#[derive(Default)]
struct ObservedRun {
    trace_id: String,
    deployed: String,
    started_s: Option<f64>,
    ended: Option<(f64, Outcome, String)>,
    /// Tip in pocket as the cameras see it since the roles are done with it.
    seated: MeanPose,
}

impl ObservedRun {
    fn hear(&mut self, status: &swarm_run_log::Runtime, now_s: f64) -> Vec<Event> {
        let mut events = Vec::new();
        let deployed = format!("{} {}", status.skill, status.version);
        if !status.skill.is_empty() && deployed != self.deployed {
            events.push(Event { name: "deploy".into(), text: format!("{deployed} is in force") });
            self.deployed = deployed;
        }
        if status.running && (self.started_s.is_none() || status.trace_id != self.trace_id) {
            *self = Self {
                deployed: self.deployed.clone(),
                trace_id: status.trace_id.clone(),
                started_s: Some(now_s),
                ..Self::default()
            };
            events.push(Event { name: "execute".into(), text: format!("run {} starts", status.trace_id) });
        }
        if let (false, Some(started_s), None) = (status.running, self.started_s, &self.ended) {
            let (outcome, message) = outcome_of(status);
            self.ended = Some((now_s - started_s, outcome, message));
        }
        events
    }

    fn see(&mut self, message: &PartPoses) {
        let pose = |name: &str| {
            message.parts.iter().find(|part| part.part == name).and_then(|part| messages::pose(&part.pose))
        };
        if let (true, Some(pocket), Some(tip)) = (self.started_s.is_some(), pose("part_a"), pose("part_b")) {
            let tip = tip_in_pocket(&pocket, &tip);
            // From where the tip is in the pocket on (below its mouth and within its edges), the mean of all sightings takes the
            // camera's noise away.
            if tip.translation.z < -0.015 && tip.translation.vector.xy().amax() < 0.010 {
                self.seated.add(&tip);
            }
        }
    }

    fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    fn result(&self) -> Option<RunResult> {
        let (duration_s, outcome, message) = self.ended.clone()?;
        let mut figures = BTreeMap::new();
        if let Some(seated) = self.seated.get() {
            figures.insert("seen_insertion_depth_mm".to_owned(), -seated.translation.z * 1e3);
            figures.insert("seen_offset_mm".to_owned(), seated.translation.vector.xy().norm() * 1e3);
        }
        Some(RunResult { outcome, message, duration_s, figures })
    }
}

fn outcome_of(status: &swarm_run_log::Runtime) -> (Outcome, String) {
    let with = |state: RoleState| status.roles.iter().find(move |role| role.state == state);
    if let Some(role) = with(RoleState::Canceled) {
        return (Outcome::Canceled, role.message.clone());
    }
    if let Some(role) = with(RoleState::Aborted) {
        return (Outcome::Aborted, role.message.clone());
    }
    let all_done =
        !status.roles.is_empty() && status.roles.iter().all(|role| role.state == RoleState::Succeeded);
    if all_done {
        (Outcome::Succeeded, String::new())
    } else {
        (Outcome::Aborted, "the run's end was not seen".into())
    }
}

fn header(options: &Options, cell: &CellFile) -> RunHeader {
    let config = &cell.config;
    let simulator = config.nodes.iter().find(|node| node.simulation_only);
    let declared_us = simulator
        .and_then(|node| node.parameters.get("permit_timeout_us"))
        .and_then(serde_json::Value::as_f64);
    let permit_timeout_default_s = declared_us.unwrap_or(20_000.0) * 1e-6;
    let robots = config.robots.iter().map(|robot| RobotInfo {
        name: robot.name.clone(),
        model: robot.model.to_string(),
        role: config.role_of(&robot.name).map(|role| role.to_string()).unwrap_or_default(),
    });
    RunHeader {
        format: FORMAT,
        cell: config.cell.clone(),
        started_utc: utc(swarm_store::unix_now()),
        seed: options.seed,
        simulated: !options.real,
        permit_timeout_s: options.permit_timeout.unwrap_or(permit_timeout_default_s),
        permit_timeout_default_s,
        machine: machine(),
        robots: robots.collect(),
    }
}

fn status(message: &SafetyStatus) -> swarm_run_log::Status {
    let robots = message.robots.iter().map(|robot| swarm_run_log::RobotSafety {
        robot: robot.robot.clone(),
        speed_scale: robot.speed_scale,
        tcp_speed: robot.tcp_speed,
        tcp_speed_limit: robot.tcp_speed_limit,
        contact_force: robot.contact_force,
        contact_force_limit: robot.contact_force_limit,
        separation: robot.separation,
        separation_limit: robot.separation_limit,
        joint_velocity_ratio: robot.joint_velocity_ratio,
        input_age: robot.input_age,
    });
    swarm_run_log::Status {
        state: StatusState::from_constant(message.state).unwrap_or_default(),
        cause: message.cause.clone(),
        detail: message.detail.clone(),
        robot: message.robot.clone(),
        joint: message.joint.clone(),
        value: message.value,
        limit: message.limit,
        skill: message.skill.clone(),
        artifact: message.artifact.clone(),
        trace_id: message.trace_id.clone(),
        epoch: message.epoch,
        cycle: message.cycle,
        cause_cycle: message.cause_cycle,
        real_time: message.real_time,
        robots: robots.collect(),
    }
}

fn runtime_status(message: &RuntimeStatus) -> swarm_run_log::Runtime {
    let roles = message.roles.iter().map(|role| swarm_run_log::RoleProgress {
        role: role.role.clone(),
        robot: role.robot.clone(),
        phase: role.phase.clone(),
        progress: role.progress,
        state: RoleState::from_constant(role.state).unwrap_or_default(),
        message: role.message.clone(),
    });
    swarm_run_log::Runtime {
        skill: message.skill.clone(),
        version: message.version.clone(),
        artifact: message.artifact.clone(),
        last_good: message.last_good.clone(),
        trace_id: message.trace_id.clone(),
        running: message.running,
        roles: roles.collect(),
    }
}

/// Processor and kernel, as far as Linux tells.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let models: Vec<_> = cpus
        .lines()
        .filter_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name))
        .collect();
    format!(
        "{} x {}, Linux {}",
        models.len(),
        models.first().unwrap_or(&"processor"),
        read("/proc/sys/kernel/osrelease").trim()
    )
}

/// RFC 3339 of seconds since 1970. The calendar is Howard Hinnant's `civil_from_days` (chrono-compatible low-level date algorithms).
fn utc(unix: i64) -> String {
    let (days, seconds) = (unix.div_euclid(86_400), unix.rem_euclid(86_400));
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_rfc_3339() {
        for (unix, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_240_859, "2026-11-21T06:00:59Z"),
        ] {
            assert_eq!(utc(unix), text);
        }
    }
}
