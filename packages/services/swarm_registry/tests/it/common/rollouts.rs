//! What a registry promises about roll-outs. What the engine decides is tested with the engine (`swarm_rollout`); here is that it
//! is carried out, and survives.

use axum::body::Body;
use serde_json::{Value, json};
use swarm_api::deployment::Rollback;
use swarm_registry::approval::Request;

use super::artifacts::Signed;
use super::ceremony::{People, target_path};
use super::fleet::report;
use super::{NOW, Registry};

const CELLS: usize = 5;

/// Cells that do as they are told, and report what they run.
struct Floor {
    people: People,
    /// Numbers of 1.0.0, on which every cell is, and of 1.1.0.
    ids: Vec<i64>,
    sequence: u64,
}

impl Floor {
    async fn new(registry: &Registry) -> Self {
        let mut people = registry.begin_updates().await;
        let ids = registry.release(&mut people, &["1.0.0", "1.1.0"]).await;
        let mut floor = Self { people, ids, sequence: 0 };
        for at in 0..CELLS {
            let body = json!({"site_id": format!("cell-{at}"), "csa_id": floor.ids[0], "reason": "test"});
            registry.post("/api/v1/deployments", &body).await.expect(200);
        }
        floor.report(registry, 0).await;
        floor
    }

    /// Every cell runs what it is assigned; `crashes` are those of the new version since it came.
    async fn report(&mut self, registry: &Registry, crashes: u64) {
        self.sequence += 1;
        let new = Signed::version("1.1.0").digest();
        for at in 0..CELLS {
            let site = format!("cell-{at}");
            let assigned = assigned(registry, &site).await;
            let mut report = report(self.sequence);
            let crashes = if assigned == new { crashes } else { 0 };
            let runs = 10 * self.sequence;
            let health =
                json!({"runs_succeeded": runs, "runs_failed": 0, "safety_violations": 0, "crashes": crashes});
            report["running"] = json!({"digest": assigned, "skill_name": "cooperative_assembly", "version": "1.0.0", "health": health});
            registry.report(&site, &report).await;
        }
    }
}

async fn assigned(registry: &Registry, site: &str) -> Value {
    registry.get(&format!("/api/v1/cells/{site}")).await.expect(200).json()["assigned"].clone()
}

/// How many cells are assigned this version.
async fn have(registry: &Registry, version: &str) -> usize {
    let digest = Signed::version(version).digest();
    let page = registry.get("/api/v1/cells").await.expect(200).json();
    page["items"].as_array().unwrap().iter().filter(|cell| cell["assigned"] == digest).count()
}

fn plan(version: &str) -> Value {
    json!({
        "artifact": Signed::version(version).digest(),
        "cells": "all",
        "stages": [{"name": "canary", "percent": 20}, {"name": "all", "percent": 100}],
        "gates": {"observe_s": 0, "min_runs": 1, "min_success_rate": 0.9},
    })
}

async fn begin(registry: &Registry, plan: &Value) -> i64 {
    registry.post("/api/v1/rollouts", plan).await.expect(201).json()["id"].as_i64().unwrap()
}

async fn show(registry: &Registry, id: i64) -> Value {
    registry.get(&format!("/api/v1/rollouts/{id}")).await.expect(200).json()
}

async fn state(registry: &Registry, id: i64) -> String {
    show(registry, id).await["rollout"]["state"]["state"].as_str().unwrap().to_owned()
}

pub(crate) async fn a_good_artifact_goes_from_the_canary_to_all(registry: Registry) {
    let mut floor = Floor::new(&registry).await;
    let id = begin(&registry, &plan("1.1.0")).await;
    assert_eq!(have(&registry, "1.1.0").await, 0);
    assert!(registry.app.rollouts.turn(NOW).await.unwrap());
    assert_eq!(have(&registry, "1.1.0").await, 1);
    // Nothing more happens before the canary has run it.
    assert!(!registry.app.rollouts.turn(NOW).await.unwrap());
    let waits = show(&registry, id).await["waits_for"].clone();
    assert!(waits[0].as_str().unwrap().contains("has not answered yet"), "{waits}");
    for _ in 0..20 {
        floor.report(&registry, 0).await;
        registry.app.rollouts.turn(NOW).await.unwrap();
        if state(&registry, id).await == "done" {
            break;
        }
    }
    let done = show(&registry, id).await;
    assert_eq!(done["rollout"]["state"]["state"], "done", "{done}");
    assert_eq!(done["summary"]["taken"], CELLS);
    assert_eq!(have(&registry, "1.1.0").await, CELLS);
    let history = done["history"].as_array().unwrap();
    let told = |text: &str| history.iter().any(|entry| entry["text"].as_str().unwrap().contains(text));
    assert!(told("stage 'canary' passed") && told("done"), "{history:?}");
    let deployments = registry.get("/api/v1/deployments?limit=5").await.json()["items"].clone();
    for deployment in deployments.as_array().unwrap() {
        assert_eq!((&deployment["cause"], &deployment["rollout_id"]), (&json!("rollout"), &json!(id)));
    }
    assert!(!registry.app.rollouts.turn(NOW).await.unwrap(), "it has ended");
    let list = registry.get("/api/v1/rollouts").await.expect(200).json();
    assert_eq!(list["items"][0]["state"]["state"], "done");
    assert_eq!(registry.get("/api/v1/audit/verify").await.json()["intact"], true);
}

pub(crate) async fn a_bad_artifact_is_taken_back_and_quarantined_in_one_step(registry: Registry) {
    let mut floor = Floor::new(&registry).await;
    let id = begin(&registry, &plan("1.1.0")).await;
    registry.app.rollouts.turn(NOW).await.unwrap();
    assert_eq!(have(&registry, "1.1.0").await, 1);
    floor.report(&registry, 1).await;
    // Two replicas see it at once; it is done once.
    let other = registry.replica().await;
    let (one, two) = tokio::join!(registry.app.rollouts.turn(NOW), other.app.rollouts.turn(NOW));
    assert!(one.unwrap() | two.unwrap());
    assert_eq!(state(&registry, id).await, "failed");
    assert_eq!((have(&registry, "1.0.0").await, have(&registry, "1.1.0").await), (CELLS, 0));
    let artifact = registry.get(&format!("/api/v1/csa/{}", floor.ids[1])).await.json();
    assert_eq!(artifact["status"], "quarantined");
    let reason = artifact["quarantine"]["reason"].as_str().unwrap();
    assert!(reason.contains("1 crashes"), "{reason}");
    let newest = registry.get("/api/v1/deployments?limit=1").await.json()["items"][0].clone();
    assert_eq!((&newest["cause"], &newest["csa_id"]), (&json!("rollout_failed"), &json!(floor.ids[0])));
    for _ in 0..3 {
        floor.report(&registry, 0).await;
        registry.app.rollouts.turn(NOW).await.unwrap();
    }
    let deployments = registry.get("/api/v1/deployments?limit=1000").await.json()["items"].clone();
    assert_eq!(deployments.as_array().unwrap().len(), CELLS + 2, "{deployments}");
    let again = registry.post("/api/v1/rollouts", &plan("1.1.0")).await;
    assert_eq!(again.refusal(), (409, "quarantined".to_owned()));
    assert_eq!(registry.get("/api/v1/audit/verify").await.json()["intact"], true);
}

/// What the director's newest metadata says of an artifact's cells: those that are to run it, and those that are to leave it.
async fn director_says(registry: &Registry, version: &str) -> Value {
    let versions = registry.get("/api/v1/update/director/versions").await.expect(200).json();
    let file = format!("/api/v1/update/director/metadata/{}.targets.json", versions["targets"]);
    let targets = registry.get(&file).await.expect(200).json();
    targets["signed"]["targets"][target_path(version).as_str()]["custom"].clone()
}

pub(crate) async fn who_has_nothing_to_go_back_to_is_sent_away(registry: Registry) {
    let mut people = registry.begin_updates().await;
    registry.release(&mut people, &["1.1.0"]).await;
    let new = Signed::version("1.1.0").digest();
    // It was commissioned by hand, with something that this registry does not have.
    let runs = async |sequence: u64, digest: &str, crashes: u64| {
        let mut report = report(sequence);
        let health =
            json!({"runs_succeeded": 1, "runs_failed": 0, "safety_violations": 0, "crashes": crashes});
        report["running"] = json!({"digest": digest, "skill_name": "cooperative_assembly", "version": "1.0.0", "health": health});
        registry.report("bench-1", &report).await;
    };
    runs(1, &"f".repeat(64), 0).await;
    begin(&registry, &plan("1.1.0")).await;
    registry.app.rollouts.turn(NOW).await.unwrap();
    assert_eq!(director_says(&registry, "1.1.0").await, json!({"cells": ["bench-1"]}));
    runs(2, &new, 1).await;
    registry.app.rollouts.turn(NOW).await.unwrap();
    assert_eq!(assigned(&registry, "bench-1").await, Value::Null);
    assert_eq!(director_says(&registry, "1.1.0").await, json!({"leave": ["bench-1"]}));
    let log = registry.get("/api/v1/audit?limit=10").await.expect(200).json();
    let told = |entry: &Value| entry["detail"].as_str().unwrap().contains("away from bench-1");
    assert!(log["items"].as_array().unwrap().iter().any(told), "{log}");
    // A cell that is taken out of the fleet is named no more, not as one that is to leave something either.
    registry.call("DELETE", "/api/v1/cells/bench-1", &[], Body::empty()).await.expect(204);
    assert_eq!(director_says(&registry, "1.1.0").await, Value::Null);
}

pub(crate) async fn who_was_decommissioned_with_a_bad_artifact_goes_back_on_return(registry: Registry) {
    let mut floor = Floor::new(&registry).await;
    let mut plan = plan("1.1.0");
    plan["stages"][0]["percent"] = json!(40);
    begin(&registry, &plan).await;
    registry.app.rollouts.turn(NOW).await.unwrap();
    floor.report(&registry, 0).await;
    registry.app.rollouts.turn(NOW).await.unwrap();
    let new = Signed::version("1.1.0").digest();
    let mut canaries = Vec::new();
    for at in 0..CELLS {
        let site = format!("cell-{at}");
        if assigned(&registry, &site).await == new {
            canaries.push(site);
        }
    }
    let [away, other] = &canaries[..] else { panic!("two canaries, not {canaries:?}") };
    registry.call("DELETE", &format!("/api/v1/cells/{away}"), &[], Body::empty()).await.expect(204);
    let runs_new = async |site: &str, sequence: u64, crashes: u64| {
        let mut report = report(sequence);
        let health =
            json!({"runs_succeeded": 10, "runs_failed": 0, "safety_violations": 0, "crashes": crashes});
        report["running"] = json!({"digest": new, "skill_name": "cooperative_assembly", "version": "1.1.0", "health": health});
        registry.report(site, &report).await;
    };
    runs_new(other, 10, 1).await;
    registry.app.rollouts.turn(NOW).await.unwrap();
    assert_eq!(have(&registry, "1.0.0").await, CELLS - 1);
    runs_new(away, 10, 0).await;
    assert_eq!(assigned(&registry, away).await, Value::Null);
    assert!(registry.app.rollouts.turn(NOW).await.unwrap());
    assert_eq!(have(&registry, "1.0.0").await, CELLS);
    assert!(!registry.app.rollouts.turn(NOW).await.unwrap(), "once");
}

pub(crate) async fn a_confirmation_and_deployments_at_once_wait_for_each_other(registry: Registry) {
    let mut people = registry.begin_updates().await;
    let ids = registry.release(&mut people, &["1.0.0", "1.1.0"]).await;
    let deploy = async |at: u64| {
        let body = json!({"site_id": format!("cell-{}", at % 3), "csa_id": ids[1], "reason": "test"});
        registry.post("/api/v1/deployments", &body).await.expect(200);
    };
    for at in 0..3 {
        deploy(at).await;
    }
    let back =
        Rollback { site_id: "ALL".to_owned(), target_csa_id: ids[0], reason: "it drops parts".to_owned() };
    for at in 0..10 {
        let request = Request::RollbackAll(back.clone());
        let asked = registry.app.approvals.ask(request, "ann", NOW).await.unwrap();
        let confirm = format!("/api/v1/approvals/{}/confirm", asked.id);
        let (confirmed, ..) =
            tokio::join!(registry.post(&confirm, &Value::Null), deploy(at), deploy(at + 1), deploy(at + 2));
        confirmed.expect(200);
    }
    assert_eq!(registry.get("/api/v1/audit/verify").await.json()["intact"], true);
}

pub(crate) async fn who_withdraws_an_artifact_ends_its_roll_out(registry: Registry) {
    let mut floor = Floor::new(&registry).await;
    let id = begin(&registry, &plan("1.1.0")).await;
    registry.app.rollouts.turn(NOW).await.unwrap();
    let quarantine = format!("/api/v1/csa/{}/quarantine", floor.ids[1]);
    registry.post(&quarantine, &json!({"reason": "it drops parts"})).await.expect(200);
    registry.app.rollouts.turn(NOW).await.unwrap();
    assert_eq!(state(&registry, id).await, "failed");
    assert_eq!(have(&registry, "1.0.0").await, CELLS);
    // And so does whoever holds the skill's key; what a cell would not take is not given back either.
    let release = registry.release(&mut floor.people, &["1.2.0"]).await;
    let id = begin(&registry, &plan("1.2.0")).await;
    registry.app.rollouts.turn(NOW).await.unwrap();
    assert_eq!(have(&registry, "1.2.0").await, 1);
    floor.people.withdraw("1.2.0");
    floor.people.withdraw("1.0.0");
    registry.post(&floor.people.path(), &floor.people.sign()).await.expect(200);
    floor.report(&registry, 0).await;
    registry.app.rollouts.turn(NOW).await.unwrap();
    assert_eq!(state(&registry, id).await, "failed");
    assert_eq!(have(&registry, "1.0.0").await, CELLS - 1);
    let cells = registry.get("/api/v1/cells").await.json()["items"].clone();
    let without = cells.as_array().unwrap().iter().filter(|cell| cell["assigned"].is_null()).count();
    assert_eq!(without, 1, "{cells}");
    assert_eq!(director_says(&registry, "1.2.0").await["leave"].as_array().unwrap().len(), 1);
    let artifact = registry.get(&format!("/api/v1/csa/{}", release[0])).await.json();
    assert_eq!(artifact["status"], "quarantined");
}

pub(crate) async fn people_pause_resume_abort_and_supersede(registry: Registry) {
    let mut floor = Floor::new(&registry).await;
    let id = begin(&registry, &plan("1.1.0")).await;
    registry.app.rollouts.turn(NOW).await.unwrap();
    let ask = async |id: i64, what: &str| {
        registry.post(&format!("/api/v1/rollouts/{id}/{what}"), &json!({"reason": "lunch"})).await
    };
    let refused = |code: &str| (409, code.to_owned());
    assert_eq!(ask(id, "resume").await.refusal(), refused("not_in_this_state"));
    let paused = ask(id, "pause").await.expect(200).json();
    assert_eq!(paused["rollout"]["state"]["reason"], "lunch");
    for _ in 0..3 {
        floor.report(&registry, 0).await;
        registry.app.rollouts.turn(NOW).await.unwrap();
    }
    assert_eq!((state(&registry, id).await.as_str(), have(&registry, "1.1.0").await), ("paused", 1));
    ask(id, "resume").await.expect(200);
    // A newer one takes over, and gives back what the older one had before.
    let second = begin(&registry, &plan("1.1.0")).await;
    assert_eq!(state(&registry, id).await, "superseded");
    registry.app.rollouts.turn(NOW).await.unwrap();
    let aborted = ask(second, "abort").await.expect(200).json();
    assert_eq!(aborted["rollout"]["state"]["taken_back"], true);
    assert_eq!(have(&registry, "1.0.0").await, CELLS);
    assert_eq!(ask(second, "abort").await.refusal(), refused("not_in_this_state"));
    let third = begin(&registry, &plan("1.1.0")).await;
    registry.app.rollouts.turn(NOW).await.unwrap();
    ask(third, "abort?keep=true").await.expect(200);
    assert_eq!(have(&registry, "1.1.0").await, 1);

    let refusal = async |body: &Value| registry.post("/api/v1/rollouts", body).await.refusal();
    let mut bad = plan("1.1.0");
    bad["stages"] = json!([]);
    bad["gates"]["min_success_rate"] = json!(2);
    let answer = registry.post("/api/v1/rollouts", &bad).await;
    let detail = answer.json()["detail"].to_string();
    assert!(detail.contains("stages") && detail.contains("min_success_rate"), "{detail}");
    assert_eq!(answer.refusal(), (422, "bad_plan".to_owned()));
    let mut unknown = plan("1.1.0");
    unknown["artifact"] = json!("0".repeat(64));
    assert_eq!(refusal(&unknown).await, (404, "no_such_artifact".to_owned()));
    assert_eq!(refusal(&json!({})).await, (422, "bad_body".to_owned()));
    assert_eq!(registry.get("/api/v1/rollouts/99").await.refusal(), (404, "no_such_rollout".to_owned()));
    assert_eq!(registry.get("/api/v1/rollouts/x").await.refusal(), (400, "bad_number".to_owned()));
}
