//! What role executors of one run tell each other.
//!
//! There is one message only, a [`Report`]: the *whole* state of its sender that matters to the others. It is repeated, so a
//! lost one is replaced by the next; a duplicate says nothing new; and of two that overtook each other the older one is
//! recognised by its sequence number and dropped. Nothing is ever acknowledged.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use swarm_base::Role;

/// A report with its address, as it travels over a [`Link`](crate::Link).
#[derive(Clone, Debug, PartialEq)]
pub struct RoleMessage {
    /// Trace id of the run.
    pub run: Arc<str>,
    pub from: Role,
    /// Run epoch; one of another epoch is dropped.
    pub epoch: u64,
    /// +1 per sender and run, starting at 1.
    pub sequence: u64,
    /// Shared by all who hear it: a report is never changed once it is sent.
    pub report: Arc<Report>,
}

/// All that the other roles need to know of one role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Number of phases at whose barrier this role has declared itself ready. Never goes back.
    pub ready: u32,
    /// Number of phases that this role has entered, `ready - 1` or `ready`. Never goes back.
    pub entered: u32,
    pub standing: Standing,
    /// Why this role wants everybody to stand still, if it does: its own reason, never one that it heard from another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
    /// Norm of the role's compensated wrist force, N.
    pub contact_force_n: f64,
}

/// How far a role is with its run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Its tree is being ticked, or would be if nobody held.
    Active,
    /// Its tree has succeeded; it will not move again.
    Done,
    /// It has given up; nobody may go on.
    Aborted(String),
}

/// Bytes that are no report.
#[derive(Debug, thiserror::Error)]
#[error("cannot read a role message of {bytes} bytes from {from}: {source}")]
pub struct DecodeError {
    pub from: Role,
    pub bytes: usize,
    #[source]
    pub source: serde_json::Error,
}

impl Report {
    /// The report as the payload of a transported message (JSON, UTF-8).
    pub fn encode(&self) -> Vec<u8> {
        // A value that JSON cannot write is a number that is not finite; the force is made finite where it is measured.
        serde_json::to_vec(self).expect("a report holds only strings and finite numbers")
    }

    /// Reads a payload. `from` is for the error text.
    pub fn decode(payload: &[u8], from: Role) -> Result<Self, DecodeError> {
        serde_json::from_slice(payload).map_err(|source| DecodeError { from, bytes: payload.len(), source })
    }
}

impl Default for Report {
    fn default() -> Self {
        Self { ready: 0, entered: 0, standing: Standing::Active, hold: None, contact_force_n: 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_back_from_its_bytes() {
        let report = Report {
            ready: 3,
            entered: 2,
            standing: Standing::Aborted("lost the part".into()),
            hold: Some("misaligned".into()),
            contact_force_n: 1.5,
        };
        assert_eq!(Report::decode(&report.encode(), Role::Leader).unwrap(), report);
    }

    #[test]
    fn bytes_that_are_no_report_are_refused_with_their_sender() {
        let error = Report::decode(b"{\"ready\": -1}", Role::Spotter).unwrap_err();
        assert!(
            error.to_string().starts_with("cannot read a role message of 13 bytes from spotter: "),
            "{error}"
        );
    }
}
