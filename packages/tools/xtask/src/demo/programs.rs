//! From the cell's declaration to command lines: what a launch file does, as values that tests can look at.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use swarm_cell::{CellConfig, Lifecycle, NodeConfig};

/// A program to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Unique in a run; names its log.
    pub name: String,
    pub executable: PathBuf,
    pub arguments: Vec<OsString>,
    /// Set over the run's environment.
    pub variables: BTreeMap<String, String>,
}

/// A node of the cell, and the file of parameters to be written before it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeProgram {
    pub program: Program,
    pub parameters_path: PathBuf,
    pub parameters_text: String,
}

/// Parameters by node name, over those of the declaration.
pub type Overrides = BTreeMap<String, BTreeMap<String, Value>>;

/// Where things are that the command lines name.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// The compiled executables.
    pub executables: &'a Path,
    /// The cell's declaration.
    pub cell_config: &'a Path,
    /// Where parameter files go.
    pub parameters: &'a Path,
}

/// All nodes of a simulated cell, in the order of the declaration.
pub fn of_simulated_cell(cell: &CellConfig, places: Places<'_>, overrides: &Overrides) -> Vec<NodeProgram> {
    cell.nodes.iter().map(|node| of_node(node, places, overrides.get(&node.name))).collect()
}

/// One node.
pub fn of_node(
    node: &NodeConfig,
    places: Places<'_>,
    overrides: Option<&BTreeMap<String, Value>>,
) -> NodeProgram {
    let mut parameters = node.parameters.clone();
    parameters.insert("cell_config".to_owned(), places.cell_config.to_string_lossy().into());
    if node.lifecycle == Lifecycle::Managed {
        parameters.insert("autostart".to_owned(), true.into());
    }
    parameters.extend(overrides.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())));

    let parameters_path = places.parameters.join(format!("{}.yaml", node.name));
    let mut arguments: Vec<OsString> =
        vec!["--ros-args".into(), "-r".into(), format!("__node:={}", node.name).into()];
    if !node.namespace.is_empty() {
        arguments.extend(["-r".into(), format!("__ns:={}", node.namespace).into()]);
    }
    for (from, to) in &node.remappings {
        arguments.extend(["-r".into(), format!("{from}:={to}").into()]);
    }
    arguments.extend(["--params-file".into(), parameters_path.clone().into_os_string()]);
    NodeProgram {
        program: Program {
            name: node.name.clone(),
            executable: places.executables.join(&node.executable),
            arguments,
            variables: BTreeMap::new(),
        },
        parameters_path,
        parameters_text: parameter_file(&parameters),
    }
}

/// A ROS 2 parameter file. JSON's scalars and lists are YAML's.
fn parameter_file(parameters: &BTreeMap<String, Value>) -> String {
    let mut text = String::from("/**:\n  ros__parameters:\n");
    for (name, value) in parameters {
        let _ = writeln!(text, "    {name}: {value}"); // writing to a String cannot fail
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: (&str, &str, &str) = ("/bin_dir", "/r/config/cell.yaml", "/run/parameters");

    fn demo_nodes(overrides: &Overrides) -> Vec<NodeProgram> {
        let cell = CellConfig::parse(include_str!("../../../../../config/cell.yaml")).unwrap();
        let (executables, cell_config, parameters) = PLACES;
        let places = Places {
            executables: Path::new(executables),
            cell_config: Path::new(cell_config),
            parameters: Path::new(parameters),
        };
        of_simulated_cell(&cell, places, overrides)
    }

    fn named(nodes: &[NodeProgram], name: &str) -> NodeProgram {
        nodes.iter().find(|node| node.program.name == name).unwrap().clone()
    }

    #[test]
    fn a_declared_node_becomes_a_command_line_and_a_parameter_file() {
        let sim = named(&demo_nodes(&Overrides::new()), "swarm_sim");
        assert_eq!(sim.program.executable, Path::new("/bin_dir/swarm_sim"));
        let expected =
            ["--ros-args", "-r", "__node:=swarm_sim", "--params-file", "/run/parameters/swarm_sim.yaml"];
        assert_eq!(sim.program.arguments, expected);
        assert_eq!(sim.parameters_path, Path::new("/run/parameters/swarm_sim.yaml"));
        let text = sim.parameters_text;
        assert!(text.starts_with("/**:\n  ros__parameters:\n    autostart: true\n"), "{text}");
        assert!(text.contains("\n    cell_config: \"/r/config/cell.yaml\"\n"), "{text}");
        assert!(text.contains("\n    realtime_factor: 1.0\n"), "{text}");
    }

    #[test]
    fn an_override_takes_the_place_of_a_declared_parameter_of_that_node_alone() {
        let overrides =
            Overrides::from([("swarm_sim".to_owned(), BTreeMap::from([("seed".to_owned(), 7.into())]))]);
        let (before, after) = (demo_nodes(&Overrides::new()), demo_nodes(&overrides));
        assert!(named(&after, "swarm_sim").parameters_text.contains("\n    seed: 7\n"));
        assert_eq!(named(&after, "safety_monitor"), named(&before, "safety_monitor"));
    }
}
