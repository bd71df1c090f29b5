//! `cargo xtask evidence NAME`: runs a workload that measures, and its reference beside it in the same run; prints a table
//! and writes `target/evidence/NAME.json`.
//!
//! A workload gives `{"figures": {..}, "reference": {..}, "ratios": {..}}`: a program of the workspace writes it to the file
//! that its last argument names, a ROS program prints it as its last line, and the demo's series of runs are measured by
//! [`crate::demo::trials`] and [`crate::demo::soak`]. `name`, `machine` and `commit` are added here.

mod list;
mod machine;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde::{Deserialize, Serialize};

use crate::compile::{self, Profile};
use crate::demo::interrupt::Interrupt;
use crate::demo::soak::{self, Soaked};
use crate::demo::trials;
use crate::error::{Error, IoContext, Result};
use crate::layout::Layout;
use crate::process::{output, run_logged};
use crate::ros::RosEnv;
use crate::ros::debian::{self, Need};
use crate::ui::Task;
pub use list::Evidence;
use list::{EVIDENCES, Oracle, Workload};
use machine::{Machine, machine};

/// What the user chose.
#[derive(Debug, Clone)]
pub struct Options {
    /// For how long a workload goes on that has no end of its own.
    pub minutes: Option<f64>,
    /// Instead of `target/evidence/NAME.json`.
    pub out: Option<PathBuf>,
    /// Of the programs that run in ROS. Others are always measured as released.
    pub profile: Profile,
}

/// ROS domain in which nothing else is expected.
const QUIET_DOMAIN: &str = "97";

/// Crate of the programs that measure capture.
const CAPTURE_CHECK: &str = "swarm_capture_check";

/// How long `soak` takes unless the user says otherwise, and what can be said, min.
const SOAK_MINUTES: f64 = 30.0;
const SOAK_RANGE_MINUTES: std::ops::RangeInclusive<f64> = 1.0..=10_080.0;

/// Names to numbers.
type Values = BTreeMap<String, f64>;

/// What a workload writes. What it says beside these three would be lost, so it is refused.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
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

/// What can be asked for on the command line, with what each measures.
pub fn names() -> impl TypedValueParser<Value = &'static Evidence> {
    let listed = EVIDENCES.iter().map(|evidence| PossibleValue::new(evidence.name).help(evidence.about));
    PossibleValuesParser::new(listed)
        .try_map(|name| EVIDENCES.iter().find(|evidence| evidence.name == name).ok_or("not in the list"))
}

/// Measures `evidence`.
pub fn run(layout: &Layout, evidence: &Evidence, options: &Options) -> Result<()> {
    let name = evidence.name;
    let time = time(evidence, options.minutes)?;
    let folder = layout.evidence();
    fs::create_dir_all(&folder).doing("create", &folder)?;
    let measured = measure(layout, evidence, &folder, time, options.profile)?;
    let report = Report { name, measured: &measured, machine: machine(), commit: commit(layout)? };
    print!("{}", table(&report));
    let path = options.out.clone().unwrap_or_else(|| folder.join(format!("{name}.json")));
    let text = serde_json::to_string_pretty(&report)
        .map_err(|error| Error::Malformed { path: path.clone(), problem: error.to_string() })?;
    fs::write(&path, text + "\n").doing("write", &path)?;
    println!("\nwritten to {}", path.display());
    Ok(())
}

/// For how long to measure.
fn time(evidence: &Evidence, minutes: Option<f64>) -> Result<Duration> {
    if !matches!(evidence.workload, Workload::Soak) && minutes.is_some() {
        let name = evidence.name;
        return Err(Error::Failed(format!("{name} takes as long as it takes; --minutes is for `soak`")));
    }
    let minutes = minutes.unwrap_or(SOAK_MINUTES);
    if SOAK_RANGE_MINUTES.contains(&minutes) {
        return Ok(Duration::from_secs_f64(minutes * 60.0));
    }
    let (least, most) = (SOAK_RANGE_MINUTES.start(), SOAK_RANGE_MINUTES.end());
    Err(Error::Failed(format!("--minutes is {minutes}, expected {least} to {most}")))
}

/// What [`program`] runs.
struct Measurement<'a> {
    package: &'a str,
    executable: &'a str,
    arguments: &'a [&'a str],
    starts: &'a [&'a str],
    python: Option<PathBuf>,
    /// A node that the program starts.
    node: Option<(&'a RosEnv, PathBuf)>,
}

/// Runs an executable that is not itself in ROS and writes its result into a file.
fn program(layout: &Layout, evidence: &Evidence, folder: &Path, what: Measurement<'_>) -> Result<Measured> {
    let (name, about) = (evidence.name, evidence.about);
    let program = compile::executable(layout, what.package, what.executable, what.starts, Profile::Release)?;
    let raw = folder.join(format!("{name}.raw.json"));
    let task = Task::start(format!("measure {name}: {about}"));
    let mut command = Command::new(program);
    command.args(what.arguments).arg(&raw).current_dir(layout.root());
    command.envs(what.python.map(|python| ("SWARM_TEST_PYTHON", python)));
    if let Some((ros, node)) = what.node {
        ros.apply(&mut command).env("ROS_DOMAIN_ID", QUIET_DOMAIN).arg("--node").arg(node);
    }
    let log = folder.join(format!("{name}.log"));
    run_logged("the measurement", &mut command, &log, |line| task.say(line))?;
    task.done();
    let measured = read(&raw)?;
    fs::remove_file(&raw).doing("remove", &raw)?;
    Ok(measured)
}

/// What all measurements need of the system.
pub fn tools() -> impl Iterator<Item = &'static [Need]> {
    EVIDENCES.iter().map(|evidence| evidence.workload.tools())
}

fn measure(
    layout: &Layout,
    evidence: &Evidence,
    folder: &Path,
    time: Duration,
    profile: Profile,
) -> Result<Measured> {
    let (name, about) = (evidence.name, evidence.about);
    let log = folder.join(format!("{name}.log"));
    debian::ensure(layout, evidence.workload.tools())?;
    match evidence.workload {
        Workload::Program { package, executable, arguments, oracle, starts, .. } => {
            let python = match oracle {
                Oracle::Itself => None,
                Oracle::Python => Some(RosEnv::ready(layout)?.python()),
            };
            program(
                layout,
                evidence,
                folder,
                Measurement { package, executable, arguments, starts, python, node: None },
            )
        }
        Workload::Capture { executable, .. } => {
            let python = Some(RosEnv::ready(layout)?.python());
            let package = CAPTURE_CHECK;
            let what = Measurement { package, executable, arguments: &[], starts: &[], python, node: None };
            program(layout, evidence, folder, what)
        }
        Workload::CaptureWithNode { executable, node, .. } => {
            let ros = RosEnv::ready(layout)?;
            let node = compile::executables(layout, &ros, profile)?.join(node);
            let (package, python) = (CAPTURE_CHECK, Some(ros.python()));
            let node = Some((&ros, node));
            let what = Measurement { package, executable, arguments: &[], starts: &[], python, node };
            program(layout, evidence, folder, what)
        }
        Workload::RosProgram { executable, arguments, .. } => {
            let ros = RosEnv::ready(layout)?;
            let executables = compile::executables(layout, &ros, profile)?;
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
            let executables = compile::executables(layout, &ros, profile)?;
            let task = Task::start(format!("measure {name}: {about}"));
            let figures = trials::measure(layout, &ros, &executables, interrupt, &task)?;
            task.done();
            Ok(Measured { figures, reference: Values::new(), ratios: Values::new() })
        }
        Workload::Soak => {
            let interrupt = Interrupt::install().doing("listen for Ctrl-C in", layout.root())?;
            let ros = RosEnv::ready(layout)?;
            let executables = compile::executables(layout, &ros, profile)?;
            let task = Task::start(format!("measure {name}: {about}"));
            let Soaked { figures, reference } =
                soak::measure(layout, &ros, &executables, interrupt, &task, time)?;
            task.done();
            Ok(Measured { figures, reference, ratios: Values::new() })
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

    fn with_minutes(name: &str, minutes: f64) -> Error {
        let options = Options { minutes: Some(minutes), out: None, profile: Profile::Dev };
        let evidence = EVIDENCES.iter().find(|evidence| evidence.name == name).unwrap();
        run(&Layout::at("/nowhere"), evidence, &options).unwrap_err()
    }

    #[test]
    fn a_time_is_taken_where_it_means_something() {
        let error = with_minutes("gate", 2.0).to_string();
        assert_eq!(error, "gate takes as long as it takes; --minutes is for `soak`");
        for minutes in [0.5, -1.0, f64::NAN, f64::INFINITY] {
            let error = with_minutes("soak", minutes).to_string();
            assert_eq!(error, format!("--minutes is {minutes}, expected 1 to 10080"));
        }
    }

    #[test]
    fn numbers_keep_four_digits_that_count() {
        let shown = [24.0, 0.91234, 1234.5678, 0.000_012_34, -3.25].map(number);
        assert_eq!(shown, ["24", "0.9123", "1235", "0.00001234", "-3.250"]);
    }

    #[test]
    fn what_would_not_reach_the_file_is_refused() {
        let text = r#"{"figures": {"p50_us": 100}, "lost": {"gate": 3}}"#;
        let error = serde_json::from_str::<Measured>(text).unwrap_err().to_string();
        assert!(error.starts_with("unknown field `lost`"), "{error}");
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
