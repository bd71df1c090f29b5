//! Limits as fixed-size data, independent of the file they came from. Robots are in the order of the cell's declaration.

use nalgebra::Point3;
use swarm_kinematics::JointVector;

use crate::MAX_ROBOTS;

/// Most boxes of one kind per robot.
pub const MAX_BOXES: usize = 8;

/// Every limit of a cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Envelope {
    pub cell: CellLimits,
    pub robots: [RobotLimits; MAX_ROBOTS],
}

/// Limits that concern all robots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CellLimits {
    /// Smallest distance between links of two robots, m, reached only at standstill.
    pub min_separation_m: f64,
    /// Below this distance robots slow down, m.
    pub slow_separation_m: f64,
    /// Longest age of a joint state, s.
    pub joint_state_timeout_s: f64,
    /// Longest age of a wrench, s.
    pub wrench_timeout_s: f64,
    /// Longest age of a command while it moves a robot, s.
    pub command_timeout_s: f64,
}

/// Limits of one robot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RobotLimits {
    pub joints: JointLimits,
    /// Speed of the tool centre point in the world, m/s.
    pub tcp_speed_m_s: f64,
    /// The tool centre point stays in one of these boxes.
    pub workspace: Boxes,
    /// The tool centre point stays out of all of these boxes.
    pub keep_out: Boxes,
    pub wrench: WrenchLimits,
    pub gripper: GripperLimits,
}

/// Limits per joint, base to flange; entries beyond the robot's joints are zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JointLimits {
    /// rad
    pub lower: JointVector,
    /// rad
    pub upper: JointVector,
    /// rad/s
    pub velocity: JointVector,
    /// rad/s^2, for speeding up and for braking
    pub acceleration: JointVector,
}

/// Limits of the force and torque at the flange after payload compensation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WrenchLimits {
    /// Above it the robot slows down, N.
    pub contact_force_n: f64,
    /// N m
    pub contact_torque_nm: f64,
    /// Above it the cell stops, N.
    pub collision_force_n: f64,
    /// N m
    pub collision_torque_nm: f64,
}

/// Limits of a parallel gripper.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GripperLimits {
    pub min_width_m: f64,
    pub max_width_m: f64,
    pub max_force_n: f64,
}

/// A box with edges along the world's axes, m.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorldBox {
    pub min: Point3<f64>,
    pub max: Point3<f64>,
}

/// Up to [`MAX_BOXES`] boxes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Boxes {
    boxes: [WorldBox; MAX_BOXES],
    count: usize,
}

impl WorldBox {
    const NONE: Self = Self { min: Point3::new(0.0, 0.0, 0.0), max: Point3::new(0.0, 0.0, 0.0) };

    pub fn contains(&self, point: &Point3<f64>) -> bool {
        (0..3).all(|i| self.min[i] <= point[i] && point[i] <= self.max[i])
    }

    /// True if no point of `other` lies outside.
    pub fn contains_box(&self, other: &Self) -> bool {
        self.contains(&other.min) && self.contains(&other.max)
    }

    /// Distance from the point to the nearest face: how deep inside it is; negative outside (then the largest overshoot
    /// along one axis), m.
    pub fn depth(&self, point: &Point3<f64>) -> f64 {
        (0..3).map(|i| (point[i] - self.min[i]).min(self.max[i] - point[i])).fold(f64::INFINITY, f64::min)
    }
}

impl Boxes {
    pub const EMPTY: Self = Self { boxes: [WorldBox::NONE; MAX_BOXES], count: 0 };

    /// `None` if there are more than [`MAX_BOXES`].
    pub fn from_slice(boxes: &[WorldBox]) -> Option<Self> {
        let mut all = Self::EMPTY;
        for item in boxes {
            *all.boxes.get_mut(all.count)? = *item;
            all.count += 1;
        }
        Some(all)
    }

    pub fn as_slice(&self) -> &[WorldBox] {
        self.boxes.get(..self.count).unwrap_or(&[])
    }

    /// Depth of the point in the box that holds it best; minus infinity if there is no box.
    pub fn depth(&self, point: &Point3<f64>) -> f64 {
        self.as_slice().iter().map(|item| item.depth(point)).fold(f64::NEG_INFINITY, f64::max)
    }
}

impl RobotLimits {
    /// Nothing is allowed: the limits of a robot that is not there.
    pub const NONE: Self = Self {
        joints: JointLimits {
            lower: JointVector::from_array_storage(nalgebra::ArrayStorage([[0.0; 7]])),
            upper: JointVector::from_array_storage(nalgebra::ArrayStorage([[0.0; 7]])),
            velocity: JointVector::from_array_storage(nalgebra::ArrayStorage([[0.0; 7]])),
            acceleration: JointVector::from_array_storage(nalgebra::ArrayStorage([[0.0; 7]])),
        },
        tcp_speed_m_s: 0.0,
        workspace: Boxes::EMPTY,
        keep_out: Boxes::EMPTY,
        wrench: WrenchLimits {
            contact_force_n: 0.0,
            contact_torque_nm: 0.0,
            collision_force_n: 0.0,
            collision_torque_nm: 0.0,
        },
        gripper: GripperLimits { min_width_m: 0.0, max_width_m: 0.0, max_force_n: 0.0 },
    };
}
