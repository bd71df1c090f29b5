//! The follower: keeps one camera connected and hands its frames on.
//!
//! 1. The stream is found: it is named itself, or the camera is asked by ONVIF, and set up on the way.
//! 2. Its events go through the camera's track, and what comes out goes to the studio.
//! 3. When the stream breaks it is connected again by `swarm_rtsp`; when that takes long the camera is asked anew, because
//!    after a change of its settings the stream may be elsewhere.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use swarm_base::ErrorChain;
use swarm_capture_core::recording::Happened;
use swarm_capture_core::{
    ClockEvent, ClockSettings, ClockState, Codec, HostWatch, Stream, Track, TrackEvent, TrackOutput,
    TrackSettings,
};
use swarm_onvif::{Failure, NtpServer, OnvifError, Resolution, ServiceUrl, TimeSource, Wanted};
use swarm_rtsp::{Backend, Event, Source, StreamError, StreamInfo, Transport};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::now;
use crate::studio::{CameraState, Desk, Studio};

/// Between two attempts to find a camera.
const RETRY: Duration = Duration::from_secs(2);
/// A stream that does not come back for this long is looked for anew.
const LOOK_ANEW: Duration = Duration::from_secs(10);
/// How often a track hears that time passes.
const TICK: Duration = Duration::from_millis(50);
/// How long packets may wait for those before them, over UDP.
const REORDER: Duration = Duration::from_millis(50);

/// Follows camera `index` until the other end of `ending` is gone. Then what it still holds is handed on.
pub async fn follow(studio: Arc<Studio>, index: usize, mut ending: watch::Receiver<()>) {
    let desk = &studio.desks[index];
    let mut follower =
        Follower { studio: &studio, index, desk, track: None, reported: BTreeSet::new(), lost: false };
    tokio::select! {
        () = follower.run() => {}
        _ = ending.changed() => {}
    }
    follower.with_track(Track::end);
}

impl Follower<'_> {
    async fn run(&mut self) {
        let (studio, desk) = (self.studio, self.desk);
        let name = &desk.settings.name;
        loop {
            match find(studio, desk).await {
                Ok(found) => {
                    desk.view().serial.clone_from(&found.serial);
                    self.play(found).await;
                }
                Err(NotFound { state, detail }) => {
                    if desk.view().detail != detail {
                        tracing::warn!("{name}: {detail}");
                    }
                    desk.set_state(if self.lost { CameraState::Lost } else { state }, detail);
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// A stream, and whose it is.
struct Found {
    source: Source,
    serial: String,
}

struct NotFound {
    state: CameraState,
    detail: String,
}

async fn find(studio: &Studio, desk: &Desk) -> Result<Found, NotFound> {
    let refused = |detail: String| NotFound { state: CameraState::Refused, detail };
    let typed = &desk.settings.address;
    let (uri, serial, credentials) = if desk.settings.is_stream() {
        let address: swarm_rtsp::Address =
            typed.parse().map_err(|error| refused(format!("'{typed}': {error}")))?;
        let access = studio.keyring.access([address.host().as_str()]);
        (address, String::new(), access.credentials)
    } else {
        ask(studio, desk).await?
    };
    let mut source = Source::new(uri);
    source.credentials = credentials.map(|known| swarm_rtsp::Credentials {
        user: known.user().to_owned(),
        password: known.reveal_password().to_owned(),
    });
    if studio.settings.gstreamer {
        source.backend = Backend::Gstreamer;
    }
    if studio.settings.udp {
        source.transport = Transport::Udp { reorder: REORDER };
    }
    Ok(Found { source, serial })
}

/// Asks the camera where its stream is, and sets it up.
async fn ask(
    studio: &Studio,
    desk: &Desk,
) -> Result<(swarm_rtsp::Address, String, Option<swarm_onvif::Credentials>), NotFound> {
    let typed = &desk.settings.address;
    let failed = |error: &OnvifError| {
        let person = matches!(
            error.failure,
            Failure::WrongPassword { .. }
                | Failure::CredentialsNeeded(_)
                | Failure::OnlyBasic
                | Failure::UnknownCertificate { .. }
                | Failure::OtherCertificate { .. }
                | Failure::NoProfile { .. }
                | Failure::NoService(_)
        );
        let state = if person { CameraState::Refused } else { CameraState::Connecting };
        NotFound { state, detail: ErrorChain(error).to_string() }
    };
    let url: ServiceUrl = typed
        .parse()
        .map_err(|error| NotFound { state: CameraState::Refused, detail: format!("'{typed}': {error}") })?;
    let host = url.host().to_string();
    let access = studio.keyring.access([typed.as_str(), host.as_str()]);
    let credentials = access.credentials.clone();
    let mut camera = match swarm_onvif::Camera::connect(url.clone(), access.clone()).await {
        Ok(camera) => camera,
        // Nobody at the usual port: perhaps the camera says another one when it is asked where it is.
        Err(error) if typed.parse::<IpAddr>().is_ok() => match elsewhere(typed).await {
            Some(other) => {
                swarm_onvif::Camera::connect(other, access).await.map_err(|error| failed(&error))?
            }
            None => return Err(failed(&error)),
        },
        Err(error) => return Err(failed(&error)),
    };
    let serial = camera.information().await.map(|information| information.serial_number).unwrap_or_default();
    let profile = if let Some(wanted) = studio.settings.configure {
        let time = match studio.settings.ntp_server.as_str() {
            "" => TimeSource::Keep,
            server => TimeSource::Ntp(vec![NtpServer::new(server)]),
        };
        let wanted = Wanted {
            frame_rate: (wanted.frame_rate > 0.0).then_some(wanted.frame_rate as f32),
            resolution: wanted.resolution.map(|(width, height)| Resolution { width, height }),
            time,
            ..Wanted::default()
        };
        let report = camera.configure(&wanted).await.map_err(|error| failed(&error))?;
        let name = &desk.settings.name;
        if report.is_as_wanted() {
            tracing::info!("{name}: {report}");
        } else {
            tracing::warn!("{name} is not set up as asked: {report}");
        }
        report.profile
    } else {
        let profiles = camera.profiles().await.map_err(|error| failed(&error))?;
        profiles.into_iter().find(|profile| profile.encoder.is_some()).ok_or_else(|| NotFound {
            state: CameraState::Refused,
            detail: format!("{host} offers no profile with video; make one in the camera's settings"),
        })?
    };
    let uri = camera.stream_uri(&profile).await.map_err(|error| failed(&error))?;
    let address = uri.parse().map_err(|error| NotFound {
        state: CameraState::Refused,
        detail: format!("{host} says that its stream is at '{uri}', which is no RTSP address: {error}"),
    })?;
    Ok((address, serial, credentials))
}

/// Where the device with this IP address says its service is.
async fn elsewhere(ip: &str) -> Option<ServiceUrl> {
    let round =
        swarm_onvif::discover(&swarm_onvif::Interfaces::All, swarm_onvif::DEFAULT_ROUND).await.ok()?;
    let here = |url: &&ServiceUrl| url.host().to_string() == ip;
    round.devices.iter().flat_map(|device| &device.addresses).find(here).cloned()
}

/// One camera's stream on its way through the track.
struct Follower<'a> {
    studio: &'a Studio,
    index: usize,
    desk: &'a Desk,
    track: Option<(String, Track<Bytes>)>,
    /// Events of the clock that were told; each kind once a session.
    reported: BTreeSet<&'static str>,
    /// A session has ended and the next has not begun.
    lost: bool,
}

impl Follower<'_> {
    /// Plays a stream until it is gone for long.
    async fn play(&mut self, found: Found) {
        let mut stream = swarm_rtsp::Camera::new(found.source);
        self.make_track(&found.serial);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut heard, mut playing) = (Instant::now(), false);
        let (mut host, epoch) = (HostWatch::default(), std::time::Instant::now());
        let mut looks = 0_u32;
        let steady = move || swarm_base::Time(u64::try_from(epoch.elapsed().as_nanos()).unwrap_or(u64::MAX));
        loop {
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
                _ = ticks.tick() => {
                    looks += 1;
                    if looks.is_multiple_of(20)
                        && let Some(by) = host.look(steady(), now(), steady())
                    {
                        tracing::warn!("this computer's clock was set by {:.3} s", by as f64 / 1e9);
                        self.with_track(|track| track.host_stepped(by));
                    }
                    self.with_track(|track| track.tick(now()));
                    if !playing && heard.elapsed() > LOOK_ANEW {
                        return;
                    }
                }
            }
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
