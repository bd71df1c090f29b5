//! The cells, what each of them is to run, and what became of it.
//!
//! Vocabulary: a cell is *assigned* an artifact by the director's metadata; a *deployment* is one entry of the history of
//! assignments, and its state is what the cell says of it; a *report* is all that a cell says of itself.
//!
//! How cells are assigned an artifact (a deployment, a rollback, a stage of a roll-out: there is one way)
//! 1. The director's head is locked; a quarantine takes the same lock, so that none comes in between.
//! 2. The artifact has to be here, not quarantined, and the same in the image repository: a cell would refuse it otherwise.
//! 3. Cells that have it already are left alone.
//! 4. New metadata of the director, history, cells and audit log are one transaction.
//!
//! Reports are taken as they come and believed in nothing: they move the state of the history and the roll-outs' gates.

mod assign;
mod history;
mod report;
mod site;

use std::sync::Arc;

use swarm_artifact::ArtifactId;

use crate::database::{Database, DatabaseError};
use crate::metrics::Metrics;
use crate::record::Reference;
use crate::update::{UpdateError, Updates};

pub use assign::{Assignment, Cells};
pub(crate) use assign::{Goal, Group, Sent, away_from, cells_named, goal_in};
pub use history::HistoryFilter;
pub use report::{Census, ONLINE_S};
pub use site::{ALL, SiteId, SiteIdError};

/// Why cells were not assigned an artifact.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    #[error("there is no artifact {reference} in this registry")]
    NoSuchArtifact { reference: Reference },
    #[error(
        "artifact {artifact} ({skill_name} {version}) is quarantined, and no cell is sent to it: {reason}"
    )]
    Quarantined { artifact: ArtifactId, skill_name: String, version: String, reason: String },
    #[error(
        "artifact {artifact} is not in the image repository as '{path}', so that every cell would refuse it"
    )]
    NotInImage { artifact: ArtifactId, path: String },
    #[error(
        "the image repository has other bytes than artifact {artifact} as '{path}': {found}; every cell would refuse it"
    )]
    OtherInImage { artifact: ArtifactId, path: String, found: String },
    #[error("there is no cell '{site_id}'")]
    NoSuchCell { site_id: SiteId },
    #[error(transparent)]
    Update(#[from] UpdateError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Cells and the history of their deployments.
#[derive(Clone, Debug)]
pub struct Fleet {
    database: Database,
    updates: Updates,
    metrics: Arc<Metrics>,
}

impl Fleet {
    pub const fn new(database: Database, updates: Updates, metrics: Arc<Metrics>) -> Self {
        Self { database, updates, metrics }
    }
}

/// A value of `swarm_api` that is one word, as the tables have it.
fn word(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => unreachable!("words are texts in JSON, not {other:?}"),
    }
}

/// The other way; `None` for a word that was never written.
fn read_word<T: serde::de::DeserializeOwned>(word: &str) -> Option<T> {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).ok()
}
