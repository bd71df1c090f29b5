//! Sets of answers.

use std::fmt;

use swarm_bt::Status;

/// A set of what a tick may answer.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Answers(u8);

impl Answers {
    pub const NONE: Answers = Answers(0);
    pub const RUNNING: Answers = Answers(1);
    pub const SUCCESS: Answers = Answers(2);
    pub const FAILURE: Answers = Answers(4);
    pub const SKIPPED: Answers = Answers(8);
    /// SUCCESS or FAILURE.
    pub const COMPLETED: Answers = Answers(6);
    /// All but SKIPPED, which a leaf has no business to answer.
    pub const ACTION: Answers = Answers(7);

    pub const fn of(status: Status) -> Self {
        match status {
            Status::Running => Self::RUNNING,
            Status::Success => Self::SUCCESS,
            Status::Failure => Self::FAILURE,
            Status::Skipped => Self::SKIPPED,
        }
    }

    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Answers(self.0 | other.0)
    }

    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Answers(self.0 & !other.0)
    }

    /// Whether any of `other` is in it.
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its members, SUCCESS first: of two runs that show the same, the one in which more goes well is easier to follow.
    pub fn iter(self) -> impl Iterator<Item = Status> {
        let order = [Status::Success, Status::Failure, Status::Running, Status::Skipped];
        order.into_iter().filter(move |status| self.any(Self::of(*status)))
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// As words: `SUCCESS or FAILURE`.
impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for status in self.iter() {
            write!(f, "{}{status}", if first { "" } else { " or " })?;
            first = false;
        }
        if first { f.write_str("nothing") } else { Ok(()) }
    }
}
