//! Virtual environments from pinned wheels: a whole ROS 2 Jazzy at `.ros/jazzy` where none is sourced, or only the
//! project's tools at `.ros/tools` beside a sourced one.
//!
//! 1. `venv`: an empty environment of a Python that fits.
//! 2. `download`: every file of the requirements, its hash checked, into `.ros/downloads`. What an interrupted try left
//!    there is used again.
//! 3. `install`: from that folder alone, without the network.
//! 4. `repairs` (ROS only): see [`super::repairs`].

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::python::Python;
use super::repairs;
use crate::error::{IoContext, Result};
use crate::layout::Layout;
use crate::process::run_logged;
use crate::stamp::{Inputs, Step};
use crate::ui::Task;

/// A virtual environment to be made.
#[derive(Debug, Clone)]
pub struct Venv {
    pub folder: PathBuf,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// ROS 2 Jazzy and the tools.
    Ros,
    /// The tools alone; what the distribution's Python has (numpy above all, which the compiled messages of a sourced
    /// Jazzy are tied to) stays visible.
    ToolsBesideSourced,
}

impl Venv {
    pub fn python(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    fn requirements(&self, layout: &Layout) -> Vec<PathBuf> {
        let names: &[&str] = match self.kind {
            Kind::Ros => &["ros.txt", "tools.txt"],
            Kind::ToolsBesideSourced => &["tools.txt"],
        };
        names.iter().map(|name| layout.requirements(name)).collect()
    }

    /// The steps that make it, each with its inputs.
    pub fn steps<'a>(&'a self, layout: &'a Layout, python: &'a Python) -> Result<Vec<Step<'a>>> {
        let mut pins = Inputs::new().file(&layout.requirements("build.txt"))?;
        for file in self.requirements(layout) {
            pins = pins.file(&file)?;
        }
        let what = match self.kind {
            Kind::Ros => "ROS 2 Jazzy",
            Kind::ToolsBesideSourced => "tools",
        };
        let identity = Inputs::new().path(&self.folder).path(&python.executable).text(python.short_version());
        let mut steps = vec![
            Step {
                name: "venv",
                title: format!("make a virtual environment of Python {}", python.short_version()),
                // The environment has to be empty when other wheels are to go into it.
                inputs: identity.text(pins.digest().as_str()),
                deed: Box::new(move |_| self.create(layout, python)),
            },
            Step {
                name: "download",
                title: format!("download the wheels of {what}"),
                inputs: Inputs::new(),
                deed: Box::new(move |task| self.download(layout, task)),
            },
            Step {
                name: "install",
                title: format!("install the wheels of {what}"),
                inputs: Inputs::new(),
                deed: Box::new(move |task| self.install(layout, task)),
            },
        ];
        if self.kind == Kind::Ros {
            steps.push(Step {
                name: "repairs",
                title: "repair what the wheels got wrong".to_owned(),
                inputs: Inputs::new().text(repairs::REVISION),
                deed: Box::new(move |_| repairs::apply(&self.folder, python, &layout.log("repairs"))),
            });
        }
        Ok(steps)
    }

    fn create(&self, layout: &Layout, python: &Python) -> Result<()> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).doing("remove", &self.folder)?;
        }
        let mut command = Command::new(&python.executable);
        command.args(["-m", "venv"]);
        if self.kind == Kind::ToolsBesideSourced {
            command.arg("--system-site-packages");
        }
        command.arg(&self.folder);
        run_logged("making the virtual environment", &mut command, &layout.log("venv"), |_| ())?;
        // Source packages are built with this, so that pip fetches nothing that is not pinned.
        let mut command = self.pip("install");
        command.args(["--ignore-installed", "-r"]).arg(layout.requirements("build.txt"));
        run_logged("installing setuptools", &mut command, &layout.log("venv-setuptools"), |_| ())
    }

    fn download(&self, layout: &Layout, task: &Task) -> Result<()> {
        let mut command = self.pip("download");
        command.args(["--no-build-isolation", "-d"]).arg(downloads(layout));
        let total = self.add_requirements(&mut command, layout)?;
        task.set_length(total);
        let mut count = 0;
        run_logged("downloading the wheels", &mut command, &layout.log("download"), |line| {
            if let Some(name) = line.strip_prefix("Collecting ") {
                count += 1;
                task.advance_to(count);
                task.say(name.split_whitespace().next().unwrap_or(name));
            }
        })
    }

    fn install(&self, layout: &Layout, task: &Task) -> Result<()> {
        let mut command = self.pip("install");
        command.args(["--no-index", "--no-build-isolation", "--find-links"]).arg(downloads(layout));
        // A file of the same name in the distribution's Python must not stand in for the pinned one.
        command.arg("--ignore-installed");
        let total = self.add_requirements(&mut command, layout)?;
        task.set_length(total);
        let mut count = 0;
        run_logged("installing the wheels", &mut command, &layout.log("install"), |line| {
            if line.starts_with("Processing ") {
                count += 1;
                task.advance_to(count);
            } else if line.starts_with("Installing ") {
                task.say("unpacking");
            }
        })?;
        // They are installed, and pip's cache has them too.
        let folder = downloads(layout);
        fs::remove_dir_all(&folder).doing("remove", folder)
    }

    /// pip of the environment, told to take nothing that is not named with its hash.
    fn pip(&self, verb: &str) -> Command {
        let mut command = Command::new(self.python());
        command.args(["-m", "pip", "--disable-pip-version-check", "--no-input", verb]);
        command.args(["--no-deps", "--require-hashes", "--progress-bar", "off"]);
        // A user's PYTHONPATH, as of a sourced ROS, must not hide what is to be installed.
        command.env_remove("PYTHONPATH").env("_ROS_WHEELS_BOOTSTRAP_COMPLETE", "1");
        command
    }

    /// Names the requirement files on the command line; gives how many packages they pin, about.
    fn add_requirements(&self, command: &mut Command, layout: &Layout) -> Result<u64> {
        let mut pins = 0;
        for file in self.requirements(layout) {
            let text = fs::read_to_string(&file).doing("read", &file)?;
            pins += text.lines().filter(|line| line.contains("==") && !line.starts_with('#')).count() as u64;
            command.arg("-r").arg(file);
        }
        Ok(pins)
    }
}

fn downloads(layout: &Layout) -> PathBuf {
    layout.ros().join("downloads")
}

/// `lib/python3.X/site-packages` of a prefix, whatever X is.
pub fn site_packages(prefix: &Path) -> Option<PathBuf> {
    let lib = prefix.join("lib");
    let mut found: Vec<PathBuf> = fs::read_dir(lib)
        .ok()?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("python3"))
        .map(|entry| entry.path().join("site-packages"))
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found.pop()
}
