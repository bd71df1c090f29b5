//! Making the result. Everything that a delta says is held against a limit before memory is taken for it.

use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread;

use sha2::{Digest, Sha256};
use zstd::bulk::Decompressor;

use crate::error::ApplyError;
use crate::record::{
    CHUNK, DENSE, DENSE_WIDTH, FORMAT, Grid, HEADER, Header, MAGIC, PLAIN, SAME, SPARSE, WIDTHS,
};
use crate::words;

/// What a delta may do.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of the result, in bytes.
    pub max_result: u64,
}

/// Applies `delta` to `base` and writes the result, which is right only if the answer is `Ok`: write to a file that has no name
/// yet, or throw away what was written otherwise. The output is not flushed, because a compressor would mark that in its bytes.
///
/// The base is not hashed beforehand, which would take as long as everything else. The result's digest tells, and
/// only if it is wrong the base is looked at, so that the error can say which of the two it was.
pub fn apply(
    delta: impl Read,
    mut base: impl Read + Seek,
    output: impl Write,
    limits: Limits,
) -> Result<Header, ApplyError> {
    let mut delta = Source { inner: BufReader::new(delta), at: 0 };
    let header = read_header(&mut delta)?;
    if header.result_length > limits.max_result {
        return Err(ApplyError::TooLarge { length: header.result_length, limit: limits.max_result });
    }
    let actual = base.seek(SeekFrom::End(0)).map_err(failed("find the end of the base"))?;
    if actual != header.base_length {
        return Err(ApplyError::BaseLength { expected: header.base_length, actual });
    }
    let zstd = Decompressor::new().map_err(failed("begin to decompress"))?;
    let actual = thread::scope(|scope| {
        let (made, arriving) = mpsc::sync_channel(1);
        let (emptied, empty) = mpsc::channel();
        let hashing = scope.spawn(move || hash(&arriving, &emptied));
        let mut maker = Maker {
            delta,
            base: Base { inner: &mut base, length: header.base_length, position: actual },
            output,
            made,
            empty,
            zstd,
            target: vec![0; CHUNK],
            stored: Vec::new(),
            unpacked: Vec::new(),
            filled: 0,
        };
        let mut missing = header.result_length;
        while missing > 0 {
            missing -= maker.record(missing)?;
        }
        maker.delta.expect_end()?;
        drop(maker);
        Ok(hashing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    if actual == header.result_digest {
        return Ok(header);
    }
    let base_digest = digest_of(base).map_err(failed("read the base"))?;
    Err(if base_digest == header.base_digest {
        ApplyError::Digest { expected: hex(&header.result_digest), actual: hex(&actual) }
    } else {
        ApplyError::WrongBase { expected: hex(&header.base_digest), actual: hex(&base_digest) }
    })
}

/// The digest of chunks as they arrive, beside the making of the next; it gives their buffers back.
fn hash(arriving: &Receiver<Vec<u8>>, emptied: &Sender<Vec<u8>>) -> [u8; 32] {
    let mut sha256 = Sha256::new();
    for chunk in arriving {
        sha256.update(&chunk);
        // The last ones are waited for by nobody.
        let _ = emptied.send(chunk);
    }
    sha256.finalize().into()
}

/// Makes chunks.
struct Maker<'b, D, B, O> {
    delta: Source<D>,
    base: Base<'b, B>,
    output: O,
    /// To whoever hashes them.
    made: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
    zstd: Decompressor<'static>,
    /// The chunk.
    target: Vec<u8>,
    /// A part as it comes.
    stored: Vec<u8>,
    /// Parts as they are meant, in the first `filled` bytes. It only grows, so that nothing is cleared that is
    /// overwritten at once.
    unpacked: Vec<u8>,
    filled: usize,
}

impl<D: Read, B: Read + Seek, O: Write> Maker<'_, D, B, O> {
    /// Carries one record out; gives the number of bytes that it made.
    fn record(&mut self, missing: u64) -> Result<u64, ApplyError> {
        let at = self.delta.at;
        let kind = self.delta.number::<1>("a record")?;
        let length = self.delta.number::<4>("a record")?;
        if length == 0 || length > missing || length > CHUNK as u64 {
            let problem =
                format!("a record makes {length} bytes, of {missing} that are missing and {CHUNK} allowed");
            return Err(ApplyError::Malformed { at, problem });
        }
        let length = length as usize;
        match kind as u8 {
            PLAIN => {
                self.filled = 0;
                self.part(length)?;
                self.target[..length].copy_from_slice(&self.unpacked[..length]);
            }
            SAME => self.copy_of_base(length)?,
            DENSE => self.dense(length)?,
            SPARSE => self.sparse(length)?,
            unknown => {
                return Err(ApplyError::Malformed {
                    at,
                    problem: format!("no record has the kind {unknown}"),
                });
            }
        }
        self.output.write_all(&self.target[..length]).map_err(failed("write the result"))?;
        self.pass_on(length)?;
        Ok(length as u64)
    }

    fn pass_on(&mut self, length: usize) -> Result<(), ApplyError> {
        let mut next = self.empty.try_recv().unwrap_or_default();
        next.resize(CHUNK, 0);
        let mut chunk = std::mem::replace(&mut self.target, next);
        chunk.truncate(length);
        // Whoever hashes ends before this only by a panic, which is passed on then.
        self.made.send(chunk).map_err(|_| failed("hash the result")(io::ErrorKind::BrokenPipe.into()))
    }

    fn copy_of_base(&mut self, length: usize) -> Result<(), ApplyError> {
        let at = self.delta.at;
        let place = self.delta.number::<8>("a place in the base")?;
        if place.checked_add(length as u64).is_none_or(|end| end > self.base.length) {
            let problem =
                format!("it wants {length} bytes at {place} of a base that has {}", self.base.length);
            return Err(ApplyError::Malformed { at, problem });
        }
        self.base.read(place, &mut self.target[..length])
    }

    fn dense(&mut self, length: usize) -> Result<(), ApplyError> {
        self.copy_of_base(length)?;
        let grid = self.grid(length, DENSE_WIDTH)?;
        self.edges(length, grid)?;
        self.filled = 0;
        for _ in 0..DENSE_WIDTH {
            self.part(grid.words)?;
        }
        words::change_densely(&mut self.target[grid.body()], &self.unpacked[..self.filled]);
        Ok(())
    }

    fn sparse(&mut self, length: usize) -> Result<(), ApplyError> {
        self.copy_of_base(length)?;
        let at = self.delta.at;
        let width = self.delta.number::<1>("a word's width")? as usize;
        if !WIDTHS.contains(&width) {
            return Err(ApplyError::Malformed { at, problem: format!("no word has {width} bytes") });
        }
        let grid = self.grid(length, width)?;
        let changed = self.delta.number::<4>("a number of words")? as usize;
        let gaps = self.delta.number::<4>("a number of gaps")? as usize;
        // Bytes of 255 stand for 255 words each, and every changed word ends a gap.
        if changed > grid.words || gaps > changed + grid.words / 255 {
            let problem = format!("{changed} changed words and {gaps} bytes of gaps in {} words", grid.words);
            return Err(ApplyError::Malformed { at, problem });
        }
        self.edges(length, grid)?;
        self.filled = 0;
        self.part(gaps)?;
        for _ in 0..width {
            self.part(changed)?;
        }
        let (gaps, values) = self.unpacked[..self.filled].split_at(gaps);
        words::change_sparsely(&mut self.target[..length], grid, gaps, values)
            .map_err(|problem| ApplyError::Malformed { at, problem: problem.to_owned() })
    }

    fn grid(&mut self, length: usize, width: usize) -> Result<Grid, ApplyError> {
        let at = self.delta.at;
        let phase = self.delta.number::<1>("a phase")? as usize;
        Grid::new(length, width, phase).ok_or_else(|| {
            let problem = format!("no word of {width} bytes begins at byte {phase} of {length}");
            ApplyError::Malformed { at, problem }
        })
    }

    fn edges(&mut self, length: usize, grid: Grid) -> Result<(), ApplyError> {
        self.stored.resize(length - grid.body().len(), 0);
        self.delta.fill(&mut self.stored, "the edges of a chunk")?;
        words::change_edges(&mut self.target[..length], grid, &self.stored);
        Ok(())
    }

    /// Appends a part of `length` bytes, which is at most a chunk's.
    fn part(&mut self, length: usize) -> Result<(), ApplyError> {
        if length == 0 {
            return Ok(());
        }
        let at = self.delta.at;
        let stored = self.delta.number::<4>("a part")? as usize;
        if stored > length {
            let problem = format!("a part of {length} bytes takes {stored}");
            return Err(ApplyError::Malformed { at, problem });
        }
        let begin = self.filled;
        self.filled += length;
        if self.unpacked.len() < self.filled {
            self.unpacked.resize(self.filled, 0);
        }
        let place = &mut self.unpacked[begin..self.filled];
        if stored == length {
            return self.delta.fill(place, "a part");
        }
        self.stored.resize(stored, 0);
        self.delta.fill(&mut self.stored, "a part")?;
        // The buffer has the length that was announced: whatever wants more is an error, and not memory.
        match self.zstd.decompress_to_buffer(&self.stored, place) {
            Ok(count) if count == length => Ok(()),
            Ok(count) => {
                let problem = format!("a part of {length} bytes decompresses to {count}");
                Err(ApplyError::Malformed { at, problem })
            }
            Err(error) => {
                let problem = format!("a part of {length} bytes does not decompress: {error}");
                Err(ApplyError::Malformed { at, problem })
            }
        }
    }
}

/// The delta, and how far it was read.
struct Source<R> {
    inner: BufReader<R>,
    at: u64,
}

impl<R: Read> Source<R> {
    fn fill(&mut self, bytes: &mut [u8], what: &'static str) -> Result<(), ApplyError> {
        match self.inner.read_exact(bytes) {
            Ok(()) => {
                self.at += bytes.len() as u64;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(ApplyError::Truncated { at: self.at, what })
            }
            Err(source) => Err(ApplyError::Io { what: "read the delta", source }),
        }
    }

    /// A number of `N` bytes.
    fn number<const N: usize>(&mut self, what: &'static str) -> Result<u64, ApplyError> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes[..N], what)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn expect_end(&mut self) -> Result<(), ApplyError> {
        match self.inner.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => {
                let problem = "the result is complete, and more follows".to_owned();
                Err(ApplyError::Malformed { at: self.at, problem })
            }
            Err(source) => Err(ApplyError::Io { what: "read the delta", source }),
        }
    }
}

/// The base, and where it is read next.
struct Base<'b, B> {
    inner: &'b mut B,
    length: u64,
    position: u64,
}

impl<B: Read + Seek> Base<'_, B> {
    fn read(&mut self, place: u64, bytes: &mut [u8]) -> Result<(), ApplyError> {
        if self.position != place {
            self.inner.seek(SeekFrom::Start(place)).map_err(failed("read the base"))?;
        }
        self.inner.read_exact(bytes).map_err(failed("read the base"))?;
        self.position = place + bytes.len() as u64;
        Ok(())
    }
}

fn read_header<R: Read>(delta: &mut Source<R>) -> Result<Header, ApplyError> {
    let mut magic = [0; MAGIC.len()];
    delta.fill(&mut magic, "its header")?;
    if magic != MAGIC {
        return Err(ApplyError::NotADelta { found: magic.to_vec(), expected: MAGIC });
    }
    let found = delta.number::<1>("its header")? as u8;
    if found != FORMAT {
        return Err(ApplyError::Format { found, known: FORMAT });
    }
    let mut header = Header {
        base_length: delta.number::<8>("its header")?,
        result_length: delta.number::<8>("its header")?,
        base_digest: [0; 32],
        result_digest: [0; 32],
    };
    delta.fill(&mut header.base_digest, "its header")?;
    delta.fill(&mut header.result_digest, "its header")?;
    debug_assert_eq!(delta.at, HEADER as u64);
    Ok(header)
}

fn digest_of(mut bytes: impl Read + Seek) -> io::Result<[u8; 32]> {
    bytes.seek(SeekFrom::Start(0))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match bytes.read(&mut buffer) {
            Ok(0) => return Ok(hash.finalize().into()),
            Ok(count) => hash.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn failed(what: &'static str) -> impl FnOnce(io::Error) -> ApplyError {
    move |source| ApplyError::Io { what, source }
}

fn hex(digest: &[u8]) -> String {
    use std::fmt::Write;
    digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
