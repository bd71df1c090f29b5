//! The two parts that the demo assembles: sizes, frames, where they stand, when they count as mated.
//!
//! Frames (the poses which the simulator and its camera report)
//! - *pocket* `P`, frame of part A: origin at the centre of the pocket's mouth, z up out of the pocket, x from handle to pocket.
//! - *tip* `T`, frame of part B: origin at the centre of the peg's lower face, z up along the peg.
//!
//! ```text
//!        part A, cut along x                     part B
//!                                                ┌───┐  0.075
//!    handle           \_ mouth _/   z = 0        │   │
//!   ┌────────────┬────┐         ┌───┐            │   │
//!   │     x      │    │ pocket  │   │            │   │
//!   │   grasp    │    └─────────┘   │ -0.030     └───┘  T
//!   └────────────┴──────────────────┘ -0.045
//!  -0.185      -0.030    P=0      0.030
//! ```
//!
//! The peg is 20 mm square, the pocket 21 mm: 0.5 mm of play on each side, and a 45° chamfer of 1.5 mm catches a peg that is up to
//! 2 mm off. A camera alone can't promise that; the last centimetre needs the wrench.

use nalgebra::{Isometry3, UnitQuaternion, Vector3};

/// Edge of the square peg, m.
pub const PEG_EDGE_M: f64 = 0.020;
/// Length of the peg, m.
pub const PEG_LENGTH_M: f64 = 0.075;
/// Edge of the square pocket, m.
pub const POCKET_EDGE_M: f64 = 0.021;
/// Depth of the pocket, m.
pub const POCKET_DEPTH_M: f64 = 0.030;
/// Width and depth of the chamfer at the pocket's mouth, m.
pub const CHAMFER_M: f64 = 0.0015;
/// Depth of the tip in the pocket from which the parts count as mated, m.
pub const MATED_DEPTH_M: f64 = 0.027;
/// Outer edge of the block around the pocket, m.
pub const BLOCK_EDGE_M: f64 = 0.060;
/// Height of block and handle, m.
pub const BLOCK_HEIGHT_M: f64 = 0.045;
/// Width of the handle, m: what the leader's fingers close on.
pub const HANDLE_WIDTH_M: f64 = 0.030;
/// End of the handle along x of the pocket frame, m.
pub const HANDLE_END_M: f64 = -0.185;
/// Part A, kg; plastic.
pub const PART_A_MASS_KG: f64 = 0.25;
/// Part B, kg; aluminium of 2700 kg/m³.
pub const PART_B_MASS_KG: f64 = 0.081;

/// Where the leader's tool centre point belongs in the pocket frame; the tool's z points down, its x to the handle's end, and its
/// fingers close along y.
pub fn grasp_in_pocket() -> Isometry3<f64> {
    tool_down(Vector3::new(-0.160, 0.0, -0.025))
}

/// Where the follower's tool centre point belongs in the tip frame; the tool's z points down, its fingers close along y.
pub fn grasp_in_tip() -> Isometry3<f64> {
    tool_down(Vector3::new(0.0, 0.0, 0.055))
}

fn tool_down(position: Vector3<f64>) -> Isometry3<f64> {
    Isometry3::from_parts(
        position.into(),
        UnitQuaternion::from_axis_angle(&Vector3::y_axis(), std::f64::consts::PI),
    )
}

/// Part A on the table before it is perturbed: pocket in world.
pub fn part_a_start_in_world() -> Isometry3<f64> {
    Isometry3::translation(-0.12, -0.30, BLOCK_HEIGHT_M)
}

/// Part B on the table before it is perturbed: tip in world.
pub fn part_b_start_in_world() -> Isometry3<f64> {
    Isometry3::translation(0.28, -0.28, 0.0)
}

/// Start poses differ from the nominal ones by up to this much along x and y, m.
pub const START_OFFSET_M: f64 = 0.02;
/// Start poses are turned about z by up to this much, rad (10°).
pub const START_YAW_RAD: f64 = 10.0 * std::f64::consts::PI / 180.0;

/// A box of part A: centre and full edges in the pocket frame, tilted about one axis.
pub(crate) struct Block {
    pub(crate) pose: Isometry3<f64>,
    pub(crate) size_m: [f64; 3],
}

/// Thickness of the plates that make the chamfer, m; they end inside the walls.
const PLATE_M: f64 = 0.002;

/// Part A as boxes: floor, handle, and four walls that end in a 45° chamfer.
pub(crate) fn part_a_blocks() -> Vec<Block> {
    let block = |x: [f64; 2], y: [f64; 2], z: [f64; 2]| Block {
        pose: Isometry3::translation(x[0].midpoint(x[1]), y[0].midpoint(y[1]), z[0].midpoint(z[1])),
        size_m: [x[1] - x[0], y[1] - y[0], z[1] - z[0]],
    };
    let (outer, inner) = (BLOCK_EDGE_M / 2.0, POCKET_EDGE_M / 2.0);
    let lip = inner + CHAMFER_M;
    let mut blocks = vec![
        block([-outer, outer], [-outer, outer], [-BLOCK_HEIGHT_M, -POCKET_DEPTH_M]),
        block([HANDLE_END_M, -outer], [-HANDLE_WIDTH_M / 2.0, HANDLE_WIDTH_M / 2.0], [-BLOCK_HEIGHT_M, 0.0]),
    ];
    for quarter in 0..4 {
        let turn = Isometry3::rotation(Vector3::z() * f64::from(quarter) * std::f64::consts::FRAC_PI_2);
        let mut add = |block: Block| blocks.push(Block { pose: turn * block.pose, size_m: block.size_m });
        add(block([inner, outer], [-outer, inner], [-POCKET_DEPTH_M, -CHAMFER_M]));
        add(block([lip, outer], [-outer, lip], [-CHAMFER_M, 0.0]));
        // The slope: a plate whose upper face runs from (inner, -chamfer) to (lip, 0).
        let normal = Vector3::new(-1.0, 0.0, 1.0).normalize();
        let middle = Vector3::new(inner + CHAMFER_M / 2.0, 0.0, -CHAMFER_M / 2.0);
        let tilt = UnitQuaternion::from_axis_angle(&Vector3::y_axis(), -std::f64::consts::FRAC_PI_4);
        add(Block {
            pose: Isometry3::from_parts((middle - normal * (PLATE_M / 2.0)).into(), tilt),
            size_m: [CHAMFER_M * std::f64::consts::SQRT_2, 2.0 * inner, PLATE_M],
        });
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Point3;

    fn inside(point: Point3<f64>) -> bool {
        part_a_blocks().iter().any(|block| {
            let local = block.pose.inverse_transform_point(&point);
            (0..3).all(|axis| local[axis].abs() < block.size_m[axis] / 2.0)
        })
    }

    /// The boxes leave exactly the pocket free: walked through on all four sides and at several depths.
    #[test]
    fn the_pocket_is_free_and_its_walls_are_where_they_should_be() {
        for step in 0..30 {
            let z = -0.0005 - 0.001 * f64::from(step);
            let free = POCKET_EDGE_M / 2.0 + (CHAMFER_M + z).max(0.0);
            for (x, y) in [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)] {
                assert!(!inside(Point3::new(x * (free - 1e-5), y * (free - 1e-5), z)), "blocked at z {z}");
                assert!(inside(Point3::new(x * (free + 1e-5), y * (free + 1e-5), z)), "no wall at z {z}");
            }
        }
        assert!(inside(Point3::new(0.0, 0.0, -POCKET_DEPTH_M - 1e-5)), "no floor");
    }
}
