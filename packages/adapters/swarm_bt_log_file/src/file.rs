//! One recording on disk.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the disk is asked to keep what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sync {
    pub every: Duration,
}

impl Default for Sync {
    fn default() -> Self {
        Sync { every: Duration::from_millis(200) }
    }
}

/// A recording on disk. Dropping it syncs what is left.
#[derive(Debug)]
pub struct RunFile {
    file: File,
    shared: Arc<Shared>,
    /// Dropped to end the thread.
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Something was written since the last sync.
    dirty: AtomicBool,
    syncs: AtomicU64,
    failed_syncs: AtomicU64,
}

impl RunFile {
    /// Makes a new file and the thread that syncs it.
    pub fn create(path: &Path, sync: Sync) -> io::Result<Self> {
        let file = File::options().write(true).create_new(true).open(path)?;
        let synced = file.try_clone()?;
        let shared = Arc::new(Shared::default());
        let (stop, stopped) = mpsc::sync_channel::<()>(0);
        let ours = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("bt-log-sync".to_owned()).spawn(move || {
            let more = || stopped.recv_timeout(sync.every) == Err(RecvTimeoutError::Timeout);
            while more() {
                ours.sync(&synced);
            }
            ours.sync(&synced);
        })?;
        Ok(RunFile { file, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// How often the disk has been asked, and how often it refused.
    pub fn syncs(&self) -> (u64, u64) {
        (self.shared.syncs.load(Ordering::Relaxed), self.shared.failed_syncs.load(Ordering::Relaxed))
    }
}

impl Shared {
    fn sync(&self, file: &File) {
        if self.dirty.swap(false, Ordering::AcqRel) {
            self.syncs.fetch_add(1, Ordering::Relaxed);
            if file.sync_data().is_err() {
                self.failed_syncs.fetch_add(1, Ordering::Relaxed);
                // Tried again: what was not kept may be later.
                self.dirty.store(true, Ordering::Release);
            }
        }
    }
}

impl Write for RunFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.shared.dirty.store(true, Ordering::Release);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for RunFile {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to sync.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_in_the_file_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let mut file = RunFile::create(&path, Sync { every: Duration::from_hours(1) }).unwrap();
        file.write_all(b"one").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        assert_eq!(file.syncs(), (0, 0));
        drop(file);
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
    }

    #[test]
    fn the_last_writes_are_synced_when_the_run_ends() {
        let folder = tempfile::tempdir().unwrap();
        let mut file =
            RunFile::create(&folder.path().join("run"), Sync { every: Duration::from_hours(1) }).unwrap();
        file.write_all(b"one").unwrap();
        let shared = Arc::clone(&file.shared);
        drop(file);
        assert_eq!((shared.syncs.load(Ordering::Relaxed), shared.dirty.load(Ordering::Relaxed)), (1, false));
    }

    #[test]
    fn another_run_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        std::fs::write(&path, "a run").unwrap();
        let error = RunFile::create(&path, Sync::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }
}
