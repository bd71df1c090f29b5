//! A running registry beside other people's programs: python-tuf's client, and schemathesis, which makes requests from the
//! description of the interface and holds the answers against it.
//!
//! Needs the feature `peer-tests`, and Python with `tuf` and `schemathesis`; `SWARM_TEST_PYTHON` names the interpreter.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::common::artifacts::Signed;
use crate::common::ceremony::target_path;
use crate::common::{Place, Registry};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use swarm_artifact::public_key_to_pem;
use swarm_registry::access::{Audience, TokenKeys};
use swarm_registry::current::Current;
use swarm_registry::http::Access;
use swarm_registry::serve::serve;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A registry whose clock goes, on a port of this machine, with two published versions of the example skill and a cell.
struct Running {
    /// The same registry, for requests of the test itself.
    registry: Registry,
    url: String,
    end: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Running {
    /// `access` is for those who come over the port.
    async fn start(access: Access) -> Self {
        let place = Arc::new(Place::local());
        let mut app = place.app(Access::Development).await;
        app.now_unix = swarm_store::unix_now;
        let registry = Registry::of(Arc::clone(&place), app.clone());
        let mut people = registry.begin_updates().await;
        let ids = registry.release(&mut people, &["1.0.0", "1.1.0"]).await;
        let deploy = json!({"site_id": "cell-1", "csa_id": ids[0], "reason": "test"});
        registry.post("/api/v1/deployments", &deploy).await.expect(200);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (end, ended) = oneshot::channel::<()>();
        app.access = access;
        let router = Registry::of(place, app).router();
        let serving = tokio::spawn(serve(listener, None, router, async move {
            let _ = ended.await;
        }));
        Self { registry, url, end, serving }
    }

    async fn stop(self) {
        self.end.send(()).unwrap();
        self.serving.await.unwrap();
    }
}

/// Who may do everything, and the token that says so.
fn administrator() -> (Access, String) {
    let key = SigningKey::from_bytes(&[70; 32]);
    let pem = public_key_to_pem(&key.verifying_key()).unwrap();
    let keys = json!({"keys": [{"id": "peer", "public_key": pem, "roles": ["admin"]}]});
    let keys = Current::new(Some(TokenKeys::parse(&keys.to_string()).unwrap()));
    let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = encode(json!({"alg": "EdDSA", "kid": "peer"}));
    let expires = swarm_store::unix_now() + 7200;
    let claims = encode(json!({"sub": "peer", "aud": "swarm_registry", "exp": expires, "roles": ["admin"]}));
    let signed = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).to_bytes());
    let access = Access::Required { keys, audience: Audience("swarm_registry".to_owned()) };
    (access, format!("Bearer {signed}.{signature}"))
}

fn python() -> PathBuf {
    std::env::var_os("SWARM_TEST_PYTHON").unwrap_or_else(|| "python3".into()).into()
}

async fn run(mut command: Command) -> Vec<u8> {
    let shown = format!("{command:?}");
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    let output = output.unwrap_or_else(|error| panic!("cannot start {shown}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{shown}:\n{}\n{}", text(&output.stdout), text(&output.stderr));
    output.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn python_tufs_client_updates_from_the_registry() {
    let running = Running::start(Access::Development).await;
    let folder = tempfile::tempdir().unwrap();
    let root = running.registry.get("/api/v1/update/image/metadata/1.root.json").await.expect(200);
    std::fs::write(folder.path().join("root.json"), root.body).unwrap();
    let mut command = Command::new(python());
    command
        .arg(scripts().join("update_client.py"))
        .arg(&running.url)
        .arg(folder.path())
        .args([target_path("1.1.0"), target_path("9.9.9")]);
    let read: Value = serde_json::from_slice(&run(command).await).unwrap();
    assert_eq!(read["targets"][target_path("1.1.0")], Signed::version("1.1.0").digest());
    assert_eq!(read["targets"][target_path("9.9.9")], Value::Null);
    assert_eq!(read["versions"], json!({"root": 1, "timestamp": 2, "snapshot": 2, "targets": 1}));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_that_schemathesis_makes_is_answered_otherwise_than_described() {
    let (access, token) = administrator();
    let running = Running::start(access).await;
    let (folder, scripts) = (tempfile::tempdir().unwrap(), scripts());
    let mut command = Command::new(python());
    command.args(["-m", "schemathesis.cli", "--config-file"]).arg(scripts.join("schemathesis.toml"));
    command.arg("run").arg(format!("{}/openapi.json", running.url));
    command.args(["--header", &format!("Authorization: {token}")]);
    command.args(["--seed", "1", "--max-examples", "30", "--request-timeout", "60", "--workers", "1"]);
    command.args(["--continue-on-failure", "--no-color"]);
    command.env("SCHEMATHESIS_HOOKS", "schemathesis_hooks").env("PYTHONPATH", scripts);
    command.current_dir(folder.path());
    run(command).await;
    running.stop().await;
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/registry").canonicalize().unwrap()
}
