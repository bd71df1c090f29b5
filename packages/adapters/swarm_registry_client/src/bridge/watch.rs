//! Waits for news of the director, so that an assignment reaches the cell as soon as it is made, and a registry that is back is
//! noticed within a second. News are a hint: they hurry a refresh, which believes signatures alone.

use std::sync::Arc;
use std::time::Duration;

use swarm_api::update::Which;
use swarm_base::Shutdown;
use swarm_bridge_core::Backoff;

use super::shared::{Shared, pause};
use crate::{ClientError, Connection};

/// Longest wait that is asked of the registry.
const POLL_S: u8 = 25;
/// A registry that is away: connecting costs nobody anything.
const AWAY: Backoff = Backoff {
    first: swarm_base::Duration::from_millis(200),
    longest: swarm_base::Duration::from_millis(750),
};
/// One that answers with an error is left alone for longer.
const ERRORS: Backoff = Backoff {
    first: swarm_base::Duration::from_millis(1_000),
    longest: swarm_base::Duration::from_millis(30_000),
};
/// News that a refresh has not taken in are not asked for again at once.
const NOT_TAKEN_IN: Duration = Duration::from_secs(2);

/// Until the end; a poll under way is left behind.
pub(super) fn watch(shared: &Arc<Shared>, connection: &Connection, shutdown: &Shutdown) {
    let (mut failures, mut hinted) = (0, 0);
    while !shutdown.is_requested() {
        let believed = shared.view().look().map_or(0, |look| look.director);
        let span = match connection.versions(Which::Director, believed.max(hinted), POLL_S) {
            Ok(versions) => {
                let now = shared.now();
                let mut view = shared.view();
                view.contact(now.unix_s);
                let back = std::mem::take(&mut failures) > 0;
                if back || versions.timestamp > believed.max(hinted) {
                    hinted = versions.timestamp;
                    view.hurry(now.monotonic);
                    drop(view);
                    shared.wake();
                }
                if versions.timestamp < hinted { NOT_TAKEN_IN } else { Duration::ZERO }
            }
            Err(error) => {
                failures += 1;
                // A registry that was set up anew begins to count anew.
                hinted = 0;
                // A link on which nothing arrives looks like a registry that takes its time.
                let away = matches!(error, ClientError::Unreachable { .. } | ClientError::Slow { .. });
                tracing::debug!("no news of the director: {error}");
                if away { AWAY } else { ERRORS }.pause(failures, rand::random()).to_std()
            }
        };
        pause(shutdown, span);
    }
}
