//! The safety monitor's black box: inputs and verdicts of every cycle as bytes that show each later change, and from which
//! every verdict can be derived again.
//!
//! Vocabulary
//! - *entry*: what the deciding thread hands over in a cycle ([`Entry`]); *record*: what a file holds ([`Record`]).
//! - *link*: SHA-256 over the link before and the record. *Chain*: all links of a file.
//! - *segment*: the records of about 100 ms. *Seal*: the record that ends it, signed with the cell's Ed25519 key; it names
//!   the link before it and the seal before that, so that one seal vouches for everything in front of it.
//! - *series*: the files of one recorder, each of which names the last seal of the one before.
//! - *snapshot*: the whole state before a cycle, so that a file can be replayed without those before it.
//!
//! Flow
//! 1. [`Chain`] turns records into bytes; the caller writes them.
//! 2. [`verify`] reads the bytes again and lists everything that is wrong with them; [`junction`] looks at two files.
//! 3. [`Replay`] makes the configuration from the texts in the header, calls the production `step` with each recorded
//!    argument, and compares verdicts and states bit for bit.
//!
//! A file, little endian: [`MAGIC`], then records until the end.
//!
//! | record | bytes |
//! |---|---|
//! | length of kind and body | 4 |
//! | kind | 1: header 0, cycle 1, snapshot 2, limits 3, lost 4, close 5, seal 6, removed 7 |
//! | body | the fields in the order of the record's declaration, as in [`swarm_safety_core::wire`]; digests, key and signature as their bytes |
//! | link | 32: SHA-256 of link before, length, kind and body; before the first stands SHA-256 of `swarm black box chain 1\0` |
//!
//! The signature of a seal is over `swarm black box seal 1\0` and the seal's fields before it. There is one way to write a
//! value, and none refers to an earlier record: a record can be read by itself. The encoding is our own since it must keep
//! every bit of a float, must be explained in one table, and is 200 lines; a general library would bring its own rules.
//!
//! What it shows: any change, removal, insertion or exchange of records and files in front of the newest seal that the
//! reader knows. What it does not show: a file that was cut at the end and is the last of its series looks as one whose
//! recorder was killed; [`verify`] calls its end open, and only a seal that someone kept elsewhere tells more. Whoever
//! has the cell's private key can write a new history. The same program on the same kind of computer derives the same
//! bits; mathematical functions of another system's library may round otherwise, and a replay there says so.
//!
//! Deliberately absent: files, disks, threads (an adapter's), and the queue to the deciding thread.

mod chain;
mod reading;
mod record;
mod replay;
mod verify;

pub use chain::{Chain, MAGIC};
pub use reading::{Frame, Frames, NotABlackBox, Tail, frames, records};
pub use record::{CloseReason, ConfigureError, Cycle, Digest, Entry, Header, Limits, Place, Record, Seal};
pub use replay::{Differs, Replay, Replayed};
pub use verify::{End, Fault, Hex, Junction, Problem, Signed, Unreadable, Verification, junction, verify};
