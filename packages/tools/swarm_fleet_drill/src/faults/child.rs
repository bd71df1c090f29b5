//! `fleet_drill cell`: a cell as a process, so that it can be killed. It says how it stands on standard output, a JSON value a line, and is
//! told the time on standard input.

use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use swarm_artifact::ArtifactId;
use swarm_base::Shutdown;
use swarm_bridge_core::State;

use crate::cell::{Cell, Installed, WallClock};
use crate::runtime::Pace;

pub(crate) const PACE: Pace = Pace { run_ms: (20, 120), pause_ms: (20, 120) };
const TICK: Duration = Duration::from_millis(2);

/// A cell's set-up on the command line.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    site_id: String,
    #[arg(long)]
    registry: String,
    #[arg(long)]
    folder: PathBuf,
    #[arg(long)]
    image_root: PathBuf,
    #[arg(long)]
    director_root: PathBuf,
    #[arg(long)]
    trust_file: PathBuf,
    #[arg(long)]
    cache_limit_bytes: u64,
    /// Seconds beside the right time.
    #[arg(long, allow_negative_numbers = true)]
    clock_offset: i64,
}

/// What the process says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Said {
    pub(crate) in_step: bool,
    pub(crate) running: Option<ArtifactId>,
    pub(crate) detail: String,
    /// Counted since it began.
    pub(crate) swapped_in_motion: u64,
    pub(crate) given_unverified: u64,
}

/// Until standard input ends, or somebody kills it.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let clock = Arc::new(WallClock::default());
    clock.set_offset(arguments.clock_offset);
    let installed = Installed {
        site_id: arguments.site_id,
        registry: arguments.registry,
        folder: arguments.folder,
        image_root: arguments.image_root,
        director_root: arguments.director_root,
        trust_file: arguments.trust_file,
        cache_limit_bytes: arguments.cache_limit_bytes,
        pace: PACE,
    };
    let shutdown = Shutdown::new();
    let cell = Cell::start(installed, &clock, &Arc::default(), &shutdown)?;
    let told = {
        let (clock, shutdown) = (Arc::clone(&clock), shutdown.clone());
        thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if let Ok(offset) = line.trim().parse() {
                    clock.set_offset(offset);
                }
            }
            shutdown.request();
        })
    };
    let mut last = None;
    while !shutdown.is_requested() {
        cell.tick(Instant::now());
        let said = say(&cell);
        if last.as_ref() != Some(&said) {
            let mut output = std::io::stdout().lock();
            // Nobody listens any more: standard input ends too.
            let _ = writeln!(output, "{}", serde_json::to_string(&said)?).and_then(|()| output.flush());
            last = Some(said);
        }
        thread::sleep(TICK);
    }
    let _ = told.join();
    Ok(())
}

fn say(cell: &Cell) -> Said {
    let decision = {
        let now = cell.bridge.now();
        cell.bridge.view().decide(now)
    };
    let running = decision.running.map(|running| running.artifact);
    // The detail counts seconds where the registry is away.
    let in_step = decision.standing.state == State::InStep && decision.want.artifact() == running;
    let detail = if in_step { String::new() } else { format!("{:?}", decision.plan.rest) };
    let notes = &cell.runtime.notes;
    Said {
        in_step,
        running,
        detail,
        swapped_in_motion: notes.swapped_in_motion.load(Ordering::Relaxed),
        given_unverified: notes.given_unverified.load(Ordering::Relaxed),
    }
}

/// The process, as its parent has it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    input: ChildStdin,
    said: Arc<Mutex<Said>>,
    reading: Option<thread::JoinHandle<()>>,
}

impl Process {
    pub(crate) fn start(installed: &Installed, clock_offset: i64) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["cell", "--site-id", &installed.site_id, "--registry", &installed.registry]);
        let paths = [
            ("--folder", &installed.folder),
            ("--image-root", &installed.image_root),
            ("--director-root", &installed.director_root),
            ("--trust-file", &installed.trust_file),
        ];
        for (name, path) in paths {
            command.arg(name).arg(path);
        }
        command.args(["--cache-limit-bytes", &installed.cache_limit_bytes.to_string()]);
        command.args(["--clock-offset", &clock_offset.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().context("cannot start a cell")?;
        let input = child.stdin.take().context("a cell has no standard input")?;
        let output = child.stdout.take().context("a cell has no standard output")?;
        let said = Arc::new(Mutex::new(Said::default()));
        let reading = {
            let said = Arc::clone(&said);
            thread::spawn(move || {
                for line in std::io::BufReader::new(output).lines().map_while(Result::ok) {
                    // A line that was cut off by a kill.
                    let Ok(heard) = serde_json::from_str(&line) else { continue };
                    *said.lock().unwrap_or_else(PoisonError::into_inner) = heard;
                }
            })
        };
        Ok(Self { child, input, said, reading: Some(reading) })
    }

    pub(crate) fn said(&self) -> Said {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|ended| ended.is_some())
    }

    /// So many seconds beside the right time.
    pub(crate) fn set_clock(&mut self, offset_s: i64) {
        // One that has just ended begins again with it.
        let _ = writeln!(self.input, "{offset_s}");
    }

    /// SIGKILL; gives what it said last, once it is gone.
    pub(crate) fn kill(mut self) -> Said {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.reading.take().map(thread::JoinHandle::join);
        self.said()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
