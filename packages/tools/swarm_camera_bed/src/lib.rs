//! A bench of cameras without cameras: network namespaces, real camera stand-ins with wrong clocks, a proxy that delays and loses.

pub mod namespace;
pub mod onvif;
pub mod proxy;
pub mod rtsp;
