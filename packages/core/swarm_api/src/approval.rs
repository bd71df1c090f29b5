//! What a second person has to confirm before it is done.

use serde::{Deserialize, Serialize};

use crate::deployment::Assigned;
use crate::update::Versions;

/// A request that waits for a second person, or did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Approval {
    pub id: i64,
    pub action: Action,
    /// What is to be done, in a sentence.
    pub detail: String,
    pub requested_by: String,
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    pub requested_at: String,
    /// Who confirms later is refused.
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    pub expires_at: String,
    pub state: State,
    /// The second person.
    pub confirmed_by: Option<String>,
}

/// What needs two people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = ApprovalAction))]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Every cell of a skill goes back to an older artifact.
    RollbackAll,
    /// Other keys of an update repository.
    PublishRoot,
}

/// How far an approval is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = ApprovalState))]
#[serde(rename_all = "snake_case")]
pub enum State {
    Waiting,
    Confirmed,
    Expired,
}

/// A page of approvals, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ApprovalPage {
    pub items: Vec<Approval>,
    /// Ask with `after` = this number for the next page; null at the end.
    pub next_after: Option<i64>,
}

/// What a confirmation has brought about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Confirmed {
    pub approval: Approval,
    /// Of a rollback.
    pub assigned: Option<Assigned>,
    /// Of a root.
    pub versions: Option<Versions>,
}
