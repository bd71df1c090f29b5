//! Plans from outside: every mistake at once, nothing unknown, and state that survives a database.

mod common;

use common::{Bench, named, plan, share};
use serde_json::{Value, json};
use swarm_rollout::{Cells, Plan, Rollout, State};

fn mistakes(plan: &Plan) -> Vec<(String, String)> {
    let error = plan.check().unwrap_err();
    error.mistakes.into_iter().map(|mistake| (mistake.field, mistake.problem)).collect()
}

#[test]
fn all_mistakes_of_a_plan_are_named_at_once() {
    let mut bad = plan(vec![
        share("canary", 50),
        share("canary", 50),
        named("named", &["cell-01", "cell-01", "no such/name"]),
        named("", &["cell-01"]),
    ]);
    bad.stages.push(swarm_rollout::Stage { name: "both".to_owned(), percent: Some(0), cells: Some(vec![]) });
    bad.stages.push(swarm_rollout::Stage { name: "neither".to_owned(), ..swarm_rollout::Stage::default() });
    bad.artifact = "B".repeat(64);
    bad.cells = Cells::Named(vec!["cell-00".to_owned()]);
    bad.gates.min_success_rate = f64::NAN;
    bad.offline_after_s = 3;
    bad.seed = u64::MAX;

    let fields: Vec<String> = mistakes(&bad).into_iter().map(|(field, _)| field).collect();
    for field in [
        "artifact",
        "stages[1].name",
        "stages[1].percent",
        "stages[2].cells",
        "stages[3].name",
        "stages[4]",
        "stages[5]",
        "gates.min_success_rate",
        "offline_after_s",
        "seed",
    ] {
        assert!(fields.iter().any(|found| found == field), "{field} is not among {fields:?}");
    }
    let text = bad.check().unwrap_err().to_string();
    assert!(text.contains("'no such/name' is no cell's name"), "{text}");
    assert!(text.contains("'cell-01' is not among the roll-out's cells"), "{text}");
    assert!(text.contains("offline_after_s: is 3; it must be from 10 to"), "{text}");
    assert!(Rollout::begin(bad, "skill", "1.0.0", None, 0).is_err(), "a bad plan was begun");
}

#[test]
fn a_plan_without_stages_is_refused() {
    assert_eq!(mistakes(&plan(vec![]))[0].0, "stages");
}

#[test]
fn a_plan_is_read_strictly_and_has_careful_defaults() {
    let text = json!({
        "artifact": "b".repeat(64), "cells": "all",
        "stages": [{"name": "canary", "percent": 5}, {"name": "bench", "cells": ["cell-01"]}],
        "gates": {"observe_s": 600, "min_runs": 20, "min_success_rate": 0.95},
    });
    let read: Plan = serde_json::from_value(text.clone()).unwrap();
    read.check().unwrap();
    assert_eq!((read.offline_after_s, read.take_up_s, read.quarantine_on_failure), (30, 86_400, true));
    assert_eq!((read.gates.max_crashes, read.gates.max_safety_violations, read.gates.max_refused), (0, 0, 0));

    for pointer in ["", "/gates", "/stages/0"] {
        let mut unknown = text.clone();
        unknown.pointer_mut(pointer).unwrap()["minRuns"] = json!(0);
        let error = serde_json::from_value::<Plan>(unknown).unwrap_err().to_string();
        assert!(error.contains("unknown field `minRuns`"), "{error}");
    }
}

#[test]
fn a_rollout_goes_on_from_its_json() {
    let mut plain = Bench::new(plan(vec![share("canary", 10), share("all", 100)]), 20);
    let mut stored = Bench::new(plan(vec![share("canary", 10), share("all", 100)]), 20);
    for _ in 0..60 {
        let text = serde_json::to_string(&stored.rollout).unwrap();
        stored.rollout = serde_json::from_str(&text).unwrap();
        assert_eq!(plain.step(), stored.step());
        for bench in [&mut plain, &mut stored] {
            bench.take_up_all();
            bench.pass(10);
        }
    }
    assert!(matches!(stored.rollout.state, State::Done { .. }), "{:?}", stored.rollout.state);
    let value: Value = serde_json::to_value(&stored.rollout).unwrap();
    assert_eq!(value["state"]["state"], "done");
    assert_eq!(value["members"]["cell-03"]["standing"]["standing"], "taken");
}
