//! The life cycle as services and as the `~/transition_event` topic.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use r2r::lifecycle_msgs::msg::{
    State as StateMsg, Transition as TransitionMsg, TransitionDescription, TransitionEvent,
};
use r2r::lifecycle_msgs::srv::{ChangeState, GetAvailableStates, GetAvailableTransitions, GetState};

use super::machine::{Edge, GRAPH, State};
use super::{Lifecycle, LifecycleState, Managed};
use crate::shell::{NodeShell, ShellError};
use crate::{qos, stamp};

/// A life cycle that the services and the end of the process share; both run on the spin thread.
#[derive(Clone)]
pub(crate) struct SharedLifecycle(Arc<Mutex<Lifecycle>>);

impl SharedLifecycle {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Lifecycle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Offers `node`'s life cycle on the graph.
pub(crate) fn serve(
    shell: &mut NodeShell,
    node: Box<dyn Managed>,
    state: LifecycleState,
) -> Result<SharedLifecycle, ShellError> {
    let events = shell.publisher::<TransitionEvent>("~/transition_event", qos::EVENTS)?;
    let on_edge = move |edge: &'static Edge| {
        tracing::debug!("life cycle: {} -> {}", edge.start.label(), edge.goal.label());
        if let Err(error) = events.publish(&event_msg(edge)) {
            tracing::warn!("cannot publish a transition event: {error}");
        }
    };
    let lifecycle = SharedLifecycle(Arc::new(Mutex::new(Lifecycle::new(node, state, on_edge))));

    let shared = lifecycle.clone();
    shell.serve::<ChangeState::Service>("~/change_state", move |request| {
        let success = shared.lock().change(request.transition.id, &request.transition.label).unwrap_or_else(
            |refused| {
                tracing::warn!("{refused}");
                false
            },
        );
        ChangeState::Response { success }
    })?;
    let shared = lifecycle.clone();
    shell.serve::<GetState::Service>("~/get_state", move |_| GetState::Response {
        current_state: state_msg(shared.lock().machine().state()),
    })?;
    shell.serve::<GetAvailableStates::Service>("~/get_available_states", |_| {
        GetAvailableStates::Response { available_states: State::ALL.into_iter().map(state_msg).collect() }
    })?;
    let shared = lifecycle.clone();
    shell.serve::<GetAvailableTransitions::Service>("~/get_available_transitions", move |_| {
        GetAvailableTransitions::Response {
            available_transitions: shared.lock().machine().possible().map(description_msg).collect(),
        }
    })?;
    // Upstream serves the whole graph under this name with the same type.
    shell.serve::<GetAvailableTransitions::Service>("~/get_transition_graph", |_| {
        GetAvailableTransitions::Response {
            available_transitions: GRAPH.iter().map(description_msg).collect(),
        }
    })?;
    Ok(lifecycle)
}

fn state_msg(state: State) -> StateMsg {
    StateMsg { id: state.id(), label: state.label().to_owned() }
}

fn transition_msg(edge: &Edge) -> TransitionMsg {
    TransitionMsg { id: edge.id, label: edge.label.to_owned() }
}

fn description_msg(edge: &Edge) -> TransitionDescription {
    TransitionDescription {
        transition: transition_msg(edge),
        start_state: state_msg(edge.start),
        goal_state: state_msg(edge.goal),
    }
}

fn event_msg(edge: &Edge) -> TransitionEvent {
    TransitionEvent {
        timestamp: stamp::to_nanos(&stamp::wall_now()),
        transition: transition_msg(edge),
        start_state: state_msg(edge.start),
        goal_state: state_msg(edge.goal),
    }
}
