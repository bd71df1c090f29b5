//! The promises of a registry that keeps everything on this machine: SQLite and a folder.

use crate::common::{Place, Registry};

async fn registry() -> Registry {
    Registry::new(Place::local()).await
}

crate::contract!(registry);

#[tokio::test]
async fn what_was_accepted_is_there_after_a_restart() {
    let first = registry().await;
    let signed = crate::common::artifacts::Signed::version("1.0.0");
    let accepted = first.upload(&signed).await.expect(201).json();
    first.app.database.close().await;
    let second = first.replica().await;
    assert_eq!(second.get("/api/v1/csa/list").await.expect(200).json()["items"][0], accepted);
    let sent = second.get(&format!("/api/v1/csa/{}/download", signed.digest())).await.expect(200);
    assert!(sent.body == signed.archive);
}

#[tokio::test]
async fn an_artifact_is_taken_though_its_upload_cannot_be_removed_and_what_is_left_goes_later() {
    let registry = registry().await;
    let signed = crate::common::artifacts::Signed::version("1.0.0");
    let database = sqlx::AnyPool::connect(&registry.place.database_url).await.unwrap();
    let sql = async |statement: &'static str| {
        sqlx::raw_sql(statement).execute(&database).await.unwrap();
    };
    let begin = serde_json::json!({"length": signed.archive.len()});
    let place = registry.post("/api/v1/csa/uploads", &begin).await.expect(201).header("location").to_owned();
    let headers = [("content-type", "application/offset+octet-stream"), ("upload-offset", "0")];
    registry.call("PATCH", &place, &headers, signed.archive.clone()).await.expect(204);
    sql("CREATE TRIGGER stopped BEFORE DELETE ON uploads BEGIN SELECT RAISE(ABORT, 'stopped'); END").await;
    let body = serde_json::json!({"signature": signed.signature, "uploaded_by": "the test"});
    registry.post(&format!("{place}/complete"), &body).await.expect(201);
    // Its bytes are gone, and nobody can go on with it.
    assert_eq!(registry.get(&place).await.refusal(), (404, "no_such_upload".to_owned()));
    sql("DROP TRIGGER stopped").await;
    registry.post("/api/v1/csa/uploads", &begin).await.expect(201);
    let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM uploads").fetch_one(&database).await.unwrap();
    assert_eq!(left, 1, "the one that was begun just now");
}

#[tokio::test]
async fn the_bytes_of_a_bag_that_is_removed_are_gone_and_no_others() {
    let registry = registry().await;
    let archives = [b"first".to_vec(), b"second".to_vec()];
    for (name, archive) in ["first", "second"].iter().zip(&archives) {
        crate::common::bags::hand_in(&registry, name, archive).await.expect(201);
    }
    registry.call("DELETE", "/api/v1/bags/1", &[], axum::body::Body::empty()).await.expect(204);
    let mut left = Vec::new();
    for folder in std::fs::read_dir(registry.place.folder.path().join("artifacts/bags")).unwrap() {
        let files = std::fs::read_dir(folder.unwrap().path()).unwrap();
        left.extend(files.map(|file| std::fs::read(file.unwrap().path()).unwrap()));
    }
    assert_eq!(left, archives[1..]);
}
