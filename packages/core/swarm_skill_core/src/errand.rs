//! Errands: what a role asks of the cell's peripherals, and how it takes back what it asked.
//!
//! An *errand* is one goal of an action or one call of a service. The role says [`Order`]s, the shell that carries them out says
//! [`Word`]s about them; both are values, so that a run with errands can be replayed, shadowed and simulated like any other.
//!
//! A goal can be stopped only once it has been accepted, a stop is a request that may be refused or lost, and only the goal's end
//! says that the device does nothing any more. So an errand that is to stop is in one of these states, and what leaves it:
//!
//! | state | leaves it |
//! |---|---|
//! | asked, not wanted any more | not sent yet, or refused: ended. Accepted: the cancellation goes out at once |
//! | cancelling | its end, whichever. Without one the cancellation goes out again every [`CANCEL_AGAIN`] |
//! | ended | nothing |
//!
//! A service has no cancellation: its answer is waited for. Whoever waits sets the limit (`_halt_timeout_ms`), and then *alarms*: a
//! device that nobody can stop any more is the safety gate's affair. [`End::Unknown`] is not an end: the device may go on.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use swarm_base::{Duration, Time};
use swarm_cell::{PeripheralConfig, PeripheralKind};

/// Time after which a cancellation without effect is sent again.
pub const CANCEL_AGAIN: Duration = Duration::from_millis(500);

/// Time for a peripheral to stop where the tree says nothing else (`_halt_timeout_ms`).
pub const STOP_TIMEOUT: Duration = Duration::from_millis(2_000);

/// The peripherals of a cell, for who checks or carries out what trees ask of them.
pub trait Peripherals: fmt::Debug {
    /// How it is called; `None` if the cell's declaration does not name it.
    fn kind(&self, name: &str) -> Option<PeripheralKind>;

    /// Whether this may be sent to it; the error names the field.
    fn check(&self, name: &str, content: &Value) -> Result<(), String>;
}

/// As declared; nothing is known about the types.
impl Peripherals for Vec<PeripheralConfig> {
    fn kind(&self, name: &str) -> Option<PeripheralKind> {
        self.iter().find(|one| one.name == name).map(|one| one.kind)
    }

    fn check(&self, _name: &str, _content: &Value) -> Result<(), String> {
        Ok(())
    }
}

/// What a role wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Send a goal, or call a service. `errand` is unique in the role's run.
    Begin { errand: u32, peripheral: Arc<str>, content: Arc<Value> },
    /// It is not wanted any more: if it has not been sent yet it is not sent, which is a refusal. Else nothing.
    Withdraw { errand: u32 },
    /// Ask for the goal to be cancelled. Comes only after it was accepted, and maybe again.
    Cancel { errand: u32 },
    /// Publish a message.
    Publish { peripheral: Arc<str>, content: Arc<Value> },
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin { peripheral, content, .. } => write!(f, "asks {peripheral} for {content}"),
            Self::Withdraw { errand } => write!(f, "does not want its errand {errand} any more"),
            Self::Cancel { errand } => write!(f, "cancels its errand {errand}"),
            Self::Publish { peripheral, content } => write!(f, "says {content} to {peripheral}"),
        }
    }
}

/// What is heard of an errand.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    pub errand: u32,
    pub news: News,
}

#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// A goal was accepted.
    Accepted,
    /// A cancellation was answered with no, in words. The goal goes on, or its end is on the way.
    CancelRefused(String),
    Ended(End),
}

/// How an errand ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// It was not begun: refused, or nobody is there.
    Refused(String),
    /// With the result of the action or the answer of the service.
    Succeeded(Arc<Value>),
    Aborted(Arc<Value>),
    Canceled,
    /// Nobody knows, in words: its server is gone, or its result is lost.
    Unknown(String),
}

/// The latest message of a topic.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicSample {
    pub peripheral: Arc<str>,
    pub content: Arc<Value>,
    /// When it arrived.
    pub at: Time,
}

/// A role's errands in one run.
#[derive(Clone, Debug)]
pub(crate) struct Errands {
    next: u32,
    open: BTreeMap<u32, Errand>,
    orders: Vec<Order>,
    now: Time,
    alarm: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Errand {
    kind: PeripheralKind,
    accepted: bool,
    end: Option<End>,
    stop: Stop,
    /// Why the last cancellation was refused.
    pub(crate) refused: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    No,
    /// As soon as it is accepted.
    Wanted,
    Told(Time),
}

impl Errand {
    fn asked(kind: PeripheralKind) -> Self {
        Self { kind, accepted: false, end: None, stop: Stop::No, refused: None }
    }

    pub(crate) fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Takes in what was heard; answers whether a cancellation is due.
    fn hear(&mut self, news: &News, now: Time) -> bool {
        match news {
            News::Accepted => self.accepted = true,
            News::CancelRefused(reason) => self.refused = Some(reason.clone()),
            // The first end that is known stands.
            News::Ended(end) if !self.is_over() => self.end = Some(end.clone()),
            News::Ended(_) => {}
        }
        self.is_cancel_due(now)
    }

    /// It is not wanted any more; answers whether a cancellation is due.
    fn stop(&mut self, now: Time) -> bool {
        if self.stop == Stop::No {
            self.stop = Stop::Wanted;
        }
        self.is_cancel_due(now)
    }

    /// Whether a cancellation is to go out now, which is noted.
    fn is_cancel_due(&mut self, now: Time) -> bool {
        let due = match self.stop {
            Stop::No => false,
            Stop::Wanted => true,
            Stop::Told(last) => now.since(last) >= CANCEL_AGAIN,
        };
        let can = self.kind == PeripheralKind::Action && self.accepted && !self.is_over();
        if due && can {
            self.stop = Stop::Told(now);
        }
        due && can
    }

    /// It is known that nothing is done any more.
    pub(crate) fn is_over(&self) -> bool {
        !matches!(self.end, None | Some(End::Unknown(_)))
    }
}

impl Errands {
    pub(crate) fn new() -> Self {
        Self { next: 1, open: BTreeMap::new(), orders: Vec::new(), now: Time::ZERO, alarm: None }
    }

    /// A tick of the role begins: forgets the last tick's orders, and takes in what was heard since. Words about errands that nobody
    /// waits for are passed over.
    pub(crate) fn tick(&mut self, words: &[Word], now: Time) {
        self.now = now;
        self.orders.clear();
        for word in words {
            let due = self.open.get_mut(&word.errand).is_some_and(|errand| errand.hear(&word.news, now));
            if due {
                self.orders.push(Order::Cancel { errand: word.errand });
            }
        }
        for (&number, errand) in &mut self.open {
            if errand.is_cancel_due(now) {
                self.orders.push(Order::Cancel { errand: number });
            }
        }
    }

    /// What is to be carried out after this tick.
    pub(crate) fn orders(&self) -> &[Order] {
        &self.orders
    }

    pub(crate) fn begin(&mut self, kind: PeripheralKind, peripheral: &str, content: Value) -> u32 {
        let errand = self.next;
        self.next = self.next.wrapping_add(1);
        self.open.insert(errand, Errand::asked(kind));
        self.orders.push(Order::Begin { errand, peripheral: peripheral.into(), content: content.into() });
        errand
    }

    pub(crate) fn publish(&mut self, peripheral: &str, content: Value) {
        self.orders.push(Order::Publish { peripheral: peripheral.into(), content: content.into() });
    }

    /// `None` for one that was closed.
    pub(crate) fn look(&self, errand: u32) -> Option<&Errand> {
        self.open.get(&errand)
    }

    pub(crate) fn stop(&mut self, errand: u32) {
        let Some(open) = self.open.get_mut(&errand) else { return };
        let unanswered = open.stop == Stop::No && !open.accepted && open.end.is_none();
        if open.stop(self.now) {
            self.orders.push(Order::Cancel { errand });
        } else if unanswered {
            self.orders.push(Order::Withdraw { errand });
        }
    }

    /// A device may go on that nobody can stop from here. The first reason stands.
    pub(crate) fn raise_alarm(&mut self, reason: String) {
        self.alarm.get_or_insert(reason);
    }

    pub(crate) fn alarm(&self) -> Option<&str> {
        self.alarm.as_deref()
    }

    /// Nobody waits for it any more.
    pub(crate) fn close(&mut self, errand: u32) {
        self.open.remove(&errand);
    }
}

/// What a tree gives for a goal, a request or a message: JSON. The prefix `json:`, as in BehaviorTree.CPP, keeps an object from being
/// taken for a `{blackboard entry}`. Empty is a message of defaults.
pub fn parse_content(text: &str) -> Result<Value, String> {
    let json = text.trim();
    let json = json.strip_prefix("json:").unwrap_or(json).trim();
    let content = match json {
        "" => Value::Object(serde_json::Map::new()),
        json => serde_json::from_str(json).map_err(|error| format!("'{text}' is no JSON: {error}"))?,
    };
    if content.is_object() {
        return Ok(content);
    }
    Err(format!("'{text}' is no JSON object; write the fields as json:{{\"name\": value}}"))
}

#[cfg(test)]
mod tests;
