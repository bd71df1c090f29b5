//! How role messages travel: the [`Link`] trait, and [`LocalLink`] for roles in one process.
//!
//! A link may lose, delay, duplicate and reorder messages; the barrier protocol of [`crate::Cooperation`] tolerates all of it.
//! It must not alter a message, hand a role its own messages, or block. [`contract`] checks what every link promises.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use swarm_base::Role;

use crate::message::RoleMessage;

/// One role's end of the connection to the other roles of a run.
pub trait Link: Send + std::fmt::Debug {
    /// Sends a message to every other role. A message that cannot be sent is lost and counted.
    fn send(&mut self, message: &RoleMessage);

    /// The next message from another role, if one has arrived. Never blocks.
    fn receive(&mut self) -> Option<RoleMessage>;

    /// Messages that this end knows to have lost since it was made (full queue, failed send).
    fn lost(&self) -> u64;
}

/// Messages that wait at one end of a [`LocalLink`] at most; the oldest is dropped and counted when more arrive.
pub const LOCAL_QUEUE: usize = 256;

/// A link between roles in one process: no loss below [`LOCAL_QUEUE`] waiting messages, no delay, in order.
#[derive(Debug)]
pub struct LocalLink {
    /// Which of the mailboxes is this end's.
    index: usize,
    mailboxes: Arc<Vec<Mutex<Queue>>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<RoleMessage>,
    lost: u64,
}

impl LocalLink {
    /// Connected ends for `roles`, in that order. A role may stand there twice: one end is that of a robot that stands by for it.
    pub fn connect(roles: &[Role]) -> Vec<Self> {
        let mailboxes = Arc::new(roles.iter().map(|_| Mutex::default()).collect::<Vec<_>>());
        (0..roles.len()).map(|index| Self { index, mailboxes: Arc::clone(&mailboxes) }).collect()
    }

    fn own(&self) -> MutexGuard<'_, Queue> {
        lock(&self.mailboxes[self.index])
    }
}

/// A poisoned lock only means that another thread panicked; the queue itself is whole between statements.
fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link for LocalLink {
    fn send(&mut self, message: &RoleMessage) {
        let others = self.mailboxes.iter().enumerate().filter(|(index, _)| *index != self.index);
        for (_, mailbox) in others {
            let mut queue = lock(mailbox);
            if queue.waiting.len() == LOCAL_QUEUE {
                queue.waiting.pop_front();
                queue.lost += 1;
            }
            queue.waiting.push_back(message.clone());
        }
    }

    fn receive(&mut self) -> Option<RoleMessage> {
        self.own().waiting.pop_front()
    }

    fn lost(&self) -> u64 {
        self.own().lost
    }
}

/// What every [`Link`] promises, as checks that a test of any implementation runs.
pub mod contract {
    use super::{Arc, Link, Role, RoleMessage};
    use crate::message::{Report, Standing};

    /// Runs all checks. `connect` makes connected ends for the roles given, in that order; `settle` waits (or lets time pass)
    /// until what has been sent may be expected to have arrived.
    ///
    /// # Panics
    /// With the broken promise.
    pub fn check<L: Link>(mut connect: impl FnMut(&[Role]) -> Vec<L>, mut settle: impl FnMut()) {
        let mut ends = connect(&Role::ALL);
        assert_eq!(ends.len(), Role::ALL.len(), "one end per role");
        settle();

        for end in &mut ends {
            assert_eq!(end.receive(), None, "a new link is empty, and an empty link does not block");
        }

        let sent = RoleMessage {
            run: "run-ä\"7".into(),
            from: Role::Leader,
            epoch: u64::MAX,
            sequence: 1,
            report: Arc::new(Report {
                ready: 2,
                entered: 1,
                standing: Standing::Aborted("über\nGrenze".into()),
                hold: Some("wait".into()),
                contact_force_n: 12.5,
                ..Report::default()
            }),
        };
        ends[0].send(&sent);
        settle();
        assert_eq!(ends[0].receive(), None, "a role does not hear itself");
        for end in &mut ends[1..] {
            let heard = end.receive();
            assert_eq!(heard.as_ref(), Some(&sent), "a message arrives at every other role, unaltered");
            while let Some(again) = end.receive() {
                assert_eq!(again, sent, "only duplicates of what was sent may follow");
            }
        }

        // What is flooded may be lost, but then the loss is counted, and what does arrive was sent.
        let flood = 1_000;
        for sequence in 2..2 + flood {
            ends[1].send(&RoleMessage { from: Role::Follower, sequence, ..sent.clone() });
        }
        settle();
        let mut seen = std::collections::BTreeSet::new();
        while let Some(message) = ends[2].receive() {
            assert_eq!(
                message,
                RoleMessage { from: Role::Follower, sequence: message.sequence, ..sent.clone() }
            );
            seen.insert(message.sequence);
        }
        assert!(!seen.is_empty(), "a flood does not silence a link");
        let missing = flood - seen.len() as u64;
        let counted = ends[1].lost() + ends[2].lost();
        assert!(missing == 0 || counted > 0, "{missing} messages of a flood were lost and none was counted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_link_keeps_the_contract() {
        contract::check(LocalLink::connect, || {});
    }

    #[test]
    fn a_full_mailbox_drops_the_oldest_and_counts_it() {
        let mut ends = LocalLink::connect(&[Role::Leader, Role::Follower]);
        for sequence in 0..=LOCAL_QUEUE as u64 {
            let message = RoleMessage {
                run: "r".into(),
                from: Role::Leader,
                epoch: 1,
                sequence,
                report: Arc::default(),
            };
            ends[0].send(&message);
        }
        assert_eq!(ends[1].lost(), 1);
        assert_eq!(ends[1].receive().unwrap().sequence, 1);
    }
}
