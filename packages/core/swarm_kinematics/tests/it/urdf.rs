//! What is read from a URDF, and how a bad one is refused.

use nalgebra::{Point3, Vector3};
use swarm_kinematics::{
    ArmModel, ArmSpec, JointKind, JointVector, ModelError, Pose, UrdfError, default_flange,
};

use crate::common;

/// Base, a sliding and a turning joint (continuous), a flange 0.2 m beyond, and a finger that is not part of the arm.
const GANTRY: &str = r#"<robot name="gantry">
  <link name="base"/><link name="slide"/><link name="turn"/><link name="flange"/><link name="finger"/>
  <joint name="x" type="prismatic">
    <parent link="base"/><child link="slide"/><axis xyz="2 0 0"/><origin xyz="0 0 1"/>
    <limit lower="-0.5" upper="0.5" velocity="0.3" effort="10"/>
  </joint>
  <joint name="z" type="continuous"><parent link="slide"/><child link="turn"/><axis xyz="0 0 1"/></joint>
  <joint name="mount" type="fixed"><parent link="turn"/><child link="flange"/><origin xyz="0.2 0 0" rpy="0 0 0"/></joint>
  <joint name="grip" type="prismatic">
    <parent link="flange"/><child link="finger"/><axis xyz="0 1 0"/><limit lower="0" upper="0.1" velocity="1" effort="1"/>
  </joint>
  <safety_capsules><capsule link="flange" from="0 0 0" to="0 0 0.1" radius="0.05"/></safety_capsules>
</robot>"#;

fn spec<'a>(urdf: &'a str, flange_link: &'a str) -> ArmSpec<'a> {
    ArmSpec {
        urdf,
        flange_link,
        prefix: "g_",
        base_in_world: Pose::identity(),
        tool_in_flange: Pose::translation(0.0, 0.0, 0.1),
        tool_urdf: None,
    }
}

fn gantry() -> ArmModel {
    ArmModel::load(&spec(GANTRY, "flange")).unwrap()
}

fn refused(from: &str, to: &str) -> ModelError {
    assert!(GANTRY.contains(from), "{from}");
    ArmModel::load(&spec(&GANTRY.replace(from, to), "flange")).unwrap_err()
}

#[test]
fn sliding_and_endless_joints_move_as_they_should() {
    let arm = gantry();
    let kinds: Vec<JointKind> = arm.joints().iter().map(|joint| joint.kind).collect();
    assert_eq!(kinds, [JointKind::Prismatic, JointKind::Revolute]);
    assert_eq!((arm.joints()[1].lower, arm.joints()[1].upper), (f64::NEG_INFINITY, f64::INFINITY));
    let q = arm.joint_vector(&[0.3, std::f64::consts::FRAC_PI_2]).unwrap();
    let tool = arm.tool(&arm.forward(&q)) * Point3::origin();
    assert!((tool - Point3::new(0.3, 0.2, 1.1)).norm() < 1e-15, "{tool}");
    let jacobian = arm.jacobian(&arm.forward(&q));
    assert!((jacobian.fixed_view::<3, 1>(0, 0) - Vector3::x()).norm() < 1e-15);
    assert!((jacobian.fixed_view::<3, 1>(0, 1) - Vector3::new(-0.2, 0.0, 0.0)).norm() < 1e-15);
    assert_eq!(jacobian.fixed_view::<3, 1>(3, 0).norm(), 0.0);
}

#[test]
fn a_sliding_joint_carries_capsules_as_far_as_it_slides() {
    let arm = gantry();
    let poses = arm.forward(&JointVector::zeros());
    let mut reach = JointVector::zeros();
    reach[0] = 0.2;
    let travel = arm.capsule_levers(&poses, &arm.capsules(&poses)).travel(&reach);
    assert_eq!(travel.as_slice(), [0.2]);
    // Farthest point: 0.2 m from the axis plus the radius.
    reach[1] = 0.1;
    let travel = arm.capsule_levers(&poses, &arm.capsules(&poses)).travel(&reach);
    assert!((travel.longest() - (0.2 + 0.25 * 0.1)).abs() < 1e-15);
}

#[test]
fn what_other_joints_carry_is_not_part_of_the_arm() {
    let arm = gantry();
    assert_eq!(arm.link_names().collect::<Vec<_>>(), ["g_base", "g_slide", "g_turn", "g_flange"]);
    assert_eq!(arm.link(&arm.forward(&JointVector::zeros()), "g_finger"), None);
    let panda = common::panda(Pose::identity());
    assert!(panda.link_names().any(|name| name == "panda_panda_hand"));
    assert!(panda.link_names().all(|name| !name.contains("finger")));
}

#[test]
fn names_carry_the_prefix_and_limits_are_the_urdfs() {
    let arm = common::ur5e(Pose::identity());
    let joint = &arm.joints()[2];
    assert_eq!(joint.name, "ur5e_elbow_joint");
    assert_eq!(
        (joint.upper, joint.velocity, joint.effort),
        (std::f64::consts::PI, std::f64::consts::PI, 150.0)
    );
}

#[test]
fn a_joint_vector_takes_one_finite_value_per_joint() {
    let arm = gantry();
    assert!(arm.joint_vector(&[0.0, 0.0]).is_some());
    for bad in [&[0.0][..], &[0.0; 3], &[0.0, f64::NAN]] {
        assert_eq!(arm.joint_vector(bad), None);
    }
}

#[test]
fn a_bad_urdf_is_refused_with_the_place_of_the_mistake() {
    let cases = [
        (r#"name="gantry""#, "name=gantry", "URDF is not well-formed XML: "),
        (
            r#"<axis xyz="2 0 0"/>"#,
            r#"<axis xyz="0 0 0"/>"#,
            "URDF: joint 'x': xyz=\"0 0 0\" is not an axis with a length",
        ),
        (r#"xyz="0 0 1"/>"#, r#"xyz="0 1"/>"#, "URDF: joint 'x': xyz=\"0 1\" is not three finite numbers"),
        (r#"lower="-0.5""#, r#"lower="nan""#, "URDF: joint 'x': lower=\"nan\" is not a finite number"),
        (
            r#"lower="-0.5""#,
            r#"lower="0.5""#,
            "joint 'g_x': limits are 0.5 to 0.5, the lower one must be smaller",
        ),
        (
            r#"<limit lower="-0.5" upper="0.5" velocity="0.3" effort="10"/>"#,
            "",
            "URDF: joint 'x' has no <limit>",
        ),
        (
            r#"type="continuous""#,
            r#"type="floating""#,
            "joint 'z' between the base and 'flange' is floating, expected revolute, continuous, prismatic or fixed",
        ),
        (
            r#"type="continuous""#,
            r#"type="turning""#,
            "URDF: joint 'z' is of type 'turning', expected revolute, continuous, prismatic, fixed, floating or planar",
        ),
        (
            r#"<child link="turn"/>"#,
            r#"<child link="trun"/>"#,
            "URDF: joint 'z' names link 'trun', which the URDF does not define",
        ),
        (
            r#"<child link="turn"/>"#,
            r#"<child link="slide"/>"#,
            "URDF: link 'slide' is the child of more than one joint",
        ),
        (
            r#"<parent link="base"/>"#,
            r#"<parent link="flange"/>"#,
            "URDF: links and joints do not form one tree",
        ),
        (
            r#"<link name="finger"/>"#,
            r#"<link name="finger"/><link name="loose"/>"#,
            "URDF: links and joints do not form one tree: 2 links have no parent, expected 1",
        ),
        (
            r#"<link name="finger"/>"#,
            r#"<link name="finger"/><link name="turn"/>"#,
            "URDF: link 'turn' is defined twice",
        ),
        (r#"joint name="mount""#, r#"joint name="x""#, "URDF: joint 'x' is defined twice"),
        (
            r#"capsule link="flange""#,
            r#"capsule link="hand""#,
            "URDF: capsule of link 'hand' names link 'hand', which the URDF does not define",
        ),
        (
            r#"radius="0.05""#,
            r#"radius="-1""#,
            "URDF: capsule of link 'flange': radius=\"-1\" is not above 0",
        ),
        (r#"from="0 0 0" "#, "", "URDF: capsule of link 'flange' has no from or to"),
    ];
    for (from, to, expected) in cases {
        let error = refused(from, to).to_string();
        assert!(error.starts_with(expected), "got: {error}\nexpected: {expected}");
    }
    let error = ArmModel::load(&spec("<sdf/>", "flange")).unwrap_err();
    assert_eq!(error, ModelError::Urdf(UrdfError::NotARobot { found: "sdf".to_owned() }));
}

#[test]
fn a_flange_that_is_not_there_or_does_not_move_is_refused() {
    let error = ArmModel::load(&spec(GANTRY, "tool0")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "URDF has no link 'tool0' to be the flange; its links are base, slide, turn, flange, finger"
    );
    let error = ArmModel::load(&spec(GANTRY, "base")).unwrap_err();
    assert_eq!(error.to_string(), "0 actuated joints lead to 'base', supported are 1 to 7");
}

#[test]
fn a_bad_tool_is_refused_by_the_arms_name() {
    let error =
        ArmModel::load(&ArmSpec { tool_urdf: Some("<robot/>"), ..spec(GANTRY, "flange") }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "tool of 'g_': URDF: links and joints do not form one tree: 0 links have no parent, expected 1"
    );
}

#[test]
fn more_capsules_than_an_arm_may_have_are_refused() {
    let many = r#"<capsule link="flange" from="0 0 0" to="0 0 0.1" radius="0.05"/>"#.repeat(17);
    let error = refused("<safety_capsules>", &format!("<safety_capsules>{many}"));
    assert_eq!(error, ModelError::TooManyCapsules { found: 18 });
}

#[test]
fn a_capsule_on_a_finger_is_refused_and_one_of_another_arm_is_not() {
    let capsule = |link: &str| {
        format!(r#"<capsule link="{link}" from="0 0 0" to="0 0 0.1" radius="0.05"/></safety_capsules>"#)
    };
    let error = refused("</safety_capsules>", &capsule("finger"));
    assert_eq!(error, ModelError::LooseCapsule { link: "g_finger".to_owned() });
    let second = r#"<link name="other"/><joint name="other" type="revolute"><parent link="base"/><child link="other"/>
        <limit lower="-1" upper="1"/></joint><safety_capsules>"#;
    let urdf = GANTRY.replace("<safety_capsules>", second).replace("</safety_capsules>", &capsule("other"));
    assert_eq!(ArmModel::load(&spec(&urdf, "flange")).unwrap().link_capsules().len(), 1);
    // A tool's finger.
    let tool = GANTRY.replace("</safety_capsules>", &capsule("slide"));
    let error = ArmModel::load(&ArmSpec { tool_urdf: Some(&tool), ..spec(GANTRY, "flange") }).unwrap_err();
    assert!(matches!(error, ModelError::LooseCapsule { .. }), "{error}");
}

#[test]
fn what_urdfdom_takes_of_foreign_prefixes_is_taken() {
    let urdf = GANTRY
        .replace(r#"velocity="0.3""#, r#"velocity="0.3" drake:acceleration="2" gz:on="1""#)
        .replace("</robot>", r#"<gz:joint name="x" type="spring"/><drake:link name="base"/></robot>"#);
    let arm = ArmModel::load(&spec(&urdf, "flange")).unwrap();
    assert_eq!(arm.dof(), 2);
    assert_eq!(arm.joints()[0].velocity, 0.3);
}

#[test]
fn joints_that_no_arm_has_are_refused_only_between_base_and_flange() {
    let floating = GANTRY.replace(r#"name="grip" type="prismatic""#, r#"name="grip" type="floating""#);
    assert_eq!(ArmModel::load(&spec(&floating, "flange")).unwrap().dof(), 2);
    let error = ArmModel::load(&spec(&floating, "finger")).unwrap_err();
    assert!(matches!(error, ModelError::FreeJoint { found: "floating", .. }), "{error}");
}

#[test]
fn the_flange_is_found_by_convention_else_at_the_end_of_the_longest_chain() {
    assert_eq!(default_flange(common::UR5E).unwrap(), "tool0");
    assert_eq!(default_flange(common::PANDA).unwrap(), "panda_link8");
    // Nothing tells this finger from an arm's joint; a mimicked one is known as a finger.
    assert_eq!(default_flange(GANTRY).unwrap(), "finger");
    let two_fingers = GANTRY.replace(
        "<safety_capsules>",
        r#"<link name="other"/><joint name="grip2" type="prismatic"><parent link="flange"/><child link="other"/>
           <limit lower="0" upper="0.1"/><mimic joint="grip"/></joint><safety_capsules>"#,
    );
    assert_eq!(default_flange(&two_fingers).unwrap(), "flange");
    assert_eq!(default_flange(common::GRIPPER), Err(ModelError::NoArm));
}

#[test]
fn an_axis_of_any_length_and_direction_turns_as_rodrigues_says() {
    let tilted = GANTRY.replace(r#"<axis xyz="0 0 1"/>"#, r#"<axis xyz="3 -2 0.5"/>"#);
    let arm = ArmModel::load(&spec(&tilted, "flange")).unwrap();
    let poses = arm.forward(&arm.joint_vector(&[0.1, 0.7]).unwrap());
    let axis = nalgebra::Unit::new_normalize(Vector3::new(3.0, -2.0, 0.5));
    let turn = nalgebra::Rotation3::from_axis_angle(&axis, 0.7);
    let expected =
        Pose::from_parts(Vector3::new(0.1, 0.0, 1.0).into(), turn) * Pose::translation(0.2, 0.0, 0.0);
    let error = (arm.flange(&poses).to_homogeneous() - expected.to_homogeneous()).amax();
    assert!(error < 1e-15, "{error:e}");
}
