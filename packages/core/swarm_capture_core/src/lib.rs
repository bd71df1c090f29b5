//! Clock fit of cameras, grouping of their frames, accounting of what was lost: plain values in, plain values out.

mod frame;

pub use frame::{CameraTime, FrameHead, HostTime, RTP_RATE_HZ, SenderReport};
