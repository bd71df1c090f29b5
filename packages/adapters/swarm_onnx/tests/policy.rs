//! Policies of small ONNX files, good and bad. `tests/data/make_models.py` wrote them. Needs ONNX Runtime: `ORT_DYLIB_PATH` names its library.

use std::path::{Path, PathBuf};

use swarm_base::Duration;
use swarm_onnx::{Lengths, LoadError, OnnxPolicy, OnnxRuntime};
use swarm_skill_core::{GoldenVectors, Policy, PolicyError, policy_contract};

const AMPLE: Duration = Duration::from_millis(60_000);
const THREE: Lengths = Lengths { observation: 3, action: 3 };
const DOUBLES: &str =
    r#"{"tolerance": 1e-6, "vectors": [{"observation": [1, -2, 0.5], "action": [2, -4, 1]}]}"#;

fn runtime() -> OnnxRuntime {
    let library =
        std::env::var_os("ORT_DYLIB_PATH").expect("ORT_DYLIB_PATH must name libonnxruntime.so for this test");
    OnnxRuntime::load(Path::new(&library)).unwrap()
}

fn model(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn load(name: &str, golden: &str) -> Result<OnnxPolicy, LoadError> {
    OnnxPolicy::load(runtime(), &model(name), THREE, &GoldenVectors::parse(golden).unwrap())
}

#[test]
fn a_policy_answers_with_and_without_a_batch_dimension() {
    for name in ["double.onnx", "double_flat.onnx", "double_open_batch.onnx"] {
        let mut policy = load(name, DOUBLES).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut action = [0.0; 3];
        let took = policy.infer(&[1.0, 2.0, 3.0], &mut action, AMPLE).unwrap();
        assert_eq!(action, [2.0, 4.0, 6.0], "{name}");
        assert!(took > Duration::ZERO, "the time is measured");
    }
}

#[test]
fn a_network_keeps_the_contract_of_policies() {
    for name in ["double.onnx", "double_flat.onnx", "double_open_batch.onnx"] {
        policy_contract::check(&mut load(name, DOUBLES).unwrap_or_else(|error| panic!("{name}: {error}")));
    }
}

#[test]
fn a_late_answer_is_an_error_and_is_not_used() {
    let mut policy = load("double.onnx", DOUBLES).unwrap();
    let mut action = [7.0; 3];
    // No computer answers in no time at all.
    let error = policy.infer(&[1.0; 3], &mut action, Duration::ZERO).unwrap_err();
    let PolicyError::Late { took, deadline: Duration::ZERO } = error else { panic!("{error}") };
    assert!(took > Duration::ZERO);
    assert_eq!(action, [7.0; 3], "the late answer was used");
    assert_eq!(error.to_string(), format!("inference took {} us, its deadline is 0 us", took.as_micros()));
}

#[test]
fn an_observation_of_the_wrong_length_is_refused() {
    let mut policy = load("double.onnx", DOUBLES).unwrap();
    let error = policy.infer(&[1.0; 4], &mut [0.0; 3], AMPLE).unwrap_err();
    assert_eq!(error.to_string(), "the observation has 4 values, the policy's has 3");
    let error = policy.infer(&[1.0; 3], &mut [0.0; 2], AMPLE).unwrap_err();
    assert_eq!(error.to_string(), "the action has 2 values, the policy's has 3");
}

#[test]
fn every_bad_model_has_its_message() {
    for (name, message) in [
        ("two_inputs.onnx", "the ONNX model has 2 inputs, expected one"),
        (
            "whole_numbers.onnx",
            "the ONNX model's input 'observation' is Tensor<i64>(1, 3), expected a float32 tensor of shape [n] or [1, n]",
        ),
        (
            "double_image.onnx",
            "the ONNX model's input 'observation' is Tensor<f32>(1, 3, 4), expected a float32 tensor of shape [n] or [1, n]",
        ),
    ] {
        assert_eq!(load(name, DOUBLES).unwrap_err().to_string(), message, "{name}");
    }
    let four = Lengths { observation: 4, action: 3 };
    let golden = GoldenVectors::parse(DOUBLES).unwrap();
    let error = OnnxPolicy::load(runtime(), &model("double.onnx"), four, &golden).unwrap_err();
    assert_eq!(error.to_string(), "the ONNX model's input 'observation' has 3 values, expected 4");
}

#[test]
fn bytes_that_are_no_onnx_are_refused() {
    let golden = GoldenVectors::parse(DOUBLES).unwrap();
    let whole = model("double.onnx");
    for bytes in [&b""[..], b"<!DOCTYPE html>", &whole[..whole.len() / 2]] {
        let error = OnnxPolicy::load(runtime(), bytes, THREE, &golden).unwrap_err();
        assert!(matches!(error, LoadError::Model(_)), "{error}");
        assert!(error.to_string().starts_with("cannot load the ONNX model: "), "{error}");
        assert!(!error.to_string().contains('\n'), "one line: {error}");
    }
}

#[test]
fn a_policy_that_differs_from_its_golden_vectors_is_refused() {
    let golden = r#"{"tolerance": 0.001, "vectors": [{"observation": [1, 1, 1], "action": [2, 2, 2.5]}]}"#;
    assert_eq!(
        load("double.onnx", golden).unwrap_err().to_string(),
        "golden vector 0: value 2 of the answer is 2, expected 2.5 within 0.001"
    );
}

#[test]
fn an_answer_that_is_no_number_agrees_with_nothing() {
    let golden = r#"{"tolerance": 0.001, "vectors": [{"observation": [0, 1, 1], "action": [0, 1, 1]}]}"#;
    assert_eq!(
        load("reciprocal.onnx", golden).unwrap_err().to_string(),
        "golden vector 0: value 0 of the answer is inf, expected 0 within 0.001"
    );
}

#[test]
fn a_library_that_is_not_there_is_named() {
    // Another process, because a process keeps the library that it has loaded.
    let ours = std::env::var_os("SWARM_ONNX_TEST_MISSING");
    if ours.is_some() {
        let error = OnnxRuntime::load(Path::new("/nowhere/libonnxruntime.so")).unwrap_err();
        println!("{error}");
        return;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_library_that_is_not_there_is_named", "--nocapture"])
        .env("SWARM_ONNX_TEST_MISSING", "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("cannot load ONNX Runtime from /nowhere/libonnxruntime.so: "), "{text}");
    assert!(text.contains("set ORT_DYLIB_PATH"), "{text}");
}
