//! What capture decides: when each frame was captured, which frames belong together, what was lost, what a recording does
//! next. Plain values in, plain values out; the time is an argument.
//!
//! Vocabulary
//! - *host clock*: this computer's system clock ([`HostTime`]). Every stamp is told by it.
//! - *report*: an RTCP sender report ([`SenderReport`]): the camera's own clock beside its RTP time stamp.
//! - *envelope*: the line of earliest arrivals over the RTP time stamps. A packet comes late or on time, never early, so the
//!   line through the earliest ones is the RTP clock told by the host clock, late by a constant ([`Envelope`]).
//! - *stamp*: when a frame was captured, by the host clock; [`Timing`] says how well that is known.
//! - *base*: the number of the time base that a stamp is told in. It grows where stamps make a step that was not slewed.
//! - *bias*: the constant by which a camera's stamps are late, from [`calibrate`].
//! - *session*: from the start of a camera's stream to its end, one RTP time line.
//!
//! Flow of a frame
//! 1. An adapter makes [`FrameHead`]s and [`SenderReport`]s; the shell hands them to the camera's [`Track`].
//! 2. The track counts what was lost on the way, lets the first frames wait for the first report, and stamps them with its
//!    [`CameraClock`]. Out come [`StampedFrame`]s with sequence numbers, and [`TrackEvent`]s.
//! 3. The [`Grouper`] puts the frames of several cameras together, one to one, nearest first.
//! 4. [`recording::Recording`] turns requests and what happened into steps for the shell.
//!
//! Before that the shell has to find the camera: [`search::Search`] says which one it is, and when it is looked for again.
//! A camera's [`Lens`] goes beside the frames, where somebody has calibrated it.
//!
//! Deliberately absent: sockets, files, threads, decoding, ROS, asking for the time.

pub mod calibrate;
mod clock;
mod frame;
mod group;
mod host_watch;
mod lens;
mod reception;
pub mod recording;
pub mod search;
mod track;

pub use clock::{
    Anchor, BaseChange, CameraClock, ClockEvent, ClockSettings, ClockState, Envelope, Fit, Placed, Stamp,
    Timing,
};
pub use frame::{CameraTime, FrameHead, HostTime, RTP_RATE_HZ, SenderReport};
pub use group::{Group, GroupCounts, GroupFrame, GroupSettings, Grouper};
pub use host_watch::{HostStep, HostWatch};
pub use lens::{DistortionModel, Lens, WrongSize};
pub use reception::ReceptionClock;
pub use track::{
    Codec, FrameCounts, LossEstimate, StampedFrame, Stream, Track, TrackEvent, TrackOutput, TrackSettings,
    WaitLimits,
};
