//! A message on its way into a bag.

use bytes::Bytes;

use crate::write::Stamp;

/// A message that several hold at once: ring, queue and publisher share its bytes, and cloning copies none of them.
///
/// Encode it once, with [`cdr::encode`](crate::cdr::encode) or [`video`](crate::video), and make it [`Bytes`] with `.into()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub stamp: Stamp,
    /// Encoded, with the header of CDR.
    pub bytes: Bytes,
    pub kind: Kind,
}

/// Whether a message can be understood without the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It can: any message but coded video.
    Message,
    /// A picture that a decoder can begin with: an IDR of H.264 or H.265, every picture of MJPEG.
    KeyFrame,
    /// A picture that is coded as its difference to others before it.
    DeltaFrame,
}
