//! A policy whose inferences are counted.

use std::sync::Arc;

use swarm_base::Duration;
use swarm_metrics::{InferenceEnd, Metrics};
use swarm_skill_core::{Policy, PolicyError};

/// A policy, and where its inferences are counted.
#[derive(Debug)]
pub struct Counted<P> {
    policy: P,
    metrics: Arc<Metrics>,
}

impl<P: Policy> Counted<P> {
    pub fn new(policy: P, metrics: Arc<Metrics>) -> Self {
        Self { policy, metrics }
    }
}

impl<P: Policy> Policy for Counted<P> {
    fn observation_len(&self) -> usize {
        self.policy.observation_len()
    }

    fn action_len(&self) -> usize {
        self.policy.action_len()
    }

    fn infer(
        &mut self,
        observation: &[f32],
        action: &mut [f32],
        deadline: Duration,
    ) -> Result<Duration, PolicyError> {
        let started = std::time::Instant::now();
        let answer = self.policy.infer(observation, action, deadline);
        let (took, end) = match &answer {
            Ok(took) => (took.to_std(), InferenceEnd::Done),
            Err(PolicyError::Late { took, .. }) => (took.to_std(), InferenceEnd::Late),
            Err(_) => (started.elapsed(), InferenceEnd::Failed),
        };
        self.metrics.inference(took, end);
        answer
    }
}
