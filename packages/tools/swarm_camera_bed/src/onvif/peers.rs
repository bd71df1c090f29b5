//! Real devices and clients. Python ones run under the interpreter that `SWARM_TEST_PYTHON` names (else `python3`), with the
//! packages ipycam, WSDiscovery, onvif-python and xmlschema; Rust ones are compiled in with the feature `peers`.

use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};

use crate::namespace::{Bench, Namespace, NamespaceError};

const PROGRAM: &str = include_str!("peers.py");

/// A device that answers until it is dropped.
#[derive(Debug)]
pub struct Peer {
    /// Package that it comes from.
    pub name: &'static str,
    /// Address of its device service.
    pub address: String,
    _guard: Guard,
}

#[derive(Debug)]
enum Guard {
    Process(#[allow(dead_code)] Process),
    #[cfg(feature = "peers")]
    Thread(#[allow(dead_code)] served::Served),
}

#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    #[error("cannot start {name}: {source}")]
    Io { name: &'static str, source: io::Error },
    #[error("{name} ended before it was ready; is its package installed in {}?", python().display())]
    Ended { name: &'static str },
    #[error("{name} said `{said}`, expected {expected}")]
    Said { name: &'static str, said: String, expected: &'static str },
}

/// The interpreter of the Python peers.
pub fn python() -> OsString {
    std::env::var_os("SWARM_TEST_PYTHON").unwrap_or_else(|| "python3".into())
}

/// PyPI ipycam: malformed matches, UsernameToken only, no `Set`, Media1. At port 8080.
pub fn ipycam(inside: &Namespace, address: Ipv4Addr, login: Option<(&str, &str)>) -> Result<Peer, PeerError> {
    let mut command = program(inside);
    command.args(["ipycam", &address.to_string(), "8080"]);
    if let Some((user, password)) = login {
        command.args([user, password]);
    }
    start("ipycam", command, format!("http://{address}:8080/onvif/device_service"))
}

/// The publisher of PyPI WSDiscovery: strict discovery, and no service behind it.
pub fn wspublish(inside: &Namespace, address: Ipv4Addr) -> Result<Peer, PeerError> {
    let mut command = program(inside);
    command.args(["wspublish", &address.to_string()]);
    start("WSDiscovery", command, format!("http://{address}/onvif/device_service"))
}

/// Starts a device inside of a namespace, at an address of it.
type Begin = fn(&Namespace, Ipv4Addr) -> Result<Peer, PeerError>;

/// The runbook's cell: every real device that is compiled in, each on a host of its own from 192.168.1.101 on. Guards of the
/// hosts come after those of the devices, so that they are dropped after them.
pub fn cell(bench: &mut Bench) -> Result<(Vec<Peer>, Vec<Namespace>), PeerError> {
    let (mut peers, mut hosts) = (Vec::new(), Vec::new());
    let begin: &[Begin] = &[
        |host, address| ipycam(host, address, Some(("admin", "pw"))),
        |host, address| ipycam(host, address, None),
        wspublish,
        #[cfg(feature = "peers")]
        |host, address| oxvif(host, address, true),
        #[cfg(feature = "peers")]
        onvif_server,
    ];
    for (number, begin) in (101..).zip(begin) {
        let address = Ipv4Addr::new(192, 168, 1, number);
        let host = bench.host(&format!("cam{number}"), &[&format!("{address}/24")])?;
        peers.push(begin(&host, address)?);
        hosts.push(host);
    }
    Ok((peers, hosts))
}

/// What the strict client of PyPI WSDiscovery finds within `seconds`: addresses by endpoint reference.
pub fn strict_client(
    inside: &Namespace,
    seconds: f64,
) -> Result<serde_json::Map<String, serde_json::Value>, PeerError> {
    let name = "WSDiscovery";
    let mut command = program(inside);
    let output = command.args(["wsdiscovery", &seconds.to_string()]).output();
    let output = output.map_err(|source| PeerError::Io { name, source })?;
    let said = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(said.trim()).map_err(|_| PeerError::Said {
        name,
        said: format!("{}{}", said, String::from_utf8_lossy(&output.stderr)),
        expected: "a JSON object",
    })
}

/// What ONVIF's own schemas say against `bodies`.
pub fn schema_errors(bodies: &[String]) -> Result<Vec<String>, PeerError> {
    let name = "xmlschema";
    let io = |source| PeerError::Io { name, source };
    let mut command = Command::new(python());
    command.args(["-c", PROGRAM, "schema"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(io)?;
    let text = serde_json::to_string(bodies).map_err(|error| io(error.into()))?;
    child.stdin.take().into_iter().try_for_each(|mut input| input.write_all(text.as_bytes())).map_err(io)?;
    let output = child.wait_with_output().map_err(io)?;
    let said = String::from_utf8_lossy(&output.stdout);
    let expected = "a JSON list";
    serde_json::from_str(said.trim()).map_err(|_| PeerError::Said { name, said: said.into_owned(), expected })
}

fn program(inside: &Namespace) -> Command {
    let mut command = inside.command(python());
    command.args(["-c", PROGRAM]);
    command
}

fn start(name: &'static str, mut command: Command, address: String) -> Result<Peer, PeerError> {
    let io = |source| PeerError::Io { name, source };
    let child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(io)?;
    let mut process = Process(child);
    let output = process.0.stdout.take().ok_or_else(|| io(io::Error::other("no output")))?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).map_err(io)?;
    match line.trim() {
        "ready" => Ok(Peer { name, address, _guard: Guard::Process(process) }),
        "" => Err(PeerError::Ended { name }),
        said => Err(PeerError::Said { name, said: said.to_owned(), expected: "ready" }),
    }
}

/// A child that ends with its guard.
#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended by itself
        let _ = self.0.wait();
    }
}

#[cfg(feature = "peers")]
pub use served::{onvif_server, oxvif};

/// Rust servers, each on a thread of its own inside the namespace.
#[cfg(feature = "peers")]
mod served {
    use std::future::Future;
    use std::io;
    use std::net::Ipv4Addr;
    use std::sync::mpsc;
    use std::thread::{self, JoinHandle};

    use onvif_server::{DeviceInfo, DeviceService, MediaService, OnvifError, OnvifServer};
    use oxvif::mock::MockServer;
    use tokio::sync::oneshot;

    use super::{Guard, Namespace, Peer, PeerError};

    #[derive(Debug)]
    pub(super) struct Served {
        stop: Option<oneshot::Sender<()>>,
        thread: Option<JoinHandle<()>>,
    }

    impl Drop for Served {
        fn drop(&mut self) {
            drop(self.stop.take());
            if let Some(thread) = self.thread.take() {
                let _ = thread.join();
            }
        }
    }

    /// Starts `begin` inside and keeps what it gives until the guard is dropped.
    fn serve<T, F>(
        inside: &Namespace,
        name: &'static str,
        begin: impl FnOnce() -> F + Send + 'static,
    ) -> Result<Served, PeerError>
    where
        F: Future<Output = io::Result<T>>,
    {
        let (stop, stopped) = oneshot::channel();
        let (started, has_started) = mpsc::channel();
        // A thread started inside is inside.
        let thread = inside.run(|| {
            thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let result = runtime.map(|runtime| {
                    runtime.block_on(async {
                        match begin().await {
                            Ok(server) => {
                                let _ = started.send(Ok(()));
                                let _ = stopped.await;
                                drop(server);
                            }
                            Err(error) => {
                                let _ = started.send(Err(error));
                            }
                        }
                    });
                });
                drop(result);
            })
        })?;
        let outcome = has_started.recv().unwrap_or_else(|_| Err(io::Error::other("its thread ended")));
        outcome.map_err(|source| PeerError::Io { name, source })?;
        Ok(Served { stop: Some(stop), thread: Some(thread) })
    }

    /// The stateful mock of `oxvif`: all of Media1 and Media2, `Set` and read-back. User admin, password admin, where `login`
    /// is asked for. At port 8080.
    pub fn oxvif(inside: &Namespace, address: Ipv4Addr, login: bool) -> Result<Peer, PeerError> {
        let scopes = vec!["onvif://www.onvif.org/name/oxvif".to_owned()];
        let server = MockServer::builder().bind_ip(address).advertise_ip(address).port(8080);
        let server = server.enforce_auth(login).discoverable(scopes);
        let guard = serve(inside, "oxvif", move || server.start())?;
        let address = format!("http://{address}:8080/onvif/device");
        Ok(Peer { name: "oxvif", address, _guard: Guard::Thread(guard) })
    }

    /// `onvif-server`: Profile S, Media1, no `Set`; user admin, password password. At port 8080.
    pub fn onvif_server(inside: &Namespace, address: Ipv4Addr) -> Result<Peer, PeerError> {
        let guard = serve(inside, "onvif-server", move || async move {
            let camera = Camera { host: address.to_string() };
            let server = OnvifServer::builder()
                .port(8080)
                .advertised_host(&address.to_string())
                .device_service(camera.clone())
                .media_service(camera)
                .auth("admin", "password")
                .build()
                .map_err(|error| io::Error::other(error.to_string()))?;
            let task = tokio::spawn(async move { server.run().await });
            // It does not say when it listens.
            while tokio::net::TcpStream::connect((address, 8080)).await.is_err() {
                if task.is_finished() {
                    return Err(io::Error::other("its server ended"));
                }
                tokio::task::yield_now().await;
            }
            Ok(task)
        })?;
        let address = format!("http://{address}:8080/onvif/device_service");
        Ok(Peer { name: "onvif-server", address, _guard: Guard::Thread(guard) })
    }

    #[derive(Clone, Debug)]
    struct Camera {
        host: String,
    }

    #[async_trait::async_trait]
    impl DeviceService for Camera {
        async fn get_device_information(&self) -> Result<DeviceInfo, OnvifError> {
            Ok(DeviceInfo {
                manufacturer: "onvif-server".to_owned(),
                model: "0.1".to_owned(),
                firmware_version: "1".to_owned(),
                serial_number: "S1".to_owned(),
                hardware_id: "1".to_owned(),
            })
        }
    }

    #[async_trait::async_trait]
    impl MediaService for Camera {
        async fn get_stream_uri(&self, _: &str) -> Result<String, OnvifError> {
            Ok(format!("rtsp://{}:8554/stream", self.host))
        }

        async fn get_snapshot_uri(&self, _: &str) -> Result<String, OnvifError> {
            Ok(format!("http://{}:8080/snapshot.jpg", self.host))
        }
    }
}
