//! The one way in which cells are assigned an artifact, and the way out of the fleet. Steps as in the module above.

use std::collections::BTreeSet;

use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};
use swarm_api::deployment::{Assigned, Cause, Deployment, State};
use swarm_api::update::Which;
use swarm_tuf::repository::Repository;
use swarm_tuf::{Moment, TargetFile, TargetPath, director};
use swarm_yaml::moment;

use super::{Fleet, FleetError, SiteId, UpdateError, word};
use crate::catalogue::{append, find_in};
use crate::database::DatabaseError;
use crate::record::{Record, Reference, Status};
use crate::update::{Order, Say, lock, open};
use swarm_audit::Event;

/// Cells are to run an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    pub csa_id: i64,
    pub cells: Cells,
    pub cause: Cause,
    pub rollout_id: Option<i64>,
    pub reason: String,
    pub requested_by: String,
}

/// Which cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cells {
    Named(Vec<SiteId>),
    /// Every cell that is assigned a version of the artifact's skill.
    OfItsSkill,
}

/// What a cell was assigned before.
pub(crate) struct Before {
    pub(crate) site_id: String,
    pub(crate) assigned: Option<String>,
    pub(crate) deployment_id: Option<i64>,
}

/// An artifact to which cells may be sent.
#[derive(Clone, Debug)]
pub(crate) struct Goal {
    pub(crate) record: Record,
    target: (TargetPath, TargetFile),
}

/// An artifact that cells are to leave; nothing is asked of it, so that a quarantined one may be left, too.
#[derive(Clone, Debug)]
pub(crate) struct Away {
    record: Record,
    target: (TargetPath, TargetFile),
}

/// Where cells are sent.
#[derive(Clone, Debug)]
pub(crate) enum Sent {
    To(Goal),
    /// Nothing is assigned to them any more: who runs this goes back to what was good there before, or else begins no run.
    Away(Away),
}

/// Cells that are sent to the same place for the same reason.
pub(crate) struct Group {
    pub(crate) sent: Sent,
    pub(crate) cause: Cause,
    pub(crate) rollout_id: Option<i64>,
    pub(crate) reason: String,
    pub(crate) requested_by: String,
    pub(crate) cells: Vec<Before>,
}

impl Fleet {
    /// Assigns and publishes.
    pub async fn assign(&self, assignment: &Assignment, now_unix: i64) -> Result<Assigned, FleetError> {
        let mut transaction = self.database.begin().await?;
        let assigned = self.assign_in(&mut transaction, assignment, now_unix).await?;
        transaction.commit().await.map_err(DatabaseError::query("assign an artifact"))?;
        self.assigned(assigned.deployments.len()).await;
        Ok(assigned)
    }

    /// The same as a part of something larger; the caller commits, and says so with [`Self::assigned`].
    pub(crate) async fn assign_in(
        &self,
        transaction: &mut Transaction<'static, Any>,
        assignment: &Assignment,
        now_unix: i64,
    ) -> Result<Assigned, FleetError> {
        // 1.
        let mut director = lock(transaction, Which::Director).await?.timestamp;
        // 2.
        let image = self.image_in(transaction).await?;
        let goal = goal_in(transaction, image.as_ref(), Reference::Number(assignment.csa_id)).await?;
        // 3.
        let digest = goal.record.digest.to_string();
        let before = match &assignment.cells {
            Cells::OfItsSkill => cells_of_skill(transaction, &goal.record.skill_name).await?,
            Cells::Named(names) => cells_named(transaction, names).await?,
        };
        let (unchanged, changed): (Vec<_>, Vec<_>) =
            before.into_iter().partition(|cell| cell.assigned.as_deref() == Some(&*digest));
        let unchanged = unchanged.into_iter().map(|cell| cell.site_id).collect();
        // 4.
        let mut deployments = Vec::new();
        if !changed.is_empty() {
            let group = Group {
                sent: Sent::To(goal),
                cause: assignment.cause,
                rollout_id: assignment.rollout_id,
                reason: assignment.reason.clone(),
                requested_by: assignment.requested_by.clone(),
                cells: changed,
            };
            (deployments, director) = self.send_in(transaction, &[group], now_unix).await?;
        }
        Ok(Assigned { deployments, unchanged, director })
    }

    /// 2. The image repository as a cell would believe it; `None` before its first root.
    pub(crate) async fn image_in(
        &self,
        transaction: &mut Transaction<'static, Any>,
    ) -> Result<Option<Repository>, FleetError> {
        let stored = self.updates.stored_in(transaction, Which::Image).await?;
        Ok(stored.map(|stored| open(Which::Image, &stored)).transpose()?)
    }

    /// 4. One publish for all groups; gives the new entries of the history, and the director's version.
    pub(crate) async fn send_in(
        &self,
        transaction: &mut Transaction<'static, Any>,
        groups: &[Group],
        now_unix: i64,
    ) -> Result<(Vec<Deployment>, u64), FleetError> {
        let mut orders = Vec::new();
        for group in groups {
            let say = match group.sent.clone() {
                Sent::To(Goal { target: (path, file), .. }) => Say::Run(path, file),
                Sent::Away(Away { target: (path, file), .. }) => Say::Leave(path, file),
            };
            let order = |cell: &Before| Order { site_id: cell.site_id.clone(), say: say.clone() };
            orders.extend(group.cells.iter().map(order));
        }
        let versions = self.updates.direct_in(transaction, orders, Moment(now_unix)).await?;
        let mut deployments = Vec::new();
        for group in groups {
            for cell in &group.cells {
                match &group.sent {
                    Sent::To(Goal { record, .. }) => {
                        deployments
                            .push(record_deployment(transaction, group, record, cell, now_unix).await?);
                    }
                    Sent::Away(_) => forget_assignment(transaction, cell, now_unix).await?,
                }
            }
            append(transaction, event(group, now_unix)).await?;
        }
        Ok((deployments, versions.timestamp))
    }

    /// What was committed may be seen.
    pub(crate) async fn assigned(&self, deployments: usize) {
        if deployments > 0 {
            let counter = self.metrics.deployments.with_label_values(&[&word(State::Assigned)]);
            counter.inc_by(deployments as u64);
        }
        self.director_published().await;
    }

    async fn director_published(&self) {
        // Those who wait look for themselves within half a second where this does not succeed.
        if let Ok(versions) = self.updates.versions(Which::Director).await {
            self.updates.published(Which::Director, versions);
        }
    }

    /// Takes a cell out of the fleet: the director no longer names it, and its history stays.
    pub async fn decommission(&self, site_id: &SiteId, who: &str, now_unix: i64) -> Result<(), FleetError> {
        let failed = || DatabaseError::query("decommission a cell");
        let mut transaction = self.database.begin().await?;
        lock(&mut transaction, Which::Director).await?;
        let row = sqlx::query("DELETE FROM cells WHERE site_id = $1 RETURNING deployment_id")
            .bind(site_id.as_str())
            .fetch_optional(&mut **transaction)
            .await
            .map_err(failed())?;
        let Some(row) = row else { return Err(FleetError::NoSuchCell { site_id: site_id.clone() }) };
        let deployment_id: Option<i64> = row.try_get(0).map_err(failed())?;
        // It may be named without being assigned anything: as one that is to leave something.
        if let Some(stored) = self.updates.stored_in(&mut transaction, Which::Director).await?
            && director::names(&open(Which::Director, &stored)?, site_id.as_str())
                .map_err(UpdateError::from)?
        {
            let order = Order { site_id: site_id.to_string(), say: Say::Nothing };
            self.updates.direct_in(&mut transaction, vec![order], Moment(now_unix)).await?;
        }
        supersede(&mut transaction, deployment_id, now_unix).await?;
        let event = Event {
            at_unix: now_unix,
            who: who.to_owned(),
            action: "decommission".to_owned(),
            subject: site_id.to_string(),
            detail: String::new(),
        };
        append(&mut transaction, event).await?;
        transaction.commit().await.map_err(failed())?;
        self.director_published().await;
        Ok(())
    }
}

/// The path of an artifact in both repositories.
fn path_of(record: &Record) -> String {
    let (skill, version) = (&record.skill_name, &record.version);
    format!("{skill}/{skill}_v{version}.tar.gz")
}

/// 2. The artifact, if cells may be sent to it.
pub(crate) async fn goal_in(
    transaction: &mut Transaction<'static, Any>,
    image: Option<&Repository>,
    reference: Reference,
) -> Result<Goal, FleetError> {
    let record = find_in(&mut **transaction, reference).await?;
    let record = record.ok_or_else(|| FleetError::NoSuchArtifact { reference })?;
    let artifact = record.digest;
    if let Status::Quarantined { reason, .. } = record.status {
        let (skill_name, version) = (record.skill_name, record.version);
        return Err(FleetError::Quarantined { artifact, skill_name, version, reason });
    }
    let path = path_of(&record);
    let missing = || FleetError::NotInImage { artifact, path: path.clone() };
    let target: TargetPath = path.parse().map_err(|_| missing())?;
    let (_, file) = image.and_then(|image| image.find(&target)).ok_or_else(missing)?;
    let digest = file.hashes.get("sha256").map_or("no SHA-256", String::as_str);
    if file.length != record.size || digest != artifact.to_string() {
        let found = format!("{} bytes, {}", file.length, digest.escape_debug());
        return Err(FleetError::OtherInImage { artifact, path, found });
    }
    let file = file.clone();
    Ok(Goal { record, target: (target, file) })
}

/// An artifact as cells may be sent away from it.
pub(crate) async fn away_from(
    transaction: &mut Transaction<'static, Any>,
    reference: Reference,
) -> Result<Away, FleetError> {
    let record = find_in(&mut **transaction, reference).await?;
    let record = record.ok_or_else(|| FleetError::NoSuchArtifact { reference })?;
    let path = path_of(&record);
    let target = path.parse().map_err(|_| FleetError::NotInImage { artifact: record.digest, path })?;
    let file = TargetFile::new(record.size, record.digest.0.0);
    Ok(Away { record, target: (target, file) })
}

fn before(row: &AnyRow) -> Result<Before, sqlx::Error> {
    Ok(Before { site_id: row.try_get(0)?, assigned: row.try_get(1)?, deployment_id: row.try_get(2)? })
}

/// 3. The cells that are assigned a version of the skill, in the order of their names.
async fn cells_of_skill(
    transaction: &mut Transaction<'static, Any>,
    skill_name: &str,
) -> Result<Vec<Before>, DatabaseError> {
    let failed = || DatabaseError::query("find out which cells have a skill");
    let rows = sqlx::query(
        "SELECT site_id, assigned, deployment_id FROM cells JOIN csa_artifacts ON digest = assigned \
         WHERE skill_name = $1 ORDER BY site_id",
    )
    .bind(skill_name)
    .fetch_all(&mut **transaction)
    .await
    .map_err(failed())?;
    rows.iter().map(before).collect::<Result<_, _>>().map_err(failed())
}

/// 3. Cells by name, in the order of their names. One may be assigned something before it is heard of for the first time.
pub(crate) async fn cells_named(
    transaction: &mut Transaction<'static, Any>,
    names: &[SiteId],
) -> Result<Vec<Before>, DatabaseError> {
    let failed = || DatabaseError::query("find out what a cell is assigned");
    let names: BTreeSet<&SiteId> = names.iter().collect();
    let mut cells = Vec::with_capacity(names.len());
    for name in names {
        let row = sqlx::query("SELECT site_id, assigned, deployment_id FROM cells WHERE site_id = $1")
            .bind(name.as_str())
            .fetch_optional(&mut **transaction)
            .await
            .map_err(failed())?;
        let known = row.as_ref().map(before).transpose().map_err(failed())?;
        let new = Before { site_id: name.to_string(), assigned: None, deployment_id: None };
        cells.push(known.unwrap_or(new));
    }
    Ok(cells)
}

/// 4. The cell has no assignment any more.
async fn forget_assignment(
    transaction: &mut Transaction<'static, Any>,
    cell: &Before,
    now_unix: i64,
) -> Result<(), DatabaseError> {
    sqlx::query("UPDATE cells SET assigned = NULL, deployment_id = NULL WHERE site_id = $1")
        .bind(cell.site_id.as_str())
        .execute(&mut **transaction)
        .await
        .map_err(DatabaseError::query("take an assignment back"))?;
    supersede(transaction, cell.deployment_id, now_unix).await
}

/// 4. One entry of the history; the cell's row before the entry that it replaces, as a report does it.
async fn record_deployment(
    transaction: &mut Transaction<'static, Any>,
    group: &Group,
    record: &Record,
    cell: &Before,
    now_unix: i64,
) -> Result<Deployment, DatabaseError> {
    let failed = || DatabaseError::query("record a deployment");
    let digest = record.digest.to_string();
    let row = sqlx::query(
        "INSERT INTO deployments (site_id, csa_id, digest, skill_name, version, previous, cause, rollout_id, reason, \
         requested_by, requested_unix, state, state_unix, detail) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'assigned', $11, '') RETURNING id",
    )
    .bind(cell.site_id.as_str())
    .bind(record.id)
    .bind(digest.as_str())
    .bind(record.skill_name.as_str())
    .bind(record.version.as_str())
    .bind(cell.assigned.clone())
    .bind(word(group.cause))
    .bind(group.rollout_id)
    .bind(group.reason.as_str())
    .bind(group.requested_by.as_str())
    .bind(now_unix)
    .fetch_one(&mut **transaction)
    .await
    .map_err(failed())?;
    let id: i64 = row.try_get(0).map_err(failed())?;
    sqlx::query(
        "INSERT INTO cells (site_id, assigned, deployment_id, started_unix, sequence) VALUES ($1, $2, $3, -1, 0) \
         ON CONFLICT (site_id) DO UPDATE SET assigned = excluded.assigned, deployment_id = excluded.deployment_id",
    )
    .bind(cell.site_id.as_str())
    .bind(digest.as_str())
    .bind(id)
    .execute(&mut **transaction)
    .await
    .map_err(failed())?;
    supersede(transaction, cell.deployment_id, now_unix).await?;
    Ok(Deployment {
        id,
        site_id: cell.site_id.clone(),
        csa_id: record.id,
        digest,
        skill_name: record.skill_name.clone(),
        version: record.version.clone(),
        previous: cell.assigned.clone(),
        cause: group.cause,
        rollout_id: group.rollout_id,
        reason: group.reason.clone(),
        requested_by: group.requested_by.clone(),
        requested_at: moment(now_unix),
        state: State::Assigned,
        state_at: moment(now_unix),
        detail: String::new(),
    })
}

/// A deployment that the cell had not taken up is over.
async fn supersede(
    transaction: &mut Transaction<'static, Any>,
    deployment_id: Option<i64>,
    now_unix: i64,
) -> Result<(), DatabaseError> {
    let Some(id) = deployment_id else { return Ok(()) };
    sqlx::query(
        "UPDATE deployments SET state = 'superseded', state_unix = $1 \
         WHERE id = $2 AND state IN ('assigned', 'downloading', 'waiting', 'failed')",
    )
    .bind(now_unix)
    .bind(id)
    .execute(&mut **transaction)
    .await
    .map_err(DatabaseError::query("end a deployment"))?;
    Ok(())
}

fn event(group: &Group, now_unix: i64) -> Event {
    let sites: Vec<_> = group.cells.iter().map(|cell| cell.site_id.as_str()).collect();
    let (record, to) = match &group.sent {
        Sent::To(Goal { record, .. }) => (record, "to"),
        Sent::Away(Away { record, .. }) => (record, "away from"),
    };
    Event {
        at_unix: now_unix,
        who: group.requested_by.clone(),
        action: word(group.cause),
        subject: record.digest.to_string(),
        detail: format!(
            "{} {} {to} {}: {}",
            record.skill_name,
            record.version,
            sites.join(", "),
            group.reason
        ),
    }
}
