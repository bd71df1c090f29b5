//! What is printed: tables for people, JSON for scripts.
//!
//! Texts that came over the network are shown without their control characters: a name must not move the cursor of the
//! terminal it is shown on, nor colour a refusal green.

use std::fmt::Write as _;
use std::io::Write as _;

use serde::Serialize;

/// For whom it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    People,
    /// One JSON value on one line.
    Scripts,
}

impl Output {
    /// Prints `value`, or what people are told of it.
    pub(crate) fn show(self, value: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        let mut text = match self {
            Self::Scripts => serde_json::to_string(value)?,
            Self::People => text(),
        };
        if !text.ends_with('\n') {
            text.push('\n');
        }
        // Not `println!`, which panics when the reader of a pipe has enough.
        match std::io::stdout().lock().write_all(text.as_bytes()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// One line, without control characters.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// Rows under a head, as wide as they need to be.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(head: [&str; N]) -> Self {
        Self { rows: vec![head.map(str::to_owned).to_vec()] }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| plain(&cell)).to_vec());
    }

    /// The table, or `otherwise` where it has no row.
    pub(crate) fn text(&self, otherwise: &str) -> String {
        if self.rows.len() == 1 {
            return format!("{otherwise}\n");
        }
        let columns = self.rows[0].len();
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
        };
        self.rows.iter().map(line).collect()
    }
}

/// Names and values below each other.
pub(crate) fn fields<const N: usize>(pairs: [(&str, String); N]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in pairs {
        let _ = writeln!(text, "{name:<width$}  {}", plain(&value));
    }
    text
}

/// A value as it is called on the wire.
pub(crate) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => format!("{other:?}"),
    }
}

/// Bytes as people say them.
pub(crate) fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

/// The beginning of a digest: enough to tell two apart by eye; scripts get all of it.
pub(crate) fn short(digest: &str) -> String {
    plain(digest).chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_nothing_moves_the_cursor() {
        let mut table = Table::new(["site", "skill"]);
        table.row(["cell-7".to_owned(), "\u{1b}[2Jpick".to_owned()]);
        table.row(["b".to_owned(), String::new()]);
        assert_eq!(table.text("none"), "site    skill\ncell-7  \u{fffd}[2Jpick\nb\n");
        assert_eq!(Table::new(["site"]).text("no cells"), "no cells\n");
    }
}
