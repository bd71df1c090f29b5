//! States and transitions of a managed node as one table; ids and labels are those of `lifecycle_msgs` and `rcl_lifecycle`
//! (`rcl_lifecycle/src/default_state_machine.c`), so that upstream's tools show the same graph.

use super::PrimaryState;

/// Every state, resting or passing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Unknown,
    Unconfigured,
    Inactive,
    Active,
    Finalized,
    Configuring,
    CleaningUp,
    ShuttingDown,
    Activating,
    Deactivating,
    ErrorProcessing,
}

impl State {
    pub const ALL: [Self; 11] = [
        Self::Unknown,
        Self::Unconfigured,
        Self::Inactive,
        Self::Active,
        Self::Finalized,
        Self::Configuring,
        Self::CleaningUp,
        Self::ShuttingDown,
        Self::Activating,
        Self::Deactivating,
        Self::ErrorProcessing,
    ];

    /// Id of the state in `lifecycle_msgs/msg/State`.
    pub const fn id(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Unconfigured => 1,
            Self::Inactive => 2,
            Self::Active => 3,
            Self::Finalized => 4,
            Self::Configuring => 10,
            Self::CleaningUp => 11,
            Self::ShuttingDown => 12,
            Self::Activating => 13,
            Self::Deactivating => 14,
            Self::ErrorProcessing => 15,
        }
    }

    pub const fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Unconfigured => "unconfigured",
            Self::Inactive => "inactive",
            Self::Active => "active",
            Self::Finalized => "finalized",
            Self::Configuring => "configuring",
            Self::CleaningUp => "cleaningup",
            Self::ShuttingDown => "shuttingdown",
            Self::Activating => "activating",
            Self::Deactivating => "deactivating",
            Self::ErrorProcessing => "errorprocessing",
        }
    }

    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.id() == id)
    }

    /// The resting state that this is, if it is one.
    pub const fn primary(self) -> Option<PrimaryState> {
        match self {
            Self::Unconfigured => Some(PrimaryState::Unconfigured),
            Self::Inactive => Some(PrimaryState::Inactive),
            Self::Active => Some(PrimaryState::Active),
            Self::Finalized => Some(PrimaryState::Finalized),
            _ => None,
        }
    }
}

/// One transition: asked for (ids below 10) or the outcome of one (10 and above).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    pub id: u8,
    pub label: &'static str,
    pub start: State,
    pub goal: State,
}

/// How the work of a transition ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Success,
    Failure,
    Error,
}

impl Outcome {
    const fn label(self) -> &'static str {
        match self {
            Self::Success => SUCCESS,
            Self::Failure => FAILURE,
            Self::Error => ERROR,
        }
    }
}

/// First id of an outcome; clients ask for transitions below it only.
const FIRST_OUTCOME: u8 = 10;

const SUCCESS: &str = "transition_success";
const FAILURE: &str = "transition_failure";
const ERROR: &str = "transition_error";

const fn edge(id: u8, label: &'static str, start: State, goal: State) -> Edge {
    Edge { id, label, start, goal }
}

/// The whole graph.
pub const GRAPH: [Edge; 25] = {
    use State::{
        Activating, Active, CleaningUp, Configuring, Deactivating, ErrorProcessing, Finalized, Inactive,
        ShuttingDown, Unconfigured,
    };
    [
        edge(1, "configure", Unconfigured, Configuring),
        edge(10, SUCCESS, Configuring, Inactive),
        edge(11, FAILURE, Configuring, Unconfigured),
        edge(12, ERROR, Configuring, ErrorProcessing),
        edge(2, "cleanup", Inactive, CleaningUp),
        edge(20, SUCCESS, CleaningUp, Unconfigured),
        edge(21, FAILURE, CleaningUp, Inactive),
        edge(22, ERROR, CleaningUp, ErrorProcessing),
        edge(3, "activate", Inactive, Activating),
        edge(30, SUCCESS, Activating, Active),
        edge(31, FAILURE, Activating, Inactive),
        edge(32, ERROR, Activating, ErrorProcessing),
        edge(4, "deactivate", Active, Deactivating),
        edge(40, SUCCESS, Deactivating, Inactive),
        edge(41, FAILURE, Deactivating, Active),
        edge(42, ERROR, Deactivating, ErrorProcessing),
        edge(5, "shutdown", Unconfigured, ShuttingDown),
        edge(6, "shutdown", Inactive, ShuttingDown),
        edge(7, "shutdown", Active, ShuttingDown),
        edge(50, SUCCESS, ShuttingDown, Finalized),
        edge(51, FAILURE, ShuttingDown, Finalized),
        edge(52, ERROR, ShuttingDown, ErrorProcessing),
        edge(60, SUCCESS, ErrorProcessing, Unconfigured),
        edge(61, FAILURE, ErrorProcessing, Finalized),
        edge(62, ERROR, ErrorProcessing, Finalized),
    ]
};

/// A transition that the present state does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no transition '{asked}' from state '{}'; possible now: {possible}", state.label())]
pub struct RefusedTransition {
    pub state: State,
    /// Label or id that was asked for.
    pub asked: String,
    /// Labels that are possible, separated by commas.
    pub possible: String,
}

/// Where a node is in the graph.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    state: State,
}

impl Default for Machine {
    fn default() -> Self {
        Self { state: State::Unconfigured }
    }
}

impl Machine {
    pub const fn state(&self) -> State {
        self.state
    }

    /// Transitions that a client may ask for now.
    pub fn possible(&self) -> impl Iterator<Item = &'static Edge> {
        let state = self.state;
        GRAPH.iter().filter(move |edge| edge.start == state && edge.id < FIRST_OUTCOME)
    }

    /// The edge that a client asks for, by id, or by label where the id is 0.
    pub fn requested(&self, id: u8, label: &str) -> Result<&'static Edge, RefusedTransition> {
        let by_label = id == 0;
        self.possible().find(|edge| if by_label { edge.label == label } else { edge.id == id }).ok_or_else(
            || {
                let possible: Vec<_> = self.possible().map(|edge| edge.label).collect();
                RefusedTransition {
                    state: self.state,
                    asked: if by_label { label.to_owned() } else { id.to_string() },
                    possible: if possible.is_empty() { "none".to_owned() } else { possible.join(", ") },
                }
            },
        )
    }

    /// The edge that leads out of a passing state; none from a resting one.
    pub fn outcome(&self, outcome: Outcome) -> Option<&'static Edge> {
        GRAPH.iter().find(|edge| edge.start == self.state && edge.label == outcome.label())
    }

    /// Moves along `edge`.
    pub(super) fn take(&mut self, edge: &'static Edge) {
        debug_assert_eq!(edge.start, self.state);
        self.state = edge.goal;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_passing_state_has_all_three_outcomes() {
        for state in State::ALL.into_iter().filter(|state| state.id() >= State::Configuring.id()) {
            let machine = Machine { state };
            for outcome in [Outcome::Success, Outcome::Failure, Outcome::Error] {
                assert!(machine.outcome(outcome).is_some(), "{state:?} {outcome:?}");
            }
        }
    }

    #[test]
    fn finalized_is_the_end() {
        let machine = Machine { state: State::Finalized };
        assert_eq!(machine.possible().count(), 0);
        assert!(GRAPH.iter().all(|edge| edge.start != State::Finalized));
    }

    #[test]
    fn ids_are_unique() {
        for (n, edge) in GRAPH.iter().enumerate() {
            assert!(GRAPH[n + 1..].iter().all(|other| other.id != edge.id), "{edge:?}");
        }
    }

    #[test]
    fn an_impossible_transition_names_the_possible_ones() {
        let error = Machine::default().requested(0, "activate").unwrap_err();
        assert_eq!(
            error.to_string(),
            "no transition 'activate' from state 'unconfigured'; possible now: configure, shutdown"
        );
    }

    #[test]
    fn an_outcome_cannot_be_asked_for() {
        let machine = Machine { state: State::Configuring };
        assert!(machine.requested(10, "").is_err());
        assert!(machine.requested(0, SUCCESS).is_err());
    }
}
