//! Cuts the power of recordings at random instants, and looks what is left of them.
//!
//! 1. A file system of its own (ext4 in an image, on a loop device) takes an `.mcap` and a `.db3`, each recorded by a process of
//!    its own: four cameras of 8 Mbit/s and the states of arms, see `work`. On a second image the same goes into bags as
//!    rosbag2 writes them by default.
//! 2. At random instants the image is cloned in one step, with nothing synced: what a disk would hold if the power went then.
//!    The clone is one of XFS (reflink), under the lock that the loop device's writes take too; a copy that takes its time
//!    would mix states that never stood on a disk together.
//! 3. Each clone is mounted, which replays ext4's journal as after a crash, and read by PyPI `rosbags` and `mcap` and by us.
//!    What is lost is the time from the newest message that all of them find to the instant of the cut.
//!    `rosbags` opens a `.db3` as immutable, without a look at SQLite's log, so that a cut within a sync can leave it a file that
//!    it refuses: `opened` and `tail_s_p100` are of all readers, `opened_with_log` and `tail_s_p100_with_log` of all but this one
//!    on `.db3`, among them SQLite as `ros2 bag` opens it.
//! 4. What the syncs cost: CPU of the recording process with them against the same process without (`Survives::ProcessEnd`)
//!    beside it. The process is the recording half of capture as it runs: from coded frames in memory, through encoding, ring
//!    and recorder, to the files; receiving them from cameras is left out, which would only make the share smaller.
//!
//!     powercut [--short] OUT.json
//!
//! Needs root, loop devices, mkfs.ext4, mkfs.xfs (xfsprogs), and Python with `rosbags` and `mcap` (`SWARM_TEST_PYTHON`).

mod disk;
mod judge;
mod reference;
mod work;

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail};
use rand::RngExt as _;
use serde_json::json;

use disk::{Bench, Clone, Disk};
use work::Way;

/// How much is measured.
struct Extent {
    sessions: usize,
    cuts_each: usize,
    session: Duration,
    cpu_rounds: usize,
    cpu_round: Duration,
}

const FULL: Extent = Extent {
    sessions: 5,
    cuts_each: 20,
    session: Duration::from_secs(20),
    cpu_rounds: 11,
    cpu_round: Duration::from_secs(8),
};
const SHORT: Extent = Extent {
    sessions: 1,
    cuts_each: 3,
    session: Duration::from_secs(4),
    cpu_rounds: 1,
    cpu_round: Duration::from_secs(2),
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["record", way, path] => work::record(way, Path::new(path)),
        ["--short", out] => measure(&SHORT, Path::new(out)),
        [out] if !out.starts_with('-') => measure(&FULL, Path::new(out)),
        _ => Err(anyhow::anyhow!("expected: powercut [--short] OUT.json")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("powercut: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(extent: &Extent, out: &Path) -> anyhow::Result<()> {
    let bench = Bench::set_up()?;
    judge::can_judge()?;
    let (mut cuts, mut opened, mut opened_with_log) = (0, 0, 0);
    let (mut tails, mut tails_with_log, mut reference) = (Vec::new(), Vec::new(), Vec::new());
    for session in 0..extent.sessions {
        let clones = cut_a_session(&bench, extent, session)?;
        for clone in clones {
            let cut = judge::judge(&bench, &clone)?;
            cuts += 1;
            opened += usize::from(cut.problems.is_empty() && cut.without_log.is_empty());
            opened_with_log += usize::from(cut.problems.is_empty());
            let problems = cut.problems.iter().chain(&cut.without_log);
            problems.for_each(|problem| println!("cut {cuts}: {problem}"));
            println!("cut {cuts}: tail {:.3} s, rosbag2's defaults {:.3} s", cut.tail, cut.reference_tail);
            tails.push(cut.tail);
            tails_with_log.push(cut.tail_with_log);
            reference.push(cut.reference_tail);
        }
    }
    let overhead = cpu_overhead(&bench, extent)?;
    let worst = |tails: &[f64]| tails.iter().copied().fold(0.0, f64::max);
    let figures = json!({
        "figures": {
            "cuts": cuts, "opened": opened, "tail_s_p100": worst(&tails),
            "opened_with_log": opened_with_log, "tail_s_p100_with_log": worst(&tails_with_log),
            "cpu_overhead": overhead,
        },
        "reference": {"reference_tail_s": worst(&reference)},
        "ratios": {},
    });
    println!("{figures}");
    std::fs::write(out, figures.to_string()).with_context(|| format!("cannot write {}", out.display()))?;
    if opened_with_log != cuts {
        bail!("{} of {cuts} cuts left a bag that not every reader opens", cuts - opened_with_log);
    }
    Ok(())
}

/// Records, and clones the disks at random instants.
fn cut_a_session(bench: &Bench, extent: &Extent, session: usize) -> anyhow::Result<Vec<Clone>> {
    let path = |folder: &Path, name: &str| folder.join(format!("{session}_{name}"));
    let ours =
        [(Way::Mcap, path(&bench.ours.mounted, "a.mcap")), (Way::Sqlite, path(&bench.ours.mounted, "a.db3"))];
    let theirs = [
        (Way::ReferenceMcap, path(&bench.theirs.mounted, "a.mcap")),
        (Way::ReferenceSqlite, path(&bench.theirs.mounted, "a.db3")),
    ];
    let mut recordings = Vec::new();
    for (way, path) in ours.iter().chain(&theirs) {
        recordings.push(Recording::start(*way, path)?);
    }
    let begun = Instant::now();
    let mut instants: Vec<Duration> = Vec::new();
    for _ in 0..extent.cuts_each {
        instants.push(extent.session.mul_f64(rand::rng().random::<f64>()));
    }
    instants.sort();
    let mut clones = Vec::new();
    for instant in instants {
        std::thread::sleep((begun + instant).saturating_duration_since(Instant::now()));
        let of_ours = bench.clone_disk(&bench.ours)?;
        let at = now();
        let of_theirs = bench.clone_disk(&bench.theirs)?;
        let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_owned();
        clones.push(Clone {
            ours: of_ours,
            theirs: of_theirs,
            at,
            reference_at: now(),
            begun: recordings.iter().map(|recording| recording.begun).max().unwrap_or(0),
            bags: ours.iter().map(|(_, path)| name(path)).collect(),
            references: theirs.iter().map(|(_, path)| name(path)).collect(),
        });
    }
    for recording in recordings {
        recording.stop()?;
    }
    for (_, path) in ours.iter().chain(&theirs) {
        std::fs::remove_file(path)?;
    }
    Ok(clones)
}

/// The worse of both formats: how much more CPU a recording takes with syncs than without. The two run side by side, each on a
/// disk of its own and in turns on either, so that whatever else the computer does costs both the same; of the rounds the
/// median counts.
fn cpu_overhead(bench: &Bench, extent: &Extent) -> anyhow::Result<f64> {
    let mut worst = f64::MIN;
    for ways in [[Way::Mcap, Way::McapUnsynced], [Way::Sqlite, Way::SqliteUnsynced]] {
        let mut rounds = Vec::new();
        for round in 0..extent.cpu_rounds {
            let mut disks = [&bench.ours, &bench.theirs];
            disks.rotate_left(round % 2);
            let path =
                |disk: &Disk| disk.mounted.join(if ways[0].is_mcap() { "cpu.mcap" } else { "cpu.db3" });
            let with = Recording::start(ways[0], &path(disks[0]))?;
            let without = Recording::start(ways[1], &path(disks[1]))?;
            std::thread::sleep(extent.cpu_round);
            rounds.push((with.stop()?, without.stop()?));
            for disk in disks {
                std::fs::remove_file(path(disk))?;
            }
        }
        let share = |cpu: fn(&(f64, f64)) -> f64| {
            let cpu = median(rounds.iter().map(cpu).collect());
            100.0 * cpu / extent.cpu_round.as_secs_f64()
        };
        let overhead = median(rounds.iter().map(|(with, without)| with / without - 1.0).collect());
        println!(
            "{:?}: {:.3} % of a core with syncs, {:.3} % without, {:.1} % more",
            ways[0],
            share(|round| round.0),
            share(|round| round.1),
            100.0 * overhead
        );
        worst = worst.max(overhead);
    }
    Ok(worst)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A process that records until it is stopped.
struct Recording {
    child: Child,
    said: BufReader<ChildStdout>,
    /// When it began, nanoseconds since the epoch.
    begun: i64,
}

impl Recording {
    fn start(way: Way, path: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["record", way.name()])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut said = BufReader::new(child.stdout.take().context("no output")?);
        let begun = number(&mut said, "begun ")?;
        Ok(Self { child, said, begun: begun as i64 })
    }

    /// Returns the CPU time that it has taken while it recorded, s.
    fn stop(mut self) -> anyhow::Result<f64> {
        drop(self.child.stdin.take());
        let cpu = number(&mut self.said, "cpu ")?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("a recording process failed: {status}");
        }
        Ok(cpu * 1e-9)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn number(said: &mut impl std::io::BufRead, name: &str) -> anyhow::Result<f64> {
    let mut line = String::new();
    said.read_line(&mut line)?;
    line.strip_prefix(name)
        .and_then(|number| number.trim().parse().ok())
        .with_context(|| format!("a recording process said {line:?}, expected `{name}NUMBER`"))
}

/// Nanoseconds since the epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
