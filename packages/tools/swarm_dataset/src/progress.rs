//! How far an export is.

/// Counts slots that are done.
pub(crate) struct Progress<'a> {
    done: u64,
    total: u64,
    tell: &'a mut dyn FnMut(u64, u64),
}

impl std::fmt::Debug for Progress<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.done, self.total)
    }
}

impl<'a> Progress<'a> {
    pub(crate) fn new(total: u64, tell: &'a mut dyn FnMut(u64, u64)) -> Self {
        Self { done: 0, total, tell }
    }

    pub(crate) fn add(&mut self, slots: usize) {
        self.done += slots as u64;
        (self.tell)(self.done.min(self.total), self.total);
    }
}
