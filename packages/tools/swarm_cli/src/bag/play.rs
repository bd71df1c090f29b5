//! `cell bag play`.
//!
//! Time of the bag and of the clock are tied together once, at the first message; a viewer that cannot follow loses the
//! oldest messages of its own backlog and holds up nobody.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use foxglove::websocket::{Capability, ChannelView, Client, ServerListener};
use foxglove::{ChannelBuilder, Context, PartialMetadata, RawChannel, Schema, WebSocketServer};
use swarm_bag::{BagReader, Filter, Latched, Stamp, Topic};

use super::times::Moment;
use crate::Outcome;

/// Play a bag for Foxglove or any viewer of its WebSocket protocol, in real time and without ROS.
///
/// Open the address that is printed ("Open connection", Foxglove WebSocket). Latched topics (/tf_static, /robot_description)
/// are shown again to every viewer that comes. Serves on this computer alone, unless --at says otherwise; whoever reaches that
/// address can watch.
///
/// Exit codes: 0 played to the end, 2 could not do it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// X.db3, X.mcap, or rosbag2's folder.
    #[arg(value_name = "BAG")]
    bag: PathBuf,
    /// How much faster than it was recorded.
    #[arg(long, default_value_t = 1.0, value_parser = rate)]
    rate: f64,
    /// Only these topics, separated by commas.
    #[arg(long, value_name = "TOPICS", value_delimiter = ',')]
    topics: Option<Vec<String>>,
    /// Where to begin: seconds from the beginning (12.5) or before the end (-3), @seconds since 1970, or RFC 3339.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    start: Option<Moment>,
    /// Begin when the first viewer has subscribed.
    #[arg(long)]
    wait: bool,
    /// Begin again at the end.
    #[arg(long = "loop")]
    again: bool,
    /// Where to serve; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8765")]
    at: SocketAddr,
}

/// Messages that wait for one viewer.
const BACKLOG: usize = 1024;
/// Longest sleep, so that a viewer that comes is shown the latched topics soon.
const NAP: Duration = Duration::from_millis(50);

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let mut bag = BagReader::open(&args.bag)?;
    if let Some(name) =
        args.topics.iter().flatten().find(|name| !bag.topics().iter().any(|topic| topic.name == **name))
    {
        bail!("'{}' has no topic {name}; `cell bag info` lists those it has", args.bag.display());
    }
    let span = bag.metadata().span();
    let from = args.start.map(|moment| moment.of(span.first, span.last));
    let viewers = Arc::new(Viewers::default());
    let context = Context::new();
    let channels = channels(bag.topics(), args.topics.as_deref(), &context)?;
    let server = WebSocketServer::new()
        .name(args.bag.display().to_string())
        .bind(args.at.ip().to_string(), args.at.port())
        .capabilities([Capability::Time])
        .listener(viewers.clone())
        .message_backlog_size(BACKLOG)
        .context(&context)
        .start_blocking()
        .with_context(|| {
            format!("cannot serve on {}; if another program is there, choose another port (--at)", args.at)
        })?;
    let address = SocketAddr::new(args.at.ip(), server.port());
    println!("ws://{address} plays {} ({} messages)", args.bag.display(), span.count);

    while args.wait && !viewers.have_come() {
        std::thread::sleep(NAP);
    }
    let mut player =
        Player { channels: &channels, viewers: &viewers, latched: BTreeMap::new(), show_latched_at: None };
    loop {
        player.latched.clear();
        if let Some(from) = from {
            player.latch(&mut bag, from);
        }
        bag.rewind(&Filter { topics: args.topics.clone(), from, until: None });
        let mut tied: Option<(i64, Instant)> = None;
        while let Some(message) = bag.next() {
            let (first, begun) = *tied.get_or_insert_with(|| (message.stamp.received, Instant::now()));
            let passed = (message.stamp.received - first) as f64 * 1e-9 / args.rate;
            player.sleep_until(begun + Duration::from_secs_f64(passed.max(0.0)));
            let time = message.stamp.received.unsigned_abs();
            server.broadcast_time(time);
            if bag.topics()[message.topic].is_latched() {
                player.latched.entry(message.topic).or_default().push(message.stamp, message.data.clone());
            }
            player.show(message.topic, time, &message.data);
        }
        if !args.again {
            break;
        }
    }
    for damage in bag.damage() {
        println!("note: {damage}");
    }
    server.stop().wait_blocking();
    Ok(Outcome::Done)
}

/// One channel for each topic that is wanted; its messages go out as they are, with the definition that the bag carries.
fn channels(
    topics: &[Topic],
    wanted: Option<&[String]>,
    context: &Arc<Context>,
) -> anyhow::Result<BTreeMap<usize, Arc<RawChannel>>> {
    let mut channels = BTreeMap::new();
    for (index, topic) in topics.iter().enumerate() {
        if wanted.is_some_and(|names| !names.contains(&topic.name)) {
            continue;
        }
        let definition = &topic.definition;
        let schema =
            Schema::new(&topic.type_name, &definition.encoding, definition.text.clone().into_bytes());
        let channel = ChannelBuilder::new(&topic.name)
            .context(context)
            .message_encoding(&topic.serialization)
            .schema(schema)
            .add_metadata("offered_qos_profiles", &topic.offered_qos)
            .build_raw()
            .with_context(|| format!("cannot serve topic {}", topic.name))?;
        channels.insert(index, channel);
    }
    Ok(channels)
}

/// Whether somebody has subscribed since it was last asked.
#[derive(Debug, Default)]
struct Viewers {
    came: AtomicBool,
    new: AtomicBool,
}

impl Viewers {
    fn have_come(&self) -> bool {
        self.came.load(Ordering::Relaxed)
    }

    fn take_new(&self) -> bool {
        self.new.swap(false, Ordering::Relaxed)
    }
}

impl ServerListener for Viewers {
    fn on_subscribe(&self, _client: Client, _channel: ChannelView<'_>) {
        self.came.store(true, Ordering::Relaxed);
        self.new.store(true, Ordering::Relaxed);
    }
}

struct Player<'a> {
    channels: &'a BTreeMap<usize, Arc<RawChannel>>,
    viewers: &'a Viewers,
    /// What latched topics have said so far, by topic.
    latched: BTreeMap<usize, Latched>,
    /// When a new viewer is to be shown them.
    show_latched_at: Option<Instant>,
}

impl Player<'_> {
    /// Takes in what latched topics said before the start.
    fn latch(&mut self, bag: &mut BagReader, from: i64) {
        let latched = bag.topics().iter().filter(|topic| topic.is_latched());
        let names = latched.map(|topic| topic.name.clone()).collect();
        bag.rewind(&Filter { topics: Some(names), from: None, until: Some(from) });
        for message in bag.by_ref() {
            let stamp = Stamp { received: from, ..message.stamp };
            self.latched.entry(message.topic).or_default().push(stamp, message.data);
        }
        self.show_latched();
    }

    fn sleep_until(&mut self, due: Instant) {
        loop {
            // The server tells of a subscription a moment before anything can be sent to it.
            if self.viewers.take_new() {
                self.show_latched_at = Some(Instant::now() + NAP);
            }
            if self.show_latched_at.is_some_and(|at| Instant::now() >= at) {
                self.show_latched_at = None;
                self.show_latched();
            }
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(NAP));
        }
    }

    fn show_latched(&self) {
        for (topic, messages) in &self.latched {
            for (stamp, data) in messages {
                self.show(*topic, stamp.received.unsigned_abs(), data);
            }
        }
    }

    fn show(&self, topic: usize, time: u64, data: &[u8]) {
        if let Some(channel) = self.channels.get(&topic) {
            channel.log_with_meta(data, PartialMetadata { log_time: Some(time) });
        }
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let wrong = || "expected a number between 0.01 and 1000".to_owned();
    text.parse().ok().filter(|rate| (0.01..=1000.0).contains(rate)).ok_or_else(wrong)
}
