//! What became of the cycles that are to be recorded: which ones are in a file, and which ones a file must still note as lost.
//!
//! Cycles are numbered without a gap. A recording begins behind a cycle; whatever is missing between what the system has and what
//! comes next is a gap, which the file notes. What a recording lost at its end, the next recording notes at its beginning.

/// The account of a session.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Last cycle that was to be recorded, whatever became of it.
    wanted: u64,
    /// Last cycle that is in a file's chain, or in front of which everything is noted there.
    written: u64,
    /// Likewise in what the system has.
    flushed: u64,
    /// Cycles in the chain that the system does not have.
    unflushed: u64,
}

impl Account {
    /// A recording begins behind this cycle.
    pub(crate) fn begin(&mut self, before: u64) {
        let owed = self.wanted.saturating_sub(self.flushed);
        self.flushed = before.saturating_sub(owed);
        (self.wanted, self.written, self.unflushed) = (before, self.flushed, 0);
    }

    /// How many cycles are missing in front of what stands behind the cycle `after`: to be noted now.
    pub(crate) fn gap(&mut self, after: u64) -> u64 {
        let missing = after.saturating_sub(self.written);
        self.written += missing;
        missing
    }

    /// This cycle is in the chain.
    pub(crate) fn write(&mut self, cycle: u64) {
        (self.wanted, self.written) = (cycle, cycle);
        self.unflushed += 1;
    }

    /// This cycle was to be recorded and is not.
    pub(crate) fn lose(&mut self, cycle: u64) {
        self.wanted = cycle;
    }

    /// The system has what is in the chain.
    pub(crate) fn flush(&mut self) {
        (self.flushed, self.unflushed) = (self.written, 0);
    }

    /// The file is given up: how many cycles are lost with it.
    pub(crate) fn give_up(&mut self) -> u64 {
        self.written = self.flushed;
        std::mem::take(&mut self.unflushed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes these cycles; gives the gaps that were noted.
    fn write(account: &mut Account, cycles: std::ops::RangeInclusive<u64>) -> Vec<u64> {
        let gaps = cycles.map(|cycle| {
            let gap = account.gap(cycle - 1);
            account.write(cycle);
            gap
        });
        gaps.filter(|gap| *gap > 0).collect()
    }

    #[test]
    fn between_two_recordings_nothing_is_missing() {
        let mut account = Account::default();
        for cycles in [101..=200, 901..=1_000] {
            account.begin(cycles.start() - 1);
            assert_eq!(write(&mut account, cycles), [0; 0]);
            account.flush();
        }
    }

    #[test]
    fn a_file_that_is_given_up_costs_what_the_system_does_not_have_and_the_next_one_notes_it() {
        let mut account = Account::default();
        account.begin(100);
        write(&mut account, 101..=150);
        account.flush();
        write(&mut account, 151..=170);
        assert_eq!(account.give_up(), 20);
        assert_eq!(write(&mut account, 171..=180), [20]);
    }

    #[test]
    fn what_is_lost_before_the_first_piece_of_a_recording_is_what_was_written_of_it() {
        let mut account = Account::default();
        account.begin(4_400);
        write(&mut account, 4_401..=4_500);
        assert_eq!(account.give_up(), 100);
        assert_eq!(write(&mut account, 4_501..=4_510), [100]);
    }

    #[test]
    fn a_note_that_the_system_does_not_have_is_made_again_and_its_cycles_are_lost_once() {
        let mut account = Account::default();
        account.begin(0);
        (1..=30).for_each(|cycle| account.lose(cycle));
        assert_eq!(write(&mut account, 31..=40), [30]);
        assert_eq!(account.give_up(), 10);
        assert_eq!(write(&mut account, 41..=50), [40]);
    }

    #[test]
    fn what_a_recording_lost_at_its_end_the_next_one_notes_at_its_beginning() {
        let mut account = Account::default();
        account.begin(100);
        write(&mut account, 101..=150);
        account.flush();
        write(&mut account, 151..=160);
        assert_eq!(account.give_up(), 10);
        account.lose(161);
        account.begin(900);
        assert_eq!(write(&mut account, 901..=950), [11]);
        account.flush();
        account.begin(2_000);
        assert_eq!(write(&mut account, 2_001..=2_050), [0; 0]);
    }
}
