//! The messages of one topic as they go by.

use std::time::Duration;

use super::{CheckOptions, Problem, ProblemKind, REGULAR_GAP};
use crate::topic::Topic;
use crate::video::VideoMessage;

/// Fewer messages than this have no rhythm.
const RHYTHM: usize = 10;

#[derive(Debug, Default)]
pub(super) struct Flow {
    pub(super) count: u64,
    pub(super) first: Option<i64>,
    pub(super) last: Option<i64>,
    intervals: Vec<i64>,
    /// The longest interval, and where it begins.
    longest: i64,
    gap_at: i64,
    has_stamp: bool,
    is_cdr: bool,
    video: Option<VideoMessage>,
    stamp: Option<i64>,
    /// How often stamps went back, by how much at most, and where first.
    back: (u64, i64, i64),
    /// Pictures with the time of the one before.
    still: u64,
    bad: u64,
    /// Pictures before the first that stands alone.
    before_key: u64,
    key_seen: bool,
}

impl Flow {
    pub(super) fn of(topic: &Topic) -> Self {
        let first =
            topic.definition.text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        let first = first.into_iter().find(|line| !line.is_empty()).unwrap_or_default();
        let of = first.split_whitespace().next().unwrap_or_default();
        Self {
            has_stamp: [
                "std_msgs/Header",
                "std_msgs/msg/Header",
                "builtin_interfaces/Time",
                "builtin_interfaces/msg/Time",
            ]
            .contains(&of),
            is_cdr: topic.serialization == "cdr",
            video: VideoMessage::of_type(&topic.type_name),
            ..Self::default()
        }
    }

    pub(super) fn take(&mut self, received: i64, data: &[u8]) {
        self.count += 1;
        self.first.get_or_insert(received);
        if let Some(last) = self.last {
            let interval = received.saturating_sub(last);
            if interval > self.longest {
                (self.longest, self.gap_at) = (interval, last);
            }
            self.intervals.push(interval);
        }
        self.last = Some(received);
        if !self.is_cdr {
            return;
        }
        let Some(stamp) = cdr_stamp(data) else {
            self.bad += 1;
            return;
        };
        if self.has_stamp {
            self.take_stamp(stamp, received);
        }
        if let Some(video) = self.video.filter(|_| !self.key_seen) {
            match video.decode(data) {
                Ok(picture) if picture.key_frame => self.key_seen = true,
                Ok(_) => self.before_key += 1,
                Err(_) => self.bad += 1,
            }
        }
    }

    fn take_stamp(&mut self, stamp: i64, received: i64) {
        if let Some(before) = self.stamp {
            let back = before - stamp;
            if back > 0 {
                let (count, most, at) = self.back;
                self.back = (count + 1, most.max(back), if count == 0 { received } else { at });
            } else if back == 0 && self.video.is_some() {
                self.still += 1;
            }
        }
        self.stamp = Some(stamp);
    }

    /// Median of the intervals.
    pub(super) fn interval(&mut self) -> Option<Duration> {
        (self.intervals.len() > 1).then(|| nanos(self.share(0.5)))
    }

    pub(super) fn longest_gap(&self) -> Option<Duration> {
        (!self.intervals.is_empty()).then(|| nanos(self.longest))
    }

    fn share(&mut self, share: f64) -> i64 {
        let index = ((self.intervals.len() - 1) as f64 * share) as usize;
        *self.intervals.select_nth_unstable(index).1
    }

    pub(super) fn problems(&mut self, topic: &Topic, options: CheckOptions) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut problem = |kind, expected: String, actual: String| {
            problems.push(Problem { kind, subject: topic.name.clone(), expected, actual });
        };
        if self.bad > 0 {
            let expected = format!("CDR of {}", topic.type_name);
            problem(ProblemKind::Message, expected, format!("{} messages that are none", self.bad));
        }
        let start = self.first.unwrap_or(0);
        let (count, most, at) = self.back;
        if count > 0 {
            let actual = format!(
                "{count} that go back, by up to {}, first {} after the topic's first message",
                seconds(most),
                seconds(at - start)
            );
            problem(ProblemKind::Time, "stamps in the order of reception".to_owned(), actual);
        }
        if self.still > 0 {
            let actual = format!("{} with the time of the one before", self.still);
            problem(ProblemKind::Time, "a time of its own for each picture".to_owned(), actual);
        }
        let longest = self.longest;
        let limit = match options.longest_gap {
            Some(limit) => Some((nanos_of(limit), "as was asked for".to_owned())),
            None if self.intervals.len() >= RHYTHM => {
                let (median, most) = (self.share(0.5), self.share(0.9));
                // Regular is what comes mostly within two of its intervals; the rest has no rhythm to fall out of.
                (median > 0 && most <= 2 * median).then(|| {
                    (REGULAR_GAP * median, format!("{REGULAR_GAP} intervals of {}", seconds(median)))
                })
            }
            None => None,
        };
        if let Some((limit, why)) = limit
            && longest > limit
        {
            let count = self.intervals.iter().filter(|interval| **interval > limit).count();
            let actual = format!(
                "{count}, the longest {} from {} after the topic's first message",
                seconds(longest),
                seconds(self.gap_at - start)
            );
            problem(ProblemKind::Gap, format!("no gap over {} ({why})", seconds(limit)), actual);
        }
        problems
    }

    pub(super) fn note(&self, topic: &Topic) -> Option<String> {
        (self.before_key > 0).then(|| {
            format!("{}: no decoder can begin with its first {} pictures", topic.name, self.before_key)
        })
    }
}

/// The time that a message begins with, nanoseconds, of any message that is long enough; 0 where it is not. None if it is no
/// plain CDR.
fn cdr_stamp(data: &[u8]) -> Option<i64> {
    let [0, endian @ (0 | 1), _, _, body @ ..] = data else { return None };
    let Some((sec, rest)) = body.split_first_chunk::<4>() else { return Some(0) };
    let Some((nanosec, _)) = rest.split_first_chunk::<4>() else { return Some(0) };
    let (sec, nanosec) = match endian {
        0 => (i32::from_be_bytes(*sec), u32::from_be_bytes(*nanosec)),
        _ => (i32::from_le_bytes(*sec), u32::from_le_bytes(*nanosec)),
    };
    Some(i64::from(sec) * 1_000_000_000 + i64::from(nanosec))
}

fn nanos(nanos: i64) -> Duration {
    Duration::from_nanos(nanos.unsigned_abs())
}

fn nanos_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn seconds(nanos: i64) -> String {
    format!("{:.3} s", nanos as f64 * 1e-9)
}
