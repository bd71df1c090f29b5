//! The policies of a skill on a virtual clock, for lock step and previews: they answer in no time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use swarm_artifact::EntryPath;
use swarm_base::Duration;
use swarm_skill_core::{
    ACTION_LEN, GoldenVectors, InlineRunner, Material, ModelShape, OBSERVATION_LEN, Policy, PolicyRunner,
    Untimed,
};

use crate::{Lengths, LoadError, OnnxChunks, OnnxPolicy, OnnxRuntime, RuntimeError};

/// What a skill is made of, its files read by `read`. ONNX Runtime is loaded when the first policy is, so that a skill without
/// policies needs none.
#[derive(Debug)]
pub struct VirtualTime<R> {
    pub read: R,
    /// ONNX Runtime's shared library; `None` where nobody has named it.
    pub library: Option<PathBuf>,
}

impl<R: Fn(&EntryPath) -> Result<Vec<u8>, String>> VirtualTime<R> {
    fn load<T>(&self, make: impl FnOnce(OnnxRuntime) -> Result<T, LoadError>) -> Result<T, String> {
        let library: &Path = self.library.as_deref().ok_or(
            "a policy needs ONNX Runtime; install it (pip install onnxruntime) and set ORT_DYLIB_PATH to its libonnxruntime.so",
        )?;
        let runtime = OnnxRuntime::load(library).map_err(|error: RuntimeError| error.to_string())?;
        make(runtime).map_err(|error| error.to_string())
    }
}

impl<R: Fn(&EntryPath) -> Result<Vec<u8>, String>> Material for VirtualTime<R> {
    fn read(&self, path: &EntryPath) -> Result<Vec<u8>, String> {
        (self.read)(path)
    }

    fn load_policy(&self, onnx: &[u8], golden: &GoldenVectors) -> Result<Arc<Mutex<dyn Policy>>, String> {
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
    ) -> Result<Box<dyn PolicyRunner>, String> {
        let model = self.load(|runtime| OnnxChunks::load(runtime, onnx, shape.clone(), golden))?;
        // Answers in the tick after the question.
        Ok(Box::new(InlineRunner::new(model, 0)))
    }
}
