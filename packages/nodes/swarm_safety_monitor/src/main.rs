//! `ros2 run swarm_safety_monitor swarm_safety_monitor`: the safety gate. See the crate's page.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use swarm_base::{Duration, MonotonicClock};
use swarm_cell::RobotConfig;
use swarm_ros::diagnostics::{Level, Report};
use swarm_ros::{CellFile, Managed, NodeShell, Parameter, ParameterSpec, ShellError, qos};
use swarm_safety_core::{Config, Timing, Tolerances};
use swarm_safety_monitor::cycle::{self, Deciding, Gate};
use swarm_safety_monitor::envelopes::Envelopes;
use swarm_safety_monitor::intake::{Intake, StampTolerance};
use swarm_safety_monitor::outputs::Outputs;
use swarm_safety_monitor::setup::SetupError;
use swarm_safety_monitor::{services, setup};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("swarm_safety_monitor: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let mut shell = NodeShell::create("safety_monitor")?;
    let cell = CellFile::from_parameter(&shell)?;
    let parameters = GateParameters::declare(&shell, &cell);
    shell.check_parameters()?;

    let schedule = setup::node(&cell, "safety_monitor")?.schedule.clone();
    let timing = parameters.timing(schedule.period_us);
    let config = setup::sources(&cell)?.config(timing, Tolerances::default()).map_err(SetupError::from)?;
    let flanges: Vec<String> = cell.config.robots.iter().map(RobotConfig::flange_frame).collect();
    let clock = MonotonicClock::new();
    let tolerance = StampTolerance { future_s: seconds(&parameters.stamp_tolerance_us) };
    let intake = Arc::new(Intake::new(&config, &flanges, tolerance, clock));
    let outputs = Outputs::create(&mut shell, &config, micros(&parameters.permit_period_us))?;
    listen(&mut shell, &config, &intake)?;

    let envelopes = Envelopes {
        store: PathBuf::from(parameters.artifact_store.get()),
        trust_file: PathBuf::from(parameters.trust_file.get()),
        roles: swarm_safety_setup::roles(&cell.config),
    };
    let gate = Gate {
        config,
        first_epoch: first_epoch(),
        schedule,
        intake: Arc::clone(&intake),
        outputs,
        clock,
        lifecycle: shell.lifecycle(),
        shutdown: shell.shutdown(),
    };
    let (deciding, thread) = cycle::start(gate).context("cannot start the deciding thread")?;
    services::serve_reset(&mut shell, deciding.clone(), intake)?;
    services::serve_load_envelope(&mut shell, deciding.clone(), envelopes)?;
    shell.diagnostics().add("gate", move || report(&deciding));

    let result = shell.spin_managed(GateLifecycle);
    // The thread ends within one period of the shutdown request; a panic in it has been printed where it happened.
    let _ = thread.join();
    Ok(result?)
}

/// Nothing to build or to give up: the deciding thread follows the life cycle's state, and an inactive gate is silent, which
/// stops the drivers.
struct GateLifecycle;

impl Managed for GateLifecycle {}

struct GateParameters {
    artifact_store: Parameter<String>,
    trust_file: Parameter<String>,
    permit_period_us: Parameter<i64>,
    stamp_tolerance_us: Parameter<i64>,
    reaction_us: Parameter<i64>,
    max_cycle_gap_us: Parameter<i64>,
}

impl GateParameters {
    fn declare(shell: &NodeShell, cell: &CellFile) -> Self {
        let integer = |name, default: i64, text, range| {
            shell.declare(ParameterSpec::<i64>::new(name, default).describe(text).range(range).read_only())
        };
        let artifacts = &cell.config.artifacts;
        Self {
            artifact_store: shell.declare(
                ParameterSpec::<String>::new("artifact_store", artifacts.store.clone())
                    .describe("Folder of the artifact store; default from cell.yaml")
                    .required()
                    .read_only(),
            ),
            trust_file: shell.declare(
                ParameterSpec::<String>::new("trust_file", artifacts.trust_file.clone())
                    .describe("File of the keys that this cell trusts; default from cell.yaml")
                    .required()
                    .read_only(),
            ),
            permit_period_us: integer(
                "permit_period_us",
                4_000,
                "Time between two permits, microseconds; drivers stop when they hear none for their time-out (20 ms)",
                1_000..=100_000,
            ),
            stamp_tolerance_us: integer(
                "stamp_tolerance_us",
                5_000,
                "How far the clocks of the cell's computers may disagree, microseconds",
                0..=1_000_000,
            ),
            reaction_us: integer(
                "reaction_us",
                16_000,
                "From a motion to the begin of braking, microseconds: age of the joint state, one period, the way to the drive; \
                 distances to limits are kept for it",
                1_000..=500_000,
            ),
            max_cycle_gap_us: integer(
                "max_cycle_gap_us",
                0,
                "Longest time between two decisions while robots move, microseconds, beyond which the cell stops; 0 = not \
                 watched, for machines without real-time scheduling",
                0..=1_000_000,
            ),
        }
    }

    fn timing(&self, period_us: u64) -> Timing {
        let gap = seconds(&self.max_cycle_gap_us);
        Timing {
            period_s: Duration::from_micros(period_us).as_secs_f64(),
            reaction_s: seconds(&self.reaction_us),
            max_cycle_gap_s: if gap > 0.0 { gap } else { f64::INFINITY },
        }
    }
}

/// Subscribes to everything that the gate hears.
fn listen(shell: &mut NodeShell, config: &Config, intake: &Arc<Intake>) -> Result<(), ShellError> {
    let heard = Arc::clone(intake);
    shell.subscribe("/joint_states", qos::SENSOR_BACKLOG, move |message| heard.joint_state(&message))?;
    for (index, arm) in config.arms().iter().enumerate() {
        let name = &arm.name;
        let heard = Arc::clone(intake);
        shell.subscribe(&format!("/{name}/wrench"), qos::SENSOR_BACKLOG, move |m| heard.wrench(index, &m))?;
        let heard = Arc::clone(intake);
        shell.subscribe(&format!("/{name}/skill_command"), qos::COMMAND_STREAM, move |m| {
            heard.command(index, &m);
        })?;
        let heard = Arc::clone(intake);
        shell.subscribe(&format!("/{name}/skill_gripper_command"), qos::COMMAND, move |m| {
            heard.gripper(index, &m);
        })?;
    }
    if config.ceiling().humans.is_monitored() {
        let heard = Arc::clone(intake);
        shell.subscribe("/human_presence", qos::SENSOR_BACKLOG, move |message| heard.presence(&message))?;
    }
    // A publisher matches a subscription only if it offers at least what that one asks for; between them these three hear
    // every publisher, and one that is heard twice stops the cell no less.
    for profile in [qos::STOP_RELIABLE, qos::STOP_BEST_EFFORT, qos::STOP_LATCHED] {
        let heard = Arc::clone(intake);
        shell.subscribe("/emergency_stop", profile, move |message: r2r::std_msgs::msg::Bool| {
            heard.emergency_stop(message.data);
        })?;
    }
    Ok(())
}

fn report(deciding: &Deciding) -> Report {
    let status = deciding.look();
    let report = if status.state.is_stop() {
        Report::new(Level::Error, status.state.name())
    } else {
        Report::ok(status.state.name())
    };
    report
        .with("epoch", status.epoch)
        .with("cycle", status.cycle)
        .with("real_time", status.real_time)
        .with("overruns", status.overruns)
        .with("longest_gap_ms", format!("{:.3}", status.longest_gap.as_secs_f64() * 1e3))
        .with("refused_commands", status.refused_commands)
        .with("publish_failures", status.publish_failures)
}

/// A parameter in microseconds; its range leaves no negative value.
fn micros(parameter: &Parameter<i64>) -> Duration {
    Duration::from_micros(parameter.get().unsigned_abs())
}

fn seconds(parameter: &Parameter<i64>) -> f64 {
    micros(parameter).as_secs_f64()
}

/// Milliseconds since 1970. Above every epoch of an earlier start, as long as the wall clock is not set back: no start has had more
/// resets than milliseconds.
fn first_epoch() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
