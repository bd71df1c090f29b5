//! Views remembered, and turned into columns of equal time. Time is that of the views.

use std::collections::{BTreeSet, VecDeque};

use swarm_view::{Activity, CellView};

/// Views that are remembered: ten minutes at 20 a second.
pub const MEMORY: usize = 12_000;

/// What has been seen, oldest first.
#[derive(Debug, Default)]
pub struct Timeline {
    moments: VecDeque<Moment>,
    /// Views that were sent and did not arrive, by their numbers.
    pub lost: u64,
    last: Option<CellView>,
}

#[derive(Debug)]
struct Moment {
    unix_ns: u64,
    roles: Vec<Seen>,
    /// Resource and holder, of the leases that are held.
    leases: Vec<(String, String)>,
}

#[derive(Debug)]
struct Seen {
    role: String,
    activity: Activity,
    phase: String,
    waits: bool,
}

/// One column of a role's line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Column {
    /// `None` where nothing is known.
    pub activity: Option<Activity>,
    /// It stood at a barrier for others that were not there yet, or asked for what another one held.
    pub waits: bool,
    /// The phase at its end.
    pub phase: String,
}

impl Timeline {
    /// Takes in a view. One that is older than the last is passed over; a runtime that was restarted begins anew.
    pub fn add(&mut self, view: CellView) {
        if let Some(last) = &self.last {
            if view.sequence > last.sequence {
                self.lost += view.sequence - last.sequence - 1;
            }
            if view.unix_ns < last.unix_ns && view.sequence > last.sequence {
                return;
            }
        }
        let asks = |role: &str| view.leases.iter().any(|lease| lease.waiting.iter().any(|who| who == role));
        let roles = view.roles.iter().map(|role| Seen {
            role: role.role.clone(),
            activity: role.activity,
            phase: role.phase.clone(),
            waits: role.barrier.as_ref().is_some_and(|barrier| !barrier.waits_for.is_empty())
                || asks(&role.role),
        });
        let held = view.leases.iter().filter(|lease| !lease.holder.is_empty());
        let leases = held.map(|lease| (lease.resource.clone(), lease.holder.clone())).collect();
        if self.moments.len() == MEMORY {
            self.moments.pop_front();
        }
        let roles = roles.collect();
        self.moments.push_back(Moment { unix_ns: view.unix_ns, roles, leases });
        self.last = Some(view);
    }

    /// The newest view.
    pub fn last(&self) -> Option<&CellView> {
        self.last.as_ref()
    }

    /// `count` columns of `column_ns` for one role; the last ends at `end_ns`. In a column in which a role held, stopped or waited for
    /// a moment that moment counts, however short.
    pub fn columns(&self, role: &str, end_ns: u64, column_ns: u64, count: usize) -> Vec<Column> {
        let mut columns = vec![Column::default(); count];
        for (at, moment) in self.window(end_ns, column_ns, count) {
            let seen = moment.roles.iter().find(|seen| seen.role == role);
            if let (Some(column), Some(seen)) = (columns.get_mut(at), seen) {
                if column.activity.is_none_or(|known| weight(seen.activity) >= weight(known)) {
                    column.activity = Some(seen.activity);
                }
                column.waits |= seen.waits;
                column.phase.clone_from(&seen.phase);
            }
        }
        columns
    }

    /// Who held a resource in each column, if anybody did; of several the last one. The columns are those of [`columns`](Self::columns).
    pub fn holders(&self, resource: &str, end_ns: u64, column_ns: u64, count: usize) -> Vec<Option<&str>> {
        let mut holders = vec![None; count];
        for (at, moment) in self.window(end_ns, column_ns, count) {
            let held = moment.leases.iter().find(|(held, _)| held == resource);
            if let (Some(holder), Some((_, role))) = (holders.get_mut(at), held) {
                *holder = Some(role.as_str());
            }
        }
        holders
    }

    /// Every resource that was leased within these columns.
    pub fn resources(&self, end_ns: u64, column_ns: u64, count: usize) -> BTreeSet<&str> {
        let moments = self.window(end_ns, column_ns, count);
        moments.flat_map(|(_, moment)| &moment.leases).map(|(resource, _)| resource.as_str()).collect()
    }

    /// The moments within these columns, each with its column.
    fn window(&self, end_ns: u64, column_ns: u64, count: usize) -> impl Iterator<Item = (usize, &Moment)> {
        let column_ns = column_ns.max(1);
        let begin = end_ns.saturating_sub(column_ns.saturating_mul(count as u64));
        let from = self.moments.partition_point(|moment| moment.unix_ns <= begin);
        let moments = self.moments.iter().skip(from).take_while(move |moment| moment.unix_ns <= end_ns);
        moments.map(move |moment| (((moment.unix_ns - begin - 1) / column_ns) as usize, moment))
    }
}

/// What a column shows of several activities: the heaviest.
fn weight(activity: Activity) -> u8 {
    match activity {
        Activity::Idle => 0,
        Activity::Running => 1,
        Activity::Joining => 2,
        Activity::Succeeded => 3,
        Activity::Holding => 4,
        Activity::Canceled => 5,
        Activity::Aborted => 6,
    }
}

#[cfg(test)]
mod tests {
    use swarm_view::{LeaseView, RoleView};

    use super::*;

    fn view(sequence: u64, unix_ns: u64, activity: Activity, phase: &str) -> CellView {
        let role = RoleView { role: "leader".into(), activity, phase: phase.into(), ..RoleView::default() };
        CellView { sequence, unix_ns, roles: vec![role], ..CellView::default() }
    }

    #[test]
    fn a_short_hold_shows_in_its_column_and_gaps_stay_gaps() {
        let mut timeline = Timeline::default();
        for (sequence, (at, activity, phase)) in [
            (105, Activity::Running, "fetch"),
            (108, Activity::Holding, "fetch"),
            (110, Activity::Running, "mate"),
            (121, Activity::Running, "mate"),
        ]
        .into_iter()
        .enumerate()
        {
            timeline.add(view(sequence as u64, at, activity, phase));
        }
        let columns = timeline.columns("leader", 130, 10, 4);
        let shown: Vec<_> = columns.iter().map(|column| (column.activity, column.phase.as_str())).collect();
        assert_eq!(
            shown,
            [(None, ""), (Some(Activity::Holding), "mate"), (None, ""), (Some(Activity::Running), "mate")]
        );
        assert_eq!(timeline.columns("nobody", 130, 10, 2), vec![Column::default(); 2]);
        assert_eq!(timeline.columns("leader", 5, 0, 2).len(), 2, "before time began, with no width at all");
    }

    #[test]
    fn a_lease_stays_on_the_line_after_it_was_given_back_and_whoever_asks_waits() {
        let lease = |holder: &str, waiting: &[&str]| LeaseView {
            resource: "bench".into(),
            holder: holder.into(),
            waiting: waiting.iter().map(|role| (*role).to_owned()).collect(),
            ..LeaseView::default()
        };
        let mut timeline = Timeline::default();
        for (sequence, leases) in
            [vec![lease("follower", &["leader"])], vec![lease("leader", &[])], vec![]].into_iter().enumerate()
        {
            let at = 105 + 10 * sequence as u64;
            timeline.add(CellView { leases, ..view(sequence as u64, at, Activity::Running, "fetch") });
        }
        let window = (130, 10, 3);
        let holders = timeline.holders("bench", window.0, window.1, window.2);
        assert_eq!(holders, [Some("follower"), Some("leader"), None]);
        assert_eq!(timeline.resources(window.0, window.1, window.2), BTreeSet::from(["bench"]));
        assert_eq!(timeline.resources(window.0, window.1, 1), BTreeSet::new());
        let waits = timeline.columns("leader", window.0, window.1, window.2).into_iter().map(|c| c.waits);
        assert_eq!(waits.collect::<Vec<_>>(), [true, false, false]);
    }

    #[test]
    fn what_did_not_arrive_is_counted_and_memory_is_bounded() {
        let mut timeline = Timeline::default();
        for sequence in (0..2 * MEMORY as u64).step_by(2) {
            timeline.add(view(sequence, 1 + sequence, Activity::Running, ""));
        }
        timeline.add(view(0, 1 + 2 * MEMORY as u64, Activity::Idle, ""));
        assert_eq!(timeline.lost, MEMORY as u64 - 1, "a restart is no loss");
        assert_eq!(timeline.moments.len(), MEMORY);
    }
}
