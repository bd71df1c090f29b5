//! What role executors of one run tell each other.
//!
//! There is one message only, a [`Report`]: the *whole* state of its sender that matters to the others. It is repeated, so a
//! lost one is replaced by the next; a duplicate says nothing new; and of two that overtook each other the older one is
//! recognised by its sequence number and dropped. An acknowledgement is a part of the state like any other: which message of
//! each peer its sender heard last ([`Heard`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use swarm_base::Role;

/// A report with its address, as it travels over a [`Link`](crate::Link).
#[derive(Clone, Debug, PartialEq)]
pub struct RoleMessage {
    /// Trace id of the run.
    pub run: Arc<str>,
    pub from: Role,
    /// Epoch of the run; one of another epoch is refused.
    pub epoch: u64,
    /// +1 per sender and run, starting at 1.
    pub sequence: u64,
    /// Shared by all who hear it: a report is never changed once it is sent.
    pub report: Arc<Report>,
}

/// All that the other roles need to know of one role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Which executor plays the role; another one has another number.
    #[serde(default)]
    pub instance: u64,
    /// Number of phases at whose barrier this role has declared itself ready: `entered` or one more.
    pub ready: u32,
    /// Number of phases that this role has entered. Never goes back.
    pub entered: u32,
    pub standing: Standing,
    /// Why this role's tree wants everybody to stand still, if it does: its own reason, never one that it heard from another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
    /// Norm of the role's compensated wrist force, N.
    pub contact_force_n: f64,
    /// What was heard last of each role, in the order of [`Role::ALL`].
    #[serde(default)]
    pub heard: [Heard; Role::ALL.len()],
    /// Roles that have not been heard for longer than the peer time-out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Role>,
    /// Meetings other than phases (barriers, quorums, hand-overs) by kind and name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gates: BTreeMap<String, Gate>,
    /// Resources that this role asks for or holds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tickets: BTreeMap<String, Ticket>,
    /// Progress of work that roles do in step; infinite progress is written as the largest number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub paces: BTreeMap<String, f64>,
    /// Entries of the blackboard that roles share, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub entries: BTreeMap<String, SharedEntry>,
    /// The re-assignment of a role that this role has agreed to last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vote: Option<Vote>,
    /// The meetings of the role voted for, as it was heard last: its successor counts on from there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inherits: BTreeMap<String, Gate>,
}

/// How far a role is with its run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Its tree is being ticked, or would be if nobody held.
    #[default]
    Active,
    /// Its tree has succeeded; it will not move again.
    Done,
    /// It has given up; nobody may go on.
    Aborted(String),
    /// It takes no part, but could take the role over.
    Standby,
}

/// The newest message of one role that another has accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Heard {
    pub instance: u64,
    /// 0: none yet.
    pub sequence: u64,
}

/// One role's side of a meeting that can be repeated: rounds in which it was ready, and rounds that it has entered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Gate {
    pub ready: u32,
    pub entered: u32,
}

/// A place in the queue for a resource. Lower numbers come first, of equal ones the lower role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ticket {
    pub number: u64,
    /// It is this role's turn, and it has taken it.
    pub held: bool,
}

/// A value on the blackboard that roles share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SharedEntry {
    pub stamp: Stamp,
    pub value: SharedValue,
}

/// When a shared entry was written: of two, the greater one stands. A run's later epoch comes after all earlier ones, so that
/// a role that has been replaced cannot undo what its successor writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    pub epoch: u64,
    /// One more than that of any earlier write that the writer knew of.
    pub sequence: u64,
    pub writer: Role,
}

/// What a shared entry holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SharedValue {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Vector(Vec<f64>),
}

/// A promise: from `epoch` on `instance` plays `role`, and nobody else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Vote {
    pub epoch: u64,
    pub role: Role,
    pub instance: u64,
    /// Number of the phase, a safe point, at whose barrier the role is taken over.
    pub phase: u32,
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
        // A value that JSON cannot write is a number that is not finite; numbers are made finite where they come in.
        serde_json::to_vec(self).expect("a report holds only strings and finite numbers")
    }

    /// Reads a payload. `from` is for the error text.
    pub fn decode(payload: &[u8], from: Role) -> Result<Self, DecodeError> {
        serde_json::from_slice(payload).map_err(|source| DecodeError { from, bytes: payload.len(), source })
    }

    /// The role's side of a meeting; zero if it has never been there.
    pub fn gate(&self, name: &str) -> Gate {
        self.gates.get(name).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report with something in every field.
    pub(crate) fn full() -> Report {
        let stamp = Stamp { epoch: 7, sequence: 3, writer: Role::Follower };
        Report {
            instance: u64::MAX,
            ready: 3,
            entered: 2,
            standing: Standing::Aborted("lost the part".into()),
            hold: Some("misaligned".into()),
            contact_force_n: 1.5,
            heard: [Heard { instance: 1, sequence: 2 }; 3],
            lost: vec![Role::Spotter],
            gates: [("barrier:x".to_owned(), Gate { ready: 2, entered: 1 })].into(),
            tickets: [("bench".to_owned(), Ticket { number: 4, held: true })].into(),
            paces: [("sweep".to_owned(), 0.25)].into(),
            entries: [(
                "cell_pose".to_owned(),
                SharedEntry { stamp, value: SharedValue::Vector(vec![1.0, 2.0]) },
            )]
            .into(),
            vote: Some(Vote { epoch: 8, role: Role::Leader, instance: 9, phase: 3 }),
            inherits: [("barrier:x".to_owned(), Gate { ready: 2, entered: 2 })].into(),
        }
    }

    #[test]
    fn a_report_is_read_back_from_its_bytes() {
        assert_eq!(Report::decode(&full().encode(), Role::Leader).unwrap(), full());
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
