//! What a registry promises about its two update repositories.

use std::collections::BTreeMap;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use swarm_api::update::Which;
use swarm_registry::current::Current;
use swarm_registry::update::Updates;
use swarm_tuf::{
    Answer, Client, Ed25519Signer, Limits, Mode, Moment, Signed as Metadata, Step, Target, Targets,
};

use super::artifacts::Signed;
use super::ceremony::{People, SKILL, target_path};
use super::{NOW, Registry};

/// A cell's update client whose server is the registry. It begins with the first root.
pub(crate) struct Cell {
    repository: &'static str,
    folder: BTreeMap<String, Vec<u8>>,
}

impl Cell {
    pub(crate) async fn new(registry: &Registry, repository: &'static str) -> Self {
        let root = registry.get(&format!("/api/v1/update/{repository}/metadata/1.root.json")).await;
        let folder = BTreeMap::from([("root.json".to_owned(), root.expect(200).body.to_vec())]);
        Self { repository, folder }
    }

    /// Refreshes, and looks for a target where one is asked for.
    async fn update(&mut self, registry: &Registry, path: Option<&str>) -> Option<Target> {
        let now = Moment((registry.app.now_unix)());
        let mut client =
            Client::new(&self.folder["root.json"], now, Mode::Online, Limits::default()).unwrap();
        let mut answer = Answer::Done;
        loop {
            answer = match client.step(answer).unwrap() {
                Step::Load { file } => self.folder.get(&file).cloned().map_or(Answer::Missing, Answer::Bytes),
                Step::Fetch(fetch) => {
                    let path = format!("/api/v1/update/{}/metadata/{}", self.repository, fetch.file);
                    let answer = registry.get(&path).await;
                    match answer.status.as_u16() {
                        200 => Answer::Bytes(answer.body.to_vec()),
                        404 => Answer::Missing,
                        _ => panic!("{answer:?}"),
                    }
                }
                Step::Store { file, bytes } => {
                    self.folder.insert(file, bytes);
                    Answer::Done
                }
                Step::Remove { file } => {
                    self.folder.remove(&file);
                    Answer::Done
                }
                Step::Refreshed => match path {
                    None => return None,
                    Some(path) => {
                        client.search(&path.parse().unwrap());
                        Answer::Done
                    }
                },
                Step::Found(target) => return Some(*target),
            };
        }
    }

    pub(crate) async fn find(&mut self, registry: &Registry, path: &str) -> Target {
        self.update(registry, Some(path)).await.unwrap()
    }

    /// What the director says of a cell: paths.
    pub(crate) async fn assigned(&mut self, registry: &Registry, site_id: &str) -> Vec<String> {
        self.update(registry, None).await;
        let targets =
            Metadata::<Targets>::parse("targets", "targets.json", &self.folder["targets.json"]).unwrap();
        let assigned = swarm_tuf::director::assigned(targets.body(), site_id).unwrap();
        assigned.keys().map(ToString::to_string).collect()
    }
}

async fn versions(registry: &Registry, repository: &str) -> Value {
    registry.get(&format!("/api/v1/update/{repository}/versions")).await.expect(200).json()
}

pub(crate) async fn what_people_signed_is_served_to_the_byte_and_taken_by_a_client(registry: Registry) {
    let empty = json!({"root": 0, "timestamp": 0, "snapshot": 0, "targets": 0});
    assert_eq!(versions(&registry, "image").await, empty);
    let mut people = People::of_the_image(NOW);
    people.delegate("cooperative_assembly", 60);
    let handed_in = people.sign();
    let published = registry.post(&people.path(), &handed_in).await.expect(200).json();
    assert_eq!(published, json!({"root": 1, "timestamp": 1, "snapshot": 1, "targets": 1}));
    assert_eq!(versions(&registry, "image").await, published);
    for (file, name) in [(0, "1.root.json"), (1, "1.targets.json"), (2, "1.cooperative_assembly.json")] {
        let served = registry.get(&format!("/api/v1/update/image/metadata/{name}")).await.expect(200);
        assert_eq!(served.body, handed_in["files"][file]["text"].as_str().unwrap(), "{name}");
        assert_eq!(served.header("content-type"), "application/json");
    }
    let mut cell = Cell::new(&registry, "image").await;
    let ids = registry.release(&mut people, &["1.0.0"]).await;
    assert_eq!(ids, [1]);
    let target = cell.find(&registry, &target_path("1.0.0")).await;
    let (signed, mut check) = (Signed::version("1.0.0"), target.check().unwrap());
    let place = format!("/api/v1/update/image/targets/{}", target.remote_file());
    let sent = registry.get(&place).await.expect(200);
    check.update(&sent.body).unwrap();
    check.finish().unwrap();
    let ranged = registry.call("GET", &place, &[("range", "bytes=0-9")], axum::body::Body::empty()).await;
    assert_eq!(ranged.expect(206).body, signed.archive[..10]);

    // Withdrawn by whoever holds the skill's key; and on its own, quarantined by the registry.
    registry.post("/api/v1/csa/1/quarantine", &json!({"reason": "x"})).await.expect(200);
    assert_eq!(registry.get(&place).await.refusal(), (403, "quarantined".to_owned()));
    people.withdraw("1.0.0");
    registry.post(&people.path(), &people.sign()).await.expect(200);
    let mut client = Cell::new(&registry, "image").await;
    client.update(&registry, None).await;
    let role = registry.get("/api/v1/update/image/metadata/3.cooperative_assembly.json").await.expect(200);
    assert_eq!(role.json()["signed"]["targets"], json!({}));

    let digest = "0".repeat(64);
    for missing in [
        "/api/v1/update/image/metadata/9.root.json".to_owned(),
        "/api/v1/update/image/metadata/..%2fregistry.db".to_owned(),
        "/api/v1/update/director/metadata/timestamp.json".to_owned(),
        format!(
            "/api/v1/update/image/targets/cooperative_assembly/{digest}.cooperative_assembly_v1.0.0.tar.gz"
        ),
        place.replace("_v1.0.0", "_v1.0.1"),
        place.replace("/image/", "/director/"),
    ] {
        assert_eq!(registry.get(&missing).await.refusal(), (404, "no_such_file".to_owned()), "{missing}");
    }
    let unknown = registry.get("/api/v1/update/other/metadata/timestamp.json").await;
    assert_eq!(unknown.refusal(), (404, "no_such_repository".to_owned()));
}

pub(crate) async fn only_what_is_next_and_believed_is_published_all_or_nothing(registry: Registry) {
    let mut people = People::of_the_image(NOW);
    let first = people.sign();
    let post = async |path: &str, body: &Value| registry.post(path, body).await.refusal();
    let refused = |status: u16, code: &str| (status, code.to_owned());
    let (image, director) = (people.path(), "/api/v1/update/director/publish");
    let only = |body: &Value, at: usize| json!({"files": [body["files"][at]]});
    assert_eq!(post(&image, &only(&first, 1)).await, refused(409, "empty_repository"));
    // A root alone gives the image repository no targets.
    assert_eq!(post(&image, &only(&first, 0)).await, refused(422, "not_believed"));
    registry.post(&image, &first).await.expect(200);
    assert_eq!(post(&image, &only(&first, 0)).await, refused(409, "not_the_next_version"));
    assert_eq!(post(&image, &only(&first, 1)).await, refused(409, "not_the_next_version"));
    let before = versions(&registry, "image").await;

    // Next in number and wrong in every other way; people go on from what was published.
    let published = people.repository.clone();
    people.delegate("pick", 61);
    let delegated = people.sign();
    assert_eq!(post(&image, &only(&delegated, 0)).await, refused(422, "not_believed"));
    assert_eq!(post(&image, &only(&delegated, 1)).await, refused(422, "not_believed"));
    let twice = json!({"files": [delegated["files"][0], delegated["files"][0]]});
    assert_eq!(post(&image, &twice).await, refused(422, "role_twice"));
    let behind = json!({"files": [delegated["files"][1], delegated["files"][0]]});
    assert_eq!(post(&image, &behind).await, refused(422, "not_believed"));
    people.repository = published.clone();
    people.keyring.add(Ed25519Signer::new(SigningKey::from_bytes(&[99; 32])));
    let stranger = Ed25519Signer::new(SigningKey::from_bytes(&[99; 32]));
    let forged = {
        let mut other = People::of_the_image(NOW);
        let key = other.keyring.add(stranger);
        other.repository.set_keys("targets", &[key], std::num::NonZeroU64::MIN).unwrap();
        other.sign();
        other.repository.touch("targets").unwrap();
        other.sign()
    };
    assert_eq!(post(&image, &forged).await, refused(422, "not_believed"));
    people.repository = published.clone();
    people.now = Moment(NOW - 91 * 86_400);
    people.repository.touch("targets").unwrap();
    assert_eq!(post(&image, &people.sign()).await, refused(422, "not_believed"));
    people.repository = published.clone();
    people.now = Moment(NOW);
    // A root by one of the two who have to sign it.
    people.repository.touch("root").unwrap();
    let mut root = people.sign();
    let mut signed: Value = serde_json::from_str(root["files"][0]["text"].as_str().unwrap()).unwrap();
    signed["signatures"].as_array_mut().unwrap().pop();
    root["files"][0]["text"] = json!(signed.to_string());
    let answer = registry.post(&image, &root).await;
    assert!(answer.json()["detail"].as_str().unwrap().contains("1 of the 2 keys"), "{:?}", answer.json());
    assert_eq!(answer.refusal(), refused(422, "not_believed"));
    people.repository = published;
    let nonsense = |role: &str, text: &str| json!({"files": [{"role": role, "text": text}]});
    for (path, body, expected) in [
        (image.as_str(), nonsense("targets", "{}"), refused(422, "not_believed")),
        (&image, nonsense("targets", "no json"), refused(422, "not_believed")),
        (
            &image,
            nonsense("unknown", first["files"][1]["text"].as_str().unwrap()),
            refused(422, "not_believed"),
        ),
        (&image, nonsense("snapshot", "{}"), refused(422, "role_of_the_registry")),
        (director, nonsense("targets", "{}"), refused(422, "role_of_the_registry")),
        (&image, nonsense("../x", "{}"), refused(400, "bad_skill_name")),
        (&image, json!({"files": []}), refused(400, "out_of_range")),
        (&image, json!({"files": "x"}), refused(422, "bad_body")),
        ("/api/v1/update/other/publish", first.clone(), refused(404, "no_such_repository")),
    ] {
        assert_eq!(post(path, &body).await, expected, "{body}");
    }
    assert_eq!(versions(&registry, "image").await, before);
    let file = registry.get("/api/v1/update/image/metadata/2.targets.json").await;
    assert_eq!(file.refusal(), refused(404, "no_such_file"));
    let audit = registry.get("/api/v1/audit").await.json();
    assert_eq!(audit["items"].as_array().unwrap().len(), 1, "{audit}");

    // Whoever changed the database gets no signature for it.
    let pool = sqlx::AnyPool::connect(&registry.place.database_url).await.unwrap();
    let change = "UPDATE update_files SET content = REPLACE(content, '\"version\":1', '\"version\":1 ') WHERE role = 'targets'";
    sqlx::query(change).execute(&pool).await.unwrap();
    pool.close().await;
    people.repository.touch("targets").unwrap();
    assert_eq!(post(&image, &people.sign()).await, refused(503, "unavailable"));
}

pub(crate) async fn of_two_that_publish_at_once_one_is_first(registry: Registry) {
    let other = registry.replica().await;
    let mut people = registry.begin_updates().await;
    for round in 2..6 {
        people.repository.touch("targets").unwrap();
        let next = people.sign();
        let posts = (0..6).map(|at| {
            let registry = if at % 2 == 0 { &registry } else { &other };
            let (path, next) = (people.path(), &next);
            async move { registry.post(&path, next).await.status.as_u16() }
        });
        let mut statuses = futures::future::join_all(posts).await;
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409, 409, 409, 409, 409]);
        assert_eq!(versions(&other, "image").await["targets"], round);
    }
    let verdict = registry.get("/api/v1/audit/verify").await.expect(200).json();
    assert_eq!((&verdict["intact"], &verdict["entries"]), (&json!(true), &json!(6)));
}

async fn until_waiting(registry: &Registry, requests: usize) {
    let waiting = async {
        while registry.app.updates.waiting() < requests {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("nobody waits for something new");
}

pub(crate) async fn who_waits_hears_of_what_any_replica_publishes(registry: Registry) {
    let other = registry.replica().await;
    let mut people = registry.begin_updates().await;
    let following = tokio::spawn(other.app.updates.clone().follow(other.app.now_unix));
    let wait = "/api/v1/update/image/versions?wait_s=30&newer_than=1";
    // Nothing newer: the answer does not come before something is published, here or there.
    let begun = std::time::Instant::now();
    let publish = async {
        until_waiting(&registry, 1).await;
        until_waiting(&other, 1).await;
        people.repository.touch("targets").unwrap();
        registry.post(&people.path(), &people.sign()).await.expect(200);
    };
    let (here, there, ()) = tokio::join!(registry.get(wait), other.get(wait), publish);
    assert_eq!(here.expect(200).json()["timestamp"], 2);
    assert_eq!(there.expect(200).json()["timestamp"], 2);
    assert!(begun.elapsed() < Duration::from_secs(29), "the answers came with the end of the time only");
    // At once where there is something newer already, and where nobody wants to wait.
    registry.get("/api/v1/update/image/versions?wait_s=30&newer_than=0").await.expect(200);
    assert_eq!(registry.get("/api/v1/update/image/versions?newer_than=9").await.json()["timestamp"], 2);
    // The end of the program keeps nobody waiting.
    let (waited, ()) =
        tokio::join!(registry.get("/api/v1/update/image/versions?wait_s=30&newer_than=9"), async {
            until_waiting(&registry, 1).await;
            registry.app.updates.close();
        });
    assert_eq!(waited.expect(200).json()["timestamp"], 2);
    following.abort();
    for bad in ["wait_s=31", "wait_s=-1", "newer_than=-1"] {
        let answer = registry.get(&format!("/api/v1/update/image/versions?{bad}")).await;
        assert_eq!(answer.refusal(), (400, "out_of_range".to_owned()), "{bad}");
    }
}

pub(crate) async fn what_would_expire_is_signed_anew_once(registry: Registry) {
    let other = registry.replica().await;
    let updates = &registry.app.updates;
    assert!(updates.renew(Which::Image, NOW).await.unwrap().is_none(), "there is nothing yet");
    registry.begin_updates().await;
    for which in Which::ALL {
        assert!(updates.renew(which, NOW + 3600).await.unwrap().is_none());
    }
    let half_a_day = NOW + 13 * 3600;
    let (one, two) = tokio::join!(
        updates.renew(Which::Director, half_a_day),
        other.app.updates.renew(Which::Director, half_a_day)
    );
    let renewed: Vec<_> = [one.unwrap(), two.unwrap()].into_iter().flatten().collect();
    assert_eq!(renewed.len(), 1, "{renewed:?}");
    assert_eq!((renewed[0].timestamp, renewed[0].snapshot, renewed[0].targets), (2, 1, 1));
    // After five days snapshot and the director's targets are due too; the image repository's targets are people's.
    let days = NOW + 5 * 86_400;
    let image = updates.renew(Which::Image, days).await.unwrap().unwrap();
    assert_eq!((image.timestamp, image.snapshot, image.targets), (2, 2, 1));
    let director = updates.renew(Which::Director, days).await.unwrap().unwrap();
    assert_eq!((director.timestamp, director.snapshot, director.targets), (3, 2, 2));
    assert!(updates.renew(Which::Director, days).await.unwrap().is_none());
}

pub(crate) async fn metrics_say_when_each_role_expires(registry: Registry) {
    let mut people = registry.begin_updates().await;
    registry.release(&mut people, &["1.0.0"]).await;
    let mut app = registry.app.clone();
    app.now_unix = || NOW + 3600;
    let later = Registry::of(std::sync::Arc::clone(&registry.place), app);
    let expires = async |registry: &Registry, which: &str, role: &str| -> i64 {
        let page = registry.get("/metrics").await.expect(200);
        let begin = format!("update_metadata_expires_seconds{{repository=\"{which}\",role=\"{role}\"}} ");
        let lines = std::str::from_utf8(&page.body).unwrap().lines();
        let mut found = lines.filter_map(|line| line.strip_prefix(begin.as_str()));
        found.next().unwrap_or_else(|| panic!("no {begin}")).parse().unwrap()
    };
    assert_eq!(expires(&registry, "director", "timestamp").await, 86_400);
    assert_eq!(expires(&later, "director", "timestamp").await, 86_400 - 3_600);
    for (which, role) in [("image", "root"), ("image", "targets"), ("image", SKILL), ("director", "root")] {
        let (now, then) = (expires(&registry, which, role).await, expires(&later, which, role).await);
        assert!(now > 86_400 && then == now - 3_600, "{which} {role}: {now}, {then}");
    }
}

pub(crate) async fn without_its_key_nothing_is_published(registry: Registry) {
    let mut app = registry.app.clone();
    app.updates = Updates::new(app.database.clone(), Current::new(None));
    let without = Registry::of(std::sync::Arc::clone(&registry.place), app);
    let mut people = People::of_the_image(NOW);
    let answer = without.post(&people.path(), &people.sign()).await;
    assert_eq!(answer.refusal(), (503, "no_update_key".to_owned()));
    for path in ["metadata/timestamp.json", "versions"] {
        let answer = without.get(&format!("/api/v1/update/image/{path}")).await;
        assert_eq!(answer.refusal(), (503, "no_update_key".to_owned()), "{path}");
    }
}
