//! The cameras of a cell as a ROS 2 node: found, set up, timed, grouped, published, and recorded with everything else.
//!
//! Vocabulary
//! - *studio*: what all cameras share ([`studio::Studio`]): outlets, grouper, credentials, calibration.
//! - *outlet*: one topic, with all that its messages go to ([`outlets`]).
//! - *follower*: the task that finds one camera (`find`) and keeps it connected ([`camera::follow`]).
//! - *session*: the thread that carries recordings out ([`session`]).
//!
//! Flow of a frame
//! 1. `swarm_rtsp` gives it as the camera sent it.
//! 2. [`swarm_capture_core::Track`] numbers it and says when it was captured.
//! 3. [`studio::Studio`] makes its messages: video, timing, camera info, group.
//! 4. [`outlets::Outlets`] hands each to subscribers, to the ring for snapshots, and to the recording.
//!
//! What goes wrong with one camera touches no other, and no recording: it is said in `/capture/status` and `/diagnostics`, and
//! tried again. Nothing here is decided that could be decided without ROS: see `swarm_capture_core`.

pub mod camera;
mod find;
pub mod groups;
#[cfg(feature = "gstreamer")]
pub mod images;
pub mod lenses;
pub mod outlets;
pub mod report;
pub mod session;
pub mod settings;
pub mod studio;
pub mod topics;

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use swarm_base::Time;
use swarm_capture_core::HostTime;

/// This computer's system clock.
pub fn now() -> HostTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    HostTime(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// A clock that nobody sets.
pub fn steady() -> Time {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    Time(u64::try_from(BEGIN.elapsed().as_nanos()).unwrap_or(u64::MAX))
}
