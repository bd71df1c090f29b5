//! A recording is changed at random, over and over: each time the verification has to say so.

use anyhow::ensure;
use ed25519_dalek::SigningKey;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use swarm_base::Duration;
use swarm_black_box::{Chain, CloseReason, Entry, Record, frames, verify};

use super::work::Work;

/// What was tried, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tampered {
    pub tried: u64,
    pub found: u64,
    /// The first changes that were not found.
    pub missed: Vec<String>,
}

/// A closed recording, and where its records begin.
struct Genuine {
    bytes: Vec<u8>,
    /// Start and end of each record.
    places: Vec<(usize, usize)>,
    key: SigningKey,
}

/// Tries `count` changes of a recording of some segments.
pub fn tamper(work: &mut Work, count: u64, seed: u64) -> anyhow::Result<Tampered> {
    let genuine = Genuine::record(work, 230)?;
    let trusted = [genuine.key.verifying_key()];
    ensure!(
        verify(&genuine.bytes, Some(&trusted)).is_ok_and(|found| found.is_whole()),
        "the recording is refused before anything was changed"
    );
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut tampered = Tampered::default();
    while tampered.tried < count {
        let kind = *Kind::ALL.choose(&mut rng).expect("there are kinds");
        let changed = kind.apply(&genuine, &mut rng);
        if changed == genuine.bytes {
            continue;
        }
        tampered.tried += 1;
        if verify(&changed, Some(&trusted)).is_ok_and(|found| found.is_whole()) {
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
}

impl Kind {
    const ALL: [Self; 13] = [
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
    ];

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
        }
        changed
    }
}

impl Genuine {
    fn record(work: &mut Work, cycles: u64) -> anyhow::Result<Self> {
        let key = SigningKey::from_bytes(&[7; 32]);
        let mut bytes = Vec::new();
        let mut chain =
            Chain::begin(work.header().clone(), Some(key.clone()), Duration::from_millis(100), &mut bytes);
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
        Ok(Self { bytes, places, key })
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
