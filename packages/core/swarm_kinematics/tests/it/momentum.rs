//! Velocities and momentum against differences of positions.

use crate::common;
use nalgebra::{Point3, Vector3};
use proptest::prelude::*;
use swarm_kinematics::{ArmModel, JointVector, Load, Pose};

const STEP: f64 = 1e-6;

fn load() -> Load {
    Load { mass_kg: 1.3, com_m: Vector3::new(0.02, -0.01, 0.09) }
}

/// Sum of mass times position, read from the URDF by other means than the library's: links, their masses, their poses.
fn first_moment(arm: &ArmModel, urdf: &str, prefix: &str, mounted: &[&str], q: &JointVector) -> Vector3<f64> {
    let poses = arm.forward(q);
    let document = roxmltree::Document::parse(urdf).unwrap();
    let mut moment = (arm.flange(&poses) * Point3::from(load().com_m)).coords * load().mass_kg;
    for link in document.root_element().children().filter(|node| node.has_tag_name("link")) {
        let name = link.attribute("name").unwrap();
        let inertial = link.children().find(|node| node.has_tag_name("inertial"));
        let (Some(inertial), false) = (inertial, mounted.contains(&name)) else { continue };
        let child = |tag| inertial.children().find(move |node| node.has_tag_name(tag));
        let mass: f64 = child("mass").unwrap().attribute("value").unwrap().parse().unwrap();
        let xyz = child("origin").and_then(|node| node.attribute("xyz")).unwrap_or("0 0 0");
        let xyz: Vec<f64> = xyz.split_whitespace().map(|text| text.parse().unwrap()).collect();
        let pose: Pose = arm.link(&poses, &format!("{prefix}{name}")).unwrap();
        moment += (pose * Point3::new(xyz[0], xyz[1], xyz[2])).coords * mass;
    }
    moment
}

proptest! {
    #[test]
    fn momentum_is_the_rate_of_the_first_moment_of_mass(
        shares in prop::array::uniform7(0.0..=1.0f64), qd in prop::array::uniform7(-2.0..2.0f64),
    ) {
        let [ur5e, panda] = common::both();
        let hand = ["panda_hand", "panda_leftfinger", "panda_rightfinger", "panda_hand_tcp"];
        for (arm, urdf, prefix, mounted) in
            [(&ur5e, common::UR5E, "ur5e_", &[][..]), (&panda, common::PANDA, "panda_", &hand[..])]
        {
            let q = JointVector::from_fn(|i, _| {
                arm.joints().get(i).map_or(0.0, |j| j.lower + (j.upper - j.lower) * shares[i])
            });
            let qd = JointVector::from_fn(|i, _| if i < arm.dof() { qd[i] } else { 0.0 });
            let poses = arm.forward(&q);
            let velocities = arm.velocities(&poses, &qd);
            let found = arm.momentum(&poses, &velocities, &load());
            let at = |q: &JointVector| first_moment(arm, urdf, prefix, mounted, q);
            let expected = (at(&(q + qd * STEP)) - at(&(q - qd * STEP))) / (2.0 * STEP);
            prop_assert!((found - expected).norm() < 1e-6, "{found} instead of {expected}");
            // The tool's own velocity is the Jacobian's.
            let tool = Point3::from(arm.tool(&poses).translation.vector);
            let by_jacobian = arm.tool_twist(&poses, &qd).fixed_rows::<3>(0).into_owned();
            prop_assert!((velocities.of_point(&poses, arm.dof(), &tool) - by_jacobian).norm() < 1e-12);
            for body in 1..=arm.dof() {
                let origin = |q: &JointVector| arm.forward(q).body(body).translation.vector;
                let expected = (origin(&(q + qd * STEP)) - origin(&(q - qd * STEP))) / (2.0 * STEP);
                prop_assert!((velocities.of_body(body) - expected).norm() < 1e-7);
            }
        }
    }
}

#[test]
fn an_arm_at_rest_has_no_momentum() {
    for arm in common::both() {
        let poses = arm.forward(&JointVector::zeros());
        let velocities = arm.velocities(&poses, &JointVector::zeros());
        assert_eq!(arm.momentum(&poses, &velocities, &load()), Vector3::zeros());
    }
}
