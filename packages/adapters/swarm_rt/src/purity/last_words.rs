//! What a process says when one of its guards ends it: without memory, locks or buffers, by one `write`.

use std::fmt::{self, Write as _};
use std::os::fd::{BorrowedFd, IntoRawFd as _, RawFd};
use std::sync::Once;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::io::Errno;

const STANDARD_ERROR: RawFd = 2;
/// Above those that programs expect at fixed numbers.
const LOWEST: RawFd = 100;
const LONGEST: usize = 512;

static DESCRIPTOR: AtomicI32 = AtomicI32::new(STANDARD_ERROR);

thread_local! {
    static IS_GUARDED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// A descriptor of standard error that nothing else knows: a guarded thread may write there and to no other, so that a log
/// line does not pass for last words. It stays open for good.
pub(super) fn descriptor() -> Result<RawFd, Errno> {
    let known = DESCRIPTOR.load(Ordering::Acquire);
    if known != STANDARD_ERROR {
        return Ok(known);
    }
    let new = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), LOWEST)?.into_raw_fd();
    DESCRIPTOR.store(new, Ordering::Release);
    Ok(new)
}

/// From now on a panic of the calling thread says so through [`descriptor`] and aborts: the usual way would take memory, lock
/// standard error, and be killed for it without a word.
pub(super) fn speak_for_this_thread() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if IS_GUARDED.get() {
                say_and_abort(format_args!("a real-time thread {panic}"));
            }
            usual(panic);
        }));
    });
    IS_GUARDED.set(true);
}

/// Says it and ends the process with `SIGABRT`.
pub(super) fn say_and_abort(words: fmt::Arguments<'_>) -> ! {
    let mut line = Line { bytes: [0; LONGEST], length: 0 };
    // A line that is too long is cut; there is nobody to tell.
    let _ = write!(line, "swarm_rt: {words}; aborting");
    line.bytes[line.length] = b'\n';
    write_out(&line.bytes[..=line.length]);
    std::process::abort()
}

#[expect(unsafe_code, reason = "the descriptor is borrowed from no owner")]
fn write_out(bytes: &[u8]) {
    // SAFETY: either standard error, or a descriptor that `descriptor` opened and nobody closes. If standard error was closed,
    // the write fails.
    let descriptor = unsafe { BorrowedFd::borrow_raw(DESCRIPTOR.load(Ordering::Acquire)) };
    // The process ends with its signal whether or not somebody reads this.
    let _ = rustix::io::write(descriptor, bytes);
}

struct Line {
    bytes: [u8; LONGEST],
    /// Always below `LONGEST`: one byte is kept for the end of the line.
    length: usize,
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = LONGEST - 1 - self.length;
        let taken = text.len().min(room);
        self.bytes[self.length..self.length + taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.length += taken;
        if taken < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_line_keeps_what_has_room_and_never_overflows(parts in prop::collection::vec(".{0,200}", 0..8)) {
            let mut line = Line { bytes: [0; LONGEST], length: 0 };
            for part in &parts {
                let _ = line.write_str(part);
            }
            let whole = parts.concat();
            let kept = &line.bytes[..line.length];
            prop_assert!(line.length < LONGEST);
            prop_assert_eq!(kept, &whole.as_bytes()[..whole.len().min(LONGEST - 1)]);
        }
    }
}
