//! Real-time scheduling of the deciding thread: asked for, then looked at, because only the look tells the truth.

use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id, thread_schedule_policy,
};

use swarm_cell::{Schedule, SchedulePolicy};

/// Gives the calling thread the declared schedule; true if it really runs under `SCHED_FIFO` afterwards.
pub fn apply(schedule: &Schedule) -> bool {
    if schedule.policy == SchedulePolicy::Other {
        return false;
    }
    let fifo = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    let asked = ThreadPriority::try_from(schedule.priority).map_err(str::to_owned).and_then(|priority| {
        set_thread_priority_and_policy(thread_native_id(), priority, fifo).map_err(|error| error.to_string())
    });
    if let Err(error) = asked {
        tracing::warn!(
            "no real-time scheduling (SCHED_FIFO {}): {error}; give the user rtprio in /etc/security/limits.d or CAP_SYS_NICE",
            schedule.priority
        );
    }
    thread_schedule_policy().is_ok_and(|policy| policy == fifo)
}
