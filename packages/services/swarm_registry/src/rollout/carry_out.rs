//! One turn of a roll-out, as a part of a transaction that holds the director's lock.

use std::collections::BTreeMap;

use sqlx::{Any, Transaction};
use swarm_api::deployment::Cause;
use swarm_rollout::{Action, Command, Rollout, command, step};
use swarm_tuf::repository::Repository;

use super::store::{self, Stored};
use super::{RolloutError, Rollouts};
use crate::catalogue::quarantine_in;
use crate::database::DatabaseError;
use crate::fleet::{FleetError, Goal, Group, Sent, SiteId, away_from, cells_named, goal_in};
use crate::record::Reference;

/// What is asked of the cells, by the digest that they are to run (`None` = not this roll-out's any more).
type Asked = BTreeMap<(Option<String>, String), Vec<SiteId>>;

impl Rollouts {
    /// Lets the engine take its turn, or do a command, and carries out what it asks for; gives the number of new deployments.
    pub(super) async fn turn_in(
        &self,
        transaction: &mut Transaction<'static, Any>,
        row: &Stored,
        asked: Option<&Command>,
        image: Option<&Repository>,
        now_unix: i64,
    ) -> Result<usize, RolloutError> {
        let cells = store::cells(&mut **transaction).await?;
        let done = |result: Result<(Rollout, Vec<Action>), _>| {
            result.map_err(|source| RolloutError::Command { id: row.id, source })
        };
        let artifact = row.rollout.plan.artifact.as_str();
        let goal = self.goal(transaction, image, artifact).await?;
        let (next, actions) = match (asked, &goal) {
            (Some(asked), _) => done(command(&row.rollout, asked, &cells, now_unix))?,
            // Somebody withdrew the artifact.
            (None, Err(why)) if !row.rollout.state.has_ended() => {
                let withdraw = Command::Withdraw { reason: why.clone() };
                done(command(&row.rollout, &withdraw, &cells, now_unix))?
            }
            (None, _) => step(&row.rollout, &cells, now_unix),
        };
        let by = format!("roll-out {} of {}", row.id, row.created_by);
        let (mut assign, mut take_back) = (Asked::new(), Asked::new());
        let mut quarantine = None;
        for action in actions {
            match action {
                Action::Assign { site_id, digest, reason } => {
                    add(&mut assign, &site_id, Some(digest), reason);
                }
                Action::TakeBack { site_id, to, reason } => add(&mut take_back, &site_id, to, reason),
                Action::Quarantine { digest, reason } => quarantine = Some((digest, reason)),
                Action::Note { text } => store::note(transaction, row.id, &text, now_unix).await?,
            }
        }
        let mut groups = Vec::new();
        for (cause, sent) in [(Cause::Rollout, assign), (Cause::RolloutFailed, take_back)] {
            for ((digest, reason), sites) in sent {
                let goal = match &digest {
                    None => None,
                    Some(digest) => match self.goal(transaction, image, digest).await? {
                        Ok(goal) => Some(goal),
                        Err(why) => {
                            // No cell would take it.
                            let text = format!("nothing is assigned in place of {artifact}: {why}");
                            store::note(transaction, row.id, &text, now_unix).await?;
                            None
                        }
                    },
                };
                let sent = match goal {
                    Some(goal) => Sent::To(goal),
                    None => away(transaction, row).await?,
                };
                let cells = cells_named(transaction, &sites).await?;
                let (rollout_id, requested_by) = (Some(row.id), by.clone());
                groups.push(Group { sent, cause, rollout_id, reason, requested_by, cells });
            }
        }
        let mut deployments = 0;
        if !groups.is_empty() {
            deployments = self.fleet.send_in(transaction, &groups, now_unix).await?.0.len();
        }
        if let Some((digest, reason)) = quarantine
            && let Ok(artifact) = digest.parse()
        {
            quarantine_in(transaction, artifact, &reason, &by, now_unix).await?;
        }
        if next != row.rollout {
            store::update(transaction, row.id, &next).await?;
        }
        Ok(deployments)
    }

    /// The artifact, or why no cell may be sent to it.
    async fn goal(
        &self,
        transaction: &mut Transaction<'static, Any>,
        image: Option<&Repository>,
        digest: &str,
    ) -> Result<Result<Goal, String>, RolloutError> {
        let Ok(digest) = digest.parse() else { return Ok(Err(format!("'{digest}' is no digest"))) };
        match goal_in(transaction, image, Reference::Digest(digest)).await {
            Ok(goal) => Ok(Ok(goal)),
            Err(
                refused @ (FleetError::NoSuchArtifact { .. }
                | FleetError::Quarantined { .. }
                | FleetError::NotInImage { .. }
                | FleetError::OtherInImage { .. }),
            ) => Ok(Err(refused.to_string())),
            Err(error) => Err(error.into()),
        }
    }
}

/// Away from the roll-out's artifact, and nowhere in particular.
async fn away(transaction: &mut Transaction<'static, Any>, row: &Stored) -> Result<Sent, RolloutError> {
    let artifact = &row.rollout.plan.artifact;
    let digest = artifact.parse().map_err(|_| DatabaseError::Corrupt {
        what: "the artifact",
        subject: format!("roll-out {}", row.id),
        found: artifact.clone(),
    })?;
    Ok(Sent::Away(away_from(transaction, Reference::Digest(digest)).await?))
}

fn add(sent: &mut Asked, site_id: &str, digest: Option<String>, reason: String) {
    // Names of cells come from the table, where only such names are.
    if let Ok(site_id) = site_id.parse() {
        sent.entry((digest, reason)).or_default().push(site_id);
    }
}
