//! A YAML document read so that all its mistakes are reported at once, each with its place and field.
//!
//! Deserialising into a struct ends at the first mistake; a person who mends a file wants them all. So a document becomes
//! a tree first, and a *walk* through the tree then builds the value. Whatever the walk finds wrong it notes and goes on.
//!
//! Flow
//! 1. `tree`: text into nodes that know their line and column, within bounds on depth and size. A text that is not YAML
//!    ends the reading here, with one mistake.
//! 2. [`Document::read`] notes every name that stands twice in one mapping.
//! 3. [`Cursor`] and [`Field`]: the walk, written by whoever knows the form of the file. Every read gives a value, or notes
//!    a mistake and gives `None`.
//! 4. [`Mistakes`]: what was noted, in the order of the lines.
//!
//! Documents may come from strangers: [`MAX_DEPTH`] and [`MAX_SIZE`] bound what is built from them, [`MAX_LISTED`] what is
//! printed, and no message carries their control characters.
//!
//! What is read is YAML 1.2 with the core schema, less tags. An alias stands for what its anchor names, as if it were
//! written out: two robots of one kind share their limits that way. A field with nothing behind its colon is not absent:
//! it is read, and found to hold nothing.

mod cursor;
mod mistake;
mod quoted;
mod scalar;
mod tree;

use mistake::Notes;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub use cursor::{Cursor, Field};
pub use mistake::{MAX_LISTED, Mistake, Mistakes};
pub use quoted::quoted;
pub use tree::{Entry, MAX_DEPTH, MAX_SIZE, Node, Value};

/// Seconds since 1970 as RFC 3339 in UTC, as [`Cursor::moment`] reads them.
pub fn moment(unix: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(unix).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| format!("{unix} s after 1970-01-01"))
}

/// A text that is YAML; nothing else is known of it yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    root: Node,
}

impl Document {
    /// Reads the one document of `text`.
    pub fn parse(text: &str) -> Result<Self, Mistakes> {
        tree::parse(text).map(|root| Self { root }).map_err(Mistakes::one)
    }

    /// What stands behind `name`, if the document is a mapping that has it.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.root.value.get(name)
    }

    /// Lets `walk` build a `T` from the document. `walk` may give `None` only after it noted a mistake.
    pub fn read<T>(&self, walk: impl FnOnce(&Cursor<'_>) -> Option<T>) -> Result<T, Mistakes> {
        let notes = Notes::default();
        let root = Cursor::new(&self.root, &notes);
        root.note_repeated_names();
        match (walk(&root), notes.into_mistakes()) {
            (Some(value), None) => Ok(value),
            (_, Some(mistakes)) => Err(mistakes),
            (None, None) => {
                debug_assert!(false, "the walk gave nothing and noted no mistake");
                Err(Mistakes::one(Mistake::new(self.root.mark, "", "cannot be used")))
            }
        }
    }
}

impl Value {
    /// What stands behind `name`, if this is a mapping that has it.
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Self::Mapping(entries) = self else { return None };
        entries.iter().find(|entry| entry.name == name).map(|entry| &entry.node.value)
    }
}

/// Reads the one document of `text` and lets `walk` build a `T` from it, see [`Document::read`].
pub fn read<T>(text: &str, walk: impl FnOnce(&Cursor<'_>) -> Option<T>) -> Result<T, Mistakes> {
    Document::parse(text)?.read(walk)
}
