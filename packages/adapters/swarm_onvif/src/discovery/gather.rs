//! Answers put together into devices. No I/O.
//!
//! A camera answers several times: to each probe, on each interface, over IPv4 and IPv6. Its *endpoint reference* says that
//! these are one; where there is none, the address of its service does. Both can lie: cheap cameras of one batch share an
//! endpoint reference, and two cameras that were given one address by mistake share that.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use crate::address::ServiceUrl;

/// Most devices that are kept of one round.
const MAX_DEVICES: usize = 4096;

/// One device as one answer tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    pub endpoint: Option<String>,
    pub types: Vec<String>,
    pub scopes: Vec<String>,
    /// Never empty; the most likely to be reachable first.
    pub addresses: Vec<ServiceUrl>,
    pub from: SocketAddr,
    pub oddities: Vec<Oddity>,
}

/// A device that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The endpoint reference, mostly `urn:uuid:..`: the same over restarts and changes of address.
    pub endpoint: Option<String>,
    pub types: Vec<String>,
    /// `onvif://www.onvif.org/name/..` and the like.
    pub scopes: Vec<String>,
    /// Addresses of its device service, the most likely to be reachable first; never empty.
    pub addresses: Vec<ServiceUrl>,
    /// Who answered.
    pub from: Vec<SocketAddr>,
    /// Interfaces on which it was heard.
    pub interfaces: Vec<String>,
    /// Answers that were heard of it.
    pub answers: u32,
    pub oddities: Vec<Oddity>,
}

/// Something that is wrong with a device's answer. It was found all the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Oddity {
    /// Its answer is no well-formed XML, for this reason.
    Malformed(String),
    /// It names itself neither a transmitter nor a device.
    WrongTypes(String),
    NoEndpoint,
    /// It names no address that can be used; ONVIF's usual one is taken.
    NoAddress,
    /// An address that leads nowhere.
    BadAddress(String),
    /// Another device answers with the same endpoint reference, from another address.
    SharesEndpoint,
    /// Another device names the same address: the two have one address in the network, or one answers for the other.
    SharesAddress(String),
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(problem) => write!(f, "answer is malformed: {problem}"),
            Self::WrongTypes(types) => write!(f, "types `{types}` name no video transmitter"),
            Self::NoEndpoint => f.write_str("no endpoint reference"),
            Self::NoAddress => f.write_str("names no usable address; ONVIF's usual one is taken"),
            Self::BadAddress(address) => write!(f, "names the address `{address}`, which leads nowhere"),
            Self::SharesEndpoint => f.write_str("shares its endpoint reference with another device"),
            Self::SharesAddress(address) => {
                write!(
                    f,
                    "shares the address {address} with another device: give one of them another address"
                )
            }
        }
    }
}

impl Device {
    /// Value of the scope `onvif://www.onvif.org/<category>/..`, percent signs decoded.
    pub fn scope(&self, category: &str) -> Option<String> {
        let value = |scope: &String| {
            let (name, value) = scope.strip_prefix("onvif://www.onvif.org/")?.split_once('/')?;
            name.eq_ignore_ascii_case(category).then(|| decoded(value))
        };
        self.scopes.iter().find_map(value).filter(|value| !value.is_empty())
    }

    pub fn name(&self) -> Option<String> {
        self.scope("name")
    }

    /// Mostly the model.
    pub fn hardware(&self) -> Option<String> {
        self.scope("hardware")
    }

    /// The address to talk to.
    pub fn address(&self) -> &ServiceUrl {
        &self.addresses[0] // never empty
    }

    /// The names under which credentials may be kept for it.
    pub fn names(&self) -> Vec<String> {
        let hosts = self.addresses.iter().map(|address| address.host().to_string());
        self.endpoint.iter().cloned().chain(hosts).collect()
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = |byte: u8| (byte as char).to_digit(16);
        let escape = after.first_chunk::<2>().filter(|_| first == b'%');
        let byte = escape.and_then(|[high, low]| Some((hex(*high)? << 4 | hex(*low)?) as u8));
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    crate::xml::clean(&String::from_utf8_lossy(&bytes))
}

/// The devices of a round, as their answers come in.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    devices: Vec<Device>,
    /// Indices into `devices`: of each endpoint reference, and of each address that a device without one has.
    by_endpoint: BTreeMap<String, Vec<usize>>,
    by_address: BTreeMap<ServiceUrl, usize>,
}

impl Gathered {
    pub(super) fn add(&mut self, found: Match, interface: &str) {
        let index = match self.known(&found, interface) {
            Some(index) => index,
            None if self.devices.len() >= MAX_DEVICES => return,
            None => self.begin(&found),
        };
        let device = &mut self.devices[index];
        device.answers += 1;
        // The most telling answer counts: a malformed one comes with less.
        if device.scopes.len() < found.scopes.len() {
            device.scopes = found.scopes;
        }
        if device.types.is_empty() {
            device.types = found.types;
        }
        device.addresses.extend(
            found.addresses.into_iter().filter(|new| !device.addresses.contains(new)).collect::<Vec<_>>(),
        );
        device.oddities.extend(
            found.oddities.into_iter().filter(|new| !device.oddities.contains(new)).collect::<Vec<_>>(),
        );
        if !device.from.contains(&found.from) {
            device.from.push(found.from);
        }
        if !device.interfaces.iter().any(|known| known == interface) {
            device.interfaces.push(interface.to_owned());
        }
        for address in &device.addresses {
            self.by_address.entry(address.clone()).or_insert(index);
        }
    }

    fn known(&self, found: &Match, interface: &str) -> Option<usize> {
        let Some(endpoint) = &found.endpoint else {
            // Some answers of a camera may have lost what others of it say.
            return found.addresses.iter().find_map(|address| self.by_address.get(address).copied());
        };
        let same = |index: &usize| {
            let device = &self.devices[*index];
            let shares_address = device.addresses.iter().any(|address| found.addresses.contains(address));
            // From another sender of the same family on the same link, and at other addresses: another camera.
            let is_elsewhere = device.interfaces.iter().any(|known| known == interface)
                && device.from.iter().any(|from| from.is_ipv4() == found.from.is_ipv4())
                && device.from.iter().all(|from| from.ip() != found.from.ip());
            shares_address || !is_elsewhere
        };
        self.by_endpoint.get(endpoint)?.iter().copied().find(same)
    }

    fn begin(&mut self, found: &Match) -> usize {
        let index = self.devices.len();
        self.devices.push(Device {
            endpoint: found.endpoint.clone(),
            types: Vec::new(),
            scopes: Vec::new(),
            addresses: Vec::new(),
            from: Vec::new(),
            interfaces: Vec::new(),
            answers: 0,
            oddities: Vec::new(),
        });
        if let Some(endpoint) = &found.endpoint {
            let same = self.by_endpoint.entry(endpoint.clone()).or_default();
            same.push(index);
            if same.len() > 1 {
                for &index in &*same {
                    let oddities = &mut self.devices[index].oddities;
                    if !oddities.contains(&Oddity::SharesEndpoint) {
                        oddities.push(Oddity::SharesEndpoint);
                    }
                }
            }
        }
        index
    }

    /// The devices, sorted by address.
    pub(super) fn finish(mut self) -> Vec<Device> {
        self.unite_halves();
        let mut holders: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, device) in self.devices.iter().enumerate() {
            for address in &device.addresses {
                holders.entry(address.to_string()).or_default().push(index);
            }
        }
        for (address, indices) in holders.into_iter().filter(|(_, indices)| indices.len() > 1) {
            for index in indices {
                self.devices[index].oddities.push(Oddity::SharesAddress(address.clone()));
            }
        }
        self.devices.sort_by(|a, b| a.address().cmp(b.address()).then_with(|| a.endpoint.cmp(&b.endpoint)));
        self.devices
    }

    /// A device without endpoint reference whose address one with a reference has as well is that one: its first answer was
    /// malformed, and a later one was not.
    fn unite_halves(&mut self) {
        let (named, nameless): (Vec<Device>, Vec<Device>) =
            std::mem::take(&mut self.devices).into_iter().partition(|device| device.endpoint.is_some());
        self.devices = named;
        for device in nameless {
            let shares =
                |other: &Device| device.addresses.iter().any(|address| other.addresses.contains(address));
            match self.devices.iter_mut().find(|other| shares(other)) {
                Some(other) => {
                    other.answers += device.answers;
                    other.oddities.extend(device.oddities);
                    other.oddities.sort();
                    other.oddities.dedup();
                }
                None => self.devices.push(device),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(endpoint: Option<&str>, address: &str, from: &str) -> Match {
        Match {
            endpoint: endpoint.map(str::to_owned),
            types: vec![],
            scopes: vec![],
            addresses: vec![format!("http://{address}/onvif").parse().unwrap()],
            from: from.parse().unwrap(),
            oddities: vec![],
        }
    }

    fn gather(answers: &[(Match, &str)]) -> Vec<Device> {
        let mut gathered = Gathered::default();
        for (answer, interface) in answers {
            gathered.add(answer.clone(), interface);
        }
        gathered.finish()
    }

    #[test]
    fn a_camera_heard_on_two_interfaces_over_two_families_is_one() {
        let v4 = answer(Some("urn:1"), "10.0.0.1", "10.0.0.1:3702");
        let devices = gather(&[
            (v4.clone(), "eth0"),
            (v4, "eth0"),
            (answer(Some("urn:1"), "10.1.0.1", "10.1.0.1:3702"), "eth1"),
            (answer(Some("urn:1"), "[fe80::1%2]", "[fe80::1]:3702"), "eth0"),
        ]);
        assert_eq!(devices.len(), 1);
        assert_eq!((devices[0].answers, devices[0].addresses.len(), devices[0].interfaces.len()), (4, 3, 2));
        assert_eq!(devices[0].oddities, []);
    }

    #[test]
    fn cameras_of_one_batch_that_share_an_endpoint_reference_are_both_found() {
        let devices = gather(&[
            (answer(Some("urn:1"), "10.0.0.1", "10.0.0.1:3702"), "eth0"),
            (answer(Some("urn:1"), "10.0.0.2", "10.0.0.2:3702"), "eth0"),
            (answer(Some("urn:1"), "10.0.0.1", "10.0.0.1:3702"), "eth0"),
        ]);
        assert_eq!(devices.len(), 2);
        assert!(devices.iter().all(|device| device.oddities == [Oddity::SharesEndpoint]), "{devices:#?}");
    }

    #[test]
    fn two_cameras_with_one_address_are_reported_with_it() {
        let devices = gather(&[
            (answer(Some("urn:1"), "10.0.0.1", "10.0.0.1:3702"), "eth0"),
            (answer(Some("urn:2"), "10.0.0.1", "10.0.0.1:3702"), "eth0"),
        ]);
        let said: Vec<String> =
            devices.iter().flat_map(|device| &device.oddities).map(ToString::to_string).collect();
        let expected =
            "shares the address http://10.0.0.1/onvif with another device: give one of them another address";
        assert_eq!(said, [expected, expected]);
    }

    #[test]
    fn without_endpoint_references_the_address_tells_devices_apart() {
        let devices = gather(&[
            (answer(None, "10.0.0.1", "10.0.0.1:3702"), "eth0"),
            (answer(None, "10.0.0.2", "10.0.0.2:3702"), "eth0"),
            (answer(None, "10.0.0.1", "10.0.0.1:3702"), "eth0"),
            // The same camera, whose answer to the next probe was whole.
            (answer(Some("urn:2"), "10.0.0.2", "10.0.0.2:3702"), "eth0"),
        ]);
        let found: Vec<_> =
            devices.iter().map(|device| (device.endpoint.as_deref(), device.answers)).collect();
        assert_eq!(found, [(None, 2), (Some("urn:2"), 2)]);
    }

    #[test]
    fn the_number_of_devices_is_bounded() {
        let mut gathered = Gathered::default();
        for index in 0..MAX_DEVICES + 10 {
            gathered.add(answer(Some(&format!("urn:{index}")), "10.0.0.1", "10.0.0.1:3702"), "eth0");
        }
        assert_eq!(gathered.devices.len(), MAX_DEVICES);
    }

    #[test]
    fn scopes_tell_name_and_hardware() {
        let mut found = answer(Some("urn:1"), "10.0.0.1", "10.0.0.1:3702");
        found.scopes = vec![
            "onvif://www.onvif.org/name/Cam%20%C3%A9%1B1".into(),
            "onvif://www.onvif.org/Hardware/X%".into(),
        ];
        let device = gather(&[(found, "eth0")]).remove(0);
        assert_eq!(
            (device.name().as_deref(), device.hardware().as_deref()),
            (Some("Cam é\u{fffd}1"), Some("X%"))
        );
    }
}
