//! What cells say of themselves, and what is known of them.

use sqlx::Row;
use sqlx::any::AnyRow;
use swarm_api::cell::{Cell, CellPage, REPORT_EVERY_S, Report, ReportAnswer};
use swarm_api::deployment::State;
use swarm_yaml::moment;

use super::{Fleet, SiteId, read_word, word};
use crate::catalogue::one_more;
use crate::database::DatabaseError;

/// A cell that is silent for longer is offline, in seconds: three of its reports are missing.
pub const ONLINE_S: i64 = 3 * REPORT_EVERY_S.cast_signed();

/// How many cells there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    pub online: u64,
    pub offline: u64,
}

impl Fleet {
    /// Takes a report in. One that is older than the last one changes nothing, and is answered alike.
    pub async fn report(
        &self,
        site_id: &SiteId,
        report: &Report,
        now_unix: i64,
    ) -> Result<ReportAnswer, DatabaseError> {
        let failed = || DatabaseError::query("take a report in");
        let mut transaction = self.database.begin().await?;
        let row = sqlx::query(
            "INSERT INTO cells (site_id, seen_unix, started_unix, sequence, report) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (site_id) DO UPDATE SET seen_unix = excluded.seen_unix, started_unix = excluded.started_unix, \
             sequence = excluded.sequence, report = excluded.report \
             WHERE cells.started_unix < excluded.started_unix \
             OR (cells.started_unix = excluded.started_unix AND cells.sequence < excluded.sequence) \
             RETURNING assigned, deployment_id",
        )
        .bind(site_id.as_str())
        .bind(now_unix)
        .bind(report.started_unix)
        .bind(i64::try_from(report.sequence).unwrap_or(i64::MAX))
        .bind(serde_json::to_string(report).expect("a report is JSON"))
        .fetch_optional(&mut **transaction)
        .await
        .map_err(failed())?;
        let mut moved = None;
        if let Some(row) = row {
            let assigned: Option<String> = row.try_get(0).map_err(failed())?;
            let deployment: Option<i64> = row.try_get(1).map_err(failed())?;
            let reached = assigned.and_then(|assigned| reached(report, &assigned));
            if let (Some(deployment), Some((state, detail))) = (deployment, reached) {
                moved = advance(&mut transaction, deployment, state, detail, now_unix).await?;
            }
        }
        // In either case: what follows asks the database on another connection, and nobody may hold one and wait for a second.
        transaction.commit().await.map_err(failed())?;
        if let Some(state) = moved {
            self.metrics.deployments.with_label_values(&[&word(state)]).inc();
        }
        let (image, director) = self.updates.heads().await?;
        Ok(ReportAnswer { image: image.timestamp, director: director.timestamp })
    }

    pub async fn cell(&self, site_id: &SiteId, now_unix: i64) -> Result<Option<Cell>, DatabaseError> {
        let row = sqlx::query("SELECT site_id, assigned, seen_unix, report FROM cells WHERE site_id = $1")
            .bind(site_id.as_str())
            .fetch_optional(self.database.pool())
            .await;
        let row = row.map_err(DatabaseError::query("find a cell"))?;
        row.map(|row| read(&row, now_unix)).transpose()
    }

    /// A page of cells in the order of their names, behind the name `after`.
    pub async fn cells(
        &self,
        after: Option<&SiteId>,
        limit: usize,
        now_unix: i64,
    ) -> Result<CellPage, DatabaseError> {
        let rows = sqlx::query(
            "SELECT site_id, assigned, seen_unix, report FROM cells WHERE site_id > $1 ORDER BY site_id LIMIT $2",
        )
        .bind(after.map_or("", SiteId::as_str))
        .bind(one_more(limit))
        .fetch_all(self.database.pool())
        .await
        .map_err(DatabaseError::query("list cells"))?;
        let mut items =
            rows.iter().map(|row| read(row, now_unix)).collect::<Result<Vec<Cell>, DatabaseError>>()?;
        let more = items.len() > limit;
        items.truncate(limit);
        let next_after = items.last().filter(|_| more).map(|cell| cell.site_id.clone());
        Ok(CellPage { items, next_after })
    }

    pub async fn census(&self, now_unix: i64) -> Result<Census, DatabaseError> {
        let failed = || DatabaseError::query("count cells");
        let row = sqlx::query(
            "SELECT CAST(COUNT(*) AS BIGINT), \
             CAST(COALESCE(SUM(CASE WHEN seen_unix >= $1 THEN 1 ELSE 0 END), 0) AS BIGINT) FROM cells",
        )
        .bind(now_unix - ONLINE_S)
        .fetch_one(self.database.pool())
        .await
        .map_err(failed())?;
        let number = |at: usize| row.try_get::<i64, _>(at).map(i64::unsigned_abs).map_err(failed());
        let (all, online) = (number(0)?, number(1)?);
        Ok(Census { online, offline: all - online })
    }
}

/// How far the cell is with what it is assigned, if the report says so. Who runs it has deployed it, whatever became of the
/// outcome's report.
fn reached(report: &Report, assigned: &str) -> Option<(State, String)> {
    if let Some(outcome) = report.outcome.as_ref().filter(|outcome| outcome.digest == assigned) {
        return Some((outcome.state.into(), outcome.detail.clone()));
    }
    let running = report.running.as_ref()?;
    (running.digest == assigned).then(|| (State::Deployed, String::new()))
}

/// Moves a deployment; gives the state where that is another than before.
async fn advance(
    transaction: &mut sqlx::Transaction<'static, sqlx::Any>,
    id: i64,
    state: State,
    detail: String,
    now_unix: i64,
) -> Result<Option<State>, DatabaseError> {
    let failed = || DatabaseError::query("move a deployment");
    let row = sqlx::query("SELECT state, detail FROM deployments WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(failed())?;
    let Some(row) = row else { return Ok(None) };
    let (before, said): (String, String) =
        (row.try_get(0).map_err(failed())?, row.try_get(1).map_err(failed())?);
    let other = read_word::<State>(&before) != Some(state);
    if !other && said == detail {
        return Ok(None);
    }
    sqlx::query(
        "UPDATE deployments SET state = $1, detail = $2, \
         state_unix = CASE WHEN state = $1 THEN state_unix ELSE $3 END WHERE id = $4",
    )
    .bind(word(state))
    .bind(detail)
    .bind(now_unix)
    .bind(id)
    .execute(&mut **transaction)
    .await
    .map_err(failed())?;
    Ok(other.then_some(state))
}

fn read(row: &AnyRow, now_unix: i64) -> Result<Cell, DatabaseError> {
    let failed = || DatabaseError::query("read a cell");
    let site_id: String = row.try_get(0).map_err(failed())?;
    let seen: Option<i64> = row.try_get(2).map_err(failed())?;
    let report: Option<String> = row.try_get(3).map_err(failed())?;
    let report = report.map(|text| {
        serde_json::from_str(&text).map_err(|_| DatabaseError::Corrupt {
            what: "the report",
            subject: format!("cell {site_id}"),
            found: text,
        })
    });
    Ok(Cell {
        assigned: row.try_get(1).map_err(failed())?,
        seen_at: seen.map(moment),
        online: seen.is_some_and(|seen| seen >= now_unix - ONLINE_S),
        report: report.transpose()?,
        site_id,
    })
}
