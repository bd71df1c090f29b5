//! Under which name somebody reached this computer.

use std::net::IpAddr;

/// Whether a `Host` header names this computer as itself: `localhost` or a loopback address. Any other name may be a stranger's
/// that was made to point here, so that a browser takes the stranger's page for one of ours.
pub(crate) fn names_this_computer(host: &str) -> bool {
    let port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let name = host.rsplit_once(':').filter(|(_, after)| port(after)).map_or(host, |(name, _)| name);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_this_computer() {
        for host in
            ["localhost", "LocalHost:8080", "127.0.0.1", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080", "[::1]"]
        {
            assert!(names_this_computer(host), "{host}");
        }
        for host in [
            "evil.example:8080",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "evil.example:localhost",
            "10.0.0.1:8080",
            "0.0.0.0",
            "",
            ":8080",
        ] {
            assert!(!names_this_computer(host), "{host}");
        }
    }
}
