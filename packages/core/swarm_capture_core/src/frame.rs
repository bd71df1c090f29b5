//! What a camera's stream says: frames and sender reports, as plain values. Adapters make them, everything here reads them.

/// A moment of this host's system clock, nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostTime(pub i64);

impl HostTime {
    /// Nanoseconds since `earlier`, negative before it. Absurd times give the nearest number that there is.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    #[must_use]
    pub const fn plus(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }
}

/// A moment of a camera's clock as its sender reports tell it (NTP, moved to 1970), nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CameraTime(pub i64);

/// RTP clock of video, Hz (RFC 6184 section 8.2.1).
pub const RTP_RATE_HZ: u32 = 90_000;

/// One RTCP sender report (RFC 3550 section 6.4.1): at `camera` the stream's RTP clock read `rtp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderReport {
    pub camera: CameraTime,
    pub rtp: u32,
    pub arrival: HostTime,
}

/// What is known of one coded frame beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    pub rtp: u32,
    /// Of its first packet. The clock fit rests on this one: what a frame's size costs on the wire is not in it.
    pub first_arrival: HostTime,
    /// Of its last packet.
    pub arrival: HostTime,
    /// RTP packets lost since the frame before; they may have been of this frame or of whole frames.
    pub lost_packets: u32,
    /// Whether decoding can begin here.
    pub key: bool,
    /// Of the coded frame, bytes.
    pub size: u32,
}
