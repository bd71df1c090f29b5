//! How far capsules can still move, and what gap is left then.

use nalgebra::Vector3;

use crate::capsules::{ArmCapsules, Closest, LinkCapsule, MAX_CAPSULES};
use crate::distance::Capsule;
use crate::model::{ArmModel, BodyPoses, JointKind};
use crate::{JointVector, MAX_JOINTS};

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
    /// The levers at a position; `capsules` and `poses` are of the same one.
    pub fn capsule_levers(&self, poses: &BodyPoses, capsules: &ArmCapsules) -> CapsuleLevers {
        let mut all = CapsuleLevers::NONE;
        self.put_levers(poses, capsules, &mut all);
        all
    }

    pub(crate) fn put_levers(&self, poses: &BodyPoses, capsules: &ArmCapsules, all: &mut CapsuleLevers) {
        all.count = capsules.as_slice().len();
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

    /// The pair of own capsules, of [`ArmModel::self_pairs`], with the smallest gap left when every joint has moved by what
    /// `travel` was worked out for. `None` if every pair has `enough` left, m: most pairs are so far apart that a glance tells.
    pub fn self_distance_after_travel(
        &self,
        capsules: &ArmCapsules,
        levers: &CapsuleLevers,
        travel: &CapsuleTravel,
        enough: f64,
    ) -> Option<Closest> {
        let all = capsules.as_slice();
        let mut best = Closest { distance: enough, ..Closest::NONE };
        for &(i, j) in &self.self_pairs {
            // Joints nearer to the base than both move them as one.
            let (near, far) = if self.capsules[i].body <= self.capsules[j].body { (i, j) } else { (j, i) };
            // No more than what all joints together move it.
            if capsules.are_beyond(i, capsules, j, best.distance + travel.by_capsule[far]) {
                continue;
            }
            let way = levers.travel_beyond(far, self.capsules[near].body, &travel.by_joint);
            best.take(all[i].distance(&all[j]) - way, (i, j));
        }
        best.below(enough)
    }
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
