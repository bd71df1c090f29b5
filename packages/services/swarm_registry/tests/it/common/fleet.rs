//! What a registry promises about cells and what they are to run.

use axum::body::Body;
use serde_json::{Value, json};

use super::artifacts::Signed;
use super::ceremony::target_path;
use super::updates::Cell;
use super::{NOW, Registry};

pub(crate) fn report(sequence: u64) -> Value {
    json!({
        "at_unix": NOW, "sequence": sequence, "started_unix": NOW - 100, "motion": "at_rest", "window_open": true,
        "image": 2, "director": 1, "running": null, "last_good": null, "outcome": null, "troubles": []
    })
}

fn outcome(sequence: u64, digest: &str, state: &str, detail: &str) -> Value {
    let mut report = report(sequence);
    report["outcome"] = json!({"digest": digest, "state": state, "detail": detail});
    report
}

fn running(sequence: u64, digest: &str, version: &str) -> Value {
    let mut report = report(sequence);
    let health = json!({"runs_succeeded": 5, "runs_failed": 0, "safety_violations": 0, "crashes": 0});
    report["running"] =
        json!({"digest": digest, "skill_name": "cooperative_assembly", "version": version, "health": health});
    report
}

impl Registry {
    pub(crate) async fn report(&self, site_id: &str, report: &Value) -> Value {
        self.post(&format!("/api/v1/cells/{site_id}/report"), report).await.expect(200).json()
    }

    async fn deploy(&self, site_id: &str, csa_id: i64) -> super::Answer {
        let body = json!({"site_id": site_id, "csa_id": csa_id, "reason": "test"});
        self.post("/api/v1/deployments", &body).await
    }

    async fn history(&self, query: &str) -> Vec<Value> {
        let page = self.get(&format!("/api/v1/deployments?limit=1000&{query}")).await.expect(200).json();
        page["items"].as_array().unwrap().clone()
    }

    async fn director(&self) -> u64 {
        self.get("/api/v1/update/director/versions").await.expect(200).json()["timestamp"].as_u64().unwrap()
    }

    pub(crate) async fn metric(&self, line: &str) -> bool {
        let page = self.get("/metrics").await.expect(200);
        std::str::from_utf8(&page.body).unwrap().lines().any(|it| it == line)
    }
}

fn states(history: &[Value]) -> Vec<&str> {
    history.iter().map(|entry| entry["state"].as_str().unwrap()).collect()
}

pub(crate) async fn a_cell_is_sent_to_an_artifact_and_says_how_far_it_is(registry: Registry) {
    let mut people = registry.begin_updates().await;
    let ids = registry.release(&mut people, &["1.0.0", "1.1.0"]).await;
    let [first, second] = ["1.0.0", "1.1.0"].map(|version| Signed::version(version).digest());
    let answer = registry.report("cell-1", &report(1)).await;
    assert_eq!(answer, json!({"image": 2, "director": 1}));

    let assigned = registry.deploy("cell-1", ids[0]).await.expect(200).json();
    assert_eq!((&assigned["director"], &assigned["unchanged"]), (&json!(2), &json!([])));
    let deployment = &assigned["deployments"][0];
    for (field, value) in [
        ("site_id", json!("cell-1")),
        ("csa_id", json!(ids[0])),
        ("digest", json!(first)),
        ("version", json!("1.0.0")),
        ("previous", Value::Null),
        ("cause", json!("deploy")),
        ("reason", json!("test")),
        ("requested_by", json!("developer")),
        ("requested_at", json!("2027-01-15T08:00:00Z")),
        ("state", json!("assigned")),
    ] {
        assert_eq!(deployment[field], value, "{field}");
    }
    // What counts is what the director signed.
    let mut client = Cell::new(&registry, "director").await;
    assert_eq!(client.assigned(&registry, "cell-1").await, [target_path("1.0.0")]);
    assert!(client.assigned(&registry, "cell-2").await.is_empty());

    let moved = async |report: Value| {
        registry.report("cell-1", &report).await;
        let newest = registry.history("site_id=cell-1").await.remove(0);
        (newest["state"].as_str().unwrap().to_owned(), newest["detail"].as_str().unwrap().to_owned())
    };
    let state = |state: &str, detail: &str| (state.to_owned(), detail.to_owned());
    assert_eq!(moved(outcome(2, &first, "downloading", "")).await, state("downloading", ""));
    assert_eq!(
        moved(outcome(3, &first, "waiting", "the arm moves")).await,
        state("waiting", "the arm moves")
    );
    // What another artifact did says nothing of this one.
    assert_eq!(moved(outcome(4, &second, "refused", "")).await, state("waiting", "the arm moves"));
    assert_eq!(moved(outcome(5, &first, "deployed", "")).await, state("deployed", ""));
    assert!(registry.metric("deployment_total{status=\"assigned\"} 1").await);
    assert!(registry.metric("deployment_total{status=\"deployed\"} 1").await);

    // The same again changes nothing.
    let again = registry.deploy("cell-1", ids[0]).await.expect(200).json();
    assert_eq!(again, json!({"deployments": [], "unchanged": ["cell-1"], "director": 2}));
    let next = registry.deploy("cell-1", ids[1]).await.expect(200).json();
    assert_eq!(next["deployments"][0]["previous"], first);
    assert_eq!(client.assigned(&registry, "cell-1").await, [target_path("1.1.0")]);
    // Who runs it has deployed it, though the report of it got lost.
    assert_eq!(moved(running(6, &second, "1.1.0")).await, state("deployed", ""));
    registry.deploy("cell-1", ids[0]).await.expect(200);
    registry.deploy("cell-1", ids[1]).await.expect(200);
    let history = registry.history("site_id=cell-1").await;
    assert_eq!(states(&history), ["assigned", "superseded", "deployed", "deployed"]);
    let cell = registry.get("/api/v1/cells/cell-1").await.expect(200).json();
    assert_eq!((&cell["assigned"], &cell["online"]), (&json!(second), &json!(true)));
    assert_eq!(cell["report"], running(6, &second, "1.1.0"));
    let audit = registry.get("/api/v1/audit?limit=1000").await.json();
    let entry = audit["items"].as_array().unwrap().iter().find(|entry| entry["action"] == "deploy").unwrap();
    assert_eq!(entry["detail"], "cooperative_assembly 1.0.0 to cell-1: test");
}

pub(crate) async fn every_cell_of_a_skill_goes_back_at_once(registry: Registry) {
    let mut people = registry.begin_updates().await;
    let ids = registry.release(&mut people, &["1.0.0", "1.1.0"]).await;
    for at in 0..5 {
        registry.deploy(&format!("cell-{at}"), ids[usize::from(at != 4)]).await.expect(200);
    }
    let before = registry.director().await;
    let rollback = |site: &str| json!({"site_id": site, "target_csa_id": ids[0], "reason": "it drops parts"});
    let one = registry.post("/api/v1/deployment/rollback", &rollback("cell-0")).await.expect(200).json();
    assert_eq!(one["deployments"][0]["cause"], "rollback");
    let all = registry.post("/api/v1/deployment/rollback", &rollback("ALL")).await.expect(200).json();
    let sites: Vec<_> =
        all["deployments"].as_array().unwrap().iter().map(|it| it["site_id"].clone()).collect();
    assert_eq!(sites, ["cell-1", "cell-2", "cell-3"]);
    assert_eq!(all["unchanged"], json!(["cell-0", "cell-4"]));
    // One publish for all of them.
    assert_eq!(registry.director().await, before + 2);
    let mut client = Cell::new(&registry, "director").await;
    for at in 0..5 {
        assert_eq!(client.assigned(&registry, &format!("cell-{at}")).await, [target_path("1.0.0")]);
    }
    let page = registry.get("/api/v1/deployments?limit=3").await.expect(200).json();
    assert_eq!(page["items"].as_array().unwrap().len(), 3);
    let next = page["next_after"].as_i64().unwrap();
    let rest = registry.history(&format!("after={next}")).await;
    assert_eq!(rest.len(), 6, "{rest:?}");
    assert_eq!(registry.history("skill_name=palletizing").await.len(), 0);
    assert_eq!(registry.history("skill_name=cooperative_assembly&site_id=cell-3").await.len(), 2);
    let old = json!({"site_id": "ALL", "target_csa_id": ids[0]});
    let nothing = registry.post("/api/v1/deployment/rollback", &old).await.expect(200).json();
    assert_eq!((nothing["deployments"].clone(), nothing["director"].clone()), (json!([]), json!(before + 2)));
}

pub(crate) async fn what_a_cell_would_refuse_is_never_assigned(registry: Registry) {
    let upload = async |version: &str| {
        registry.upload(&Signed::version(version)).await.expect(201).json()["id"].as_i64().unwrap()
    };
    let refused = |status: u16, code: &str| (status, code.to_owned());
    let unpublished = upload("1.0.0").await;
    assert_eq!(registry.deploy("cell-1", unpublished).await.refusal(), refused(409, "not_in_image"));
    let mut people = registry.begin_updates().await;
    assert_eq!(registry.deploy("cell-1", unpublished).await.refusal(), refused(409, "not_in_image"));
    let other = upload("1.1.0").await;
    people.add("1.1.0", b"other bytes under this name");
    registry.post(&people.path(), &people.sign()).await.expect(200);
    assert_eq!(registry.deploy("cell-1", other).await.refusal(), refused(409, "other_in_image"));
    let ids = registry.release(&mut people, &["1.2.0", "1.3.0"]).await;
    let reason = json!({"reason": "it drops parts"});
    registry.post(&format!("/api/v1/csa/{}/quarantine", ids[0]), &reason).await.expect(200);
    let quarantined = registry.deploy("cell-1", ids[0]).await;
    let detail = quarantined.json()["detail"].to_string();
    assert!(detail.contains("it drops parts"), "{detail}");
    assert_eq!(quarantined.refusal(), refused(409, "quarantined"));
    people.withdraw("1.3.0");
    registry.post(&people.path(), &people.sign()).await.expect(200);
    assert_eq!(registry.deploy("cell-1", ids[1]).await.refusal(), refused(409, "not_in_image"));
    assert_eq!(registry.deploy("cell-1", 999).await.refusal(), refused(404, "no_such_artifact"));
    // Nothing of all that was left behind.
    assert_eq!(registry.director().await, 1);
    assert!(registry.history("").await.is_empty());
    assert_eq!(registry.get("/api/v1/cells").await.json(), json!({"items": [], "next_after": null}));
}

pub(crate) async fn reports_count_in_their_order(registry: Registry) {
    registry.begin_updates().await;
    let last = async |site: &str| {
        registry.get(&format!("/api/v1/cells/{site}")).await.expect(200).json()["report"]["sequence"].clone()
    };
    for (sequence, expected) in [(5, 5), (4, 5), (5, 5), (6, 6)] {
        let answer = registry.report("cell-1", &report(sequence)).await;
        assert_eq!(answer, json!({"image": 1, "director": 1}));
        assert_eq!(last("cell-1").await, expected, "after {sequence}");
    }
    // A bridge that was started again counts from the beginning.
    let mut restarted = report(1);
    restarted["started_unix"] = json!(NOW);
    registry.report("cell-1", &restarted).await;
    assert_eq!(last("cell-1").await, 1);
    registry.report("cell-1", &report(100)).await;
    assert_eq!(last("cell-1").await, 1);

    for site in ["b", "B.2", "a"] {
        registry.report(site, &report(1)).await;
    }
    let page = registry.get("/api/v1/cells?limit=2").await.expect(200).json();
    let names = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|it| it["site_id"].as_str().unwrap().to_owned()).collect()
    };
    let after = page["next_after"].as_str().unwrap();
    let rest = registry.get(&format!("/api/v1/cells?limit=2&after={after}")).await.expect(200).json();
    let mut all = [names(&page), names(&rest)].concat();
    all.sort();
    assert_eq!(all, ["B.2", "a", "b", "cell-1"]);
    assert_eq!(rest["next_after"], Value::Null);
    // Silent for three reports: offline.
    let mut app = registry.app.clone();
    app.now_unix = || NOW + 31;
    let later = Registry::of(std::sync::Arc::clone(&registry.place), app);
    assert_eq!(later.get("/api/v1/cells/a").await.json()["online"], false);
    assert!(later.metric("cells{state=\"offline\"} 4").await);
    assert!(registry.metric("cells{state=\"online\"} 4").await);
}

pub(crate) async fn assignments_at_once_on_two_replicas_lose_nothing(registry: Registry) {
    let other = registry.replica().await;
    let mut people = registry.begin_updates().await;
    let ids = registry.release(&mut people, &["1.0.0", "1.1.0"]).await;
    let work = (0..12u64).map(|at| {
        let (here, ids) = (if at % 2 == 0 { &registry } else { &other }, &ids);
        async move {
            let site = format!("cell-{}", at % 4);
            here.report(&site, &report(at)).await;
            here.deploy(&site, ids[usize::try_from(at / 4 % 2).unwrap()]).await.status.as_u16()
        }
    });
    let statuses = futures::future::join_all(work).await;
    assert_eq!(statuses, [200; 12]);
    // Table and signed metadata say the same of each cell, and each assignment is in the history once.
    let mut client = Cell::new(&registry, "director").await;
    for cell in registry.get("/api/v1/cells").await.json()["items"].as_array().unwrap() {
        let site = cell["site_id"].as_str().unwrap();
        let history = registry.history(&format!("site_id={site}")).await;
        assert_eq!(history[0]["digest"], cell["assigned"]);
        let version = history[0]["version"].as_str().unwrap();
        assert_eq!(client.assigned(&registry, site).await, [target_path(version)]);
        assert!(states(&history[1..]).iter().all(|state| *state == "superseded"), "{history:?}");
    }
    let deployments = registry.history("").await.len() as u64;
    assert_eq!(registry.director().await, 1 + deployments);
    assert_eq!(registry.get("/api/v1/audit/verify").await.json()["intact"], true);
}

pub(crate) async fn a_cell_that_is_taken_out_is_named_no_more(registry: Registry) {
    let mut people = registry.begin_updates().await;
    let ids = registry.release(&mut people, &["1.0.0"]).await;
    registry.deploy("cell-1", ids[0]).await.expect(200);
    registry.deploy("cell-2", ids[0]).await.expect(200);
    let remove = async |site: &str| {
        registry.call("DELETE", &format!("/api/v1/cells/{site}"), &[], Body::empty()).await
    };
    remove("cell-1").await.expect(204);
    let mut client = Cell::new(&registry, "director").await;
    assert!(client.assigned(&registry, "cell-1").await.is_empty());
    assert_eq!(client.assigned(&registry, "cell-2").await, [target_path("1.0.0")]);
    assert_eq!(states(&registry.history("site_id=cell-1").await), ["superseded"]);
    assert_eq!(registry.get("/api/v1/cells/cell-1").await.refusal(), (404, "no_such_cell".to_owned()));
    assert_eq!(remove("cell-1").await.refusal(), (404, "no_such_cell".to_owned()));
    // One that was never assigned anything needs no metadata.
    registry.report("cell-3", &report(1)).await;
    let before = registry.director().await;
    remove("cell-3").await.expect(204);
    assert_eq!(registry.director().await, before);
}

pub(crate) async fn the_family_of_an_artifact_says_where_each_ran(registry: Registry) {
    let mut people = registry.begin_updates().await;
    let mut parent: Option<String> = None;
    for version in ["1.0.0", "1.1.0", "1.2.0", "1.3.0"] {
        let signed = Signed::version(version);
        let fields: Vec<_> = parent.iter().map(|digest| ("parent", digest.as_str())).collect();
        registry.upload_form(&signed.form(&fields)).await.expect(201);
        people.add(version, &signed.archive);
        // 1.2.0 and 1.3.0 have the same parent.
        if version < "1.2.0" {
            parent = Some(signed.digest());
        }
    }
    registry.post(&people.path(), &people.sign()).await.expect(200);
    registry.deploy("cell-2", 1).await.expect(200);
    registry.deploy("cell-1", 1).await.expect(200);
    registry.deploy("cell-1", 3).await.expect(200);
    let graph = registry.get("/api/v1/csa/2/provenance").await.expect(200).json();
    let versions = |list: &Value| -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        list.map(|it| it["artifact"]["version"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(graph["artifact"]["artifact"]["version"], "1.1.0");
    assert_eq!(versions(&graph["ancestors"]), ["1.0.0"]);
    assert_eq!(versions(&graph["descendants"]), ["1.2.0", "1.3.0"]);
    assert_eq!(graph["cut"], false);
    let ran: Vec<_> = graph["ancestors"][0]["cells"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["site_id"].as_str().unwrap(), it["state"].as_str().unwrap()))
        .collect();
    assert_eq!(ran, [("cell-1", "superseded"), ("cell-2", "assigned")]);
    let top = registry.get("/api/v1/csa/1/provenance").await.expect(200).json();
    assert_eq!(versions(&top["descendants"]), ["1.1.0", "1.2.0", "1.3.0"]);
    let missing = registry.get("/api/v1/csa/99/provenance").await;
    assert_eq!(missing.refusal(), (404, "no_such_artifact".to_owned()));
}

pub(crate) async fn what_cannot_be_meant_of_a_cell_is_refused(registry: Registry) {
    registry.begin_updates().await;
    let with = |field: &str, value: Value| {
        let mut report = report(1);
        report[field] = value;
        report
    };
    let digest = "0".repeat(64);
    for (body, status, code) in [
        (with("sequence", json!(9_007_199_254_740_992_u64)), 400, "out_of_range"),
        (with("sequence", json!(-1)), 422, "bad_body"),
        (with("at_unix", json!(-1)), 400, "out_of_range"),
        (with("motion", json!("asleep")), 422, "bad_body"),
        (with("further", json!(1)), 422, "bad_body"),
        (with("last_good", json!("x")), 400, "bad_digest"),
        (with("troubles", json!(["a\u{0}b"])), 400, "bad_text"),
        (with("troubles", json!(vec!["x"; 21])), 400, "out_of_range"),
        (outcome(1, &digest, "deployed", "a\u{0}b"), 400, "bad_text"),
        (outcome(1, &digest, "deployed", &"x".repeat(2001)), 400, "bad_text"),
        (outcome(1, "x", "deployed", ""), 400, "bad_digest"),
    ] {
        let answer = registry.post("/api/v1/cells/cell-1/report", &body).await;
        assert_eq!(answer.refusal(), (status, code.to_owned()), "{body}");
    }
    let post = async |path: &str, body: Value| registry.post(path, &body).await.refusal();
    let refused = |status: u16, code: &str| (status, code.to_owned());
    for site in ["ALL", "..%2fx", "a%20b", "%00", "-a"] {
        let path = format!("/api/v1/cells/{site}/report");
        assert_eq!(post(&path, report(1)).await, refused(400, "bad_site_id"), "{site}");
    }
    let deploy =
        |site: &str, csa_id: i64, reason: &str| json!({"site_id": site, "csa_id": csa_id, "reason": reason});
    for (body, code) in [
        (deploy("ALL", 1, "x"), "bad_site_id"),
        (deploy("a b", 1, "x"), "bad_site_id"),
        (deploy("a", 0, "x"), "out_of_range"),
        (deploy("a", 1, ""), "bad_text"),
    ] {
        assert_eq!(post("/api/v1/deployments", body.clone()).await, refused(400, code), "{body}");
    }
    for (path, code) in [
        ("/api/v1/cells?after=ALL", "bad_site_id"),
        ("/api/v1/cells?limit=0", "out_of_range"),
        ("/api/v1/cells?offset=1", "bad_query"),
        ("/api/v1/deployments?site_id=a%20b", "bad_site_id"),
        ("/api/v1/deployments?skill_name=UPPER", "bad_skill_name"),
        ("/api/v1/deployments?after=0", "out_of_range"),
        ("/api/v1/approvals?after=0", "out_of_range"),
    ] {
        assert_eq!(registry.get(path).await.refusal(), refused(400, code), "{path}");
    }
    assert_eq!(registry.get("/api/v1/cells/nobody").await.refusal(), refused(404, "no_such_cell"));
    assert_eq!(registry.get("/api/v1/cells").await.json()["items"], json!([]));
    let confirm = async |id: &str| {
        registry.call("POST", &format!("/api/v1/approvals/{id}/confirm"), &[], Body::empty()).await.refusal()
    };
    assert_eq!(confirm("1").await, refused(404, "no_such_approval"));
    assert_eq!(confirm("x").await, refused(400, "bad_number"));
}
