//! The ament install tree: what `ros2 run` and `ros2 launch` find.
//!
//! colcon lays it, from the package.xml and CMakeLists.txt beside each node's Cargo.toml, so that `colcon build` typed by a
//! user and `cargo xtask install` give the same tree. The CMake side (`cmake/swarm_cargo.cmake`) calls back
//! [`stage_package`], which compiles with the one environment that every other command uses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::compile::{self, Executable, Profile};
use crate::error::{Error, IoContext, Result};
use crate::layout::Layout;
use crate::process::run_logged;
use crate::ros::RosEnv;
use crate::ui::Task;

/// How colcon lays packages out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// All packages in one prefix.
    Merged,
    /// One prefix for each package, colcon's default.
    Isolated,
}

#[derive(Debug)]
pub struct Options<'a> {
    pub prefix: &'a Path,
    /// colcon's scratch folder.
    pub build: &'a Path,
    pub mode: Mode,
    pub profile: Profile,
    /// Nodes and launch files alone, for a tree that stands on one that has the messages.
    pub leave_messages_out: bool,
}

/// Installs everything.
pub fn install(layout: &Layout, ros: &RosEnv, options: &Options<'_>) -> Result<()> {
    // First by itself: with progress, and with errors that are not wrapped in colcon's.
    compile::executables(layout, ros, options.profile)?;

    keep_colcon_out(layout)?;
    let task = Task::start(format!("lay the install tree {}", options.prefix.display()));
    let mut command = Command::new(ros.venv.join("bin/colcon"));
    command.arg("--log-base").arg(options.build.join("colcon-log"));
    command.args(["build", "--event-handlers", "console_direct+", "--executor", "sequential"]);
    command.arg("--install-base").arg(options.prefix).arg("--build-base").arg(options.build);
    if options.mode == Mode::Merged {
        command.arg("--merge-install");
    }
    if options.leave_messages_out {
        command.args(["--packages-ignore", "swarm_msgs"]);
    }
    let build_type = match options.profile {
        Profile::Dev => "Debug",
        Profile::Release => "Release",
    };
    command.args(["--cmake-args", &format!("-DCMAKE_BUILD_TYPE={build_type}"), "-DBUILD_TESTING=OFF"]);
    command.arg(format!("-DPython3_EXECUTABLE={}", ros.python().display()));
    command.current_dir(layout.root());
    if options.leave_messages_out {
        ros.apply(&mut command);
    } else {
        ros.apply_underlay(&mut command);
    }
    let log = layout.log("colcon");
    run_logged("laying the install tree", &mut command, &log, |line| {
        if line.starts_with("Starting >>>") || line.starts_with("Finished <<<") {
            task.say(line);
        }
    })?;
    let missing = missing(layout, options)?;
    if missing.is_empty() {
        task.done();
        return Ok(());
    }
    Err(Error::Failed(format!(
        "the install tree lacks:\n  {}\n  see {}",
        missing.join("\n  "),
        log.display()
    )))
}

/// colcon looks for packages in every folder of the repository; cargo's has thousands, and install trees under test.
fn keep_colcon_out(layout: &Layout) -> Result<()> {
    let target = layout.root().join("target");
    fs::create_dir_all(&target).doing("create", &target)?;
    let mark = target.join("COLCON_IGNORE");
    fs::write(&mark, "").doing("write", &mark)
}

/// Called by CMake: compiles, and copies what belongs to `package` into `out/bin` and `out/lib`.
pub fn stage_package(
    layout: &Layout,
    ros: &RosEnv,
    profile: Profile,
    package: &str,
    libraries: &[String],
    out: &Path,
) -> Result<()> {
    let from = compile::executables(layout, ros, profile)?;
    let mine: Vec<Executable> =
        compile::node_executables(layout)?.into_iter().filter(|each| each.package == package).collect();
    if mine.is_empty() {
        return Err(Error::Failed(format!("no crate {package} with executables in packages/nodes")));
    }
    for folder in ["bin", "lib"] {
        let folder = out.join(folder);
        if folder.exists() {
            fs::remove_dir_all(&folder).doing("remove", &folder)?;
        }
        fs::create_dir_all(&folder).doing("create", &folder)?;
    }
    for executable in mine {
        copy(&from.join(&executable.name), &out.join("bin").join(&executable.name))?;
    }
    for library in libraries {
        // `.ros/native` has links under the plain name and under the one with the version; both are wanted.
        for entry in fs::read_dir(layout.native()).doing("list", layout.native())?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(library.as_str()) {
                copy(&entry.path(), &out.join("lib").join(entry.file_name()))?;
            }
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).doing("copy", from).map(|_| ())
}

/// What of the tree is not there: nothing, after a successful installation.
pub fn missing(layout: &Layout, options: &Options<'_>) -> Result<Vec<String>> {
    let mut files = Vec::new();
    let mut packages = vec!["swarm_bringup".to_owned()];
    if !options.leave_messages_out {
        packages.push("swarm_msgs".to_owned());
    }
    for executable in compile::node_executables(layout)? {
        files.push((executable.package.clone(), format!("lib/{}/{}", executable.package, executable.name)));
        packages.push(executable.package);
    }
    packages.dedup();
    for package in packages {
        files.push((package.clone(), format!("share/{package}/package.xml")));
        files.push((package.clone(), format!("share/ament_index/resource_index/packages/{package}")));
    }
    for file in ["launch/cell.launch.py", "launch/sim.launch.py", "config/cell.yaml", "urdf"] {
        files.push(("swarm_bringup".to_owned(), format!("share/swarm_bringup/{file}")));
    }
    let place = |(package, file): (String, String)| -> PathBuf {
        match options.mode {
            Mode::Merged => options.prefix.join(file),
            Mode::Isolated => options.prefix.join(package).join(file),
        }
    };
    let absent = files.into_iter().map(place).filter(|path| !path.exists());
    Ok(absent.map(|path| path.display().to_string()).collect())
}
