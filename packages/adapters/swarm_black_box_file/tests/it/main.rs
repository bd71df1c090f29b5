//! The recorder in virtual time: on a real folder, and on disks that fail.

mod bad_disk;
mod bench;
mod disks;
mod recorder;
