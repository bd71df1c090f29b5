//! What a registry promises of bags.

use std::sync::Arc;

use axum::body::Body;
use serde_json::{Value, json};
use swarm_artifact::ArchiveDigest;

use super::{Answer, NOW, Registry};

const DAY: i64 = 86_400;

fn archive(seed: u8, length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 7 % 251) as u8 ^ seed).collect()
}

fn digest(archive: &[u8]) -> String {
    ArchiveDigest::of(archive).id.to_string()
}

async fn sent(registry: &Registry, archive: &[u8]) -> String {
    let length = json!({"length": archive.len()});
    let begun = registry.post("/api/v1/bags/uploads", &length).await.expect(201);
    let (place, id) = (begun.header("location").to_owned(), begun.json()["upload_id"].clone());
    for (number, part) in archive.chunks(300_000).enumerate() {
        let offset = (number * 300_000).to_string();
        let headers =
            [("content-type", "application/offset+octet-stream"), ("upload-offset", offset.as_str())];
        registry.call("PATCH", &place, &headers, part.to_vec()).await.expect(204);
    }
    format!("/api/v1/bags/uploads/{}/complete", id.as_str().unwrap())
}

pub(crate) async fn hand_in(registry: &Registry, name: &str, archive: &[u8]) -> Answer {
    let complete = sent(registry, archive).await;
    registry.post(&complete, &json!({"name": name, "digest": digest(archive)})).await
}

async fn names(registry: &Registry) -> Vec<Value> {
    let page = registry.get("/api/v1/bags").await.expect(200).json();
    page["items"].as_array().unwrap().iter().map(|bag| bag["name"].clone()).collect()
}

pub(crate) async fn a_bag_is_kept_as_it_came_until_somebody_removes_it(registry: Registry) {
    let (first, second) = (archive(1, 700_000), archive(2, 1_000));
    let bag = hand_in(&registry, "demo_001", &first).await.expect(201).json();
    assert_eq!((&bag["digest"], &bag["size"]), (&json!(digest(&first)), &json!(first.len())));
    assert_eq!((&bag["site"], &bag["uploaded_at"]), (&json!("developer"), &json!("2027-01-15T08:00:00Z")));
    // The same again, under whatever name, is the same bag.
    assert_eq!(hand_in(&registry, "demo_again", &first).await.expect(200).json(), bag);
    hand_in(&registry, "demo_002.mcap", &second).await.expect(201);
    let other = registry.replica().await;
    assert_eq!(names(&other).await, ["demo_002.mcap", "demo_001"]);
    let page = other.get("/api/v1/bags?limit=1").await.expect(200).json();
    let next = other.get(&format!("/api/v1/bags?after={}", page["next_after"])).await.expect(200).json();
    assert_eq!((&next["items"][0], &next["next_after"]), (&bag, &Value::Null));

    let path = format!("/api/v1/bags/{}", bag["id"]);
    assert_eq!(other.get(&path).await.expect(200).json(), bag);
    let whole = other.get(&format!("{path}/download")).await.expect(200);
    assert!(whole.body == first);
    assert_eq!(whole.header("etag"), format!("\"{}\"", digest(&first)));
    assert_eq!(whole.header("content-disposition"), "attachment; filename=\"demo_001.tar\"");
    let rest =
        other.call("GET", &format!("{path}/download"), &[("range", "bytes=600000-")], Body::empty()).await;
    assert!(rest.expect(206).body == first[600_000..]);

    registry.call("DELETE", &path, &[], Body::empty()).await.expect(204);
    assert_eq!(other.get(&path).await.refusal(), (404, "no_such_bag".to_owned()));
    assert_eq!(
        other.call("DELETE", &path, &[], Body::empty()).await.refusal(),
        (404, "no_such_bag".to_owned())
    );
    // What was removed can be handed in again, and nothing of the other is gone.
    hand_in(&registry, "demo_001", &first).await.expect(201);
    let audit = registry.get("/api/v1/audit").await.expect(200).json();
    let actions: Vec<_> = audit["items"].as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["upload_bag", "upload_bag", "remove_bag", "upload_bag"]);
    assert_eq!(registry.get("/api/v1/audit/verify").await.expect(200).json()["intact"], true);
}

pub(crate) async fn a_bag_whose_bytes_are_gone_is_taken_again(registry: Registry) {
    let bytes = archive(1, 1_000);
    let bag = hand_in(&registry, "demo", &bytes).await.expect(201).json();
    let pool = sqlx::AnyPool::connect(&registry.place.database_url).await.unwrap();
    let object: String = sqlx::query_scalar("SELECT object FROM bags").fetch_one(&pool).await.unwrap();
    pool.close().await;
    registry.place.blobs.delete_part(&object).await.unwrap();
    assert_eq!(hand_in(&registry, "demo", &bytes).await.expect(200).json(), bag);
    let download = format!("/api/v1/bags/{}/download", bag["id"]);
    assert!(registry.get(&download).await.expect(200).body == bytes);
}

pub(crate) async fn a_bag_that_is_not_what_was_announced_is_not_kept(registry: Registry) {
    let bytes = archive(1, 1_000);
    let complete = sent(&registry, &bytes).await;
    let of = |name: &str, digest: &str| json!({"name": name, "digest": digest});
    let right = digest(&bytes);
    for (body, refusal) in [
        (of("demo", &digest(b"other")), (422, "other_digest")),
        (of("demo", "x"), (400, "bad_digest")),
        (of("../demo", &right), (400, "bad_bag_name")),
        (of(".demo", &right), (400, "bad_bag_name")),
        (of("", &right), (400, "bad_bag_name")),
        (of(&"x".repeat(129), &right), (400, "bad_bag_name")),
        (json!({"name": "demo"}), (422, "bad_body")),
    ] {
        assert_eq!(
            registry.post(&complete, &body).await.refusal(),
            (refusal.0, refusal.1.to_owned()),
            "{body}"
        );
    }
    // Bytes of a bag are no artifact.
    let id = complete.split('/').nth(5).unwrap();
    let artifact = json!({"signature": "x", "uploaded_by": "x"});
    let refused = registry.post(&format!("/api/v1/csa/uploads/{id}/complete"), &artifact).await;
    assert_eq!(refused.status, 422);
    let begun = registry.post("/api/v1/bags/uploads", &json!({"length": 10})).await.expect(201).json();
    let short = format!("/api/v1/bags/uploads/{}/complete", begun["upload_id"].as_str().unwrap());
    assert_eq!(registry.post(&short, &of("demo", &right)).await.refusal(), (409, "incomplete".to_owned()));
    for (path, refusal) in [
        ("/api/v1/bags/x", (400, "bad_number")),
        ("/api/v1/bags/0", (400, "bad_number")),
        ("/api/v1/bags/7", (404, "no_such_bag")),
        ("/api/v1/bags/7/download", (404, "no_such_bag")),
        ("/api/v1/bags?limit=0", (400, "out_of_range")),
        ("/api/v1/bags?site=x", (400, "bad_query")),
    ] {
        assert_eq!(registry.get(path).await.refusal(), (refusal.0, refusal.1.to_owned()), "{path}");
    }
    assert!(names(&registry).await.is_empty());
    registry.post(&complete, &of("demo", &right)).await.expect(201);
}

/// One bag may have 4 MB, all of them 6 MB, for 30 days.
pub(crate) async fn bags_have_bounds_in_size_in_sum_and_in_time(registry: Registry) {
    let length = |bytes: u64| json!({"length": bytes});
    let begin =
        async |registry: &Registry, bytes| registry.post("/api/v1/bags/uploads", &length(bytes)).await;
    assert_eq!(begin(&registry, 0).await.refusal(), (400, "empty_upload".to_owned()));
    assert_eq!(begin(&registry, 4_000_001).await.refusal(), (413, "too_large".to_owned()));
    let (first, second) = (archive(1, 3_500_000), archive(2, 2_400_000));
    hand_in(&registry, "first", &first).await.expect(201);
    // Both had room when they were begun.
    let late = sent(&registry, &archive(3, 2_500_000)).await;
    hand_in(&registry, "second", &second).await.expect(201);
    assert_eq!(begin(&registry, 200_000).await.refusal(), (409, "bags_full".to_owned()));
    let body = json!({"name": "late", "digest": digest(&archive(3, 2_500_000))});
    assert_eq!(registry.post(&late, &body).await.refusal(), (409, "bags_full".to_owned()));

    let mut app = registry.app.clone();
    app.now_unix = || NOW + 30 * DAY + 1;
    let later = Registry::of(Arc::clone(&registry.place), app);
    begin(&later, 200_000).await.expect(201);
    assert!(names(&later).await.is_empty());
    let audit = later.get("/api/v1/audit").await.expect(200).json();
    let last = audit["items"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["action"], &last["who"]), (&json!("remove_bag"), &json!("registry")));
}
