//! Policies whose inferences are counted: those that answer within a tick, and those that are asked and answer later.

use std::sync::Arc;

use swarm_base::Duration;
use swarm_metrics::{InferenceEnd, Metrics};
use swarm_skill_core::{Answer, ModelShape, Policy, PolicyError, PolicyRunner, QuestionId};

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

/// A runner, and where its inferences are counted: each with the time from the question to the answer, when the answer is taken.
#[derive(Debug)]
pub struct CountedRunner<R> {
    runner: R,
    deadline: Duration,
    metrics: Arc<Metrics>,
}

impl<R: PolicyRunner> CountedRunner<R> {
    /// An answer that took longer than `deadline` is counted as late; whoever asked does not use it.
    pub fn new(runner: R, deadline: Duration, metrics: Arc<Metrics>) -> Self {
        Self { runner, deadline, metrics }
    }
}

impl<R: PolicyRunner> PolicyRunner for CountedRunner<R> {
    fn shape(&self) -> &ModelShape {
        self.runner.shape()
    }

    /// A question that is not taken is no inference.
    fn submit(&mut self, inputs: &[Vec<f32>]) -> Result<QuestionId, PolicyError> {
        self.runner.submit(inputs)
    }

    fn poll(&mut self) -> Option<Answer> {
        let answer = self.runner.poll()?;
        let end = match &answer.chunk {
            Err(_) => InferenceEnd::Failed,
            Ok(_) if answer.took > self.deadline => InferenceEnd::Late,
            Ok(_) => InferenceEnd::Done,
        };
        self.metrics.inference(answer.took.to_std(), end);
        Some(answer)
    }
}

#[cfg(test)]
mod tests {
    use swarm_skill_core::{ChunkModel, InlineRunner, ModelInput, runner_contract};

    use super::*;

    /// One input of one value; answers with it, or fails on a negative one.
    #[derive(Debug)]
    struct Echo(ModelShape);

    impl ChunkModel for Echo {
        fn shape(&self) -> &ModelShape {
            &self.0
        }

        fn infer(&mut self, inputs: &[Vec<f32>]) -> Result<Vec<f32>, PolicyError> {
            let value = inputs[0][0];
            if value < 0.0 { Err(PolicyError::Failed("negative".into())) } else { Ok(vec![value]) }
        }
    }

    fn echo() -> InlineRunner<Echo> {
        let input = ModelInput { name: "x".into(), steps: 1, len: 1 };
        InlineRunner::new(Echo(ModelShape { inputs: vec![input], horizon: 1, action_len: 1 }), 0)
    }

    /// Answers as if it had thought for so long.
    #[derive(Debug)]
    struct Slow(InlineRunner<Echo>, Duration);

    impl PolicyRunner for Slow {
        fn shape(&self) -> &ModelShape {
            self.0.shape()
        }

        fn submit(&mut self, inputs: &[Vec<f32>]) -> Result<QuestionId, PolicyError> {
            self.0.submit(inputs)
        }

        fn poll(&mut self) -> Option<Answer> {
            self.0.poll().map(|answer| Answer { took: self.1, ..answer })
        }
    }

    const DEADLINE: Duration = Duration::from_millis(100);

    #[test]
    fn a_counted_runner_is_a_runner_like_any_other() {
        runner_contract::check(&mut CountedRunner::new(echo(), DEADLINE, Arc::default()), || {});
    }

    #[test]
    fn answers_are_counted_by_how_they_ended_and_questions_that_are_not_taken_are_not() {
        let metrics = Arc::new(Metrics::new());
        for (ms, input) in [(100, 1.0), (101, 1.0), (1, -1.0), (101, -1.0)] {
            let slow = Slow(echo(), Duration::from_millis(ms));
            let mut runner = CountedRunner::new(slow, DEADLINE, Arc::clone(&metrics));
            assert_eq!(runner.poll(), None);
            runner.submit(&[vec![input]]).unwrap();
            assert_eq!(runner.submit(&[vec![input]]), Err(PolicyError::Busy));
            assert!(runner.poll().is_some());
        }
        let text = metrics.text();
        for line in [
            r#"policy_inference_seconds_count{result="done"} 1"#,
            r#"policy_inference_seconds_sum{result="done"} 0.1"#,
            r#"policy_inference_seconds_count{result="late"} 1"#,
            r#"policy_inference_seconds_count{result="failed"} 2"#,
        ] {
            assert!(text.lines().any(|found| found == line), "no line {line} in\n{text}");
        }
    }
}
