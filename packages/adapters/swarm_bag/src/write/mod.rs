//! Writing a bag: one file, or a directory of them.
//!
//! Whatever happens to the process or the power, a bag holds what was written before the last [`BagWriter::sync`], and opens
//! without a repair step. The writer syncs by itself as often as [`WriteOptions::sync_every`] says, as long as messages come;
//! who records also calls [`BagWriter::sync_if_due`] when none do.

pub(crate) mod mcap;
mod sqlite;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cdr;
use crate::durable;
use crate::error::BagError;
use crate::metadata::{FILE_NAME, FileInfo, Metadata, Span, Storage, TopicCount};
use crate::msg::Message;
use crate::topic::Topic;

/// When a message came and was sent, nanoseconds since the epoch. A `.db3` keeps only the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub received: i64,
    pub published: i64,
}

impl From<i64> for Stamp {
    /// One time for both.
    fn from(nanos: i64) -> Self {
        Self { received: nanos, published: nanos }
    }
}

/// Compression of an `.mcap`'s chunks. A `.db3` is never compressed. Topics of coded video and pictures, which do not get
/// smaller, are stored as they are in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    #[default]
    None,
    Zstd,
}

/// When the next file of a directory is begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// Once a file holds this much, bytes.
    pub size: Option<u64>,
    /// Once a file's messages span this much.
    pub duration: Option<Duration>,
}

/// What a bag survives while it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Survives {
    /// `kill -9`, and the plug: what was synced is on the disk.
    #[default]
    PowerCut,
    /// `kill -9` alone: the system writes to the disk when it likes to. For a bag that can be made again, and to measure
    /// what the other costs.
    ProcessEnd,
}

/// How a bag is written.
#[derive(Clone, Copy, Debug)]
pub struct WriteOptions {
    /// For the directory form; a path with an extension says it itself.
    pub storage: Storage,
    pub compression: Compression,
    pub split: Split,
    /// How much may be lost when the power fails.
    pub sync_every: Duration,
    pub survives: Survives,
    /// Whose bag it is said to be.
    pub ros_distro: &'static str,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            storage: Storage::Mcap,
            compression: Compression::None,
            split: Split::default(),
            sync_every: Duration::from_millis(250),
            survives: Survives::PowerCut,
            ros_distro: "jazzy",
        }
    }
}

/// A topic of one [`BagWriter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicId(pub(crate) u16);

impl TopicId {
    /// From 0.
    pub(crate) fn index(self) -> usize {
        usize::from(self.0) - 1
    }
}

/// One file of a bag, in either storage.
trait StorageFile: std::fmt::Debug + Send {
    /// `id` counts from 1.
    fn add_topic(&mut self, id: u16, topic: &Topic) -> Result<(), BagError>;
    fn write(&mut self, topic: u16, stamp: Stamp, data: &[u8]) -> Result<(), BagError>;
    /// Makes everything so far durable and visible to readers.
    fn sync(&mut self) -> Result<(), BagError>;
    /// Bytes that wait in memory for the next sync.
    fn unsynced(&self) -> usize;
    /// Bytes of the file, about.
    fn size(&self) -> u64;
    /// Puts in what the file says about itself; the last one counts.
    fn describe(&mut self, metadata: &Metadata) -> Result<(), BagError>;
    /// Leaves the file as a recorder leaves it that ended in peace.
    fn finish(&mut self) -> Result<(), BagError>;
    /// After a failed step: lets go of the file, and says whether readers find what the step was to make durable. It is all
    /// there, or nothing since the sync before.
    fn give_up(&mut self) -> bool;
}

/// Most bytes that wait in memory between two syncs.
const MAX_UNSYNCED: usize = 8 << 20;
/// How old metadata.yaml may be while messages come. It costs as many syncs as the messages do, and readers take counts from
/// the storage.
const METADATA_EVERY: Duration = Duration::from_secs(5);

/// Where the storage files go.
#[derive(Debug)]
enum Target {
    File,
    Directory,
}

/// Writes one bag. Dropping it finishes the bag too, but then nobody learns of an error.
#[derive(Debug)]
pub struct BagWriter {
    path: PathBuf,
    target: Target,
    options: WriteOptions,
    /// None once finished, and after a failed write.
    file: Option<Box<dyn StorageFile>>,
    topics: Vec<TopicCount>,
    /// Counts of the topics at the end of the last file.
    before: Vec<u64>,
    ids: BTreeMap<String, TopicId>,
    files: Vec<FileInfo>,
    custom: BTreeMap<String, String>,
    /// When the last sync was, and whether something came since.
    synced: Instant,
    changed: bool,
    described: Instant,
    /// Topics with messages that metadata.yaml knows of.
    described_topics: usize,
    /// Counts of the topics, and the files, as of the last sync.
    durable: (Vec<u64>, Vec<FileInfo>),
}

impl BagWriter {
    /// Begins a bag. `X.db3` and `X.mcap` become that one file; any other name becomes rosbag2's directory, with
    /// metadata.yaml and `<name>_0.mcap` in it. Folders above it are made.
    pub fn create(path: impl AsRef<Path>, options: WriteOptions) -> Result<Self, BagError> {
        let path = path.as_ref().to_owned();
        if path.symlink_metadata().is_ok() {
            return Err(BagError::Exists { path });
        }
        let (target, storage) = match path.extension().and_then(|extension| extension.to_str()) {
            Some("db3") => (Target::File, Storage::Sqlite),
            Some("mcap") => (Target::File, Storage::Mcap),
            _ => (Target::Directory, options.storage),
        };
        if matches!(target, Target::File) && options.split != Split::default() {
            return Err(BagError::SplitNeedsDirectory { path });
        }
        let above = path.parent().unwrap_or(Path::new(""));
        if !above.as_os_str().is_empty() {
            durable::make_folders(above, options.survives)?;
        }
        if let Target::Directory = target {
            durable::make_new_folder(&path, options.survives)?;
        }
        let mut writer = Self {
            target,
            options: WriteOptions { storage, ..options },
            file: None,
            topics: Vec::new(),
            before: Vec::new(),
            ids: BTreeMap::new(),
            files: Vec::new(),
            custom: BTreeMap::new(),
            synced: Instant::now(),
            changed: false,
            described: Instant::now(),
            described_topics: 0,
            durable: Default::default(),
            path,
        };
        match writer.begin_file() {
            Ok(()) => Ok(writer),
            Err(error) => {
                writer.unmake();
                Err(error)
            }
        }
    }

    /// Makes a bag whole or not at all: [`Self::create`], what `fill` puts in, [`Self::finish`]. After an error nothing of it is left,
    /// for a bag that lacks its end looks like one that has nothing more to say.
    pub fn make<T, E: From<BagError>>(
        path: impl AsRef<Path>,
        options: WriteOptions,
        fill: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<(Metadata, T), E> {
        let mut bag = Self::create(path, options)?;
        let made = fill(&mut bag).and_then(|filled| Ok((bag.end()?, filled)));
        if made.is_err() {
            bag.unmake();
        }
        made
    }

    /// Removes what was made of the bag.
    fn unmake(&mut self) {
        if let Some(mut file) = self.file.take() {
            file.give_up();
        }
        match self.target {
            Target::Directory => {
                let _ = std::fs::remove_dir_all(&self.path);
            }
            // Where no file could be begun, one of this name is somebody else's.
            Target::File if self.files.is_empty() => {}
            Target::File => remove_file(&self.path),
        }
    }

    /// The file or directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a topic; one that is there already with the same type and QoS is found again.
    pub fn add_topic(&mut self, topic: Topic) -> Result<TopicId, BagError> {
        if let Some(id) = self.ids.get(&topic.name) {
            same_topic(&self.topics[id.index()].topic, &topic)?;
            return Ok(*id);
        }
        let id = u16::try_from(self.topics.len() + 1)
            .map(TopicId)
            .map_err(|_| BagError::TooManyTopics { path: self.path.clone() })?;
        self.changed = true;
        self.attempt(|file| file.add_topic(id.0, &topic))?;
        self.ids.insert(topic.name.clone(), id);
        self.topics.push(TopicCount { topic, count: 0 });
        Ok(id)
    }

    /// Adds a message.
    pub fn write<M: Message>(
        &mut self,
        topic: TopicId,
        stamp: impl Into<Stamp>,
        message: &M,
    ) -> Result<(), BagError> {
        let about = &self.topics[topic.index()].topic;
        if about.type_name != M::TYPE {
            let (topic, expected) = (about.name.clone(), about.type_name.clone());
            return Err(BagError::WrongType { topic, expected, actual: M::TYPE });
        }
        let bytes =
            cdr::encode(message).map_err(|source| BagError::Cdr { topic: about.name.clone(), source })?;
        self.write_bytes(topic, stamp, &bytes)
    }

    /// Adds a message that is encoded already. Times should not go back: a reader of a bag that was cut off takes the
    /// messages of an `.mcap` in the order of the file.
    pub fn write_bytes(
        &mut self,
        topic: TopicId,
        stamp: impl Into<Stamp>,
        bytes: &[u8],
    ) -> Result<(), BagError> {
        let stamp = stamp.into();
        if let Some(nanos) = [stamp.received, stamp.published].into_iter().find(|nanos| *nanos < 0) {
            return Err(BagError::Time { nanos });
        }
        if self.is_full(stamp.received) {
            self.next_file()?;
        }
        self.changed = true;
        self.attempt(|file| file.write(topic.0, stamp, bytes))?;
        self.topics[topic.index()].count += 1;
        if let Some(file) = self.files.last_mut() {
            file.span.add(stamp.received);
        }
        self.sync_if_due()
    }

    /// A text that goes into the bag's metadata when it is finished; `ros2 bag info --verbose` shows it.
    pub fn set_custom_data(&mut self, name: &str, text: &str) {
        self.custom.insert(name.to_owned(), text.to_owned());
    }

    /// Makes everything so far durable, and visible to readers.
    pub fn sync(&mut self) -> Result<(), BagError> {
        if self.sync_file()? { self.write_metadata() } else { Ok(()) }
    }

    /// As [`Self::sync`], if the last one is [`WriteOptions::sync_every`] ago or much waits; the counts in metadata.yaml may
    /// stay behind by some seconds, its topics do not: readers look for messages of those alone.
    pub fn sync_if_due(&mut self) -> Result<(), BagError> {
        if self.synced.elapsed() < self.options.sync_every && !self.has_too_much_waiting() {
            return Ok(());
        }
        let changed = self.sync_file()?;
        let due =
            self.described.elapsed() >= METADATA_EVERY || self.topics_with_messages() > self.described_topics;
        if changed && due { self.write_metadata() } else { Ok(()) }
    }

    fn has_too_much_waiting(&self) -> bool {
        let most = match self.options.survives {
            Survives::PowerCut => MAX_UNSYNCED,
            Survives::ProcessEnd => MAX_UNSYNCED / 8, // a sync costs nothing, memory does
        };
        self.file.as_ref().is_some_and(|file| file.unsynced() >= most)
    }

    fn topics_with_messages(&self) -> usize {
        self.topics.iter().filter(|counted| counted.count > 0).count()
    }

    /// Whether there was something to sync.
    fn sync_file(&mut self) -> Result<bool, BagError> {
        self.synced = Instant::now();
        if !std::mem::take(&mut self.changed) {
            return Ok(false);
        }
        self.attempt(|file| file.sync())?;
        self.durable = (self.counts(), self.files.clone());
        Ok(true)
    }

    fn counts(&self) -> Vec<u64> {
        self.topics.iter().map(|counted| counted.count).collect()
    }

    /// What the bag holds so far; after a failed write, what readers find in it.
    pub fn metadata(&self) -> Metadata {
        Metadata {
            storage: self.options.storage,
            topics: self.topics.clone(),
            files: self.files.clone(),
            custom: self.custom.clone(),
            ros_distro: self.options.ros_distro.to_owned(),
        }
    }

    /// Ends the bag and says what it holds.
    pub fn finish(mut self) -> Result<Metadata, BagError> {
        self.end()
    }

    pub(crate) fn end(&mut self) -> Result<Metadata, BagError> {
        self.end_file()?;
        self.write_metadata()?;
        Ok(self.metadata())
    }

    /// Runs one step on the present file. After an error nothing more is written.
    fn attempt<T>(
        &mut self,
        step: impl FnOnce(&mut dyn StorageFile) -> Result<T, BagError>,
    ) -> Result<T, BagError> {
        let Some(file) = &mut self.file else { return Err(BagError::Failed { path: self.path.clone() }) };
        let result = step(file.as_mut());
        if result.is_err()
            && let Some(mut file) = self.file.take()
            && !file.give_up()
        {
            self.forget_what_was_not_synced();
        }
        result
    }

    /// So that the counts are those that a reader finds.
    fn forget_what_was_not_synced(&mut self) {
        let (counts, files) = std::mem::take(&mut self.durable);
        for (index, counted) in self.topics.iter_mut().enumerate() {
            counted.count = counts.get(index).copied().unwrap_or(0);
        }
        for (file, synced) in
            self.files.iter_mut().zip(files.iter().map(|file| file.span).chain([Span::default()]))
        {
            file.span = synced;
        }
        let _ = self.write_metadata(); // the disk may refuse this too
    }

    fn is_full(&self, time: i64) -> bool {
        let (Some(file), Some(info)) = (&self.file, self.files.last()) else { return false };
        let spans = u64::try_from(time.saturating_sub(info.span.first)).unwrap_or(0);
        let Split { size, duration } = self.options.split;
        info.span.count > 0
            && (size.is_some_and(|size| file.size() >= size)
                || duration.is_some_and(|duration| u128::from(spans) >= duration.as_nanos()))
    }

    fn next_file(&mut self) -> Result<(), BagError> {
        self.end_file()?;
        self.begin_file()
    }

    fn begin_file(&mut self) -> Result<(), BagError> {
        let path = match self.target {
            Target::File => self.path.clone(),
            Target::Directory => {
                let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                self.path.join(format!("{name}_{}.{}", self.files.len(), self.options.storage.extension()))
            }
        };
        let begin = || -> Result<Box<dyn StorageFile>, BagError> {
            let mut file: Box<dyn StorageFile> = match self.options.storage {
                Storage::Sqlite => Box::new(sqlite::SqliteFile::create(&path, self.options)?),
                Storage::Mcap => Box::new(mcap::McapFile::create(&path, self.options)?),
            };
            for (id, counted) in (1..).zip(&self.topics) {
                file.add_topic(id, &counted.topic)?;
            }
            if self.options.survives == Survives::PowerCut {
                durable::folder_of(&path)?;
            }
            Ok(file)
        };
        let file = begin().inspect_err(|error| {
            if matches!(error, BagError::Io { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists) {
                return; // somebody else's
            }
            remove_file(&path); // the beginning of a file is no bag
        })?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.files.push(FileInfo { name, span: Span::default() });
        self.file = Some(file);
        self.write_metadata()
    }

    fn end_file(&mut self) -> Result<(), BagError> {
        // Inside a file stands what that file holds.
        let mut metadata = self.metadata();
        metadata.files.drain(..metadata.files.len() - 1);
        for (counted, before) in metadata.topics.iter_mut().zip(&self.before) {
            counted.count -= before;
        }
        self.attempt(|file| {
            file.describe(&metadata)?;
            file.finish()
        })?;
        self.file = None;
        self.before = self.counts();
        self.durable = (self.counts(), self.files.clone());
        Ok(())
    }

    /// A directory without metadata.yaml is no bag to `ros2 bag`, so it is there from the beginning, and never half written.
    fn write_metadata(&mut self) -> Result<(), BagError> {
        (self.described, self.described_topics) = (Instant::now(), self.topics_with_messages());
        match self.target {
            Target::File => Ok(()),
            Target::Directory => {
                let path = self.path.join(FILE_NAME);
                durable::replace(&path, &self.metadata().to_yaml(), self.options.survives)
            }
        }
    }
}

impl Drop for BagWriter {
    fn drop(&mut self) {
        if self.file.is_some() {
            let _ = self.end_file().and_then(|()| self.write_metadata());
        }
    }
}

/// Removes a storage file with what SQLite has beside it.
fn remove_file(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(with_suffix(path, suffix));
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A topic that is added again must be the same.
pub(crate) fn same_topic(present: &Topic, wanted: &Topic) -> Result<(), BagError> {
    if present == wanted {
        return Ok(());
    }
    let shown = |topic: &Topic| format!("{} with {}", topic.type_name, topic.offered_qos.replace('\n', " "));
    let (topic, present, wanted) = (wanted.name.clone(), shown(present), shown(wanted));
    Err(BagError::TopicDiffers { topic, present, wanted })
}
