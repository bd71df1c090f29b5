//! How long a tick takes here and on BehaviorTree.CPP, in turns.
//!
//! - *deep*: 200 nested ReactiveSequences with four leaves each (the outermost with three) and at the bottom a
//!   KeepRunningUntilFailure: 1,001 nodes, all of them ticked in every tick, the tree always RUNNING.
//! - *leaves*: the same tree with leaves of the registry, of which one in four writes an entry: what a log holds of a run, which of a
//!   tree of built-in nodes is times and digests alone. There it has built-in leaves, and Scripts that write the entry: leaves of
//!   one's own would be Python's.
//! - *seq*: a Sequence of 100 leaves, and that of Scripts, of leaves that read a port, of leaves with a `_skipIf`.
//!
//! Times are CPU times, of the thread that ticks, or of the whole process where a log is written by another thread: on a shared
//! computer the wall clock counts the others too. They are per node. What calling a tick from Python costs is measured with a
//! tree of one node and taken off the original's. A log of ours holds every input and a digest of each state, to a file that is
//! written in every tick; that of the original every transition, through its own thread. The skill runtime's log goes through a
//! thread, too: what handing it a record takes of the memory is counted beside what writing it takes.
//!
//! Every tick of *deep* does the same work. How far the slowest ones are above the median is therefore shown beside the same
//! for fixed work as long as such a tick, done in turns with it: what both have is the machine's.

mod engines;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::ensure;
use rustix::time::ClockId;
use swarm_base::Duration;
use swarm_bt::{State, Status};
use swarm_bt_check::{Given, LeafTable, RoleTree, check_tree};
use swarm_bt_log_file::{Options, RunFile, RunFolder, Sync};
use swarm_rt::purity::allocation;
use swarm_rt::reference::FixedWork;

use engines::{Bench, Original, clock, deep, document, sequence};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Turns; medians of them count.
    pub rounds: usize,
    /// Ticks of the deep tree in a turn.
    pub ticks: u32,
    /// Ticks of which the distribution is taken, in a turn.
    pub distribution: usize,
}

/// Medians. Times are in ns per node unless they say otherwise.
#[derive(Clone, Debug, Default)]
pub struct Speed {
    pub nodes: usize,
    pub tick: Pair,
    pub tick_seq: Pair,
    pub logged: Pair,
    pub logged_leaves: Pair,
    pub script: Pair,
    pub skip_if: Pair,
    pub port_ns: f64,
    /// Of the deep tree: loading it and, here, the linear checks of `swarm_bt_check`.
    pub load_ms: Pair,
    /// Of a call into a tick from Python, ns.
    pub python_call_ns: f64,
    pub allocations_per_tick: f64,
    /// Of the tree with leaves, recorded by the thread that ticks.
    pub allocations_per_logged_tick: f64,
    /// The same, recorded as the skill runtime does: the record goes to another thread in a box of its own.
    pub allocations_per_queued_tick: f64,
    /// Of single ticks of the deep tree, and of fixed work as long as one: p99.9 over p50.
    pub p999_to_p50: f64,
    pub fixed_p999_to_p50: f64,
    /// The same of the least that each tick took in any turn: how evenly the engine works, without what the machine puts between. Every
    /// turn does the same ticks in the same order.
    pub undisturbed_p999_to_p50: f64,
}

/// Here, and on the original.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pair {
    pub ours: f64,
    pub theirs: f64,
}

impl Speed {
    /// What of the row's demands is not met, those that an uneven machine changes nothing of. In a release build.
    pub fn shortfalls(&self) -> Vec<String> {
        let least = [("ratio_tick", self.tick.ratio(), 15.0), ("ratio_logged", self.logged.ratio(), 60.0)];
        let allocations = [
            ("allocations_per_tick", self.allocations_per_tick),
            ("allocations_per_logged_tick", self.allocations_per_logged_tick),
        ];
        // A figure that is not a number is none that is good enough.
        let short = least.into_iter().filter(|(_, found, wanted)| found < wanted || found.is_nan());
        let short =
            short.map(|(name, found, wanted)| format!("{name} is {found:.1}, expected at least {wanted}"));
        let taken = allocations.into_iter().filter(|(_, found)| *found != 0.0);
        short.chain(taken.map(|(name, found)| format!("{name} is {found}, expected 0"))).collect()
    }
}

impl Pair {
    pub fn ratio(self) -> f64 {
        self.theirs / self.ours
    }
}

/// Measures everything below `folder`.
pub fn measure(size: Size, folder: &Path) -> anyhow::Result<Speed> {
    let x = r#"<Script code="x := 1"/>"#;
    let texts = [
        ("call", document("<AlwaysSuccess/>")),
        ("deep", deep("<AlwaysSuccess/>", "<AlwaysSuccess/>")),
        ("leaves", deep("<AlwaysSuccess/>", r#"<Script code="x := 1.5"/>"#)),
        ("seq", sequence("", "<AlwaysSuccess/>")),
        ("script", sequence(x, r#"<Script code="x := x + 1"/>"#)),
        ("skip_if", sequence(x, r#"<AlwaysSuccess _skipIf="x > 3"/>"#)),
    ];
    let mut original = Original::start()?;
    for (name, text) in &texts {
        let path = folder.join(format!("{name}.xml"));
        fs::write(&path, text)?;
        original.ask(&format!("load {name} {}", path.display()))?;
    }
    let [_, (_, deep_xml), _, (_, seq), (_, script), (_, skip_if)] = &texts;
    let with_leaves = deep("<Act/>", r#"<Write out="{x}"/>"#);
    let mut deep = Bench::new(deep_xml)?;
    let mut benches = [Bench::new(seq)?, Bench::new(script)?, Bench::new(skip_if)?];
    let mut port = Bench::new(&sequence(r#"<Script code="x := 1.5"/>"#, r#"<Read in="{x}"/>"#))?;
    ensure!(deep.nodes() == 1001.0 && deep.tick()? == Status::Running && port.tick()? == Status::Success);
    let mut logged = Bench::new(deep_xml)?;
    let mut recorder = logged.record(RunFile::create(&folder.join("deep.run"), Sync::default())?)?;
    let mut leaves = Bench::new(&with_leaves)?;
    let mut leaves_recorder = leaves.record(RunFile::create(&folder.join("leaves.run"), Sync::default())?)?;

    let few = size.ticks * 5;
    let (mut call, mut port_ns) = (Vec::new(), Vec::new());
    let (mut turns, mut fixed_turns) = (Vec::new(), Vec::new());
    let mut pairs: [[Vec<f64>; 2]; 7] = Default::default();
    let deep_path = folder.join("deep.xml");
    for _ in 0..size.rounds {
        call.push(original.ask(&format!("tick call {few}"))? / f64::from(few));
        let overhead = median(&call);
        let mut note = |at: usize, ours: f64, theirs: f64| {
            pairs[at][0].push(ours);
            pairs[at][1].push(theirs);
        };
        let nodes = deep.nodes();
        let theirs = original.ask(&format!("tick deep {}", size.ticks))? / f64::from(size.ticks);
        note(0, deep.time(size.ticks)?, (theirs - overhead) / nodes);
        let path = folder.join("theirs.btlog");
        let ticks = size.ticks.div_ceil(4);
        let theirs = original.ask(&format!("logged deep {ticks} {}", path.display()))? / f64::from(ticks);
        note(1, logged.time_logged(size.ticks, &mut recorder)?, (theirs - overhead) / nodes);
        let theirs = original.ask(&format!("logged leaves {ticks} {}", path.display()))? / f64::from(ticks);
        note(6, leaves.time_logged(size.ticks, &mut leaves_recorder)?, (theirs - overhead) / nodes);
        for (at, (name, bench)) in ["seq", "script", "skip_if"].iter().zip(&mut benches).enumerate() {
            let theirs = original.ask(&format!("tick {name} {few}"))? / f64::from(few);
            note(2 + at, bench.time(few)?, (theirs - overhead) / bench.nodes());
        }
        port_ns.push(port.time(few)?);
        let theirs = original.ask(&format!("load again {}", deep_path.display()))?;
        let begin = clock(ClockId::ThreadCPUTime);
        let loaded = Bench::new(deep_xml)?;
        let role = RoleTree { role: "T", tree: &loaded.tree };
        std::hint::black_box(check_tree(role, &LeafTable::new(), &Given::default()));
        note(5, (clock(ClockId::ThreadCPUTime) - begin) as f64 / 1e6, theirs / 1e6);
        let (of_ticks, of_fixed) = times_of(&mut deep, size.distribution)?;
        turns.push(of_ticks);
        fixed_turns.push(of_fixed);
    }

    let [tick, logged_pair, tick_seq, script, skip_if, load_ms, logged_leaves] =
        pairs.map(|[ours, theirs]| Pair { ours: median(&ours), theirs: median(&theirs) });
    let allocations_per_tick = allocations(|| deep.time(1_000).map(drop))? / 1_000.0;
    let allocations_per_logged_tick =
        allocations(|| leaves.time_logged(1_000, &mut leaves_recorder).map(drop))? / 1_000.0;
    recorder.finish()?;
    leaves_recorder.finish()?;
    let allocations_per_queued_tick = queued_allocations(&mut leaves, &folder.join("queued"))?;
    Ok(Speed {
        nodes: deep.tree.nodes().len(),
        tick,
        tick_seq,
        logged: logged_pair,
        logged_leaves,
        script,
        skip_if,
        port_ns: median(&port_ns),
        load_ms,
        python_call_ns: median(&call),
        allocations_per_tick,
        allocations_per_logged_tick,
        allocations_per_queued_tick,
        p999_to_p50: median(&spreads(&turns)),
        fixed_p999_to_p50: median(&spreads(&fixed_turns)),
        undisturbed_p999_to_p50: spread(&least(&turns)),
    })
}

/// How often the thread that ticks takes memory for a tick that it hands to another thread to be written.
fn queued_allocations(bench: &mut Bench, folder: &Path) -> anyhow::Result<f64> {
    const TICKS: u32 = 1_000;
    // The state has gone on since the recorder before began.
    bench.state = State::new(&bench.tree);
    let recordings = RunFolder::start(folder.to_owned(), Options::default())?;
    let mut recorder = bench.record(recordings.begin("run").stream("leaves"))?;
    // The buffers get their size.
    bench.time_logged(10, &mut recorder)?;
    let taken = allocations(|| bench.time_logged(TICKS, &mut recorder).map(drop))?;
    ensure!(recorder.health().lost == 0, "the recording was given up: {:?}", recorder.health());
    Ok(taken / f64::from(TICKS))
}

fn allocations(mut work: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let before = allocation::uses();
    drop(std::hint::black_box(Box::new(0_u8)));
    ensure!(
        allocation::uses() > before,
        "this program does not count allocations: its allocator is another one"
    );
    let before = allocation::uses();
    work()?;
    Ok((allocation::uses() - before) as f64)
}

/// What each of so many ticks took, and fixed work as long as one beside each.
fn times_of(bench: &mut Bench, count: usize) -> anyhow::Result<(Vec<u64>, Vec<u64>)> {
    const WARM_UP: usize = 100;
    let took = |work: &mut dyn FnMut() -> anyhow::Result<()>| {
        let begin = clock(ClockId::ThreadCPUTime);
        work()?;
        anyhow::Ok(clock(ClockId::ThreadCPUTime).saturating_sub(begin))
    };
    let mut tick = || bench.tick().map(drop);
    let warm = (0..WARM_UP).map(|_| took(&mut tick)).collect::<anyhow::Result<Vec<_>>>()?;
    let fixed = FixedWork::lasting(Duration(quantile(&warm, 0.5)));
    let (mut ticks, mut fixes) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for _ in 0..count {
        ticks.push(took(&mut tick)?);
        fixes.push(took(&mut || {
            fixed.carry_out();
            Ok(())
        })?);
    }
    Ok((ticks, fixes))
}

/// The least of each place, over all turns.
fn least(turns: &[Vec<u64>]) -> Vec<u64> {
    let places = turns.iter().map(Vec::len).min().unwrap_or_default();
    (0..places).filter_map(|place| turns.iter().map(|turn| turn[place]).min()).collect()
}

fn spreads(turns: &[Vec<u64>]) -> Vec<f64> {
    turns.iter().map(|turn| spread(turn)).collect()
}

/// p99.9 over p50.
fn spread(times: &[u64]) -> f64 {
    quantile(times, 0.999) as f64 / quantile(times, 0.5).max(1) as f64
}

fn quantile(times: &[u64], share: f64) -> u64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted.get((share * sorted.len() as f64) as usize).copied().unwrap_or_default()
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// As lines for people.
pub fn table(speed: &Speed) -> String {
    let mut out = String::new();
    let rows = [
        ("tick, deep, ns per node", speed.tick),
        ("tick, sequence, ns per node", speed.tick_seq),
        ("tick with log, deep, ns per node", speed.logged),
        ("the same with leaves that write", speed.logged_leaves),
        ("Script x := x + 1, ns", speed.script),
        ("_skipIf, ns", speed.skip_if),
        ("load and check of 1,001 nodes, ms", speed.load_ms),
    ];
    for (name, pair) in rows {
        let _ = writeln!(out, "{name:<34} {:>9.2} {:>9.2} {:>7.1}", pair.ours, pair.theirs, pair.ratio());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Pair, Speed};

    #[test]
    fn a_figure_that_falls_short_is_named() {
        let pair = |ratio| Pair { ours: 2.0, theirs: 2.0 * ratio };
        let good = Speed { tick: pair(15.0), logged: pair(60.0), ..Speed::default() };
        assert_eq!(good.shortfalls(), Vec::<String>::new());
        let rows = [
            (Speed { tick: pair(14.9), ..good.clone() }, "ratio_tick is 14.9, expected at least 15"),
            (Speed { logged: pair(59.0), ..good.clone() }, "ratio_logged is 59.0, expected at least 60"),
            (Speed { logged: Pair::default(), ..good.clone() }, "ratio_logged is NaN, expected at least 60"),
            (
                Speed { allocations_per_logged_tick: 0.5, ..good.clone() },
                "allocations_per_logged_tick is 0.5, expected 0",
            ),
        ];
        for (speed, expected) in rows {
            assert_eq!(speed.shortfalls(), [expected]);
        }
    }
}
