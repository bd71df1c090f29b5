//! What can go wrong with a bag.

use std::io;
use std::path::{Path, PathBuf};

use crate::cdr::CdrError;
use crate::definition::DefinitionError;

#[derive(Debug, thiserror::Error)]
pub enum BagError {
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot {action} {}: {source}", path.display())]
    Sqlite { action: &'static str, path: PathBuf, source: rusqlite::Error },
    #[error("cannot {action} {}: {source}", path.display())]
    Mcap { action: &'static str, path: PathBuf, source: mcap::McapError },
    #[error("{} exists; a bag is never written over another: name a new one, or remove it", path.display())]
    Exists { path: PathBuf },
    #[error("{} is no bag: expected {expected}, found {found}", path.display())]
    NoBag { path: PathBuf, expected: &'static str, found: String },
    #[error("{}: {text}", path.display())]
    Metadata { path: PathBuf, text: String },
    #[error(
        "{} cannot be split: a bag of several files is a directory; name it without .db3 or .mcap",
        path.display()
    )]
    SplitNeedsDirectory { path: PathBuf },
    #[error("{} has 65535 topics, which is as many as a bag can number", path.display())]
    TooManyTopics { path: PathBuf },
    #[error("{} has no topic {topic}; `cell bag info` lists those it has", path.display())]
    NoTopic { path: PathBuf, topic: String },
    #[error("topic {topic} is already in the bag as {present}, and cannot be added as {wanted}")]
    TopicDiffers { topic: String, present: String, wanted: String },
    #[error("topic {topic} carries {expected}, not {actual}")]
    WrongType { topic: String, expected: String, actual: &'static str },
    #[error("the time {nanos} ns is before 1970, which no bag can hold")]
    Time { nanos: i64 },
    #[error(
        "too little room for {}: {free} bytes are free there and {reserve} must stay so; remove something, or record elsewhere",
        path.display()
    )]
    DiskFull { path: PathBuf, free: u64, reserve: u64 },
    #[error("{} takes no more messages, since a write failed; what was synced before can be read", path.display())]
    Failed { path: PathBuf },
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    #[error("topic {topic}: {source}")]
    Cdr { topic: String, source: CdrError },
}

/// Gives an error its place: `result.at("write", path)`.
pub(crate) trait At<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, BagError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, BagError> {
        self.map_err(|source| BagError::Io { action, path: path.to_owned(), source })
    }
}

impl<T> At<T> for rusqlite::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, BagError> {
        self.map_err(|source| BagError::Sqlite { action, path: path.to_owned(), source })
    }
}

impl<T> At<T> for mcap::McapResult<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, BagError> {
        self.map_err(|source| BagError::Mcap { action, path: path.to_owned(), source })
    }
}
