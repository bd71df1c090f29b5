//! A cable that can be bad: a TCP proxy before an RTSP camera that delays, stalls, loses and cuts. For kernels without the
//! netem queue, and for losses that can be counted.
//!
//! - *Delay*: every packet from the camera is held back for a time drawn evenly from 0 to [`Weather::jitter`], and never
//!   overtakes another, as on a line of queues.
//! - *Loss*: RTP packets inside of the connection are left out, whole; RTSP messages and RTCP never are.
//! - *Stall*: nothing moves in either direction and connections stay open, as with a pulled cable.
//! - *Refuse*: connections are cut and new ones refused, as by a camera that boots.
//!
//! ```no_run
//! use std::time::Duration;
//! use swarm_camera_bed::proxy::{Proxy, Weather};
//!
//! let proxy = Proxy::start("127.0.0.1:8554".parse()?, None, 7)?;
//! proxy.set(Weather { jitter: Duration::from_millis(20), loss: 0.01, ..Weather::default() });
//! println!("rtsp://{}/cam1", proxy.address());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod interleaved;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use interleaved::{Piece, Splitter, rtp_time};

/// What the cable is like from now on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weather {
    /// Longest delay of what comes from the camera.
    pub jitter: Duration,
    /// Chance of each RTP packet to be lost, 0 to 1.
    pub loss: f64,
    pub cable: Cable,
}

impl Default for Weather {
    fn default() -> Self {
        Self { jitter: Duration::ZERO, loss: 0.0, cable: Cable::Plugged }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cable {
    Plugged,
    /// Nothing moves; what was under way comes when the cable is back, as TCP sends it again.
    Pulled,
    /// Connections are cut and refused.
    Refused,
}

/// What has gone through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub connections: u64,
    pub rtp_passed: u64,
    pub rtp_lost: u64,
    /// Time stamps of frames that lost at least one packet, in order.
    pub frames_hurt: Vec<u32>,
}

/// A running proxy; its end closes its connections.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    camera: SocketAddr,
    seed: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    weather: Weather,
    counts: Counts,
    /// Both ends of each connection, by its number.
    open: BTreeMap<u64, [TcpStream; 2]>,
    /// There while the port answers; follows [`Cable::Refused`] with the acceptor.
    listener: Option<Arc<TcpListener>>,
    ended: bool,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1, in `namespace` where one is named, and connects to `camera` from there.
    pub fn start(camera: SocketAddr, namespace: Option<&str>, seed: u64) -> io::Result<Self> {
        Self::listen(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0), camera, namespace, seed)
    }

    /// The same on `address`.
    pub fn listen(
        address: SocketAddr,
        camera: SocketAddr,
        namespace: Option<&str>,
        seed: u64,
    ) -> io::Result<Self> {
        let namespace = namespace.map(|name| File::open(format!("/run/netns/{name}"))).transpose()?;
        let (tell, told) = sync_channel::<io::Result<Arc<Shared>>>(1);
        // A thread of its own enters the namespace, and all threads that it starts are born there.
        let acceptor = thread::spawn(move || {
            let bound = (|| -> io::Result<_> {
                if let Some(namespace) = namespace {
                    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
                }
                let listener = TcpListener::bind(address)?;
                let address = listener.local_addr()?;
                Ok((listener, address))
            })();
            let (listener, address) = match bound {
                Ok(bound) => bound,
                Err(error) => return tell.send(Err(error)).unwrap_or_default(),
            };
            let state = Mutex::new(State { listener: Some(Arc::new(listener)), ..State::default() });
            let shared = Arc::new(Shared { address, camera, seed, state, changed: Condvar::new() });
            if tell.send(Ok(Arc::clone(&shared))).is_ok() {
                shared.accept();
            }
        });
        let shared = told.recv().map_err(io::Error::other)??;
        Ok(Self { shared, acceptor: Some(acceptor) })
    }

    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Returns once it is so: after [`Cable::Refused`] the port refuses, after any other it answers.
    pub fn set(&self, weather: Weather) {
        let mut state = self.shared.lock();
        state.weather = weather;
        self.shared.changed.notify_all();
        let listens = weather.cable != Cable::Refused;
        if !listens {
            state.cut();
            state.wake_acceptor();
        }
        let waited = self.shared.changed.wait_while(state, |state| state.listener.is_some() != listens);
        drop(waited.unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    /// Cuts the connections there are; new ones are taken.
    pub fn cut(&self) {
        self.shared.lock().cut();
    }

    pub fn counts(&self) -> Counts {
        self.shared.lock().counts.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.ended = true;
        state.cut();
        state.wake_acceptor();
        drop(state);
        self.shared.changed.notify_all();
        if let Some(acceptor) = self.acceptor.take()
            && acceptor.join().is_err()
        {
            tracing::error!(address = %self.shared.address, "a proxy's thread has panicked");
        }
    }
}

impl State {
    fn cut(&mut self) {
        for stream in self.open.values().flatten() {
            let _ = stream.shutdown(Shutdown::Both); // fails where the other end was first
        }
    }

    fn wake_acceptor(&self) {
        if let Some(listener) = &self.listener {
            let _ = rustix::net::shutdown(listener, rustix::net::Shutdown::Both); // it ends `accept` on Linux
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn accept(self: &Arc<Self>) {
        for number in 0.. {
            let Some(listener) = self.listener() else { return };
            if let Ok((client, _)) = listener.accept() {
                let shared = Arc::clone(self);
                thread::spawn(move || shared.carry(&client, number));
            }
        }
    }

    /// What to accept from, as soon as the weather lets the port answer; none at the end.
    fn listener(&self) -> Option<Arc<TcpListener>> {
        let mut state = self.lock();
        loop {
            if state.ended {
                return None;
            }
            if state.weather.cable == Cable::Refused {
                state.listener = None;
                self.changed.notify_all();
                state = self.changed.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
                continue;
            }
            if state.listener.is_none() {
                match TcpListener::bind(self.address) {
                    Ok(listener) => state.listener = Some(Arc::new(listener)),
                    Err(error) => {
                        tracing::warn!(%error, address = %self.address, "cannot listen again yet");
                        let moment = Duration::from_millis(20);
                        state = match self.changed.wait_timeout(state, moment) {
                            Ok((state, _)) => state,
                            Err(poisoned) => poisoned.into_inner().0,
                        };
                        continue;
                    }
                }
                self.changed.notify_all();
            }
            return state.listener.clone();
        }
    }

    /// One connection, to its end.
    fn carry(&self, client: &TcpStream, number: u64) {
        let passed = (|| {
            let camera = TcpStream::connect(self.camera)?;
            client.set_nodelay(true)?;
            camera.set_nodelay(true)?;
            let mut state = self.lock();
            if state.ended || state.weather.cable == Cable::Refused {
                return Ok(());
            }
            state.counts.connections += 1;
            state.open.insert(number, [client.try_clone()?, camera.try_clone()?]);
            drop(state);
            let (send, receive) = sync_channel(4096);
            thread::scope(|scope| {
                let proxy = self;
                scope.spawn(|| proxy.upstream(client, &camera));
                scope.spawn(move || proxy.release(receive, client));
                self.downstream(&camera, &send, number);
                drop(send);
            });
            io::Result::Ok(())
        })();
        if let Err(error) = passed {
            tracing::debug!(%error, camera = %self.camera, "a connection through the proxy has ended");
        }
        self.lock().open.remove(&number);
        let _ = client.shutdown(Shutdown::Both);
    }

    /// What the client sends is passed on as it comes.
    fn upstream(&self, mut client: &TcpStream, mut camera: &TcpStream) {
        let mut buffer = [0; 16 * 1024];
        while let Ok(length @ 1..) = client.read(&mut buffer) {
            if !self.wait_for_cable() || camera.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = camera.shutdown(Shutdown::Both);
    }

    /// Reads the camera, and decides for each piece whether and when it goes on.
    fn downstream(&self, mut camera: &TcpStream, send: &SyncSender<(Instant, Vec<u8>)>, number: u64) {
        let mut random = SmallRng::seed_from_u64(self.seed.wrapping_add(number));
        let mut splitter = Splitter::default();
        let mut buffer = vec![0; 64 * 1024];
        let mut release = Instant::now();
        while let Ok(length @ 1..) = camera.read(&mut buffer) {
            splitter.push(&buffer[..length]);
            for piece in splitter.by_ref() {
                let mut state = self.lock();
                if let Piece::Packet { channel, bytes } = &piece
                    && channel % 2 == 0
                {
                    if random.random_bool(state.weather.loss.clamp(0.0, 1.0)) {
                        state.counts.rtp_lost += 1;
                        let frame = rtp_time(bytes);
                        if frame != state.counts.frames_hurt.last().copied() {
                            state.counts.frames_hurt.extend(frame);
                        }
                        continue;
                    }
                    state.counts.rtp_passed += 1;
                }
                let jitter = state.weather.jitter;
                drop(state);
                release = release.max(Instant::now() + jitter.mul_f64(random.random()));
                let bytes = match piece {
                    Piece::Packet { bytes, .. } | Piece::Text(bytes) => bytes,
                };
                if send.send((release, bytes)).is_err() {
                    return;
                }
            }
        }
        // What is no whole piece is passed on at the end: a camera that is no camera is still to be seen as it is.
        if !splitter.rest().is_empty() {
            let _ = send.send((release, splitter.rest().to_vec()));
        }
    }

    fn release(&self, receive: Receiver<(Instant, Vec<u8>)>, mut client: &TcpStream) {
        for (at, bytes) in receive {
            thread::sleep(at.saturating_duration_since(Instant::now()));
            if !self.wait_for_cable() || client.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
    }

    /// Returns when the cable is plugged in; false when nothing will come any more.
    fn wait_for_cable(&self) -> bool {
        let state = self.lock();
        let pulled = |state: &mut State| !state.ended && state.weather.cable == Cable::Pulled;
        let state = self.changed.wait_while(state, pulled);
        let state = state.unwrap_or_else(std::sync::PoisonError::into_inner);
        !state.ended && state.weather.cable == Cable::Plugged
    }
}

#[cfg(test)]
mod tests;
