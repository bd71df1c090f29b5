//! Replaying: every verdict derived again with the production `step`, from the recorded arguments alone.

use swarm_safety_core::wire::{Difference, first_difference};
use swarm_safety_core::{Config, State, Verdict, step};

use crate::record::{ConfigureError, Cycle, Header, Record};

/// What came out of a replay.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replayed {
    /// Cycles in the files.
    pub cycles: u64,
    /// Of them: derived again, the same in every bit.
    pub exact: u64,
    /// Of them: derived again, and different.
    pub different: u64,
    /// Of them: with no state to begin from, because none was recorded before them or entries were lost.
    pub without_state: u64,
    /// Recorded states that a replay had come to, and those that were the same in every bit.
    pub states: u64,
    pub states_exact: u64,
    pub first_difference: Option<Differs>,
}

/// Where recorded and derived are not the same; left is recorded, right is derived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differs {
    pub cycle: u64,
    /// `verdict` or `state`.
    pub what: &'static str,
    pub difference: Difference,
}

impl Replayed {
    /// Every cycle was derived again, and nothing was different.
    pub fn is_exact(&self) -> bool {
        self.exact == self.cycles && self.states == self.states_exact
    }
}

/// A replay under way: hand it the records of the files in their order.
#[derive(Debug)]
pub struct Replay {
    header: Header,
    ceiling: Config,
    config: Config,
    state: Option<State>,
    found: Replayed,
}

impl Replay {
    /// Begins with the header of the first file.
    pub fn begin(header: Header) -> Result<Self, ConfigureError> {
        let ceiling = header.ceiling_config()?;
        let config = header.config_under(&ceiling, &header.limits)?;
        Ok(Self { header, ceiling, config, state: None, found: Replayed::default() })
    }

    /// Limits in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Takes the next record. Gives the derived verdict of a cycle.
    pub fn take(&mut self, record: &Record) -> Result<Option<Verdict>, ConfigureError> {
        match record {
            Record::Header(header) => self.go_on(header)?,
            Record::Limits(limits) => self.config = self.header.config_under(&self.ceiling, limits)?,
            Record::Snapshot(state) => self.compare_state(state),
            Record::Lost(_) => self.state = None,
            Record::Cycle(cycle) => return Ok(self.step(cycle)),
            Record::Close(_) | Record::Seal(_) | Record::Removed(_) => {}
        }
        Ok(None)
    }

    /// What was found so far.
    pub fn found(&self) -> &Replayed {
        &self.found
    }

    /// A further file of the series.
    fn go_on(&mut self, header: &Header) -> Result<(), ConfigureError> {
        let same_place = |header: &Header| Header { place: crate::Place::default(), ..header.clone() };
        let same_start =
            Header { limits: self.header.limits.clone(), ..same_place(header) } == same_place(&self.header);
        if same_start {
            self.config = header.config_under(&self.ceiling, &header.limits)?;
        } else {
            let found = std::mem::take(&mut self.found);
            *self = Self { found, ..Self::begin(header.clone())? };
        }
        Ok(())
    }

    #[expect(clippy::maybe_infinite_iter, reason = "the cycle of a state is a number, no iterator")]
    fn compare_state(&mut self, recorded: &State) {
        let before = self.state.replace(*recorded);
        if let Some(derived) = before
            && derived.cycle() == recorded.cycle()
        {
            self.found.states += 1;
            match first_difference(recorded, &derived) {
                None => self.found.states_exact += 1,
                Some(difference) => self.differs(recorded.cycle(), "state", difference),
            }
        }
    }

    fn step(&mut self, cycle: &Cycle) -> Option<Verdict> {
        self.found.cycles += 1;
        let number = cycle.verdict.cycle;
        // A gap that nobody has noted: the state is not that before this cycle.
        let Some(state) = self.state.filter(|state| state.cycle() + 1 == number) else {
            self.found.without_state += 1;
            self.state = None;
            return None;
        };
        let (state, verdict) = step(&self.config, &state, &cycle.inputs, cycle.now);
        self.state = Some(state);
        match first_difference(&cycle.verdict, &verdict) {
            None => self.found.exact += 1,
            Some(difference) => {
                self.found.different += 1;
                self.differs(number, "verdict", difference);
            }
        }
        Some(verdict)
    }

    fn differs(&mut self, cycle: u64, what: &'static str, difference: Difference) {
        self.found.first_difference.get_or_insert(Differs { cycle, what, difference });
    }
}
