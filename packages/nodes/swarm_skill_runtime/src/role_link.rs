//! The link between roles that run on different hosts: reports over a topic.
//!
//! Best effort, keeping the last ten: a report says everything, and another one follows within 20 ms. A *reliable* stream would hold every
//! newer report back until a lost one has been repeated, and after a cut it would first deliver what nobody asks about any more.
//! What gets lost is counted, by gaps in the numbers of each sender: of each executor of a role, in each run.
//!
//! Flow: the subscription's handler gives every message to the [`Inbox`]; the role's thread takes them out through [`RoleLink`].

use std::collections::VecDeque;
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, PoisonError};

use r2r::swarm_msgs::msg::RoleMessage as Wire;
use swarm_base::Role;
use swarm_ros::CountedQueue;
use swarm_ros::queue::ArrivalCounter;
use swarm_skill_core::{Link, Report, RoleMessage};

/// Topic of all roles of all runs.
pub const TOPIC: &str = "/skill_runtime/link";

/// Reports that wait for a role at most; it takes them out every 10 ms.
const WAITING: usize = 256;

/// Where messages of the topic go in.
#[derive(Clone, Debug)]
pub struct Inbox {
    me: Role,
    queue: CountedQueue<RoleMessage>,
    counted: Arc<Mutex<Counted>>,
}

/// Senders whose numbers are followed at most: those of a run, and some that have gone or have no business here.
const SENDERS: usize = 16;

#[derive(Debug, Default)]
struct Counted {
    /// The one that was heard first comes first.
    senders: VecDeque<(Sender, ArrivalCounter)>,
    /// Of senders that are not followed any more.
    missing: u64,
    unreadable: u64,
}

/// Whose numbers go up by one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sender {
    run: Arc<str>,
    role: Role,
    instance: u64,
}

impl Counted {
    /// Numbers begin at 1: of a sender that is heard for the first time everything before has been lost, or was sent before this end was
    /// there to hear it.
    fn arrived(&mut self, from: Sender, sequence: u64) {
        if let Some((_, known)) = self.senders.iter_mut().find(|(sender, _)| *sender == from) {
            known.arrived(Some(sequence));
            return;
        }
        if self.senders.len() == SENDERS
            && let Some((_, gone)) = self.senders.pop_front()
        {
            self.missing += gone.counts.missing;
        }
        let mut counter = ArrivalCounter::default();
        counter.counts.missing += sequence.saturating_sub(1);
        counter.arrived(Some(sequence));
        self.senders.push_back((from, counter));
    }

    fn lost(&self) -> u64 {
        let missing: u64 = self.senders.iter().map(|(_, sender)| sender.counts.missing).sum();
        self.missing + missing + self.unreadable
    }
}

impl Inbox {
    pub fn new(me: Role) -> Self {
        Self { me, queue: CountedQueue::new(WAITING), counted: Arc::default() }
    }

    /// A message of the topic has come. One that cannot be read counts as lost.
    pub fn hear(&self, wire: &Wire) {
        let Ok(from) = Role::from_str(&wire.from_role) else {
            self.counted().unreadable += 1;
            return;
        };
        let for_me = wire.to_role.is_empty() || wire.to_role == self.me.as_str();
        if from == self.me || !for_me {
            return;
        }
        let Ok(report) = Report::decode(&wire.payload, from) else {
            self.counted().unreadable += 1;
            return;
        };
        let (run, epoch, sequence) = (Arc::<str>::from(wire.run.as_str()), wire.epoch, wire.sequence);
        let sender = Sender { run: Arc::clone(&run), role: from, instance: report.instance };
        self.counted().arrived(sender, sequence);
        self.queue.push(RoleMessage { run, from, epoch, sequence, report: Arc::new(report) }, None);
    }

    fn lost(&self) -> u64 {
        let lost = self.counted().lost();
        lost + self.queue.counts().dropped
    }

    fn counted(&self) -> std::sync::MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One role's end.
#[derive(Debug)]
pub struct RoleLink {
    publisher: r2r::Publisher<Wire>,
    inbox: Inbox,
    unsent: u64,
}

impl RoleLink {
    /// `publisher` is one of [`TOPIC`]; a subscription to it gives everything to `inbox`.
    pub fn new(publisher: r2r::Publisher<Wire>, inbox: Inbox) -> Self {
        Self { publisher, inbox, unsent: 0 }
    }
}

impl RoleLink {
    /// Whether so many other ends listen. (This end's own subscription is one, too.)
    pub fn is_heard_by(&self, others: usize) -> bool {
        self.publisher.get_inter_process_subscription_count().is_ok_and(|count| count > others)
    }
}

impl Link for RoleLink {
    fn send(&mut self, message: &RoleMessage) {
        let wire = Wire {
            run: message.run.to_string(),
            from_role: message.from.to_string(),
            to_role: String::new(),
            epoch: message.epoch,
            sequence: message.sequence,
            payload: message.report.encode(),
        };
        self.unsent += u64::from(self.publisher.publish(&wire).is_err());
    }

    fn receive(&mut self) -> Option<RoleMessage> {
        self.inbox.queue.try_pop()
    }

    fn lost(&self) -> u64 {
        self.inbox.lost() + self.unsent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(inbox: &Inbox, run: &str, instance: u64, sequence: u64) {
        let payload = Report { instance, ..Report::default() }.encode();
        let (run, from_role) = (run.to_owned(), Role::Leader.to_string());
        inbox.hear(&Wire { run, from_role, sequence, payload, ..Wire::default() });
    }

    #[test]
    fn losses_are_counted_for_each_executor_of_a_role_by_itself() {
        let inbox = Inbox::new(Role::Follower);
        for sequence in 1..=40 {
            heard(&inbox, "r1", 1, sequence);
        }
        // A second player of the role, and the role in the next run: both begin at 1.
        heard(&inbox, "r1", 2, 1);
        heard(&inbox, "r2", 1, 1);
        heard(&inbox, "r1", 1, 41);
        assert_eq!(inbox.lost(), 0);
        heard(&inbox, "r1", 2, 4);
        assert_eq!(inbox.lost(), 2, "2 and 3 of the second one");
    }

    #[test]
    fn what_was_lost_of_a_sender_that_is_not_followed_any_more_stays_counted() {
        let inbox = Inbox::new(Role::Follower);
        heard(&inbox, "r1", 0, 3);
        for instance in 1..=SENDERS as u64 {
            heard(&inbox, "r1", instance, 1);
        }
        assert_eq!(inbox.lost(), 2);
        assert_eq!(inbox.counted().senders.len(), SENDERS);
    }
}
