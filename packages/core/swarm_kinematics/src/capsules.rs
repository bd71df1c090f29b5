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
    /// Body that carries it.
    pub body: usize,
    pub in_body: Capsule,
}

/// All capsules of an arm in the world. Index `i` belongs to [`ArmModel::link_capsules`]`()[i]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ArmCapsules {
    in_world: [Capsule; MAX_CAPSULES],
    /// Upper bound of the distance that any point of the capsule still moves, m.
    travel: [f64; MAX_CAPSULES],
    count: usize,
}

/// The closest pair of capsules of two arms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Closest {
    /// Gap, m; negative where they overlap; infinite if an arm has no capsules.
    pub distance: f64,
    /// Gap that is left when both have moved towards each other by their travel, m: the smallest over all pairs,
    /// not necessarily of the same pair.
    pub after_travel: f64,
    /// Indices of the pair at `distance`.
    pub pair: (usize, usize),
}

impl ArmCapsules {
    pub fn as_slice(&self) -> &[Capsule] {
        &self.in_world[..self.count]
    }

    /// Upper bound of the distance that any point of each capsule still moves, m.
    pub fn travel(&self) -> &[f64] {
        &self.travel[..self.count]
    }
}

impl ArmModel {
    pub fn link_capsules(&self) -> &[LinkCapsule] {
        &self.capsules
    }

    /// The arm's capsules in the world, standing still.
    pub fn capsules(&self, poses: &BodyPoses) -> ArmCapsules {
        self.moving_capsules(poses, &JointVector::zeros())
    }

    /// The arm's capsules in the world, and how far each can move when joint `i` still moves by at most `joint_travel[i]`
    /// (rad or m, not negative) in either direction.
    ///
    /// From the last joint to the first: a point that the joints beyond have moved by at most `d` is at most `lever + d`
    /// from the axis, so that a turn by `angle` adds at most `(lever + d) * angle`. `lever` is the distance from the axis
    /// to the farther end of the segment, plus the radius.
    pub fn moving_capsules(&self, poses: &BodyPoses, joint_travel: &JointVector) -> ArmCapsules {
        let nowhere = Capsule { a: Point3::origin(), b: Point3::origin(), radius: 0.0 };
        let mut all = ArmCapsules {
            in_world: [nowhere; MAX_CAPSULES],
            travel: [0.0; MAX_CAPSULES],
            count: self.capsules.len().min(MAX_CAPSULES),
        };
        let mut axes = [(nalgebra::Vector3::zeros(), nalgebra::Vector3::zeros()); MAX_JOINTS];
        for (i, axis) in axes.iter_mut().enumerate().take(self.dof()) {
            *axis = self.axis_in_world(poses, i);
        }
        for (i, own) in self.capsules.iter().enumerate().take(MAX_CAPSULES) {
            let capsule = own.in_body.transformed(&poses.in_world[own.body]);
            let mut travel = 0.0;
            for joint in (0..own.body).rev() {
                let (axis, origin) = &axes[joint];
                travel += match self.kind(joint) {
                    JointKind::Revolute => {
                        let lever = |end: &Point3<f64>| axis.cross(&(end.coords - origin)).norm();
                        (lever(&capsule.a).max(lever(&capsule.b)) + capsule.radius + travel)
                            * joint_travel[joint]
                    }
                    JointKind::Prismatic => joint_travel[joint],
                };
            }
            all.in_world[i] = capsule;
            all.travel[i] = travel;
        }
        all
    }

    /// Smallest gap between own capsules, m, over [`ArmModel::self_pairs`]; infinite if there is no such pair.
    pub fn self_distance(&self, capsules: &ArmCapsules) -> Closest {
        let mut best = Closest::NONE;
        for &(i, j) in &self.self_pairs {
            best.take(capsules, i, capsules, j);
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
    /// `MoveIt`'s set-up assistant).
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
        let mut overlaps = vec![0_usize; pairs.len()];
        for sample in 0..SAMPLES {
            let capsules = self.capsules(&self.forward(&self.spread_position(sample as u64)));
            for (count, &(i, j)) in overlaps.iter_mut().zip(&pairs) {
                *count += usize::from(capsules.in_world[i].distance(&capsules.in_world[j]) < 0.0);
            }
        }
        let mut counts = overlaps.iter();
        pairs.retain(|_| counts.next().is_some_and(|count| count * 100 < SAMPLES * 95));
        pairs
    }
}

impl Closest {
    pub const NONE: Self = Self { distance: f64::INFINITY, after_travel: f64::INFINITY, pair: (0, 0) };

    fn take(&mut self, first: &ArmCapsules, i: usize, second: &ArmCapsules, j: usize) {
        let distance = first.in_world[i].distance(&second.in_world[j]);
        if distance < self.distance {
            self.distance = distance;
            self.pair = (i, j);
        }
        self.after_travel = self.after_travel.min(distance - first.travel[i] - second.travel[j]);
    }
}

/// The closest pair of capsules of two arms.
pub fn closest(first: &ArmCapsules, second: &ArmCapsules) -> Closest {
    let mut best = Closest::NONE;
    for i in 0..first.count {
        for j in 0..second.count {
            best.take(first, i, second, j);
        }
    }
    best
}
