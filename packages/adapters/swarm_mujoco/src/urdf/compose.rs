//! The cell's declaration and its URDF files put together as one tree of links, rooted in `world`.
//!
//! Names of a robot's links and joints get its name and an underscore put before them, as `/joint_states` has them.

use std::fs;
use std::path::Path;

use nalgebra::{Isometry3, Translation3, UnitQuaternion, Vector3};
use swarm_cell::{CellConfig, PoseConfig, RobotConfig};

use super::{Geometry, Inertial, Joint, JointKind, Link, LinkTree, Shape, parse};
use crate::SimError;

/// A whole cell as links and joints.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    pub tree: LinkTree,
    /// In the order of the declaration.
    pub robots: Vec<RobotLinks>,
}

/// Where to find one robot in the tree.
#[derive(Clone, Debug, PartialEq)]
pub struct RobotLinks {
    pub name: String,
    /// Joints of the arm, base to flange: the order of commands.
    pub arm_joints: Vec<String>,
    /// The finger that is driven and the finger that copies it.
    pub finger_joints: [String; 2],
    /// Link that carries the gripper; its frame is that of the wrench sensor.
    pub flange: String,
    /// First link of the gripper.
    pub gripper: String,
}

/// Reads the URDF files that `config` names, relative to `root` (the folder that holds `config/` and `urdf/`), and joins them.
pub fn compose(config: &CellConfig, root: &Path) -> Result<Scene, SimError> {
    let mut tree = LinkTree {
        name: config.cell.clone(),
        links: vec![Link { name: "world".to_owned(), visuals: vec![], collisions: vec![], inertial: None }],
        joints: vec![],
    };
    let mut robots = Vec::new();
    for robot in &config.robots {
        robots.push(add_robot(&mut tree, robot, root)?);
    }
    Ok(Scene { tree, robots })
}

fn add_robot(tree: &mut LinkTree, robot: &RobotConfig, root: &Path) -> Result<RobotLinks, SimError> {
    let error = |what: String| SimError::Robot { robot: robot.name.clone(), what };
    let arm = read(&robot.urdf, root)?;
    let base =
        arm.root().ok_or_else(|| error(format!("{} has not exactly one root link", robot.urdf)))?.to_owned();

    // A gripper of its own file is mounted on the flange; without one the arm's file holds the hand, as Franka's does.
    let flange = robot.model.flange_link();
    let (gripper, hand) = match &robot.gripper_urdf {
        Some(file) => {
            let hand = read(file, root)?;
            let gripper =
                hand.root().ok_or_else(|| error(format!("{file} has not exactly one root link")))?.to_owned();
            (gripper, Some(hand))
        }
        None => ("panda_hand".to_owned(), None),
    };
    if !arm.links.iter().any(|link| link.name == flange) {
        return Err(error(format!("{} has no link '{flange}'", robot.urdf)));
    }

    let prefix = |name: &str| format!("{}_{name}", robot.name);
    let mut joints = arm.joints.clone();
    joints.extend(hand.iter().flat_map(|hand| hand.joints.clone()));
    let movable = |kind| joints.iter().filter(move |joint| joint.kind == kind);
    let fingers: Vec<&Joint> = movable(JointKind::Prismatic).collect();
    let [driven, copying] = fingers[..] else {
        return Err(error(format!("expected a gripper of 2 prismatic joints, found {}", fingers.len())));
    };
    let links = RobotLinks {
        name: robot.name.clone(),
        arm_joints: movable(JointKind::Revolute).map(|joint| prefix(&joint.name)).collect(),
        finger_joints: [prefix(&driven.name), prefix(&copying.name)],
        flange: prefix(flange),
        gripper: prefix(&gripper),
    };
    if links.arm_joints.len() != robot.home_rad.len() {
        return Err(error(format!(
            "home_rad has {} positions, but {} has {} revolute joints",
            robot.home_rad.len(),
            robot.urdf,
            links.arm_joints.len()
        )));
    }

    tree.joints.push(fixed(
        prefix("base_in_world"),
        "world".to_owned(),
        prefix(&base),
        pose(&robot.base_in_world),
    ));
    if hand.is_some() {
        tree.joints.push(fixed(
            prefix("gripper_mount"),
            links.flange.clone(),
            links.gripper.clone(),
            Isometry3::identity(),
        ));
    } else {
        add_camera(tree, robot, &links);
    }
    for part in std::iter::once(arm).chain(hand) {
        tree.links.extend(part.links.into_iter().map(|link| Link { name: prefix(&link.name), ..link }));
        tree.joints.extend(part.joints.into_iter().map(|joint| Joint {
            name: prefix(&joint.name),
            parent: prefix(&joint.parent),
            child: prefix(&joint.child),
            mimic: joint.mimic.as_deref().map(prefix),
            ..joint
        }));
    }
    Ok(links)
}

/// A camera of the declared payload's mass, screwed to the hand with its centre at the tool centre point. It looks along the
/// hand's z.
fn add_camera(tree: &mut LinkTree, robot: &RobotConfig, links: &RobotLinks) {
    const SIZE_M: [f64; 3] = [0.045, 0.06, 0.045];
    let mass_kg = robot.payload.mass_kg;
    let [x, y, z] = SIZE_M.map(|edge| edge * edge * mass_kg / 12.0);
    let [tx, ty, tz] = robot.gripper.tcp_m;
    let housing = Shape {
        origin: Isometry3::identity(),
        geometry: Geometry::Box(SIZE_M),
        rgba: Some([0.1, 0.1, 0.12, 1.0]),
    };
    let lens = Shape {
        origin: Isometry3::translation(0.0, 0.0, SIZE_M[2] / 2.0 + 0.006),
        geometry: Geometry::Cylinder { radius_m: 0.014, length_m: 0.012 },
        rgba: Some([0.2, 0.3, 0.5, 1.0]),
    };
    let name = format!("{}_camera", robot.name);
    tree.links.push(Link {
        name: name.clone(),
        visuals: vec![housing.clone(), lens],
        collisions: vec![housing],
        inertial: Some(Inertial {
            origin: Isometry3::identity(),
            mass_kg,
            inertia: [y + z, x + z, x + y, 0.0, 0.0, 0.0],
        }),
    });
    tree.joints.push(fixed(
        format!("{name}_mount"),
        links.gripper.clone(),
        name,
        Isometry3::translation(tx, ty, tz),
    ));
}

fn fixed(name: String, parent: String, child: String, origin: Isometry3<f64>) -> Joint {
    Joint {
        name,
        kind: JointKind::Fixed,
        parent,
        child,
        origin,
        axis: Vector3::x().into(),
        limit: None,
        mimic: None,
    }
}

fn read(file: &str, root: &Path) -> Result<LinkTree, SimError> {
    let path = root.join(file);
    let text = fs::read_to_string(&path).map_err(|source| SimError::Read { path, source })?;
    parse(file, &text)
}

fn pose(pose: &PoseConfig) -> Isometry3<f64> {
    let ([x, y, z], [roll, pitch, yaw]) = (pose.xyz_m, pose.rpy_rad);
    Isometry3::from_parts(Translation3::new(x, y, z), UnitQuaternion::from_euler_angles(roll, pitch, yaw))
}
