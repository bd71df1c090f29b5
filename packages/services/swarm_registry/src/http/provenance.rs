//! The family of an artifact, and where each member ran.

use std::collections::{BTreeSet, VecDeque};

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use swarm_api::provenance::{ProvenanceGraph, Relative};

use super::App;
use super::artifacts::find;
use super::problem::Problem;
use super::request::{Asker, Named};
use super::service::Problems;
use crate::access::Permission;
use crate::database::DatabaseError;
use crate::record::{Record, Reference};

/// Relatives in one answer, each way.
const MOST: usize = 500;

/// What an artifact was made from, what was made from it, and where each of them ran.
#[utoipa::path(get, path = "/api/v1/csa/{csa}/provenance", operation_id = "provenance", tag = "artifacts", security(("bearer" = [])),
    params(("csa" = String, Path, description = "Number or digest of the artifact.", pattern = "^([0-9]{1,18}|[0-9a-f]{64})$")),
    responses((status = 200, body = ProvenanceGraph), Problems))]
pub(super) async fn graph(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named(csa): Named<String>,
) -> Result<Json<ProvenanceGraph>, Problem> {
    asker.needs(Permission::ModelsRead)?;
    let record = find(&app, &csa).await?;
    let mut cut = false;
    let mut ancestors = Vec::new();
    // A parent is accepted before its child, so that there is no circle.
    let mut parent = record.provenance.parent;
    while let Some(digest) = parent {
        if ancestors.len() >= MOST {
            cut = true;
            break;
        }
        let Some(record) = app.catalogue.find(Reference::Digest(digest)).await? else { break };
        parent = record.provenance.parent;
        ancestors.push(relative(&app, record).await?);
    }
    let mut descendants = Vec::new();
    let mut seen = BTreeSet::from([record.digest]);
    let mut parents = VecDeque::from([record.digest]);
    while let Some(parent) = parents.pop_front() {
        let left = MOST - descendants.len();
        let children = app.catalogue.children(parent, left + 1).await?;
        cut |= children.len() > left;
        for child in children.into_iter().take(left) {
            if seen.insert(child.digest) {
                parents.push_back(child.digest);
                descendants.push(relative(&app, child).await?);
            }
        }
    }
    Ok(Json(ProvenanceGraph { artifact: relative(&app, record).await?, ancestors, descendants, cut }))
}

async fn relative(app: &App, record: Record) -> Result<Relative, DatabaseError> {
    let cells = app.fleet.ran(&record.digest.to_string()).await?;
    Ok(Relative { artifact: record.into(), cells })
}
