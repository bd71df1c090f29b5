//! The link between roles that run on different hosts: reports over a topic.
//!
//! Best effort, keeping the last ten: a report says everything, and another one follows within 20 ms. A *reliable* stream would hold every
//! newer report back until a lost one has been repeated, and after a cut it would first deliver what nobody asks about any more.
//! What gets lost is counted, by gaps in the numbers of each sender.
//!
//! Flow: the subscription's handler gives every message to the [`Inbox`]; the role's thread takes them out through [`RoleLink`].

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

#[derive(Debug, Default)]
struct Counted {
    senders: [ArrivalCounter; Role::ALL.len()],
    unreadable: u64,
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
        self.counted().senders[from as usize].arrived(Some(wire.sequence));
        let (run, epoch, sequence) = (wire.run.as_str().into(), wire.epoch, wire.sequence);
        self.queue.push(RoleMessage { run, from, epoch, sequence, report: Arc::new(report) }, None);
    }

    fn lost(&self) -> u64 {
        let counted = self.counted();
        let missing: u64 = counted.senders.iter().map(|sender| sender.counts.missing).sum();
        missing + counted.unreadable + self.queue.counts().dropped
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
