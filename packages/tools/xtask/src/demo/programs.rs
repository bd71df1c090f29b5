//! From the cell's declaration to command lines: what a launch file does, as values that tests can look at.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use swarm_cell::{CellConfig, Cpu, Lifecycle, NodeConfig, RegistryConfig, Schedule, SchedulePolicy};

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

/// Name of the node that keeps the cell in step with a central registry.
pub const REGISTRY_BRIDGE: &str = "registry_bridge";

/// All nodes of a simulated cell, in the order of the declaration; the bridge last, where a registry is declared.
pub fn of_simulated_cell(cell: &CellConfig, places: Places<'_>, overrides: &Overrides) -> Vec<NodeProgram> {
    let bridge = cell.registry.as_ref().map(registry_bridge);
    let nodes = cell.nodes.iter().chain(&bridge);
    nodes.map(|node| of_node(node, places, overrides.get(&node.name))).collect()
}

/// As `launch/cell.launch.py` starts it; the node reads the rest of the block itself.
fn registry_bridge(registry: &RegistryConfig) -> NodeConfig {
    NodeConfig {
        name: REGISTRY_BRIDGE.to_owned(),
        package: "swarm_registry_bridge".to_owned(),
        executable: "swarm_registry_bridge".to_owned(),
        namespace: String::new(),
        lifecycle: Lifecycle::Managed,
        simulation_only: false,
        schedule: Schedule {
            policy: SchedulePolicy::Other,
            priority: 0,
            cpu: Cpu::Any,
            period_us: 100_000,
            deadline_us: 100_000,
        },
        remappings: BTreeMap::new(),
        parameters: registry.parameters.clone(),
    }
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

    const DECLARATION: &str = include_str!("../../../../../config/cell.yaml");

    fn demo_nodes(overrides: &Overrides) -> Vec<NodeProgram> {
        nodes_of(DECLARATION, overrides)
    }

    fn nodes_of(declaration: &str, overrides: &Overrides) -> Vec<NodeProgram> {
        let cell = CellConfig::parse(declaration).unwrap();
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
    fn a_declared_registry_adds_the_bridge_with_its_parameters() {
        let is_bridge = |node: &NodeProgram| node.program.name == REGISTRY_BRIDGE;
        assert!(!demo_nodes(&Overrides::new()).iter().any(is_bridge));
        let block = "registry: {url: \"https://localhost:1\", site_id: a, image_root: i, director_root: d, parameters: {utc_offset: \"+01:00\"}}\n";
        let bridge = named(&nodes_of(&format!("{DECLARATION}{block}"), &Overrides::new()), REGISTRY_BRIDGE);
        assert_eq!(bridge.program.executable, Path::new("/bin_dir/swarm_registry_bridge"));
        assert!(
            bridge.parameters_text.contains("\n    utc_offset: \"+01:00\"\n"),
            "{}",
            bridge.parameters_text
        );
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
