//! Real RTSP cameras followed by the production parts: `swarm_rtsp` in, stamped frames out.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use futures::future::join_all;
use swarm_capture_core::{
    Codec, HostTime, StampedFrame, Stream, Track, TrackEvent, TrackOutput, TrackSettings,
};
use swarm_rtsp::{Camera, Event, Source, StreamInfo};
use tokio::time::timeout_at;

/// What came of one camera.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) frames: Vec<StampedFrame<()>>,
    pub(crate) events: Vec<TrackEvent>,
}

fn now() -> HostTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    HostTime(since.as_nanos() as i64)
}

fn stream(info: StreamInfo) -> Stream {
    let codec = match info.codec {
        swarm_rtsp::Codec::H264 => Codec::H264,
        swarm_rtsp::Codec::H265 => Codec::H265,
        swarm_rtsp::Codec::Mjpeg => Codec::Mjpeg,
    };
    Stream { codec, width: info.width, height: info.height }
}

/// Follows the cameras at `urls` for `time`, all on one thread as the capture node does.
pub(crate) fn follow(urls: &[String], time: Duration) -> Result<Vec<Seen>> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start tokio")?;
    let until = Instant::now() + time;
    runtime.block_on(async { join_all(urls.iter().map(|url| one(url, until))).await.into_iter().collect() })
}

async fn one(url: &str, until: Instant) -> Result<Seen> {
    let mut camera = Camera::new(Source::new(url.parse().with_context(|| format!("'{url}' is no address"))?));
    let mut track: Track<()> = Track::new(TrackSettings::default());
    let mut seen = Seen::default();
    let mut runs = false;
    while let Ok(next) = timeout_at(until.into(), camera.next()).await {
        match next {
            Ok(Event::Started(info)) => {
                if std::mem::replace(&mut runs, true) {
                    track.end();
                }
                track.begin(stream(info), now());
            }
            Ok(Event::Changed(info)) => track.stream(stream(info)),
            Ok(Event::Frame { head, .. }) => track.frame(head, ()),
            Ok(Event::Report(report)) => track.report(report),
            Err(news) => eprintln!("{url}: {news}"),
        }
        seen.take(&mut track);
    }
    track.end();
    seen.take(&mut track);
    Ok(seen)
}

impl Seen {
    fn take(&mut self, track: &mut Track<()>) {
        while let Some(output) = track.next() {
            match output {
                TrackOutput::Frame(frame) => self.frames.push(frame),
                TrackOutput::Event(event) => self.events.push(event),
            }
        }
    }
}
