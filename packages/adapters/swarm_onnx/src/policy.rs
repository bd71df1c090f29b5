//! A network that answers within the tick in which it is asked.

use std::time::Instant;

use ort::session::Session;
use ort::value::{Outlet, TensorElementType, TensorRef, ValueType};
use swarm_base::Duration;
use swarm_skill_core::{GoldenVectors, Policy, PolicyError};

use crate::{LoadError, NO_DEADLINE, OnnxRuntime, WARM_UPS, one_line};

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
        let session = runtime.session(onnx)?;
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
