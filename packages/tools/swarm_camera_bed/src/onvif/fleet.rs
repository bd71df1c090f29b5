//! Many devices in one namespace, each with an address and manners of its own: what a link full of cheap cameras answers.
//!
//! They answer WS-Discovery alone; what is behind an address, no fake says.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tokio::time::sleep;

use crate::namespace::{Bench, INTERFACE, Namespace, NamespaceError};

const GROUP_V4: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xc);
const PORT: u16 = 3702;

/// How a device answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As the standards say.
    Proper,
    /// `ProbeMatch` bare in the body, signed with an action that does not exist: ipycam.
    BareMatch,
    /// Cut off behind the addresses, as by a buffer that is too small.
    Truncated,
    /// A prefix that is not declared.
    UndeclaredPrefix,
    /// Calls itself something else, and answers only a probe for anything.
    WrongTypes,
    /// No endpoint reference.
    Nameless,
    /// Names 127.0.0.1 as its address.
    Loopback,
    /// Answers after 1.1 s.
    Late,
    /// Answers each repeat of a probe too, three times, with two addresses, the first of which cannot be reached.
    Repeats,
    /// IPv6 alone, from its link-local address, which it gives without a zone.
    LinkLocal,
    /// To everybody in the group instead of to who asked.
    ToTheGroup,
    /// The endpoint reference of all others of this manner.
    SameEndpoint,
    /// No device: sends a web page, which must not be taken for one.
    Junk,
    /// No camera: a printer.
    Printer,
}

impl Manner {
    /// Those of devices that must be found.
    pub const DEVICES: [Self; 12] = [
        Self::Proper,
        Self::BareMatch,
        Self::Truncated,
        Self::UndeclaredPrefix,
        Self::WrongTypes,
        Self::Nameless,
        Self::Loopback,
        Self::Late,
        Self::Repeats,
        Self::LinkLocal,
        Self::ToTheGroup,
        Self::SameEndpoint,
    ];
}

/// One device of a fleet.
#[derive(Clone, Debug)]
pub struct Fake {
    pub manner: Manner,
    pub address: IpAddr,
    number: u32,
}

impl Fake {
    /// Host and path under which it must be found; of a link-local one without the zone.
    pub fn expected(&self) -> (IpAddr, String) {
        (self.address, format!("/onvif/device_service_{}", self.number))
    }

    fn url(&self, host: &str) -> String {
        format!("http://{host}/onvif/device_service_{}", self.number)
    }
}

/// Devices that answer until they are dropped.
#[derive(Debug)]
pub struct Fleet {
    pub fakes: Vec<Fake>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _namespace: Namespace,
}

#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    #[error("the fleet of fakes cannot listen: {0}")]
    Io(#[from] io::Error),
}

impl Fleet {
    /// Starts one device per entry of `manners`, at 192.168.1.128 and up; at most 120.
    pub fn start(bench: &mut Bench, manners: &[Manner]) -> Result<Self, FleetError> {
        assert!(manners.len() <= 120, "{} devices do not fit behind 192.168.1.128", manners.len());
        let fakes: Vec<Fake> = (0..).zip(manners).map(|(number, &manner)| fake(number, manner)).collect();
        let namespace = bench.host("fleet", &[])?;
        let with_length = |fake: &Fake| match fake.address {
            IpAddr::V4(address) => format!("{address}/24"),
            IpAddr::V6(address) => format!("{address}/64"),
        };
        bench.add_addresses(&namespace, &fakes.iter().map(with_length).collect::<Vec<_>>())?;
        let (stop, stopped) = oneshot::channel();
        let (started, has_started) = mpsc::channel();
        let thread = namespace.run(|| {
            // Opened here, inside; served there, where the sockets stay inside.
            let (sockets, starts) = (open(&fakes), started);
            let fakes = fakes.clone();
            sockets.map(|sockets| thread::spawn(move || serve(sockets, fakes, stopped, &starts)))
        })??;
        has_started.recv().map_err(|_| io::Error::other("the serving thread ended"))??;
        Ok(Self { fakes, stop: Some(stop), thread: Some(thread), _namespace: namespace })
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn fake(number: u32, manner: Manner) -> Fake {
    let address = match manner {
        Manner::LinkLocal => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xca, number as u16 + 1).into(),
        _ => Ipv4Addr::new(192, 168, 1, 128 + number as u8).into(),
    };
    Fake { manner, address, number }
}

#[derive(Debug)]
struct Sockets {
    groups: Vec<Socket>,
    /// In the order of the fakes: each answers from its own address.
    own: Vec<Socket>,
    index: u32,
}

fn open(fakes: &[Fake]) -> io::Result<Sockets> {
    let index = fs_index()?;
    let v4 = udp(Domain::IPV4)?;
    v4.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(index))?;
    v4.bind(&SocketAddr::from((GROUP_V4, PORT)).into())?;
    let v6 = udp(Domain::IPV6)?;
    v6.join_multicast_v6(&GROUP_V6, index)?;
    v6.bind(&SocketAddr::V6(SocketAddrV6::new(GROUP_V6, PORT, 0, index)).into())?;
    let own = fakes.iter().map(|fake| {
        let (domain, address) = match fake.address {
            IpAddr::V4(address) => (Domain::IPV4, SocketAddr::from((address, PORT))),
            IpAddr::V6(address) => (Domain::IPV6, SocketAddrV6::new(address, PORT, 0, index).into()),
        };
        let socket = udp(domain)?;
        socket.bind(&address.into())?;
        Ok(socket)
    });
    Ok(Sockets { own: own.collect::<io::Result<_>>()?, groups: vec![v4, v6], index })
}

/// Index of the host's interface.
fn fs_index() -> io::Result<u32> {
    let socket = udp(Domain::IPV4)?;
    Ok(rustix::net::netdevice::name_to_index(&socket, INTERFACE)?)
}

fn udp(domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn serve(
    sockets: Sockets,
    fakes: Vec<Fake>,
    stopped: oneshot::Receiver<()>,
    started: &mpsc::Sender<io::Result<()>>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    let tasks = LocalSet::new();
    runtime.block_on(tasks.run_until(async move {
        let open = |socket: Socket| UdpSocket::from_std(socket.into()).map(std::rc::Rc::new);
        let index = sockets.index;
        let groups: io::Result<Vec<_>> = sockets.groups.into_iter().map(open).collect();
        let own: io::Result<Vec<_>> = sockets.own.into_iter().map(open).collect();
        let (groups, own) = match (groups, own) {
            (Ok(groups), Ok(own)) => (groups, own),
            (Err(error), _) | (_, Err(error)) => {
                let _ = started.send(Err(error));
                return;
            }
        };
        let members: Vec<_> = fakes.into_iter().zip(own).collect();
        for group in groups {
            let members = members.clone();
            tokio::task::spawn_local(async move {
                let mut buffer = vec![0; 65_535];
                // A repeated probe has the identity of the first, and devices answer it once.
                let mut answered = BTreeSet::new();
                while let Ok((length, from)) = group.recv_from(&mut buffer).await {
                    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    let Some(probe) = Probe::read(&text) else { continue };
                    let is_new = answered.insert(probe.message.clone());
                    let hears = |fake: &Fake| fake.address.is_ipv4() == from.is_ipv4();
                    let answers = |fake: &Fake| is_new || fake.manner == Manner::Repeats;
                    for (fake, socket) in members.iter().filter(|(fake, _)| hears(fake) && answers(fake)) {
                        let (fake, socket, probe) = (fake.clone(), socket.clone(), probe.clone());
                        tokio::task::spawn_local(
                            async move { answer(&fake, &socket, &probe, from, index).await },
                        );
                    }
                }
            });
        }
        let _ = started.send(Ok(()));
        let _ = stopped.await;
    }));
}

#[derive(Clone, Debug)]
struct Probe {
    message: String,
    /// Whether it asks for devices of some type.
    typed: bool,
}

impl Probe {
    fn read(text: &str) -> Option<Self> {
        let document = roxmltree::Document::parse(text).ok()?;
        let find = |name: &str| document.descendants().find(|node| node.tag_name().name() == name);
        find("Probe")?;
        let typed =
            find("Types").and_then(|types| types.text()).is_some_and(|types| !types.trim().is_empty());
        Some(Self { message: find("MessageID")?.text()?.to_owned(), typed })
    }
}

async fn answer(fake: &Fake, socket: &UdpSocket, probe: &Probe, from: SocketAddr, index: u32) {
    if fake.manner == Manner::WrongTypes && probe.typed {
        return;
    }
    // Up to APP_MAX_DELAY, as the standard has it, so that not all answer at once.
    let delay = match fake.manner {
        Manner::Late => 1100,
        _ => rand::random_range(0..=500),
    };
    sleep(Duration::from_millis(delay)).await;
    let times = if fake.manner == Manner::Repeats { 3 } else { 1 };
    let to = match (fake.manner, from) {
        (Manner::ToTheGroup, SocketAddr::V6(_)) => SocketAddrV6::new(GROUP_V6, PORT, 0, index).into(),
        (Manner::ToTheGroup, SocketAddr::V4(_)) => (GROUP_V4, PORT).into(),
        _ => from,
    };
    for _ in 0..times {
        let _ = socket.send_to(message(fake, &probe.message).as_bytes(), to).await; // a lost answer, as any other
    }
}

fn message(fake: &Fake, relates_to: &str) -> String {
    let host = match fake.address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    let url = fake.url(&host);
    let number = fake.number;
    let addresses = match fake.manner {
        Manner::Loopback => fake.url("127.0.0.1"),
        Manner::Repeats => format!("{} {url}", fake.url("10.255.255.1")),
        Manner::Printer => format!("http://{host}/wsd/print"),
        _ => url,
    };
    let types = match fake.manner {
        Manner::WrongTypes => "x:Webcam",
        Manner::Printer => "x:PrintDeviceType",
        _ => "dn:NetworkVideoTransmitter tds:Device",
    };
    let identity = if fake.manner == Manner::SameEndpoint { 999 } else { number };
    let endpoint = match fake.manner {
        Manner::Nameless => String::new(),
        _ => format!(
            "<a:EndpointReference><a:Address>urn:uuid:00000000-0000-4000-8000-{identity:012}</a:Address></a:EndpointReference>"
        ),
    };
    let scopes = match fake.manner {
        Manner::Printer => String::new(),
        _ => format!("onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/name/Fake%20{number}"),
    };
    let content = format!(
        "{endpoint}<d:Types>{types}</d:Types><d:Scopes>{scopes}</d:Scopes><d:XAddrs>{addresses}</d:XAddrs>\
         <d:MetadataVersion>1</d:MetadataVersion>"
    );
    let (action, body) = match fake.manner {
        Manner::BareMatch => ("ProbeMatch", format!("<d:ProbeMatch>{content}</d:ProbeMatch>")),
        Manner::UndeclaredPrefix => (
            "ProbeMatches",
            format!("<wsdd:ProbeMatches><wsdd:ProbeMatch>{content}</wsdd:ProbeMatch></wsdd:ProbeMatches>"),
        ),
        _ => (
            "ProbeMatches",
            format!("<d:ProbeMatches><d:ProbeMatch>{content}</d:ProbeMatch></d:ProbeMatches>"),
        ),
    };
    let whole = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" xmlns:x=\"http://example.invalid/x\" \
         xmlns:d=\"http://schemas.xmlsoap.org/ws/2005/04/discovery\" xmlns:dn=\"http://www.onvif.org/ver10/network/wsdl\" \
         xmlns:tds=\"http://www.onvif.org/ver10/device/wsdl\"><s:Header>\
         <a:MessageID>urn:uuid:00000000-0000-4000-9000-{:012}</a:MessageID><a:RelatesTo>{relates_to}</a:RelatesTo>\
         <a:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:To>\
         <a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/{action}</a:Action>\
         <d:AppSequence InstanceId=\"1\" MessageNumber=\"1\"/></s:Header><s:Body>{body}</s:Body></s:Envelope>",
        rand::random_range(0..1_000_000_000_000u64)
    );
    match fake.manner {
        Manner::Truncated => whole[..whole.find("</d:XAddrs>").unwrap_or(0) + 4].to_owned(),
        Manner::Junk => "<html><body><h1>404 Not Found</h1></body></html>".to_owned(),
        _ => whole,
    }
}
