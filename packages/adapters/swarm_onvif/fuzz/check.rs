//! What must hold for every input of the two parsers. Used by the fuzz targets and by `tests/fuzz_corpus.rs`.
#![allow(dead_code)] // each fuzz target uses one of the two

use std::net::{SocketAddr, SocketAddrV6};

use swarm_onvif::{Host, read_as_everything, read_matches};

/// A datagram: refused with a reason, or devices of bounded, printable texts that can all be reached.
pub(crate) fn datagram(bytes: &[u8]) {
    let v6 = SocketAddrV6::new("fe80::1".parse().expect("an address"), 3702, 0, 7);
    for from in [SocketAddr::from(([192, 168, 1, 101], 3702)), v6.into()] {
        match read_matches(bytes, from) {
            Err(problem) => printable(&problem),
            Ok(found) => {
                assert!(found.len() <= 64, "{} devices in one answer", found.len());
                for device in found {
                    assert!(!device.addresses.is_empty() && device.addresses.len() <= 16);
                    for address in &device.addresses {
                        printable(&address.to_string());
                        if let Host::V6(ip, 0) = address.host() {
                            assert!(!ip.is_unicast_link_local(), "{address} has no zone");
                        }
                        // It is one of ours: what is printed can be given back.
                        assert_eq!(address.to_string().parse().as_ref(), Ok(address));
                    }
                    let texts = device.types.iter().chain(&device.scopes).chain(&device.endpoint);
                    let oddities = device.oddities.iter().map(ToString::to_string);
                    for text in texts.cloned().chain(oddities) {
                        printable(&text);
                    }
                }
            }
        }
    }
}

/// A SOAP answer, read as that of every operation.
pub(crate) fn answer(bytes: &[u8]) {
    read_as_everything(bytes);
}

fn printable(text: &str) {
    assert!(text.len() < 8192, "{} bytes", text.len());
    assert!(!text.chars().any(char::is_control), "{text:?}");
}
