//! Writes the safety monitor's black box into a folder of bounded size.
//!
//! The deciding thread pushes an [`Entry`](swarm_black_box::Entry) into a queue; on an ordinary thread somebody takes
//! it out and hands it to the [`Recorder`]. Only that thread ever waits for the disk: when the disk is slow, the queue fills,
//! and what does not fit is missing. Missing cycles are seen by their numbers, counted and recorded.
//!
//! Flow of an entry
//! 1. In the mode [`Mode::OnStop`] it goes into a ring in memory until something stops the cell; then the ring and what follows
//!    becomes a file, and waits in the ring while there is none. In the mode [`Mode::Continuous`] it goes to the file at once.
//! 2. The chain links and seals it; each sealed segment is handed to the system in one piece, so that a recorder that is killed
//!    loses at most the segment it was filling. Around a stop each segment is also waited for until the disk has it.
//! 3. A file that is full is closed at the next recorded state, so that each can be replayed by itself. The oldest files make room for new
//!    ones, those with a stop last; what was removed is recorded.
//!
//! A disk that fails: the file is given up, the loss counted, a new file tried every second, and that one notes
//! what is missing in front of it. What lies around a stop waits for it in memory, as far as there is room. While nothing has to be written it is
//! probed, so that one that dies or fills up is found before it is needed. A disk that is slow fills the queue: whoever finds no
//! room there says so ([`Health::lose`]). Whether the cell may go on is not decided here: [`Health::must_stop`] says what the
//! configuration wants.
//!
//! Deliberately absent: the queue and the threads (the node's), and the format (core's).

mod account;
mod announce;
mod disk;
mod health;
mod names;
mod options;
mod recorder;
mod ring;
mod series;
mod writer;

pub use announce::Announce;
pub use disk::{Disk, Folder, Output};
pub use health::{Health, OnDiskFailure, Status};
pub use options::{ENTRIES_WAITING, Mode, Options, OptionsError};
pub use recorder::Recorder;
