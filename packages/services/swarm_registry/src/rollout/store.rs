//! The tables of roll-outs, and the cells as the engine sees them.

use sqlx::any::AnyRow;
use sqlx::{Any, Executor, Row, Transaction};
use swarm_rollout::{
    Assigned, CellView, HistoryEntry, Rollout, RolloutListed, RolloutPage, RolloutStatus, State,
};
use swarm_yaml::moment;

use crate::catalogue::one_more;
use crate::database::{Database, DatabaseError};
use crate::record::{Page, Status};

/// A roll-out as it is kept.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) id: i64,
    pub(super) rollout: Rollout,
    /// Its artifact is.
    pub(super) quarantined: bool,
    pub(super) created_by: String,
    created_unix: i64,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT rollouts.id, rollouts.rollout, rollouts.created_by, rollouts.created_unix, csa_artifacts.status ",
            "FROM rollouts LEFT JOIN csa_artifacts ON csa_artifacts.digest = rollouts.artifact ",
            $rest
        )
    };
}

impl Stored {
    pub(super) fn status(self, waits_for: Vec<String>, history: Vec<HistoryEntry>) -> RolloutStatus {
        RolloutStatus {
            id: self.id,
            created_at: moment(self.created_unix),
            created_by: self.created_by,
            summary: self.rollout.summary(),
            rollout: self.rollout,
            waits_for,
            history,
        }
    }

    fn listed(self) -> RolloutListed {
        RolloutListed {
            id: self.id,
            created_at: moment(self.created_unix),
            created_by: self.created_by,
            summary: self.rollout.summary(),
            artifact: self.rollout.plan.artifact,
            skill_name: self.rollout.skill_name,
            version: self.rollout.version,
            state: self.rollout.state,
        }
    }
}

pub(super) async fn find(
    executor: impl Executor<'_, Database = Any>,
    id: i64,
) -> Result<Option<Stored>, DatabaseError> {
    let row = sqlx::query(select!("WHERE rollouts.id = $1")).bind(id).fetch_optional(executor).await;
    row.map_err(DatabaseError::query("find a roll-out"))?.as_ref().map(read).transpose()
}

/// Those with which the engine may still have something to do, oldest first.
pub(super) async fn open(executor: impl Executor<'_, Database = Any>) -> Result<Vec<Stored>, DatabaseError> {
    let rows =
        sqlx::query(select!("WHERE rollouts.is_open = 1 ORDER BY rollouts.id")).fetch_all(executor).await;
    rows.map_err(DatabaseError::query("list open roll-outs"))?.iter().map(read).collect()
}

/// The unfinished one of a skill; not more than one, since beginning one supersedes the other.
pub(super) async fn open_of_skill(
    transaction: &mut Transaction<'static, Any>,
    skill_name: &str,
) -> Result<Vec<Stored>, DatabaseError> {
    let rows = sqlx::query(select!("WHERE rollouts.is_open = 1 AND rollouts.skill_name = $1"))
        .bind(skill_name)
        .fetch_all(&mut **transaction)
        .await;
    let rows = rows.map_err(DatabaseError::query("find the open roll-out of a skill"))?;
    let rows = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(rows.into_iter().filter(|row| !row.rollout.state.has_ended()).collect())
}

pub(super) async fn list(
    database: &Database,
    after: Option<i64>,
    limit: usize,
) -> Result<RolloutPage, DatabaseError> {
    let rows = sqlx::query(select!("WHERE rollouts.id < $1 ORDER BY rollouts.id DESC LIMIT $2"))
        .bind(after.unwrap_or(i64::MAX))
        .bind(one_more(limit))
        .fetch_all(database.pool())
        .await
        .map_err(DatabaseError::query("list roll-outs"))?;
    let rows = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let Page { items, next_after } = Page::cut(rows, limit, |row| row.id);
    Ok(RolloutPage { items: items.into_iter().map(Stored::listed).collect(), next_after })
}

pub(super) async fn insert(
    transaction: &mut Transaction<'static, Any>,
    rollout: &Rollout,
    who: &str,
    now_unix: i64,
) -> Result<i64, DatabaseError> {
    let failed = || DatabaseError::query("record a roll-out");
    let row = sqlx::query(
        "INSERT INTO rollouts (skill_name, artifact, rollout, is_open, created_by, created_unix) \
         VALUES ($1, $2, $3, 1, $4, $5) RETURNING id",
    )
    .bind(rollout.skill_name.as_str())
    .bind(rollout.plan.artifact.as_str())
    .bind(json(rollout))
    .bind(who)
    .bind(now_unix)
    .fetch_one(&mut **transaction)
    .await
    .map_err(failed())?;
    row.try_get(0).map_err(failed())
}

pub(super) async fn update(
    transaction: &mut Transaction<'static, Any>,
    id: i64,
    rollout: &Rollout,
) -> Result<(), DatabaseError> {
    // A cell that was taken out of the fleet and comes back is taken care of even after the end.
    let takes_back = matches!(rollout.state, State::Failed { .. } | State::Aborted { taken_back: true, .. });
    let holds = rollout.members.values().any(|member| member.standing.holds());
    let open = !rollout.state.has_ended() || (takes_back && holds);
    sqlx::query("UPDATE rollouts SET rollout = $1, is_open = $2 WHERE id = $3")
        .bind(json(rollout))
        .bind(i64::from(open))
        .bind(id)
        .execute(&mut **transaction)
        .await
        .map_err(DatabaseError::query("record a roll-out's turn"))?;
    Ok(())
}

pub(super) async fn note(
    transaction: &mut Transaction<'static, Any>,
    id: i64,
    note: &str,
    now_unix: i64,
) -> Result<(), DatabaseError> {
    sqlx::query("INSERT INTO rollout_notes (rollout_id, at_unix, note) VALUES ($1, $2, $3)")
        .bind(id)
        .bind(now_unix)
        .bind(note)
        .execute(&mut **transaction)
        .await
        .map_err(DatabaseError::query("write a roll-out's history"))?;
    Ok(())
}

pub(super) async fn notes(
    executor: impl Executor<'_, Database = Any>,
    id: i64,
) -> Result<Vec<HistoryEntry>, DatabaseError> {
    let failed = || DatabaseError::query("read a roll-out's history");
    let rows = sqlx::query("SELECT at_unix, note FROM rollout_notes WHERE rollout_id = $1 ORDER BY id")
        .bind(id)
        .fetch_all(executor)
        .await
        .map_err(failed())?;
    let entry = |row: &AnyRow| Ok(HistoryEntry { at: moment(row.try_get(0)?), text: row.try_get(1)? });
    rows.iter().map(entry).collect::<Result<_, sqlx::Error>>().map_err(failed())
}

/// Versions of a skill that cells are assigned.
pub(super) async fn assigned_versions(
    transaction: &mut Transaction<'static, Any>,
    skill_name: &str,
) -> Result<Vec<String>, DatabaseError> {
    let failed = || DatabaseError::query("find out which versions of a skill are assigned");
    let rows = sqlx::query(
        "SELECT DISTINCT version FROM cells JOIN csa_artifacts ON digest = assigned WHERE skill_name = $1",
    )
    .bind(skill_name)
    .fetch_all(&mut **transaction)
    .await
    .map_err(failed())?;
    rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(failed())
}

/// All cells, as the engine sees them.
pub(super) async fn cells(
    executor: impl Executor<'_, Database = Any>,
) -> Result<Vec<CellView>, DatabaseError> {
    let failed = || DatabaseError::query("look at the cells");
    let rows = sqlx::query(
        "SELECT cells.site_id, cells.seen_unix, cells.assigned, cells.report, csa_artifacts.skill_name FROM cells \
         LEFT JOIN csa_artifacts ON csa_artifacts.digest = cells.assigned ORDER BY cells.site_id",
    )
    .fetch_all(executor)
    .await
    .map_err(failed())?;
    let view = |row: &AnyRow| {
        let text = |at: usize| row.try_get::<Option<String>, _>(at).map_err(failed());
        let site_id: String = row.try_get(0).map_err(failed())?;
        let report = text(3)?.map(|report| {
            serde_json::from_str(&report).map_err(|_| DatabaseError::Corrupt {
                what: "the report",
                subject: format!("cell {site_id}"),
                found: report,
            })
        });
        let assigned = text(2)?.zip(text(4)?);
        Ok(CellView {
            seen_unix: row.try_get(1).map_err(failed())?,
            assigned: assigned.map(|(digest, skill_name)| Assigned { digest, skill_name }),
            report: report.transpose()?,
            site_id,
        })
    };
    rows.iter().map(view).collect()
}

fn json(rollout: &Rollout) -> String {
    serde_json::to_string(rollout).expect("a roll-out is JSON")
}

fn read(row: &AnyRow) -> Result<Stored, DatabaseError> {
    let failed = || DatabaseError::query("read a roll-out");
    let id: i64 = row.try_get(0).map_err(failed())?;
    let text: String = row.try_get(1).map_err(failed())?;
    let rollout = serde_json::from_str(&text).map_err(|_| DatabaseError::Corrupt {
        what: "the state",
        subject: format!("roll-out {id}"),
        found: text,
    })?;
    let status: Option<String> = row.try_get(4).map_err(failed())?;
    Ok(Stored {
        id,
        rollout,
        quarantined: status.as_deref() == Some(Status::QUARANTINED),
        created_by: row.try_get(2).map_err(failed())?,
        created_unix: row.try_get(3).map_err(failed())?,
    })
}
