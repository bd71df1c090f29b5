//! WS-Discovery: every camera on the link asked to name itself.
//!
//! 1. Each interface has a socket per address family that probes and hears the answers, and one in the multicast group, for
//!    cameras that answer to all or come up meanwhile.
//! 2. Two probes are sent, each several times as SOAP-over-UDP prescribes: the one that ONVIF prescribes, and one for anything,
//!    since devices with wrong types answer only to that.
//! 3. Answers are read ([`read_matches`]) and put together ([`Device`]) until the time is over. Devices wait up to 0.5 s before
//!    they answer, by the standard, so that a round is never over before its time.

mod gather;
mod interface;
mod message;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until, timeout_at};

pub use gather::{Device, Match, Oddity};
pub use interface::Interfaces;
pub use message::read_matches;

use gather::Gathered;
use interface::Interface;
use message::{Asked, probe};

const GROUP_V4: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xc);
const PORT: u16 = 3702;

/// How long a round takes where nothing else is asked for.
pub const DEFAULT_ROUND: Duration = Duration::from_millis(1350);

/// SOAP-over-UDP (OASIS and the 2004 draft that WS-Discovery refers to): repeats of a multicast message, and the pauses between
/// them in milliseconds, of which each is twice the one before.
const REPEATS: u32 = 4;
const FIRST_PAUSE_MS: std::ops::RangeInclusive<u64> = 50..=250;
const LONGEST_PAUSE_MS: u64 = 500;
/// APP_MAX_DELAY of WS-Discovery, within which a device answers; no probe is sent when less is left of the round.
const ANSWER_TIME: Duration = Duration::from_millis(500);

/// Longest datagram.
const MAX_DATAGRAM: usize = 65_535;
/// Asked of the kernel, which may give less: a hundred cameras answer at once, and several times.
const RECEIVE_BUFFER: usize = 4 << 20;
/// Most answers that cannot be read of which a round tells.
const MAX_UNREADABLE: usize = 256;

/// What a round found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    /// Sorted by address.
    pub devices: Vec<Device>,
    /// Interfaces and own addresses from which was asked: `eth0 (192.168.1.10)`.
    pub asked: Vec<String>,
    /// Interfaces that could not be asked, and why.
    pub problems: Vec<String>,
    /// Answers that name no device.
    pub unreadable: Vec<Unreadable>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    pub from: SocketAddr,
    pub interface: String,
    pub problem: String,
}

#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    #[error("cannot list the network interfaces: {0}")]
    Interfaces(io::Error),
    #[error("no network interface `{name}` is up; up are: {up}")]
    UnknownInterface { name: String, up: String },
    #[error(
        "the network interface `{name}` has no address or no multicast (`ip link set {name} multicast on`)"
    )]
    NoMulticast { name: String },
    #[error("no network interface is up that has an address and multicast; up are: {up}")]
    NoInterface { up: String },
    #[error("no probe could be sent: {}", .0.join("; "))]
    NothingSent(Vec<String>),
}

/// Asks on `interfaces` for `round`, which should not be below a second: slow cameras answer late.
pub async fn discover(interfaces: &Interfaces, round: Duration) -> Result<Discovery, DiscoverError> {
    let end = Instant::now() + round;
    let chosen = interface::choose(interfaces)?;
    let (mut probers, mut listeners, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for interface in &chosen {
        let mut note = |address: String, error: io::Error| {
            problems.push(format!("{} ({address}): {error}", interface.name));
        };
        for address in &interface.v4 {
            match prober_v4(interface, *address) {
                Ok(prober) => probers.push(prober),
                Err(error) => note(address.to_string(), error),
            }
        }
        // One address is enough: cameras answer to it, whatever network they are in.
        if let Some(address) = interface.v6.first() {
            match prober_v6(interface, *address) {
                Ok(prober) => probers.push(prober),
                Err(error) => note(address.to_string(), error),
            }
        }
        // Without them a round misses only cameras that answer to the whole group; the port may be another program's.
        listeners.extend([listener_v4(interface), listener_v6(interface)].into_iter().flatten());
    }

    let heard = Mutex::new(Heard::default());
    let ids = [uuid(), uuid()];
    let asking = join_all(probers.iter().map(|prober| prober.ask(&ids, end)));
    let hearing = join_all(probers.iter().chain(&listeners).map(|socket| socket.hear(end, &heard)));
    let (sent, _) = tokio::join!(asking, hearing);

    let mut asked = Vec::new();
    for (prober, sent) in probers.iter().zip(sent) {
        match sent {
            Ok(()) => asked.push(format!("{} ({})", prober.interface, prober.address)),
            Err(error) => problems.push(format!("{} ({}): {error}", prober.interface, prober.address)),
        }
    }
    if asked.is_empty() {
        return Err(DiscoverError::NothingSent(problems));
    }
    let heard = heard.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Discovery { devices: heard.gathered.finish(), asked, problems, unreadable: heard.unreadable })
}

#[derive(Debug, Default)]
struct Heard {
    gathered: Gathered,
    unreadable: Vec<Unreadable>,
}

/// One socket on one interface.
#[derive(Debug)]
struct Line {
    socket: UdpSocket,
    interface: String,
    index: u32,
    /// Our own.
    address: String,
    group: SocketAddr,
}

impl Line {
    /// Sends both probes until only the time for answers is left; an error if none could be sent.
    async fn ask(&self, ids: &[String; 2], end: Instant) -> io::Result<()> {
        let probes = [probe(&ids[0], Asked::Transmitters), probe(&ids[1], Asked::Anything)];
        let mut pause_ms = rand::random_range(FIRST_PAUSE_MS);
        let mut outcome = Ok(());
        for repeat in 0..=REPEATS {
            for probe in &probes {
                let sent = self.socket.send_to(probe.as_bytes(), self.group).await;
                if repeat == 0 || outcome.is_err() {
                    outcome = sent.map(|_| ());
                }
            }
            let next = Instant::now() + Duration::from_millis(pause_ms);
            if next + ANSWER_TIME > end {
                break;
            }
            sleep_until(next).await;
            pause_ms = (2 * pause_ms).min(LONGEST_PAUSE_MS);
        }
        outcome
    }

    async fn hear(&self, end: Instant, heard: &Mutex<Heard>) {
        let mut buffer = vec![0; MAX_DATAGRAM];
        while let Ok(received) = timeout_at(end, self.socket.recv_from(&mut buffer)).await {
            let (length, from) = match received {
                Ok(received) => received,
                // The answer to one of ours: nobody listens there.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                // The interface went away; the others are heard on.
                Err(_) => break,
            };
            let from = self.with_zone(from);
            let read = read_matches(&buffer[..length], from);
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            match read {
                Ok(matches) => {
                    for found in matches {
                        heard.gathered.add(found, &self.interface);
                    }
                }
                Err(problem) if heard.unreadable.len() < MAX_UNREADABLE => {
                    let unreadable = Unreadable { from, interface: self.interface.clone(), problem };
                    if !heard.unreadable.contains(&unreadable) {
                        heard.unreadable.push(unreadable);
                    }
                }
                Err(_) => {}
            }
        }
    }

    /// A link-local sender is on the interface on which it was heard.
    fn with_zone(&self, from: SocketAddr) -> SocketAddr {
        match from {
            SocketAddr::V6(from) if from.ip().is_unicast_link_local() => {
                SocketAddrV6::new(*from.ip(), from.port(), 0, self.index).into()
            }
            SocketAddr::V6(from) => SocketAddrV6::new(*from.ip(), from.port(), 0, 0).into(),
            v4 @ SocketAddr::V4(_) => v4,
        }
    }
}

fn prober_v4(interface: &Interface, address: Ipv4Addr) -> io::Result<Line> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_multicast_if_v4(&address)?;
    socket.set_multicast_ttl_v4(1)?;
    line(socket, interface, (address, 0).into(), address.to_string(), (GROUP_V4, PORT).into())
}

fn prober_v6(interface: &Interface, address: Ipv6Addr) -> io::Result<Line> {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_only_v6(true)?;
    socket.set_multicast_if_v6(interface.index)?;
    socket.set_multicast_hops_v6(1)?;
    let zone = if address.is_unicast_link_local() { interface.index } else { 0 };
    let own = SocketAddrV6::new(address, 0, 0, zone);
    let group = SocketAddrV6::new(GROUP_V6, PORT, 0, interface.index);
    line(socket, interface, own.into(), address.to_string(), group.into())
}

/// Bound to the group's own address, so that it takes nothing that is meant for another program on this port.
fn listener_v4(interface: &Interface) -> io::Result<Line> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    // Else each socket hears what comes in on every interface.
    socket.set_multicast_all_v4(false)?;
    let group = SocketAddr::from((GROUP_V4, PORT));
    socket.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(interface.index))?;
    line(socket, interface, group, GROUP_V4.to_string(), group)
}

fn listener_v6(interface: &Interface) -> io::Result<Line> {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_only_v6(true)?;
    socket.set_reuse_address(true)?;
    let group = SocketAddr::V6(SocketAddrV6::new(GROUP_V6, PORT, 0, interface.index));
    socket.join_multicast_v6(&GROUP_V6, interface.index)?;
    line(socket, interface, group, GROUP_V6.to_string(), group)
}

fn line(
    socket: Socket,
    interface: &Interface,
    own: SocketAddr,
    address: String,
    group: SocketAddr,
) -> io::Result<Line> {
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind(&own.into())?;
    let socket = UdpSocket::from_std(socket.into())?;
    Ok(Line { socket, interface: interface.name.clone(), index: interface.index, address, group })
}

/// A random UUID (version 4).
fn uuid() -> String {
    let random: u128 = rand::random();
    let bits = random & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_ids_are_uuids_of_version_4() {
        for _ in 0..100 {
            let id = uuid();
            assert_eq!(id.len(), 36);
            assert_eq!(&id[14..15], "4");
            assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "{id}");
        }
    }

    #[tokio::test]
    async fn an_interface_that_is_not_there_is_an_error_at_once() {
        let named = Interfaces::Named(vec!["nowhere0".into()]);
        let error = discover(&named, Duration::from_mins(1)).await.unwrap_err().to_string();
        assert!(error.starts_with("no network interface `nowhere0` is up; up are: "), "{error}");
    }
}
