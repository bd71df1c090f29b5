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
use crate::few::Few;
use crate::file::{EnvelopeFile, RobotShape};
use crate::limits::{
    Boxes, CellLimits, Envelope, Fixtures, GripperLimits, HumanLimits, JointLimits, MAX_BOXES, Planes,
    RobotLimits, WorldBox, WrenchLimits,
};
use crate::place_reader::{read_box, read_fixtures, read_humans, read_planes};
use crate::validity::Validity;

pub(crate) const ABOVE_ZERO: (std::ops::Bound<f64>, std::ops::Bound<f64>) = (Excluded(0.0), Unbounded);

/// What stands at the top of a file.
pub(crate) const FIELDS: [&str; 4] = ["schema", "valid", "cell", "robots"];

pub(crate) fn read_envelope(
    at: &Cursor<'_>,
    robots: &[RobotShape],
    base: Option<&Envelope>,
) -> Option<Envelope> {
    let [schema, valid, cell, limits] = at.fields(FIELDS)?;
    let valid = valid.optional(Validity::default(), |at| match base {
        Some(_) => Validity::read(at),
        None => at.wrong("only an envelope can end or be meant for some cells; a ceiling is its cell's own"),
    });
    let schema = schema.required("1", |at| at.schema(EnvelopeFile::SCHEMA));
    let whole = base.map(|base| (base.cell, base.fixtures, base.humans));
    let cell = inherited(&cell, whole, "separation, fixtures, people and timeouts", |at| read_cell(at, base));
    let limits = inherited(&limits, base.map(|base| base.robots), "the limits of each robot", |at| {
        read_robots(at, robots, base.map(|base| &base.robots))
    });
    if !(1..=MAX_ROBOTS).contains(&robots.len()) {
        return at
            .wrong(format!("the cell has {} robots; limits are known for 1 to {MAX_ROBOTS}", robots.len()));
    }
    schema?;
    valid?;
    let (cell, fixtures, humans) = cell?;
    Some(Envelope { cell, fixtures, humans, robots: limits? })
}

/// The word of a ceiling for what the cell does not watch.
pub(crate) const UNMONITORED: &str = "unmonitored";

/// What an envelope may leave out and a ceiling may not.
pub(crate) fn inherited<T>(
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

pub(crate) fn number(
    field: &Field<'_>,
    base: Option<f64>,
    range: impl RangeBounds<f64>,
    unit: &str,
) -> Option<f64> {
    inherited(field, base, &format!("a number ({unit})"), |at| at.number(range, unit))
}

pub(crate) fn positive(field: &Field<'_>, base: Option<f64>, unit: &str) -> Option<f64> {
    number(field, base, ABOVE_ZERO, unit)
}

/// Where the figures of a group come from: said in a ceiling, may be said in an envelope.
pub(crate) fn provenance<B>(field: &Field<'_>, base: Option<B>) -> Option<()> {
    inherited(field, base.map(|_| ()), "where the figures come from", |at| {
        at.text_that(|text| !text.trim().is_empty(), "where the figures come from").map(|_| ())
    })
}

/// Notes a pair of limits of which the lower one is above the higher.
pub(crate) fn ordered(at: &Cursor<'_>, low: (&str, Option<f64>), high: (&str, Option<f64>)) -> Option<()> {
    match (low, high) {
        ((lower, Some(low)), (upper, Some(high))) if low > high => {
            at.wrong(format!("{lower} {low} is above {upper} {high}"))
        }
        _ => Some(()),
    }
}

/// A number, or the word for a limit that the cell does not watch; infinite then.
fn monitored(field: &Field<'_>, base: Option<f64>, unit: &str) -> Option<f64> {
    inherited(field, base, &format!("a number ({unit}) or {UNMONITORED}"), |at| match at.value() {
        Value::Text(text) if text == UNMONITORED => Some(f64::INFINITY),
        _ => at.number(ABOVE_ZERO, unit),
    })
}

fn read_cell(at: &Cursor<'_>, base: Option<&Envelope>) -> Option<(CellLimits, Fixtures, HumanLimits)> {
    let [separation, timeouts, fixtures, humans, stop] =
        at.fields(["separation", "timeouts", "fixtures", "humans", "protective_stop"])?;
    let fixtures = inherited(&fixtures, base.map(|base| base.fixtures), "a list of fixtures", read_fixtures);
    let humans = inherited(
        &humans,
        base.map(|base| base.humans),
        &format!("how people are looked for, or {UNMONITORED}"),
        |at| read_humans(at, base.map(|base| &base.humans)),
    );
    let base = base.map(|base| &base.cell);
    // Held until a reset is the strictest, and may go unsaid.
    let release = base.map_or(f64::INFINITY, |base| base.release_after_s);
    let stop = stop.optional(release, |at| read_protective_stop(at, base));
    let separations = base.map(|base| {
        [base.min_separation_m, base.slow_separation_m, base.self_separation_m, base.fixture_separation_m]
    });
    let separation = inherited(&separation, separations, "the distances that links keep", |at| {
        read_separation(at, separations)
    });
    let ages = base.map(|base| [base.joint_state_timeout_s, base.wrench_timeout_s, base.command_timeout_s]);
    let timeouts = inherited(&timeouts, ages, "the longest age of each input", |at| read_timeouts(at, ages));
    let [min_separation_m, slow_separation_m, self_separation_m, fixture_separation_m] = separation?;
    let [joint_state_timeout_s, wrench_timeout_s, command_timeout_s] = timeouts?;
    let cell = CellLimits {
        min_separation_m,
        slow_separation_m,
        self_separation_m,
        fixture_separation_m,
        joint_state_timeout_s,
        wrench_timeout_s,
        command_timeout_s,
        release_after_s: stop?,
    };
    Some((cell, fixtures?, humans?))
}

/// Between robots at standstill and where they slow down, between a robot's own links, between links and fixtures; m.
fn read_separation(at: &Cursor<'_>, base: Option<[f64; 4]>) -> Option<[f64; 4]> {
    let [source, distances @ ..] = at.fields(["provenance", "min_m", "slow_m", "self_m", "fixture_m"])?;
    let source = provenance(&source, base);
    let [min_m, slow_m, self_m, fixture_m] =
        [0, 1, 2, 3].map(|i| positive(&distances[i], base.map(|base| base[i]), "m"));
    ordered(at, ("min_m", min_m), ("slow_m", slow_m))?;
    source?;
    Some([min_m?, slow_m?, self_m?, fixture_m?])
}

/// After how long a protective stop ends by itself, s.
fn read_protective_stop(at: &Cursor<'_>, base: Option<&CellLimits>) -> Option<f64> {
    let [source, release_after_s] = at.fields(["provenance", "release_after_s"])?;
    let source = provenance(&source, base);
    let after = release_after_s.required("a number (s)", |at| at.number(0.0.., "s"));
    source.and(after)
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
    let [joints, tcp, dynamics, workspace, wrench, gripper] =
        at.fields(["joints", "tcp", "dynamics", "workspace", "wrench", "gripper"])?;
    let joints = inherited(&joints, base.map(|base| base.joints), "the limits of the joints", |at| {
        read_joints(at, dof, base.map(|base| &base.joints))
    });
    let speeds = base.map(|base| [base.tcp_speed_m_s, base.elbow_speed_m_s]);
    let tcp = inherited(&tcp, speeds, "the speed limits of tool centre point and elbow", |at| {
        let [source, speed_m_s, elbow_speed_m_s] =
            at.fields(["provenance", "speed_m_s", "elbow_speed_m_s"])?;
        let source = provenance(&source, speeds);
        let tool = positive(&speed_m_s, speeds.map(|speeds| speeds[0]), "m/s");
        let elbow = positive(&elbow_speed_m_s, speeds.map(|speeds| speeds[1]), "m/s");
        source?;
        Some([tool?, elbow?])
    });
    let loads = base.map(|base| [base.momentum_kg_m_s, base.power_w]);
    let dynamics = inherited(&dynamics, loads, "the limits of momentum and power", |at| {
        let [source, momentum_kg_m_s, power_w] = at.fields(["provenance", "momentum_kg_m_s", "power_w"])?;
        let source = provenance(&source, loads);
        let momentum = monitored(&momentum_kg_m_s, loads.map(|loads| loads[0]), "kg m/s");
        let power = monitored(&power_w, loads.map(|loads| loads[1]), "W");
        source?;
        Some([momentum?, power?])
    });
    let places = base.map(|base| (base.workspace, base.keep_out, base.planes));
    let workspace =
        inherited(&workspace, places, "where the tool centre point may be", |at| read_workspace(at, base));
    let wrench = inherited(&wrench, base.map(|base| base.wrench), "the limits of force and torque", |at| {
        read_wrench(at, base.map(|base| &base.wrench))
    });
    let gripper = inherited(&gripper, base.map(|base| base.gripper), "the limits of the gripper", |at| {
        read_gripper(at, base.map(|base| &base.gripper))
    });
    let (workspace, keep_out, planes) = workspace?;
    let ([tcp_speed_m_s, elbow_speed_m_s], [momentum_kg_m_s, power_w]) = (tcp?, dynamics?);
    Some(RobotLimits {
        joints: joints?,
        tcp_speed_m_s,
        elbow_speed_m_s,
        momentum_kg_m_s,
        power_w,
        workspace,
        keep_out,
        planes,
        wrench: wrench?,
        gripper: gripper?,
    })
}

fn read_joints(at: &Cursor<'_>, dof: usize, base: Option<&JointLimits>) -> Option<JointLimits> {
    let [source, lower, upper, velocity, acceleration, effort] = at.fields([
        "provenance",
        "lower_rad",
        "upper_rad",
        "velocity_rad_s",
        "acceleration_rad_s2",
        "effort_nm",
    ])?;
    let source = provenance(&source, base);
    let lower = per_joint(&lower, base.map(|base| base.lower), dof, .., "rad");
    let upper = per_joint(&upper, base.map(|base| base.upper), dof, .., "rad");
    let velocity = per_joint(&velocity, base.map(|base| base.velocity), dof, ABOVE_ZERO, "rad/s");
    let acceleration =
        per_joint(&acceleration, base.map(|base| base.acceleration), dof, ABOVE_ZERO, "rad/s^2");
    let effort = match effort.get().map(Cursor::value) {
        Some(Value::Text(text)) if text == UNMONITORED => Some(JointVector::repeat(f64::INFINITY)),
        _ => per_joint(&effort, base.map(|base| base.effort), dof, ABOVE_ZERO, "N m"),
    };
    let (lower, upper) = (lower?, upper?);
    let mut all_ordered = Some(());
    for i in (0..dof).filter(|i| lower[*i] >= upper[*i]) {
        all_ordered =
            at.wrong(format!("lower_rad[{i}] {} is not below upper_rad[{i}] {}", lower[i], upper[i]));
    }
    source.and(all_ordered)?;
    Some(JointLimits { lower, upper, velocity: velocity?, acceleration: acceleration?, effort: effort? })
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
fn read_workspace(at: &Cursor<'_>, base: Option<&RobotLimits>) -> Option<(Boxes, Boxes, Planes)> {
    let [source, allowed, keep_out, planes] = at.fields(["provenance", "allowed", "keep_out", "planes"])?;
    let source = provenance(&source, base);
    let allowed = inherited(&allowed, base.map(|base| base.workspace), "a list of boxes", |at| {
        let boxes = read_boxes(at)?;
        if boxes.as_slice().is_empty() {
            return at.expected("at least one box");
        }
        Some(boxes)
    });
    // Without these is the common case and may go unsaid; an envelope's are added to those of the ceiling.
    let keep_out = keep_out.optional(Few::empty(WorldBox::NONE), read_boxes);
    let planes = planes.optional(Few::empty(crate::limits::Plane::NONE), read_planes);
    source?;
    Some((allowed?, keep_out?, planes?))
}

fn read_boxes(at: &Cursor<'_>) -> Option<Boxes> {
    let boxes = at.list("a list of boxes", read_box)?;
    Few::from_slice(&boxes, WorldBox::NONE).or_else(|| at.expected(format!("at most {MAX_BOXES} boxes")))
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
