//! Reports to the registry, and what is handed in from the spool. Both wait for the network and for nothing else.

use std::sync::Arc;
use std::time::Duration;

use swarm_base::Shutdown;
use swarm_bridge_core::{Backoff, Reporter, Schedule};

use super::shared::{Shared, pause};
use crate::{ClientError, Connection, Spool};

const LOOK_EVERY: Duration = Duration::from_millis(100);
const BACKOFF: Backoff = Backoff {
    first: swarm_base::Duration::from_millis(500),
    longest: swarm_base::Duration::from_millis(30_000),
};
const SPOOL_EVERY: swarm_base::Duration = swarm_base::Duration::from_millis(2_000);
const SPOOL_BACKOFF: Backoff = Backoff {
    first: swarm_base::Duration::from_millis(2_000),
    longest: swarm_base::Duration::from_millis(300_000),
};

/// Says how the cell is, until the end.
pub(super) fn report(
    shared: &Arc<Shared>,
    connection: &Connection,
    active: &dyn Fn() -> bool,
    shutdown: &Shutdown,
) {
    let mut reporter = Reporter::new(shared.started_unix_s);
    let mut schedule = Schedule::default();
    let mut trouble = String::new();
    let mut was_away = true;
    while !shutdown.is_requested() {
        pause(shutdown, LOOK_EVERY);
        let now = shared.now();
        let (draft, away) = {
            let view = shared.view();
            (view.draft(&reporter, now), view.trouble().is_some())
        };
        // A registry that is back hears of the cell at once.
        if was_away && !away {
            schedule.hurry(now.monotonic);
        }
        was_away = away;
        if !active() || !schedule.is_due(now.monotonic) {
            continue;
        }
        let Some(report) = reporter.due(&draft, now.monotonic) else { continue };
        match connection.report(&shared.settings.site_id, &report) {
            Ok(answer) => {
                reporter.taken(report, now.monotonic);
                schedule = Schedule::default();
                trouble.clear();
                let mut view = shared.view();
                view.contact(now.unix_s);
                let behind = view
                    .look()
                    .is_some_and(|look| answer.image > look.image || answer.director > look.director);
                if behind {
                    view.hurry(now.monotonic);
                    drop(view);
                    shared.wake();
                }
            }
            Err(error) => {
                schedule.failed(now.monotonic, BACKOFF, rand::random());
                let why = error.to_string();
                if why != trouble {
                    tracing::warn!("the registry does not take this cell's report: {why}");
                    trouble = why;
                }
            }
        }
    }
}

/// Hands in what is in the spool, until the end.
pub(super) fn hand_in(
    shared: &Arc<Shared>,
    connection: &Connection,
    spool: &Spool,
    active: &dyn Fn() -> bool,
    shutdown: &Shutdown,
) {
    let mut schedule = Schedule::default();
    while !shutdown.is_requested() {
        pause(shutdown, LOOK_EVERY * 5);
        let now = shared.now().monotonic;
        if !active() || !schedule.is_due(now) {
            continue;
        }
        let handed_in = spool.upload_next(connection, &|| !shutdown.is_requested());
        let state = spool.state();
        let mut view = shared.view();
        if let Ok(state) = state {
            view.spool = state;
        }
        match handed_in {
            Ok(said) => {
                view.spool_trouble = None;
                match said {
                    Some(said) => tracing::info!("{said}"),
                    None => schedule.succeeded(now, SPOOL_EVERY),
                }
            }
            Err(ClientError::Stopped) => {}
            Err(error) => {
                schedule.failed(shared.now().monotonic, SPOOL_BACKOFF, rand::random());
                let why = format!("what is marked waits in the spool: {error}");
                if view.spool_trouble.as_ref() != Some(&why) {
                    tracing::warn!("{why}");
                }
                view.spool_trouble = Some(why);
            }
        }
    }
}
