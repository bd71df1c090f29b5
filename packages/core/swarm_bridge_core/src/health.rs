//! How the deployed skill does, counted from what the runtime and the safety monitor say.

use swarm_api::cell::Health;
use swarm_artifact::ArtifactId;
use swarm_base::{Duration, Time};

/// Silence of the runtime, which speaks ten times a second, after which nothing is known of it.
pub const SILENT_AFTER: Duration = Duration::from_millis(2_000);

/// How a run stands, over all its roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Not,
    Succeeded,
    Failed,
    /// By an operator; it says nothing about the skill.
    Canceled,
}

/// What one status of the runtime says of runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSeen {
    pub artifact: Option<ArtifactId>,
    /// The run in progress, or the last one; empty before the first of this process.
    pub trace_id: String,
    pub running: bool,
    pub ended: Ended,
}

/// Counts since an artifact was deployed, or since this began to count.
#[derive(Clone, Debug, Default)]
pub struct HealthWatch {
    health: Health,
    /// What the counts are about; kept while a runtime that comes back has nothing in force yet.
    artifact: Option<ArtifactId>,
    last: Option<(Time, RunSeen)>,
    counted_run: String,
    end_was_asked_for: bool,
    stopped_by: String,
}

impl HealthWatch {
    pub fn health(&self) -> Health {
        self.health
    }

    /// A status of the runtime. Gives whether a count changed.
    pub fn hear_runtime(&mut self, now: Time, seen: RunSeen) -> bool {
        let before = (self.health, self.artifact);
        if seen.artifact.is_some() && seen.artifact != self.artifact {
            (self.health, self.artifact) = (Health::default(), seen.artifact);
            self.counted_run = String::new();
            // What a status says of the last run is about the artifact before.
            seen.trace_id.clone_into(&mut self.counted_run);
        }
        match self.last.take() {
            Some((at, last)) if came_back(now.since(at), &last, &seen) => self.restarted(last),
            Some((_, last)) if last.running && !seen.running && last.trace_id == seen.trace_id => {
                self.count(&seen);
            }
            // A run that was over between two statuses; two of the same name cannot be told apart then.
            Some(_) if !seen.running && seen.ended != Ended::Not && seen.trace_id != self.counted_run => {
                self.count(&seen);
            }
            Some(_) => {}
            // The first status: what it says of the last run happened before this began to count.
            None if !seen.running => seen.trace_id.clone_into(&mut self.counted_run),
            None => {}
        }
        self.last = Some((now, seen));
        before != (self.health, self.artifact)
    }

    /// The runtime is another process than before.
    fn restarted(&mut self, last: RunSeen) {
        if std::mem::take(&mut self.end_was_asked_for) {
            return;
        }
        self.health.crashes += 1;
        if last.running {
            self.health.runs_failed += 1;
            self.counted_run = last.trace_id;
        }
    }

    fn count(&mut self, seen: &RunSeen) {
        match seen.ended {
            Ended::Succeeded => self.health.runs_succeeded += 1,
            Ended::Failed => self.health.runs_failed += 1,
            Ended::Not | Ended::Canceled => {}
        }
        seen.trace_id.clone_into(&mut self.counted_run);
    }

    /// The runtime's life cycle: whether it is being ended or deactivated, so that somebody asked for what follows, or activated.
    pub fn hear_lifecycle(&mut self, ending: bool) {
        self.end_was_asked_for = ending;
    }

    /// A status of the safety monitor: why it stops the cell, empty where it does not, and whose envelope is loaded. Gives whether a
    /// count changed.
    pub fn hear_safety(&mut self, cause: &str, artifact: Option<ArtifactId>) -> bool {
        let new = self.stopped_by != cause;
        cause.clone_into(&mut self.stopped_by);
        let counts =
            new && !matches!(cause, "" | "emergency_stop") && artifact.is_some() && artifact == self.artifact;
        self.health.safety_violations += u64::from(counts);
        counts
    }
}

/// Whether the runtime that speaks is another process than before: it was silent, and does not know the last run. One that was only
/// held up for long still knows it.
fn came_back(silence: Duration, last: &RunSeen, seen: &RunSeen) -> bool {
    let forgot = !last.trace_id.is_empty() && seen.trace_id.is_empty();
    forgot
        || (silence >= SILENT_AFTER
            && last.trace_id.is_empty()
            && last.artifact.is_some()
            && seen.artifact.is_none())
}

#[cfg(test)]
mod tests {
    use swarm_artifact::Sha256Sum;

    use super::*;

    fn id(n: u8) -> ArtifactId {
        ArtifactId(Sha256Sum([n; 32]))
    }

    fn seen(artifact: u8, trace_id: &str, running: bool, ended: Ended) -> RunSeen {
        RunSeen { artifact: Some(id(artifact)), trace_id: trace_id.to_owned(), running, ended }
    }

    /// Statuses a tenth of a second apart.
    fn watch(statuses: &[RunSeen]) -> HealthWatch {
        let mut watch = HealthWatch::default();
        for (n, status) in statuses.iter().enumerate() {
            watch.hear_runtime(Time::from_millis(100 * n as u64), status.clone());
        }
        watch
    }

    #[test]
    fn runs_are_counted_once_each_and_a_cancel_is_neither() {
        let idle = || seen(1, "", false, Ended::Not);
        let of = |trace: &str, ended| {
            [seen(1, trace, true, Ended::Not), seen(1, trace, false, ended), seen(1, trace, false, ended)]
        };
        let mut statuses = vec![idle()];
        statuses.extend(of("a", Ended::Succeeded));
        statuses.extend(of("b", Ended::Failed));
        statuses.extend(of("c", Ended::Canceled));
        statuses.extend(of("a", Ended::Succeeded));
        statuses.push(seen(1, "too short to be seen running", false, Ended::Failed));
        let health = watch(&statuses).health();
        assert_eq!(health, Health { runs_succeeded: 2, runs_failed: 2, ..Health::default() });
    }

    #[test]
    fn what_ended_before_the_bridge_began_is_not_counted() {
        let over = || seen(1, "a", false, Ended::Failed);
        let mut watch = watch(&[over(), over()]);
        assert_eq!(watch.health(), Health::default());
        watch.hear_runtime(Time::from_millis(1_000), seen(1, "b", false, Ended::Failed));
        assert_eq!(watch.health().runs_failed, 1);
    }

    #[test]
    fn another_artifact_begins_at_zero_and_inherits_no_run() {
        let health = watch(&[
            seen(1, "a", true, Ended::Not),
            seen(1, "a", false, Ended::Failed),
            seen(2, "a", false, Ended::Failed),
            seen(2, "a", false, Ended::Failed),
            seen(2, "b", true, Ended::Not),
            seen(2, "b", false, Ended::Succeeded),
        ])
        .health();
        assert_eq!(health, Health { runs_succeeded: 1, ..Health::default() });
    }

    #[test]
    fn a_runtime_that_forgot_its_run_has_crashed_and_the_run_failed() {
        let mut crashed = watch(&[seen(1, "a", true, Ended::Not)]);
        let nothing = RunSeen { artifact: None, ..seen(1, "", false, Ended::Not) };
        crashed.hear_runtime(Time::from_millis(3_000), nothing.clone());
        crashed.hear_runtime(Time::from_millis(3_100), seen(1, "", false, Ended::Not));
        assert_eq!(crashed.health(), Health { crashes: 1, runs_failed: 1, ..Health::default() });
        let mut ended = watch(&[seen(1, "a", false, Ended::Succeeded)]);
        ended.hear_lifecycle(true);
        ended.hear_runtime(Time::from_millis(3_000), nothing);
        assert_eq!(ended.health(), Health::default(), "it was asked to end");
        let mut held_up = watch(&[seen(1, "a", false, Ended::Succeeded)]);
        held_up.hear_runtime(Time::from_millis(60_000), seen(1, "a", false, Ended::Succeeded));
        assert_eq!(held_up.health(), Health::default(), "it was only silent");
    }

    #[test]
    fn a_stop_counts_once_if_nobody_pressed_it_and_the_skill_was_loaded() {
        let mut watch = watch(&[seen(1, "", false, Ended::Not)]);
        for (cause, artifact, changed) in [
            ("", 1, false),
            ("collision_force", 1, true),
            ("collision_force", 1, false),
            ("", 1, false),
            ("collision_force", 1, true),
            ("emergency_stop", 1, false),
            ("workspace", 2, false),
        ] {
            assert_eq!(watch.hear_safety(cause, Some(id(artifact))), changed, "{cause} under {artifact}");
        }
        assert_eq!(watch.health().safety_violations, 2);
    }
}
