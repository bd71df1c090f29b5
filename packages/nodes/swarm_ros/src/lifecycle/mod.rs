//! Managed life cycle: the state machine of `lifecycle_msgs`, as `ros2 lifecycle` and launch's life-cycle events expect it.
//! <https://design.ros2.org/articles/node_lifecycle.html>
//!
//! [`machine`] holds states and transitions as one table and no ROS; [`Managed`] is what a node does in each transition;
//! `services` offers the machine to the graph. A node's worker threads read [`LifecycleState`] to know whether they may act.

pub mod machine;
pub(crate) mod services;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use machine::{Edge, Machine, Outcome, RefusedTransition, State};

/// States in which a node rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrimaryState {
    Unconfigured,
    Inactive,
    Active,
    Finalized,
}

/// Why a transition was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransitionError {
    /// The node stays in the state it came from and may be asked again, e.g. after a file was mended.
    #[error("{0}")]
    Failed(String),
    /// The node cannot tell what state it is in: it goes through [`Managed::on_error`].
    #[error("{0}")]
    Broken(String),
}

impl TransitionError {
    pub fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What a node does when its life cycle changes. Runs on the spin thread.
#[allow(unused_variables)]
pub trait Managed: Send {
    /// Reads files, builds what activation needs.
    fn on_configure(&mut self) -> Result<(), TransitionError> {
        Ok(())
    }
    /// Begins to act.
    fn on_activate(&mut self) -> Result<(), TransitionError> {
        Ok(())
    }
    /// Stops acting, keeps what was configured.
    fn on_deactivate(&mut self) -> Result<(), TransitionError> {
        Ok(())
    }
    /// Gives up what was configured.
    fn on_cleanup(&mut self) -> Result<(), TransitionError> {
        Ok(())
    }
    /// Last chance to bring the outside into a safe state; also called at the end of the process.
    fn on_shutdown(&mut self, from: PrimaryState) -> Result<(), TransitionError> {
        Ok(())
    }
    /// After a [`TransitionError::Broken`]: `Ok` leads to Unconfigured, an error to Finalized.
    fn on_error(&mut self, error: &TransitionError) -> Result<(), TransitionError> {
        Err(error.clone())
    }
}

/// The node's state, for its other threads. Clones share it.
#[derive(Clone, Debug)]
pub struct LifecycleState {
    id: Arc<AtomicU8>,
}

impl Default for LifecycleState {
    fn default() -> Self {
        Self { id: Arc::new(AtomicU8::new(State::Unconfigured.id())) }
    }
}

impl LifecycleState {
    pub fn is_active(&self) -> bool {
        self.id.load(Ordering::SeqCst) == State::Active.id()
    }

    /// Name of the state, as in `lifecycle_msgs`.
    pub fn label(&self) -> &'static str {
        State::from_id(self.id.load(Ordering::SeqCst)).map_or("unknown", State::label)
    }

    pub(crate) fn set(&self, state: State) {
        self.id.store(state.id(), Ordering::SeqCst);
    }
}

/// A machine, the node it moves, and who is told of every edge taken.
pub struct Lifecycle {
    machine: Machine,
    node: Box<dyn Managed>,
    state: LifecycleState,
    on_edge: Box<dyn FnMut(&'static Edge) + Send>,
}

impl std::fmt::Debug for Lifecycle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lifecycle").field("machine", &self.machine).finish_non_exhaustive()
    }
}

impl Lifecycle {
    pub fn new(
        node: Box<dyn Managed>,
        state: LifecycleState,
        on_edge: impl FnMut(&'static Edge) + Send + 'static,
    ) -> Self {
        let machine = Machine::default();
        state.set(machine.state());
        Self { machine, node, state, on_edge: Box::new(on_edge) }
    }

    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Makes the transition that a client names by id, or by label where the id is 0, as `rclcpp_lifecycle` does.
    /// `Ok(true)` if its goal was reached, `Ok(false)` if the node could not make it.
    pub fn change(&mut self, id: u8, label: &str) -> Result<bool, RefusedTransition> {
        let edge = self.machine.requested(id, label)?;
        let from = self.machine.state().primary();
        self.take(edge);
        let result = match edge.goal {
            State::Configuring => self.node.on_configure(),
            State::Activating => self.node.on_activate(),
            State::Deactivating => self.node.on_deactivate(),
            State::CleaningUp => self.node.on_cleanup(),
            State::ShuttingDown => self.node.on_shutdown(from.unwrap_or(PrimaryState::Unconfigured)),
            _ => Ok(()),
        };
        match result {
            Ok(()) => self.finish(Outcome::Success),
            Err(error @ TransitionError::Failed(_)) => {
                tracing::error!(state = from_label(from), "transition '{}' failed: {error}", edge.label);
                self.finish(Outcome::Failure);
                return Ok(false);
            }
            Err(error @ TransitionError::Broken(_)) => {
                tracing::error!(state = from_label(from), "transition '{}' broke: {error}", edge.label);
                self.finish(Outcome::Error);
                let recovered = self.node.on_error(&error);
                self.finish(if recovered.is_ok() { Outcome::Success } else { Outcome::Failure });
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Brings the node from wherever it is to Finalized; for the end of the process.
    pub fn end(&mut self) {
        for label in ["deactivate", "shutdown"] {
            if self.machine.requested(0, label).is_ok() {
                // Known to be allowed; whether the node managed to do it has been logged.
                let _ = self.change(0, label);
            }
        }
    }

    fn finish(&mut self, outcome: Outcome) {
        if let Some(edge) = self.machine.outcome(outcome) {
            self.take(edge);
        }
    }

    fn take(&mut self, edge: &'static Edge) {
        self.machine.take(edge);
        self.state.set(self.machine.state());
        (self.on_edge)(edge);
    }
}

fn from_label(state: Option<PrimaryState>) -> &'static str {
    match state {
        Some(PrimaryState::Unconfigured) => "unconfigured",
        Some(PrimaryState::Inactive) => "inactive",
        Some(PrimaryState::Active) => "active",
        Some(PrimaryState::Finalized) => "finalized",
        None => "in transition",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A node whose activation can be made to fail or break.
    struct Moody {
        activation: Result<(), TransitionError>,
        recovers: bool,
        log: Arc<Mutex<Vec<&'static str>>>,
    }

    impl Managed for Moody {
        fn on_activate(&mut self) -> Result<(), TransitionError> {
            self.activation.clone()
        }
        fn on_shutdown(&mut self, from: PrimaryState) -> Result<(), TransitionError> {
            self.log.lock().unwrap().push(if from == PrimaryState::Active {
                "from active"
            } else {
                "from rest"
            });
            Ok(())
        }
        fn on_error(&mut self, error: &TransitionError) -> Result<(), TransitionError> {
            if self.recovers { Ok(()) } else { Err(error.clone()) }
        }
    }

    fn lifecycle(
        activation: Result<(), TransitionError>,
        recovers: bool,
    ) -> (Lifecycle, Arc<Mutex<Vec<&'static str>>>) {
        let log = Arc::new(Mutex::new(Vec::new()));
        let node = Moody { activation, recovers, log: Arc::clone(&log) };
        let edges = Arc::clone(&log);
        let state = LifecycleState::default();
        (
            Lifecycle::new(Box::new(node), state, move |edge| edges.lock().unwrap().push(edge.goal.label())),
            log,
        )
    }

    #[test]
    fn a_good_node_becomes_active_through_the_transition_states() {
        let (mut lifecycle, log) = lifecycle(Ok(()), true);
        assert_eq!(lifecycle.change(0, "configure"), Ok(true));
        assert_eq!(lifecycle.change(0, "activate"), Ok(true));
        assert!(lifecycle.state.is_active());
        assert_eq!(*log.lock().unwrap(), ["configuring", "inactive", "activating", "active"]);
    }

    #[test]
    fn a_failed_activation_leaves_the_node_inactive() {
        let (mut lifecycle, _) = lifecycle(Err(TransitionError::failed("no model")), true);
        lifecycle.change(0, "configure").unwrap();
        assert_eq!(lifecycle.change(0, "activate"), Ok(false));
        assert_eq!(lifecycle.machine().state(), State::Inactive);
    }

    #[test]
    fn a_broken_activation_leads_to_unconfigured_if_the_node_recovers_and_to_finalized_if_not() {
        for (recovers, goal) in [(true, State::Unconfigured), (false, State::Finalized)] {
            let (mut lifecycle, _) =
                lifecycle(Err(TransitionError::Broken("half done".to_owned())), recovers);
            lifecycle.change(0, "configure").unwrap();
            assert_eq!(lifecycle.change(0, "activate"), Ok(false));
            assert_eq!(lifecycle.machine().state(), goal);
        }
    }

    #[test]
    fn the_end_deactivates_before_it_shuts_down() {
        let (mut lifecycle, log) = lifecycle(Ok(()), true);
        lifecycle.change(0, "configure").unwrap();
        lifecycle.change(0, "activate").unwrap();
        log.lock().unwrap().clear();
        lifecycle.end();
        assert_eq!(
            *log.lock().unwrap(),
            ["deactivating", "inactive", "shuttingdown", "from rest", "finalized"]
        );
    }

    #[test]
    fn a_shutdown_from_active_says_so_to_the_node() {
        let (mut lifecycle, log) = lifecycle(Ok(()), true);
        lifecycle.change(0, "configure").unwrap();
        lifecycle.change(0, "activate").unwrap();
        lifecycle.change(7, "").unwrap();
        assert!(log.lock().unwrap().contains(&"from active"));
    }
}
