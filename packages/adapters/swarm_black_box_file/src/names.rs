//! Names of the files, and which of them go when room is short.

/// End of the names of files that are being begun; they hold nothing yet.
pub(crate) const BEGUN: &str = ".begun";

/// Name of a file of the series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BoxName {
    pub number: u64,
    /// It holds a stop.
    pub stop: bool,
}

impl BoxName {
    pub(crate) fn text(&self) -> String {
        let stop = if self.stop { "_stop" } else { "" };
        format!("{:010}{stop}.swarmbox", self.number)
    }

    /// While it has no whole header.
    pub(crate) fn begun(&self) -> String {
        format!("{}{BEGUN}", self.text())
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let stem = text.strip_suffix(".swarmbox")?;
        let (number, stop) = stem.strip_suffix("_stop").map_or((stem, false), |number| (number, true));
        // Whoever wrote `7.swarmbox` was not the recorder: by its number it could not be found again.
        Some(Self { number: number.parse().ok()?, stop }).filter(|name| name.text() == text)
    }
}

/// Which files go, the first one first, so that all together have at most `most` bytes. The newest file stays. Files with a
/// stop may take up half of the room; within it they go last.
pub(crate) fn to_remove(files: &[(BoxName, u64)], most: u64) -> Vec<BoxName> {
    let mut files = files.to_vec();
    files.sort_by_key(|(name, _)| name.number);
    let newest = files.pop().map_or(0, |(_, bytes)| bytes);
    let sum = |files: &[(BoxName, u64)], stop: Option<bool>| -> u64 {
        files
            .iter()
            .filter(|(name, _)| stop.is_none_or(|stop| name.stop == stop))
            .map(|(_, bytes)| bytes)
            .sum()
    };
    let mut gone = Vec::new();
    while !files.is_empty() && sum(&files, None) + newest > most {
        let crowded = sum(&files, Some(true)) > most / 2;
        let first = files.iter().position(|(name, _)| name.stop == crowded).unwrap_or(0);
        gone.push(files.remove(first).0);
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(number: u64, stop: bool, bytes: u64) -> (BoxName, u64) {
        (BoxName { number, stop }, bytes)
    }

    fn removed(files: &[(BoxName, u64)], most: u64) -> Vec<u64> {
        to_remove(files, most).iter().map(|name| name.number).collect()
    }

    #[test]
    fn names_are_read_back_and_others_are_left_alone() {
        for name in [BoxName { number: 12, stop: false }, BoxName { number: 3, stop: true }] {
            assert_eq!(BoxName::parse(&name.text()), Some(name));
        }
        assert_eq!(BoxName::parse(&BoxName { number: 12, stop: false }.begun()), None);
        assert_eq!(BoxName::parse("notes.txt"), None);
        for other in ["cell.swarmbox", "12.swarmbox", "+000000012.swarmbox", "000000012_stop.swarmbox"] {
            assert_eq!(BoxName::parse(other), None, "{other}");
        }
    }

    #[test]
    fn the_oldest_without_a_stop_goes_first() {
        let files = [file(1, true, 10), file(2, false, 10), file(3, false, 10), file(4, false, 10)];
        assert_eq!(removed(&files, 30), [2]);
        assert_eq!(removed(&files, 20), [2, 3]);
        assert_eq!(removed(&files, 40), [0; 0]);
    }

    #[test]
    fn stops_go_too_when_they_take_more_than_half() {
        let files = [file(1, true, 10), file(2, true, 10), file(3, false, 10), file(4, false, 10)];
        assert_eq!(removed(&files, 30), [1]);
    }

    #[test]
    fn the_newest_stays_however_large() {
        assert_eq!(removed(&[file(1, false, 10), file(2, false, 1000)], 5), [1]);
    }
}
