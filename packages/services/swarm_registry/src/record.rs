//! What the registry knows about an artifact, and how one is named in a request.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use swarm_artifact::ArtifactId;

/// One artifact that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Counts upwards in the order of acceptance.
    pub id: i64,
    pub digest: ArtifactId,
    pub skill_name: String,
    pub version: String,
    /// Of the archive, in bytes.
    pub size: u64,
    /// Text of the signature file.
    pub signature: String,
    /// The signers that counted when it was accepted.
    pub signers: Vec<String>,
    pub provenance: Provenance,
    pub uploaded_unix: i64,
    pub status: Status,
}

/// Where an artifact comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// The artifact that it was made from.
    pub parent: Option<ArtifactId>,
    /// Version of the skill that it was made from, as its manifest says.
    pub base_version: Option<String>,
    /// What it was trained on, as its uploader says.
    pub training_data: Option<String>,
    /// The free texts of its manifest; signed with it.
    pub notes: BTreeMap<String, String>,
    /// Who uploaded it, as the uploader says.
    pub uploaded_by: String,
    /// Who uploaded it, as the registry found out.
    pub uploader: String,
}

/// Whether an artifact may be handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    Active,
    Quarantined { reason: String, by: String, since_unix: i64 },
}

impl Status {
    pub const ACTIVE: &str = "active";
    pub const QUARANTINED: &str = "quarantined";

    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Active => Self::ACTIVE,
            Self::Quarantined { .. } => Self::QUARANTINED,
        }
    }
}

/// An artifact as a path names it: by number (`42`) or by digest (64 hex digits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    Number(i64),
    Digest(ArtifactId),
}

/// Why a text names no artifact.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the number of an artifact, or its SHA-256 as 64 lower-case hex digits, found '{}'", found.escape_debug())]
pub struct ReferenceError {
    pub found: String,
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let number = (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        if number && let Ok(number) = text.parse() {
            return Ok(Self::Number(number));
        }
        text.parse().map(Self::Digest).map_err(|_| ReferenceError { found: text.chars().take(80).collect() })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// What a list is narrowed to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    pub skill_name: Option<String>,
    /// [`Status::ACTIVE`] or [`Status::QUARANTINED`].
    pub status: Option<String>,
}

/// A page of a list, newest first. Keyset paging: what is accepted between two pages shifts nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Ask for the page after this number to go on; `None` at the end.
    pub next_after: Option<i64>,
}

impl<T> Page<T> {
    /// Of `limit + 1` asked-for rows, the last says only that there are more.
    pub fn cut(mut items: Vec<T>, limit: usize, number: impl Fn(&T) -> i64) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next_after = items.last().filter(|_| more).map(number);
        Self { items, next_after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_a_number_or_a_digest_and_nothing_else() {
        let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!("42".parse(), Ok(Reference::Number(42)));
        assert_eq!(digest.parse(), Ok(Reference::Digest(digest.parse().unwrap())));
        let upper = digest.to_uppercase();
        for bad in ["", "-1", "+1", "1 OR 1=1", "../1", "1e3", "9999999999999999999", &digest[1..], &upper] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_page_says_whether_there_are_more() {
        let page = |rows: &[i64]| Page::cut(rows.to_vec(), 2, |row| *row);
        assert_eq!(page(&[9, 8, 7]), Page { items: vec![9, 8], next_after: Some(8) });
        assert_eq!(page(&[9, 8]), Page { items: vec![9, 8], next_after: None });
        assert_eq!(page(&[]), Page { items: vec![], next_after: None });
    }
}
