//! The cell that is explored and into which faults are injected: the shipped declaration and ceiling, read from the repository's
//! own files, with what a check needs otherwise.

use std::path::PathBuf;

use nalgebra::Vector3;
use swarm_cell::{ArmError, CellConfig};
use swarm_kinematics::JointVector;
use swarm_safety_core::{ArmConfig, Config, EnvelopeFile, MAX_ROBOTS, Timing, Tolerances, shipped};

const CELL: &str = include_str!("../../../../config/cell.yaml");
const CEILING: &str = include_str!("../../../../config/safety_ceiling.yaml");
const UR5E: &str = include_str!("../../../../urdf/ur5e/ur5e.urdf");
const PANDA: &str = include_str!("../../../../urdf/panda/panda.urdf");
const GRIPPER: &str = include_str!("../../../../urdf/gripper/parallel_gripper.urdf");

/// How many capsules each arm has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shapes {
    /// All of the URDF.
    Whole,
    /// The outermost of each URDF: a step then costs a third. What is checked of distances stays the same, of fewer links.
    Outermost,
}

/// Whether people are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum People {
    Unmonitored,
    /// One sensor, at the foot of the first arm.
    OneZone,
}

/// How old inputs of the robots may get.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Timeouts {
    /// As the ceiling says.
    Shipped,
    /// These, s.
    Of { joint_state: f64, wrench: f64, command: f64 },
}

/// What a check wants of the ceiling, beside the shipped figures.
#[derive(Clone, Copy, Debug)]
pub struct Ceiling {
    pub timeouts: Timeouts,
    /// Longest age of what a presence sensor says, s.
    pub presence_s: f64,
    pub people: People,
    /// After how long a protective stop ends by itself, s; `None`: never.
    pub release_after_s: Option<f64>,
}

/// Why a check's cell cannot be made: one of the repository's own files does not fit.
#[derive(Debug, thiserror::Error)]
pub enum CellError {
    #[error("config/cell.yaml names the URDF {}, which this check does not hold", .0.display())]
    UnknownUrdf(PathBuf),
    #[error("config/cell.yaml cannot be read: {0}")]
    Declaration(String),
    #[error("config/safety_ceiling.yaml does not hold the line '{0}', which this check replaces")]
    Line(String),
    #[error(
        "config/cell.yaml has the safety monitor decide every {declared_s} s, and this check steps every {stepped_s} s; bring the check \
         up to date"
    )]
    Period { declared_s: f64, stepped_s: f64 },
    #[error(transparent)]
    Arm(#[from] ArmError),
    #[error("the cell cannot be configured: {0}")]
    Config(String),
}

/// The declared cell, and the rest pose of each arm.
#[derive(Clone, Debug)]
pub struct Cell {
    pub config: Config,
    pub home: [JointVector; MAX_ROBOTS],
    /// Force and torque that the payload puts on each flange in the rest pose, flange frame, N and N m.
    pub weight: [(Vector3<f64>, Vector3<f64>); MAX_ROBOTS],
    /// Frame of each robot's wrench.
    pub flange_frames: Vec<String>,
}

/// Time between two steps and longest gap between them as the monitor ships, beside the core's own reaction time.
pub fn shipped_timing() -> Result<Timing, CellError> {
    let node = declaration()?.node("safety_monitor").map(|node| node.schedule.period_us);
    let period_us = node.ok_or_else(|| CellError::Declaration("no node 'safety_monitor'".to_owned()))?;
    let max_cycle_gap_s = f64::from(shipped::MAX_CYCLE_GAP_US) * 1e-6;
    Ok(Timing { max_cycle_gap_s, ..Timing::every(period_us as f64 * 1e-6) })
}

fn declaration() -> Result<CellConfig, CellError> {
    CellConfig::parse(CELL).map_err(|error| CellError::Declaration(error.to_string()))
}

/// The shipped cell under `ceiling`.
pub fn cell(
    shapes: Shapes,
    ceiling: &Ceiling,
    timing: Timing,
    tolerances: Tolerances,
) -> Result<Cell, CellError> {
    let declared = declaration()?;
    let models = swarm_cell::arm_models(&declared, |file| urdf(file, shapes))?;
    let mut home = [JointVector::zeros(); MAX_ROBOTS];
    for (home, robot) in home.iter_mut().zip(&declared.robots) {
        *home = JointVector::from_fn(|i, _| robot.home_rad.get(i).copied().unwrap_or(0.0));
    }
    let flange_frames = declared.robots.iter().map(swarm_cell::RobotConfig::flange_frame).collect();
    let arms = declared.robots.iter().zip(models).map(|(robot, model)| ArmConfig {
        name: robot.name.clone(),
        model,
        elbow_joint: robot.model.elbow_joint(),
        payload: robot.load(),
    });
    let file =
        EnvelopeFile::parse(&ceiling_text(ceiling)?).map_err(|error| CellError::Config(error.to_string()))?;
    let config = Config::new(arms.collect(), &file, timing, tolerances)
        .map_err(|error| CellError::Config(error.to_string()))?;
    let mut weight = [(Vector3::zeros(), Vector3::zeros()); MAX_ROBOTS];
    for ((weight, arm), q) in weight.iter_mut().zip(config.arms()).zip(&home) {
        let all = arm.payload.weight(&arm.model.flange(&arm.model.forward(q)));
        *weight = (all.fixed_rows::<3>(0).into_owned(), all.fixed_rows::<3>(3).into_owned());
    }
    Ok(Cell { config, home, weight, flange_frames })
}

fn ceiling_text(ceiling: &Ceiling) -> Result<String, CellError> {
    let people = match ceiling.people {
        People::Unmonitored => "humans: unmonitored\n".to_owned(),
        People::OneZone => format!(
            "humans: {{provenance: check, zones: [{{name: door, point_m: [-0.55, 0, 0]}}], timeout_s: {}, \
             speed_m_s: 1.6, intrusion_m: 0.1, sensor_uncertainty_m: 0.05, robot_uncertainty_m: 0.01}}\n",
            ceiling.presence_s
        ),
    };
    let release = ceiling.release_after_s.map_or_else(String::new, |seconds| {
        format!("  protective_stop: {{provenance: check, release_after_s: {seconds}}}\n")
    });
    // (how the line begins, what stands in its place)
    let mut lines = vec![("  humans:", format!("{release}  {people}"))];
    if let Timeouts::Of { joint_state, wrench, command } = ceiling.timeouts {
        lines.extend([
            ("    joint_state_s:", format!("    joint_state_s: {joint_state}\n")),
            ("    wrench_s:", format!("    wrench_s: {wrench}\n")),
            ("    command_s:", format!("    command_s: {command}\n")),
        ]);
    }
    let mut text = String::with_capacity(CEILING.len() + 512);
    let mut found = vec![false; lines.len()];
    for line in CEILING.split_inclusive('\n') {
        match lines.iter().position(|(begin, _)| line.starts_with(begin)) {
            Some(i) => {
                found[i] = true;
                text.push_str(&lines[i].1);
            }
            None => text.push_str(line),
        }
    }
    match found.iter().position(|found| !found) {
        Some(i) => Err(CellError::Line(lines[i].0.trim().to_owned())),
        None => Ok(text),
    }
}

fn urdf(file: &str, shapes: Shapes) -> Result<String, CellError> {
    let text = match file {
        "urdf/ur5e/ur5e.urdf" => UR5E,
        "urdf/panda/panda.urdf" => PANDA,
        "urdf/gripper/parallel_gripper.urdf" => GRIPPER,
        _ => return Err(CellError::UnknownUrdf(file.into())),
    };
    if shapes == Shapes::Whole {
        return Ok(text.to_owned());
    }
    let mut capsules = text.matches("<capsule ").count();
    let kept = text.split_inclusive('\n').filter(|line| {
        let is_capsule = line.trim_start().starts_with("<capsule ");
        capsules -= usize::from(is_capsule);
        !is_capsule || capsules == 0
    });
    Ok(kept.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CEILING: Ceiling = Ceiling {
        timeouts: Timeouts::Of { joint_state: 0.02, wrench: 0.03, command: 0.04 },
        presence_s: 0.05,
        people: People::OneZone,
        release_after_s: Some(0.06),
    };

    #[test]
    fn the_shipped_cell_takes_the_figures_of_a_check() {
        let cell = cell(Shapes::Whole, &CEILING, Timing::default(), Tolerances::default()).unwrap();
        let limits = cell.config.in_force();
        assert_eq!(
            (limits.cell.joint_state_timeout_s, limits.cell.wrench_timeout_s, limits.cell.command_timeout_s),
            (0.02, 0.03, 0.04)
        );
        assert_eq!((limits.humans.timeout_s, limits.cell.release_after_s), (0.05, 0.06));
        assert_eq!(cell.config.arms().len(), 3);
        assert_eq!(cell.flange_frames[0], "ur5e_left_tool0");
    }

    #[test]
    fn fewer_shapes_are_the_outermost_ones() {
        let capsules = |shapes| {
            let cell = cell(shapes, &CEILING, Timing::default(), Tolerances::default()).unwrap();
            cell.config.arms().iter().map(|arm| arm.model.link_capsules().len()).collect::<Vec<_>>()
        };
        assert_eq!(capsules(Shapes::Outermost), [2, 2, 1]);
        assert!(capsules(Shapes::Whole).iter().all(|count| *count >= 7));
    }
}
