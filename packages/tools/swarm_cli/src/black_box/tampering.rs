//! A recording of several files is changed at random, over and over, in one of its files or by whole files: each time the
//! verification has to say so. It is told the newest seal, which `/diagnostics` shows, so that it can miss the last file.
//!
//! Taking away the oldest files is not among the changes: the recorder does so itself to keep its bound. What it has taken away it
//! records, and with which file a series begins, `cell blackbox verify` shows.

use anyhow::ensure;
use ed25519_dalek::{SigningKey, VerifyingKey};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use swarm_base::Duration;
use swarm_black_box::{
    Chain, CloseReason, Entry, Header, Place, Record, Verification, frames, junction, verify,
};

use super::work::Work;

/// What was tried, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tampered {
    pub tried: u64,
    /// Of these, changes by whole files.
    pub by_files: u64,
    pub found: u64,
    /// The first changes that were not found.
    pub missed: Vec<String>,
}

/// A series of closed files.
struct Series {
    files: Vec<Genuine>,
    trusted: [VerifyingKey; 1],
}

/// A closed file, and where its records begin.
struct Genuine {
    bytes: Vec<u8>,
    /// Start and end of each record.
    places: Vec<(usize, usize)>,
    found: Verification,
}

/// Cycles of each file: some segments.
const CYCLES: [u64; 4] = [230, 110, 150, 210];

/// Tries `count` changes of a recording of some files.
pub fn tamper(work: &mut Work, count: u64, seed: u64) -> anyhow::Result<Tampered> {
    let series = Series::record(work)?;
    let genuine: Vec<&[u8]> = series.files.iter().map(|file| file.bytes.as_slice()).collect();
    ensure!(series.is_whole(&genuine), "the recording is refused before anything was changed");
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut tampered = Tampered::default();
    while tampered.tried < count {
        let kind = *Kind::ALL.choose(&mut rng).expect("there are kinds");
        let at = rng.random_range(0..genuine.len());
        let bytes = kind.apply(&series.files[at], &mut rng);
        let mut changed = genuine.clone();
        changed[at] = &bytes;
        kind.apply_to_series(&mut changed, at, &mut rng);
        if changed == genuine {
            continue;
        }
        tampered.tried += 1;
        tampered.by_files += u64::from(kind.is_of_files());
        if series.is_whole(&changed) {
            let missed = format!("{kind:?}, change {} of seed {seed}", tampered.tried);
            if tampered.missed.len() < 10 {
                tampered.missed.push(missed);
            }
        } else {
            tampered.found += 1;
        }
    }
    Ok(tampered)
}

/// Ways to change a file.
#[derive(Clone, Copy, Debug)]
enum Kind {
    FlipBit,
    Overwrite,
    DeleteBytes,
    InsertBytes,
    DeleteRecords,
    RepeatRecord,
    SwapRecords,
    MoveRecord,
    CutAnywhere,
    CutAtRecord,
    CutAndClose,
    Rechain,
    Reseal,
    RemoveFiles,
    SwapFiles,
    RepeatFile,
}

impl Kind {
    const ALL: [Self; 16] = [
        Self::FlipBit,
        Self::Overwrite,
        Self::DeleteBytes,
        Self::InsertBytes,
        Self::DeleteRecords,
        Self::RepeatRecord,
        Self::SwapRecords,
        Self::MoveRecord,
        Self::CutAnywhere,
        Self::CutAtRecord,
        Self::CutAndClose,
        Self::Rechain,
        Self::Reseal,
        Self::RemoveFiles,
        Self::SwapFiles,
        Self::RepeatFile,
    ];

    const fn is_of_files(self) -> bool {
        matches!(self, Self::RemoveFiles | Self::SwapFiles | Self::RepeatFile)
    }

    /// Changes by whole files, beginning with the one at `at`. The first one stays: see the top of this file.
    fn apply_to_series(self, files: &mut Vec<&[u8]>, at: usize, rng: &mut SmallRng) {
        match self {
            Self::RemoveFiles if at > 0 => {
                let end = rng.random_range(at + 1..=files.len());
                files.drain(at..end);
            }
            Self::SwapFiles => {
                let other = rng.random_range(0..files.len());
                files.swap(at, other);
            }
            Self::RepeatFile => {
                let file = files[at];
                files.insert(at, file);
            }
            _ => {}
        }
    }

    fn apply(self, genuine: &Genuine, rng: &mut SmallRng) -> Vec<u8> {
        let Genuine { bytes, places, .. } = genuine;
        let mut changed = bytes.clone();
        let at = rng.random_range(0..bytes.len());
        let some = rng.random_range(1..200.min(bytes.len() - at + 1).max(2)).min(bytes.len() - at);
        // Not the header: it is one record of many, but most of the bytes.
        let (one, two) = (rng.random_range(1..places.len()), rng.random_range(1..places.len()));
        let (first, second) = (places[one.min(two)], places[one.max(two)]);
        match self {
            Self::FlipBit => changed[at] ^= 1 << rng.random_range(0..8),
            Self::Overwrite => rng.fill(&mut changed[at..at + some]),
            Self::DeleteBytes => drop(changed.drain(at..at + some)),
            Self::InsertBytes => {
                let inserted: Vec<u8> = (0..some).map(|_| rng.random()).collect();
                changed.splice(at..at, inserted);
            }
            Self::DeleteRecords => drop(changed.drain(first.0..second.1)),
            Self::RepeatRecord => {
                changed.splice(second.1..second.1, bytes[first.0..first.1].iter().copied());
            }
            Self::SwapRecords if one == two => {}
            Self::SwapRecords => {
                let parts = [
                    &bytes[..first.0],
                    &bytes[second.0..second.1],
                    &bytes[first.1..second.0],
                    &bytes[first.0..first.1],
                    &bytes[second.1..],
                ];
                changed = parts.concat();
            }
            Self::MoveRecord => {
                changed.splice(second.1..second.1, bytes[first.0..first.1].iter().copied());
                changed.drain(first.0..first.1);
            }
            Self::CutAnywhere => changed.truncate(at),
            Self::CutAtRecord => changed.truncate(first.0),
            // Someone without the key who knows the format: cuts, and ends the file as the recorder would.
            Self::CutAndClose => changed = genuine.forged(first.0, None),
            // Changes one record, and computes every link behind it anew.
            Self::Rechain => changed = genuine.forged(bytes.len(), Some((one, rng))),
            // The whole history again, sealed with another key under the cell's header.
            Self::Reseal => changed = genuine.resealed(rng.random()),
            Self::RemoveFiles | Self::SwapFiles | Self::RepeatFile => {}
        }
        changed
    }
}

impl Series {
    fn record(work: &mut Work) -> anyhow::Result<Self> {
        let key = SigningKey::from_bytes(&[7; 32]);
        let trusted = [key.verifying_key()];
        let (mut files, mut place) = (Vec::new(), work.header().place);
        for cycles in CYCLES {
            let file = Genuine::record(work, cycles, place, &key)?;
            place = file.found.next;
            files.push(file);
        }
        Ok(Self { files, trusted })
    }

    /// What `cell blackbox verify` asks of a series: every file is whole, each goes on where the one before it ends, and the last seal
    /// is the one that is expected.
    fn is_whole(&self, files: &[&[u8]]) -> bool {
        let mut before: Option<Verification> = None;
        for file in files {
            // One that is genuine has been verified.
            let known = self.files.iter().find(|known| known.bytes == *file).map(|known| known.found.clone());
            let Some(found) = known.or_else(|| verify(file, Some(&self.trusted)).ok()) else { return false };
            let goes_on = before.is_none_or(|before| junction(&before, &found.header, &[]).is_ok());
            if !found.is_whole() || !goes_on {
                return false;
            }
            before = Some(found);
        }
        let seal = |found: &Verification| found.next.previous_seal;
        before.as_ref().map(seal) == self.files.last().map(|file| seal(&file.found))
    }
}

impl Genuine {
    fn record(work: &mut Work, cycles: u64, place: Place, key: &SigningKey) -> anyhow::Result<Self> {
        let mut bytes = Vec::new();
        let header = Header { place, ..work.header().clone() };
        let mut chain = Chain::begin(header, Some(key.clone()), Duration::from_millis(100), &mut bytes);
        for _ in 0..cycles {
            let (snapshot, cycle) = work.cycle();
            for entry in snapshot.into_iter().chain([cycle]) {
                chain.append(&as_record(&entry), &mut bytes);
            }
        }
        chain.close(CloseReason::Shutdown, &mut bytes);
        let starts: Vec<usize> = frames(&bytes)?.map(|frame| frame.offset).collect();
        let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
        let places = starts.iter().copied().zip(ends).collect();
        let found = verify(&bytes, Some(&[key.verifying_key()]))?;
        Ok(Self { bytes, places, found })
    }

    /// The records up to `end` with right links throughout, one of them changed in a bit, and an end without the key.
    fn forged(&self, end: usize, change: Option<(usize, &mut SmallRng)>) -> Vec<u8> {
        let kept = self.places.iter().filter(|place| place.1 <= end);
        let mut bodies: Vec<Vec<u8>> =
            kept.map(|(start, end)| self.bytes[start + 4..end - 32].to_vec()).collect();
        if let Some((record, rng)) = change {
            let body = &mut bodies[record];
            let at = rng.random_range(0..body.len());
            body[at] ^= 1 << rng.random_range(0..8);
        } else {
            // A closing record, and the last genuine seal again.
            bodies.push(vec![5, 2]);
            let seal = bodies.iter().rfind(|body| body[0] == 6).cloned();
            bodies.extend(seal);
        }
        relinked(&bodies)
    }

    fn resealed(&self, secret: [u8; 32]) -> Vec<u8> {
        let forger = SigningKey::from_bytes(&secret);
        let mut bodies: Vec<Vec<u8>> =
            self.places.iter().map(|(start, end)| self.bytes[start + 4..end - 32].to_vec()).collect();
        for body in bodies.iter_mut().filter(|body| body[0] == 6) {
            let signature = body.len() - 64;
            let message = [b"swarm black box seal 1\0", &body[1..signature]].concat();
            body[signature..].copy_from_slice(&ed25519_dalek::Signer::sign(&forger, &message).to_bytes());
        }
        relinked(&bodies)
    }
}

/// A file of these records, linked as the format says.
fn relinked(bodies: &[Vec<u8>]) -> Vec<u8> {
    use sha2::{Digest as _, Sha256};
    let mut bytes = swarm_black_box::MAGIC.to_vec();
    let mut link: [u8; 32] = Sha256::digest(b"swarm black box chain 1\0").into();
    for body in bodies {
        let length = (body.len() as u32).to_le_bytes();
        link = Sha256::digest([&link[..], &length, body].concat()).into();
        bytes.extend([&length[..], body, &link].concat());
    }
    bytes
}

/// An entry as the record that it becomes; the change of limits at the beginning is not part of what is tampered with.
fn as_record(entry: &Entry) -> Record {
    match entry {
        Entry::Cycle { cycle, .. } => Record::Cycle(*cycle),
        Entry::Snapshot(state) => Record::Snapshot(*state),
    }
}
