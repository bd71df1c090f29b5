//! Random histories of a cell, its registry and its operators. Whatever happens: nothing is exchanged in motion, a newer version
//! only inside the window, nothing that was not agreed or has expired is deployed, what is protected is never evicted; and once
//! the faults end, the cell runs what it is assigned.

use std::collections::BTreeSet;

use proptest::prelude::*;
use semver::Version;
use swarm_api::cell::Motion;
use swarm_artifact::{ArtifactId, Sha256Sum};
use swarm_base::{Duration, Time};
use swarm_bridge_core::{
    Backoff, Belief, Cached, Deployed, Have, Memory, Now, OfflinePolicy, Plan, RegistryView, Rest, Runtime,
    Schedule, Step, Then, Trouble, Want, Wanted, Windows, plan,
};

const BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(1_000), longest: Duration::from_millis(60_000) };
const ARTIFACTS: u8 = 6;
const BYTES: u64 = 10;
const KEEP_RUNNING_FOR_S: u32 = 3 * 86_400;
const LIFETIME_S: i64 = 86_400;

/// 0 to 3 are versions of one skill, the rest of another.
fn artifact(n: u8) -> Deployed {
    let skill = if n < 4 { "pick" } else { "place" };
    Deployed { artifact: id(n), skill: skill.to_owned(), version: Version::new(1, u64::from(n), 0) }
}

fn id(n: u8) -> ArtifactId {
    ArtifactId(Sha256Sum([n; 32]))
}

#[derive(Clone, Debug)]
enum Event {
    Assign(Option<u8>),
    /// A roll-out takes back what is assigned, and knows nothing to put in its place.
    SendAway,
    /// Out of the image repository, and back in.
    Image(u8, bool),
    RegistryAnswers(bool),
    DownloadsFail(bool),
    DeploymentsFail(bool),
    RuntimeUp(bool),
    Moving(bool),
    Pass(u32),
    /// The bridge is killed: what it does not keep on disk is gone.
    Kill,
    RollBackByHand,
    /// The cache may hold so many artifacts from now on; three are always protected.
    CacheLimit(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        4 => prop::option::weighted(0.9, 0..ARTIFACTS).prop_map(Event::Assign),
        1 => Just(Event::SendAway),
        2 => (0..ARTIFACTS, any::<bool>()).prop_map(|(n, there)| Event::Image(n, there)),
        2 => any::<bool>().prop_map(Event::RegistryAnswers),
        1 => any::<bool>().prop_map(Event::DownloadsFail),
        1 => any::<bool>().prop_map(Event::DeploymentsFail),
        1 => prop::bool::weighted(0.7).prop_map(Event::RuntimeUp),
        3 => any::<bool>().prop_map(Event::Moving),
        4 => prop_oneof![1_u32..90, 1_u32..20_000, 1_u32..400_000].prop_map(Event::Pass),
        1 => Just(Event::Kill),
        1 => Just(Event::RollBackByHand),
        1 => (3_u64..6).prop_map(Event::CacheLimit),
    ];
    prop::collection::vec(event, 0..60)
}

#[allow(clippy::struct_excessive_bools)] // each is something that happens or does not
struct World {
    now: Now,
    windows: Windows,
    policy: OfflinePolicy,
    // the registry
    assigned: Option<u8>,
    image: BTreeSet<u8>,
    answers: bool,
    downloads_fail: bool,
    // the cell
    deployments_fail: bool,
    runtime_up: bool,
    runtime_active: bool,
    moving: bool,
    /// What the runtime has had, newest last; the last one runs.
    store: Vec<u8>,
    // the bridge
    cache: Vec<Cached>,
    cache_limit_bytes: u64,
    memory: Memory,
    /// As of the last metadata believed, which is on the disk.
    believed: Option<(Option<u8>, BTreeSet<u8>, i64)>,
    registry: RegistryView,
    download: Schedule,
    deploy: Schedule,
    deploy_for: Option<ArtifactId>,
    left_by_hand: bool,
    refusal_stands: bool,
    /// What the director has the cell leave, in the registry and as believed.
    to_leave: (Option<u8>, Option<u8>),
    /// What the last refresh asked the image repository about: as little as may be, what the runtime says.
    asked: BTreeSet<u8>,
    /// What was believed, and then was not there when it was asked about last.
    withdrawn: BTreeSet<u8>,
}

impl World {
    fn new(windows: &[&str], then: Then) -> Self {
        Self {
            now: Now { unix_s: 1_800_000_000, monotonic: Time::from_millis(1_000) },
            windows: Windows::parse(windows.iter().copied(), "+01:00").unwrap(),
            policy: OfflinePolicy { keep_running_for_s: KEEP_RUNNING_FOR_S, then },
            assigned: Some(0),
            image: (0..ARTIFACTS).collect(),
            answers: true,
            downloads_fail: false,
            deployments_fail: false,
            runtime_up: true,
            runtime_active: true,
            moving: false,
            store: Vec::new(),
            cache: Vec::new(),
            cache_limit_bytes: 4 * BYTES,
            memory: Memory::default(),
            believed: None,
            registry: RegistryView::default(),
            download: Schedule::default(),
            deploy: Schedule::default(),
            deploy_for: None,
            left_by_hand: false,
            refusal_stands: false,
            to_leave: (None, None),
            asked: BTreeSet::new(),
            withdrawn: BTreeSet::new(),
        }
    }

    fn want(&self) -> Want {
        match &self.believed {
            Some((_, _, expires)) if self.now.unix_s > expires + self.policy.grace_s() => Want::Unknown,
            None => Want::Unknown,
            Some((None, _, _)) => Want::Nothing,
            Some((Some(n), image, _)) if image.contains(n) => {
                let Deployed { artifact, skill, version } = artifact(*n);
                Want::Artifact(Wanted { artifact, bytes: BYTES, skill, version })
            }
            Some((Some(n), _, _)) => {
                Want::Disagreed { artifact: Some(id(*n)), why: "the image repository has it not".to_owned() }
            }
        }
    }

    fn runtime(&self) -> Runtime {
        if !self.runtime_up {
            return Runtime::Silent;
        }
        let running = self.store.last().map(|n| artifact(*n));
        Runtime::Says { deployed: running, last_good: self.last_good().map(|n| artifact(n).version) }
    }

    fn belief(&self, artifact: Option<ArtifactId>) -> Belief {
        match artifact {
            Some(artifact) if self.to_leave.1.map(id) == Some(artifact) => Belief::ToLeave,
            Some(artifact) => self.image_has(artifact),
            None => Belief::NotAsked,
        }
    }

    fn image_has(&self, artifact: ArtifactId) -> Belief {
        let Some((_, image, _)) = &self.believed else { return Belief::NotAsked };
        match self.asked.iter().find(|n| id(**n) == artifact) {
            Some(n) if image.contains(n) => Belief::Has,
            Some(_) => Belief::HasNot,
            None => Belief::NotAsked,
        }
    }

    /// Asks about what the runtime says now.
    fn ask(&mut self) {
        let running = self.store.last().copied().filter(|_| self.runtime_up);
        self.asked = running.into_iter().chain(self.last_good()).collect();
        for n in self.asked.clone() {
            let belief = self.image_has(id(n));
            self.memory.hear_belief(id(n), belief);
            if self.image.contains(&n) {
                self.withdrawn.remove(&n);
            } else if self.memory.believed_once(id(n)) {
                self.withdrawn.insert(n);
            }
        }
        self.withdrawn.retain(|n| Some(*n) != self.assigned || !self.image.contains(n));
    }

    /// What the runtime says that its own rollback goes to.
    fn last_good(&self) -> Option<u8> {
        let good = self.store.iter().rev().find(|n| Some(*n) != self.store.last());
        good.copied().filter(|_| self.runtime_up)
    }

    /// One turn of the bridge. Gives whether something was done.
    fn turn(&mut self) -> Result<bool, TestCaseError> {
        let (want, runtime) = (self.want(), self.runtime());
        self.memory.hear_want(&want);
        if want.artifact() != self.deploy_for {
            (self.deploy_for, self.deploy, self.download) =
                (want.artifact(), Schedule::default(), Schedule::default());
        }
        if let Some(running) = runtime.deployed() {
            self.memory.hear_running(running, &want);
            let belief = self.image_has(running.artifact);
            self.memory.hear_belief(running.artifact, belief);
        }
        let motion = match (self.runtime_up, self.moving) {
            (false, _) => Motion::Unknown,
            (true, true) => Motion::Moving,
            (true, false) => Motion::AtRest,
        };
        let mut have = Have {
            runtime: &runtime,
            motion,
            running_believed: self.belief(runtime.deployed().map(|running| running.artifact)),
            last_good_believed: Belief::NotAsked,
            cache: &self.cache,
            cache_limit_bytes: self.cache_limit_bytes,
            registry: &self.registry,
            download: (&self.download, "it failed"),
            deploy: (&self.deploy, "it failed"),
            memory: &self.memory,
            refusal_stands: self.refusal_stands,
        };
        have.last_good_believed = self.belief(have.last_good().map(|good| good.artifact));
        let withdrawn = have.withdrawn();
        let plan = plan(&have, &want, &self.windows, &self.policy, self.now);
        let running = self.store.last().filter(|_| self.runtime_up);
        prop_assert!(
            withdrawn || running.is_none_or(|n| !self.withdrawn.contains(n)),
            "it is forgotten that what runs was withdrawn"
        );
        self.check(&plan, &want, withdrawn)?;
        let no_runs = withdrawn || (plan.rest == Rest::Expired && self.policy.then == Then::RefuseNewRuns);
        let Some(step) = plan.first().cloned() else {
            let may_be_told = self.runtime_up && !self.moving;
            prop_assert!(
                !(no_runs && may_be_told && self.runtime_active),
                "a run may begin of what is withdrawn, or without a registry for too long"
            );
            return Ok(false);
        };
        self.carry_out(&step)?;
        Ok(true)
    }

    /// What must hold of every plan.
    fn check(&self, plan: &Plan, want: &Want, withdrawn: bool) -> Result<(), TestCaseError> {
        let running = self.store.last().copied();
        let good = self.store.iter().rev().find(|n| Some(**n) != running).copied();
        for step in &plan.steps {
            match step {
                Step::Evict(artifact) => {
                    prop_assert_ne!(Some(*artifact), running.map(id), "what runs was evicted");
                    prop_assert_ne!(Some(*artifact), want.artifact(), "what is wanted was evicted");
                    let same_skill = good.is_some_and(|good| {
                        running.is_some_and(|it| artifact_skill(it) == artifact_skill(good))
                    });
                    prop_assert!(
                        !(same_skill && Some(*artifact) == good.map(id)),
                        "what was last good was evicted"
                    );
                }
                Step::Deploy { wanted, .. } => {
                    prop_assert_eq!(Some(wanted.artifact), want.artifact(), "not what was agreed");
                    let newer = running.is_none_or(|n| {
                        artifact(n).skill != wanted.skill || artifact(n).version < wanted.version
                    });
                    prop_assert!(
                        self.windows.is_open(self.now.unix_s) || !newer || withdrawn || plan.way_back
                    );
                }
                Step::RollBackTo { artifact, .. } => {
                    let Some((_, image, _)) = &self.believed else {
                        return Err(TestCaseError::fail("a rollback without metadata"));
                    };
                    prop_assert!(
                        image.iter().any(|n| id(*n) == *artifact),
                        "a rollback to something withdrawn"
                    );
                }
                _ => {}
            }
            let exchange = matches!(step, Step::Deploy { .. } | Step::RollBackTo { .. } | Step::RefuseRuns);
            prop_assert!(!(exchange && self.moving), "{step} in motion");
            if matches!(step, Step::Deploy { .. } | Step::RollBackTo { .. }) {
                let (_, _, expires) = self.believed.as_ref().expect("something was believed");
                prop_assert!(
                    self.now.unix_s <= expires + self.policy.grace_s(),
                    "{step} with expired metadata"
                );
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let now = self.now.monotonic;
        match step {
            Step::Refresh => {
                if self.answers {
                    self.believed = Some((self.assigned, self.image.clone(), self.now.unix_s + LIFETIME_S));
                    self.to_leave.1 = self.to_leave.0;
                    self.ask();
                    self.memory.last_believed_unix_s = Some(self.now.unix_s);
                    self.registry.expires_unix_s = Some(self.now.unix_s + LIFETIME_S);
                    self.registry.trouble = None;
                    self.registry.refresh.succeeded(now, Duration::from_millis(60_000));
                } else {
                    self.registry.trouble = Some(Trouble::Away("it does not answer".to_owned()));
                    self.registry.refresh.failed(now, BACKOFF, 0.5);
                }
            }
            Step::Evict(artifact) => self.cache.retain(|entry| entry.artifact != *artifact),
            Step::Download(wanted) => {
                if self.answers && !self.downloads_fail {
                    self.cache.push(Cached {
                        artifact: wanted.artifact,
                        bytes: BYTES,
                        used_unix_s: self.now.unix_s,
                    });
                    self.download.succeeded(now, Duration::ZERO);
                } else {
                    self.download.failed(now, BACKOFF, 0.5);
                }
                let total: u64 = self.cache.iter().map(|entry| entry.bytes).sum();
                prop_assert!(total <= self.cache_limit_bytes, "the cache holds {total} bytes");
            }
            // In the shell the next step follows at once.
            Step::Verify(wanted) => {
                prop_assert!(
                    self.cache.iter().any(|entry| entry.artifact == wanted.artifact),
                    "{step}: it is not here"
                );
                self.exchange(wanted.artifact);
            }
            Step::Deploy { wanted, .. } => self.exchange(wanted.artifact),
            Step::RollBackTo { artifact, .. } => self.exchange(*artifact),
            Step::RefuseRuns => {
                self.runtime_active = false;
                (self.memory.runs_refused, self.refusal_stands) = (true, true);
            }
            Step::AllowRuns => {
                self.runtime_active = true;
                self.memory.runs_refused = false;
            }
        }
        Ok(())
    }

    fn exchange(&mut self, artifact: ArtifactId) {
        self.memory.ask_for(artifact);
        if self.deployments_fail || !self.runtime_active || !self.runtime_up || self.moving {
            self.deploy.failed(self.now.monotonic, BACKOFF, 0.5);
            return;
        }
        self.store.push((0..ARTIFACTS).find(|n| id(*n) == artifact).expect("one of ours"));
        self.deploy.succeeded(self.now.monotonic, Duration::ZERO);
    }

    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Assign(n) => (self.assigned, self.to_leave.0) = (n, None),
            Event::SendAway => {
                self.to_leave.0 = self.assigned.take().or(self.to_leave.0);
            }
            Event::Image(n, true) => {
                self.image.insert(n);
            }
            Event::Image(n, false) => {
                self.image.remove(&n);
            }
            Event::RegistryAnswers(answers) => self.answers = answers,
            Event::DownloadsFail(fail) => self.downloads_fail = fail,
            Event::DeploymentsFail(fail) => self.deployments_fail = fail,
            Event::RuntimeUp(up) => {
                // It starts itself again, and is active then; the bridge hears it after a silence.
                if up && !self.runtime_up {
                    (self.runtime_active, self.refusal_stands) = (true, false);
                }
                self.runtime_up = up;
                self.moving &= up;
            }
            Event::Moving(moving) => self.moving = moving && self.runtime_up,
            Event::Pass(seconds) => self.pass(seconds),
            Event::Kill => {
                (self.download, self.deploy, self.registry) = Default::default();
                self.refusal_stands = false;
                self.asked.clear();
                self.registry.expires_unix_s = self.believed.as_ref().map(|(_, _, expires)| *expires);
            }
            Event::CacheLimit(artifacts) => self.cache_limit_bytes = artifacts * BYTES,
            Event::RollBackByHand => {
                let good = self.store.iter().rev().find(|n| Some(*n) != self.store.last()).copied();
                if let (Some(good), true, false) = (good, self.runtime_up, self.moving) {
                    self.store.push(good);
                    self.left_by_hand = true;
                }
            }
        }
    }

    fn pass(&mut self, seconds: u32) {
        self.now.unix_s += i64::from(seconds);
        self.now.monotonic = self.now.monotonic + Duration::from_millis(u64::from(seconds) * 1_000);
    }

    /// Turns until nothing is left to do now.
    fn settle(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..50 {
            if !self.turn()? {
                return Ok(());
            }
        }
        Err(TestCaseError::fail("the bridge is busy for ever"))
    }

    fn recover(&mut self) -> Result<(), TestCaseError> {
        self.happen(&Event::RuntimeUp(true));
        self.answers = true;
        (self.downloads_fail, self.deployments_fail, self.moving) = (false, false, false);
        for _ in 0..200 {
            self.settle()?;
            self.pass(3_600);
        }
        Ok(())
    }
}

fn artifact_skill(n: u8) -> String {
    artifact(n).skill
}

fn run(events: &[Event], windows: &[&str], then: Then) -> Result<(), TestCaseError> {
    let mut world = World::new(windows, then);
    world.settle()?;
    for event in events {
        world.happen(event);
        world.settle()?;
    }
    world.recover()?;
    let withdrawn = |n: &u8| !world.image.contains(n) || world.to_leave.1 == Some(*n);
    prop_assert!(world.image.is_empty() || world.runtime_active || world.store.last().is_some_and(withdrawn));
    let left = world.memory.left().is_some();
    prop_assert!(!left || world.left_by_hand, "something counts as left by hand that nobody left");
    match world.assigned {
        Some(n) if world.image.contains(&n) && !left => {
            prop_assert_eq!(world.store.last(), Some(&n), "not in step");
        }
        _ => {}
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_cell_without_windows(events in events()) {
        run(&events, &[], Then::Keep)?;
    }

    #[test]
    fn a_cell_with_windows_that_refuses_runs_when_offline_for_too_long(events in events()) {
        run(&events, &["mon-fri 22:00-04:00"], Then::RefuseNewRuns)?;
    }
}

#[test]
fn a_cell_that_is_offline_for_longer_than_its_policy_begins_no_run_until_the_registry_is_back() {
    let mut world = World::new(&[], Then::RefuseNewRuns);
    world.settle().unwrap();
    assert_eq!(world.store, [0]);
    world.answers = false;
    world.pass(KEEP_RUNNING_FOR_S - 60);
    world.settle().unwrap();
    assert!(world.runtime_active);
    world.moving = true;
    world.pass(120);
    world.settle().unwrap();
    assert!(world.runtime_active, "the run in progress ends as it would");
    world.moving = false;
    world.settle().unwrap();
    assert!(!world.runtime_active);
    world.answers = true;
    world.pass(60);
    world.settle().unwrap();
    assert!(world.runtime_active);
}

#[test]
fn what_is_withdrawn_is_left_for_what_was_good_even_if_the_director_insists() {
    let mut world = World::new(&[], Then::Keep);
    world.settle().unwrap();
    world.happen(&Event::Assign(Some(1)));
    world.pass(60);
    world.settle().unwrap();
    assert_eq!(world.store, [0, 1]);
    world.happen(&Event::Image(1, false));
    world.pass(60);
    world.settle().unwrap();
    assert_eq!(world.store, [0, 1, 0]);
    world.happen(&Event::Image(0, false));
    world.pass(60);
    world.settle().unwrap();
    assert!(!world.runtime_active, "nothing that is believed is left");
}

#[test]
fn a_bridge_that_is_killed_after_leaving_what_was_withdrawn_goes_back_to_it_once_it_is_believed_again() {
    let mut world = World::new(&[], Then::Keep);
    world.settle().unwrap();
    for event in [Event::Assign(Some(2)), Event::Pass(60), Event::Image(2, false), Event::Pass(60)] {
        world.happen(&event);
        world.settle().unwrap();
    }
    assert_eq!(world.store, [0, 2, 0]);
    world.happen(&Event::Image(2, true));
    world.happen(&Event::Kill);
    world.settle().unwrap();
    assert_eq!((world.store.as_slice(), world.memory.left()), ([0, 2, 0, 2].as_slice(), None));
}

#[test]
fn who_is_sent_away_goes_to_what_was_good_or_begins_no_run() {
    let mut world = World::new(&["sat 00:00-24:00"], Then::Keep);
    world.pass(86_400);
    world.settle().unwrap();
    world.happen(&Event::Assign(Some(1)));
    world.pass(60);
    world.settle().unwrap();
    assert_eq!(world.store, [0, 1]);
    world.pass(86_400);
    world.happen(&Event::SendAway);
    world.settle().unwrap();
    assert_eq!(world.store, [0, 1, 0], "at once, and not in the window");
    assert!(world.runtime_active);

    let mut first = World::new(&[], Then::Keep);
    first.settle().unwrap();
    assert_eq!(first.store, [0_u8]);
    first.happen(&Event::SendAway);
    first.moving = true;
    first.pass(60);
    first.settle().unwrap();
    assert!(first.runtime_active, "the run in progress ends as it would");
    first.moving = false;
    first.settle().unwrap();
    assert!(!first.runtime_active, "nothing that was good is left");
    first.happen(&Event::Assign(Some(2)));
    first.pass(60);
    first.settle().unwrap();
    assert_eq!((first.store.as_slice(), first.runtime_active), ([0, 2].as_slice(), true));
}

#[test]
fn a_runtime_that_comes_back_active_is_told_again_to_begin_no_run() {
    let mut world = World::new(&[], Then::RefuseNewRuns);
    world.settle().unwrap();
    world.answers = false;
    world.pass(KEEP_RUNNING_FOR_S + 60);
    world.settle().unwrap();
    assert!(!world.runtime_active);
    for up in [false, true] {
        world.happen(&Event::RuntimeUp(up));
        world.pass(5);
        world.settle().unwrap();
    }
    assert!(!world.runtime_active);
}

#[test]
fn a_way_back_waits_for_rest_and_not_for_the_window() {
    // Friday 2027-01-15 09:00 in the cell's time.
    let mut world = World::new(&["sat 00:00-24:00"], Then::Keep);
    world.assigned = Some(2);
    world.settle().unwrap();
    assert_eq!(world.store, [0_u8; 0], "a first skill waits for the window like any other");
    world.pass(86_400);
    world.settle().unwrap();
    assert_eq!(world.store, [2]);
    world.pass(86_400);
    world.assigned = Some(1);
    world.moving = true;
    world.settle().unwrap();
    assert_eq!(world.store, [2]);
    world.moving = false;
    world.settle().unwrap();
    assert_eq!(world.store, [2, 1]);
}

#[test]
fn what_takes_the_place_of_something_withdrawn_does_not_wait_for_the_window() {
    let mut world = World::new(&["sat 00:00-24:00"], Then::Keep);
    world.pass(86_400);
    world.settle().unwrap();
    assert_eq!(world.store, [0]);
    world.pass(86_400);
    world.assigned = Some(1);
    world.settle().unwrap();
    assert_eq!(world.store, [0], "a newer version waits");
    world.happen(&Event::Image(0, false));
    world.pass(60);
    world.settle().unwrap();
    assert_eq!(world.store, [0, 1]);
}

#[test]
fn plans_read_as_sentences() {
    let mut world = World::new(&[], Then::Keep);
    let sentences = |world: &mut World| {
        let (want, runtime) = (world.want(), world.runtime());
        let have = Have {
            runtime: &runtime,
            motion: Motion::AtRest,
            running_believed: Belief::NotAsked,
            last_good_believed: Belief::NotAsked,
            cache: &world.cache,
            cache_limit_bytes: 4 * BYTES,
            registry: &world.registry,
            download: (&world.download, ""),
            deploy: (&world.deploy, ""),
            memory: &world.memory,
            refusal_stands: world.refusal_stands,
        };
        let plan = plan(&have, &want, &world.windows, &world.policy, world.now);
        (plan.steps.iter().map(ToString::to_string).collect::<Vec<_>>(), plan.rest)
    };
    assert_eq!(sentences(&mut world), (vec!["refresh the metadata".to_owned()], Rest::NothingKnown));
    world.turn().unwrap();
    assert_eq!(sentences(&mut world).0, ["download pick 1.0.0", "verify pick 1.0.0", "deploy pick 1.0.0"]);
    world.settle().unwrap();
    assert_eq!(sentences(&mut world), (vec![], Rest::InStep));
    world.happen(&Event::Assign(Some(1)));
    world.pass(60);
    world.settle().unwrap();
    world.happen(&Event::Assign(Some(0)));
    world.pass(60);
    world.turn().unwrap();
    assert_eq!(sentences(&mut world).0, ["have the runtime roll back to 1.0.0"]);
    world.deploy.failed(world.now.monotonic, BACKOFF, 0.0);
    world.cache.clear();
    world.pass(59);
    assert_eq!(
        sentences(&mut world).0,
        ["download pick 1.0.0", "verify pick 1.0.0", "deploy pick 1.0.0, although it is older"]
    );
}
