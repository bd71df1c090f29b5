//! Where the bytes of an upload are until they are verified: a file that has no name, so that a killed process leaves nothing.
//!
//! 1. Chunks are gathered to blocks. A sender that sends too much or falls silent is cut off.
//! 2. Beside the task that receives, each block is hashed and written, and a large file is put on the disk as it grows.
//! 3. An archive is read through at the same time ([`swarm_store::read_ahead`]), so that nothing has to be read again when its
//!    signature turns out to be good. Only notes come of that, and nobody looks at them before.
//!
//! An upload holds two blocks, and four more while it is read ahead, however fast its sender and however slow the disk is.

use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::{Stream, StreamExt};
use swarm_artifact::{ArchiveDigest, ArchiveHasher, Limits};
use swarm_store::{Contents, read_ahead};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::intake::IntakeError;

/// Bytes of a block, and chunks: many tiny ones are not gathered for ever.
const BLOCK: usize = 128 * 1024;
const CHUNKS: usize = 64;
/// After so many bytes the disk begins with them, so that it is nearly done when the last ones come.
const FLUSH: u64 = 8 << 20;
/// Blocks that wait for whoever reads ahead.
const AHEAD: usize = 2;

/// Archives that are read ahead at a time: each holds a thread until its sender is done. The others are read when they are here.
static READERS: Semaphore = Semaphore::const_new(4);

/// A file whose bytes are complete. It has no name; dropping it frees them.
#[derive(Debug)]
pub struct Staged {
    pub file: File,
    pub digest: ArchiveDigest,
    /// What was read ahead; `None` where nothing was, or where the ordinary way has to say what is wrong.
    pub contents: Option<Contents>,
    /// Why there are no more bytes, where the sender did not end properly.
    pub cut: Option<IntakeError>,
}

/// Where bytes are kept until they are verified, and how many.
#[derive(Clone, Debug)]
pub struct Staging {
    pub folder: PathBuf,
    /// Of one artifact.
    pub max_bytes: u64,
    /// A sender that is silent for longer is cut off.
    pub max_silence: Duration,
}

impl Staging {
    /// Receives a stream to its end. A sender that is cut off is not an error here: what came is kept and `cut` says why it ended,
    /// so that a resumable upload can go on from there.
    pub async fn receive<E: std::fmt::Display>(
        &self,
        stream: impl Stream<Item = Result<Bytes, E>>,
        max_bytes: u64,
    ) -> Result<Staged, IntakeError> {
        self.take_in(stream, max_bytes, None).await
    }

    /// The same of a whole archive, which is read ahead within these bounds.
    pub async fn receive_archive<E: std::fmt::Display>(
        &self,
        stream: impl Stream<Item = Result<Bytes, E>>,
        limits: Limits,
    ) -> Result<Staged, IntakeError> {
        self.take_in(stream, self.max_bytes, Reading::begin(limits)).await
    }

    async fn take_in<E: std::fmt::Display>(
        &self,
        stream: impl Stream<Item = Result<Bytes, E>>,
        max_bytes: u64,
        mut reading: Option<Reading>,
    ) -> Result<Staged, IntakeError> {
        let disk = |source| IntakeError::Disk { folder: self.folder.clone(), source };
        let mut writing = Writing::begin(tempfile::tempfile_in(&self.folder).map_err(disk)?);
        let (mut block, mut gathered) = (Vec::with_capacity(CHUNKS), 0);
        let mut received = 0;
        let mut stream = std::pin::pin!(stream);
        // 1.
        let cut = loop {
            let chunk = match tokio::time::timeout(self.max_silence, stream.next()).await {
                Err(_) => break Some(IntakeError::Silent { received, seconds: self.max_silence.as_secs() }),
                Ok(None) => break None,
                Ok(Some(Err(error))) => {
                    break Some(IntakeError::Cut { received, problem: error.to_string() });
                }
                Ok(Some(Ok(chunk))) => chunk,
            };
            received += chunk.len() as u64;
            if received > max_bytes {
                return Err(IntakeError::TooLarge { limit: max_bytes });
            }
            gathered += chunk.len();
            block.push(chunk);
            if gathered >= BLOCK || block.len() >= CHUNKS {
                gathered = 0;
                let full = std::mem::replace(&mut block, Vec::with_capacity(CHUNKS));
                pass_on(full, &mut writing, &mut reading).await.map_err(disk)?;
            }
        };
        pass_on(block, &mut writing, &mut reading).await.map_err(disk)?;
        let contents = match reading.filter(|_| cut.is_none()) {
            Some(reading) => reading.end().await,
            None => None,
        };
        let Writer { file, hasher } = writing.end().await.map_err(disk)?;
        Ok(Staged { file, digest: hasher.finish(), contents, cut })
    }
}

type Block = Vec<Bytes>;

async fn pass_on(block: Block, writing: &mut Writing, reading: &mut Option<Reading>) -> io::Result<()> {
    if let Some(open) = reading {
        // Nobody listens any more: the archive cannot be read, which is said when it is verified.
        if open.blocks.send(block.clone()).await.is_err() {
            *reading = None;
        }
    }
    writing.next(block).await
}

struct Writer {
    file: File,
    hasher: ArchiveHasher,
}

/// 2. One block at a time is with a thread of its own; the next one is gathered meanwhile.
struct Writing {
    writer: JoinHandle<io::Result<Writer>>,
    /// Bytes that the disk was not told of yet, and its telling.
    unflushed: u64,
    flushing: Option<JoinHandle<io::Result<()>>>,
}

impl Writing {
    fn begin(file: File) -> Self {
        let writer = tokio::spawn(async { Ok(Writer { file, hasher: ArchiveHasher::default() }) });
        Self { writer, unflushed: 0, flushing: None }
    }

    async fn next(&mut self, block: Block) -> io::Result<()> {
        let mut writer = joined(&mut self.writer).await?;
        if self.unflushed >= FLUSH && self.flushing.as_ref().is_none_or(JoinHandle::is_finished) {
            self.flushed().await?;
            let file = writer.file.try_clone()?;
            self.flushing = Some(spawn_blocking(move || file.sync_data()));
            self.unflushed = 0;
        }
        self.unflushed += block.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        self.writer = spawn_blocking(move || {
            for chunk in block {
                writer.hasher.update(&chunk);
                writer.file.write_all(&chunk)?;
            }
            Ok(writer)
        });
        Ok(())
    }

    async fn end(mut self) -> io::Result<Writer> {
        let writer = joined(&mut self.writer).await?;
        self.flushed().await?;
        Ok(writer)
    }

    /// A disk tells once of what it could not write: nobody else would hear of it.
    async fn flushed(&mut self) -> io::Result<()> {
        match self.flushing.take() {
            Some(mut flushing) => joined(&mut flushing).await,
            None => Ok(()),
        }
    }
}

async fn joined<T>(task: &mut JoinHandle<io::Result<T>>) -> io::Result<T> {
    task.await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
}

/// 3.
struct Reading {
    blocks: mpsc::Sender<Block>,
    contents: JoinHandle<Option<Contents>>,
}

impl Reading {
    /// `None` where enough others are at it.
    fn begin(limits: Limits) -> Option<Self> {
        let place = READERS.try_acquire().ok()?;
        let (blocks, arriving) = mpsc::channel(AHEAD);
        let contents = spawn_blocking(move || {
            let _place = place;
            read_ahead(
                Arriving { blocks: arriving, block: Vec::new().into_iter(), chunk: Bytes::new() },
                limits,
            )
            .ok()
        });
        Some(Self { blocks, contents })
    }

    async fn end(self) -> Option<Contents> {
        drop(self.blocks);
        self.contents.await.ok().flatten()
    }
}

/// The blocks as whoever reads ahead sees them. They end where the sender ends, or is cut off: then nobody asks for the contents.
struct Arriving {
    blocks: mpsc::Receiver<Block>,
    block: std::vec::IntoIter<Bytes>,
    chunk: Bytes,
}

impl BufRead for Arriving {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.chunk.is_empty() {
            if let Some(chunk) = self.block.next() {
                self.chunk = chunk;
            } else if let Some(block) = self.blocks.blocking_recv() {
                self.block = block.into_iter();
            } else {
                break;
            }
        }
        Ok(&self.chunk)
    }

    fn consume(&mut self, count: usize) {
        self.chunk.advance(count);
    }
}

impl Read for Arriving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom};

    use super::*;

    fn staging(folder: &tempfile::TempDir) -> Staging {
        let folder = folder.path().to_owned();
        Staging { folder, max_bytes: 10_000_000, max_silence: Duration::from_secs(20) }
    }

    fn chunks(bytes: &[u8], length: usize) -> impl Stream<Item = Result<Bytes, io::Error>> + use<> {
        let chunks: Vec<_> = bytes.chunks(length).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        futures::stream::iter(chunks)
    }

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at / 253 + at) as u8).collect()
    }

    #[tokio::test]
    async fn what_was_received_is_what_was_sent_however_it_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let long = FLUSH as usize + 3;
        for (length, chunk) in
            [(0, 1), (1, 1), (5 * CHUNKS + 3, 1), (BLOCK, BLOCK), (3 * BLOCK + 7, 60_001), (long, 1 << 20)]
        {
            let sent = bytes(length);
            let mut staged = staging(&folder).receive(chunks(&sent, chunk), u64::MAX).await.unwrap();
            let mut kept = Vec::new();
            staged.file.seek(SeekFrom::Start(0)).unwrap();
            staged.file.read_to_end(&mut kept).unwrap();
            assert!(kept == sent && staged.digest == ArchiveDigest::of(&sent), "{length} in {chunk}");
            assert!(staged.cut.is_none() && staged.contents.is_none());
        }
    }

    #[tokio::test]
    async fn what_came_before_a_cut_is_kept_and_not_read_ahead() {
        let folder = tempfile::tempdir().unwrap();
        let sent = bytes(BLOCK + 5);
        let cut = futures::stream::iter([Err(io::Error::other("reset by peer"))]);
        let stream = chunks(&sent, 1000).chain(cut);
        let staged = staging(&folder).receive_archive(stream, Limits::default()).await.unwrap();
        assert!(matches!(staged.cut, Some(IntakeError::Cut { .. })) && staged.contents.is_none());
        assert_eq!(staged.digest, ArchiveDigest::of(&sent));
    }

    #[tokio::test]
    async fn too_much_is_refused_when_it_comes() {
        let folder = tempfile::tempdir().unwrap();
        // It never ends.
        let stream = futures::stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from_static(&[7; 1000])));
        let error = staging(&folder).receive_archive(stream, Limits::default()).await.unwrap_err();
        assert!(matches!(error, IntakeError::TooLarge { limit: 10_000_000 }), "{error}");
    }
}
