//! Roll-outs: a plan is handed in, the registry carries it out stage by stage; people look on, pause, resume, abort.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::{Map, Value};
use swarm_api::artifact::Reason;
use swarm_rollout::{Plan, RolloutPage, RolloutStatus};
use swarm_yaml::Cursor;

use super::approvals::waiting;
use crate::connection::{Answer, Registry};
use crate::output::{Table, fields, plain};
use crate::target::Reference;
use crate::{Context, Outcome, files};

/// Staged roll-outs with health gates.
#[derive(Debug, Subcommand)]
pub(crate) enum Rollout {
    /// Hand a plan in; it begins at once.
    Start {
        /// The plan (YAML): artifact (a digest, or SKILL@VERSION), cells, stages, gates.
        plan: PathBuf,
    },
    /// List roll-outs, newest first.
    List {
        /// At most so many.
        #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
    /// Show one: its stage, its cells, its history.
    Show(Which),
    /// Assign nothing further until it is resumed.
    Pause(WithReason),
    /// Go on.
    Resume(WithReason),
    /// End it. Cells that got the artifact go back to what they had.
    Abort {
        #[command(flatten)]
        args: WithReason,
        /// Leave the artifact where it is.
        #[arg(long)]
        keep: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// Number of the roll-out.
    #[arg(value_parser = clap::value_parser!(i64).range(1..))]
    id: i64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct WithReason {
    #[command(flatten)]
    which: Which,
    /// Why; it is kept in the history.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(crate) fn run(command: &Rollout, context: &Context) -> anyhow::Result<Outcome> {
    let registry = context.registry.open()?;
    let change = |verb: &str, args: &WithReason| {
        let reason = Reason { reason: args.reason.clone() };
        registry.post::<RolloutStatus>(&format!("/api/v1/rollouts/{}/{verb}", args.which.id), &reason)
    };
    let answer = match command {
        Rollout::Start { plan } => registry.post("/api/v1/rollouts", &read_plan(plan, &registry)?)?,
        Rollout::List { limit } => {
            let page: RolloutPage = registry.get(&format!("/api/v1/rollouts?limit={limit}"))?;
            context.output.show(&page, || table(&page))?;
            return Ok(Outcome::Done);
        }
        Rollout::Show(which) => Answer::Done(registry.get(&format!("/api/v1/rollouts/{}", which.id))?),
        Rollout::Pause(args) => change("pause", args)?,
        Rollout::Resume(args) => change("resume", args)?,
        Rollout::Abort { args, keep: false } => change("abort", args)?,
        Rollout::Abort { args, keep: true } => change("abort?keep=true", args)?,
    };
    match answer {
        Answer::Done(status) => context.output.show(&status, || describe(&status))?,
        Answer::Waiting(approval) => waiting(&approval, context.output)?,
    }
    Ok(Outcome::Done)
}

fn table(page: &RolloutPage) -> String {
    let mut table = Table::new([
        "id",
        "skill",
        "version",
        "state",
        "have it",
        "waiting",
        "refused",
        "taken back",
        "by",
        "begun",
    ]);
    for item in &page.items {
        let counts = &item.summary;
        table.row([
            item.id.to_string(),
            item.skill_name.clone(),
            item.version.clone(),
            item.state.name().to_owned(),
            (counts.taken + counts.already).to_string(),
            (counts.pending + counts.assigned).to_string(),
            counts.refused.to_string(),
            counts.taken_back.to_string(),
            item.created_by.clone(),
            item.created_at.clone(),
        ]);
    }
    table.text("no roll-outs")
}

fn describe(status: &RolloutStatus) -> String {
    let (rollout, counts) = (&status.rollout, &status.summary);
    let stages = &rollout.plan.stages;
    let stage = rollout.state.stage().and_then(|index| Some((index, stages.get(index)?)));
    let stage = stage.map_or_else(
        || "-".to_owned(),
        |(index, stage)| format!("{} of {}: {}", index + 1, stages.len(), stage.name),
    );
    let runs = format!("{} good, {} bad", rollout.counts.runs_succeeded, rollout.counts.runs_failed);
    let mut text = fields([
        ("roll-out", status.id.to_string()),
        ("artifact", format!("{} {} ({})", rollout.skill_name, rollout.version, rollout.plan.artifact)),
        ("state", rollout.state.name().to_owned()),
        ("stage", stage),
        ("have it", (counts.taken + counts.already).to_string()),
        ("waiting", (counts.pending + counts.assigned).to_string()),
        ("taken back", counts.taken_back.to_string()),
        ("runs", runs),
        ("stops", rollout.counts.safety_violations.to_string()),
        ("begun", format!("{} by {}", status.created_at, status.created_by)),
    ]);
    for wait in &status.waits_for {
        let _ = writeln!(text, "waits for: {}", plain(wait));
    }
    for entry in &status.history {
        let _ = writeln!(text, "{}  {}", plain(&entry.at), plain(&entry.text));
    }
    text
}

/// A plan, checked here: all its mistakes are said before anything is handed in.
fn read_plan(path: &Path, registry: &Registry) -> anyhow::Result<Plan> {
    let shown = || format!("the plan '{}'", path.display());
    let mut document = swarm_yaml::read(&files::read(path)?, to_json).with_context(shown)?;
    // People name a version, the registry a digest.
    if let Some(name) = document.get("artifact").and_then(Value::as_str).filter(|name| name.contains('@')) {
        let reference: Reference = name.parse().map_err(anyhow::Error::msg).with_context(shown)?;
        document["artifact"] = Value::String(reference.find(registry)?.digest);
    }
    let plan: Plan = serde_json::from_value(document).with_context(shown)?;
    plan.check().with_context(shown)?;
    Ok(plan)
}

/// A document as it is.
fn to_json(at: &Cursor<'_>) -> Option<Value> {
    Some(match at.value() {
        swarm_yaml::Value::Null => Value::Null,
        swarm_yaml::Value::Boolean(value) => Value::Bool(*value),
        swarm_yaml::Value::Integer(number) => Value::from(*number),
        swarm_yaml::Value::Number(number) => match serde_json::Number::from_f64(*number) {
            Some(number) => Value::Number(number),
            None => return at.expected("a finite number"),
        },
        swarm_yaml::Value::Text(text) => Value::String(text.clone()),
        swarm_yaml::Value::List(_) => Value::Array(at.list("a list", to_json)?),
        swarm_yaml::Value::Mapping(_) => {
            let read = at.mapping("a mapping", |_, value| to_json(value))?;
            Value::Object(read.into_iter().collect::<Map<_, _>>())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_in_yaml_is_the_same_in_json() {
        let text = "artifact: 7\ncells: all\nstages:\n- {name: canary, percent: 5}\n- {cells: [a, b]}\ngates: {min_success_rate: 0.9, quarantine: true}\n";
        let plan = swarm_yaml::read(text, to_json).unwrap();
        let expected = serde_json::json!({
            "artifact": 7, "cells": "all",
            "stages": [{"name": "canary", "percent": 5}, {"cells": ["a", "b"]}],
            "gates": {"min_success_rate": 0.9, "quarantine": true},
        });
        assert_eq!(plan, expected);
        assert!(swarm_yaml::read("a: .inf\n", to_json).is_err());
        assert!(swarm_yaml::read("a: 1\na: 2\n", to_json).is_err(), "a name twice");
    }
}
