//! Distance between segments and between capsules.

use nalgebra::Point3;

use crate::Pose;

/// All points within `radius` of the segment from `a` to `b`; m, in a frame that the holder names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Capsule {
    pub a: Point3<f64>,
    pub b: Point3<f64>,
    pub radius: f64,
}

impl Capsule {
    #[must_use]
    /// The same capsule in the frame that `pose` maps into.
    pub fn transformed(&self, pose: &Pose) -> Self {
        Self { a: pose * self.a, b: pose * self.b, radius: self.radius }
    }

    /// Gap between two capsules, m; negative where they overlap.
    pub fn distance(&self, other: &Self) -> f64 {
        segment_distance(&self.a, &self.b, &other.a, &other.b) - self.radius - other.radius
    }
}

/// Smallest distance between the segments `p1 q1` and `p2 q2`, m; a segment may be a point.
///
/// C. Ericson, Real-Time Collision Detection (2005), section 5.1.9.
pub fn segment_distance(p1: &Point3<f64>, q1: &Point3<f64>, p2: &Point3<f64>, q2: &Point3<f64>) -> f64 {
    // Shorter than a nanometre is a point.
    const POINT_SQUARED: f64 = 1e-18;
    let (d1, d2, r) = (q1 - p1, q2 - p2, p1 - p2);
    let (a, e, f) = (d1.norm_squared(), d2.norm_squared(), d2.dot(&r));
    let (s, t) = if a <= POINT_SQUARED && e <= POINT_SQUARED {
        (0.0, 0.0)
    } else if a <= POINT_SQUARED {
        (0.0, (f / e).clamp(0.0, 1.0))
    } else {
        let c = d1.dot(&r);
        if e <= POINT_SQUARED {
            ((-c / a).clamp(0.0, 1.0), 0.0)
        } else {
            let b = d1.dot(&d2);
            let denominator = a * e - b * b;
            // Parallel segments: any s will do.
            let s = if denominator > 0.0 { ((b * f - c * e) / denominator).clamp(0.0, 1.0) } else { 0.0 };
            let t = (b * s + f) / e;
            if t < 0.0 {
                ((-c / a).clamp(0.0, 1.0), 0.0)
            } else if t > 1.0 {
                (((b - c) / a).clamp(0.0, 1.0), 1.0)
            } else {
                (s, t)
            }
        }
    };
    (r + d1 * s - d2 * t).norm()
}

#[cfg(test)]
mod tests {
    use nalgebra::Point3;
    use proptest::prelude::*;

    use super::*;

    fn point() -> impl Strategy<Value = Point3<f64>> {
        prop::array::uniform3(-1.0..1.0f64).prop_map(Point3::from)
    }

    /// Distance by looking at a grid of points of both segments: never smaller than the true distance, and larger by at
    /// most half a grid step of each segment.
    fn brute_force(p1: &Point3<f64>, q1: &Point3<f64>, p2: &Point3<f64>, q2: &Point3<f64>) -> (f64, f64) {
        const STEPS: usize = 60;
        let mut best = f64::INFINITY;
        for i in 0..=STEPS {
            for j in 0..=STEPS {
                let on_first = p1 + (q1 - p1) * (i as f64 / STEPS as f64);
                let on_second = p2 + (q2 - p2) * (j as f64 / STEPS as f64);
                best = best.min((on_first - on_second).norm());
            }
        }
        (best, ((q1 - p1).norm() + (q2 - p2).norm()) * 0.5 / STEPS as f64)
    }

    proptest! {
        #[test]
        fn the_distance_agrees_with_brute_force(p1 in point(), q1 in point(), p2 in point(), q2 in point()) {
            let found = segment_distance(&p1, &q1, &p2, &q2);
            let (sampled, slack) = brute_force(&p1, &q1, &p2, &q2);
            prop_assert!(found <= sampled + 1e-12, "found {found}, a sampled pair of points is at {sampled}");
            prop_assert!(found >= sampled - slack, "found {found}, sampled {sampled} with slack {slack}");
        }

        #[test]
        fn nearly_parallel_segments_agree_with_brute_force(
            p1 in point(), q1 in point(), shift in point(), tilt in 0.0..1e-7f64,
        ) {
            let p2 = p1 + shift.coords;
            let q2 = q1 + shift.coords + shift.coords * tilt;
            let (sampled, slack) = brute_force(&p1, &q1, &p2, &q2);
            let found = segment_distance(&p1, &q1, &p2, &q2);
            prop_assert!(found <= sampled + 1e-7 && found >= sampled - slack, "{found} {sampled} {slack}");
        }

        #[test]
        fn points_count_as_segments(p in point(), a in point(), b in point()) {
            let found = segment_distance(&p, &p, &a, &b);
            prop_assert_eq!(found, segment_distance(&a, &b, &p, &p));
            let (sampled, slack) = brute_force(&p, &p, &a, &b);
            prop_assert!(found <= sampled + 1e-12 && found >= sampled - slack);
            prop_assert_eq!(segment_distance(&p, &p, &a, &a), (p - a).norm());
        }
    }

    #[test]
    fn overlapping_capsules_have_a_negative_distance() {
        let capsule = |x: f64| Capsule { a: [x, 0.0, 0.0].into(), b: [x, 0.0, 1.0].into(), radius: 0.1 };
        assert!((capsule(0.0).distance(&capsule(0.5)) - 0.3).abs() < 1e-15);
        assert!((capsule(0.0).distance(&capsule(0.1)) + 0.1).abs() < 1e-15);
    }
}
