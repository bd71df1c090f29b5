//! Which episodes are for training and which for validation.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Episode, Plan};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Split {
    Train,
    Validation,
}

/// Marks the episodes and brings those for training first. An episode's lot follows from seed, the bag's name and beginning, and
/// the episode's name alone: it stays the same on another machine, in another folder, and whatever other bags there are.
pub(super) fn mark(plan: &mut Plan) {
    let count = plan.episodes.len();
    let wanted = validation_count(count, plan.options.validation);
    let lot = |(at, episode): (usize, &Episode)| {
        let bag = &plan.bags[episode.bag];
        let name = bag.path.file_name().unwrap_or_default().to_string_lossy();
        let lot = format!("{} {name} {} {}", plan.options.seed, bag.start, episode.name);
        (Sha256::digest(lot).into(), at)
    };
    let mut drawn: Vec<([u8; 32], usize)> = plan.episodes.iter().enumerate().map(lot).collect();
    drawn.sort_unstable();
    for (_, at) in drawn.into_iter().take(wanted) {
        plan.episodes[at].split = Split::Validation;
    }
    plan.episodes.sort_by_key(|episode| episode.split);
}

/// The fraction, rounded; at least one for either if there are two.
fn validation_count(count: usize, fraction: f64) -> usize {
    if fraction == 0.0 || count < 2 {
        return 0;
    }
    ((count as f64 * fraction).round() as usize).clamp(1, count - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_have_an_episode_as_soon_as_there_are_two() {
        let counts = [(0, 0.1), (1, 0.9), (2, 0.1), (2, 0.9), (10, 0.2), (10, 0.0)];
        assert_eq!(counts.map(|(count, fraction)| validation_count(count, fraction)), [0, 0, 1, 1, 2, 0]);
    }
}
