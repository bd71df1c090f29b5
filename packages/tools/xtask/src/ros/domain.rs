//! ROS domains, by the UDP port on which their participants find each other.

use std::io;
use std::net::UdpSocket;

use crate::error::{Error, Result};

/// ROS 2's default mapping of a domain to UDP ports (RTPS 2.5, 9.6.1.1): 7400 + 250 * domain.
const DISCOVERY_PORT: u16 = 7400;
const PORTS_PER_DOMAIN: u16 = 250;
/// From here to [`LAST`] are looked through: low numbers are what people type.
const FIRST: u16 = 40;
/// Above it, the ports of a domain are among those that Linux gives to whoever asks for any.
const LAST: u16 = 101;

/// None where the domain has no ports.
pub fn discovery_port(domain: u16) -> Option<u16> {
    domain.checked_mul(PORTS_PER_DOMAIN)?.checked_add(DISCOVERY_PORT)
}

/// Takes the port for a moment. Participants share it among themselves; taking it for oneself works only while there is none.
pub fn claim(port: u16) -> io::Result<()> {
    UdpSocket::bind(("0.0.0.0", port)).map(drop)
}

/// So many domains in which nobody on this machine is now. `seed` says where to look first, so that two who begin at the same moment
/// do not choose the same.
pub fn free(count: usize, seed: u32) -> Result<Vec<u16>> {
    let span = LAST - FIRST + 1;
    let offset = (seed % u32::from(span)) as u16;
    let domains = (0..span).map(|step| FIRST + (offset + step) % span);
    let is_free = |domain: &u16| discovery_port(*domain).is_some_and(|port| claim(port).is_ok());
    let found: Vec<u16> = domains.filter(is_free).take(count).collect();
    if found.len() == count {
        return Ok(found);
    }
    Err(Error::Missing {
        what: format!("{count} ROS domains that nobody uses: of {FIRST} to {LAST}, {} are free", found.len()),
        hint: "ending ROS programs that are no longer needed (`pgrep -af ros`)".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_that_somebody_uses_is_not_given_away() {
        let domain = free(1, 7).unwrap()[0];
        let port = discovery_port(domain).unwrap();
        let _participant = UdpSocket::bind(("0.0.0.0", port)).unwrap();
        let others = free(3, 7).unwrap();
        assert!(!others.contains(&domain), "{domain} in {others:?}");
        assert_eq!(others.iter().collect::<std::collections::BTreeSet<_>>().len(), 3);
    }

    #[test]
    fn ports_are_those_of_the_standard() {
        assert_eq!(discovery_port(0), Some(7400));
        assert_eq!(discovery_port(101), Some(32_650));
        assert_eq!(discovery_port(500), None);
    }
}
