//! The pages in headless Chromium: forms, live parts and the policy as a real browser sees them (`tests/registry/browse.py`).

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use swarm_registry::serve::serve;
use tokio::net::TcpListener;

use super::fleet::{floor, plan};
use crate::common::artifacts::Signed;
use crate::common::fleet::report;
use crate::common::{NOW, Place, Registry};

/// A floor with a history worth looking at: a family of four versions, one quarantined, and a roll-out under way.
async fn busy(registry: &Registry) {
    let ids = floor(registry).await;
    let parent = Signed::version("1.1.0").digest();
    for version in ["1.2.0", "1.2.1"] {
        let form = Signed::version(version)
            .form(&[("parent", &parent), ("training_data", "42 demonstrations of 2026-11-20")]);
        registry.upload_form(&form).await.expect(201);
    }
    let bad = Signed::version("1.2.0").digest();
    let reason = serde_json::json!({"reason": "two safety stops in the canary"});
    registry.post(&format!("/api/v1/csa/{bad}/quarantine"), &reason).await.expect(200);
    registry.report("cell-c", &report(1)).await;
    assert_eq!(ids.len(), 2);
    registry.post("/api/v1/rollouts", &plan("1.1.0")).await.expect(201);
    registry.app.rollouts.turn(NOW).await.unwrap();
}

async fn served(registry: &Registry) -> (String, tokio::sync::oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (end, ended) = tokio::sync::oneshot::channel();
    tokio::spawn(serve(listener, None, registry.router(), async {
        let _ = ended.await;
    }));
    (address, end)
}

#[tokio::test(flavor = "multi_thread")]
async fn people_use_the_pages_in_a_browser() {
    let place = Arc::new(Place::local());
    let open = Registry::with_access(Arc::clone(&place), super::Access::Development).await;
    busy(&open).await;
    let guarded = Registry::with_access(place, super::access()).await;
    let ((open, _end), (guarded, _other)) = (served(&open).await, served(&guarded).await);
    let python =
        std::env::var("SWARM_TEST_PYTHON").expect("SWARM_TEST_PYTHON names a Python with playwright");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/registry/browse.py");
    let mut command = Command::new(python);
    command
        .arg(script)
        .args(["--open", &open, "--guarded", &guarded, "--token", &super::token("ada", "engineer")])
        .args(["--bad", &Signed::version("1.2.0").digest(), "--good", &Signed::version("1.1.0").digest()]);
    let status = tokio::task::spawn_blocking(move || command.status()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
}
