//! A skill from its source folder, with policies that take no time.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use swarm_artifact::EntryPath;
use swarm_base::Duration;
use swarm_onnx::OnnxPolicy;
use swarm_skill_core::{GoldenVectors, Material, Policy, PolicyError};

use crate::policy::policy_from_bytes;

/// A skill's source folder.
#[derive(Debug)]
pub(super) struct SkillFolder(pub(super) PathBuf);

impl Material for SkillFolder {
    fn read(&self, path: &EntryPath) -> Result<Vec<u8>, String> {
        let file = self.0.join(path.as_str());
        fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))
    }

    fn load_policy(&self, onnx: &[u8], golden: &GoldenVectors) -> Result<Arc<Mutex<dyn Policy>>, String> {
        let policy = policy_from_bytes(onnx, golden).map_err(|error| format!("{error:#}"))?;
        Ok(Arc::new(Mutex::new(Untimed(policy))))
    }
}

/// A policy on the virtual clock: it answers in no time, however busy the machine is that simulates it.
#[derive(Debug)]
struct Untimed(OnnxPolicy);

impl Policy for Untimed {
    fn observation_len(&self) -> usize {
        self.0.observation_len()
    }

    fn action_len(&self) -> usize {
        self.0.action_len()
    }

    fn infer(
        &mut self,
        observation: &[f32],
        action: &mut [f32],
        _deadline: Duration,
    ) -> Result<Duration, PolicyError> {
        self.0.infer(observation, action, Duration(u64::MAX))?;
        Ok(Duration::ZERO)
    }
}
