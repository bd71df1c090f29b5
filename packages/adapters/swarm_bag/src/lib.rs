//! rosbag2 bags without ROS: `.db3` and `.mcap`, written so that `ros2 bag info` and `ros2 bag play` take them, and read.
//!
//! Vocabulary
//! - *bag*: one storage file, or a directory of them with metadata.yaml. `ros2 bag` opens both forms.
//! - *storage*: SQLite (`.db3`, schema 4) or MCAP (profile `ros2`).
//! - *CDR*: the bytes of a message, see [`cdr`].
//! - *definition*, *type hash*: what lets a bag be read without the packages its messages come from, see [`Definitions`].
//!
//! Flow of a recording
//! 1. [`BagWriter::create`] makes the file or directory; it never replaces one.
//! 2. [`BagWriter::add_topic`] for each [`Topic`], then [`BagWriter::write`] with times in nanoseconds since the epoch.
//! 3. Several times a second [`BagWriter::sync`] puts what came onto the disk. A bag that is cut off, by `kill -9` or by the
//!    plug, opens in every reader as it is and ends at that point.
//! 4. [`BagWriter::finish`] leaves an indexed bag.
//!
//! ```
//! use swarm_bag::msg::JointState;
//! use swarm_bag::{BagReader, BagWriter, Qos, Topic, WriteOptions};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("demo_001.db3");
//! let mut bag = BagWriter::create(&path, WriteOptions::default())?;
//! let joints = bag.add_topic(Topic::of::<JointState>("/joint_states", Qos::reliable(10))?)?;
//! let message = JointState { name: vec!["elbow".into()], position: vec![0.5], ..JointState::default() };
//! bag.write(joints, 1_767_225_600_000_000_000, &message)?;
//! bag.finish()?;
//!
//! let mut bag = BagReader::open(&path)?;
//! let first = bag.next().expect("the message above");
//! assert_eq!(bag.decode::<JointState>(&first)?, message);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`BagReader`] gives topics and messages back in time order, from whole bags and from cut ones.
//!
//! Around these stand what a recording node needs: [`recorder`], a bag written by a thread of its own that never makes anyone
//! wait and counts what it had to drop; [`ring`], the last seconds in memory; [`video`], coded pictures as messages. [`check`] says
//! whether a bag is whole, and [`cut()`] takes a part of one.
//!
//! Deliberately absent: subscribing and publishing, coding of video, compression of whole files.

pub mod cdr;
pub mod check;
mod cut;
mod definition;
mod durable;
mod error;
mod item;
mod latched;
mod metadata;
pub mod msg;
mod qos;
mod read;
pub mod recorder;
pub mod ring;
mod topic;
pub mod video;
mod write;

pub use cdr::CdrError;
pub use cut::{Cut, cut};
pub use definition::{Definition, DefinitionError, Definitions};
pub use error::BagError;
pub use item::{Item, Kind};
pub use latched::{LATCHED_BYTES, LATCHED_MESSAGES, Latched};
pub use metadata::{FileInfo, ListedTopic, Listing, Metadata, Span, Storage, TopicCount};
pub use qos::{Durability, Profiles, Qos, Reliability};
pub use read::{BagMessage, BagReader, Filter};
pub use topic::Topic;
pub use write::{BagWriter, Compression, Split, Stamp, Survives, TopicId, WriteOptions};
