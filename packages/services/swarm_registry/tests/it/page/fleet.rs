//! Cells, rollbacks, roll-outs and approvals, as a browser meets them.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};
use swarm_registry::approval::{Approvals, TwoPerson};

use super::LOCAL;
use super::browser::Browser;
use crate::common::artifacts::Signed;
use crate::common::fleet::report;
use crate::common::{NOW, Place, Registry};

/// A report of a cell that runs this version of the example skill.
pub(crate) fn runs(sequence: u64, version: &str, runs: u64) -> Value {
    let mut report = report(sequence);
    let health = json!({"runs_succeeded": runs, "runs_failed": 1, "safety_violations": 2, "crashes": 0});
    report["running"] = json!({
        "digest": Signed::version(version).digest(), "skill_name": "cooperative_assembly", "version": version, "health": health
    });
    report
}

/// Three cells: one as it should be, one that has not taken up what it is to run, one that nothing was heard of.
pub(crate) async fn floor(registry: &Registry) -> Vec<i64> {
    let mut people = registry.begin_updates().await;
    let ids = registry.release(&mut people, &["1.0.0", "1.1.0"]).await;
    for (site, id) in [("cell-a", ids[1]), ("cell-b", ids[1]), ("cell-c", ids[0])] {
        let body = json!({"site_id": site, "csa_id": id, "reason": "the new gripper"});
        registry.post("/api/v1/deployments", &body).await.expect(200);
    }
    registry.report("cell-a", &runs(1, "1.1.0", 41)).await;
    let mut waiting = runs(1, "1.0.0", 7);
    waiting["motion"] = json!("moving");
    waiting["troubles"] = json!(["the disk is nearly full: 812 MB are left"]);
    let digest = Signed::version("1.1.0").digest();
    waiting["outcome"] = json!({"digest": digest, "state": "waiting", "detail": "an arm moves"});
    registry.report("cell-b", &waiting).await;
    ids
}

#[tokio::test]
async fn it_is_seen_which_cell_runs_what_and_which_is_not_in_step() {
    let registry = Registry::new(Place::local()).await;
    floor(&registry).await;
    let mut browser = Browser::new(&registry, LOCAL);
    let page = browser.get("/cells").await;
    page.shows(&[
        "cell-a",
        "cell-b",
        "cell-c",
        "cooperative_assembly 1.1.0",
        "the same",
        "waiting",
        "an arm moves",
        "moving",
    ]);
    page.shows(&["the disk is nearly full", "offline", "41 of 42", "hx-get=\"/cells\""]);
    page.shows(&[
        "<b>3</b><span>cells</span>",
        "<b>2</b><span>can be reached</span>",
        "<b>1</b><span>report a trouble</span>",
    ]);
    page.shows(&["<b>1</b><span>run what they are to run</span>"]);
    let page = browser.get("/cells/cell-b").await;
    page.shows(&[
        "Cell cell-b",
        "the new gripper",
        "a deployment",
        "developer",
        "7 runs went well, 1 failed, 2 safety stops",
    ]);
    // And at the artifact.
    let page = browser.get(&format!("/artifacts/{}", Signed::version("1.1.0").digest())).await;
    page.shows(&["/cells/cell-a", "/cells/cell-b", "deployed", "waiting"]);
    browser.get("/").await.shows(&["1 cell"]);
}

#[tokio::test]
async fn a_cell_is_rolled_back_after_a_confirmation() {
    let registry = Registry::new(Place::local()).await;
    let ids = floor(&registry).await;
    let mut browser = Browser::new(&registry, LOCAL);
    let choice = browser.get("/rollback?site=cell-a").await;
    let ask = format!("/rollback?site=cell-a&amp;to={}", ids[0]);
    choice.shows(&["Roll cell-a back", &ask]);
    let done = browser.confirm(&ask.replace("&amp;", "&"), "/rollback", "it drops the peg").await;
    assert_eq!((done.status, done.header("location")), (StatusCode::SEE_OTHER, "/cells/cell-a"));
    browser.get("/cells/cell-a").await.shows(&["a rollback", "it drops the peg"]);
    // Without a reason, or to what is not there: words, and no change.
    let before = registry.get("/api/v1/deployments").await.json();
    for (ask, status) in [
        ("/rollback?site=cell-a&to=999", 404),
        ("/rollback?site=nobody", 404),
        ("/rollback?site=..%2Fx", 400),
    ] {
        assert_eq!(browser.get(ask).await.status, status, "{ask}");
    }
    assert_eq!(registry.get("/api/v1/deployments").await.json(), before);
}

#[tokio::test]
async fn all_cells_are_rolled_back_when_a_second_person_has_confirmed_it() {
    let place = Arc::new(Place::local());
    let registry = Registry::with_access(Arc::clone(&place), super::Access::Development).await;
    let ids = floor(&registry).await;
    let mut app = place.app(super::access()).await;
    app.approvals = Approvals::new(app.database.clone(), TwoPerson::Required);
    let guarded = Registry::of(place, app);
    let ask = format!("/rollback?site=ALL&to={}", ids[0]);

    let mut ada = Browser::new(&guarded, "registry.example.com");
    super::sign_in(&mut ada, &super::token("ada", "engineer")).await;
    ada.get(&ask).await.shows(&["As of now that is <b>2</b> cells", "a second person"]);
    let done = ada.confirm(&ask, "/rollback", "1.1.0 drops the peg").await;
    assert_eq!((done.status, done.header("location")), (StatusCode::SEE_OTHER, "/approvals"));
    let page = ada.get("/approvals").await;
    page.shows(&["waits", "ada", "1.1.0 drops the peg"]);
    let place = page.text.split("href=\"/approvals/").nth(1).unwrap().split('"').next().unwrap();
    let place = format!("/approvals/{place}");
    let own = ada.confirm(&place, &place, "").await;
    assert_eq!(own.status, StatusCode::FORBIDDEN);
    own.shows(&["role=\"alert\""]);
    let assigned = |page: Value| {
        let items = page["items"].as_array().unwrap().clone();
        items.into_iter().map(|cell| cell["assigned"].clone()).collect::<Vec<_>>()
    };
    let old = json!(Signed::version("1.0.0").digest());
    assert_ne!(assigned(registry.get("/api/v1/cells").await.json()), vec![old.clone(); 3]);

    let mut bob = Browser::new(&guarded, "registry.example.com");
    super::sign_in(&mut bob, &super::token("bob", "engineer")).await;
    let done = bob.confirm(&place, &place, "").await;
    assert_eq!((done.status, done.header("location")), (StatusCode::SEE_OTHER, "/approvals"));
    bob.get("/approvals").await.shows(&["confirmed", "by bob"]);
    assert_eq!(assigned(registry.get("/api/v1/cells").await.json()), vec![old; 3]);
}

pub(crate) fn plan(version: &str) -> Value {
    json!({
        "artifact": Signed::version(version).digest(),
        "cells": "all",
        "stages": [{"name": "canary", "percent": 20}, {"name": "half", "percent": 50}, {"name": "all", "percent": 100}],
        "gates": {"observe_s": 600, "min_runs": 20, "min_success_rate": 0.95},
    })
}

#[tokio::test]
async fn a_roll_out_is_watched_paused_and_ended() {
    let registry = Registry::new(Place::local()).await;
    floor(&registry).await;
    let mut browser = Browser::new(&registry, LOCAL);
    browser.get("/rollouts").await.shows(&["There is no roll-out", "csactl rollout start"]);
    let id =
        registry.post("/api/v1/rollouts", &plan("1.0.0")).await.expect(201).json()["id"].as_i64().unwrap();
    registry.app.rollouts.turn(NOW).await.unwrap();
    let place = format!("/rollouts/{id}");
    browser.get("/rollouts").await.shows(&[
        &place,
        "cooperative_assembly 1.0.0",
        "running",
        "stage 1",
        "<progress",
    ]);
    let page = browser.get(&place).await;
    page.shows(&[
        "1. canary",
        "3. all",
        "It hands the artifact out",
        "at least 95 %",
        "at least 20",
        "at most 0",
        "cell-c",
        "Pause",
    ]);

    let done = browser.confirm(&format!("{place}/pause"), &format!("{place}/pause"), "shift change").await;
    assert_eq!((done.status, done.header("location")), (StatusCode::SEE_OTHER, place.as_str()));
    let page = browser.get(&place).await;
    page.shows(&["paused", "shift change", "Resume", "End it and take back"]);
    assert!(!page.text.contains(&format!("{place}/pause")));
    browser.confirm(&format!("{place}/resume"), &format!("{place}/resume"), "they are back").await;
    browser.get(&place).await.shows(&["running"]);
    browser.confirm(&format!("{place}/abort"), &format!("{place}/abort"), "not today").await;
    let page = browser.get(&place).await;
    page.shows(&["aborted", "every cell was given back what it had", "not today"]);
    for action in ["pause", "resume", "abort"] {
        assert!(!page.text.contains(&format!("href=\"{place}/{action}\"")), "{action}");
    }
    assert_eq!(browser.get("/rollouts/999").await.status, 404);
    assert_eq!(browser.get(&format!("{place}/frobnicate")).await.status, 404);
}

#[tokio::test]
async fn a_roll_out_that_failed_shows_why_the_quarantine_and_what_its_cells_run() {
    let registry = Registry::new(Place::local()).await;
    floor(&registry).await;
    let id =
        registry.post("/api/v1/rollouts", &plan("1.0.0")).await.expect(201).json()["id"].as_i64().unwrap();
    registry.app.rollouts.turn(NOW).await.unwrap();
    let place = format!("/rollouts/{id}");
    let mut browser = Browser::new(&registry, LOCAL);
    let page = browser.get(&place).await;
    page.shows(&["Runs now", "cooperative_assembly 1.1.0</a>", "41 of 42", "not heard"]);
    assert!(!page.text.contains("quarantined"), "{}", page.text);
    // Whichever of them is the canary: its safety monitor has stopped it.
    for site in ["cell-a", "cell-b"] {
        registry.report(site, &runs(2, "1.0.0", 3)).await;
    }
    registry.app.rollouts.turn(NOW).await.unwrap();
    browser.get(&place).await.shows(&[
        "failed",
        "2 safety violations, and the plan allows 0",
        "The artifact is quarantined",
        "given back what it had",
        "never had it",
        "<b class=\"critical\">75 %</b>",
        "cooperative_assembly 1.0.0</a> <span class=\"badge critical\">quarantined</span>",
        "3 of 4",
    ]);
}
