//! Capsules of whole arms: where they are, how far they can still move, how far apart arms are.

use nalgebra::{Point3, Vector3};

use crate::distance::Capsule;
use crate::model::{ArmModel, BodyPoses, JointKind};
use crate::{JointVector, MAX_JOINTS};

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

/// Per capsule and joint how far any point of the capsule moves per rad or m of the joint, at most: m/rad or 1. Zero for joints that
/// do not carry it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CapsuleLevers {
    /// Of joint `j` on capsule `i` at `[j][i]`.
    by_joint: [[f64; MAX_CAPSULES]; MAX_JOINTS],
    count: usize,
}

/// Per capsule an upper bound of the distance that any of its points can still move, m.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CapsuleTravel {
    by_capsule: [f64; MAX_CAPSULES],
    longest: f64,
    /// What it was worked out for, rad or m.
    by_joint: JointVector,
    count: usize,
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
    fn are_beyond(&self, i: usize, other: &Self, j: usize, distance: f64) -> bool {
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

impl CapsuleLevers {
    pub(crate) const NONE: Self = Self { by_joint: [[0.0; MAX_CAPSULES]; MAX_JOINTS], count: 0 };

    /// How far each capsule can move when joint `i` still moves by at most `joint_travel[i]` (rad or m, not negative) in
    /// either direction.
    ///
    /// Each joint adds its lever times its angle, the lever taken here and now: the distance from the axis to the farther end
    /// of the segment, plus the radius. Proof from the last joint to the first: a point `p` that the joints beyond have moved
    /// by `d` is brought to `R(p + d)`, and `|R(p + d) - p| <= |Rp - p| + |d|`, of which `|Rp - p| <= lever * angle`.
    pub fn travel(&self, joint_travel: &JointVector) -> CapsuleTravel {
        let mut all = CapsuleTravel {
            by_capsule: [0.0; MAX_CAPSULES],
            longest: 0.0,
            by_joint: *joint_travel,
            count: self.count,
        };
        for (levers, way) in self.by_joint.iter().zip(joint_travel) {
            for (travel, lever) in all.by_capsule.iter_mut().zip(levers) {
                *travel += lever * way;
            }
        }
        all.longest = all.as_slice().iter().copied().fold(0.0, f64::max);
        all
    }

    /// How far capsule `i` can still move in the frame of `body`, which is nearer to the base, m: what the joints beyond that
    /// body add.
    fn travel_beyond(&self, i: usize, body: usize, joint_travel: &JointVector) -> f64 {
        self.by_joint.iter().zip(joint_travel).skip(body).map(|(levers, way)| levers[i] * way).sum()
    }
}

/// So many capsules are worked on at once.
const LANES: usize = 4;
type Lanes = [[f64; LANES]; MAX_CAPSULES / LANES];

/// Which capsules a joint carries.
#[derive(Clone, Debug)]
pub(crate) struct Carried {
    /// 1 for those that it carries, else 0.
    by_group: Vec<[f64; LANES]>,
    /// The first group with one that it carries.
    first: usize,
}

impl Carried {
    pub(crate) fn by(joint: usize, capsules: &[LinkCapsule]) -> Self {
        let of_group = |group: &[LinkCapsule]| {
            std::array::from_fn(|i| f64::from(u8::from(group.get(i).is_some_and(|own| joint < own.body))))
        };
        let by_group: Vec<_> = capsules.chunks(LANES).map(of_group).collect();
        let first = by_group.iter().position(|group| *group != [0.0; LANES]).unwrap_or(by_group.len());
        Self { by_group, first }
    }
}

/// Both ends of capsules by coordinate, so that the compiler works on several at once.
struct Ends {
    /// x, y, z of one end, then of the other.
    at: [Lanes; 6],
    radius: Lanes,
}

impl Ends {
    fn of(capsules: &[Capsule]) -> Self {
        let mut ends = Self { at: [Lanes::default(); 6], radius: Lanes::default() };
        for (i, capsule) in capsules.iter().enumerate() {
            let (group, lane) = (i / LANES, i % LANES);
            for axis in 0..3 {
                ends.at[axis][group][lane] = capsule.a[axis];
                ends.at[axis + 3][group][lane] = capsule.b[axis];
            }
            ends.radius[group][lane] = capsule.radius;
        }
        ends
    }

    /// For each capsule of a group the distance of its farther end from a line, and its radius on top, m.
    #[inline]
    fn levers(&self, group: usize, axis: &Vector3<f64>, origin: &Vector3<f64>) -> [f64; LANES] {
        let squared = |[x, y, z]: [f64; 3]| {
            let (x, y, z) = (x - origin.x, y - origin.y, z - origin.z);
            let cross = (axis.y * z - axis.z * y, axis.z * x - axis.x * z, axis.x * y - axis.y * x);
            cross.0 * cross.0 + cross.1 * cross.1 + cross.2 * cross.2
        };
        let ([ax, ay, az, bx, by, bz], radius) =
            (self.at.each_ref().map(|at| &at[group]), &self.radius[group]);
        let mut levers = [0.0; LANES];
        for (i, lever) in levers.iter_mut().enumerate() {
            let (a, b) = (squared([ax[i], ay[i], az[i]]), squared([bx[i], by[i], bz[i]]));
            *lever = (if a > b { a } else { b }).sqrt() + radius[i];
        }
        levers
    }
}

impl CapsuleTravel {
    pub fn as_slice(&self) -> &[f64] {
        &self.by_capsule[..self.count]
    }

    /// The farthest that any point of the arm can still move, m.
    pub fn longest(&self) -> f64 {
        self.longest
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

    /// The levers at a position; `capsules` and `poses` are of the same one.
    pub fn capsule_levers(&self, poses: &BodyPoses, capsules: &ArmCapsules) -> CapsuleLevers {
        let mut all = CapsuleLevers::NONE;
        self.put_levers(poses, capsules, &mut all);
        all
    }

    pub(crate) fn put_levers(&self, poses: &BodyPoses, capsules: &ArmCapsules, all: &mut CapsuleLevers) {
        all.count = capsules.count;
        let ends = Ends::of(capsules.as_slice());
        for (joint, (levers, carried)) in all.by_joint.iter_mut().zip(&self.carried).enumerate() {
            let (axis, origin) = Self::axis_in_world(poses, joint);
            let revolute = self.kind(joint) == JointKind::Revolute;
            let (before, groups) = levers.as_chunks_mut::<LANES>().0.split_at_mut(carried.first);
            before.fill([0.0; LANES]);
            for (group, (levers, share)) in
                groups.iter_mut().zip(&carried.by_group[carried.first..]).enumerate()
            {
                let moved =
                    if revolute { ends.levers(carried.first + group, &axis, &origin) } else { [1.0; LANES] };
                *levers = std::array::from_fn(|i| moved[i] * share[i]);
            }
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

    /// The pair of own capsules, of [`ArmModel::self_pairs`], with the smallest gap left when every joint has moved by what
    /// `travel` was worked out for. `None` if every pair has `enough` left, m: most pairs are so far apart that a glance tells.
    pub fn self_distance_after_travel(
        &self,
        capsules: &ArmCapsules,
        levers: &CapsuleLevers,
        travel: &CapsuleTravel,
        enough: f64,
    ) -> Option<Closest> {
        let mut best = Closest { distance: enough, ..Closest::NONE };
        for &(i, j) in &self.self_pairs {
            // Joints nearer to the base than both move them as one.
            let (near, far) = if self.capsules[i].body <= self.capsules[j].body { (i, j) } else { (j, i) };
            // No more than what all joints together move it.
            if capsules.are_beyond(i, capsules, j, best.distance + travel.by_capsule[far]) {
                continue;
            }
            let way = levers.travel_beyond(far, self.capsules[near].body, &travel.by_joint);
            best.take(capsules.in_world[i].distance(&capsules.in_world[j]) - way, (i, j));
        }
        best.below(enough)
    }

    /// Pairs of own capsules that are checked against each other: those that at least one joint lies between and that are
    /// not always in contact.
    pub fn self_pairs(&self) -> &[(usize, usize)] {
        &self.self_pairs
    }

    /// Capsules are larger than their links, so that neighbours but one can overlap for good (a wrist). Such a pair says
    /// nothing. It is left out if it overlaps in 95 % of 500 positions spread evenly over the joint ranges (the rule of
    /// `MoveIt`'s set-up assistant). Neighbours but one that never meet say nothing either; see [`Self::can_meet`].
    ///
    /// Those that are nearest to each other on the average come first: a search for the least gap can skip most of the others.
    pub(crate) fn find_self_pairs(&self) -> Vec<(usize, usize)> {
        const SAMPLES: usize = 500;
        let mut pairs = Vec::new();
        for i in 0..self.capsules.len() {
            for j in i + 1..self.capsules.len() {
                if self.capsules[i].body.abs_diff(self.capsules[j].body) >= 2 {
                    pairs.push((i, j));
                }
            }
        }
        let mut seen = vec![(0_usize, 0.0_f64); pairs.len()];
        for sample in 0..SAMPLES {
            let capsules = self.capsules(&self.forward(&self.spread_position(sample as u64)));
            for ((overlaps, sum), &(i, j)) in seen.iter_mut().zip(&pairs) {
                let gap = capsules.in_world[i].distance(&capsules.in_world[j]);
                *overlaps += usize::from(gap < 0.0);
                *sum += gap;
            }
        }
        let mut kept: Vec<(f64, (usize, usize))> = seen
            .into_iter()
            .zip(pairs)
            .filter(|((overlaps, _), pair)| overlaps * 100 < SAMPLES * 95 && self.can_meet(*pair))
            .map(|((_, sum), pair)| (sum, pair))
            .collect();
        kept.sort_by(|one, other| one.0.total_cmp(&other.0));
        kept.into_iter().map(|(_, pair)| pair).collect()
    }

    /// False for neighbours but one whose capsules are apart wherever the two joints between them stand.
    ///
    /// Looked at on a grid of 48 x 48 positions over both ranges, ends included. The distance is smooth in both angles, and its
    /// lowest point lies within 4 degrees of one of the grid's, where it is lower by less than the margin that is asked for.
    fn can_meet(&self, (i, j): (usize, usize)) -> bool {
        const STEPS: u32 = 48;
        const MARGIN_M: f64 = 0.001;
        let (near, far) = {
            let (one, two) = (self.capsules[i].body, self.capsules[j].body);
            (one.min(two), one.max(two))
        };
        if far - near != 2 {
            return true;
        }
        let at = |joint: usize, step: u32| {
            let info = &self.joints()[joint];
            let (lower, upper) =
                (info.lower.max(-std::f64::consts::PI), info.upper.min(std::f64::consts::PI));
            lower + (upper - lower) * f64::from(step) / f64::from(STEPS - 1)
        };
        let mut q = JointVector::zeros();
        (0..STEPS).any(|first| {
            (0..STEPS).any(|second| {
                (q[near], q[near + 1]) = (at(near, first), at(near + 1, second));
                let capsules = self.capsules(&self.forward(&q));
                capsules.in_world[i].distance(&capsules.in_world[j]) < MARGIN_M
            })
        })
    }
}

impl Closest {
    const NONE: Self = Self { distance: f64::INFINITY, pair: (0, 0) };

    fn below(self, distance: f64) -> Option<Self> {
        (self.distance < distance).then_some(self)
    }

    fn take(&mut self, distance: f64, pair: (usize, usize)) {
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

/// The pair of capsules of two arms with the smallest gap left, when both have moved towards each other by their travel.
/// `None` if every pair has `enough` left, m.
pub fn closest_after_travel(
    first: (&ArmCapsules, &CapsuleTravel),
    second: (&ArmCapsules, &CapsuleTravel),
    enough: f64,
) -> Option<Closest> {
    let mut best = Closest { distance: enough, ..Closest::NONE };
    for (i, (one, way)) in first.0.as_slice().iter().zip(first.1.as_slice()).enumerate() {
        for (j, (two, other_way)) in second.0.as_slice().iter().zip(second.1.as_slice()).enumerate() {
            if !first.0.are_beyond(i, second.0, j, best.distance + way + other_way) {
                best.take(one.distance(two) - way - other_way, (i, j));
            }
        }
    }
    best.below(enough)
}
