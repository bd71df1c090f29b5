//! GStreamer: the other back end, and the decoder for those who want to see pixels.

pub(crate) mod decode;
pub(crate) mod ingest;
mod packets;

use crate::StreamError;

/// Once per process, and cheap after that.
fn init() -> Result<(), StreamError> {
    gstreamer::init().map_err(|error| StreamError::Gstreamer { detail: error.to_string() })
}

fn make(factory: &str) -> Result<gstreamer::Element, StreamError> {
    gstreamer::ElementFactory::make(factory).build().map_err(|_| StreamError::Gstreamer {
        detail: format!("the element {factory} is missing; install gstreamer1.0-plugins-base, -good, -bad, -ugly and -libav"),
    })
}
