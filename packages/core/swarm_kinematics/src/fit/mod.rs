//! Capsules around the collision geometry of a URDF, offline: `cell fit-capsules` is the shell around this.
//!
//! Vocabulary
//! - *part*: geometry that capsules of one link have to cover. A link that the arm carries is a part of its own; what other
//!   moving joints carry (fingers) is a part of the link that they hang on, over their whole travel.
//! - *piece*: the share of a part that one capsule covers.
//!
//! Flow
//! 1. [`parts`] reads shapes and joints, and sweeps fingers over their travel.
//! 2. [`fit`] puts one capsule around each part, and cuts parts in two where that shrinks the volume most.
//! 3. [`check`] looks whether given capsules cover a part. It knows nothing of how they were made.
//!
//! What "covers" means, and why it is enough. Distances of an arm are those of its surface, and the surface is the mesh's
//! triangles. A capsule is convex: it holds a triangle if it holds its corners. A triangle whose corners lie in two different
//! capsules may stick out between them; so where a part is cut, its triangles are cut too (with 1 mm of overlap), each capsule
//! holds all corners of its piece, and the pieces make up the part. [`check`] proves the same without knowing the cut: it
//! halves a triangle until each bit lies in one capsule, and so never calls covered what is not.

mod cover;
mod geometry;
mod search;

pub use cover::{Coverage, check, volume_by_box};
pub use geometry::{Part, Shape, Triangle, parts};
pub use search::fit;

use crate::distance::Capsule;
use crate::model::ModelError;
use crate::urdf::{Urdf, UrdfError};

/// A capsule in the frame of the link that it is written for.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedCapsule {
    pub link: String,
    pub in_link: Capsule,
}

/// Why a URDF's geometry could not be had.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GeometryError {
    #[error(transparent)]
    Urdf(#[from] UrdfError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(
        "URDF: collision of link '{link}' has no shape, expected one of mesh, box, cylinder, sphere, capsule"
    )]
    NoShape { link: String },
    #[error("URDF: collision of link '{link}': {what} must be positive, found {found}")]
    NotPositive { link: String, what: &'static str, found: String },
    #[error("collision mesh '{file}' of link '{link}': {problem}")]
    Mesh { link: String, file: String, problem: String },
    #[error(
        "link '{link}' moves on the {kind} joint '{joint}' beside the arm; its travel has no bounds to cover"
    )]
    Unbounded { link: String, joint: String, kind: &'static str },
}

/// The capsules that a URDF lists, in the frames of their links.
pub fn listed(urdf: &str) -> Result<Vec<FittedCapsule>, UrdfError> {
    let urdf = Urdf::parse(urdf)?;
    let capsule = |own: &crate::urdf::UrdfCapsule| FittedCapsule {
        link: urdf.links[own.link].clone(),
        in_link: own.shape,
    };
    Ok(urdf.capsules.iter().map(capsule).collect())
}

/// The element that lists capsules, indented as a child of the robot.
pub fn as_element(capsules: &[FittedCapsule]) -> String {
    let point = |p: &nalgebra::Point3<f64>| format!("{} {} {}", p.x, p.y, p.z);
    let lines = capsules.iter().map(|FittedCapsule { link, in_link: Capsule { a, b, radius } }| {
        let link = link.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        format!(
            "    <capsule link=\"{link}\" from=\"{}\" to=\"{}\" radius=\"{radius}\"/>\n",
            point(a),
            point(b)
        )
    });
    format!("  <safety_capsules>\n{}  </safety_capsules>\n", lines.collect::<String>())
}

/// The URDF with these capsules in place of those that it lists. All else stays, to the byte; prefixes that nothing declares
/// are declared.
pub fn with_capsules(urdf: &str, capsules: &[FittedCapsule]) -> Result<String, UrdfError> {
    crate::urdf::with_element(urdf, "safety_capsules", &as_element(capsules))
}
