//! Recordings of the shipped cell: arms at rest, an emergency stop in cycle 40.
#![allow(dead_code, reason = "each test file uses a part")]

use std::path::Path;

use ed25519_dalek::SigningKey;
use swarm_base::{Duration, Time};
use swarm_black_box::{Chain, CloseReason, Cycle, Header, Limits, Place, Record};
use swarm_kinematics::JointVector;
use swarm_safety_core::{Inputs, JointSample, ResetRequest, State, Timing, Tolerances, WrenchSample, step};
use swarm_safety_setup::{SetupError, Sources};

pub(crate) struct Recorded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) next: Place,
    pub(crate) records: Vec<Record>,
}

pub(crate) fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub(crate) fn header() -> Header {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let read = |name: &str| Ok::<_, SetupError>(std::fs::read_to_string(root.join(name)).unwrap());
    Header {
        software: "a test".to_owned(),
        started_unix_ns: 1_700_000_000_000_000_000,
        started_at: Time::ZERO,
        first_epoch: 1,
        sources: Sources::gather(read("config/cell.yaml").unwrap(), read).unwrap(),
        timing: Timing::default(),
        tolerances: Tolerances::default(),
        limits: Limits::default(),
        public_key: [0; 32],
        place: Place::default(),
    }
}

/// What the arms say in a cycle: at home, with noise so that no two cycles are alike.
pub(crate) fn inputs(header: &Header, cycle: u64, now: Time) -> Inputs {
    let cell = header.sources.cell().unwrap();
    let mut inputs = Inputs::default();
    for (i, (input, robot)) in inputs.robots.iter_mut().zip(&cell.robots).enumerate() {
        let noise = ((cycle * 7 + i as u64 * 3) % 11) as f64 * 1e-5;
        let values = robot.home_rad.iter().copied().chain(std::iter::repeat(0.0));
        let mut q = JointVector::from_iterator(values.take(7));
        q[0] += noise;
        let (stamp_ns, sequence) = (now.0, cycle);
        let effort = Some(JointVector::zeros());
        input.joints =
            Some(JointSample { q, qd: JointVector::zeros(), effort, stamp_ns, sent: now, sequence });
        let (force, torque) = ([1.0 + noise, 0.0, 2.0].into(), [0.1, 0.0, 0.0].into());
        input.wrench = Some(WrenchSample { force, torque, stamp_ns, sent: now, sequence });
    }
    if cycle == 10 {
        inputs.reset = Some(ResetRequest { epoch: 1 });
    }
    inputs.hear_emergency_stop(cycle == 40);
    inputs
}

/// The records of so many cycles of 2 ms, a snapshot every 50, without header and end.
pub(crate) fn records(header: &Header, cycles: u64) -> Vec<Record> {
    let config = header.ceiling_config().unwrap();
    let mut state = State::new(&config, header.first_epoch);
    let mut records = Vec::new();
    for cycle in 1..=cycles {
        if (cycle - 1).is_multiple_of(50) {
            records.push(Record::Snapshot(state));
        }
        let now = Time(cycle * 2_000_000);
        let inputs = inputs(header, cycle, now);
        let (next, verdict) = step(&config, &state, &inputs, now);
        records.push(Record::Cycle(Cycle { now, inputs, verdict }));
        state = next;
    }
    records
}

/// A closed file.
pub(crate) fn written(header: Header, records: &[Record], key: Option<SigningKey>) -> (Vec<u8>, Place) {
    let mut bytes = Vec::new();
    let mut chain = Chain::begin(header, key, Duration::from_millis(100), &mut bytes);
    for record in records {
        chain.append(record, &mut bytes);
    }
    let next = chain.close(CloseReason::Shutdown, &mut bytes);
    (bytes, next)
}

pub(crate) fn recorded_at(cycles: u64, key: Option<SigningKey>, place: Place) -> Recorded {
    let header = Header { place, ..header() };
    let records = records(&header, cycles);
    let (bytes, next) = written(header, &records, key);
    Recorded { bytes, next, records }
}

pub(crate) fn recorded(cycles: u64, key: Option<SigningKey>) -> Recorded {
    recorded_at(cycles, key, Place::default())
}
