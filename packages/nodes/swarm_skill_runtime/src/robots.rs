//! The cell's robots as the runtime needs them: kinematics, tool, ceiling. From the declaration and the files that it names.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use swarm_base::Role;
use swarm_cell::{CellConfig, arm_models};
use swarm_kinematics::ArmModel;
use swarm_safety_core::{Config, EnvelopeError, EnvelopeFile, Timing, Tolerances};
use swarm_skill_core::{CellRobot, cell_robots};

/// Robots in the order of the declaration, and the ceiling for all of them.
#[derive(Debug)]
pub struct Robots {
    cell: CellConfig,
    pub robots: Vec<Robot>,
    ceiling: Config,
}

/// One robot.
#[derive(Debug)]
pub struct Robot {
    pub name: String,
    pub role: Option<Role>,
    pub arm: Arc<ArmModel>,
}

impl Robots {
    /// Loads every robot. `read` gives the text of a file that the declaration names.
    pub fn load(cell: &CellConfig, read: &dyn Fn(&str) -> anyhow::Result<String>) -> anyhow::Result<Self> {
        let arms = arm_models(cell, read)?;
        let robot = |(declared, arm): (&swarm_cell::RobotConfig, &ArmModel)| Robot {
            name: declared.name.clone(),
            role: cell.role_of(&declared.name),
            arm: Arc::new(arm.clone()),
        };
        let robots = cell.robots.iter().zip(&arms).map(robot).collect();
        let file = &cell.safety.file;
        let ceiling =
            EnvelopeFile::parse(&read(file)?).with_context(|| format!("the cell's safety ceiling {file}"))?;
        // Of its figures only the limits matter here, which are the same whatever the safety monitor's period is.
        let ceiling =
            swarm_safety_setup::config(cell, arms, &ceiling, Timing::default(), Tolerances::default())
                .with_context(|| format!("the limits in {file}"))?;
        Ok(Self { cell: cell.clone(), robots, ceiling })
    }

    /// The limits of the ceiling tightened by a skill's envelope, which has to be valid at `now_unix`, s since 1970.
    pub fn under(&self, envelope_yaml: &str, now_unix: i64) -> Result<Config, EnvelopeError> {
        let file = EnvelopeFile::parse(envelope_yaml)?;
        file.validity()?.check(&self.cell.cell, now_unix)?;
        self.ceiling.with_envelope(Some(&file), &swarm_safety_setup::roles(&self.cell), 1)
    }

    /// The robots by the role that they play, under limits from [`Robots::under`].
    pub fn by_role(&self, limits: &Config) -> BTreeMap<Role, CellRobot> {
        cell_robots(&self.cell, limits)
    }

    /// Whether a robot plays the role.
    pub fn has(&self, role: Role) -> bool {
        self.robots.iter().any(|robot| robot.role == Some(role))
    }

    /// The cell's name.
    pub fn cell(&self) -> &str {
        &self.cell.cell
    }

    pub fn index_of(&self, robot: &str) -> Option<usize> {
        self.robots.iter().position(|known| known.name == robot)
    }
}
