//! Tells those who wait that something new was published, by this replica or by another.

use std::sync::Arc;
use std::time::Duration;

use swarm_api::update::{Versions, Which};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct News {
    image: Versions,
    director: Versions,
    /// The program ends; nobody is kept waiting.
    closing: bool,
}

impl News {
    fn of(&mut self, which: Which) -> &mut Versions {
        match which {
            Which::Image => &mut self.image,
            Which::Director => &mut self.director,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Feed(Arc<watch::Sender<News>>);

impl Feed {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(News::default())))
    }

    pub(super) fn tell(&self, which: Which, versions: Versions) {
        self.0.send_if_modified(|news| {
            let known = news.of(which);
            let other = *known != versions;
            *known = versions;
            other
        });
    }

    pub(super) fn close(&self) {
        self.0.send_modify(|news| news.closing = true);
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.0.receiver_count()
    }

    /// Until a timestamp beyond `newer_than` is known, the time is over, or the program ends.
    pub(super) async fn wait(&self, which: Which, newer_than: u64, longest: Duration) {
        let mut receiver = self.0.subscribe();
        let newer = receiver.wait_for(|news| {
            let mut news = *news;
            news.closing || news.of(which).timestamp > newer_than
        });
        // Either way the caller looks again.
        let _ = tokio::time::timeout(longest, newer).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_is_woken_by_what_is_newer_and_by_the_end() {
        let feed = Feed::new();
        let waiting = |newer_than| {
            let feed = feed.clone();
            tokio::spawn(async move { feed.wait(Which::Director, newer_than, Duration::from_secs(30)).await })
        };
        let (first, second) = (waiting(4), waiting(5));
        while feed.waiting() < 2 {
            tokio::task::yield_now().await;
        }
        feed.tell(Which::Image, Versions { timestamp: 9, ..Versions::default() });
        feed.tell(Which::Director, Versions { timestamp: 5, ..Versions::default() });
        first.await.unwrap();
        assert!(!second.is_finished());
        feed.close();
        second.await.unwrap();
        waiting(5).await.unwrap();
    }
}
