//! `cargo xtask evidence NAME`: runs a workload that measures, and its reference beside it in the same run; prints a table
//! and writes `target/evidence/NAME.json`.
//!
//! A workload gives `{"figures": {..}, "reference": {..}, "ratios": {..}}`: a program of the workspace writes it to the file
//! that its last argument names, a ROS program prints it as its last line, and the demo's series of runs is measured by
//! [`crate::demo::trials`]. `name`, `machine` and `commit` are added here.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::compile::{self, Profile};
use crate::demo::interrupt::Interrupt;
use crate::demo::trials;
use crate::error::{Error, IoContext, Result};
use crate::layout::Layout;
use crate::process::{output, run_logged};
use crate::ros::RosEnv;
use crate::ros::debian::{self, Need, REAL_TIME_TOOLS};
use crate::ui::Task;

/// Something that can be measured.
#[derive(Debug)]
struct Evidence {
    name: &'static str,
    about: &'static str,
    workload: Workload,
}

#[derive(Debug)]
enum Workload {
    /// An executable that needs no ROS; the output file follows `arguments`.
    Program {
        package: &'static str,
        executable: &'static str,
        arguments: &'static [&'static str],
        oracle: Oracle,
    },
    /// An executable of a node package, run in a ROS domain of its own; its last line is the result.
    RosProgram { executable: &'static str, arguments: &'static [&'static str], tools: &'static [Need] },
    /// The demo's skill, over and over.
    Trials,
}

/// What a program measures itself against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Oracle {
    Itself,
    /// Packages of the Python that tests run with; `SWARM_TEST_PYTHON` names it to the program.
    Python,
}

const EVIDENCES: &[Evidence] = &[
    Evidence {
        name: "demo",
        about: "20 perturbed assemblies; emergency stops in motion; deploying and rolling back",
        workload: Workload::Trials,
    },
    Evidence {
        name: "artifact",
        about: "bad artifacts refused; verification against plain SHA-256; memory against size",
        workload: Workload::Program {
            package: "swarm_cli",
            executable: "cell",
            arguments: &["evidence-artifact", "--out"],
            oracle: Oracle::Itself,
        },
    },
    Evidence {
        name: "gate",
        about: "a command's way through the safety gate against a bare echo node",
        workload: Workload::RosProgram { executable: "gate_latency", arguments: &[], tools: &[] },
    },
    Evidence {
        name: "swap",
        about: "deployments and rollbacks beside a running skill, with kills at random moments",
        workload: Workload::RosProgram { executable: "swap_evidence", arguments: &[], tools: &[] },
    },
    Evidence {
        name: "safety-jitter",
        about: "how late the deciding thread wakes, against cyclictest on the same CPU in the same seconds",
        workload: Workload::RosProgram {
            executable: "safety_evidence",
            arguments: &["jitter"],
            tools: &REAL_TIME_TOOLS,
        },
    },
    Evidence {
        name: "safety-estop",
        about: "from a stop's message in the process to every permit withdrawn, against a bare eventfd",
        workload: Workload::RosProgram { executable: "safety_evidence", arguments: &["estop"], tools: &[] },
    },
    Evidence {
        name: "safety-purity",
        about: "allocations, locks, page faults and system calls of the deciding thread",
        workload: Workload::RosProgram { executable: "safety_evidence", arguments: &["purity"], tools: &[] },
    },
    Evidence {
        name: "safety-cost",
        about: "a verdict on three arms; forward kinematics and Jacobian against Pinocchio in C++",
        workload: Workload::Program {
            package: "swarm_cli",
            executable: "cell",
            arguments: &["evidence-kinematics", "--out"],
            oracle: Oracle::Python,
        },
    },
    Evidence {
        name: "safety-proof",
        about: "every history of inputs on the shipped decision; deliberate defects of it, all found",
        workload: Workload::Program {
            package: "swarm_safety_check",
            executable: "safety_check",
            arguments: &["proof", "--out"],
            oracle: Oracle::Itself,
        },
    },
    Evidence {
        name: "safety-faults",
        about: "faults injected into every arm of a running cell at random moments",
        workload: Workload::Program {
            package: "swarm_safety_check",
            executable: "safety_check",
            arguments: &["faults", "--out"],
            oracle: Oracle::Itself,
        },
    },
    Evidence {
        name: "safety-availability",
        about: "stops that nothing calls for in 100 h of simulated work; what slowing down for people costs",
        workload: Workload::RosProgram { executable: "safety_availability", arguments: &[], tools: &[] },
    },
    Evidence {
        name: "black-box",
        about: "recordings tampered with, writers killed, every verdict derived again in another process",
        workload: Workload::Program {
            package: "swarm_cli",
            executable: "cell",
            arguments: &["evidence-black-box", "--out"],
            oracle: Oracle::Itself,
        },
    },
    Evidence {
        name: "bt-oracle",
        about: "random behaviour trees on BehaviorTree.CPP and here, every transition compared",
        workload: Workload::Program {
            package: "swarm_bt_evidence",
            executable: "bt_evidence",
            arguments: &["oracle", "--out"],
            oracle: Oracle::Python,
        },
    },
    Evidence {
        name: "bt-speed",
        about: "ticks, logs, scripts and loading of behaviour trees, in turns with BehaviorTree.CPP",
        workload: Workload::Program {
            package: "swarm_bt_evidence",
            executable: "bt_evidence",
            arguments: &["speed", "--out"],
            oracle: Oracle::Python,
        },
    },
    Evidence {
        name: "bt-replay",
        about: "random runs of behaviour trees recorded, killed and replayed bit for bit",
        workload: Workload::Program {
            package: "swarm_bt_evidence",
            executable: "bt_evidence",
            arguments: &["replay", "--out"],
            oracle: Oracle::Itself,
        },
    },
    Evidence {
        name: "roles",
        about: "the protocol between roles in a million episodes under faults, and every fate of every message",
        workload: Workload::Program {
            package: "swarm_role_check",
            executable: "role_check",
            arguments: &["proof", "--out"],
            oracle: Oracle::Itself,
        },
    },
];

/// ROS domain in which nothing else is expected.
const QUIET_DOMAIN: &str = "97";

/// Names to numbers.
type Values = BTreeMap<String, f64>;

/// What a workload writes.
#[derive(Debug, Deserialize, Serialize)]
struct Measured {
    figures: Values,
    #[serde(default)]
    reference: Values,
    #[serde(default)]
    ratios: Values,
}

/// What `target/evidence/NAME.json` holds.
#[derive(Debug, Serialize)]
struct Report<'a> {
    name: &'a str,
    #[serde(flatten)]
    measured: &'a Measured,
    machine: Machine,
    commit: String,
}

#[derive(Debug, Serialize)]
struct Machine {
    cpu: String,
    cores: usize,
    memory_gib: f64,
    os: String,
    kernel: String,
    real_time_kernel: bool,
}

/// Measures `name`.
pub fn run(layout: &Layout, name: &str) -> Result<()> {
    let Some(evidence) = EVIDENCES.iter().find(|evidence| evidence.name == name) else {
        let known: Vec<&str> = EVIDENCES.iter().map(|evidence| evidence.name).collect();
        return Err(Error::UnknownEvidence { asked: name.to_owned(), known: known.join(", ") });
    };
    let folder = layout.evidence();
    fs::create_dir_all(&folder).doing("create", &folder)?;
    let measured = measure(layout, evidence, &folder)?;
    let report = Report { name, measured: &measured, machine: machine(), commit: commit(layout)? };
    print!("{}", table(&report));
    let path = folder.join(format!("{name}.json"));
    let text = serde_json::to_string_pretty(&report)
        .map_err(|error| Error::Malformed { path: path.clone(), problem: error.to_string() })?;
    fs::write(&path, text + "\n").doing("write", &path)?;
    println!("\nwritten to {}", path.display());
    Ok(())
}

fn measure(layout: &Layout, evidence: &Evidence, folder: &Path) -> Result<Measured> {
    let (name, about) = (evidence.name, evidence.about);
    let log = folder.join(format!("{name}.log"));
    match evidence.workload {
        Workload::Program { package, executable, arguments, oracle } => {
            let python = match oracle {
                Oracle::Itself => None,
                Oracle::Python => Some(RosEnv::ready(layout)?.python()),
            };
            let program = compile::executable(layout, package, executable, Profile::Release)?;
            let raw = folder.join(format!("{name}.raw.json"));
            let task = Task::start(format!("measure {name}: {about}"));
            let mut command = Command::new(program);
            command.args(arguments).arg(&raw).current_dir(layout.root());
            command.envs(python.map(|python| ("SWARM_TEST_PYTHON", python)));
            run_logged("the measurement", &mut command, &log, |line| task.say(line))?;
            task.done();
            let measured = read(&raw)?;
            fs::remove_file(&raw).doing("remove", &raw)?;
            Ok(measured)
        }
        Workload::RosProgram { executable, arguments, tools } => {
            debian::ensure(layout, tools)?;
            let ros = RosEnv::ready(layout)?;
            let executables = compile::executables(layout, &ros, Profile::Release)?;
            let task = Task::start(format!("measure {name}: {about}"));
            let mut command = Command::new(executables.join(executable));
            command.args(arguments);
            ros.apply(&mut command).env("ROS_DOMAIN_ID", QUIET_DOMAIN).current_dir(layout.root());
            let mut last = String::new();
            run_logged("the measurement", &mut command, &log, |line| {
                task.say(line);
                line.clone_into(&mut last);
            })?;
            task.done();
            serde_json::from_str(&last)
                .map_err(|error| Error::Malformed { path: log, problem: error.to_string() })
        }
        Workload::Trials => {
            let interrupt = Interrupt::install().doing("listen for Ctrl-C in", layout.root())?;
            let ros = RosEnv::ready(layout)?;
            let executables = compile::executables(layout, &ros, Profile::Release)?;
            let task = Task::start(format!("measure {name}: {about}"));
            let figures = trials::measure(layout, &ros, &executables, interrupt, &task)?;
            task.done();
            Ok(Measured { figures, reference: Values::new(), ratios: Values::new() })
        }
    }
}

fn read(path: &Path) -> Result<Measured> {
    let text = fs::read_to_string(path).doing("read", path)?;
    serde_json::from_str(&text)
        .map_err(|error| Error::Malformed { path: path.to_path_buf(), problem: error.to_string() })
}

fn table(report: &Report<'_>) -> String {
    let Measured { figures, reference, ratios } = report.measured;
    let parts = [("figures", figures), ("reference", reference), ("ratios", ratios)];
    let width = parts.iter().flat_map(|(_, values)| values.keys()).map(String::len).max().unwrap_or(0);
    let mut lines = vec![format!("{} at {}", report.name, report.commit), report.machine.to_string()];
    for (title, values) in parts.into_iter().filter(|(_, values)| !values.is_empty()) {
        lines.push(format!("\n{title}"));
        lines.extend(values.iter().map(|(name, value)| format!("  {name:<width$}  {:>14}", number(*value))));
    }
    lines.join("\n") + "\n"
}

/// Whole numbers as such, others with four digits that count.
fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return format!("{value:.0}");
    }
    let magnitude = value.abs().log10().floor().clamp(-12.0, 3.0) as i32;
    format!("{value:.*}", usize::try_from(3 - magnitude).unwrap_or(0))
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.real_time_kernel { ", real-time" } else { "" };
        let Self { cpu, cores, memory_gib, os, kernel, .. } = self;
        write!(f, "{cores} cores of {cpu}, {memory_gib:.0} GiB, {os}, kernel {kernel}{kind}")
    }
}

fn machine() -> Machine {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str, separator: char| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(separator))
            .map(|(_, value)| value.trim().trim_matches('"').to_owned())
    };
    let memory = field(&text("/proc/meminfo"), "MemTotal", ':').unwrap_or_default();
    let kib: f64 = memory.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0.0);
    Machine {
        cpu: field(&text("/proc/cpuinfo"), "model name", ':').unwrap_or_else(|| "unknown".to_owned()),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_gib: kib / f64::from(1 << 20),
        os: field(&text("/etc/os-release"), "PRETTY_NAME", '=').unwrap_or_else(|| "unknown".to_owned()),
        kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
        real_time_kernel: text("/sys/kernel/realtime").trim() == "1",
    }
}

/// The commit that is measured; `-dirty` when tracked files differ from it.
fn commit(layout: &Layout) -> Result<String> {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(layout.root());
        output("asking git for the commit", &mut command)
    };
    let head = git(&["rev-parse", "HEAD"])?;
    let changes = git(&["status", "--porcelain", "--untracked-files=no"])?;
    let mark = if changes.trim().is_empty() { "" } else { "-dirty" };
    Ok(format!("{}{mark}", head.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = run(&Layout::at("/nowhere"), "speed").unwrap_err();
        assert_eq!(
            error.to_string(),
            "no evidence is called `speed`; there are: demo, artifact, gate, swap, safety-jitter, safety-estop, safety-purity, safety-cost, safety-proof, safety-faults, safety-availability, black-box, bt-oracle, bt-speed, bt-replay, roles"
        );
    }

    #[test]
    fn numbers_keep_four_digits_that_count() {
        let shown = [24.0, 0.91234, 1234.5678, 0.000_012_34, -3.25].map(number);
        assert_eq!(shown, ["24", "0.9123", "1235", "0.00001234", "-3.250"]);
    }

    #[test]
    fn the_file_has_the_documented_keys() {
        let text = r#"{"figures": {"bad_total": 24}, "reference": {"sha256_gb_per_s": 1.5}, "ratios": {"ratio_sha256": 0.9}}"#;
        let measured: Measured = serde_json::from_str(text).unwrap();
        let report =
            Report { name: "artifact", measured: &measured, machine: machine(), commit: "abc".into() };
        let json = serde_json::to_value(&report).unwrap();
        let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["commit", "figures", "machine", "name", "ratios", "reference"]);
        let table = table(&report);
        assert!(table.contains("\nfigures\n  bad_total") && table.contains("ratio_sha256"), "{table}");
    }
}
