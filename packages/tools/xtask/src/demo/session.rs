//! One simulated cell, running: its nodes, and the operator's commands against them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use swarm_cell::{CellConfig, NodeConfig};

use super::interrupt::Interrupt;
use super::machine::PermitTimeout;
use super::operator::{Execution, Progress, Reader};
use super::programs::{
    NodeProgram, Parameters, Places, Program, REGISTRY_BRIDGE, SAFETY_MONITOR, SIMULATOR, SKILL_RUNTIME,
    of_node, of_simulated_cell,
};
use super::recording::{CAPTURE, Plan, Summary};
use super::run_folder::RunFolder;
use super::skill::{Materials, SKILL, Signers};
use super::supervisor::Supervisor;
use super::{Options, Viewers};
use crate::error::{Error, IoContext, Result, Tail};
use crate::layout::Layout;
use crate::ros::RosEnv;
use crate::ros::underlay::Variables;

/// A command that only asks the running nodes.
const COMMAND_LIMIT: Duration = Duration::from_mins(2);

/// A run takes less than a minute; its own time-outs end it long before this.
const EXECUTION_LIMIT: Duration = Duration::from_secs(400);

/// A running cell; its nodes end with it.
#[derive(Debug)]
pub struct Session {
    run: RunFolder,
    materials: Materials,
    supervisor: Supervisor,
    executables: PathBuf,
    permit: PermitTimeout,
    /// What is recorded beside the run's log.
    plan: Option<Plan>,
    /// By the names of their processes.
    nodes: Vec<String>,
    robots: Vec<String>,
    commands: u32,
}

/// A recording in progress, by the name of its process.
#[derive(Debug)]
pub struct Recording(String);

/// What a cell is started from.
#[derive(Debug)]
pub struct Bench {
    pub run: RunFolder,
    pub materials: Materials,
    pub permit: PermitTimeout,
    /// Set for everything that runs in the cell, over this process's own.
    pub variables: Variables,
}

impl Session {
    /// Lays the folder of a new run and starts a cell from it.
    pub fn start(
        layout: &Layout,
        ros: &RosEnv,
        executables: &Path,
        interrupt: Interrupt,
        options: &Options,
    ) -> Result<Self> {
        let permit = PermitTimeout::for_this_machine();
        let run = RunFolder::create(layout)?;
        let signers = Signers::appoint(run.path(), executables)?;
        let materials = Materials::lay(layout, run.path(), signers, permit)?;
        let bench = Bench { run, materials, permit, variables: ros.variables().clone() };
        Self::begin(bench, executables, interrupt, options)
    }

    /// Starts every node that the declaration lists.
    pub fn begin(bench: Bench, executables: &Path, interrupt: Interrupt, options: &Options) -> Result<Self> {
        let Bench { run, materials, permit, variables } = bench;
        let config = materials.cell_config();
        let text = fs::read_to_string(&config).doing("read", &config)?;
        let cell = CellConfig::parse(&text)
            .map_err(|error| Error::Malformed { path: config.clone(), problem: error.to_string() })?;
        let plan = options.record.then(|| Plan::of(&cell, run.path())).transpose()?;
        let mut session = Self {
            supervisor: Supervisor::new(run.clone(), variables, interrupt),
            executables: executables.to_path_buf(),
            run,
            materials,
            permit,
            plan,
            nodes: cell.nodes.iter().map(|node| node.name.clone()).collect(),
            robots: cell.robots.iter().map(|robot| robot.name.clone()).collect(),
            commands: 0,
        };
        let parameters = session.run.path().join("parameters");
        let places = Places { executables, cell_config: &config, parameters: &parameters };
        let nodes = of_simulated_cell(&cell, places, permit, |node| session.of_run(node, options));
        let recorder = session.plan.as_ref().map(|plan| of_node(&plan.capture(), places, Parameters::new()));
        for NodeProgram { program, parameters_path, parameters_text } in nodes.into_iter().chain(recorder) {
            fs::write(&parameters_path, parameters_text).doing("write", &parameters_path)?;
            session.supervisor.start(program)?;
        }
        Ok(session)
    }

    pub fn folder(&self) -> &Path {
        self.run.path()
    }

    pub fn permit(&self) -> PermitTimeout {
        self.permit
    }

    /// Every node that the declaration lists, and what was started beside them, with the ids of their processes.
    pub fn processes(&self) -> Vec<(String, u32)> {
        let process = |name: &String| Some((name.clone(), self.supervisor.pid(name)?));
        self.nodes.iter().filter_map(process).collect()
    }

    /// Phases of the demo's skill.
    pub fn phases(&self) -> Result<usize> {
        self.materials.phases()
    }

    /// Starts a node that hears what the skill runtime hears, and does nothing; it counts among the [processes](Self::processes).
    pub fn start_listener(&mut self, name: &str) -> Result<()> {
        let program = Program {
            name: name.to_owned(),
            executable: self.executables.join("listener_node"),
            arguments: self.robots.iter().map(OsString::from).collect(),
            variables: BTreeMap::new(),
        };
        self.supervisor.start(program)?;
        self.nodes.push(name.to_owned());
        Ok(())
    }

    /// For those who want to see a node die.
    pub fn supervisor(&mut self) -> &mut Supervisor {
        &mut self.supervisor
    }

    /// Packages and signs the demo's skill.
    pub fn package(&self, version: &str) -> Result<PathBuf> {
        self.materials.package(version)
    }

    /// Starts to record into `run.jsonl`; returns when the recorder writes.
    pub fn record(&mut self, seed: u64) -> Result<Recording> {
        let log = self.folder().join("run.jsonl");
        let mut program = self.program("record_run", ["--seed".into(), seed.to_string().into()]);
        program.arguments.extend(["--out".into(), log.clone().into_os_string()]);
        program.arguments.extend(["--cell".into(), self.materials.cell_config().into_os_string()]);
        program.arguments.extend(["--permit-timeout".into(), self.permit.seconds().to_string().into()]);
        let name = program.name.clone();
        self.supervisor.start(program)?;
        self.supervisor.wait_for("the recorder's first line", COMMAND_LIMIT, |_| {
            Ok(fs::metadata(&log).is_ok_and(|file| file.len() > 0).then_some(()))
        })?;
        Ok(Recording(name))
    }

    /// Ends the recording; what was written is complete.
    pub fn finish_recording(&mut self, recording: &Recording) -> Result<()> {
        self.supervisor.stop(&recording.0)
    }

    /// Waits until every camera is in the bag.
    pub fn await_capture(&mut self) -> Result<()> {
        let Some(plan) = &self.plan else { return Ok(()) };
        let signs = plan.signs_of_recording();
        let what = "the recording of every camera, as the log of capture tells it";
        let recorded = self.supervisor.wait_for(what, COMMAND_LIMIT, |supervisor| {
            for sign in &signs {
                if !supervisor.has_logged(CAPTURE, sign)? {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        });
        recorded.map_err(Error::from)
    }

    /// Ends what [`Options::record`] began; gives what is in the bag.
    pub fn finish_capture(&mut self) -> Result<Option<Summary>> {
        let Some(plan) = &self.plan else { return Ok(None) };
        self.supervisor.stop(CAPTURE)?;
        let mut command = Command::new(self.executables.join("cell"));
        command.args(["bag", "check", "--json"]).arg(&plan.bag);
        // It ends with 1 where something is wrong, and says what.
        let output = command
            .output()
            .map_err(|source| Error::Spawn { command: crate::process::shown(&command), source })?;
        if output.stdout.is_empty() {
            let why = String::from_utf8_lossy(&output.stderr);
            return Err(Error::Failed(format!("{} cannot be read: {}", plan.bag.display(), why.trim())));
        }
        Summary::read(plan, &String::from_utf8_lossy(&output.stdout)).map(Some)
    }

    pub fn deploy(&mut self, artifact: &Path) -> Result<()> {
        let artifact = artifact.as_os_str().to_owned();
        self.succeed("deploy_csa", ["--csa-path".into(), artifact, "--skill-id".into(), SKILL.into()])?;
        Ok(())
    }

    /// Goes back to the version that ran well before. Gives what the runtime said.
    pub fn rollback(&mut self) -> Result<String> {
        self.succeed("rollback_skill", [])
    }

    pub fn reset(&mut self) -> Result<()> {
        self.succeed("reset_safety", ["--by".into(), "demo".into(), "--timeout".into(), "60".into()])?;
        Ok(())
    }

    /// Resets the safety monitor as soon as it can be: on a machine that is busy for a moment it may be refused. Gives how often it was.
    pub fn reset_patiently(&mut self) -> Result<u64> {
        let deadline = Instant::now() + COMMAND_LIMIT;
        let mut refused = 0;
        loop {
            match self.reset() {
                Ok(()) => return Ok(refused),
                Err(error) if self.supervisor.interrupt().is_asked() || Instant::now() > deadline => {
                    return Err(error);
                }
                Err(_) => refused += 1,
            }
        }
    }

    /// Runs all roles of the skill; `show` hears how far it is.
    pub fn execute(&mut self, mut show: impl FnMut(&Progress)) -> Result<Execution> {
        let program = self.program("execute_skill", ["--skill-id".into(), SKILL.into(), "--json".into()]);
        let (name, log) = (program.name.clone(), self.run.log(&program.name));
        let mut reader = Reader::default();
        self.supervisor.start_command(program)?;
        let ended = self.supervisor.wait_for("the end of the skill", EXECUTION_LIMIT, |supervisor| {
            let status = supervisor.ended(&name)?;
            let text = fs::read_to_string(&log).doing("read", &log)?;
            if let Some(progress) = reader.follow(&text) {
                show(&progress);
            }
            match (reader.result(), status) {
                (None, Some(status)) => Err(Error::Failed(format!(
                    "execute_skill gave no result ({status}); its output: {}",
                    log.display()
                ))),
                (result, _) => Ok(result.cloned()),
            }
        });
        let ended = ended?;
        self.supervisor.stop(&name)?;
        Ok(ended)
    }

    /// Puts the simulated cell back to its start, the parts where `seed` puts them.
    pub fn reset_simulation(&mut self, seed: u64) -> Result<()> {
        self.succeed("sim_trial", ["reset".into(), "--seed".into(), seed.to_string().into()]).map(|_| ())
    }

    /// The same by a person's hand: `/emergency_stop` is pressed first, so that what the safety monitor sees is held against nobody.
    pub fn reset_by_hand(&mut self, seed: u64) -> Result<()> {
        let seed = seed.to_string().into();
        self.succeed("sim_trial", ["reset".into(), "--by-hand".into(), "--seed".into(), seed]).map(|_| ())
    }

    /// What the cell's bridge says of itself, as the JSON of `bridge_status`.
    pub fn bridge_status(&mut self) -> Result<Value> {
        let answer = self.succeed("bridge_status", ["--json".into(), "--timeout".into(), "60".into()])?;
        last_object(&answer)
    }

    /// What the simulator itself knows: whether the parts are mated.
    pub fn parts_are_mated(&mut self) -> Result<bool> {
        let answer = self.succeed("sim_trial", ["look".into()])?;
        field(&answer, "mated", Value::as_bool)
    }

    /// Seconds that the simulator has given up since its start, because it could not keep up with the clock.
    pub fn simulation_lost_s(&mut self) -> Result<f64> {
        let answer = self.succeed("sim_trial", ["look".into()])?;
        field(&answer, "lost_s", Value::as_f64)
    }

    /// Starts the skill, and presses `/emergency_stop` once an arm moves faster than `above` (rad/s). Gives the simulated
    /// cycles until every commanded velocity was zero; the run, if something else has ended it first.
    pub fn stop_in_motion(&mut self, above: f64) -> Result<std::result::Result<u64, Execution>> {
        let trial = self.program("sim_trial", ["stop".into(), "--above".into(), above.to_string().into()]);
        let (name, log) = (trial.name.clone(), self.run.log(&trial.name));
        self.supervisor.start_command(trial)?;
        let execution = self.execute(|_| ())?;
        if execution.succeeded() {
            return Err(Error::Failed("a run that was stopped in its middle succeeded".to_owned()));
        }
        if !execution.message.contains("emergency_stop") {
            self.supervisor.stop(&name)?;
            return Ok(Err(execution));
        }
        let cycles = self.supervisor.wait_for("the stop's measure", COMMAND_LIMIT, |_| {
            let text = fs::read_to_string(&log).doing("read", &log)?;
            Ok(field(&text, "cycles", Value::as_u64).ok())
        });
        let cycles = cycles?;
        self.supervisor.wait_for_end(&name, COMMAND_LIMIT)?;
        Ok(Ok(cycles))
    }

    /// Stops all nodes as Ctrl-C would.
    pub fn stop(&mut self) -> Result<()> {
        self.supervisor.stop_all()
    }

    /// What this run tells a node: its places, its seed, who may watch.
    fn of_run(&self, node: &NodeConfig, options: &Options) -> Parameters {
        let text = |path: PathBuf| Value::from(path.to_string_lossy().into_owned());
        let mut parameters = Parameters::new();
        let mut put = |name: &str, value: Value| {
            parameters.insert(name.to_owned(), value);
        };
        if [SAFETY_MONITOR, SKILL_RUNTIME].contains(&node.package.as_str()) {
            put("artifact_store", text(self.materials.store()));
            put("trust_file", text(self.materials.trust_file()));
        }
        match node.package.as_str() {
            SIMULATOR => {
                put("seed", options.seed.into());
                if options.view {
                    put("view_dir", text(self.folder().join("view")));
                }
                if let Some(plan) = &self.plan {
                    put("cameras_address", plan.address.to_string().into());
                }
            }
            SAFETY_MONITOR => put("black_box.folder", text(self.folder().join("black_box"))),
            SKILL_RUNTIME => {
                put("recordings.folder", text(self.folder().join("recordings")));
                let ports: &[(&str, u16)] = match options.viewers {
                    Viewers::AsDeclared => &[],
                    Viewers::MetricsAt(port) => &[("view.metrics_port", port)],
                    Viewers::Off => {
                        &[("view.groot_port", 0), ("view.foxglove_port", 0), ("view.metrics_port", 0)]
                    }
                };
                for &(name, port) in ports {
                    put(name, port.into());
                }
            }
            REGISTRY_BRIDGE => {
                put("trust_file", text(self.materials.trust_file()));
                put("data_folder", text(self.folder().join("registry_bridge")));
            }
            _ => {}
        }
        parameters
    }

    /// Runs a command to its end; gives what it printed, and so does an error.
    fn succeed<const N: usize>(&mut self, executable: &str, arguments: [OsString; N]) -> Result<String> {
        let program = self.program(executable, arguments);
        let log = self.run.log(&program.name);
        let status = self.supervisor.run_to_end(program, COMMAND_LIMIT)?;
        let text = fs::read_to_string(&log).doing("read", &log)?;
        if status.success() {
            return Ok(text);
        }
        let tail = Tail { lines: text.lines().skip(1).map(str::to_owned).collect(), log: Some(log) };
        Err(Error::Failed(format!("{executable} ended with {status}{tail}")))
    }

    /// Each use of a command has a log of its own.
    fn program<const N: usize>(&mut self, executable: &str, arguments: [OsString; N]) -> Program {
        self.commands += 1;
        Program {
            name: format!("{:02}_{executable}", self.commands),
            executable: self.executables.join(executable),
            arguments: arguments.into(),
            variables: BTreeMap::new(),
        }
    }
}

/// A field of the last line of `output` that is a JSON object.
fn field<T>(output: &str, name: &str, read: impl Fn(&Value) -> Option<T>) -> Result<T> {
    let object = last_object(output).ok();
    object.as_ref().and_then(|object| object.get(name)).and_then(read).ok_or_else(|| {
        Error::Failed(format!("a JSON line with the field '{name}' was expected, and there was:\n{output}"))
    })
}

fn last_object(output: &str) -> Result<Value> {
    let object = output.lines().rev().find_map(|line| serde_json::from_str::<Value>(line).ok());
    object.ok_or_else(|| Error::Failed(format!("a JSON line was expected, and there was:\n{output}")))
}
