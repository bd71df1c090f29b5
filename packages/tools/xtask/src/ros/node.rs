//! Packages of npm that tests read bags with: those of `tests/mcap_js/package-lock.json`, under `.ros/node`.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::debian::{self, NODE_TOOLS};
use crate::error::{Error, IoContext, Result};
use crate::layout::Layout;
use crate::process::{find_program, run_logged};
use crate::stamp::{Inputs, Stamps, Step};

/// Variable that tells tests where the packages are.
pub const VARIABLE: &str = "SWARM_TEST_NODE_MODULES";

/// Installs what is missing; gives the folder `node_modules`.
pub fn modules(layout: &Layout) -> Result<PathBuf> {
    debian::ensure(layout, &NODE_TOOLS)?;
    let _lock = super::lock(layout)?;
    let (sources, folder) = (layout.root().join("tests/mcap_js"), layout.ros().join("node"));
    let files = ["package.json", "package-lock.json"].map(|name| (sources.join(name), folder.join(name)));
    let mut inputs = Inputs::new().path(&folder);
    for (source, _) in &files {
        inputs = inputs.file(source)?;
    }
    let step = Step {
        name: "node",
        title: "install the npm packages that tests use".to_owned(),
        inputs,
        deed: Box::new(|task| {
            fs::create_dir_all(&folder).doing("create", &folder)?;
            for (source, copy) in &files {
                fs::copy(source, copy).doing("copy", source)?;
            }
            let npm = find_program("npm", &env::var_os("PATH").unwrap_or_default())
                .ok_or_else(|| Error::Failed("npm is not on PATH".to_owned()))?;
            let mut command = Command::new(npm);
            // The lock file says what, down to the bytes; nothing of the packages runs while they are installed.
            command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&folder);
            run_logged("installing npm packages", &mut command, &layout.log("node"), |line| task.say(line))
        }),
    };
    Stamps::in_folder(layout.stamps()).carry_out(vec![step])?;
    Ok(folder.join("node_modules"))
}
