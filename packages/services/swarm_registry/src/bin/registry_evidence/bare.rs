//! The reference: a server of the same library that does nothing beside moving the bytes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::StreamExt as _;
use swarm_api::artifact::ArtifactPage;
use swarm_artifact::ArchiveHasher;
use tokio::io::AsyncWriteExt as _;
use tokio_util::io::ReaderStream;

/// As the registry reads.
const READ: usize = 512 * 1024;

#[derive(Clone)]
struct Served {
    list: Arc<ArtifactPage>,
    file: Arc<Path>,
}

/// Serves until it is killed; prints its address.
pub(crate) fn serve(list: &Path, file: PathBuf) -> Result<()> {
    let page: ArtifactPage =
        serde_json::from_slice(&std::fs::read(list)?).context("the list cannot be read")?;
    let served = Served { list: Arc::new(page), file: file.into() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let router = Router::new()
            .route("/list", get(async |State(served): State<Served>| Json(served.list.as_ref().clone())))
            .route("/file", get(file_body))
            .route("/upload", post(take))
            .layer(DefaultBodyLimit::disable())
            .with_state(served);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("listens on {}", listener.local_addr()?);
        axum::serve(listener, router).await.context("the bare server ended")
    })
}

async fn file_body(State(served): State<Served>) -> Result<Body, String> {
    let mut file = tokio::fs::File::open(&served.file).await.map_err(|error| error.to_string())?;
    file.set_max_buf_size(READ);
    Ok(Body::from_stream(ReaderStream::with_capacity(file, READ)))
}

/// Hashes and stores: what no registry of artifacts can do without.
async fn take(body: Body) -> Result<String, String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let file = tempfile::tempfile().map_err(|error| words(&error))?;
    let mut file = tokio::fs::File::from_std(file);
    file.set_max_buf_size(1 << 20);
    let mut hasher = ArchiveHasher::default();
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| words(&error))?;
        hasher.update(&chunk);
        file.write_all(&chunk).await.map_err(|error| words(&error))?;
    }
    file.sync_all().await.map_err(|error| words(&error))?;
    Ok(hasher.finish().id.to_string())
}
