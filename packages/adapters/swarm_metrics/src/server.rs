//! `GET /metrics`, and nothing else.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{Semaphore, oneshot};

use crate::{CONTENT_TYPE, Metrics};

/// Connections at a time; further ones wait in the kernel's queue, so that nobody takes the process's file descriptors.
pub const MAX_CONNECTIONS: usize = 16;

/// Longest time for a request's header, and longest life of a connection: a collector that stays connects again.
const HEADER: Duration = Duration::from_secs(5);
const CONNECTION: Duration = Duration::from_mins(1);

/// A server that could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve metrics on {address}; if another program is there, choose another port: {source}")]
pub struct StartError {
    pub address: SocketAddr,
    #[source]
    pub source: std::io::Error,
}

/// Serves the page on a thread of its own until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The page, and nothing else.
fn router(metrics: Arc<Metrics>) -> Router {
    let page = async |State(metrics): State<Arc<Metrics>>| {
        ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics.text()).into_response()
    };
    Router::new().route("/metrics", get(page)).with_state(metrics)
}

impl Server {
    /// Serves this machine only. Port 0 takes any free one.
    pub fn start(port: u16, metrics: Arc<Metrics>) -> Result<Self, StartError> {
        Self::start_at(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port), metrics)
    }

    /// Serves where it is told to; without authentication, so that a warning is logged for an address that is no loopback.
    pub fn start_at(address: SocketAddr, metrics: Arc<Metrics>) -> Result<Self, StartError> {
        let failed = |source| StartError { address, source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        if !address.ip().is_loopback() {
            tracing::warn!("metrics are served on {address} to whoever reaches it");
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(failed)?
        };
        let (end, ended) = oneshot::channel();
        let serving = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, router(metrics)) => {}
                    _ = ended => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("metrics".into()).spawn(serving).map_err(failed)?;
        Ok(Self { address, end: Some(end), thread: Some(thread) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end.take();
        // A panic of the thread has been printed by then.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

async fn serve(listener: tokio::net::TcpListener, router: Router) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // The semaphore is never closed.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, mostly; that passes.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEADER).max_buf_size(16 * 1024);
            // Neither a client's mistake nor its silence is anybody's affair.
            let _ =
                tokio::time::timeout(CONNECTION, http.serve_connection(TokioIo::new(stream), service)).await;
            drop(place);
        });
    }
}
