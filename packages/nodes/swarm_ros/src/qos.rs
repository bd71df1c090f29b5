//! Quality of service of every topic of the suite, by purpose. A subscription asks for no more than its publishers offer.

use std::time::Duration;

use r2r::QosProfile;

/// Sampled values where only the newest counts and a loss is made up for by the next sample: joint states, wrench, permit.
pub const SENSOR: QosProfile = QosProfile::default().best_effort().volatile().keep_last(1);

/// Samples for recorders and displays that want a short backlog.
pub const SENSOR_BACKLOG: QosProfile = QosProfile::default().best_effort().volatile().keep_last(10);

/// Publishers of commands: reliable, because ros2_control's controllers ask for it, and only the newest is kept.
pub const COMMAND: QosProfile = QosProfile::default().reliable().volatile().keep_last(1);

/// Subscriptions to streamed commands (velocities at 100 Hz and more): whatever is lost, the next one makes up for. A *reliable*
/// subscription would hold back every later command until the lost one is repeated, which Fast DDS does at its next heartbeat:
/// 3 s by default (`heartbeatPeriod`), seen as stalls of 2-3 s on a busy machine.
pub const COMMAND_STREAM: QosProfile = QosProfile::default().best_effort().volatile().keep_last(1);

/// States that a late joiner must learn: robot description, safety status, runtime status.
pub const LATCHED: QosProfile = QosProfile::default().reliable().transient_local().keep_last(1);

/// As [`LATCHED`], with the last ten states.
pub const LATCHED_BACKLOG: QosProfile = QosProfile::default().reliable().transient_local().keep_last(10);

/// Events between nodes that must all arrive while both ends live.
pub const EVENTS: QosProfile = QosProfile::default().reliable().volatile().keep_last(100);

/// `/emergency_stop`, first of three subscriptions: hears reliable publishers of either durability.
pub const STOP_RELIABLE: QosProfile = QosProfile::default().reliable().volatile().keep_last(10);

/// `/emergency_stop`, second: hears best-effort publishers, which a reliable subscription refuses.
pub const STOP_BEST_EFFORT: QosProfile = QosProfile::default().best_effort().volatile().keep_last(10);

/// `/emergency_stop`, third: is given the stop that a transient-local publisher latched before this node started.
pub const STOP_LATCHED: QosProfile = QosProfile::default().reliable().transient_local().keep_last(10);

/// `/diagnostics`, as upstream's diagnostic_updater.
pub const DIAGNOSTICS: QosProfile = QosProfile::default().reliable().volatile().keep_last(1);

/// `/rosout`, as rcl's own (`rcl_qos_profile_rosout_default`): a late console sees the last ten seconds.
pub const ROSOUT: QosProfile =
    QosProfile::default().reliable().transient_local().keep_last(1000).lifespan(Duration::from_secs(10));

/// `/parameter_events`, as rmw's profile.
pub const PARAMETER_EVENTS: QosProfile = QosProfile::parameter_events();

/// Services, as rmw's profile.
pub const SERVICE: QosProfile = QosProfile::services_default();
