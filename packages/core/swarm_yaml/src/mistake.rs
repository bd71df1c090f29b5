//! What is wrong with a document, and where.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;

use crate::tree::Mark;

/// Most mistakes that are kept of one document; the others are counted.
pub const MAX_LISTED: usize = 100;

/// Longest field path or problem that is kept, in characters.
const MAX_TEXT: usize = 400;

/// One mistake: its place in the text, the field concerned, and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Path of the field, `robots[0].gripper.max_force_n`; empty for the document itself.
    pub field: String,
    /// Mostly `expected .., found ..`.
    pub problem: String,
}

impl Mistake {
    pub(crate) fn new(mark: Mark, field: &str, problem: &str) -> Self {
        let (field, problem) = (printable(field), printable(problem));
        Self { line: mark.line, column: mark.column, field, problem }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: ", self.line, self.column)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.problem)
    }
}

/// All mistakes of a document, in the order of its lines; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    listed: Vec<Mistake>,
    unlisted: usize,
}

impl Mistakes {
    pub(crate) fn one(mistake: Mistake) -> Self {
        Self { listed: vec![mistake], unlisted: 0 }
    }

    /// The mistakes; of a document with more than [`MAX_LISTED`], so many of them.
    pub fn as_slice(&self) -> &[Mistake] {
        &self.listed
    }
}

impl Error for Mistakes {}

impl fmt::Display for Mistakes {
    /// One mistake on one line; several as a list below their number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let ([only], 0) = (self.listed.as_slice(), self.unlisted) {
            return only.fmt(f);
        }
        write!(f, "{} mistakes", self.listed.len() + self.unlisted)?;
        self.listed.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))?;
        if self.unlisted > 0 {
            write!(f, "\n  and {} more", self.unlisted)?;
        }
        Ok(())
    }
}

/// Collects the mistakes while a document is walked through.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    listed: RefCell<Vec<Mistake>>,
    unlisted: Cell<usize>,
}

impl Notes {
    pub(crate) fn add(&self, mark: Mark, field: &str, problem: &str) {
        let mut listed = self.listed.borrow_mut();
        if listed.len() < MAX_LISTED {
            listed.push(Mistake::new(mark, field, problem));
        } else {
            self.unlisted.set(self.unlisted.get() + 1);
        }
    }

    pub(crate) fn into_mistakes(self) -> Option<Mistakes> {
        let mut listed = self.listed.into_inner();
        listed.sort_by_key(|mistake| (mistake.line, mistake.column));
        (!listed.is_empty()).then(|| Mistakes { listed, unlisted: self.unlisted.get() })
    }
}

/// A text that a terminal prints as it stands, and of bounded length.
fn printable(text: &str) -> String {
    let mut printable = String::new();
    for (index, c) in text.chars().enumerate() {
        match c {
            _ if index == MAX_TEXT => {
                printable.push_str("...");
                break;
            }
            '\'' | '"' | '\\' => printable.push(c),
            c => printable.extend(c.escape_debug()),
        }
    }
    printable
}
