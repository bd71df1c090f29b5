//! A [`LinkTree`] as URDF text.

use std::fmt::Write as _;

use nalgebra::Isometry3;

use super::{Geometry, JointKind, LinkTree, Shape};

/// URDF text of a tree. Mesh files, which the tree names relative to the folder that holds `urdf/`, get `mesh_prefix` put before
/// them, for example `package://swarm_bringup/`.
pub fn to_urdf(tree: &LinkTree, mesh_prefix: &str) -> String {
    let mut out = format!("<?xml version=\"1.0\"?>\n<robot name=\"{}\">\n", tree.name);
    for link in &tree.links {
        if link.visuals.is_empty() && link.collisions.is_empty() && link.inertial.is_none() {
            push(&mut out, format_args!("  <link name=\"{}\"/>\n", link.name));
            continue;
        }
        push(&mut out, format_args!("  <link name=\"{}\">\n", link.name));
        for (tag, shapes) in [("visual", &link.visuals), ("collision", &link.collisions)] {
            for shape in shapes {
                write_shape(&mut out, tag, shape, mesh_prefix);
            }
        }
        if let Some(inertial) = &link.inertial {
            let [ixx, iyy, izz, ixy, ixz, iyz] = inertial.inertia;
            push(
                &mut out,
                format_args!(
                    "    <inertial>{}<mass value=\"{}\"/><inertia ixx=\"{ixx}\" ixy=\"{ixy}\" ixz=\"{ixz}\" iyy=\"{iyy}\" \
                     iyz=\"{iyz}\" izz=\"{izz}\"/></inertial>\n",
                    origin(&inertial.origin),
                    inertial.mass_kg
                ),
            );
        }
        out.push_str("  </link>\n");
    }
    for joint in &tree.joints {
        let kind = match joint.kind {
            JointKind::Fixed => "fixed",
            JointKind::Revolute => "revolute",
            JointKind::Continuous => "continuous",
            JointKind::Prismatic => "prismatic",
        };
        let [x, y, z] = joint.axis;
        push(
            &mut out,
            format_args!(
                "  <joint name=\"{}\" type=\"{kind}\">{}<parent link=\"{}\"/><child link=\"{}\"/><axis xyz=\"{x} {y} {z}\"/>",
                joint.name,
                origin(&joint.origin),
                joint.parent,
                joint.child
            ),
        );
        if let Some(limit) = joint.limit {
            push(
                &mut out,
                format_args!(
                    "<limit lower=\"{}\" upper=\"{}\" effort=\"{}\" velocity=\"{}\"/>",
                    limit.lower, limit.upper, limit.effort, limit.velocity
                ),
            );
        }
        if let Some(mimic) = &joint.mimic {
            push(&mut out, format_args!("<mimic joint=\"{mimic}\"/>"));
        }
        out.push_str("</joint>\n");
    }
    out.push_str("</robot>\n");
    out
}

fn write_shape(out: &mut String, tag: &str, shape: &Shape, mesh_prefix: &str) {
    let geometry = match &shape.geometry {
        Geometry::Box([x, y, z]) => format!("<box size=\"{x} {y} {z}\"/>"),
        Geometry::Sphere { radius_m } => format!("<sphere radius=\"{radius_m}\"/>"),
        Geometry::Cylinder { radius_m, length_m } => {
            format!("<cylinder radius=\"{radius_m}\" length=\"{length_m}\"/>")
        }
        Geometry::Mesh(file) => format!("<mesh filename=\"{mesh_prefix}{file}\"/>"),
    };
    let material = match shape.rgba {
        Some([r, g, b, a]) => {
            // Materials of one name must be equal, so the name is the colour.
            format!("<material name=\"rgba_{r}_{g}_{b}_{a}\"><color rgba=\"{r} {g} {b} {a}\"/></material>")
        }
        None => String::new(),
    };
    push(
        out,
        format_args!(
            "    <{tag}>{}<geometry>{geometry}</geometry>{material}</{tag}>\n",
            origin(&shape.origin)
        ),
    );
}

fn origin(pose: &Isometry3<f64>) -> String {
    let p = pose.translation;
    let (roll, pitch, yaw) = pose.rotation.euler_angles();
    format!("<origin xyz=\"{} {} {}\" rpy=\"{roll} {pitch} {yaw}\"/>", p.x, p.y, p.z)
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a String can't fail");
}
