//! Why metadata or a target is not believed.

use crate::key::KeyId;
use crate::moment::Moment;

/// Why something is refused. Each attack that the specification names has its own variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{file} is not metadata of role {}: {problem}; the server sends something else, or the file was damaged", .role.escape_debug())]
    Format { role: String, file: String, problem: String },
    /// Arbitrary software, wrong threshold, revoked keys.
    #[error("{} is signed by {counted} of the {threshold} keys it needs{}; have it signed by more of its role's keys, or suspect the server", .role.escape_debug(), shown(.rejected))]
    Signatures { role: String, counted: usize, threshold: u64, rejected: Vec<Rejection> },
    #[error("rollback: version {offered} of {} is offered, and version {trusted} was believed before; suspect the server", .role.escape_debug())]
    Rollback { role: String, trusted: u64, offered: u64 },
    /// Mix and match: parts of different states of the repository.
    #[error("mix-and-match: version {expected} of {} belongs to this state of the repository, and version {offered} came", .role.escape_debug())]
    Version { role: String, expected: u64, offered: u64 },
    #[error("{} was in the snapshot that was believed before and is no longer in the new one; suspect the server", .role.escape_debug())]
    Vanished { role: String },
    #[error("freeze: {} expired at {expires}, and it is {now}; the repository is not kept up, somebody withholds its updates, or this machine's clock is wrong", .role.escape_debug())]
    Expired { role: String, expires: Moment, now: Moment },
    #[error("endless data: {} is longer than the {limit} bytes it may have", .what.escape_debug())]
    TooLong { what: String, limit: u64 },
    #[error("{} has {actual} bytes, and its metadata says {expected}", .what.escape_debug())]
    Length { what: String, expected: u64, actual: u64 },
    #[error("{} has the {algorithm} digest {actual}, and its metadata says {expected}; it was changed on the server or on the way", .what.escape_debug())]
    Digest { what: String, algorithm: &'static str, expected: String, actual: String },
    #[error("the metadata of {} has no digest by SHA-256 or SHA-512, so that it cannot be verified", .what.escape_debug())]
    NoKnownDigest { what: String },
    #[error("{} is delegated to, but the snapshot does not list it", .role.escape_debug())]
    NotInSnapshot { role: String },
    #[error("the server does not have {file}, which its metadata promises")]
    Missing { file: String },
    #[error(
        "{file} is not here, and this is done without the network; refresh while the registry can be reached"
    )]
    NotHere { file: String },
    #[error("no target found in {limit} roles; the delegations are deeper than this client follows")]
    TooManyRoles { limit: usize },
    #[error("target '{}' is not in the repository's metadata, or not from a role that may provide it", .path.escape_debug())]
    NoSuchTarget { path: String },
    #[error("director and image repository disagree about '{}': {problem}", .path.escape_debug())]
    Disagreement { path: String, problem: String },
}

impl Refusal {
    /// A short, stable name of the variant, for scripts and counters.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Format { .. } => "format",
            Self::Signatures { .. } => "signatures",
            Self::Rollback { .. } => "rollback",
            Self::Version { .. } => "mix_and_match",
            Self::Vanished { .. } => "vanished_role",
            Self::Expired { .. } => "expired",
            Self::TooLong { .. } => "endless_data",
            Self::Length { .. } => "length",
            Self::Digest { .. } => "digest",
            Self::NoKnownDigest { .. } => "no_known_digest",
            Self::NotInSnapshot { .. } => "not_in_snapshot",
            Self::Missing { .. } => "missing",
            Self::NotHere { .. } => "not_here",
            Self::TooManyRoles { .. } => "too_many_roles",
            Self::NoSuchTarget { .. } => "no_such_target",
            Self::Disagreement { .. } => "disagreement",
        }
    }
}

/// Why one signature does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("key {0} may not sign it")]
    NotOfRole(KeyId),
    #[error("key {0} is not in the metadata that names the role's keys")]
    NoSuchKey(KeyId),
    #[error("key {0} is not what its id says")]
    WrongId(KeyId),
    #[error("key {0} has a type or scheme that is not known here, or is malformed")]
    UnknownType(KeyId),
    #[error("the signature of key {0} does not match")]
    BadSignature(KeyId),
    #[error("key {0} is another name of a key that is counted already")]
    SameKey(KeyId),
}

fn shown(rejected: &[Rejection]) -> String {
    const MOST: usize = 8;
    if rejected.is_empty() {
        return String::new();
    }
    let mut list: Vec<String> = rejected.iter().take(MOST).map(ToString::to_string).collect();
    if rejected.len() > MOST {
        list.push(format!("{} more", rejected.len() - MOST));
    }
    format!(" ({})", list.join("; "))
}
