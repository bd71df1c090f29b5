//! A policy that answers with chunks, as it is deployed: its network, and what the artifact says about it, judged.

use std::fmt;
use std::sync::Mutex;

use swarm_artifact::{ActionKind, ChunkedEntry};
use swarm_base::Duration;

use crate::policy::chunk::Playing;
use crate::policy::observation::{Observer, source_len};
use crate::policy::runner::{ModelInput, ModelShape, PolicyRunner};
use crate::policy::statistics::{Deviation, Feature, Statistics, StatisticsProblem};

/// Name of the network's output, and of the statistics' feature for it, as in LeRobot.
pub const ACTION: &str = "action";

/// A chunked policy that can run: for an arm of so many joints.
pub struct ChunkedPolicy {
    entry: ChunkedEntry,
    dof: usize,
    shape: ModelShape,
    /// In the order of the inputs' names.
    inputs: Vec<Feature>,
    action: Feature,
    /// Shared by the runs that come one after another.
    pub runner: Mutex<Box<dyn PolicyRunner>>,
}

/// Values that a policy has not been trained for.
#[derive(Clone, Debug, PartialEq)]
pub struct OutOfDistribution {
    /// Largest first; never empty.
    pub deviations: Vec<Deviation>,
    pub limit: f64,
}

/// Deviations that a message lists.
const LISTED: usize = 3;

impl fmt::Display for OutOfDistribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the observation is none that the policy was trained for: ")?;
        for (index, deviation) in self.deviations.iter().take(LISTED).enumerate() {
            write!(f, "{}{deviation}", if index == 0 { "" } else { "; " })?;
        }
        let more = self.deviations.len().saturating_sub(LISTED);
        if more > 0 {
            write!(f, "; and {more} more")?;
        }
        write!(f, "; at most {:.1} are allowed", self.limit)
    }
}

impl std::error::Error for OutOfDistribution {}

/// The network that a manifest describes, for an arm of so many joints.
pub fn shape_of(entry: &ChunkedEntry, dof: usize) -> ModelShape {
    let steps = entry.history.steps as usize;
    let inputs = entry.inputs.iter().map(|(name, input)| ModelInput {
        name: name.clone(),
        steps,
        len: input.of.iter().map(|source| source_len(source, dof)).sum(),
    });
    ModelShape {
        inputs: inputs.collect(),
        horizon: entry.chunk.horizon as usize,
        action_len: dof + usize::from(entry.chunk.gripper),
    }
}

impl ChunkedPolicy {
    /// Judges statistics against what the manifest describes.
    pub fn new(
        entry: ChunkedEntry,
        dof: usize,
        statistics: &Statistics,
        runner: Box<dyn PolicyRunner>,
    ) -> Result<Self, Vec<StatisticsProblem>> {
        let shape = shape_of(&entry, dof);
        let mut problems = Vec::new();
        let mut inputs = Vec::new();
        for (input, spec) in shape.inputs.iter().zip(entry.inputs.values()) {
            match statistics.feature(&input.name, input.len, spec.scaling) {
                Ok(feature) => inputs.push(feature),
                Err(found) => problems.extend(found),
            }
        }
        match statistics.feature(ACTION, shape.action_len, entry.chunk.scaling) {
            Ok(action) if problems.is_empty() => {
                Ok(Self { entry, dof, shape, inputs, action, runner: Mutex::new(runner) })
            }
            Ok(_) => Err(problems),
            Err(found) => {
                problems.extend(found);
                Err(problems)
            }
        }
    }

    pub fn shape(&self) -> &ModelShape {
        &self.shape
    }

    pub fn action_kind(&self) -> ActionKind {
        self.entry.chunk.action
    }

    /// Whether the last value of an action is the gripper's width.
    pub fn moves_gripper(&self) -> bool {
        self.entry.chunk.gripper
    }

    /// Time between two observations that are answered.
    pub fn replan(&self) -> Duration {
        Duration::from_micros(self.entry.chunk.replan_us.into())
    }

    pub fn observer(&self) -> Observer {
        Observer::new(&self.entry, self.dof)
    }

    pub fn playing(&self) -> Playing {
        let chunk = &self.entry.chunk;
        Playing {
            horizon: self.shape.horizon,
            action_len: self.shape.action_len,
            period: Duration::from_micros(chunk.period_us.into()),
            ensemble: chunk.ensemble as usize,
            coefficient: chunk.coefficient,
            blend: Duration::from_micros(chunk.blend_us.into()),
        }
    }

    /// How far an observation is from the training data: the largest deviation of its values, in standard deviations. Infinite where one
    /// is no number.
    pub fn score(&self, observation: &[Vec<f64>]) -> f64 {
        let features = self.inputs.iter().zip(observation);
        features.map(|(feature, values)| feature.largest_deviation(values)).fold(0.0, f64::max)
    }

    /// Whether the policy was trained for such an observation.
    pub fn judge(&self, observation: &[Vec<f64>]) -> Result<(), OutOfDistribution> {
        let limit = self.entry.max_deviation;
        let features = self.inputs.iter().zip(observation);
        let mut deviations: Vec<Deviation> =
            features.flat_map(|(feature, values)| feature.deviations_above(values, limit)).collect();
        if deviations.is_empty() {
            return Ok(());
        }
        deviations.sort_by(|a, b| b.z().total_cmp(&a.z()));
        Err(OutOfDistribution { deviations, limit })
    }

    /// SI units to the network's.
    pub fn normalise(&self, observation: &[Vec<f64>], network: &mut [Vec<f32>]) {
        for ((feature, si), network) in self.inputs.iter().zip(observation).zip(network) {
            feature.normalise(si, network);
        }
    }

    /// The network's units to SI.
    pub fn denormalise(&self, network: &[f32], actions: &mut [f64]) {
        self.action.denormalise(network, actions);
    }
}

impl fmt::Debug for ChunkedPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkedPolicy").field("entry", &self.entry).finish_non_exhaustive()
    }
}
