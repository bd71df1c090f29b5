//! The log of BehaviorTree.CPP (`BTCPP4-FileLogger2`), for Groot2 and whatever else reads it.
//!
//! `BTCPP4-FileLogger2`, protocol 1 (u8), length of the tree's XML (i32), that XML, the first time in us (i64); then 9 bytes for
//! each transition: us since the first time (6), uid (u16), status (u8: IDLE 0, RUNNING 1, SUCCESS 2, FAILURE 3). Little endian.

use std::io::{self, Write};

use swarm_base::Time;
use swarm_bt::{NodeStatus, Observer, Transition, tree_xml};

use crate::replay::{Parted, Replay};

/// What a file begins with.
pub const BTLOG_MAGIC: &str = "BTCPP4-FileLogger2";

/// Writes all transitions of a replay that stands at its beginning; `first_us` is the wall clock at time zero.
pub fn write_btlog(
    out: &mut impl Write,
    replay: &mut Replay<'_>,
    first_us: i64,
) -> io::Result<Result<u64, Parted>> {
    let xml = tree_xml(replay.tree());
    out.write_all(BTLOG_MAGIC.as_bytes())?;
    out.write_all(&[1])?;
    let length =
        i32::try_from(xml.len()).map_err(|_| io::Error::other("the tree's XML has more than 2 GiB"))?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(xml.as_bytes())?;
    out.write_all(&first_us.to_le_bytes())?;
    let mut timed = Timed::default();
    while let Some(step) = replay.forward(&mut timed) {
        if let Err(parted) = step {
            return Ok(Err(parted));
        }
    }
    for (now, transition) in &timed.seen {
        let us = now.0 / 1_000;
        out.write_all(us.to_le_bytes().get(..6).unwrap_or_default())?;
        out.write_all(&transition.uid.to_le_bytes())?;
        out.write_all(&[code(transition.new)])?;
    }
    Ok(Ok(timed.seen.len() as u64))
}

#[derive(Default)]
struct Timed {
    now: Time,
    seen: Vec<(Time, Transition)>,
}

impl Observer for Timed {
    fn begin(&mut self, _: u64, now: Time) {
        self.now = now;
    }

    fn transition(&mut self, transition: Transition) {
        self.seen.push((self.now, transition));
    }
}

fn code(status: NodeStatus) -> u8 {
    match status {
        NodeStatus::Idle => 0,
        NodeStatus::Running => 1,
        NodeStatus::Success => 2,
        NodeStatus::Failure => 3,
    }
}
