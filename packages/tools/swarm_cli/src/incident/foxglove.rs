//! A layout for Foxglove (and Lichtblick) that shows the topics of an incident's bag.
//!
//! The form is that of *Layouts, Export to file* in the application: `configById` has one entry per panel, named
//! `Type!suffix`; `layout` is a tree of splits whose leaves are these names, each once; `globalVariables`, `userNodes` and
//! `playbackConfig` must be there. Panels have the settings that an exported layout has
//! (<https://docs.foxglove.dev/docs/visualization/panels/plot>, `.../state-transitions`, `.../raw-messages`), values are
//! message paths (<https://docs.foxglove.dev/docs/visualization/message-path-syntax>). It is not a published schema: what was
//! checked is that the application's own sample layouts have the same fields.
//!
//! Measured joint velocities come on one topic, a message per robot, and a message path cannot tell these apart: plotted are
//! the share of the limit that the fastest joint took, from the status, and the velocities that each arm was told.

use serde_json::{Map, Value, json};

/// The layout for a cell with these robots.
pub(crate) fn layout(robots: &[String]) -> Value {
    let mut panels = Panels::default();
    let status = |field: &str, label: &str| -> Vec<(String, String)> {
        let series = |robot: &String| {
            (format!("/safety_monitor.robots[:]{{robot==\"{robot}\"}}.{field}"), format!("{robot} {label}"))
        };
        robots.iter().map(series).collect()
    };
    let pair = |value: &str, limit: &str| [status(value, ""), status(limit, "limit")].concat();
    let state = panels.add("StateTransitions!state", state_transitions("/safety_monitor.state"));
    let raw = panels.add(
        "RawMessages!status",
        json!({
            "topicPath": "/safety_monitor", "diffTopicPath": "", "diffMethod": "custom", "diffEnabled": false,
            "showFullMessageForDiff": false,
        }),
    );
    let shares = panels.add(
        "Plot!joint_share",
        plot("Fastest joint, share of its limit", &with_line(status("joint_velocity_ratio", ""), 1.0)),
    );
    let speed = panels.add("Plot!tool_speed", plot("Tool speed, m/s", &pair("tcp_speed", "tcp_speed_limit")));
    let separation = panels
        .add("Plot!separation", plot("Distance to other robots, m", &pair("separation", "separation_limit")));
    let force = panels
        .add("Plot!contact_force", plot("Contact force, N", &pair("contact_force", "contact_force_limit")));
    let mut left = vec![shares, speed, separation, force];
    let mut right = vec![state, raw];
    for robot in robots {
        let velocity = [(format!("/{robot}/joint_command.data[:]"), "told".to_owned())];
        left.push(panels.add(
            &format!("Plot!velocity_{robot}"),
            plot(&format!("{robot}: joint velocities told, rad/s"), &velocity),
        ));
        let axes = ["force.x", "force.y", "force.z"];
        let wrench = axes.map(|axis| (format!("/{robot}/wrench.wrench.{axis}"), axis.to_owned()));
        right
            .push(panels.add(&format!("Plot!wrench_{robot}"), plot(&format!("{robot}: wrench, N"), &wrench)));
    }
    json!({
        "configById": panels.0,
        "globalVariables": {},
        "userNodes": {},
        "playbackConfig": {"speed": 1.0},
        "layout": {"direction": "row", "first": column(&left), "second": column(&right), "splitPercentage": 60},
    })
}

#[derive(Default)]
struct Panels(Map<String, Value>);

impl Panels {
    fn add(&mut self, id: &str, config: Value) -> String {
        self.0.insert(id.to_owned(), config);
        id.to_owned()
    }
}

/// Lines as (message path, label).
fn plot(title: &str, lines: &[(String, String)]) -> Value {
    let path = |(value, label): &(String, String)| json!({"value": value, "label": label.trim(), "enabled": true, "timestampMethod": "receiveTime"});
    json!({
        "foxglovePanelTitle": title,
        "paths": lines.iter().map(path).collect::<Vec<_>>(),
        "xAxisVal": "timestamp",
        "showLegend": true,
        "legendDisplay": "floating",
        "showXAxisLabels": true,
        "showYAxisLabels": true,
        "isSynced": true,
    })
}

/// A path that is a number is a level line.
fn with_line(mut lines: Vec<(String, String)>, level: f64) -> Vec<(String, String)> {
    lines.push((level.to_string(), "limit".to_owned()));
    lines
}

fn state_transitions(path: &str) -> Value {
    json!({
        "foxglovePanelTitle": "State of the safety monitor",
        "paths": [{"value": path, "label": "state", "enabled": true, "timestampMethod": "receiveTime"}],
        "isSynced": true,
    })
}

/// Panels below one another, equally high.
fn column(panels: &[String]) -> Value {
    match panels {
        [] => Value::Null,
        [one] => json!(one),
        [first, rest @ ..] => json!({
            "direction": "column", "first": first, "second": column(rest),
            "splitPercentage": 100.0 / panels.len() as f64,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(tree: &Value, found: &mut Vec<String>) {
        match tree {
            Value::String(name) => found.push(name.clone()),
            split => ["first", "second"].iter().for_each(|side| leaves(&split[side], found)),
        }
    }

    #[test]
    fn every_panel_stands_in_the_tree_once() {
        let layout = layout(&["left".to_owned(), "panda".to_owned()]);
        let mut found = Vec::new();
        leaves(&layout["layout"], &mut found);
        found.sort();
        let panels: Vec<String> = layout["configById"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(found, panels, "{layout}");
        assert_eq!(layout["configById"]["RawMessages!status"]["topicPath"], "/safety_monitor");
        let speed = &layout["configById"]["Plot!tool_speed"]["paths"];
        assert_eq!(speed[1]["value"], "/safety_monitor.robots[:]{robot==\"panda\"}.tcp_speed");
        assert_eq!(speed[3]["label"], "panda limit");
    }
}
