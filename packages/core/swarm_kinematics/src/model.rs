//! One arm as data, its forward kinematics and its Jacobian.

use nalgebra::{Matrix3, Point3, Rotation3, Translation3, Unit, Vector3};

use crate::capsules::{ArmCapsules, Length, LinkCapsule, MAX_CAPSULES};
use crate::load::Load;
use crate::portable::sin_cos;
use crate::travel::{CapsuleLevers, Carried};
use crate::urdf::{Mobility, Urdf, UrdfError, UrdfJoint};
use crate::{Jacobian, JointVector, MAX_JOINTS, PointJacobian, Pose, Twist};

/// What a joint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JointKind {
    /// Turns about its axis, rad. A continuous joint is one with infinite position limits.
    Revolute,
    /// Slides along its axis, m.
    Prismatic,
}

/// One actuated joint and the maker's limits, from the URDF; infinite where the URDF names none.
#[derive(Clone, Debug, PartialEq)]
pub struct JointInfo {
    /// Name with the robot's prefix.
    pub name: String,
    pub kind: JointKind,
    /// rad or m.
    pub lower: f64,
    /// rad or m.
    pub upper: f64,
    /// rad/s or m/s.
    pub velocity: f64,
    /// N m or N.
    pub effort: f64,
}

/// What to load.
#[derive(Clone, Copy, Debug)]
pub struct ArmSpec<'a> {
    /// Text of the arm's URDF. Its root link is the base.
    pub urdf: &'a str,
    /// Link where tools are mounted and wrenches measured, e.g. `tool0` or `panda_link8`; the chain ends here.
    pub flange_link: &'a str,
    /// Put in front of every joint and link name, e.g. `ur5e_left_`.
    pub prefix: &'a str,
    pub base_in_world: Pose,
    pub tool_in_flange: Pose,
    /// Text of the URDF of a tool whose root link is mounted on the flange; only its capsules are used.
    pub tool_urdf: Option<&'a str>,
}

/// Why an arm could not be loaded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelError {
    #[error(transparent)]
    Urdf(#[from] UrdfError),
    #[error("tool of '{prefix}': {error}")]
    Tool { prefix: String, error: UrdfError },
    #[error("URDF has no link '{link}' to be the flange; its links are {known}")]
    NoFlange { link: String, known: String },
    #[error("URDF has no moving joint that could be an arm's")]
    NoArm,
    #[error(
        "joint '{joint}' between the base and '{flange}' is {found}, expected revolute, continuous, prismatic or fixed"
    )]
    FreeJoint { joint: String, flange: String, found: &'static str },
    #[error("{found} actuated joints lead to '{flange}', supported are 1 to {MAX_JOINTS}")]
    JointCount { flange: String, found: usize },
    #[error("joint '{joint}': limits are {lower} to {upper}, the lower one must be smaller")]
    EmptyRange { joint: String, lower: f64, upper: f64 },
    #[error("{found} capsules, supported are {MAX_CAPSULES} per arm")]
    TooManyCapsules { found: usize },
    #[error(
        "capsule of link '{link}', which a joint beyond the arm's moves (a finger's): its place is not known; cover its whole travel with \
         capsules of the link that it hangs on, as `cell fit-capsules` does"
    )]
    LooseCapsule { link: String },
}

/// Where a joint sits, and how it moves what it carries.
#[derive(Clone, Copy, Debug)]
struct Joint {
    kind: JointKind,
    /// Frame of the body that it carries, at position zero, in the frame of the body before.
    in_previous: Pose,
}

/// A link, fixed to a body.
#[derive(Clone, Debug)]
struct Link {
    name: String,
    body: usize,
    in_body: Pose,
}

/// A serial arm at its place in the world.
#[derive(Clone, Debug)]
pub struct ArmModel {
    base_in_world: Pose,
    joints: Vec<Joint>,
    infos: Vec<JointInfo>,
    links: Vec<Link>,
    flange_in_body: Pose,
    tool_in_body: Pose,
    pub(crate) capsules: Vec<LinkCapsule>,
    /// Of each capsule.
    pub(crate) lengths: Vec<Length>,
    /// Of each joint.
    pub(crate) carried: Vec<Carried>,
    /// Pairs of own capsules that can be apart, see [`ArmModel::self_distance`].
    pub(crate) self_pairs: Vec<(usize, usize)>,
    /// Mass of each body as the arm's own links up to the flange make it, in the body's frame.
    pub(crate) masses: Vec<Load>,
}

/// Pose of every body in the world; body 0 is the base.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BodyPoses {
    pub(crate) in_world: [Pose; MAX_JOINTS + 1],
}

/// An arm at one position, see [`ArmModel::place`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placed {
    pub poses: BodyPoses,
    pub capsules: ArmCapsules,
    pub levers: CapsuleLevers,
}

impl ArmModel {
    /// Reads an arm. Allocates; nothing after it does.
    pub fn load(spec: &ArmSpec) -> Result<Self, ModelError> {
        let urdf = Urdf::parse(spec.urdf)?;
        let flange = urdf.flange(spec.flange_link)?;
        let chain = moving_joints_to(&urdf, flange)?;
        if chain.is_empty() || chain.len() > MAX_JOINTS {
            return Err(ModelError::JointCount { flange: spec.flange_link.to_owned(), found: chain.len() });
        }
        let mut places: Vec<Option<(usize, Pose)>> = vec![None; urdf.links.len()];
        places[urdf.root] = Some((0, Pose::identity()));
        let mut joints = Vec::new();
        let mut infos = Vec::new();
        // Parents are placed before their children.
        let mut order = vec![urdf.root];
        let mut next = 0;
        while let Some(&link) = order.get(next) {
            next += 1;
            let Some((body, in_body)) = places[link] else { continue };
            for joint in urdf.joints.iter().filter(|joint| joint.parent == link) {
                let at = in_body * joint.child_in_parent;
                match joint.mobility {
                    Mobility::Fixed => places[joint.child] = Some((body, at)),
                    Mobility::Moves(kind) => {
                        if let Some(index) = chain.iter().position(|name| *name == joint.name) {
                            let body_in_joint = frame_with_z_along(&joint.axis);
                            joints.push(Joint { kind, in_previous: at * body_in_joint });
                            infos.push(JointInfo::new(joint, kind, spec.prefix)?);
                            places[joint.child] = Some((index + 1, body_in_joint.inverse()));
                        }
                    }
                    Mobility::Free(_) => {}
                }
                // What another moving joint carries (fingers) is not part of the arm.
                order.push(joint.child);
            }
        }
        let mounted = urdf.links_carried_by(flange);
        let mut masses = vec![Load::default(); joints.len() + 1];
        for (link, inertial) in urdf.inertials.iter().enumerate().filter(|(link, _)| !mounted[*link]) {
            if let (Some((body, in_body)), Some(mass)) = (places[link], inertial) {
                let centre = in_body * Point3::from(mass.com_m);
                masses[body] = masses[body].and(Load { com_m: centre.coords, ..*mass });
            }
        }
        let mut capsules = Vec::new();
        for capsule in &urdf.capsules {
            let link = format!("{}{}", spec.prefix, urdf.links[capsule.link]);
            match places[capsule.link] {
                Some((body, in_body)) => capsules.push(LinkCapsule {
                    link,
                    of_tool: mounted[capsule.link],
                    body,
                    in_body: capsule.shape.transformed(&in_body),
                }),
                None if is_carried(&urdf, &places, capsule.link) => {
                    return Err(ModelError::LooseCapsule { link });
                }
                // Another arm's, in a URDF of several.
                None => {}
            }
        }
        let flange_in_body = places[flange].map_or_else(Pose::identity, |(_, pose)| pose);
        if let Some(text) = spec.tool_urdf {
            capsules.extend(tool_capsules(text, spec.prefix, joints.len(), &flange_in_body)?);
        }
        if capsules.len() > MAX_CAPSULES {
            return Err(ModelError::TooManyCapsules { found: capsules.len() });
        }
        let links = urdf
            .links
            .iter()
            .zip(&places)
            .filter_map(|(name, place)| {
                place.map(|(body, in_body)| Link { name: format!("{}{name}", spec.prefix), body, in_body })
            })
            .collect();
        let mut model = Self {
            base_in_world: spec.base_in_world,
            joints,
            infos,
            links,
            flange_in_body,
            tool_in_body: flange_in_body * spec.tool_in_flange,
            carried: (0..masses.len() - 1).map(|joint| Carried::by(joint, &capsules)).collect(),
            lengths: capsules.iter().map(|capsule| Length::of(&capsule.in_body)).collect(),
            capsules,
            self_pairs: Vec::new(),
            masses,
        };
        model.self_pairs = model.find_self_pairs();
        Ok(model)
    }

    /// Number of actuated joints.
    pub fn dof(&self) -> usize {
        self.joints.len()
    }

    /// The joints, base to flange, names with the robot's prefix.
    pub fn joints(&self) -> &[JointInfo] {
        &self.infos
    }

    /// Names of the links that the arm carries with it, with the robot's prefix.
    pub fn link_names(&self) -> impl Iterator<Item = &str> {
        self.links.iter().map(|link| link.name.as_str())
    }

    pub fn base_in_world(&self) -> Pose {
        self.base_in_world
    }

    /// Maker's lower position limits, rad or m.
    pub fn lower_limits(&self) -> JointVector {
        self.per_joint(|joint| joint.lower)
    }

    /// Maker's upper position limits, rad or m.
    pub fn upper_limits(&self) -> JointVector {
        self.per_joint(|joint| joint.upper)
    }

    /// Maker's velocity limits, rad/s or m/s.
    pub fn velocity_limits(&self) -> JointVector {
        self.per_joint(|joint| joint.velocity)
    }

    /// Joint vector of the first values of a slice; `None` unless there is one finite value per joint.
    pub fn joint_vector(&self, values: &[f64]) -> Option<JointVector> {
        if values.len() != self.dof() || values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        Some(JointVector::from_fn(|i, _| values.get(i).copied().unwrap_or(0.0)))
    }

    /// Pose of every body at joint position `q`.
    pub fn forward(&self, q: &JointVector) -> BodyPoses {
        let mut poses = BodyPoses { in_world: [self.base_in_world; MAX_JOINTS + 1] };
        self.put_poses(q, &mut poses);
        poses
    }

    /// Bodies have their joint's axis as z axis, so that turning one mixes two columns of a matrix: a third of the products
    /// that Rodrigues' formula takes, and the axes of the Jacobian come for nothing. Sines come first: they do not wait for
    /// one another, and the products after them stay in registers, which no call survives.
    fn put_poses(&self, q: &JointVector, poses: &mut BodyPoses) {
        let mut motions = [Motion { sin: 0.0, cos: 1.0, slide: 0.0 }; MAX_JOINTS];
        for ((motion, joint), q) in motions.iter_mut().zip(&self.joints).zip(q) {
            match joint.kind {
                JointKind::Revolute => (motion.sin, motion.cos) = sin_cos(*q),
                JointKind::Prismatic => motion.slide = *q,
            }
        }
        poses.in_world[0] = self.base_in_world;
        let mut pose = self.base_in_world;
        for ((joint, motion), body) in self.joints.iter().zip(&motions).zip(&mut poses.in_world[1..]) {
            pose = motion.applied_to(&(pose * joint.in_previous));
            *body = pose;
        }
    }

    /// What is needed of the arm at joint position `q`, put where it is kept: in one place, since it is much to copy.
    pub fn place(&self, q: &JointVector, placed: &mut Placed) {
        self.put_poses(q, &mut placed.poses);
        self.put_capsules(&placed.poses, &mut placed.capsules);
        self.put_levers(&placed.poses, &placed.capsules, &mut placed.levers);
    }

    /// Pose of the flange in the world.
    pub fn flange(&self, poses: &BodyPoses) -> Pose {
        poses.in_world[self.dof()] * self.flange_in_body
    }

    /// Pose of the tool in the world.
    pub fn tool(&self, poses: &BodyPoses) -> Pose {
        poses.in_world[self.dof()] * self.tool_in_body
    }

    /// Mass of what joint `body - 1` moves up to the next one, as the URDF gives it for the arm's own links, kg; body 0 is the base.
    /// 0 if there is no such body.
    pub fn mass_kg(&self, body: usize) -> f64 {
        self.masses.get(body).map_or(0.0, |load| load.mass_kg)
    }

    /// Pose of a link in the world; `None` if the arm has no such link (fingers are not part of the arm).
    pub fn link(&self, poses: &BodyPoses, name: &str) -> Option<Pose> {
        let link = self.links.iter().find(|link| link.name == name)?;
        Some(poses.in_world[link.body] * link.in_body)
    }

    /// Axis and a point on it, in the world, of joint `i` (0 = next to the base).
    pub(crate) fn axis_in_world(poses: &BodyPoses, i: usize) -> (Vector3<f64>, Vector3<f64>) {
        let pose = &poses.in_world[i + 1];
        (z_axis(pose), pose.translation.vector)
    }

    pub(crate) fn kind(&self, i: usize) -> JointKind {
        self.joints[i].kind
    }

    /// Twist of the tool per joint velocity, world axes.
    pub fn jacobian(&self, poses: &BodyPoses) -> Jacobian {
        self.jacobian_at(poses, self.dof(), &self.tool(poses).translation.vector)
    }

    /// Twist of a link's origin per joint velocity, world axes; joints beyond the link have zero columns. `None` if the arm
    /// has no such link.
    pub fn link_jacobian(&self, poses: &BodyPoses, name: &str) -> Option<Jacobian> {
        let link = self.links.iter().find(|link| link.name == name)?;
        let origin = (poses.in_world[link.body] * link.in_body).translation.vector;
        Some(self.jacobian_at(poses, link.body, &origin))
    }

    /// Velocity of a point in the world that moves with the flange: the upper half of the Jacobian, for the tool's origin.
    pub fn point_jacobian(&self, poses: &BodyPoses, point: &Point3<f64>) -> PointJacobian {
        let mut jacobian = PointJacobian::zeros();
        for i in 0..self.dof() {
            jacobian.set_column(i, &self.twist_of(poses, i, &point.coords).0);
        }
        jacobian
    }

    /// Twist of a point in the world that is fixed to a body.
    fn jacobian_at(&self, poses: &BodyPoses, body: usize, point: &Vector3<f64>) -> Jacobian {
        let mut jacobian = Jacobian::zeros();
        for i in 0..self.dof().min(body) {
            let (linear, angular) = self.twist_of(poses, i, point);
            jacobian.fixed_view_mut::<3, 1>(0, i).copy_from(&linear);
            jacobian.fixed_view_mut::<3, 1>(3, i).copy_from(&angular);
        }
        jacobian
    }

    /// Linear and angular velocity of a point that joint `i` carries, per velocity of the joint.
    #[inline]
    fn twist_of(&self, poses: &BodyPoses, i: usize, point: &Vector3<f64>) -> (Vector3<f64>, Vector3<f64>) {
        let (axis, origin) = Self::axis_in_world(poses, i);
        match self.kind(i) {
            JointKind::Revolute => (axis.cross(&(point - origin)), axis),
            JointKind::Prismatic => (axis, Vector3::zeros()),
        }
    }

    /// Twist of the tool at joint velocity `qd`.
    pub fn tool_twist(&self, poses: &BodyPoses, qd: &JointVector) -> Twist {
        self.jacobian(poses) * qd
    }

    fn per_joint(&self, value: impl Fn(&JointInfo) -> f64) -> JointVector {
        JointVector::from_fn(|i, _| self.infos.get(i).map_or(0.0, &value))
    }
}

impl Placed {
    /// Before an arm is placed.
    pub fn nowhere() -> Self {
        let rotation = Rotation3::from_matrix_unchecked(Matrix3::zeros());
        let pose = Pose::from_parts(Translation3::identity(), rotation);
        Self {
            poses: BodyPoses { in_world: [pose; MAX_JOINTS + 1] },
            capsules: ArmCapsules::NOWHERE,
            levers: CapsuleLevers::NONE,
        }
    }
}

impl BodyPoses {
    /// Pose in the world of body `i`: 0 is the base, `i` moves with joint `i`. A body's frame is its joint's, turned so that
    /// the joint's axis is z.
    pub fn body(&self, i: usize) -> Pose {
        self.in_world[i.min(MAX_JOINTS)]
    }
}

/// What a joint does to the body that it carries: a turn about z, or a slide along it.
#[derive(Clone, Copy, Debug)]
struct Motion {
    sin: f64,
    cos: f64,
    /// m.
    slide: f64,
}

impl Motion {
    /// The pose of the body, from that at position zero.
    fn applied_to(&self, at_zero: &Pose) -> Pose {
        let (r, t) = (at_zero.rotation.matrix(), at_zero.translation.vector);
        let (x, y, z) = (r.fixed_view::<3, 1>(0, 0), r.fixed_view::<3, 1>(0, 1), r.fixed_view::<3, 1>(0, 2));
        let rotation = Matrix3::from_columns(&[
            x * self.cos + y * self.sin,
            y * self.cos - x * self.sin,
            z.into_owned(),
        ]);
        Pose::from_parts((t + z * self.slide).into(), Rotation3::from_matrix_unchecked(rotation))
    }
}

fn z_axis(pose: &Pose) -> Vector3<f64> {
    pose.rotation.matrix().fixed_view::<3, 1>(0, 2).into_owned()
}

/// A rotation that takes z to `axis`; exact, a permutation with signs, where the axis is one of the frame's.
fn frame_with_z_along(axis: &Unit<Vector3<f64>>) -> Pose {
    let z = axis.into_inner();
    let start = Vector3::ith(z.iamin(), 1.0);
    let x = (start - z * z.dot(&start)).normalize();
    let rotation = Matrix3::from_columns(&[x, z.cross(&x), z]);
    Pose::from_parts(Translation3::identity(), Rotation3::from_matrix_unchecked(rotation))
}

impl JointInfo {
    fn new(joint: &UrdfJoint, kind: JointKind, prefix: &str) -> Result<Self, ModelError> {
        let name = format!("{prefix}{}", joint.name);
        if joint.lower >= joint.upper {
            return Err(ModelError::EmptyRange { joint: name, lower: joint.lower, upper: joint.upper });
        }
        Ok(Self {
            name,
            kind,
            lower: joint.lower,
            upper: joint.upper,
            velocity: joint.velocity,
            effort: joint.effort,
        })
    }
}

/// Names of the moving joints between the root and `link`, base first.
pub(crate) fn moving_joints_to(urdf: &Urdf, link: usize) -> Result<Vec<&str>, ModelError> {
    let mut chain = Vec::new();
    let mut at = link;
    while let Some(joint) = urdf.parent_joint(at) {
        match joint.mobility {
            Mobility::Fixed => {}
            Mobility::Moves(_) => chain.push(joint.name.as_str()),
            Mobility::Free(found) => {
                let flange = urdf.links[link].clone();
                return Err(ModelError::FreeJoint { joint: joint.name.clone(), flange, found });
            }
        }
        at = joint.parent;
    }
    chain.reverse();
    Ok(chain)
}

/// Capsules of the links fixed to a tool's root link, which sits on the flange.
fn tool_capsules(
    text: &str,
    prefix: &str,
    body: usize,
    flange_in_body: &Pose,
) -> Result<Vec<LinkCapsule>, ModelError> {
    let tool = Urdf::parse(text).map_err(|error| ModelError::Tool { prefix: prefix.to_owned(), error })?;
    let mut capsules = Vec::new();
    for capsule in &tool.capsules {
        let mut in_root = Pose::identity();
        let mut at = capsule.link;
        let mut fixed = true;
        while let Some(joint) = tool.parent_joint(at) {
            fixed &= joint.mobility == Mobility::Fixed;
            in_root = joint.child_in_parent * in_root;
            at = joint.parent;
        }
        let link = format!("{prefix}{}", tool.links[capsule.link]);
        if !fixed {
            return Err(ModelError::LooseCapsule { link });
        }
        capsules.push(LinkCapsule {
            link,
            of_tool: true,
            body,
            in_body: capsule.shape.transformed(&(flange_in_body * in_root)),
        });
    }
    Ok(capsules)
}

/// Whether the arm's joints move a link that is fixed to none of its bodies.
fn is_carried(urdf: &Urdf, places: &[Option<(usize, Pose)>], link: usize) -> bool {
    let mut parents =
        std::iter::successors(Some(link), |at| urdf.parent_joint(*at).map(|joint| joint.parent));
    parents.find_map(|at| places[at]).is_some_and(|(body, _)| body > 0)
}
