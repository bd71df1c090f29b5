//! Which artifacts make room in the cache.

use std::collections::BTreeSet;

use swarm_artifact::ArtifactId;

/// An artifact in the cache, whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cached {
    pub artifact: ArtifactId,
    pub bytes: u64,
    /// When it was last needed; orders the entries, nothing more.
    pub used_unix_s: i64,
}

/// There is no room, whatever is evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the cache may hold {limit} bytes; {kept} of them are what runs, what the cell would go back to and what it is to run, and {needed} \
     more are needed; raise cache_size_bytes"
)]
pub struct NoRoom {
    pub limit: u64,
    pub kept: u64,
    pub needed: u64,
}

/// What has to go so that `needed` more bytes fit, least recently used first. Nothing protected ever does.
pub fn evictions(
    cache: &[Cached],
    protected: &BTreeSet<ArtifactId>,
    limit: u64,
    needed: u64,
) -> Result<Vec<ArtifactId>, NoRoom> {
    let (kept, mut free): (Vec<&Cached>, Vec<&Cached>) =
        cache.iter().partition(|entry| protected.contains(&entry.artifact));
    let kept = kept.iter().fold(0_u64, |sum, entry| sum.saturating_add(entry.bytes));
    if needed > 0 && kept.saturating_add(needed) > limit {
        return Err(NoRoom { limit, kept, needed });
    }
    free.sort_by_key(|entry| (entry.used_unix_s, entry.artifact));
    let mut total =
        free.iter().fold(kept.saturating_add(needed), |sum, entry| sum.saturating_add(entry.bytes));
    let mut evicted = Vec::new();
    for entry in free {
        if total <= limit {
            break;
        }
        total -= entry.bytes;
        evicted.push(entry.artifact);
    }
    Ok(evicted)
}

#[cfg(test)]
mod tests {
    use swarm_artifact::Sha256Sum;

    use super::*;

    fn id(n: u8) -> ArtifactId {
        ArtifactId(Sha256Sum([n; 32]))
    }

    fn cached(n: u8, bytes: u64, used_unix_s: i64) -> Cached {
        Cached { artifact: id(n), bytes, used_unix_s }
    }

    #[test]
    fn the_least_recently_used_go_first_and_no_more_than_needed() {
        let cache = [cached(1, 40, 30), cached(2, 40, 10), cached(3, 40, 20)];
        let none = BTreeSet::new();
        assert_eq!(evictions(&cache, &none, 120, 0), Ok(vec![]));
        assert_eq!(evictions(&cache, &none, 120, 30), Ok(vec![id(2)]));
        assert_eq!(evictions(&cache, &none, 120, 60), Ok(vec![id(2), id(3)]));
    }

    #[test]
    fn what_is_protected_stays_and_a_limit_that_is_too_small_is_told() {
        let cache = [cached(1, 40, 10), cached(2, 40, 20)];
        let protected = BTreeSet::from([id(1)]);
        assert_eq!(evictions(&cache, &protected, 100, 60), Ok(vec![id(2)]));
        let error = evictions(&cache, &protected, 100, 61).unwrap_err();
        assert_eq!(error, NoRoom { limit: 100, kept: 40, needed: 61 });
        assert_eq!(evictions(&cache, &protected, 10, 0), Ok(vec![id(2)]), "over the limit without need");
    }
}
