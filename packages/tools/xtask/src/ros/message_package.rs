//! Building one ROS message package with CMake.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::underlay::Variables;
use crate::error::{IoContext, Result};
use crate::layout::Layout;
use crate::process::run_logged;
use crate::ui::Task;

/// What to build, from where, to where.
#[derive(Debug)]
pub struct MessagePackage<'a> {
    pub source: &'a Path,
    /// Where it will be found.
    pub prefix: &'a Path,
    /// Put in front of every installed path (`DESTDIR`), to be moved into place by the caller.
    pub staging: Option<&'a Path>,
    /// The environment of the underlay.
    pub variables: &'a Variables,
    pub python: &'a Path,
}

impl MessagePackage<'_> {
    /// Configures, compiles and installs, in a build folder of its own that is removed afterwards.
    pub fn build(&self, layout: &Layout, task: &Task) -> Result<()> {
        let name = name_of(self.source);
        let build = layout.ros().join("build").join(&name);
        let log = |step: &str| layout.log(&format!("{name}-{step}"));
        remove(&build)?;

        let mut configure = Command::new("cmake");
        configure.arg("-S").arg(self.source).arg("-B").arg(&build);
        configure.arg(format!("-DCMAKE_INSTALL_PREFIX={}", self.prefix.display()));
        configure.arg(format!("-DPython3_EXECUTABLE={}", self.python.display()));
        // Generated code for a few hundred messages a second: compile time is what counts.
        configure.args(["-DBUILD_TESTING=OFF", "-DCMAKE_BUILD_TYPE=Release"]);
        configure.args(["-DCMAKE_C_FLAGS_RELEASE=-O1", "-DCMAKE_CXX_FLAGS_RELEASE=-O1"]);
        configure.envs(self.variables);
        run_logged("configuring the messages", &mut configure, &log("configure"), |_| ())?;

        let jobs = std::thread::available_parallelism().map_or(2, usize::from);
        let mut compile = Command::new("cmake");
        compile.arg("--build").arg(&build).arg("-j").arg(jobs.to_string()).envs(self.variables);
        task.set_length(100);
        run_logged("building the messages", &mut compile, &log("build"), |line| {
            if let Some((percent, what)) = progress_of_make(line) {
                task.advance_to(percent);
                task.say(what);
            }
        })?;

        let mut install = Command::new("cmake");
        install.arg("--install").arg(&build).envs(self.variables);
        if let Some(staging) = self.staging {
            install.env("DESTDIR", staging);
        }
        run_logged("installing the messages", &mut install, &log("install"), |_| ())?;
        remove(&build)
    }
}

/// A package has the name of the folder that it is in.
pub fn name_of(source: &Path) -> String {
    source.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The message packages in `folder`, sorted: each sub-folder with a package.xml.
pub fn packages_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).doing("list", folder)? {
        let path = entry.doing("list", folder)?.path();
        if path.join("package.xml").is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Removes a folder that may not be there.
pub fn remove(folder: &Path) -> Result<()> {
    if folder.exists() { fs::remove_dir_all(folder).doing("remove", folder) } else { Ok(()) }
}

/// `[ 42%] Building C object x.c.o` -> 42 and the rest.
fn progress_of_make(line: &str) -> Option<(u64, &str)> {
    let (percent, what) = line.strip_prefix('[')?.split_once("%]")?;
    Some((percent.trim().parse().ok()?, what.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_percentages_are_understood() {
        assert_eq!(progress_of_make("[  7%] Building C object x.o"), Some((7, "Building C object x.o")));
        assert_eq!(progress_of_make("Scanning dependencies"), None);
    }
}
