//! The scene as a MuJoCo model (MJCF text, <https://mujoco.readthedocs.io/en/stable/XMLreference.html>).
//!
//! Collision: bodies of one robot never touch each other here (the safety gate watches that, with capsules), everything else does.
//! Visuals take part in nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use nalgebra::Isometry3;

use crate::Look;
use crate::parts::{self, part_a_blocks};
use crate::urdf::{Geometry, JointKind, Link, RobotLinks, Scene, Shape};

/// Physics step, s.
pub(crate) const TIMESTEP_S: f64 = 0.001;

/// Reflected inertia of motors and gears, kg m²: the value which MuJoCo Menagerie's models of both arms use.
const ARMATURE_KG_M2: f64 = 0.1;
/// Reflected mass of a finger's drive, kg.
const FINGER_ARMATURE_KG: f64 = 0.2;

/// Name of the force sensor's site.
pub(crate) fn wrench_site(robot: &RobotLinks) -> String {
    format!("{}_wrench", robot.name)
}

/// Name of the camera beside a robot's gripper.
fn wrist_camera(robot: &RobotLinks) -> String {
    format!("{}_wrist", robot.name)
}

/// On the gripper's housing, looking to where the fingers point, and 35 degrees further out.
const WRIST_CAMERA: &str = r#"pos="0.08 0 0.01" xyaxes="0 1 0 0.819 0 -0.574" fovy="62""#;

/// Writes the model; mesh files are found under `root`.
pub(crate) fn model_text(scene: &Scene, root: &Path, look: Look) -> String {
    let mut writer = Writer { scene, out: String::new(), meshes: BTreeMap::new() };
    writer.body_of("world", 2);
    writer.part_a();
    writer.part_b();
    let world = std::mem::take(&mut writer.out);

    // Where nothing lies in a shadow there is more light: less of it comes from the camera.
    let (quality, reflectance, headlight) = match look {
        Look::Fine => ("shadowsize=\"4096\" offsamples=\"4\"", "0.05", "0.35 0.35 0.35"),
        Look::Plain => ("shadowsize=\"0\" offsamples=\"0\"", "0", "0.05 0.05 0.05"),
    };
    let mut out = HEAD
        .replace("TIMESTEP", &TIMESTEP_S.to_string())
        .replace("QUALITY", quality)
        .replace("HEADLIGHT", headlight);
    out.push_str("  <asset>\n");
    for (file, name) in &writer.meshes {
        put(
            &mut out,
            format_args!(
                "    <mesh name=\"{name}\" file=\"{}\" maxhullvert=\"64\"/>\n",
                root.join(file).display()
            ),
        );
    }
    out.push_str(&SURROUNDINGS.replace("REFLECTANCE", reflectance));
    out.push_str(&world);
    out.push_str("  </worldbody>\n  <equality>\n");
    for robot in &scene.robots {
        let [driven, copying] = &robot.finger_joints;
        put(
            &mut out,
            format_args!(
                "    <joint joint1=\"{copying}\" joint2=\"{driven}\" polycoef=\"0 1 0 0 0\" solref=\"0.003 1\" \
             solimp=\"0.99 0.999 0.0001\"/>\n"
            ),
        );
    }
    out.push_str("  </equality>\n  <sensor>\n");
    for robot in &scene.robots {
        let site = wrench_site(robot);
        put(&mut out, format_args!("    <force site=\"{site}\"/>\n    <torque site=\"{site}\"/>\n"));
    }
    out.push_str("  </sensor>\n</mujoco>\n");
    out
}

/// Elliptic cones with impratio keep a grasped part from creeping; implicitfast is stable with contacts of light fingers.
const HEAD: &str = r#"<mujoco model="cell">
  <compiler angle="radian" autolimits="true" balanceinertia="true"/>
  <option timestep="TIMESTEP" integrator="implicitfast" cone="elliptic" impratio="20" noslip_iterations="2"/>
  <visual>
    <global offwidth="1280" offheight="720" fovy="42"/>
    <headlight ambient="0.35 0.35 0.37" diffuse="HEADLIGHT" specular="0.1 0.1 0.1"/>
    <quality QUALITY/>
    <map znear="0.02" zfar="20"/>
  </visual>
"#;

/// Colours, light, floor and table. The table's top is the plane z = 0. Contact bit 64 is the table's.
const SURROUNDINGS: &str = r#"    <texture name="sky" type="skybox" builtin="gradient" rgb1="0.93 0.95 0.98" rgb2="0.62 0.68 0.76" width="256" height="1536"/>
    <texture name="tiles" type="2d" builtin="checker" rgb1="0.52 0.54 0.57" rgb2="0.57 0.59 0.62" width="512" height="512"/>
    <material name="floor" texture="tiles" texrepeat="8 8" reflectance="REFLECTANCE"/>
    <material name="table" rgba="0.86 0.84 0.79 1" specular="0.2" shininess="0.3"/>
    <material name="steel" rgba="0.45 0.47 0.5 1" specular="0.4" shininess="0.5"/>
    <material name="part_a" rgba="0.16 0.42 0.72 1" specular="0.3" shininess="0.4"/>
    <material name="part_b" rgba="0.93 0.52 0.12 1" specular="0.3" shininess="0.4"/>
  </asset>
  <worldbody>
    <light pos="0.8 -1.4 2.4" dir="-0.35 0.6 -1" diffuse="0.55 0.54 0.5" specular="0.2 0.2 0.2" castshadow="true"/>
    <light pos="-1.2 0.6 2.2" dir="0.5 -0.3 -1" diffuse="0.25 0.26 0.3" specular="0 0 0" castshadow="false"/>
    <camera name="overview" pos="0.95 -1.45 0.95" xyaxes="0.807 0.479 0 -0.162 0.273 0.881"/>
    <geom name="floor" type="plane" pos="0 0 -0.75" size="4 4 0.1" material="floor" contype="0" conaffinity="0"/>
    <geom name="table" type="box" pos="0 0.15 -0.02" size="0.85 0.8 0.02" material="table" contype="64" conaffinity="63" friction="0.6 0.01 0.001"/>
    <geom name="leg_1" type="box" pos="-0.75 -0.55 -0.395" size="0.03 0.03 0.355" material="steel" contype="0" conaffinity="0"/>
    <geom name="leg_2" type="box" pos="0.75 -0.55 -0.395" size="0.03 0.03 0.355" material="steel" contype="0" conaffinity="0"/>
    <geom name="leg_3" type="box" pos="-0.75 0.85 -0.395" size="0.03 0.03 0.355" material="steel" contype="0" conaffinity="0"/>
    <geom name="leg_4" type="box" pos="0.75 0.85 -0.395" size="0.03 0.03 0.355" material="steel" contype="0" conaffinity="0"/>
"#;

struct Writer<'a> {
    scene: &'a Scene,
    out: String,
    /// Mesh file to asset name.
    meshes: BTreeMap<String, String>,
}

impl Writer<'_> {
    /// Writes the bodies of all links that hang on `parent`, and what hangs on them.
    fn body_of(&mut self, parent: &str, depth: usize) {
        let scene = self.scene;
        let indent = "  ".repeat(depth);
        for joint in scene.tree.joints.iter().filter(|joint| joint.parent == parent) {
            let Some(link) = scene.tree.links.iter().find(|link| link.name == joint.child) else { continue };
            put(
                &mut self.out,
                format_args!("{indent}<body name=\"{}\"{}>\n", link.name, placed(&joint.origin)),
            );
            self.joint(joint, &indent);
            self.link(link, &indent);
            if let Some(robot) = scene.robots.iter().find(|robot| robot.gripper == link.name) {
                // The sensor measures between this body and its parent, in the flange's frame.
                put(
                    &mut self.out,
                    format_args!(
                        "{indent}  <site name=\"{}\"{} size=\"0.002\" rgba=\"0 0 0 0\"/>\n",
                        wrench_site(robot),
                        placed(&joint.origin.inverse())
                    ),
                );
                put(
                    &mut self.out,
                    format_args!("{indent}  <camera name=\"{}\" {WRIST_CAMERA}/>\n", wrist_camera(robot)),
                );
            }
            self.body_of(&link.name, depth + 1);
            put(&mut self.out, format_args!("{indent}</body>\n"));
        }
    }

    fn joint(&mut self, joint: &crate::urdf::Joint, indent: &str) {
        let (kind, armature) = match joint.kind {
            JointKind::Fixed => return,
            JointKind::Revolute | JointKind::Continuous => ("hinge", ARMATURE_KG_M2),
            JointKind::Prismatic => ("slide", FINGER_ARMATURE_KG),
        };
        let [x, y, z] = joint.axis;
        let range = match joint.limit {
            Some(limit) if joint.kind != JointKind::Continuous => {
                format!(" range=\"{} {}\"", limit.lower, limit.upper)
            }
            _ => String::new(),
        };
        put(
            &mut self.out,
            format_args!(
                "{indent}  <joint name=\"{}\" type=\"{kind}\" axis=\"{x} {y} {z}\" armature=\"{armature}\"{range}/>\n",
                joint.name
            ),
        );
    }

    fn link(&mut self, link: &Link, indent: &str) {
        if let Some(inertial) = &link.inertial {
            let i = inertial.inertia;
            // `fullinertia` excludes an orientation, so the matrix is turned into link axes.
            let r = inertial.origin.rotation.to_rotation_matrix();
            let local = nalgebra::Matrix3::new(i[0], i[3], i[4], i[3], i[1], i[5], i[4], i[5], i[2]);
            let m = r.matrix() * local * r.matrix().transpose();
            let p = inertial.origin.translation;
            put(
                &mut self.out,
                format_args!(
                    "{indent}  <inertial pos=\"{} {} {}\" mass=\"{}\" fullinertia=\"{} {} {} {} {} {}\"/>\n",
                    p.x,
                    p.y,
                    p.z,
                    inertial.mass_kg,
                    m[(0, 0)],
                    m[(1, 1)],
                    m[(2, 2)],
                    m[(0, 1)],
                    m[(0, 2)],
                    m[(1, 2)]
                ),
            );
        }
        let robot =
            self.scene.robots.iter().position(|robot| link.name.starts_with(&format!("{}_", robot.name)));
        let bit = 1_u32 << robot.unwrap_or(0);
        let finger = link.name.contains("finger");
        // Rubber pads: dry friction of about one, and torsional friction because a pad is a patch, not a point.
        let friction = if finger {
            " condim=\"4\" friction=\"1.0 0.02 0.001\" priority=\"1\" solref=\"0.004 1\""
        } else {
            ""
        };
        for shape in &link.collisions {
            let geometry = self.geometry(shape);
            put(
                &mut self.out,
                format_args!(
                    "{indent}  <geom {geometry} group=\"3\" mass=\"0\" contype=\"{bit}\" conaffinity=\"{}\"{friction}/>\n",
                    127 & !bit
                ),
            );
        }
        for shape in &link.visuals {
            let geometry = self.geometry(shape);
            let [r, g, b, a] = shape.rgba.unwrap_or(if finger {
                [0.22, 0.23, 0.25, 1.0]
            } else if link.name.contains("gripper") || link.name.contains("hand") {
                [0.30, 0.32, 0.35, 1.0]
            } else if link.name.contains("panda") {
                [0.92, 0.93, 0.94, 1.0]
            } else {
                [0.70, 0.74, 0.79, 1.0]
            });
            put(
                &mut self.out,
                format_args!(
                    "{indent}  <geom {geometry} group=\"1\" mass=\"0\" contype=\"0\" conaffinity=\"0\" rgba=\"{r} {g} {b} {a}\"/>\n"
                ),
            );
        }
    }

    fn geometry(&mut self, shape: &Shape) -> String {
        let place = placed(&shape.origin);
        match &shape.geometry {
            Geometry::Box([x, y, z]) => {
                format!("type=\"box\" size=\"{} {} {}\"{place}", x / 2.0, y / 2.0, z / 2.0)
            }
            Geometry::Sphere { radius_m } => format!("type=\"sphere\" size=\"{radius_m}\"{place}"),
            Geometry::Cylinder { radius_m, length_m } => {
                format!("type=\"cylinder\" size=\"{radius_m} {}\"{place}", length_m / 2.0)
            }
            Geometry::Mesh(file) => {
                let name = file.replace(['/', '.'], "_");
                self.meshes.insert(file.clone(), name.clone());
                format!("type=\"mesh\" mesh=\"{name}\"{place}")
            }
        }
    }

    fn part_a(&mut self) {
        self.out.push_str("    <body name=\"part_a\">\n      <freejoint name=\"part_a\"/>\n");
        let blocks = part_a_blocks();
        let volume: f64 = blocks.iter().map(|block| block.size_m.iter().product::<f64>()).sum();
        for block in blocks {
            let [x, y, z] = block.size_m;
            put(
                &mut self.out,
                format_args!(
                    "      <geom type=\"box\" size=\"{} {} {}\"{} material=\"part_a\" density=\"{}\" contype=\"16\" \
                 conaffinity=\"127\" friction=\"0.25 0.005 0.0001\" solref=\"0.004 1\"/>\n",
                    x / 2.0,
                    y / 2.0,
                    z / 2.0,
                    placed(&block.pose),
                    parts::PART_A_MASS_KG / volume
                ),
            );
        }
        self.out.push_str("    </body>\n");
    }

    fn part_b(&mut self) {
        let (edge, length) = (parts::PEG_EDGE_M / 2.0, parts::PEG_LENGTH_M / 2.0);
        put(
            &mut self.out,
            format_args!(
                "    <body name=\"part_b\">\n      <freejoint name=\"part_b\"/>\n      <geom type=\"box\" size=\"{edge} {edge} \
             {length}\" pos=\"0 0 {length}\" material=\"part_b\" mass=\"{}\" contype=\"32\" conaffinity=\"127\" \
             friction=\"0.25 0.005 0.0001\" solref=\"0.004 1\"/>\n    </body>\n",
                parts::PART_B_MASS_KG
            ),
        );
    }
}

fn placed(pose: &Isometry3<f64>) -> String {
    let (p, q) = (pose.translation, pose.rotation);
    format!(" pos=\"{} {} {}\" quat=\"{} {} {} {}\"", p.x, p.y, p.z, q.w, q.i, q.j, q.k)
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a String can't fail");
}
