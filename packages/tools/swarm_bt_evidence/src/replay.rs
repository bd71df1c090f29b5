//! Random runs recorded and replayed; recorders killed while they record.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use swarm_base::Time;
use swarm_bt::{Transition, Tree};
use swarm_bt_log::{Recorder, Recording, Replay};
use swarm_bt_log_file::{EXTENSION, Options, RunFile, RunFolder, Sync};
use swarm_bt_script::{Event, Run};

use crate::draw::{Drawn, draw};

/// What replaying runs gave.
#[derive(Clone, Debug, Default)]
pub struct Replayed {
    pub runs: u64,
    pub bit_exact: u64,
    pub steps: u64,
    /// Of these runs, those whose process was killed with SIGKILL while it recorded, by [`Way`].
    pub to_file: Killed,
    pub to_folder: Killed,
    pub differences: Vec<String>,
}

/// Recorders that were killed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Killed {
    pub runs: u64,
    /// Ticks that had begun.
    pub begun: u64,
    /// Ticks of them that are not in the recording; and of one run at most.
    pub lost: u64,
    pub lost_max: u64,
}

/// What a tick's record goes through to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Way {
    /// The thread that ticks writes it to the file, as `cell bt run --record` does. It ticks as fast as it can.
    File,
    /// The thread that ticks hands it to another one and waits for nothing, as in the skill runtime. It ticks as often as that does.
    Folder,
}

impl Way {
    /// The recording below `folder`.
    fn path(self, folder: &Path) -> PathBuf {
        match self {
            Way::File => folder.join("tree.run"),
            Way::Folder => folder.join("run").join(format!("tree.{EXTENSION}")),
        }
    }
}

/// Between two ticks of the skill runtime: three roles at 100 Hz each.
const RUNTIME_TICK: Duration = Duration::from_micros(3_333);

/// Time of a step and what is done in it, drawn from the seed alone, so that a killed process can be told what it did.
fn step(rng: &mut StdRng, now: &mut Time) -> (bool, Option<f64>) {
    now.0 += rng.random_range(0..20_000_000);
    (rng.random_bool(0.05), rng.random_bool(0.1).then(|| rng.random_range(-9.0..9.0)))
}

/// Records `steps` steps into `out`. `begin` is called before each.
fn record<W: std::io::Write>(
    seed: u64,
    steps: u64,
    out: W,
    mut begin: impl FnMut(u64) -> std::io::Result<()>,
) -> anyhow::Result<(W, Vec<Transition>)> {
    let mut rng = StdRng::seed_from_u64(seed);
    let Drawn { recipe, scripts } = draw(&mut rng)?;
    let tree = recipe.load().map_err(|errors| anyhow!("{errors}"))?;
    let mut run = Run::new(tree, scripts)?;
    let mut recorder = Recorder::begin(out, &recipe, &run.tree)?;
    let mut transitions = Vec::new();
    let mut now = Time::ZERO;
    for number in 1..=steps {
        begin(number)?;
        let (halts, outside) = step(&mut rng, &mut now);
        if let (Some(value), Some(slot)) = (outside, run.tree.slot("m")) {
            run.state.set(&run.tree, slot, value)?;
        }
        let mut sink = |_: &Tree, event: Event<'_>| {
            if let Event::Transition(t) = event {
                transitions.push(t);
            }
        };
        // An error in a tick is an outcome that is recorded like any other.
        if halts {
            let _ = run.halt_by(&mut sink, |tree, state, leaves, seen| {
                recorder.halt(tree, state, now, leaves, seen)
            });
        } else {
            let _ = run.tick_by(&mut sink, |tree, state, leaves, seen| {
                recorder.tick(tree, state, now, leaves, seen)
            });
        }
    }
    Ok((recorder.finish()?, transitions))
}

/// In the child process: records below `folder` until killed, and says on standard output which step begins.
pub fn record_until_killed(seed: u64, way: Way, folder: &Path) -> anyhow::Result<()> {
    // Past the buffer of `Stdout`, which would hold back what was said last.
    let mut said = fs::File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    let mut say = |number: u64| said.write_all(&number.to_le_bytes());
    // A bound in case that nobody kills it.
    match way {
        Way::File => {
            let out = RunFile::create(&way.path(folder), Sync { every: Duration::from_millis(5) })?;
            record(seed, 20_000_000, out, say)?;
        }
        Way::Folder => {
            let recordings = RunFolder::start(folder.to_owned(), Options::default())?;
            let out = recordings.begin("run").stream("tree");
            record(seed, 100_000, out, |number| {
                std::thread::sleep(RUNTIME_TICK);
                say(number)
            })?;
        }
    }
    Ok(())
}

/// Records and replays `runs` random runs, `killed` of them in processes that `recorder` makes and that are killed: half of them on
/// each way to the disk.
pub fn replay(
    seed: u64,
    runs: u64,
    killed: u64,
    folder: &Path,
    recorder: impl Fn(u64, Way, &Path) -> Command,
) -> anyhow::Result<Replayed> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut found = Replayed { runs, ..Replayed::default() };
    for number in 0..runs {
        let run_seed = rng.random();
        let compared = if number < killed {
            let (way, counts, wait_us) = if number % 2 == 0 {
                (Way::File, &mut found.to_file, 5_000..60_000)
            } else {
                (Way::Folder, &mut found.to_folder, 20_000..200_000)
            };
            let own = folder.join(number.to_string());
            fs::create_dir(&own)?;
            let wait = Duration::from_micros(rng.random_range(wait_us));
            let begun = kill(recorder(run_seed, way, &own), wait)?;
            let bytes = recorded_bytes(&way.path(&own))?;
            fs::remove_dir_all(&own)?;
            let recording = bytes.map(Recording::read).transpose()?;
            let recorded = recording.as_ref().map_or(0, |recording| recording.len() as u64);
            // A child that is killed has said which step begins before it begins it, and never after.
            ensure!(recorded <= begun, "{recorded} steps recorded of {begun} that had begun");
            counts.note(begun, begun - recorded);
            recording.map_or(Ok(0), |recording| again(&recording, None))
        } else {
            let steps = rng.random_range(20..400);
            let (bytes, transitions) = record(run_seed, steps, Vec::new(), |_| Ok(()))?;
            let recording = Recording::read(bytes)?;
            ensure!(recording.len() as u64 == steps, "{} of {steps} steps recorded", recording.len());
            again(&recording, Some(&transitions))
        };
        match compared {
            Ok(steps) => {
                found.bit_exact += 1;
                found.steps += steps;
            }
            Err(why) => found.differences.push(format!("run of seed {run_seed}: {why:#}")),
        }
    }
    Ok(found)
}

impl Killed {
    fn note(&mut self, begun: u64, lost: u64) {
        self.runs += 1;
        self.begun += begun;
        self.lost += lost;
        self.lost_max = self.lost_max.max(lost);
    }
}

/// `None` where the process was killed before anything was written.
fn recorded_bytes(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes).filter(|bytes| !bytes.is_empty())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading '{}'", path.display())),
    }
}

/// Replays, compares each step and, where they are known, all transitions.
fn again(recording: &Recording, transitions: Option<&[Transition]>) -> anyhow::Result<u64> {
    let mut replay = Replay::new(recording)?;
    let mut seen: Vec<Transition> = Vec::new();
    while let Some(step) = replay.forward(&mut seen) {
        step?;
    }
    ensure!(replay.done() == recording.len(), "{} of {} steps replayed", replay.done(), recording.len());
    ensure!(transitions.is_none_or(|recorded| recorded == seen), "the transitions differ");
    Ok(recording.len() as u64)
}

/// Starts the recorder, kills it `wait` after its first step has begun; gives the number of the step that had begun last.
fn kill(mut command: Command, wait: Duration) -> anyhow::Result<u64> {
    let mut child =
        command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().context("starting a recorder")?;
    let mut pipe = child.stdout.take().context("the recorder has no output")?;
    let (begun, first) = std::sync::mpsc::channel();
    // Its output is read all the time: a full pipe would stop it.
    let reader = std::thread::spawn(move || -> std::io::Result<Vec<u8>> {
        let mut last = Vec::new();
        let mut chunk = [0; 1 << 12];
        loop {
            let count = pipe.read(&mut chunk)?;
            if count == 0 {
                return Ok(last);
            }
            let _ = begun.send(());
            last.extend_from_slice(&chunk[..count]);
            let whole = last.len() / 8 * 8;
            last.drain(..whole.saturating_sub(8));
        }
    });
    let started = first.recv_timeout(Duration::from_mins(1));
    std::thread::sleep(wait);
    child.kill().context("killing a recorder")?;
    let status = child.wait()?;
    ensure!(started.is_ok(), "the recorder began no step within a minute");
    let last = reader.join().map_err(|_| anyhow!("the reader panicked"))??;
    ensure!(!status.success(), "the recorder had ended before it was killed");
    Ok(last.get(..8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes))
}
