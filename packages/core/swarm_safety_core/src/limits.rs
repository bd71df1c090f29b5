//! Limits as fixed-size data, independent of the file they came from. Robots are in the order of the cell's declaration.

use nalgebra::{Point3, Unit, Vector3};
use swarm_kinematics::{JointVector, Obstacle};

use crate::MAX_ROBOTS;
use crate::few::{Few, Label};

/// Most boxes, and most planes, of one kind per robot.
pub const MAX_BOXES: usize = 8;

/// Most fixtures of a cell.
pub const MAX_FIXTURES: usize = 12;

/// Most zones of a cell in which people are looked for.
pub const MAX_ZONES: usize = 4;

/// Every limit of a cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Envelope {
    pub cell: CellLimits,
    pub fixtures: Fixtures,
    pub humans: HumanLimits,
    pub robots: [RobotLimits; MAX_ROBOTS],
}

/// Limits that concern all robots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CellLimits {
    /// Smallest distance between links of two robots, m, reached only at standstill.
    pub min_separation_m: f64,
    /// Below this distance robots slow down, m.
    pub slow_separation_m: f64,
    /// Smallest distance between links of one robot, m, reached only at standstill.
    pub self_separation_m: f64,
    /// Smallest distance between links and fixtures, m, reached only at standstill.
    pub fixture_separation_m: f64,
    /// Longest age of a joint state, s.
    pub joint_state_timeout_s: f64,
    /// Longest age of a wrench, s.
    pub wrench_timeout_s: f64,
    /// Longest age of a command while it moves a robot, s.
    pub command_timeout_s: f64,
    /// A protective stop (STOP2) ends by itself, to READY, when nothing has been wrong and the cell at rest for this long, s.
    /// Infinite: by a reset, like every other stop.
    pub release_after_s: f64,
}

/// Something that stands in the cell, world frame. Links that move keep away from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fixture {
    pub name: Label,
    pub obstacle: Obstacle,
    /// Tools may touch it: capsules of what is mounted on a flange are not held off it.
    pub tool_may_touch: bool,
}

pub type Fixtures = Few<Fixture, MAX_FIXTURES>;

/// Speed and separation monitoring of people, ISO/TS 15066 5.5.4. Without a zone nobody is looked for.
///
/// A zone's sensor tells how far the nearest person is from the zone's point. So every person is at least
/// `range - (farthest that the robot reaches from that point)` away from a robot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HumanLimits {
    pub zones: Few<HumanZone, MAX_ZONES>,
    /// Longest age of what a sensor says, s; beyond it somebody counts as present.
    pub timeout_s: f64,
    /// How fast a person approaches, m/s.
    pub speed_m_s: f64,
    /// How far a body part reaches past the sensor before it is seen, m (C of the formula).
    pub intrusion_m: f64,
    /// How wrong the person's place may be, m (`Z_d`).
    pub sensor_uncertainty_m: f64,
    /// How wrong the robot's place may be, m (`Z_r`).
    pub robot_uncertainty_m: f64,
}

/// A sensor of `/human_presence`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HumanZone {
    /// `frame_id` of its messages.
    pub name: Label,
    /// Where its ranges are measured from, in the world, m.
    pub point: Point3<f64>,
}

/// Limits of one robot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RobotLimits {
    pub joints: JointLimits,
    /// Speed of the tool centre point in the world, m/s.
    pub tcp_speed_m_s: f64,
    /// Speed of the elbow in the world, m/s.
    pub elbow_speed_m_s: f64,
    /// Linear momentum of the arm with its load, kg m/s. Infinite if not monitored.
    pub momentum_kg_m_s: f64,
    /// Mechanical power of the joints, `|sum(effort * velocity)|`, W. Infinite if not monitored; else efforts must be there.
    pub power_w: f64,
    /// The tool centre point stays in one of these boxes.
    pub workspace: Boxes,
    /// The tool centre point stays out of all of these boxes.
    pub keep_out: Boxes,
    /// The tool centre point stays on the inner side of all of these planes.
    pub planes: Planes,
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
    /// N m, as measured. Infinite if not monitored; else efforts must be there.
    pub effort: JointVector,
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

pub type Boxes = Few<WorldBox, MAX_BOXES>;

/// All points with `normal . p >= offset_m`, world frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plane {
    pub normal: Unit<Vector3<f64>>,
    pub offset_m: f64,
}

pub type Planes = Few<Plane, MAX_BOXES>;

impl WorldBox {
    pub const NONE: Self = Self { min: Point3::new(0.0, 0.0, 0.0), max: Point3::new(0.0, 0.0, 0.0) };

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
    /// Depth of the point in the box that holds it best; minus infinity if there is no box.
    pub fn depth(&self, point: &Point3<f64>) -> f64 {
        self.as_slice().iter().map(|item| item.depth(point)).fold(f64::NEG_INFINITY, f64::max)
    }
}

impl Plane {
    /// How far on the inner side the point is; negative beyond the plane, m.
    pub fn depth(&self, point: &Point3<f64>) -> f64 {
        self.normal.dot(&point.coords) - self.offset_m
    }

    pub(crate) const NONE: Self =
        Self { normal: Unit::new_unchecked(Vector3::new(0.0, 0.0, 1.0)), offset_m: 0.0 };
}

impl Planes {
    /// Depth behind the nearest plane; infinite if there is none.
    pub fn depth(&self, point: &Point3<f64>) -> f64 {
        self.as_slice().iter().map(|plane| plane.depth(point)).fold(f64::INFINITY, f64::min)
    }
}

impl Fixture {
    pub(crate) const NONE: Self = Self {
        name: Label::EMPTY,
        obstacle: Obstacle::Box { min: Point3::new(0.0, 0.0, 0.0), max: Point3::new(0.0, 0.0, 0.0) },
        tool_may_touch: true,
    };
}

impl HumanLimits {
    /// Nobody is looked for.
    pub const UNMONITORED: Self = Self {
        zones: Few::empty(HumanZone::NONE),
        timeout_s: f64::INFINITY,
        speed_m_s: 0.0,
        intrusion_m: 0.0,
        sensor_uncertainty_m: 0.0,
        robot_uncertainty_m: 0.0,
    };

    pub fn is_monitored(&self) -> bool {
        !self.zones.as_slice().is_empty()
    }

    /// The zone whose messages carry that `frame_id`.
    pub fn zone(&self, name: &str) -> Option<usize> {
        self.zones.as_slice().iter().position(|zone| zone.name.as_str() == name)
    }
}

impl HumanZone {
    pub(crate) const NONE: Self = Self { name: Label::EMPTY, point: Point3::new(0.0, 0.0, 0.0) };
}

impl JointLimits {
    /// True if any joint's effort is limited.
    pub fn limits_effort(&self) -> bool {
        self.effort.iter().any(|limit| *limit > 0.0 && limit.is_finite())
    }
}

impl RobotLimits {
    /// True if joint states must carry efforts.
    pub fn needs_effort(&self) -> bool {
        self.power_w.is_finite() || self.joints.limits_effort()
    }

    /// Nothing is allowed: the limits of a robot that is not there.
    pub const NONE: Self = Self {
        joints: JointLimits {
            lower: JointVector::from_array_storage(nalgebra::ArrayStorage([[0.0; 7]])),
            upper: JointVector::from_array_storage(nalgebra::ArrayStorage([[0.0; 7]])),
            velocity: JointVector::from_array_storage(nalgebra::ArrayStorage([[0.0; 7]])),
            acceleration: JointVector::from_array_storage(nalgebra::ArrayStorage([[0.0; 7]])),
            effort: JointVector::from_array_storage(nalgebra::ArrayStorage([[0.0; 7]])),
        },
        tcp_speed_m_s: 0.0,
        elbow_speed_m_s: 0.0,
        momentum_kg_m_s: 0.0,
        power_w: 0.0,
        workspace: Few::empty(WorldBox::NONE),
        keep_out: Few::empty(WorldBox::NONE),
        planes: Few::empty(Plane::NONE),
        wrench: WrenchLimits {
            contact_force_n: 0.0,
            contact_torque_nm: 0.0,
            collision_force_n: 0.0,
            collision_torque_nm: 0.0,
        },
        gripper: GripperLimits { min_width_m: 0.0, max_width_m: 0.0, max_force_n: 0.0 },
    };
}
