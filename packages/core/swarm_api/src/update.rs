//! Metadata of The Update Framework that people sign and hand in, and how far the registry's two repositories are.
//!
//! The files themselves are fetched from `/api/v1/update/{image|director}/metadata/`, as the framework names them.

use serde::{Deserialize, Serialize};

/// Which of the two repositories; see `swarm_tuf::director`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// What exists, and who made it. Signed with keys that the registry does not have.
    Image,
    /// Which cell runs what. Signed by the registry.
    Director,
}

impl Which {
    pub const ALL: [Self; 2] = [Self::Image, Self::Director];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Director => "director",
        }
    }
}

/// Signed files that are published together, or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// In this order: a new root first, then targets, then the roles that these delegate to.
    #[cfg_attr(feature = "schema", schema(min_items = 1, max_items = 100))]
    pub files: Vec<SignedFile>,
}

/// One file of metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SignedFile {
    /// `root`, `targets`, or the name of a delegated role.
    #[cfg_attr(feature = "schema", schema(pattern = "^[a-z][a-z0-9_]{0,63}$"))]
    pub role: String,
    /// The file, to the byte (JSON as text).
    #[cfg_attr(feature = "schema", schema(min_length = 2, max_length = 4_000_000))]
    pub text: String,
}

/// How far a repository is: the versions of its newest metadata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Versions {
    pub root: u64,
    /// Rises with whatever is published.
    pub timestamp: u64,
    pub snapshot: u64,
    pub targets: u64,
}
