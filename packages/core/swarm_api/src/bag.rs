//! Bags that cells hand in: recordings for those who train and investigate. The registry keeps them and does not look into them.

use serde::{Deserialize, Serialize};

/// A bag as the registry knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Bag {
    #[cfg_attr(feature = "schema", schema(example = 7))]
    pub id: i64,
    /// What it is called where it was recorded.
    #[cfg_attr(feature = "schema", schema(example = "demo_001"))]
    pub name: String,
    /// SHA-256 of the archive.
    #[cfg_attr(feature = "schema", schema(pattern = "^[0-9a-f]{64}$"))]
    pub digest: String,
    /// Of the archive, in bytes.
    pub size: u64,
    /// Who handed it in, as the registry knows: the site's name, or the token's subject.
    pub site: String,
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    pub uploaded_at: String,
}

/// A page of bags, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BagPage {
    pub items: Vec<Bag>,
    /// Ask for the page after this number to go on.
    pub next_after: Option<i64>,
}

/// Begin of the upload of a bag; its parts go where those of artifacts go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BeginBag {
    /// Of the archive (tar), in bytes.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 68_719_476_736_i64))]
    pub length: u64,
}

/// End of the upload of a bag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CompleteBag {
    #[cfg_attr(feature = "schema", schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"))]
    pub name: String,
    /// SHA-256 of the archive.
    #[cfg_attr(feature = "schema", schema(pattern = "^[0-9a-f]{64}$"))]
    pub digest: String,
}
