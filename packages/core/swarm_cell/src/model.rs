//! The arms a cell may declare: their flange, and what a declaration is checked against (joints, their range, payload).

use std::fmt;

/// Model of an arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    Ur5e,
    Panda,
}

impl Model {
    pub const ALL: [Self; 2] = [Self::Ur5e, Self::Panda];

    /// The word of the declaration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ur5e => "ur5e",
            Self::Panda => "panda",
        }
    }

    /// The link of the arm's URDF on which tools are mounted and in whose frame wrenches are measured.
    pub const fn flange_link(self) -> &'static str {
        match self {
            Self::Ur5e => "tool0",
            Self::Panda => "panda_link8",
        }
    }

    /// Index of the joint whose axis goes through the elbow, 0 = next to the base.
    pub const fn elbow_joint(self) -> usize {
        match self {
            Self::Ur5e => 2,
            Self::Panda => 3,
        }
    }

    /// Lowest and highest position of each joint, rad, base to flange, as in the arm's URDF.
    pub(crate) fn joint_range_rad(self) -> &'static [(f64, f64)] {
        const TURN: f64 = std::f64::consts::TAU;
        const HALF: f64 = std::f64::consts::PI;
        match self {
            Self::Ur5e => {
                &[(-TURN, TURN), (-TURN, TURN), (-HALF, HALF), (-TURN, TURN), (-TURN, TURN), (-TURN, TURN)]
            }
            Self::Panda => &[
                (-2.8973, 2.8973),
                (-1.7628, 1.7628),
                (-2.8973, 2.8973),
                (-3.0718, -0.0698),
                (-2.8973, 2.8973),
                (-0.0175, 3.7525),
                (-2.8973, 2.8973),
            ],
        }
    }

    /// Rated payload at the flange, kg: gripper and what it holds together. UR5e user manual 5 kg; Panda data sheet 3 kg.
    pub(crate) const fn rated_payload_kg(self) -> f64 {
        match self {
            Self::Ur5e => 5.0,
            Self::Panda => 3.0,
        }
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ranges stand twice, here and in the arms' URDF: they must agree.
    #[test]
    fn joint_ranges_are_those_of_the_urdf() {
        let urdf = [
            (Model::Ur5e, include_str!("../../../../urdf/ur5e/ur5e.urdf")),
            (Model::Panda, include_str!("../../../../urdf/panda/panda.urdf")),
        ];
        for (model, text) in urdf {
            let document = roxmltree::Document::parse(text).unwrap();
            let attribute =
                |node: roxmltree::Node<'_, '_>, name| node.attribute(name).unwrap().parse::<f64>().unwrap();
            let ranges: Vec<_> = document
                .descendants()
                .filter(|node| node.has_tag_name("joint") && node.attribute("type") == Some("revolute"))
                .filter_map(|joint| joint.children().find(|child| child.has_tag_name("limit")))
                .map(|limit| (attribute(limit, "lower"), attribute(limit, "upper")))
                .collect();
            assert_eq!(ranges, model.joint_range_rad(), "{}", model.as_str());
        }
    }
}
