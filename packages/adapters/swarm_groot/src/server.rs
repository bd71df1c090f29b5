//! The sockets: one thread that takes in what is fed, one that accepts, one per connection.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::feed::Source;
use crate::shown::Shown;
use crate::zmtp::{self, Decoder, Limits};

/// Connections at a time; further ones are closed at once.
pub const MAX_CONNECTIONS: usize = 16;

/// Time between two looks at what was fed.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A reply comes no sooner after the one before it on the same connection: 200 a second are enough for a display, and a flood
/// of requests takes no more of a processor.
const PACE: Duration = Duration::from_millis(5);

/// Longest time for greeting and READY, for a message once it has begun, and for taking a reply.
const PATIENCE: Duration = Duration::from_secs(3);

/// A connection over which nothing is asked for so long is closed. ZeroMQ's clients connect again by themselves.
const IDLE: Duration = Duration::from_mins(2);

/// Longest time to notice the server's end.
const GLANCE: Duration = Duration::from_millis(100);

/// A server that could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for Groot2; if another program does, choose another port: {source}")]
pub struct BindError {
    pub address: SocketAddr,
    #[source]
    pub source: std::io::Error,
}

/// A server for one tree at a time, on one port. It ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    sources: Sender<Source>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    shown: Mutex<Shown>,
    stop: AtomicBool,
    connections: AtomicUsize,
}

impl Server {
    /// Listens on this machine only. Port 0 takes any free one.
    pub fn start(port: u16) -> Result<Self, BindError> {
        Self::start_at(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    }

    /// Listens where it is told to. The protocol has no authentication: on an address that is no loopback, everybody who reaches
    /// it sees tree and blackboard. A warning says so.
    pub fn start_at(address: SocketAddr) -> Result<Self, BindError> {
        let failed = |source| BindError { address, source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        if !address.ip().is_loopback() {
            tracing::warn!(
                "the Groot2 server listens on {address}: whoever reaches it sees the tree and its blackboard"
            );
        }
        let shared = Arc::new(Shared::default());
        let (sources, handed_over) = channel();
        let looking = {
            let shared = Arc::clone(&shared);
            spawn("groot-look", move || look(&shared, &handed_over)).map_err(failed)?
        };
        let accepting = {
            let shared = Arc::clone(&shared);
            spawn("groot-accept", move || accept(&listener, &shared)).map_err(failed)?
        };
        Ok(Self { address, shared, sources, threads: vec![looking, accepting] })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Shows another tree from now on. Waits for nobody.
    pub fn show(&self, source: Source) {
        // The other end lives as long as this server.
        let _ = self.sources.send(source);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Wakes the accepting thread.
        let _ = TcpStream::connect_timeout(&self.address, GLANCE);
        for thread in self.threads.drain(..) {
            // A panic of a thread has been printed by then.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn stops(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    // A poisoned lock means that a thread panicked between two statements that each leave a whole value behind.
    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body)
}

/// Takes what was fed into what is shown.
fn look(shared: &Shared, handed_over: &Receiver<Source>) {
    let mut source: Option<Source> = None;
    let mut dropped = 0;
    while !shared.stops() {
        if let Some(mut new) = handed_over.try_iter().last() {
            // The last words of the tree before it.
            if let Some(old) = &mut source {
                shared.shown().update(old);
            }
            shared.shown().begin(&mut new, tree_id());
            source = Some(new);
            dropped = 0;
        }
        if let Some(source) = &mut source {
            let mut shown = shared.shown();
            shown.update(source);
            if shown.dropped() > dropped {
                tracing::warn!("{} transitions were too many to be shown", shown.dropped() - dropped);
                dropped = shown.dropped();
            }
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// A name by which a client sees that the tree is another one.
fn tree_id() -> [u8; 16] {
    let mut id = [0; 16];
    if getrandom::fill(&mut id).is_err() {
        // Without a random source the time of day tells two trees apart as well.
        id[..8].copy_from_slice(&unix_us().to_le_bytes());
    }
    id
}

fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_micros() as u64
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stops() {
            return;
        }
        let Ok(stream) = stream else {
            // Out of descriptors, mostly; that passes.
            std::thread::sleep(GLANCE);
            continue;
        };
        if shared.connections.load(Ordering::Acquire) >= MAX_CONNECTIONS {
            continue;
        }
        shared.connections.fetch_add(1, Ordering::AcqRel);
        let slot = Slot(Arc::clone(shared));
        let served = spawn("groot-client", move || serve(&stream, &slot.0));
        if let Err(error) = served {
            tracing::warn!("cannot start a thread for a Groot2 client: {error}");
        }
    }
}

/// A connection's place among [`MAX_CONNECTIONS`], given back however its thread ends.
struct Slot(Arc<Shared>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::AcqRel);
    }
}

fn serve(stream: &TcpStream, shared: &Shared) {
    match converse(stream, shared) {
        Ok(()) => {}
        Err(Parting::Mistake(mistake)) => {
            tracing::debug!("a client on the Groot2 port is sent away: {mistake}");
        }
        Err(Parting::Gone) => {}
    }
}

/// Why a conversation ends early.
enum Parting {
    Mistake(zmtp::ZmtpError),
    /// Closed, silent for too long, or the server ends.
    Gone,
}

impl From<zmtp::ZmtpError> for Parting {
    fn from(mistake: zmtp::ZmtpError) -> Self {
        Parting::Mistake(mistake)
    }
}

impl From<std::io::Error> for Parting {
    fn from(_: std::io::Error) -> Self {
        Parting::Gone
    }
}

/// Greets, then answers request after request.
fn converse(stream: &TcpStream, shared: &Shared) -> Result<(), Parting> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(GLANCE))?;
    stream.set_write_timeout(Some(GLANCE))?;
    let mut decoder = Decoder::new(Limits::default());
    send(stream, &[&zmtp::greeting()[..], &zmtp::ready()].concat(), shared)?;
    let mut since = Instant::now();
    let mut buffer = [0; 4096];
    loop {
        while let Some(message) = decoder.next_message()? {
            let reply = shared.shown().answer(&message.body, unix_us());
            send(stream, &zmtp::encode(&message, &reply), shared)?;
            std::thread::sleep(PACE);
            since = Instant::now();
        }
        let waits = decoder.is_connected() && !decoder.is_within_message();
        if shared.stops() || since.elapsed() > if waits { IDLE } else { PATIENCE } {
            return Err(Parting::Gone);
        }
        match (&*stream).read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                // A message's time runs from its first byte.
                if waits {
                    since = Instant::now();
                }
                decoder.receive(&buffer[..count]);
            }
            Err(error) if is_no_news(&error) => {}
            Err(_) => return Err(Parting::Gone),
        }
    }
}

/// Writes all of it within [`PATIENCE`]: a client that does not read is let go.
fn send(mut stream: &TcpStream, mut bytes: &[u8], shared: &Shared) -> Result<(), Parting> {
    let since = Instant::now();
    while !bytes.is_empty() {
        if shared.stops() || since.elapsed() > PATIENCE {
            return Err(Parting::Gone);
        }
        match stream.write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if is_no_news(&error) => {}
            Err(_) => return Err(Parting::Gone),
        }
    }
    Ok(())
}

fn is_no_news(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
