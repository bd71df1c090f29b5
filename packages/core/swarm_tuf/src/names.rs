//! Names that metadata chooses and that become parts of URLs and of file names.

use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The four roles that every repository has.
pub const ROOT: &str = "root";
pub const TIMESTAMP: &str = "timestamp";
pub const SNAPSHOT: &str = "snapshot";
pub const TARGETS: &str = "targets";

const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PLAIN_AND_SLASH: &AsciiSet = &PLAIN.remove(b'/');

/// A name as one segment of a URL, and as a file name: everything but `A-Z a-z 0-9 - . _ ~` is percent-encoded.
pub fn encoded(name: &str) -> String {
    utf8_percent_encode(name, PLAIN).to_string()
}

/// Whether a delegated role may be called so. Its file must not be one of another role, and the name must fit a file name.
pub(crate) fn good_role_name(name: &str) -> bool {
    !matches!(name, "" | ROOT | TIMESTAMP | SNAPSHOT | TARGETS | "mirrors")
        && encoded(name).len() <= 200
        && !name.chars().any(char::is_control)
}

/// The file of a role in the local folder of metadata, such as `root.json` or `skills%2Fpick.json`.
pub fn local_file(role: &str) -> String {
    format!("{}.json", encoded(role))
}

/// The file of a role on the server. Roots always have their version in front, timestamps never.
pub fn remote_file(role: &str, version: Option<u64>) -> String {
    match version {
        Some(version) => format!("{version}.{}.json", encoded(role)),
        None => local_file(role),
    }
}

/// Path of a target, relative to the repository's targets: segments separated by `/`, none of them empty, `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetPath(String);

/// Why a text is not a target's path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{}' is no path of a target: {problem}", .path.escape_debug())]
pub struct TargetPathError {
    path: String,
    problem: &'static str,
}

impl TargetPath {
    pub const MAX_BYTES: usize = 1_024;

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the server has it. With consistent snapshots the last segment begins with the digest.
    pub fn remote_file(&self, digest: Option<&str>) -> String {
        let path = match (digest, self.0.rsplit_once('/')) {
            (None, _) => self.0.clone(),
            (Some(digest), None) => format!("{digest}.{}", self.0),
            (Some(digest), Some((folder, name))) => format!("{folder}/{digest}.{name}"),
        };
        utf8_percent_encode(&path, PLAIN_AND_SLASH).to_string()
    }
}

impl fmt::Display for TargetPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TargetPath {
    type Err = TargetPathError;

    fn from_str(path: &str) -> Result<Self, TargetPathError> {
        let problem = if path.is_empty() {
            "it is empty"
        } else if path.len() > Self::MAX_BYTES {
            "it is longer than 1024 bytes"
        } else if path.contains('\\') || path.chars().any(char::is_control) {
            "it has a backslash or a control character"
        } else if path.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            "one of its segments is empty, '.' or '..', or it begins or ends with '/'"
        } else {
            return Ok(Self(path.to_owned()));
        };
        Err(TargetPathError { path: path.to_owned(), problem })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_folder() {
        for (name, expected) in [
            ("../x", "..%2Fx.json"),
            ("/x", "%2Fx.json"),
            ("?", "%3F.json"),
            ("#", "%23.json"),
            ("%2e%2e", "%252e%252e.json"),
            ("a-b._~Z9", "a-b._~Z9.json"),
            ("é", "%C3%A9.json"),
        ] {
            assert_eq!(local_file(name), expected);
        }
        assert_eq!(remote_file("a b", Some(7)), "7.a%20b.json");
        for bad in ["", "a//b", "/a", "a/", "../a", "a/../b", "a/./b", ".", "a\\b", "a\0", "a\nb"] {
            bad.parse::<TargetPath>().unwrap_err();
        }
    }

    #[test]
    fn the_digest_goes_in_front_of_the_last_segment() {
        let path: TargetPath = "path/to/x y.gz".parse().unwrap();
        assert_eq!(path.remote_file(Some("ab")), "path/to/ab.x%20y.gz");
        assert_eq!(path.remote_file(None), "path/to/x%20y.gz");
        assert_eq!("x".parse::<TargetPath>().unwrap().remote_file(Some("ab")), "ab.x");
    }
}
