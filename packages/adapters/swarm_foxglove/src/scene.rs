//! Arms and parts as primitives of `foxglove.SceneUpdate`.

use foxglove::messages::{
    ArrowPrimitive, Color, CylinderPrimitive, Duration, Pose, Quaternion, SceneEntity, SceneUpdate,
    SpherePrimitive, Timestamp, Vector3,
};
use nalgebra::{Isometry3, Point3, UnitQuaternion};

use crate::WORLD;

/// An entity that is not sent again within this time disappears, s.
const LIFETIME_S: i32 = 2;

/// One arm.
#[derive(Clone, Debug, PartialEq)]
pub struct SceneRobot {
    pub name: String,
    pub tone: Tone,
    pub capsules: Vec<Capsule>,
}

/// All points within `radius_m` of a segment, world frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Capsule {
    pub from_m: [f64; 3],
    pub to_m: [f64; 3],
    pub radius_m: f64,
}

/// How an arm is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// May not move.
    Standing,
    Moving,
    /// Moves with its speed scaled down, or is near a limit.
    Slowed,
    Stopped,
}

/// A part as the cameras see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub name: String,
    pub in_world: Isometry3<f64>,
}

pub(crate) fn update(unix_ns: u64, robots: &[SceneRobot], parts: &[Part]) -> SceneUpdate {
    let arms = robots.iter().map(|robot| {
        let color = Some(color(robot.tone));
        SceneEntity {
            spheres: robot.capsules.iter().flat_map(|capsule| ends(capsule, color)).collect(),
            cylinders: robot.capsules.iter().filter_map(|capsule| middle(capsule, color)).collect(),
            ..entity(unix_ns, format!("robot/{}", robot.name))
        }
    });
    let frames = parts.iter().map(|part| SceneEntity {
        arrows: axes(&part.in_world),
        ..entity(unix_ns, format!("part/{}", part.name))
    });
    SceneUpdate { deletions: Vec::new(), entities: arms.chain(frames).collect() }
}

fn entity(unix_ns: u64, id: String) -> SceneEntity {
    SceneEntity {
        timestamp: Some(timestamp(unix_ns)),
        frame_id: WORLD.to_owned(),
        id,
        lifetime: Some(Duration::new(LIFETIME_S, 0)),
        ..SceneEntity::default()
    }
}

pub(crate) fn timestamp(unix_ns: u64) -> Timestamp {
    Timestamp::new((unix_ns / 1_000_000_000) as u32, (unix_ns % 1_000_000_000) as u32)
}

fn color(tone: Tone) -> Color {
    let (r, g, b) = match tone {
        Tone::Standing => (0.62, 0.65, 0.70),
        Tone::Moving => (0.25, 0.55, 0.85),
        Tone::Slowed => (0.90, 0.65, 0.10),
        Tone::Stopped => (0.80, 0.20, 0.20),
    };
    Color { r, g, b, a: 0.85 }
}

fn ends(capsule: &Capsule, color: Option<Color>) -> [SpherePrimitive; 2] {
    let diameter = 2.0 * capsule.radius_m;
    [capsule.from_m, capsule.to_m].map(|[x, y, z]| SpherePrimitive {
        pose: Some(pose(&Isometry3::translation(x, y, z))),
        size: Some(Vector3 { x: diameter, y: diameter, z: diameter }),
        color,
    })
}

/// The part between the ends; a cylinder's axis is its z. `None` where the ends are one point.
fn middle(capsule: &Capsule, color: Option<Color>) -> Option<CylinderPrimitive> {
    let (from, to) = (Point3::from(capsule.from_m), Point3::from(capsule.to_m));
    let axis = to - from;
    let length = axis.norm();
    if length < 1e-6 {
        return None;
    }
    // Opposite to z any half turn will do.
    let z = nalgebra::Vector3::z();
    let rotation = UnitQuaternion::rotation_between(&z, &axis).unwrap_or_else(|| {
        UnitQuaternion::from_axis_angle(&nalgebra::Vector3::x_axis(), std::f64::consts::PI)
    });
    let center = nalgebra::center(&from, &to);
    let diameter = 2.0 * capsule.radius_m;
    Some(CylinderPrimitive {
        pose: Some(pose(&Isometry3::from_parts(center.into(), rotation))),
        size: Some(Vector3 { x: diameter, y: diameter, z: length }),
        bottom_scale: 1.0,
        top_scale: 1.0,
        color,
    })
}

/// x red, y green, z blue; an arrow lies along its own x.
fn axes(frame: &Isometry3<f64>) -> Vec<ArrowPrimitive> {
    let quarter = std::f64::consts::FRAC_PI_2;
    let turns = [
        (UnitQuaternion::identity(), (0.9, 0.1, 0.1)),
        (UnitQuaternion::from_euler_angles(0.0, 0.0, quarter), (0.1, 0.7, 0.1)),
        (UnitQuaternion::from_euler_angles(0.0, -quarter, 0.0), (0.1, 0.2, 0.9)),
    ];
    turns
        .iter()
        .map(|(turn, (r, g, b))| ArrowPrimitive {
            pose: Some(pose(&(frame * turn))),
            shaft_length: 0.045,
            shaft_diameter: 0.004,
            head_length: 0.015,
            head_diameter: 0.008,
            color: Some(Color { r: *r, g: *g, b: *b, a: 1.0 }),
        })
        .collect()
}

fn pose(frame: &Isometry3<f64>) -> Pose {
    let (p, q) = (frame.translation.vector, frame.rotation.quaternion());
    Pose {
        position: Some(Vector3 { x: p.x, y: p.y, z: p.z }),
        orientation: Some(Quaternion { x: q.i, y: q.j, z: q.k, w: q.w }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capsule(to_m: [f64; 3]) -> Capsule {
        Capsule { from_m: [0.0; 3], to_m, radius_m: 0.05 }
    }

    #[test]
    fn a_capsule_is_a_cylinder_along_its_segment_with_a_ball_at_each_end() {
        for to in [[0.0, 0.0, 0.4], [0.0, 0.0, -0.4], [0.4, 0.0, 0.0], [0.1, -0.2, 0.3]] {
            let cylinder = middle(&capsule(to), None).unwrap();
            let (found, size) = (cylinder.pose.unwrap(), cylinder.size.unwrap());
            let length = Point3::from(to).coords.norm();
            assert!((size.z - length).abs() < 1e-12 && size.x == 0.1, "{size:?}");
            let q = found.orientation.unwrap();
            let q = UnitQuaternion::from_quaternion(nalgebra::Quaternion::new(q.w, q.x, q.y, q.z));
            let center = found.position.unwrap();
            let tip = nalgebra::Vector3::new(center.x, center.y, center.z)
                + q * nalgebra::Vector3::z() * (length / 2.0);
            assert!((tip - Point3::from(to).coords).norm() < 1e-9, "{to:?}: {tip}");
        }
        assert_eq!(middle(&capsule([0.0; 3]), None), None);
        assert_eq!(ends(&capsule([1.0, 2.0, 3.0]), None)[1].pose.unwrap().position.unwrap().y, 2.0);
    }

    #[test]
    fn robots_and_parts_have_names_that_cannot_meet() {
        let robot = SceneRobot { name: "a".into(), tone: Tone::Stopped, capsules: vec![capsule([1.0; 3])] };
        let part = Part { name: "a".into(), in_world: Isometry3::identity() };
        let update = update(1_500_000_000, &[robot], &[part]);
        let ids: Vec<_> = update.entities.iter().map(|entity| entity.id.as_str()).collect();
        assert_eq!(ids, ["robot/a", "part/a"]);
        assert_eq!(update.entities[0].timestamp, Some(Timestamp::new(1, 500_000_000)));
        assert_eq!((update.entities[0].spheres.len(), update.entities[1].arrows.len()), (2, 3));
    }
}
