//! The shipped layout shows what is served: every panel stands in it once, and every path leads to a field of the view.

use std::path::Path;

use serde_json::Value;
use swarm_foxglove::SCENE_TOPIC;

fn layout() -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../config/foxglove_cell.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn panels(tree: &Value, found: &mut Vec<String>) {
    match tree {
        Value::String(name) => found.push(name.clone()),
        split => ["first", "second"].iter().for_each(|side| panels(&split[side], found)),
    }
}

/// The names between the dots of a message path, without `[:]` and `{filters}`.
fn fields(path: &str) -> Vec<String> {
    let (mut depth, mut plain) = (0, String::new());
    for letter in path.chars() {
        match letter {
            '[' | '{' => depth += 1,
            ']' | '}' => depth -= 1,
            _ if depth == 0 => plain.push(letter),
            _ => {}
        }
    }
    plain.split('.').map(str::to_owned).collect()
}

#[test]
fn every_panel_stands_in_the_layout_once() {
    let layout = layout();
    let mut found = Vec::new();
    panels(&layout["layout"], &mut found);
    found.sort();
    let mut known: Vec<String> = layout["configById"].as_object().unwrap().keys().cloned().collect();
    known.sort();
    assert_eq!(found, known);
    let kinds = ["3D!", "Image!", "Plot!", "StateTransitions!", "Table!"];
    assert!(kinds.iter().all(|kind| found.iter().any(|panel| panel.starts_with(kind))), "{found:?}");
    assert_eq!(layout["configById"]["3D!cell"]["topics"][SCENE_TOPIC]["visible"], true);
}

#[test]
fn every_path_leads_to_a_field_of_the_view() {
    let schema: Value = serde_json::from_str(swarm_view::json_schema()).unwrap();
    let layout = layout();
    let mut count = 0;
    for (panel, config) in layout["configById"].as_object().unwrap() {
        for path in config["paths"].as_array().into_iter().flatten() {
            let text = path["value"].as_str().unwrap();
            let names = fields(text);
            assert_eq!(names[0], swarm_view::TOPIC, "{panel}: {text}");
            let mut at = &schema;
            for name in &names[1..] {
                at = &at["properties"][name];
                assert!(at.is_object(), "{panel}: {text} has no {name}");
                at = at.get("items").unwrap_or(at);
            }
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
}

#[test]
fn the_table_of_leases_shows_the_leases() {
    let layout = layout();
    let path = layout["configById"]["Table!leases"]["topicPath"].as_str().unwrap();
    assert_eq!(fields(path), [swarm_view::TOPIC, "leases"]);
}
