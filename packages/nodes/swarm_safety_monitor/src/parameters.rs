//! The gate's parameters; `ros2 param describe /safety_monitor NAME` shows each.

use std::path::PathBuf;

use swarm_base::Duration;
use swarm_black_box_file::{Mode, OnDiskFailure, Options};
use swarm_ros::{CellFile, NodeShell, Parameter, ParameterSpec};
use swarm_safety_core::{Timing, Tolerances, shipped};

use crate::intake::StampTolerance;
use crate::outputs::Periods;
use crate::recording::{RecordingError, read_key};

const ON_STOP: &str = "on_stop";
const CONTINUOUS: &str = "continuous";
const CONTINUE: &str = "continue";
const STOP: &str = "stop";

#[derive(Debug)]
pub struct GateParameters {
    pub artifact_store: Parameter<String>,
    pub trust_file: Parameter<String>,
    pub degraded: Parameter<bool>,
    permit_period_us: Parameter<i64>,
    command_period_us: Parameter<i64>,
    stamp_tolerance_us: Parameter<i64>,
    reaction_us: Parameter<i64>,
    max_cycle_gap_us: Parameter<i64>,
    max_joint_state_gap_us: Parameter<i64>,
    black_box: BlackBoxParameters,
}

impl GateParameters {
    /// `period_us` is that of the deciding thread.
    pub fn declare(shell: &NodeShell, cell: &CellFile, period_us: u64) -> Self {
        let integer = |name, default: i64, text, range| {
            shell.declare(ParameterSpec::<i64>::new(name, default).describe(text).range(range).read_only())
        };
        let artifacts = &cell.config.artifacts;
        let permit_period_us = integer(
            "permit_period_us",
            4_000,
            "Time between two permits, microseconds; drivers stop when they hear none for their time-out (20 ms)",
            1_000..=100_000,
        );
        let period_s = Duration::from_micros(period_us).as_secs_f64();
        let least_reaction_s = Timing::least_reaction_s(period_s, seconds(&permit_period_us));
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
            degraded: shell.declare(
                ParameterSpec::<bool>::new("degraded", false)
                    .describe("Arm although real-time scheduling or locked memory was not granted; every status says so")
                    .read_only(),
            ),
            command_period_us: integer(
                "command_period_us",
                2_000,
                "Time between two joint commands to the drivers while nothing changes, microseconds",
                500..=100_000,
            ),
            permit_period_us,
            stamp_tolerance_us: integer(
                "stamp_tolerance_us",
                shipped::STAMP_TOLERANCE_US.into(),
                "How far the clocks of the cell's computers may disagree, microseconds",
                0..=1_000_000,
            ),
            reaction_us: integer(
                "reaction_us",
                (least_reaction_s * 1e6).round() as i64,
                "From a decision to the begin of braking, microseconds: distances to limits are kept for it, and for the age of the joint \
                 state besides. At least, and by default: period, permit_period_us and the 20000 after which drivers stop without a permit",
                1_000..=500_000,
            ),
            max_cycle_gap_us: integer(
                "max_cycle_gap_us",
                shipped::MAX_CYCLE_GAP_US.into(),
                "Longest time between two decisions while robots move, microseconds, beyond which the cell stops: the drivers' permit \
                 time-out, after which they have stopped by themselves and must not go on by themselves; 0 = not watched",
                0..=1_000_000,
            ),
            max_joint_state_gap_us: integer(
                "max_joint_state_gap_us",
                0,
                "Longest time between two joint states across which positions are held against velocities, microseconds; 0 = the time-out of \
                 joint states, less than 5000 is refused. A simulator on a machine that cannot keep up needs some 7000: its clock goes on while its \
                 arms do not",
                0..=1_000_000,
            ),
            black_box: BlackBoxParameters::declare(shell),
        }
    }

    pub fn timing(&self, period_us: u64) -> Timing {
        Timing {
            period_s: Duration::from_micros(period_us).as_secs_f64(),
            permit_period_s: seconds(&self.permit_period_us),
            reaction_s: seconds(&self.reaction_us),
            max_cycle_gap_s: bound(&self.max_cycle_gap_us),
        }
    }

    pub fn tolerances(&self) -> Tolerances {
        Tolerances { max_joint_state_gap_s: bound(&self.max_joint_state_gap_us), ..Tolerances::default() }
    }

    pub fn periods(&self) -> Periods {
        Periods { permit: micros(&self.permit_period_us), command: micros(&self.command_period_us) }
    }

    pub fn stamp_tolerance(&self) -> StampTolerance {
        StampTolerance { future_s: seconds(&self.stamp_tolerance_us) }
    }

    /// Where and how to record; `None` without a black box.
    pub fn black_box(&self) -> Result<Option<(PathBuf, Options)>, RecordingError> {
        self.black_box.read()
    }
}

#[derive(Debug)]
struct BlackBoxParameters {
    folder: Parameter<String>,
    mode: Parameter<String>,
    before_s: Parameter<f64>,
    after_s: Parameter<f64>,
    max_mb: Parameter<i64>,
    key_file: Parameter<String>,
    on_failure: Parameter<String>,
}

impl BlackBoxParameters {
    fn declare(shell: &NodeShell) -> Self {
        let text = |name, default: &str, text| {
            ParameterSpec::<String>::new(name, default).describe(text).read_only()
        };
        let length = |name, default: f64, text| {
            let spec = ParameterSpec::<f64>::new(name, default).describe(text).range(0.0..=30.0);
            shell.declare(spec.read_only())
        };
        Self {
            folder: shell.declare(text("black_box.folder", "", "Folder of the black box; empty = no black box")),
            mode: shell.declare(
                text("black_box.mode", ON_STOP, "Record the time around stops, or every cycle (about 2 MB/s)")
                    .one_of(&[ON_STOP, CONTINUOUS]),
            ),
            before_s: length("black_box.before_s", 10.0, "How much from before a stop is recorded, s"),
            after_s: length("black_box.after_s", 5.0, "How much from after a stop is recorded, s"),
            max_mb: shell.declare(
                ParameterSpec::<i64>::new("black_box.max_mb", 2048)
                    .describe("All recordings together, MB; the oldest make room, those without a stop first")
                    .range(64..=1_000_000)
                    .read_only(),
            ),
            key_file: shell.declare(text(
                "black_box.key_file",
                "",
                "Private key that recordings are sealed with (cell keys generate); empty = hashes only, which show damage but no \
                 forger",
            )),
            on_failure: shell.declare(
                text("black_box.on_failure", CONTINUE, "What the cell does when the black box cannot be written")
                    .one_of(&[CONTINUE, STOP]),
            ),
        }
    }

    fn read(&self) -> Result<Option<(PathBuf, Options)>, RecordingError> {
        let folder = self.folder.get();
        if folder.is_empty() {
            return Ok(None);
        }
        let default = Options::default();
        let max_bytes = self.max_mb.get().unsigned_abs() * 1_000_000;
        let options = Options {
            mode: if self.mode.get() == CONTINUOUS {
                Mode::Continuous
            } else {
                Mode::OnStop { before: span(&self.before_s), after: span(&self.after_s) }
            },
            key: read_key(&self.key_file.get())?,
            max_bytes,
            max_file_bytes: default.max_file_bytes.min(max_bytes / 4),
            on_disk_failure: if self.on_failure.get() == STOP {
                OnDiskFailure::Stop
            } else {
                OnDiskFailure::Continue
            },
            ..default
        };
        Ok(Some((folder.into(), options)))
    }
}

/// A parameter in microseconds; its range leaves no negative value.
fn micros(parameter: &Parameter<i64>) -> Duration {
    Duration::from_micros(parameter.get().unsigned_abs())
}

fn seconds(parameter: &Parameter<i64>) -> f64 {
    micros(parameter).as_secs_f64()
}

/// A parameter in microseconds, as seconds; 0 is no bound.
fn bound(parameter: &Parameter<i64>) -> f64 {
    match parameter.get() {
        0 => f64::INFINITY,
        _ => seconds(parameter),
    }
}

/// A parameter in seconds; its range leaves neither negative nor endless values.
fn span(parameter: &Parameter<f64>) -> Duration {
    Duration::from_micros((parameter.get() * 1e6) as u64)
}
