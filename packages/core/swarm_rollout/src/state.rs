//! Where a roll-out is. Plain values that a database keeps as JSON; only [`crate::step`] and [`crate::command`] change them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use swarm_api::cell::Health;

use crate::plan::{Plan, PlanError};

/// A roll-out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Rollout {
    pub plan: Plan,
    /// Of the plan's artifact.
    pub skill_name: String,
    pub version: String,
    pub state: State,
    /// By site identity.
    pub members: BTreeMap<String, Member>,
    /// Runs and faults with the artifact since the roll-out began.
    pub counts: Health,
    /// Those of the present stage.
    pub stage_counts: Health,
    /// Cells that refused the artifact, or left it by themselves.
    pub refused: u64,
    /// Cells that an unfinished roll-out, which this one supersedes, has left on its own artifact.
    pub handed_over: BTreeMap<String, Handover>,
}

/// How far a roll-out is. Moments are seconds since 1970-01-01 UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = RolloutState))]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Hands the artifact out to a stage, and waits for its cells to take it up.
    Running { stage: usize, since_unix: i64 },
    /// The stage's cells have it and are watched.
    Observing {
        stage: usize,
        since_unix: i64,
        /// For how long the cell was that was watched the longest; less than since then, where nobody was to be heard.
        observed_s: u64,
    },
    /// Hands nothing out. Gates go on guarding; the stage is observed anew after resuming.
    Paused { stage: usize, since_unix: i64, reason: String },
    /// Every stage has passed.
    Done { since_unix: i64 },
    /// A gate failed, or the artifact was withdrawn; everything was taken back.
    Failed { since_unix: i64, reason: String },
    /// Somebody ended it.
    Aborted { since_unix: i64, reason: String, taken_back: bool },
    /// A newer roll-out of the same skill has the cells now.
    Superseded { since_unix: i64, by: i64 },
}

impl State {
    /// Nothing more is handed out, ever.
    pub const fn has_ended(&self) -> bool {
        match self {
            Self::Running { .. } | Self::Observing { .. } | Self::Paused { .. } => false,
            Self::Done { .. } | Self::Failed { .. } | Self::Aborted { .. } | Self::Superseded { .. } => true,
        }
    }

    /// For lists and messages.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Running { .. } => "running",
            Self::Observing { .. } => "observing",
            Self::Paused { .. } => "paused",
            Self::Done { .. } => "done",
            Self::Failed { .. } => "failed",
            Self::Aborted { .. } => "aborted",
            Self::Superseded { .. } => "superseded",
        }
    }

    /// Index of the present stage; none after the end.
    pub const fn stage(&self) -> Option<usize> {
        match self {
            Self::Running { stage, .. } | Self::Observing { stage, .. } | Self::Paused { stage, .. } => {
                Some(*stage)
            }
            Self::Done { .. } | Self::Failed { .. } | Self::Aborted { .. } | Self::Superseded { .. } => None,
        }
    }
}

/// A cell of a roll-out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = RolloutMember))]
pub struct Member {
    /// Digest that was assigned when the cell came into the roll-out.
    pub before: Option<String>,
    pub standing: Standing,
    /// The last of the cell's counts that is in the roll-out's.
    pub counted: Option<Counted>,
}

/// How far a cell is. `previous` is the digest to which it goes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = RolloutStanding))]
#[serde(tag = "standing", rename_all = "snake_case")]
pub enum Standing {
    /// Its stage has not come, or it cannot be reached.
    Pending,
    /// Had the artifact before. It is watched for safety violations and crashes, and nothing else is done to it, until the artifact
    /// turns out to be a bad one.
    Already,
    /// Is to run it, and was not seen running it yet.
    Assigned { since_unix: i64, previous: Option<String> },
    /// Runs it.
    Taken {
        previous: Option<String>,
        /// For how long its reports have shown it in the present stage, up to `heard_unix`.
        observed_s: u64,
        heard_unix: i64,
        /// Since when its bridge says that the skill runtime says nothing.
        #[serde(default)]
        mute_since_unix: Option<i64>,
    },
    /// Refused it, or left it by itself; it is assigned again what it had.
    Refused,
    /// The roll-out ended, and it is assigned again what it had; or is to leave the artifact where that is not known.
    TakenBack,
    /// Somebody assigned it something else.
    Left {
        /// It had the artifact from this roll-out before that.
        held: bool,
    },
}

impl Standing {
    /// The artifact is assigned to the cell, by this roll-out.
    pub const fn holds(&self) -> bool {
        matches!(self, Self::Assigned { .. } | Self::Taken { .. })
    }

    /// The artifact is assigned to the cell, by this roll-out or by somebody before it.
    pub(crate) const fn holds_or_had(&self) -> bool {
        self.holds() || matches!(self, Self::Already)
    }

    /// Uses up one place of the share that a stage may reach. A cell that a person took the artifact from does so too: the next
    /// cell must not get what somebody found reason to remove.
    pub(crate) const fn uses_a_place(&self) -> bool {
        self.holds() || matches!(self, Self::Left { held: true })
    }
}

/// Counts that were taken over from a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = RolloutCounted))]
pub struct Counted {
    /// The run of the bridge that reported them.
    pub started_unix: i64,
    pub health: Health,
}

/// A cell that an unfinished roll-out leaves to its successor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = RolloutHandover))]
pub struct Handover {
    /// What it is assigned: an artifact that never passed its gates.
    pub assigned: String,
    /// What it had before, and goes back to.
    pub previous: Option<String>,
}

/// How many cells are in which standing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = RolloutSummary))]
pub struct Summary {
    pub pending: u64,
    pub already: u64,
    pub assigned: u64,
    pub taken: u64,
    pub refused: u64,
    pub taken_back: u64,
    pub left: u64,
}

impl Rollout {
    /// Begins a roll-out of the plan's artifact, whose skill and version the caller has looked up.
    ///
    /// `superseded` is the unfinished roll-out of the same skill, if there is one; see [`crate::Command::Supersede`]. Cells that it
    /// left on its own artifact go back, if need be, to what they had before it.
    pub fn begin(
        plan: Plan,
        skill_name: &str,
        version: &str,
        superseded: Option<&Self>,
        now_unix: i64,
    ) -> Result<Self, PlanError> {
        plan.check()?;
        Ok(Self {
            plan,
            skill_name: skill_name.to_owned(),
            version: version.to_owned(),
            state: State::Running { stage: 0, since_unix: now_unix },
            members: BTreeMap::new(),
            counts: Health::default(),
            stage_counts: Health::default(),
            refused: 0,
            handed_over: superseded.map(Self::hands_over).unwrap_or_default(),
        })
    }

    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for member in self.members.values() {
            let count = match member.standing {
                Standing::Pending => &mut summary.pending,
                Standing::Already => &mut summary.already,
                Standing::Assigned { .. } => &mut summary.assigned,
                Standing::Taken { .. } => &mut summary.taken,
                Standing::Refused => &mut summary.refused,
                Standing::TakenBack => &mut summary.taken_back,
                Standing::Left { .. } => &mut summary.left,
            };
            *count += 1;
        }
        summary
    }

    fn hands_over(&self) -> BTreeMap<String, Handover> {
        let mut cells = self.handed_over.clone();
        for (site_id, member) in &self.members {
            match &member.standing {
                Standing::Assigned { previous, .. } | Standing::Taken { previous, .. } => {
                    let assigned = self.plan.artifact.clone();
                    cells.insert(site_id.clone(), Handover { assigned, previous: previous.clone() });
                }
                _ => {}
            }
        }
        cells
    }
}
