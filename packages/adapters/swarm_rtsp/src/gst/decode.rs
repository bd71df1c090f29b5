//! Coded frames into pixels, for as long as somebody looks: `appsrc ! parse ! decoder ! videoconvert ! appsink`.
//!
//! The decoder is the highest-ranked one that GStreamer knows for the codec: where the machine has one in hardware it is
//! that, else libav's. Begin with a key frame; frames before it give no picture.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};

use bytes::Bytes;
use gstreamer::prelude::*;
use gstreamer::{
    Buffer, Caps, ClockTime, Element, ElementFactory, ElementFactoryType, FlowError, FlowSuccess, Fraction,
    MessageView, PadDirection, Pipeline, Rank, State,
};
use gstreamer_app::{AppSink, AppSinkCallbacks, AppSrc};
use gstreamer_video::{VideoFrameExt, VideoFrameRef, VideoInfo};

use super::{init, make};
use crate::{Codec, StreamError};

/// What a picture's bytes are, as `sensor_msgs/Image` names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelFormat {
    Rgb8,
    Bgr8,
    Mono8,
}

impl PixelFormat {
    /// The `encoding` of `sensor_msgs/Image`.
    pub fn encoding(self) -> &'static str {
        match self {
            Self::Rgb8 => "rgb8",
            Self::Bgr8 => "bgr8",
            Self::Mono8 => "mono8",
        }
    }

    pub fn bytes_per_pixel(self) -> u32 {
        if self == Self::Mono8 { 1 } else { 3 }
    }

    fn gstreamer(self) -> &'static str {
        match self {
            Self::Rgb8 => "RGB",
            Self::Bgr8 => "BGR",
            Self::Mono8 => "GRAY8",
        }
    }
}

/// One decoded frame, rows without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub width: u32,
    pub height: u32,
    pub format: PixelFormat,
    /// What was given with the frame.
    pub stamp: u64,
    pub data: Vec<u8>,
}

/// Frames that a decoder may be behind. Whoever gives more has a computer that is too slow, and loses them, counted.
const BEHIND: u64 = 30;
/// Pictures that wait to be taken.
const PICTURES: usize = 8;

/// One stream's decoder. It ends with its value.
#[derive(Debug)]
pub struct Decoder {
    pipeline: Pipeline,
    source: AppSrc,
    pictures: Receiver<Result<Picture, StreamError>>,
    element: String,
    dropped: Arc<AtomicU64>,
    ended: bool,
}

impl Decoder {
    pub fn new(codec: Codec, format: PixelFormat) -> Result<Self, StreamError> {
        init()?;
        let (kind, parser) = match codec {
            Codec::H264 => ("video/x-h264", "h264parse"),
            Codec::H265 => ("video/x-h265", "h265parse"),
            Codec::Mjpeg => ("image/jpeg", "jpegparse"),
        };
        let mut caps = Caps::builder(kind);
        if codec != Codec::Mjpeg {
            caps = caps.field("stream-format", "byte-stream").field("alignment", "au");
        }
        // The rate is nobody's: every frame has its own time.
        let caps = caps.field("framerate", Fraction::new(0, 1)).build();
        let source = AppSrc::builder().caps(&caps).format(gstreamer::Format::Time).is_live(true).build();
        source.set_property("max-buffers", BEHIND);
        let wanted = Caps::builder("video/x-raw").field("format", format.gstreamer()).build();
        let sink = AppSink::builder().caps(&wanted).sync(false).build();
        let (give, pictures) = sync_channel(PICTURES);
        let dropped = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&dropped);
        let callback = move |sink: &AppSink| picture(sink, format, &give, &count);
        sink.set_callbacks(AppSinkCallbacks::builder().new_sample(callback).build());
        let decoder = decoder(kind)?;
        let name = decoder.factory().map(|factory| factory.name().to_string()).unwrap_or_default();
        if decoder.has_property("max-threads") {
            decoder.set_property("max-threads", 1_i32); // libav delays a frame per thread more
        }

        let pipeline = Pipeline::new();
        let (parser, convert) = (make(parser)?, make("videoconvert")?);
        let all: [&Element; 5] = [source.upcast_ref(), &parser, &decoder, &convert, sink.upcast_ref()];
        let failed =
            |what: String| StreamError::Gstreamer { detail: format!("decoding {kind} with {name}: {what}") };
        pipeline.add_many(all).map_err(|error| failed(error.to_string()))?;
        Element::link_many(all).map_err(|error| failed(error.to_string()))?;
        pipeline.set_state(State::Playing).map_err(|error| failed(error.to_string()))?;
        Ok(Self { pipeline, source, pictures, element: name, dropped, ended: false })
    }

    /// GStreamer's name of the element that decodes: `avdec_h264`, `vah264dec`, ...
    pub fn element(&self) -> &str {
        &self.element
    }

    /// Frames without a picture, because the decoder was too far behind or nobody took the pictures. A stream that loses a
    /// frame before its decoder shows damage until the next key frame.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Gives it one whole frame; `stamp` comes back with its picture. Does not wait for that.
    pub fn push(&mut self, frame: &Bytes, stamp: u64) -> Result<(), StreamError> {
        self.hear(ClockTime::ZERO)?;
        if self.source.current_level_buffers() >= BEHIND {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        let mut buffer = Buffer::from_slice(frame.clone());
        buffer.get_mut().expect("nobody else has it yet").set_pts(ClockTime::from_nseconds(stamp));
        let pushed = self.source.push_buffer(buffer);
        pushed
            .map(drop)
            .map_err(|error| StreamError::Gstreamer { detail: format!("{}: {error}", self.element) })
    }

    /// The next picture that is ready.
    pub fn take(&mut self) -> Result<Option<Picture>, StreamError> {
        match self.pictures.try_recv() {
            Ok(picture) => picture.map(Some),
            Err(TryRecvError::Empty) => self.hear(ClockTime::ZERO).map(|()| None),
            Err(TryRecvError::Disconnected) => Ok(None),
        }
    }

    /// Says that no more frames come, and returns the pictures that are left.
    pub fn finish(mut self) -> Result<Vec<Picture>, StreamError> {
        let _ = self.source.end_of_stream(); // fails only after an error, which is found below
        let mut left = Vec::new();
        while !self.ended {
            while let Some(picture) = self.take()? {
                left.push(picture);
            }
            self.hear(ClockTime::from_mseconds(5))?;
        }
        for picture in self.pictures.try_iter() {
            left.push(picture?);
        }
        Ok(left)
    }

    /// What the pipeline says, `wait` for the first of it.
    fn hear(&mut self, wait: ClockTime) -> Result<(), StreamError> {
        let bus = self.pipeline.bus().expect("a pipeline has a bus");
        let mut message = bus.timed_pop(wait);
        while let Some(said) = message {
            match said.view() {
                MessageView::Error(error) => {
                    let detail = format!("{}: {}", self.element, error.error());
                    return Err(StreamError::Gstreamer { detail });
                }
                MessageView::Eos(_) => self.ended = true,
                MessageView::Warning(warning) => tracing::debug!(warning = %warning.error(), "decoder"),
                _ => {}
            }
            message = bus.pop();
        }
        Ok(())
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        let pipeline = self.pipeline.clone();
        // Not here: it waits for threads, which may wait for pictures to be taken.
        std::thread::spawn(move || {
            let _ = pipeline.set_state(State::Null);
        });
    }
}

/// The highest-ranked decoder of `kind`, those in hardware first.
fn decoder(kind: &str) -> Result<Element, StreamError> {
    let caps = Caps::new_empty_simple(kind);
    let kinds = ElementFactoryType::DECODER | ElementFactoryType::MEDIA_VIDEO;
    let found = ElementFactory::factories_with_type(kinds, Rank::MARGINAL);
    let mut able: Vec<_> =
        found.into_iter().filter(|factory| factory.can_sink_any_caps(&caps) && is_plain(factory)).collect();
    able.sort_by_key(|factory| {
        let hardware = factory.metadata("klass").is_some_and(|class| class.contains("Hardware"));
        std::cmp::Reverse((hardware, factory.rank()))
    });
    able.iter().find_map(|factory| factory.create().build().ok()).ok_or_else(|| StreamError::Gstreamer {
        detail: format!(
            "nothing decodes {kind} here; install gstreamer1.0-libav, or -plugins-bad for its hardware"
        ),
    })
}

/// Whether it has one fixed input and one fixed output: not `decodebin` and the like.
fn is_plain(factory: &ElementFactory) -> bool {
    let pads = factory.static_pad_templates();
    let always = |direction| {
        pads.iter()
            .filter(|pad| pad.direction() == direction && pad.presence() == gstreamer::PadPresence::Always)
            .count()
            == 1
    };
    pads.len() == 2 && always(PadDirection::Sink) && always(PadDirection::Src)
}

fn picture(
    sink: &AppSink,
    format: PixelFormat,
    give: &SyncSender<Result<Picture, StreamError>>,
    dropped: &AtomicU64,
) -> Result<FlowSuccess, FlowError> {
    let sample = sink.pull_sample().map_err(|_| FlowError::Eos)?;
    let picture = (|| {
        let info = VideoInfo::from_caps(sample.caps()?).ok()?;
        let buffer = sample.buffer()?;
        let frame = VideoFrameRef::from_buffer_ref_readable(buffer, &info).ok()?;
        let row = (info.width() * format.bytes_per_pixel()) as usize;
        let stride = usize::try_from(*frame.plane_stride().first()?).ok().filter(|stride| *stride >= row)?;
        let plane = frame.plane_data(0).ok()?;
        let data: Vec<u8> = plane
            .chunks(stride)
            .take(info.height() as usize)
            .flat_map(|line| &line[..row])
            .copied()
            .collect();
        let stamp = buffer.pts()?.nseconds();
        Some(Picture { width: info.width(), height: info.height(), format, stamp, data })
    })();
    let Some(picture) = picture else {
        let detail = "a decoder gave a picture that is not as it says".to_owned();
        let _ = give.try_send(Err(StreamError::Gstreamer { detail }));
        return Err(FlowError::Error);
    };
    match give.try_send(Ok(picture)) {
        Ok(()) => Ok(FlowSuccess::Ok),
        Err(TrySendError::Full(_)) => {
            dropped.fetch_add(1, Ordering::Relaxed); // whoever looks is slower than the camera
            Ok(FlowSuccess::Ok)
        }
        Err(TrySendError::Disconnected(_)) => Err(FlowError::Eos),
    }
}
