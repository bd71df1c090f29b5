//! What the registry answers about its roll-outs.

use serde::{Deserialize, Serialize};

use crate::state::{Rollout, State, Summary};

/// A roll-out, how far it is, and its history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RolloutStatus {
    pub id: i64,
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    pub created_at: String,
    pub created_by: String,
    pub summary: Summary,
    /// What it waits for, in a sentence each; see [`crate::waits_for`].
    pub waits_for: Vec<String>,
    /// Oldest first.
    pub history: Vec<HistoryEntry>,
    pub rollout: Rollout,
}

/// What happened in a roll-out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = RolloutHistoryEntry))]
pub struct HistoryEntry {
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    pub at: String,
    pub text: String,
}

/// A roll-out in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RolloutListed {
    pub id: i64,
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    pub created_at: String,
    pub created_by: String,
    /// Digest of the artifact.
    pub artifact: String,
    pub skill_name: String,
    pub version: String,
    pub state: State,
    pub summary: Summary,
}

/// A page of roll-outs, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RolloutPage {
    pub items: Vec<RolloutListed>,
    /// Ask with `after` = this number for the next page; null at the end.
    pub next_after: Option<i64>,
}
