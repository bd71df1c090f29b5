//! A stack that causes no page fault.

use std::hint::black_box;

use super::lack::{Lack, What};
use crate::sys;

const PAGE: usize = 4096;
/// Frames of the functions below and of what the kernel needs for a signal.
const MARGIN: usize = 8 * PAGE;

/// Touches `bytes` of the stack below the caller, so that they are resident from now on.
pub(super) fn make_resident(bytes: usize) -> Result<(), Lack> {
    let lack = |found: String, errno, mend: &str| Lack {
        what: What::Stack,
        asked: format!("{bytes} bytes of resident stack"),
        found,
        errno,
        mend: mend.to_owned(),
    };
    let room = sys::stack_room().map_err(|errno| {
        lack("a stack of unknown size".to_owned(), Some(errno), "run on a thread of std::thread::Builder")
    })?;
    if room < bytes + MARGIN {
        let found = format!("{room} bytes of stack left");
        return Err(lack(found, None, "start the thread with a larger std::thread::Builder::stack_size"));
    }
    touch(bytes);
    let before = sys::thread_usage().ru_minflt;
    touch(bytes);
    match sys::thread_usage().ru_minflt - before {
        0 => Ok(()),
        faults => {
            let found = format!("{faults} page faults when it was touched a second time");
            Err(lack(found, None, "lock the process' memory first (prepare_process)"))
        }
    }
}

/// Writes to each page of the next `bytes` of stack.
#[inline(never)]
fn touch(bytes: usize) {
    let mut page = [0u8; PAGE];
    black_box(&mut page);
    if bytes > PAGE {
        touch(bytes - PAGE);
    }
    // Used after the call too, so that the call cannot become a jump that shares this frame.
    black_box(&mut page);
}

#[cfg(test)]
mod tests {
    use std::thread::Builder;

    use super::*;

    #[test]
    fn what_was_made_resident_causes_no_fault() {
        const BYTES: usize = 256 * 1024;
        let faults = Builder::new().stack_size(1 << 20).spawn(|| {
            make_resident(BYTES).unwrap();
            let before = sys::thread_usage().ru_minflt;
            touch(BYTES);
            sys::thread_usage().ru_minflt - before
        });
        assert_eq!(faults.unwrap().join().unwrap(), 0);
    }

    #[test]
    fn touching_reaches_every_page() {
        const PAGES: i64 = 64;
        let faults = Builder::new().stack_size(1 << 20).spawn(|| {
            let before = sys::thread_usage().ru_minflt;
            touch(PAGES as usize * PAGE);
            sys::thread_usage().ru_minflt - before
        });
        // Fewer where the kernel maps huge pages or the neighbours of a page at once, never none.
        assert!((1..=PAGES + 2).contains(&faults.unwrap().join().unwrap()));
    }

    #[test]
    fn more_than_there_is_is_a_lack_and_no_crash() {
        let lack = Builder::new().stack_size(64 * 1024).spawn(|| make_resident(1 << 20).unwrap_err());
        let lack = lack.unwrap().join().unwrap();
        assert_eq!(lack.what, What::Stack);
        assert!(lack.mend.contains("stack_size"), "{lack}");
    }
}
