//! The space that an arm goes through, as voxels.
//!
//! The arm is the capsules around its links. A voxel counts when its centre is within a capsule's radius plus half of its own diagonal:
//! whatever a capsule touches lies in a voxel that counts. So the volume is an upper bound, too large by about half a voxel all around.
//! An arm is looked at again when its joints have moved so far that a point one metre from an axis may have gone a quarter of a voxel;
//! what lies between two looks is within the slack of the bound for arms of that length.

use std::collections::HashSet;

use nalgebra::{Point3, Vector3};
use swarm_kinematics::{Capsule, JointVector, segment_distance};

use crate::twin::TwinArm;

/// The space that an arm goes through.
#[derive(Clone, Debug, PartialEq)]
pub struct Swept {
    /// Edge of a voxel, m.
    pub voxel_m: f64,
    /// Voxels, of the lattice with a corner in the world's origin.
    pub voxels: usize,
    /// An upper bound, m^3.
    pub volume_m3: f64,
    /// The box around all voxels, world frame, m.
    pub min_m: [f64; 3],
    pub max_m: [f64; 3],
}

/// The voxels so far.
#[derive(Clone, Debug)]
pub(super) struct Space {
    voxel_m: f64,
    marked: HashSet<[i32; 3]>,
    /// Where the arm was when it was last looked at.
    last: Option<JointVector>,
}

impl Space {
    pub(super) fn new(voxel_m: f64) -> Self {
        Self { voxel_m, marked: HashSet::new(), last: None }
    }

    pub(super) fn mark(&mut self, arm: &TwinArm) {
        let step = self.voxel_m * 0.25;
        if self.last.is_some_and(|last| (arm.q - last).abs().sum() < step) {
            return;
        }
        self.last = Some(arm.q);
        let capsules = arm.arm.capsules(&arm.arm.forward(&arm.q));
        for capsule in capsules.as_slice() {
            self.mark_capsule(capsule);
        }
    }

    pub(super) fn into_swept(self) -> Swept {
        let edge = |index: i32| f64::from(index) * self.voxel_m;
        let (mut min_m, mut max_m) = ([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
        for voxel in &self.marked {
            for i in 0..3 {
                min_m[i] = min_m[i].min(edge(voxel[i]));
                max_m[i] = max_m[i].max(edge(voxel[i] + 1));
            }
        }
        let voxels = self.marked.len();
        let volume_m3 = voxels as f64 * self.voxel_m.powi(3);
        Swept { voxel_m: self.voxel_m, voxels, volume_m3, min_m, max_m }
    }

    fn mark_capsule(&mut self, Capsule { a, b, radius }: &Capsule) {
        let reach = radius + self.voxel_m * 3.0_f64.sqrt() / 2.0;
        let index = |at: f64| (at / self.voxel_m).floor() as i32;
        let low: [i32; 3] = std::array::from_fn(|i| index(a[i].min(b[i]) - reach));
        let high: [i32; 3] = std::array::from_fn(|i| index(a[i].max(b[i]) + reach));
        for x in low[0]..=high[0] {
            for y in low[1]..=high[1] {
                for z in low[2]..=high[2] {
                    let corner = Vector3::new(f64::from(x), f64::from(y), f64::from(z));
                    let centre = Point3::from((corner + Vector3::repeat(0.5)) * self.voxel_m);
                    if segment_distance(a, b, &centre, &centre) <= reach {
                        self.marked.insert([x, y, z]);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn space_of(voxel_m: f64, capsules: &[Capsule]) -> Space {
        let mut space = Space::new(voxel_m);
        for capsule in capsules {
            space.mark_capsule(capsule);
        }
        space
    }

    #[test]
    fn a_capsule_has_its_volume_and_half_a_voxel_around_it() {
        let capsule = Capsule { a: Point3::new(0.1, 0.2, 0.3), b: Point3::new(0.1, 0.2, 0.7), radius: 0.1 };
        let volume = |r: f64| std::f64::consts::PI * (r * r * 0.4 + 4.0 / 3.0 * r.powi(3));
        for voxel_m in [0.04, 0.02, 0.01] {
            let swept = space_of(voxel_m, &[capsule]).into_swept();
            let bound = volume(0.1 + voxel_m * 3.0_f64.sqrt());
            assert!((volume(0.1)..bound).contains(&swept.volume_m3), "{swept:?}");
            assert!(swept.min_m[2] <= 0.2 && swept.max_m[2] >= 0.8, "{swept:?}");
        }
    }

    #[test]
    fn the_same_place_counts_once() {
        let capsule = Capsule { a: Point3::origin(), b: Point3::new(0.3, 0.0, 0.0), radius: 0.05 };
        assert_eq!(space_of(0.05, &[capsule, capsule]).into_swept(), space_of(0.05, &[capsule]).into_swept());
    }

    proptest! {
        /// Every point of a capsule lies in a voxel that counts.
        #[test]
        fn no_point_of_a_capsule_is_missed(
            ends in prop::array::uniform6(-0.5..0.5_f64),
            radius in 0.01..0.2_f64,
            along in 0.0..=1.0_f64,
            out in prop::array::uniform3(-1.0..1.0_f64),
        ) {
            let a = Point3::new(ends[0], ends[1], ends[2]);
            let b = Point3::new(ends[3], ends[4], ends[5]);
            let space = space_of(0.05, &[Capsule { a, b, radius }]);
            let way = Vector3::from(out);
            let point = a + (b - a) * along + way * (radius / way.norm().max(1.0));
            let voxel = [point.x, point.y, point.z].map(|at| (at / 0.05).floor() as i32);
            prop_assert!(space.marked.contains(&voxel));
        }
    }
}
