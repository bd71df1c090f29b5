//! Why a declaration was refused.

use swarm_yaml::Mistakes;

/// A declaration with mistakes; all of them, each with its place and field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cell's declaration cannot be used: {mistakes}")]
pub struct ConfigError {
    pub mistakes: Mistakes,
}
