//! Reading from a test runner's own words how many tests passed and failed.

/// Tests that ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
    /// Tests that failed first and were run again.
    pub rerun: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.rerun += other.rerun;
    }
}

/// Whose words they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Runner {
    /// `test result: ok. 5 passed; 0 failed; 1 ignored; ...`, once for each test executable.
    CargoTest,
    /// `     Summary [   0.012s] 5 tests run: 4 passed, 1 failed, 2 skipped`, once.
    Nextest,
    /// `=== 5 passed, 1 failed, 1 error in 0.10s ===`, once.
    Pytest,
}

/// Adds what `line` tells, if it tells anything.
pub(super) fn count(runner: Runner, line: &str, counts: &mut Counts) {
    let plain = without_colours(line);
    let plain = plain.trim();
    let part = match runner {
        Runner::CargoTest => plain.strip_prefix("test result:"),
        // Tests outside a filter are "skipped" there; they belong to another stage and are not counted.
        Runner::Nextest => {
            plain.strip_prefix("Summary [").and_then(|rest| rest.split_once("run:")).map(|(_, rest)| rest)
        }
        Runner::Pytest => summary_of_pytest(plain),
    };
    let Some(part) = part else { return };
    let words: Vec<&str> = part
        .split(|c: char| c.is_whitespace() || ",;.()=".contains(c))
        .filter(|word| !word.is_empty())
        .collect();
    for pair in words.windows(2) {
        let Ok(number) = pair[0].parse::<u64>() else { continue };
        match pair[1] {
            "passed" | "xpassed" => counts.passed += number,
            "failed" | "error" | "errors" | "timed" | "exec" => counts.failed += number,
            "ignored" | "xfailed" => counts.skipped += number,
            "skipped" if runner == Runner::Pytest => counts.skipped += number,
            "rerun" => counts.rerun += number,
            _ => {}
        }
    }
}

fn summary_of_pytest(line: &str) -> Option<&str> {
    let is_summary = line.starts_with("==") && line.ends_with("==") && line.contains(" in ");
    // With -q there is no frame.
    let is_bare =
        line.starts_with(|c: char| c.is_ascii_digit()) && line.contains(" in ") && line.ends_with('s');
    (is_summary || is_bare).then_some(line)
}

fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            characters.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(character);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(runner: Runner, text: &str) -> (u64, u64, u64) {
        let mut counts = Counts::default();
        text.lines().for_each(|line| count(runner, line, &mut counts));
        (counts.passed, counts.failed, counts.skipped)
    }

    #[test]
    fn cargo_tests_results_add_up_over_its_executables() {
        let text = "test a ... ok\ntest result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.0s\n\
                    test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(counted(Runner::CargoTest, text), (7, 1, 1));
    }

    #[test]
    fn nextests_summary_is_read_with_its_colours() {
        let text =
            "     Summary [   0.012s] 7 tests run: 5 passed (1 slow), 1 failed, 1 timed out, 40 skipped";
        assert_eq!(counted(Runner::Nextest, text), (5, 2, 0));
        let coloured = "\u{1b}[32;1m     Summary\u{1b}[0m [   1.2s] \u{1b}[1m3\u{1b}[0m tests run: \u{1b}[1m3\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, 0 skipped";
        assert_eq!(counted(Runner::Nextest, coloured), (3, 0, 0));
    }

    #[test]
    fn pytests_errors_count_as_failures() {
        let framed = "==== 1 failed, 12 passed, 2 skipped, 1 error in 65.31s (0:01:05) ====";
        assert_eq!(counted(Runner::Pytest, framed), (12, 2, 2));
        assert_eq!(counted(Runner::Pytest, "12 passed in 0.50s"), (12, 0, 0));
        assert_eq!(counted(Runner::Pytest, "FAILED test_x.py::y - 3 failed attempts"), (0, 0, 0));
        let mut counts = Counts::default();
        count(Runner::Pytest, "==== 12 passed, 2 rerun in 65.31s (0:01:05) ====", &mut counts);
        assert_eq!((counts.passed, counts.rerun), (12, 2));
    }
}
