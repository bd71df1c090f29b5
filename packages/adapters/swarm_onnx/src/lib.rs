//! ONNX Runtime behind the ports of `swarm_skill_core`: [`OnnxPolicy`] answers within a tick, [`OnnxChunks`] with chunks of actions,
//! on a thread of its own in [`ThreadedRunner`].
//!
//! The library is loaded at run time ([`OnnxRuntime::load`]), so that nothing is linked and a cell without policies needs none.
//!
//! Flow of both: 1. the ONNX bytes become a session with one thread; 2. its inputs and outputs are checked; 3. some inferences warm it
//! up; 4. the golden vectors are asked. Only then is there a policy.
//!
//! An inference cannot be interrupted. It is measured, and an answer later than its deadline is an error: the caller's tree makes
//! a FAILURE of it, and the safety gate does not wait for anybody. Computes on the CPU unless [`OnnxRuntime::on`] says otherwise.
//! Deliberately absent: batching, training.

mod chunks;
mod policy;
mod threaded;
mod virtual_time;

pub use chunks::OnnxChunks;
pub use policy::{Lengths, OnnxPolicy};
pub use threaded::ThreadedRunner;
pub use virtual_time::VirtualTime;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, OnceLock, PoisonError};

use ort::environment::Environment;
use ort::ep::CUDA;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use swarm_base::Duration;
use swarm_skill_core::{Fault, GoldenError, PolicyError};

/// Inferences at load: the first ones allocate, and are several times slower.
const WARM_UPS: usize = 10;

/// Warming up has no deadline.
const NO_DEADLINE: Duration = Duration(u64::MAX);

/// The loaded library. There is one per process, and it stays loaded.
#[derive(Clone, Copy, Debug)]
pub struct OnnxRuntime {
    environment: &'static Environment,
    provider: Provider,
}

/// What computes: `cpu`, `cuda` or `cuda:1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Provider {
    #[default]
    Cpu,
    /// NVIDIA's, for a library that was built with it (`pip install onnxruntime-gpu`), with the number of the device.
    Cuda { device: i32 },
}

/// The library cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error(
        "cannot load ONNX Runtime from {}: {reason}; install it (pip install onnxruntime) and set ORT_DYLIB_PATH to its libonnxruntime.so",
        path.display()
    )]
    Load { path: PathBuf, reason: String },
    #[error("ONNX Runtime does not start: {0}")]
    Start(String),
}

/// A policy that cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LoadError {
    #[error("cannot load the ONNX model: {0}")]
    Model(String),
    #[error("the ONNX model has {found} {what}s, expected one")]
    Count { what: &'static str, found: usize },
    #[error("the ONNX model's {what} '{name}' is {found}, expected a float32 tensor of shape [n] or [1, n]")]
    Shape { what: &'static str, name: String, found: String },
    #[error("the ONNX model's {what} '{name}' has {found} values, expected {expected}")]
    Length { what: &'static str, name: String, found: usize, expected: usize },
    #[error("the ONNX model's inputs are {found}, the manifest's are {expected}")]
    Inputs { found: String, expected: String },
    #[error("the ONNX model's {what} '{name}' is {found}, expected a float32 tensor of shape {expected}")]
    ChunkShape { what: &'static str, name: String, found: String, expected: String },
    #[error(
        "policies are to run on {provider}, but ONNX Runtime cannot: {reason}; install a library that has it and set ORT_DYLIB_PATH, or \
         configure the provider 'cpu'"
    )]
    Provider { provider: Provider, reason: String },
    #[error("the ONNX model does not answer: {0}")]
    WarmUp(PolicyError),
    #[error(transparent)]
    Golden(#[from] GoldenError),
}

impl From<RuntimeError> for Fault {
    fn from(error: RuntimeError) -> Self {
        Self::OfCell(error.to_string())
    }
}

impl From<LoadError> for Fault {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Provider { .. } => Self::OfCell(error.to_string()),
            _ => Self::OfArtifact(error.to_string()),
        }
    }
}

impl OnnxRuntime {
    /// Loads the shared library, or returns the one that this process has loaded before.
    pub fn load(library: &Path) -> Result<Self, RuntimeError> {
        static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
        static LOADING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(environment) = ENVIRONMENT.get() {
            return Ok(Self { environment, provider: Provider::Cpu });
        }
        let builder = ort::init_from(library)
            .map_err(|error| RuntimeError::Load { path: library.to_owned(), reason: error.to_string() })?;
        let environment = builder
            .with_name("swarm_onnx")
            .with_telemetry(false)
            .build()
            .map_err(|error| RuntimeError::Start(error.to_string()))?;
        Ok(Self { environment: ENVIRONMENT.get_or_init(|| environment), provider: Provider::Cpu })
    }

    /// The same library, computing on something else.
    #[must_use]
    pub fn on(self, provider: Provider) -> Self {
        Self { provider, ..self }
    }

    /// A provider that the library lacks is an error, and never replaced by another one: a network that takes ten times as long is
    /// another network to whoever set its deadline.
    fn session(self, onnx: &[u8]) -> Result<Session, LoadError> {
        let model = |error: ort::Error| LoadError::Model(one_line(&error.to_string()));
        let mut builder = self.builder().map_err(model)?;
        let Provider::Cuda { device } = self.provider else {
            return builder.commit_from_memory(onnx).map_err(model);
        };
        let lacking = |reason: String| LoadError::Provider { provider: self.provider, reason };
        let cuda = CUDA::default().with_device_id(device).build().error_on_failure();
        let mut builder = builder
            .with_execution_providers([cuda])
            .map_err(|error| lacking(one_line(&error.to_string())))?;
        builder.commit_from_memory(onnx).map_err(|error| {
            // A GPU that is not there, or full, is found only now. A model that the CPU takes is not to blame for that.
            match self.on(Provider::Cpu).session(onnx) {
                Ok(_) => lacking(one_line(&error.to_string())),
                Err(bad_model) => bad_model,
            }
        })
    }

    fn builder(self) -> ort::Result<SessionBuilder> {
        // One thread, the caller's: a pool's threads would have to be woken up, and would compete with the safety gate.
        Ok(Session::builder(self.environment)?
            .with_intra_threads(1)?
            .with_inter_threads(1)?
            .with_optimization_level(GraphOptimizationLevel::All)?)
    }
}

impl FromStr for Provider {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let device = match text.split_once(':') {
            None if text == "cpu" => return Ok(Self::Cpu),
            None if text == "cuda" => Some(0),
            Some(("cuda", device)) => device.parse().ok().filter(|device| *device >= 0),
            _ => None,
        };
        device.map(|device| Self::Cuda { device }).ok_or_else(|| {
            format!("expected cpu, cuda or cuda:DEVICE such as cuda:1, found '{}'", text.escape_debug())
        })
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda { device } => write!(f, "cuda:{device}"),
        }
    }
}

/// The library's messages may have several lines.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
