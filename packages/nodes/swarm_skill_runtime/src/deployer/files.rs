//! What a skill is made of: the files of its artifact in the store, and ONNX Runtime for its policies.

use std::sync::{Arc, Mutex};

use swarm_artifact::EntryPath;
use swarm_base::Duration;
use swarm_metrics::Metrics;
use swarm_onnx::{Lengths, OnnxChunks, OnnxPolicy, OnnxRuntime, ThreadedRunner};
use swarm_skill_core::{
    ACTION_LEN, Fault, GoldenVectors, InlineRunner, Material, ModelShape, OBSERVATION_LEN, Policy,
    PolicyRunner, Untimed,
};
use swarm_store::Object;

use super::Places;
use crate::counted::{Counted, CountedRunner};

/// The files of an artifact in the store, and ONNX Runtime for its policies.
pub(super) struct Files<'a> {
    pub(super) object: &'a Object,
    pub(super) places: &'a Places,
    pub(super) clock: PolicyClock<'a>,
}

/// What time the inferences of policies take.
pub(super) enum PolicyClock<'a> {
    /// That of the wall, and they are counted: for runs.
    Wall(&'a Arc<Metrics>),
    /// None: for whatever is worked out beside them.
    Virtual,
}

impl Material for Files<'_> {
    fn read(&self, path: &EntryPath) -> Result<Vec<u8>, Fault> {
        read_entry(self.object, path)
    }

    fn load_policy(&self, onnx: &[u8], golden: &GoldenVectors) -> Result<Arc<Mutex<dyn Policy>>, Fault> {
        let lengths = Lengths { observation: OBSERVATION_LEN, action: ACTION_LEN };
        let policy = OnnxPolicy::load(self.runtime()?, onnx, lengths, golden)?;
        Ok(match self.clock {
            PolicyClock::Wall(metrics) => Arc::new(Mutex::new(Counted::new(policy, Arc::clone(metrics)))),
            PolicyClock::Virtual => Arc::new(Mutex::new(Untimed(policy))),
        })
    }

    fn load_chunked(
        &self,
        onnx: &[u8],
        shape: &ModelShape,
        golden: &GoldenVectors,
        deadline: Duration,
    ) -> Result<Box<dyn PolicyRunner>, Fault> {
        let model = OnnxChunks::load(self.runtime()?, onnx, shape.clone(), golden)?;
        Ok(match self.clock {
            PolicyClock::Wall(metrics) => {
                let runner = ThreadedRunner::start(model).map_err(|error| {
                    Fault::OfCell(format!("cannot start a thread for the policy: {error}"))
                })?;
                Box::new(CountedRunner::new(runner, deadline, Arc::clone(metrics)))
            }
            PolicyClock::Virtual => Box::new(InlineRunner::new(model, 0)),
        })
    }
}

impl Files<'_> {
    fn runtime(&self) -> Result<OnnxRuntime, Fault> {
        Ok(OnnxRuntime::load(&self.places.onnx_runtime)?.on(self.places.provider))
    }
}

pub(super) fn read_entry(object: &Object, path: &EntryPath) -> Result<Vec<u8>, Fault> {
    std::fs::read(object.path(path)).map_err(|error| {
        // What the manifest lists has just been verified; so it was the disk that gave it back then and does not now.
        let listed = object.manifest().files.iter().any(|file| file.path == *path);
        if listed { Fault::OfCell(error.to_string()) } else { Fault::OfArtifact(error.to_string()) }
    })
}
