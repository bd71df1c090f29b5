//! Names of files inside an artifact: relative, plain, and safe to join to a folder.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// A path inside an artifact that cannot leave the folder it is joined to.
///
/// One to eight segments of `A-Z a-z 0-9 . _ -`, separated by `/`, no segment starting with a dot, at most 100 bytes in all
/// (the name field of a ustar header, so that no header extension is ever needed).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryPath(String);

/// Why a name cannot be a path inside an artifact.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("the name is empty")]
    Empty,
    #[error("'{0}' is absolute; paths in an artifact are relative to its root")]
    Absolute(String),
    #[error("'{0}' contains a '..' segment and would leave the artifact's folder")]
    Traversal(String),
    #[error("the name is not UTF-8: '{0}'")]
    NotUtf8(String),
    #[error("'{path}' is {length} bytes long, at most {} are allowed", EntryPath::MAX_BYTES)]
    TooLong { path: String, length: usize },
    #[error("'{path}' has {depth} segments, at most {} are allowed", EntryPath::MAX_DEPTH)]
    TooDeep { path: String, depth: usize },
    #[error(
        "'{path}' has the segment '{segment}'; use letters, digits, '.', '_' and '-', and no leading dot"
    )]
    BadSegment { path: String, segment: String },
}

impl EntryPath {
    pub const MAX_BYTES: usize = 100;
    pub const MAX_DEPTH: usize = 8;

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PathError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => text.parse(),
            Err(_) => Err(PathError::NotUtf8(bytes.escape_ascii().to_string())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EntryPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        // Control characters would garble a terminal, so an odd name is escaped before it is shown.
        let shown = || text.escape_debug().to_string();
        if text.is_empty() {
            return Err(PathError::Empty);
        }
        if text.starts_with('/') {
            return Err(PathError::Absolute(shown()));
        }
        if text.split(['/', '\\']).any(|segment| segment == "..") {
            return Err(PathError::Traversal(shown()));
        }
        if text.len() > Self::MAX_BYTES {
            return Err(PathError::TooLong { path: shown(), length: text.len() });
        }
        let depth = text.split('/').count();
        if depth > Self::MAX_DEPTH {
            return Err(PathError::TooDeep { path: shown(), depth });
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        for segment in text.split('/') {
            if segment.is_empty() || segment.starts_with('.') || !segment.chars().all(plain) {
                return Err(PathError::BadSegment {
                    path: shown(),
                    segment: segment.escape_debug().to_string(),
                });
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<std::path::Path> for EntryPath {
    fn as_ref(&self) -> &std::path::Path {
        self.0.as_ref()
    }
}

impl Serialize for EntryPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_kind_of_bad_name_has_its_own_error() {
        let message = |bytes: &[u8]| EntryPath::from_bytes(bytes).unwrap_err().to_string();
        assert_eq!(message(b""), "the name is empty");
        assert_eq!(
            message(b"/etc/passwd"),
            "'/etc/passwd' is absolute; paths in an artifact are relative to its root"
        );
        assert_eq!(
            message(b"a/../../b"),
            "'a/../../b' contains a '..' segment and would leave the artifact's folder"
        );
        assert_eq!(
            message(b"..\\b"),
            "'..\\\\b' contains a '..' segment and would leave the artifact's folder"
        );
        assert_eq!(message(b"a\xff"), "the name is not UTF-8: 'a\\xff'");
        assert_eq!(
            message(&[b'a'; 101]),
            format!("'{}' is 101 bytes long, at most 100 are allowed", "a".repeat(101))
        );
        assert_eq!(
            message(b"1/2/3/4/5/6/7/8/9"),
            "'1/2/3/4/5/6/7/8/9' has 9 segments, at most 8 are allowed"
        );
        for bad in ["a//b", "a/", "./a", "a/.hidden", "a b", "a\nb", "a\0b", "C:\\x"] {
            let error = bad.parse::<EntryPath>().unwrap_err();
            assert!(matches!(error, PathError::BadSegment { .. }), "{bad:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn an_accepted_path_stays_inside_the_folder(text in "[a./\\\\]{0,12}|\\PC{0,20}") {
            if let Ok(path) = text.parse::<EntryPath>() {
                prop_assert!(Path::new(path.as_str()).components().all(|part| matches!(part, Component::Normal(_))));
            }
        }
    }
}
