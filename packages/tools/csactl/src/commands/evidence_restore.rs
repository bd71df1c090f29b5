//! `csactl evidence-restore` (hidden): the workload of `cargo xtask evidence restore-drill`.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};

use crate::evidence::{Running, Size, restore_drill};
use crate::{Context, Outcome, files};

/// Back a registry up, destroy it, restore it, verify everything; writes JSON. Use a release build.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The registry's program [default: swarm_registry beside this program].
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// How many artifacts it has.
    #[arg(long, value_name = "COUNT", default_value_t = 250, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    artifacts: u32,
    /// Size of each.
    #[arg(long, value_name = "KIB", default_value_t = 1024)]
    kib: usize,
    /// Where the JSON goes; the work files lie beside it while it runs.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(crate) fn run(args: &Args, _context: &Context) -> anyhow::Result<Outcome> {
    let program = match &args.program {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.with_file_name("swarm_registry"),
    };
    if !program.is_file() {
        bail!(
            "there is no program '{}'; build it (cargo build --release -p swarm_registry), or give --program",
            program.display()
        );
    }
    let parent = files::parent(&args.out);
    files::folder(parent)?;
    let work = tempfile::Builder::new().prefix("evidence-restore-").tempdir_in(parent)?;
    let size = Size { artifacts: args.artifacts, kib: args.kib, quarantined_every: 10 };
    let figures = restore_drill(work.path(), size, &|data, trust| start(&program, data, trust))?;
    files::replace(&args.out, format!("{figures:#}\n").as_bytes())?;
    println!("{figures:#}");
    let lost = |name: &str| figures["figures"][name] != 0;
    Ok(if lost("rows_lost") || lost("artifacts_lost") || lost("bad") {
        Outcome::Refused
    } else {
        Outcome::Done
    })
}

/// A child process that is ended with its owner.
#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL: a backup must not depend on an orderly end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(program: &Path, data: &Path, trust: &Path) -> anyhow::Result<Running> {
    let mut child = Command::new(program)
        .args(["--profile", "development", "--listen", "127.0.0.1:0", "--data"])
        .arg(data)
        .arg("--trust")
        .arg(trust)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start '{}'", program.display()))?;
    let output = child.stdout.take();
    let process = Process(child);
    let mut line = String::new();
    BufReader::new(output.context("the program has no output")?).read_line(&mut line)?;
    let address = line.trim().strip_prefix("swarm_registry listens on ");
    let address = address
        .with_context(|| format!("'{}' did not start: it said '{}'", program.display(), line.trim()))?;
    Ok(Running { address: format!("http://{address}"), kept: Box::new(process) })
}
