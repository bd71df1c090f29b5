//! The back end by retina: RTP inside of the RTSP connection, frames put together and passed through.
//!
//! - Loss is counted in RTP packets by their sequence numbers; a frame with a hole is left out by retina, and its packets
//!   are counted with the next frame.
//! - A packet that makes no sense, or comes out of order inside of TCP, ends the connection: the next one begins with a key
//!   frame soon, and half of a picture is never taken for a whole one.
//! - Time stamps may jump or stand still: nothing here compares them.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use retina::NtpTimestamp;
use retina::client::{
    Credentials, Demuxed, Described, InitialSequenceNumberPolicy, PlayOptions, Session, SessionOptions,
    SetupOptions, Transport,
};
use retina::codec::{
    CodecItem, FrameFormat, ParametersRef, VideoFrame, VideoParameters, VideoParametersCodec,
};
use retina::rtcp::ReceivedCompoundPacket;
use swarm_capture_core::{CameraTime, FrameHead, HostTime, SenderReport};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::bitstream::has_b_frames;
use crate::{Address, Codec, Event, Ingest, Source, StreamError, StreamInfo};

/// Key frames without parameter sets until it is clear that none will come.
const KEY_FRAMES_WITHOUT_PARAMETERS: u32 = 2;

pub(crate) struct Retina {
    camera: Address,
    /// Taken out at the end only, see `Drop`.
    session: Option<Pin<Box<Demuxed>>>,
    stream: usize,
    codec: Codec,
    info: Option<StreamInfo>,
    key_frames_without: u32,
    ready: VecDeque<Event>,
    runtime: Handle,
}

pub(crate) async fn open(source: &Source) -> Result<Retina, StreamError> {
    let camera = &source.address;
    let credentials = source.credentials();
    let failed = |doing: &'static str| {
        move |error: retina::Error| match error.status_code() {
            Some(status) if !(200..300).contains(&status) => {
                StreamError::status(camera, doing, status, credentials.is_some())
            }
            _ => StreamError::NotRtsp { camera: camera.clone(), detail: first_line(&error) },
        }
    };
    let late = |doing| StreamError::NoAnswer { camera: camera.clone(), doing, after: source.answer };

    let options = SessionOptions::default()
        .creds(credentials.map(|c| Credentials { username: c.user.clone(), password: c.password.clone() }))
        .user_agent("swarm_rtsp".to_owned());
    let mut session = timeout(source.answer, Session::describe(camera.url().clone(), options))
        .await
        .map_err(|_| late("DESCRIBE"))?
        .map_err(failed("DESCRIBE"))?;
    let (stream, codec) = choose(&session, camera)?;
    let setup =
        SetupOptions::default().transport(Transport::Tcp(<_>::default())).frame_format(FrameFormat::SIMPLE);
    timeout(source.answer, session.setup(stream, setup))
        .await
        .map_err(|_| late("SETUP"))?
        .map_err(failed("SETUP"))?;
    // Not the number that PLAY announces: a busy server sends packets from before it, which would count as out of order.
    let play = PlayOptions::default().initial_seq(InitialSequenceNumberPolicy::Ignore);
    let session = timeout(source.answer, session.play(play))
        .await
        .map_err(|_| late("PLAY"))?
        .map_err(failed("PLAY"))?
        .demuxed()
        .map_err(failed("DESCRIBE"))?;
    Ok(Retina {
        camera: camera.clone(),
        session: Some(Box::pin(session)),
        stream,
        codec,
        info: None,
        key_frames_without: 0,
        ready: VecDeque::with_capacity(2),
        runtime: Handle::current(),
    })
}

/// The first video stream that can be recorded. Cameras offer audio and metadata beside it.
fn choose(session: &Session<Described>, camera: &Address) -> Result<(usize, Codec), StreamError> {
    let codec = |name: &str| match name {
        "h264" => Some(Codec::H264),
        "h265" => Some(Codec::H265),
        "jpeg" => Some(Codec::Mjpeg),
        _ => None,
    };
    let mut streams = session.streams().iter().enumerate();
    let found = streams.find_map(|(index, stream)| {
        (stream.media() == "video").then_some(())?;
        Some((index, codec(stream.encoding_name())?))
    });
    found.ok_or_else(|| {
        let names = session.streams().iter().map(|s| format!("{}/{}", s.media(), s.encoding_name()));
        let offered = names.collect::<Vec<_>>().join(", ");
        let offered = if offered.is_empty() { "nothing".to_owned() } else { offered };
        StreamError::NoVideo { camera: camera.clone(), offered }
    })
}

impl Ingest for Retina {
    fn next(&mut self) -> BoxFuture<'_, Result<Event, StreamError>> {
        async {
            loop {
                if let Some(event) = self.ready.pop_front() {
                    return Ok(event);
                }
                let session = self.session.as_mut().expect("taken in drop alone");
                match session.next().await {
                    None => return Err(StreamError::Closed { camera: self.camera.clone() }),
                    Some(Err(error)) => {
                        return Err(StreamError::Broken {
                            camera: self.camera.clone(),
                            detail: first_line(&error),
                        });
                    }
                    Some(Ok(CodecItem::VideoFrame(frame))) => self.frame(frame)?,
                    Some(Ok(CodecItem::Rtcp(packets))) => {
                        self.ready.extend(reports(&packets).map(Event::Report));
                    }
                    Some(Ok(_)) => {}
                }
            }
        }
        .boxed()
    }
}

impl Retina {
    /// Puts what `frame` means into `ready`.
    fn frame(&mut self, frame: VideoFrame) -> Result<(), StreamError> {
        let key = frame.is_random_access_point();
        if self.info.is_none() || frame.has_new_parameters() {
            let session = self.session.as_ref().expect("taken in drop alone");
            let Some(ParametersRef::Video(parameters)) = session.streams()[self.stream].parameters() else {
                self.key_frames_without += u32::from(key);
                if self.key_frames_without < KEY_FRAMES_WITHOUT_PARAMETERS {
                    return Ok(());
                }
                return Err(StreamError::NoParameterSets { camera: self.camera.clone(), codec: self.codec });
            };
            let info = info(parameters);
            match self.info.replace(info) {
                None => self.ready.push_back(Event::Started(info)),
                Some(before) if before != info => self.ready.push_back(Event::Changed(info)),
                Some(_) => {}
            }
        }
        let head = FrameHead {
            rtp: frame.timestamp().timestamp() as u32,
            first_arrival: host_time(frame.start_ctx().received_wall().into()),
            arrival: host_time(frame.end_ctx().received_wall().into()),
            lost_packets: u32::from(frame.loss()),
            key,
            size: frame.data().len() as u32,
        };
        if has_b_frames(self.codec, key, frame.data()) {
            return Err(StreamError::BFrames { camera: self.camera.clone() });
        }
        self.ready.push_back(Event::Frame { head, data: Bytes::from(frame.into_data()) });
        Ok(())
    }
}

impl Drop for Retina {
    /// Retina says TEARDOWN from a task, for which there has to be a runtime wherever this is dropped.
    fn drop(&mut self) {
        let _inside = self.runtime.enter();
        self.session.take();
    }
}

fn info(parameters: &VideoParameters) -> StreamInfo {
    let (width, height) = parameters.pixel_dimensions();
    let codec = match parameters.codec_params() {
        VideoParametersCodec::H264 { .. } => Codec::H264,
        VideoParametersCodec::H265 { .. } => Codec::H265,
        _ => Codec::Mjpeg,
    };
    StreamInfo { codec, width, height }
}

fn reports(packets: &ReceivedCompoundPacket) -> impl Iterator<Item = SenderReport> + '_ {
    let arrival = host_time(packets.ctx().received_wall().into());
    packets.pkts().filter_map(move |packet| {
        let report = packet.as_sender_report().ok().flatten()?;
        let camera = camera_time(report.ntp_timestamp())?;
        Some(SenderReport { camera, rtp: report.rtp_timestamp(), arrival })
    })
}

/// `None` from a camera without a wall clock (RFC 3550 section 6.4.1: it may send zero).
pub(crate) fn camera_time(ntp: NtpTimestamp) -> Option<CameraTime> {
    if ntp.0 == 0 {
        return None;
    }
    let (seconds, fraction) = (ntp.0 >> 32, ntp.0 & 0xffff_ffff);
    // The first bit is 0 from 2036 on (RFC 4330 section 3).
    let seconds = seconds + if seconds >> 31 == 0 { 1 << 32 } else { 0 };
    let since_1970 = seconds.cast_signed() - (retina::UNIX_EPOCH.0 >> 32).cast_signed();
    let ns = (fraction * 1_000_000_000 + (1 << 31)) >> 32;
    Some(CameraTime(since_1970 * 1_000_000_000 + ns.cast_signed()))
}

pub(crate) fn host_time(time: SystemTime) -> HostTime {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => HostTime(since.as_nanos() as i64),
        Err(before) => HostTime(-(before.duration().as_nanos() as i64)),
    }
}

/// What went wrong; the lines after it say where in a packet capture, which nobody has at hand.
fn first_line(error: &retina::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_becomes_nanoseconds_since_1970() {
        let at = |seconds: u64, fraction: u64| camera_time(NtpTimestamp(seconds << 32 | fraction));
        assert_eq!(at(2_208_988_800, 0), Some(CameraTime(0)));
        assert_eq!(at(2_208_988_800 + 1_767_225_600, 1 << 31), Some(CameraTime(1_767_225_600_500_000_000)));
        // 7 February 2036, 06:28:16 UTC: the second era begins.
        assert_eq!(at(0, 1 << 31), Some(CameraTime(2_085_978_496_500_000_000)));
        assert_eq!(at(0, 0), None);
    }
}
