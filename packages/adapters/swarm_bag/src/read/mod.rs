//! Reading a bag: topics, counts, and the messages of all its files in the order of their times.
//!
//! A bag that was cut off gives what is whole, and [`BagReader::damage`] says what is not. Whether a bag has its
//! metadata.yaml does not matter; what counts is in the storage.

mod mcap;
mod sqlite;
mod unfold;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::cdr;
use crate::error::{At, BagError};
use crate::metadata::{FILE_NAME, FileInfo, Listing, Metadata, Span, Storage, TopicCount};
use crate::msg::Message;
use crate::topic::Topic;
use crate::write::Stamp;

/// A message of a bag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BagMessage {
    /// Index into [`BagReader::topics`].
    pub topic: usize,
    pub stamp: Stamp,
    /// The encoded message, CDR with every middleware there is; see [`BagReader::decode`].
    pub data: Vec<u8>,
}

/// Which messages are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Names of topics; `None` means all.
    pub topics: Option<Vec<String>>,
    /// Times of reception, nanoseconds since the epoch: `from` is in, `until` is not.
    pub from: Option<i64>,
    pub until: Option<i64>,
}

impl Filter {
    fn has_time(&self, time: i64) -> bool {
        self.from.is_none_or(|from| time >= from) && self.until.is_none_or(|until| time < until)
    }

    fn has_topic(&self, name: &str) -> bool {
        self.topics.as_ref().is_none_or(|names| names.iter().any(|wanted| wanted == name))
    }
}

/// One storage file that is being read.
trait StorageReader: std::fmt::Debug {
    /// Topics of this file, with their counts.
    fn topics(&self) -> &[TopicCount];
    fn span(&self) -> Span;
    /// What the file says about itself, if it does.
    fn listing(&self) -> Option<&Listing>;
    /// Whether its recorder has ended it.
    fn is_finished(&self) -> bool;
    /// Begins anew. `wanted` has one entry per topic of this file.
    fn rewind(&mut self, wanted: &[bool], filter: &Filter);
    /// The next message in time; its topic is an index into this file's. `None` at the end, also at one that came early.
    fn next(&mut self) -> Option<BagMessage>;
    /// What could not be read.
    fn damage(&self) -> Option<String>;
}

/// Reads one bag.
#[derive(Debug)]
pub struct BagReader {
    path: PathBuf,
    topics: Vec<Topic>,
    metadata: Metadata,
    listing: Option<Listing>,
    files: Vec<OpenFile>,
    /// Why files of a directory are not among these.
    unread: Vec<String>,
}

#[derive(Debug)]
struct OpenFile {
    name: String,
    storage: Box<dyn StorageReader>,
    /// The file's topics as indices into the bag's.
    topics: Vec<usize>,
    next: Option<BagMessage>,
}

impl BagReader {
    /// Opens a `.db3`, an `.mcap`, or a directory of them, of which one at least must be readable; [`Self::damage`] says
    /// what of the others is not.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, BagError> {
        let path = path.as_ref();
        let (folder, names, listing) = if path.is_dir() {
            let (names, listing) = files_of(path)?;
            (path, names, listing)
        } else {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (path.parent().unwrap_or(Path::new("")), vec![name], None)
        };
        let mut bag = Self {
            path: path.to_owned(),
            topics: Vec::new(),
            metadata: Metadata {
                storage: Storage::Mcap,
                topics: Vec::new(),
                files: Vec::new(),
                custom: listing.as_ref().map(|listing| listing.custom.clone()).unwrap_or_default(),
                ros_distro: listing.as_ref().map(|listing| listing.ros_distro.clone()).unwrap_or_default(),
            },
            listing,
            files: Vec::new(),
            unread: Vec::new(),
        };
        let mut first_error = None;
        for name in names {
            // One file of many that cannot be read must not hide the others.
            if let Err(error) = bag.add_file(&folder.join(&name), name) {
                bag.unread.push(error.to_string());
                first_error.get_or_insert(error);
            }
        }
        if bag.files.is_empty()
            && let Some(error) = first_error
        {
            return Err(error);
        }
        bag.rewind(&Filter::default());
        Ok(bag)
    }

    fn add_file(&mut self, path: &Path, name: String) -> Result<(), BagError> {
        if !path.exists() && path != self.path {
            self.unread.push(format!("{name}, which metadata.yaml names, is not there"));
            return Ok(());
        }
        let (kind, storage): (_, Box<dyn StorageReader>) = match storage_of(path)? {
            Storage::Sqlite => (Storage::Sqlite, Box::new(sqlite::SqliteReader::open(path)?)),
            Storage::Mcap => (Storage::Mcap, Box::new(mcap::McapReader::open(path)?)),
        };
        self.metadata.storage = kind;
        if let Some(listing) = storage.listing() {
            self.metadata.custom.extend(listing.custom.clone());
            if self.metadata.ros_distro.is_empty() {
                self.metadata.ros_distro.clone_from(&listing.ros_distro);
            }
        }
        let mut indices = Vec::new();
        for counted in storage.topics() {
            // Two publishers of one topic may differ in QoS; then they are two topics here, as in the bag.
            let index = self.topics.iter().position(|topic| *topic == counted.topic).unwrap_or_else(|| {
                self.topics.push(counted.topic.clone());
                self.metadata.topics.push(TopicCount { topic: counted.topic.clone(), count: 0 });
                self.topics.len() - 1
            });
            self.metadata.topics[index].count += counted.count;
            indices.push(index);
        }
        self.metadata.files.push(FileInfo { name: name.clone(), span: storage.span() });
        self.files.push(OpenFile { name, storage, topics: indices, next: None });
        Ok(())
    }

    /// Every topic, with or without messages.
    pub fn topics(&self) -> &[Topic] {
        &self.topics
    }

    /// Counts and times, as they are in the storage.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The file or directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What metadata.yaml says; none where there is none.
    pub fn listing(&self) -> Option<&Listing> {
        self.listing.as_ref()
    }

    /// Whether the recorder of every file has ended it: of an `.mcap`, that it has its summary; of a `.db3`, that it says
    /// something about itself, as those before schema 3 never did.
    pub fn is_finished(&self) -> bool {
        self.files.iter().all(|file| file.storage.is_finished())
    }

    /// What each storage file says about itself, by its name.
    pub fn file_listings(&self) -> impl Iterator<Item = (&str, Option<&Listing>)> {
        self.files.iter().map(|file| (file.name.as_str(), file.storage.listing()))
    }

    /// Begins anew, with the messages that `filter` wants.
    pub fn rewind(&mut self, filter: &Filter) {
        for file in &mut self.files {
            let wanted: Vec<bool> =
                file.topics.iter().map(|index| filter.has_topic(&self.topics[*index].name)).collect();
            file.storage.rewind(&wanted, filter);
            file.next = file.storage.next();
        }
    }

    /// The message of `bytes`, if it is on a topic that carries `M`.
    pub fn decode<M: Message>(&self, message: &BagMessage) -> Result<M, BagError> {
        let topic = &self.topics[message.topic];
        if topic.type_name != M::TYPE {
            let (topic, expected) = (topic.name.clone(), topic.type_name.clone());
            return Err(BagError::WrongType { topic, expected, actual: M::TYPE });
        }
        cdr::decode(&message.data).map_err(|source| BagError::Cdr { topic: topic.name.clone(), source })
    }

    /// What is missing or could not be read, one sentence each; complete once all messages were taken.
    pub fn damage(&self) -> Vec<String> {
        let of_file = |file: &OpenFile| Some(format!("{}: {}", file.name, file.storage.damage()?));
        self.unread.iter().cloned().chain(self.files.iter().filter_map(of_file)).collect()
    }
}

/// The messages in order of reception; of equal times, that of the earlier file comes first.
impl Iterator for BagReader {
    type Item = BagMessage;

    fn next(&mut self) -> Option<BagMessage> {
        let time = |file: &&mut OpenFile| file.next.as_ref().map(|message| message.stamp.received);
        let file = self.files.iter_mut().filter(|file| file.next.is_some()).min_by_key(time)?;
        let message = std::mem::replace(&mut file.next, file.storage.next())?;
        Some(BagMessage { topic: file.topics[message.topic], ..message })
    }
}

/// Storage files of a directory: those metadata.yaml names, else all there are.
fn files_of(folder: &Path) -> Result<(Vec<String>, Option<Listing>), BagError> {
    let path = folder.join(FILE_NAME);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let wrong = |text| BagError::Metadata { path: path.clone(), text };
            let listing = Listing::parse(&text).map_err(wrong)?;
            if !matches!(listing.compression.to_ascii_lowercase().as_str(), "" | "none") {
                let mode = &listing.compression;
                return Err(wrong(format!(
                    "compression mode {mode} is not read here; `ros2 bag convert` writes the bag without"
                )));
            }
            // Older bags name their directory too.
            let bare =
                |name: &String| Path::new(name).file_name().map(|name| name.to_string_lossy().into_owned());
            Ok((listing.files.iter().filter_map(|(name, _)| bare(name)).collect(), Some(listing)))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut names = Vec::new();
            for entry in fs::read_dir(folder).at("list", folder)? {
                let name = entry.at("list", folder)?.file_name().to_string_lossy().into_owned();
                if [".db3", ".mcap"].iter().any(|extension| name.ends_with(extension)) {
                    names.push(name);
                }
            }
            names.sort_by_key(|name| (name.len(), name.clone())); // bag_9 before bag_10
            if names.is_empty() {
                let expected = "metadata.yaml, .db3 or .mcap files in it";
                return Err(BagError::NoBag {
                    path: folder.to_owned(),
                    expected,
                    found: "none of them".to_owned(),
                });
            }
            Ok((names, None))
        }
        Err(error) => Err(error).at("read", &path),
    }
}

/// By the first bytes: names can be wrong.
fn storage_of(path: &Path) -> Result<Storage, BagError> {
    let mut head = Vec::new();
    fs::File::open(path).and_then(|file| file.take(16).read_to_end(&mut head)).at("read", path)?;
    if head.starts_with(b"SQLite format 3\0") {
        return Ok(Storage::Sqlite);
    }
    if head.starts_with(::mcap::MAGIC) {
        return Ok(Storage::Mcap);
    }
    let found = if head.is_empty() {
        "an empty file".to_owned()
    } else {
        format!("a file that begins with {}", head.escape_ascii())
    };
    Err(BagError::NoBag { path: path.to_owned(), expected: "an SQLite database or an MCAP file", found })
}
