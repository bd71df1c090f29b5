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
use swarm_capture_core::search::{self, Search, Who};
use swarm_capture_core::{
    ClockEvent, ClockState, Codec, HostWatch, Stream, Track, TrackEvent, TrackOutput, TrackSettings,
};
use swarm_rtsp::{Event, StreamError, StreamInfo};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::find::{Finder, Found, NotFound};
use crate::studio::{CameraState, Desk, Studio};
use crate::{now, steady};

/// How often a track hears that time passes.
const TICK: Duration = Duration::from_millis(50);

/// Follows camera `index` until the other end of `ending` is gone. Then what it still holds is handed on, and it streams no more.
pub async fn follow(studio: Arc<Studio>, index: usize, mut ending: watch::Receiver<()>) {
    let desk = &studio.desks[index];
    let finder = Finder::new(&studio.settings, &studio.keyring, &desk.settings);
    let mut follower = Follower {
        studio: &studio,
        index,
        desk,
        finder: &finder,
        search: Search::default(),
        track: Track::new(TrackSettings::default()),
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
    track: Track<Bytes>,
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
        self.take(&found, false);
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
                            heard = Instant::now();
                            let who = self.take(&anew, playing);
                            if who.plays_anew(playing, anew.is_elsewhere(&found)) {
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
                    if !playing && asking.is_none() && search::is_due(heard.elapsed()) {
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

    /// A camera was found: what comes from here on is of that one. `playing` says whether a session of the one before goes on.
    fn take(&mut self, found: &Found, playing: bool) -> Who {
        let who = self.search.found(&found.serial);
        self.search.serial().clone_into(&mut self.desk.view().serial);
        match who {
            Who::Same => {}
            Who::First | Who::Learned => {
                let bias_ns = self.bias_ns();
                self.with_track(|track| track.set_bias(bias_ns));
            }
            Who::Other => {
                tracing::warn!(
                    "{}: another camera, '{}', is there now",
                    self.desk.settings.name,
                    self.search.serial()
                );
                if playing {
                    self.with_track(Track::end);
                }
                let bias_ns = self.bias_ns();
                self.with_track(|track| track.other_camera(bias_ns));
            }
        }
        who
    }

    /// How late the stamps are of the camera that was found, ns.
    fn bias_ns(&self) -> i64 {
        let (Some(biases), serial) = (&self.studio.biases, self.search.serial()) else { return 0 };
        if let Some(bias) = biases.cameras.get(serial) {
            return bias.bias_ns;
        }
        tracing::warn!(
            "{}: the calibration has no camera with serial number '{serial}': nothing is taken off its stamps",
            self.desk.settings.name
        );
        0
    }

    /// Looks whether this computer's clock was set.
    fn watch_host(&mut self) {
        if let Some(step) = self.host.look(steady(), now(), steady()) {
            tracing::warn!("this computer's clock was set by {:.3} s", step.by_ns as f64 / 1e9);
            self.with_track(|track| track.host_stepped(step));
        }
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
        act(&mut self.track);
        while let Some(output) = self.track.next() {
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
        self.desk.view().counts = self.track.counts();
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
