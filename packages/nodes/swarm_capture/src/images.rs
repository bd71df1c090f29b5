//! Decoded pictures of one camera on `/<camera>/image`, made only while somebody subscribes to them.
//!
//! A decoder begins with a key frame, so that the first picture comes within a second of the subscription. Where the computer
//! is too slow frames are left out up to the next key frame, and counted; recording is never held up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use r2r::Publisher;
use r2r::sensor_msgs::msg::Image;
use r2r::std_msgs::msg::Header;
use swarm_capture_core::{HostTime, StampedFrame};
use swarm_ros::{NodeShell, stamp};
use swarm_rtsp::{Codec, Decoder, Picture, PixelFormat, StreamError};

/// Frames that wait for the decoder.
const WAITING: usize = 15;
/// How often pictures are taken, and without a frame for how long the decoder is given up.
const LOOK: Duration = Duration::from_millis(10);
const IDLE: Duration = Duration::from_secs(2);
/// How often subscribers are looked for while there are none.
const LOOK_FOR_SUBSCRIBERS: Duration = Duration::from_millis(100);

struct Coded {
    codec: Codec,
    captured: HostTime,
    data: Bytes,
}

/// The pictures of one camera.
#[derive(Debug)]
pub struct Images {
    frames: SyncSender<Coded>,
    /// Whether somebody subscribes, as the worker last saw it.
    wanted: Arc<AtomicBool>,
    /// Frames are of no use before the next key frame.
    waits_for_key: AtomicBool,
    dropped: AtomicU64,
}

impl std::fmt::Debug for Coded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coded").field("captured", &self.captured).finish_non_exhaustive()
    }
}

impl Images {
    /// Makes the topic and a thread that decodes for it; the thread ends with the value.
    pub fn start(shell: &mut NodeShell, camera: &str, frame_id: &str) -> anyhow::Result<Self> {
        // As image_transport's raw publisher and most camera drivers.
        let profile = r2r::QosProfile::default().reliable().volatile().keep_last(2);
        let publisher = shell.publisher::<Image>(&format!("/{camera}/image"), profile)?;
        let wanted = Arc::new(AtomicBool::new(false));
        let (frames, coded) = sync_channel(WAITING);
        let (camera, frame_id) = (camera.to_owned(), frame_id.to_owned());
        let worker = Worker { camera, frame_id, publisher, wanted: Arc::clone(&wanted) };
        std::thread::Builder::new().name("decode".into()).spawn(move || worker.run(&coded))?;
        Ok(Self { frames, wanted, waits_for_key: AtomicBool::new(true), dropped: AtomicU64::new(0) })
    }

    /// Decodes a frame if somebody wants its picture. Never waits.
    pub fn offer(&self, codec: Codec, frame: &StampedFrame<Bytes>) {
        if !self.wanted.load(Ordering::Relaxed) {
            self.waits_for_key.store(true, Ordering::Relaxed);
            return;
        }
        if self.waits_for_key.load(Ordering::Relaxed) && !frame.head.key {
            return;
        }
        let coded = Coded { codec, captured: frame.capture, data: frame.payload.clone() };
        let full = matches!(self.frames.try_send(coded), Err(TrySendError::Full(_)));
        self.waits_for_key.store(full, Ordering::Relaxed);
        self.dropped.fetch_add(u64::from(full), Ordering::Relaxed);
    }

    /// Frames that were left out because the decoder was behind.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

struct Worker {
    camera: String,
    frame_id: String,
    publisher: Publisher<Image>,
    wanted: Arc<AtomicBool>,
}

impl Worker {
    fn run(self, coded: &Receiver<Coded>) {
        let mut decoder: Option<(Codec, Decoder)> = None;
        let mut quiet = Duration::ZERO;
        loop {
            let subscribers = self.publisher.get_inter_process_subscription_count().unwrap_or(0);
            self.wanted.store(subscribers > 0, Ordering::Relaxed);
            let wait = if decoder.is_some() { LOOK } else { LOOK_FOR_SUBSCRIBERS };
            let outcome = match coded.recv_timeout(wait) {
                Ok(frame) => {
                    quiet = Duration::ZERO;
                    self.decode(&mut decoder, &frame)
                }
                Err(RecvTimeoutError::Timeout) => {
                    quiet += wait;
                    self.publish(&mut decoder)
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if let Err(error) = outcome {
                tracing::error!("no pictures of {} up to the next key frame: {error}", self.camera);
                decoder = None;
            }
            if quiet >= IDLE {
                decoder = None;
            }
        }
    }

    fn decode(&self, decoder: &mut Option<(Codec, Decoder)>, frame: &Coded) -> Result<(), StreamError> {
        if decoder.as_ref().is_none_or(|(codec, _)| *codec != frame.codec) {
            let made = Decoder::new(frame.codec, PixelFormat::Rgb8)?;
            tracing::info!("decoding {} with {} while somebody looks", self.camera, made.element());
            *decoder = Some((frame.codec, made));
        }
        if let Some((_, decoder)) = decoder {
            decoder.push(&frame.data, frame.captured.0.max(0).unsigned_abs())?;
        }
        self.publish(decoder)
    }

    fn publish(&self, decoder: &mut Option<(Codec, Decoder)>) -> Result<(), StreamError> {
        let Some((_, decoder)) = decoder else { return Ok(()) };
        while let Some(picture) = decoder.take()? {
            let message = self.message(picture);
            if let Err(error) = self.publisher.publish(&message) {
                tracing::warn!("a picture of {} cannot be published: {error}", self.camera);
            }
        }
        Ok(())
    }

    fn message(&self, picture: Picture) -> Image {
        let captured = i64::try_from(picture.stamp).unwrap_or(i64::MAX);
        Image {
            header: Header {
                stamp: stamp::from_nanos(captured.unsigned_abs()),
                frame_id: self.frame_id.clone(),
            },
            height: picture.height,
            width: picture.width,
            encoding: picture.format.encoding().to_owned(),
            is_bigendian: 0,
            step: picture.width * picture.format.bytes_per_pixel(),
            data: picture.data,
        }
    }
}
