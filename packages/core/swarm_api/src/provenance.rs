//! Where an artifact comes from, what was made from it, and where each of them ran.

use serde::{Deserialize, Serialize};

use crate::artifact::Artifact;
use crate::deployment::State;

/// The family of one artifact, along `provenance.parent`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ProvenanceGraph {
    pub artifact: Relative,
    /// What it was made from, nearest first.
    pub ancestors: Vec<Relative>,
    /// What was made from it, nearest first; whose child each is says its own `parent`.
    pub descendants: Vec<Relative>,
    /// There are more relatives than the registry gathers in one answer; ask again for one of these.
    pub cut: bool,
}

/// One artifact of the family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Relative {
    pub artifact: Artifact,
    /// The cells that were given it, in the order of their names.
    pub cells: Vec<Ran>,
}

/// What became of an artifact on a cell, the last time that the cell was given it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Ran {
    pub site_id: String,
    /// Number of that deployment.
    pub deployment_id: i64,
    pub state: State,
    /// When the state was reached.
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    pub state_at: String,
}
