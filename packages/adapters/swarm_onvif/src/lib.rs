//! ONVIF cameras found and set up. No ROS, no video.
//!
//! Vocabulary
//! - *device*: what answers a probe ([`discover`]); *camera*: a device that is talked to ([`Camera`]).
//! - *endpoint reference*: a device's name for itself that outlives changes of its address.
//! - *service*: a group of operations behind an address: device, Media1, Media2.
//! - *profile*: one stream that a camera offers; its *encoder* makes the video.
//!
//! Flow
//! 1. [`discover`] asks on the network interfaces; every [`Device`] has an address.
//! 2. [`Keyring`] knows users, passwords and certificates, from a private file or from the environment.
//! 3. [`Camera::connect`] reads the camera's clock and services. Which way of logging in it wants, it says itself.
//! 4. [`Camera::configure`] sets it up as [`Wanted`] and reports what it made of that.
//! 5. [`Camera::stream_uri`] says where the stream is.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use swarm_onvif::{Camera, Keyring, TimeSource, NtpServer, Wanted};
//!
//! let keyring = Keyring::load(Some("cameras.yaml".as_ref()))?;
//! let mut camera = Camera::connect("192.168.1.101".parse()?, keyring.access(["192.168.1.101"])).await?;
//! let time = TimeSource::Ntp(vec![NtpServer::new("192.168.1.10")]);
//! let report = camera.configure(&Wanted { frame_rate: Some(30.0), time, ..Wanted::default() }).await?;
//! println!("{report}");
//! let uri = camera.stream_uri(&report.profile).await?;
//! # Ok(()) }
//! ```
//!
//! A camera is a stranger: what it says is bounded, cleaned before it is shown, and never sends us to another host. It hears a
//! password only as a digest.
//!
//! Why a client of our own: `oxvif` is the one complete client on the registry, by one author, with a breaking release every
//! few weeks (0.9 to 0.17 in half a year), and some 86,000 lines for the twelve operations that are needed here. It serves as a
//! camera in the tests instead, beside ones by others (`swarm_camera_bed`). HTTP, TLS, Digest and XML are libraries'.
//!
//! Deliberately absent: video (`swarm_rtsp`), events, PTZ, imaging, Profile G.

mod address;
mod answer;
mod auth;
mod camera;
mod configure;
mod credentials;
pub mod discover_command;
mod discovery;
mod error;
mod http;
mod model;
mod operation;
mod tls;
mod xml;

pub use address::{AddressError, Host, Scheme, ServiceUrl};
#[doc(hidden)]
pub use answer::read_as_everything;
pub use camera::Camera;
pub use configure::{
    BFrames, Change, Found, Gop, Outcome, Plan, ProfileChoice, Report, Setting, Shortfall, Step, TimeSource,
    Verdict, Wanted, plan,
};
pub use credentials::{
    Access, Credentials, DEFAULT_TIMEOUT, Keyring, KeyringError, PASSWORD_VARIABLE, USER_VARIABLE,
};
pub use discovery::{
    DEFAULT_ROUND, Device, DiscoverError, Discovery, Interfaces, Match, Oddity, Unreadable, discover,
    read_matches,
};
pub use error::{Excerpt, Failure, Fault, OnvifError, Refusal};
pub use model::{
    CameraClock, ClockSource, Codec, DeviceInformation, Encoder, EncoderOptions, FrameRates, Media,
    Multicast, Ntp, NtpServer, Profile, RateControl, Resolution, Service, Services,
};
pub use operation::{Operation, SetClock};
pub use tls::{Fingerprint, FingerprintError, Trust};
