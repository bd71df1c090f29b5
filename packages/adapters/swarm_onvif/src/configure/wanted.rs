//! What a camera shall be.

use crate::model::{Codec, NtpServer, Resolution};

/// What is wanted of one camera; the default changes only what recording needs: a key frame each second, and no B-frames.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    pub profile: ProfileChoice,
    /// `None` keeps what the camera has, here and below.
    pub codec: Option<Codec>,
    pub resolution: Option<Resolution>,
    /// Frames per second.
    pub frame_rate: Option<f32>,
    pub bitrate_kbps: Option<u32>,
    pub gop: Gop,
    pub b_frames: BFrames,
    pub time: TimeSource,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            profile: ProfileChoice::First,
            codec: None,
            resolution: None,
            frame_rate: None,
            bitrate_kbps: None,
            gop: Gop::AtMostOneSecond,
            b_frames: BFrames::Never,
            time: TimeSource::Keep,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProfileChoice {
    /// The first with video.
    First,
    /// By its token or its name.
    Named(String),
}

/// Frames from one key frame to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gop {
    /// Not more than frames per second: a recording can be begun, cut and looked into at every second, and what one lost
    /// packet spoils is over within a second. A shorter one is kept.
    AtMostOneSecond,
    Frames(u32),
    Keep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BFrames {
    /// They come out of order, which viewers of `CompressedVideo` do not expect. Media2 switches them off; with Media1 a
    /// coding profile that has none, or seldom has any, is chosen.
    Never,
    Keep,
}

/// What shall set the camera's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeSource {
    Keep,
    /// NTP from these servers.
    Ntp(Vec<NtpServer>),
    /// NTP from the servers that DHCP names.
    NtpByDhcp,
}
