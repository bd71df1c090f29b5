//! Evidence of capture: discovery, synchronisation, loss, power cuts, load, snapshots.
//!
//! Each is a program of its own below `bin`; here is what they share.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

/// What a measurement is told: whether the short form is wanted, and where the result goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    pub short: bool,
    pub output: PathBuf,
}

impl Arguments {
    /// Of the command line, `NAME [--short] OUTPUT.json`.
    fn read(name: &str, words: impl Iterator<Item = String>) -> Result<Self> {
        let usage = format!("expected: {name} [--short] OUTPUT.json");
        let (mut short, mut output) = (false, None);
        for word in words {
            match word.as_str() {
                "--short" => short = true,
                _ if word.starts_with('-') || output.is_some() => bail!("{word} is not known; {usage}"),
                _ => output = Some(word.into()),
            }
        }
        Ok(Self { short, output: output.context(usage)? })
    }
}

/// The `main` of a measurement: says what went wrong, and how it is to be called.
pub fn main(name: &str, measure: impl FnOnce(Arguments) -> Result<()>) -> ExitCode {
    match Arguments::read(name, std::env::args().skip(1)).and_then(measure) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_too_many_is_named_with_the_usage() {
        let read = |words: &[&str]| Arguments::read("sync", words.iter().map(|word| (*word).to_owned()));
        let right = Arguments { short: true, output: "out.json".into() };
        assert_eq!(read(&["--short", "out.json"]).unwrap(), right);
        let told = |words| read(words).unwrap_err().to_string();
        assert_eq!(told(&[]), "expected: sync [--short] OUTPUT.json");
        assert_eq!(told(&["a", "b"]), "b is not known; expected: sync [--short] OUTPUT.json");
        assert_eq!(told(&["--fast"]), "--fast is not known; expected: sync [--short] OUTPUT.json");
    }
}
