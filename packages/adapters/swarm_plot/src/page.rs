//! What every page has: its grounds, its style, and how it writes a number.

use plotters::style::RGBColor;

use crate::colour::{self, hex};

pub(crate) const LIGHT_GROUND: RGBColor = RGBColor(0xFA, 0xF9, 0xF7);
pub(crate) const DARK_GROUND: RGBColor = RGBColor(0x14, 0x14, 0x13);

/// The style sheet of a page, for light and dark screens and for paper.
pub fn style() -> String {
    include_str!("page.css")
        .replace("LIGHT_GROUND", &hex(LIGHT_GROUND))
        .replace("DARK_GROUND", &hex(DARK_GROUND))
        .replace("LIGHT_RULES", &colour::light_rules("16 12"))
        .replace("DARK_RULES", &colour::dark_rules())
}

/// A number as short as it can be with three significant digits; `unknown` if it is infinite or none.
pub fn short(value: f64) -> String {
    if !value.is_finite() {
        return "unknown".into();
    }
    let digits = if value == 0.0 { 0 } else { 2 - value.abs().log10().floor() as i32 };
    let text = format!("{value:.*}", digits.clamp(0, 6) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_significant_digits_and_no_idle_zeros() {
        for (value, text) in [
            (0.0, "0"),
            (0.25, "0.25"),
            (12.345, "12.3"),
            (60.0, "60"),
            (0.012_345, "0.0123"),
            (1234.5, "1234"),
            (100.0, "100"),
        ] {
            assert_eq!(short(value), text);
        }
        assert_eq!(short(f64::NAN), "unknown");
    }
}
