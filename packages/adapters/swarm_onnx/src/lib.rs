//! ONNX Runtime as a [`Policy`]: one session per policy, warmed up when it is loaded, a deadline for every inference.
//!
//! The library is loaded at run time ([`OnnxRuntime::load`]), so that nothing is linked and a cell without policies needs none.
//!
//! Flow: 1. the ONNX bytes become a session with one thread of its own; 2. its input and output are checked: one of each, `float32`,
//! flat or with a batch of one; 3. some inferences warm it up; 4. the golden vectors are asked. Only then is there an [`OnnxPolicy`].
//!
//! An inference cannot be interrupted. It is measured, and an answer later than its deadline is an error: the caller's tree makes
//! a FAILURE of it, and the safety gate does not wait for anybody. Deliberately absent: GPU providers, batching, training.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{Outlet, TensorElementType, TensorRef, ValueType};
use swarm_base::Duration;
use swarm_skill_core::{GoldenError, GoldenVectors, Policy, PolicyError};

/// The loaded library. There is one per process, and it stays loaded.
#[derive(Clone, Copy, Debug)]
pub struct OnnxRuntime {
    environment: &'static Environment,
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
    #[error("the ONNX model does not answer: {0}")]
    WarmUp(PolicyError),
    #[error(transparent)]
    Golden(#[from] GoldenError),
}

impl OnnxRuntime {
    /// Loads the shared library, or returns the one that this process has loaded before.
    pub fn load(library: &Path) -> Result<Self, RuntimeError> {
        static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
        static LOADING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(environment) = ENVIRONMENT.get() {
            return Ok(Self { environment });
        }
        let builder = ort::init_from(library)
            .map_err(|error| RuntimeError::Load { path: library.to_owned(), reason: error.to_string() })?;
        let environment = builder
            .with_name("swarm_onnx")
            .with_telemetry(false)
            .build()
            .map_err(|error| RuntimeError::Start(error.to_string()))?;
        Ok(Self { environment: ENVIRONMENT.get_or_init(|| environment) })
    }

    fn session(self, onnx: &[u8]) -> ort::Result<Session> {
        // One thread, the caller's: a pool's threads would have to be woken up, and would compete with the safety gate.
        Session::builder(self.environment)?
            .with_intra_threads(1)?
            .with_inter_threads(1)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .commit_from_memory(onnx)
    }
}

/// A policy with its own warmed-up session.
#[derive(Debug)]
pub struct OnnxPolicy {
    session: Session,
    input: Port,
    output: Port,
}

#[derive(Debug)]
struct Port {
    name: String,
    /// With a batch of one, where the model has one.
    shape: Vec<usize>,
    len: usize,
}

/// Inferences at load: the first ones allocate, and are several times slower.
const WARM_UPS: usize = 10;

/// Warming up has no deadline.
const NO_DEADLINE: Duration = Duration(u64::MAX);

/// Sizes that the caller's observation and action have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    pub observation: usize,
    pub action: usize,
}

impl OnnxPolicy {
    /// Makes a policy of the bytes of an ONNX file: session, shape check, warm-up, golden vectors.
    pub fn load(
        runtime: OnnxRuntime,
        onnx: &[u8],
        lengths: Lengths,
        golden: &GoldenVectors,
    ) -> Result<Self, LoadError> {
        let session =
            runtime.session(onnx).map_err(|error| LoadError::Model(one_line(&error.to_string())))?;
        let input = port("input", session.inputs(), lengths.observation)?;
        let output = port("output", session.outputs(), lengths.action)?;
        let mut policy = Self { session, input, output };
        let zeros = vec![0.0; lengths.observation];
        let mut answer = vec![0.0; lengths.action];
        for _ in 0..WARM_UPS {
            policy.infer(&zeros, &mut answer, NO_DEADLINE).map_err(LoadError::WarmUp)?;
        }
        golden.check(&mut policy)?;
        Ok(policy)
    }
}

impl Policy for OnnxPolicy {
    fn observation_len(&self) -> usize {
        self.input.len
    }

    fn action_len(&self) -> usize {
        self.output.len
    }

    fn infer(
        &mut self,
        observation: &[f32],
        action: &mut [f32],
        deadline: Duration,
    ) -> Result<Duration, PolicyError> {
        for (what, found, expected) in
            [("observation", observation.len(), self.input.len), ("action", action.len(), self.output.len)]
        {
            if found != expected {
                return Err(PolicyError::Length { what, found, expected });
            }
        }
        let failed = |error: ort::Error| PolicyError::Failed(one_line(&error.to_string()));
        let started = Instant::now();
        let tensor = TensorRef::from_array_view((self.input.shape.clone(), observation)).map_err(failed)?;
        let outputs = self.session.run(ort::inputs![self.input.name.as_str() => tensor]).map_err(failed)?;
        let (_, values) = outputs[self.output.name.as_str()].try_extract_tensor::<f32>().map_err(failed)?;
        let took = Duration::from_nanos(started.elapsed().as_nanos() as u64);
        if took > deadline {
            return Err(PolicyError::Late { took, deadline });
        }
        if values.len() != action.len() {
            return Err(PolicyError::Length { what: "answer", found: values.len(), expected: action.len() });
        }
        action.copy_from_slice(values);
        Ok(took)
    }
}

/// The one input or output, as a flat vector of `expected` values.
fn port(what: &'static str, outlets: &[Outlet], expected: usize) -> Result<Port, LoadError> {
    let [outlet] = outlets else {
        return Err(LoadError::Count { what, found: outlets.len() });
    };
    let name = outlet.name().to_owned();
    let wrong = || LoadError::Shape { what, name: name.clone(), found: outlet.dtype().to_string() };
    let ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } = outlet.dtype() else {
        return Err(wrong());
    };
    // -1 stands for a dimension that the model leaves open; a batch of one is what it is given then.
    let len = match shape.iter().as_slice() {
        [len] | [1 | -1, len] => usize::try_from(*len).map_err(|_| wrong())?,
        _ => return Err(wrong()),
    };
    if len != expected {
        return Err(LoadError::Length { what, name, found: len, expected });
    }
    let shape = if shape.len() == 1 { vec![len] } else { vec![1, len] };
    Ok(Port { name, shape, len })
}

/// The library's messages may have several lines.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
