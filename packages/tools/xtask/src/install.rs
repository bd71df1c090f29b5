//! The ament install tree: what `ros2 run` and `ros2 launch` find, and the operator's programs, which its setup files put on
//! the PATH.
//!
//! colcon lays it, from the package.xml and CMakeLists.txt beside each node's Cargo.toml and in packages/tools, so that `colcon build` typed by a
//! user and `cargo xtask install` give the same tree. The CMake side (`cmake/swarm_cargo.cmake`) calls back
//! [`stage_package`], which compiles with the one environment that every other command uses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::compile::{self, Profile};
use crate::error::{Error, IoContext, Result};
use crate::layout::Layout;
use crate::process::run_logged;
use crate::ros::message_package::name_of;
use crate::ros::{RosEnv, overlay};
use crate::ui::Task;

/// The ament package of the operator's programs.
pub const PROGRAMS_PACKAGE: &str = "swarm_programs";

/// What an operator types: installed into `bin/`.
pub const PROGRAMS: [&str; 4] = ["cell", "csactl", "swarm_registry", "swarm_report"];

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

/// The executables of ament package `package`.
fn executables_of(layout: &Layout, package: &str) -> Result<Vec<String>> {
    if package == PROGRAMS_PACKAGE {
        return Ok(PROGRAMS.map(str::to_owned).into());
    }
    let mut mine = compile::node_executables(layout)?;
    mine.retain(|each| each.package == package);
    if mine.is_empty() {
        return Err(Error::Failed(format!("no crate {package} with executables in packages/nodes")));
    }
    Ok(mine.into_iter().map(|each| each.name).collect())
}

/// Called by CMake: compiles, and copies what belongs to `package` into `out/bin` and `out/lib`; into `out/messages` the message
/// packages that were built because the sourced ROS lacks them, since executables are linked to their libraries.
pub fn stage_package(
    layout: &Layout,
    ros: &RosEnv,
    profile: Profile,
    package: &str,
    libraries: &[String],
    out: &Path,
) -> Result<()> {
    let from = compile::executables(layout, ros, profile)?;
    let mine = executables_of(layout, package)?;
    for folder in ["bin", "lib", "messages"] {
        let folder = out.join(folder);
        if folder.exists() {
            fs::remove_dir_all(&folder).doing("remove", &folder)?;
        }
        fs::create_dir_all(&folder).doing("create", &folder)?;
    }
    for executable in mine {
        copy(&from.join(&executable), &out.join("bin").join(&executable))?;
    }
    for lacked in overlay::lacking(layout, &ros.underlay)? {
        copy_package(&name_of(&lacked), &ros.overlay, &out.join("messages"))?;
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

/// Copies what belongs to message package `name` from the prefix `from`: the files and folders that are named for it.
fn copy_package(name: &str, from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).doing("list", from)? {
        let entry = entry.doing("list", from)?;
        let (path, file) = (entry.path(), entry.file_name());
        let file = file.to_string_lossy();
        let is_its =
            file == name || file.strip_prefix("lib").unwrap_or(&file).starts_with(&format!("{name}__"));
        if is_its {
            copy_tree(&path, &to.join(&*file))?;
        } else if path.is_dir() {
            copy_package(name, &path, &to.join(&*file))?;
        }
    }
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        let folder = to.parent().unwrap_or(to);
        fs::create_dir_all(folder).doing("create", folder)?;
        return copy(from, to);
    }
    for entry in fs::read_dir(from).doing("list", from)? {
        let entry = entry.doing("list", from)?;
        copy_tree(&entry.path(), &to.join(entry.file_name()))?;
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
    for program in PROGRAMS {
        files.push((PROGRAMS_PACKAGE.to_owned(), format!("bin/{program}")));
    }
    packages.push(PROGRAMS_PACKAGE.to_owned());
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn files_below(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files_below(&path, root, found);
            } else {
                found.insert(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }

    #[test]
    fn of_a_prefix_with_several_message_packages_one_is_copied_whole() {
        let folder = tempfile::tempdir().unwrap();
        let prefix = folder.path().join("overlay");
        let its = [
            "lib/libfoxglove_msgs__rosidl_typesupport_c.so",
            "lib/python3.12/site-packages/foxglove_msgs/msg/__init__.py",
            "share/ament_index/resource_index/rosidl_interfaces/foxglove_msgs",
            "share/foxglove_msgs/package.xml",
        ];
        let others =
            ["setup.bash", "lib/libswarm_msgs__rosidl_typesupport_c.so", "share/swarm_msgs/package.xml"];
        for file in its.iter().chain(&others) {
            let path = prefix.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        let out = folder.path().join("out");
        copy_package("foxglove_msgs", &prefix, &out).unwrap();
        let mut found = BTreeSet::new();
        files_below(&out, &out, &mut found);
        assert_eq!(found, its.map(str::to_owned).into());
    }
}
