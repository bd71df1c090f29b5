//! URDF text to a [`LinkTree`]; <http://wiki.ros.org/urdf/XML>.

use nalgebra::{Isometry3, Translation3, UnitQuaternion, Vector3};
use roxmltree::Node;

use super::{Geometry, Inertial, Joint, JointKind, Limit, Link, LinkTree, Shape};
use crate::SimError;

/// Reads a URDF. `path` is its place relative to the folder that holds `urdf/`: it stands in errors, and mesh files are resolved
/// against its folder.
pub fn parse(path: &str, text: &str) -> Result<LinkTree, SimError> {
    let document =
        roxmltree::Document::parse(text).map_err(|source| SimError::Xml { path: path.to_owned(), source })?;
    let reader = Reader { path, folder: path.rsplit_once('/').map_or("", |(folder, _)| folder) };
    let robot = document.root_element();
    if !robot.has_tag_name("robot") {
        return Err(reader.error(robot, format!("expected <robot>, found <{}>", robot.tag_name().name())));
    }
    Ok(LinkTree {
        name: reader.text(robot, "name")?.to_owned(),
        links: elements(robot, "link").map(|node| reader.link(node)).collect::<Result<_, _>>()?,
        joints: elements(robot, "joint").map(|node| reader.joint(node)).collect::<Result<_, _>>()?,
    })
}

struct Reader<'a> {
    path: &'a str,
    folder: &'a str,
}

fn elements<'a, 'i>(node: Node<'a, 'i>, tag: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(move |child| child.has_tag_name(tag))
}

fn element<'a, 'i>(node: Node<'a, 'i>, tag: &'static str) -> Option<Node<'a, 'i>> {
    elements(node, tag).next()
}

impl Reader<'_> {
    fn error(&self, node: Node<'_, '_>, what: impl std::fmt::Display) -> SimError {
        let line = node.document().text_pos_at(node.range().start).row;
        SimError::Urdf { path: self.path.to_owned(), what: format!("line {line}: {what}") }
    }

    fn text<'a>(&self, node: Node<'a, '_>, attribute: &str) -> Result<&'a str, SimError> {
        node.attribute(attribute).ok_or_else(|| {
            self.error(node, format!("<{}> has no attribute '{attribute}'", node.tag_name().name()))
        })
    }

    fn numbers<const N: usize>(&self, node: Node<'_, '_>, attribute: &str) -> Result<[f64; N], SimError> {
        let text = self.text(node, attribute)?;
        let values: Result<Vec<f64>, _> = text.split_whitespace().map(str::parse).collect();
        values
            .ok()
            .filter(|values| values.iter().all(|v| v.is_finite()))
            .and_then(|v| v.try_into().ok())
            .ok_or_else(|| self.error(node, format!("{attribute}=\"{text}\": expected {N} finite number(s)")))
    }

    fn number(&self, node: Node<'_, '_>, attribute: &str) -> Result<f64, SimError> {
        self.numbers::<1>(node, attribute).map(|[value]| value)
    }

    /// The `<origin>` of an element; identity where it has none.
    fn origin(&self, node: Node<'_, '_>) -> Result<Isometry3<f64>, SimError> {
        let Some(origin) = element(node, "origin") else { return Ok(Isometry3::identity()) };
        let or_zero = |attribute| match origin.attribute(attribute) {
            Some(_) => self.numbers::<3>(origin, attribute),
            None => Ok([0.0; 3]),
        };
        let ([x, y, z], [roll, pitch, yaw]) = (or_zero("xyz")?, or_zero("rpy")?);
        Ok(Isometry3::from_parts(
            Translation3::new(x, y, z),
            UnitQuaternion::from_euler_angles(roll, pitch, yaw),
        ))
    }

    fn link(&self, node: Node<'_, '_>) -> Result<Link, SimError> {
        let shapes = |tag| elements(node, tag).map(|shape| self.shape(shape)).collect::<Result<_, _>>();
        Ok(Link {
            name: self.text(node, "name")?.to_owned(),
            visuals: shapes("visual")?,
            collisions: shapes("collision")?,
            inertial: element(node, "inertial").map(|inertial| self.inertial(inertial)).transpose()?,
        })
    }

    fn shape(&self, node: Node<'_, '_>) -> Result<Shape, SimError> {
        let geometry = element(node, "geometry")
            .and_then(|geometry| geometry.first_element_child())
            .ok_or_else(|| self.error(node, "no <geometry> with a shape".to_owned()))?;
        let color = element(node, "material").and_then(|material| element(material, "color"));
        Ok(Shape {
            origin: self.origin(node)?,
            geometry: match geometry.tag_name().name() {
                "box" => Geometry::Box(self.numbers(geometry, "size")?),
                "sphere" => Geometry::Sphere { radius_m: self.number(geometry, "radius")? },
                "cylinder" => Geometry::Cylinder {
                    radius_m: self.number(geometry, "radius")?,
                    length_m: self.number(geometry, "length")?,
                },
                "mesh" => Geometry::Mesh(format!("{}/{}", self.folder, self.text(geometry, "filename")?)),
                other => return Err(self.error(geometry, format!("shape <{other}> is not known"))),
            },
            rgba: color.map(|color| self.numbers(color, "rgba")).transpose()?,
        })
    }

    fn inertial(&self, node: Node<'_, '_>) -> Result<Inertial, SimError> {
        let child =
            |tag| element(node, tag).ok_or_else(|| self.error(node, format!("<inertial> has no <{tag}>")));
        let inertia = child("inertia")?;
        let entry = |name| self.number(inertia, name);
        Ok(Inertial {
            origin: self.origin(node)?,
            mass_kg: self.number(child("mass")?, "value")?,
            inertia: [
                entry("ixx")?,
                entry("iyy")?,
                entry("izz")?,
                entry("ixy")?,
                entry("ixz")?,
                entry("iyz")?,
            ],
        })
    }

    fn joint(&self, node: Node<'_, '_>) -> Result<Joint, SimError> {
        let kind = match self.text(node, "type")? {
            "fixed" => JointKind::Fixed,
            "revolute" => JointKind::Revolute,
            "continuous" => JointKind::Continuous,
            "prismatic" => JointKind::Prismatic,
            other => return Err(self.error(node, format!("joint type '{other}' is not supported"))),
        };
        let end = |tag| {
            let end =
                element(node, tag).ok_or_else(|| self.error(node, format!("<joint> has no <{tag}>")))?;
            self.text(end, "link").map(str::to_owned)
        };
        let axis = match element(node, "axis") {
            Some(axis) => self.numbers(axis, "xyz")?,
            None => [1.0, 0.0, 0.0], // the default of the URDF specification
        };
        let unit = Vector3::from(axis).try_normalize(1e-9);
        let limit = element(node, "limit")
            .map(|limit| {
                let bound = |name| if limit.has_attribute(name) { self.number(limit, name) } else { Ok(0.0) };
                Ok::<_, SimError>(Limit {
                    lower: bound("lower")?,
                    upper: bound("upper")?,
                    effort: self.number(limit, "effort")?,
                    velocity: self.number(limit, "velocity")?,
                })
            })
            .transpose()?;
        if limit.is_none() && kind != JointKind::Fixed {
            return Err(self.error(node, "a joint that moves needs a <limit>".to_owned()));
        }
        Ok(Joint {
            name: self.text(node, "name")?.to_owned(),
            kind,
            parent: end("parent")?,
            child: end("child")?,
            origin: self.origin(node)?,
            axis: unit.ok_or_else(|| self.error(node, "the axis is zero".to_owned()))?.into(),
            limit,
            mimic: element(node, "mimic").map(|m| self.text(m, "joint").map(str::to_owned)).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(joint: &str) -> String {
        let text = format!("<robot name='r'><link name='a'/><link name='b'/>\n{joint}</robot>");
        parse("urdf/r/r.urdf", &text).unwrap_err().to_string()
    }

    #[test]
    fn a_bad_number_is_named_with_file_line_and_expectation() {
        let error = error_of(
            "<joint name='j' type='fixed'><parent link='a'/><child link='b'/><origin xyz='0 nan 1'/></joint>",
        );
        assert_eq!(error, "urdf/r/r.urdf: line 2: xyz=\"0 nan 1\": expected 3 finite number(s)");
    }

    #[test]
    fn a_joint_that_moves_needs_limits() {
        let error = error_of("<joint name='j' type='revolute'><parent link='a'/><child link='b'/></joint>");
        assert_eq!(error, "urdf/r/r.urdf: line 2: a joint that moves needs a <limit>");
    }
}
