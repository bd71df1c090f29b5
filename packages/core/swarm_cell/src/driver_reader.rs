//! A robot's `driver:` block.

use swarm_yaml::Cursor;

use crate::declaration::{ControllerKind, DriverConfig, SpeedSlider};
use crate::declaration_reader::is_ros_name;

/// Slowest and fastest rate of a controller, 10 Hz and 1 kHz.
const PERIOD_US: std::ops::RangeInclusive<u64> = 1_000..=100_000;

pub(crate) fn read_driver(at: &Cursor<'_>) -> Option<DriverConfig> {
    let [
        kind,
        controller,
        period_us,
        priority,
        deceleration,
        speed_slider,
        protective_stop,
        stop,
        error_recovery,
    ] = at.fields([
        "kind",
        "controller",
        "period_us",
        "priority",
        "deceleration_rad_s2",
        "speed_slider",
        "protective_stop",
        "stop",
        "error_recovery",
    ])?;
    let kind = kind.required("forward_velocity or joint_trajectory", |at| {
        at.one_of(&[
            ("forward_velocity", ControllerKind::ForwardVelocity),
            ("joint_trajectory", ControllerKind::JointTrajectory),
        ])
    });
    let controller = controller.required("the controller's name on the graph", absolute_name);
    let period_us = period_us.required("the time between two messages (us)", |at| at.integer(PERIOD_US));
    let priority = priority.optional(None, |at| at.integer(1..=99).map(|priority| Some(priority as u8)));
    let read = |at: &Cursor<'_>| at.number(0.1..=100.0, "rad/s^2");
    let deceleration_rad_s2 = if kind == Some(ControllerKind::JointTrajectory) {
        deceleration
            .required("the deceleration of a stop (rad/s^2): a trajectory ends with it", read)
            .map(Some)
    } else {
        deceleration.optional(None, |at| read(at).map(Some))
    };
    let speed_slider = speed_slider.optional(None, |at| read_slider(at).map(Some));
    let protective_stop = protective_stop.optional(None, |at| absolute_name(at).map(Some));
    let stop = stop.optional(None, |at| absolute_name(at).map(Some));
    let error_recovery = error_recovery.optional(None, |at| absolute_name(at).map(Some));
    Some(DriverConfig {
        controller_kind: kind?,
        controller: controller?,
        period_us: period_us?,
        priority: priority?,
        deceleration_rad_s2: deceleration_rad_s2?,
        speed_slider: speed_slider?,
        protective_stop: protective_stop?,
        stop: stop?,
        error_recovery: error_recovery?,
    })
}

/// The UR driver refuses less than a hundredth.
fn read_slider(at: &Cursor<'_>) -> Option<SpeedSlider> {
    let [service, fraction] = at.fields(["service", "fraction"])?;
    let service = service.required("the slider's service", absolute_name);
    let fraction =
        fraction.required("the fraction after a reset", |at| at.number(0.01..=1.0, "of full speed"));
    Some(SpeedSlider { service: service?, fraction: fraction? })
}

fn absolute_name(at: &Cursor<'_>) -> Option<String> {
    let good = |text: &str| text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_ros_name));
    at.text_that(good, "a name that begins with /: ROS names joined by /")
}
