//! One turn over the members: who belongs to the roll-out, what they say, and what is done to one of them.

use std::collections::BTreeMap;

use swarm_api::cell::{Health, Progress, Report};

use crate::gate;
use crate::plan::Cells;
use crate::state::{Counted, Handover, Member, Rollout, Standing, State};
use crate::view::{Action, CellView};

/// A runtime that took the artifact and then says nothing for longer than this, while its bridge is heard, counts as crashed; in seconds.
/// A runtime that is started again, or a computer that boots, is back before.
const MUTE_S: i64 = 120;

/// A roll-out while it is being changed.
pub(crate) struct Turn<'a> {
    pub(crate) rollout: Rollout,
    pub(crate) cells: BTreeMap<&'a str, &'a CellView>,
    pub(crate) now_unix: i64,
    pub(crate) actions: Vec<Action>,
}

/// What a cell says about the artifact.
enum Said<'r> {
    Nothing,
    Runs(Health),
    RunsAnother(&'r str),
    Refuses(&'r str),
}

impl<'a> Turn<'a> {
    pub(crate) fn new(rollout: &Rollout, cells: &'a [CellView], now_unix: i64) -> Self {
        let cells = cells.iter().map(|cell| (cell.site_id.as_str(), cell)).collect();
        Self { rollout: rollout.clone(), cells, now_unix, actions: Vec::new() }
    }

    pub(crate) fn finish(self) -> (Rollout, Vec<Action>) {
        (self.rollout, self.actions)
    }

    /// Takes in cells that the plan means and that are not members yet.
    pub(crate) fn enrol(&mut self) {
        let Rollout { plan, skill_name, members, handed_over, .. } = &mut self.rollout;
        for (&site_id, cell) in &self.cells {
            let meant = match &plan.cells {
                Cells::All => cell.skill_name() == Some(skill_name.as_str()),
                Cells::Named(names) => names.iter().any(|name| name == site_id),
            };
            if !meant || members.contains_key(site_id) {
                continue;
            }
            let before = cell.assigned_digest().map(str::to_owned);
            // What it ran it with before is not the roll-out's.
            let counted = counts_of(cell, &plan.artifact);
            let standing = match handed_over.get(site_id) {
                _ if before.as_ref() != Some(&plan.artifact) => Standing::Pending,
                // The superseded roll-out was of the same artifact: it is on trial there still.
                Some(Handover { assigned, previous }) if *assigned == plan.artifact => {
                    Standing::Assigned { since_unix: self.now_unix, previous: previous.clone() }
                }
                _ => Standing::Already,
            };
            members.insert(site_id.to_owned(), Member { before, standing, counted });
        }
    }

    /// Lets go of cells to which somebody else has assigned something. A holder that was taken out of the fleet comes back without an
    /// assignment, and is held on to until it is heard to run something else.
    pub(crate) fn let_go_of_reassigned(&mut self) {
        let Rollout { plan, members, .. } = &mut self.rollout;
        for (site_id, member) in members {
            let Some(cell) = self.cells.get(site_id.as_str()) else { continue };
            let expected = match &member.standing {
                Standing::Pending => member.before.as_ref(),
                Standing::Already | Standing::Assigned { .. } | Standing::Taken { .. } => {
                    Some(&plan.artifact)
                }
                Standing::Refused | Standing::TakenBack | Standing::Left { .. } => continue,
            };
            let assigned = cell.assigned_digest();
            let was_away =
                assigned.is_none() && member.standing.holds() && !runs_another(cell, &plan.artifact);
            if assigned != expected.map(String::as_str) && !was_away {
                member.standing = Standing::Left { held: member.standing.holds() };
                let now = assigned.map_or_else(|| "nothing".to_owned(), short);
                let text = format!("{site_id} is no longer in the roll-out: it was assigned {now} by others");
                self.actions.push(Action::Note { text });
            }
        }
    }

    /// Takes over what is reported by holders, and by cells that had the artifact before. Whether they can be heard now does not
    /// matter: what they said, happened.
    pub(crate) fn take_over_reports(&mut self) {
        let mut given_up = Vec::new();
        let Rollout { plan, members, counts, stage_counts, .. } = &mut self.rollout;
        for (site_id, member) in members {
            let Some(cell) = self.cells.get(site_id.as_str()) else { continue };
            let Some(report) = &cell.report else { continue };
            let said = said(report, &plan.artifact);
            if let (Said::Runs(health), true) = (&said, member.standing.holds_or_had()) {
                let new = gate::since(member.counted, report, *health);
                *counts = gate::sum(*counts, new);
                // Whether runs succeed is judged by those cells to which the stage brought the artifact.
                if member.standing.holds() {
                    *stage_counts = gate::sum(*stage_counts, new);
                }
                member.counted = Some(Counted { started_unix: report.started_unix, health: *health });
            }
            match (said, &mut member.standing) {
                (Said::Runs(_), standing @ Standing::Assigned { .. }) => {
                    if let Standing::Assigned { previous, .. } = standing {
                        let (previous, heard_unix) = (previous.take(), self.now_unix);
                        *standing =
                            Standing::Taken { previous, observed_s: 0, heard_unix, mute_since_unix: None };
                    }
                }
                (Said::Runs(_), Standing::Taken { mute_since_unix, .. }) => *mute_since_unix = None,
                (Said::Nothing, Standing::Taken { mute_since_unix, .. }) => {
                    let _ = mute_since_unix.get_or_insert(cell.vouched_unix(self.now_unix));
                }
                (Said::Refuses(detail), Standing::Assigned { .. } | Standing::Taken { .. }) => {
                    given_up.push((site_id.clone(), format!("refused: {detail}")));
                }
                (Said::RunsAnother(other), Standing::Taken { .. }) => {
                    given_up.push((site_id.clone(), format!("the cell left it, and runs {}", short(other))));
                }
                _ => {}
            }
        }
        for (site_id, why) in given_up {
            self.rollout.refused += 1;
            self.actions.push(Action::Note { text: format!("{site_id}: {why}") });
            self.take_back(&site_id, Standing::Refused, &why);
        }
    }

    pub(crate) fn is_online(&self, site_id: &str) -> bool {
        self.cells.get(site_id).is_some_and(|cell| cell.is_online(&self.rollout.plan, self.now_unix))
    }

    /// How many cells, besides those that have said so, have a runtime that is dead or hangs: it has been silent for too long, and its
    /// bridge vouches for that. A runtime that comes back is counted by its bridge, if it was another process.
    pub(crate) fn mute(&self) -> u64 {
        let mute = self.rollout.members.iter().filter(|(site_id, member)| {
            let Standing::Taken { mute_since_unix: Some(since), .. } = member.standing else { return false };
            let cell = self.cells.get(site_id.as_str());
            cell.is_some_and(|cell| cell.vouched_unix(self.now_unix).saturating_sub(since) > MUTE_S)
        });
        mute.count() as u64
    }

    /// A cell that runs the artifact can be heard, and so can its runtime.
    pub(crate) fn hears_a_taker(&self) -> bool {
        let mut members = self.rollout.members.iter();
        members.any(|(site_id, member)| {
            matches!(member.standing, Standing::Taken { mute_since_unix: None, .. })
                && self.is_online(site_id)
        })
    }

    /// Begins to watch those that run the artifact.
    pub(crate) fn begin_to_observe(&mut self) {
        for member in self.rollout.members.values_mut() {
            if let Standing::Taken { observed_s, heard_unix, .. } = &mut member.standing {
                (*observed_s, *heard_unix) = (0, self.now_unix);
            }
        }
    }

    /// For how long the cell was watched that was watched the longest, in seconds.
    ///
    /// Only a report that names the artifact as what the runtime runs shows that the time before it was good. It shows so much of it as a cell may be silent, so that a gap
    /// counts no more than that, and a clock that was set back or forward little or nothing. Times of several cells do not add up: ten
    /// that fall silent after a minute are not ten minutes.
    pub(crate) fn observe(&mut self) -> u64 {
        let mut longest_s = 0;
        let most = self.rollout.plan.offline_after_s.cast_signed();
        for (site_id, member) in &mut self.rollout.members {
            let Standing::Taken { observed_s, heard_unix, mute_since_unix, .. } = &mut member.standing else {
                continue;
            };
            let Some(cell) = self.cells.get(site_id.as_str()) else { continue };
            let seen_unix = cell.vouched_unix(self.now_unix);
            let most = if mute_since_unix.is_none() { most } else { 0 };
            let passed_s = seen_unix.saturating_sub(*heard_unix).clamp(0, most);
            *observed_s = observed_s.saturating_add(passed_s.cast_unsigned());
            *heard_unix = seen_unix.max((*heard_unix).min(self.now_unix));
            longest_s = longest_s.max(*observed_s);
        }
        longest_s
    }

    /// Has a pending member run the artifact.
    pub(crate) fn assign(&mut self, site_id: &str, reason: &str) {
        let Some(cell) = self.cells.get(site_id) else { return };
        let previous = self.previous(cell);
        let artifact = &self.rollout.plan.artifact;
        // It may run it already without being assigned it; its runs until now are not the roll-out's.
        let counted = counts_of(cell, artifact);
        self.actions.push(Action::Assign {
            site_id: site_id.to_owned(),
            digest: artifact.clone(),
            reason: reason.to_owned(),
        });
        if let Some(member) = self.rollout.members.get_mut(site_id) {
            member.standing = Standing::Assigned { since_unix: self.now_unix, previous };
            member.counted = counted;
        }
    }

    /// Ends the roll-out and has every holder run again what it had.
    pub(crate) fn take_everything_back(&mut self, reason: &str) {
        let holders: Vec<String> = (self.rollout.members.iter())
            .filter(|(site_id, member)| member.standing.holds() && self.cells.contains_key(site_id.as_str()))
            .map(|(site_id, _)| site_id.clone())
            .collect();
        for site_id in holders {
            self.take_back(&site_id, Standing::TakenBack, reason);
        }
    }

    pub(crate) fn fail(&mut self, reason: &str) {
        self.end_as_failed(reason, self.rollout.plan.quarantine_on_failure);
    }

    /// As a failed gate, of an artifact that is withdrawn already.
    pub(crate) fn withdraw(&mut self, reason: &str) {
        self.end_as_failed(reason, true);
    }

    fn end_as_failed(&mut self, reason: &str, stays_nowhere: bool) {
        self.rollout.state = State::Failed { since_unix: self.now_unix, reason: reason.to_owned() };
        self.note(format!("failed: {reason}"));
        self.take_everything_back(reason);
        if stays_nowhere {
            self.take_from_those_that_had_it(reason);
        }
        if self.rollout.plan.quarantine_on_failure {
            let digest = self.rollout.plan.artifact.clone();
            self.actions.push(Action::Quarantine { digest, reason: reason.to_owned() });
        }
    }

    /// A bad artifact stays nowhere, whoever brought it there.
    fn take_from_those_that_had_it(&mut self, reason: &str) {
        for (site_id, member) in &mut self.rollout.members {
            if member.standing == Standing::Already && self.cells.contains_key(site_id.as_str()) {
                member.standing = Standing::TakenBack;
                let (site_id, reason) = (site_id.clone(), reason.to_owned());
                self.actions.push(Action::TakeBack { site_id, to: None, reason });
            }
        }
    }

    pub(crate) fn note(&mut self, text: String) {
        self.actions.push(Action::Note { text });
    }

    fn take_back(&mut self, site_id: &str, standing: Standing, reason: &str) {
        let Some(member) = self.rollout.members.get_mut(site_id) else { return };
        let to = match std::mem::replace(&mut member.standing, standing) {
            Standing::Assigned { previous, .. } | Standing::Taken { previous, .. } => previous,
            Standing::Pending
            | Standing::Already
            | Standing::Refused
            | Standing::TakenBack
            | Standing::Left { .. } => return,
        };
        let (site_id, reason) = (site_id.to_owned(), reason.to_owned());
        self.actions.push(Action::TakeBack { site_id, to, reason });
    }

    /// To what the cell goes back: what it is assigned, unless that is an unfinished roll-out's; or else what it runs.
    fn previous(&self, cell: &CellView) -> Option<String> {
        let assigned = cell.assigned_digest();
        let handed_over = self.rollout.handed_over.get(&cell.site_id);
        if let Some(handed_over) = handed_over.filter(|it| assigned == Some(it.assigned.as_str())) {
            return handed_over.previous.clone();
        }
        let running = cell.running().map(|running| running.digest.as_str());
        assigned.or(running).filter(|&digest| digest != self.rollout.plan.artifact).map(str::to_owned)
    }
}

fn runs_another(cell: &CellView, artifact: &str) -> bool {
    cell.running().is_some_and(|running| running.digest != artifact)
}

/// What the cell's counts for the artifact are until now.
fn counts_of(cell: &CellView, artifact: &str) -> Option<Counted> {
    let report = cell.report.as_ref()?;
    match said(report, artifact) {
        Said::Runs(health) => Some(Counted { started_unix: report.started_unix, health }),
        Said::Nothing | Said::RunsAnother(_) | Said::Refuses(_) => None,
    }
}

fn said<'r>(report: &'r Report, artifact: &str) -> Said<'r> {
    let refusal = report.outcome.as_ref().filter(|outcome| outcome.state == Progress::Refused);
    match (&report.running, refusal) {
        (Some(running), _) if running.digest == artifact => Said::Runs(running.health),
        (_, Some(outcome)) if outcome.digest == artifact => Said::Refuses(&outcome.detail),
        (Some(running), _) => Said::RunsAnother(&running.digest),
        (None, _) => Said::Nothing,
    }
}

/// As people compare digests.
fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}
