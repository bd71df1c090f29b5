//! Golden vectors: what a policy answered where it was trained, to be answered again where it is deployed.
//!
//! A policy that loads may still be another one: a different runtime version, a wrong file, a quantised copy. So an artifact carries,
//! beside every policy, some observations with the answers expected to them:
//!
//! ```json
//! {"tolerance": 1e-4, "vectors": [{"observation": [0.0, 0.1], "action": [0.5]}]}
//! ```
//!
//! For a policy that answers with chunks, `observation` is all inputs in the order of their names and `action` the chunk, action by action,
//! both in the network's own units: what stands between them and SI units is in the artifact's statistics.
//!
//! `tolerance` is absolute and per value, in the action's own units.

use serde::Deserialize;
use swarm_base::Duration;

use crate::policy::{ChunkModel, Policy, PolicyError};

/// Observations with the answers expected to them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenVectors {
    tolerance: f64,
    vectors: Vec<GoldenVector>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct GoldenVector {
    observation: Vec<f32>,
    action: Vec<f32>,
}

/// Golden vectors that cannot be used, or a policy that does not agree with them.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GoldenError {
    #[error("the golden vectors cannot be read: {0}")]
    Unreadable(String),
    #[error("the golden vectors' tolerance is {0}, expected a number above 0")]
    Tolerance(f64),
    #[error("there are no golden vectors; at least one is needed")]
    Empty,
    #[error("golden vector {index}: the {what} has {found} values, the policy's has {expected}")]
    Length { index: usize, what: &'static str, found: usize, expected: usize },
    #[error("golden vector {index}: {source}")]
    NoAnswer { index: usize, source: PolicyError },
    #[error(
        "golden vector {index}: value {value} of the answer is {found}, expected {expected} within {tolerance}"
    )]
    Differs { index: usize, value: usize, found: f32, expected: f32, tolerance: f64 },
}

/// Agreement with golden vectors says nothing about time; what a deadline is worth is measured in a run.
const NO_HURRY: Duration = Duration::from_millis(10_000);

impl GoldenVectors {
    /// Reads the JSON text.
    pub fn parse(json: &str) -> Result<Self, GoldenError> {
        let golden: Self =
            serde_json::from_str(json).map_err(|error| GoldenError::Unreadable(error.to_string()))?;
        if !(golden.tolerance > 0.0 && golden.tolerance.is_finite()) {
            return Err(GoldenError::Tolerance(golden.tolerance));
        }
        if golden.vectors.is_empty() {
            return Err(GoldenError::Empty);
        }
        Ok(golden)
    }

    /// Number of vectors.
    pub fn len(&self) -> usize {
        self.vectors.len()
    }

    /// Never: [`Self::parse`] refuses it.
    pub fn is_empty(&self) -> bool {
        self.vectors.is_empty()
    }

    /// Asks the policy every question. Gives the largest difference of any value, or the first disagreement.
    pub fn check(&self, policy: &mut dyn Policy) -> Result<f64, GoldenError> {
        let mut answer = vec![0.0; policy.action_len()];
        self.ask(policy.observation_len(), policy.action_len(), |observation| {
            policy.infer(observation, &mut answer, NO_HURRY)?;
            Ok(answer.clone())
        })
    }

    /// As [`Self::check`].
    pub fn check_chunks(&self, model: &mut dyn ChunkModel) -> Result<f64, GoldenError> {
        let shape = model.shape().clone();
        let lens: Vec<usize> = shape.inputs.iter().map(|input| input.steps * input.len).collect();
        self.ask(lens.iter().sum(), shape.horizon * shape.action_len, |mut observation| {
            let split = lens.iter().map(|len| observation.split_off(..*len).unwrap_or_default().to_vec());
            model.infer(&split.collect::<Vec<_>>())
        })
    }

    fn ask(
        &self,
        observation_len: usize,
        action_len: usize,
        mut infer: impl FnMut(&[f32]) -> Result<Vec<f32>, PolicyError>,
    ) -> Result<f64, GoldenError> {
        let mut largest = 0.0_f64;
        for (index, vector) in self.vectors.iter().enumerate() {
            same_length(index, "observation", vector.observation.len(), observation_len)?;
            same_length(index, "action", vector.action.len(), action_len)?;
            let answer =
                infer(&vector.observation).map_err(|source| GoldenError::NoAnswer { index, source })?;
            same_length(index, "answer", answer.len(), action_len)?;
            for (value, (&found, &expected)) in answer.iter().zip(&vector.action).enumerate() {
                let difference = (f64::from(found) - f64::from(expected)).abs();
                if difference.is_nan() || difference > self.tolerance {
                    let tolerance = self.tolerance;
                    return Err(GoldenError::Differs { index, value, found, expected, tolerance });
                }
                largest = largest.max(difference);
            }
        }
        Ok(largest)
    }
}

fn same_length(index: usize, what: &'static str, found: usize, expected: usize) -> Result<(), GoldenError> {
    if found == expected { Ok(()) } else { Err(GoldenError::Length { index, what, found, expected }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Doubles its one value.
    #[derive(Debug)]
    struct Double;

    impl Policy for Double {
        fn observation_len(&self) -> usize {
            1
        }

        fn action_len(&self) -> usize {
            1
        }

        fn infer(
            &mut self,
            observation: &[f32],
            action: &mut [f32],
            _: Duration,
        ) -> Result<Duration, PolicyError> {
            action[0] = observation[0] * 2.0;
            Ok(Duration::ZERO)
        }
    }

    fn check(json: &str) -> Result<f64, String> {
        GoldenVectors::parse(json)
            .and_then(|golden| golden.check(&mut Double))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_policy_that_agrees_passes_with_its_largest_difference() {
        let largest =
            check(r#"{"tolerance": 0.1, "vectors": [{"observation": [1], "action": [2.05]}]}"#).unwrap();
        assert!((largest - 0.05).abs() < 1e-6);
    }

    #[test]
    fn every_disagreement_has_its_message() {
        for (json, message) in [
            (
                r#"{"tolerance": 0.01, "vectors": [{"observation": [1], "action": [2]}, {"observation": [1], "action": [2.5]}]}"#,
                "golden vector 1: value 0 of the answer is 2, expected 2.5 within 0.01",
            ),
            (
                r#"{"tolerance": 0.01, "vectors": [{"observation": [1, 2], "action": [2]}]}"#,
                "golden vector 0: the observation has 2 values, the policy's has 1",
            ),
            (
                r#"{"tolerance": 0.01, "vectors": [{"observation": [1], "action": []}]}"#,
                "golden vector 0: the action has 0 values, the policy's has 1",
            ),
            (r#"{"tolerance": 0.01, "vectors": []}"#, "there are no golden vectors; at least one is needed"),
            (
                r#"{"tolerance": 0, "vectors": []}"#,
                "the golden vectors' tolerance is 0, expected a number above 0",
            ),
            (
                r#"{"vectors": []}"#,
                "the golden vectors cannot be read: missing field `tolerance` at line 1 column 15",
            ),
        ] {
            assert_eq!(check(json), Err(message.into()));
        }
    }
}
