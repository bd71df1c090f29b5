//! The policies of a skill on a virtual clock, for lock step and previews: they answer in no time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use swarm_artifact::EntryPath;
use swarm_base::Duration;
use swarm_skill_core::{
    ACTION_LEN, Fault, GoldenVectors, InlineRunner, Material, ModelShape, OBSERVATION_LEN, Policy,
    PolicyRunner, Untimed,
};

use crate::{Lengths, LoadError, OnnxChunks, OnnxPolicy, OnnxRuntime};

/// What a skill is made of, its files read by `read`. ONNX Runtime is loaded when the first policy is, so that a skill without
/// policies needs none.
#[derive(Debug)]
pub struct VirtualTime<R> {
    pub read: R,
    /// ONNX Runtime's shared library; `None` where nobody has named it.
    pub library: Option<PathBuf>,
}

impl<R: Fn(&EntryPath) -> Result<Vec<u8>, String>> VirtualTime<R> {
    fn load<T>(&self, make: impl FnOnce(OnnxRuntime) -> Result<T, LoadError>) -> Result<T, Fault> {
        let library: &Path = self.library.as_deref().ok_or_else(|| {
            let reason = "a policy needs ONNX Runtime; install it (pip install onnxruntime) and set ORT_DYLIB_PATH to its \
                          libonnxruntime.so";
            Fault::OfCell(reason.to_owned())
        })?;
        Ok(make(OnnxRuntime::load(library)?)?)
    }
}

impl<R: Fn(&EntryPath) -> Result<Vec<u8>, String>> Material for VirtualTime<R> {
    fn read(&self, path: &EntryPath) -> Result<Vec<u8>, Fault> {
        (self.read)(path).map_err(Fault::OfArtifact)
    }

    fn load_policy(&self, onnx: &[u8], golden: &GoldenVectors) -> Result<Arc<Mutex<dyn Policy>>, Fault> {
        let lengths = Lengths { observation: OBSERVATION_LEN, action: ACTION_LEN };
        let policy = self.load(|runtime| OnnxPolicy::load(runtime, onnx, lengths, golden))?;
        Ok(Arc::new(Mutex::new(Untimed(policy))))
    }

    fn load_chunked(
        &self,
        onnx: &[u8],
        shape: &ModelShape,
        golden: &GoldenVectors,
        _: Duration,
    ) -> Result<Box<dyn PolicyRunner>, Fault> {
        let model = self.load(|runtime| OnnxChunks::load(runtime, onnx, shape.clone(), golden))?;
        // Answers in the tick after the question.
        Ok(Box::new(InlineRunner::new(model, 0)))
    }
}
