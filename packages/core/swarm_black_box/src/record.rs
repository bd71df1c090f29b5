//! What a file holds, record by record.

use std::collections::BTreeMap;

use swarm_base::Time;
use swarm_safety_core::wire::{Bytes, Wire, WireError};
use swarm_safety_core::{Config, EnvelopeError, EnvelopeFile, Inputs, State, Timing, Tolerances, Verdict};
use swarm_safety_setup::{SetupError, Sources, roles};

/// SHA-256.
pub type Digest = [u8; 32];

/// What the deciding thread hands over: plain values, so that they go through a queue without a heap.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all are cycles, and boxing states would allocate")]
pub enum Entry {
    /// One call of `step`, and the generation of the limits that it was made under. A generation that is new makes the
    /// recorder note its limits; so no message of its own can get lost.
    Cycle { generation: u64, cycle: Cycle },
    /// The state before the next cycle: before the first one, then now and then, so that a part of a recording can be replayed
    /// without what came before it.
    Snapshot(State),
}

/// One call of `step`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cycle {
    pub now: Time,
    pub inputs: Inputs,
    pub verdict: Verdict,
}

/// One record of a file.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one at a time is made or read")]
pub enum Record {
    Header(Header),
    Cycle(Cycle),
    Snapshot(State),
    /// These limits hold from the next cycle on.
    Limits(Limits),
    /// So many cycles were lost here.
    Lost(u64),
    /// The recorder has removed the file of this number, to make room.
    Removed(u64),
    /// The recording ends here on purpose.
    Close(CloseReason),
    Seal(Seal),
}

/// First record of a file: everything that its verdicts depend on besides inputs and time.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// Name and version of the program that decided.
    pub software: String,
    /// When the program started, ns since 1970, and what the clock of the steps showed then.
    pub started_unix_ns: u64,
    pub started_at: Time,
    /// Epoch that the program began with; another one means another start.
    pub first_epoch: u64,
    pub sources: Sources,
    pub timing: Timing,
    pub tolerances: Tolerances,
    /// Limits in force when the file begins.
    pub limits: Limits,
    /// Key that seals are signed with; zeros if there is none.
    pub public_key: [u8; 32],
    pub place: Place,
}

/// Where in a series of files one stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// From 0.
    pub file: u64,
    /// Number of the file's first segment; segments are counted through the series.
    pub segment: u64,
    /// Digest of the last seal of the file before; zeros in the first one.
    pub previous_seal: Digest,
}

/// Limits in their written form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// 0 for the ceiling alone as the program started.
    pub generation: u64,
    /// Text of the skill's envelope; `None` for the ceiling alone.
    pub envelope: Option<String>,
    /// Skill id and version, for people.
    pub skill: String,
    /// SHA-256 of the artifact that holds the envelope, hexadecimal; empty for the ceiling alone.
    pub artifact: String,
}

/// Why a file was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The next file goes on.
    Full,
    /// What was to be kept of a stop has been written.
    StopRecorded,
    /// The program ended.
    Shutdown,
}

/// End of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    pub segment: u64,
    /// Cycles of the segment; both 0 if it has none.
    pub first_cycle: u64,
    pub last_cycle: u64,
    /// Records since the seal before, this one not counted.
    pub records: u64,
    /// Link of the record before the seal.
    pub head: Digest,
    /// Digest of the seal before; that of the header's place for the first one of a file.
    pub previous: Digest,
    /// Ed25519 signature of [`Seal::signed_bytes`]; zeros without a key.
    pub signature: [u8; 64],
}

/// Why the configuration of a file cannot be made again.
#[derive(Debug, thiserror::Error)]
pub enum ConfigureError {
    #[error("the cell's texts in the header make no configuration")]
    Setup(#[from] SetupError),
    #[error("the envelope of {skill} (generation {generation}) is refused")]
    Envelope { skill: String, generation: u64, source: EnvelopeError },
}

impl Header {
    /// The configuration under the cell's own ceiling.
    pub fn ceiling_config(&self) -> Result<Config, ConfigureError> {
        Ok(self.sources.config(self.timing, self.tolerances)?)
    }

    /// The same under limits that were recorded.
    pub fn config_under(&self, config: &Config, limits: &Limits) -> Result<Config, ConfigureError> {
        let cell = self.sources.cell()?;
        let file = limits.envelope.as_deref().map(EnvelopeFile::parse).transpose();
        file.and_then(|file| config.with_envelope(file.as_ref(), &roles(&cell), limits.generation)).map_err(
            |source| ConfigureError::Envelope {
                skill: if limits.skill.is_empty() { "no skill".to_owned() } else { limits.skill.clone() },
                generation: limits.generation,
                source,
            },
        )
    }

    /// ns since 1970 of a time of the steps' clock.
    pub fn unix_ns(&self, time: Time) -> u64 {
        let since = i128::from(time.0) - i128::from(self.started_at.0);
        u64::try_from(i128::from(self.started_unix_ns) + since).unwrap_or(0)
    }
}

impl Seal {
    const DOMAIN: &'static [u8] = b"swarm black box seal 1\0";

    /// What is signed: a domain, then every field before the signature.
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = Self::DOMAIN.to_vec();
        self.put_unsigned(&mut bytes);
        bytes
    }

    /// Name of the seal: SHA-256 of its bytes, signature included. Whoever keeps it can later say what came after it was cut off.
    pub fn digest(&self) -> Digest {
        let mut bytes = Vec::with_capacity(200);
        self.put(&mut bytes);
        crate::chain::sha256(&[&bytes])
    }

    fn put_unsigned(&self, out: &mut Vec<u8>) {
        let Self { segment, first_cycle, last_cycle, records, head, previous, signature: _ } = self;
        for number in [segment, first_cycle, last_cycle, records] {
            number.put(out);
        }
        out.extend_from_slice(head);
        out.extend_from_slice(previous);
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.put_unsigned(out);
        out.extend_from_slice(&self.signature);
    }

    fn take(bytes: &mut Bytes<'_>) -> Result<Self, WireError> {
        let mut next = || u64::take(bytes);
        let (segment, first_cycle, last_cycle, records) = (next()?, next()?, next()?, next()?);
        let (head, previous, signature) = (bytes.array()?, bytes.array()?, bytes.array()?);
        Ok(Self { segment, first_cycle, last_cycle, records, head, previous, signature })
    }
}

impl Record {
    /// Number of the kind in a file.
    pub(crate) const fn kind(&self) -> u8 {
        match self {
            Self::Header(_) => 0,
            Self::Cycle(_) => 1,
            Self::Snapshot(_) => 2,
            Self::Limits(_) => 3,
            Self::Lost(_) => 4,
            Self::Close(_) => 5,
            Self::Seal(_) => 6,
            Self::Removed(_) => 7,
        }
    }

    /// Appends kind and body.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.push(self.kind());
        match self {
            Self::Header(header) => put_header(header, out),
            Self::Cycle(cycle) => {
                cycle.now.put(out);
                cycle.inputs.put(out);
                cycle.verdict.put(out);
            }
            Self::Snapshot(state) => state.put(out),
            Self::Limits(limits) => put_limits(limits, out),
            Self::Lost(number) | Self::Removed(number) => number.put(out),
            Self::Close(reason) => out.push(*reason as u8),
            Self::Seal(seal) => seal.put(out),
        }
    }

    /// Reads kind and body, which take up all of `bytes`.
    pub(crate) fn take(bytes: &[u8]) -> Result<Self, WireError> {
        let mut bytes = Bytes::new(bytes);
        let record = match bytes.tag(7, "kind of record")? {
            0 => Self::Header(take_header(&mut bytes)?),
            1 => {
                let now = Time::take(&mut bytes)?;
                let (inputs, verdict) = (Inputs::take(&mut bytes)?, Verdict::take(&mut bytes)?);
                Self::Cycle(Cycle { now, inputs, verdict })
            }
            2 => Self::Snapshot(State::take(&mut bytes)?),
            3 => Self::Limits(take_limits(&mut bytes)?),
            4 => Self::Lost(u64::take(&mut bytes)?),
            5 => Self::Close(match bytes.tag(2, "reason to close")? {
                0 => CloseReason::Full,
                1 => CloseReason::StopRecorded,
                _ => CloseReason::Shutdown,
            }),
            6 => Self::Seal(Seal::take(&mut bytes)?),
            _ => Self::Removed(u64::take(&mut bytes)?),
        };
        bytes.end()?;
        Ok(record)
    }
}

fn put_header(header: &Header, out: &mut Vec<u8>) {
    let Header {
        software,
        started_unix_ns,
        started_at,
        first_epoch,
        sources,
        timing,
        tolerances,
        limits,
        public_key,
        place,
    } = header;
    software.put(out);
    started_unix_ns.put(out);
    started_at.put(out);
    first_epoch.put(out);
    sources.declaration.put(out);
    sources.files.len().put(out);
    for (name, text) in &sources.files {
        name.put(out);
        text.put(out);
    }
    timing.put(out);
    tolerances.put(out);
    put_limits(limits, out);
    out.extend_from_slice(public_key);
    place.file.put(out);
    place.segment.put(out);
    out.extend_from_slice(&place.previous_seal);
}

fn take_header(bytes: &mut Bytes<'_>) -> Result<Header, WireError> {
    Ok(Header {
        software: String::take(bytes)?,
        started_unix_ns: u64::take(bytes)?,
        started_at: Time::take(bytes)?,
        first_epoch: u64::take(bytes)?,
        sources: {
            let declaration = String::take(bytes)?;
            let mut files = BTreeMap::new();
            for _ in 0..u64::take(bytes)? {
                files.insert(String::take(bytes)?, String::take(bytes)?);
            }
            Sources { declaration, files }
        },
        timing: Timing::take(bytes)?,
        tolerances: Tolerances::take(bytes)?,
        limits: take_limits(bytes)?,
        public_key: bytes.array()?,
        place: Place { file: u64::take(bytes)?, segment: u64::take(bytes)?, previous_seal: bytes.array()? },
    })
}

fn put_limits(limits: &Limits, out: &mut Vec<u8>) {
    let Limits { generation, envelope, skill, artifact } = limits;
    generation.put(out);
    envelope.put(out);
    skill.put(out);
    artifact.put(out);
}

fn take_limits(bytes: &mut Bytes<'_>) -> Result<Limits, WireError> {
    Ok(Limits {
        generation: u64::take(bytes)?,
        envelope: <Option<String> as Wire>::take(bytes)?,
        skill: String::take(bytes)?,
        artifact: String::take(bytes)?,
    })
}
