//! What is known of an incident, whatever it was recorded in: times in nanoseconds since the epoch, nothing worked out yet.

use serde::Serialize;
use swarm_safety_core::SafetyState;

use super::provenance::LimitSource;
use super::quantity::Figures;
use crate::verdict_json::CauseText;

/// How far back from the stop one looks, and how far beyond it, ns.
pub(crate) const BEFORE_NS: i64 = 10_000_000_000;
pub(crate) const AFTER_NS: i64 = 1_000_000_000;

/// One incident with what surrounds it.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub source: Source,
    /// Name of the cell, and the program that decided; a bag names neither.
    pub cell: Option<String>,
    pub software: Option<String>,
    pub proof: Proof,
    /// All starts of the monitor that were found, oldest first, and the number of this one; none for a bag.
    pub starts: Vec<Start>,
    pub start: Option<usize>,
    /// Stops of this start, oldest first.
    pub stops: Vec<Stop>,
    /// Index of the one that is looked at.
    pub chosen: usize,
    pub in_force: InForce,
    /// Where the limit that stopped the cell stands, if it is one that stands somewhere.
    pub limit_source: Option<LimitSource>,
    pub robots: Vec<String>,
    /// Every cycle, or status, of the window.
    pub points: Vec<Point>,
    pub tracks: Vec<Track>,
    /// Cycles that the recorder lost in this start; `None` where that cannot be known.
    pub lost_cycles: Option<u64>,
    pub what_if: Option<WhatIf>,
}

/// What was read.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Source {
    pub kind: SourceKind,
    pub files: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SourceKind {
    BlackBox,
    Bag,
}

/// Whether the recording can be believed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Proof {
    pub verdict: ProofVerdict,
    /// Ids of the keys that sealed it.
    pub keys: Vec<String>,
    /// Some file has no sealed end.
    pub open_end: bool,
    /// Everything that is wrong, one sentence each.
    pub problems: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ProofVerdict {
    /// Whole, and sealed with a key that the user vouches for.
    Genuine,
    /// Whole, and sealed with the key that it names itself.
    Unvouched,
    /// Whole, linked by hashes alone.
    HashOnly,
    /// Something was changed, or is missing.
    Damaged,
    /// It carries no seals.
    Unsealed,
}

/// From one start of the monitor to its end.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Start {
    /// From 1.
    pub number: usize,
    pub started_utc: String,
    pub first_epoch: u64,
    pub files: usize,
    pub cycles: u64,
    pub stops: Vec<StopLine>,
}

/// A stop in a list.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StopLine {
    pub number: usize,
    pub utc: String,
    pub state: &'static str,
    pub code: String,
}

/// A stop: the first cycle, or status, in which a stop state stands that did not stand before.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    pub at_ns: i64,
    pub cycle: u64,
    pub state: SafetyState,
    /// `None` if the recording begins in the stop.
    pub before: Option<SafetyState>,
    pub cause: Option<CauseText>,
}

/// Limits and run at the stop.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct InForce {
    /// Skill id and version; empty under the cell's ceiling alone.
    pub skill: String,
    /// SHA-256 of its artifact.
    pub artifact: String,
    /// How often limits had come into force since the start; a bag does not say.
    pub generation: Option<u64>,
    /// When they came into force, s before the stop; `None` if before the recording begins, or not known.
    pub since_s: Option<f64>,
    pub epoch: u64,
    /// Run whose commands were heard last; empty if none was.
    pub trace_id: String,
}

/// A cycle, or a status.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub at_ns: i64,
    pub state: SafetyState,
    /// One per robot.
    pub robots: Vec<Figures>,
}

/// What came on one input.
#[derive(Clone, Debug, Default)]
pub(crate) struct Track {
    /// Empty for what concerns the whole cell.
    pub robot: String,
    pub input: String,
    /// Oldest first; the first may lie before the window.
    pub arrivals: Vec<Arrival>,
    /// Age at which the monitor gives the input up, s.
    pub timeout_s: Option<f64>,
    pub refused: Vec<RefusedMessage>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Arrival {
    /// When it was taken in; in a black box, when it was sent.
    pub at_ns: i64,
    /// What its age counts from: as the monitor had it in a black box, its stamp in a bag.
    pub since_ns: i64,
}

/// A message that the monitor refused.
#[derive(Clone, Debug)]
pub(crate) struct RefusedMessage {
    pub at_ns: i64,
    pub fault: &'static str,
    pub value: f64,
    pub limit: f64,
    pub unit: &'static str,
}

/// What another envelope would have done.
#[derive(Clone, Debug)]
pub(crate) enum WhatIf {
    /// The envelope itself is refused.
    Refused(String),
    NoStop,
    Stop(Stop),
}

impl Recorded {
    pub(crate) fn stop(&self) -> &Stop {
        &self.stops[self.chosen] // a recording without a stop is refused when it is read
    }
}

/// Adds an arrival unless it is the one before.
pub(crate) fn arrived(arrivals: &mut Vec<Arrival>, arrival: Arrival) {
    if arrivals.last() != Some(&arrival) {
        arrivals.push(arrival);
    }
}

/// `2026-01-31T12:34:56.789Z`, cut to milliseconds.
pub(crate) fn utc(unix_ns: i64) -> String {
    let milliseconds = unix_ns.div_euclid(1_000_000);
    let time = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000);
    let text = time.map(|time| {
        let (hour, minute, second, milli) = time.to_hms_milli();
        let date = time.date();
        let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    });
    text.unwrap_or_else(|_| format!("{unix_ns} ns since 1970"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_in_utc() {
        assert_eq!(utc(1_767_225_600_123_999_999), "2026-01-01T00:00:00.123Z");
        assert_eq!(utc(0), "1970-01-01T00:00:00.000Z");
    }
}
