//! A folder of this machine as the artifact store: bytes out of a file piece by piece, and a received file into the folder without
//! a second copy.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::Stream;
use rustix::fs::{AtFlags, CWD, linkat};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

/// Bytes at a time: enough that system calls cost little beside the copies, and few enough that a piece is still in the processor's
/// cache when it is sent. Each download holds one.
const PIECE: usize = 128 * 1024;

/// These bytes of the file.
pub(super) fn pieces(file: File, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> {
    let pieces = Pieces { file: Arc::new(file), range, last: Bytes::new() };
    futures::stream::try_unfold(pieces, async |mut pieces| Ok(pieces.next().await?.map(|it| (it, pieces))))
}

struct Pieces {
    file: Arc<File>,
    /// What is still to be read.
    range: Range<u64>,
    /// The piece before: its memory is used again when it was sent.
    last: Bytes,
}

impl Pieces {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let left = self.range.end.saturating_sub(self.range.start);
        if left == 0 {
            return Ok(None);
        }
        let mut buffer = std::mem::take(&mut self.last).try_into_mut().unwrap_or_default();
        buffer.resize(usize::try_from(left).unwrap_or(PIECE).min(PIECE), 0);
        // A popular artifact is in the page cache; then there is nothing to wait for, and no other thread is needed.
        let mut whole = [IoSliceMut::new(&mut buffer)];
        let at_once = preadv2(&self.file, &mut whole, self.range.start, ReadWriteFlags::NOWAIT);
        let count = match at_once {
            Ok(count) => count,
            // It is not, or the file system cannot tell.
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                let (file, start) = (Arc::clone(&self.file), self.range.start);
                let reading = tokio::task::spawn_blocking(move || read_at(&file, buffer, start)).await;
                let (filled, read) = reading.map_err(io::Error::other)?;
                buffer = filled;
                read?
            }
            Err(error) => return Err(error.into()),
        };
        if count == 0 {
            let (end, expected) = (self.range.start, self.range.end);
            let problem = format!("the file ends at byte {end}, expected {expected} bytes at least");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, problem));
        }
        buffer.truncate(count);
        self.range.start += count as u64;
        self.last = buffer.freeze();
        Ok(Some(self.last.clone()))
    }
}

fn read_at(file: &File, mut buffer: BytesMut, start: u64) -> (BytesMut, io::Result<usize>) {
    loop {
        match file.read_at(&mut buffer, start) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return (buffer, read),
        }
    }
}

/// Gives a complete file that has no name its name below `root`. The file appears there whole, and outlives a power cut:
/// 1. its bytes are put on the disk,
/// 2. the folders of its place are made, each put on the disk,
/// 3. it gets the name,
/// 4. the name is put on the disk.
///
/// `false` where the file system cannot name an open file, or where something has the name: then nothing has happened, and the bytes
/// have to be copied.
pub(super) fn link(file: &File, root: &Path, place: &Path) -> io::Result<bool> {
    // 1.
    file.sync_all()?;
    // 2.
    let folder = place.parent().unwrap_or(root);
    make_folders(root, folder)?;
    // 3.
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    match linkat(CWD, open, CWD, place, AtFlags::SYMLINK_FOLLOW) {
        Ok(()) => {}
        // There already; a file that lost its name (no O_TMPFILE), no /proc, another file system, or one without links.
        Err(Errno::EXIST | Errno::NOENT | Errno::XDEV | Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => {
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    }
    // 4.
    File::open(folder)?.sync_all()?;
    Ok(true)
}

fn make_folders(root: &Path, folder: &Path) -> io::Result<()> {
    if folder == root || folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(root);
    make_folders(root, parent)?;
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};

    use futures::TryStreamExt;

    use super::*;

    /// A file of some pieces and a bit; no two pieces are alike.
    fn file_of(length: usize) -> (File, Vec<u8>) {
        let bytes: Vec<u8> = (0..length).map(|at| (at / 251 + at) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        (file, bytes)
    }

    #[tokio::test]
    async fn the_pieces_are_the_range() {
        let (file, bytes) = file_of(3 * PIECE + 17);
        let size = bytes.len();
        for range in [0..size, 0..1, 5..PIECE, 5..PIECE + 6, PIECE - 1..3 * PIECE, size - 3..size, 9..9] {
            let wanted = range.start as u64..range.end as u64;
            let read: Vec<Bytes> = pieces(file.try_clone().unwrap(), wanted).try_collect().await.unwrap();
            assert!(read.concat() == bytes[range.clone()], "{range:?}");
            assert!(read.iter().all(|piece| !piece.is_empty() && piece.len() <= PIECE));
        }
    }

    #[tokio::test]
    async fn a_piece_that_is_still_held_is_never_written_over() {
        let (file, bytes) = file_of(4 * PIECE);
        let mut stream = std::pin::pin!(pieces(file, 0..bytes.len() as u64));
        let first = stream.try_next().await.unwrap().unwrap();
        // The second is let go at once; its memory may be used again.
        let place = stream.try_next().await.unwrap().unwrap().as_ptr();
        let third = stream.try_next().await.unwrap().unwrap();
        assert_eq!(third.as_ptr(), place, "the memory of a piece that was sent is not used again");
        assert!(first == bytes[..PIECE] && third == bytes[2 * PIECE..3 * PIECE]);
    }

    #[tokio::test]
    async fn a_file_that_is_shorter_than_it_was_is_an_error() {
        let (file, bytes) = file_of(100);
        let read: Result<Vec<Bytes>, _> = pieces(file, 0..bytes.len() as u64 + 1).try_collect().await;
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_file_without_a_name_gets_one_unless_another_has_it() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("sha256/ab/abcd.tar.gz");
        let nameless = |text: &str| {
            let mut file = tempfile::tempfile_in(root.path()).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            // Where it stands does not matter.
            file.seek(SeekFrom::Start(2)).unwrap();
            file
        };
        assert!(link(&nameless("artifact"), root.path(), &place).unwrap());
        assert_eq!(std::fs::read(&place).unwrap(), b"artifact");
        assert!(!link(&nameless("another"), root.path(), &place).unwrap());
        assert_eq!(std::fs::read(&place).unwrap(), b"artifact");
    }

    #[test]
    fn what_cannot_get_a_name_is_left_to_be_copied() {
        let root = tempfile::tempdir().unwrap();
        // It had a name and lost it: that is what `tempfile` makes where there is no O_TMPFILE.
        let named = root.path().join("x.tmp");
        let file = File::create_new(&named).unwrap();
        std::fs::remove_file(&named).unwrap();
        let place = root.path().join("sha256/ab/abcd.tar.gz");
        assert!(!link(&file, root.path(), &place).unwrap());
        assert!(!place.exists());
    }
}
