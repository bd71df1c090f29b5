//! Reading an archive strictly: gzip, then ustar with regular files only.
//!
//! Tar has many dialects (PAX, GNU long names, sparse files), and two readers that understand different ones see different
//! files in the same bytes. This reader understands exactly what [`crate::package`] writes: plain headers, no extensions.
//! Anything else is an error, not a best effort. Field decoding and checksums are the `tar` crate's.

use std::io::{self, Read};

use flate2::bufread::GzDecoder;
use swarm_artifact::{EntryPath, Limits};
use tar::{EntryType, Header};

use crate::error::ArchiveError;

const BLOCK: usize = 512;
/// Zero blocks after the last entry. Two are the end mark; GNU tar fills up to 20.
const MAX_END_BLOCKS: u64 = 20;
/// Small files may pack tightly by chance (an all-zero bias vector); they can do no harm.
const HARMLESS: u64 = 4 << 20;

/// Whether so many unpacked bytes may come from so many packed ones.
pub(crate) fn check_ratio(unpacked: u64, packed: u64, limits: Limits) -> Result<(), ArchiveError> {
    let limit = limits.max_ratio;
    if unpacked > HARMLESS && unpacked / limit > packed {
        return Err(ArchiveError::GzipBomb { unpacked, packed, limit });
    }
    Ok(())
}

/// One regular file of the archive.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) path: EntryPath,
    pub(crate) size: u64,
}

/// Walks the entries of a `.tar.gz`. Read each entry's bytes with [`read`](Self::read) before asking for the next.
pub(crate) struct ArchiveReader<R> {
    gzip: GzDecoder<R>,
    limits: Limits,
    /// Length of the archive.
    packed: u64,
    /// Bytes that came out so far.
    unpacked: u64,
    index: usize,
    /// Bytes of the current entry that are not read yet, and the filling behind it.
    remaining: u64,
    padding: u64,
}

impl<R: io::BufRead> ArchiveReader<R> {
    /// `packed` is the length of the archive in bytes.
    pub(crate) fn new(archive: R, packed: u64, limits: Limits) -> Self {
        Self {
            gzip: GzDecoder::new(archive),
            limits,
            packed,
            unpacked: 0,
            index: 0,
            remaining: 0,
            padding: 0,
        }
    }

    /// The next file, or `None` at the clean end of the archive.
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry>, ArchiveError> {
        debug_assert_eq!(self.remaining, 0, "the entry before was not read to its end");
        let mut block = [0; BLOCK];
        let padding = std::mem::take(&mut self.padding) as usize;
        self.fill(&mut block[..padding], || "the filling behind a file".to_owned())?;
        let index = self.index;
        self.fill(&mut block, || format!("the header of entry {index} (or the end mark is missing)"))?;
        if block.iter().all(|byte| *byte == 0) {
            self.expect_end()?;
            return Ok(None);
        }
        self.index += 1;
        if self.index > self.limits.max_files {
            return Err(ArchiveError::TooManyFiles { limit: self.limits.max_files });
        }
        let entry = read_header(Header::from_byte_slice(&block), index)?;
        if entry.size > self.limits.max_file_bytes {
            let (path, limit) = (entry.path.to_string(), self.limits.max_file_bytes);
            return Err(ArchiveError::FileTooLarge { path, size: entry.size, limit });
        }
        let total = self.unpacked.saturating_add(entry.size);
        if total > self.limits.max_total_bytes {
            return Err(ArchiveError::TooLarge { size: total, limit: self.limits.max_total_bytes });
        }
        // Said by the header, before a byte of the file is decompressed; more than it says is never read.
        check_ratio(total, self.packed, self.limits)?;
        self.remaining = entry.size;
        self.padding = entry.size.next_multiple_of(BLOCK as u64) - entry.size;
        Ok(Some(entry))
    }

    /// Reads on in the current entry; 0 at its end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        let wanted = buffer.len().min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
        let index = self.index - 1;
        self.fill(&mut buffer[..wanted], || format!("entry {index}"))?;
        self.remaining -= wanted as u64;
        Ok(wanted)
    }

    /// Bytes that came out so far.
    pub(crate) const fn unpacked(&self) -> u64 {
        self.unpacked
    }

    /// The reader under the gzip.
    pub(crate) fn packed(&self) -> &R {
        self.gzip.get_ref()
    }

    /// Gives back the reader under the gzip, which stands at its end.
    pub(crate) fn into_inner(self) -> R {
        self.gzip.into_inner()
    }

    fn fill(&mut self, buffer: &mut [u8], of: impl FnOnce() -> String) -> Result<(), ArchiveError> {
        match self.read_some(buffer)? {
            count if count == buffer.len() => Ok(()),
            _ => Err(ArchiveError::Truncated(of())),
        }
    }

    /// Fills the buffer as far as the archive goes.
    fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        let mut filled = 0;
        while filled < buffer.len() {
            let count = match self.gzip.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(ArchiveError::Gzip("unexpected end of the file".to_owned()));
                }
                Err(error) if error.raw_os_error().is_some() => return Err(ArchiveError::Read(error)),
                Err(error) => return Err(ArchiveError::Gzip(error.to_string())),
            };
            filled += count;
            self.unpacked += count as u64;
        }
        Ok(filled)
    }

    fn expect_end(&mut self) -> Result<(), ArchiveError> {
        let mut blocks = 1;
        loop {
            let mut block = [0; BLOCK];
            match self.read_some(&mut block)? {
                0 if blocks >= 2 => break,
                BLOCK if block.iter().all(|byte| *byte == 0) && blocks < MAX_END_BLOCKS => blocks += 1,
                0 => return Err(ArchiveError::Truncated("the end mark".to_owned())),
                _ => return Err(ArchiveError::TrailingData("tar data")),
            }
        }
        match self.gzip.get_mut().fill_buf() {
            Ok([]) => Ok(()),
            Ok(_) => Err(ArchiveError::TrailingData("bytes")),
            Err(error) => Err(ArchiveError::Read(error)),
        }
    }
}

fn read_header(header: &Header, index: usize) -> Result<Entry, ArchiveError> {
    let bad = |problem: String| ArchiveError::BadHeader { index, problem };
    let stated = header.cksum().map_err(|error| bad(error.to_string()))?;
    let bytes = header.as_bytes();
    // The checksum counts its own field (bytes 148 to 155) as spaces.
    let sum = |range: &[u8]| range.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    let actual = sum(&bytes[..148]) + 8 * u32::from(b' ') + sum(&bytes[156..]);
    if stated != actual {
        return Err(bad(format!("its checksum is {actual}, it states {stated}")));
    }
    let shown = header.path_bytes().escape_ascii().to_string();
    let kind = match header.entry_type() {
        EntryType::Regular => None,
        EntryType::Link => Some("hard link"),
        EntryType::Symlink => Some("symbolic link"),
        EntryType::Directory => Some("folder"),
        EntryType::Char | EntryType::Block => Some("device"),
        EntryType::Fifo => Some("named pipe"),
        EntryType::XHeader | EntryType::XGlobalHeader | EntryType::GNULongName | EntryType::GNULongLink => {
            Some("tar header extension")
        }
        _ => Some("special entry"),
    };
    if let Some(kind) = kind {
        return Err(ArchiveError::NotAFile { path: shown, kind });
    }
    if header.as_ustar().is_none() {
        return Err(bad("it is not a ustar header (make the archive with `cell package`)".to_owned()));
    }
    let path = EntryPath::from_bytes(&header.path_bytes())
        .map_err(|source| ArchiveError::BadPath { index, source })?;
    let size = header.entry_size().map_err(|error| bad(error.to_string()))?;
    Ok(Entry { path, size })
}
