//! Reads `peripherals`: what a skill's trees may call besides the robots.
//!
//! The list is a permission. So it may not name what guards the cell or moves its arms: a tree that could publish a robot's joint
//! command would have passed the safety gate by.

use std::collections::BTreeMap;

use swarm_yaml::Cursor;

use crate::declaration::{PeripheralConfig, PeripheralKind, RobotConfig};
use crate::declaration_reader::{is_ros_name, lower_case_name, unique};

/// Namespaces and names that are the suite's own. Whatever lies below them is so too.
const OWN: [&str; 8] = [
    "/safety_monitor",
    "/emergency_stop",
    "/human_presence",
    "/skill_runtime",
    "/joint_states",
    "/part_poses",
    "/tf",
    "/tf_static",
];

/// Below a robot's name, what the gate reads and says.
const OF_A_ROBOT: [&str; 6] =
    ["joint_command", "skill_command", "gripper_command", "skill_gripper_command", "wrench", "gripper_state"];

pub(crate) fn read_peripherals(at: &Cursor<'_>, robots: &[RobotConfig]) -> Option<Vec<PeripheralConfig>> {
    let mut lines = BTreeMap::new();
    at.list("a list of peripherals", |item| read_peripheral(item, robots, &mut lines))
}

fn read_peripheral(
    at: &Cursor<'_>,
    robots: &[RobotConfig],
    lines: &mut BTreeMap<String, usize>,
) -> Option<PeripheralConfig> {
    let [name, action, service, publish, subscribe, message_type] =
        at.fields(["name", "action", "service", "publish", "subscribe", "type"])?;
    let name = name.required("the peripheral's name", |at| unique(at, lower_case_name(at)?, lines));
    let mut given = Vec::new();
    let fields = [
        (PeripheralKind::Action, action),
        (PeripheralKind::Service, service),
        (PeripheralKind::Publish, publish),
        (PeripheralKind::Subscribe, subscribe),
    ];
    let mut sound = true;
    for (kind, field) in fields {
        match field.optional(None, |at| absolute_name(at, kind, robots).map(Some)) {
            Some(Some(topic)) => given.push((kind, topic)),
            Some(None) => {}
            None => sound = false,
        }
    }
    let kind = given.first().map(|(kind, _)| *kind);
    let message_type = message_type.required("the type of what is sent", |at| {
        let word = kind.map_or("msg", PeripheralKind::folder);
        at.text_that(|text| is_type(text, kind), &format!("a type such as package/{word}/Name"))
    });
    let one = match given.len() {
        1 => given.pop(),
        0 if !sound => None,
        found => {
            at.wrong(format!("expected one of action, service, publish, subscribe, found {found} of them"))
        }
    };
    let (kind, ros_name) = one?;
    Some(PeripheralConfig { name: name?, kind, ros_name, message_type: message_type? })
}

fn absolute_name(at: &Cursor<'_>, kind: PeripheralKind, robots: &[RobotConfig]) -> Option<String> {
    let good = |text: &str| text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_ros_name));
    let name = at.text_that(good, "an absolute ROS name such as /screwdriver/turn")?;
    // To listen harms nobody.
    match owner(&name, robots).filter(|_| kind != PeripheralKind::Subscribe) {
        None => Some(name),
        Some(owner) => at.wrong(format!(
            "expected something beside the robots and their guard, found {name}, which is {owner}: a skill moves arms through \
             the safety monitor and never past it"
        )),
    }
}

/// Whose a name is, if a skill may not call it.
fn owner(name: &str, robots: &[RobotConfig]) -> Option<String> {
    let below =
        |prefix: &str| name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if let Some(own) = OWN.into_iter().find(|own| below(own)) {
        return Some(format!("the cell's own ({own})"));
    }
    robots.iter().find_map(|robot| {
        let commands = OF_A_ROBOT.iter().any(|topic| below(&format!("/{}/{topic}", robot.name)));
        let driver = robot.driver.as_ref().is_some_and(|driver| {
            let slider = driver.speed_slider.as_ref().map(|slider| &slider.service);
            let stops = [
                driver.protective_stop.as_ref(),
                driver.stop.as_ref(),
                driver.error_recovery.as_ref(),
                slider,
            ];
            below(&driver.controller) || stops.into_iter().flatten().any(|stop| stop == name)
        });
        (commands || driver).then(|| format!("part of robot {}", robot.name))
    })
}

fn is_type(text: &str, kind: Option<PeripheralKind>) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    let [package, folder, name] = parts[..] else { return false };
    is_ros_name(package) && is_ros_name(name) && kind.is_none_or(|kind| folder == kind.folder())
}
