//! WS-Discovery messages: the probe that is sent, and the answers of strangers. No I/O.
//!
//! What is answered is wrong in many ways: ipycam puts a `ProbeMatch` where `ProbeMatches` belongs and signs it with an action
//! that does not exist; others leave prefixes undeclared, cut a long answer at the end of their buffer, or name 127.0.0.1. An
//! answer is used as long as it says where a service is.

use std::net::SocketAddr;

use roxmltree::Node;

use super::gather::{Match, Oddity};
use crate::address::{Host, ServiceUrl};
use crate::xml::{clean, document, text};

/// Most of one kind that is taken from one answer.
const MAX_ADDRESSES: usize = 16;
const MAX_SCOPES: usize = 64;
const MAX_MATCHES: usize = 64;

/// What a probe asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// What ONVIF Core prescribes.
    Transmitters,
    /// Everything; devices with wrong types answer only to this.
    Anything,
}

/// A probe; `id` is a UUID.
pub(super) fn probe(id: &str, asked: Asked) -> String {
    let types = match asked {
        Asked::Transmitters => "<d:Types>dn:NetworkVideoTransmitter</d:Types>",
        Asked::Anything => "",
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
         xmlns:d=\"http://schemas.xmlsoap.org/ws/2005/04/discovery\" xmlns:dn=\"http://www.onvif.org/ver10/network/wsdl\">\
         <s:Header><a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action>\
         <a:MessageID>urn:uuid:{id}</a:MessageID>\
         <a:ReplyTo><a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo>\
         <a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To></s:Header>\
         <s:Body><d:Probe>{types}</d:Probe></s:Body></s:Envelope>"
    )
}

/// Reads the datagram that `from` sent; an answer may name several devices. The error says why it cannot be used.
///
/// Nothing at all is `Ok` and empty for what others say on this port: probes, byes, other devices than cameras.
pub fn read_matches(datagram: &[u8], from: SocketAddr) -> Result<Vec<Match>, String> {
    let text = String::from_utf8_lossy(datagram);
    let document = match document(&text) {
        Ok(document) => document,
        Err(problem) => return salvage(&text, from, &problem).map(|found| vec![found]).ok_or(problem),
    };
    let root = document.root_element();
    if root.tag_name().name() != "Envelope" {
        return Err(format!("expected a SOAP envelope, found <{}>", clean(root.tag_name().name())));
    }
    let mut seen_match = false;
    let mut found = Vec::new();
    // Wherever it stands: in `ProbeMatches`, bare in the body, or as a `Hello` of a camera that comes up meanwhile.
    let matches = root.descendants().filter(|node| matches!(node.tag_name().name(), "ProbeMatch" | "Hello"));
    for node in matches.filter(Node::is_element).take(MAX_MATCHES) {
        seen_match = true;
        found.extend(read_match(node, from));
    }
    if found.is_empty()
        && !seen_match
        && root.descendants().any(|node| node.tag_name().name() == "ProbeMatches")
    {
        return Err("ProbeMatches without a ProbeMatch".to_owned());
    }
    Ok(found)
}

fn read_match(node: Node<'_, '_>, from: SocketAddr) -> Option<Match> {
    let below = |name: &'static str| node.descendants().find(move |node| node.tag_name().name() == name);
    let words = |name, most| -> Vec<String> {
        let text = below(name).and_then(|node| node.text()).unwrap_or_default();
        text.split_whitespace().take(most).map(clean).collect()
    };
    let endpoint = below("EndpointReference")
        .and_then(|node| node.descendants().find(|node| node.tag_name().name() == "Address").and_then(text));
    let (types, scopes) = (words("Types", MAX_SCOPES), words("Scopes", MAX_SCOPES));
    let given = words("XAddrs", MAX_ADDRESSES);
    if !is_onvif(&types, &scopes, &given) {
        return None;
    }
    let mut oddities = Vec::new();
    if !types.iter().any(|kind| matches!(local(kind), "NetworkVideoTransmitter" | "Device")) {
        oddities.push(Oddity::WrongTypes(types.join(" ")));
    }
    if endpoint.is_none() {
        oddities.push(Oddity::NoEndpoint);
    }
    let addresses = addresses(&given, from, &mut oddities);
    Some(Match { endpoint, types, scopes, addresses, from, oddities })
}

/// What a broken answer still says: the first address of a service in it. `problem` is why it could not be read properly.
fn salvage(text: &str, from: SocketAddr, problem: &str) -> Option<Match> {
    if !text.contains("ProbeMatch") {
        return None;
    }
    let is_delimiter = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '\'');
    let words =
        |begin: &'static str| text.split(is_delimiter).filter(move |word| word.starts_with(begin)).map(clean);
    // Namespaces look like addresses too.
    let is_namespace = |word: &str| {
        ["http://schemas.", "http://www.w3.org/", "http://www.onvif.org/", "http://docs.oasis"]
            .iter()
            .any(|begin| word.starts_with(begin))
    };
    let given = words("http").filter(|word| !is_namespace(word));
    // The last word of a text that was cut off is cut off too.
    let given: Vec<String> =
        given.filter(|word| !text.ends_with(word.as_str())).take(MAX_ADDRESSES).collect();
    let scopes: Vec<String> = words("onvif://").take(MAX_SCOPES).collect();
    if !is_onvif(&[], &scopes, &given) {
        return None;
    }
    let endpoint = words("urn:uuid:").chain(words("uuid:"));
    let endpoint =
        endpoint.filter(|word| !text.ends_with(word.as_str())).find(|word| is_in_endpoint(text, word));
    let mut oddities = vec![Oddity::Malformed(problem.to_owned())];
    if given.iter().all(|word| ServiceUrl::from_device(word, 0).is_none()) {
        return None;
    }
    let addresses = addresses(&given, from, &mut oddities);
    Some(Match { endpoint, types: Vec::new(), scopes, addresses, from, oddities })
}

/// Whether `word` stands inside of an `EndpointReference` and is no message's id.
fn is_in_endpoint(text: &str, word: &str) -> bool {
    text.find("EndpointReference").is_some_and(|begin| {
        let rest = &text[begin..];
        let end = rest[1..].find("EndpointReference").map_or(rest.len(), |end| end + 1);
        rest[..end].contains(word)
    })
}

fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

/// Printers and computers answer on the same port.
fn is_onvif(types: &[String], scopes: &[String], addresses: &[String]) -> bool {
    types.iter().any(|kind| local(kind).starts_with("NetworkVideo"))
        || scopes.iter().any(|scope| scope.starts_with("onvif://") || scope.starts_with("odm:"))
        || addresses.iter().any(|address| address.to_ascii_lowercase().contains("onvif"))
}

/// The services' addresses that can be reached from here, the most likely first.
fn addresses(given: &[String], from: SocketAddr, oddities: &mut Vec<Oddity>) -> Vec<ServiceUrl> {
    let zone = match from {
        SocketAddr::V6(from) => from.scope_id(),
        SocketAddr::V4(_) => 0,
    };
    let mut addresses: Vec<ServiceUrl> = Vec::new();
    for word in given {
        let Some(mut url) = ServiceUrl::from_device(word, zone) else {
            oddities.push(Oddity::BadAddress(word.clone()));
            continue;
        };
        let leads_nowhere = url.host.ip().is_some_and(|ip| ip.is_unspecified() || ip.is_loopback());
        if leads_nowhere && !from.ip().is_loopback() {
            oddities.push(Oddity::BadAddress(word.clone()));
            url.host = ServiceUrl::of_sender(from).host;
        }
        // A link-local address heard over IPv4 has no zone, and without one it is no way.
        if matches!(url.host, Host::V6(address, 0) if address.is_unicast_link_local()) {
            continue;
        }
        if !addresses.contains(&url) {
            addresses.push(url);
        }
    }
    if addresses.is_empty() {
        oddities.push(Oddity::NoAddress);
        addresses.push(ServiceUrl::of_sender(from));
    }
    // The one it answered from is reachable for sure.
    addresses.sort_by_key(|url| match &url.host {
        host if host.ip() == Some(from.ip()) => 0,
        Host::V4(_) => 1,
        Host::V6(..) => 2,
        Host::Name(_) => 3,
    });
    addresses
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn from() -> SocketAddr {
        "192.168.1.101:3702".parse().unwrap()
    }

    fn envelope(body: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
             xmlns:d=\"http://schemas.xmlsoap.org/ws/2005/04/discovery\" \
             xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\"><s:Header>\
             <a:MessageID>urn:uuid:message</a:MessageID></s:Header><s:Body>{body}</s:Body></s:Envelope>"
        )
    }

    fn content(addresses: &str) -> String {
        format!(
            "<a:EndpointReference><a:Address>urn:uuid:1</a:Address></a:EndpointReference>\
             <d:Types>dn:NetworkVideoTransmitter</d:Types><d:Scopes>onvif://www.onvif.org/name/Cam</d:Scopes>\
             <d:XAddrs>{addresses}</d:XAddrs><d:MetadataVersion>1</d:MetadataVersion>"
        )
    }

    fn one(datagram: &str) -> Match {
        let mut found = read_matches(datagram.as_bytes(), from()).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    fn addresses(found: &Match) -> Vec<String> {
        found.addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_proper_match_is_read() {
        let url = "http://192.168.1.101/onvif/device_service";
        let found = one(&envelope(&format!(
            "<d:ProbeMatches><d:ProbeMatch>{}</d:ProbeMatch></d:ProbeMatches>",
            content(url)
        )));
        assert_eq!(found.endpoint.as_deref(), Some("urn:uuid:1"));
        assert_eq!(addresses(&found), [url]);
        assert_eq!(found.oddities, []);
    }

    /// As ipycam 1.3.0 sends it.
    #[test]
    fn a_match_bare_in_the_body_is_read() {
        let url = "http://192.168.1.101:8080/onvif/device_service";
        let found = one(&envelope(&format!("<d:ProbeMatch>{}</d:ProbeMatch>", content(url))));
        assert_eq!(
            (found.endpoint.as_deref(), addresses(&found)),
            (Some("urn:uuid:1"), vec![url.to_owned()])
        );
    }

    #[test]
    fn an_answer_that_was_cut_off_still_says_where_the_camera_is() {
        let whole = envelope(&format!(
            "<d:ProbeMatches><d:ProbeMatch>{}",
            content("http://192.168.1.101:81/onvif/device_service")
        ));
        let cut = &whole[..whole.find("</d:XAddrs>").unwrap() + 3];
        let found = one(cut);
        assert_eq!(addresses(&found), ["http://192.168.1.101:81/onvif/device_service"]);
        assert_eq!(found.endpoint.as_deref(), Some("urn:uuid:1"));
        assert!(matches!(&found.oddities[..], [Oddity::Malformed(_)]), "{:?}", found.oddities);
        // Cut within the address: what stands there is a wrong one.
        let cut = &whole[..whole.find("device_service").unwrap() + 4];
        assert!(read_matches(cut.as_bytes(), from()).is_err());
    }

    #[test]
    fn an_undeclared_prefix_costs_no_camera() {
        let broken = envelope(
            "<wsd:ProbeMatch><wsd:XAddrs>http://192.168.1.101/onvif/x</wsd:XAddrs></wsd:ProbeMatch>",
        );
        assert_eq!(addresses(&one(&broken)), ["http://192.168.1.101/onvif/x"]);
    }

    #[test]
    fn an_address_that_leads_back_to_us_becomes_the_senders() {
        let found = one(&envelope(&format!(
            "<d:ProbeMatch>{}</d:ProbeMatch>",
            content("http://127.0.0.1:8080/onvif/d")
        )));
        assert_eq!(addresses(&found), ["http://192.168.1.101:8080/onvif/d"]);
        assert_eq!(found.oddities, [Oddity::BadAddress("http://127.0.0.1:8080/onvif/d".into())]);
        let none = one(&envelope(&format!("<d:ProbeMatch>{}</d:ProbeMatch>", content(""))));
        assert_eq!(addresses(&none), ["http://192.168.1.101/onvif/device_service"]);
        assert_eq!(none.oddities, [Oddity::NoAddress]);
    }

    #[test]
    fn the_address_that_answered_comes_first() {
        let given = "http://[fe80::1]/onvif http://10.0.0.1/onvif http://192.168.1.101/onvif";
        let found = one(&envelope(&format!("<d:ProbeMatch>{}</d:ProbeMatch>", content(given))));
        assert_eq!(addresses(&found), ["http://192.168.1.101/onvif", "http://10.0.0.1/onvif"]);
        let v6 = SocketAddr::V6(std::net::SocketAddrV6::new("fe80::1".parse().unwrap(), 3702, 0, 5));
        let text = envelope(&format!("<d:ProbeMatch>{}</d:ProbeMatch>", content(given)));
        let found = read_matches(text.as_bytes(), v6).unwrap();
        assert_eq!(addresses(&found[0])[0], "http://[fe80::1%5]/onvif");
    }

    #[test]
    fn what_is_no_camera_is_no_error_and_what_is_no_answer_says_why() {
        let printer = "<d:ProbeMatches><d:ProbeMatch><d:Types>wprt:PrintDeviceType</d:Types>\
                       <d:XAddrs>http://10.0.0.5/wsd</d:XAddrs></d:ProbeMatch></d:ProbeMatches>";
        assert_eq!(read_matches(envelope(printer).as_bytes(), from()), Ok(vec![]));
        assert_eq!(read_matches(probe("x", Asked::Anything).as_bytes(), from()), Ok(vec![]));
        let why = |text: &str| read_matches(text.as_bytes(), from()).unwrap_err();
        assert_eq!(why("<html><body>404</body></html>"), "expected a SOAP envelope, found <html>");
        assert_eq!(why(&envelope("<d:ProbeMatches/>")), "ProbeMatches without a ProbeMatch");
        assert_eq!(why("\0\u{1}\u{2}"), "unknown token at 1:1");
    }

    proptest! {
        #[test]
        fn no_datagram_breaks_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read_matches(&bytes, from());
        }

        #[test]
        fn no_cut_and_no_wrong_byte_breaks_the_reader(cut in 0usize..900, at in 0usize..900, byte in any::<u8>()) {
            let text = envelope(&format!("<d:ProbeMatch>{}</d:ProbeMatch>", content("http://192.168.1.101/onvif http://[fe80::1]/x")));
            let mut bytes = text.into_bytes();
            bytes.truncate(cut);
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            for found in read_matches(&bytes, from()).unwrap_or_default() {
                prop_assert!(!found.addresses.is_empty());
            }
        }
    }
}
