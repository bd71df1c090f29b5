//! A camera that stays connected.

use std::mem::discriminant;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::error::Remedy;
use crate::{Event, Ingest, Source, StreamError, backoff, open};

/// A stream that has played for so long is sound; one that always breaks sooner is tried less and less often.
const SOUND: Duration = Duration::from_secs(1);

/// One stream, connected again whenever it breaks. Dropping it ends the session.
#[allow(missing_debug_implementations)] // futures and back ends have none
pub struct Camera {
    source: Source,
    state: State,
    /// Failures in a row that the same remedy would end.
    failures: (Remedy, u32),
    /// The last error that was told since a stream began; one that goes on is told once.
    told: Option<StreamError>,
}

enum State {
    Waiting {
        until: Instant,
    },
    Opening(BoxFuture<'static, Result<Box<dyn Ingest>, StreamError>>),
    /// The first frame has as long as an answer: a key frame may be a while away.
    Playing {
        stream: Box<dyn Ingest>,
        silence: Duration,
        silent_at: Instant,
        sound_at: Instant,
    },
}

impl Camera {
    /// Connects at the first call of [`next`](Self::next).
    pub fn new(source: Source) -> Self {
        let state = State::Waiting { until: Instant::now() };
        Self { source, state, failures: (Remedy::Port, 0), told: None }
    }

    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The next event. An error is news: it ends what [`Event::Started`] began, or says why nothing begins, once for as long
    /// as that lasts. The next call tries again, with waits that fit the error. Never ends; may be dropped while it waits
    /// without losing anything.
    pub async fn next(&mut self) -> Result<Event, StreamError> {
        loop {
            let failed = match &mut self.state {
                State::Waiting { until } => {
                    sleep_until(*until).await;
                    let source = self.source.clone();
                    self.state = State::Opening(Box::pin(async move { open(&source).await }));
                    continue;
                }
                State::Opening(attempt) => match attempt.await {
                    Ok(stream) => {
                        let silence = self.source.silence.max(self.source.answer);
                        let (silent_at, sound_at) = (Instant::now() + silence, Instant::now() + SOUND);
                        self.state = State::Playing { stream, silence, silent_at, sound_at };
                        continue;
                    }
                    Err(error) => error,
                },
                State::Playing { stream, silence, silent_at, sound_at } => {
                    match timeout_at(*silent_at, stream.next()).await {
                        Ok(Ok(event)) => {
                            match event {
                                // Whoever was told of a beginning is told of its end.
                                Event::Started(_) => self.told = None,
                                Event::Frame { .. } => {
                                    *silence = self.source.silence;
                                    *silent_at = Instant::now() + *silence;
                                    if Instant::now() > *sound_at {
                                        self.failures.1 = 0;
                                    }
                                }
                                Event::Report(_) | Event::Changed(_) => {}
                            }
                            return Ok(event);
                        }
                        Ok(Err(error)) => error,
                        Err(_) => {
                            StreamError::Silent { camera: self.source.address.clone(), silence: *silence }
                        }
                    }
                }
            };
            let remedy = failed.remedy();
            let before = if self.failures.0 == remedy { self.failures.1 } else { 0 };
            self.failures = (remedy, before.saturating_add(1));
            self.state = State::Waiting { until: Instant::now() + backoff::wait(remedy, self.failures.1) };
            if self.told.as_ref().map(discriminant) != Some(discriminant(&failed)) {
                self.told = Some(failed.clone());
                return Err(failed);
            }
            tracing::debug!(error = %failed, "still the same");
        }
    }
}
