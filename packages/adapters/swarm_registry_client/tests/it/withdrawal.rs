//! What was withdrawn stays so, whatever becomes of runtime and registry.

use std::collections::{BTreeMap, BTreeSet};

use crate::bridge::settings;
use crate::common::{Bench, DAY, NOTHING, NOW, bytes, path};
use swarm_artifact::ArchiveDigest;
use swarm_base::Time;
use swarm_bridge_core::{Belief, Deployed, Ended, Memory, Now, RunSeen, Step, Trouble, Want};
use swarm_registry_client::bridge::{RuntimeHeard, SafetyHeard, View};
use swarm_registry_client::{Look, OfInterest, Repositories};
use swarm_tuf::{Mode, TargetFile};

const OFFLINE: Mode = Mode::Offline { grace_s: 100 };

fn pick() -> Deployed {
    let artifact = ArchiveDigest::of(&bytes(100)).id;
    Deployed { artifact, skill: "pick".to_owned(), version: "1.0.0".parse().unwrap() }
}

fn pick_runs() -> OfInterest {
    OfInterest { in_force: vec![pick()], before: Vec::new() }
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
    assert_eq!(view.of_interest(at(5)), pick_runs(), "it may come back with this");
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

/// A registry with [`pick`] in a role of its own.
fn with_a_role_of_its_own() -> Bench {
    let mut bench = Bench::new();
    bench.image.delegate("pick");
    bench.image.repository.set_target("pick", &path("1.0.0"), TargetFile::of(&bytes(100))).unwrap();
    bench.image.publish(&bench.server, NOW);
    bench
}

fn believed(repositories: &mut Repositories) -> Option<Belief> {
    let look = repositories.look(Mode::Online, NOW, &pick_runs()).unwrap();
    look.believed.get(&pick().artifact).copied()
}

/// Signs everything anew but the role of [`pick`].
fn renew_all_but_pick(bench: &mut Bench, now: i64) {
    for made in [&mut bench.image, &mut bench.director] {
        made.repository.touch("targets").unwrap();
        made.publish(&bench.server, now);
    }
}

/// What cannot be believed was looked at, and nothing of it lets the runtime begin a run.
fn releases_nothing(bench: &Bench, repositories: &mut Repositories, unix_s: i64) {
    let mut view = withdrawn(bench);
    hear(&mut view, 1, at(3));
    let error = repositories.look(Mode::Online, unix_s, &view.of_interest(at(3))).unwrap_err();
    let offline = repositories.look(OFFLINE, unix_s, &view.of_interest(at(3))).ok();
    view.refresh_failed(&error, offline, at(3));
    assert!(matches!(view.trouble(), Some(Trouble::NotBelieved(_))), "{error}");
    assert_eq!(view.decide(at(3)).plan.steps, []);
    hear(&mut view, 2, at(6));
    assert!(view.decide(at(6)).plan.steps.contains(&Step::RefuseRuns));
}

#[test]
fn a_registry_that_withholds_the_role_that_withdraws_brings_nothing_back() {
    let mut bench = with_a_role_of_its_own();
    let mut repositories = bench.repositories();
    assert_eq!(believed(&mut repositories), Some(Belief::Has));
    bench.image.repository.remove_target("pick", &path("1.0.0")).unwrap();
    bench.image.publish(&bench.server, NOW);
    assert_eq!(believed(&mut repositories), Some(Belief::HasNot));
    // The online key is all that this takes.
    bench.image.repository.touch("pick").unwrap();
    let files = bench.image.publish(&bench.server, NOW);
    let withheld = files.keys().find(|name| name.ends_with("pick.json")).unwrap();
    bench.server.remove(&format!("/api/v1/update/image/metadata/{withheld}"));
    releases_nothing(&bench, &mut repositories, NOW);
}

#[test]
fn a_role_that_has_expired_brings_nothing_back_that_it_withdrew() {
    let mut bench = with_a_role_of_its_own();
    let mut repositories = bench.repositories();
    believed(&mut repositories);
    bench.image.repository.remove_target("pick", &path("1.0.0")).unwrap();
    bench.image.publish(&bench.server, NOW);
    assert_eq!(believed(&mut repositories), Some(Belief::HasNot));
    renew_all_but_pick(&mut bench, NOW + 31 * DAY);
    releases_nothing(&bench, &mut repositories, NOW + 31 * DAY);
}

#[test]
fn a_role_that_has_expired_keeps_nobody_back_who_does_not_run_its_skill() {
    let mut bench = with_a_role_of_its_own();
    let mut repositories = bench.repositories();
    believed(&mut repositories);
    renew_all_but_pick(&mut bench, NOW + 31 * DAY);
    let ran = OfInterest { in_force: Vec::new(), before: vec![pick()] };
    let look = repositories.look(Mode::Online, NOW + 31 * DAY, &ran).unwrap();
    assert_eq!((look.want, look.believed.len()), (Want::Nothing, 0));
    repositories.look(Mode::Online, NOW + 31 * DAY, &NOTHING).unwrap();
}
