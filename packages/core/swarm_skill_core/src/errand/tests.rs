//! Every order of events between a role and a server, explored until nothing new is found.

use std::collections::HashSet;

use super::*;

/// A goal as the server has it. What travels is in the lists of [`World`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Server {
    Idle,
    Runs,
    /// Has agreed to cancel, and brakes.
    Cancels,
    Stands,
    /// Its process has ended, whatever the device does.
    Gone,
}

/// What is on its way to the role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Message {
    Accepted,
    Refused,
    CancelRefused,
    Ended,
    Lost,
}

#[derive(Clone, Debug)]
struct World {
    errands: Errands,
    server: Server,
    /// A goal, and cancellations, on their way to the server.
    goal: bool,
    cancels: u8,
    withdrawn: bool,
    /// In any order, each at most once: what the middleware promises.
    to_role: Vec<Message>,
    wanted: bool,
    now: Time,
}

impl World {
    fn begun() -> Self {
        let mut errands = Errands::new();
        errands.begin(PeripheralKind::Action, "screwdriver", Value::Null);
        let mut world = Self {
            errands,
            server: Server::Idle,
            goal: false,
            cancels: 0,
            withdrawn: false,
            to_role: Vec::new(),
            wanted: true,
            now: Time::ZERO,
        };
        world.send();
        world
    }

    /// Takes the orders over, and holds what is promised about them.
    fn send(&mut self) {
        let accepted = self.errands.look(1).is_some_and(|errand| errand.accepted);
        for order in self.errands.orders.clone() {
            match order {
                Order::Begin { errand: 1, .. } => self.goal = true,
                // Whether it came in time is open: see `next`.
                Order::Withdraw { errand: 1 } => {
                    assert!(!accepted && !self.wanted, "an errand that is wanted is withdrawn: {self:?}");
                    self.withdrawn = true;
                }
                Order::Cancel { errand: 1 } => {
                    assert!(accepted, "a cancellation before the goal was accepted: {self:?}");
                    assert!(!self.wanted, "a goal that is wanted is cancelled: {self:?}");
                    self.cancels = (self.cancels + 1).min(2);
                }
                other => panic!("{other:?}"),
            }
        }
        self.errands.orders.clear();
    }

    fn tick(&mut self, words: &[Word], pass: Duration) {
        self.now = self.now + pass;
        self.errands.tick(words, self.now);
        self.send();
    }

    /// What may happen next.
    fn next(&self) -> Vec<Self> {
        let mut next = Vec::new();
        let mut may = |change: &dyn Fn(&mut Self)| {
            let mut world = self.clone();
            change(&mut world);
            next.push(world);
        };
        may(&|world| world.tick(&[], CANCEL_AGAIN));
        if self.wanted {
            may(&|world| {
                world.wanted = false;
                world.errands.stop(1);
                world.send();
            });
        }
        for at in 0..self.to_role.len() {
            may(&|world| {
                let news = match world.to_role.remove(at) {
                    Message::Accepted => News::Accepted,
                    Message::Refused => News::Ended(End::Refused("busy".into())),
                    Message::CancelRefused => News::CancelRefused("no".into()),
                    Message::Ended => News::Ended(End::Canceled),
                    Message::Lost => News::Ended(End::Unknown("gone".into())),
                };
                world.tick(&[Word { errand: 1, news }], Duration::from_millis(10));
            });
        }
        let say = |world: &mut Self, message| {
            if !world.to_role.contains(&message) {
                world.to_role.push(message);
                world.to_role.sort_by_key(|message| *message as u8);
            }
        };
        if self.goal && self.server == Server::Idle {
            may(&|world| {
                (world.goal, world.server) = (false, Server::Runs);
                say(world, Message::Accepted);
            });
            may(&|world| {
                (world.goal, world.server) = (false, Server::Stands);
                say(world, Message::Refused);
            });
        }
        // It had not been sent.
        if self.goal && self.withdrawn {
            may(&|world| {
                (world.goal, world.server) = (false, Server::Stands);
                say(world, Message::Refused);
            });
        }
        if self.cancels > 0 && self.server != Server::Gone {
            may(&|world| {
                world.cancels -= 1;
                if world.server == Server::Runs {
                    world.server = Server::Cancels;
                }
            });
            may(&|world| {
                world.cancels -= 1;
                say(world, Message::CancelRefused);
            });
            // Lost on the way.
            may(&|world| world.cancels -= 1);
        }
        if matches!(self.server, Server::Runs | Server::Cancels) {
            may(&|world| {
                world.server = Server::Stands;
                say(world, Message::Ended);
            });
            may(&|world| {
                world.server = Server::Gone;
                say(world, Message::Lost);
            });
        }
        next
    }

    fn key(&self) -> String {
        let errand = self.errands.look(1).unwrap();
        let age = match errand.stop {
            Stop::Told(last) => self.now.since(last).0.min(CANCEL_AGAIN.0),
            Stop::No | Stop::Wanted => 0,
        };
        let (stop, end) =
            (std::mem::discriminant(&errand.stop), errand.end.as_ref().map(std::mem::discriminant));
        format!(
            "{:?} {} {} {} {:?} {} {} {:?} {end:?} {stop:?} {age}",
            self.server,
            self.withdrawn,
            self.goal,
            self.cancels,
            self.to_role,
            self.wanted,
            errand.accepted,
            errand.refused
        )
    }
}

/// 1. A cancellation goes out only for an accepted goal that is not wanted any more (asserted on the way).
/// 2. The role believes in an end only if the device stands.
/// 3. Wherever the role has asked for a stop and the server lives, there is a way to an end; and in every state with an accepted goal
///    that is not wanted, time alone brings the next cancellation.
#[test]
fn no_order_of_events_makes_a_role_believe_in_a_stop_that_is_none_or_forget_one() {
    let mut seen = HashSet::new();
    let mut left = vec![World::begun()];
    let mut ends = 0;
    while let Some(world) = left.pop() {
        if !seen.insert(world.key()) {
            continue;
        }
        let errand = world.errands.look(1).unwrap();
        if errand.is_over() {
            ends += 1;
            assert_eq!(world.server, Server::Stands, "{world:?}");
        }
        if !world.wanted && errand.accepted && !errand.is_over() {
            let mut later = world.clone();
            later.tick(&[], CANCEL_AGAIN);
            assert!(later.cancels > 0, "nobody cancels any more: {world:?}");
        }
        left.extend(world.next());
    }
    assert!(seen.len() > 100 && ends > 10, "{} states, {ends} with an end", seen.len());
}

#[test]
fn a_goal_that_is_not_wanted_before_it_is_accepted_is_cancelled_when_it_is() {
    let mut errands = Errands::new();
    let errand = errands.begin(PeripheralKind::Action, "screwdriver", Value::Null);
    errands.tick(&[], Time::from_millis(10));
    errands.stop(errand);
    errands.stop(errand);
    assert_eq!(errands.orders(), [Order::Withdraw { errand }]);
    errands.tick(&[Word { errand, news: News::Accepted }], Time::from_millis(20));
    assert_eq!(errands.orders(), [Order::Cancel { errand }]);
    errands.tick(&[], Time::from_millis(30));
    assert_eq!(errands.orders(), []);
}

#[test]
fn a_service_is_waited_for_and_never_cancelled() {
    let mut errands = Errands::new();
    let errand = errands.begin(PeripheralKind::Service, "light", Value::Null);
    errands.stop(errand);
    for ms in 1..100 {
        errands.tick(&[], Time::from_millis(ms * 100));
        assert_eq!(errands.orders(), []);
    }
    let answer = News::Ended(End::Succeeded(Value::Null.into()));
    errands.tick(&[Word { errand, news: answer }], Time::from_millis(20_000));
    assert!(errands.look(errand).unwrap().is_over());
}

#[test]
fn content_is_a_json_object_with_or_without_the_prefix() {
    let content = serde_json::json!({"width": 0.04});
    assert_eq!(parse_content(r#"json:{"width": 0.04}"#).unwrap(), content);
    assert_eq!(parse_content(r#" {"width": 0.04} "#).unwrap(), content);
    assert_eq!(parse_content("").unwrap(), serde_json::json!({}));
    assert!(parse_content("json:{width: 0.04}").unwrap_err().contains("is no JSON"));
    assert!(parse_content("[1]").unwrap_err().contains("no JSON object"));
}
