//! Coded video frames from RTSP cameras, as the camera sent them: nothing is decoded on the way to a bag.
//!
//! Vocabulary
//! - *back end*: who speaks RTSP. [`Backend::Retina`] is the default: pure Rust, RTP inside of the TCP connection, a third of
//!   GStreamer's work. [`Backend::Gstreamer`] (feature `gstreamer`) also takes RTP over UDP, and puts packets into order.
//! - *report*: an RTCP sender report; it says what the camera's wall clock read at one RTP time stamp.
//! - *parameter sets*: SPS and PPS (H.265: VPS too), without which nobody can decode. Every key frame given out carries them.
//!
//! Flow
//! 1. [`Source`] says which camera, how, and with which [`Credentials`].
//! 2. [`Camera::new`] keeps it connected: [`Camera::next`] gives [`Event`]s, and errors as news between them, without end.
//! 3. [`open`] is one connection without anybody who repeats it.
//!
//! ```no_run
//! use swarm_rtsp::{Camera, Event, Source};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let mut camera = Camera::new(Source::new("rtsp://192.168.1.101/stream1".parse()?));
//! loop {
//!     match camera.next().await {
//!         Ok(Event::Frame { head, data }) => println!("{} bytes, key frame: {}", data.len(), head.key),
//!         Ok(Event::Started(info) | Event::Changed(info)) => println!("{info:?}"),
//!         Ok(Event::Report(_)) => {}
//!         Err(news) => eprintln!("{news}"), // it goes on by itself
//!     }
//! }
//! # }
//! ```
//!
//! Deliberately absent: what the times mean (`swarm_capture_core`), finding and setting up cameras, audio and metadata streams.

mod address;
mod backoff;
mod bitstream;
mod by_retina;
mod camera;
mod error;
#[cfg(feature = "gstreamer")]
mod gst;

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use swarm_capture_core::{FrameHead, SenderReport};

pub use address::{Address, AddressError, Credentials};
pub use camera::Camera;
pub use error::StreamError;
#[cfg(feature = "gstreamer")]
pub use gst::decode::{Decoder, Picture, PixelFormat};

/// For fuzzing; not an interface to build on.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::bitstream::{first_slice_is_b, nal_units, reorders};
}

/// Which stream, and how to get it.
#[derive(Clone, Debug)]
pub struct Source {
    pub address: Address,
    /// In place of those in the address, where there are any.
    pub credentials: Option<Credentials>,
    pub backend: Backend,
    pub transport: Transport,
    /// A stream without a frame for this long counts as broken. Longer than the time between two frames.
    pub silence: Duration,
    /// The camera has this long to answer until it plays.
    pub answer: Duration,
}

impl Source {
    /// With retina over TCP; 3 s of silence, 10 s to answer.
    pub fn new(address: Address) -> Self {
        Self {
            address,
            credentials: None,
            backend: Backend::default(),
            transport: Transport::default(),
            silence: Duration::from_secs(3),
            answer: Duration::from_secs(10),
        }
    }

    fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref().or(self.address.credentials())
    }
}

/// Who speaks RTSP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    #[default]
    Retina,
    /// Only where this crate was built with the feature `gstreamer`.
    Gstreamer,
}

/// How RTP packets come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Inside of the RTSP connection: nothing is lost but by the camera itself.
    #[default]
    Tcp,
    /// In datagrams, put in order for as long as `reorder` allows. With [`Backend::Gstreamer`] only: retina drops what comes
    /// out of order.
    Udp { reorder: Duration },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    H264,
    H265,
    Mjpeg,
}

/// What kind of frames come from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    pub codec: Codec,
    /// Of the picture as shown, without the coder's padding, pixels.
    pub width: u32,
    pub height: u32,
}

/// What comes from a stream, in the order in which it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// First of a connection, and again after each reconnection. Frames before any parameter set are not given out.
    Started(StreamInfo),
    /// H.264 and H.265 as Annex B, one whole frame with parameter sets before each key frame; Mjpeg as JPEG files.
    Frame {
        head: FrameHead,
        data: Bytes,
    },
    Report(SenderReport),
    /// The camera changed its resolution within the connection; stands before the first frame that is different.
    Changed(StreamInfo),
}

/// One connection to one stream. The contract that both back ends are tested for is `tests/contract.rs`.
pub trait Ingest: Send {
    /// The next event; [`Event::Started`] first. After an error the connection is over. May be dropped while it waits
    /// without losing anything.
    fn next(&mut self) -> BoxFuture<'_, Result<Event, StreamError>>;
}

/// Connects once. Needs a Tokio runtime with time and I/O.
pub async fn open(source: &Source) -> Result<Box<dyn Ingest>, StreamError> {
    error::reach(&source.address).await?;
    match (source.backend, source.transport) {
        (Backend::Retina, Transport::Tcp) => Ok(Box::new(by_retina::open(source).await?)),
        (Backend::Retina, Transport::Udp { .. }) => Err(StreamError::UdpNeedsGstreamer),
        #[cfg(feature = "gstreamer")]
        (Backend::Gstreamer, _) => Ok(Box::new(gst::ingest::open(source).await?)),
        #[cfg(not(feature = "gstreamer"))]
        (Backend::Gstreamer, _) => Err(StreamError::BuiltWithoutGstreamer),
    }
}
