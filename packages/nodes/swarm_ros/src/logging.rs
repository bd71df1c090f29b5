//! `tracing` to the console (text or JSON) and to `/rosout`.
//!
//! 1. [`init`] installs one subscriber for the process; its level can be changed later.
//! 2. The console is written by the thread that logs. `/rosout` is not: records go into a bounded queue and the spin thread
//!    publishes them, so that logging never waits for the middleware. A full queue loses its oldest record and counts it.
//! 3. The first logging set-up of a process stays; a second node in the same process shares it.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use r2r::builtin_interfaces::msg::Time as TimeMsg;
use r2r::rcl_interfaces::msg::Log as LogMsg;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::stamp;

/// Records that wait for the spin thread at most.
const ROSOUT_CAPACITY: usize = 512;

/// What the console gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
    Nothing,
}

/// How a process logs.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// Level unless the environment variable `RUST_LOG` says more.
    pub level: Level,
    pub console: Format,
}

/// The process's logging, for changing its level and for `/rosout`. Clones share it.
#[derive(Clone, Debug)]
pub struct Logging {
    filter: Option<reload::Handle<EnvFilter, Registry>>,
    level: Arc<Mutex<Level>>,
    rosout: Arc<RosoutQueue>,
}

/// Installs the logging of this process.
pub fn init(options: LogOptions) -> Logging {
    let filter = EnvFilter::builder().with_default_directive(options.level.into()).from_env_lossy();
    let (filter, handle) = reload::Layer::new(filter);
    let rosout = Arc::new(RosoutQueue::default());
    let colours = std::io::stderr().is_terminal();
    let text = (options.console == Format::Text).then(|| {
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(colours)
    });
    let json = (options.console == Format::Json)
        .then(|| tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr));
    let installed = tracing_subscriber::registry()
        .with(filter)
        .with(text)
        .with(json)
        .with(RosoutLayer { queue: Arc::clone(&rosout) })
        .try_init();
    Logging {
        filter: installed.is_ok().then_some(handle),
        level: Arc::new(Mutex::new(options.level)),
        rosout,
    }
}

impl Logging {
    /// Changes the level of everything this process logs.
    pub fn set_level(&self, level: Level) {
        *lock(&self.level) = level;
        if let Some(filter) = &self.filter {
            // Fails only if the subscriber is gone, and then nobody logs.
            let _ = filter.reload(EnvFilter::default().add_directive(level.into()));
        }
    }

    pub fn level(&self) -> Level {
        *lock(&self.level)
    }

    /// Records that wait for `/rosout`, oldest first.
    pub(crate) fn take_rosout(&self) -> VecDeque<Record> {
        std::mem::take(&mut *lock(&self.rosout.records))
    }

    /// Records that `/rosout` has lost so far.
    pub fn rosout_dropped(&self) -> u64 {
        *lock(&self.rosout.dropped)
    }
}

/// One log record on its way to `/rosout`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    stamp: TimeMsg,
    level: Level,
    message: String,
    file: String,
    module: String,
    line: u32,
}

impl Record {
    pub(crate) fn into_msg(self, logger: &str) -> LogMsg {
        LogMsg {
            stamp: self.stamp,
            level: match self.level {
                Level::TRACE | Level::DEBUG => LogMsg::DEBUG as u8,
                Level::INFO => LogMsg::INFO as u8,
                Level::WARN => LogMsg::WARN as u8,
                Level::ERROR => LogMsg::ERROR as u8,
            },
            name: logger.to_owned(),
            msg: self.message,
            file: self.file,
            function: self.module,
            line: self.line,
        }
    }
}

#[derive(Debug, Default)]
struct RosoutQueue {
    records: Mutex<VecDeque<Record>>,
    dropped: Mutex<u64>,
}

impl RosoutQueue {
    fn push(&self, record: Record) {
        let mut records = lock(&self.records);
        if records.len() == ROSOUT_CAPACITY {
            records.pop_front();
            *lock(&self.dropped) += 1;
        }
        records.push_back(record);
    }
}

struct RosoutLayer {
    queue: Arc<RosoutQueue>,
}

impl<S: Subscriber> Layer<S> for RosoutLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let metadata = event.metadata();
        self.queue.push(Record {
            stamp: stamp::wall_now(),
            level: *metadata.level(),
            message: text.message + &text.fields,
            file: metadata.file().unwrap_or_default().to_owned(),
            module: metadata.module_path().unwrap_or_default().to_owned(),
            line: metadata.line().unwrap_or_default(),
        });
    }
}

/// An event as one line: the message, then ` name=value` per field.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing into a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            // Added by the bridge from the `log` crate; file and line come with the metadata.
            name if name.starts_with("log.") => Ok(()),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(log: impl FnOnce()) -> (VecDeque<Record>, u64) {
        let queue = Arc::new(RosoutQueue::default());
        let subscriber = tracing_subscriber::registry().with(RosoutLayer { queue: Arc::clone(&queue) });
        tracing::subscriber::with_default(subscriber, log);
        let records = lock(&queue.records).clone();
        let dropped = *lock(&queue.dropped);
        (records, dropped)
    }

    #[test]
    fn a_record_carries_message_fields_level_and_place() {
        let (records, _) = captured(|| tracing::warn!(joint = "elbow", limit = 2.0, "too fast"));
        let msg = records[0].clone().into_msg("cell.gate");
        assert_eq!(msg.msg, "too fast joint=\"elbow\" limit=2.0");
        assert_eq!((msg.level, msg.name.as_str()), (30, "cell.gate"));
        assert!(msg.file.ends_with("logging.rs") && msg.line > 0, "{msg:?}");
    }

    #[test]
    fn a_full_queue_loses_the_oldest_and_counts_it() {
        let (records, dropped) = captured(|| {
            for n in 0..ROSOUT_CAPACITY + 3 {
                tracing::info!("record {n}");
            }
        });
        assert_eq!((records.len(), dropped), (ROSOUT_CAPACITY, 3));
        assert_eq!(records[0].message, "record 3");
    }
}
