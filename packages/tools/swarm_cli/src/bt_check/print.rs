//! Findings as lines, as JSON, and as files that `cell bt run` plays.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Map, Value, json};
use swarm_bt_check::{Example, Finding, LeafScript, Report, RoleScript, Severity};

use super::count;
use super::documents::Document;
use crate::output::{print_json, replace};

/// Steps of an example that are printed at most; its end is what matters.
const STEPS: usize = 12;

/// The file with one role's answers in the example of a finding.
#[derive(Debug)]
pub(super) struct ExampleFile {
    finding: usize,
    role: String,
    path: PathBuf,
}

/// Writes the answers of each role in each example.
pub(super) fn write_examples(folder: &Path, report: &Report) -> anyhow::Result<Vec<ExampleFile>> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create '{}'", folder.display()))?;
    let mut files = Vec::new();
    for (finding, number) in report.findings.iter().zip(0..) {
        for script in finding.example.iter().flat_map(|example| &example.roles) {
            let role = if script.role.is_empty() { "tree" } else { &script.role };
            let path = folder.join(format!("{}-{}-{role}.json", finding.code, number + 1));
            replace(&path, &format!("{:#}\n", leaves(script)))?;
            files.push(ExampleFile { finding: number, role: script.role.clone(), path });
        }
    }
    Ok(files)
}

pub(super) fn text(report: &Report, documents: &[Document], examples: &[ExampleFile]) {
    for (finding, number) in report.findings.iter().zip(0..) {
        println!("{finding}");
        let Some(example) = &finding.example else { continue };
        print_steps(example);
        for file in examples.iter().filter(|file| file.finding == number) {
            let ticks =
                example.roles.iter().find(|script| script.role == file.role).map_or(0, |script| script.ticks);
            println!("    {}", command(documents, file, ticks));
        }
    }
    for (role, visits) in &report.visits {
        println!("{}at most {visits} node visits per tick", prefix(role));
    }
    for explored in &report.explored {
        println!("{explored}");
    }
    let (errors, warnings) = (count(report, Severity::Error), count(report, Severity::Warning));
    println!("{} trees: {errors} errors, {warnings} warnings", documents.len());
}

fn print_steps(example: &Example) {
    let left_out = example.steps.len().saturating_sub(STEPS);
    if example.steps.is_empty() {
        println!("    from the first tick on");
    }
    if left_out > 0 {
        println!("    {left_out} steps, and then");
    }
    for step in example.steps.iter().skip(left_out) {
        println!("    {step}");
    }
}

/// What plays the example of one role.
fn command(documents: &[Document], file: &ExampleFile, ticks: usize) -> String {
    let document = documents.iter().find(|document| document.role == file.role);
    let tree = document.and_then(|document| document.texts.first()).map_or("TREE.xml", |(name, _)| name);
    let main = document.and_then(|document| document.main.as_ref());
    let main = main.map(|id| format!(" --main-tree {id}")).unwrap_or_default();
    format!("cell bt run {tree} --leaves {} --ticks {ticks} --trace - --strict{main}", file.path.display())
}

fn prefix(role: &str) -> String {
    if role.is_empty() { String::new() } else { format!("{role}: ") }
}

pub(super) fn json(report: &Report, documents: &[Document]) -> anyhow::Result<()> {
    let explored = report.explored.iter().map(|explored| {
        json!({
            "what": explored.what, "states": explored.states, "depth": explored.depth, "exhausted": explored.exhausted,
        })
    });
    let visits = report.visits.iter().map(|(role, visits)| json!({"role": role, "max_visits": visits}));
    print_json(&json!({
        "trees": documents.len(),
        "errors": count(report, Severity::Error),
        "warnings": count(report, Severity::Warning),
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
        "visits": visits.collect::<Vec<_>>(),
        "explored": explored.collect::<Vec<_>>(),
    }))
}

fn finding(finding: &Finding) -> Value {
    let example = finding.example.as_ref().map(|example| {
        let roles = example
            .roles
            .iter()
            .map(|script| json!({"role": script.role, "ticks": script.ticks, "leaves": leaves(script)}));
        json!({"steps": example.steps, "roles": roles.collect::<Vec<_>>()})
    });
    json!({
        "code": finding.code.as_str(), "severity": finding.severity.as_str(), "role": finding.role,
        "document": finding.document, "line": finding.line, "uid": finding.uid, "path": finding.path,
        "problem": finding.problem, "advice": finding.advice, "example": example,
    })
}

/// The script file of `cell bt run`.
fn leaves(script: &RoleScript) -> Value {
    let leaf = |leaf: &LeafScript| {
        let kind = if leaf.condition { "condition" } else { "action" };
        let answers: Vec<&str> = leaf.answers.iter().map(|answer| answer.as_str()).collect();
        let mut entry = json!({"kind": kind, "answers": answers});
        if !leaf.outputs.is_empty() {
            entry["outputs"] = json!(leaf.outputs);
        }
        (leaf.leaf.clone(), entry)
    };
    Value::Object(script.leaves.iter().map(leaf).collect::<Map<_, _>>())
}
