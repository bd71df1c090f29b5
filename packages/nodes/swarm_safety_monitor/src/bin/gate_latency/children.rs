//! The processes under measurement, ended when this is dropped.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, ensure};

#[derive(Debug)]
pub(crate) struct Children {
    processes: Vec<Child>,
    /// Digest of the artifact whose envelope is to be loaded.
    pub(crate) artifact: String,
    folder: PathBuf,
}

impl Children {
    /// Makes a store, starts the gate on it and the echo node.
    pub(crate) fn start(bin_dir: &Path, cell_config: &Path) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("gate_latency_{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let mut children = Self { processes: Vec::new(), artifact: String::new(), folder };
        children.artifact = children.make_store(bin_dir)?;

        let parameter = |name: &str, path: PathBuf| format!("{name}:={}", path.display());
        let gate_arguments = [
            parameter("cell_config", cell_config.to_owned()),
            parameter("artifact_store", children.folder.join("store")),
            parameter("trust_file", children.folder.join("trust.yaml")),
        ];
        let mut gate = Command::new(bin_dir.join("swarm_safety_monitor"));
        // Nothing moves here; whether real time was granted shows in the figures.
        gate.args(["--degraded", "--ros-args"]);
        for argument in gate_arguments {
            gate.args(["-p", &argument]);
        }
        for mut command in [gate, Command::new(bin_dir.join("echo_node"))] {
            command.stdin(Stdio::null()).stdout(Stdio::null());
            let name = command.get_program().display().to_string();
            children.processes.push(command.spawn().with_context(|| format!("cannot start {name}"))?);
        }
        Ok(children)
    }

    fn make_store(&self, bin_dir: &Path) -> anyhow::Result<String> {
        let program = bin_dir.join("make_test_store");
        let made = Command::new(&program)
            .arg(&self.folder)
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot start {}", program.display()))?;
        ensure!(made.status.success(), "{} failed: {}", program.display(), made.status);
        let digests: serde_json::Value =
            serde_json::from_slice(&made.stdout).context("digests of the test store")?;
        Ok(digests["tight"].as_str().context("the test store has no artifact 'tight'")?.to_owned())
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for child in &mut self.processes {
            // A child that has ended already cannot be killed; either way it is gone afterwards.
            let _ = child.kill();
            let _ = child.wait();
        }
        // What cannot be removed lies in the temporary folder.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
