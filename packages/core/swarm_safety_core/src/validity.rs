//! For which cells an envelope is meant, and until when.

use swarm_yaml::{Cursor, moment};

use crate::file::EnvelopeError;

/// `valid: {cells: [demo_bench], until: 2027-06-30T00:00:00Z}`; both may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validity {
    /// Names of cells; empty = any.
    pub cells: Vec<String>,
    /// Last second, since 1970; `None` = without an end.
    pub until_unix: Option<i64>,
}

impl Validity {
    pub(crate) fn read(at: &Cursor<'_>) -> Option<Self> {
        let [cells, until] = at.fields(["cells", "until"])?;
        let cells = cells.optional(Vec::new(), |at| {
            let cells =
                at.list("a list of cells", |at| at.text_that(|name| !name.is_empty(), "a cell's name"))?;
            if cells.is_empty() {
                at.wrong("for no cell at all; leave it out for any cell")
            } else {
                Some(cells)
            }
        });
        let until_unix = until.optional(None, |at| at.moment().map(Some));
        Some(Self { cells: cells?, until_unix: until_unix? })
    }

    /// Refuses an envelope that is not for `cell` at the time `now_unix`, s since 1970.
    pub fn check(&self, cell: &str, now_unix: i64) -> Result<(), EnvelopeError> {
        if !self.cells.is_empty() && !self.cells.iter().any(|name| name == cell) {
            return Err(EnvelopeError::OtherCell { cells: self.cells.clone(), cell: cell.to_owned() });
        }
        match self.until_unix {
            Some(until) if now_unix > until => Err(EnvelopeError::Expired { until: moment(until) }),
            _ => Ok(()),
        }
    }
}
