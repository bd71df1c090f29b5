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

/// An absolute path for what a user typed; an empty text becomes one with the time in its name.
pub fn absolute(typed: &str, kind: &str, nanos: i64) -> Result<PathBuf, String> {
    let path = if typed.is_empty() { format!("{kind}_{}.mcap", nanos / 1_000_000) } else { typed.to_owned() };
    std::path::absolute(&path).map_err(|error| format!("'{path}' is no path: {error}"))
}
