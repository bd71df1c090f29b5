//! Random runs recorded and replayed; recorders killed while they record.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use swarm_base::Time;
use swarm_bt::{Mode, Registry, Transition, Tree};
use swarm_bt_log::{Recipe, Recorder, Recording, Replay};
use swarm_bt_log_file::{RunFile, Sync};
use swarm_bt_script::{Event, Run, Scripts, declare};

/// What replaying runs gave.
#[derive(Clone, Debug, Default)]
pub struct Replayed {
    pub runs: u64,
    /// Of these, killed with SIGKILL while they recorded.
    pub killed: u64,
    pub bit_exact: u64,
    pub steps: u64,
    /// Ticks that had begun when the process was killed and are not in the recording, at most.
    pub ticks_lost_max: u64,
    pub differences: Vec<String>,
}

/// A random tree with random leaf answers.
#[derive(Debug)]
pub struct Drawn {
    pub recipe: Recipe,
    pub scripts: Scripts,
}

/// Draws a tree of control nodes, decorators with timers, scripts, and leaves that write entries.
pub fn draw(rng: &mut StdRng) -> anyhow::Result<Drawn> {
    let mut leaves = BTreeMap::new();
    let body = node(rng, 0, &mut leaves);
    let xml = format!(
        r#"<root BTCPP_format="4"><BehaviorTree ID="T"><Sequence><Script code="n := 0; m := 0.5"/>{body}</Sequence></BehaviorTree></root>"#
    );
    let scripts = Scripts::parse(&serde_json::to_string(&leaves)?)?;
    let registry = declare(Registry::new(), &[("random.xml".to_owned(), xml.clone())], &scripts);
    let mode = if rng.random() { Mode::Strict } else { Mode::Compat };
    Ok(Drawn { recipe: Recipe { mode, ..Recipe::new("random.xml", xml, &registry) }, scripts })
}

const DECORATORS: [(&str, &str); 8] = [
    ("Inverter", ""),
    ("ForceSuccess", ""),
    ("KeepRunningUntilFailure", ""),
    ("Repeat", " num_cycles=\"3\""),
    ("RetryUntilSuccessful", " num_attempts=\"3\""),
    ("Timeout", " msec=\"35\""),
    ("Delay", " delay_msec=\"15\""),
    ("RunOnce", ""),
];
const CONTROLS: [&str; 7] = [
    "Sequence",
    "Fallback",
    "ReactiveSequence",
    "ReactiveFallback",
    "Parallel",
    "SequenceWithMemory",
    "Sequence",
];

fn node(rng: &mut StdRng, depth: u32, leaves: &mut BTreeMap<String, serde_json::Value>) -> String {
    let hook = match rng.random_range(0..12) {
        0 => r#" _skipIf="n == 2""#.to_owned(),
        1 => r#" _onHalted="n += 1""#.to_owned(),
        2 => r#" _onSuccess="m = m + 0.25""#.to_owned(),
        3 => r#" _while="n &lt; 50""#.to_owned(),
        _ => String::new(),
    };
    if depth >= 4 || depth > 0 && rng.random_bool(0.3) {
        return match rng.random_range(0..10) {
            0 => format!("<Script code=\"n += 1\"{hook}/>"),
            1 => format!("<Sleep msec=\"{}\"{hook}/>", rng.random_range(0..60)),
            2 => format!("<ScriptCondition code=\"n &lt; 9 || m &gt; 2\"{hook}/>"),
            _ => {
                let name = format!("A{}", leaves.len());
                let answers: String = (0..rng.random_range(1..6))
                    .map(|_| ["R", "S", "F", "R", "S", "K"][rng.random_range(0..6)])
                    .collect();
                let values: Vec<f64> = (0..3).map(|_| rng.random_range(-9.0..9.0)).collect();
                leaves.insert(
                    name.clone(),
                    json!({"answers": answers, "outputs": {"pose": [values, null], "hits": [1, 2, null]}, "stops_after": rng.random_range(0..3)}),
                );
                format!("<{name} pose=\"{{pose}}\" hits=\"{{h{}}}\"{hook}/>", rng.random_range(0..3))
            }
        };
    }
    if rng.random_bool(0.3) {
        let (name, attributes) = DECORATORS[rng.random_range(0..DECORATORS.len())];
        let child = node(rng, depth + 1, leaves);
        return format!("<{name}{attributes}{hook}>{child}</{name}>");
    }
    let name = CONTROLS[rng.random_range(0..CONTROLS.len())];
    let children: String = (0..rng.random_range(1..5)).map(|_| node(rng, depth + 1, leaves)).collect();
    format!("<{name}{hook}>{children}</{name}>")
}

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

/// In the child process: records into `file` until killed, and says on standard output which step begins.
pub fn record_until_killed(seed: u64, file: &Path) -> anyhow::Result<()> {
    let out = RunFile::create(file, Sync { every: Duration::from_millis(5) })?;
    // Past the buffer of `Stdout`, which would hold back what was said last.
    let mut said = fs::File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    // A bound in case that nobody kills it.
    record(seed, 20_000_000, out, |number| said.write_all(&number.to_le_bytes()))?;
    Ok(())
}

/// Records and replays `runs` random runs, `killed` of them in processes that `recorder` makes and that are killed.
pub fn replay(
    seed: u64,
    runs: u64,
    killed: u64,
    folder: &Path,
    recorder: impl Fn(u64, &Path) -> Command,
) -> anyhow::Result<Replayed> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut found = Replayed { runs, killed, ..Replayed::default() };
    for number in 0..runs {
        let run_seed = rng.random();
        let compared = if number < killed {
            let file = folder.join(format!("{number}.run"));
            let wait = Duration::from_micros(rng.random_range(5_000..60_000));
            let begun = kill(recorder(run_seed, &file), wait)?;
            let bytes = fs::read(&file).with_context(|| format!("reading '{}'", file.display()))?;
            fs::remove_file(&file)?;
            let recording = Recording::read(bytes)?;
            let recorded = recording.len() as u64;
            // A child that is killed has said which step begins before it begins it, and never after.
            ensure!(recorded <= begun, "{recorded} steps recorded of {begun} that had begun");
            found.ticks_lost_max = found.ticks_lost_max.max(begun - recorded);
            again(&recording, None)
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
