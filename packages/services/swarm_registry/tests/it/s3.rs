//! The promises of a registry whose artifacts are in a bucket: an S3 server in this process.

use std::any::Any;
use std::sync::Arc;

use crate::common::{Place, Registry};
use hyper_util::rt::TokioIo;
use object_store::aws::AmazonS3Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use swarm_registry::blobs::Blobs;

async fn registry() -> Registry {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("cells")).unwrap();
    let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).unwrap());
    service.set_auth(SimpleAuth::from_single("key", "secret"));
    let service = service.build();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    // Ends with the test's runtime.
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service.clone();
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(async move { http.serve_connection(TokioIo::new(stream), service).await });
        }
    });
    let store = AmazonS3Builder::new()
        .with_endpoint(endpoint)
        .with_allow_http(true)
        .with_region("eu-central-1")
        .with_bucket_name("cells")
        .with_access_key_id("key")
        .with_secret_access_key("secret")
        .build()
        .unwrap();
    let kept: Arc<dyn Any + Send + Sync> = Arc::new(folder);
    let local = Place::local();
    Registry::new(Place { blobs: Blobs::of(store, "csa/v1"), kept: Some(kept), ..local }).await
}

crate::contract!(registry);
