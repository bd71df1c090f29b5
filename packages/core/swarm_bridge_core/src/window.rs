//! Maintenance windows: when a cell may be given something new.
//!
//! `mon-fri 22:00-04:30`: on these days, from, to, in the cell's local time, which is UTC and an offset. A window whose end is
//! not after its beginning ends on the next day. Summer time is not followed: a cell that has it names the offset that it means.

use std::fmt;
use std::str::FromStr;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTES_PER_DAY: u32 = 24 * 60;
const MINUTES_PER_WEEK: u32 = 7 * MINUTES_PER_DAY;
/// 1970-01-01 was a Thursday.
const DAY_OF_EPOCH: i64 = 3;

/// Weekly windows. None: always open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    windows: Vec<Window>,
    offset_min: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Window {
    /// Monday first.
    days: [bool; 7],
    from_min: u32,
    length_min: u32,
}

/// Why a text is no window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowsError {
    #[error("'{}' is no maintenance window: {problem}; expected one such as 'mon-fri 22:00-04:30' or 'sat,sun 00:00-24:00'", .text.escape_debug())]
    Window { text: String, problem: &'static str },
    #[error("'{}' is no offset from UTC, expected one such as +01:00 or -05:30", .text.escape_debug())]
    Offset { text: String },
}

impl Windows {
    /// `offset` as in `+01:00`.
    pub fn parse<'a>(windows: impl IntoIterator<Item = &'a str>, offset: &str) -> Result<Self, WindowsError> {
        let offset_min =
            parse_offset(offset).ok_or_else(|| WindowsError::Offset { text: offset.to_owned() })?;
        let windows = windows.into_iter().map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self { windows, offset_min })
    }

    pub fn is_open(&self, unix_s: i64) -> bool {
        self.opens_in_s(unix_s) == 0
    }

    /// Seconds until a window is open; 0 while one is.
    pub fn opens_in_s(&self, unix_s: i64) -> u32 {
        let local =
            unix_s.saturating_add(i64::from(self.offset_min) * 60).saturating_add(DAY_OF_EPOCH * 86_400);
        let second = local.rem_euclid(i64::from(MINUTES_PER_WEEK) * 60) as u32;
        let starts = self.windows.iter().flat_map(|window| {
            let days = (0..7_u32).filter(|day| window.days[*day as usize]);
            days.map(|day| (day * MINUTES_PER_DAY + window.from_min, window.length_min))
        });
        let wait = starts.map(|(start_min, length_min)| {
            let since = (second + (MINUTES_PER_WEEK - start_min) * 60) % (MINUTES_PER_WEEK * 60);
            if since < length_min * 60 { 0 } else { MINUTES_PER_WEEK * 60 - since }
        });
        wait.min().unwrap_or(0)
    }
}

impl FromStr for Window {
    type Err = WindowsError;

    fn from_str(text: &str) -> Result<Self, WindowsError> {
        let wrong = |problem| WindowsError::Window { text: text.chars().take(80).collect(), problem };
        let mut words = text.split_whitespace();
        let (Some(days), Some(times), None) = (words.next(), words.next(), words.next()) else {
            return Err(wrong("it is not days and times"));
        };
        let days =
            parse_days(days).ok_or_else(|| wrong("its days are not such as mon, mon-fri or sat,sun"))?;
        let (from, to) =
            times.split_once('-').ok_or_else(|| wrong("its times are not such as 22:00-04:30"))?;
        let (Some(from_min), Some(to_min)) = (parse_time(from), parse_time(to)) else {
            return Err(wrong("its times are not such as 22:00-04:30"));
        };
        if from_min == MINUTES_PER_DAY {
            return Err(wrong("it begins at 24:00; write 00:00 of the next day"));
        }
        if from_min == to_min {
            return Err(wrong("it ends when it begins; a whole day is 00:00-24:00"));
        }
        let length_min =
            if to_min > from_min { to_min - from_min } else { to_min + MINUTES_PER_DAY - from_min };
        Ok(Self { days, from_min, length_min })
    }
}

/// `mon-fri`, `sat,sun`; a range may go over the end of the week.
fn parse_days(text: &str) -> Option<[bool; 7]> {
    let day = |name: &str| DAYS.iter().position(|day| *day == name);
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        for step in 0..=(last + 7 - first) % 7 {
            days[(first + step) % 7] = true;
        }
    }
    Some(days)
}

/// Minutes since midnight; 24:00 is the end of a day.
fn parse_time(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(hours) || !digits(minutes) {
        return None;
    }
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let minute = hours * 60 + minutes;
    (minutes < 60 && minute <= MINUTES_PER_DAY).then_some(minute)
}

fn parse_offset(text: &str) -> Option<i32> {
    let (sign, time) = match text.split_at_checked(1)? {
        ("+", time) => (1, time),
        ("-", time) => (-1, time),
        _ => return None,
    };
    let minutes = parse_time(time).filter(|minutes| *minutes <= 14 * 60)?;
    Some(sign * minutes.cast_signed())
}

impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.windows.is_empty() {
            return f.write_str("always");
        }
        for (index, window) in self.windows.iter().enumerate() {
            let days: Vec<_> =
                DAYS.iter().zip(window.days).filter(|(_, on)| *on).map(|(day, _)| *day).collect();
            let to = (window.from_min + window.length_min - 1) % MINUTES_PER_DAY + 1;
            let clock = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
            let (days, from, to) = (days.join(","), clock(window.from_min), clock(to));
            write!(f, "{}{days} {from}-{to}", if index > 0 { "; " } else { "" })?;
        }
        let (sign, offset) = (if self.offset_min < 0 { '-' } else { '+' }, self.offset_min.unsigned_abs());
        write!(f, " (UTC{sign}{:02}:{:02})", offset / 60, offset % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday 2026-11-16 00:00 UTC.
    const MONDAY: i64 = 1_794_787_200;
    const HOUR: i64 = 3_600;

    fn windows(list: &[&str], offset: &str) -> Windows {
        Windows::parse(list.iter().copied(), offset).unwrap()
    }

    #[test]
    fn without_windows_it_is_always_open() {
        assert!(windows(&[], "+00:00").is_open(MONDAY));
        assert_eq!(windows(&[], "+00:00").to_string(), "always");
    }

    #[test]
    fn a_window_is_open_from_its_first_second_to_the_one_before_its_end() {
        let window = windows(&["mon 02:00-04:00"], "+00:00");
        for (at, wait) in [
            (0, 7_200),
            (2 * HOUR - 1, 1),
            (2 * HOUR, 0),
            (4 * HOUR - 1, 0),
            (4 * HOUR, 7 * 86_400 - 2 * 3_600),
        ] {
            assert_eq!(i64::from(window.opens_in_s(MONDAY + at)), wait, "{at} s after Monday began");
        }
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_on_which_it_begins() {
        let window = windows(&["sun 22:00-06:00"], "+00:00");
        assert!(window.is_open(MONDAY + 5 * HOUR), "since yesterday");
        assert!(!window.is_open(MONDAY + 6 * HOUR));
        assert!(!window.is_open(MONDAY + 23 * HOUR), "Monday evening");
    }

    #[test]
    fn times_are_local() {
        let window = windows(&["mon 00:00-01:00"], "+02:00");
        assert!(window.is_open(MONDAY - 2 * HOUR) && window.is_open(MONDAY - HOUR - 1));
        assert!(!window.is_open(MONDAY - HOUR));
        assert!(windows(&["mon 00:00-01:00"], "-05:30").is_open(MONDAY + 5 * HOUR + 1_800));
    }

    #[test]
    fn days_are_lists_and_ranges_also_over_the_end_of_the_week() {
        let window = windows(&["sat-mon,wed 12:00-13:00"], "+00:00");
        let open: Vec<_> = (0..7).filter(|day| window.is_open(MONDAY + day * 86_400 + 12 * HOUR)).collect();
        assert_eq!(open, [0, 2, 5, 6]);
        assert_eq!(window.to_string(), "mon,wed,sat,sun 12:00-13:00 (UTC+00:00)");
        let whole = windows(&["mon-sun 00:00-24:00"], "+00:00");
        assert!((0..7 * 24).all(|hour| whole.is_open(MONDAY + hour * HOUR)));
    }

    #[test]
    fn what_is_no_window_is_told() {
        for (text, problem) in [
            ("", "days and times"),
            ("mon", "days and times"),
            ("moon 01:00-02:00", "its days"),
            ("mon 1:00-02:00", "its times"),
            ("mon 01:00-25:00", "its times"),
            ("mon 01:60-02:00", "its times"),
            ("mon 24:00-02:00", "begins at 24:00"),
            ("mon 02:00-02:00", "ends when it begins"),
            ("mon 02:00-03:00 always", "days and times"),
        ] {
            let error = Windows::parse([text], "+00:00").unwrap_err().to_string();
            assert!(error.contains(problem), "{text}: {error}");
        }
        for text in ["", "1", "01:00", "+1:00", "+15:00", "é"] {
            Windows::parse([], text).unwrap_err();
        }
    }
}
