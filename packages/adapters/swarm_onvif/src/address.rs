//! Where a camera's service is: `http://192.168.1.101/onvif/device_service`.
//!
//! The general URL libraries refuse or drop the zone of an IPv6 address (`[fe80::1%3]`), without which a link-local camera
//! cannot be reached.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::str::FromStr;

use crate::xml::clean;

/// Path of the device service where nobody names another; the ONVIF Core Specification fixes it.
const DEVICE_PATH: &str = "/onvif/device_service";

/// Longest address that is read, in bytes.
const MAX_LENGTH: usize = 1024;

/// An `http` or `https` address without user and password.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceUrl {
    pub(crate) scheme: Scheme,
    pub(crate) host: Host,
    pub(crate) port: u16,
    /// With its query; begins with `/`.
    pub(crate) path: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    Http,
    Https,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    V4(Ipv4Addr),
    /// With the index of the interface behind which a link-local address is; 0 for others.
    V6(Ipv6Addr, u32),
    Name(String),
}

/// Why a text is no [`ServiceUrl`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("expected an address such as http://192.168.1.101/onvif/device_service, found `{0}`")]
    Malformed(String),
    #[error("an address must not carry a user or a password; put them into the credentials file")]
    HasCredentials,
    #[error("`{0}` is no network interface of this computer")]
    NoZone(String),
}

impl ServiceUrl {
    /// The device service at `address`, at ONVIF's usual path.
    pub fn device(address: IpAddr, port: u16) -> Self {
        let host = match address {
            IpAddr::V4(address) => Host::V4(address),
            IpAddr::V6(address) => Host::V6(address, 0),
        };
        Self { scheme: Scheme::Http, host, port, path: DEVICE_PATH.to_owned() }
    }

    /// The device service of whoever sent from `from`.
    pub(crate) fn of_sender(from: SocketAddr) -> Self {
        let mut url = Self::device(from.ip(), 80);
        if let (SocketAddr::V6(from), Host::V6(_, zone)) = (from, &mut url.host) {
            *zone = from.scope_id();
        }
        url
    }

    /// An address that a device gave. Its zone would be an interface of the device: `zone` replaces it.
    pub(crate) fn from_device(text: &str, zone: u32) -> Option<Self> {
        let mut url = read(text, |_| Some(0)).ok()?;
        if let Host::V6(address, slot) = &mut url.host {
            *slot = if address.is_unicast_link_local() { zone } else { 0 };
        }
        Some(url)
    }

    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    pub fn host(&self) -> &Host {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// With its query; begins with `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// As the `Host` header has it: no zone, and no port where it is the usual one.
    pub(crate) fn host_header(&self) -> String {
        let host = match &self.host {
            Host::V6(address, _) => format!("[{address}]"),
            other => other.to_string(),
        };
        if self.port == self.scheme.port() { host } else { format!("{host}:{}", self.port) }
    }

    /// A service of the same camera, at the address that the camera gives for it.
    ///
    /// Host and scheme are ours: cameras behind several addresses name one that cannot be reached from here, some name
    /// 127.0.0.1, and a camera must not send our answers to its challenges to another host or out of TLS.
    /// The port is the camera's, unless it names another host: then ours is one that leads to it.
    pub(crate) fn service(&self, given: &Self) -> Self {
        let here = |ip: IpAddr| ip.is_unspecified() || ip.is_loopback() || self.host.ip() == Some(ip);
        let same_host = given.host == self.host || given.host.ip().is_some_and(here);
        let plain = self.scheme == Scheme::Http && given.scheme == Scheme::Http;
        let port = if plain && same_host { given.port } else { self.port };
        Self { scheme: self.scheme, host: self.host.clone(), port, path: given.path.clone() }
    }
}

impl Scheme {
    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl Host {
    /// The address, where it is no name.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::V4(address) => Some((*address).into()),
            Self::V6(address, _) => Some((*address).into()),
            Self::Name(_) => None,
        }
    }

    /// Where to connect to, where it is no name.
    pub(crate) fn socket(&self, port: u16) -> Option<SocketAddr> {
        match self {
            Self::V4(address) => Some((*address, port).into()),
            Self::V6(address, zone) => Some(SocketAddrV6::new(*address, port, 0, *zone).into()),
            Self::Name(_) => None,
        }
    }
}

impl FromStr for ServiceUrl {
    type Err = AddressError;

    /// Also takes a bare host (`192.168.1.101`, `camera-1:8080`, `[fe80::1%eth0]`), which stands for its device service.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let zone = |zone: &str| match zone.parse() {
            Ok(index) => Some(index),
            Err(_) => nix::net::if_::if_nametoindex(zone).ok(),
        };
        if text.contains("://") {
            return read(text, zone);
        }
        let url = read(&format!("http://{text}"), zone)?;
        Ok(if url.path == "/" { Self { path: DEVICE_PATH.to_owned(), ..url } } else { url })
    }
}

fn read(text: &str, zone: impl Fn(&str) -> Option<u32>) -> Result<ServiceUrl, AddressError> {
    let text = text.trim();
    let malformed = || AddressError::Malformed(clean(text));
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
        _ => return Err(malformed()),
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(AddressError::HasCredentials);
    }
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or_else(malformed)?;
        let (address, zone) = match address.split_once('%') {
            None => (address, 0),
            // `%25` is `%` as RFC 6874 writes it.
            Some((address, name)) => {
                let name = name.strip_prefix("25").filter(|rest| !rest.is_empty()).unwrap_or(name);
                (address, zone(name).ok_or_else(|| AddressError::NoZone(clean(name)))?)
            }
        };
        (Host::V6(address.parse().map_err(|_| malformed())?, zone), port)
    } else {
        let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
        let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        match host.parse() {
            Ok(address) => (Host::V4(address), port),
            Err(_) if !host.is_empty() && host.len() <= 253 && host.chars().all(is_letter) => {
                (Host::Name(host.to_ascii_lowercase()), port)
            }
            Err(_) => return Err(malformed()),
        }
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or_else(malformed)?,
        None if port.is_empty() => scheme.port(),
        None => return Err(malformed()),
    };
    let path = path.split('#').next().unwrap_or_default();
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    // What stays is written into a request line and into messages.
    if text.len() > MAX_LENGTH || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(malformed());
    }
    Ok(ServiceUrl { scheme, host, port, path })
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => address.fmt(f),
            Self::V6(address, 0) => write!(f, "[{address}]"),
            Self::V6(address, zone) => write!(f, "[{address}%{zone}]"),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        if self.port != self.scheme.port() {
            write!(f, ":{}", self.port)?;
        }
        f.write_str(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_reads_as_it_is_written() {
        for text in [
            "http://192.168.1.101/onvif/device_service",
            "https://camera-1.cell:8443/onvif/services?x=1",
            "http://[2001:db8::7]:8080/onvif/device_service",
            "http://[fe80::1%3]/onvif/device_service",
        ] {
            assert_eq!(text.parse::<ServiceUrl>().unwrap().to_string(), text);
        }
        let bare = |text: &str| text.parse::<ServiceUrl>().unwrap().to_string();
        assert_eq!(bare("192.168.1.101"), "http://192.168.1.101/onvif/device_service");
        assert_eq!(bare("camera-1:8080"), "http://camera-1:8080/onvif/device_service");
        assert_eq!(bare("[fe80::1%25lo]"), "http://[fe80::1%1]/onvif/device_service");
        assert_eq!(bare("HTTP://Camera-1:80"), "http://camera-1/");
    }

    #[test]
    fn what_is_no_address_says_what_one_looks_like() {
        for text in [
            "",
            "ftp://h/",
            "http://",
            "http://h:0/",
            "http://h:99999/",
            "http://[::1/",
            "http://a b/",
            "http://h/\r\nX: y",
        ] {
            let error = text.parse::<ServiceUrl>().unwrap_err().to_string();
            let begin = "expected an address such as http://192.168.1.101/onvif/device_service, found `";
            assert!(error.starts_with(begin), "{text:?}: {error}");
        }
        assert_eq!(
            "http://admin:secret@h/".parse::<ServiceUrl>().unwrap_err().to_string(),
            "an address must not carry a user or a password; put them into the credentials file"
        );
        assert_eq!(
            "[fe80::1%nowhere0]".parse::<ServiceUrl>().unwrap_err().to_string(),
            "`nowhere0` is no network interface of this computer"
        );
    }

    #[test]
    fn a_link_local_address_gets_the_zone_on_which_its_camera_was_heard() {
        let url = |text| ServiceUrl::from_device(text, 7).unwrap().to_string();
        assert_eq!(url("http://[fe80::1]/x"), "http://[fe80::1%7]/x");
        assert_eq!(url("http://[fe80::1%25eth0]/x"), "http://[fe80::1%7]/x");
        assert_eq!(url("http://[fd00::1]/x"), "http://[fd00::1]/x");
    }

    #[test]
    fn a_service_keeps_the_host_that_answered() {
        let service = |device: &str, given: &str| {
            device.parse::<ServiceUrl>().unwrap().service(&given.parse().unwrap()).to_string()
        };
        assert_eq!(service("http://10.0.0.1/d", "http://127.0.0.1:8080/media"), "http://10.0.0.1:8080/media");
        assert_eq!(service("http://10.0.0.1:81/d", "http://10.9.9.9/media"), "http://10.0.0.1:81/media");
        assert_eq!(service("https://10.0.0.1/d", "http://10.0.0.1/media"), "https://10.0.0.1/media");
        assert_eq!(service("http://10.0.0.1:81/d", "https://10.0.0.1/media"), "http://10.0.0.1:81/media");
        assert_eq!(service("http://[fe80::1%2]/d", "http://evil.example/media"), "http://[fe80::1%2]/media");
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "\\PC{0,60}") {
            if let Ok(url) = text.parse::<ServiceUrl>() {
                prop_assert_eq!(url.to_string().parse::<ServiceUrl>().unwrap(), url);
            }
            let _ = ServiceUrl::from_device(&format!("http://{text}"), 3);
        }
    }
}
