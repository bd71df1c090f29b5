//! The life of a recording: requests and what happened go in, steps for the shell come out.
//!
//! ```text
//!            start               opened
//!   Idle ------------> Starting --------> Recording <----+ snapshots go on beside every state that has cameras
//!    ^  ^                 |  |              |  |  |      |
//!    |  |   not opened    |  | stop         |  |  +------+ camera lost or back
//!    |  +--- Failed <-----+--|--------------|--+ disk full, disk failed
//!    |        (start begins  v              v stop
//!    +------- anew) ------ Stopping <-------+
//!            closed
//! ```
//!
//! Each recording has a number. The shell hands it back with what became of a step, so that a late answer about an old
//! recording never changes a newer one.

use crate::frame::HostTime;

/// Number of a recording since the node began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordingId(pub u64);

/// Where a recording is in its life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    #[default]
    Idle,
    /// The bag is being made.
    Starting {
        id: RecordingId,
        path: String,
    },
    Recording {
        id: RecordingId,
        path: String,
        since: HostTime,
    },
    /// The bag is being finished. `why` is none if somebody asked for it.
    Stopping {
        id: RecordingId,
        path: String,
        why: Option<Failure>,
    },
    /// Ended by itself. What was recorded is in the bag at `path`.
    Failed {
        path: String,
        why: Failure,
    },
}

/// Why a recording ended by itself, or did not begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("cannot make the bag: {0}")]
    NotOpened(String),
    #[error("{0}; delete recordings or name another disk")]
    DiskFull(String),
    #[error("the disk refuses to write: {0}")]
    DiskFailed(String),
    #[error("cannot finish the bag: {0}")]
    NotClosed(String),
}

/// What somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The node follows its cameras from here on: recordings may begin.
    Activate,
    /// It follows them no more: what is being recorded is finished, and nothing begins.
    Deactivate,
    /// `cameras`: how many stream now.
    Start {
        path: String,
        cameras: usize,
    },
    Stop,
    /// The last `back_ns` from memory; 0 is all there is.
    Snapshot {
        path: String,
        back_ns: u64,
    },
    /// The node ends.
    Shutdown,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    Opened {
        id: RecordingId,
    },
    NotOpened {
        id: RecordingId,
        error: String,
    },
    Closed {
        id: RecordingId,
        error: Option<String>,
    },
    /// What the disk must keep free was reached: the recorder has written what waited, and why it ended, and takes no more.
    DiskFull {
        id: RecordingId,
        why: String,
    },
    DiskFailed {
        id: RecordingId,
        error: String,
    },
    CameraLost {
        camera: String,
        why: String,
    },
    CameraBack {
        camera: String,
        gap_ns: i64,
    },
}

/// What the shell does next, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make the bag, then tell [`Happened::Opened`] or [`Happened::NotOpened`].
    Open {
        id: RecordingId,
        path: String,
    },
    /// Hand messages of every topic to the bag from here on; those kept and latched first.
    Record {
        id: RecordingId,
    },
    /// Hand no message to the bag any more.
    Cease {
        id: RecordingId,
    },
    /// Put the counts of loss into the bag, finish it, then tell [`Happened::Closed`].
    Close {
        id: RecordingId,
    },
    /// Write what is in memory into a bag of its own.
    WriteSnapshot {
        path: String,
        back_ns: u64,
    },
    /// Put this into the recording, so that its reader knows.
    Note {
        id: RecordingId,
        text: String,
    },
    /// Tell people.
    Warn {
        text: String,
    },
    /// Answer who asked for this. A start is answered when its bag is open, everything else at once.
    Accept {
        asked: Asked,
    },
    Refuse {
        asked: Asked,
        why: Refusal,
    },
    /// The node may end now.
    Leave,
}

/// What an answer is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asked {
    Start,
    Stop,
    Snapshot,
}

/// Why a request is not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("a recording into '{0}' is running; stop it first")]
    Running(String),
    #[error("the recording into '{0}' is being finished; try again in a moment")]
    Finishing(String),
    #[error("nothing is being recorded")]
    NothingRuns,
    #[error("no camera streams; see their states on /capture/status")]
    NoCamera,
    #[error("the node is inactive and follows no camera; activate it first (ros2 lifecycle set)")]
    Inactive,
    #[error("cannot make the bag: {0}")]
    NotOpened(String),
    #[error("the node is ending")]
    Ending,
}

/// The life of recordings, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    state: State,
    newest: RecordingId,
    active: bool,
    ending: bool,
    /// Somebody asked to stop before the bag was open.
    stop_when_open: bool,
}

impl Recording {
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Somebody wants something.
    pub fn request(&mut self, request: Request) -> Vec<Step> {
        match request {
            Request::Activate => {
                self.active = true;
                Vec::new()
            }
            Request::Deactivate => {
                self.active = false;
                self.finish()
            }
            Request::Start { .. } if self.ending => refuse(Asked::Start, Refusal::Ending),
            Request::Start { .. } if !self.active => refuse(Asked::Start, Refusal::Inactive),
            Request::Snapshot { .. } if self.ending => refuse(Asked::Snapshot, Refusal::Ending),
            Request::Start { path, cameras } => self.start(path, cameras),
            Request::Snapshot { path, back_ns } => {
                vec![Step::WriteSnapshot { path, back_ns }, Step::Accept { asked: Asked::Snapshot }]
            }
            Request::Stop => match &self.state {
                State::Idle | State::Failed { .. } => refuse(Asked::Stop, Refusal::NothingRuns),
                State::Stopping { path, .. } => refuse(Asked::Stop, Refusal::Finishing(path.clone())),
                State::Starting { .. } => {
                    self.stop_when_open = true;
                    vec![Step::Accept { asked: Asked::Stop }]
                }
                State::Recording { .. } => {
                    let mut steps = self.stop(None);
                    steps.push(Step::Accept { asked: Asked::Stop });
                    steps
                }
            },
            Request::Shutdown => {
                self.ending = true;
                match &self.state {
                    State::Idle | State::Failed { .. } => vec![Step::Leave],
                    State::Starting { .. } | State::Recording { .. } | State::Stopping { .. } => {
                        self.finish()
                    }
                }
            }
        }
    }

    /// Something happened.
    pub fn happened(&mut self, happened: Happened, now: HostTime) -> Vec<Step> {
        match happened {
            Happened::Opened { id } => self.opened(id, now),
            Happened::NotOpened { id, error } => match &self.state {
                State::Starting { id: own, path } if *own == id => {
                    self.state = State::Failed { path: path.clone(), why: Failure::NotOpened(error.clone()) };
                    self.with_leave(refuse(Asked::Start, Refusal::NotOpened(error)))
                }
                _ => Vec::new(),
            },
            Happened::Closed { id, error } => self.closed(id, error),
            Happened::DiskFull { id, why } => self.ended(id, Failure::DiskFull(why)),
            Happened::DiskFailed { id, error } => self.ended(id, Failure::DiskFailed(error)),
            Happened::CameraLost { camera, why } => self.note(format!("camera {camera} is lost: {why}")),
            Happened::CameraBack { camera, gap_ns } => {
                self.note(format!("camera {camera} is back after {:.3} s", gap_ns as f64 * 1e-9))
            }
        }
    }

    fn start(&mut self, path: String, cameras: usize) -> Vec<Step> {
        match &self.state {
            State::Starting { path, .. } | State::Recording { path, .. } => {
                refuse(Asked::Start, Refusal::Running(path.clone()))
            }
            State::Stopping { path, .. } => refuse(Asked::Start, Refusal::Finishing(path.clone())),
            State::Idle | State::Failed { .. } if cameras == 0 => refuse(Asked::Start, Refusal::NoCamera),
            State::Idle | State::Failed { .. } => {
                self.newest.0 += 1;
                self.stop_when_open = false;
                let id = self.newest;
                self.state = State::Starting { id, path: path.clone() };
                vec![Step::Open { id, path }]
            }
        }
    }

    fn opened(&mut self, id: RecordingId, now: HostTime) -> Vec<Step> {
        match &self.state {
            State::Starting { id: own, path } if *own == id => {
                self.state = State::Recording { id, path: path.clone(), since: now };
                let mut steps = vec![Step::Record { id }, Step::Accept { asked: Asked::Start }];
                if self.stop_when_open {
                    steps.extend(self.stop(None));
                }
                steps
            }
            // Opened after it was given up: no one will write into it.
            _ => vec![Step::Close { id }],
        }
    }

    fn closed(&mut self, id: RecordingId, error: Option<String>) -> Vec<Step> {
        let State::Stopping { id: own, path, why } = &self.state else { return Vec::new() };
        if *own != id {
            return Vec::new();
        }
        let path = path.clone();
        // The first cause is the one to mend.
        let why = why.clone().or(error.map(Failure::NotClosed));
        let mut steps = Vec::new();
        self.state = match why {
            None => State::Idle,
            Some(why) => {
                steps.push(Step::Warn { text: format!("the recording into '{path}' has ended: {why}") });
                State::Failed { path, why }
            }
        };
        self.with_leave(steps)
    }

    /// The recorder has ended by itself.
    fn ended(&mut self, id: RecordingId, why: Failure) -> Vec<Step> {
        match &self.state {
            State::Recording { id: own, .. } if *own == id => self.stop(Some(why)),
            _ => Vec::new(),
        }
    }

    /// Nothing more is recorded, whatever was asked for.
    fn finish(&mut self) -> Vec<Step> {
        match &self.state {
            State::Starting { .. } => {
                self.stop_when_open = true;
                Vec::new()
            }
            State::Recording { .. } => self.stop(None),
            State::Idle | State::Failed { .. } | State::Stopping { .. } => Vec::new(),
        }
    }

    fn stop(&mut self, why: Option<Failure>) -> Vec<Step> {
        let State::Recording { id, path, .. } = &self.state else { return Vec::new() };
        let (id, path) = (*id, path.clone());
        self.state = State::Stopping { id, path, why };
        vec![Step::Cease { id }, Step::Close { id }]
    }

    fn note(&self, text: String) -> Vec<Step> {
        let mut steps = Vec::new();
        if let State::Recording { id, .. } = &self.state {
            steps.push(Step::Note { id: *id, text: text.clone() });
        }
        steps.push(Step::Warn { text });
        steps
    }

    fn with_leave(&self, mut steps: Vec<Step>) -> Vec<Step> {
        if self.ending {
            steps.push(Step::Leave);
        }
        steps
    }
}

fn refuse(asked: Asked, why: Refusal) -> Vec<Step> {
    vec![Step::Refuse { asked, why }]
}

#[cfg(test)]
mod tests;
