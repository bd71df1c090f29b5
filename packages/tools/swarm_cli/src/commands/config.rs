//! `cell config check`: every mistake of a cell's declaration, and every file that it names and that is not there.

use std::path::{Path, PathBuf};

use serde_json::json;
use swarm_cell::CellConfig;

use crate::Outcome;
use crate::output::{print_json, read};

/// The cell's declaration (config/cell.yaml).
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Config {
    Check(Check),
}

/// List all mistakes of a declaration, each with line, column and field, and the files it names that are missing.
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
    let (mistakes, missing) = match CellConfig::parse(&text) {
        Ok(cell) => (Vec::new(), missing_files(&cell, &args.file)),
        Err(error) => (error.mistakes.as_slice().to_vec(), Vec::new()),
    };
    if args.json {
        let mistakes = mistakes.iter().map(|mistake| {
            json!({
                "line": mistake.line, "column": mistake.column, "field": mistake.field,
                "problem": mistake.problem,
            })
        });
        print_json(&json!({"mistakes": mistakes.collect::<Vec<_>>(), "missing_files": missing}))?;
    } else {
        for mistake in &mistakes {
            println!("{}: {mistake}", args.file.display());
        }
        for path in &missing {
            println!("{}: names {}, which is no file", args.file.display(), path.display());
        }
        if mistakes.is_empty() && missing.is_empty() {
            println!("{}: good", args.file.display());
        }
    }
    Ok(if mistakes.is_empty() && missing.is_empty() { Outcome::Done } else { Outcome::Refused })
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
