//! The threads that act by themselves: the control loop, and the keeper of what is deployed.

use std::sync::PoisonError;
use std::time::Instant;

use r2r::swarm_msgs::msg::RuntimeStatus;
use swarm_base::{Clock as _, Shutdown};
use swarm_bt_log_file::Health;
use swarm_rt::{ThreadWish, prepare_thread};

use super::publish::{Publishers, warn_if_failed};
use super::shared::Shared;
use crate::deployer::Order;
use crate::live::{Live, Seen};
use crate::peripherals::{Heard, RosPeripherals};
use crate::recordings::Teller;

/// Period of the control loop.
const PERIOD: std::time::Duration = std::time::Duration::from_millis(10);

/// Time between two statuses without news.
const STATUS_PERIOD: std::time::Duration = std::time::Duration::from_millis(100);

/// Time between two looks of the keeper.
const KEEPER_PERIOD: std::time::Duration = std::time::Duration::from_millis(500);

/// What of the control thread's stack is touched beforehand.
const STACK_BYTES: usize = 256 << 10;

/// Runs the calling thread in real time: whatever else this computer does, a role's turn and its policy's answer are due.
/// `priority` is of `SCHED_FIFO`; none = the system's fair time sharing.
pub(super) fn prepare(priority: Option<u8>) {
    let Some(priority) = priority else { return };
    for lack in prepare_thread(&ThreadWish { priority, cpu: None, stack_bytes: STACK_BYTES }) {
        tracing::warn!("the roles are not in real time: {lack}");
    }
}

/// The control thread: turn after turn until the end, and then until no run is left.
pub(super) fn control(
    shared: &Shared,
    publishers: &Publishers,
    mut peripherals: RosPeripherals,
    mut live: Live,
    shutdown: &Shutdown,
) {
    let mut next = Instant::now();
    let mut shown: Option<(Instant, RuntimeStatus)> = None;
    let mut stop_wanted = false;
    loop {
        let stopping = shutdown.is_requested();
        if stopping {
            shared.engine().cancel_all("the runtime shuts down");
        }
        let started = Instant::now();
        let heard = peripherals.hear();
        let turn = {
            let world = shared.world();
            let mut engine = shared.engine();
            for Heard { run, role, word } in heard {
                engine.hear(run, role, word);
            }
            // Looked at while the engine is held: an order that begins later asks the engine for rest, and finds what starts now.
            let in_force = shared.deployer.in_force();
            engine.turn(&world, &in_force, &mut live, shared.clock.now())
        };
        publishers.send(&turn);
        for (role, order) in &turn.orders {
            peripherals.carry_out(turn.run, *role, order);
        }
        if let Some(alarm) = &turn.alarm {
            let run = &turn.trace_id;
            tracing::error!(
                "run {run} stops the cell by /emergency_stop: {alarm}; see to it, then reset the safety monitor"
            );
            stop_wanted = true;
        }
        // One message may be lost: again and again until the safety monitor says so.
        stop_wanted &= !shared.world().safety(shared.clock.now()).state.starts_with("ESTOP");
        if stop_wanted {
            publishers.press_emergency_stop();
        }
        let active = shared.deployer.active();
        let last_good = shared.last_good.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let status = publishers.status(&turn, active.as_deref(), &last_good);
        let due = shown
            .as_ref()
            .is_none_or(|(at, last)| at.elapsed() >= STATUS_PERIOD || !same_news(last, &status));
        if due {
            warn_if_failed(publishers.status.publish(&status));
            shown = Some((Instant::now(), status));
        }
        let at = shared.clock.now();
        live.turned(&turn, started.elapsed(), active.as_deref(), &|| Seen::of(&shared.world(), at), at);
        if stopping && !turn.running {
            return;
        }
        next += PERIOD;
        let now = Instant::now();
        if let Some(rest) = next.checked_duration_since(now) {
            std::thread::sleep(rest);
        } else {
            // Turns that were missed are not made up for.
            live.overrun();
            next = now;
        }
    }
}

/// Whether two statuses say the same, apart from their stamps and the progress within a phase.
fn same_news(a: &RuntimeStatus, b: &RuntimeStatus) -> bool {
    let news = |status: &RuntimeStatus| {
        let roles = status
            .roles
            .iter()
            .map(|role| (role.state, role.phase.clone(), role.message.clone()))
            .collect::<Vec<_>>();
        (status.artifact.clone(), status.last_good.clone(), status.trace_id.clone(), status.running, roles)
    };
    news(a) == news(b)
}

/// The keeper thread. After a restart of this node it brings what is deployed into force; after a restart of the safety monitor it
/// hands over the envelope again. Both only at rest, and both again and again until they succeed, as is telling the store that what is in
/// force is good. And it tells the operator what goes wrong with the recordings, which no other thread has time for.
pub(super) fn keep(shared: &Shared, recordings: Option<&Health>, shutdown: &Shutdown) {
    let mut last_error = String::new();
    let mut teller = Teller::default();
    while !shutdown.is_requested() {
        match recordings.and_then(|health| teller.news(&health.status())) {
            Some(Err(trouble)) => tracing::warn!("{trouble}; the cell runs on"),
            Some(Ok(over)) => tracing::info!("{over}"),
            None => {}
        }
        if shared.lifecycle.is_active()
            && !shared.deployer.is_busy()
            && shared.engine().run_in_progress().is_none()
        {
            if shared.deployer.tell_good_again() {
                tracing::info!("the deployed skill is marked as good");
                shared.remember_last_good();
            }
            let due = match shared.deployer.active() {
                None => shared.deployer.has_deployment(),
                Some(active) => shared
                    .world()
                    .loaded_artifact(shared.clock.now())
                    .is_some_and(|loaded| loaded != active.artifact.to_string()),
            };
            if due {
                match shared.deployer.carry_out(&Order::Reload, shared) {
                    Ok(active) => {
                        last_error.clear();
                        tracing::info!("{} is in force again", active.title());
                        shared.remember_last_good();
                    }
                    // The same reason is told once, not twice a second; at the end of the process nothing answers any more.
                    Err(refused) if refused.message != last_error && !shutdown.is_requested() => {
                        tracing::warn!("what is deployed is not in force yet: {refused}");
                        last_error = refused.message;
                    }
                    Err(_) => {}
                }
            }
        }
        std::thread::sleep(KEEPER_PERIOD);
    }
}
