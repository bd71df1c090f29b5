//! The list of faults for others to read: people (`FAULTS.md` beside the monitor's safety manual) and tests/ros/test_faults.py.

use serde_json::{Value, json};
use swarm_safety_core::Config;

use super::elsewhere::{ELSEWHERE, Elsewhere};
use super::{Begins, FAULTS, Fault, Found, OnBinary, Reaction, UNSEEN};

const INTRODUCTION: &str = "\
# Faults, and what the safety monitor does about each

Written by `safety_check fault-list`; a test holds this file against it, and checks that the tests it names exist.

*Core* means: injected into the decision that is shipped, into each of three arms, at 1,000 random moments of a motion
(`cargo xtask evidence safety-faults`). Found means that the reaction comes within two cycles of 1 ms after the fault can be
seen, and names one of the causes listed, of the arm that has the fault. *Binary* means: by messages from rclpy, to the
monitor's own program (`tests/ros/test_faults.py`; its time-outs there are 0.4 s, which a busy machine keeps, and the faults'
delays grow with them), or in the test that is named.
";

/// Everything, as Markdown. `config` is that of the rig, whose time-outs it names.
pub fn markdown(config: &Config) -> String {
    let mut lines = vec![
        INTRODUCTION.to_owned(),
        "## Of what the monitor hears and sees\n".to_owned(),
        "| fault | of | what is injected | can be seen | expected | causes | run on |".to_owned(),
        "|---|---|---|---|---|---|---|".to_owned(),
    ];
    lines.extend(FAULTS.iter().map(|fault| {
        let Fault { id, subject, says, observable, reaction, .. } = fault;
        let begins = match fault.begins {
            Begins::Moving => "",
            Begins::Cold => " (before the first reset)",
            Begins::Stopped => " (in a stop)",
        };
        let (subject, seen, expected) = (subject.name(), observable.text(config), reaction.name());
        let causes = codes(*reaction);
        format!(
            "| `{id}` | {subject} | {says}{begins} | {seen} | {expected} | {causes} | {} |",
            run_on(fault)
        )
    }));
    let by_messages = FAULTS.iter().filter(|fault| fault.binary == OnBinary::Messages).count();
    let tested = FAULTS.iter().filter(|fault| matches!(fault.binary, OnBinary::Test(_))).count();
    lines.push(format!(
        "\n{} faults: all on the core, {by_messages} by messages and {tested} in tests of their own on the binary.\n",
        FAULTS.len()
    ));
    lines.push("## Of the process, its disk, its limits and its drivers\n".to_owned());
    lines.push("| fault | what is injected | expected | until | run by |\n|---|---|---|---|---|".to_owned());
    lines.extend(ELSEWHERE.iter().map(|fault| {
        let Elsewhere { id, says, expected, deadline, tests } = fault;
        let tests: Vec<String> = tests.iter().map(|test| linked(test)).collect();
        format!("| `{id}` | {says} | {expected} | {deadline} | {} |", tests.join(", "))
    }));
    lines.push("\n## Not to be seen from what the monitor hears, and so not counted\n".to_owned());
    lines.push("| fault | assumption of use that covers it |\n|---|---|".to_owned());
    lines.extend(UNSEEN.iter().map(|(fault, assumption)| format!("| {fault} | {assumption} |")));
    lines.join("\n") + "\n"
}

/// The faults that are injected, for another language's injectors.
pub fn json(config: &Config) -> Value {
    let faults = FAULTS.iter().map(|fault| {
        let Fault { id, subject, says, reaction, observable, .. } = fault;
        let begins = match fault.begins {
            Begins::Moving => "moving",
            Begins::Cold => "cold",
            Begins::Stopped => "stopped",
        };
        json!({
            "id": id, "subject": subject.name(), "says": says, "begins": begins, "observable": observable.text(config),
            "reaction": reaction.name(), "causes": reaction.causes(),
            "by_messages": fault.binary == OnBinary::Messages,
        })
    });
    faults.collect()
}

/// Every test that the list names, as `file::function`.
pub fn tests() -> impl Iterator<Item = &'static str> {
    let injected = FAULTS.iter().filter_map(|fault| match fault.binary {
        OnBinary::Test(test) => Some(test),
        _ => None,
    });
    injected.chain(ELSEWHERE.iter().flat_map(|fault| fault.tests.iter().copied()))
}

/// What a run has measured, as a Markdown table.
pub fn measured(found: &[Found], config: &Config) -> String {
    let mut lines = vec![
        "| fault | what goes wrong | observable | reaction | shown as | detected | worst cycles |".to_owned(),
        "|---|---|---|---|---|---|---|".to_owned(),
    ];
    lines.extend(found.iter().map(|found| {
        let Fault { id, says, observable, reaction, .. } = found.fault;
        let (detected, episodes, worst) = (found.detected, found.episodes, found.worst_cycles);
        let (seen, reaction, causes) = (observable.text(config), reaction.name(), found.causes.join(", "));
        format!("| `{id}` | {says} | {seen} | {reaction} | {causes} | {detected}/{episodes} | {worst} |")
    }));
    lines.join("\n") + "\n"
}

fn codes(reaction: Reaction) -> String {
    reaction.causes().iter().map(|code| format!("`{code}`")).collect::<Vec<_>>().join(" or ")
}

fn run_on(fault: &Fault) -> String {
    match fault.binary {
        OnBinary::Messages => "core, binary".to_owned(),
        OnBinary::Test(test) => format!("core, binary: {}", linked(test)),
        OnBinary::No(why) => format!("core ({why})"),
    }
}

/// A test's name, with the way to its file from where the list lies.
fn linked(test: &str) -> String {
    let (file, name) = test.split_once("::").unwrap_or((test, test));
    format!("[{name}](../../../{file})")
}
