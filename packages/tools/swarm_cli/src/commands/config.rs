//! `cell config check`: every mistake of a cell's declaration, every file that it names and that is not there, and why the
//! safety monitor would refuse them all together.

use std::path::{Path, PathBuf};

use serde_json::json;
use swarm_cell::CellConfig;
use swarm_safety_core::Tolerances;

use crate::Outcome;
use crate::cell_file::{declared_timing, sources};
use crate::output::{print_json, read};

/// The cell's declaration (config/cell.yaml).
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Config {
    Check(Check),
}

/// List all mistakes of a declaration, each with line, column and field, and the files it names that are missing or contradict it.
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// The declaration; paths in it start at the folder that holds the file's folder.
    #[arg(value_name = "FILE", default_value = "config/cell.yaml")]
    file: PathBuf,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: &Config) -> anyhow::Result<Outcome> {
    let Config::Check(args) = command;
    let text = read(&args.file)?;
    let (mistakes, missing, refusal) = match CellConfig::parse(&text) {
        Ok(cell) => {
            let missing = missing_files(&cell, &args.file);
            let refusal = if missing.is_empty() { refusal(&cell, &args.file) } else { None };
            (Vec::new(), missing, refusal)
        }
        Err(error) => (error.mistakes.as_slice().to_vec(), Vec::new(), None),
    };
    let good = mistakes.is_empty() && missing.is_empty() && refusal.is_none();
    if args.json {
        let mistakes = mistakes.iter().map(|mistake| {
            json!({
                "line": mistake.line, "column": mistake.column, "field": mistake.field,
                "problem": mistake.problem,
            })
        });
        let mistakes: Vec<_> = mistakes.collect();
        print_json(&json!({"mistakes": mistakes, "missing_files": missing, "refusal": refusal}))?;
    } else {
        for mistake in &mistakes {
            println!("{}: {mistake}", args.file.display());
        }
        for path in &missing {
            println!("{}: names {}, which is no file", args.file.display(), path.display());
        }
        if let Some(refusal) = &refusal {
            println!("{}: {refusal}", args.file.display());
        }
        if good {
            println!("{}: good", args.file.display());
        }
    }
    Ok(if good { Outcome::Done } else { Outcome::Refused })
}

/// Why the safety monitor would not start with the declaration and the files that it names.
fn refusal(cell: &CellConfig, declaration: &Path) -> Option<String> {
    let configured = sources(declaration)
        .and_then(|sources| Ok(sources.config(declared_timing(cell), Tolerances::default())?));
    configured.err().map(|error| format!("{error:#}"))
}

/// Files below the declaration's root that are not there. Store and trust file are the installation's, not the declaration's.
fn missing_files(cell: &CellConfig, declaration: &Path) -> Vec<PathBuf> {
    let root = swarm_cell::root_of(declaration);
    let of_robots = cell.robots.iter().flat_map(|robot| [Some(&robot.urdf), robot.gripper_urdf.as_ref()]);
    let mut named: Vec<_> =
        of_robots.flatten().chain([&cell.safety.file]).map(|path| root.join(path)).collect();
    named.retain(|path| !path.is_file());
    named.dedup();
    named
}
