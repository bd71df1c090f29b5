//! Networks that exist for a test: namespaces with a bridge between them, gone when their guards are dropped.
//!
//! ```text
//!   hub (bridge br0) --- cam1 192.168.1.101
//!                    --- cam2 192.168.1.102
//!                    --- rec  192.168.1.10
//! ```
//!
//! Nothing that is sent inside leaves it: the hub has no way to the computer's own interfaces. Needs root and iproute2.
//!
//! ```no_run
//! use swarm_camera_bed::namespace::Bench;
//!
//! let mut bench = Bench::new()?;
//! let camera = bench.host("cam1", &["192.168.1.101/24"])?;
//! let recorder = bench.host("rec", &["192.168.1.10/24"])?;
//! let server = camera.command("ipycam").spawn()?;
//! let reached = recorder.run(|| std::net::TcpStream::connect("192.168.1.101:8080").is_ok())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The interface of every host.
pub const INTERFACE: &str = "veth0";

#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    #[error("cannot start `{command}`: {source}; network namespaces need iproute2")]
    Start { command: String, source: io::Error },
    #[error("`{command}` failed: {said}; network namespaces need root")]
    Failed { command: String, said: String },
    #[error("cannot {action} the network namespace {name}: {source}")]
    Enter { action: &'static str, name: String, source: io::Error },
}

/// A network namespace; deleted when dropped. Processes that still run in it keep it alive without a name until they end.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one with a name of its own that ends in `purpose`; its loopback is up.
    pub fn new(purpose: &str) -> Result<Self, NamespaceError> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let namespace = Self { name: format!("swarm-{}-{number}-{purpose}", std::process::id()) };
        ip(["netns", "add", &namespace.name])?;
        namespace.ip(["link", "set", "lo", "up"])?;
        // An address is usable at once, and not after a second in which nobody objected to it.
        namespace.run(|| fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0"))?.map_err(
            |source| NamespaceError::Enter { action: "configure", name: namespace.name.clone(), source },
        )?;
        Ok(namespace)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// `program`, to be run inside.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs `work` on a thread inside. Sockets that it opens stay inside, wherever they are used later.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NamespaceError> {
        thread::scope(|scope| {
            let inside = scope.spawn(|| self.enter().map(|()| work()));
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Moves the calling thread inside, for good; threads that it starts are inside too.
    pub fn enter(&self) -> Result<(), NamespaceError> {
        let enter = || {
            let namespace = File::open(format!("/run/netns/{}", self.name))?;
            Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
        };
        enter().map_err(|source| NamespaceError::Enter { action: "enter", name: self.name.clone(), source })
    }

    /// `ip -n NAME ...`
    fn ip<'a>(&'a self, arguments: impl IntoIterator<Item = &'a str>) -> Result<(), NamespaceError> {
        ip(["-n", &self.name].into_iter().chain(arguments))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Nobody could do more about a failure than read of it.
        if let Err(error) = ip(["netns", "del", &self.name]) {
            tracing::warn!("{error}");
        }
    }
}

/// Hosts on one bridge.
#[derive(Debug)]
pub struct Bench {
    hub: Namespace,
    hosts: usize,
}

impl Bench {
    pub fn new() -> Result<Self, NamespaceError> {
        let hub = Namespace::new("hub")?;
        // Without snooping: a bridge that has not yet heard who wants a group would drop the first probes.
        hub.ip(["link", "add", "br0", "type", "bridge", "mcast_snooping", "0"])?;
        hub.ip(["link", "set", "br0", "up"])?;
        Ok(Self { hub, hosts: 0 })
    }

    /// Adds a host whose one interface ([`INTERFACE`]) has `addresses` (`192.168.1.101/24`, also IPv6) and a link-local one.
    pub fn host(&mut self, name: &str, addresses: &[&str]) -> Result<Namespace, NamespaceError> {
        let host = Namespace::new(name)?;
        self.hosts += 1;
        let port = format!("port{}", self.hosts);
        host.ip(["link", "add", INTERFACE, "type", "veth", "peer", "name", &port, "netns", &self.hub.name])?;
        self.hub.ip(["link", "set", &port, "master", "br0", "up"])?;
        for address in addresses {
            host.ip(["addr", "add", address, "dev", INTERFACE])?;
        }
        host.ip(["link", "set", INTERFACE, "up"])?;
        // Stand-ins that ask their routes for their own address would else take the loopback's.
        host.ip(["route", "add", "default", "dev", INTERFACE])?;
        Ok(host)
    }

    /// Adds addresses to a host of this bench.
    pub fn add_addresses(&self, host: &Namespace, addresses: &[String]) -> Result<(), NamespaceError> {
        addresses.iter().try_for_each(|address| {
            let nodad: &[&str] = if address.contains(':') { &["nodad"] } else { &[] };
            host.ip(["addr", "add", address, "dev", INTERFACE].into_iter().chain(nodad.iter().copied()))
        })
    }
}

fn ip<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<(), NamespaceError> {
    let arguments: Vec<&str> = arguments.into_iter().collect();
    let command = || format!("ip {}", arguments.join(" "));
    let output = Command::new("ip").args(&arguments).output();
    let output = output.map_err(|source| NamespaceError::Start { command: command(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(NamespaceError::Failed { command: command(), said })
}
