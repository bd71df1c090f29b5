//! Places in the world: boxes, planes, fixtures, and where people are looked for.

use nalgebra::{Point3, Unit, Vector3};
use swarm_kinematics::{Capsule, Obstacle};
use swarm_yaml::{Cursor, Value};

use crate::envelope_reader::{ABOVE_ZERO, UNMONITORED, number, provenance};
use crate::few::{Few, Label};
use crate::limits::{
    Fixture, Fixtures, HumanLimits, HumanZone, MAX_BOXES, MAX_FIXTURES, MAX_ZONES, Plane, Planes, WorldBox,
};

pub(crate) fn read_box(at: &Cursor<'_>) -> Option<WorldBox> {
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

pub(crate) fn read_planes(at: &Cursor<'_>) -> Option<Planes> {
    let planes = at.list("a list of planes", |at| {
        let (normal, offset_m) = read_plane(at)?;
        Some(Plane { normal, offset_m })
    })?;
    Few::from_slice(&planes, Plane::NONE).or_else(|| at.expected(format!("at most {MAX_BOXES} planes")))
}

/// Normal, and distance from the world's origin along it, m.
fn read_plane(at: &Cursor<'_>) -> Option<(Unit<Vector3<f64>>, f64)> {
    let [normal, offset_m] = at.fields(["normal", "offset_m"])?;
    let normal = normal.required("three numbers", |at| {
        let direction = Vector3::from(at.triple(.., "")?);
        Unit::try_new(direction, 1e-9).or_else(|| at.expected("a direction, not all zeros"))
    });
    let offset_m = offset_m.required("a number (m)", |at| at.number(.., "m"));
    Some((normal?, offset_m?))
}

/// An envelope's are added to those of the ceiling.
pub(crate) fn read_fixtures(at: &Cursor<'_>) -> Option<Fixtures> {
    let fixtures = at.list("a list of fixtures", read_fixture)?;
    Few::from_slice(&fixtures, Fixture::NONE)
        .or_else(|| at.expected(format!("at most {MAX_FIXTURES} fixtures")))
}

fn read_fixture(at: &Cursor<'_>) -> Option<Fixture> {
    let [name, solid, capsule, half_space, tool_may_touch] =
        at.fields(["name", "box", "capsule", "half_space", "tool_may_touch"])?;
    let name = name.required("a name", read_label);
    let tool_may_touch = tool_may_touch.optional(false, Cursor::boolean);
    let obstacle = match (solid.get(), capsule.get(), half_space.get()) {
        (Some(at), None, None) => read_box(at).map(|WorldBox { min, max }| Obstacle::Box { min, max }),
        (None, Some(at), None) => read_capsule(at).map(Obstacle::Capsule),
        (None, None, Some(at)) => {
            read_plane(at).map(|(normal, offset_m)| Obstacle::HalfSpace { normal, offset_m })
        }
        _ => at.wrong("expected one of box, capsule and half_space"),
    };
    Some(Fixture { name: name?, obstacle: obstacle?, tool_may_touch: tool_may_touch? })
}

fn read_capsule(at: &Cursor<'_>) -> Option<Capsule> {
    let [from_m, to_m, radius_m] = at.fields(["from_m", "to_m", "radius_m"])?;
    let end = |at: &Cursor<'_>| at.triple(.., "m").map(Point3::from);
    let from = from_m.required("one end of its axis in the world (m)", end);
    let to = to_m.required("the other end of its axis in the world (m)", end);
    let radius = radius_m.required("a number (m)", |at| at.number(ABOVE_ZERO, "m"));
    Some(Capsule { a: from?, b: to?, radius: radius? })
}

fn read_label(at: &Cursor<'_>) -> Option<Label> {
    let text = at.text_that(|text| !text.is_empty(), "a name")?;
    Label::new(&text).or_else(|| at.expected(format!("a name of at most {} bytes", Label::MAX_BYTES)))
}

/// A ceiling says it all, or that nobody is looked for; an envelope may ask for more care with the cell's own sensors.
pub(crate) fn read_humans(at: &Cursor<'_>, base: Option<&HumanLimits>) -> Option<HumanLimits> {
    if matches!(at.value(), Value::Text(text) if text == UNMONITORED) {
        return Some(HumanLimits::UNMONITORED);
    }
    let [source, zones, timeout_s, speed_m_s, intrusion_m, sensor_m, robot_m] = at.fields([
        "provenance",
        "zones",
        "timeout_s",
        "speed_m_s",
        "intrusion_m",
        "sensor_uncertainty_m",
        "robot_uncertainty_m",
    ])?;
    let source = provenance(&source, base);
    let zones = match base {
        None => zones.required("a list of zones", read_zones),
        Some(base) => match zones.get() {
            Some(at) => at.wrong("zones are the cell's; an envelope names none"),
            None => Some(base.zones),
        },
    };
    let timeout_s = number(&timeout_s, base.map(|base| base.timeout_s), ABOVE_ZERO, "s");
    let speed_m_s = number(&speed_m_s, base.map(|base| base.speed_m_s), ABOVE_ZERO, "m/s");
    let intrusion_m = number(&intrusion_m, base.map(|base| base.intrusion_m), 0.0.., "m");
    let sensor_m = number(&sensor_m, base.map(|base| base.sensor_uncertainty_m), 0.0.., "m");
    let robot_m = number(&robot_m, base.map(|base| base.robot_uncertainty_m), 0.0.., "m");
    source?;
    Some(HumanLimits {
        zones: zones?,
        timeout_s: timeout_s?,
        speed_m_s: speed_m_s?,
        intrusion_m: intrusion_m?,
        sensor_uncertainty_m: sensor_m?,
        robot_uncertainty_m: robot_m?,
    })
}

fn read_zones(at: &Cursor<'_>) -> Option<Few<HumanZone, MAX_ZONES>> {
    let zones = at.list("a list of zones", |at| {
        let [name, point_m] = at.fields(["name", "point_m"])?;
        let name = name.required("the frame_id of the sensor's messages", read_label);
        let point = point_m.required("where its ranges begin, in the world (m)", |at| at.triple(.., "m"));
        Some(HumanZone { name: name?, point: point?.into() })
    })?;
    let twice = zones.iter().enumerate().find(|(i, zone)| zones[..*i].iter().any(|z| z.name == zone.name));
    if let Some((_, zone)) = twice {
        return at.wrong(format!("zone '{}' stands twice", zone.name.as_str()));
    }
    if zones.is_empty() {
        return at
            .expected(format!("at least one zone; write humans: {UNMONITORED} where nobody is looked for"));
    }
    Few::from_slice(&zones, HumanZone::NONE).or_else(|| at.expected(format!("at most {MAX_ZONES} zones")))
}
