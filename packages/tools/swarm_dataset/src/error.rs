//! What can go wrong with an export.

use std::io;
use std::path::{Path, PathBuf};

use swarm_bag::BagError;

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("no bags: name at least one .mcap, .db3 or rosbag2 directory")]
    NoBags,
    #[error(transparent)]
    Bag(#[from] BagError),
    #[error("{}: {problem}", bag.display())]
    Recording { bag: PathBuf, problem: String },
    #[error("{} of {total} episodes cannot be exported:\n  {}\nleave them out with --skip-refused", refused.len(), refused.join("\n  "))]
    Refused { total: usize, refused: Vec<String> },
    #[error("{0}")]
    Options(String),
    #[error("{} exists; a dataset is never written over another: name a new one, or remove it", path.display())]
    Exists { path: PathBuf },
    #[error(
        "{} holds an export that was begun with other bags or options; finish that one, or remove the folder",
        path.display()
    )]
    OtherExport { path: PathBuf },
    #[error("{} is being written by another process", path.display())]
    Locked { path: PathBuf },
    #[error("the dataset needs {needed} bytes, and where {} is to be there are {free} free", path.display())]
    DiskFull { path: PathBuf, needed: u64, free: u64 },
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot write {}: {problem}", path.display())]
    Encode { path: PathBuf, problem: String },
    #[error("{} changed while it was read: {problem}", bag.display())]
    BagChanged { bag: PathBuf, problem: String },
    #[error("ffmpeg: {0}")]
    Ffmpeg(String),
}

/// Gives an error its place: `result.at("write", path)`.
pub(crate) trait At<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, ExportError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, ExportError> {
        self.map_err(|source| ExportError::Io { action, path: path.to_owned(), source })
    }
}
