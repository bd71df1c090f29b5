//! The insertion policy's ONNX file as it is used outside of the runtime: to record, and to judge it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use swarm_base::Duration;
use swarm_onnx::{Lengths, OnnxPolicy, OnnxRuntime};
use swarm_skill_core::{ACTION_LEN, GoldenVectors, OBSERVATION_LEN, Policy, PolicyError};

/// In a simulation nobody waits for an answer.
const NO_HURRY: Duration = Duration::from_millis(10_000);

/// Loads `insert_peg.onnx` with the golden vectors that lie beside it (`.golden.json` instead of `.onnx`). The runtime library is
/// the one that `ORT_DYLIB_PATH` names.
pub fn load_policy(path: &Path) -> Result<OnnxPolicy> {
    let onnx = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let golden = path.with_extension("golden.json");
    let text =
        std::fs::read_to_string(&golden).with_context(|| format!("cannot read {}", golden.display()))?;
    policy_from_bytes(&onnx, &GoldenVectors::parse(&text)?)
        .with_context(|| format!("cannot use {}", path.display()))
}

/// The same from what was read.
pub fn policy_from_bytes(onnx: &[u8], golden: &GoldenVectors) -> Result<OnnxPolicy> {
    let library = std::env::var_os("ORT_DYLIB_PATH")
        .map(PathBuf::from)
        .context("ORT_DYLIB_PATH is not set; it names libonnxruntime.so")?;
    let lengths = Lengths { observation: OBSERVATION_LEN, action: ACTION_LEN };
    Ok(OnnxPolicy::load(OnnxRuntime::load(&library)?, onnx, lengths, golden)?)
}

/// The policy's answer, as it is.
pub fn ask(
    policy: &mut dyn Policy,
    observation: &[f32; OBSERVATION_LEN],
) -> Result<[f32; ACTION_LEN], PolicyError> {
    let mut action = [0.0; ACTION_LEN];
    policy.infer(observation, &mut action, NO_HURRY)?;
    Ok(action)
}
