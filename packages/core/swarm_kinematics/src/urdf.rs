//! The part of URDF that describes a chain: links, joints, origins, axes, limits, and our capsules.
//!
//! `<safety_capsules>` is an extension element of the robot, like `<transmission>`; other readers skip it.
//!
//! As lenient as urdfdom, which ROS reads URDF with, where robots in circulation need it: an XML prefix that nothing
//! declares (`drake:acceleration`) is taken as declared, elements under any prefix are skipped, and what moves in a way
//! that no arm does (floating, planar) is refused only between base and flange.

use std::borrow::Cow;

use nalgebra::{Translation3, Unit, Vector3};
use roxmltree::{Document, Node};

use crate::Pose;
use crate::distance::Capsule;
use crate::load::Load;
use crate::model::{JointKind, ModelError};
use crate::portable::rotation_from_rpy;

/// Why a URDF text was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum UrdfError {
    #[error("URDF is not well-formed XML: {0}")]
    Xml(String),
    #[error("URDF starts with <{found}>, expected <robot>")]
    NotARobot { found: String },
    #[error("URDF: {element} has no {missing}")]
    Missing { element: String, missing: &'static str },
    #[error("URDF: {element}: {attribute}=\"{text}\" is not {expected}")]
    BadNumber { element: String, attribute: &'static str, text: String, expected: &'static str },
    #[error("URDF: joint '{joint}' is of type '{found}', expected {JOINT_TYPES}")]
    UnknownJointType { joint: String, found: String },
    #[error("URDF: {element} names link '{link}', which the URDF does not define")]
    UnknownLink { element: String, link: String },
    #[error("URDF: {0} '{1}' is defined twice")]
    Duplicate(&'static str, String),
    #[error("URDF: link '{link}' is the child of more than one joint")]
    TwoParents { link: String },
    #[error("URDF: links and joints do not form one tree: {roots} links have no parent, expected 1")]
    NotATree { roots: usize },
}

/// Joint types of the URDF specification.
const JOINT_TYPES: &str = "revolute, continuous, prismatic, fixed, floating or planar";

/// How a joint lets its child move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mobility {
    Fixed,
    Moves(JointKind),
    /// Floating or planar: more than one degree of freedom.
    Free(&'static str),
}

#[derive(Debug)]
pub(crate) struct Urdf {
    pub links: Vec<String>,
    pub joints: Vec<UrdfJoint>,
    /// Mass and centre of mass per link, in the link's frame; `None` for a link without `<inertial>`.
    pub inertials: Vec<Option<Load>>,
    pub capsules: Vec<UrdfCapsule>,
    /// Index of the link without a parent.
    pub root: usize,
}

#[derive(Debug)]
pub(crate) struct UrdfJoint {
    pub name: String,
    pub mobility: Mobility,
    /// The joint that this one follows, as fingers do.
    pub mimics: Option<String>,
    pub parent: usize,
    pub child: usize,
    pub child_in_parent: Pose,
    pub axis: Unit<Vector3<f64>>,
    pub lower: f64,
    pub upper: f64,
    pub velocity: f64,
    pub effort: f64,
}

#[derive(Debug)]
pub(crate) struct UrdfCapsule {
    pub link: usize,
    pub shape: Capsule,
}

impl Urdf {
    pub(crate) fn parse(text: &str) -> Result<Self, UrdfError> {
        let text = with_prefixes_declared(text);
        let document = Document::parse(&text).map_err(|error| UrdfError::Xml(error.to_string()))?;
        let robot = document.root_element();
        if !robot.has_tag_name("robot") {
            return Err(UrdfError::NotARobot { found: robot.tag_name().name().to_owned() });
        }
        let mut links: Vec<String> = Vec::new();
        let mut inertials = Vec::new();
        for link in children(robot, "link") {
            let name = attribute(link, "link", "name")?;
            if links.iter().any(|known| known == name) {
                return Err(UrdfError::Duplicate("link", name.to_owned()));
            }
            inertials.push(parse_inertial(link, name)?);
            links.push(name.to_owned());
        }
        let mut joints: Vec<UrdfJoint> = Vec::new();
        for node in children(robot, "joint") {
            let joint = parse_joint(node, &links)?;
            if joints.iter().any(|known| known.name == joint.name) {
                return Err(UrdfError::Duplicate("joint", joint.name));
            }
            if joints.iter().any(|known| known.child == joint.child) {
                return Err(UrdfError::TwoParents { link: links[joint.child].clone() });
            }
            joints.push(joint);
        }
        let root = single_root(&links, &joints)?;
        let mut capsules = Vec::new();
        for node in children(robot, "safety_capsules").flat_map(|list| children(list, "capsule")) {
            capsules.push(parse_capsule(node, &links)?);
        }
        Ok(Self { links, joints, inertials, capsules, root })
    }

    pub(crate) fn link(&self, name: &str) -> Option<usize> {
        self.links.iter().position(|link| link == name)
    }

    /// Per link, whether it hangs on `link`, by fixed or moving joints.
    pub(crate) fn links_carried_by(&self, link: usize) -> Vec<bool> {
        let mut carried = vec![false; self.links.len()];
        let mut reached = vec![link];
        while let Some(at) = reached.pop() {
            for joint in self.joints.iter().filter(|joint| joint.parent == at) {
                carried[joint.child] = true;
                reached.push(joint.child);
            }
        }
        carried
    }

    /// The link of this name, to be the flange.
    pub(crate) fn flange(&self, name: &str) -> Result<usize, ModelError> {
        self.link(name)
            .ok_or_else(|| ModelError::NoFlange { link: name.to_owned(), known: self.links.join(", ") })
    }

    /// The joint that carries `link`, if it is not the root.
    pub(crate) fn parent_joint(&self, link: usize) -> Option<&UrdfJoint> {
        self.joints.iter().find(|joint| joint.child == link)
    }
}

/// The text with every prefix declared that it uses without a declaration. urdfdom knows no namespaces and takes such a
/// text; an XML parser that does refuses it.
pub(crate) fn with_prefixes_declared(text: &str) -> Cow<'_, str> {
    /// More than any robot uses; a bound for texts that are no robots.
    const MOST: usize = 16;
    let mut text = Cow::Borrowed(text);
    for _ in 0..MOST {
        let Err(roxmltree::Error::UnknownNamespace(prefix, _)) = Document::parse(&text) else { break };
        let Some(end_of_name) = text.find("<robot").map(|at| at + "<robot".len()) else { break };
        let mut declared = text.into_owned();
        declared.insert_str(end_of_name, &format!(" xmlns:{prefix}=\"urn:undeclared:{prefix}\""));
        text = Cow::Owned(declared);
    }
    text
}

/// The text with `element` as the last child of the robot, in place of all children of that tag; prefixes are declared.
pub(crate) fn with_element(text: &str, tag: &'static str, element: &str) -> Result<String, UrdfError> {
    let mut text = with_prefixes_declared(text).into_owned();
    let document = Document::parse(&text).map_err(|error| UrdfError::Xml(error.to_string()))?;
    let robot = document.root_element();
    let mut old: Vec<_> = children(robot, tag).map(|node| node.range()).collect();
    let Some(end) = text[robot.range()].rfind("</").map(|at| robot.range().start + at) else {
        return Err(UrdfError::Missing { element: "robot".to_owned(), missing: "links" });
    };
    // From the back, so that what is left keeps its place.
    let line_start = |at: usize| text[..at].trim_end_matches([' ', '\t']).len();
    let mut edits = vec![(line_start(end)..line_start(end), element)];
    edits.extend(old.drain(..).rev().map(|range| {
        let after = text[range.end..].strip_prefix('\n').map_or(range.end, |_| range.end + 1);
        (line_start(range.start)..after, "")
    }));
    let needs_newline = !text[..line_start(end)].ends_with('\n');
    for (range, new) in edits {
        text.replace_range(range.clone(), new);
        if needs_newline && !new.is_empty() {
            text.insert(range.start, '\n');
        }
    }
    Ok(text)
}

/// Exactly one link without a parent, and every link reached from it.
fn single_root(links: &[String], joints: &[UrdfJoint]) -> Result<usize, UrdfError> {
    let mut roots = (0..links.len()).filter(|link| joints.iter().all(|joint| joint.child != *link));
    match (roots.next(), roots.count()) {
        (Some(root), 0) => {
            let mut reached = vec![root];
            let mut next = 0;
            while let Some(&link) = reached.get(next) {
                reached.extend(joints.iter().filter(|joint| joint.parent == link).map(|joint| joint.child));
                next += 1;
            }
            // Links in a loop all have parents and are not reached from the root.
            let unreached = links.len() - reached.len();
            if unreached == 0 { Ok(root) } else { Err(UrdfError::NotATree { roots: 1 + unreached }) }
        }
        (None, _) => Err(UrdfError::NotATree { roots: 0 }),
        (Some(_), more) => Err(UrdfError::NotATree { roots: 1 + more }),
    }
}

fn parse_joint(node: Node, links: &[String]) -> Result<UrdfJoint, UrdfError> {
    let name = attribute(node, "joint", "name")?.to_owned();
    let element = format!("joint '{name}'");
    let mobility = match attribute(node, &element, "type")? {
        "fixed" => Mobility::Fixed,
        "revolute" | "continuous" => Mobility::Moves(JointKind::Revolute),
        "prismatic" => Mobility::Moves(JointKind::Prismatic),
        "floating" => Mobility::Free("floating"),
        "planar" => Mobility::Free("planar"),
        other => return Err(UrdfError::UnknownJointType { joint: name, found: other.to_owned() }),
    };
    let end = |tag: &'static str| -> Result<usize, UrdfError> {
        let node = child(node, tag)
            .ok_or_else(|| UrdfError::Missing { element: element.clone(), missing: "parent or child" })?;
        link_index(attribute(node, &element, "link")?, &element, links)
    };
    let (parent, child_link) = (end("parent")?, end("child")?);
    let axis = if matches!(mobility, Mobility::Moves(_)) { axis(node, &element)? } else { Vector3::x_axis() };
    let mimics = child(node, "mimic").and_then(|mimic| mimic.attribute("joint")).map(str::to_owned);
    let mut joint = UrdfJoint {
        name,
        mobility,
        mimics,
        parent,
        child: child_link,
        child_in_parent: origin(node, &element)?,
        axis,
        lower: f64::NEG_INFINITY,
        upper: f64::INFINITY,
        velocity: f64::INFINITY,
        effort: f64::INFINITY,
    };
    let bounded = matches!(node.attribute("type"), Some("revolute" | "prismatic"));
    match child(node, "limit") {
        Some(limit) => {
            if bounded {
                joint.lower = number(limit, &element, "lower")?.unwrap_or(0.0);
                joint.upper = number(limit, &element, "upper")?.unwrap_or(0.0);
            }
            joint.velocity = number(limit, &element, "velocity")?.unwrap_or(f64::INFINITY);
            joint.effort = number(limit, &element, "effort")?.unwrap_or(f64::INFINITY);
        }
        None if bounded => return Err(UrdfError::Missing { element, missing: "<limit>" }),
        None => {}
    }
    Ok(joint)
}

fn parse_inertial(link: Node, name: &str) -> Result<Option<Load>, UrdfError> {
    let Some(inertial) = child(link, "inertial") else { return Ok(None) };
    let element = format!("inertial of link '{name}'");
    let mass = child(inertial, "mass").map(|mass| number(mass, &element, "value")).transpose()?.flatten();
    let mass_kg =
        mass.ok_or_else(|| UrdfError::Missing { element: element.clone(), missing: "<mass value>" })?;
    if mass_kg < 0.0 {
        let (text, expected) = (mass_kg.to_string(), "0 or more");
        return Err(UrdfError::BadNumber { element, attribute: "value", text, expected });
    }
    Ok(Some(Load { mass_kg, com_m: origin(inertial, &element)?.translation.vector }))
}

fn parse_capsule(node: Node, links: &[String]) -> Result<UrdfCapsule, UrdfError> {
    let name = attribute(node, "capsule", "link")?;
    let element = format!("capsule of link '{name}'");
    let point = |attribute| -> Result<_, UrdfError> {
        let vector = vector3(node, &element, attribute)?;
        vector.ok_or_else(|| UrdfError::Missing { element: element.clone(), missing: "from or to" })
    };
    let (from, to) = (point("from")?, point("to")?);
    let radius = number(node, &element, "radius")?
        .ok_or_else(|| UrdfError::Missing { element: element.clone(), missing: "radius" })?;
    if radius <= 0.0 {
        return Err(UrdfError::BadNumber {
            element,
            attribute: "radius",
            text: radius.to_string(),
            expected: "above 0",
        });
    }
    Ok(UrdfCapsule {
        link: link_index(name, &element, links)?,
        shape: Capsule { a: from.into(), b: to.into(), radius },
    })
}

fn axis(joint: Node, element: &str) -> Result<Unit<Vector3<f64>>, UrdfError> {
    // The specification's default is x.
    let axis = child(joint, "axis").map(|axis| vector3(axis, element, "xyz")).transpose()?.flatten();
    Unit::try_new(axis.unwrap_or_else(Vector3::x), 1e-9)
        .ok_or_else(|| bad(element, "xyz", "0 0 0", "an axis with a length"))
}

pub(crate) fn origin(node: Node, element: &str) -> Result<Pose, UrdfError> {
    let Some(origin) = child(node, "origin") else { return Ok(Pose::identity()) };
    let xyz = vector3(origin, element, "xyz")?.unwrap_or_default();
    let rpy = vector3(origin, element, "rpy")?.unwrap_or_default();
    Ok(Pose::from_parts(Translation3::from(xyz), rotation_from_rpy(rpy.x, rpy.y, rpy.z)))
}

pub(crate) fn children<'a, 'i>(node: Node<'a, 'i>, tag: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    // `<sensor:joint>` is no joint.
    let space = node.tag_name().namespace();
    node.children().filter(move |child| child.has_tag_name(tag) && child.tag_name().namespace() == space)
}

pub(crate) fn child<'a, 'i>(node: Node<'a, 'i>, tag: &'static str) -> Option<Node<'a, 'i>> {
    children(node, tag).next()
}

fn attribute<'a>(node: Node<'a, '_>, element: &str, name: &'static str) -> Result<&'a str, UrdfError> {
    node.attribute(name).ok_or_else(|| UrdfError::Missing { element: element.to_owned(), missing: name })
}

fn link_index(name: &str, element: &str, links: &[String]) -> Result<usize, UrdfError> {
    links
        .iter()
        .position(|link| link == name)
        .ok_or_else(|| UrdfError::UnknownLink { element: element.to_owned(), link: name.to_owned() })
}

pub(crate) fn number(node: Node, element: &str, attribute: &'static str) -> Result<Option<f64>, UrdfError> {
    let Some(text) = node.attribute(attribute) else { return Ok(None) };
    match text.trim().parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Some(value)),
        _ => Err(bad(element, attribute, text, "a finite number")),
    }
}

pub(crate) fn vector3(
    node: Node,
    element: &str,
    attribute: &'static str,
) -> Result<Option<Vector3<f64>>, UrdfError> {
    let Some(text) = node.attribute(attribute) else { return Ok(None) };
    let mut values = text.split_whitespace().map(str::parse::<f64>);
    match (values.next(), values.next(), values.next(), values.next()) {
        (Some(Ok(x)), Some(Ok(y)), Some(Ok(z)), None) if x.is_finite() && y.is_finite() && z.is_finite() => {
            Ok(Some(Vector3::new(x, y, z)))
        }
        _ => Err(bad(element, attribute, text, "three finite numbers")),
    }
}

fn bad(element: &str, attribute: &'static str, text: &str, expected: &'static str) -> UrdfError {
    UrdfError::BadNumber { element: element.to_owned(), attribute, text: text.to_owned(), expected }
}
