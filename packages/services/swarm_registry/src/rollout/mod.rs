//! Roll-outs: the engine (`swarm_rollout`) decides, and what it decides is carried out here.
//!
//! 1. Without a lock: does a turn change anything? Mostly not, and then nothing is written.
//! 2. Under the lock of the director's head, with fresh values: the turn again, and with it in one transaction the roll-out's new
//!    state, its history, the cells' assignments, a quarantine, and the audit log. Any replica may do it; one finds it done.
//!
//! An artifact that was quarantined or withdrawn by somebody fails its roll-out, as a gate would.

mod carry_out;
mod store;

use std::sync::Arc;
use std::time::Duration;

use swarm_api::update::Which;
use swarm_base::ErrorChain;
use swarm_rollout::{
    Command, CommandError, Plan, PlanError, Rollout, RolloutPage, RolloutStatus, step, waits_for,
};
use tokio::sync::Notify;

use crate::approval::TwoPerson;
use crate::catalogue::append;
use crate::database::{Database, DatabaseError};
use crate::fleet::{Fleet, FleetError, goal_in};
use crate::record::Reference;
use crate::update::lock;
use swarm_audit::Event;

/// Longest time between two turns.
const TURN: Duration = Duration::from_millis(500);
/// Shortest time between two turns, however many reports come in.
const PAUSE: Duration = Duration::from_millis(50);

/// Why a roll-out was not begun, or not changed.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    #[error("there is no roll-out {id}")]
    NoSuchRollout { id: i64 },
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(
        "{skill_name} {version} is older than what cells are assigned, and the first stage of this plan sends all of them to it: that is a \
         rollback of every cell, which a second person confirms"
    )]
    NeedsSecondPerson { skill_name: String, version: String },
    #[error("roll-out {id}: {source}")]
    Command {
        id: i64,
        #[source]
        source: CommandError,
    },
    #[error(transparent)]
    Fleet(#[from] FleetError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// All roll-outs.
#[derive(Clone, Debug)]
pub struct Rollouts {
    database: Database,
    fleet: Fleet,
    nudge: Arc<Notify>,
}

impl Rollouts {
    pub fn new(database: Database, fleet: Fleet) -> Self {
        Self { database, fleet, nudge: Arc::new(Notify::new()) }
    }

    /// Something has happened that may concern a roll-out: its next turn is due.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// Begins a roll-out; an unfinished one of the same skill is superseded. Under the policy of two people, what comes to a rollback of
    /// every cell is refused: there is one way for that, which has them.
    pub async fn begin(
        &self,
        plan: Plan,
        who: &str,
        policy: TwoPerson,
        now_unix: i64,
    ) -> Result<RolloutStatus, RolloutError> {
        plan.check()?;
        let digest = plan.artifact.parse().map_err(|_| {
            let problem = "is no digest".to_owned();
            PlanError { mistakes: vec![swarm_rollout::Mistake { field: "artifact".to_owned(), problem }] }
        })?;
        let mut transaction = self.database.begin().await?;
        lock(&mut transaction, Which::Director).await.map_err(FleetError::from)?;
        let image = self.fleet.image_in(&mut transaction).await?;
        let goal = goal_in(&mut transaction, image.as_ref(), Reference::Digest(digest)).await?;
        let record = goal.record;
        let running = store::open_of_skill(&mut transaction, &record.skill_name).await?;
        let before = running.first().map(|row| &row.rollout);
        let rollout = Rollout::begin(plan, &record.skill_name, &record.version, before, now_unix)?;
        let assigned = store::assigned_versions(&mut transaction, &record.skill_name).await?;
        if policy == TwoPerson::Required && is_older(&record.version, &assigned) {
            let cells = store::cells(&mut **transaction).await?;
            if rollout.is_all_at_once(&cells, now_unix) {
                let (skill_name, version) = (record.skill_name, record.version);
                return Err(RolloutError::NeedsSecondPerson { skill_name, version });
            }
        }
        let id = store::insert(&mut transaction, &rollout, who, now_unix).await?;
        for row in running {
            let by = Command::Supersede { by: id };
            self.turn_in(&mut transaction, &row, Some(&by), image.as_ref(), now_unix).await?;
        }
        let event = Event {
            at_unix: now_unix,
            who: who.to_owned(),
            action: "begin_rollout".to_owned(),
            subject: format!("roll-out {id}"),
            detail: format!("{} {} {}", record.skill_name, record.version, record.digest),
        };
        append(&mut transaction, event).await?;
        transaction.commit().await.map_err(DatabaseError::query("begin a roll-out"))?;
        self.nudge();
        self.show(id, now_unix).await
    }

    /// Does what a person asks.
    pub async fn command(
        &self,
        id: i64,
        command: &Command,
        event: Event,
    ) -> Result<RolloutStatus, RolloutError> {
        let now_unix = event.at_unix;
        let mut transaction = self.database.begin().await?;
        lock(&mut transaction, Which::Director).await.map_err(FleetError::from)?;
        let row = store::find(&mut **transaction, id).await?.ok_or(RolloutError::NoSuchRollout { id })?;
        let image = self.fleet.image_in(&mut transaction).await?;
        let sent = self.turn_in(&mut transaction, &row, Some(command), image.as_ref(), now_unix).await?;
        append(&mut transaction, event).await?;
        transaction.commit().await.map_err(DatabaseError::query("change a roll-out"))?;
        self.fleet.assigned(sent).await;
        self.nudge();
        self.show(id, now_unix).await
    }

    pub async fn show(&self, id: i64, now_unix: i64) -> Result<RolloutStatus, RolloutError> {
        let row = store::find(self.database.pool(), id).await?.ok_or(RolloutError::NoSuchRollout { id })?;
        let cells = store::cells(self.database.pool()).await?;
        let waits_for = waits_for(&row.rollout, &cells, now_unix);
        let history = store::notes(self.database.pool(), id).await?;
        Ok(row.status(waits_for, history))
    }

    /// A page of at most `limit` roll-outs, newest first, older than number `after`.
    pub async fn list(&self, after: Option<i64>, limit: usize) -> Result<RolloutPage, DatabaseError> {
        store::list(&self.database, after, limit).await
    }

    /// One turn of every roll-out that is open; says whether anything changed.
    pub async fn turn(&self, now_unix: i64) -> Result<bool, RolloutError> {
        // 1.
        let open = store::open(self.database.pool()).await?;
        if open.is_empty() {
            return Ok(false);
        }
        let cells = store::cells(self.database.pool()).await?;
        let mut changed = false;
        for row in open {
            let (next, actions) = step(&row.rollout, &cells, now_unix);
            let withdrawn = row.quarantined && !row.rollout.state.has_ended();
            if next == row.rollout && actions.is_empty() && !withdrawn {
                continue;
            }
            // 2.
            let mut transaction = self.database.begin().await?;
            lock(&mut transaction, Which::Director).await.map_err(FleetError::from)?;
            let Some(row) = store::find(&mut **transaction, row.id).await? else { continue };
            let image = self.fleet.image_in(&mut transaction).await?;
            let sent = self.turn_in(&mut transaction, &row, None, image.as_ref(), now_unix).await?;
            transaction.commit().await.map_err(DatabaseError::query("carry a roll-out's turn out"))?;
            self.fleet.assigned(sent).await;
            changed = true;
        }
        Ok(changed)
    }

    /// Until the program ends: a turn at every nudge, and otherwise every [`TURN`].
    pub async fn drive(self, now_unix: fn() -> i64) {
        let mut said = (String::new(), None::<tokio::time::Instant>);
        loop {
            // Either way it is time.
            let _ = tokio::time::timeout(TURN, self.nudge.notified()).await;
            if let Err(error) = self.turn(now_unix()).await {
                let text = ErrorChain(&error).to_string();
                let silent = said.1.is_none_or(|at| at.elapsed() > Duration::from_mins(1));
                if text != said.0 || silent {
                    tracing::error!("a roll-out does not go on: {text}");
                    said = (text, Some(tokio::time::Instant::now()));
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Whether some cell is assigned a newer version.
fn is_older(version: &str, assigned: &[String]) -> bool {
    let version = version.parse::<semver::Version>().ok();
    assigned.iter().any(|other| version < other.parse().ok())
}
