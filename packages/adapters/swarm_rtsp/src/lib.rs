//! Coded video frames from RTSP cameras, with retina or GStreamer.
