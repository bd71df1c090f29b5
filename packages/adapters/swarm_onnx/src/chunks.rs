//! A network with named inputs that answers with a chunk of actions: ACT, diffusion policies, and what else LeRobot trains, as exported
//! to ONNX.

use ort::session::{Session, SessionInputValue};
use ort::value::{Outlet, TensorElementType, TensorRef, ValueType};
use swarm_skill_core::{ACTION, ChunkModel, GoldenVectors, ModelInput, ModelShape, PolicyError};

use crate::{LoadError, OnnxRuntime, WARM_UPS, one_line};

/// A chunked network with its own warmed-up session.
#[derive(Debug)]
pub struct OnnxChunks {
    session: Session,
    shape: ModelShape,
    /// Of the inputs, in the order of `shape`; with a batch of one.
    tensors: Vec<Vec<usize>>,
    outputs: Vec<i64>,
}

impl OnnxChunks {
    /// Makes a policy of the bytes of an ONNX file: session, shape check, warm-up, golden vectors.
    ///
    /// The network has the inputs of `shape` and no others, each float32 `[1, n]`, or `[1, steps, n]` with a history; and an output
    /// `action`, float32 `[1, horizon, n]`. Other outputs are left alone.
    pub fn load(
        runtime: OnnxRuntime,
        onnx: &[u8],
        shape: ModelShape,
        golden: &GoldenVectors,
    ) -> Result<Self, LoadError> {
        let session = runtime.session(onnx)?;
        let tensors = check_inputs(session.inputs(), &shape)?;
        let outputs = vec![1, dimension(shape.horizon), dimension(shape.action_len)];
        check_output(session.outputs(), &outputs)?;
        let mut chunks = Self { session, shape, tensors, outputs };
        let zeros: Vec<Vec<f32>> =
            chunks.shape.inputs.iter().map(|input| vec![0.0; input.steps * input.len]).collect();
        for _ in 0..WARM_UPS {
            chunks.infer(&zeros).map_err(LoadError::WarmUp)?;
        }
        golden.check_chunks(&mut chunks)?;
        Ok(chunks)
    }
}

impl ChunkModel for OnnxChunks {
    fn shape(&self) -> &ModelShape {
        &self.shape
    }

    fn infer(&mut self, inputs: &[Vec<f32>]) -> Result<Vec<f32>, PolicyError> {
        self.shape.check_inputs(inputs)?;
        let failed = |error: ort::Error| PolicyError::Failed(one_line(&error.to_string()));
        let mut values: Vec<(&str, SessionInputValue<'_>)> = Vec::with_capacity(inputs.len());
        for ((input, tensor), data) in self.shape.inputs.iter().zip(&self.tensors).zip(inputs) {
            let tensor = TensorRef::from_array_view((tensor.clone(), data.as_slice())).map_err(failed)?;
            values.push((&input.name, tensor.into()));
        }
        let answers = self.session.run(values).map_err(failed)?;
        let (shape, values) = answers[ACTION].try_extract_tensor::<f32>().map_err(failed)?;
        // What the model leaves open in its declaration, it decides here.
        if shape.iter().as_slice() != self.outputs {
            let (found, expected) = (show(shape), show(&self.outputs));
            return Err(PolicyError::Failed(format!(
                "the answer has the shape {found}, expected {expected}"
            )));
        }
        Ok(values.to_vec())
    }
}

fn check_inputs(outlets: &[Outlet], shape: &ModelShape) -> Result<Vec<Vec<usize>>, LoadError> {
    let names = |names: &mut dyn Iterator<Item = &str>| {
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        names.join(", ")
    };
    let found = names(&mut outlets.iter().map(Outlet::name));
    let expected = names(&mut shape.inputs.iter().map(|input| input.name.as_str()));
    if found != expected {
        return Err(LoadError::Inputs { found, expected });
    }
    let tensor = |input: &ModelInput| {
        let outlet = outlets.iter().find(|outlet| outlet.name() == input.name);
        let flat = [1, dimension(input.len)];
        let steps = [1, dimension(input.steps), dimension(input.len)];
        let shapes: &[&[i64]] = if input.steps == 1 { &[&flat, &steps] } else { &[&steps] };
        match outlet {
            Some(outlet) => matching("input", outlet, shapes),
            // The names are the same ones.
            None => Err(LoadError::Count { what: "input", found: 0 }),
        }
    };
    shape.inputs.iter().map(tensor).collect()
}

fn check_output(outlets: &[Outlet], shape: &[i64]) -> Result<(), LoadError> {
    let Some(outlet) = outlets.iter().find(|outlet| outlet.name() == ACTION) else {
        let found = outlets.iter().map(Outlet::name).collect::<Vec<_>>().join(", ");
        let (name, expected) = (ACTION.to_owned(), show(shape));
        let found = format!("not there (its outputs are {found})");
        return Err(LoadError::ChunkShape { what: "output", name, found, expected });
    };
    matching("output", outlet, &[shape]).map(|_| ())
}

/// The first of `shapes` that the tensor can have; a dimension that the model leaves open, -1, can be any.
fn matching(what: &'static str, outlet: &Outlet, shapes: &[&[i64]]) -> Result<Vec<usize>, LoadError> {
    if let ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } = outlet.dtype() {
        let found = shape.iter().as_slice();
        let fits = |wanted: &&&[i64]| {
            wanted.len() == found.len() && wanted.iter().zip(found).all(|(w, f)| *f == -1 || w == f)
        };
        if let Some(wanted) = shapes.iter().find(fits) {
            return Ok(wanted.iter().map(|dimension| *dimension as usize).collect());
        }
    }
    let expected = shapes.iter().map(|shape| show(shape)).collect::<Vec<_>>().join(" or ");
    let (name, found) = (outlet.name().to_owned(), outlet.dtype().to_string());
    Err(LoadError::ChunkShape { what, name, found, expected })
}

/// As ONNX Runtime counts.
fn dimension(values: usize) -> i64 {
    i64::try_from(values).unwrap_or(i64::MAX)
}

fn show(shape: &[i64]) -> String {
    format!("{shape:?}")
}
