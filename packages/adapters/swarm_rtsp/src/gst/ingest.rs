//! The back end by GStreamer: `rtspsrc ! depay ! parse ! appsink`, with a look at every packet before the depayloader.
//!
//! GStreamer's threads put events into a bounded queue; when it is full they wait, so that what nobody takes is lost at the
//! socket, where sequence numbers tell.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use gstreamer::prelude::*;
use gstreamer::{
    BufferFlags, Caps, Element, FlowError, FlowSuccess, MessageView, PadProbeReturn, PadProbeType, Pipeline,
    ResourceError, State, glib,
};
use gstreamer_app::{AppSink, AppSinkCallbacks};
use swarm_capture_core::FrameHead;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;

use super::packets::{Track, reports};
use super::{init, make};
use crate::bitstream::has_b_frames;
use crate::by_retina::host_time;
use crate::{Address, Codec, Event, Ingest, Source, StreamError, StreamInfo, Transport};

/// Some seconds of one stream.
const QUEUE: usize = 128;

pub(crate) struct Gstreamer {
    pipeline: Pipeline,
    events: Receiver<Event>,
    ends: Receiver<StreamError>,
}

/// What the callbacks share.
struct Shared {
    camera: Address,
    events: Sender<Event>,
    ends: Sender<StreamError>,
    /// What the description offers, and what of it was taken.
    offered: Mutex<(Vec<String>, Option<Codec>)>,
    with_credentials: bool,
}

pub(crate) async fn open(source: &Source) -> Result<Gstreamer, StreamError> {
    init()?;
    let (events_in, events) = channel(QUEUE);
    let (ends_in, ends) = channel(4);
    let shared = Arc::new(Shared {
        camera: source.address.clone(),
        events: events_in,
        ends: ends_in,
        offered: Mutex::default(),
        with_credentials: source.credentials().is_some(),
    });
    let rtsp = make("rtspsrc")?;
    rtsp.set_property("location", source.address.url().as_str());
    if let Some(credentials) = source.credentials() {
        rtsp.set_property("user-id", &credentials.user);
        rtsp.set_property("user-pw", &credentials.password);
    }
    let (protocol, latency) = match source.transport {
        Transport::Tcp => ("tcp", 0),
        Transport::Udp { reorder } => ("udp", reorder.as_millis() as u32),
    };
    rtsp.set_property_from_str("protocols", protocol);
    rtsp.set_property("latency", latency);
    // Times from RTP alone: they name a frame on its way, and mean nothing.
    rtsp.set_property_from_str("buffer-mode", "none");
    rtsp.set_property("tcp-timeout", source.answer.as_micros() as u64);
    rtsp.set_property("timeout", 0_u64); // no change to TCP when UDP stays silent: the supervisor sees that
    rtsp.set_property("user-agent", "swarm_rtsp");

    let pipeline = Pipeline::new();
    pipeline.add(&rtsp).expect("a new pipeline takes its first element");
    let answered = connect(&rtsp, &pipeline, &shared);
    watch(&pipeline, &shared);
    let mut stream = Gstreamer { pipeline, events, ends };
    if stream.pipeline.set_state(State::Playing).is_err() {
        let nothing = StreamError::Gstreamer { detail: "the pipeline does not start".to_owned() };
        return Err(stream.ends.try_recv().unwrap_or(nothing));
    }
    let first = async {
        tokio::select! {
            biased;
            Some(error) = stream.ends.recv() => Err(error),
            Ok(()) = answered => Ok(()),
            else => Err(StreamError::Closed { camera: source.address.clone() }),
        }
    };
    match timeout(source.answer, first).await {
        Ok(result) => result.map(|()| stream),
        Err(_) => Err(StreamError::NoAnswer {
            camera: source.address.clone(),
            doing: "DESCRIBE",
            after: source.answer,
        }),
    }
}

/// Connects the signals of `rtsp`. The receiver hears when the camera has described itself.
fn connect(rtsp: &Element, pipeline: &Pipeline, shared: &Arc<Shared>) -> tokio::sync::oneshot::Receiver<()> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let tell = Mutex::new(Some(tell));
    rtsp.connect("on-sdp", false, move |_| {
        lock(&tell).take().map(|tell| tell.send(()));
        None
    });
    rtsp.connect("select-stream", false, {
        let shared = Arc::clone(shared);
        move |values| {
            let caps = values.get(2).and_then(|value| value.get::<Caps>().ok())?;
            Some(shared.select(&caps).to_value())
        }
    });
    rtsp.connect("new-manager", false, {
        let shared = Arc::clone(shared);
        move |values| {
            let manager = values.get(1).and_then(|value| value.get::<Element>().ok())?;
            let shared = Arc::clone(&shared);
            manager.connect_pad_added(move |_, pad| {
                if pad.name().starts_with("recv_rtcp_sink") {
                    hear_reports(pad, Arc::clone(&shared));
                }
            });
            None
        }
    });
    let pipeline = pipeline.downgrade();
    let shared = Arc::clone(shared);
    rtsp.connect_pad_added(move |_, pad| {
        let codec = lock(&shared.offered).1;
        if let (Some(pipeline), Some(codec)) = (pipeline.upgrade(), codec)
            && let Err(error) = attach(&pipeline, pad, codec, &shared)
        {
            let _ = shared.ends.try_send(error); // an earlier one is enough
        }
    });
    told
}

impl Shared {
    /// The first video that can be recorded, and nothing else.
    fn select(&self, caps: &Caps) -> bool {
        let text = |field| caps.structure(0).and_then(|s| s.get::<String>(field).ok()).unwrap_or_default();
        let (media, name) = (text("media"), text("encoding-name").to_lowercase());
        let codec = match name.as_str() {
            "h264" => Some(Codec::H264),
            "h265" => Some(Codec::H265),
            "jpeg" => Some(Codec::Mjpeg),
            _ => None,
        };
        let mut offered = lock(&self.offered);
        offered.0.push(format!("{media}/{name}"));
        let wanted = media == "video" && codec.is_some() && offered.1.is_none();
        if wanted {
            offered.1 = codec;
        }
        wanted
    }

    /// What an error means; `status` is that of the camera's answer, where it was one.
    fn end(&self, error: &glib::Error, status: Option<u32>) -> StreamError {
        let camera = self.camera.clone();
        let offered = lock(&self.offered);
        let detail = error.message().to_owned();
        if let Some(status) = status.and_then(|status| u16::try_from(status).ok()) {
            let doing = if offered.0.is_empty() { "DESCRIBE" } else { "SETUP or PLAY" };
            return StreamError::status(&camera, doing, status, self.with_credentials);
        }
        if error.matches(ResourceError::NotAuthorized) {
            return StreamError::Unauthorized { camera, with_credentials: self.with_credentials };
        }
        if error.matches(ResourceError::NotFound) && offered.0.is_empty() {
            return StreamError::NotFound { camera };
        }
        if offered.1.is_none() && !offered.0.is_empty() {
            return StreamError::NoVideo { camera, offered: offered.0.join(", ") };
        }
        if offered.0.is_empty() {
            return StreamError::NotRtsp { camera, detail };
        }
        StreamError::Broken { camera, detail }
    }
}

fn watch(pipeline: &Pipeline, shared: &Arc<Shared>) {
    let bus = pipeline.bus().expect("a pipeline has a bus");
    let shared = Arc::clone(shared);
    bus.set_sync_handler(move |_, message| {
        let end = match message.view() {
            MessageView::Error(error) => {
                tracing::debug!(error = %error.error(), details = ?error.debug(), "GStreamer");
                let status = error.details().and_then(|details| details.get::<u32>("rtsp-status-code").ok());
                Some(shared.end(&error.error(), status))
            }
            MessageView::Eos(_) => Some(StreamError::Closed { camera: shared.camera.clone() }),
            _ => None,
        };
        if let Some(end) = end {
            let _ = shared.ends.try_send(end); // the first ones are enough
        }
        gstreamer::BusSyncReply::Drop
    });
}

fn hear_reports(pad: &gstreamer::Pad, shared: Arc<Shared>) {
    pad.add_probe(PadProbeType::BUFFER, move |_, info| {
        if let Some(map) = info.buffer().and_then(|buffer| buffer.map_readable().ok()) {
            for report in reports(&map, host_time(SystemTime::now())) {
                if shared.events.blocking_send(Event::Report(report)).is_err() {
                    break; // nobody listens any more
                }
            }
        }
        PadProbeReturn::Ok
    });
}

/// Puts the rest of the pipeline behind the pad of the chosen stream.
fn attach(
    pipeline: &Pipeline,
    from: &gstreamer::Pad,
    codec: Codec,
    shared: &Arc<Shared>,
) -> Result<(), StreamError> {
    let failed = |detail: String| StreamError::Gstreamer { detail };
    let (depayloader, parser, kind) = match codec {
        Codec::H264 => ("rtph264depay", "h264parse", "video/x-h264"),
        Codec::H265 => ("rtph265depay", "h265parse", "video/x-h265"),
        Codec::Mjpeg => ("rtpjpegdepay", "jpegparse", "image/jpeg"),
    };
    let (depayloader, parser) = (make(depayloader)?, make(parser)?);
    let mut caps = Caps::builder(kind);
    if codec != Codec::Mjpeg {
        parser.set_property("config-interval", -1_i32); // parameter sets before each key frame
        caps = caps.field("stream-format", "byte-stream").field("alignment", "au");
    }
    let sink = AppSink::builder().caps(&caps.build()).sync(false).build();
    let track = Arc::new(Mutex::new(Track::new(codec)));

    let input = depayloader.static_pad("sink").expect("a depayloader has a sink");
    input.add_probe(PadProbeType::BUFFER | PadProbeType::BUFFER_LIST, {
        let (track, shared) = (Arc::clone(&track), Arc::clone(shared));
        move |_, info| {
            let arrival = host_time(SystemTime::now());
            let look = |buffer: &gstreamer::BufferRef| {
                let pts = buffer.pts().map(gstreamer::ClockTime::nseconds);
                buffer.map_readable().is_ok_and(|packet| !lock(&track).packet(&packet, pts, arrival))
            };
            let hopeless = match (info.buffer(), info.buffer_list()) {
                (Some(buffer), _) => look(buffer),
                (None, Some(list)) => list.iter().map(look).fold(false, |any, one| any | one),
                (None, None) => false,
            };
            if hopeless {
                let _ = shared
                    .ends
                    .try_send(StreamError::NoParameterSets { camera: shared.camera.clone(), codec });
            }
            PadProbeReturn::Ok
        }
    });

    let mut info = None;
    let shared = Arc::clone(shared);
    let frame = move |sink: &AppSink| {
        let sample = sink.pull_sample().map_err(|_| FlowError::Eos)?;
        let Some(buffer) = sample.buffer_owned() else { return Ok(FlowSuccess::Ok) };
        let pts = buffer.pts().map(gstreamer::ClockTime::nseconds);
        let size = sample.caps().and_then(|caps| {
            let structure = caps.structure(0)?;
            Some((structure.get::<i32>("width").ok()?, structure.get::<i32>("height").ok()?))
        });
        let Some(seen) = lock(&track).frame(pts) else { return Ok(FlowSuccess::Ok) };
        if buffer.flags().contains(BufferFlags::CORRUPTED) {
            return Ok(FlowSuccess::Ok);
        }
        let send = |event| shared.events.blocking_send(event).map_err(|_| FlowError::Flushing);
        if let Some((width, height)) = size {
            let new = StreamInfo { codec, width: width as u32, height: height as u32 };
            match info.replace(new) {
                None => send(Event::Started(new))?,
                Some(before) if before != new => send(Event::Changed(new))?,
                Some(_) => {}
            }
        }
        let data = Bytes::from_owner(buffer.into_mapped_buffer_readable().map_err(|_| FlowError::Error)?);
        if has_b_frames(codec, seen.key, &data) {
            let _ = shared.ends.try_send(StreamError::BFrames { camera: shared.camera.clone() });
            return Err(FlowError::Error);
        }
        let head = FrameHead {
            rtp: seen.rtp,
            first_arrival: seen.first_arrival,
            arrival: seen.arrival,
            lost_packets: seen.lost,
            key: seen.key,
            size: data.len() as u32,
        };
        send(Event::Frame { head, data })?;
        Ok(FlowSuccess::Ok)
    };
    sink.set_callbacks(AppSinkCallbacks::builder().new_sample(frame).build());

    let sink: &Element = sink.upcast_ref();
    let all = [&depayloader, &parser, sink];
    pipeline.add_many(all).map_err(|error| failed(error.to_string()))?;
    Element::link_many(all).map_err(|error| failed(error.to_string()))?;
    for element in all {
        element.sync_state_with_parent().map_err(|error| failed(error.to_string()))?;
    }
    from.link(&input).map_err(|error| failed(error.to_string()))?;
    Ok(())
}

impl Ingest for Gstreamer {
    fn next(&mut self) -> BoxFuture<'_, Result<Event, StreamError>> {
        async {
            tokio::select! {
                biased; // what came before the end is given out first
                Some(event) = self.events.recv() => Ok(event),
                Some(end) = self.ends.recv() => Err(end),
                else => Err(StreamError::Gstreamer { detail: "the pipeline has gone".to_owned() }),
            }
        }
        .boxed()
    }
}

impl Drop for Gstreamer {
    /// Ends the session from a thread of its own: GStreamer waits there for threads and for the camera.
    fn drop(&mut self) {
        self.events.close(); // and nobody waits to put something in
        let pipeline = self.pipeline.clone();
        std::thread::spawn(move || {
            let _ = pipeline.set_state(State::Null); // never fails on the way down
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
