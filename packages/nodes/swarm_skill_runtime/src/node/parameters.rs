//! The node's own parameters; those of what is shown are in [`super::view`].

use std::path::PathBuf;

use swarm_base::Duration;
use swarm_ros::{CellFile, NodeShell, Parameter, ParameterSpec};
use swarm_skill_core::Timing;

use crate::deployer::Places;

pub(super) struct Parameters {
    join_timeout: Parameter<f64>,
    peer_timeout: Parameter<i64>,
    hold_timeout: Parameter<f64>,
    pub(super) swap_wait_s: Parameter<f64>,
    store: Parameter<String>,
    trust_file: Parameter<String>,
    onnx_runtime: Parameter<String>,
    policy_provider: Parameter<String>,
}

impl Parameters {
    /// Declares them; values are right once [`NodeShell::check_parameters`] has passed.
    pub(super) fn declare(shell: &NodeShell, cell: &CellFile) -> Self {
        let path = |name: &str, default: &str, text: &str| {
            shell.declare(ParameterSpec::<String>::new(name, default).describe(text).required().read_only())
        };
        let artifacts = &cell.config.artifacts;
        let library = std::env::var("ORT_DYLIB_PATH").unwrap_or_else(|_| "libonnxruntime.so".into());
        Self {
            join_timeout: shell.declare(
                ParameterSpec::<f64>::new("join_timeout_s", 30.0)
                    .describe("Time to wait for the other roles' goals where a goal names none")
                    .range(0.1..=3_600.0)
                    .read_only(),
            ),
            peer_timeout: shell.declare(
                ParameterSpec::<i64>::new("peer_timeout_ms", 200)
                    .describe("Silence of a role that makes the others hold")
                    .range(20..=10_000)
                    .read_only(),
            ),
            hold_timeout: shell.declare(
                ParameterSpec::<f64>::new("hold_timeout_s", 2.0)
                    .describe("Longest time for the roles to hold before the run is aborted")
                    .range(0.05..=600.0)
                    .read_only(),
            ),
            swap_wait_s: shell.declare(
                ParameterSpec::<f64>::new("swap_wait_s", 0.0)
                    .describe(
                        "Time that a deployment waits for a run to end, and compares the two versions meanwhile; 0 refuses \
                         it at once",
                    )
                    .range(0.0..=3_600.0),
            ),
            store: path(
                "artifact_store",
                &artifacts.store,
                "Folder of the artifact store; default from cell.yaml",
            ),
            trust_file: path(
                "trust_file",
                &artifacts.trust_file,
                "File of the trusted keys; default from cell.yaml",
            ),
            onnx_runtime: path(
                "onnx_runtime",
                &library,
                "Library of ONNX Runtime; default from the environment variable ORT_DYLIB_PATH",
            ),
            policy_provider: shell.declare(
                ParameterSpec::<String>::new("policy_provider", "cpu")
                    .describe(
                        "What policies compute on: cpu, cuda or cuda:1; a skill is refused where ONNX Runtime lacks it",
                    )
                    .required()
                    .read_only(),
            ),
        }
    }

    pub(super) fn places(&self) -> anyhow::Result<Places> {
        let provider = self
            .policy_provider
            .get()
            .parse::<swarm_onnx::Provider>()
            .map_err(|error| anyhow::anyhow!("parameter policy_provider: {error}"))?;
        Ok(Places {
            store: PathBuf::from(self.store.get()),
            trust_file: PathBuf::from(self.trust_file.get()),
            onnx_runtime: PathBuf::from(self.onnx_runtime.get()),
            provider,
        })
    }

    pub(super) fn timing(&self) -> Timing {
        Timing {
            peer_timeout: Duration::from_millis(self.peer_timeout.get().unsigned_abs()),
            hold_timeout: Duration::from_secs_f64(self.hold_timeout.get()),
            ..Timing::default()
        }
    }

    pub(super) fn join_timeout(&self) -> Duration {
        Duration::from_secs_f64(self.join_timeout.get())
    }
}
