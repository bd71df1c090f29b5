//! From the texts that declare a cell to the configuration that the safety decision works with.
//!
//! There is one way from a declaration to a [`Config`], and it starts at texts: the monitor, the test kit, the command line
//! and the black box all take it. So whoever keeps the [`Sources`] can make the same configuration again, anywhere.
//!
//! Flow: [`Sources::gather`] reads the declaration and every file that it names, once; [`Sources::config`] makes arms,
//! ceiling and configuration of them. [`config`] is its last step, for who has the parts already.
//!
//! Deliberately absent: files (the caller reads), and an envelope (that is `Config::with_envelope`, with [`roles`]).

use std::collections::BTreeMap;

use swarm_base::Role;
use swarm_cell::{ArmError, CellConfig, RobotConfig, arm_models};
use swarm_kinematics::{ArmModel, LinkCapsule};
use swarm_safety_core::{
    ArmConfig, Config, ConfigError, EnvelopeError, EnvelopeFile, RobotLimits, Timing, Tolerances,
};

/// Everything that a cell's configuration is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// Text of the cell's declaration.
    pub declaration: String,
    /// Texts of the files that it names for arms and ceiling, by the names that it has for them.
    pub files: BTreeMap<String, String>,
}

/// Why a cell's texts make no configuration.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error(transparent)]
    Cell(#[from] swarm_cell::ConfigError),
    #[error("the declaration names the file '{0}', whose text is missing")]
    Missing(String),
    #[error(transparent)]
    Arm(#[from] ArmError),
    #[error("the safety ceiling {file}")]
    Ceiling { file: String, source: EnvelopeError },
    #[error("the safety gate cannot use the cell's declaration")]
    Config(#[from] ConfigError),
}

impl Sources {
    /// Reads what the declaration names; `read` gives the text of such a file.
    pub fn gather<E: From<SetupError>>(
        declaration: String,
        mut read: impl FnMut(&str) -> Result<String, E>,
    ) -> Result<Self, E> {
        let cell = CellConfig::parse(&declaration).map_err(SetupError::Cell)?;
        let of_robots = cell.robots.iter().flat_map(|robot| [Some(&robot.urdf), robot.gripper_urdf.as_ref()]);
        let mut files = BTreeMap::new();
        for name in of_robots.flatten().chain([&cell.safety.file]) {
            if !files.contains_key(name) {
                files.insert(name.clone(), read(name)?);
            }
        }
        Ok(Self { declaration, files })
    }

    /// The declaration.
    pub fn cell(&self) -> Result<CellConfig, SetupError> {
        Ok(CellConfig::parse(&self.declaration)?)
    }

    /// The configuration under the cell's own ceiling.
    pub fn config(&self, timing: Timing, tolerances: Tolerances) -> Result<Config, SetupError> {
        let text =
            |name: &str| self.files.get(name).cloned().ok_or_else(|| SetupError::Missing(name.to_owned()));
        let cell = self.cell()?;
        let arms = arm_models(&cell, text)?;
        let file = &cell.safety.file;
        let ceiling = EnvelopeFile::parse(&text(file)?)
            .map_err(|source| SetupError::Ceiling { file: file.clone(), source })?;
        Ok(config(&cell, arms, &ceiling, timing, tolerances)?)
    }
}

/// The configuration of `cell` with its `arms`, in the order of the declaration, under its own ceiling. Refused, too, where a
/// driver brakes more gently than the ceiling has it, and where an arm's URDF lacks what a limit is checked with.
pub fn config(
    cell: &CellConfig,
    arms: Vec<ArmModel>,
    ceiling: &EnvelopeFile,
    timing: Timing,
    tolerances: Tolerances,
) -> Result<Config, ConfigError> {
    let arms = cell.robots.iter().zip(arms).map(|(robot, model)| ArmConfig {
        name: robot.name.clone(),
        model,
        elbow_joint: robot.model.elbow_joint(),
        payload: robot.load(),
    });
    let config = Config::new(arms.collect(), ceiling, timing, tolerances)?;
    let limits = &config.ceiling().robots;
    let mut problems: Vec<_> = cell.robots.iter().zip(limits).filter_map(|(r, l)| too_gentle(r, l)).collect();
    for ((robot, arm), limits) in cell.robots.iter().zip(config.arms()).zip(limits) {
        problems.extend(unmodelled(robot, &arm.model, limits));
    }
    if problems.is_empty() { Ok(config) } else { Err(ConfigError::Invalid(problems)) }
}

/// What is wrong if the robot's driver brakes more gently than its joints may accelerate: every distance is kept for braking
/// that hard. Under an envelope, which can only lower that limit, it is kept for a longer way.
fn too_gentle(robot: &RobotConfig, limits: &RobotLimits) -> Option<String> {
    // AoU-16
    let brakes = robot.driver.as_ref()?.deceleration_rad_s2?;
    let kept_for = limits.joints.acceleration.max();
    (brakes < kept_for).then(|| {
        format!(
            "robot '{}': its driver brakes with {brakes} rad/s^2 (driver.deceleration_rad_s2), but distances are kept for \
             {kept_for} rad/s^2, the largest joints.acceleration_rad_s2 of the robot in the safety ceiling: raise the first \
             or lower the second",
            robot.name
        )
    })
}

/// What the arm's URDF lacks: without capsules no distance is too small, without masses no momentum too large.
fn unmodelled(robot: &RobotConfig, arm: &ArmModel, limits: &RobotLimits) -> Vec<String> {
    let (name, urdf) = (&robot.name, &robot.urdf);
    let mut problems = Vec::new();
    for (index, joint) in arm.joints().iter().enumerate() {
        let (body, joint) = (index + 1, &joint.name);
        let own = |capsule: &LinkCapsule| capsule.body == body && !capsule.of_tool;
        // SR-10, SR-11
        if !arm.link_capsules().iter().any(own) {
            problems.push(format!(
                "robot '{name}': {urdf} has no <safety_capsules> for what joint '{joint}' moves, and distances to people, arms and \
                 fixtures are those of capsules; `cell fit-capsules --urdf {urdf} --out NEW.urdf` fits them to its collision geometry"
            ));
        }
        let massless = arm.mass_kg(body) == 0.0;
        if limits.momentum_kg_m_s.is_finite() && massless {
            problems.push(format!(
                "robot '{name}': {urdf} has no <inertial> for what joint '{joint}' moves, and the safety ceiling limits the arm's \
                 momentum to {} kg m/s: add the links' masses, or set the limit to unmonitored",
                limits.momentum_kg_m_s
            ));
        }
    }
    problems
}

/// The role that each robot plays, in the robots' order: an envelope may name limits by roles.
pub fn roles(cell: &CellConfig) -> Vec<Option<&'static str>> {
    cell.robots.iter().map(|robot| cell.role_of(&robot.name).map(Role::as_str)).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn shipped() -> Sources {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        let read = |name: &str| Ok::<_, SetupError>(std::fs::read_to_string(root.join(name)).unwrap());
        Sources::gather(read("config/cell.yaml").unwrap(), read).unwrap()
    }

    #[test]
    fn the_shipped_cell_and_its_ceiling_make_a_configuration() {
        let config = shipped().config(Timing::default(), Tolerances::default()).unwrap();
        assert_eq!(config.arms().len(), 3);
        assert_eq!(config.robot("panda"), Some(2));
    }

    #[test]
    fn each_robot_of_the_shipped_cell_has_a_role() {
        let cell = shipped().cell().unwrap();
        assert_eq!(roles(&cell), [Some("leader"), Some("follower"), Some("spotter")]);
    }

    /// The shipped cell, whose first robot has this driver.
    fn with_driver(block: &str) -> Result<Config, SetupError> {
        let mut sources = shipped();
        let robot = "  - name: ur5e_left\n";
        assert!(sources.declaration.contains(robot));
        let driven = format!("{robot}    driver: {block}\n");
        sources.declaration = sources.declaration.replacen(robot, &driven, 1);
        sources.config(Timing::default(), Tolerances::default())
    }

    /// AoU-16
    #[test]
    fn a_driver_that_brakes_more_gently_than_distances_are_kept_for_is_refused() {
        let block = |deceleration: &str| {
            format!("{{kind: joint_trajectory, controller: /left, period_us: 8000, {deceleration}}}")
        };
        let error = with_driver(&block("deceleration_rad_s2: 7.9")).unwrap_err();
        let SetupError::Config(ConfigError::Invalid(problems)) = error else { panic!("{error:?}") };
        assert_eq!(
            problems,
            [
                "robot 'ur5e_left': its driver brakes with 7.9 rad/s^2 (driver.deceleration_rad_s2), but distances are kept \
                 for 8 rad/s^2, the largest joints.acceleration_rad_s2 of the robot in the safety ceiling: raise the first or \
                 lower the second"
            ]
        );
        with_driver(&block("deceleration_rad_s2: 8.0")).unwrap();
        // The arm's own limits brake then.
        with_driver("{kind: forward_velocity, controller: /left, period_us: 4000}").unwrap();
    }

    /// The problems of the shipped cell, whose UR5e is written otherwise.
    fn problems_with(written: impl Fn(&str) -> String) -> Vec<String> {
        let mut sources = shipped();
        let urdf = sources.files.get_mut("urdf/ur5e/ur5e.urdf").unwrap();
        *urdf = written(urdf);
        let error = sources.config(Timing::default(), Tolerances::default()).unwrap_err();
        let SetupError::Config(ConfigError::Invalid(problems)) = error else { panic!("{error:?}") };
        problems
    }

    /// SR-10, SR-11
    #[test]
    fn an_arm_without_capsules_is_refused_by_name() {
        let forearm = |line: &&str| !line.contains("<capsule link=\"forearm_link\"");
        let problems = problems_with(|urdf| urdf.lines().filter(forearm).collect());
        assert_eq!(
            problems,
            ["ur5e_left", "ur5e_right"].map(|name| {
                format!(
                    "robot '{name}': urdf/ur5e/ur5e.urdf has no <safety_capsules> for what joint '{name}_elbow_joint' moves, and \
                     distances to people, arms and fixtures are those of capsules; `cell fit-capsules --urdf urdf/ur5e/ur5e.urdf \
                     --out NEW.urdf` fits them to its collision geometry"
                )
            })
        );
        let all = problems_with(|urdf| urdf.lines().filter(|line| !line.contains("<capsule ")).collect());
        assert_eq!(all.len(), 2 * 6, "the gripper's do not count for the wrist: {all:?}");
    }

    #[test]
    fn an_arm_without_masses_is_refused_where_its_momentum_is_limited() {
        let problems = problems_with(|urdf| urdf.replace("inertial>", "not_said>"));
        assert_eq!(problems.len(), 2 * 6, "{problems:?}");
        assert!(
            problems[0].contains("no <inertial> for what joint 'ur5e_left_shoulder_pan_joint' moves"),
            "{problems:?}"
        );
    }

    #[test]
    fn a_text_that_is_missing_is_named() {
        let mut sources = shipped();
        sources.files.remove("urdf/panda/panda.urdf");
        let error = sources.config(Timing::default(), Tolerances::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the declaration names the file 'urdf/panda/panda.urdf', whose text is missing"
        );
    }
}
