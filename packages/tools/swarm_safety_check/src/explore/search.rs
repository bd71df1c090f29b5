//! Breadth-first searches over worlds, with stateright.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use stateright::{Checker as _, HasDiscoveries, Model, Property};
use swarm_safety_core::{EnvelopeFile, SafetyState, Timing, Tolerances};

use super::alphabet::{Action, Alphabet, Asked, Joints, Letter, Press};
use super::invariants::{self, RESETTABLE};
use super::key;
use super::world::{PERIOD, Transition, World};
use crate::cell::{Ceiling, Cell, CellError, People, Shapes, Timeouts, cell};

/// Cycles within which a healthy cell must have become ready: what an absurd position leaves in the check of positions
/// against velocities fades in less.
const RESET_WITHIN: usize = 600;

/// The ceiling that is explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Stops are held until a reset; people are looked for.
    People,
    /// A protective stop ends by itself; nobody is looked for.
    Releasing,
}

/// Where a search begins; each is the end of a healthy history, so that depth is spent on what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The monitor has just started.
    Cold,
    Ready,
    /// All arms at full speed.
    Running,
    /// All arms braking after a press that is still held.
    Pressed,
    /// One arm goes on moving after a stop, for so long that the stop should deepen.
    Runaway,
}

/// One search.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    pub variant: Variant,
    pub start: Start,
    pub alphabet: Alphabet,
    /// Cycles of the longest histories; `None`: until nothing is new.
    pub depth: Option<usize>,
}

/// What a search found.
#[derive(Debug)]
pub struct Outcome {
    pub search: Search,
    pub transitions: u64,
    /// Keys, each with one representative.
    pub states: u64,
    /// The cycles that lead to a broken invariant, and which; `None` if all hold.
    pub broken: Option<String>,
    /// Safety states and causes that were reached, one bit each.
    pub reached: u64,
}

/// The model that stateright walks.
#[derive(Debug)]
pub struct Explorer {
    /// Under the two sets of limits.
    cells: Vec<Cell>,
    actions: Vec<Action>,
    search: Search,
    reached: AtomicU64,
}

impl Explorer {
    pub fn new(search: Search) -> Result<Self, CellError> {
        let cells = cells(search.variant)?;
        let actions = search.alphabet.actions(search.variant == Variant::People);
        Ok(Self { cells, actions, search, reached: AtomicU64::new(0) })
    }

    fn go(&self, world: &World, action: &Action) -> World {
        world.next(&self.cells, action, |transition| {
            self.note(transition);
            invariants::broken(transition)
        })
    }

    fn note(&self, transition: &Transition<'_>) {
        let state = 1 << (40 + transition.verdict.state as u32);
        let cause = transition.verdict.cause.map_or(0, |cause| 1 << key::index(cause.kind));
        if self.reached.load(Ordering::Relaxed) & (state | cause) != (state | cause) {
            self.reached.fetch_or(state | cause, Ordering::Relaxed);
        }
    }

    /// The world in which a search begins.
    fn begin(&self) -> World {
        let letter = |work, letter| Action { work, letters: [Some(letter), None] };
        let mut world = World::new(&self.cells[0]);
        let mut go = |count: usize, action: Action| {
            for _ in 0..count {
                world = self.go(&world, &action);
            }
        };
        if self.search.start != Start::Cold {
            go(1, Action::healthy(false));
            go(1, letter(false, Letter::Reset(Asked::Present)));
        }
        if !matches!(self.search.start, Start::Cold | Start::Ready) {
            go(4, Action::healthy(true));
        }
        match self.search.start {
            Start::Cold | Start::Ready | Start::Running => {}
            Start::Pressed => go(1, letter(true, Letter::EmergencyStop(Press::Held))),
            Start::Runaway => go(8, letter(false, Letter::Joints(0, Joints::Stray))),
        }
        world.depth = 0;
        world
    }

    /// From here, would a healthy cell at rest let itself be reset?
    fn resettable(&self, world: &World) -> bool {
        let mut world = self.go(
            world,
            &Action { work: false, letters: [Some(Letter::EmergencyStop(Press::Released)), None] },
        );
        let reset = Action { work: false, letters: [Some(Letter::Reset(Asked::Present)), None] };
        for _ in 0..RESET_WITHIN {
            if world.state.state() == SafetyState::Ready {
                return true;
            }
            world = self.go(&world, &reset);
        }
        false
    }
}

impl Model for Explorer {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![self.begin()]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if self.search.depth.is_none_or(|depth| world.depth < depth) {
            actions.extend(&self.actions);
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        Some(self.go(world, &action))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("every invariant", |_, world: &World| world.broken == 0),
            Property::always(RESETTABLE.0, |explorer: &Self, world| explorer.resettable(world)),
        ]
    }
}

/// Runs one search to its end, or to the first broken invariant.
pub fn explore(search: Search) -> Result<Outcome, CellError> {
    // The depth is the model's own: stateright's leaves the last step unjudged.
    let checker = Explorer::new(search)?.checker().finish_when(HasDiscoveries::AnyFailures);
    // One thread: with more, the first representative of a key, and so the count, would depend on the scheduler.
    let checker = checker.threads(1).spawn_bfs().join();
    let broken = checker.discoveries().into_iter().next().map(|(property, path)| {
        let last = path.last_state();
        let names = invariants::names(last.broken);
        let what = if names.is_empty() { property.to_owned() } else { names.join(", ") };
        let cycles: Vec<String> = path.into_actions().iter().map(Action::to_string).collect();
        format!("{what}: from {search}: {}", cycles.join("; "))
    });
    let model = checker.model();
    Ok(Outcome {
        search,
        transitions: checker.state_count() as u64,
        states: checker.unique_state_count() as u64,
        broken,
        reached: model.reached.load(Ordering::Relaxed),
    })
}

/// Runs searches side by side, in the order given; `say` hears of each as it ends.
pub fn explore_all(
    searches: &[Search],
    threads: usize,
    say: &(dyn Fn(&Outcome) + Sync),
) -> Result<Vec<Outcome>, CellError> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut outcomes = Vec::new();
        while let Some(search) = searches.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = explore(*search)?;
            say(&outcome);
            outcomes.push(outcome);
        }
        Ok::<_, CellError>(outcomes)
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::new();
        for worker in workers {
            all.extend(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(all)
    })
}

/// Safety states and causes that any of these met.
pub fn reached(outcomes: &[Outcome]) -> Vec<&'static str> {
    let bits = outcomes.iter().fold(0, |bits, outcome| bits | outcome.reached);
    let states = SafetyState::ALL
        .iter()
        .filter(|state| bits & (1 << (40 + **state as u32)) != 0)
        .map(|state| state.name());
    let causes =
        key::CAUSES.iter().filter(|kind| bits & (1 << key::index(**kind)) != 0).map(|kind| kind.code());
    states.chain(causes).collect()
}

/// How much is explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Half a minute on one core.
    Short,
    /// More than 10^8 transitions.
    Whole,
}

/// The searches of an extent: each alphabet to its depth, from every start under every ceiling.
pub fn searches(extent: Extent) -> Vec<Search> {
    let alphabets: &[(Alphabet, usize)] = match extent {
        Extent::Short => &[(Alphabet::Pairs, 1), (Alphabet::Single, 2)],
        Extent::Whole => &[(Alphabet::Pairs, 2), (Alphabet::PairsOfArm(0), 3), (Alphabet::Single, 3)],
    };
    let starts = [Start::Cold, Start::Ready, Start::Running, Start::Pressed, Start::Runaway];
    let mut all = Vec::new();
    for (alphabet, depth) in alphabets {
        for variant in [Variant::People, Variant::Releasing] {
            let begin = |start| Search { variant, start, alphabet: *alphabet, depth: Some(*depth) };
            all.extend(starts.map(begin));
        }
    }
    all.extend(unbounded(extent));
    all
}

/// Searches that end by themselves, when nothing is new: of any length, from the start of the monitor.
fn unbounded(extent: Extent) -> Vec<Search> {
    let whole = |(variant, alphabet)| Search { variant, start: Start::Cold, alphabet, depth: None };
    let few = [(Variant::Releasing, Alphabet::Operator), (Variant::Releasing, Alphabet::StopsOfArm(0))];
    let more = [
        (Variant::People, Alphabet::Operator),
        (Variant::People, Alphabet::StopsOfArm(0)),
        (Variant::Releasing, Alphabet::StopsOfArm(1)),
        (Variant::Releasing, Alphabet::StopsOfArm(2)),
    ];
    match extent {
        Extent::Short => few.map(whole).to_vec(),
        Extent::Whole => few.into_iter().chain(more).map(whole).collect(),
    }
}

/// The explored cell under its ceiling, and under a skill's tighter limits.
fn cells(variant: Variant) -> Result<Vec<Cell>, CellError> {
    let period = PERIOD.as_secs_f64();
    let (people, release_after_s) = match variant {
        Variant::People => (People::OneZone, None),
        Variant::Releasing => (People::Unmonitored, Some(3.0 * period)),
    };
    let ceiling = Ceiling {
        timeouts: Timeouts::Of { joint_state: 2.0 * period, wrench: 2.0 * period, command: 3.0 * period },
        presence_s: 3.0 * period,
        people,
        release_after_s,
    };
    let timing = Timing { max_cycle_gap_s: 2.5 * period, ..Timing::every(period) };
    let tolerances = Tolerances { response_s: 2.0 * period, follow_s: 4.0 * period, ..Tolerances::default() };
    let wide = cell(Shapes::Outermost, &ceiling, timing, tolerances)?;
    let file = EnvelopeFile::parse("schema: 1\nrobots: {ur5e_left: {joints: {velocity_rad_s: 0.1}}}")
        .map_err(|error| CellError::Config(error.to_string()))?;
    let config = wide.config.with_envelope(Some(&file), &[], 1);
    let config = config.map_err(|error| CellError::Config(error.to_string()))?;
    let tight = Cell { config, ..wide.clone() };
    Ok(vec![wide, tight])
}

impl fmt::Display for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { variant, start, alphabet, depth } = self;
        write!(f, "{variant:?} {start:?} {alphabet:?}")?;
        match depth {
            Some(depth) => write!(f, " of {depth} cycles"),
            None => f.write_str(" of any length"),
        }
    }
}
