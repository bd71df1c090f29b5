//! The promises of a registry that keeps everything on this machine: SQLite and a folder.

mod common;

use common::{Place, Registry};

async fn registry() -> Registry {
    Registry::new(Place::local()).await
}

contract!(registry);

#[tokio::test]
async fn what_was_accepted_is_there_after_a_restart() {
    let first = registry().await;
    let signed = common::artifacts::Signed::version("1.0.0");
    let accepted = first.upload(&signed).await.expect(201).json();
    first.app.database.close().await;
    let second = first.replica().await;
    assert_eq!(second.get("/api/v1/csa/list").await.expect(200).json()["items"][0], accepted);
    let sent = second.get(&format!("/api/v1/csa/{}/download", signed.digest())).await.expect(200);
    assert!(sent.body == signed.archive);
}
