//! The cell's peripherals over ROS 2: carries out the orders of runs, and hears what becomes of them.
//!
//! - Vocabulary: a *channel* is the client, publisher or subscription of one peripheral; an *errand under way* is one goal or call.
//! - Flow: 1. [`RosPeripherals::connect`] with the cell's declaration; the types are checked. 2. The control thread calls
//!   [`RosPeripherals::hear`] before every turn, and 3. [`RosPeripherals::carry_out`] after it.
//!
//! Nothing here waits: what the middleware will answer is a future that the spin thread fulfils, looked at once a turn.
//!
//! A server that is not there within [`SERVER_TIMEOUT`] is a refusal, and nothing has been sent. A server that is gone later, or whose
//! result is lost although its status says that it has ended, is an end that nobody knows ([`End::Unknown`]).
//!
//! A runtime that dies cancels nothing: what it had begun goes on for as long as the server lets it, and the runtime that is started
//! again knows nothing of it, since an action cannot be asked for the goals of one client. So a server that moves something has to see for
//! itself that nobody wants it any more, as an arm's driver does by the permit.

mod errand;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use r2r::{ActionClientUntyped, ClientUntyped, PublisherUntyped};
use serde_json::Value;
use swarm_base::Role;
use swarm_cell::{PeripheralConfig, PeripheralKind};
use swarm_ros::interface::Interface;
use swarm_ros::{NodeShell, qos};
use swarm_skill_core::{End, News, Order, Peripherals, Word};

use errand::UnderWay;

/// How long a server may take to be found, before its first message and when it is looked for again.
const SERVER_TIMEOUT: Duration = Duration::from_secs(1);

/// All peripherals of the cell.
pub struct RosPeripherals {
    declared: Declared,
    channels: BTreeMap<String, Channel>,
    under_way: Vec<Open>,
}

/// An errand of a run, by the run's number.
struct Open {
    run: u64,
    role: Role,
    number: u32,
    errand: UnderWay,
}

/// What is heard about an errand of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    pub run: u64,
    pub role: Role,
    pub word: Word,
}

enum Channel {
    Action(ActionClientUntyped, String),
    Service(Arc<ClientUntyped>, String),
    Publish(PublisherUntyped),
    /// Messages go to the world by themselves.
    Subscribe,
}

/// What the cell declares, with the types of it: for checking a skill.
#[derive(Clone, Debug, Default)]
pub struct Declared(BTreeMap<String, (PeripheralKind, Interface)>);

impl Declared {
    /// Reads the types of all peripherals as they are installed.
    pub fn load(peripherals: &[PeripheralConfig]) -> anyhow::Result<Self> {
        let load = |one: &PeripheralConfig| {
            let interface = Interface::installed(&one.message_type)
                .with_context(|| format!("the type of peripheral '{}'", one.name))?;
            Ok((one.name.clone(), (one.kind, interface)))
        };
        Ok(Self(peripherals.iter().map(load).collect::<anyhow::Result<_>>()?))
    }
}

impl Peripherals for Declared {
    fn kind(&self, name: &str) -> Option<PeripheralKind> {
        self.0.get(name).map(|(kind, _)| *kind)
    }

    fn check(&self, name: &str, content: &Value) -> Result<(), String> {
        let (_, interface) =
            self.0.get(name).ok_or_else(|| format!("the cell has no peripheral '{name}'"))?;
        interface.check(content)
    }
}

impl std::fmt::Debug for RosPeripherals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RosPeripherals").field("under_way", &self.under_way.len()).finish_non_exhaustive()
    }
}

impl RosPeripherals {
    /// Makes a channel for every peripheral. `heard` takes the messages of topics, on the spin thread.
    pub fn connect(
        shell: &mut NodeShell,
        peripherals: &[PeripheralConfig],
        declared: Declared,
        heard: impl Fn(&str, Value) + Clone + Send + 'static,
    ) -> anyhow::Result<Self> {
        let mut channels = BTreeMap::new();
        for one in peripherals {
            let (name, ros_name, kind) = (one.name.clone(), one.ros_name.as_str(), one.message_type.as_str());
            let channel = match one.kind {
                PeripheralKind::Action => shell
                    .node()
                    .create_action_client_untyped(ros_name, kind)
                    .map(|client| Channel::Action(client, ros_name.to_owned()))
                    .map_err(anyhow::Error::from),
                PeripheralKind::Service => shell
                    .node()
                    .create_client_untyped(ros_name, kind, qos::SERVICE)
                    .map(|client| Channel::Service(Arc::new(client), ros_name.to_owned()))
                    .map_err(anyhow::Error::from),
                PeripheralKind::Publish => shell
                    .node()
                    .create_publisher_untyped(ros_name, kind, qos::EVENTS)
                    .map(Channel::Publish)
                    .map_err(anyhow::Error::from),
                PeripheralKind::Subscribe => {
                    let (heard, name) = (heard.clone(), name.clone());
                    shell
                        .subscribe_untyped(ros_name, kind, qos::SENSOR, move |message| heard(&name, message))
                        .map(|()| Channel::Subscribe)
                        .map_err(anyhow::Error::from)
                }
            };
            let channel = channel.with_context(|| {
                format!(
                    "peripheral '{name}': cannot use {ros_name} of type {kind}; was its package there when the suite was built?"
                )
            })?;
            channels.insert(name, channel);
        }
        Ok(Self { declared, channels, under_way: Vec::new() })
    }

    /// What has become of the errands since the last call. Those that have ended are forgotten.
    pub fn hear(&mut self) -> Vec<Heard> {
        let mut heard = Vec::new();
        self.under_way.retain_mut(|open| {
            let news = open.errand.look();
            let over = news.iter().any(|news| matches!(news, News::Ended(_)));
            let (run, role, errand) = (open.run, open.role, open.number);
            heard.extend(news.into_iter().map(|news| Heard { run, role, word: Word { errand, news } }));
            !over
        });
        heard
    }

    fn find(&mut self, run: u64, role: Role, number: u32) -> Option<&mut UnderWay> {
        let same = |open: &&mut Open| (open.run, open.role, open.number) == (run, role, number);
        self.under_way.iter_mut().find(same).map(|open| &mut open.errand)
    }

    /// Carries an order of run number `run` out; what comes of it is heard later.
    pub fn carry_out(&mut self, run: u64, role: Role, order: &Order) {
        match order {
            Order::Begin { errand, peripheral, content } => {
                let begun = match (self.declared.check(peripheral, content), self.channels.get(&**peripheral))
                {
                    (Err(reason), _) => UnderWay::refused(format!("{content} cannot be sent: {reason}")),
                    (Ok(()), Some(Channel::Action(client, name))) => UnderWay::goal(client, name, content),
                    (Ok(()), Some(Channel::Service(client, name))) => UnderWay::call(client, name, content),
                    _ => UnderWay::refused(format!("{peripheral} is no action and no service")),
                };
                self.under_way.push(Open { run, role, number: *errand, errand: begun });
            }
            Order::Withdraw { errand } => {
                if let Some(open) = self.find(run, role, *errand) {
                    open.withdraw();
                }
            }
            Order::Cancel { errand } => {
                if let Some(open) = self.find(run, role, *errand) {
                    open.cancel();
                }
            }
            Order::Publish { peripheral, content } => {
                let said = self.declared.check(peripheral, content).and_then(|()| {
                    match self.channels.get(&**peripheral) {
                        Some(Channel::Publish(publisher)) => {
                            publisher.publish(Value::clone(content)).map_err(|error| error.to_string())
                        }
                        _ => Err("it is no topic that skills publish".into()),
                    }
                });
                if let Err(reason) = said {
                    tracing::error!("{content} cannot be published to {peripheral}: {reason}");
                }
            }
        }
    }
}

/// An end without a result.
fn refused(reason: String) -> News {
    News::Ended(End::Refused(reason))
}

fn succeeded(content: Value) -> News {
    News::Ended(End::Succeeded(Arc::new(content)))
}
