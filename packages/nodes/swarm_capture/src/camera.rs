//! The follower: keeps one camera connected and hands its frames on.
//!
//! 1. The stream is found: it is named itself, or the camera is asked by ONVIF, and set up on the way.
//! 2. Its events go through the camera's track, and what comes out goes to the studio.
//! 3. When the stream breaks it is connected again by `swarm_rtsp`. When that takes long the camera is asked anew beside it:
//!    after a change of its settings the stream may be elsewhere, and another camera may have taken its place.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use swarm_base::ErrorChain;
use swarm_capture_core::recording::Happened;
use swarm_capture_core::search::Search;
use swarm_capture_core::{
    ClockEvent, ClockSettings, ClockState, Codec, HostWatch, Stream, Track, TrackEvent, TrackOutput,
    TrackSettings,
};
use swarm_rtsp::{Event, StreamError, StreamInfo};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::find::{Finder, Found, NotFound};
use crate::studio::{CameraState, Desk, Studio};
use crate::{now, steady};

/// A stream that does not come back for this long is looked for anew.
const LOOK_ANEW: Duration = Duration::from_secs(10);
/// How often a track hears that time passes.
const TICK: Duration = Duration::from_millis(50);

/// Follows camera `index` until the other end of `ending` is gone. Then what it still holds is handed on, and it streams no more.
pub async fn follow(studio: Arc<Studio>, index: usize, mut ending: watch::Receiver<()>) {
    let desk = &studio.desks[index];
    let finder = Finder { settings: &studio.settings, keyring: &studio.keyring, camera: &desk.settings };
    let mut follower = Follower {
        studio: &studio,
        index,
        desk,
        finder: &finder,
        search: Search::default(),
        track: None,
        reported: BTreeSet::new(),
        lost: false,
        host: HostWatch::default(),
    };
    tokio::select! {
        () = follower.run() => {}
        _ = ending.changed() => {}
    }
    follower.with_track(Track::end);
    desk.set_state(CameraState::Connecting, "not followed: the node is inactive");
}

impl Follower<'_> {
    async fn run(&mut self) {
        loop {
            match self.finder.find().await {
                Ok(found) => return self.play(found).await,
                Err(missing) => {
                    let wait = self.search.missed(missing.remedy);
                    self.missing(missing);
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }
}

/// One camera's stream on its way through the track.
struct Follower<'a> {
    studio: &'a Studio,
    index: usize,
    desk: &'a Desk,
    finder: &'a Finder<'a>,
    search: Search,
    track: Option<(String, Track<Bytes>)>,
    /// Events of the clock that were told; each kind once a session.
    reported: BTreeSet<&'static str>,
    /// A session has ended and the next has not begun.
    lost: bool,
    host: HostWatch,
}

impl Follower<'_> {
    /// Plays a stream, again and again.
    async fn play(&mut self, mut found: Found) {
        let finder = self.finder;
        self.take(&found);
        let mut stream = swarm_rtsp::Camera::new(found.source.clone());
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut heard, mut playing) = (Instant::now(), false);
        // After a long outage the camera is asked until it has answered, though its stream may have come back meanwhile.
        let mut asking: Option<BoxFuture<'_, Result<Found, NotFound>>> = None;
        loop {
            let answer = async {
                match &mut asking {
                    Some(asking) => asking.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = stream.next() => match event {
                    Ok(event) => {
                        heard = Instant::now();
                        playing |= matches!(event, Event::Started(_));
                        self.hear(event);
                    }
                    Err(error) => {
                        self.broken(&error, playing);
                        playing = false;
                    }
                },
                answer = answer => {
                    asking = None;
                    match answer {
                        Ok(anew) => {
                            self.search.found();
                            let anew = anew.known_from(&found);
                            heard = Instant::now();
                            let other_camera = anew.serial != found.serial;
                            if other_camera || (!playing && anew.is_elsewhere(&found)) {
                                if playing {
                                    self.with_track(Track::end);
                                }
                                self.take(&anew);
                                (stream, playing) = (swarm_rtsp::Camera::new(anew.source.clone()), false);
                                found = anew;
                            }
                        }
                        Err(missing) => {
                            let wait = self.search.missed(missing.remedy);
                            if !playing {
                                self.missing(missing);
                            }
                            let again = async move {
                                tokio::time::sleep(wait).await;
                                finder.find().await
                            };
                            asking = Some(again.boxed());
                        }
                    }
                }
                _ = ticks.tick() => {
                    self.watch_host();
                    self.with_track(|track| track.tick(now()));
                    if !playing && asking.is_none() && heard.elapsed() > LOOK_ANEW {
                        asking = Some(finder.find().boxed());
                    }
                }
            }
        }
    }

    fn missing(&self, NotFound { state, detail, .. }: NotFound) {
        if self.desk.view().detail != detail {
            tracing::warn!("{}: {detail}", self.desk.settings.name);
        }
        self.desk.set_state(if self.lost { CameraState::Lost } else { state }, detail);
    }

    /// What comes from here on is of this camera.
    fn take(&mut self, found: &Found) {
        self.desk.view().serial.clone_from(&found.serial);
        self.make_track(&found.serial);
    }

    /// Looks whether this computer's clock was set.
    fn watch_host(&mut self) {
        if let Some(step) = self.host.look(steady(), now(), steady()) {
            tracing::warn!("this computer's clock was set by {:.3} s", step.by_ns as f64 / 1e9);
            self.with_track(|track| track.host_stepped(step));
        }
    }

    /// The track goes on when the same camera comes back: its frames go on being counted.
    fn make_track(&mut self, serial: &str) {
        if self.track.as_ref().is_some_and(|(known, _)| known == serial) {
            return;
        }
        let bias = self.studio.biases.as_ref().and_then(|biases| biases.cameras.get(serial));
        if self.studio.biases.is_some() && bias.is_none() {
            tracing::warn!(
                "{}: the calibration has no camera with serial number '{serial}': nothing is taken off its stamps",
                self.desk.settings.name
            );
        }
        let clock =
            ClockSettings { bias_ns: bias.map_or(0, |bias| bias.bias_ns), ..ClockSettings::default() };
        self.track =
            Some((serial.to_owned(), Track::new(TrackSettings { clock, ..TrackSettings::default() })));
    }

    fn hear(&mut self, event: Event) {
        self.watch_host();
        match event {
            Event::Started(info) => {
                self.reported.clear();
                self.desk.set_state(CameraState::Streaming, "");
                self.with_track(|track| track.begin(stream(info), now()));
            }
            Event::Changed(info) => self.with_track(|track| track.stream(stream(info))),
            Event::Frame { head, data } => self.with_track(|track| track.frame(head, data)),
            Event::Report(report) => self.with_track(|track| track.report(report)),
        }
    }

    fn broken(&mut self, error: &StreamError, was_playing: bool) {
        let why = ErrorChain(error).to_string();
        let person = matches!(
            error,
            StreamError::Unauthorized { .. }
                | StreamError::BFrames { .. }
                | StreamError::NoParameterSets { .. }
                | StreamError::NoVideo { .. }
                | StreamError::UdpNeedsGstreamer
                | StreamError::BuiltWithoutGstreamer
        );
        let state = match (person, self.lost || was_playing) {
            (true, _) => CameraState::Refused,
            (false, true) => CameraState::Lost,
            (false, false) => CameraState::Connecting,
        };
        self.desk.set_state(state, why.clone());
        if was_playing {
            self.lost = true;
            self.with_track(Track::end);
            self.studio.session.tell(Happened::CameraLost { camera: self.desk.settings.name.clone(), why });
        } else {
            tracing::warn!("{}: {why}", self.desk.settings.name);
        }
    }

    /// Does something to the track, and hands on what comes of it.
    fn with_track(&mut self, act: impl FnOnce(&mut Track<Bytes>)) {
        let Some((_, mut track)) = self.track.take() else { return };
        act(&mut track);
        while let Some(output) = track.next() {
            match output {
                TrackOutput::Frame(frame) => {
                    let stream = self.desk.view().stream;
                    if let Some(stream) = stream {
                        self.studio.frame(self.index, stream, &frame);
                    }
                }
                TrackOutput::Event(event) => self.event(event),
            }
        }
        self.desk.view().counts = track.counts();
        let serial = self.desk.view().serial.clone();
        self.track = Some((serial, track));
    }

    fn event(&mut self, event: TrackEvent) {
        let name = &self.desk.settings.name;
        match event {
            TrackEvent::Began { stream, gap_ns } => {
                self.desk.set_stream(stream);
                tracing::info!("{name} streams {:?} {}x{}", stream.codec, stream.width, stream.height);
                if let Some(gap_ns) = gap_ns {
                    self.desk.view().reconnects += 1;
                    self.lost = false;
                    self.studio.session.tell(Happened::CameraBack { camera: name.clone(), gap_ns });
                }
            }
            TrackEvent::Changed { from, to } => {
                self.desk.set_stream(to);
                tracing::warn!(
                    "{name} changed from {:?} {}x{} to {:?} {}x{}",
                    from.codec,
                    from.width,
                    from.height,
                    to.codec,
                    to.width,
                    to.height
                );
            }
            TrackEvent::NoReport { waited } => tracing::warn!(
                "{name} has sent no sender report while {waited} frames waited for one: its stamps are times of arrival"
            ),
            TrackEvent::Clock(event) => self.clock_event(event),
            TrackEvent::Ended => {}
        }
    }

    fn clock_event(&mut self, event: ClockEvent) {
        let name = &self.desk.settings.name;
        let (kind, text) = match event {
            ClockEvent::State { to: ClockState::Locked, .. } => {
                tracing::info!("{name}: the clock is followed by sender reports");
                return;
            }
            ClockEvent::State { from, to } => ("", format!("the clock's state went from {from:?} to {to:?}")),
            ClockEvent::NewBase { base, step_ns, why } => {
                ("", format!("stamps step by {:.3} ms ({why:?}) into base {base}", step_ns as f64 / 1e6))
            }
            ClockEvent::StampsJumped { by_ns } => {
                ("", format!("the camera's time stamps jumped by {:.3} ms", by_ns as f64 / 1e6))
            }
            ClockEvent::CameraStepped { by_ns } => {
                ("", format!("the camera's clock was set by about {:.3} s", by_ns as f64 / 1e9))
            }
            ClockEvent::StampsStandStill => {
                ("still", "several frames have the same time stamp; the firmware is at fault".to_owned())
            }
            ClockEvent::ReportsContradict => (
                "contradict",
                "sender reports name time stamps that no frame has; they are not believed".to_owned(),
            ),
        };
        if kind.is_empty() || self.reported.insert(kind) {
            tracing::warn!("{name}: {text}");
        }
    }
}

fn stream(info: StreamInfo) -> Stream {
    let codec = match info.codec {
        swarm_rtsp::Codec::H264 => Codec::H264,
        swarm_rtsp::Codec::H265 => Codec::H265,
        swarm_rtsp::Codec::Mjpeg => Codec::Mjpeg,
    };
    Stream { codec, width: info.width, height: info.height }
}

/// The codec, as the decoder names it.
#[cfg(feature = "gstreamer")]
pub(crate) fn rtsp_codec(codec: Codec) -> swarm_rtsp::Codec {
    match codec {
        Codec::H264 => swarm_rtsp::Codec::H264,
        Codec::H265 => swarm_rtsp::Codec::H265,
        Codec::Mjpeg => swarm_rtsp::Codec::Mjpeg,
    }
}
