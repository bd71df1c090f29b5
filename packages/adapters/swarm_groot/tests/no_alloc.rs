//! The ticking thread takes no memory for what it shows, whether or not anybody looks: no allocator stands between it and a client.

mod common;

use assert_no_alloc::{AllocDisabler, assert_no_alloc};
use common::Ticking;

#[global_allocator]
static ALLOCATOR: AllocDisabler = AllocDisabler;

#[test]
fn feeding_takes_no_memory() {
    let (mut ticking, _source) = Ticking::new();
    ticking.tick();
    for _ in 0..5_000 {
        assert_no_alloc(|| ticking.tick());
    }
    assert!(ticking.feed.dropped() > 0, "the queue was full for most of it");
}
