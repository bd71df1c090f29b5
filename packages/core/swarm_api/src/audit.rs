//! The audit log: who did what, in a chain of hashes.

use serde::{Deserialize, Serialize};

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    pub seq: i64,
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    pub at: String,
    /// The moment that was hashed: seconds since 1970-01-01 UTC.
    pub at_unix: i64,
    pub who: String,
    pub action: String,
    pub subject: String,
    pub detail: String,
    /// Hash of the entry before.
    pub previous: String,
    pub hash: String,
}

/// A page of the audit log, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AuditPage {
    pub items: Vec<AuditEntry>,
    /// Ask with `after` = this number for the next page; null at the end.
    pub next_after: Option<i64>,
}

/// Whether the audit log is what was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AuditVerdict {
    pub intact: bool,
    pub entries: i64,
    /// The last hash; kept elsewhere, it shows a log that was cut short or written anew.
    pub head: String,
    /// Where it is not.
    pub problem: Option<String>,
}
