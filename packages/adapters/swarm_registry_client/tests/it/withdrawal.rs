//! What was withdrawn stays so, whatever becomes of runtime and registry.

use std::collections::{BTreeMap, BTreeSet};

use crate::bridge::settings;
use crate::common::{Bench, DAY, NOW};
use swarm_artifact::{ArtifactId, Sha256Sum};
use swarm_base::Time;
use swarm_bridge_core::{Belief, Deployed, Ended, Memory, Now, RunSeen, Step, Want};
use swarm_registry_client::Look;
use swarm_registry_client::bridge::{RuntimeHeard, SafetyHeard, View};

fn pick() -> Deployed {
    let artifact = ArtifactId(Sha256Sum([1; 32]));
    Deployed { artifact, skill: "pick".to_owned(), version: "1.0.0".parse().unwrap() }
}

fn at(seconds: u64) -> Now {
    let unix_s = NOW + i64::try_from(seconds).unwrap();
    Now { unix_s, monotonic: Time::from_millis(seconds * 1_000) }
}

/// A refresh in which the image repository was asked about this, and the director has nothing for the cell.
fn look(believed: impl IntoIterator<Item = Belief>) -> Look {
    let believed: BTreeMap<_, _> = believed.into_iter().map(|belief| (pick().artifact, belief)).collect();
    let (expires_unix_s, to_leave) = (Some(NOW + DAY), BTreeSet::new());
    Look { want: Want::Nothing, target: None, image: 1, director: 1, expires_unix_s, believed, to_leave }
}

/// Process `process` of the runtime says that it has [`pick`], and is at rest.
fn hear(view: &mut View, process: u64, now: Now) {
    let artifact = Some(pick().artifact);
    let run = RunSeen { process, artifact, trace_id: String::new(), running: false, ended: Ended::Not };
    view.hear_safety(
        now.monotonic,
        SafetyHeard { passes_motion: false, stopped_by: String::new(), artifact },
    );
    view.hear_runtime(now.monotonic, RuntimeHeard { deployed: Some(pick()), last_good: None, run });
}

/// A cell whose runtime was told to begin no run, because what it runs is withdrawn.
fn withdrawn(bench: &Bench) -> View {
    let mut view = View::new(settings(bench), Memory::default());
    hear(&mut view, 1, at(1));
    view.refreshed(look([Belief::Has]), at(1));
    view.refreshed(look([Belief::HasNot]), at(2));
    assert_eq!(view.decide(at(2)).plan.steps, [Step::RefuseRuns]);
    view.runs_allowed(false, Some(1));
    assert_eq!(view.decide(at(2)).plan.steps, []);
    view
}

#[test]
fn a_refresh_in_a_silence_of_the_runtime_releases_nothing_that_was_withdrawn() {
    let bench = Bench::new();
    let mut view = withdrawn(&bench);
    assert_eq!(view.of_interest(), [pick()], "it may come back with this");
    view.refreshed(look([]), at(5));
    hear(&mut view, 2, at(6));
    assert_eq!(view.decide(at(6)).plan.steps, [Step::Refresh, Step::RefuseRuns]);
    view.refreshed(look([Belief::Has]), at(6));
    assert_eq!(view.decide(at(6)).plan.steps, [Step::AllowRuns], "it is back in the image repository");
}

#[test]
fn what_begins_to_run_during_a_refresh_is_asked_about_at_once() {
    let bench = Bench::new();
    let mut view = View::new(settings(&bench), Memory::default());
    hear(&mut view, 1, at(1));
    view.refreshed(look([]), at(1));
    assert_eq!(view.decide(at(1)).plan.steps, [Step::Refresh]);
    view.refreshed(look([Belief::Has]), at(1));
    assert_eq!(view.decide(at(1)).plan.steps, []);
}
