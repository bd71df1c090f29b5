//! From the declaration of a robot to the options of its shell.

use swarm_base::Duration;
use swarm_cell::{ControllerKind, DriverConfig};
use swarm_driver_core::{Kind, LeaveRules, MeansOffered, Options};
use swarm_kinematics::ArmModel;

/// Time after which a monitor whose status is not heard counts as gone: 25 of its periods.
pub const STATUS_TIMEOUT: Duration = Duration::from_millis(500);

/// Times that the node's parameters say.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub permit_timeout: Duration,
    pub command_timeout: Duration,
    pub stamp_tolerance: Duration,
}

/// The options of one robot's shell.
pub fn options(robot: &str, driver: &DriverConfig, arm: &ArmModel, times: Times) -> Options {
    let deceleration = driver.deceleration_rad_s2;
    let kind = match (driver.controller_kind, deceleration) {
        // The declaration's reader asks for a deceleration here.
        (ControllerKind::JointTrajectory, Some(deceleration_rad_s2)) => {
            Kind::JointTrajectory { deceleration_rad_s2 }
        }
        _ => Kind::ForwardVelocity { deceleration_rad_s2: deceleration },
    };
    Options {
        robot: robot.to_owned(),
        kind,
        period: Duration::from_micros(driver.period_us),
        velocity_limits_rad_s: arm.velocity_limits().iter().take(arm.dof()).copied().collect(),
        command_timeout: times.command_timeout,
        leave: LeaveRules {
            permit_timeout: times.permit_timeout,
            status_timeout: STATUS_TIMEOUT.max(times.permit_timeout),
            stamp_tolerance: times.stamp_tolerance,
        },
        means: MeansOffered {
            slider_fraction: driver.speed_slider.as_ref().map(|slider| slider.fraction),
            protective_stop: driver.protective_stop.is_some(),
            stop: driver.stop.is_some(),
            error_recovery: driver.error_recovery.is_some(),
            goals: driver.controller_kind == ControllerKind::JointTrajectory,
        },
    }
}
