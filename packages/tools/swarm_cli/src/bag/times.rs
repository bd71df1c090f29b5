//! Times on the command line: relative to a bag's beginning, or absolute; and times for people.

use std::str::FromStr;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment of a bag, as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Moment {
    /// Nanoseconds after the first message; before the end of the bag where negative.
    Relative(i64),
    /// Nanoseconds since the epoch.
    Absolute(i64),
}

impl Moment {
    /// Nanoseconds since the epoch, in a bag of these first and last messages.
    pub(super) fn of(self, first: i64, last: i64) -> i64 {
        match self {
            Self::Absolute(nanos) => nanos,
            Self::Relative(nanos @ 0..) => first.saturating_add(nanos),
            Self::Relative(nanos) => last.saturating_add(nanos),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(epoch) = text.strip_prefix('@') {
            return nanos(epoch).map(Self::Absolute).ok_or_else(wrong);
        }
        if let Some(relative) = nanos(text) {
            return Ok(Self::Relative(relative));
        }
        let moment = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| wrong())?;
        i64::try_from(moment.unix_timestamp_nanos()).map(Self::Absolute).map_err(|_| wrong())
    }
}

fn wrong() -> String {
    "expected seconds from the beginning (12.5) or before the end (-3), @seconds since 1970, or a time such as \
     2026-01-01T12:00:00Z"
        .to_owned()
}

/// Seconds with up to nine places, exactly; a float has too few digits for a time of today.
fn nanos(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(part) || part.len() > 9 {
        return None;
    }
    let part: i64 = format!("{part:0<9}").parse().ok()?;
    let nanos = whole.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(part)?;
    Some(if negative { -nanos } else { nanos })
}

/// `2026-01-01 00:00:00.000 UTC (1767225600.000)`
pub(super) fn shown(nanos: i64) -> String {
    let millis = nanos.rem_euclid(1_000_000_000) / 1_000_000;
    let seconds = nanos.div_euclid(1_000_000_000);
    let date = OffsetDateTime::from_unix_timestamp(seconds).map_or_else(
        |_| "?".to_owned(),
        |at| format!("{} {:02}:{:02}:{:02}.{millis:03} UTC", at.date(), at.hour(), at.minute(), at.second()),
    );
    format!("{date} ({seconds}.{millis:03})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_exact_to_the_nanosecond() {
        let of = |text: &str| text.parse::<Moment>();
        assert_eq!(of("12.5"), Ok(Moment::Relative(12_500_000_000)));
        assert_eq!(of("-3"), Ok(Moment::Relative(-3_000_000_000)));
        assert_eq!(of("@1767225600.000000001"), Ok(Moment::Absolute(1_767_225_600_000_000_001)));
        assert_eq!(of("2026-01-01T01:00:00+01:00"), Ok(Moment::Absolute(1_767_225_600_000_000_000)));
        for bad in
            ["", "x", "1.", ".5", "1e3", "1.0000000001", "@", "99999999999999999999", "2026-13-01T00:00:00Z"]
        {
            assert_eq!(of(bad), Err(wrong()), "{bad}");
        }
    }

    #[test]
    fn a_negative_moment_counts_from_the_end() {
        assert_eq!(Moment::Relative(5).of(100, 200), 105);
        assert_eq!(Moment::Relative(-5).of(100, 200), 195);
        assert_eq!(Moment::Absolute(150).of(100, 200), 150);
    }

    #[test]
    fn a_time_is_shown_as_date_and_as_seconds() {
        assert_eq!(shown(1_767_225_600_123_456_789), "2026-01-01 00:00:00.123 UTC (1767225600.123)");
    }
}
