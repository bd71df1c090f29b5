//! Small capsules around points, and where to cut a part in two.

use nalgebra::{Matrix3, Point3, SVector, SymmetricEigen, Unit, Vector3};

use super::FittedCapsule;
use super::cover::volume;
use super::geometry::{Part, Shape, Triangle};
use crate::distance::{Capsule, segment_distance};

/// Each capsule reaches at least this much beyond what it covers, m: meshes are often stored in single precision.
const MARGIN: f64 = 1e-4;
/// Capsules are written in steps of this, m.
const STEP: f64 = 1e-4;
/// Half the overlap of two pieces along the cut, m.
const OVERLAP: f64 = 5e-4;
/// A cut has to shrink the volume of a piece to this share of itself: every capsule costs distances, a thousand times a second.
const WORTH_A_CUT: f64 = 0.7;

/// Capsules that cover the parts, `most` in all where there are fewer parts than that: first one for each part, then cuts, the
/// most rewarding first, as long as they are worth it. The same input gives the same capsules.
pub fn fit(parts: &[Part], most: usize) -> Vec<FittedCapsule> {
    let mut pieces: Vec<Piece> =
        parts.iter().enumerate().map(|(part, own)| Piece::whole(part, own)).collect();
    while pieces.len() < most {
        let gain =
            |piece: &Piece| piece.cut.as_ref().map_or(0.0, |cut| volume(&piece.capsule) - cut.volume());
        let best = (0..pieces.len()).max_by(|&i, &j| gain(&pieces[i]).total_cmp(&gain(&pieces[j])));
        let Some(best) = best.filter(|&best| pieces[best].cut.is_some()) else { break };
        let piece = pieces.remove(best);
        let Some(cut) = piece.cut else { break };
        for (place, triangles) in cut.sides.iter().enumerate() {
            pieces.insert(best + place, Piece::new(piece.part, triangles));
        }
    }
    pieces
        .into_iter()
        .map(|piece| FittedCapsule { link: parts[piece.part].link.clone(), in_link: piece.capsule })
        .collect()
}

/// What one capsule covers.
struct Piece {
    /// Index of the part.
    part: usize,
    capsule: Capsule,
    /// The best cut, if one is worth it.
    cut: Option<Cut>,
}

struct Cut {
    sides: [Vec<Triangle>; 2],
    capsules: [Capsule; 2],
}

impl Cut {
    fn volume(&self) -> f64 {
        self.capsules.iter().map(volume).sum()
    }
}

impl Piece {
    fn whole(index: usize, part: &Part) -> Self {
        match &part.shape {
            Shape::Surface(triangles) => Self::new(index, triangles),
            // The inside of a hull counts too; it is not cut.
            Shape::Hull(points) => {
                Self { part: index, capsule: capsule_around(points, Effort::Full), cut: None }
            }
        }
    }

    fn new(part: usize, triangles: &[Triangle]) -> Self {
        let capsule = capsule_around(triangles.as_flattened(), Effort::Full);
        let cut = best_cut(triangles, &capsule);
        Self { part, capsule, cut }
    }
}

/// The best of cuts across the axes of inertia, each at nine places, if it is worth it.
fn best_cut(triangles: &[Triangle], whole: &Capsule) -> Option<Cut> {
    let points = triangles.as_flattened();
    let mut best: Option<(f64, Vector3<f64>, f64)> = None;
    for axis in principal_axes(points) {
        let along = |point: &Point3<f64>| point.coords.dot(&axis);
        let (low, high) = points
            .iter()
            .map(along)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), t| (l.min(t), h.max(t)));
        for place in 1..10 {
            let at = low + (high - low) * f64::from(place) / 10.0;
            let sides = cut_at(triangles, &axis, at);
            if sides.iter().any(Vec::is_empty) {
                continue;
            }
            let total =
                sides.iter().map(|side| volume(&capsule_around(side.as_flattened(), Effort::Quick))).sum();
            if best.is_none_or(|(least, _, _)| total < least) {
                best = Some((total, axis, at));
            }
        }
    }
    let (_, axis, at) = best?;
    let sides = cut_at(triangles, &axis, at);
    let capsules = [0, 1].map(|side: usize| capsule_around(sides[side].as_flattened(), Effort::Full));
    let cut = Cut { sides, capsules };
    (cut.volume() < WORTH_A_CUT * volume(whole)).then_some(cut)
}

/// The triangles below and above a plane; those that it crosses are cut [`OVERLAP`] beyond it.
fn cut_at(triangles: &[Triangle], axis: &Vector3<f64>, at: f64) -> [Vec<Triangle>; 2] {
    let side = |direction: Vector3<f64>, limit: f64| {
        triangles.iter().flat_map(|triangle| below(triangle, &direction, limit + OVERLAP)).collect()
    };
    [side(*axis, at), side(-axis, -at)]
}

/// The share of a triangle where `direction . p <= limit`: none, one or two triangles (Sutherland, Hodgman 1974).
fn below(triangle: &Triangle, direction: &Vector3<f64>, limit: f64) -> Vec<Triangle> {
    let height = |point: &Point3<f64>| point.coords.dot(direction) - limit;
    let mut polygon: Vec<Point3<f64>> = Vec::with_capacity(4);
    for (i, from) in triangle.iter().enumerate() {
        let to = &triangle[(i + 1) % 3];
        let (h, next) = (height(from), height(to));
        if h <= 0.0 {
            polygon.push(*from);
        }
        if (h < 0.0 && next > 0.0) || (h > 0.0 && next < 0.0) {
            polygon.push(from + (to - from) * (h / (h - next)));
        }
    }
    (2..polygon.len()).map(|i| [polygon[0], polygon[i - 1], polygon[i]]).collect()
}

/// How long to look for a small capsule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effort {
    /// To compare cuts.
    Quick,
    Full,
}

/// A small capsule around points: local search over its volume from several starts.
fn capsule_around(points: &[Point3<f64>], effort: Effort) -> Capsule {
    let outer = outermost(points);
    let (low, high) = outer.iter().fold((outer[0], outer[0]), |(l, h), point| (l.inf(point), h.sup(point)));
    let (centre, half) = (nalgebra::center(&low, &high), (high - low) / 2.0);
    let size = |ends: &Ends| volume(&around_segment(&outer, ends));
    let mut axes = principal_axes(&outer).to_vec();
    let (shares, steps): (&[f64], usize) = match effort {
        Effort::Quick => (&[0.6], 200),
        Effort::Full => {
            axes.extend([Vector3::x(), Vector3::y(), Vector3::z()]);
            (&[0.3, 0.9], 800)
        }
    };
    let mut best: Option<(f64, Ends)> = None;
    for axis in &axes {
        for share in shares {
            let reach = axis * axis.abs().dot(&half) * *share;
            let mut ends = Ends::zeros();
            ends.fixed_rows_mut::<3>(0).copy_from(&(centre.coords - reach));
            ends.fixed_rows_mut::<3>(3).copy_from(&(centre.coords + reach));
            let found = minimise(size, ends, 0.1 * half.max(), steps);
            if best.is_none_or(|(least, _)| found.0 < least) {
                best = Some(found);
            }
        }
    }
    let ends = best.map_or_else(Ends::zeros, |(_, ends)| ends).map(|value| round(value, f64::round));
    let exact = around_segment(points, &ends);
    Capsule { radius: round(exact.radius + MARGIN, f64::ceil), ..exact }
}

/// Ends of a segment, one above the other.
type Ends = SVector<f64, 6>;

/// The smallest capsule around a segment that holds the points.
fn around_segment(points: &[Point3<f64>], ends: &Ends) -> Capsule {
    let (a, b) = (Point3::new(ends[0], ends[1], ends[2]), Point3::new(ends[3], ends[4], ends[5]));
    let radius = points.iter().map(|point| segment_distance(point, point, &a, &b)).fold(0.0, f64::max);
    Capsule { a, b, radius }
}

/// In steps of [`STEP`], as the nearest double to the decimal number that is written.
fn round(value: f64, to_whole: fn(f64) -> f64) -> f64 {
    // Adding zero turns -0 into 0.
    to_whole(value / STEP) / (1.0 / STEP).round() + 0.0
}

/// Directions in which the points spread most to least.
fn principal_axes(points: &[Point3<f64>]) -> [Vector3<f64>; 3] {
    let mean = points.iter().fold(Vector3::zeros(), |sum, point| sum + point.coords) / points.len() as f64;
    let spread = points.iter().fold(Matrix3::zeros(), |sum, point| {
        let offset = point.coords - mean;
        sum + offset * offset.transpose()
    });
    let eigen = SymmetricEigen::new(spread);
    let mut order = [0, 1, 2];
    order.sort_by(|&i, &j| eigen.eigenvalues[j].total_cmp(&eigen.eigenvalues[i]));
    order.map(|i| Unit::new_normalize(eigen.eigenvectors.column(i).into_owned()).into_inner())
}

/// The farthest points in 256 directions spread evenly over the sphere: what the search looks at. The radius is taken from all
/// points in the end.
fn outermost(points: &[Point3<f64>]) -> Vec<Point3<f64>> {
    const DIRECTIONS: usize = 256;
    if points.len() <= DIRECTIONS {
        return points.to_vec();
    }
    // The golden-angle spiral.
    let turn = std::f64::consts::PI * (3.0 - 5.0_f64.sqrt());
    let mut kept: Vec<usize> = (0..DIRECTIONS)
        .filter_map(|i| {
            let z = 1.0 - (2.0 * i as f64 + 1.0) / DIRECTIONS as f64;
            let (sin, cos) = (turn * i as f64).sin_cos();
            let direction = Vector3::new(cos, sin, 0.0) * (1.0 - z * z).sqrt() + Vector3::z() * z;
            let height = |j: usize| points[j].coords.dot(&direction);
            (0..points.len()).max_by(|&j, &k| height(j).total_cmp(&height(k)))
        })
        .collect();
    kept.sort_unstable();
    kept.dedup();
    kept.into_iter().map(|i| points[i]).collect()
}

/// Nelder and Mead's simplex (1965): the least value found, and where.
fn minimise(value: impl Fn(&Ends) -> f64, start: Ends, step: f64, steps: usize) -> (f64, Ends) {
    let mut simplex: Vec<(f64, Ends)> = vec![(value(&start), start)];
    for i in 0..6 {
        let mut corner = start;
        corner[i] += step;
        simplex.push((value(&corner), corner));
    }
    for _ in 0..steps {
        simplex.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (worst, best) = (simplex[6], simplex[0]);
        if worst.0 - best.0 <= 1e-6 * best.0 {
            break;
        }
        let centre = simplex[..6].iter().fold(Ends::zeros(), |sum, (_, corner)| sum + corner) / 6.0;
        let along = |share: f64| {
            let point = centre + (centre - worst.1) * share;
            (value(&point), point)
        };
        let reflected = along(1.0);
        let candidate = if reflected.0 < best.0 {
            let expanded = along(2.0);
            if expanded.0 < reflected.0 { expanded } else { reflected }
        } else if reflected.0 < simplex[5].0 {
            reflected
        } else {
            along(if reflected.0 < worst.0 { 0.5 } else { -0.5 })
        };
        if candidate.0 < worst.0 {
            simplex[6] = candidate;
        } else {
            for corner in &mut simplex[1..] {
                corner.1 = best.1 + (corner.1 - best.1) * 0.5;
                corner.0 = value(&corner.1);
            }
        }
    }
    simplex.into_iter().min_by(|one, other| one.0.total_cmp(&other.0)).unwrap_or((f64::INFINITY, start))
}
