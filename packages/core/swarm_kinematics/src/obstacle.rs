//! Things that stand in the world, and how far a capsule is from them.

use nalgebra::{Point3, Unit, Vector3};

use crate::distance::Capsule;

/// Something solid, in the frame of the capsules that it is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Obstacle {
    /// A box with edges along the frame's axes, m.
    Box {
        min: Point3<f64>,
        max: Point3<f64>,
    },
    Capsule(Capsule),
    /// Everything on the far side of a plane: solid where `normal . p < offset_m`.
    HalfSpace {
        normal: Unit<Vector3<f64>>,
        offset_m: f64,
    },
}

impl Obstacle {
    /// Gap between the capsule's surface and the obstacle, m. Negative where they overlap; then it is no measure of how deep.
    pub fn gap(&self, capsule: &Capsule) -> f64 {
        match self {
            Self::Box { min, max } => segment_box_distance(&capsule.a, &capsule.b, min, max) - capsule.radius,
            Self::Capsule(other) => capsule.distance(other),
            Self::HalfSpace { normal, offset_m } => {
                let height = |p: &Point3<f64>| normal.dot(&p.coords) - offset_m;
                height(&capsule.a).min(height(&capsule.b)) - capsule.radius
            }
        }
    }
}

/// Smallest distance between the segment from `p` to `q` and a box, m; 0 where they meet.
///
/// Half the squared distance of `p + t (q - p)` to the box is a convex function of `t`, and its slope is linear between the
/// places where the segment crosses the planes of the box's faces. So those places narrow down where the slope is zero, in any
/// order, and what is left is one straight line.
fn segment_box_distance(p: &Point3<f64>, q: &Point3<f64>, min: &Point3<f64>, max: &Point3<f64>) -> f64 {
    let along = q - p;
    let excess = |t: f64| {
        let at = p + along * t;
        Vector3::from_fn(|i, _| at[i] - at[i].max(min[i]).min(max[i]))
    };
    let slope = |t: f64| excess(t).dot(&along);
    let (mut low, mut high) = (0.0, 1.0);
    let (mut slope_low, mut slope_high) = (slope(low), slope(high));
    if slope_low >= 0.0 {
        return excess(low).norm();
    }
    if slope_high <= 0.0 {
        return excess(high).norm();
    }
    for i in 0..3 {
        for face in [min[i], max[i]] {
            let t = (face - p[i]) / along[i];
            if t > low && t < high {
                let here = slope(t);
                if here < 0.0 {
                    (low, slope_low) = (t, here);
                } else {
                    (high, slope_high) = (t, here);
                }
            }
        }
    }
    let t = low + (high - low) * slope_low / (slope_low - slope_high);
    excess(t).norm()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(range: f64) -> impl Strategy<Value = Point3<f64>> {
        prop::array::uniform3(-range..range).prop_map(Point3::from)
    }

    fn to_box(at: &Point3<f64>, min: &Point3<f64>, max: &Point3<f64>) -> f64 {
        Vector3::from_fn(|i, _| at[i] - at[i].clamp(min[i], max[i])).norm()
    }

    proptest! {
        #[test]
        fn the_distance_to_a_box_agrees_with_brute_force(p in point(2.0), q in point(2.0), half in point(1.0)) {
            const STEPS: usize = 2_000;
            let max = Point3::from(half.coords.abs());
            let min = -max;
            let found = segment_box_distance(&p, &q, &min, &max);
            let at = |i: usize| p + (q - p) * (i as f64 / STEPS as f64);
            let sampled = (0..=STEPS).map(|i| to_box(&at(i), &min, &max)).fold(f64::INFINITY, f64::min);
            let slack = (q - p).norm() / STEPS as f64;
            prop_assert!(found <= sampled + 1e-9 && found >= sampled - slack, "{found}, sampled {sampled}");
        }

        #[test]
        fn a_segment_along_an_axis_or_a_point_counts_too(p in point(2.0), length in 0.0..3.0f64, axis in 0..3usize) {
            let (min, max) = (Point3::new(-0.5, -0.5, -0.5), Point3::new(0.5, 0.5, 0.5));
            let mut q = p;
            q[axis] += length;
            let found = segment_box_distance(&p, &q, &min, &max);
            // The nearest point of such a segment, worked out per axis.
            let mut nearest = p;
            nearest[axis] = 0.0_f64.clamp(p[axis], q[axis]);
            prop_assert!((found - to_box(&nearest, &min, &max)).abs() < 1e-9, "{found}");
            prop_assert_eq!(segment_box_distance(&p, &p, &min, &max), to_box(&p, &min, &max));
        }
    }

    #[test]
    fn gaps_are_measured_from_the_surface() {
        let capsule = Capsule { a: [0.0, 0.0, 1.0].into(), b: [1.0, 0.0, 0.5].into(), radius: 0.1 };
        let floor = Obstacle::HalfSpace { normal: Vector3::z_axis(), offset_m: 0.0 };
        assert!((floor.gap(&capsule) - 0.4).abs() < 1e-15);
        let block = Obstacle::Box { min: [0.9, -1.0, -1.0].into(), max: [2.0, 1.0, 0.0].into() };
        assert!((block.gap(&capsule) - 0.4).abs() < 1e-12, "{}", block.gap(&capsule));
        let post =
            Obstacle::Capsule(Capsule { a: [0.5, 1.0, 0.0].into(), b: [0.5, 1.0, 2.0].into(), radius: 0.2 });
        assert!(post.gap(&capsule) > 0.6 && post.gap(&capsule) <= 0.7);
        let around = Obstacle::Box { min: [-9.0, -9.0, -9.0].into(), max: [9.0, 9.0, 9.0].into() };
        assert!(around.gap(&capsule) < 0.0);
    }
}
