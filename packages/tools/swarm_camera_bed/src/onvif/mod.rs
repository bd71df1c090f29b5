//! Devices that answer as ONVIF cameras do: real ones of others ([`peers`]), and many that answer as badly as cameras in the
//! field ([`fleet`]). Each lives in a [`crate::namespace::Namespace`], so that no multicast leaves the test.

pub mod fleet;
pub mod peers;
