//! Which bytes of the base each byte of the result is compared with.

use std::collections::HashMap;
use std::iter::zip;
use std::ops::Range;

use crate::regions::regions;

/// A stretch of the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) place: Range<usize>,
    /// Where in the base its counterpart begins; the counterpart may be shorter. `None` = there is none.
    pub(crate) base_at: Option<usize>,
}

/// A region of this size begins a chunk, so that its words have one phase throughout; in bytes.
const OWN_CHUNK: usize = 64 << 10;

/// Covers the result without gaps.
pub(crate) fn stretches(base: &[u8], result: &[u8]) -> Vec<Stretch> {
    let mut cover = Cover::default();
    let named = regions(result);
    if named.is_empty() {
        cover_by_both_ends(&mut cover, base, result);
        return cover.stretches;
    }
    let base_regions = regions(base);
    let mut counterparts = HashMap::new();
    for region in &base_regions {
        counterparts.entry(region.name.as_str()).or_insert(region.place.start);
    }
    let mut at = 0;
    for region in &named {
        if region.place.start < at {
            continue;
        }
        let counterpart = counterparts.get(region.name.as_str()).copied();
        // What stands in front of a region (its header) resembles what stands in front of its namesake.
        let in_front = counterpart.and_then(|place| place.checked_sub(region.place.start - at));
        cover.add(at..region.place.start, in_front);
        cover.add(region.place.clone(), counterpart);
        at = region.place.end;
    }
    cover.add(at..result.len(), base.len().checked_sub(result.len() - at));
    cover.stretches
}

/// Where nothing has a name: the same place, counted from the nearer end of what is equal.
fn cover_by_both_ends(cover: &mut Cover, base: &[u8], result: &[u8]) {
    if base.len() == result.len() {
        cover.add(0..result.len(), Some(0));
        return;
    }
    let front = zip(base, result).take_while(|(one, other)| one == other).count();
    let shorter = base.len().min(result.len());
    let back = zip(base.iter().rev(), result.iter().rev())
        .take(shorter - front)
        .take_while(|(one, other)| one == other)
        .count();
    cover.add(0..front, Some(0));
    cover.add(front..result.len() - back, Some(front));
    cover.add(result.len() - back..result.len(), Some(base.len() - back));
}

#[derive(Default)]
struct Cover {
    stretches: Vec<Stretch>,
}

impl Cover {
    fn add(&mut self, place: Range<usize>, base_at: Option<usize>) {
        if place.is_empty() {
            return;
        }
        if let Some(last) = self.stretches.last_mut() {
            let goes_on = match (last.base_at, base_at) {
                (Some(before), Some(now)) => before + last.place.len() == now,
                (None, None) => true,
                _ => false,
            };
            if goes_on && place.len() < OWN_CHUNK {
                last.place.end = place.end;
                return;
            }
        }
        self.stretches.push(Stretch { place, base_at });
    }
}
