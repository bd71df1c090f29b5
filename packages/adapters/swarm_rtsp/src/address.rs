//! Where a stream is, and who may see it. A password is in neither `Debug` nor `Display`, and in no error.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use url::{Host, Url};

/// User name and password of a camera.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub user: String,
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).field("password", &"***").finish()
    }
}

/// An `rtsp://` address. Credentials written into it are taken out; what is shown is without them.
/// Cheap to clone: every error names its camera.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Arc<Parts>);

#[derive(PartialEq, Eq)]
struct Parts {
    url: Url,
    credentials: Option<Credentials>,
}

impl Address {
    /// Without credentials.
    pub fn url(&self) -> &Url {
        &self.0.url
    }

    pub fn credentials(&self) -> Option<&Credentials> {
        self.0.credentials.as_ref()
    }

    /// Name or number of the camera, as a socket takes it: an IPv6 address without brackets.
    pub fn host(&self) -> String {
        match self.0.url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => unreachable!("an address was parsed with its host"),
        }
    }

    /// 554 where none is named (RFC 2326 section 3.2).
    pub fn port(&self) -> u16 {
        self.0.url.port().unwrap_or(554)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.url.fmt(f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.0.url)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if has_zone(text) {
            return Err(AddressError::Zone);
        }
        let mut url = Url::parse(text).map_err(AddressError::NoUrl)?;
        if url.scheme() != "rtsp" {
            return Err(AddressError::Scheme { found: url.scheme().to_owned() });
        }
        if url.host().is_none_or(|host| matches!(host, Host::Domain(""))) {
            return Err(AddressError::NoHost);
        }
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some(Credentials {
                user: percent_decoded(user)?,
                password: percent_decoded(password.unwrap_or_default())?,
            }),
        };
        url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| AddressError::NoHost)?;
        Ok(Self(Arc::new(Parts { url, credentials })))
    }
}

/// Whether the host is as `[fe80::1%4]`. Retina's URL has no place for a zone, and GStreamer 1.22 does not connect to one.
fn has_zone(text: &str) -> bool {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    host.starts_with('[') && host.split(']').next().is_some_and(|host| host.contains('%'))
}

fn percent_decoded(text: &str) -> Result<String, AddressError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        if let Some(decoded) = hex.filter(|_| byte == b'%').and_then(|two| u8::from_str_radix(two, 16).ok()) {
            bytes.push(decoded);
            rest = &tail[2..];
        } else {
            bytes.push(byte);
            rest = tail;
        }
    }
    String::from_utf8(bytes).map_err(|_| AddressError::NotText)
}

/// None of them shows the address: it may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    #[error("this is no URL ({0}); expected rtsp://HOST[:PORT]/PATH")]
    NoUrl(url::ParseError),
    #[error("expected an address that begins with rtsp://, found {found}://")]
    Scheme { found: String },
    #[error(
        "this is an IPv6 link-local address with the network interface that it is behind, from which no video can be taken; \
         name the camera's IPv4 address, or another IPv6 address of it"
    )]
    Zone,
    #[error("this address names no host; expected rtsp://HOST[:PORT]/PATH")]
    NoHost,
    #[error("user or password in the address are not UTF-8 behind their percent signs")]
    NotText,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_used_and_never_shown() {
        let address: Address = "rtsp://admin:p%40ss%2Fword@192.168.1.101/stream1?x=1".parse().unwrap();
        let credentials = address.credentials().unwrap();
        assert_eq!((credentials.user.as_str(), credentials.password.as_str()), ("admin", "p@ss/word"));
        assert_eq!(address.to_string(), "rtsp://192.168.1.101/stream1?x=1");
        let shown = format!("{address:?} {credentials:?} {:?}", crate::Source::new(address.clone()));
        assert!(!shown.contains("p%40ss") && !shown.contains("p@ss"), "{shown}");
    }

    #[test]
    fn what_is_no_camera_address_is_refused_without_showing_it() {
        for (text, expected) in [
            ("http://a:secret@host/", "rtsp://, found http://"),
            ("secret", "no URL"),
            ("rtsp:///secret", "no host"),
            ("rtsp://u:%ff%fesecret@host/", "not UTF-8"),
            // As `swarm_onvif` names the stream of a camera behind interface 1.
            ("rtsp://[fe80::1%1]:554/main", "name the camera's IPv4 address"),
            ("rtsp://u:[secret@[fe80::1%eth0]/main", "name the camera's IPv4 address"),
            ("rtsp://[fe80::1/secret%1]", "no URL"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("secret"), "{text}: {error}");
        }
    }

    #[test]
    fn ports_and_hosts_are_as_sockets_take_them() {
        let at = |text: &str| {
            let address: Address = text.parse().unwrap();
            (address.host(), address.port())
        };
        assert_eq!(at("rtsp://cam1/x"), ("cam1".to_owned(), 554));
        assert_eq!(at("rtsp://u:p%25[@cam1/[x%1]"), ("cam1".to_owned(), 554));
        assert_eq!(at("rtsp://[fe80::1]:8554/x"), ("fe80::1".to_owned(), 8554));
    }
}
