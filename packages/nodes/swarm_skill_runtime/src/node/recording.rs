//! Recordings of runs: the parameters, and what is said of them in `/diagnostics`.

use std::path::PathBuf;

use anyhow::Context as _;
use swarm_bt_log_file::{Health, Options, Status};
use swarm_ros::{Level, NodeShell, Parameter, ParameterSpec, Report};

use crate::recordings::Recordings;

pub(super) struct RecordingParameters {
    folder: Parameter<String>,
    max_mb: Parameter<i64>,
}

impl RecordingParameters {
    pub(super) fn declare(shell: &NodeShell) -> Self {
        Self {
            folder: shell.declare(
                ParameterSpec::<String>::new("recordings.folder", "")
                    .describe(
                        "Folder with a recording of every role of every run, for `cell bt replay`; empty = none is made",
                    )
                    .read_only(),
            ),
            max_mb: shell.declare(
                ParameterSpec::<i64>::new("recordings.max_mb", 1_024)
                    .describe("Size of all recordings together, MB (10^6 bytes); the oldest runs are deleted to make room")
                    .range(1..=1_000_000)
                    .read_only(),
            ),
        }
    }

    /// Starts recording; `None` where none is asked for.
    pub(super) fn start(&self) -> anyhow::Result<Option<Recordings>> {
        let folder = self.folder.get();
        if folder.is_empty() {
            tracing::info!("runs are not recorded: the parameter recordings.folder is empty");
            return Ok(None);
        }
        let max_bytes = self.max_mb.get().unsigned_abs() * 1_000_000;
        let options = Options { max_bytes, ..Options::default() };
        let recordings = Recordings::start(PathBuf::from(folder), options);
        recordings.map(Some).context("cannot start a thread for the recordings")
    }
}

/// Says in `/diagnostics` whether runs are recorded, and where.
pub(super) fn report(shell: &NodeShell, health: Option<Health>) {
    shell.diagnostics().add("recordings", move || match &health {
        Some(health) => of(&health.status()),
        None => Report::ok("off"),
    });
}

fn of(status: &Status) -> Report {
    let report = match &status.trouble {
        Some(trouble) => Report::new(Level::Warn, trouble),
        None => Report::ok("runs are recorded"),
    };
    let newest = status.run.as_ref().map(|run| run.display().to_string()).unwrap_or_default();
    report
        .with("newest", newest)
        .with("bytes", status.bytes)
        .with("runs_not_recorded", status.given_up)
        .with("runs_deleted", status.deleted)
}
