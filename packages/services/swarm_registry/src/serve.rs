//! Connections: plain or TLS, with bounds on how many, on how long a header may take, and a drain at the end.
//!
//! 1. Take a connection, if there is room.
//! 2. With TLS: shake hands. A site shows its certificate; its name goes with every request of the connection.
//! 3. Serve requests until the client leaves, until the drain, or until the site's certificate is believed no more: then the
//!    request that is under way is the last one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::current::Current;
use crate::http::{Site, Stranger};

/// Connections at a time; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 4096;
/// Longest time for a handshake, and for the header of a request: who is slower is cut off.
const HANDSHAKE: Duration = Duration::from_secs(10);
const HEADER: Duration = Duration::from_secs(15);
/// Longest time that requests get to end when the program is told to.
const DRAIN: Duration = Duration::from_secs(25);

/// The registry's certificate, who may certify sites, and which of those certificates are revoked.
#[derive(Clone)]
pub struct Tls {
    current: Current<Believed>,
    exchanged: watch::Sender<()>,
}

#[derive(Clone)]
struct Believed {
    acceptor: TlsAcceptor,
    /// None where sites cannot sign in.
    sites: Option<Arc<dyn ClientCertVerifier>>,
}

impl Believed {
    fn lets_in(&self, chain: &[CertificateDer<'_>]) -> bool {
        let (Some(sites), [certificate, intermediates @ ..]) = (&self.sites, chain) else { return false };
        sites.verify_client_cert(certificate, intermediates, UnixTime::now()).is_ok()
    }
}

/// Who may certify sites, in PEM files.
#[derive(Clone, Copy, Debug)]
pub struct SiteFiles<'a> {
    pub ca: &'a Path,
    /// Revocation lists (RFC 5280), one of each authority. A site is let in only where its authority's list is there and does not
    /// name its certificate. That a list is older than its `nextUpdate` says is no reason to keep a fleet out.
    pub crl: Option<&'a Path>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Reads PEM files.
    pub fn read(certificate: &Path, key: &Path, sites: Option<SiteFiles<'_>>) -> Result<Self, String> {
        let chain = certificates(certificate)?;
        let key = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| format!("'{}' holds no private key in PEM: {error}", key.display()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| error.to_string())?;
        let sites = match sites {
            None => None,
            Some(SiteFiles { ca, crl }) => {
                let mut roots = RootCertStore::empty();
                for root in certificates(ca)? {
                    roots
                        .add(root)
                        .map_err(|error| format!("'{}' holds no usable root: {error}", ca.display()))?;
                }
                let lists = crl.map(revocation_lists).transpose()?.unwrap_or_default();
                // People come without a certificate, and with a token.
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .allow_unauthenticated()
                    .with_crls(lists)
                    .build()
                    .map_err(|error| format!("authorities and revocation lists of sites: {error}"))?;
                Some(verifier)
            }
        };
        let builder = match &sites {
            None => builder.with_no_client_auth(),
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
        };
        let mut server = builder
            .with_single_cert(chain, key)
            .map_err(|error| format!("'{}' and its key cannot be used: {error}", certificate.display()))?;
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        let believed = Believed { acceptor: TlsAcceptor::from(Arc::new(server)), sites };
        Ok(Self { current: Current::new(believed), exchanged: watch::Sender::new(()) })
    }

    /// New connections use the other one's certificate, authorities and revocation lists. Those that stand go on, but for sites
    /// whose certificate is believed no more.
    pub fn exchange(&self, other: &Self) {
        self.current.set((*other.current.get()).clone());
        self.exchanged.send_replace(());
    }
}

fn revocation_lists(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    let read = CertificateRevocationListDer::pem_file_iter(path)
        .and_then(std::iter::Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("cannot read revocation lists from '{}': {error}", path.display()))?;
    // Without any, nothing would be checked.
    if read.is_empty() {
        Err(format!("'{}' holds no revocation list in PEM", path.display()))
    } else {
        Ok(read)
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read =
        CertificateDer::pem_file_iter(path).and_then(std::iter::Iterator::collect::<Result<Vec<_>, _>>);
    let read =
        read.map_err(|error| format!("cannot read certificates from '{}': {error}", path.display()))?;
    if read.is_empty() { Err(format!("'{}' holds no certificate in PEM", path.display())) } else { Ok(read) }
}

/// Lets this process have as many descriptors as it may: a connection is one, and the file that it is sent another. What is usual
/// (1024) is meant for programs that use `select`.
pub fn allow_many_connections() -> Result<(), String> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
        .map_err(|error| format!("cannot raise the limit of open files to {:?}: {error}", limit.maximum))?;
    let needed = 2 * MAX_CONNECTIONS as u64;
    match limit.maximum {
        Some(most) if most < needed => {
            Err(format!("only {most} open files are allowed (ulimit -Hn); {needed} serve every connection"))
        }
        _ => Ok(()),
    }
}

/// Serves until `end` is ready, then lets the requests that are under way end.
pub async fn serve(listener: TcpListener, tls: Option<Tls>, router: Router, end: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (ending, told) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut end = std::pin::pin!(end);
    loop {
        // 1. The semaphore is never closed.
        let place = tokio::select! {
            () = &mut end => break,
            Ok(place) = Arc::clone(&places).acquire_owned() => place,
        };
        let (stream, from) = tokio::select! {
            () = &mut end => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, mostly; that passes.
                    tracing::warn!("cannot take a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let (tls, router, told) = (tls.clone(), router.clone(), told.clone());
        while connections.try_join_next().is_some() {}
        connections.spawn(async move {
            if let Err(problem) = connection(stream, tls, router, told).await {
                // A client's mistake or its silence.
                tracing::debug!("connection of {from}: {problem}");
            }
            drop(place);
        });
    }
    drop(listener);
    drop(ending);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!("requests were cut off that did not end within {} s", DRAIN.as_secs());
    }
}

type Problem = Box<dyn std::error::Error + Send + Sync>;

async fn connection(
    stream: TcpStream,
    tls: Option<Tls>,
    router: Router,
    mut told: watch::Receiver<()>,
) -> Result<(), Problem> {
    stream.set_nodelay(true)?;
    let ending = async move {
        // An error is the end, too.
        let _ = told.changed().await;
    };
    let stranger = Stranger(stream.peer_addr()?.ip());
    let Some(tls) = tls else { return speak(stream, router, Comes::Stranger(stranger), ending).await };
    // 2. Watched from before the handshake: what is exchanged during it counts.
    let mut exchanged = tls.exchanged.subscribe();
    let stream = tokio::time::timeout(HANDSHAKE, tls.current.get().acceptor.accept(stream)).await??;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
    let Some(site) = chain.first().map(site_name).transpose()? else {
        return speak(stream, router, Comes::Stranger(stranger), ending).await;
    };
    let expelled =
        async move { while exchanged.changed().await.is_ok() && tls.current.get().lets_in(&chain) {} };
    let ending = async move {
        tokio::select! {
            () = ending => {}
            () = expelled => tracing::info!("a site that is connected is believed no more"),
        }
    };
    speak(stream, router, Comes::Site(site), ending).await
}

/// What a connection says of who comes over it.
enum Comes {
    Site(Site),
    Stranger(Stranger),
}

/// 3. After `ending`, a request that is under way is the last one.
async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    comes: Comes,
    ending: impl Future<Output = ()>,
) -> Result<(), Problem> {
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        // Only the connection says which site it is.
        match &comes {
            Comes::Site(site) => drop(request.extensions_mut().insert(site.clone())),
            Comes::Stranger(stranger) => {
                request.extensions_mut().remove::<Site>();
                request.extensions_mut().insert(*stranger);
            }
        }
        router.clone().oneshot(request.map(axum::body::Body::new))
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER).max_buf_size(64 * 1024);
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        served = &mut connection => return Ok(served?),
        () = ending => {}
    }
    connection.as_mut().graceful_shutdown();
    Ok(connection.await?)
}

/// The site is the first DNS name of its certificate.
fn site_name(certificate: &CertificateDer<'_>) -> Result<Site, Problem> {
    let (_, certificate) = X509Certificate::from_der(certificate)?;
    let names = certificate.subject_alternative_name()?;
    let name = names.into_iter().flat_map(|names| &names.value.general_names).find_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    name.map(Site).ok_or_else(|| "the certificate names no site (a DNS name as subjectAltName)".into())
}
