//! The latest sighting of every part, by the time of its image.
//!
//! A message says when its image was taken, by ROS' clock; runs count by the monotonic one. So a sighting is as much older than its
//! arrival as its stamp says ([`taken_at`]). What would pass for a new image and is none is counted and dropped: an image that was seen
//! before, one older than that, one from the future.

use nalgebra::Isometry3;
use swarm_base::{Duration, Time};
use swarm_safety_core::ingest::Stamp;
use swarm_skill_core::PartSighting;

/// Parts that are kept: every robot is told all of them in every tick.
pub const MOST_PARTS: usize = 64;

/// Bytes of a part's name at most.
const LONGEST_NAME: usize = 128;

/// A part that has not been seen for so long makes room for another one, where there is none; and what it was stamped with then says
/// nothing any more about a clock that may have been set since.
const FORGOTTEN_AFTER: Duration = Duration::from_millis(60_000);

/// How far the clock of a camera's computer may be ahead of this one's.
const CLOCKS_DISAGREE: Duration = Duration::from_millis(20);

/// No image counts as older than this: nobody looks at one that is, and a part must not seem forgotten while it is seen.
const OLDEST_IMAGE: Duration = Duration::from_millis(10_000);

/// What cameras see, a bounded number of parts.
#[derive(Debug, Default)]
pub struct Sightings {
    latest: Vec<PartSighting>,
    /// Stamps of these sightings' images, ns, in the same order.
    stamps_ns: Vec<u64>,
    dropped: Dropped,
}

/// Sightings that were not kept, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Of more than [`MOST_PARTS`] parts, or with names too long.
    pub refused: u64,
    /// Of an image of which the part's sighting is known.
    pub repeated: u64,
    /// Of an image older than that, or from the future.
    pub misstamped: u64,
}

impl Sightings {
    /// A part has been seen.
    pub fn hear(&mut self, part: &str, in_world: Isometry3<f64>, stamp: &Stamp) {
        let Some(at) = taken_at(stamp) else {
            self.dropped.misstamped += 1;
            return;
        };
        let forgotten = |known: &PartSighting| stamp.arrival.since(known.at) > FORGOTTEN_AFTER;
        if let Some(index) = self.latest.iter().position(|known| known.part == part) {
            let known = &mut self.latest[index];
            let last_ns = &mut self.stamps_ns[index];
            if stamp.sent_ns > *last_ns || forgotten(known) {
                (known.in_world, known.at, *last_ns) = (in_world, at, stamp.sent_ns);
            } else if stamp.sent_ns == *last_ns {
                self.dropped.repeated += 1;
            } else {
                self.dropped.misstamped += 1;
            }
            return;
        }
        if part.len() > LONGEST_NAME {
            self.dropped.refused += 1;
            return;
        }
        let sighting = PartSighting { part: part.to_owned(), in_world, at };
        if self.latest.len() < MOST_PARTS {
            self.latest.push(sighting);
            self.stamps_ns.push(stamp.sent_ns);
            return;
        }
        match self.latest.iter().position(forgotten) {
            Some(index) => (self.latest[index], self.stamps_ns[index]) = (sighting, stamp.sent_ns),
            None => self.dropped.refused += 1,
        }
    }

    pub fn latest(&self) -> &[PartSighting] {
        &self.latest
    }

    pub fn dropped(&self) -> Dropped {
        self.dropped
    }
}

/// When the image was taken, by the clock that runs count by; `None` for one from the future.
fn taken_at(stamp: &Stamp) -> Option<Time> {
    if stamp.sent_ns.saturating_sub(stamp.received_ns) > CLOCKS_DISAGREE.0 {
        return None;
    }
    let age_ns = stamp.received_ns.saturating_sub(stamp.sent_ns).min(OLDEST_IMAGE.0);
    Some(Time(stamp.arrival.0.saturating_sub(age_ns)))
}
