//! Whether capsules cover a part.

use nalgebra::Point3;

use super::geometry::{Part, Shape, Triangle};
use crate::distance::{Capsule, segment_distance};

/// A bit of a triangle that is smaller, m, and still in no capsule counts as outside: the overlap of neighbouring capsules is
/// several times as wide.
const SMALLEST_BIT: f64 = 2e-4;

/// How well capsules cover a part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coverage {
    /// Corners of the part's triangles.
    pub vertices: usize,
    /// How deep the shallowest vertex lies in its deepest capsule, m; negative if it is outside all.
    pub smallest_margin: f64,
    /// A point of the part that no capsule was found to cover, in the link's frame.
    pub outside: Option<Point3<f64>>,
}

/// Looks at a part and at the capsules of its link.
pub fn check(part: &Part, capsules: &[Capsule]) -> Coverage {
    let mut coverage = Coverage { vertices: 0, smallest_margin: f64::INFINITY, outside: None };
    for point in part.points() {
        let deepest = capsules.iter().map(|capsule| depth(capsule, point)).fold(f64::NEG_INFINITY, f64::max);
        coverage.smallest_margin = coverage.smallest_margin.min(deepest);
        if deepest < 0.0 && coverage.outside.is_none() {
            coverage.outside = Some(*point);
        }
        coverage.vertices += 1;
    }
    if coverage.outside.is_none() {
        coverage.outside = match &part.shape {
            Shape::Surface(triangles) => triangles.iter().find_map(|triangle| uncovered(triangle, capsules)),
            // The hull of points is in a capsule if they are; in a union of capsules it need not be.
            Shape::Hull(points) => {
                let holds_all = |capsule: &Capsule| points.iter().all(|point| depth(capsule, point) >= 0.0);
                if capsules.iter().any(holds_all) { None } else { points.first().copied() }
            }
        };
    }
    coverage
}

/// Volume of a link's capsules (overlaps count twice) by that of the box around its parts, along the link's axes.
pub fn volume_by_box<'p>(parts: impl IntoIterator<Item = &'p Part>, capsules: &[Capsule]) -> f64 {
    let (mut low, mut high) = (Point3::from([f64::INFINITY; 3]), Point3::from([f64::NEG_INFINITY; 3]));
    for point in parts.into_iter().flat_map(Part::points) {
        (low, high) = (low.inf(point), high.sup(point));
    }
    capsules.iter().map(volume).sum::<f64>() / (high - low).product()
}

/// How deep a point lies in a capsule, m; negative outside.
fn depth(capsule: &Capsule, point: &Point3<f64>) -> f64 {
    capsule.radius - segment_distance(point, point, &capsule.a, &capsule.b)
}

pub(super) fn volume(capsule: &Capsule) -> f64 {
    let (r, length) = (capsule.radius, (capsule.b - capsule.a).norm());
    std::f64::consts::PI * r * r * (length + 4.0 / 3.0 * r)
}

/// A point of the triangle that lies in no capsule, or in bits of [`SMALLEST_BIT`] that lie in none as a whole.
fn uncovered(triangle: &Triangle, capsules: &[Capsule]) -> Option<Point3<f64>> {
    let mut left = vec![*triangle];
    while let Some(bit) = left.pop() {
        if capsules.iter().any(|capsule| bit.iter().all(|corner| depth(capsule, corner) >= 0.0)) {
            continue;
        }
        let in_none = |corner: &&Point3<f64>| capsules.iter().all(|capsule| depth(capsule, corner) < 0.0);
        if let Some(corner) = bit.iter().find(in_none) {
            return Some(*corner);
        }
        let length = |i: usize| (bit[(i + 1) % 3] - bit[i]).norm();
        let longest = (0..3).max_by(|&i, &j| length(i).total_cmp(&length(j))).unwrap_or(0);
        if length(longest) < SMALLEST_BIT {
            return Some(bit[0]);
        }
        let (from, to, apex) = (bit[longest], bit[(longest + 1) % 3], bit[(longest + 2) % 3]);
        let middle = nalgebra::center(&from, &to);
        left.extend([[from, middle, apex], [middle, to, apex]]);
    }
    None
}
