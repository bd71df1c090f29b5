//! Reading an archive while it arrives, before anybody can know whether it is signed.
//!
//! 1. [`read_ahead`] unpacks into nothing and notes what is there: names, lengths and sums, and the manifest's bytes. It
//!    understands gzip and tar headers and no more; the manifest is not parsed. All bounds hold from the first byte.
//! 2. When the archive has arrived and its signatures are believed, [`Contents::check`] holds the notes against the manifest,
//!    which gives what [`crate::check_contents`] would have given, without reading the archive once more.
//!
//! An archive that cannot be read ahead is not refused for that: [`crate::check_contents`] says what is wrong with it, or that
//! it only unpacks to very much at its beginning.

use std::io::{self, BufRead, Read};
use std::sync::mpsc;
use std::thread;

use sha2::{Digest, Sha256};
use swarm_artifact::{ArchiveDigest, ContentsCheck, Limits, Manifest, Sha256Sum};

use crate::archive::{ArchiveReader, Entry, check_ratio};
use crate::error::ArchiveError;
use crate::unpack::{CHUNK, parse_manifest, read_manifest};

/// What an archive contains, as it was read. Nothing of it is believed before [`check`](Self::check).
#[derive(Debug)]
pub struct Contents {
    manifest: Vec<u8>,
    files: Vec<(Entry, Sha256Sum)>,
    packed: u64,
    unpacked: u64,
}

/// Reads an archive of unknown length to its end; the files are hashed by a thread of its own, beside the unpacking.
///
/// It never unpacks more than [`Limits::max_ratio`] times what it has read, but for what is harmless: a sender pays for the work
/// with its own bytes.
pub fn read_ahead(archive: impl BufRead, limits: Limits) -> Result<Contents, ArchiveError> {
    let mut reader =
        ArchiveReader::new(Counted { inner: archive, count: 0 }, limits.max_archive_bytes, limits);
    let (_, manifest) = read_manifest(&mut reader, limits)?;
    let (entries, sums) = thread::scope(|scope| {
        let (pieces, arriving) = mpsc::sync_channel(PIECES);
        let (empty, emptied) = mpsc::channel();
        let hashing = scope.spawn(move || sums(&arriving, &empty));
        let entries = unpack_to(&mut reader, limits, &pieces, &emptied);
        drop(pieces);
        let sums = hashing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok::<_, ArchiveError>((entries?, sums))
    })?;
    let unpacked = reader.unpacked();
    let files = entries.into_iter().zip(sums).collect();
    Ok(Contents { manifest, files, packed: reader.into_inner().count, unpacked })
}

/// Pieces on their way to whoever hashes them.
const PIECES: usize = 2;

enum Piece {
    Bytes(Vec<u8>),
    EndOfFile,
}

fn unpack_to<R: BufRead>(
    reader: &mut ArchiveReader<Counted<R>>,
    limits: Limits,
    pieces: &mpsc::SyncSender<Piece>,
    emptied: &mpsc::Receiver<Vec<u8>>,
) -> Result<Vec<Entry>, ArchiveError> {
    // Whoever hashes goes before this only by a panic, which is passed on then.
    let pass_on =
        |piece| pieces.send(piece).map_err(|_| ArchiveError::Read(io::ErrorKind::BrokenPipe.into()));
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        loop {
            let mut buffer = emptied.try_recv().unwrap_or_default();
            buffer.resize(CHUNK, 0);
            let count = reader.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            check_ratio(reader.unpacked(), reader.packed().count, limits)?;
            buffer.truncate(count);
            pass_on(Piece::Bytes(buffer))?;
        }
        pass_on(Piece::EndOfFile)?;
        entries.push(entry);
    }
    Ok(entries)
}

/// The sum of each file; buffers are given back.
fn sums(pieces: &mpsc::Receiver<Piece>, empty: &mpsc::Sender<Vec<u8>>) -> Vec<Sha256Sum> {
    let (mut sums, mut sha256) = (Vec::new(), Sha256::new());
    while let Ok(piece) = pieces.recv() {
        match piece {
            Piece::Bytes(bytes) => {
                sha256.update(&bytes);
                // Nobody unpacks any more: it need not go back.
                let _ = empty.send(bytes);
            }
            Piece::EndOfFile => sums.push(Sha256Sum(sha256.finalize_reset().into())),
        }
    }
    sums
}

impl Contents {
    /// Holds what was read against the manifest. `digest` is that of the same bytes, and the caller has verified it.
    pub fn check(self, digest: &ArchiveDigest, limits: Limits) -> Result<Manifest, ArchiveError> {
        if self.packed != digest.length {
            let notes = format!("{} bytes were read ahead of {}: the archive", self.packed, digest.length);
            return Err(ArchiveError::Truncated(notes));
        }
        check_ratio(self.unpacked, digest.length, limits)?;
        let manifest = parse_manifest(self.manifest, limits)?;
        let mut contents = ContentsCheck::new(&manifest);
        for (entry, sum) in &self.files {
            let file = contents.begin(&entry.path, entry.size)?;
            contents.end(file, *sum)?;
        }
        contents.finish()?;
        Ok(manifest)
    }
}

/// Counts what was taken from it.
struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.inner.consume(count);
        self.count += count as u64;
    }
}
