//! What a step is shown, and what it asks for.

use swarm_api::cell::{Report, Running};

use crate::plan::Plan;

/// A cell as the registry knows it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellView {
    pub site_id: String,
    /// When the registry last heard of it, by the registry's clock; seconds since 1970-01-01 UTC.
    pub seen_unix: Option<i64>,
    /// What the director's newest metadata has for it; what earlier steps asked for is in it.
    pub assigned: Option<Assigned>,
    /// What it said last.
    pub report: Option<Report>,
}

/// An artifact that a cell is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    pub digest: String,
    pub skill_name: String,
}

/// What a step asks the registry to do. All of a step's actions and its new state are one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The cell is to run the roll-out's artifact.
    Assign { site_id: String, digest: String, reason: String },
    /// The cell is to run again what it had before. `None` = that is not known, or it had nothing: the assignment is removed and
    /// the cell is told to leave the artifact, for its own last good one or else for nothing. If no cell may be sent to `to` any
    /// more (it was quarantined in the meantime), this is carried out likewise.
    TakeBack { site_id: String, to: Option<String>, reason: String },
    /// The roll-out's artifact is to be withdrawn.
    Quarantine { digest: String, reason: String },
    /// An entry for the roll-out's history.
    Note { text: String },
}

impl CellView {
    /// A report that comes from the future means that the registry's clock was set back; the cell is there.
    pub(crate) fn is_online(&self, plan: &Plan, now_unix: i64) -> bool {
        let limit = plan.offline_after_s.cast_signed();
        self.seen_unix.is_some_and(|seen| now_unix.saturating_sub(seen) <= limit)
    }

    pub(crate) fn assigned_digest(&self) -> Option<&str> {
        self.assigned.as_ref().map(|assigned| assigned.digest.as_str())
    }

    /// Until when this cell has shown how it is, by a clock that now says `now_unix`.
    pub(crate) fn vouched_unix(&self, now_unix: i64) -> i64 {
        self.seen_unix.map_or(i64::MIN, |seen| seen.min(now_unix))
    }

    pub(crate) fn running(&self) -> Option<&Running> {
        self.report.as_ref()?.running.as_ref()
    }

    /// The skill that the cell is for: as it is assigned, or else as it runs.
    pub(crate) fn skill_name(&self) -> Option<&str> {
        match (&self.assigned, self.running()) {
            (Some(assigned), _) => Some(&assigned.skill_name),
            (None, Some(running)) => Some(&running.skill_name),
            (None, None) => None,
        }
    }
}
