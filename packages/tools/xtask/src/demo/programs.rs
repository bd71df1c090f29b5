//! From the cell's declaration to command lines: what a launch file does, as values that tests can look at.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use swarm_cell::{CellConfig, Cpu, Lifecycle, NodeConfig, RegistryConfig, Schedule, SchedulePolicy};

use super::machine::PermitTimeout;

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

/// Parameters of one node.
pub type Parameters = BTreeMap<String, Value>;

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

/// Packages whose nodes are told more than the declaration says, whatever the nodes are called there; as in `launch/cell.launch.py`.
pub const SIMULATOR: &str = "swarm_sim";
pub const SAFETY_MONITOR: &str = "swarm_safety_monitor";
pub const SKILL_RUNTIME: &str = "swarm_skill_runtime";
pub const REGISTRY_BRIDGE: &str = "swarm_registry_bridge";

/// All nodes of a simulated cell as `launch/sim.launch.py` starts them, in the order of the declaration; the bridge last, where a
/// registry is declared. `of_run` gives what a run tells a node over that.
pub fn of_simulated_cell(
    cell: &CellConfig,
    places: Places<'_>,
    permit: PermitTimeout,
    of_run: impl Fn(&NodeConfig) -> Parameters,
) -> Vec<NodeProgram> {
    let bridge = cell.registry.as_ref().map(registry_bridge);
    let nodes = cell.nodes.iter().chain(&bridge);
    nodes
        .map(|node| {
            let mut parameters = of_simulation(&node.package, permit);
            parameters.extend(of_run(node));
            of_node(node, places, parameters)
        })
        .collect()
}

/// What a simulated cell is told beside its declaration.
fn of_simulation(package: &str, permit: PermitTimeout) -> Parameters {
    let mut parameters = Parameters::new();
    let mut put = |name: &str, value: Value| parameters.insert(name.to_owned(), value);
    if !permit.is_default() {
        let microseconds = Value::from(permit.milliseconds * 1000);
        match package {
            SIMULATOR => {
                put("permit_timeout_us", microseconds.clone());
                put("command_timeout_us", microseconds);
            }
            SAFETY_MONITOR => {
                put("max_cycle_gap_us", microseconds);
                // A simulator that falls behind lets its clock go on and its arms not; four of its cycles explain no contradiction.
                put("max_joint_state_gap_us", 7_000_u64.into());
            }
            _ => {}
        }
    }
    if package == SAFETY_MONITOR {
        // A simulated arm hurts nobody: the gate may arm where the machine grants no real time, and says so in its status.
        put("degraded", true.into());
    }
    parameters
}

/// As `launch/cell.launch.py` starts it; the node reads the rest of the block itself.
fn registry_bridge(registry: &RegistryConfig) -> NodeConfig {
    NodeConfig {
        name: "registry_bridge".to_owned(),
        package: REGISTRY_BRIDGE.to_owned(),
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

/// One node, with `over` in the place of what the declaration says.
pub fn of_node(node: &NodeConfig, places: Places<'_>, over: Parameters) -> NodeProgram {
    let mut parameters = node.parameters.clone();
    parameters.insert("cell_config".to_owned(), places.cell_config.to_string_lossy().into());
    if node.lifecycle == Lifecycle::Managed {
        parameters.insert("autostart".to_owned(), true.into());
    }
    parameters.extend(over);
    // No type is found for an empty list; a node's own default is what it gets instead.
    parameters.retain(|_, value| !value.as_array().is_some_and(Vec::is_empty));

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
fn parameter_file(parameters: &Parameters) -> String {
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

    const REGISTRY: &str = "registry: {url: \"https://localhost:1\", site_id: a, image_root: i, director_root: d, parameters: {utc_offset: \"+01:00\"}}\n";
    const STRICT: PermitTimeout = PermitTimeout { milliseconds: 20 };
    const RELAXED: PermitTimeout = PermitTimeout { milliseconds: 200 };

    fn nodes_of(
        declaration: &str,
        permit: PermitTimeout,
        of_run: impl Fn(&NodeConfig) -> Parameters,
    ) -> Vec<NodeProgram> {
        let cell = CellConfig::parse(declaration).unwrap();
        let (executables, cell_config, parameters) = PLACES;
        let places = Places {
            executables: Path::new(executables),
            cell_config: Path::new(cell_config),
            parameters: Path::new(parameters),
        };
        of_simulated_cell(&cell, places, permit, of_run)
    }

    fn demo_nodes(of_run: impl Fn(&NodeConfig) -> Parameters) -> Vec<NodeProgram> {
        nodes_of(DECLARATION, STRICT, of_run)
    }

    fn nothing(_: &NodeConfig) -> Parameters {
        Parameters::new()
    }

    fn named(nodes: &[NodeProgram], name: &str) -> NodeProgram {
        nodes.iter().find(|node| node.program.name == name).unwrap().clone()
    }

    #[test]
    fn a_declared_node_becomes_a_command_line_and_a_parameter_file() {
        let sim = named(&demo_nodes(nothing), "swarm_sim");
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

    /// A node as `tests/launch/simulated_cell.json` has it: executable, names and parameters.
    fn as_listed(node: &NodeProgram) -> Value {
        let parameters: serde_json::Map<String, Value> = node
            .parameters_text
            .lines()
            .skip(2)
            .map(|line| line.trim().split_once(": ").unwrap())
            .map(|(name, value)| (name.to_owned(), serde_json::from_str(value).unwrap()))
            .map(
                |(name, value)| {
                    if name == "cell_config" { (name, "THE DECLARATION".into()) } else { (name, value) }
                },
            )
            .collect();
        let names: Vec<String> = node
            .program
            .arguments
            .iter()
            .map(|argument| argument.to_string_lossy().into_owned())
            .filter(|argument| argument.contains(":="))
            .collect();
        let executable = node.program.executable.file_name().unwrap().to_string_lossy();
        serde_json::json!({"executable": executable, "names": names, "parameters": parameters})
    }

    /// The demo starts what `ros2 launch swarm_bringup sim.launch.py` starts: `tests/launch/test_launch_files.py` holds the launch
    /// file against the same list.
    #[test]
    fn the_demo_starts_what_the_launch_file_starts() {
        let listed: Value =
            serde_json::from_str(include_str!("../../../../../tests/launch/simulated_cell.json")).unwrap();
        for (kernel, permit) in [("real-time kernel", STRICT), ("ordinary kernel", RELAXED)] {
            let nodes = nodes_of(&format!("{DECLARATION}{REGISTRY}"), permit, nothing);
            let started: serde_json::Map<String, Value> =
                nodes.iter().map(|node| (node.program.name.clone(), as_listed(node))).collect();
            let started = Value::from(started);
            assert_eq!(started, listed[kernel], "{kernel}:\n{started:#}");
        }
    }

    #[test]
    fn what_a_node_is_told_depends_on_its_package_and_not_on_its_name() {
        let renamed = DECLARATION.replace("- name: safety_monitor", "- name: gate");
        let gate = named(&nodes_of(&renamed, RELAXED, nothing), "gate").parameters_text;
        assert!(
            gate.contains("\n    degraded: true\n") && gate.contains("\n    max_cycle_gap_us: 200000\n"),
            "{gate}"
        );
    }

    #[test]
    fn a_run_has_the_last_word_on_a_nodes_parameters() {
        let of_run = |node: &NodeConfig| match node.package.as_str() {
            SIMULATOR => Parameters::from([("seed".to_owned(), 7.into())]),
            _ => Parameters::new(),
        };
        let (before, after) = (demo_nodes(nothing), demo_nodes(of_run));
        assert!(named(&after, "swarm_sim").parameters_text.contains("\n    seed: 7\n"));
        assert_eq!(named(&after, "safety_monitor"), named(&before, "safety_monitor"));
    }

    #[test]
    fn an_empty_list_is_left_to_the_nodes_default() {
        let of_run = |_: &NodeConfig| Parameters::from([("cameras".to_owned(), Value::Array(Vec::new()))]);
        assert!(!named(&demo_nodes(of_run), "swarm_sim").parameters_text.contains("cameras"));
    }
}
