//! What a second person has to confirm before it is done: a rollback of every cell, and other keys of an update repository.
//!
//! 1. Whoever asks gets a number instead of the deed; the request is kept as it is.
//! 2. Somebody else, with the same permission, confirms it within [`LIFE_S`].
//! 3. Confirmation and deed are one transaction: what fails stays waiting, and nothing is done twice.

use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};
use swarm_api::approval::{Action, Approval, State};
use swarm_api::deployment::Rollback;
use swarm_api::update::{Publish, Which};
use swarm_yaml::moment;

use crate::catalogue::{append, one_more};
use crate::database::{Database, DatabaseError};
use crate::record::Page;
use swarm_audit::Event;

/// A request that nobody confirms within so many seconds is gone.
pub const LIFE_S: i64 = 3600;

/// Whether two people are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TwoPerson {
    Off,
    Required,
}

/// What is kept until it is confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    RollbackAll(Rollback),
    PublishRoot { repository: Which, publish: Publish },
}

impl Request {
    pub const fn action(&self) -> Action {
        match self {
            Self::RollbackAll(_) => Action::RollbackAll,
            Self::PublishRoot { .. } => Action::PublishRoot,
        }
    }

    fn sentence(&self) -> String {
        match self {
            Self::RollbackAll(rollback) => {
                format!(
                    "every cell of the skill goes back to artifact {}: {}",
                    rollback.target_csa_id, rollback.reason
                )
            }
            Self::PublishRoot { repository, publish } => {
                let roles: Vec<_> = publish.files.iter().map(|file| file.role.as_str()).collect();
                format!("the {} repository gets {}", repository.as_str(), roles.join(", "))
            }
        }
    }
}

/// Why something was not confirmed.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalError {
    #[error("there is no approval {id}")]
    Unknown { id: i64 },
    #[error("approval {id} was asked for by '{who}', and a second person has to confirm it")]
    SamePerson { id: i64, who: String },
    #[error("approval {id} was confirmed by '{by}' already")]
    Done { id: i64, by: String },
    #[error("approval {id} expired at {}", moment(*expired_unix))]
    Expired { id: i64, expired_unix: i64 },
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Requests that wait for a second person, and those that did.
#[derive(Clone, Debug)]
pub struct Approvals {
    database: Database,
    policy: TwoPerson,
}

impl Approvals {
    pub const fn new(database: Database, policy: TwoPerson) -> Self {
        Self { database, policy }
    }

    pub fn needed(&self) -> bool {
        self.policy == TwoPerson::Required
    }

    pub const fn policy(&self) -> TwoPerson {
        self.policy
    }

    /// 1.
    pub async fn ask(&self, request: Request, who: &str, now_unix: i64) -> Result<Approval, DatabaseError> {
        let failed = || DatabaseError::query("keep a request for an approval");
        let (action, detail) = (request.action(), request.sentence());
        let mut transaction = self.database.begin().await?;
        let row = sqlx::query(
            "INSERT INTO approvals (action, request, detail, requested_by, requested_unix, expires_unix) \
             VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
        )
        .bind(name(action))
        .bind(serde_json::to_string(&request).expect("texts and numbers are JSON"))
        .bind(detail.as_str())
        .bind(who)
        .bind(now_unix)
        .bind(now_unix + LIFE_S)
        .fetch_one(&mut **transaction)
        .await
        .map_err(failed())?;
        let id: i64 = row.try_get(0).map_err(failed())?;
        append(&mut transaction, event(now_unix, who, "ask", id, &detail)).await?;
        transaction.commit().await.map_err(failed())?;
        Ok(Approval {
            id,
            action,
            detail,
            requested_by: who.to_owned(),
            requested_at: moment(now_unix),
            expires_at: moment(now_unix + LIFE_S),
            state: State::Waiting,
            confirmed_by: None,
        })
    }

    /// An approval with what it is about.
    pub async fn find(&self, id: i64, now_unix: i64) -> Result<Option<(Approval, Request)>, DatabaseError> {
        let failed = || DatabaseError::query("find an approval");
        let row = sqlx::query(
            "SELECT id, action, detail, requested_by, requested_unix, expires_unix, confirmed_by, request \
             FROM approvals WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(self.database.pool())
        .await
        .map_err(failed())?;
        let Some(row) = row else { return Ok(None) };
        let request: String = row.try_get(7).map_err(failed())?;
        let request = serde_json::from_str(&request).map_err(|_| corrupt(id, "the request", &request))?;
        Ok(Some((read(&row, now_unix)?, request)))
    }

    /// A page, newest first, older than number `after`.
    pub async fn list(
        &self,
        after: Option<i64>,
        limit: usize,
        now_unix: i64,
    ) -> Result<Page<Approval>, DatabaseError> {
        let rows = sqlx::query(
            "SELECT id, action, detail, requested_by, requested_unix, expires_unix, confirmed_by \
             FROM approvals WHERE id < $1 ORDER BY id DESC LIMIT $2",
        )
        .bind(after.unwrap_or(i64::MAX))
        .bind(one_more(limit))
        .fetch_all(self.database.pool())
        .await
        .map_err(DatabaseError::query("list approvals"))?;
        let items = rows.iter().map(|row| read(row, now_unix)).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(items, limit, |approval| approval.id))
    }
}

/// 3. Marks an approval as confirmed, in the transaction that does what it is about and holds the lock for that.
pub(crate) async fn confirm_in(
    transaction: &mut Transaction<'static, Any>,
    id: i64,
    who: &str,
    now_unix: i64,
) -> Result<(), ApprovalError> {
    let failed = || DatabaseError::query("confirm an approval");
    let confirmed = sqlx::query(
        "UPDATE approvals SET confirmed_by = $1, confirmed_unix = $2 \
         WHERE id = $3 AND confirmed_by IS NULL AND expires_unix > $2 AND requested_by <> $1 RETURNING detail",
    )
    .bind(who)
    .bind(now_unix)
    .bind(id)
    .fetch_optional(&mut **transaction)
    .await
    .map_err(failed())?;
    if let Some(row) = confirmed {
        let detail: String = row.try_get(0).map_err(failed())?;
        return Ok(append(transaction, event(now_unix, who, "confirm", id, &detail)).await?);
    }
    let row = sqlx::query("SELECT requested_by, expires_unix, confirmed_by FROM approvals WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(failed())?;
    let Some(row) = row else { return Err(ApprovalError::Unknown { id }) };
    let by: Option<String> = row.try_get(2).map_err(failed())?;
    let expired_unix: i64 = row.try_get(1).map_err(failed())?;
    Err(match by {
        Some(by) => ApprovalError::Done { id, by },
        None if expired_unix <= now_unix => ApprovalError::Expired { id, expired_unix },
        None => ApprovalError::SamePerson { id, who: who.to_owned() },
    })
}

fn event(at_unix: i64, who: &str, action: &str, id: i64, detail: &str) -> Event {
    Event {
        at_unix,
        who: who.to_owned(),
        action: action.to_owned(),
        subject: format!("approval {id}"),
        detail: detail.to_owned(),
    }
}

const fn name(action: Action) -> &'static str {
    match action {
        Action::RollbackAll => "rollback_all",
        Action::PublishRoot => "publish_root",
    }
}

fn corrupt(id: i64, what: &'static str, found: &str) -> DatabaseError {
    DatabaseError::Corrupt { what, subject: format!("approval {id}"), found: found.to_owned() }
}

fn read(row: &AnyRow, now_unix: i64) -> Result<Approval, DatabaseError> {
    let failed = || DatabaseError::query("read an approval");
    let number = |at: usize| row.try_get::<i64, _>(at).map_err(failed());
    let text = |at: usize| row.try_get::<String, _>(at).map_err(failed());
    let (id, action, expires_unix) = (number(0)?, text(1)?, number(5)?);
    let confirmed_by: Option<String> = row.try_get(6).map_err(failed())?;
    let known = [Action::RollbackAll, Action::PublishRoot].into_iter().find(|known| name(*known) == action);
    let state = match &confirmed_by {
        Some(_) => State::Confirmed,
        None if expires_unix <= now_unix => State::Expired,
        None => State::Waiting,
    };
    Ok(Approval {
        id,
        action: known.ok_or_else(|| corrupt(id, "the action", &action))?,
        detail: text(2)?,
        requested_by: text(3)?,
        requested_at: moment(number(4)?),
        expires_at: moment(expires_unix),
        state,
        confirmed_by,
    })
}
