//! Which artifact a cell has been given, when, by whom and why, and what became of it.

use serde::{Deserialize, Serialize};

use crate::cell::Progress;

/// A cell is to run an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Deploy {
    #[cfg_attr(feature = "schema", schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"))]
    pub site_id: String,
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 999_999_999_999_999_999_i64))]
    pub csa_id: i64,
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 1000))]
    pub reason: String,
}

/// Cells are to go back to an older artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// A cell, or `ALL`: every cell that is assigned another version of the target's skill.
    #[cfg_attr(feature = "schema", schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"))]
    pub site_id: String,
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 999_999_999_999_999_999_i64))]
    pub target_csa_id: i64,
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(max_length = 1000))]
    pub reason: String,
}

/// What a deployment or a rollback has brought about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Assigned {
    /// One for each cell whose assignment changed.
    pub deployments: Vec<Deployment>,
    /// Cells that had this assignment already.
    pub unchanged: Vec<String>,
    /// Version of the director's timestamp metadata that says it.
    pub director: u64,
}

/// Why a cell was given an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Somebody asked for it.
    Deploy,
    Rollback,
    /// A stage of a roll-out.
    Rollout,
    /// A roll-out that failed, and took back what it had done.
    RolloutFailed,
}

/// One entry of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Deployment {
    pub id: i64,
    pub site_id: String,
    pub csa_id: i64,
    #[cfg_attr(feature = "schema", schema(pattern = "^[0-9a-f]{64}$"))]
    pub digest: String,
    pub skill_name: String,
    pub version: String,
    /// Digest of the artifact that was assigned before.
    pub previous: Option<String>,
    pub cause: Cause,
    /// The roll-out that it belongs to.
    pub rollout_id: Option<i64>,
    pub reason: String,
    pub requested_by: String,
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    pub requested_at: String,
    pub state: State,
    /// When the state was reached.
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    pub state_at: String,
    /// In the cell's words.
    pub detail: String,
}

/// What became of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = DeploymentState))]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The cell has not answered yet.
    Assigned,
    Downloading,
    Waiting,
    Deployed,
    Refused,
    Failed,
    /// Another artifact was assigned before the cell had taken this one up.
    Superseded,
}

impl From<Progress> for State {
    fn from(progress: Progress) -> Self {
        match progress {
            Progress::Downloading => Self::Downloading,
            Progress::Waiting => Self::Waiting,
            Progress::Deployed => Self::Deployed,
            Progress::Refused => Self::Refused,
            Progress::Failed => Self::Failed,
        }
    }
}

/// A page of the history, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DeploymentPage {
    pub items: Vec<Deployment>,
    /// Ask with `after` = this number for the next page; null at the end.
    pub next_after: Option<i64>,
}
