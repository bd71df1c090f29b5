//! Pictures served as IP cameras serve them: H.264 over RTSP, with sender reports that say when each was taken.
//!
//! The counterpart of what a recorder connects to, for cells whose cameras are drawn. GStreamer codes and gst-rtsp-server
//! speaks; nothing of either is made here.
//!
//! Flow
//! 1. [`Server::start`] listens, and gives a [`Feed`] for each [`Stream`].
//! 2. Somebody connects: [`Feed::is_watched`]. Until then nothing needs to be drawn, and nothing is coded.
//! 3. [`Feed::give`] hands a picture on with the moment at which it was taken. That moment, and not the later one at which it
//!    is sent, is what the RTP time stamps and sender reports tell.
//!
//! What does not keep up is dropped before it is coded, never after, so that no frame lacks another that it builds upon; each
//! drop is counted.
//!
//! Deliberately absent: passwords and encryption. Listen on loopback.

mod coding;
mod feed;
mod server;

pub use feed::{Fate, Feed};
pub use server::{ServeError, Server};

/// A camera as its viewers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Of its address `rtsp://HOST:PORT/NAME`; letters, digits, `_` and `-`.
    pub name: String,
    /// Pixels; even, as coding halves the colours.
    pub width: u32,
    pub height: u32,
    /// Frames a second, and most frames from one key frame to the next.
    pub rate_hz: u32,
}

impl Stream {
    /// Bytes of one picture: rows from top to bottom, three bytes a pixel (red, green, blue), nothing between rows.
    pub fn picture_bytes(&self) -> usize {
        self.width as usize * self.height as usize * 3
    }
}
