//! Where things lie in the repository. The only module that spells these paths.
//!
//! ```text
//! .ros/jazzy/            ROS 2 Jazzy from wheels, where none is sourced; a Python virtual environment at the same time
//! .ros/tools/            the Python virtual environment beside a sourced Jazzy
//! .ros/native/           libmujoco.so, libonnxruntime.so: links into the wheels
//! .ros/overlay/<hash>/   swarm_msgs; the hash is that of its sources
//! .ros/node/             npm packages that tests use
//! .ros/stamps/           which steps are done, with the hash of their inputs
//! .ros/logs/             output of the steps
//! install/ build/ log/   colcon's folders
//! target/demo/<run>/     one folder for each run of the demo
//! target/evidence/       measured figures
//! ```

use std::path::{Path, PathBuf};

/// The repository, by its root folder.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The repository this program belongs to: packages/tools/xtask is three folders below its root.
    ///
    /// `cargo run` says at run time where the package is; the folder of the build is only right until the checkout is moved.
    pub fn of_this_program() -> Self {
        let here = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        Self::at(here.ancestors().nth(3).unwrap_or(&here))
    }

    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn ros(&self) -> PathBuf {
        self.root.join(".ros")
    }

    pub fn wheel_prefix(&self) -> PathBuf {
        self.ros().join("jazzy")
    }

    pub fn tools_venv(&self) -> PathBuf {
        self.ros().join("tools")
    }

    pub fn native(&self) -> PathBuf {
        self.ros().join("native")
    }

    pub fn overlays(&self) -> PathBuf {
        self.ros().join("overlay")
    }

    pub fn stamps(&self) -> PathBuf {
        self.ros().join("stamps")
    }

    /// The line-by-line output of step `name`.
    pub fn log(&self, name: &str) -> PathBuf {
        self.ros().join("logs").join(format!("{name}.log"))
    }

    pub fn requirements(&self, name: &str) -> PathBuf {
        self.root.join("packages/tools/xtask/requirements").join(name)
    }

    pub fn nextest_config(&self) -> PathBuf {
        self.root.join("packages/tools/xtask/nextest.toml")
    }

    pub fn messages(&self) -> PathBuf {
        self.root.join("msg/swarm_msgs")
    }

    /// Message packages of upstream that the wheels lack.
    pub fn underlay_messages(&self) -> PathBuf {
        self.root.join("msg/underlay")
    }

    pub fn install(&self) -> PathBuf {
        self.root.join("install")
    }

    /// Cargo's target folder: the user's, where one is set.
    pub fn target(&self) -> PathBuf {
        std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| self.root.join("target"), |dir| self.root.join(dir))
    }

    pub fn evidence(&self) -> PathBuf {
        self.root.join("target/evidence")
    }

    pub fn demo_runs(&self) -> PathBuf {
        self.root.join("target/demo")
    }
}
