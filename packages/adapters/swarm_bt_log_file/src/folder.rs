//! A folder of recorded runs: bounded, and written by a thread of its own.
//!
//! A *run* is a folder in it, named for the run, with a file `NAME.run` for each of its *streams*.
//!
//! 1. [`RunFolder::begin`] when a run begins, which ends the one before; [`RunStreams::stream`] for each file of it.
//! 2. What is written to a [`Stream`] goes into a bounded queue as it is: the writer waits for nothing.
//! 3. The thread makes folder and files, writes them ([`RunFile`]), and deletes the oldest runs where room is needed, never the one
//!    that is being recorded.
//!
//! A recording is a convenience: whatever goes wrong with it (a folder that cannot be written to, a full disk, one that falls behind)
//! costs that run's recording and nothing else. Its streams answer with the error from then on, [`Health::status`] says why, and the next
//! run is tried again. A process that is killed loses what the thread has not yet taken from the queue and written: the last write, or
//! more if the thread waited for the disk or for the processor, and at most [`Options::behind`] writes. `bt_evidence replay` measures it.
//! Each write is boxed for the queue.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;

use crate::file::{RunFile, Sync};
use crate::room::{Recorded, delete, recorded};

/// Of a stream's file.
pub const EXTENSION: &str = "run";

/// Bytes of a run's folder name at most.
const MAX_NAME: usize = 100;

/// Runs of one name at most; the later ones are told apart by a number.
const MAX_SAME_NAME: u32 = 10_000;

/// A file that is being written.
type Out = Box<dyn Write + Send>;

/// Bounds of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of all runs together. A run that alone needs more is not recorded to its end.
    pub max_bytes: u64,
    /// Writes that may wait for the disk; a run whose writes find no room is given up.
    pub behind: usize,
    pub sync: Sync,
}

impl Default for Options {
    /// 1 GiB; 4096 writes, which is 13 s of three roles at 100 Hz.
    fn default() -> Self {
        Self { max_bytes: 1 << 30, behind: 4_096, sync: Sync::default() }
    }
}

/// Records run after run. Dropping it writes what is in the queue.
#[derive(Debug)]
pub struct RunFolder {
    jobs: SyncSender<Job>,
    health: Health,
    thread: Option<JoinHandle<()>>,
}

/// One run's files.
#[derive(Debug)]
pub struct RunStreams {
    jobs: SyncSender<Job>,
    run: Arc<Run>,
    health: Health,
}

/// One file, made with the first write to it.
#[derive(Debug)]
pub struct Stream {
    jobs: SyncSender<Job>,
    run: Arc<Run>,
    file: Arc<str>,
    health: Health,
}

/// How the recording is doing, for whoever asks; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<Status>>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Folder of the run that is being recorded, or was last.
    pub run: Option<PathBuf>,
    /// Why the last run is not recorded, or not to its end; `None` as soon as something has been written of another one.
    pub trouble: Option<String>,
    /// Of all runs that are there.
    pub bytes: u64,
    /// Runs whose recording was given up.
    pub given_up: u64,
    /// Runs that were deleted to make room.
    pub deleted: u64,
}

#[derive(Debug)]
struct Run {
    name: String,
    /// Set once: then it is given up.
    failure: OnceLock<(io::ErrorKind, String)>,
}

#[derive(Debug)]
enum Job {
    Begin(Arc<Run>),
    Write { run: Arc<Run>, file: Arc<str>, bytes: Box<[u8]> },
    End { run: Arc<Run>, file: Arc<str> },
    Close,
}

impl RunFolder {
    /// Starts the thread. That the folder cannot be written to is found when a run begins.
    ///
    /// # Errors
    /// Only if there can be no further thread.
    pub fn start(folder: PathBuf, options: Options) -> io::Result<Self> {
        let make = move |path: &Path| Ok(Box::new(RunFile::create(path, options.sync)?) as Out);
        Self::start_with(folder, options, make)
    }

    /// `make` makes a new file.
    fn start_with(
        folder: PathBuf,
        options: Options,
        make: impl FnMut(&Path) -> io::Result<Out> + Send + 'static,
    ) -> io::Result<Self> {
        let (jobs, queue) = sync_channel(options.behind);
        let health = Health::default();
        let writer =
            Writer { folder, max_bytes: options.max_bytes, health: health.clone(), make, current: None };
        let thread =
            std::thread::Builder::new().name("recordings".into()).spawn(move || writer.run(&queue))?;
        Ok(Self { jobs, health, thread: Some(thread) })
    }

    /// A run begins, and the one before has ended. Its folder is called `name`, as far as that can be the name of one, with a number
    /// where there is one of that name already.
    pub fn begin(&self, name: &str) -> RunStreams {
        let run = Arc::new(Run { name: folder_name(name), failure: OnceLock::new() });
        self.health.send(&self.jobs, &run, Job::Begin(Arc::clone(&run)));
        RunStreams { jobs: self.jobs.clone(), run, health: self.health.clone() }
    }

    pub fn health(&self) -> Health {
        self.health.clone()
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        // Waits for room: nobody is in a hurry any more.
        let _ = self.jobs.send(Job::Close);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to write.
            let _ = thread.join();
        }
    }
}

impl RunStreams {
    /// The file `NAME.run` of the run.
    pub fn stream(&self, name: &str) -> Stream {
        let file = format!("{name}.{EXTENSION}").into();
        Stream { jobs: self.jobs.clone(), run: Arc::clone(&self.run), file, health: self.health.clone() }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.run.failure.get().is_none() {
            let (run, file) = (Arc::clone(&self.run), Arc::clone(&self.file));
            self.health.send(&self.jobs, &self.run, Job::Write { run, file, bytes: bytes.into() });
        }
        match self.run.failure.get() {
            Some((kind, reason)) => Err(io::Error::new(*kind, reason.clone())),
            None => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // One that finds no room is closed when the next run begins.
        let _ = self.jobs.try_send(Job::End { run: Arc::clone(&self.run), file: Arc::clone(&self.file) });
    }
}

impl Health {
    pub fn status(&self) -> Status {
        self.lock().clone()
    }

    fn send(&self, jobs: &SyncSender<Job>, run: &Run, job: Job) {
        let (kind, reason) = match jobs.try_send(job) {
            Ok(()) => return,
            Err(TrySendError::Full(_)) => {
                (io::ErrorKind::TimedOut, "the disk does not keep up, and its queue is full")
            }
            Err(TrySendError::Disconnected(_)) => (io::ErrorKind::BrokenPipe, "the recorder has ended"),
        };
        self.give_up(run, &io::Error::new(kind, reason));
    }

    fn give_up(&self, run: &Run, error: &io::Error) {
        let reason = format!("run {} is not recorded: {error}", run.name);
        if run.failure.set((error.kind(), reason.clone())).is_ok() {
            let mut status = self.lock();
            status.given_up += 1;
            status.trouble = Some(reason);
        }
    }

    // Never held while the disk is waited for. A poisoned one means that a thread panicked between two whole values.
    fn lock(&self) -> MutexGuard<'_, Status> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's side.
struct Writer<M> {
    folder: PathBuf,
    max_bytes: u64,
    health: Health,
    make: M,
    current: Option<Current>,
}

/// The run that is being recorded.
struct Current {
    run: Arc<Run>,
    folder: PathBuf,
    files: HashMap<Arc<str>, Out>,
    bytes: u64,
    /// The other runs, the oldest last.
    others: Vec<Recorded>,
}

impl<M: FnMut(&Path) -> io::Result<Out>> Writer<M> {
    fn run(mut self, queue: &Receiver<Job>) {
        while let Ok(job) = queue.recv() {
            match job {
                Job::Begin(run) => {
                    self.current = None;
                    match self.begin(&run) {
                        Ok(current) => self.current = Some(current),
                        Err(error) => self.health.give_up(&run, &error),
                    }
                }
                Job::Write { run, file, bytes } => {
                    // What waits behind a write that failed is of no use.
                    if run.failure.get().is_none()
                        && let Err(error) = self.write(&run, &file, &bytes)
                    {
                        self.health.give_up(&run, &error);
                        self.current = None;
                    }
                }
                Job::End { run, file } => {
                    if let Some(current) = self.current.as_mut().filter(|now| Arc::ptr_eq(&now.run, &run)) {
                        current.files.remove(&file);
                    }
                }
                Job::Close => return,
            }
        }
    }

    fn begin(&mut self, run: &Arc<Run>) -> io::Result<Current> {
        let root = &self.folder;
        fs::create_dir_all(root).map_err(|error| doing("make the folder", root, &error))?;
        let others = recorded(root).map_err(|error| doing("look through", root, &error))?;
        let folder = make_folder(root, &run.name)?;
        sync_folder(root).map_err(|error| doing("sync", root, &error))?;
        self.health.lock().run = Some(folder.clone());
        Ok(Current { run: Arc::clone(run), folder, files: HashMap::new(), bytes: 0, others })
    }

    fn write(&mut self, run: &Arc<Run>, file: &Arc<str>, bytes: &[u8]) -> io::Result<()> {
        let Some(current) = self.current.as_mut().filter(|now| Arc::ptr_eq(&now.run, run)) else {
            return Err(io::Error::other("another run has begun"));
        };
        current.bytes += bytes.len() as u64;
        let (total, deleted) = current.make_room(self.max_bytes)?;
        let path = current.folder.join(&**file);
        if !current.files.contains_key(file) {
            let made = (self.make)(&path).map_err(|error| doing("make", &path, &error))?;
            current.files.insert(Arc::clone(file), made);
            sync_folder(&current.folder).map_err(|error| doing("sync", &current.folder, &error))?;
        }
        if let Some(file) = current.files.get_mut(file) {
            file.write_all(bytes).map_err(|error| doing("write to", &path, &error))?;
        }
        let mut status = self.health.lock();
        status.trouble = None;
        status.bytes = total;
        status.deleted += deleted;
        Ok(())
    }
}

impl Current {
    /// Deletes the oldest runs until all are within the bound. Gives how many bytes there are then, and how many runs were deleted.
    fn make_room(&mut self, max_bytes: u64) -> io::Result<(u64, u64)> {
        let mut total = self.bytes + self.others.iter().map(|run| run.bytes).sum::<u64>();
        let mut deleted = 0;
        while total > max_bytes {
            let Some(oldest) = self.others.pop() else {
                let reason =
                    format!("it alone needs more than the {max_bytes} bytes that recordings may have");
                return Err(io::Error::new(io::ErrorKind::QuotaExceeded, reason));
            };
            delete(&oldest).map_err(|error| doing("delete", &oldest.folder, &error))?;
            total -= oldest.bytes;
            deleted += 1;
        }
        Ok((total, deleted))
    }
}

/// Makes a new folder of that name, with a number behind it where there is one.
fn make_folder(root: &Path, name: &str) -> io::Result<PathBuf> {
    let mut taken = root.join(name);
    for number in 2..MAX_SAME_NAME {
        match fs::create_dir(&taken) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                taken = root.join(format!("{name}-{number}"));
            }
            made => return made.map_err(|error| doing("make the folder", &taken, &error)).map(|()| taken),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("there are {MAX_SAME_NAME} runs of that name")))
}

/// So that the names in it outlive a power cut.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn doing(what: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {what} {}: {error}", path.display()))
}

/// What of a run's name can be the name of a folder: a run is named by whoever asks for it.
fn folder_name(run: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = run.chars().take(MAX_NAME).map(kept).collect();
    match name.strip_prefix('.') {
        Some(rest) => format!("_{rest}"),
        None if name.is_empty() => "run".into(),
        None => name,
    }
}

#[cfg(test)]
mod tests;
