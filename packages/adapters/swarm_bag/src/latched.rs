//! What a latched topic (transient-local QoS: /tf_static, /robot_description) has said to whoever comes late.
//!
//! A publisher keeps as many messages as its depth says; but a topic has several publishers, whom a bag does not tell apart, and
//! those of /tf_static keep one each. So the last [`LATCHED_MESSAGES`] different messages count, whoever said them, up to
//! [`LATCHED_BYTES`]: enough for every static transform of a cell, and no more of a topic that says something else every 20 ms, or
//! of one that carries maps.

use std::collections::{VecDeque, vec_deque};

use bytes::Bytes;

use crate::write::Stamp;

/// Different messages that are kept of a latched topic.
pub const LATCHED_MESSAGES: usize = 64;

/// Bytes that are kept of a latched topic; its newest message is kept however large it is.
pub const LATCHED_BYTES: usize = 8 << 20;

/// The last different messages of one topic, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Latched(VecDeque<(Stamp, Bytes)>);

impl Latched {
    /// A message that was said before is moved to the end.
    pub fn push(&mut self, stamp: Stamp, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        self.0.retain(|(_, kept)| *kept != bytes);
        self.0.push_back((stamp, bytes));
        let mut bytes: usize = self.0.iter().map(|(_, kept)| kept.len()).sum();
        while self.0.len() > 1 && (self.0.len() > LATCHED_MESSAGES || bytes > LATCHED_BYTES) {
            bytes -= self.0.pop_front().map_or(0, |(_, oldest)| oldest.len());
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

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(messages: &[usize]) -> Vec<usize> {
        let mut latched = Latched::default();
        for (nth, length) in messages.iter().enumerate() {
            let mut bytes = vec![0; *length];
            bytes[0] = u8::try_from(nth).unwrap();
            latched.push(Stamp::from(0), bytes);
        }
        latched.iter().map(|(_, bytes)| bytes.len()).collect()
    }

    #[test]
    fn the_oldest_go_when_there_are_many_or_they_are_large() {
        assert_eq!(kept(&[4; 70]).len(), LATCHED_MESSAGES);
        let half = LATCHED_BYTES / 2;
        assert_eq!(kept(&[half, half]), [half, half]);
        assert_eq!(kept(&[half, 7, half]), [7, half]);
        assert_eq!(kept(&[half, 2 * LATCHED_BYTES]), [2 * LATCHED_BYTES]);
    }
}
