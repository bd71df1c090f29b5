//! From a cell's declaration and the limits in force to the robots that may play a skill's roles.

use std::collections::BTreeMap;
use std::sync::Arc;

use swarm_base::{Duration, Role};
use swarm_cell::CellConfig;
use swarm_kinematics::JointVector;
use swarm_safety_core::Config;

use crate::motion::MotionLimits;
use crate::role_spec::INPUT_TIMEOUT;
use crate::skill::CellRobot;

/// The robots that play a role, under the envelope in force. `config` is the one of `cell`, robot by robot.
pub fn cell_robots(cell: &CellConfig, config: &Config) -> BTreeMap<Role, CellRobot> {
    let envelope = config.in_force();
    let cell_timeout =
        Duration::from_secs_f64(envelope.cell.joint_state_timeout_s.max(envelope.cell.wrench_timeout_s));
    let robots = cell.robots.iter().zip(config.arms()).zip(&envelope.robots);
    let with_role = robots.filter_map(|((declared, arm), limits)| {
        let robot = CellRobot {
            name: declared.name.clone(),
            model: declared.model.to_string(),
            arm: Arc::new(arm.model.clone()),
            tool: arm.payload,
            // The declaration's reader has counted them.
            home: arm.model.joint_vector(&declared.home_rad).unwrap_or_else(JointVector::zeros),
            limits: MotionLimits::within(
                limits.tcp_speed_m_s,
                &limits.joints.velocity,
                &limits.joints.acceleration,
            ),
            input_timeout: INPUT_TIMEOUT.max(cell_timeout),
        };
        Some((cell.role_of(&declared.name)?, robot))
    });
    with_role.collect()
}
