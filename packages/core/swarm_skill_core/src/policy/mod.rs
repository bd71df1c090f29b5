//! Learned functions: what they are asked, what their answers mean, and when an answer is none.
//!
//! There are two kinds. A [`Policy`] answers within the tick in which it is asked, or does not answer: a small network close to the
//! motion, called by the leaf `RunPolicy`. A [`ChunkedPolicy`] thinks for several ticks and answers with actions for many: an ACT or
//! diffusion policy as the field trains them, called by the leaf `FollowPolicy`.
//!
//! # Flow of a chunked policy
//!
//! 1. [`Observer`] makes an observation of one instant; what is missing or too old is an error by name.
//! 2. [`ChunkedPolicy::judge`] compares it with the statistics of the training data; what is far from them is refused by name.
//! 3. [`ChunkedPolicy::normalise`], and to the [`PolicyRunner`], whose answer comes in a later tick.
//! 4. [`ChunkedPolicy::denormalise`], and to the [`ChunkPlayer`], which says every tick what is due.

mod chunk;
mod chunked;
pub mod contract;
mod observation;
mod runner;
mod statistics;

pub use chunk::{ChunkPlayer, Due, Playing};
pub use chunked::{ACTION, ChunkedPolicy, OutOfDistribution, shape_of};
pub use observation::{ObservationError, Observer};
pub use runner::{
    Answer, ChunkModel, InlineRunner, ModelInput, ModelShape, PolicyRunner, QuestionId,
    contract as runner_contract,
};
pub use statistics::{Deviation, Feature, Statistics, StatisticsProblem, StatisticsUnreadable};

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
    #[error("an observation has {found} inputs, the policy's {expected}")]
    Inputs { found: usize, expected: usize },
    #[error("input '{name}' has {found} values, the policy's has {expected}")]
    Input { name: String, found: usize, expected: usize },
    #[error("an earlier question has not been answered yet")]
    Busy,
    #[error("inference failed: {0}")]
    Failed(String),
}

/// What a role's chunked policy was asked, and has answered, in one tick. Its decisions depend on that beside its inputs: how long an
/// inference takes is up to the computer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PolicyTick {
    /// A question was taken.
    pub asked: bool,
    /// An answer was taken out, to whichever question.
    pub answered: bool,
    /// Score of the observation that was made in this tick, see [`ChunkedPolicy::score`].
    pub score: Option<f64>,
}

/// A policy on a virtual clock: it answers in no time, however long the computer takes that the clock stands still for.
#[derive(Debug)]
pub struct Untimed<P>(pub P);

impl<P: Policy> Policy for Untimed<P> {
    fn observation_len(&self) -> usize {
        self.0.observation_len()
    }

    fn action_len(&self) -> usize {
        self.0.action_len()
    }

    fn infer(
        &mut self,
        observation: &[f32],
        action: &mut [f32],
        _deadline: Duration,
    ) -> Result<Duration, PolicyError> {
        self.0.infer(observation, action, Duration(u64::MAX))?;
        Ok(Duration::ZERO)
    }
}

/// A policy as a tree knows it. It is loaded and warmed up when a skill is deployed, and used by one run after another.
#[derive(Clone)]
pub struct NamedPolicy {
    /// The name that `RunPolicy` or `FollowPolicy` asks for.
    pub name: String,
    pub deadline: Duration,
    pub kind: PolicyKind,
}

/// How a policy answers.
#[derive(Clone, Debug)]
pub enum PolicyKind {
    /// In the tick in which it is asked.
    Reactive(Arc<Mutex<dyn Policy>>),
    /// Later, and for many ticks.
    Chunked(Arc<ChunkedPolicy>),
}

impl fmt::Debug for NamedPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedPolicy")
            .field("name", &self.name)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
