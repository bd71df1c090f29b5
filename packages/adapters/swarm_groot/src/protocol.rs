//! Requests and replies, as values: BehaviorTree.CPP's `groot2_protocol.h`, protocol id 2.
//!
//! | frame | request | reply |
//! |---|---|---|
//! | 0 | u8 protocol, u8 type, u32 id | the same 6 bytes, then 16 bytes that name the tree |
//! | 1 | argument, where the type has one | payload, where the type has one |
//!
//! Numbers are little-endian. A refusal is two frames, `error` and a sentence.

use swarm_bt::{NodeStatus, Transition};

/// Protocol id.
pub const PROTOCOL: u8 = 2;

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// `T`: the tree as XML.
    FullTree,
    /// `S`: three bytes per node, uid and status.
    Status,
    /// `B`, and the blackboards' names between semicolons: a MessagePack map of maps.
    Blackboards,
    /// `r`, and `start` or `stop`.
    ToggleRecording,
    /// `t`: nine bytes per transition since the last such request, time (6 bytes, us since the recording began), uid, status.
    Transitions,
    /// `D`: the hooks there are, as JSON. There are none.
    DumpHooks,
    /// `A` and `X`: remove or disable all hooks. There are none, so nothing is to be done.
    ForgetHooks,
    /// `I`, `R`, `U`: insert or remove a hook, go on from a breakpoint.
    ChangeHooks,
}

/// The first six bytes of a request; a reply repeats them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub request: Request,
    raw: [u8; 6],
}

/// A request that is not carried out; the text is for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("a request begins with a frame of 6 bytes (protocol, type, id), not of {0}")]
    HeaderLength(usize),
    #[error("protocol {0} is not spoken here; this is protocol {PROTOCOL}")]
    Protocol(u8),
    #[error("request type {0:#04x} is not known")]
    Type(u8),
    #[error("this request has {expected} frames, not {found}")]
    Frames { expected: usize, found: usize },
    #[error(
        "this monitor only shows: hooks, breakpoints and replaced results are refused; nothing was changed"
    )]
    ReadOnly,
    #[error("recording is switched by 'start' or 'stop', not by {0:?}")]
    Recording(String),
    #[error("no tree is loaded yet")]
    NoTree,
}

impl Header {
    /// Reads a request's first frame.
    pub fn decode(frame: &[u8]) -> Result<Self, Refusal> {
        let raw: [u8; 6] = frame.try_into().map_err(|_| Refusal::HeaderLength(frame.len()))?;
        if raw[0] != PROTOCOL {
            return Err(Refusal::Protocol(raw[0]));
        }
        let request = match raw[1] {
            b'T' => Request::FullTree,
            b'S' => Request::Status,
            b'B' => Request::Blackboards,
            b'r' => Request::ToggleRecording,
            b't' => Request::Transitions,
            b'D' => Request::DumpHooks,
            b'A' | b'X' => Request::ForgetHooks,
            b'I' | b'R' | b'U' => Request::ChangeHooks,
            other => return Err(Refusal::Type(other)),
        };
        Ok(Self { request, raw })
    }

    /// A reply's first frame.
    pub fn reply(&self, tree: &[u8; 16]) -> Vec<u8> {
        [&self.raw[..], tree].concat()
    }
}

impl Request {
    /// How many frames such a request has.
    pub fn frames(self) -> usize {
        match self {
            Request::Blackboards | Request::ToggleRecording => 2,
            _ => 1,
        }
    }
}

/// A refusal as frames.
pub fn refuse(refusal: &Refusal) -> Vec<Vec<u8>> {
    vec![b"error".to_vec(), refusal.to_string().into_bytes()]
}

/// The number of a status: IDLE 0, RUNNING 1, SUCCESS 2, FAILURE 3.
pub fn status_number(status: NodeStatus) -> u8 {
    match status {
        NodeStatus::Idle => 0,
        NodeStatus::Running => 1,
        NodeStatus::Success => 2,
        NodeStatus::Failure => 3,
    }
}

/// What is added to the status that a node had when it becomes idle, so that results of this very tick can be seen.
pub const WENT_IDLE: u8 = 10;

/// What a status request shows of a node after a transition.
pub fn status_byte(transition: Transition) -> u8 {
    match transition.new {
        NodeStatus::Idle => WENT_IDLE + status_number(transition.previous),
        other => status_number(other),
    }
}
