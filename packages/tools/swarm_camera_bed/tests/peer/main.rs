//! Against devices and clients that nobody here wrote, in network namespaces.

mod onvif;
