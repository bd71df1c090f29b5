//! URDF in, one tree of links for the whole cell out.
//!
//! Only what a description of a rigid robot needs is understood: links with visual, collision and inertial, joints that are fixed,
//! revolute, continuous or prismatic, with origin, axis, limit and mimic. Anything else of a file is left out.

mod compose;
mod parse;
mod write;

pub use compose::{RobotLinks, Scene, compose};
pub use parse::parse;
pub use write::to_urdf;

use nalgebra::Isometry3;

/// Links and joints in the order of their file; parents may come after children.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkTree {
    pub name: String,
    pub links: Vec<Link>,
    pub joints: Vec<Joint>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    pub name: String,
    pub visuals: Vec<Shape>,
    pub collisions: Vec<Shape>,
    pub inertial: Option<Inertial>,
}

/// A geometry at its place in the link's frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    pub origin: Isometry3<f64>,
    pub geometry: Geometry,
    /// Red, green, blue, opacity, each 0..1.
    pub rgba: Option<[f64; 4]>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Geometry {
    /// Full edge lengths, m.
    Box([f64; 3]),
    Sphere {
        radius_m: f64,
    },
    /// Along z.
    Cylinder {
        radius_m: f64,
        length_m: f64,
    },
    /// File, relative to the folder that holds `urdf/` once composed.
    Mesh(String),
}

/// Mass properties about the centre of mass, in axes of `origin`.
#[derive(Clone, Debug, PartialEq)]
pub struct Inertial {
    pub origin: Isometry3<f64>,
    pub mass_kg: f64,
    /// ixx, iyy, izz, ixy, ixz, iyz in kg m².
    pub inertia: [f64; 6],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JointKind {
    Fixed,
    Revolute,
    Continuous,
    Prismatic,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Joint {
    pub name: String,
    pub kind: JointKind,
    pub parent: String,
    pub child: String,
    /// Child frame in the parent's at position zero.
    pub origin: Isometry3<f64>,
    /// Unit vector in the child frame.
    pub axis: [f64; 3],
    pub limit: Option<Limit>,
    /// Name of the joint whose position this one copies.
    pub mimic: Option<String>,
}

/// rad, rad/s, N m for a revolute joint; m, m/s, N for a prismatic one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    pub lower: f64,
    pub upper: f64,
    pub effort: f64,
    pub velocity: f64,
}

impl LinkTree {
    /// The joint that carries `link`, if it is not the root.
    pub fn joint_to(&self, link: &str) -> Option<&Joint> {
        self.joints.iter().find(|joint| joint.child == link)
    }

    /// Name of the one link without parent.
    pub fn root(&self) -> Option<&str> {
        let mut roots = self.links.iter().filter(|link| self.joint_to(&link.name).is_none());
        let root = roots.next()?;
        roots.next().is_none().then_some(root.name.as_str())
    }
}
