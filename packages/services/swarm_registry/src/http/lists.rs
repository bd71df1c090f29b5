//! Pages of the list of artifacts, as they were answered last: many cells and pages ask for the same one again and again.
//!
//! A page is answered again only while nothing was committed through this replica since it was read, and no longer than
//! [`FRESH`], because another replica may have changed something. Whether an artifact may be handed out is never taken from here.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::record::Filter;

/// How old an answer may be.
const FRESH: Duration = Duration::from_millis(100);

/// Pages that are kept at most; when there are more, all are forgotten.
const PAGES: usize = 256;

/// Which page.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Page {
    pub(super) filter: Filter,
    pub(super) after: Option<i64>,
    pub(super) limit: usize,
}

#[derive(Debug)]
struct Kept {
    body: Bytes,
    commits: u64,
    read: Instant,
}

/// What was answered last; shared by all clones.
#[derive(Clone, Debug, Default)]
pub struct Lists(Arc<RwLock<HashMap<Page, Kept>>>);

impl Lists {
    /// The page, if it is still what the database would answer; `commits` is the count of `now`.
    pub(super) fn get(&self, page: &Page, commits: u64, now: Instant) -> Option<Bytes> {
        let pages = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let kept = pages.get(page)?;
        (kept.commits == commits && now.duration_since(kept.read) < FRESH).then(|| kept.body.clone())
    }

    /// Keeps a page; `commits` is the count of `read`, from before it was read.
    pub(super) fn keep(&self, page: Page, commits: u64, read: Instant, body: Bytes) {
        let mut pages = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if pages.len() >= PAGES && !pages.contains_key(&page) {
            pages.clear();
        }
        pages.insert(page, Kept { body, commits, read });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(after: i64) -> Page {
        Page { filter: Filter::default(), after: Some(after), limit: 20 }
    }

    const BODY: Bytes = Bytes::from_static(b"[]");

    #[test]
    fn a_page_is_answered_again_while_nothing_was_committed_and_it_is_fresh() {
        let (lists, read) = (Lists::default(), Instant::now());
        lists.keep(page(1), 7, read, BODY);
        let last = read + FRESH.saturating_sub(Duration::from_nanos(1));
        assert_eq!(lists.get(&page(1), 7, last), Some(BODY));
        assert_eq!(lists.get(&page(1), 7, read + FRESH), None);
        assert_eq!(lists.get(&page(1), 8, read), None);
        assert_eq!(lists.get(&page(2), 7, read), None);
    }

    #[test]
    fn clients_cannot_fill_the_memory() {
        let lists = Lists::default();
        for after in 0..10_000 {
            lists.keep(page(after), 0, Instant::now(), BODY);
        }
        assert!(lists.0.read().unwrap().len() <= PAGES);
    }
}
