//! From the document to limits: every field with its range, then what must agree between fields.
//!
//! `base` is the ceiling that an envelope tightens; without it the document itself is to be a ceiling, and what is missing
//! is a mistake. A reader gives `None` after it has noted why; fields are read to their end before their `?`s, so that one
//! mistake does not hide the next.

use std::ops::Bound::{Excluded, Unbounded};
use std::ops::RangeBounds;

use swarm_kinematics::JointVector;
use swarm_yaml::{Cursor, Field, Value};

use crate::MAX_ROBOTS;
use crate::file::{EnvelopeFile, RobotShape};
use crate::limits::{
    Boxes, CellLimits, Envelope, GripperLimits, JointLimits, MAX_BOXES, RobotLimits, WorldBox, WrenchLimits,
};

const ABOVE_ZERO: (std::ops::Bound<f64>, std::ops::Bound<f64>) = (Excluded(0.0), Unbounded);

pub(crate) fn read_envelope(
    at: &Cursor<'_>,
    robots: &[RobotShape],
    base: Option<&Envelope>,
) -> Option<Envelope> {
    let [schema, cell, limits] = at.fields(["schema", "cell", "robots"])?;
    let schema = schema.required("1", |at| at.schema(EnvelopeFile::SCHEMA));
    let cell = inherited(&cell, base.map(|base| base.cell), "separation and timeouts", |at| {
        read_cell(at, base.map(|base| &base.cell))
    });
    let limits = inherited(&limits, base.map(|base| base.robots), "the limits of each robot", |at| {
        read_robots(at, robots, base.map(|base| &base.robots))
    });
    if !(1..=MAX_ROBOTS).contains(&robots.len()) {
        return at
            .wrong(format!("the cell has {} robots; limits are known for 1 to {MAX_ROBOTS}", robots.len()));
    }
    schema?;
    Some(Envelope { cell: cell?, robots: limits? })
}

/// What an envelope may leave out and a ceiling may not.
fn inherited<T>(
    field: &Field<'_>,
    base: Option<T>,
    what: &str,
    read: impl FnOnce(&Cursor<'_>) -> Option<T>,
) -> Option<T> {
    match base {
        Some(base) => field.optional(base, read),
        None => field.required(what, read),
    }
}

fn number(field: &Field<'_>, base: Option<f64>, range: impl RangeBounds<f64>, unit: &str) -> Option<f64> {
    inherited(field, base, &format!("a number ({unit})"), |at| at.number(range, unit))
}

fn positive(field: &Field<'_>, base: Option<f64>, unit: &str) -> Option<f64> {
    number(field, base, ABOVE_ZERO, unit)
}

/// Where the figures of a group come from: said in a ceiling, may be said in an envelope.
fn provenance<B>(field: &Field<'_>, base: Option<B>) -> Option<()> {
    inherited(field, base.map(|_| ()), "where the figures come from", |at| {
        at.text_that(|text| !text.trim().is_empty(), "where the figures come from").map(|_| ())
    })
}

/// Notes a pair of limits of which the lower one is above the higher.
fn ordered(at: &Cursor<'_>, low: (&str, Option<f64>), high: (&str, Option<f64>)) -> Option<()> {
    match (low, high) {
        ((lower, Some(low)), (upper, Some(high))) if low > high => {
            at.wrong(format!("{lower} {low} is above {upper} {high}"))
        }
        _ => Some(()),
    }
}

fn read_cell(at: &Cursor<'_>, base: Option<&CellLimits>) -> Option<CellLimits> {
    let [separation, timeouts] = at.fields(["separation", "timeouts"])?;
    let separations = base.map(|base| (base.min_separation_m, base.slow_separation_m));
    let separation = inherited(&separation, separations, "the distances between robots", |at| {
        read_separation(at, separations)
    });
    let ages = base.map(|base| [base.joint_state_timeout_s, base.wrench_timeout_s, base.command_timeout_s]);
    let timeouts = inherited(&timeouts, ages, "the longest age of each input", |at| read_timeouts(at, ages));
    let (min_separation_m, slow_separation_m) = separation?;
    let [joint_state_timeout_s, wrench_timeout_s, command_timeout_s] = timeouts?;
    Some(CellLimits {
        min_separation_m,
        slow_separation_m,
        joint_state_timeout_s,
        wrench_timeout_s,
        command_timeout_s,
    })
}

fn read_separation(at: &Cursor<'_>, base: Option<(f64, f64)>) -> Option<(f64, f64)> {
    let [source, min_m, slow_m] = at.fields(["provenance", "min_m", "slow_m"])?;
    let source = provenance(&source, base);
    let min_m = positive(&min_m, base.map(|(min_m, _)| min_m), "m");
    let slow_m = positive(&slow_m, base.map(|(_, slow_m)| slow_m), "m");
    ordered(at, ("min_m", min_m), ("slow_m", slow_m))?;
    source?;
    Some((min_m?, slow_m?))
}

/// Of joint states, wrenches and commands, s.
fn read_timeouts(at: &Cursor<'_>, base: Option<[f64; 3]>) -> Option<[f64; 3]> {
    let [source, ages @ ..] = at.fields(["provenance", "joint_state_s", "wrench_s", "command_s"])?;
    let source = provenance(&source, base);
    let [joint_state_s, wrench_s, command_s] =
        [0, 1, 2].map(|i| positive(&ages[i], base.map(|base| base[i]), "s"));
    source?;
    Some([joint_state_s?, wrench_s?, command_s?])
}

fn read_robots(
    at: &Cursor<'_>,
    robots: &[RobotShape],
    base: Option<&[RobotLimits; MAX_ROBOTS]>,
) -> Option<[RobotLimits; MAX_ROBOTS]> {
    let mut limits = base.copied().unwrap_or([RobotLimits::NONE; MAX_ROBOTS]);
    let mut named = [false; MAX_ROBOTS];
    let names: Vec<&str> = robots.iter().map(|robot| robot.name).collect();
    let all = at.mapping("a mapping of robots or roles to their limits", |name, at| {
        let called = |robot: &&RobotShape| robot.name == name || robot.role == Some(name);
        let of_cell = robots.iter().zip(&mut limits).zip(&mut named).find(|((robot, _), _)| called(robot));
        let Some(((robot, limits), named)) = of_cell else {
            return at
                .wrong(format!("the cell has no such robot or role; its robots are {}", names.join(", ")));
        };
        if std::mem::replace(named, true) {
            return at.wrong(format!("{} has limits already, under its name or its role", robot.name));
        }
        *limits = read_robot(at, robot.dof, base.map(|_| &*limits))?;
        Some(())
    });
    for (robot, named) in robots.iter().zip(named) {
        if base.is_none() && !named {
            at.note(format!("expected the limits of each robot, found none of {}", robot.name));
        }
    }
    all.map(|_| limits)
}

fn read_robot(at: &Cursor<'_>, dof: usize, base: Option<&RobotLimits>) -> Option<RobotLimits> {
    let [joints, tcp, workspace, wrench, gripper] =
        at.fields(["joints", "tcp", "workspace", "wrench", "gripper"])?;
    let joints = inherited(&joints, base.map(|base| base.joints), "the limits of the joints", |at| {
        read_joints(at, dof, base.map(|base| &base.joints))
    });
    let speed = base.map(|base| base.tcp_speed_m_s);
    let tcp = inherited(&tcp, speed, "the limit of the tool centre point", |at| {
        let [source, speed_m_s] = at.fields(["provenance", "speed_m_s"])?;
        let source = provenance(&source, speed);
        let speed_m_s = positive(&speed_m_s, speed, "m/s");
        source.and(speed_m_s)
    });
    let boxes = base.map(|base| (base.workspace, base.keep_out));
    let workspace =
        inherited(&workspace, boxes, "where the tool centre point may be", |at| read_workspace(at, base));
    let wrench = inherited(&wrench, base.map(|base| base.wrench), "the limits of force and torque", |at| {
        read_wrench(at, base.map(|base| &base.wrench))
    });
    let gripper = inherited(&gripper, base.map(|base| base.gripper), "the limits of the gripper", |at| {
        read_gripper(at, base.map(|base| &base.gripper))
    });
    let (workspace, keep_out) = workspace?;
    Some(RobotLimits {
        joints: joints?,
        tcp_speed_m_s: tcp?,
        workspace,
        keep_out,
        wrench: wrench?,
        gripper: gripper?,
    })
}

fn read_joints(at: &Cursor<'_>, dof: usize, base: Option<&JointLimits>) -> Option<JointLimits> {
    let [source, lower, upper, velocity, acceleration] =
        at.fields(["provenance", "lower_rad", "upper_rad", "velocity_rad_s", "acceleration_rad_s2"])?;
    let source = provenance(&source, base);
    let lower = per_joint(&lower, base.map(|base| base.lower), dof, .., "rad");
    let upper = per_joint(&upper, base.map(|base| base.upper), dof, .., "rad");
    let velocity = per_joint(&velocity, base.map(|base| base.velocity), dof, ABOVE_ZERO, "rad/s");
    let acceleration =
        per_joint(&acceleration, base.map(|base| base.acceleration), dof, ABOVE_ZERO, "rad/s^2");
    let (lower, upper) = (lower?, upper?);
    let mut all_ordered = Some(());
    for i in (0..dof).filter(|i| lower[*i] >= upper[*i]) {
        all_ordered =
            at.wrong(format!("lower_rad[{i}] {} is not below upper_rad[{i}] {}", lower[i], upper[i]));
    }
    source.and(all_ordered)?;
    Some(JointLimits { lower, upper, velocity: velocity?, acceleration: acceleration? })
}

/// One number for all joints, or one per joint, base to flange; beyond the robot's joints zero.
fn per_joint(
    field: &Field<'_>,
    base: Option<JointVector>,
    dof: usize,
    range: impl RangeBounds<f64> + Clone,
    unit: &str,
) -> Option<JointVector> {
    inherited(field, base, &format!("a number or one per joint ({unit})"), |at| {
        let values = match at.value() {
            Value::List(items) if items.len() == dof => {
                at.list("numbers", |item| item.number(range.clone(), unit))?
            }
            Value::List(_) => return at.expected(format!("{dof} numbers ({unit}), one per joint")),
            _ => vec![at.number(range, unit)?; dof],
        };
        Some(JointVector::from_fn(|i, _| values.get(i).copied().unwrap_or(0.0)))
    })
}

/// Where the tool centre point may be, and where not.
fn read_workspace(at: &Cursor<'_>, base: Option<&RobotLimits>) -> Option<(Boxes, Boxes)> {
    let [source, allowed, keep_out] = at.fields(["provenance", "allowed", "keep_out"])?;
    let source = provenance(&source, base);
    let allowed = inherited(&allowed, base.map(|base| base.workspace), "a list of boxes", |at| {
        let boxes = read_boxes(at)?;
        if boxes.as_slice().is_empty() {
            return at.expected("at least one box");
        }
        Some(boxes)
    });
    // Without keep-out boxes is the common case and may go unsaid; an envelope's are added to those of the ceiling.
    let keep_out = keep_out.optional(Boxes::EMPTY, read_boxes);
    source?;
    Some((allowed?, keep_out?))
}

fn read_boxes(at: &Cursor<'_>) -> Option<Boxes> {
    let boxes = at.list("a list of boxes", read_box)?;
    Boxes::from_slice(&boxes).or_else(|| at.expected(format!("at most {MAX_BOXES} boxes")))
}

fn read_box(at: &Cursor<'_>) -> Option<WorldBox> {
    let [min_m, max_m] = at.fields(["min_m", "max_m"])?;
    let min = min_m.required("the lowest corner in the world (m)", |at| at.triple(.., "m"));
    let max = max_m.required("the highest corner in the world (m)", |at| at.triple(.., "m"));
    let (min, max) = (min?, max?);
    // Finite corners may lie further apart than a number can say.
    if !(0..3).all(|axis| min[axis] < max[axis] && (max[axis] - min[axis]).is_finite()) {
        return at.wrong(format!("min_m {min:?} is not below max_m {max:?} on every axis"));
    }
    Some(WorldBox { min: min.into(), max: max.into() })
}

fn read_wrench(at: &Cursor<'_>, base: Option<&WrenchLimits>) -> Option<WrenchLimits> {
    let [source, contact_force_n, contact_torque_nm, collision_force_n, collision_torque_nm] =
        at.fields([
            "provenance",
            "contact_force_n",
            "contact_torque_nm",
            "collision_force_n",
            "collision_torque_nm",
        ])?;
    let source = provenance(&source, base);
    let contact_force_n = positive(&contact_force_n, base.map(|base| base.contact_force_n), "N");
    let contact_torque_nm = positive(&contact_torque_nm, base.map(|base| base.contact_torque_nm), "N m");
    let collision_force_n = positive(&collision_force_n, base.map(|base| base.collision_force_n), "N");
    let collision_torque_nm =
        positive(&collision_torque_nm, base.map(|base| base.collision_torque_nm), "N m");
    let force = ordered(at, ("contact_force_n", contact_force_n), ("collision_force_n", collision_force_n));
    let torque =
        ordered(at, ("contact_torque_nm", contact_torque_nm), ("collision_torque_nm", collision_torque_nm));
    source.and(force).and(torque)?;
    Some(WrenchLimits {
        contact_force_n: contact_force_n?,
        contact_torque_nm: contact_torque_nm?,
        collision_force_n: collision_force_n?,
        collision_torque_nm: collision_torque_nm?,
    })
}

fn read_gripper(at: &Cursor<'_>, base: Option<&GripperLimits>) -> Option<GripperLimits> {
    let [source, min_width_m, max_width_m, max_force_n] =
        at.fields(["provenance", "min_width_m", "max_width_m", "max_force_n"])?;
    let source = provenance(&source, base);
    let min_width_m = number(&min_width_m, base.map(|base| base.min_width_m), 0.0.., "m");
    let max_width_m = number(&max_width_m, base.map(|base| base.max_width_m), 0.0.., "m");
    let max_force_n = number(&max_force_n, base.map(|base| base.max_force_n), 0.0.., "N");
    ordered(at, ("min_width_m", min_width_m), ("max_width_m", max_width_m))?;
    source?;
    Some(GripperLimits { min_width_m: min_width_m?, max_width_m: max_width_m?, max_force_n: max_force_n? })
}
