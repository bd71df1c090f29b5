//! The written form of limits: `safety_envelope.yaml` of an artifact and the cell's ceiling share it.
//!
//! ```yaml
//! schema: 1
//! cell:
//!   separation: {provenance: "why these figures", min_m: 0.02, slow_m: 0.10}
//!   timeouts: {provenance: "..", joint_state_s: 0.02, wrench_s: 0.02, command_s: 0.05}
//! robots:
//!   ur5e_left:                    # name of a robot, or a role of the skill
//!     joints:
//!       provenance: ".."
//!       lower_rad: [-3.1, -3.1, -3.1, -3.1, -3.1, -3.1]   # one per joint, base to flange, or one number for all
//!       upper_rad: 3.1
//!       velocity_rad_s: 1.0
//!       acceleration_rad_s2: 5.0
//!     tcp: {provenance: "..", speed_m_s: 0.25}
//!     workspace:
//!       provenance: ".."
//!       allowed: [{min_m: [-1, -1, 0], max_m: [1, 1, 1]}]
//!       keep_out: []
//!     wrench: {provenance: "..", contact_force_n: 30, contact_torque_nm: 4, collision_force_n: 60, collision_torque_nm: 8}
//!     gripper: {provenance: "..", min_width_m: 0.0, max_width_m: 0.085, max_force_n: 40}
//! ```
//!
//! A ceiling names every field of every robot. An envelope names what it tightens; what it leaves out is the ceiling's.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use swarm_kinematics::JointVector;

use crate::MAX_ROBOTS;
use crate::compose::{LooserThanCeiling, compose};
use crate::limits::{
    Boxes, CellLimits, Envelope, GripperLimits, MAX_BOXES, RobotLimits, WorldBox, WrenchLimits,
};

/// A file of limits as it is written; fields that are left out are `None`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvelopeFile {
    pub schema: u32,
    #[serde(default)]
    pub cell: CellPart,
    #[serde(default)]
    pub robots: BTreeMap<String, RobotPart>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CellPart {
    pub separation: SeparationPart,
    pub timeouts: TimeoutPart,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SeparationPart {
    pub provenance: Option<String>,
    pub min_m: Option<f64>,
    pub slow_m: Option<f64>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimeoutPart {
    pub provenance: Option<String>,
    pub joint_state_s: Option<f64>,
    pub wrench_s: Option<f64>,
    pub command_s: Option<f64>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RobotPart {
    pub joints: JointPart,
    pub tcp: TcpPart,
    pub workspace: WorkspacePart,
    pub wrench: WrenchPart,
    pub gripper: GripperPart,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JointPart {
    pub provenance: Option<String>,
    pub lower_rad: Option<PerJoint>,
    pub upper_rad: Option<PerJoint>,
    pub velocity_rad_s: Option<PerJoint>,
    pub acceleration_rad_s2: Option<PerJoint>,
}

/// One number for all joints, or one per joint.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum PerJoint {
    All(f64),
    Each(Vec<f64>),
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TcpPart {
    pub provenance: Option<String>,
    pub speed_m_s: Option<f64>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkspacePart {
    pub provenance: Option<String>,
    pub allowed: Option<Vec<BoxPart>>,
    pub keep_out: Option<Vec<BoxPart>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoxPart {
    pub min_m: [f64; 3],
    pub max_m: [f64; 3],
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WrenchPart {
    pub provenance: Option<String>,
    pub contact_force_n: Option<f64>,
    pub contact_torque_nm: Option<f64>,
    pub collision_force_n: Option<f64>,
    pub collision_torque_nm: Option<f64>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GripperPart {
    pub provenance: Option<String>,
    pub min_width_m: Option<f64>,
    pub max_width_m: Option<f64>,
    pub max_force_n: Option<f64>,
}

/// What the reader needs to know of a robot of the cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RobotShape<'a> {
    pub name: &'a str,
    /// Role that it plays in the skill; an envelope may call it so.
    pub role: Option<&'a str>,
    pub dof: usize,
}

/// Why limits were refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EnvelopeError {
    #[error("the limits are not readable: {0}")]
    Unreadable(String),
    /// Every mistake of the file.
    #[error("the limits are not usable: {}", Listed(.0))]
    Invalid(Vec<String>),
    #[error(transparent)]
    Looser(#[from] LooserThanCeiling),
}

struct Listed<'a>(&'a [String]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl EnvelopeFile {
    /// Newest schema that is understood.
    pub const SCHEMA: u32 = 1;

    pub fn parse(text: &str) -> Result<Self, EnvelopeError> {
        serde_saphyr::from_str(text).map_err(|error| EnvelopeError::Unreadable(error.to_string()))
    }

    /// The cell's ceiling: every field of every robot must be there, each group with its provenance.
    pub fn ceiling(&self, robots: &[RobotShape]) -> Result<Envelope, EnvelopeError> {
        self.build(robots, None)
    }

    /// Limits in force under this envelope: what it names, tightened from `ceiling`; everything else the ceiling's.
    pub fn under(&self, ceiling: &Envelope, robots: &[RobotShape]) -> Result<Envelope, EnvelopeError> {
        let envelope = self.build(robots, Some(ceiling))?;
        let names: Vec<&str> = robots.iter().map(|robot| robot.name).collect();
        Ok(compose(ceiling, &envelope, &names)?)
    }

    fn build(&self, robots: &[RobotShape], base: Option<&Envelope>) -> Result<Envelope, EnvelopeError> {
        let mut reader = Reader { problems: Vec::new() };
        if self.schema != Self::SCHEMA {
            reader.problem(format!("schema is {}, expected {}", self.schema, Self::SCHEMA));
        }
        if robots.is_empty() || robots.len() > MAX_ROBOTS {
            reader.problem(format!("the cell has {} robots, supported are 1 to {MAX_ROBOTS}", robots.len()));
        }
        let known = |key: &str| robots.iter().any(|robot| robot.name == key || robot.role == Some(key));
        for key in self.robots.keys().filter(|key| !known(key)) {
            let names: Vec<&str> = robots.iter().map(|robot| robot.name).collect();
            reader.problem(format!(
                "robots.{key}: the cell has no such robot or role; its robots are {}",
                names.join(", ")
            ));
        }
        let mut envelope = Envelope {
            cell: reader.cell(&self.cell, base.map(|base| &base.cell)),
            robots: [RobotLimits::NONE; MAX_ROBOTS],
        };
        for (i, robot) in robots.iter().enumerate().take(MAX_ROBOTS) {
            let by_name = self.robots.get(robot.name);
            let by_role = robot.role.and_then(|role| self.robots.get(role));
            if by_name.is_some() && by_role.is_some() {
                reader.problem(format!("robots.{}: named twice, as robot and as role", robot.name));
            }
            let inherited = base.map(|base| &base.robots[i]);
            let empty = RobotPart::default();
            let part = match (by_name.or(by_role), inherited) {
                (Some(part), _) => part,
                (None, Some(inherited)) => {
                    envelope.robots[i] = *inherited;
                    continue;
                }
                (None, None) => &empty,
            };
            envelope.robots[i] = reader.robot(&format!("robots.{}", robot.name), part, robot.dof, inherited);
        }
        if reader.problems.is_empty() { Ok(envelope) } else { Err(EnvelopeError::Invalid(reader.problems)) }
    }
}

/// Collects every problem while it reads.
struct Reader {
    problems: Vec<String>,
}

impl Reader {
    fn problem(&mut self, text: String) {
        self.problems.push(text);
    }

    fn cell(&mut self, part: &CellPart, base: Option<&CellLimits>) -> CellLimits {
        if base.is_none() {
            self.provenance("cell.separation", part.separation.provenance.as_ref());
            self.provenance("cell.timeouts", part.timeouts.provenance.as_ref());
        }
        let (s, t) = (&part.separation, &part.timeouts);
        let cell = CellLimits {
            min_separation_m: self.positive(
                "cell.separation.min_m",
                s.min_m,
                base.map(|b| b.min_separation_m),
            ),
            slow_separation_m: self.positive(
                "cell.separation.slow_m",
                s.slow_m,
                base.map(|b| b.slow_separation_m),
            ),
            joint_state_timeout_s: self.positive(
                "cell.timeouts.joint_state_s",
                t.joint_state_s,
                base.map(|b| b.joint_state_timeout_s),
            ),
            wrench_timeout_s: self.positive(
                "cell.timeouts.wrench_s",
                t.wrench_s,
                base.map(|b| b.wrench_timeout_s),
            ),
            command_timeout_s: self.positive(
                "cell.timeouts.command_s",
                t.command_s,
                base.map(|b| b.command_timeout_s),
            ),
        };
        self.ordered("cell.separation", ("min_m", cell.min_separation_m), ("slow_m", cell.slow_separation_m));
        cell
    }

    fn robot(&mut self, at: &str, part: &RobotPart, dof: usize, base: Option<&RobotLimits>) -> RobotLimits {
        let mut limits = RobotLimits::NONE;
        if base.is_none() {
            self.provenance(&format!("{at}.joints"), part.joints.provenance.as_ref());
            self.provenance(&format!("{at}.tcp"), part.tcp.provenance.as_ref());
            self.provenance(&format!("{at}.workspace"), part.workspace.provenance.as_ref());
            self.provenance(&format!("{at}.wrench"), part.wrench.provenance.as_ref());
            self.provenance(&format!("{at}.gripper"), part.gripper.provenance.as_ref());
        }
        let (j, b) = (&part.joints, base.map(|base| &base.joints));
        let at_joints = format!("{at}.joints");
        limits.joints.lower =
            self.joints(&at_joints, "lower_rad", j.lower_rad.as_ref(), b.map(|b| &b.lower), dof);
        limits.joints.upper =
            self.joints(&at_joints, "upper_rad", j.upper_rad.as_ref(), b.map(|b| &b.upper), dof);
        limits.joints.velocity =
            self.joints(&at_joints, "velocity_rad_s", j.velocity_rad_s.as_ref(), b.map(|b| &b.velocity), dof);
        limits.joints.acceleration = self.joints(
            &at_joints,
            "acceleration_rad_s2",
            j.acceleration_rad_s2.as_ref(),
            b.map(|b| &b.acceleration),
            dof,
        );
        for i in 0..dof {
            let l = &limits.joints;
            if l.lower[i] >= l.upper[i] {
                let text = format!(
                    "{at}.joints: lower_rad[{i}] {} is not below upper_rad[{i}] {}",
                    l.lower[i], l.upper[i]
                );
                self.problem(text);
            }
            for (name, value) in
                [("velocity_rad_s", l.velocity[i]), ("acceleration_rad_s2", l.acceleration[i])]
            {
                if value <= 0.0 {
                    self.problem(format!("{at}.joints.{name}[{i}] is {value}, expected above 0"));
                }
            }
        }
        limits.tcp_speed_m_s =
            self.positive(&format!("{at}.tcp.speed_m_s"), part.tcp.speed_m_s, base.map(|b| b.tcp_speed_m_s));
        let w = &part.workspace;
        limits.workspace =
            self.boxes(&format!("{at}.workspace.allowed"), w.allowed.as_deref(), base.map(|b| &b.workspace));
        if limits.workspace.as_slice().is_empty() {
            self.problem(format!("{at}.workspace.allowed: no box, expected at least one"));
        }
        // Without keep-out boxes is the common case and may go unsaid.
        let none = Some(&Boxes::EMPTY);
        limits.keep_out = self.boxes(
            &format!("{at}.workspace.keep_out"),
            w.keep_out.as_deref(),
            base.map(|b| &b.keep_out).or(none),
        );
        limits.wrench = self.wrench(&format!("{at}.wrench"), &part.wrench, base.map(|b| &b.wrench));
        limits.gripper = self.gripper(&format!("{at}.gripper"), &part.gripper, base.map(|b| &b.gripper));
        limits
    }

    fn wrench(&mut self, at: &str, part: &WrenchPart, base: Option<&WrenchLimits>) -> WrenchLimits {
        let mut field = |name: &str, value, base| self.positive(&format!("{at}.{name}"), value, base);
        let limits = WrenchLimits {
            contact_force_n: field("contact_force_n", part.contact_force_n, base.map(|b| b.contact_force_n)),
            contact_torque_nm: field(
                "contact_torque_nm",
                part.contact_torque_nm,
                base.map(|b| b.contact_torque_nm),
            ),
            collision_force_n: field(
                "collision_force_n",
                part.collision_force_n,
                base.map(|b| b.collision_force_n),
            ),
            collision_torque_nm: field(
                "collision_torque_nm",
                part.collision_torque_nm,
                base.map(|b| b.collision_torque_nm),
            ),
        };
        let (contact, collision) = (limits.contact_force_n, limits.collision_force_n);
        self.ordered(at, ("contact_force_n", contact), ("collision_force_n", collision));
        let (contact, collision) = (limits.contact_torque_nm, limits.collision_torque_nm);
        self.ordered(at, ("contact_torque_nm", contact), ("collision_torque_nm", collision));
        limits
    }

    fn gripper(&mut self, at: &str, part: &GripperPart, base: Option<&GripperLimits>) -> GripperLimits {
        let mut field = |name: &str, value, base| self.not_negative(&format!("{at}.{name}"), value, base);
        let limits = GripperLimits {
            min_width_m: field("min_width_m", part.min_width_m, base.map(|b| b.min_width_m)),
            max_width_m: field("max_width_m", part.max_width_m, base.map(|b| b.max_width_m)),
            max_force_n: field("max_force_n", part.max_force_n, base.map(|b| b.max_force_n)),
        };
        self.ordered(at, ("min_width_m", limits.min_width_m), ("max_width_m", limits.max_width_m));
        limits
    }

    fn provenance(&mut self, at: &str, text: Option<&String>) {
        if text.is_none_or(|text| text.trim().is_empty()) {
            self.problem(format!("{at}.provenance is missing: say where the figures come from"));
        }
    }

    fn not_negative(&mut self, at: &str, value: Option<f64>, base: Option<f64>) -> f64 {
        match value.or(base) {
            Some(value) if value.is_finite() && value >= 0.0 => value,
            Some(value) => {
                self.problem(format!("{at} is {value}, expected a finite number of 0 or more"));
                0.0
            }
            None => {
                self.problem(format!("{at} is missing"));
                0.0
            }
        }
    }

    fn positive(&mut self, at: &str, value: Option<f64>, base: Option<f64>) -> f64 {
        let value = self.not_negative(at, value, base.or(None));
        if value == 0.0 && !self.problems.last().is_some_and(|problem| problem.starts_with(at)) {
            self.problem(format!("{at} is 0, expected above 0"));
        }
        value
    }

    fn ordered(&mut self, at: &str, low: (&str, f64), high: (&str, f64)) {
        if low.1 > high.1 {
            self.problem(format!("{at}: {} {} is above {} {}", low.0, low.1, high.0, high.1));
        }
    }

    fn joints(
        &mut self,
        at: &str,
        name: &str,
        part: Option<&PerJoint>,
        base: Option<&JointVector>,
        dof: usize,
    ) -> JointVector {
        let values = match (part, base) {
            (Some(PerJoint::All(value)), _) => vec![*value; dof],
            (Some(PerJoint::Each(values)), _) => values.clone(),
            (None, Some(base)) => return *base,
            (None, None) => {
                self.problem(format!("{at}.{name} is missing"));
                return JointVector::zeros();
            }
        };
        if values.len() != dof {
            self.problem(format!("{at}.{name} has {} values, expected {dof}, one per joint", values.len()));
        }
        if let Some(bad) = values.iter().find(|value| !value.is_finite()) {
            self.problem(format!("{at}.{name} holds {bad}, expected finite numbers"));
        }
        JointVector::from_fn(|i, _| if i < dof { values.get(i).copied().unwrap_or(0.0) } else { 0.0 })
    }

    fn boxes(&mut self, at: &str, part: Option<&[BoxPart]>, base: Option<&Boxes>) -> Boxes {
        let Some(part) = part else {
            return base.copied().unwrap_or_else(|| {
                self.problem(format!("{at} is missing"));
                Boxes::EMPTY
            });
        };
        for (i, item) in part.iter().enumerate() {
            // NaN fails the comparison too.
            if !(0..3).all(|axis| {
                item.min_m[axis] < item.max_m[axis] && (item.max_m[axis] - item.min_m[axis]).is_finite()
            }) {
                self.problem(format!(
                    "{at}[{i}]: min_m {:?} is not below max_m {:?} on every axis",
                    item.min_m, item.max_m
                ));
            }
        }
        let boxes: Vec<WorldBox> =
            part.iter().map(|item| WorldBox { min: item.min_m.into(), max: item.max_m.into() }).collect();
        Boxes::from_slice(&boxes).unwrap_or_else(|| {
            self.problem(format!("{at} has {} boxes, supported are {MAX_BOXES}", boxes.len()));
            Boxes::EMPTY
        })
    }
}
