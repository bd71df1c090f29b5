//! The network interfaces of this computer on which cameras can be asked.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};

use super::DiscoverError;

/// On which interfaces cameras are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Interfaces {
    /// All that are up and can multicast.
    #[default]
    All,
    Named(Vec<String>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) index: u32,
    pub(super) v4: Vec<Ipv4Addr>,
    /// Link-local ones first: cameras answer to them.
    pub(super) v6: Vec<Ipv6Addr>,
    can_multicast: bool,
}

/// The interfaces that `wanted` names; the error says what there is.
pub(super) fn choose(wanted: &Interfaces) -> Result<Vec<Interface>, DiscoverError> {
    select(wanted, present()?)
}

fn present() -> Result<Vec<Interface>, DiscoverError> {
    let mut found: BTreeMap<String, Interface> = BTreeMap::new();
    for entry in getifaddrs().map_err(|error| DiscoverError::Interfaces(error.into()))? {
        if !entry.flags.contains(InterfaceFlags::IFF_UP) {
            continue;
        }
        // An interface that went away since it was listed.
        let Ok(index) = if_nametoindex(entry.interface_name.as_str()) else { continue };
        let can_multicast = entry.flags.contains(InterfaceFlags::IFF_MULTICAST);
        let name = entry.interface_name;
        let interface = found.entry(name.clone()).or_insert(Interface {
            name,
            index,
            v4: Vec::new(),
            v6: Vec::new(),
            can_multicast,
        });
        let Some(address) = entry.address else { continue };
        if let Some(address) = address.as_sockaddr_in() {
            interface.v4.push(address.ip());
        } else if let Some(address) = address.as_sockaddr_in6() {
            interface.v6.push(address.ip());
        }
    }
    let mut found: Vec<Interface> = found.into_values().collect();
    for interface in &mut found {
        interface.v6.sort_by_key(|address| !address.is_unicast_link_local());
    }
    Ok(found)
}

fn select(wanted: &Interfaces, present: Vec<Interface>) -> Result<Vec<Interface>, DiscoverError> {
    let names = |interfaces: &[Interface]| {
        let names: Vec<&str> = interfaces.iter().map(|interface| interface.name.as_str()).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    let is_usable = |interface: &Interface| {
        interface.can_multicast && !(interface.v4.is_empty() && interface.v6.is_empty())
    };
    match wanted {
        Interfaces::All => {
            let up = names(&present);
            let usable: Vec<Interface> = present.into_iter().filter(is_usable).collect();
            if usable.is_empty() { Err(DiscoverError::NoInterface { up }) } else { Ok(usable) }
        }
        Interfaces::Named(wanted) => {
            let mut chosen: Vec<Interface> = Vec::new();
            for name in wanted {
                let Some(interface) = present.iter().find(|interface| interface.name == *name) else {
                    return Err(DiscoverError::UnknownInterface { name: name.clone(), up: names(&present) });
                };
                if !is_usable(interface) {
                    return Err(DiscoverError::NoMulticast { name: name.clone() });
                }
                if !chosen.contains(interface) {
                    chosen.push(interface.clone());
                }
            }
            Ok(chosen)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, can_multicast: bool) -> Interface {
        Interface { name: name.into(), index: 1, v4: vec![Ipv4Addr::LOCALHOST], v6: vec![], can_multicast }
    }

    fn named(names: &[&str]) -> Interfaces {
        Interfaces::Named(names.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn all_are_those_that_can_multicast() {
        let present = vec![interface("lo", false), interface("eth0", true)];
        let chosen = select(&Interfaces::All, present.clone()).unwrap();
        assert_eq!(chosen, [interface("eth0", true)]);
        assert_eq!(select(&named(&["eth0", "eth0"]), present).unwrap().len(), 1);
    }

    #[test]
    fn an_interface_that_cannot_be_asked_is_named_with_those_that_are_up() {
        let present = vec![interface("eth0", true), interface("lo", false)];
        let error = |wanted: &Interfaces| select(wanted, present.clone()).unwrap_err().to_string();
        assert_eq!(error(&named(&["eth1"])), "no network interface `eth1` is up; up are: eth0, lo");
        assert_eq!(
            error(&named(&["lo"])),
            "the network interface `lo` has no address or no multicast (`ip link set lo multicast on`)"
        );
        assert_eq!(
            select(&Interfaces::All, vec![interface("lo", false)]).unwrap_err().to_string(),
            "no network interface is up that has an address and multicast; up are: lo"
        );
    }

    #[test]
    fn this_computer_has_its_loopback() {
        assert!(present().unwrap().iter().any(|interface| interface.v4.contains(&Ipv4Addr::LOCALHOST)));
    }
}
