//! What a camera says of itself, as plain values.

use std::fmt;
use std::net::IpAddr;

/// Answer of `GetDeviceInformation`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceInformation {
    pub manufacturer: String,
    pub model: String,
    pub firmware: String,
    pub serial_number: String,
    pub hardware: String,
}

/// The services of `GetServices`, or of `GetCapabilities` where a camera has only that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Services {
    pub listed: Vec<Service>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// `http://www.onvif.org/ver10/media/wsdl`
    pub namespace: String,
    /// As the camera gives it; [`crate::Camera`] does not go there blindly.
    pub address: String,
}

impl Services {
    pub fn find(&self, namespace: &str) -> Option<&Service> {
        self.listed.iter().find(|service| service.namespace.trim_end_matches('/') == namespace)
    }

    /// Short names for people: `device media media2 events`.
    pub fn short_names(&self) -> Vec<String> {
        let short = |service: &Service| {
            let parts: Vec<&str> = service.namespace.trim_end_matches('/').split('/').collect();
            match parts.as_slice() {
                [.., "ver20", "media", "wsdl"] => "media2".to_owned(),
                [.., name, "wsdl"] => (*name).to_owned(),
                _ => service.namespace.clone(),
            }
        };
        self.listed.iter().map(short).collect()
    }
}

/// The camera's clock, as `GetSystemDateAndTime` gives it: to the second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraClock {
    pub source: ClockSource,
    pub daylight_savings: bool,
    /// POSIX 1003.1 time zone, `CET-1CEST,M3.5.0,M10.5.0/3`.
    pub time_zone: Option<String>,
    /// Seconds since 1970; none if the camera gives no time.
    pub utc_unix_s: Option<i64>,
    /// How many seconds the camera was ahead of this computer when it answered.
    pub ahead_s: Option<i64>,
}

/// What sets a camera's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockSource {
    Manual,
    Ntp,
}

impl fmt::Display for ClockSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Manual => "set by hand",
            Self::Ntp => "NTP",
        })
    }
}

/// Whom a camera asks for the time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ntp {
    /// Servers named by DHCP are used; `servers` are those, then.
    pub from_dhcp: bool,
    pub servers: Vec<NtpServer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NtpServer {
    Address(IpAddr),
    Name(String),
}

impl NtpServer {
    /// An address where `text` is one, else a name.
    pub fn new(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Address)
    }
}

impl fmt::Display for NtpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl fmt::Display for Ntp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<String> = self.servers.iter().map(ToString::to_string).collect();
        match (self.from_dhcp, servers.is_empty()) {
            (true, _) => f.write_str("by DHCP"),
            (false, true) => f.write_str("no server"),
            (false, false) => f.write_str(&servers.join(", ")),
        }
    }
}

/// Which of the two media services a profile came from. What belongs to it is asked of the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `ver10/media`: H.264 and JPEG.
    Media1,
    /// `ver20/media`: also H.265, and control of B-frames.
    Media2,
}

impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Media1 => "Media1",
            Self::Media2 => "Media2",
        })
    }
}

/// One stream that a camera offers.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    pub media: Media,
    pub token: String,
    pub name: String,
    /// None for profiles of sound or metadata alone.
    pub encoder: Option<Encoder>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Codec {
    H264,
    H265,
    Jpeg,
    Other(String),
}

impl Codec {
    /// As ONVIF writes it.
    pub fn name(&self) -> &str {
        match self {
            Self::H264 => "H264",
            Self::H265 => "H265",
            Self::Jpeg => "JPEG",
            Self::Other(name) => name,
        }
    }

    pub(crate) fn from_onvif(name: &str) -> Self {
        // Media2 allows IANA's names, which vary in case.
        match name.to_ascii_uppercase().as_str() {
            "H264" => Self::H264,
            "H265" => Self::H265,
            "JPEG" => Self::Jpeg,
            _ => Self::Other(name.to_owned()),
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resolution {
    pub width: u32,
    pub height: u32,
}

impl Resolution {
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    pub fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// A video encoder's configuration. What is not set here is sent back to the camera as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoder {
    pub token: String,
    pub name: String,
    pub use_count: u32,
    pub codec: Codec,
    pub resolution: Resolution,
    pub quality: f32,
    pub rate: Option<RateControl>,
    /// Frames from one key frame to the next.
    pub gop: Option<u32>,
    /// `Baseline`, `Main`, `High`: of H.264 or H.265.
    pub coding_profile: Option<String>,
    /// Media2: frames from one reference frame to the next; 1 is without B-frames.
    pub anchor_distance: Option<u32>,
    pub guaranteed_frame_rate: Option<bool>,
    pub multicast: Option<Multicast>,
    /// Media1, as xs:duration.
    pub session_timeout: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RateControl {
    /// Frames per second at most.
    pub frame_rate: f32,
    pub bitrate_kbps: u32,
    /// Media1: every n-th frame is encoded.
    pub encoding_interval: u32,
    /// Media2.
    pub constant_bit_rate: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multicast {
    pub address: Option<IpAddr>,
    pub port: u32,
    pub ttl: u32,
    pub auto_start: bool,
}

/// What an encoder can do with one codec.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderOptions {
    pub codec: Codec,
    pub resolutions: Vec<Resolution>,
    pub frame_rates: FrameRates,
    pub gop: Option<(u32, u32)>,
    pub bitrate_kbps: Option<(u32, u32)>,
    pub coding_profiles: Vec<String>,
    /// Largest distance of reference frames; none where B-frames cannot be controlled.
    pub max_anchor_distance: Option<u32>,
}

/// Frames per second that can be had.
#[derive(Clone, Debug, PartialEq)]
pub enum FrameRates {
    Unknown,
    Range(f32, f32),
    List(Vec<f32>),
}

impl FrameRates {
    /// The nearest rate that is offered.
    pub fn nearest(&self, wanted: f32) -> f32 {
        match self {
            Self::Unknown => wanted,
            Self::Range(low, high) => wanted.max(*low).min(*high),
            Self::List(rates) => {
                let distance = |rate: &f32| (rate - wanted).abs();
                rates.iter().copied().min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(wanted)
            }
        }
    }
}
