//! Policies with chunks, of small ONNX files that `tests/data/make_models.py` wrote. Needs ONNX Runtime: `ORT_DYLIB_PATH` names its library.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;

use swarm_base::Duration;
use swarm_onnx::{LoadError, OnnxChunks, OnnxRuntime, Provider, ThreadedRunner};
use swarm_skill_core::{
    ChunkModel, GoldenVectors, InlineRunner, ModelInput, ModelShape, PolicyError, PolicyRunner,
    runner_contract,
};

/// Inputs in the order of their names: the other one, then two steps of three joints.
const GOLDEN: &str = r#"{"tolerance": 1e-6, "vectors": [
    {"observation": [0.5, 9, 9, 9, 1, 2, 3], "action": [1, 2, 3, 1.5, 2.5, 3.5, 2, 3, 4, 2.5, 3.5, 4.5]}]}"#;

fn shape() -> ModelShape {
    let input = |name: &str, steps, len| ModelInput { name: name.into(), steps, len };
    ModelShape {
        inputs: vec![input("observation.environment_state", 1, 1), input("observation.state", 2, 3)],
        horizon: 4,
        action_len: 3,
    }
}

fn runtime() -> OnnxRuntime {
    let library =
        std::env::var_os("ORT_DYLIB_PATH").expect("ORT_DYLIB_PATH must name libonnxruntime.so for this test");
    OnnxRuntime::load(Path::new(&library)).unwrap()
}

fn load_on(runtime: OnnxRuntime, name: &str, shape: ModelShape) -> Result<OnnxChunks, LoadError> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    let onnx = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    OnnxChunks::load(runtime, &onnx, shape, &GoldenVectors::parse(GOLDEN).unwrap())
}

fn load(name: &str) -> Result<OnnxChunks, LoadError> {
    load_on(runtime(), name, shape())
}

#[test]
fn a_network_answers_with_the_chunk_that_it_was_trained_to() {
    for name in ["chunks.onnx", "chunks_open.onnx"] {
        let mut model = load(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let chunk = model.infer(&[vec![-1.0], vec![0.0, 0.0, 0.0, 5.0, 6.0, 7.0]]).unwrap();
        assert_eq!(chunk, [5.0, 6.0, 7.0, 4.0, 5.0, 6.0, 3.0, 4.0, 5.0, 2.0, 3.0, 4.0], "{name}");
    }
}

#[test]
fn both_runners_keep_the_contract_with_a_real_network() {
    runner_contract::check(&mut InlineRunner::new(load("chunks.onnx").unwrap(), 3), || {});
    let (thought, thoughts) = channel();
    let mut threaded = ThreadedRunner::start(Tells { model: load("chunks.onnx").unwrap(), thought }).unwrap();
    // What the network has just thought becomes an answer a moment later; so the wait has an end of its own.
    runner_contract::check(&mut threaded, || {
        let _ = thoughts.recv_timeout(std::time::Duration::from_millis(10));
    });
}

/// Says when it has thought.
#[derive(Debug)]
struct Tells<M> {
    model: M,
    thought: Sender<()>,
}

impl<M: ChunkModel> ChunkModel for Tells<M> {
    fn shape(&self) -> &ModelShape {
        self.model.shape()
    }

    fn infer(&mut self, inputs: &[Vec<f32>]) -> Result<Vec<f32>, PolicyError> {
        let chunk = self.model.infer(inputs);
        // Nobody may be waiting any more.
        let _ = self.thought.send(());
        chunk
    }
}

#[test]
fn every_network_of_another_shape_has_its_message() {
    for (name, message) in [
        (
            "double.onnx",
            "the ONNX model's inputs are observation, the manifest's are observation.environment_state, observation.state",
        ),
        (
            "chunks_long.onnx",
            "the ONNX model's output 'action' is Tensor<f32>(1, 5, 3), expected a float32 tensor of shape [1, 4, 3]",
        ),
        (
            "chunks_any.onnx",
            "the ONNX model does not answer: inference failed: the answer has the shape [1, 5, 3], expected [1, 4, 3]",
        ),
    ] {
        assert_eq!(load(name).unwrap_err().to_string(), message, "{name}");
    }
    let mut one_step = shape();
    one_step.inputs[1].steps = 1;
    assert_eq!(
        load_on(runtime(), "chunks.onnx", one_step).unwrap_err().to_string(),
        "the ONNX model's input 'observation.state' is Tensor<f32>(1, 2, 3), expected a float32 tensor of shape [1, 3] or [1, 1, 3]"
    );
}

/// On a machine whose library has CUDA, the network answers; elsewhere the missing provider is an error and not replaced.
#[test]
fn a_provider_that_the_library_lacks_is_an_error_with_what_to_do() {
    let provider: Provider = "cuda:0".parse().unwrap();
    match load_on(runtime().on(provider), "chunks.onnx", shape()) {
        Ok(mut model) => assert!(model.infer(&[vec![0.0], vec![0.0; 6]]).is_ok()),
        Err(error) => {
            assert!(matches!(error, LoadError::Provider { .. }), "{error}");
            let text = error.to_string();
            assert!(text.starts_with("policies are to run on cuda:0, but ONNX Runtime cannot: "), "{text}");
            assert!(text.ends_with("or configure the provider 'cpu'"), "{text}");
        }
    }
    for (text, expected) in [
        ("cpu", Some(Provider::Cpu)),
        ("cuda", Some(Provider::Cuda { device: 0 })),
        ("gpu", None),
        ("cuda:-1", None),
    ] {
        assert_eq!(text.parse().ok(), expected, "{text}");
    }
}

/// Panics when it is asked.
#[derive(Debug)]
struct Panics(ModelShape);

impl ChunkModel for Panics {
    fn shape(&self) -> &ModelShape {
        &self.0
    }

    fn infer(&mut self, _: &[Vec<f32>]) -> Result<Vec<f32>, PolicyError> {
        panic!("a network that panics")
    }
}

#[test]
fn a_thread_that_dies_is_an_answer_and_not_a_silence() {
    let mut runner = ThreadedRunner::start(Panics(shape())).unwrap();
    let ticket = runner.submit(&[vec![0.0], vec![0.0; 6]]).unwrap();
    let asked = Instant::now();
    let answer = loop {
        if let Some(answer) = runner.poll() {
            break answer;
        }
        assert!(asked.elapsed() < std::time::Duration::from_mins(1), "there is no answer");
        std::thread::yield_now();
    };
    assert_eq!((answer.ticket, answer.took), (ticket, Duration::ZERO));
    let error = answer.chunk.unwrap_err().to_string();
    assert!(error.contains("the thread of the policy has ended"), "{error}");
    assert_eq!(runner.submit(&[vec![0.0], vec![0.0; 6]]).unwrap_err().to_string(), error);
}
