//! An MCAP file that is complete at every instant.
//!
//! An MCAP ends with a footer. A writer that is cut off leaves none, and strict readers then refuse the whole file. Here the
//! file always has its end, at a place ahead of the data:
//!
//! ```text
//!   magic  header  chunk  chunk  [ private record: the room ahead ]  data end  footer  magic
//!                                ^ frontier                          ^ end
//! ```
//!
//! New records land in the room, where no reader looks. What makes them part of the file is one write of 9 bytes within one
//! sector, which a disk does wholly or not at all. Between two writes whose order matters stands a sync, since without one
//! the kernel writes back in any order. Growing and ending the file go through states that are complete too.
//!
//! What is relied upon: a sector of [`SECTOR`] bytes is written wholly or not; a write within one page that makes the file
//! longer shows wholly or not (ext4 and XFS lengthen a file only once the data is down).

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rustix::fs::{Advice, fadvise};

use crate::write::Survives;

/// Smallest unit that every disk writes wholly.
const SECTOR: u64 = 512;
const PAGE: u64 = 4096;

/// Opcode and length.
pub(crate) const RECORD_HEADER: usize = 9;
const DATA_END: u8 = 0x0f;
const FOOTER: u8 = 0x02;
/// From here on opcodes are private, and every reader skips what it does not know.
pub(super) const PRIVATE: u8 = 0x80;
/// Data end (no checksum), footer (no summary), magic.
const END: usize = RECORD_HEADER + 4 + RECORD_HEADER + 20 + mcap::MAGIC.len();

/// What is asked of the file.
pub(super) trait Disk {
    fn write(&mut self, bytes: &[u8], at: u64) -> io::Result<()>;
    fn read(&mut self, at: u64) -> io::Result<[u8; RECORD_HEADER]>;
    fn cut(&mut self, length: u64) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
    /// What stands in these whole pages is on the disk and is not written again.
    fn forget(&mut self, _: Range<u64>) {}
}

/// A file, and whether its writes have to survive a cut of the power.
#[derive(Debug)]
pub(super) struct OnDisk {
    pub(super) file: File,
    pub(super) survives: Survives,
}

impl Disk for OnDisk {
    fn write(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, at)
    }

    fn read(&mut self, at: u64) -> io::Result<[u8; RECORD_HEADER]> {
        let mut bytes = [0; RECORD_HEADER];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        match self.survives {
            Survives::PowerCut => self.file.sync_data(),
            Survives::ProcessEnd => Ok(()),
        }
    }

    /// Memory of the kernel that holds what was recorded is of use for nothing else, and a recording has no end: the oldest of it would
    /// push out what the cell's other programs read. The next records get the same memory, which costs less than fresh memory does.
    fn forget(&mut self, pages: Range<u64>) {
        let length = NonZeroU64::new(pages.end.saturating_sub(pages.start));
        if let (Survives::PowerCut, Some(length)) = (self.survives, length) {
            // Advice, which a file system need not take.
            let _ = fadvise(&self.file, pages.start, Some(length), Advice::DontNeed);
        }
    }
}

#[derive(Debug)]
pub(super) struct Landing<D> {
    disk: D,
    /// Where the next record begins, and now the private record.
    frontier: u64,
    /// Where the records of the last [`Self::land`] begin.
    newest: u64,
    /// Where data end, footer and magic stand.
    end: u64,
    /// What the file grows by. The room takes no space on the disk before something is written there.
    room: u64,
}

impl<D: Disk> Landing<D> {
    /// `head` is the magic and the header record.
    pub(super) fn begin(mut disk: D, head: &[u8], room: u64) -> io::Result<Self> {
        let frontier = head.len() as u64;
        let end = (frontier + room).next_multiple_of(PAGE);
        disk.write(&[head, &private(frontier, end)].concat(), 0)?;
        disk.write(&unindexed_end(), end)?;
        disk.sync()?;
        Ok(Self { disk, frontier, newest: frontier, end, room })
    }

    pub(super) fn frontier(&self) -> u64 {
        self.frontier
    }

    /// Adds whole records, durably. Their end must be no [`wrong_place`]; what `records` holds afterwards means nothing.
    pub(super) fn land(&mut self, records: &mut Vec<u8>) -> io::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        self.newest = self.frontier;
        let frontier = self.frontier + records.len() as u64;
        if frontier + RECORD_HEADER as u64 > self.end {
            self.grow((frontier + self.room).next_multiple_of(PAGE))?;
        }
        records.extend(private(frontier, self.end));
        let (first, rest) = records.split_at(RECORD_HEADER);
        self.disk.write(rest, self.frontier + first.len() as u64)?;
        self.disk.sync()?;
        self.disk.write(first, self.frontier)?;
        self.disk.sync()?;
        self.frontier = frontier;
        // The page of the next header is written once more.
        let page = |at: u64| at - at % PAGE;
        self.disk.forget(page(self.newest)..page(frontier));
        Ok(())
    }

    /// After a failed step: whether readers find the records of the last [`Self::land`].
    pub(super) fn has_newest(&mut self) -> bool {
        self.disk.read(self.newest).is_ok_and(|header| header[0] != PRIVATE)
    }

    /// Moves the end farther away. Until the second write readers stop at the old end.
    fn grow(&mut self, end: u64) -> io::Result<()> {
        self.disk.write(&unindexed_end(), end)?;
        self.disk.sync()?;
        self.disk.write(&private(self.frontier, end), self.frontier)?;
        self.disk.sync()?;
        self.end = end;
        Ok(())
    }

    /// Ends the file with the parts of its tail, one behind the other: data end, whose header is in the first, summary, footer,
    /// magic. Until the cut readers scan, and stop at the new end.
    pub(super) fn finish(&mut self, tail: &[&[u8]]) -> io::Result<()> {
        let length = self.frontier + tail.iter().map(|part| part.len() as u64).sum::<u64>();
        if length + END as u64 > self.end {
            self.grow((length + self.room).next_multiple_of(PAGE))?;
        }
        let (first, rest) = tail[0].split_at(RECORD_HEADER);
        let mut at = self.frontier + first.len() as u64;
        for part in [rest].iter().chain(&tail[1..]) {
            self.disk.write(part, at)?;
            at += part.len() as u64;
        }
        self.disk.sync()?;
        self.disk.write(first, self.frontier)?;
        self.disk.sync()?;
        self.disk.cut(length)?;
        self.disk.sync()
    }
}

/// How many bytes must be put before a record's header so that it lies in one sector; 0 where it does.
pub(super) fn wrong_place(offset: u64) -> u64 {
    let left = SECTOR - offset % SECTOR;
    if left < RECORD_HEADER as u64 { left } else { 0 }
}

/// Header of a private record from `start` to `end`.
fn private(start: u64, end: u64) -> [u8; RECORD_HEADER] {
    record_header(PRIVATE, end - start - RECORD_HEADER as u64)
}

fn record_header(opcode: u8, length: u64) -> [u8; RECORD_HEADER] {
    let mut header = [opcode; RECORD_HEADER];
    header[1..].copy_from_slice(&length.to_le_bytes());
    header
}

/// The end of a file without a summary.
fn unindexed_end() -> [u8; END] {
    let mut end = [0; END];
    let footer = RECORD_HEADER + 4;
    end[..RECORD_HEADER].copy_from_slice(&record_header(DATA_END, 4));
    end[footer..footer + RECORD_HEADER].copy_from_slice(&record_header(FOOTER, 20));
    end[END - mcap::MAGIC.len()..].copy_from_slice(mcap::MAGIC);
    end
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        Write(u64, Vec<u8>),
        Cut(u64),
        Sync,
        Forget(Range<u64>),
        /// So many records were promised to be durable from here on.
        Promise(usize),
    }

    #[derive(Clone, Debug, Default)]
    struct Recorded(Arc<Mutex<Vec<Op>>>);

    impl Recorded {
        fn push(&self, op: Op) {
            self.0.lock().unwrap().push(op);
        }
    }

    impl Disk for Recorded {
        fn write(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
            self.push(Op::Write(at, bytes.to_vec()));
            Ok(())
        }

        fn read(&mut self, _: u64) -> io::Result<[u8; RECORD_HEADER]> {
            unreachable!("nothing fails here")
        }

        fn cut(&mut self, length: u64) -> io::Result<()> {
            self.push(Op::Cut(length));
            Ok(())
        }

        fn sync(&mut self) -> io::Result<()> {
            self.push(Op::Sync);
            Ok(())
        }

        fn forget(&mut self, pages: Range<u64>) {
            self.push(Op::Forget(pages));
        }
    }

    /// A file whose records (opcode 5) hold their number and size, written with little room so that it grows often.
    fn record_a_recording() -> Vec<Op> {
        let disk = Recorded::default();
        let mut head = mcap::MAGIC.to_vec();
        head.extend(record_header(1, 0));
        let mut landing = Landing::begin(disk.clone(), &head, 300).unwrap();
        disk.push(Op::Promise(0));
        let mut count = 0;
        for round in 0..40u64 {
            let mut batch = Vec::new();
            for _ in 0..round % 4 {
                let mut size = 16 + (round * 631) % 3000;
                if round % 2 == 0 {
                    // so that the next header would lie across two sectors
                    let end = landing.frontier() + batch.len() as u64 + 9 + size;
                    size += 2 * SECTOR - 1 - end % SECTOR - round / 4 % 2;
                }
                batch.extend(record_header(5, size));
                batch.extend([count as u64, size].map(u64::to_le_bytes).concat());
                batch.resize(batch.len() + size as usize - 16, 0xaa);
                count += 1;
            }
            let padding = wrong_place(landing.frontier() + batch.len() as u64);
            if padding > 0 {
                batch.extend(record_header(PRIVATE, padding));
                batch.resize(batch.len() + padding as usize, 0);
            }
            landing.land(&mut batch).unwrap();
            disk.push(Op::Promise(count));
        }
        let summary_start = landing.frontier() + 13;
        let mut tail = unindexed_end().to_vec();
        tail.splice(13..13, [record_header(0x0b, 400).as_slice(), &[0; 400]].concat());
        let footer = tail.len() - mcap::MAGIC.len() - 20;
        tail[footer..footer + 8].copy_from_slice(&summary_start.to_le_bytes());
        landing.finish(&[&tail[..13], &tail[13..200], &tail[200..]]).unwrap();
        disk.0.lock().unwrap().clone()
    }

    fn apply(file: &mut Vec<u8>, op: &Op, mut sector_is_down: impl FnMut() -> bool) {
        match op {
            Op::Write(at, bytes) => {
                let (at, end) = (*at as usize, *at as usize + bytes.len());
                let one_page = at / PAGE as usize == (end - 1) / PAGE as usize;
                if end > file.len() {
                    if one_page && !sector_is_down() {
                        return; // neither the data nor the new length
                    }
                    file.resize(end, 0);
                    if one_page {
                        file[at..end].copy_from_slice(bytes);
                        return;
                    }
                }
                let mut start = at;
                while start < end {
                    let stop = end.min((start / SECTOR as usize + 1) * SECTOR as usize);
                    if sector_is_down() {
                        file[start..stop].copy_from_slice(&bytes[start - at..stop - at]);
                    }
                    start = stop;
                }
            }
            Op::Cut(length) => {
                if sector_is_down() {
                    file.truncate(*length as usize);
                }
            }
            Op::Sync | Op::Forget(_) | Op::Promise(_) => {}
        }
    }

    /// Numbers of the records as a strict reader finds them: magic and footer at the end, then record by record from the
    /// beginning, never past the end, up to a data end that a footer and the magic follow.
    fn strictly_read(file: &[u8]) -> Result<Vec<u64>, String> {
        let magic = mcap::MAGIC;
        let footer = file.len().checked_sub(37).ok_or("too short")?;
        if !file.starts_with(magic)
            || !file.ends_with(magic)
            || file[footer..footer + 9] != record_header(FOOTER, 20)
        {
            return Err("no magic or no footer at the end".into());
        }
        let mut found = Vec::new();
        let mut at = magic.len();
        loop {
            let head = file.get(at..at + 9).ok_or("a header past the end")?;
            let length = u64::from_le_bytes(head[1..].try_into().unwrap()) as usize;
            let body = file.get(at + 9..(at + 9).saturating_add(length)).ok_or("a record past the end")?;
            at += 9 + length;
            match head[0] {
                5 if body[8..16] != (length as u64).to_le_bytes() => return Err("a torn record".into()),
                5 => found.push(u64::from_le_bytes(body[..8].try_into().unwrap())),
                1 | PRIVATE => {}
                DATA_END => break,
                other => return Err(format!("opcode {other}")),
            }
        }
        if file[at] == 0x0b {
            at += 9 + 400; // the summary
        }
        let ends = file[at..].starts_with(&record_header(FOOTER, 20)) && file[at + 29..].starts_with(magic);
        if ends { Ok(found) } else { Err("no footer behind the data end".into()) }
    }

    /// xorshift64, so that a failure can be had again.
    fn random(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    #[test]
    fn a_cut_of_the_power_at_any_point_leaves_a_complete_file_with_all_that_was_synced() {
        let ops = record_a_recording();
        let begun = ops.iter().position(|op| matches!(op, Op::Promise(0))).unwrap();
        let grown =
            ops.windows(2).filter(|w| matches!(w, [Op::Write(_, b), Op::Sync] if b.len() == END)).count();
        assert!(grown > 5, "the file grew {grown} times only");
        let (mut durable, mut synced, mut promised) = (Vec::new(), 0, 0);
        let (mut seed, mut cuts) = (0x9e37_79b9_7f4a_7c15, 0);
        for (point, op) in ops.iter().enumerate() {
            if let Op::Promise(count) = op {
                promised = *count;
            }
            if point >= begun {
                // What was written after the last sync may be down in any part and any order.
                for _ in 0..24 {
                    let mut file = durable.clone();
                    let at_risk = &ops[synced..=point];
                    let share = random(&mut seed) % 5;
                    for op in at_risk {
                        apply(&mut file, op, || random(&mut seed) % 4 < share);
                    }
                    let found = strictly_read(&file)
                        .unwrap_or_else(|error| panic!("cut at {point}, {op:?}: {error}"));
                    assert!(found.len() >= promised, "{} of {promised} at {point}", found.len());
                    assert!(
                        (0..found.len() as u64).eq(found),
                        "cut at {point}: records are missing in between"
                    );
                    cuts += 1;
                }
            }
            if let Op::Sync = op {
                ops[synced..=point].iter().for_each(|op| apply(&mut durable, op, || true));
                synced = point + 1;
            }
        }
        assert!(cuts > 3000, "{cuts}");
        assert_eq!(strictly_read(&durable).unwrap().len(), promised);
    }

    #[test]
    fn all_pages_before_the_next_header_are_forgotten_once_and_none_of_them_is_written_again() {
        let (mut forgotten, mut frontier) = (0, 0);
        let mut at_risk = false;
        for op in record_a_recording() {
            match op {
                Op::Write(at, bytes) => {
                    assert!(at >= forgotten, "a write at {at}, and {forgotten} bytes were forgotten");
                    at_risk = true;
                    // All but what the end of the file is made of.
                    if bytes.len() != END {
                        frontier = frontier.max(at + bytes.len() as u64);
                    }
                }
                Op::Sync => at_risk = false,
                Op::Forget(pages) => {
                    assert!(!at_risk, "{pages:?} are forgotten before they are down");
                    assert!(
                        pages.start <= forgotten && pages.end >= forgotten,
                        "{pages:?} after {forgotten}"
                    );
                    assert_eq!([pages.start % PAGE, pages.end % PAGE], [0; 2]);
                    assert!(frontier - pages.end <= PAGE + RECORD_HEADER as u64, "{pages:?} of {frontier}");
                    forgotten = pages.end;
                }
                Op::Cut(_) | Op::Promise(_) => {}
            }
        }
        assert!(forgotten > 10 * PAGE, "{forgotten}");
    }

    /// A file in memory that fails at one of its operations, and at all after it.
    #[derive(Clone, Debug, Default)]
    struct Failing {
        file: Arc<Mutex<Vec<u8>>>,
        left: Arc<Mutex<usize>>,
    }

    impl Failing {
        fn step(&self) -> io::Result<std::sync::MutexGuard<'_, Vec<u8>>> {
            let mut left = self.left.lock().unwrap();
            *left = left.checked_sub(1).ok_or_else(|| io::Error::from(io::ErrorKind::StorageFull))?;
            Ok(self.file.lock().unwrap())
        }
    }

    impl Disk for Failing {
        fn write(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
            let mut file = self.step()?;
            let (at, end) = (at as usize, at as usize + bytes.len());
            if file.len() < end {
                file.resize(end, 0);
            }
            file[at..end].copy_from_slice(bytes);
            Ok(())
        }

        fn read(&mut self, at: u64) -> io::Result<[u8; RECORD_HEADER]> {
            let file = self.file.lock().unwrap();
            Ok(file[at as usize..][..RECORD_HEADER].try_into().unwrap())
        }

        fn cut(&mut self, length: u64) -> io::Result<()> {
            self.step()?.truncate(length as usize);
            Ok(())
        }

        fn sync(&mut self) -> io::Result<()> {
            self.step().map(|_| ())
        }
    }

    #[test]
    fn after_a_step_that_failed_it_is_known_what_a_reader_finds() {
        let mut head = mcap::MAGIC.to_vec();
        head.extend(record_header(1, 0));
        let mut failures = [0; 2];
        for steps in 3..80 {
            let disk = Failing { left: Arc::new(Mutex::new(steps)), ..Failing::default() };
            let mut landing = Landing::begin(disk.clone(), &head, 300).unwrap();
            let mut whole = 0;
            for number in 0..12u64 {
                let mut record = record_header(5, 1016).to_vec();
                record.extend([number, 1016].map(u64::to_le_bytes).concat());
                record.resize(9 + 1016, 0xaa);
                if landing.land(&mut record).is_err() {
                    let landed = landing.has_newest();
                    failures[usize::from(landed)] += 1;
                    whole += u64::from(landed);
                    break;
                }
                whole += 1;
            }
            let found = strictly_read(&disk.file.lock().unwrap()).unwrap();
            assert!((0..whole).eq(found), "{whole} after {steps} steps");
        }
        assert!(
            failures.iter().all(|count| *count > 3),
            "before and after the step that counts: {failures:?}"
        );
    }
}
