//! The history: which cell was given what, when, by whom and why, and what became of it.

use sqlx::Row;
use sqlx::any::AnyRow;
use swarm_api::deployment::Deployment;
use swarm_api::provenance::Ran;
use swarm_yaml::moment;

use super::{Fleet, SiteId, read_word};
use crate::catalogue::one_more;
use crate::database::DatabaseError;
use crate::record::Page;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, site_id, csa_id, digest, skill_name, version, previous, cause, rollout_id, reason, requested_by, ",
            "requested_unix, state, state_unix, detail FROM deployments ",
            $rest
        )
    };
}

/// What the history is narrowed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryFilter {
    pub site_id: Option<SiteId>,
    pub skill_name: Option<String>,
}

impl Fleet {
    /// A page of at most `limit` deployments, newest first, older than number `after`.
    pub async fn history(
        &self,
        filter: &HistoryFilter,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Page<Deployment>, DatabaseError> {
        let query = match (&filter.site_id, &filter.skill_name) {
            (None, None) => sqlx::query(select!("WHERE id < $1 ORDER BY id DESC LIMIT $2")),
            (Some(_), None) => {
                sqlx::query(select!("WHERE id < $1 AND site_id = $3 ORDER BY id DESC LIMIT $2"))
            }
            (None, Some(_)) => {
                sqlx::query(select!("WHERE id < $1 AND skill_name = $3 ORDER BY id DESC LIMIT $2"))
            }
            (Some(_), Some(_)) => sqlx::query(select!(
                "WHERE id < $1 AND site_id = $3 AND skill_name = $4 ORDER BY id DESC LIMIT $2"
            )),
        };
        let mut query = query.bind(after.unwrap_or(i64::MAX)).bind(one_more(limit));
        let site_id = filter.site_id.as_ref().map(SiteId::as_str);
        for value in [site_id, filter.skill_name.as_deref()].into_iter().flatten() {
            query = query.bind(value);
        }
        let rows = query.fetch_all(self.database.pool()).await;
        let rows = rows.map_err(DatabaseError::query("list deployments"))?;
        let items = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(items, limit, |deployment| deployment.id))
    }

    /// The cells that were given an artifact, each with its last deployment of it.
    pub async fn ran(&self, digest: &str) -> Result<Vec<Ran>, DatabaseError> {
        let rows = sqlx::query(select!(
            "WHERE id IN (SELECT MAX(id) FROM deployments WHERE digest = $1 GROUP BY site_id) ORDER BY site_id"
        ))
        .bind(digest)
        .fetch_all(self.database.pool())
        .await
        .map_err(DatabaseError::query("find out where an artifact ran"))?;
        let ran = |row: &AnyRow| {
            let deployment = read(row)?;
            Ok(Ran {
                site_id: deployment.site_id,
                deployment_id: deployment.id,
                state: deployment.state,
                state_at: deployment.state_at,
            })
        };
        rows.iter().map(ran).collect()
    }
}

fn read(row: &AnyRow) -> Result<Deployment, DatabaseError> {
    let failed = || DatabaseError::query("read a deployment");
    let number = |at: usize| row.try_get::<i64, _>(at).map_err(failed());
    let text = |at: usize| row.try_get::<String, _>(at).map_err(failed());
    let id = number(0)?;
    let corrupt =
        |what, found: String| DatabaseError::Corrupt { what, subject: format!("deployment {id}"), found };
    let (cause, state) = (text(7)?, text(12)?);
    Ok(Deployment {
        id,
        site_id: text(1)?,
        csa_id: number(2)?,
        digest: text(3)?,
        skill_name: text(4)?,
        version: text(5)?,
        previous: row.try_get(6).map_err(failed())?,
        cause: read_word(&cause).ok_or_else(|| corrupt("the cause", cause))?,
        rollout_id: row.try_get(8).map_err(failed())?,
        reason: text(9)?,
        requested_by: text(10)?,
        requested_at: moment(number(11)?),
        state: read_word(&state).ok_or_else(|| corrupt("the state", state))?,
        state_at: moment(number(13)?),
        detail: text(14)?,
    })
}
