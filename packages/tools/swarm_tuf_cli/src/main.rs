//! `tuf`: a client of any repository of The Update Framework. Verbs and options are those that the public conformance suite
//! for such clients calls (its CLIENT-CLI.md), so that `pytest tuf_conformance --entrypoint target/debug/tuf` in a clone of it
//! tests what runs here. It exits with 0 if everything was believed, and with 1 otherwise.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use clap::{Parser, Subcommand};
use swarm_tuf::{Client, Limits, Mode, Moment, ROOT, TargetPath, find, local_file, refresh};
use swarm_tuf_cli::{Folder, Server, Update, download};

/// Client of The Update Framework
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Folder with the metadata that is believed
    #[arg(long, global = true)]
    metadata_dir: Option<PathBuf>,
    /// Where the repository's metadata is
    #[arg(long, global = true)]
    metadata_url: Option<String>,
    /// A target to download; may be given several times
    #[arg(long, global = true)]
    target_name: Vec<String>,
    /// Where the repository's targets are
    #[arg(long, global = true)]
    target_base_url: Option<String>,
    /// Folder for the targets
    #[arg(long, global = true)]
    target_dir: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Begin to believe a root, which came here by a way that is trusted
    Init { trusted_root: PathBuf },
    /// Bring the metadata up to date
    Refresh,
    /// Bring the metadata up to date, and get targets
    Download,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tuf: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let folder = Folder::open(given(arguments.metadata_dir.as_ref(), "--metadata-dir")?)?;
    let limits = Limits::default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("this machine's clock is before 1970")?;
    let begin = |root: &[u8]| Client::new(root, Moment(now.as_secs().cast_signed()), Mode::Online, limits);
    let root = folder.load(&local_file(ROOT))?;
    if let Verb::Init { trusted_root } = &arguments.verb {
        let bytes =
            std::fs::read(trusted_root).with_context(|| format!("cannot read {}", trusted_root.display()))?;
        if root.is_some() {
            bail!("the folder believes a root already; remove it by hand if it is to begin anew");
        }
        begin(&bytes)?;
        return Ok(folder.store(&local_file(ROOT), &bytes)?);
    }
    let root = root.ok_or_else(|| anyhow!("the folder believes no root yet; begin with `tuf init ROOT`"))?;
    let mut client = begin(&root)?;
    let metadata = Server::new(given(arguments.metadata_url.as_ref(), "--metadata-url")?);
    let mut update = Update { folder: &folder, server: &metadata };
    refresh(&mut client, &mut update)?;
    if matches!(arguments.verb, Verb::Download) {
        let targets = Server::new(given(arguments.target_base_url.as_ref(), "--target-base-url")?);
        let target_dir = given(arguments.target_dir.as_ref(), "--target-dir")?;
        if arguments.target_name.is_empty() {
            bail!("no target is given; name one with --target-name");
        }
        for name in &arguments.target_name {
            let path: TargetPath = name.parse()?;
            let target = find(&mut client, &mut update, &path)?;
            println!("{}", download(&targets, &target, &limits, target_dir)?.display());
        }
    }
    Ok(())
}

fn given<'a, T>(option: Option<&'a T>, name: &str) -> Result<&'a T> {
    option.ok_or_else(|| anyhow!("{name} is missing; see `tuf --help`"))
}
