//! Carries out what [`swarm_capture_core::recording`] decides: a thread that takes requests and news, one after the other.
//!
//! Flow: a request or news comes through the channel; the recording's life gives steps; each is carried out, and what becomes
//! of it goes back in at once. Nobody who hands frames on ever waits for this thread.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use swarm_bag::Metadata;
use swarm_bag::recorder::{RecorderOptions, State as RecorderState};
use swarm_base::ErrorChain;
use swarm_capture_core::recording::{Happened, Recording, RecordingId, Request, State, Step};

use crate::now;
use crate::outlets::Outlets;

/// How often the recording is looked at.
const LOOK_PERIOD: Duration = Duration::from_millis(200);

/// What was answered to a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub outcome: Result<(), String>,
    /// Of a snapshot that was written.
    pub metadata: Option<Metadata>,
}

enum Order {
    Request { request: Request, reply: Sender<Answer> },
    News(Happened),
    End,
}

/// The recording's thread, for those who ask it.
#[derive(Clone, Debug)]
pub struct Session {
    orders: Sender<Order>,
    state: Arc<Mutex<State>>,
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Request { .. } => "Request",
            Self::News(_) => "News",
            Self::End => "End",
        })
    }
}

impl Session {
    /// Starts the thread. It ends after [`Session::end`].
    pub fn start(outlets: Arc<Outlets>, options: RecorderOptions) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (orders, received) = mpsc::channel();
        let state = Arc::new(Mutex::new(State::Idle));
        let worker = Worker {
            recording: Recording::default(),
            outlets,
            options,
            shown: Arc::clone(&state),
            notes: 0,
            left: false,
        };
        let thread =
            std::thread::Builder::new().name("recording".into()).spawn(move || worker.run(&received))?;
        Ok((Self { orders, state }, thread))
    }

    /// Asks and waits for the answer. A start is answered when the bag is there, a stop when it is finished.
    pub fn ask(&self, request: Request) -> Answer {
        let (reply, answer) = mpsc::channel();
        let gone = || Answer { outcome: Err("the node is ending".to_owned()), metadata: None };
        if self.orders.send(Order::Request { request, reply }).is_err() {
            return gone();
        }
        answer.recv().unwrap_or_else(|_| gone())
    }

    /// Tells what happened; does not wait.
    pub fn tell(&self, happened: Happened) {
        let _ = self.orders.send(Order::News(happened));
    }

    pub fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Finishes what is being recorded and ends the thread.
    pub fn end(&self) {
        let _ = self.orders.send(Order::End);
    }
}

struct Worker {
    recording: Recording,
    outlets: Arc<Outlets>,
    options: RecorderOptions,
    shown: Arc<Mutex<State>>,
    notes: u32,
    left: bool,
}

impl Worker {
    fn run(mut self, orders: &Receiver<Order>) {
        while !self.left {
            match orders.recv_timeout(LOOK_PERIOD) {
                Ok(Order::Request { request, reply }) => {
                    let answer = self.request(request);
                    let _ = reply.send(answer); // who asked may be gone
                }
                Ok(Order::News(happened)) => {
                    self.happened(happened);
                }
                Err(RecvTimeoutError::Timeout) => self.look(),
                Ok(Order::End) | Err(RecvTimeoutError::Disconnected) => {
                    self.request(Request::Shutdown);
                    self.left = true;
                }
            }
        }
    }

    /// A request, up to where it has been carried out: a bag that cannot be made is the answer to who asked for it.
    fn request(&mut self, request: Request) -> Answer {
        let begins = matches!(request, Request::Start { .. });
        let steps = self.recording.request(request);
        let mut answer = Answer { outcome: Ok(()), metadata: None };
        self.carry_out(steps, &mut answer);
        if begins
            && answer.outcome.is_ok()
            && let State::Failed { why, .. } = self.recording.state()
        {
            answer.outcome = Err(why.to_string());
        }
        answer
    }

    fn happened(&mut self, happened: Happened) {
        let steps = self.recording.happened(happened, now());
        self.carry_out(steps, &mut Answer { outcome: Ok(()), metadata: None });
    }

    fn carry_out(&mut self, steps: Vec<Step>, answer: &mut Answer) {
        for step in steps {
            let became = match step {
                Step::Open { id, path } => Some(self.open(id, &path)),
                Step::Record { .. } => {
                    self.outlets.record();
                    None
                }
                Step::Cease { .. } => {
                    self.outlets.cease();
                    None
                }
                Step::Close { id } => Some(self.close(id)),
                Step::WriteSnapshot { path, back_ns } => {
                    let last = (back_ns > 0).then(|| Duration::from_nanos(back_ns));
                    match self.outlets.snapshot(Path::new(&path), last, self.options.bag) {
                        Ok(metadata) => answer.metadata = Some(metadata),
                        Err(error) => answer.outcome = Err(ErrorChain(&error).to_string()),
                    }
                    None
                }
                Step::Note { text, .. } => {
                    self.notes += 1;
                    self.outlets.note(&format!("note_{:03}", self.notes), &text);
                    None
                }
                Step::Warn { text } => {
                    tracing::warn!("{text}");
                    None
                }
                Step::Refuse { why, .. } => {
                    answer.outcome = Err(why.to_string());
                    None
                }
                Step::Accept { .. } => None,
                Step::Leave => {
                    self.left = true;
                    None
                }
            };
            self.show();
            if let Some(became) = became {
                let next = self.recording.happened(became, now());
                self.carry_out(next, answer);
            }
        }
        self.show();
    }

    fn open(&mut self, id: RecordingId, path: &str) -> Happened {
        self.notes = 0;
        match self.outlets.open(Path::new(path), self.options) {
            Ok(()) => {
                tracing::info!("recording into {path}");
                Happened::Opened { id }
            }
            Err(error) => Happened::NotOpened { id, error: ErrorChain(&error).to_string() },
        }
    }

    fn close(&mut self, id: RecordingId) -> Happened {
        let error = match self.outlets.close() {
            Ok(metadata) => {
                if let Some(metadata) = metadata {
                    let span = metadata.span();
                    let seconds = (span.last - span.first) as f64 / 1e9;
                    tracing::info!("the bag is finished: {} messages in {seconds:.1} s", span.count);
                }
                None
            }
            Err(error) => Some(ErrorChain(&error).to_string()),
        };
        Happened::Closed { id, error }
    }

    /// What nobody tells: a recorder that ended by itself.
    fn look(&mut self) {
        let State::Recording { id, .. } = *self.recording.state() else { return };
        let Some((status, _)) = self.outlets.recording() else { return };
        match status.state {
            RecorderState::Recording | RecorderState::Stopped => {}
            RecorderState::DiskFull(why) => self.happened(Happened::DiskFull { id, why }),
            RecorderState::Failed(error) => self.happened(Happened::DiskFailed { id, error }),
        }
    }

    fn show(&self) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if *shown != *self.recording.state() {
            shown.clone_from(self.recording.state());
        }
    }
}

/// What goes into a bag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bag {
    Recording,
    Snapshot,
}

/// Where a bag goes: to the path that somebody `typed`, or, if that is empty, beside the bag that the parameter `output_bag`
/// names, in its form, with the time in its name.
pub fn destination(typed: &str, parameter: &str, bag: Bag, nanos: i64) -> Result<PathBuf, String> {
    let path = match (typed, parameter) {
        ("", "") => {
            return Err(
                "output_bag is empty, and so is the node's parameter output_bag; name a bag in one of them, \
                        as in /data/demo_001.mcap"
                    .to_owned(),
            );
        }
        ("", parameter) => with_time(Path::new(parameter), bag, nanos),
        (typed, _) => PathBuf::from(typed),
    };
    std::path::absolute(&path).map_err(|error| format!("'{}' is no path: {error}", path.display()))
}

/// `run.mcap` becomes `run_1790000000000.mcap`; a name without one of a bag's extensions is that of a directory, and stays so.
fn with_time(bag: &Path, kind: Bag, nanos: i64) -> PathBuf {
    let name = bag.file_name().unwrap_or_default().to_string_lossy();
    let end = [".mcap", ".db3"].into_iter().find(|end| name.ends_with(end)).unwrap_or_default();
    let stem = name.strip_suffix(end).unwrap_or(&name);
    let kind = match kind {
        Bag::Recording => "",
        Bag::Snapshot => "snapshot_",
    };
    bag.with_file_name(format!("{stem}_{kind}{}{end}", nanos / 1_000_000))
}

#[cfg(test)]
mod tests {
    use swarm_bag::ring::RingOptions;
    use swarm_bag::{Split, WriteOptions};

    use super::*;

    const NANOS: i64 = 1_790_000_000_123_456_789;

    #[test]
    fn a_bag_that_nobody_named_is_beside_that_of_the_parameter_and_in_its_form() {
        let named = |parameter, bag| destination("", parameter, bag, NANOS).unwrap().display().to_string();
        for (parameter, expected) in [
            ("/tmp/x/run.mcap", "/tmp/x/run_1790000000123.mcap"),
            ("/tmp/x/run.db3", "/tmp/x/run_1790000000123.db3"),
            ("/tmp/x/run", "/tmp/x/run_1790000000123"),
            ("/tmp/x/run.v2/", "/tmp/x/run.v2_1790000000123"),
        ] {
            assert_eq!(named(parameter, Bag::Recording), expected);
        }
        assert_eq!(named("/tmp/x/run.mcap", Bag::Snapshot), "/tmp/x/run_snapshot_1790000000123.mcap");
    }

    #[test]
    fn a_bag_that_was_named_is_that_one() {
        let path = destination("/data/a.db3", "/tmp/x/run.mcap", Bag::Recording, NANOS);
        assert_eq!(path, Ok(PathBuf::from("/data/a.db3")));
    }

    #[test]
    fn a_bag_that_is_named_nowhere_is_refused_and_lands_in_no_working_directory() {
        let error = destination("", "", Bag::Recording, NANOS).unwrap_err();
        assert!(error.contains("name a bag in one of them"), "{error}");
    }

    #[test]
    fn a_bag_of_several_files_that_nobody_named_can_be_begun() {
        let folder = tempfile::tempdir().unwrap();
        let outlets = Outlets::new(RingOptions::default());
        let split = Split { size: Some(10_000_000), duration: None };
        let bag = WriteOptions { split, ..WriteOptions::default() };
        let parameter = folder.path().join("run").display().to_string();
        let path = destination("", &parameter, Bag::Recording, NANOS).unwrap();
        outlets.open(&path, RecorderOptions { bag, disk_reserve: 1, ..RecorderOptions::default() }).unwrap();
        outlets.close().unwrap();
        assert!(path.join("metadata.yaml").exists() && path.starts_with(folder.path()));
    }
}
