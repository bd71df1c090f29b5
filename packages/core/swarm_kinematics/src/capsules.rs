//! Capsules of whole arms: where they are, and how far apart arms are.

use nalgebra::{Point3, Vector3};

use crate::distance::Capsule;
use crate::model::{ArmModel, BodyPoses};

/// Most capsules of one arm with its tool.
pub const MAX_CAPSULES: usize = 16;

/// Far more than all roundings of a distance together, m.
const ROUNDING_M: f64 = 1e-9;

/// One capsule, fixed to a body.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkCapsule {
    /// Link that it stands for, with the robot's prefix.
    pub link: String,
    /// Part of what is mounted on the flange.
    pub of_tool: bool,
    /// Body that carries it.
    pub body: usize,
    pub in_body: Capsule,
}

/// All capsules of an arm in the world. Index `i` belongs to [`ArmModel::link_capsules`]`()[i]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ArmCapsules {
    in_world: [Capsule; MAX_CAPSULES],
    /// Around each.
    balls: Balls,
    /// Of each.
    lengths: [Length; MAX_CAPSULES],
    count: usize,
}

/// Balls by coordinate, so that one is compared with several others at once. Those beyond the count are nowhere near.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Balls {
    x: [f64; MAX_CAPSULES],
    y: [f64; MAX_CAPSULES],
    z: [f64; MAX_CAPSULES],
    radius: [f64; MAX_CAPSULES],
}

/// How long a capsule's segment is, wherever the capsule is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Length {
    /// Half of it, m.
    half: f64,
    /// 1 / length^2, 1/m^2; 0 for a point.
    per_square: f64,
}

/// The closest pair of capsules.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Closest {
    /// Gap, m; negative where they overlap; infinite if there is no pair.
    pub distance: f64,
    /// Indices of the pair.
    pub pair: (usize, usize),
}

impl ArmCapsules {
    pub(crate) const NOWHERE: Self = Self {
        in_world: [Capsule { a: Point3::new(0.0, 0.0, 0.0), b: Point3::new(0.0, 0.0, 0.0), radius: 0.0 };
            MAX_CAPSULES],
        balls: Balls::NOWHERE,
        lengths: [Length::NONE; MAX_CAPSULES],
        count: 0,
    };

    pub fn as_slice(&self) -> &[Capsule] {
        &self.in_world[..self.count]
    }

    /// The farthest that any point of the capsules that `counts` is from `point`, m; 0 if none counts.
    pub fn farthest(&self, point: &Point3<f64>, counts: impl Fn(usize) -> bool) -> f64 {
        let mut farthest = 0.0;
        // Tools reach farthest, as a rule.
        for (i, capsule) in self.as_slice().iter().enumerate().rev().filter(|(i, _)| counts(*i)) {
            let (centre, radius) = self.balls.ball(i);
            let least = farthest - radius - ROUNDING_M;
            if least > 0.0 && (centre - point).norm_squared() < least * least {
                continue;
            }
            let squared = |end: &Point3<f64>| (end - point).norm_squared();
            let far = squared(&capsule.a).max(squared(&capsule.b)).sqrt() + capsule.radius;
            farthest = f64::max(farthest, far);
        }
        farthest
    }

    /// Whether capsule `i` and capsule `j` of `other` are farther apart than `distance` for certain, m: the balls around both are,
    /// or the longer one and the ball around the shorter. What is skipped so would not have changed a minimum that is `distance`
    /// by now, nor the pair that it was found for.
    #[inline]
    pub(crate) fn are_beyond(&self, i: usize, other: &Self, j: usize, distance: f64) -> bool {
        let ((one, radius), (two, other_radius)) = (self.balls.ball(i), other.balls.ball(j));
        is_beyond(distance + radius + other_radius, &(one - two))
            || self.is_long_beyond(i, other, j, distance)
    }

    /// The second half of [`Self::are_beyond`].
    fn is_long_beyond(&self, i: usize, other: &Self, j: usize, distance: f64) -> bool {
        let (arms, at) = if self.lengths[i].half > other.lengths[j].half {
            ((self, other), (i, j))
        } else {
            ((other, self), (j, i))
        };
        let (long, length) = (&arms.0.in_world[at.0], &arms.0.lengths[at.0]);
        let (centre, radius) = arms.1.balls.ball(at.1);
        let (from_end, along) = (centre - long.a, long.b - long.a);
        let share = (from_end.dot(&along) * length.per_square).clamp(0.0, 1.0);
        is_beyond(distance + long.radius + radius, &(from_end - along * share))
    }
}

/// Whether two balls whose radii and gap are `most` together must be nearer than their centres are, m.
fn is_beyond(most: f64, apart: &Vector3<f64>) -> bool {
    let most = most + ROUNDING_M;
    most < 0.0 || apart.norm_squared() > most * most
}

impl Balls {
    const NOWHERE: Self = Self {
        x: [0.0; MAX_CAPSULES],
        y: [0.0; MAX_CAPSULES],
        z: [0.0; MAX_CAPSULES],
        radius: [0.0; MAX_CAPSULES],
    };

    #[inline]
    fn ball(&self, i: usize) -> (Point3<f64>, f64) {
        (Point3::new(self.x[i], self.y[i], self.z[i]), self.radius[i])
    }

    fn put(&mut self, i: usize, centre: &Point3<f64>, radius: f64) {
        (self.x[i], self.y[i], self.z[i], self.radius[i]) = (centre.x, centre.y, centre.z, radius);
    }

    /// For each ball by how much, squared, it is farther than `distance` from another one: not above 0 where it is not.
    #[inline]
    fn excess(&self, (centre, radius): (Point3<f64>, f64), distance: f64) -> [f64; MAX_CAPSULES] {
        let most = distance + radius + ROUNDING_M;
        let mut excess = [0.0; MAX_CAPSULES];
        for (i, excess) in excess.iter_mut().enumerate() {
            let (x, y, z) = (self.x[i] - centre.x, self.y[i] - centre.y, self.z[i] - centre.z);
            let most = most + self.radius[i];
            let most = if most > 0.0 { most } else { 0.0 };
            *excess = x * x + y * y + z * z - most * most;
        }
        excess
    }
}

impl Balls {
    /// Which of the first `count` is nearest to a ball, by and large.
    fn nearest(&self, count: usize, ball: (Point3<f64>, f64)) -> usize {
        let excess = self.excess(ball, 0.0);
        (1..count).fold(0, |best, i| if excess[i] < excess[best] { i } else { best })
    }
}

impl Length {
    const NONE: Self = Self { half: 0.0, per_square: 0.0 };

    pub(crate) fn of(capsule: &Capsule) -> Self {
        let square = (capsule.b - capsule.a).norm_squared();
        Self { half: square.sqrt() / 2.0, per_square: if square > 0.0 { 1.0 / square } else { 0.0 } }
    }
}

impl ArmModel {
    pub fn link_capsules(&self) -> &[LinkCapsule] {
        &self.capsules
    }

    /// The arm's capsules in the world.
    pub fn capsules(&self, poses: &BodyPoses) -> ArmCapsules {
        let mut all = ArmCapsules::NOWHERE;
        self.put_capsules(poses, &mut all);
        all
    }

    pub(crate) fn put_capsules(&self, poses: &BodyPoses, all: &mut ArmCapsules) {
        all.count = self.capsules.len().min(MAX_CAPSULES);
        for (i, (own, length)) in self.capsules.iter().zip(&self.lengths).enumerate().take(all.count) {
            let capsule = own.in_body.transformed(&poses.in_world[own.body]);
            all.balls.put(i, &nalgebra::center(&capsule.a, &capsule.b), length.half + capsule.radius);
            all.in_world[i] = capsule;
            all.lengths[i] = *length;
        }
    }

    /// Smallest gap between own capsules, m, over [`ArmModel::self_pairs`]; infinite if there is no such pair.
    pub fn self_distance(&self, capsules: &ArmCapsules) -> Closest {
        let mut best = Closest::NONE;
        for &(i, j) in &self.self_pairs {
            if !capsules.are_beyond(i, capsules, j, best.distance) {
                best.take(capsules.in_world[i].distance(&capsules.in_world[j]), (i, j));
            }
        }
        best
    }
}

impl Closest {
    pub(crate) const NONE: Self = Self { distance: f64::INFINITY, pair: (0, 0) };

    pub(crate) fn below(self, distance: f64) -> Option<Self> {
        (self.distance < distance).then_some(self)
    }

    pub(crate) fn take(&mut self, distance: f64, pair: (usize, usize)) {
        if distance < self.distance {
            *self = Self { distance, pair };
        }
    }
}

/// The closest pair of capsules of two arms.
pub fn closest(first: &ArmCapsules, second: &ArmCapsules) -> Closest {
    if first.count == 0 || second.count == 0 {
        return Closest::NONE;
    }
    // No minimum is above the distance of any one pair. From the tool of one arm to what is near it, and to what is near that.
    let near = second.balls.nearest(second.count, first.balls.ball(first.count - 1));
    let own = first.balls.nearest(first.count, second.balls.ball(near));
    let bound = first.in_world[own].distance(&second.in_world[near]);
    let mut best = Closest::NONE;
    for (i, one) in first.as_slice().iter().enumerate() {
        let excess = second.balls.excess(first.balls.ball(i), best.distance.min(bound));
        for (j, (two, excess)) in second.as_slice().iter().zip(&excess).enumerate() {
            let far = *excess > 0.0 || first.is_long_beyond(i, second, j, best.distance.min(bound));
            if !far {
                best.take(one.distance(two), (i, j));
            }
        }
    }
    best
}
