//! A disk that can be told to be full, dead or slow.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use swarm_base::{Clock as _, Duration};
use swarm_black_box_file::{Disk, Folder, Health, Options, Output, Recorder};

use crate::bench::{Deciding, Now, recorder, session, verified};

/// A disk that can be told to be full, and to be slow.
#[derive(Clone, Debug)]
struct Bad {
    folder: Folder,
    state: Arc<Mutex<BadState>>,
}

#[derive(Debug, Default)]
pub(crate) struct BadState {
    pub(crate) trouble: Trouble,
    pub(crate) watched: Option<Health>,
    /// Whether the recorder seemed to fail while the disk was at work.
    pub(crate) seen: Vec<bool>,
    pub(crate) longest_read: usize,
    pub(crate) probes: u32,
    pub(crate) synced: u32,
    /// Names of what was to be removed, and whether the file that is being written said so on the disk by then.
    pub(crate) removals: Vec<(String, bool)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Trouble {
    #[default]
    None,
    /// Takes half of what it is given, then no more.
    Full,
    /// Takes the header of a file, and nothing behind it.
    FullAfterHeader,
    /// Even making a file fails.
    Dead,
    /// No file can be removed.
    KeepsFiles,
    /// Takes so long for each piece.
    Slow(Duration),
    /// Takes so long to rename a file.
    SlowToRename(Duration),
}

impl Bad {
    fn note_read(&self, bytes: &[u8]) {
        let mut state = self.state.lock().unwrap();
        state.longest_read = state.longest_read.max(bytes.len());
    }
}

#[derive(Debug)]
struct BadOutput {
    inner: Box<dyn Output>,
    state: Arc<Mutex<BadState>>,
    now: Now,
    has_header: bool,
}

#[derive(Debug)]
struct BadDisk {
    bad: Bad,
    now: Now,
}

impl Disk for BadDisk {
    fn probe(&mut self) -> io::Result<()> {
        let trouble = {
            let mut state = self.bad.state.lock().unwrap();
            state.probes += 1;
            state.trouble
        };
        match trouble {
            Trouble::None | Trouble::KeepsFiles | Trouble::FullAfterHeader | Trouble::SlowToRename(_) => {}
            Trouble::Dead => return Err(io::Error::other("the disk is gone")),
            Trouble::Full => return Err(io::Error::from(io::ErrorKind::StorageFull)),
            Trouble::Slow(time) => take_long(&self.bad.state, &self.now, time),
        }
        self.bad.folder.probe()
    }

    fn create(&mut self, name: &str) -> io::Result<Box<dyn Output>> {
        let state = Arc::clone(&self.bad.state);
        if state.lock().unwrap().trouble == Trouble::Dead {
            return Err(io::Error::other("the disk is gone"));
        }
        let inner = self.bad.folder.create(name)?;
        Ok(Box::new(BadOutput { inner, state, now: self.now.clone(), has_header: false }))
    }

    fn list(&mut self) -> io::Result<Vec<(String, u64)>> {
        self.bad.folder.list()
    }

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        let bytes = self.bad.folder.read(name)?;
        self.bad.note_read(&bytes);
        Ok(bytes)
    }

    fn read_start(&mut self, name: &str, most: usize) -> io::Result<Vec<u8>> {
        let bytes = self.bad.folder.read_start(name, most)?;
        self.bad.note_read(&bytes);
        Ok(bytes)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let trouble = self.bad.state.lock().unwrap().trouble;
        if let Trouble::SlowToRename(time) = trouble {
            take_long(&self.bad.state, &self.now, time);
        }
        self.bad.folder.rename(from, to)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let Some(number) = name.strip_suffix(".swarmbox") else { return self.bad.folder.remove(name) };
        let number = number.trim_end_matches("_stop").parse().unwrap();
        let noted = verified(&self.bad.folder.0)
            .last()
            .is_some_and(|(_, _, newest)| newest.segments > 0 && newest.removed.contains(&number));
        let mut state = self.bad.state.lock().unwrap();
        state.removals.push((name.to_owned(), noted));
        if state.trouble == Trouble::KeepsFiles {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.bad.folder.remove(name)
    }
}

impl Output for BadOutput {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let trouble = self.state.lock().unwrap().trouble;
        let has_header = std::mem::replace(&mut self.has_header, true);
        match trouble {
            Trouble::FullAfterHeader if has_header => Err(io::Error::from(io::ErrorKind::StorageFull)),
            Trouble::None | Trouble::KeepsFiles | Trouble::FullAfterHeader | Trouble::SlowToRename(_) => {
                self.inner.write_all(bytes)
            }
            Trouble::Full | Trouble::Dead => {
                self.inner.write_all(&bytes[..bytes.len() / 2])?;
                Err(io::Error::from(io::ErrorKind::StorageFull))
            }
            Trouble::Slow(time) => {
                take_long(&self.state, &self.now, time);
                self.inner.write_all(bytes)
            }
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.state.lock().unwrap().synced += 1;
        self.inner.sync()
    }
}

/// Time passes while the disk is at work.
fn take_long(state: &Mutex<BadState>, now: &Now, time: Duration) {
    now.0.fetch_add(time.0, Ordering::Relaxed);
    let mut state = state.lock().unwrap();
    let failing = state.watched.as_ref().is_some_and(|health| health.is_failing(now.now()));
    state.seen.push(failing);
}

pub(crate) fn with_bad_disk(
    options: Options,
) -> (tempfile::TempDir, Deciding, Recorder, Arc<Mutex<BadState>>) {
    let folder = tempfile::tempdir().unwrap();
    let deciding = Deciding::start(&session());
    let state = Arc::new(Mutex::new(BadState::default()));
    let bad = Bad { folder: Folder(folder.path().into()), state: Arc::clone(&state) };
    let disk = BadDisk { bad, now: deciding.now.clone() };
    let recorder = recorder(options, disk, &deciding);
    (folder, deciding, recorder, state)
}
