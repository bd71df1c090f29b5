//! The ROS 2 that everything is built against and runs on.
//!
//! Vocabulary: the *underlay* is ROS 2 Jazzy itself, either one that the user sourced or one made from wheels; the
//! *overlay* holds our messages; the *environment* is the set of variables that children run with.
//!
//! 1. Debian packages that builds need ([`debian`]).
//! 2. A Python that fits ([`python`]), and from it a virtual environment with the wheels ([`wheels`], [`repairs`]).
//! 3. Message packages of upstream that the wheels lack ([`message_package`]); links to MuJoCo and ONNX Runtime ([`native`]).
//! 4. The overlay ([`overlay`]): our messages, and those of upstream that a sourced ROS lacks.
//! 5. The environment ([`environment`]), and the files to source.
//!
//! Every step is done once; done again it costs some milliseconds.

pub mod debian;
pub mod domain;
pub mod environment;
pub mod message_package;
pub mod native;
pub mod node;
pub mod overlay;
pub mod promtool;
pub mod python;
pub mod repairs;
pub mod underlay;
pub mod wheels;

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use environment::{Parts, compose, exports};
use message_package::MessagePackage;
use python::Python;
use underlay::{Underlay, Variables, process_variables, split};
use wheels::{Kind, Venv};

use crate::error::{IoContext, Result};
use crate::layout::Layout;
use crate::process::quoted;
use crate::stamp::{Inputs, Stamps, Step};
use crate::ui::Task;

/// A ROS 2 that is ready for use.
#[derive(Debug, Clone)]
pub struct RosEnv {
    pub underlay: Underlay,
    pub venv: PathBuf,
    pub overlay: PathBuf,
    variables: Variables,
    underlay_variables: Variables,
}

/// What of it is there already. Nothing is made to find out.
#[derive(Debug)]
pub struct State {
    pub underlay: Underlay,
    pub venv_ready: bool,
    pub overlay_ready: bool,
    /// Message packages that are nowhere; wheels that are not there yet lack none.
    pub absent_messages: BTreeSet<String>,
}

impl RosEnv {
    /// Makes what is missing and gives the environment.
    pub fn ready(layout: &Layout) -> Result<Self> {
        debian::ensure(layout, &debian::NEEDS)?;
        debian::ensure(layout, &debian::STREAM_TOOLS)?;
        let _lock = lock(layout)?;
        let variables = process_variables();
        let underlay = Underlay::discover(layout, &variables);
        let venv = venv_for(layout, &underlay);
        let python = base_python(&venv, &underlay)?;
        let native = layout.native();
        let chain = chain(layout, &venv, &python, &native)?;
        let identity = Stamps::in_folder(layout.stamps()).carry_out(chain)?;

        let site_packages = site_packages_of(&venv, &python);
        let wheel_libraries = wheel_libraries(&venv, &site_packages)?;
        let parts = |overlay, idl_packages| Parts {
            layout,
            underlay: &underlay,
            venv: &venv.folder,
            site_packages: &site_packages,
            wheel_libraries: &wheel_libraries,
            overlay,
            idl_packages,
        };
        let bare = compose(&parts(None, &[]), &variables);
        let plan = overlay::Plan::of(layout, &underlay, &identity)?;
        if !plan.is_built() {
            plan.build(layout, &bare, &venv.python())?;
        }
        let packages = overlay::idl_packages(&plan.folder, &underlay, &variables)?;
        let composed = compose(&parts(Some(&plan.folder), &packages), &variables);
        write_setup_files(layout, &underlay, &composed, &plan.folder)?;
        Ok(Self {
            venv: venv.folder,
            overlay: plan.folder,
            variables: composed,
            underlay_variables: bare,
            underlay,
        })
    }

    /// Looks without touching.
    pub fn look(layout: &Layout) -> Result<State> {
        let variables = process_variables();
        let underlay = Underlay::discover(layout, &variables);
        let venv = venv_for(layout, &underlay);
        let mut absent_messages = BTreeSet::new();
        if venv.kind == Kind::ToolsBesideSourced {
            absent_messages = overlay::absent(layout, &underlay, &variables)?;
        }
        let Ok(python) = base_python(&venv, &underlay) else {
            return Ok(State { underlay, venv_ready: false, overlay_ready: false, absent_messages });
        };
        let stamps = Stamps::in_folder(layout.stamps());
        let native = layout.native();
        let venv_ready = stamps.all_current(chain(layout, &venv, &python, &native)?);
        let identity = Stamps::digest_of(chain(layout, &venv, &python, &native)?);
        let overlay_ready = venv_ready && overlay::Plan::of(layout, &underlay, &identity)?.is_built();
        Ok(State { underlay, venv_ready, overlay_ready, absent_messages })
    }

    /// Gives the environment to a child.
    pub fn apply<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.envs(&self.variables)
    }

    /// The environment without our messages, for colcon, which builds them itself.
    pub fn apply_underlay<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.envs(&self.underlay_variables)
    }

    pub fn variables(&self) -> &Variables {
        &self.variables
    }

    /// The Python that has rclpy, our messages and the tools.
    pub fn python(&self) -> PathBuf {
        self.venv.join("bin/python")
    }

    /// What a user's shell sources.
    pub fn setup_file(&self, layout: &Layout) -> PathBuf {
        layout.ros().join("setup.bash")
    }

    /// Lines for `eval "$(cargo xtask env)"`.
    pub fn exports(&self) -> String {
        exports(&self.variables)
    }
}

fn venv_for(layout: &Layout, underlay: &Underlay) -> Venv {
    match underlay {
        Underlay::Wheels { prefix } => Venv { folder: prefix.clone(), kind: Kind::Ros },
        Underlay::Sourced { .. } => Venv { folder: layout.tools_venv(), kind: Kind::ToolsBesideSourced },
    }
}

/// A Python from outside our own environment, which a shell that sourced `.ros/setup.bash` finds first.
fn base_python(venv: &Venv, underlay: &Underlay) -> Result<Python> {
    let search_path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> =
        env::split_paths(&search_path).filter(|folder| !folder.starts_with(&venv.folder)).collect();
    let wanted = match underlay {
        Underlay::Wheels { .. } => None,
        Underlay::Sourced { .. } => {
            // The distribution's own, behind a version manager that the user may have in front.
            folders.push("/usr/bin".into());
            underlay.find_package("rclpy").and_then(python::version_behind)
        }
    };
    python::find(&folders, wanted)
}

fn chain<'a>(
    layout: &'a Layout,
    venv: &'a Venv,
    python: &'a Python,
    native: &'a Path,
) -> Result<Vec<Step<'a>>> {
    let mut steps = venv.steps(layout, python)?;
    if venv.kind == Kind::Ros {
        steps.push(Step {
            name: "upstream-messages",
            title: "build the messages that the wheels lack".to_owned(),
            inputs: Inputs::new().tree(&layout.underlay_messages())?,
            deed: Box::new(move |task| build_upstream_messages(layout, venv, python, task)),
        });
    }
    steps.push(Step {
        name: "native",
        title: "link MuJoCo and ONNX Runtime".to_owned(),
        inputs: Inputs::new().path(native),
        deed: Box::new(move |_: &Task| native::link(&venv.folder, native)),
    });
    Ok(steps)
}

/// Into the prefix of the wheels itself. What a sourced Jazzy lacks goes into the overlay.
fn build_upstream_messages(layout: &Layout, venv: &Venv, python: &Python, task: &Task) -> Result<()> {
    let underlay = Underlay::Wheels { prefix: venv.folder.clone() };
    let site_packages = site_packages_of(venv, python);
    let wheel_libraries = wheel_libraries(venv, &site_packages)?;
    let parts = Parts {
        layout,
        underlay: &underlay,
        venv: &venv.folder,
        site_packages: &site_packages,
        wheel_libraries: &wheel_libraries,
        overlay: None,
        idl_packages: &[],
    };
    let variables = compose(&parts, &process_variables());
    for source in message_package::packages_in(&layout.underlay_messages())? {
        let package = MessagePackage {
            source: &source,
            prefix: &venv.folder,
            staging: None,
            variables: &variables,
            python: &venv.python(),
        };
        package.build(layout, task)?;
    }
    Ok(())
}

fn site_packages_of(venv: &Venv, python: &Python) -> PathBuf {
    venv.folder.join(format!("lib/python{}/site-packages", python.short_version()))
}

/// The folders `ros_*.libs` of the wheels, sorted.
fn wheel_libraries(venv: &Venv, site_packages: &Path) -> Result<Vec<PathBuf>> {
    if venv.kind != Kind::Ros {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(site_packages).doing("list", site_packages)? {
        let path = entry.doing("list", site_packages)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("ros_") && name.ends_with(".libs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// One process at a time makes things in `.ros`. Released when the file is closed, also by a crash.
fn lock(layout: &Layout) -> Result<File> {
    fs::create_dir_all(layout.ros()).doing("create", layout.ros())?;
    let path = layout.ros().join("lock");
    let file = File::create(&path).doing("create", &path)?;
    if file.try_lock().is_err() {
        let task = Task::start("wait for another xtask that is setting up ROS");
        file.lock().doing("lock", &path)?;
        task.done();
    }
    Ok(file)
}

/// `.ros/setup.bash` for a shell that works on this project; `setup.bash` and `local_setup.bash` in the prefixes, as ROS
/// users and colcon expect.
fn write_setup_files(layout: &Layout, underlay: &Underlay, all: &Variables, overlay: &Path) -> Result<()> {
    let head = "# Made by `cargo xtask`. Source it from bash, zsh or sh.\n";
    write_if_changed(&layout.ros().join("setup.bash"), &format!("{head}{}", exports(all)))?;
    let mut prefixes = vec![overlay];
    prefixes.extend(match underlay {
        Underlay::Wheels { prefix } => Some(prefix.as_path()),
        Underlay::Sourced { .. } => None,
    });
    for prefix in prefixes {
        let text = format!("{head}{}", prefix_setup(prefix, overlay, all));
        for name in ["setup.bash", "local_setup.bash", "setup.sh", "local_setup.sh"] {
            write_if_changed(&prefix.join(name), &text)?;
        }
    }
    Ok(())
}

/// What sourcing one prefix does: it goes in front of what the shell has.
fn prefix_setup(prefix: &Path, overlay: &Path, all: &Variables) -> String {
    let mut lines = vec![PREPEND.to_owned()];
    for name in ["AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH"] {
        let mut mine: Vec<&str> =
            split(all.get(name)).filter(|entry| Path::new(entry).starts_with(prefix)).collect();
        mine.reverse();
        lines.extend(mine.into_iter().map(|entry| format!("_prepend {name} {}", quoted(entry))));
    }
    if prefix != overlay {
        for name in [
            "ROS_DISTRO",
            "ROS_VERSION",
            "ROS_PYTHON_VERSION",
            "RMW_IMPLEMENTATION",
            "_ROS_WHEELS_BOOTSTRAP_COMPLETE",
        ] {
            lines.push(format!("export {name}={}", all[name]));
        }
        lines.push(
            "export ROS_AUTOMATIC_DISCOVERY_RANGE=${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}".to_owned(),
        );
    }
    lines.push("unset -f _prepend; unset _old".to_owned());
    lines.join("\n") + "\n"
}

/// `_prepend NAME ENTRY`: puts it in front unless it is there already.
const PREPEND: &str = r#"_prepend() {
  eval "_old=\${$1:-}"
  case ":$_old:" in
    *":$2:"*) ;;
    *) eval "export $1=\"\$2\${_old:+:\$_old}\"" ;;
  esac
}"#;

fn write_if_changed(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(path, text).doing("write", path)
}
