//! The cell's robots as the runtime needs them: kinematics, tool, ceiling. From the declaration and the files that it names.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use swarm_base::{Duration, Role};
use swarm_cell::{CellConfig, RobotConfig, arm_models};
use swarm_kinematics::{ArmModel, JointVector, Load};
use swarm_safety_core::{Envelope, EnvelopeError, EnvelopeFile, RobotShape};
use swarm_skill_core::{CellRobot, INPUT_TIMEOUT, MotionLimits};

/// Robots in the order of the declaration, and the ceiling for all of them.
#[derive(Debug)]
pub struct Robots {
    cell: String,
    pub robots: Vec<Robot>,
    ceiling: Envelope,
}

/// One robot.
#[derive(Debug)]
pub struct Robot {
    pub name: String,
    pub model: String,
    pub role: Option<Role>,
    pub arm: Arc<ArmModel>,
    tool: Load,
    home: JointVector,
}

impl Robots {
    /// Loads every robot. `read` gives the text of a file that the declaration names.
    pub fn load(cell: &CellConfig, read: &dyn Fn(&str) -> anyhow::Result<String>) -> anyhow::Result<Self> {
        let arms = arm_models(cell, read)?;
        let robots = cell.robots.iter().zip(arms).map(|(declared, arm)| assemble(cell, declared, arm));
        let robots = robots.collect::<anyhow::Result<Vec<_>>>()?;
        let ceiling = EnvelopeFile::parse(&read(&cell.safety.file)?)
            .and_then(|file| file.ceiling(&shapes(&robots)))
            .with_context(|| format!("the cell's safety ceiling {}", cell.safety.file))?;
        Ok(Self { cell: cell.cell.clone(), robots, ceiling })
    }

    /// The robots by the role that they play, with the limits of the ceiling tightened by a skill's envelope, which has to be valid
    /// at `now_unix`, s since 1970.
    pub fn under(
        &self,
        envelope_yaml: &str,
        now_unix: i64,
    ) -> Result<BTreeMap<Role, CellRobot>, EnvelopeError> {
        let file = EnvelopeFile::parse(envelope_yaml)?;
        file.validity()?.check(&self.cell, now_unix)?;
        let envelope = file.under(&self.ceiling, &shapes(&self.robots))?;
        let cell_timeout =
            Duration::from_secs_f64(envelope.cell.joint_state_timeout_s.max(envelope.cell.wrench_timeout_s));
        let with_limits = self.robots.iter().zip(&envelope.robots).filter_map(|(robot, limits)| {
            let joints = &limits.joints;
            let cell_robot = CellRobot {
                name: robot.name.clone(),
                model: robot.model.clone(),
                arm: Arc::clone(&robot.arm),
                tool: robot.tool,
                home: robot.home,
                limits: MotionLimits::within(limits.tcp_speed_m_s, &joints.velocity, &joints.acceleration),
                input_timeout: INPUT_TIMEOUT.max(cell_timeout),
            };
            Some((robot.role?, cell_robot))
        });
        Ok(with_limits.collect())
    }

    /// The cell's name.
    pub fn cell(&self) -> &str {
        &self.cell
    }

    pub fn index_of(&self, robot: &str) -> Option<usize> {
        self.robots.iter().position(|known| known.name == robot)
    }
}

fn shapes(robots: &[Robot]) -> Vec<RobotShape<'_>> {
    let shape = |robot: &'_ Robot| (robot.role.map(Role::as_str), robot.arm.dof());
    robots
        .iter()
        .map(|robot| {
            let (role, dof) = shape(robot);
            RobotShape { name: &robot.name, role, dof }
        })
        .collect()
}

/// One robot with its kinematics, role, tool and rest pose.
fn assemble(cell: &CellConfig, robot: &RobotConfig, arm: ArmModel) -> anyhow::Result<Robot> {
    let home = arm.joint_vector(&robot.home_rad).ok_or_else(|| {
        let (values, joints) = (robot.home_rad.len(), arm.dof());
        anyhow!("home_rad of robot {} has {values} values, the arm has {joints} joints", robot.name)
    })?;
    Ok(Robot {
        name: robot.name.clone(),
        model: robot.model.to_string(),
        role: cell.role_of(&robot.name),
        arm: Arc::new(arm),
        tool: robot.load(),
        home,
    })
}
