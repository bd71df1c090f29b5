//! What a latched topic (transient-local QoS: /tf_static, /robot_description) has said to whoever comes late.
//!
//! A publisher keeps as many messages as its depth says; but a topic has several publishers, whom a bag does not tell apart, and
//! those of /tf_static keep one each. So the last [`LATCHED_MESSAGES`] different messages count, whoever said them: enough for
//! every static transform of a cell, and no more of a topic that says something else every 20 ms.

use std::collections::{VecDeque, vec_deque};

use bytes::Bytes;

use crate::write::Stamp;

/// Different messages that are kept of a latched topic.
pub const LATCHED_MESSAGES: usize = 64;

/// The last different messages of one topic, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Latched(VecDeque<(Stamp, Bytes)>);

impl Latched {
    /// A message that was said before is moved to the end.
    pub fn push(&mut self, stamp: Stamp, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        self.0.retain(|(_, kept)| *kept != bytes);
        self.0.push_back((stamp, bytes));
        if self.0.len() > LATCHED_MESSAGES {
            self.0.pop_front();
        }
    }

    pub fn iter(&self) -> vec_deque::Iter<'_, (Stamp, Bytes)> {
        self.0.iter()
    }
}

impl IntoIterator for Latched {
    type Item = (Stamp, Bytes);
    type IntoIter = vec_deque::IntoIter<(Stamp, Bytes)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Latched {
    type Item = &'a (Stamp, Bytes);
    type IntoIter = vec_deque::Iter<'a, (Stamp, Bytes)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
