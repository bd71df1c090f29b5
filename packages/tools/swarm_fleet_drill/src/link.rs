//! The link between a cell and the registry: a TCP proxy that can be cut, that stalls, and that changes bytes.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

/// How it is with the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    Fine,
    /// Nobody gets through, and whoever was through is cut off.
    Cut,
    /// Connections stand, and nothing comes over them.
    Stalled,
    /// Here and there a byte is another one.
    Noisy,
}

/// A link that is there until the end of the process.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    registry: SocketAddr,
    weather: Mutex<Weather>,
    changed: Condvar,
    open: Mutex<Vec<TcpStream>>,
    /// Bytes that were changed.
    changed_bytes: AtomicU64,
    seed: AtomicU64,
}

impl Link {
    pub(crate) fn open(registry: SocketAddr, seed: u64) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen for a cell")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            registry,
            weather: Mutex::new(Weather::Fine),
            changed: Condvar::new(),
            open: Mutex::new(Vec::new()),
            changed_bytes: AtomicU64::new(0),
            seed: AtomicU64::new(seed),
        });
        let accepting = Arc::clone(&shared);
        thread::Builder::new().name("link".to_owned()).spawn(move || {
            for stream in listener.incoming().flatten() {
                // A cell that finds nobody there.
                let _ = accepting.carry(stream);
            }
        })?;
        Ok(Self { address, shared })
    }

    pub(crate) fn set(&self, weather: Weather) {
        let before = {
            let mut current = self.shared.lock_weather();
            std::mem::replace(&mut *current, weather)
        };
        // Whoever read changed bytes does not know where the next answer begins.
        if weather == Weather::Cut || before == Weather::Noisy {
            for stream in self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        self.shared.changed.notify_all();
    }

    pub(crate) fn changed_bytes(&self) -> u64 {
        self.shared.changed_bytes.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn lock_weather(&self) -> std::sync::MutexGuard<'_, Weather> {
        self.weather.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn carry(self: &Arc<Self>, cell: TcpStream) -> io::Result<()> {
        if *self.lock_weather() == Weather::Cut {
            return Ok(());
        }
        let registry = TcpStream::connect(self.registry)?;
        cell.set_nodelay(true)?;
        registry.set_nodelay(true)?;
        {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.retain(|stream| stream.peer_addr().is_ok());
            open.extend([cell.try_clone()?, registry.try_clone()?]);
        }
        for (from, to) in [(cell.try_clone()?, registry.try_clone()?), (registry, cell)] {
            let shared = Arc::clone(self);
            thread::Builder::new().name("link".to_owned()).spawn(move || {
                // The end of one direction ends both, as a broken link does.
                let _ = shared.pass(from, to);
            })?;
        }
        Ok(())
    }

    fn pass(&self, mut from: TcpStream, mut to: TcpStream) -> io::Result<()> {
        let mut rng = SmallRng::seed_from_u64(self.seed.fetch_add(1, Ordering::Relaxed));
        let mut chunk = vec![0; 16 * 1024];
        let passed = loop {
            let count = match from.read(&mut chunk) {
                Ok(0) => break Ok(()),
                Ok(count) => count,
                Err(error) => break Err(error),
            };
            let weather = {
                let mut weather = self.lock_weather();
                while *weather == Weather::Stalled {
                    weather = self.changed.wait(weather).unwrap_or_else(PoisonError::into_inner);
                }
                *weather
            };
            if weather == Weather::Cut {
                break Ok(());
            }
            if weather == Weather::Noisy && rng.random_bool(0.3) {
                let at = rng.random_range(0..count);
                chunk[at] ^= 1 << rng.random_range(0..8);
                self.changed_bytes.fetch_add(1, Ordering::Relaxed);
            }
            if let Err(error) = to.write_all(&chunk[..count]) {
                break Err(error);
            }
        };
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
        passed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A registry that says back what it is told, and a link to it.
    fn echo() -> Link {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let link = Link::open(listener.local_addr().unwrap(), 1).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || io::copy(&mut stream.try_clone().unwrap(), &mut &stream));
            }
        });
        link
    }

    /// What comes back of this; fewer bytes where the link ended.
    fn said(stream: &mut TcpStream, bytes: &[u8]) -> Vec<u8> {
        let mut back = vec![0; bytes.len()];
        let said = stream.write_all(bytes).and_then(|()| stream.read_exact(&mut back));
        said.map(|()| back).unwrap_or_default()
    }

    #[test]
    fn a_link_passes_what_it_is_given_until_it_is_cut() {
        let link = echo();
        let mut stream = TcpStream::connect(link.address).unwrap();
        assert_eq!(said(&mut stream, b"report"), b"report");
        link.set(Weather::Cut);
        assert_eq!(said(&mut stream, b"report"), b"");
        assert_eq!(said(&mut TcpStream::connect(link.address).unwrap(), b"report"), b"");
        link.set(Weather::Fine);
        assert_eq!(said(&mut TcpStream::connect(link.address).unwrap(), b"report"), b"report");
    }

    #[test]
    fn what_is_said_over_a_link_that_stalls_arrives_later() {
        let link = echo();
        let mut stream = TcpStream::connect(link.address).unwrap();
        assert_eq!(said(&mut stream, b"first"), b"first");
        link.set(Weather::Stalled);
        stream.write_all(b"later").unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        assert!(stream.read(&mut [0]).is_err(), "nothing comes meanwhile");
        stream.set_read_timeout(None).unwrap();
        link.set(Weather::Fine);
        let mut back = [0; 5];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"later");
    }

    #[test]
    fn noise_changes_bytes_and_ends_with_the_connections_that_had_it() {
        let link = echo();
        let mut stream = TcpStream::connect(link.address).unwrap();
        link.set(Weather::Noisy);
        let text = [b'x'; 64];
        let changed = (0..200).any(|_| said(&mut stream, &text) != text);
        assert!(changed && link.changed_bytes() > 0);
        link.set(Weather::Fine);
        assert_eq!(said(&mut stream, &text), b"");
    }
}
