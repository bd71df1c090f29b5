//! A learned function that answers within a deadline, or does not answer.

mod chunk;
mod statistics;

pub use chunk::{ChunkPlayer, Due, Playing};
pub use statistics::{Deviation, Feature, Scaling, Statistics, StatisticsProblem, StatisticsUnreadable};

use std::fmt;
use std::sync::{Arc, Mutex};

use swarm_base::Duration;

/// A learned function from an observation to an action, both flat vectors in SI units.
pub trait Policy: Send + fmt::Debug {
    /// Number of values of an observation.
    fn observation_len(&self) -> usize;

    /// Number of values of an action.
    fn action_len(&self) -> usize;

    /// Fills `action`, and says how long it took. An answer that took longer than `deadline` is an error, and `action` is then
    /// left as it was: a late answer is never used.
    fn infer(
        &mut self,
        observation: &[f32],
        action: &mut [f32],
        deadline: Duration,
    ) -> Result<Duration, PolicyError>;
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("inference took {} us, its deadline is {} us", took.as_micros(), deadline.as_micros())]
    Late { took: Duration, deadline: Duration },
    #[error("the {what} has {found} values, the policy's has {expected}")]
    Length { what: &'static str, found: usize, expected: usize },
    #[error("inference failed: {0}")]
    Failed(String),
}

/// A policy as a tree knows it. Sessions are loaded and warmed up when a skill is deployed, and used by one run after another.
#[derive(Clone)]
pub struct NamedPolicy {
    /// The name that `RunPolicy` asks for.
    pub name: String,
    pub deadline: Duration,
    pub policy: Arc<Mutex<dyn Policy>>,
}

impl fmt::Debug for NamedPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedPolicy")
            .field("name", &self.name)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
