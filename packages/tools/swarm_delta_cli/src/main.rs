//! `csa_delta`: makes the delta between two artifacts, and an artifact out of another and a delta.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use swarm_artifact::{ArtifactId, Limits};
use swarm_store::{apply_delta, make_delta};

/// Deltas between artifacts
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Make the delta from one artifact to another; exits with 1 where the whole is the better choice
    Make {
        /// The artifact (.tar.gz) that cells have
        base: PathBuf,
        /// The artifact that they want
        result: PathBuf,
        /// Where the delta goes
        output: PathBuf,
    },
    /// Make an artifact out of another and a delta
    Apply {
        base: PathBuf,
        delta: PathBuf,
        /// Where the artifact goes
        output: PathBuf,
        /// SHA-256 that the artifact must have
        #[arg(long)]
        digest: ArtifactId,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("csa_delta: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: &Verb) -> Result<()> {
    match verb {
        Verb::Make { base, result, output } => {
            let Some(delta) = make_delta(base, result, Limits::default())? else {
                bail!(
                    "no delta from '{}' to '{}': it would not be smaller than the whole, or the latter was not packaged by \
                     `cell package` at its usual level",
                    base.display(),
                    result.display()
                );
            };
            write(output, &delta)?;
            println!("{} bytes", delta.len());
        }
        Verb::Apply { base, delta, output, digest } => {
            let bytes = File::open(delta).with_context(|| format!("cannot open '{}'", delta.display()))?;
            let made = apply_delta(base, bytes, *digest, output, Limits::default())?;
            println!("{} bytes, {}", made.length, made.id);
        }
    }
    Ok(())
}

/// Writes a file that appears complete or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = tempfile::NamedTempFile::new_in(folder).and_then(|mut staged| {
        staged.write_all(bytes)?;
        staged.as_file().sync_all()?;
        Ok(staged.persist(path)?)
    });
    written.map(|_| ()).with_context(|| format!("cannot write '{}'", path.display()))
}
