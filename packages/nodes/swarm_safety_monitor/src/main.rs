//! `ros2 run swarm_safety_monitor swarm_safety_monitor`: the safety gate. See the crate's page.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use swarm_base::Duration;
use swarm_cell::{Cpu, RobotConfig, Schedule};
use swarm_ros::arguments::Arguments;
use swarm_ros::{CellFile, Managed, NodeShell, ShellError, TransitionError, abort_on_panic, qos};
use swarm_rt::cells::queue;
use swarm_rt::purity::allocation::TrapAllocator;
use swarm_rt::{Kernel, Lack, keep_cpus_awake, prepare_process, wake};
use swarm_safety_core::Config;
use swarm_safety_monitor::board::Board;
use swarm_safety_monitor::deciding::{self, BlackBox, Decider, Terms};
use swarm_safety_monitor::envelopes::Envelopes;
use swarm_safety_monitor::exchange::Exchange;
use swarm_safety_monitor::intake::Intake;
use swarm_safety_monitor::outputs::Outputs;
use swarm_safety_monitor::parameters::GateParameters;
use swarm_safety_monitor::publishing::{self, OnLoss, Publisher};
use swarm_safety_monitor::recording::{self, Recording};
use swarm_safety_monitor::setup::SetupError;
use swarm_safety_monitor::{heard, reports, services, setup};

#[global_allocator]
static ALLOCATOR: TrapAllocator = TrapAllocator;

/// Cycles that the publishing thread may fall behind: a quarter of a second.
const CYCLES_WAITING: usize = 256;

/// Limits that may wait for the deciding thread at once.
const LIMITS_WAITING: usize = 4;

/// How much lower than the deciding thread's the publishing thread's priority is.
const PUBLISHER_BELOW: u8 = 1;

fn main() -> ExitCode {
    // Without one of its threads it would be silent, or unrecorded, and alive.
    abort_on_panic();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("swarm_safety_monitor: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let mut lacks = prepare_process();
    // Held until the process ends.
    let awake = keep_cpus_awake();
    let mut shell = NodeShell::create("safety_monitor")?;
    let cell = CellFile::from_parameter(&shell)?;
    let schedule = setup::node(&cell, "safety_monitor")?.schedule.clone();
    let parameters = GateParameters::declare(&shell, &cell, schedule.period_us);
    shell.check_parameters()?;

    let timing = parameters.timing(schedule.period_us);
    let (sources, tolerances) = (setup::sources(&cell)?, parameters.tolerances());
    let config = sources.config(timing, tolerances).map_err(SetupError::from)?;
    let flanges: Vec<String> = cell.config.robots.iter().map(RobotConfig::flange_frame).collect();
    let (sleeper, waker) = wake::pair();
    let (mouth, ears) = heard::pair(waker.clone());
    let intake = Arc::new(Intake::new(&config, &flanges, parameters.stamp_tolerance(), mouth));
    let outputs = Outputs::create(&mut shell, &config, parameters.periods())?;
    listen(&mut shell, &config, &intake)?;

    let (config, first_epoch) = (Arc::new(config), first_epoch());
    let board = Arc::new(Board::new(Arc::clone(&config), first_epoch));
    let recording = if let Some((folder, options)) = parameters.black_box()? {
        let session = recording::session(sources, timing, tolerances, first_epoch);
        Some(Recording::start(folder, options, session)?)
    } else {
        tracing::warn!("no black box: the parameter black_box.folder is empty, stops leave no recording");
        None
    };
    let (black_box, announce, health, ending) = match recording {
        Some(Recording { entries, announce, health, ending }) => {
            (Some(BlackBox::new(entries, health.clone())), Some(announce), Some(health), Some(ending))
        }
        None => (None, None, None, None),
    };
    let (limits, new_limits) = queue::queue(LIMITS_WAITING);
    let (retired, old_limits) = queue::queue(2 * LIMITS_WAITING);
    let (said, heard_cycles) = queue::queue(CYCLES_WAITING);
    let (publisher_sleeper, listener) = wake::pair();
    let terms = terms(&schedule);
    let period = Duration::from_micros(schedule.period_us);
    let decider = Decider {
        config,
        first_epoch,
        period,
        ears,
        black_box,
        sleeper,
        limits: new_limits,
        retired,
        said,
        listener,
    };
    let (shutdown, lifecycle) = (shell.shutdown(), shell.lifecycle());
    let (deciding, thread_lacks) = deciding::start(
        decider,
        &terms,
        {
            let lifecycle = lifecycle.clone();
            move || lifecycle.is_active()
        },
        shutdown.clone(),
    )
    .context("cannot start the deciding thread")?;
    lacks.extend(thread_lacks);
    let degraded = parameters.degraded.get() || asked_for_degraded();
    if let Err(lack) = &awake {
        // It makes wake-ups later, not unbounded: no reason to refuse to arm.
        tracing::warn!("CPUs may rest: {lack}");
    }
    let publisher = Publisher {
        outputs,
        board: Arc::clone(&board),
        intake: Arc::clone(&intake),
        said: heard_cycles,
        retired: old_limits,
        sleeper: publisher_sleeper,
        priority: terms.priority.map(|priority| priority.saturating_sub(PUBLISHER_BELOW).max(1)),
        seat: deciding.seat(),
        on_loss: if degraded { OnLoss::Continue } else { OnLoss::Stop },
    };
    let (publishing, thread_lacks) =
        publishing::start(publisher, shutdown).context("cannot start the publishing thread")?;
    lacks.extend(thread_lacks);
    board.set_up(missing(&schedule, &lacks), degraded);
    let exchange = Exchange {
        envelopes: Envelopes {
            cell: cell.config.cell.clone(),
            store: PathBuf::from(parameters.artifact_store.get()),
            trust_file: PathBuf::from(parameters.trust_file.get()),
            roles: swarm_safety_setup::roles(&cell.config),
        },
        board: Arc::clone(&board),
        recorder: announce,
        limits,
        waker,
        lifecycle: lifecycle.clone(),
        generation: 0,
    };
    services::serve_reset(&mut shell, Arc::clone(&board), intake, lifecycle)?;
    services::serve_load_envelope(&mut shell, Arc::clone(&board), exchange)?;
    shell.diagnostics().add("gate", {
        let board = Arc::clone(&board);
        move || reports::gate(&board)
    });
    if let Some(health) = health {
        shell.diagnostics().add("black box", move || reports::black_box(&health));
    }

    let result = shell.spin_managed(Arming { board });
    // The threads end within one period of the shutdown request; a panic in them has been printed where it happened.
    let _ = deciding.join();
    let _ = publishing.join();
    if let Some(ending) = ending {
        ending.finish();
    }
    Ok(result?)
}

/// How the deciding thread is to run.
fn terms(schedule: &Schedule) -> Terms {
    Terms {
        priority: schedule.fifo(),
        cpu: match schedule.cpu {
            Cpu::Any => None,
            Cpu::Core(core) => Some(core),
        },
        guarded: true,
    }
}

/// `--degraded` on the command line, beside the parameter.
fn asked_for_degraded() -> bool {
    Arguments::of_process().own.iter().any(|argument| argument == "--degraded")
}

/// Arms the gate: only in real time, unless somebody has said that it may do without. The deciding thread follows the life cycle's
/// state, and an inactive gate is silent, which stops the drivers.
struct Arming {
    board: Arc<Board>,
}

impl Managed for Arming {
    fn on_activate(&mut self) -> Result<(), TransitionError> {
        // SR-18
        let status = self.board.status();
        if status.real_time || status.degraded {
            return Ok(());
        }
        Err(TransitionError::Failed(format!(
            "refuses to arm without real time; mend what is missing, or start with --degraded (parameter degraded:=true) where \
             nobody can be hurt: {}",
            [status.lacks, status.lost].concat().join("; ")
        )))
    }
}

/// Everything that makes this no real time, which is also logged.
fn missing(schedule: &Schedule, lacks: &[Lack]) -> Vec<String> {
    let mut missing: Vec<String> = lacks.iter().map(ToString::to_string).collect();
    if schedule.fifo().is_none() {
        missing.push("asked for no real-time scheduling; declare policy: fifo in cell.yaml".to_owned());
    }
    for lack in &missing {
        tracing::warn!("not in real time: {lack}");
    }
    tracing::info!("{}", Kernel::look());
    missing
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

/// Milliseconds since 1970. Above every epoch of an earlier start, as long as the wall clock is not set back: no start has had more
/// resets than milliseconds.
fn first_epoch() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
