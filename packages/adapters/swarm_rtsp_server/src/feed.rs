//! Where the pictures of one stream go in.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use gstreamer::prelude::*;
use gstreamer::{Buffer, ClockTime};
use gstreamer_app::AppSrc;

use crate::Stream;

/// Pictures that may wait for the coder while it works on one.
const WAITING: u64 = 1;

/// The inlet of one stream. Clones are the same inlet.
#[derive(Clone, Debug)]
pub struct Feed {
    stream: Arc<Stream>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Of the pipeline that runs while somebody watches.
    source: Mutex<Option<AppSrc>>,
    coded: AtomicU64,
    dropped: AtomicU64,
}

/// What became of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The coder has it.
    Taken,
    /// The coder is behind; counted in [`Feed::dropped`].
    Dropped,
    /// Nobody watches, or the stream is only being set up.
    Unwatched,
    /// Its size is not that of the stream.
    WrongSize,
}

impl Feed {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream: Arc::new(stream), shared: Arc::default() }
    }

    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Whether somebody is connected: pictures are wanted.
    pub fn is_watched(&self) -> bool {
        self.source().is_some()
    }

    /// Pictures that the coder took, since the start.
    pub fn coded(&self) -> u64 {
        self.shared.coded.load(Ordering::Relaxed)
    }

    /// Pictures that came while the coder was behind.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Hands a picture on, see [`Stream::picture_bytes`]; `taken` is when it shows the world. Never waits.
    pub fn give(&self, picture: &[u8], taken: Instant) -> Fate {
        if picture.len() != self.stream.picture_bytes() {
            return Fate::WrongSize;
        }
        let Some(source) = self.source() else { return Fate::Unwatched };
        let Some(running) = running_time(&source, taken) else { return Fate::Unwatched };
        if source.current_level_buffers() > WAITING {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return Fate::Dropped;
        }
        let mut buffer = Buffer::from_slice(picture.to_vec());
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(running);
            buffer.set_duration(ClockTime::SECOND / u64::from(self.stream.rate_hz.max(1)));
        }
        // It refuses while the pipeline ends: the last viewer has just left.
        match source.push_buffer(buffer) {
            Ok(_) => {
                self.shared.coded.fetch_add(1, Ordering::Relaxed);
                Fate::Taken
            }
            Err(_) => Fate::Unwatched,
        }
    }

    pub(crate) fn connect(&self, source: Option<AppSrc>) {
        *self.shared.source.lock().unwrap_or_else(PoisonError::into_inner) = source;
    }

    /// Forgets `source`, unless another took its place.
    pub(crate) fn disconnect(&self, source: &AppSrc) {
        let mut current = self.shared.source.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref() == Some(source) {
            *current = None;
        }
    }

    fn source(&self) -> Option<AppSrc> {
        self.shared.source.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// `taken` in the time of the pipeline; none before it runs.
fn running_time(source: &AppSrc, taken: Instant) -> Option<ClockTime> {
    let since_start = source.current_running_time()?;
    let age = ClockTime::from_nseconds(u64::try_from(taken.elapsed().as_nanos()).ok()?);
    since_start.checked_sub(age)
}
