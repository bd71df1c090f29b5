//! Capsules: they contain the meshes, move with the links, and bound how far an arm can still go.

use crate::common;
use nalgebra::Point3;
use proptest::prelude::*;
use swarm_kinematics::{
    ArmModel, Capsule, JointVector, Placed, Pose, closest, closest_after_travel, segment_distance,
};

fn position(arm: &ArmModel, shares: &[f64; 7]) -> JointVector {
    JointVector::from_fn(|i, _| {
        arm.joints().get(i).map_or(0.0, |j| j.lower + (j.upper - j.lower) * shares[i])
    })
}

/// Vertices of a Wavefront or binary STL mesh.
fn vertices(name: &str, bytes: &[u8]) -> Vec<Point3<f64>> {
    if std::path::Path::new(name).extension().is_some_and(|extension| extension == "obj") {
        let text = std::str::from_utf8(bytes).unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix("v "));
        return lines
            .map(|line| {
                let mut values = line.split_whitespace().map(|text| text.parse::<f64>().unwrap());
                Point3::new(values.next().unwrap(), values.next().unwrap(), values.next().unwrap())
            })
            .collect();
    }
    let float = |at: usize| f64::from(f32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()));
    let count = u32::from_le_bytes(bytes[80..84].try_into().unwrap()) as usize;
    let corners =
        (0..count).flat_map(|triangle| (0..3).map(move |corner| 84 + 50 * triangle + 12 + 12 * corner));
    corners.map(|at| Point3::new(float(at), float(at + 4), float(at + 8))).collect()
}

/// Largest distance by which a vertex of the URDF's collision meshes lies outside every capsule of its link.
fn outside(arm: &ArmModel, folder: &str, urdf: &str, prefix: &str) -> (usize, f64) {
    let poses = arm.forward(&JointVector::zeros());
    let capsules = arm.capsules(&poses);
    let document = roxmltree::Document::parse(urdf).unwrap();
    let (mut checked, mut worst) = (0, f64::NEG_INFINITY);
    for link in document.root_element().children().filter(|node| node.has_tag_name("link")) {
        let name = format!("{prefix}{}", link.attribute("name").unwrap());
        let Some(link_pose) = arm.link(&poses, &name) else { continue };
        for collision in link.children().filter(|node| node.has_tag_name("collision")) {
            let Some(mesh) = collision.descendants().find(|node| node.has_tag_name("mesh")) else { continue };
            let file = mesh.attribute("filename").unwrap();
            let bytes = std::fs::read(format!("{folder}/{file}")).unwrap();
            let origin = collision.children().find(|node| node.has_tag_name("origin"));
            let numbers = |attribute| {
                let text = origin.and_then(|node| node.attribute(attribute)).unwrap_or("0 0 0");
                let values: Vec<f64> = text.split_whitespace().map(|text| text.parse().unwrap()).collect();
                nalgebra::Vector3::new(values[0], values[1], values[2])
            };
            let (xyz, rpy) = (numbers("xyz"), numbers("rpy"));
            let rotation = nalgebra::Rotation3::from_euler_angles(rpy.x, rpy.y, rpy.z);
            let mesh_in_link = Pose::from_parts(xyz.into(), rotation);
            for vertex in vertices(file, &bytes) {
                let point = link_pose * mesh_in_link * vertex;
                let gap = arm
                    .link_capsules()
                    .iter()
                    .zip(capsules.as_slice())
                    .filter(|(own, _)| own.link == name)
                    .map(|(_, capsule)| {
                        segment_distance(&point, &point, &capsule.a, &capsule.b) - capsule.radius
                    })
                    .fold(f64::INFINITY, f64::min);
                worst = worst.max(gap);
                checked += 1;
            }
        }
    }
    (checked, worst)
}

#[test]
fn every_vertex_of_every_collision_mesh_lies_in_a_capsule_of_its_link() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../urdf");
    let ur5e = common::ur5e(Pose::identity());
    let (checked, worst) = outside(&ur5e, &format!("{root}/ur5e"), common::UR5E, "ur5e_");
    assert!(checked > 3000 && worst <= 0.0, "UR5e: {checked} vertices, worst {worst} m outside");
    let panda = common::panda(Pose::identity());
    let (checked, worst) = outside(&panda, &format!("{root}/panda"), common::PANDA, "panda_");
    assert!(checked > 3000 && worst <= 0.0, "Panda: {checked} vertices, worst {worst} m outside");
}

#[test]
fn an_arm_carries_the_capsules_of_its_tool() {
    let arm = common::ur5e(Pose::identity());
    let names: Vec<&str> = arm.link_capsules().iter().map(|capsule| capsule.link.as_str()).collect();
    assert_eq!(names.iter().filter(|name| **name == "ur5e_gripper_base").count(), 2);
    assert_eq!(names.len(), 9);
    assert_eq!(common::panda(Pose::identity()).link_capsules().len(), 10);
}

#[test]
fn checked_pairs_are_apart_at_home() {
    let ur5e = common::ur5e(Pose::identity());
    let home = ur5e.joint_vector(&[0.0, -1.57, 1.57, -1.57, -1.57, 0.0]).unwrap();
    let gap = ur5e.self_distance(&ur5e.capsules(&ur5e.forward(&home)));
    assert!(gap.distance > 0.0, "{gap:?}");
    let panda = common::panda(Pose::identity());
    let home = panda.joint_vector(&[0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785]).unwrap();
    let gap = panda.self_distance(&panda.capsules(&panda.forward(&home)));
    assert!(gap.distance > 0.0, "{gap:?}");
    assert!(ur5e.self_pairs().len() > 10 && panda.self_pairs().len() > 10);
}

#[test]
fn pairs_that_never_meet_are_not_checked() {
    let ur5e = common::ur5e(Pose::identity());
    let links = |arm: &ArmModel, (i, j): (usize, usize)| {
        (arm.link_capsules()[i].link.clone(), arm.link_capsules()[j].link.clone())
    };
    let checked: Vec<_> = ur5e.self_pairs().iter().map(|pair| links(&ur5e, *pair)).collect();
    let pair = |one: &str, two: &str| (format!("ur5e_{one}"), format!("ur5e_{two}"));
    assert!(!checked.contains(&pair("wrist_1_link", "wrist_3_link")), "{checked:?}");
    assert!(checked.contains(&pair("upper_arm_link", "wrist_1_link")), "{checked:?}");
    assert!(checked.contains(&pair("base_link_inertia", "gripper_base")), "{checked:?}");
}

#[test]
fn a_folded_arm_collides_with_itself() {
    let arm = common::ur5e(Pose::identity());
    let folded = arm.joint_vector(&[0.0, -1.57, 3.1, 0.0, 0.0, 0.0]).unwrap();
    assert!(arm.self_distance(&arm.capsules(&arm.forward(&folded))).distance < 0.0);
}

fn shares() -> impl Strategy<Value = [f64; 7]> {
    prop::array::uniform7(0.0..=1.0f64)
}

/// Points of a capsule, its surface included.
fn points(capsule: &Capsule) -> Vec<Point3<f64>> {
    let mut points = Vec::new();
    for share in [0.0, 0.5, 1.0] {
        let centre = capsule.a + (capsule.b - capsule.a) * share;
        points.push(centre);
        for axis in [nalgebra::Vector3::x(), nalgebra::Vector3::y(), nalgebra::Vector3::z()] {
            points.push(centre + axis * capsule.radius);
            points.push(centre - axis * capsule.radius);
        }
    }
    points
}

proptest! {
    #[test]
    fn no_point_of_an_arm_moves_farther_than_its_travel(
        shares in shares(), reach in prop::array::uniform7(0.0..2.5f64), used in prop::array::uniform7(prop_oneof![Just(-1.0), Just(1.0), -1.0..1.0f64]),
    ) {
        for arm in common::both() {
            let q = position(&arm, &shares);
            let reach = JointVector::from_fn(|i, _| if i < arm.dof() { reach[i] } else { 0.0 });
            let moved = JointVector::from_fn(|i, _| q[i] + reach[i] * used[i]);
            let (before, after) = (arm.forward(&q), arm.forward(&moved));
            let bounds = arm.capsule_levers(&before, &arm.capsules(&before)).travel(&reach);
            for (i, capsule) in arm.link_capsules().iter().enumerate() {
                for point in points(&capsule.in_body) {
                    let way = (after.body(capsule.body) * point - before.body(capsule.body) * point).norm();
                    prop_assert!(way <= bounds.as_slice()[i] + 1e-12, "{} moved {way}, bound {}", capsule.link, bounds.as_slice()[i]);
                }
            }
        }
    }

    #[test]
    fn no_own_pair_comes_closer_than_its_travel_says(
        shares in shares(), reach in prop::array::uniform7(0.0..0.3f64), turn in prop::array::uniform7(-1.0..=1.0f64),
    ) {
        for arm in common::both() {
            let q = position(&arm, &shares);
            let reach = JointVector::from_fn(|i, _| if i < arm.dof() { reach[i] } else { 0.0 });
            let moved = q + JointVector::from_fn(|i, _| reach[i] * turn[i]);
            let poses = arm.forward(&q);
            let capsules = arm.capsules(&poses);
            let levers = arm.capsule_levers(&poses, &capsules);
            let left = |reach: &JointVector| {
                let travel = levers.travel(reach);
                arm.self_distance_after_travel(&capsules, &levers, &travel, f64::INFINITY).unwrap().distance
            };
            let bound = left(&reach);
            let found = arm.self_distance(&arm.capsules(&arm.forward(&moved))).distance;
            prop_assert!(found >= bound - 1e-12, "{found} is closer than {bound}");
            // The base turns the arm as one: own links come no closer by it.
            let base_only = JointVector::from_fn(|i, _| if i == 0 { reach[0] } else { 0.0 });
            let others = arm.self_pairs().iter().all(|&(i, j)| {
                arm.link_capsules()[i].body.min(arm.link_capsules()[j].body) >= 1
            });
            let still = left(&base_only);
            prop_assert!(!others || (still - arm.self_distance(&capsules).distance).abs() < 1e-12);
        }
    }

    #[test]
    fn the_closest_pair_is_the_smallest_distance_of_any_two_capsules(first in shares(), second in shares()) {
        let arms = [common::ur5e(Pose::identity()), common::panda(Pose::translation(0.7, 0.2, 0.0))];
        let one = arms[0].capsules(&arms[0].forward(&position(&arms[0], &first)));
        let two = arms[1].capsules(&arms[1].forward(&position(&arms[1], &second)));
        let found = closest(&one, &two);
        let mut sampled = f64::INFINITY;
        for a in one.as_slice() {
            for b in two.as_slice() {
                for s in 0..=10 {
                    for t in 0..=10 {
                        let on_a = a.a + (a.b - a.a) * (f64::from(s) / 10.0);
                        let on_b = b.a + (b.b - b.a) * (f64::from(t) / 10.0);
                        sampled = sampled.min((on_a - on_b).norm() - a.radius - b.radius);
                    }
                }
            }
        }
        // Segments are up to 0.43 m long; half a step of each is the slack of sampling.
        prop_assert!(found.distance <= sampled + 1e-12 && found.distance >= sampled - 0.043, "{found:?} {sampled}");
        let (i, j) = found.pair;
        prop_assert_eq!(one.as_slice()[i].distance(&two.as_slice()[j]), found.distance);
        prop_assert!((closest(&two, &one).distance - found.distance).abs() < 1e-12);
    }

    /// Pairs that are skipped as too far apart change nothing, to the last bit.
    #[test]
    fn the_closest_pairs_are_those_of_all_pairs_in_their_order(
        first in shares(), second in shares(), reach in prop::array::uniform7(0.0..0.3f64), apart in 0.0..1.2f64,
        enough in prop_oneof![Just(f64::INFINITY), -0.3..0.6f64],
    ) {
        let arms = [common::ur5e(Pose::identity()), common::panda(Pose::translation(apart, 0.2, 0.0))];
        let reach = JointVector::from(reach);
        let seen: Vec<_> = arms.iter().zip([first, second]).map(|(arm, shares)| {
            let poses = arm.forward(&position(arm, &shares));
            let capsules = arm.capsules(&poses);
            let levers = arm.capsule_levers(&poses, &capsules);
            (capsules, levers, levers.travel(&reach))
        }).collect();
        let ((one, levers, way), (two, _, other)) = (&seen[0], &seen[1]);
        let smallest = |pairs: &[(usize, usize)], gap: &dyn Fn(usize, usize) -> f64| {
            let none = (f64::INFINITY, (0, 0));
            pairs.iter().fold(none, |best, &(i, j)| if gap(i, j) < best.0 { (gap(i, j), (i, j)) } else { best })
        };
        let (ones, twos) = (one.as_slice(), two.as_slice());
        let all: Vec<_> = (0..ones.len()).flat_map(|i| (0..twos.len()).map(move |j| (i, j))).collect();
        let found = closest(one, two);
        prop_assert_eq!((found.distance, found.pair), smallest(&all, &|i, j| ones[i].distance(&twos[j])));
        let below = |(distance, pair): (f64, (usize, usize))| Some((distance, pair)).filter(|_| distance < enough);
        let found = closest_after_travel((one, way), (two, other), enough);
        let left = |i: usize, j: usize| ones[i].distance(&twos[j]) - way.as_slice()[i] - other.as_slice()[j];
        prop_assert_eq!(found.map(|found| (found.distance, found.pair)), below(smallest(&all, &left)));
        let found = arms[0].self_distance(one);
        let own = smallest(arms[0].self_pairs(), &|i, j| ones[i].distance(&ones[j]));
        prop_assert_eq!((found.distance, found.pair), own);
        let found = arms[0].self_distance_after_travel(one, levers, way, enough);
        let links = arms[0].link_capsules();
        let left = |i: usize, j: usize| {
            let (near, far) = if links[i].body <= links[j].body { (i, j) } else { (j, i) };
            // What the joints beyond the nearer link move the farther one.
            let beyond = JointVector::from_fn(|joint, _| if joint < links[near].body { 0.0 } else { reach[joint] });
            ones[i].distance(&ones[j]) - levers.travel(&beyond).as_slice()[far]
        };
        let own = smallest(arms[0].self_pairs(), &left);
        prop_assert_eq!(found.map(|found| (found.distance, found.pair)), below(own));
    }

    /// What is worked out on several capsules at once, or kept in one place, is what is worked out for each alone, to the last bit.
    #[test]
    fn an_arm_is_placed_as_its_parts_are(shares in shares(), before in shares(), point in prop::array::uniform3(-2.0..2.0f64)) {
        let arms = common::both();
        let mut placed = Placed::nowhere();
        // One after the other in the same place: nothing of the arm before is left.
        for (arm, shares) in [(&arms[1], before), (&arms[0], shares), (&arms[1], shares)] {
            let q = position(arm, &shares);
            arm.place(&q, &mut placed);
            let poses = arm.forward(&q);
            let capsules = arm.capsules(&poses);
            prop_assert_eq!(placed.poses.body(arm.dof()), poses.body(arm.dof()));
            prop_assert_eq!(placed.capsules.as_slice(), capsules.as_slice());
            for joint in 0..arm.dof() {
                let turn = JointVector::from_fn(|i, _| if i == joint { 1.0 } else { 0.0 });
                let (body, travel) = (poses.body(joint + 1), placed.levers.travel(&turn));
                let (axis, origin) = (body.rotation * nalgebra::Vector3::z(), body.translation.vector);
                for (i, (own, capsule)) in arm.link_capsules().iter().zip(capsules.as_slice()).enumerate() {
                    let from_axis = |end: &Point3<f64>| axis.cross(&(end.coords - origin)).norm();
                    let lever = from_axis(&capsule.a).max(from_axis(&capsule.b)) + capsule.radius;
                    let expected = if joint < own.body { lever } else { 0.0 };
                    prop_assert!((travel.as_slice()[i] - expected).abs() < 1e-14, "{} joint {joint}", own.link);
                }
            }
            let point = Point3::from(point);
            let far = |end: &Point3<f64>| (end - point).norm();
            for body in [0, 1, 4] {
                let counts = |i: usize| arm.link_capsules()[i].body >= body;
                let all = capsules.as_slice().iter().enumerate().filter(|(i, _)| counts(*i));
                let expected = all.map(|(_, own)| far(&own.a).max(far(&own.b)) + own.radius).fold(0.0, f64::max);
                prop_assert_eq!(capsules.farthest(&point, counts), expected);
            }
            let tool = Point3::from(arm.tool(&poses).translation.vector);
            let upper = arm.jacobian(&poses).fixed_rows::<3>(0).into_owned();
            prop_assert_eq!(arm.point_jacobian(&poses, &tool), upper);
        }
    }
}
