//! The status topic and the node's part of `/diagnostics`.

use std::sync::Arc;
use std::time::Duration;

use r2r::builtin_interfaces::msg::Time as TimeMsg;
use r2r::swarm_msgs::msg::BridgeStatus;
use swarm_base::{Shutdown, Time};
use swarm_bridge_core::State;
use swarm_registry_client::bridge::{Shared, pause};
use swarm_ros::stamp::RosClock;
use swarm_ros::{Level, NodeShell, Report};

const LOOK_EVERY: Duration = Duration::from_millis(50);
const SAY_EVERY: swarm_base::Duration = swarm_base::Duration::from_millis(1_000);
/// Longest text of a status.
const MOST_DETAIL: usize = 1_000;

/// Publishes the status on every change, else once a second; until the end of the node.
pub fn tell(
    shared: &Arc<Shared>,
    status: &r2r::Publisher<BridgeStatus>,
    clock: &RosClock,
    shutdown: &Shutdown,
) {
    let mut said: Option<(Time, BridgeStatus)> = None;
    while !shutdown.is_requested() {
        let now = shared.now().monotonic;
        let message = message(shared);
        let due = said.as_ref().is_none_or(|(at, last)| now.since(*at) >= SAY_EVERY || !same(last, &message));
        if due {
            let stamped = BridgeStatus { header: clock.header(""), ..message.clone() };
            if let Err(error) = status.publish(&stamped) {
                tracing::warn!("cannot publish: {error}");
            }
            said = Some((now, message));
        }
        pause(shutdown, LOOK_EVERY);
    }
}

/// Details count seconds, and a download counts bytes; neither is a change.
fn same(last: &BridgeStatus, next: &BridgeStatus) -> bool {
    let news = |it: &BridgeStatus| {
        (
            it.state,
            it.wanted.clone(),
            it.running.clone(),
            it.image_version,
            it.director_version,
            it.progress < 0.0,
        )
    };
    news(last) == news(next)
}

fn message(shared: &Shared) -> BridgeStatus {
    let now = shared.now();
    let view = shared.view();
    let decision = view.decide(now);
    let running = decision.running.as_ref();
    let look = view.look();
    BridgeStatus {
        header: r2r::std_msgs::msg::Header::default(),
        state: state(decision.standing.state),
        detail: decision.standing.detail.chars().take(MOST_DETAIL).collect(),
        wanted: decision.want.artifact().map(|artifact| artifact.to_string()).unwrap_or_default(),
        running: running.map(|running| running.artifact.to_string()).unwrap_or_default(),
        skill: running.map(|running| running.skill.clone()).unwrap_or_default(),
        version: running.map(|running| running.version.to_string()).unwrap_or_default(),
        image_version: look.map_or(0, |look| look.image),
        director_version: look.map_or(0, |look| look.director),
        last_contact: moment(view.memory.last_contact_unix_s),
        expires: moment(view.expires_unix_s()),
        progress: view.progress.unwrap_or(-1.0),
        cache_bytes: view.cache_bytes,
    }
}

fn state(state: State) -> u8 {
    match state {
        State::Starting => BridgeStatus::STARTING as u8,
        State::InStep => BridgeStatus::IN_STEP as u8,
        State::Working => BridgeStatus::WORKING as u8,
        State::Waiting => BridgeStatus::WAITING as u8,
        State::Offline => BridgeStatus::OFFLINE as u8,
        State::Expired => BridgeStatus::EXPIRED as u8,
        State::Refused => BridgeStatus::REFUSED as u8,
    }
}

fn moment(unix_s: Option<i64>) -> TimeMsg {
    TimeMsg { sec: i32::try_from(unix_s.unwrap_or(0)).unwrap_or(i32::MAX).max(0), nanosec: 0 }
}

/// Says in `/diagnostics` how the cell stands to the registry.
pub fn report(shell: &NodeShell, shared: &Arc<Shared>) {
    let shared = Arc::clone(shared);
    shell.diagnostics().add("registry", move || {
        let now = shared.now();
        let view = shared.view();
        let decision = view.decide(now);
        let level = match decision.standing.state {
            State::InStep | State::Working | State::Waiting => Level::Ok,
            State::Starting | State::Offline => Level::Warn,
            State::Expired | State::Refused => Level::Error,
        };
        let health = view.health();
        let report = Report::new(level, decision.standing.detail.clone())
            .with("wanted", decision.want.artifact().map(|artifact| artifact.to_string()).unwrap_or_default())
            .with("image_version", view.look().map_or(0, |look| look.image))
            .with("director_version", view.look().map_or(0, |look| look.director))
            .with("cache_bytes", view.cache_bytes)
            .with("bytes_saved_by_deltas", view.saved_bytes)
            .with("runs_succeeded", health.runs_succeeded)
            .with("runs_failed", health.runs_failed)
            .with("safety_violations", health.safety_violations)
            .with("crashes", health.crashes)
            .with("spool_artifacts", view.spool.artifacts)
            .with("spool_bags", view.spool.bags)
            .with("spool_refused", view.spool.refused);
        let troubles = decision.standing.troubles.into_iter().enumerate();
        troubles
            .fold(report, |report, (index, trouble)| report.with(format!("trouble_{}", index + 1), trouble))
    });
}
