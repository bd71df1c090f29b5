//! The corpus of the fuzz targets and mutations of it, through the same functions, without any tool.
//!
//! Mutations go on for two seconds per parser. What comes out of seed and number is always the same: a failure prints both, and
//! `FUZZ_SEED=.. FUZZ_FROM=.. cargo test --test fuzz_corpus` begins there.

#[path = "../fuzz/check.rs"]
mod check;

use std::path::Path;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// Pieces that mean something to one of the parsers.
const PIECES: [&str; 26] = [
    "<",
    "/>",
    "\"",
    "&#0;",
    "&#8238;",
    "&lt;",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<!DOCTYPE a>",
    "<?xml?>",
    "ProbeMatch",
    "urn:uuid:",
    "http://[fe80::1%25x]:1/",
    "https://",
    "http://a@b/",
    "onvif",
    "%",
    ":99999",
    "-1",
    "NaN",
    "18446744073709551616",
    "token=\"\"",
    "é\u{202e}",
    "\u{7f}",
];

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
    let mut random = StdRng::seed_from_u64(seed ^ number.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let mut bytes = corpus[random.random_range(0..corpus.len())].clone();
    for _ in 0..random.random_range(1..5) {
        let at = random.random_range(0..=bytes.len());
        let end = (at + random.random_range(0..40)).min(bytes.len());
        match random.random_range(0..6) {
            0 => drop(bytes.drain(at..end)),
            1 => bytes.truncate(at),
            2 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            3 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            _ => {
                let piece = PIECES[random.random_range(0..PIECES.len())].bytes();
                bytes.splice(at..end.min(at + 4), piece);
            }
        }
    }
    bytes
}

/// Says what was being tried if it panics.
struct Tried {
    seed: u64,
    number: u64,
}

impl Drop for Tried {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("FUZZ_SEED={} FUZZ_FROM={}", self.seed, self.number);
        }
    }
}

fn run(target: &str, check: fn(&[u8])) {
    let corpus = corpus(target);
    for input in &corpus {
        check(input);
    }
    let setting = |name| std::env::var(name).ok().and_then(|text: String| text.parse().ok());
    let mut tried = Tried {
        seed: setting("FUZZ_SEED").unwrap_or_else(rand::random),
        number: setting("FUZZ_FROM").unwrap_or(0),
    };
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        check(&mutation(&corpus, tried.seed, tried.number));
        tried.number += 1;
    }
}

#[test]
fn no_datagram_brings_discovery_down() {
    run("match", check::datagram);
}

#[test]
fn no_answer_brings_the_client_down() {
    run("answer", check::answer);
}
