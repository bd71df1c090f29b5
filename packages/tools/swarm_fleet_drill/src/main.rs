//! Drills of a fleet, without ROS: the engine of the production bridge and the real artifact store in every cell, the real registry, and
//! `csactl` for the person who operates it. What is simulated is the cells' work ([`runtime`]).
//!
//! - `poison`: a fleet is given a bad artifact, see [`poison`].
//! - `faults`: cells under faults, see [`faults`]; uploads while the database is stopped and started again, see [`uploads`].

mod artifacts;
mod bed;
mod cell;
mod faults;
mod http;
mod link;
mod poison;
mod program;
mod runtime;
mod uploads;
mod wait;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand};
use serde_json::Value;
use tempfile::TempDir;

#[derive(Debug, Parser)]
#[command(name = "fleet_drill", about)]
struct Arguments {
    #[command(subcommand)]
    command: Drill,
}

#[derive(Debug, Subcommand)]
enum Drill {
    /// A fleet is given a bad artifact: seconds until every cell is back on the last good one
    Poison {
        /// How many cells there are
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(4..=1000))]
        cells: u16,
        /// Size of an artifact
        #[arg(long, value_name = "KIB", default_value_t = 256)]
        kib: usize,
        #[command(flatten)]
        common: Common,
    },
    /// Cells killed, cut off, with full disks and wrong clocks; a database stopped while uploads go on
    Faults {
        #[command(flatten)]
        runs: Runs,
        /// How many artifacts are handed in beside a database that is stopped
        #[arg(long, default_value_t = 90)]
        uploads: u64,
        /// How often it is stopped
        #[arg(long, default_value_t = 8)]
        stops: u64,
        #[command(flatten)]
        common: Common,
    },
    /// The cells' part of `faults`; started by it
    #[command(hide = true)]
    FaultsOfCells {
        #[command(flatten)]
        runs: Runs,
        #[command(flatten)]
        common: Common,
    },
    /// A cell; started by `faults`
    #[command(hide = true)]
    Cell(faults::CellArguments),
}

#[derive(Clone, Debug, clap::Args)]
struct Runs {
    /// How many runs under faults there are
    #[arg(long, default_value_t = 1_000)]
    runs: u64,
    /// How many cells are at it at a time
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=64))]
    parallel: u64,
}

#[derive(Clone, Debug, clap::Args)]
struct Common {
    /// What happens, and when; drawn where it is not said
    #[arg(long)]
    seed: Option<u64>,
    /// Where the figures go (JSON); work files lie beside it while it runs
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fleet_drill: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(drill: Drill) -> Result<()> {
    match drill {
        Drill::Poison { cells, kib, common } => {
            let (seed, work) = common.begin()?;
            let size = poison::Size { cells: cells.into(), kib, seed };
            common.write(&poison::drill(work.path(), size)?)
        }
        Drill::Faults { runs, uploads, stops, common } => {
            let (seed, work) = common.begin()?;
            let mut figures = in_own_mounts(&runs, seed, work.path())?;
            let size = uploads::Size { uploads, stops, seed };
            let uploads = uploads::drill(&work.path().join("uploads"), size)?;
            merge(&mut figures["figures"], &uploads);
            common.write(&figures)
        }
        Drill::FaultsOfCells { runs, common } => {
            let (seed, work) = common.begin()?;
            let size = faults::Size { runs: runs.runs, parallel: runs.parallel, seed };
            common.write(&faults::drill(work.path(), size)?)
        }
        Drill::Cell(arguments) => faults::run_cell(arguments),
    }
}

impl Common {
    /// The seed, and a folder for the work that goes when it is over.
    fn begin(&self) -> Result<(u64, TempDir)> {
        let seed = self.seed.unwrap_or_else(rand::random);
        eprintln!("--seed {seed}");
        // Cells are told absolute paths.
        let out = std::path::absolute(&self.out)?;
        let folder = out.parent().context("the file of the figures is in no folder")?;
        fs::create_dir_all(folder).with_context(|| format!("cannot make '{}'", folder.display()))?;
        Ok((seed, tempfile::Builder::new().prefix("fleet-drill-").tempdir_in(folder)?))
    }

    fn write(&self, figures: &Value) -> Result<()> {
        fs::write(&self.out, format!("{figures:#}\n"))
            .with_context(|| format!("cannot write '{}'", self.out.display()))
    }
}

/// The faults of cells in a mount namespace of their own, where this user may make one; else without full disks.
fn in_own_mounts(runs: &Runs, seed: u64, work: &Path) -> Result<Value> {
    let out = work.join("cells.json");
    let may = |arguments: &[&str]| {
        let tried = Command::new("unshare").args(arguments).arg("true").output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    let namespaces: [&[&str]; 2] = [&["--mount"], &["--mount", "--map-root-user"]];
    let program = std::env::current_exe()?;
    let namespace = namespaces.into_iter().find(|arguments| may(arguments));
    let mut command = if let Some(arguments) = namespace {
        let mut command = Command::new("unshare");
        command.args(arguments).arg(program);
        command
    } else {
        eprintln!(
            "no full disks: this user may make no mount namespace (unshare --mount --map-root-user); run as root, or allow \
             user namespaces (kernel.unprivileged_userns_clone, or apparmor_restrict_unprivileged_userns)"
        );
        Command::new(program)
    };
    command.args(["faults-of-cells", "--runs", &runs.runs.to_string()]);
    command.args(["--parallel", &runs.parallel.to_string(), "--seed", &seed.to_string(), "--out"]).arg(&out);
    let status = command.status().context("cannot start the part with the cells")?;
    ensure!(status.success(), "the part with the cells ended with {status}");
    serde_json::from_slice(&fs::read(&out)?).context("the part with the cells wrote no figures")
}

fn merge(into: &mut Value, from: &Value) {
    if let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) {
        into.extend(from.clone());
    }
}
