//! What a shell hears, and under which quality of service.

use std::sync::Mutex;

use r2r::sensor_msgs::msg::JointState;
use r2r::std_msgs::msg::Float64MultiArray;
use r2r::swarm_msgs::msg::{Permit, SafetyStatus};
use swarm_driver_core::{Measured, MonitorState, PermitHeard, StatusHeard};
use swarm_kinematics::ArmModel;
use swarm_ros::stamp::{to_nanos, wall_now};
use swarm_ros::{NodeShell, ShellError, qos};
use swarm_safety_core::ingest::{JointStateIngest, Repeats, Stamp, StampRules};

use crate::setup::Times;
use crate::shell::Shell;

/// Subscribes the shell of `robot` to the gate and to its arm.
pub fn subscribe(
    node: &mut NodeShell,
    robot: &str,
    arm: &ArmModel,
    times: Times,
    shell: &Shell,
) -> Result<(), ShellError> {
    let permits = shell.clone();
    node.subscribe("/safety_monitor/permit", qos::SENSOR, move |message: Permit| {
        hear_permit(&permits, &message);
    })?;
    let statuses = shell.clone();
    // Best effort: a lost status is made up for 20 ms later, and holds up no newer one.
    node.subscribe("/safety_monitor", qos::SENSOR_BACKLOG, move |message: SafetyStatus| {
        hear_status(&statuses, &message);
    })?;
    let commands = shell.clone();
    node.subscribe(
        &format!("/{robot}/joint_command"),
        qos::COMMAND_STREAM,
        move |message: Float64MultiArray| {
            commands.hear(|driver, now| driver.hear_command(&message.data, now));
        },
    )?;
    let tolerance_s = times.stamp_tolerance.as_secs_f64();
    let max_age_s = swarm_driver_core::effect::MEASURED_FRESH.as_secs_f64() + tolerance_s;
    let rules = StampRules { future_tolerance_s: tolerance_s, max_age_s, repeats: Repeats::Refused };
    let (states, joints) = (shell.clone(), arm.dof());
    let ingest = Mutex::new(JointStateIngest::new(arm, rules));
    node.subscribe("/joint_states", qos::SENSOR_BACKLOG, move |message: JointState| {
        let stamp = Stamp {
            sent_ns: to_nanos(&message.header.stamp),
            received_ns: to_nanos(&wall_now()),
            arrival: states.now(),
        };
        let mut ingest = ingest.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (position, velocity) = (&message.position, &message.velocity);
        // A message that is refused is no measurement; the monitor says what is wrong with it.
        if let Ok(Some(sample)) = ingest.accept(&message.name, position, velocity, &message.effort, &stamp) {
            let picked = |values: &[f64]| values[..joints].to_vec();
            let measured = Measured {
                arrival: sample.sent,
                position_rad: picked(sample.q.as_slice()),
                velocity_rad_s: picked(sample.qd.as_slice()),
            };
            states.hear(|driver, _| driver.hear_measured(measured));
        }
    })
}

fn hear_permit(shell: &Shell, message: &Permit) {
    let (sent_ns, received_ns) = (to_nanos(&message.header.stamp), to_nanos(&wall_now()));
    shell.hear(|driver, arrival| {
        driver.hear_permit(&PermitHeard {
            arrival,
            sent_ns,
            received_ns,
            epoch: message.epoch,
            sequence: message.sequence,
            robots: &message.robots,
            speed_scale: &message.speed_scale,
        });
    });
}

fn hear_status(shell: &Shell, message: &SafetyStatus) {
    // A state that is not known yet is none that moves.
    let state = MonitorState::from_number(message.state).unwrap_or(MonitorState::Deny);
    let (epoch, reset_epoch) = (message.epoch, message.reset_epoch);
    shell.hear(|driver, arrival| driver.hear_status(StatusHeard { arrival, state, epoch, reset_epoch }));
}
