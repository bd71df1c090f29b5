//! Collision geometry of a URDF as triangles per link; fingers over their whole travel.

use std::f64::consts::PI;

use nalgebra::{Point3, Rotation3, Vector3};
use roxmltree::{Document, Node};

use super::GeometryError;
use crate::model::{JointKind, moving_joints_to};
use crate::urdf::{
    Mobility, Urdf, UrdfJoint, child, children, number, origin, vector3, with_prefixes_declared,
};

/// Corners, m.
pub type Triangle = [Point3<f64>; 3];

/// Corners of the polygon around a circle.
const CIRCLE_CORNERS: usize = 32;
/// A turning finger's path is cut into arcs of at most this, rad.
const ARC: f64 = PI / 8.0;
/// More swept points than this become the eight corners of their box.
const MOST_POINTS: usize = 20_000;

/// What the capsules of one link have to cover.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The geometry is in the frame of this link.
    pub link: String,
    pub shape: Shape,
}

/// The geometry of a part.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Triangles of a link's surface.
    Surface(Vec<Triangle>),
    /// The convex hull of points: what fingers sweep.
    Hull(Vec<Point3<f64>>),
}

impl Part {
    pub fn points(&self) -> impl Iterator<Item = &Point3<f64>> {
        match &self.shape {
            Shape::Surface(triangles) => triangles.as_flattened().iter(),
            Shape::Hull(points) => points.iter(),
        }
    }
}

/// The parts of a URDF whose arm ends at `flange`; without one it is a tool, and all its joints move fingers. Links without
/// collision geometry have none.
///
/// `read_mesh` gives the triangles of a mesh file as the URDF names it, unscaled, or says what is wrong.
pub fn parts(
    urdf: &str,
    flange: Option<&str>,
    mut read_mesh: impl FnMut(&str) -> Result<Vec<Triangle>, String>,
) -> Result<Vec<Part>, GeometryError> {
    let tree = Urdf::parse(urdf)?;
    let chain = match flange {
        None => Vec::new(),
        Some(name) => moving_joints_to(&tree, tree.flange(name)?)?,
    };
    // The same text as `Urdf::parse` has found good.
    let text = with_prefixes_declared(urdf);
    let document = Document::parse(&text).map_err(|error| crate::UrdfError::Xml(error.to_string()))?;
    let mut own = Vec::new();
    let mut swept: Vec<Swept> = Vec::new();
    for (link, node) in children(document.root_element(), "link").enumerate() {
        let name = &tree.links[link];
        let mut triangles = Vec::new();
        for collision in children(node, "collision") {
            let place = origin(collision, &format!("collision of link '{name}'"))?;
            let shape = shape(collision, name, &mut read_mesh)?;
            triangles.extend(shape.into_iter().map(|corners| corners.map(|corner| place * corner)));
        }
        if triangles.is_empty() {
            continue;
        }
        match swept_onto_arm(&tree, &chain, link, &triangles)? {
            None => own.push(Part { link: name.clone(), shape: Shape::Surface(triangles) }),
            Some((carrier, points)) => match swept.iter_mut().find(|(known, _)| *known == carrier) {
                Some((_, known)) => known.extend(points),
                None => swept.push((carrier, points)),
            },
        }
    }
    for (carrier, points) in swept {
        own.push(Part { link: tree.links[carrier].clone(), shape: Shape::Hull(points) });
    }
    Ok(own)
}

/// A link of the arm, and points in its frame whose hull something that hangs on it never leaves.
type Swept = (usize, Vec<Point3<f64>>);

/// For a link that a joint beside the arm moves: what it sweeps.
fn swept_onto_arm(
    tree: &Urdf,
    chain: &[&str],
    link: usize,
    triangles: &[Triangle],
) -> Result<Option<Swept>, GeometryError> {
    let mut path: Vec<&UrdfJoint> = Vec::new();
    let mut at = link;
    while let Some(joint) = tree.parent_joint(at) {
        path.push(joint);
        at = joint.parent;
    }
    let beside =
        |joint: &&UrdfJoint| joint.mobility != Mobility::Fixed && !chain.contains(&joint.name.as_str());
    let Some(last) = path.iter().rposition(beside) else { return Ok(None) };
    let mut points = triangles.as_flattened().to_vec();
    for joint in &path[..=last] {
        points = match joint.mobility {
            Mobility::Fixed => points,
            Mobility::Moves(kind) => points.iter().flat_map(|point| swept(joint, kind, point)).collect(),
            Mobility::Free(kind) => {
                let (link, joint) = (tree.links[link].clone(), joint.name.clone());
                return Err(GeometryError::Unbounded { link, joint, kind });
            }
        };
        points = points.iter().map(|point| joint.child_in_parent * point).collect();
        if points.len() > MOST_POINTS {
            points = corners_of_box(&points);
        }
    }
    Ok(Some((path[last].parent, points)))
}

/// Points whose hull holds the way of a point while the joint goes from limit to limit.
fn swept(joint: &UrdfJoint, kind: JointKind, point: &Point3<f64>) -> Vec<Point3<f64>> {
    match kind {
        JointKind::Prismatic => {
            [joint.lower, joint.upper].map(|q| point + joint.axis.into_inner() * q).to_vec()
        }
        JointKind::Revolute => {
            // An arc lies between its chord and the tangents at its ends, which meet above the middle.
            let lower = joint.lower.min(joint.upper);
            let range = (joint.upper - joint.lower).abs();
            let (lower, range) = if range < 2.0 * PI { (lower, range) } else { (-PI, 2.0 * PI) };
            let arcs = (range / ARC).ceil().max(1.0);
            let arc = range / arcs;
            let on_axis = Point3::from(joint.axis.into_inner() * joint.axis.dot(&point.coords));
            let turned = |angle: f64, outwards: f64| {
                on_axis + Rotation3::from_axis_angle(&joint.axis, angle) * ((point - on_axis) * outwards)
            };
            let tangents =
                (0..arcs as usize).map(|i| turned(lower + arc * (i as f64 + 0.5), 1.0 / (arc / 2.0).cos()));
            tangents.chain([turned(lower, 1.0), turned(lower + range, 1.0)]).collect()
        }
    }
}

fn corners_of_box(points: &[Point3<f64>]) -> Vec<Point3<f64>> {
    let (low, high) =
        points.iter().fold((points[0], points[0]), |(l, h), point| (l.inf(point), h.sup(point)));
    box_corners(&nalgebra::center(&low, &high), &(high - low))
}

fn box_corners(centre: &Point3<f64>, size: &Vector3<f64>) -> Vec<Point3<f64>> {
    (0..8)
        .map(|i| {
            centre + size.map_with_location(|row, _, side| if i >> row & 1 == 0 { -0.5 } else { 0.5 } * side)
        })
        .collect()
}

/// Triangles of a collision's shape, in the collision's frame. Round shapes become polyhedra around them.
fn shape(
    collision: Node,
    link: &str,
    read_mesh: &mut impl FnMut(&str) -> Result<Vec<Triangle>, String>,
) -> Result<Vec<Triangle>, GeometryError> {
    let no_shape = || GeometryError::NoShape { link: link.to_owned() };
    let geometry = child(collision, "geometry").ok_or_else(no_shape)?;
    let shape = geometry.children().find(Node::is_element).ok_or_else(no_shape)?;
    let element = format!("collision of link '{link}'");
    let positive = |what: &'static str| -> Result<f64, GeometryError> {
        let found = number(shape, &element, what)?.unwrap_or(0.0);
        if found > 0.0 {
            return Ok(found);
        }
        Err(GeometryError::NotPositive { link: link.to_owned(), what, found: found.to_string() })
    };
    match shape.tag_name().name() {
        "mesh" => {
            let file = shape.attribute("filename").unwrap_or_default();
            let bad = |problem: String| GeometryError::Mesh {
                link: link.to_owned(),
                file: file.to_owned(),
                problem,
            };
            let scale = vector3(shape, &element, "scale")?.unwrap_or_else(|| Vector3::repeat(1.0));
            let triangles = read_mesh(file).map_err(bad)?;
            if triangles.is_empty() {
                return Err(bad("it has no triangles".to_owned()));
            }
            if !triangles.as_flattened().iter().all(|corner| corner.iter().all(|value| value.is_finite())) {
                return Err(bad("a coordinate is not a finite number".to_owned()));
            }
            let scaled = |corner: Point3<f64>| Point3::from(corner.coords.component_mul(&scale));
            Ok(triangles.into_iter().map(|corners| corners.map(scaled)).collect())
        }
        "box" => {
            let size = vector3(shape, &element, "size")?.unwrap_or_default();
            if size.min() <= 0.0 {
                let found = format!("{} {} {}", size.x, size.y, size.z);
                return Err(GeometryError::NotPositive { link: link.to_owned(), what: "size", found });
            }
            Ok(boxed(&size))
        }
        "cylinder" => {
            let (radius, half) = (positive("radius")?, positive("length")? / 2.0);
            Ok(revolved(&[(0.0, -half), (radius, -half), (radius, half), (0.0, half)]))
        }
        "sphere" => Ok(rounded(positive("radius")?, 0.0)),
        "capsule" => Ok(rounded(positive("radius")?, positive("length")? / 2.0)),
        _ => Err(no_shape()),
    }
}

fn boxed(size: &Vector3<f64>) -> Vec<Triangle> {
    let corners = box_corners(&Point3::origin(), size);
    // Two triangles per face; bit 0 of a corner's index is x, bit 1 y, bit 2 z.
    let faces = [[0, 2, 6, 4], [1, 3, 7, 5], [0, 1, 5, 4], [2, 3, 7, 6], [0, 1, 3, 2], [4, 5, 7, 6]];
    faces
        .iter()
        .flat_map(|[a, b, c, d]| [[a, b, c], [a, c, d]].map(|ids| ids.map(|id| corners[*id])))
        .collect()
}

/// A ball, or with `half` a capsule along z: a profile around its meridian, revolved.
fn rounded(radius: f64, half: f64) -> Vec<Triangle> {
    const STEPS: usize = 8;
    // Corners where tangents meet lie outside the arc by 1 / cos of half a step.
    let step = PI / 2.0 / STEPS as f64;
    let corner = |i: usize, z: f64| {
        let (sin, cos) = (-PI / 2.0 + step * (i as f64 + 0.5)).sin_cos();
        let reach = radius / (step / 2.0).cos();
        (reach * cos, z + reach * sin)
    };
    let lower = (0..STEPS).map(|i| corner(i, -half));
    let upper = (STEPS..2 * STEPS).map(|i| corner(i, half));
    let mut profile = vec![(0.0, -half - radius)];
    profile.extend(lower.chain(upper));
    profile.push((0.0, half + radius));
    revolved(&profile)
}

/// A profile of (distance from z, height), turned about z; polygons stand around the circles.
fn revolved(profile: &[(f64, f64)]) -> Vec<Triangle> {
    let outwards = 1.0 / (PI / CIRCLE_CORNERS as f64).cos();
    let at = |(distance, z): (f64, f64), i: usize| {
        let (sin, cos) = (2.0 * PI * i as f64 / CIRCLE_CORNERS as f64).sin_cos();
        Point3::new(distance * outwards * cos, distance * outwards * sin, z)
    };
    let mut triangles = Vec::new();
    for pair in profile.windows(2) {
        for i in 0..CIRCLE_CORNERS {
            let [a, b, c, d] = [at(pair[0], i), at(pair[0], i + 1), at(pair[1], i + 1), at(pair[1], i)];
            triangles
                .extend([[a, b, c], [a, c, d]].into_iter().filter(|[p, q, r]| p != q && q != r && r != p));
        }
    }
    triangles
}
