//! The rules of a download: which bytes a `Range` asks for, and whether the client has the artifact already (RFC 9110).
//!
//! An entity tag is the artifact's digest in quotes. It is strong: an artifact never changes under its digest.

use std::ops::Range;

/// Which bytes to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    All,
    /// End exclusive, within the artifact, not empty.
    Part(Range<u64>),
    /// None of the bytes asked for are there.
    Unsatisfiable,
}

/// Reads a `Range` header about an artifact of `size` bytes.
///
/// Several ranges, other units and what cannot be read are answered with everything, as RFC 9110 section 14.2 allows.
pub fn wanted(range: Option<&str>, size: u64) -> Wanted {
    let Some(spec) = range.and_then(|text| text.trim().strip_prefix("bytes=")) else { return Wanted::All };
    let Some((first, last)) = spec.trim().split_once('-') else { return Wanted::All };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // A number too large for u64 lies behind the end of everything.
    let number = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
    match (digits(first), digits(last)) {
        (true, true) => {
            let (first, last) = (number(first), number(last));
            if last < first {
                return Wanted::All;
            }
            part(first, last.saturating_add(1).min(size), size)
        }
        (true, false) if last.is_empty() => part(number(first), size, size),
        (false, true) if first.is_empty() => match number(last) {
            0 => Wanted::Unsatisfiable,
            suffix => part(size.saturating_sub(suffix), size, size),
        },
        _ => Wanted::All,
    }
}

fn part(start: u64, end: u64, size: u64) -> Wanted {
    if start < size && start < end { Wanted::Part(start..end) } else { Wanted::Unsatisfiable }
}

/// Whether an `If-None-Match` or `If-Match` header names this tag (weak comparison).
pub fn names(header: &str, tag: &str) -> bool {
    let plain = |text: &str| text.trim().trim_start_matches("W/").to_owned();
    header.trim() == "*" || header.split(',').any(|candidate| plain(candidate) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        let of = |text| wanted(Some(text), 10);
        assert_eq!(of("bytes=0-3"), Wanted::Part(0..4));
        assert_eq!(of("bytes=4-"), Wanted::Part(4..10));
        assert_eq!(of("bytes=9-99999999999999999999"), Wanted::Part(9..10));
        assert_eq!(of("bytes=-3"), Wanted::Part(7..10));
        assert_eq!(of("bytes=-99"), Wanted::Part(0..10));
        for unsatisfiable in ["bytes=10-", "bytes=10-11", "bytes=-0", "bytes=99999999999999999999-"] {
            assert_eq!(of(unsatisfiable), Wanted::Unsatisfiable, "{unsatisfiable}");
        }
        for everything in
            ["bytes=3-2", "bytes=0-1,4-5", "lines=1-2", "bytes=a-b", "bytes=-", "bytes=", "0-3", ""]
        {
            assert_eq!(of(everything), Wanted::All, "{everything}");
        }
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Unsatisfiable);
        assert_eq!(wanted(None, 10), Wanted::All);
    }

    #[test]
    fn a_tag_is_found_in_a_list_and_by_the_star() {
        let tag = "\"ab\"";
        assert!(names("\"ab\"", tag) && names("\"x\", W/\"ab\"", tag) && names(" * ", tag));
        assert!(!names("\"abc\"", tag) && !names("ab", tag) && !names("", tag));
    }
}
