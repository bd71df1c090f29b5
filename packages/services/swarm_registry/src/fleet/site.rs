//! Names of cells.

use std::fmt;
use std::str::FromStr;

/// What a rollback says instead of a cell's name to mean every cell of a skill.
pub const ALL: &str = "ALL";

/// The name of a cell: that of its certificate. `A-Z a-z 0-9`, and from the second letter on `. _ -` too; at most 64 of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SiteId(String);

/// Why a text is no name of a cell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the name of a cell (1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or digit, not ALL), found '{}'", found.escape_debug())]
pub struct SiteIdError {
    pub found: String,
}

impl SiteId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SiteId {
    type Err = SiteIdError;

    fn from_str(text: &str) -> Result<Self, SiteIdError> {
        let letters = text.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'_' | b'-'));
        let first = text.bytes().next().is_some_and(|it| it.is_ascii_alphanumeric());
        if letters && first && text.len() <= 64 && text != ALL {
            Ok(Self(text.to_owned()))
        } else {
            Err(SiteIdError { found: text.chars().take(80).collect() })
        }
    }
}

impl fmt::Display for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cells_name_is_that_of_a_certificate_and_never_means_all() {
        for good in ["a", "cell-7.example", "0", "A_1"] {
            assert_eq!(good.parse::<SiteId>().unwrap().as_str(), good);
        }
        let long = "a".repeat(65);
        for bad in ["", "ALL", ".a", "-a", "a b", "a/b", "é", "a\0", &long] {
            assert!(bad.parse::<SiteId>().is_err(), "{bad}");
        }
    }
}
