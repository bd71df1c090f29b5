//! The registry: its contract on every kind of database and storage, its pages, and the program itself.

mod access;
mod common;
mod live;
mod local;
mod openapi;
mod page;
#[cfg(feature = "peer-tests")]
mod peers;
#[cfg(feature = "peer-tests")]
mod postgres;
mod s3;
