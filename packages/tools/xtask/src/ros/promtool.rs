//! `promtool`, which checks the alerts that are shipped. Debian has it in the package of the server, and to install that would start
//! a daemon on the user's machine: so the program is taken out of the package, and nothing is installed.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, IoContext, Result};
use crate::layout::Layout;
use crate::process::{find_program, run_logged};
use crate::ui::Task;

/// Variable that tells tests where it is.
pub const VARIABLE: &str = "SWARM_PROMTOOL";

/// The one on the search path, or the one under `.ros/promtool`, which is fetched where it is not there yet.
pub fn program(layout: &Layout) -> Result<PathBuf> {
    if let Some(found) = on_path("promtool") {
        return Ok(found);
    }
    let folder = layout.ros().join("promtool");
    let program = folder.join("usr/bin/promtool");
    if program.is_file() {
        return Ok(program);
    }
    let (Some(apt), Some(dpkg)) = (on_path("apt-get"), on_path("dpkg-deb")) else {
        return Err(Error::Missing {
            what: "promtool is missing on this machine".to_owned(),
            hint: "put promtool (of Prometheus) on the search path".to_owned(),
        });
    };
    let _lock = super::lock(layout)?;
    let task = Task::start("take promtool out of Debian's package `prometheus`".to_owned());
    // A folder that is not finished never has the name of one that is.
    let unfinished = layout.ros().join("promtool.new");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).doing("remove", &unfinished)?;
    }
    fs::create_dir_all(&unfinished).doing("create", &unfinished)?;
    let run = |what: &str, command: &mut Command, log: &str| {
        run_logged(what, command.current_dir(&unfinished), &layout.log(log), |line| task.say(line))
    };
    let download = || {
        let what = "downloading Debian's package prometheus";
        run(what, Command::new(&apt).args(["download", "prometheus"]), "promtool")
    };
    // The lists of packages may be old or missing; bringing them up to date needs rights.
    if download().is_err() {
        run("updating the package lists", Command::new(&apt).arg("update"), "apt")?;
        download()?;
    }
    let package = downloaded(&unfinished)?;
    let mut unpack = Command::new(dpkg);
    unpack.arg("--extract").arg(&package).arg(&unfinished);
    run("unpacking Debian's package prometheus", &mut unpack, "promtool")?;
    fs::remove_file(&package).doing("remove", &package)?;
    if folder.exists() {
        fs::remove_dir_all(&folder).doing("remove", &folder)?;
    }
    fs::rename(&unfinished, &folder).doing("rename", &unfinished)?;
    task.done();
    if program.is_file() {
        Ok(program)
    } else {
        Err(Error::Failed(format!("Debian's package prometheus has no {}", program.display())))
    }
}

fn downloaded(folder: &Path) -> Result<PathBuf> {
    let files = fs::read_dir(folder).doing("read", folder)?;
    let mut packages = files.flatten().map(|file| file.path()).filter(|path| has_ending(path, "deb"));
    packages
        .next()
        .ok_or_else(|| Error::Failed(format!("apt-get download left no package in {}", folder.display())))
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found == ending)
}

fn on_path(name: &str) -> Option<PathBuf> {
    find_program(name, &env::var_os("PATH").unwrap_or_default())
}
