//! What can be wrong with a stream. Every variant names the camera; none has seen its password.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{Address, Codec};

#[derive(Clone, Debug, thiserror::Error)]
pub enum StreamError {
    #[error("cannot find the host of {camera}: {cause}; check the name, or use the camera's number")]
    Unresolved { camera: Address, cause: String },
    #[error(
        "{camera} does not answer ({cause}); check power and cable, and that this computer is in its network"
    )]
    Unreachable { camera: Address, cause: String },
    #[error("{camera} refuses connections to port {}; it may still be booting, or its RTSP is off", camera.port())]
    Refused { camera: Address },
    /// A matter of security, and not retried quickly: cameras lock accounts.
    #[error("{camera} refuses {}; check user and password of this camera", who(*.with_credentials))]
    Unauthorized { camera: Address, with_credentials: bool },
    #[error("{camera}: the camera has no stream of this path; its ONVIF service tells the right one")]
    NotFound { camera: Address },
    #[error("{camera} answered {doing} with status {status}")]
    Status { camera: Address, doing: &'static str, status: u16 },
    #[error("what listens at {camera} does not speak RTSP as expected: {detail}")]
    NotRtsp { camera: Address, detail: String },
    #[error("{camera} did not answer {doing} within {after:?}")]
    NoAnswer { camera: Address, doing: &'static str, after: Duration },
    #[error("{camera} offers no video that can be recorded, only: {offered}; set its encoder to H.264")]
    NoVideo { camera: Address, offered: String },
    #[error(
        "{camera} sends {codec:?} key frames without parameter sets (SPS, PPS), and its description has none either; \
         nobody could decode that. Update its firmware or take another of its streams"
    )]
    NoParameterSets { camera: Address, codec: Codec },
    #[error(
        "{camera} sends B-frames, which arrive in another order than they were taken; viewers and the bag's format \
         expect none. Set its encoder to profile Baseline, or the number of B-frames to 0"
    )]
    BFrames { camera: Address },
    #[error("{camera} sent no frame for {silence:?}")]
    Silent { camera: Address, silence: Duration },
    #[error("{camera} closed the connection")]
    Closed { camera: Address },
    #[error("the stream of {camera} broke: {detail}")]
    Broken { camera: Address, detail: String },
    #[error("RTP over UDP needs the GStreamer back end: retina drops packets that come out of order")]
    UdpNeedsGstreamer,
    #[error("this program was built without GStreamer (feature `gstreamer` of swarm_rtsp)")]
    BuiltWithoutGstreamer,
    #[error("GStreamer cannot do this here: {detail}")]
    Gstreamer { detail: String },
}

fn who(with_credentials: bool) -> &'static str {
    if with_credentials {
        "the user and password it was given"
    } else {
        "to show its stream without user and password"
    }
}

/// Who has to act before another attempt makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Its port answers again.
    Port,
    /// The camera gets ready, or sends something better.
    Camera,
    /// A person changes something.
    Person,
}

impl StreamError {
    pub(crate) fn remedy(&self) -> Remedy {
        match self {
            Self::Unresolved { .. }
            | Self::Unreachable { .. }
            | Self::Refused { .. }
            | Self::Silent { .. }
            | Self::Closed { .. }
            | Self::Broken { .. } => Remedy::Port,
            Self::NotFound { .. }
            | Self::Status { .. }
            | Self::NotRtsp { .. }
            | Self::NoAnswer { .. }
            | Self::NoVideo { .. }
            | Self::NoParameterSets { .. }
            | Self::Gstreamer { .. } => Remedy::Camera,
            Self::Unauthorized { .. }
            | Self::BFrames { .. }
            | Self::UdpNeedsGstreamer
            | Self::BuiltWithoutGstreamer => Remedy::Person,
        }
    }

    pub(crate) fn status(camera: &Address, doing: &'static str, status: u16, with_credentials: bool) -> Self {
        let camera = camera.clone();
        match status {
            401 | 403 => Self::Unauthorized { camera, with_credentials },
            404 => Self::NotFound { camera },
            _ => Self::Status { camera, doing, status },
        }
    }
}

/// One packet each way, and a lost one is sent again after 1 s by TCP itself: no use in waiting for that.
const REACH: Duration = Duration::from_millis(800);

/// Asks cheaply whether the port answers, before a back end waits long for what it asks.
pub(crate) async fn reach(camera: &Address) -> Result<(), StreamError> {
    let found = tokio::net::lookup_host((camera.host(), camera.port())).await;
    let addresses: Vec<_> = match found {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            return Err(StreamError::Unresolved { camera: camera.clone(), cause: error.to_string() });
        }
    };
    let camera = camera.clone();
    match timeout(REACH, TcpStream::connect(addresses.as_slice())).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Err(StreamError::Refused { camera })
        }
        Ok(Err(error)) => Err(StreamError::Unreachable { camera, cause: error.to_string() }),
        Err(_) => Err(StreamError::Unreachable { camera, cause: format!("nothing within {REACH:?}") }),
    }
}
