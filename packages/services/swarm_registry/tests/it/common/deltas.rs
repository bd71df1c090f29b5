//! What a registry promises of deltas.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use swarm_artifact::Limits;
use swarm_registry::deltas::{Deltas, Found};
use swarm_registry::record::Reference;
use swarm_store::apply_delta;

use super::artifacts::Signed;
use super::{Answer, Registry};

async fn delta(registry: &Registry, from: &Signed, to: &Signed) -> Answer {
    delta_with(registry, from, to, &[]).await
}

async fn delta_with(registry: &Registry, from: &Signed, to: &Signed, headers: &[(&str, &str)]) -> Answer {
    let path = format!("/api/v1/csa/{}/delta?from={}", to.digest(), from.digest());
    registry.call("GET", &path, headers, axum::body::Body::empty()).await
}

/// What a cell makes of it.
fn applied(from: &Signed, delta: &[u8], to: &Signed) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (base, made) = (folder.path().join("base.tar.gz"), folder.path().join("made.tar.gz"));
    std::fs::write(&base, &from.archive).unwrap();
    apply_delta(&base, delta, to.digest().parse().unwrap(), &made, Limits::default()).unwrap();
    std::fs::read(made).unwrap()
}

pub(crate) async fn a_delta_gives_the_artifact_to_the_byte_in_whole_and_in_parts(registry: Registry) {
    let (old, new) = (Signed::version("1.0.0"), Signed::version("1.1.0"));
    for signed in [&old, &new] {
        registry.upload(signed).await.expect(201);
    }
    let whole = delta(&registry, &old, &new).await.expect(200);
    assert!(whole.body.len() < new.archive.len() / 2, "{} of {}", whole.body.len(), new.archive.len());
    assert!(applied(&old, &whole.body, &new) == new.archive);
    let tag = whole.header("etag").to_owned();

    // Made once: another replica has the same bytes under the same tag, by number as by digest.
    let replica = registry.replica().await;
    let again = replica.get("/api/v1/csa/2/delta?from=1").await.expect(200);
    assert!(again.header("etag") == tag && again.body == whole.body);
    delta_with(&replica, &old, &new, &[("if-none-match", &tag)]).await.expect(304);
    let half = whole.body.len() / 2;
    let rest = format!("bytes={half}-");
    let rest = delta_with(&replica, &old, &new, &[("range", &rest), ("if-range", &tag)]).await.expect(206);
    assert!(rest.body == whole.body[half..]);
    let other = delta_with(&replica, &old, &new, &[("range", "bytes=5-"), ("if-range", "\"x\"")]).await;
    assert!(other.expect(200).body == whole.body);
    let behind = delta_with(&replica, &old, &new, &[("range", "bytes=99999999-")]).await;
    assert_eq!(behind.refusal(), (416, "no_such_range".to_owned()));

    let page = registry.get("/metrics").await.expect(200);
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    let saved = new.archive.len() - whole.body.len();
    for line in ["csa_delta_total 1".to_owned(), format!("csa_delta_saved_bytes_total {saved}")] {
        assert!(page.lines().any(|it| it == line), "{line} in\n{page}");
    }
}

pub(crate) async fn what_has_no_delta_says_why(registry: Registry) {
    let (old, new) = (Signed::version("1.0.0"), Signed::version("1.1.0"));
    let foreign = Signed::packaged("1.2.0", 1);
    let other = Signed::of_skill("other_skill", "1.0.0");
    for signed in [&old, &new, &foreign, &other] {
        registry.upload(signed).await.expect(201);
    }
    // Bytes that `cell package` does not write again; that is found out once, and remembered.
    for _ in 0..2 {
        assert_eq!(delta(&registry, &old, &foreign).await.refusal(), (404, "no_delta".to_owned()));
    }
    assert_eq!(delta(&registry, &old, &old).await.refusal(), (400, "bad_base".to_owned()));
    assert_eq!(delta(&registry, &other, &new).await.refusal(), (400, "bad_base".to_owned()));
    for (path, refusal) in [
        ("/api/v1/csa/2/delta", (400, "bad_query")),
        ("/api/v1/csa/2/delta?from=", (400, "bad_reference")),
        ("/api/v1/csa/2/delta?from=..%2fregistry.db", (400, "bad_reference")),
        ("/api/v1/csa/2/delta?from=77", (404, "no_such_artifact")),
        ("/api/v1/csa/77/delta?from=1", (404, "no_such_artifact")),
    ] {
        assert_eq!(registry.get(path).await.refusal(), (refusal.0, refusal.1.to_owned()), "{path}");
    }
    let mut app = registry.app.clone();
    app.deltas = Deltas::new(app.intake.blobs.clone(), app.staging.clone(), 100);
    let small = Registry::of(Arc::clone(&registry.place), app);
    assert_eq!(delta(&small, &old, &new).await.refusal(), (404, "no_delta".to_owned()));
    // Nothing of that is kept: where there is room, it is made.
    delta(&registry, &old, &new).await.expect(200);
}

pub(crate) async fn a_quarantined_artifact_is_the_end_of_no_delta_but_may_be_its_beginning(
    registry: Registry,
) {
    let (bad, good) = (Signed::version("1.2.0"), Signed::version("1.1.0"));
    for signed in [&good, &bad] {
        registry.upload(signed).await.expect(201);
    }
    delta(&registry, &good, &bad).await.expect(200);
    let reason = json!({"reason": "it drops parts"});
    registry.post(&format!("/api/v1/csa/{}/quarantine", bad.digest()), &reason).await.expect(200);
    assert_eq!(delta(&registry, &good, &bad).await.refusal(), (403, "quarantined".to_owned()));
    let way_back = delta(&registry, &bad, &good).await.expect(200);
    assert!(applied(&bad, &way_back.body, &good) == good.archive);
}

pub(crate) async fn who_asks_for_the_same_delta_waits_for_the_same_and_not_for_ever(registry: Registry) {
    let (old, new) = (Signed::version("1.0.0"), Signed::version("1.1.0"));
    for signed in [&old, &new] {
        registry.upload(signed).await.expect(201);
    }
    let record = async |signed: &Signed| {
        let digest = Reference::Digest(signed.digest().parse().unwrap());
        registry.app.catalogue.find(digest).await.unwrap().unwrap()
    };
    let (from, to) = (record(&old).await, record(&new).await);
    let hurried = registry.app.deltas.get(&from, &to, Duration::ZERO).await.unwrap();
    assert_eq!(hurried, Found::NotYet);
    let asked = (0..8).map(|_| delta(&registry, &old, &new));
    let answers = futures::future::join_all(asked).await;
    let tag = answers[0].header("etag");
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.header("etag") == tag), "{answers:?}");
    assert!(applied(&old, &answers[7].body, &new) == new.archive);
}
