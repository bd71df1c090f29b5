//! Random fleets with faults. After every step, what must always hold is checked; after the faults have ended, where everybody is.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Bench, SKILL, assigns, digest, name, named, new, old, plan, share, taken_back};
use proptest::prelude::*;
use swarm_api::cell::Health;
use swarm_rollout::{Command, Plan, Stage, State};

/// Seconds between two steps.
const TICK_S: i64 = 5;
/// Faults happen in the first ticks, but not before the roll-out has seen its cells; then there must be an end within so many more.
const FAULTS_END: usize = 120;
const AFTER_FAULTS: usize = 600;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Cannot be heard for so many ticks, and goes on with what it knows.
    Silence(usize),
    BridgeRestarts,
    /// Does not exchange anything for so many ticks.
    Hesitates(usize),
    /// Somebody assigns it something by hand.
    Reassigned,
    Decommissioned,
    Joins,
    Pause,
    Resume,
}

/// What the new artifact does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Artifact {
    Good,
    Crashes,
    Violates,
    Fails,
    /// Takes the cell's network away a moment after it runs.
    Silences,
}

#[derive(Clone, Debug)]
struct Scenario {
    plan: Plan,
    cells: usize,
    artifact: Artifact,
    /// Tick, cell, fault.
    faults: Vec<(usize, usize, Fault)>,
}

/// What a simulated cell does, besides what the bench shows of it.
#[derive(Clone, Debug, Default)]
struct Inside {
    /// What it believes to be assigned; the director's word whenever it is connected.
    knows: Option<String>,
    runs: Option<String>,
    ticks_with_it: usize,
    health: Health,
    silent: usize,
    hesitates: usize,
    restarts: i64,
}

struct Sim {
    bench: Bench,
    inside: BTreeMap<String, Inside>,
    artifact: Artifact,
    by_hand: BTreeSet<String>,
    ever_assigned: BTreeSet<String>,
    ever_ran: BTreeSet<String>,
    counts: Health,
}

impl Sim {
    fn new(scenario: &Scenario) -> Self {
        let bench = Bench::new(scenario.plan.clone(), scenario.cells);
        let mut sim = Self {
            bench,
            inside: BTreeMap::new(),
            artifact: scenario.artifact,
            by_hand: BTreeSet::new(),
            ever_assigned: BTreeSet::new(),
            ever_ran: BTreeSet::new(),
            counts: Health::default(),
        };
        for i in 0..scenario.cells {
            sim.inside.insert(name(i), Inside { runs: Some(old()), ..Inside::default() });
        }
        sim
    }

    fn happens(&mut self, cell: usize, fault: Fault) {
        let site_id = name(cell);
        match fault {
            Fault::Joins => {
                let site_id = format!("joined-{cell:02}");
                if !self.inside.contains_key(&site_id) {
                    self.bench.add(&site_id);
                    self.inside.insert(site_id, Inside { runs: Some(old()), ..Inside::default() });
                }
            }
            // What makes no sense now is refused, and changes nothing.
            Fault::Pause => drop(self.bench.command(&Command::Pause { reason: "a look".to_owned() })),
            Fault::Resume => drop(self.bench.command(&Command::Resume)),
            Fault::Decommissioned => {
                self.bench.cells.remove(&site_id);
                self.inside.remove(&site_id);
            }
            _ => {
                let Some(inside) = self.inside.get_mut(&site_id) else { return };
                match fault {
                    Fault::Silence(ticks) => inside.silent = ticks,
                    Fault::Hesitates(ticks) => inside.hesitates = ticks,
                    Fault::BridgeRestarts => {
                        inside.restarts += 1;
                        inside.health = Health::default();
                    }
                    _ => {
                        self.bench.assign(&site_id, Some(&digest('c')));
                        self.by_hand.insert(site_id);
                    }
                }
            }
        }
    }

    /// Time passes on the cells; those that can be heard report.
    fn cells_act(&mut self) {
        self.bench.now += TICK_S;
        let site_ids: Vec<String> = self.inside.keys().cloned().collect();
        for site_id in site_ids {
            let assigned = self.bench.assigned(&site_id);
            let inside = self.inside.get_mut(&site_id).unwrap();
            let connected = inside.silent == 0;
            inside.silent = inside.silent.saturating_sub(1);
            if connected {
                inside.knows = assigned;
            }
            if inside.hesitates > 0 {
                inside.hesitates -= 1;
            } else if inside.knows.is_some() && inside.knows != inside.runs {
                inside.runs.clone_from(&inside.knows);
                inside.ticks_with_it = 0;
                inside.health = Health::default();
            }
            if inside.runs == Some(new()) {
                self.ever_ran.insert(site_id.clone());
                inside.ticks_with_it += 1;
                let ticks = inside.ticks_with_it;
                inside.health.runs_succeeded += 1;
                match self.artifact {
                    Artifact::Good => {}
                    Artifact::Crashes => inside.health.crashes += u64::from(ticks > 1),
                    Artifact::Violates => inside.health.safety_violations += u64::from(ticks > 1),
                    Artifact::Fails => inside.health.runs_failed += 2 * u64::from(ticks > 1),
                    Artifact::Silences => {
                        if ticks > 1 {
                            inside.silent = usize::MAX;
                        }
                    }
                }
            }
            if connected {
                let (runs, health, restarts) = (inside.runs.clone(), inside.health, inside.restarts);
                self.bench.runs_artifact(&site_id, &runs.unwrap());
                *self.bench.health(&site_id) = health;
                self.bench.report(&site_id).started_unix = 1_000 + restarts;
            }
        }
    }

    /// One step, and what holds after each.
    fn step(&mut self) {
        let before = self.bench.rollout.clone();
        let actions = self.bench.step();
        let after = &self.bench.rollout;
        let (given, back) = (assigns(&actions), taken_back(&actions));

        let touched: Vec<&String> = given.iter().chain(back.iter().map(|(site_id, _)| site_id)).collect();
        assert_eq!(
            touched.iter().collect::<BTreeSet<_>>().len(),
            touched.len(),
            "twice in one step: {touched:?}"
        );
        assert!(given.is_empty() || !before.state.has_ended(), "{} assigns", before.state.name());
        assert!(given.is_empty() || before.state.name() != "paused", "paused assigns");
        for site_id in &given {
            assert!(!self.by_hand.contains(site_id), "{site_id} was assigned by hand");
            let done = matches!(after.state, State::Done { .. });
            assert!(
                done || self.inside[site_id].silent == 0 || self.bench.online().contains(site_id),
                "{site_id} is away"
            );
            self.ever_assigned.insert(site_id.clone());
        }
        for (site_id, to) in &back {
            assert!(!self.by_hand.contains(site_id), "{site_id} was assigned by hand");
            assert_eq!(*to, Some(old()), "{site_id} goes back to what it never had");
        }
        if let Some(stage) = after.state.stage() {
            let most = places(&after.plan.stages[..=stage], after.members.len());
            let held = after.members.values().filter(|member| member.standing.holds()).count();
            assert!(held <= most, "{held} cells have it in stage {stage}, and {most} may");
        } else if self.bench.has_failed() {
            assert_eq!(self.bench.assigned_to(&new()), [] as [String; 0], "left behind by a failure");
        }
        let counts = after.counts;
        assert!(counts.crashes >= self.counts.crashes && counts.runs_failed >= self.counts.runs_failed);
        assert!(counts.safety_violations >= self.counts.safety_violations);
        assert!(counts.runs_succeeded >= self.counts.runs_succeeded);
        self.counts = counts;
    }

    fn run(&mut self, scenario: &Scenario) {
        let ended = |sim: &Self| sim.bench.rollout.state.has_ended();
        for tick in 0..FAULTS_END + AFTER_FAULTS {
            for &(_, cell, fault) in scenario.faults.iter().filter(|(at, ..)| *at == tick) {
                self.happens(cell, fault);
            }
            if tick == FAULTS_END {
                drop(self.bench.command(&Command::Resume));
            }
            self.cells_act();
            self.step();
            if tick > FAULTS_END && ended(self) {
                break;
            }
        }
        // Cells follow the last word in a few ticks, once nothing holds them up that passes.
        for inside in self.inside.values_mut().filter(|inside| inside.silent != usize::MAX) {
            (inside.silent, inside.hesitates) = (0, 0);
        }
        for _ in 0..30 {
            self.cells_act();
            self.step();
        }
    }

    /// Everybody who can be heard runs what the director says, which is one of few things.
    fn assert_everybody_arrived(&self) {
        for (site_id, inside) in &self.inside {
            let assigned = self.bench.assigned(site_id);
            if inside.silent == 0 {
                assert_eq!(inside.runs, assigned, "{site_id} runs something else than it is assigned");
            }
            let expected = match self.bench.rollout.members.get(site_id).map(|member| &member.standing) {
                _ if self.by_hand.contains(site_id) => digest('c'),
                Some(standing) if standing.holds() => new(),
                _ => old(),
            };
            assert_eq!(assigned, Some(expected), "{site_id}");
        }
    }
}

/// How many of `count` cells may have it in the last of these stages.
fn places(stages: &[Stage], count: usize) -> usize {
    let percent = stages.iter().filter_map(|stage| stage.percent).max().unwrap_or(0);
    let named: usize = stages.iter().filter_map(|stage| stage.cells.as_ref()).map(Vec::len).sum();
    (count * usize::from(percent)).div_ceil(100) + named
}

fn plans() -> impl Strategy<Value = Plan> {
    let shares = prop::collection::btree_set(1_u8..100, 0..4);
    (shares, any::<u32>(), 0_u64..90, 0_u64..15, prop::option::of(0_usize..8)).prop_map(
        |(shares, seed, observe_s, min_runs, bench)| {
            let mut stages: Vec<Stage> =
                shares.iter().map(|&percent| share(&format!("{percent} %"), percent)).collect();
            if let Some(cell) = bench {
                stages.insert(0, named("bench", &[&name(cell)]));
            }
            stages.push(share("all", 100));
            let mut plan = plan(stages);
            plan.seed = seed.into();
            plan.take_up_s = 60;
            plan.gates.observe_s = 30 + observe_s;
            plan.gates.min_runs = min_runs;
            plan.gates.min_success_rate = 0.8;
            plan
        },
    )
}

/// What happens to cells without anybody's doing.
fn mishaps() -> impl Strategy<Value = Fault> {
    prop_oneof![
        (1_usize..40).prop_map(Fault::Silence),
        Just(Fault::BridgeRestarts),
        (1_usize..40).prop_map(Fault::Hesitates),
        Just(Fault::Joins),
    ]
}

/// And what people do.
fn interventions() -> impl Strategy<Value = Fault> {
    prop_oneof![Just(Fault::Reassigned), Just(Fault::Decommissioned), Just(Fault::Pause), Just(Fault::Resume),]
}

fn scenarios(
    artifact: impl Strategy<Value = Artifact>,
    fault: impl Strategy<Value = Fault>,
) -> impl Strategy<Value = Scenario> {
    let faults = prop::collection::vec((1..FAULTS_END, 0_usize..24, fault), 0..30);
    // Eight cells at least, so that the one that may be named is there.
    (plans(), 8_usize..24, artifact, faults).prop_map(|(plan, cells, artifact, faults)| Scenario {
        plan,
        cells,
        artifact,
        faults,
    })
}

fn bad() -> impl Strategy<Value = Artifact> {
    prop_oneof![
        Just(Artifact::Crashes),
        Just(Artifact::Violates),
        Just(Artifact::Fails),
        Just(Artifact::Silences)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn a_good_artifact_always_gets_everywhere(scenario in scenarios(Just(Artifact::Good), mishaps())) {
        let mut sim = Sim::new(&scenario);
        sim.run(&scenario);
        prop_assert_eq!(sim.bench.rollout.state.name(), "done", "{:?}", sim.bench.notes);
        sim.assert_everybody_arrived();
        let without: Vec<&String> = sim.inside.iter().filter(|(_, cell)| cell.runs != Some(new())).map(|(id, _)| id).collect();
        // Whoever joins after the end is no longer meant.
        prop_assert!(without.iter().all(|site_id| !sim.bench.rollout.members.contains_key(*site_id)), "{without:?}");
    }

    #[test]
    fn a_bad_artifact_never_gets_past_its_first_stage(
        scenario in scenarios(bad(), prop_oneof![3 => mishaps(), 1 => interventions()])
    ) {
        let mut sim = Sim::new(&scenario);
        sim.run(&scenario);
        let first = &scenario.plan.stages[..1];
        let most = places(first, sim.bench.rollout.members.len());
        prop_assert!(sim.ever_assigned.len() <= most, "{:?} were assigned it, and {most} may", sim.ever_assigned);
        prop_assert!(sim.ever_ran.is_subset(&sim.ever_assigned), "{:?} ran it", sim.ever_ran);
        prop_assert_ne!(sim.bench.rollout.state.name(), "done");
        if sim.bench.has_failed() {
            sim.assert_everybody_arrived();
            prop_assert_eq!(&sim.bench.quarantined, &[new()]);
        }
    }

    /// Without people's doing, and where the artifact lets the cells speak, the gates see it.
    #[test]
    fn a_bad_artifact_is_always_found_out(
        scenario in scenarios(bad().prop_filter("speaks", |it| *it != Artifact::Silences), mishaps())
    ) {
        let mut sim = Sim::new(&scenario);
        sim.run(&scenario);
        prop_assert!(sim.bench.has_failed(), "{:?}, {:?}", sim.bench.rollout.state, sim.bench.notes);
        sim.assert_everybody_arrived();
    }

    #[test]
    fn whatever_people_do_everybody_arrives_somewhere(
        scenario in scenarios(Just(Artifact::Good), prop_oneof![mishaps(), interventions()])
    ) {
        let mut sim = Sim::new(&scenario);
        sim.run(&scenario);
        prop_assert!(!sim.bench.has_failed(), "{:?}", sim.bench.notes);
        sim.assert_everybody_arrived();
        prop_assert_eq!(SKILL, &sim.bench.rollout.skill_name);
    }
}
