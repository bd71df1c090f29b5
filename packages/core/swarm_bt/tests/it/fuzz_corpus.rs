//! The corpus of the fuzz targets and mutations of it, through the same functions, without any tool.
//!
//! Mutations go on for a few seconds. What comes out of seed and number is always the same: a failure prints both, and
//! `FUZZ_SEED=.. FUZZ_FROM=.. cargo test -p swarm_bt fuzz_corpus` begins there.

#[path = "../../fuzz/check.rs"]
mod check;

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Pieces that mean something to one of the parsers.
const PIECES: [&str; 44] = [
    "<",
    "/>",
    "\"",
    "'",
    "{",
    "}",
    "{=}",
    "{@x}",
    "&#0;",
    "&#1114112;",
    "&lt;",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<!DOCTYPE a>",
    "<?xml?>",
    "<SubTree ID=\"T\"/>",
    "<Probe float=\"{f}\"/>",
    "<Sequence>",
    "</Sequence>",
    " _skipIf=\"1\"",
    " _autoremap=\"1\"",
    " name=\"a\"",
    "<include path=\"../x\"/>",
    "<include path=\"ab\"/>",
    "json:[1,2",
    "1;2;3",
    ":=",
    "+=",
    "..",
    "? 1 : 2",
    "&& ",
    "(",
    ")",
    "~",
    "-",
    "0x",
    "1e999",
    "9223372036854775808",
    "-9223372036854775808",
    "RED",
    "é",
    "\u{7f}",
];

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.next() % end as u64) as usize }
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("can be listed").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths.iter().map(|path| std::fs::read(path).expect("can be read")).collect()
}

/// Mutation `number` of the corpus.
fn mutation(corpus: &[Vec<u8>], seed: u64, number: u64) -> Vec<u8> {
    let mut random = Random(seed ^ number.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let mut bytes = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(24)).min(bytes.len());
        match random.below(6) {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let copy = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, copy);
            }
            2 => {
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len() + 1);
                let to = (from + random.below(60)).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
            3 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            _ => {
                let piece = PIECES[random.below(PIECES.len())].bytes();
                bytes.splice(at..at, piece);
            }
        }
    }
    // Bytes that are no text are refused before a parser sees them.
    String::from_utf8_lossy(&bytes).into_owned().into_bytes()
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
}

/// Says what was being tried if it panics.
struct Tried {
    target: &'static str,
    seed: u64,
    number: u64,
}

impl Drop for Tried {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Tried { target, seed, number } = self;
            eprintln!("{target} fails: FUZZ_SEED={seed} FUZZ_FROM={number}");
        }
    }
}

/// Ends the process if nothing has come for a long time, because what is being tried does not come back.
fn watch(target: &str, seed: u64, numbers: &Receiver<u64>) {
    let mut last = 0;
    loop {
        match numbers.recv_timeout(Duration::from_mins(5)) {
            Ok(number) => last = number,
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                eprintln!("{target} does not come back: FUZZ_SEED={seed} FUZZ_FROM={last}");
                std::process::abort();
            }
        }
    }
}

fn run(target: &'static str, check: fn(&[u8])) {
    let corpus = corpus(target);
    for input in &corpus {
        check(input);
    }
    let clock = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = setting("FUZZ_SEED").unwrap_or_else(|| clock().map_or(1, |now| now.as_nanos() as u64));
    let from = setting("FUZZ_FROM").unwrap_or(0);
    println!("{target}: FUZZ_SEED={seed}");
    let (sender, receiver) = channel();
    let mut tried = Tried { target, seed, number: from };
    std::thread::scope(|scope| {
        scope.spawn(move || watch(target, seed, &receiver));
        // Dropped with this closure's frame, panic or not, which ends the watch.
        let sender = sender;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(3) {
            sender.send(tried.number).expect("the watch lasts as long as this");
            check(&mutation(&corpus, seed, tried.number));
            tried.number += 1;
        }
    });
    println!("{target}: {} mutations", tried.number - from);
    if let Some(kb) = peak_memory_kb() {
        assert!(kb < 1 << 20, "{target}: {kb} KiB at the peak, expected less than 1 GiB");
    }
}

/// The most memory that this process has had. `None` where there is no `/proc`.
fn peak_memory_kb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

#[test]
fn no_document_brings_the_loader_down() {
    run("document", check::document);
}

#[test]
fn no_script_brings_the_parser_or_a_run_down() {
    run("script", check::script);
}

#[test]
fn a_mutation_comes_from_seed_and_number_alone() {
    let corpus = corpus("document");
    let some: Vec<_> = (0..50).map(|number| mutation(&corpus, 7, number)).collect();
    assert_eq!(some, (0..50).map(|number| mutation(&corpus, 7, number)).collect::<Vec<_>>());
    assert!(some.iter().filter(|input| !corpus.contains(input)).count() > 40, "most differ from the corpus");
}
