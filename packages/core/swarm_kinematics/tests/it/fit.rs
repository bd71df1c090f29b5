//! Fitted capsules: whatever they are fitted to, all of it is inside; and the check finds what is not.

use nalgebra::{Point3, Rotation3, Vector3};
use proptest::prelude::*;
use swarm_kinematics::fit::{
    FittedCapsule, GeometryError, Part, Shape, Triangle, as_element, check, fit, listed, parts,
    volume_by_box, with_capsules,
};
use swarm_kinematics::{Capsule, segment_distance};

use crate::common;

fn part(triangles: Vec<Triangle>) -> Part {
    Part { link: "link".to_owned(), shape: Shape::Surface(triangles) }
}

fn capsules_of(fitted: &[FittedCapsule]) -> Vec<Capsule> {
    fitted.iter().map(|capsule| capsule.in_link).collect()
}

fn inside(capsules: &[Capsule], point: &Point3<f64>) -> bool {
    capsules.iter().any(|capsule| segment_distance(point, point, &capsule.a, &capsule.b) <= capsule.radius)
}

/// Triangles of a box.
fn boxed(centre: [f64; 3], size: [f64; 3]) -> Vec<Triangle> {
    let [x, y, z] = size;
    let [cx, cy, cz] = centre;
    let urdf = format!(
        r#"<robot name="r"><link name="l"><collision><origin xyz="{cx} {cy} {cz}"/><geometry><box size="{x} {y} {z}"/></geometry></collision></link></robot>"#
    );
    let Shape::Surface(triangles) = parts(&urdf, None, |_| Err(String::new())).unwrap().remove(0).shape
    else {
        panic!("a box without joints is a surface")
    };
    triangles
}

/// A link like an elbow: 0.6 m one way, 0.5 m another.
fn elbow() -> Vec<Triangle> {
    let mut triangles = boxed([0.3, 0.0, 0.0], [0.6, 0.1, 0.1]);
    triangles.extend(boxed([0.55, 0.0, 0.25], [0.1, 0.1, 0.5]));
    triangles
}

fn point() -> impl Strategy<Value = Point3<f64>> {
    prop::array::uniform3(-0.4..0.4f64).prop_map(Point3::from)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_point_of_every_triangle_lies_in_a_capsule(
        triangles in prop::collection::vec(prop::array::uniform3(point()), 1..30),
        flat in prop_oneof![Just(0.0), Just(0.01), Just(1.0)],
        most in 1..4usize, shares in prop::array::uniform2(0.0..1.0f64),
    ) {
        let triangles: Vec<Triangle> =
            triangles.iter().map(|corners| corners.map(|p| Point3::new(p.x, p.y * flat, p.z * flat))).collect();
        let part = part(triangles.clone());
        let fitted = fit(std::slice::from_ref(&part), most);
        prop_assert!((1..=most).contains(&fitted.len()));
        let capsules = capsules_of(&fitted);
        let coverage = check(&part, &capsules);
        prop_assert!(coverage.outside.is_none() && coverage.smallest_margin >= 1e-4, "{coverage:?}");
        prop_assert_eq!(coverage.vertices, 3 * triangles.len());
        let [s, t] = if shares[0] + shares[1] > 1.0 { shares.map(|share| 1.0 - share) } else { shares };
        for [a, b, c] in triangles {
            prop_assert!(inside(&capsules, &(a + (b - a) * s + (c - a) * t)));
        }
    }
}

#[test]
fn a_bent_link_is_cut_and_stays_covered_across_the_cut() {
    let part = part(elbow());
    let one = capsules_of(&fit(std::slice::from_ref(&part), 1));
    let two = capsules_of(&fit(std::slice::from_ref(&part), 2));
    assert_eq!((one.len(), two.len()), (1, 2));
    let [one_volume, two_volume] = [&one, &two].map(|capsules| volume_by_box([&part], capsules));
    assert!(two_volume < 0.5 * one_volume, "{one_volume} {two_volume}");
    assert_eq!(check(&part, &two).outside, None);
    let Shape::Surface(triangles) = &part.shape else { panic!() };
    let corner_in = |capsule: &Capsule, p: &Point3<f64>| inside(std::slice::from_ref(capsule), p);
    let across =
        |corners: &&Triangle| !two.iter().any(|capsule| corners.iter().all(|p| corner_in(capsule, p)));
    assert!(
        triangles.iter().filter(across).count() > 0,
        "no triangle lies across the cut: the test shows nothing"
    );
}

#[test]
fn a_straight_link_is_not_cut() {
    let part = part(boxed([0.0; 3], [0.5, 0.1, 0.1]));
    assert_eq!(fit(&[part], 4).len(), 1);
}

#[test]
fn a_triangle_that_sticks_out_between_two_capsules_is_found() {
    // Corners in the balls at the ends, and nothing between them.
    let ball = |x: f64| Capsule { a: [x, 0.0, 0.0].into(), b: [x, 0.0, 0.0].into(), radius: 0.1 };
    let bridge = part(vec![[[-1.0, 0.0, 0.0].into(), [1.0, 0.0, 0.0].into(), [1.0, 0.05, 0.0].into()]]);
    let coverage = check(&bridge, &[ball(-1.0), ball(1.0)]);
    assert!(coverage.smallest_margin > 0.0 && coverage.outside.is_some(), "{coverage:?}");
    let middle = Capsule { a: [-0.95, 0.0, 0.0].into(), b: [0.95, 0.0, 0.0].into(), radius: 0.08 };
    assert_eq!(check(&bridge, &[ball(-1.0), ball(1.0), middle]).outside, None);
    assert!(check(&bridge, &[]).outside.is_some());
}

#[test]
fn a_vertex_outside_is_found() {
    let elbow = part(elbow());
    let mut capsules = capsules_of(&fit(std::slice::from_ref(&elbow), 2));
    capsules[0].radius -= 0.002;
    let coverage = check(&elbow, &capsules);
    assert!(coverage.smallest_margin < 0.0, "{coverage:?}");
    let outside = coverage.outside.unwrap();
    assert!(!inside(&capsules, &outside));
}

/// A hand on a turning wrist, with a finger that slides and a thumb that turns on it.
const HAND: &str = r#"<robot name="hand">
  <link name="wrist"/>
  <link name="hand"><collision><geometry><sphere radius="0.05"/></geometry></collision></link>
  <link name="finger"><collision><origin xyz="0 0 0.1"/><geometry><box size="0.02 0.02 0.1"/></geometry></collision></link>
  <link name="thumb"><collision><origin xyz="0.1 0 0"/><geometry><cylinder radius="0.01" length="0.06"/></geometry></collision></link>
  <joint name="turn" type="revolute"><parent link="wrist"/><child link="hand"/><axis xyz="0 0 1"/>
    <limit lower="-1" upper="1" velocity="1" effort="1"/></joint>
  <joint name="slide" type="prismatic"><parent link="hand"/><child link="finger"/><axis xyz="0 1 0"/>
    <limit lower="-0.03" upper="0.08" velocity="1" effort="1"/></joint>
  <joint name="swing" type="revolute"><parent link="finger"/><child link="thumb"/><origin rpy="0.3 0 0"/><axis xyz="0 0 2"/>
    <limit lower="-4" upper="-2.5" velocity="1" effort="1"/><mimic joint="slide"/></joint>
</robot>"#;

#[test]
fn fingers_are_covered_wherever_they_go() {
    let found = parts(HAND, Some("hand"), |_| Err("no mesh".to_owned())).unwrap();
    let links: Vec<&str> = found.iter().map(|part| part.link.as_str()).collect();
    assert_eq!(links, ["hand", "hand"]);
    let capsules = capsules_of(&fit(&found, 10));
    for part in &found {
        assert_eq!(check(part, &capsules).outside, None);
    }
    for i in 0..=20 {
        for j in 0..=20 {
            let slide = Vector3::y() * (-0.03 + 0.11 * f64::from(i) / 20.0);
            let swing = Rotation3::from_axis_angle(&Vector3::z_axis(), -4.0 + 1.5 * f64::from(j) / 20.0);
            // A corner of the finger's tip, and the rim of the thumb.
            let finger = Point3::new(0.01, 0.01, 0.15) + slide;
            let thumb =
                Rotation3::from_euler_angles(0.3, 0.0, 0.0) * (swing * Point3::new(0.11, 0.0, 0.03)) + slide;
            assert!(inside(&capsules, &finger) && inside(&capsules, &thumb), "slide {slide} swing {swing}");
        }
    }
}

#[test]
fn the_same_hand_as_a_tool_hangs_on_its_root() {
    let found = parts(HAND, None, |_| Err("no mesh".to_owned())).unwrap();
    assert!(
        found.iter().all(|part| part.link == "wrist" && matches!(part.shape, Shape::Hull(_))),
        "{found:?}"
    );
}

#[test]
fn round_shapes_lie_within_their_polyhedra() {
    for (shape, surface) in [
        (r#"<sphere radius="0.2"/>"#, [[0.2, 0.0, 0.0], [0.0, 0.0, -0.2], [0.1154, 0.1154, 0.1154]]),
        (
            r#"<cylinder radius="0.2" length="0.6"/>"#,
            [[0.2, 0.0, 0.3], [0.1414, 0.1414, -0.3], [0.196, 0.0392, 0.1]],
        ),
        (
            r#"<capsule radius="0.2" length="0.6"/>"#,
            [[0.0, 0.0, 0.5], [0.2, 0.0, 0.3], [0.1154, 0.1154, 0.4154]],
        ),
    ] {
        let urdf = format!(
            r#"<robot name="r"><link name="l"><collision><geometry>{shape}</geometry></collision></link></robot>"#
        );
        let found = parts(&urdf, None, |_| Err(String::new())).unwrap();
        let capsules = capsules_of(&fit(&found, 1));
        for point in surface {
            assert!(inside(&capsules, &point.into()), "{shape} {point:?}");
        }
        // Around the shape, but not far around it.
        let farthest = found[0].points().map(|point| point.coords.norm()).fold(0.0, f64::max);
        assert!((0.2..0.52).contains(&farthest), "{shape} {farthest}");
    }
}

#[test]
fn capsules_are_written_into_the_urdf_and_read_back() {
    let capsules = fit(&parts(common::GRIPPER, None, |_| Err("no mesh".to_owned())).unwrap(), 10);
    let text = with_capsules(common::GRIPPER, &capsules).unwrap();
    assert_eq!(listed(&text).unwrap(), capsules);
    assert_eq!(with_capsules(&text, &capsules).unwrap(), text, "writing twice changes nothing");
    assert_eq!(text.matches("<safety_capsules>").count(), 1);
    let start = |text: &str| text[..text.find("<safety_capsules>").unwrap()].to_owned();
    assert_eq!(start(&text), start(common::GRIPPER), "all else stays");
    let bare = r#"<robot name="r"><link name="gripper_base" drake:x="1"/></robot>"#;
    let text = with_capsules(bare, &capsules).unwrap();
    assert_eq!(listed(&text).unwrap(), capsules);
    assert!(text.contains(&as_element(&capsules)), "{text}");
}

#[test]
fn geometry_that_cannot_be_covered_is_refused() {
    let shape = |shape: &str| {
        let urdf = format!(
            r#"<robot name="r"><link name="l"><collision><geometry>{shape}</geometry></collision></link></robot>"#
        );
        parts(&urdf, None, |_| Ok(Vec::new())).unwrap_err().to_string()
    };
    assert_eq!(
        shape("<cone/>"),
        "URDF: collision of link 'l' has no shape, expected one of mesh, box, cylinder, sphere, capsule"
    );
    assert_eq!(
        shape(r#"<sphere radius="0"/>"#),
        "URDF: collision of link 'l': radius must be positive, found 0"
    );
    assert_eq!(
        shape(r#"<box size="1 -1 1"/>"#),
        "URDF: collision of link 'l': size must be positive, found 1 -1 1"
    );
    assert_eq!(
        shape(r#"<mesh filename="a.stl"/>"#),
        "collision mesh 'a.stl' of link 'l': it has no triangles"
    );
    let floating = HAND.replace(r#"name="slide" type="prismatic""#, r#"name="slide" type="floating""#);
    let error = parts(&floating, Some("hand"), |_| Ok(Vec::new())).unwrap_err();
    assert!(matches!(error, GeometryError::Unbounded { kind: "floating", .. }), "{error}");
}
