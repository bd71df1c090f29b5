//! Backups in a bucket: an S3 server in this process.

use crate::common::{Csactl, Setup, artifact, text, trust_file};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use serde_json::json;

/// Serves the buckets that are folders of `folder`, as long as the test runs.
fn serve(folder: &std::path::Path) -> String {
    let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder).unwrap());
    service.set_auth(SimpleAuth::from_single("key", "secret"));
    let service = service.build();
    let (told, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            told.send(format!("http://{}", listener.local_addr().unwrap())).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = service.clone();
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(async move { http.serve_connection(TokioIo::new(stream), service).await });
            }
        });
    });
    address.recv().unwrap()
}

#[test]
fn a_backup_in_a_bucket_comes_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let buckets = folder.path().join("buckets");
    std::fs::create_dir_all(buckets.join("cells")).unwrap();
    let endpoint = serve(&buckets);
    let trust = trust_file(folder.path());
    let csactl = |data: &str, registry: &str| {
        Csactl::at(registry)
            .with("REGISTRY_DATA_PATH", text(&folder.path().join(data)))
            .with("S3_BUCKET", "cells")
            .with("AWS_ENDPOINT", &endpoint)
            .with("AWS_ALLOW_HTTP", "true")
            .with("AWS_REGION", "eu-central-1")
            .with("AWS_ACCESS_KEY_ID", "key")
            .with("AWS_SECRET_ACCESS_KEY", "secret")
    };
    let registry = Setup::local(&folder.path().join("data")).start();
    let here = csactl("data", &registry.address);
    here.json(&["upload", text(&artifact(folder.path(), "1.0.0"))]);
    let list = here.json(&["list"]);
    let taken = here.json(&["backup"]);
    assert_eq!((&taken["artifacts"], &taken["copied"]), (&json!(1), &json!(1)));
    here.run(&["list-backups"]).says(0, &[taken["id"].as_str().unwrap()]);
    drop(registry);

    let nowhere = csactl("new", "http://127.0.0.1:1");
    let restored = nowhere.json(&["restore", "--trust", text(&trust)]);
    assert_eq!((&restored["rows_lost"], &restored["artifacts_lost"]), (&json!(0), &json!(0)));
    let registry = Setup::local(&folder.path().join("new")).start();
    assert_eq!(csactl("new", &registry.address).json(&["list"]), list);
    // The registry's own artifacts may be in a bucket too.
    let database = format!("sqlite:{}", folder.path().join("new/registry.db").display());
    let artifacts = ["verify-all", "--store", "s3://cells/artifacts", "--database-url", &database];
    nowhere.run(&artifacts).says(0, &["1 artifacts", "0 bad"]);
    // A wrong secret is a failure, and none of the secrets is printed.
    let ended = csactl("new", "http://127.0.0.1:1")
        .with("AWS_SECRET_ACCESS_KEY", "hunter2")
        .run(&["list-backups"])
        .expect(2);
    assert!(!ended.stderr.contains("hunter2"), "{ended:?}");
}
