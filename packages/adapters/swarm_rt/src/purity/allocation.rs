//! An allocator that ends the process when a real-time thread uses it.
//!
//!     #[global_allocator]
//!     static ALLOCATOR: swarm_rt::purity::allocation::TrapAllocator = swarm_rt::purity::allocation::TrapAllocator;
//!
//! A thread that panics may allocate again: what it has to say is worth more than its purity, and it is at its end.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::marker::PhantomData;

use thiserror::Error;

use super::last_words;
use crate::{Lack, What};

/// The system's allocator, counted and guarded per thread.
#[derive(Debug)]
pub struct TrapAllocator;

thread_local! {
    // Constants without a destructor: reading them neither allocates nor fails, not even while the thread ends.
    static FORBIDDEN: Cell<bool> = const { Cell::new(false) };
    static USES: Cell<u64> = const { Cell::new(0) };
}

/// While this lives, its thread may neither take nor free memory. It stays on that thread.
#[derive(Debug)]
pub struct Forbidden {
    before: bool,
    of_this_thread: PhantomData<*const ()>,
}

/// [`forbid`] would forbid nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "memory of this program is not guarded: its global allocator is not swarm_rt's; declare `#[global_allocator] static \
     ALLOCATOR: TrapAllocator = TrapAllocator` in the executable"
)]
pub struct NotInstalled;

impl From<NotInstalled> for Lack {
    fn from(_: NotInstalled) -> Self {
        Self {
            what: What::Allocator,
            asked: "memory that the thread can be forbidden to take".to_owned(),
            found: "a global allocator that guards nothing".to_owned(),
            errno: None,
            mend: "declare `#[global_allocator] static ALLOCATOR: TrapAllocator = TrapAllocator` in the executable".to_owned(),
        }
    }
}

/// Forbids the calling thread to take or free memory.
pub fn forbid() -> Result<Forbidden, NotInstalled> {
    let uses = uses();
    drop(std::hint::black_box(Box::new(0u8)));
    if self::uses() == uses {
        return Err(NotInstalled);
    }
    Ok(Forbidden { before: FORBIDDEN.replace(true), of_this_thread: PhantomData })
}

impl Drop for Forbidden {
    fn drop(&mut self) {
        FORBIDDEN.set(self.before);
    }
}

/// How often the calling thread has taken, resized or freed memory.
pub fn uses() -> u64 {
    USES.get()
}

#[inline]
fn note(what: &str, bytes: usize) {
    USES.set(USES.get() + 1);
    if FORBIDDEN.get() && !std::thread::panicking() {
        // Its own words must not trap again.
        FORBIDDEN.set(false);
        last_words::say_and_abort(format_args!("a real-time thread {what} {bytes} bytes of memory"));
    }
}

#[expect(unsafe_code, reason = "an allocator has no safe interface")]
// SAFETY: every call is handed to the system's allocator with the same arguments, so what holds for it holds for this.
// Counting touches two plain thread-local numbers and neither allocates nor unwinds.
unsafe impl GlobalAlloc for TrapAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note("took", layout.size());
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note("took", layout.size());
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note("resized memory to", size);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::realloc`; the memory came from `System`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note("freed", layout.size());
        // SAFETY: the caller keeps the contract of `GlobalAlloc::dealloc`; the memory came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_the_allocator_is_told_so() {
        // This test program is one; tests/purity.rs has it.
        let refused = forbid().map(drop).unwrap_err();
        assert!(refused.to_string().contains("#[global_allocator]"), "{refused}");
    }
}
