//! Writing a text so that every YAML reader reads the same text again.

use std::fmt::Write as _;

/// `text` as a double-quoted YAML scalar (JSON's quoting, which YAML 1.2 contains).
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            // Line separators and the byte-order mark have meanings of their own in YAML.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                let _ = write!(quoted, "\\u{:04x}", c as u32);
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
