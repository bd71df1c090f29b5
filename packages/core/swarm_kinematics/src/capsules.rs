//! Capsules of whole arms: where they are, how far they can still move, how far apart arms are.

use nalgebra::Point3;

use crate::distance::Capsule;
use crate::model::{ArmModel, BodyPoses, JointKind};
use crate::{JointVector, MAX_JOINTS};

/// Most capsules of one arm with its tool.
pub const MAX_CAPSULES: usize = 16;

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
    /// Of each, a ball around it: centre and radius.
    balls: [(Point3<f64>, f64); MAX_CAPSULES],
    count: usize,
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
    pub fn as_slice(&self) -> &[Capsule] {
        &self.in_world[..self.count]
    }

    /// Whether capsule `i` and capsule `j` of `other` are farther apart than `distance` for certain, m: their balls are. What is
    /// skipped so would not have changed a minimum that is `distance` by now, nor the pair that it was found for.
    fn are_beyond(&self, i: usize, other: &Self, j: usize, distance: f64) -> bool {
        /// Far more than all roundings together.
        const ROUNDING_M: f64 = 1e-9;
        let ((one, reach), (two, other_reach)) = (self.balls[i], other.balls[j]);
        let most = distance + reach + other_reach + ROUNDING_M;
        most < 0.0 || (one - two).norm_squared() > most * most
    }
}

impl CapsuleLevers {
    /// How far each capsule can move when joint `i` still moves by at most `joint_travel[i]` (rad or m, not negative) in
    /// either direction.
    ///
    /// Each joint adds its lever times its angle, the lever taken here and now: the distance from the axis to the farther end
    /// of the segment, plus the radius. Proof from the last joint to the first: a point `p` that the joints beyond have moved
    /// by `d` is brought to `R(p + d)`, and `|R(p + d) - p| <= |Rp - p| + |d|`, of which `|Rp - p| <= lever * angle`.
    pub fn travel(&self, joint_travel: &JointVector) -> CapsuleTravel {
        let mut all =
            CapsuleTravel { by_capsule: [0.0; MAX_CAPSULES], by_joint: *joint_travel, count: self.count };
        for (levers, way) in self.by_joint.iter().zip(joint_travel) {
            for (travel, lever) in all.by_capsule.iter_mut().zip(levers) {
                *travel += lever * way;
            }
        }
        all
    }

    /// How far capsule `i` can still move in the frame of `body`, which is nearer to the base, m: what the joints beyond that
    /// body add.
    fn travel_beyond(&self, i: usize, body: usize, joint_travel: &JointVector) -> f64 {
        self.by_joint.iter().zip(joint_travel).skip(body).map(|(levers, way)| levers[i] * way).sum()
    }
}

impl CapsuleTravel {
    pub fn as_slice(&self) -> &[f64] {
        &self.by_capsule[..self.count]
    }

    /// The farthest that any point of the arm can still move, m.
    pub fn longest(&self) -> f64 {
        self.as_slice().iter().copied().fold(0.0, f64::max)
    }
}

impl ArmModel {
    pub fn link_capsules(&self) -> &[LinkCapsule] {
        &self.capsules
    }

    /// The arm's capsules in the world.
    pub fn capsules(&self, poses: &BodyPoses) -> ArmCapsules {
        let nowhere = Capsule { a: Point3::origin(), b: Point3::origin(), radius: 0.0 };
        let mut all = ArmCapsules {
            in_world: [nowhere; MAX_CAPSULES],
            balls: [(Point3::origin(), 0.0); MAX_CAPSULES],
            count: self.capsules.len().min(MAX_CAPSULES),
        };
        for ((capsule, ball), own) in all.in_world.iter_mut().zip(&mut all.balls).zip(&self.capsules) {
            *capsule = own.in_body.transformed(&poses.in_world[own.body]);
            let half = (capsule.b - capsule.a) * 0.5;
            *ball = (capsule.a + half, half.norm() + capsule.radius);
        }
        all
    }

    /// The levers at a position; `capsules` and `poses` are of the same one.
    pub fn capsule_levers(&self, poses: &BodyPoses, capsules: &ArmCapsules) -> CapsuleLevers {
        let mut axes = [(nalgebra::Vector3::zeros(), nalgebra::Vector3::zeros()); MAX_JOINTS];
        for (i, axis) in axes.iter_mut().enumerate().take(self.dof()) {
            *axis = Self::axis_in_world(poses, i);
        }
        let mut all = CapsuleLevers { by_joint: [[0.0; MAX_CAPSULES]; MAX_JOINTS], count: capsules.count };
        for (joint, (levers, (axis, origin))) in all.by_joint.iter_mut().zip(&axes).enumerate() {
            let links = self.capsules.iter().zip(capsules.as_slice());
            for (lever, (_, capsule)) in levers.iter_mut().zip(links).filter(|(_, (own, _))| joint < own.body)
            {
                *lever = match self.kind(joint) {
                    JointKind::Revolute => {
                        let squared = |end: &Point3<f64>| axis.cross(&(end.coords - origin)).norm_squared();
                        squared(&capsule.a).max(squared(&capsule.b)).sqrt() + capsule.radius
                    }
                    JointKind::Prismatic => 1.0,
                };
            }
        }
        all
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
    /// `travel` was worked out for; infinite if there is no such pair.
    pub fn self_distance_after_travel(
        &self,
        capsules: &ArmCapsules,
        levers: &CapsuleLevers,
        travel: &CapsuleTravel,
    ) -> Closest {
        let mut best = Closest::NONE;
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
        best
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

    fn take(&mut self, distance: f64, pair: (usize, usize)) {
        if distance < self.distance {
            *self = Self { distance, pair };
        }
    }
}

/// The closest pair of capsules of two arms.
pub fn closest(first: &ArmCapsules, second: &ArmCapsules) -> Closest {
    // No minimum is above the distance of any one pair. Tools are often near each other, and stand last.
    let (Some(one), Some(two)) = (first.as_slice().last(), second.as_slice().last()) else {
        return Closest::NONE;
    };
    let bound = one.distance(two);
    let mut best = Closest::NONE;
    for (i, one) in first.as_slice().iter().enumerate() {
        for (j, two) in second.as_slice().iter().enumerate() {
            if !first.are_beyond(i, second, j, best.distance.min(bound)) {
                best.take(one.distance(two), (i, j));
            }
        }
    }
    best
}

/// The pair of capsules of two arms with the smallest gap left, when both have moved towards each other by their travel.
pub fn closest_after_travel(
    first: (&ArmCapsules, &CapsuleTravel),
    second: (&ArmCapsules, &CapsuleTravel),
) -> Closest {
    let mut best = Closest::NONE;
    for (i, (one, way)) in first.0.as_slice().iter().zip(first.1.as_slice()).enumerate() {
        for (j, (two, other_way)) in second.0.as_slice().iter().zip(second.1.as_slice()).enumerate() {
            if !first.0.are_beyond(i, second.0, j, best.distance + way + other_way) {
                best.take(one.distance(two) - way - other_way, (i, j));
            }
        }
    }
    best
}
