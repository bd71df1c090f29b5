//! `/registry_bridge/sync` and `/registry_bridge/rollback`. Each waits on a thread of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use r2r::std_srvs::srv::Trigger;
use swarm_base::Shutdown;
use swarm_bridge_core::{Rest, State};
use swarm_registry_client::bridge::Shared;
use swarm_ros::{LifecycleState, NodeShell, ShellError};

use crate::runtime::RuntimeClients;

/// A download of a large artifact over a weak link takes longer; it goes on, and the caller may ask again.
const SYNC_TIMEOUT: Duration = Duration::from_mins(5);
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub fn serve(
    shell: &mut NodeShell,
    shared: &Arc<Shared>,
    runtime: &Arc<RuntimeClients>,
) -> Result<(), ShellError> {
    let (shares, lifecycle, shutdown) = (Arc::clone(shared), shell.lifecycle(), shell.shutdown());
    shell.serve_on_thread::<Trigger::Service>("~/sync", move |_| {
        answer(sync(&shares, &lifecycle, &shutdown))
    })?;
    let (shares, lifecycle, runtime) = (Arc::clone(shared), shell.lifecycle(), Arc::clone(runtime));
    shell.serve_on_thread::<Trigger::Service>("~/rollback", move |_| {
        answer(rollback(&shares, &lifecycle, &runtime))
    })
}

fn answer(result: Result<String, String>) -> Trigger::Response {
    match result {
        Ok(message) => Trigger::Response { success: true, message },
        Err(message) => Trigger::Response { success: false, message },
    }
}

/// Refreshes now, tries again what failed, and waits until the cell is in step or something is in the way that time alone does not
/// remove.
fn sync(shared: &Shared, lifecycle: &LifecycleState, shutdown: &Shutdown) -> Result<String, String> {
    if !lifecycle.is_active() {
        return Err("the bridge is not active".to_owned());
    }
    let before = {
        let mut view = shared.view();
        view.try_again(shared.now().monotonic);
        view.refreshes
    };
    shared.wake();
    let deadline = Instant::now() + SYNC_TIMEOUT;
    loop {
        let (refreshed, decision) = {
            let view = shared.view();
            (view.refreshes > before, view.decide(shared.now()))
        };
        let standing = decision.standing;
        if refreshed && decision.plan.steps.is_empty() {
            let done = standing.state == State::InStep
                && matches!(decision.plan.rest, Rest::InStep | Rest::NothingAssigned);
            return if done { Ok(standing.detail) } else { Err(standing.detail) };
        }
        if Instant::now() >= deadline || shutdown.is_requested() {
            return Err(format!("not in step yet: {}", standing.detail));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The runtime's rollback; what is left by it is not brought back until the director assigns something else.
fn rollback(shared: &Shared, lifecycle: &LifecycleState, runtime: &RuntimeClients) -> Result<String, String> {
    if !lifecycle.is_active() {
        return Err("the bridge is not active".to_owned());
    }
    let _exchanging = shared.exchanging();
    // Held before, so that the worker does not bring it back in between; let go of if nothing comes of it.
    let before = {
        let mut view = shared.view();
        let (before, want) = (view.memory.clone(), view.want());
        view.memory.leave(&want);
        before
    };
    let result = runtime.rollback();
    if result.is_err() {
        shared.view().memory.hold_as(&before);
    }
    result.map(|said| {
        format!("{said}; what was left is not brought back until the registry assigns something else")
    })
}
