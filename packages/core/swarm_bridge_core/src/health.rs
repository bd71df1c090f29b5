//! How the deployed skill does, counted from what the runtime and the safety monitor say.

use swarm_api::cell::Health;
use swarm_artifact::ArtifactId;
use swarm_base::Duration;

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
    /// Names the process of the runtime: one that is started again has another.
    pub process: u64,
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
    last: Option<RunSeen>,
    counted_run: String,
    end_was_asked_for: bool,
    stopped_by: String,
}

impl HealthWatch {
    pub fn health(&self) -> Health {
        self.health
    }

    /// A status of the runtime. Gives whether a count changed.
    pub fn hear_runtime(&mut self, seen: RunSeen) -> bool {
        let before = (self.health, self.artifact);
        if seen.artifact.is_some() && seen.artifact != self.artifact {
            (self.health, self.artifact) = (Health::default(), seen.artifact);
            self.counted_run = String::new();
            // What a status says of the last run is about the artifact before.
            seen.trace_id.clone_into(&mut self.counted_run);
        }
        match self.last.take() {
            Some(last) if last.process != seen.process => self.restarted(last),
            Some(last) if last.running && !seen.running && last.trace_id == seen.trace_id => {
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
        self.last = Some(seen);
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

#[cfg(test)]
mod tests {
    use swarm_artifact::Sha256Sum;

    use super::*;

    fn id(n: u8) -> ArtifactId {
        ArtifactId(Sha256Sum([n; 32]))
    }

    fn seen(artifact: u8, trace_id: &str, running: bool, ended: Ended) -> RunSeen {
        RunSeen { process: 1, artifact: Some(id(artifact)), trace_id: trace_id.to_owned(), running, ended }
    }

    fn watch(statuses: &[RunSeen]) -> HealthWatch {
        let mut watch = HealthWatch::default();
        for status in statuses {
            watch.hear_runtime(status.clone());
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
        watch.hear_runtime(seen(1, "b", false, Ended::Failed));
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
    fn a_runtime_that_is_another_process_has_crashed_and_its_run_failed() {
        let again = |seen: RunSeen| RunSeen { process: 2, ..seen };
        let nothing = || again(RunSeen { artifact: None, ..seen(1, "", false, Ended::Not) });
        let crashed = watch(&[
            seen(1, "a", true, Ended::Not),
            nothing(),
            again(seen(1, "", false, Ended::Not)),
            again(seen(1, "", false, Ended::Not)),
        ]);
        assert_eq!(crashed.health(), Health { crashes: 1, runs_failed: 1, ..Health::default() });
        let idle = watch(&[seen(1, "", false, Ended::Not), again(seen(1, "", false, Ended::Not))]);
        assert_eq!(idle.health(), Health { crashes: 1, ..Health::default() }, "it had run nothing");
        let mut ended = watch(&[seen(1, "a", false, Ended::Succeeded)]);
        ended.hear_lifecycle(true);
        ended.hear_runtime(nothing());
        assert_eq!(ended.health(), Health::default(), "it was asked to end");
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
