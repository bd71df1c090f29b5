//! The reference: a server of the same library that does nothing beside moving the bytes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures::StreamExt as _;
use swarm_api::artifact::ArtifactPage;
use swarm_artifact::ArchiveHasher;
use tokio::io::AsyncWriteExt as _;
use tokio_util::io::ReaderStream;

/// Bytes at a time of a file.
const READ: usize = 512 * 1024;

#[derive(Clone)]
struct Served {
    list: Arc<ArtifactPage>,
    bytes: Bytes,
    file: Arc<Path>,
}

/// Serves until it is killed; prints its address.
pub(crate) fn serve(list: &Path, file: PathBuf) -> Result<()> {
    let bytes = Bytes::from(std::fs::read(list)?);
    let page: ArtifactPage = serde_json::from_slice(&bytes).context("the list cannot be read")?;
    let served = Served { list: Arc::new(page), bytes, file: file.into() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let router = Router::new()
            .route("/list", get(rows))
            .route("/bytes", get(async |State(served): State<Served>| (JSON, served.bytes)))
            .route("/file", get(file_body))
            .route("/upload", post(take))
            .layer(DefaultBodyLimit::disable())
            .with_state(served);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("listens on {}", listener.local_addr()?);
        axum::serve(listener, router).await.context("the bare server ended")
    })
}

const JSON: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];

/// The rows are in memory, and are written as JSON for each request: what is left of a list without database, access and counters.
async fn rows(State(served): State<Served>) -> Response {
    Json(served.list.as_ref()).into_response()
}

async fn file_body(State(served): State<Served>) -> Result<Response, String> {
    let mut file = tokio::fs::File::open(&served.file).await.map_err(|error| error.to_string())?;
    let length = file.metadata().await.map_err(|error| error.to_string())?.len();
    file.set_max_buf_size(READ);
    let headers =
        [(header::CONTENT_TYPE, "application/gzip".to_owned()), (header::CONTENT_LENGTH, length.to_string())];
    Ok((headers, Body::from_stream(ReaderStream::with_capacity(file, READ))).into_response())
}

/// Hashes, and stores so that a power cut takes nothing: what no registry of artifacts can do without.
async fn take(State(served): State<Served>, body: Body) -> Result<String, String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let folder = served.file.parent().unwrap_or(Path::new("."));
    let file = tempfile::tempfile_in(folder).map_err(|error| words(&error))?;
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
