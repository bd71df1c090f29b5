//! What a plain scalar is: the core schema of YAML 1.2.2, section 10.3.2.

use crate::tree::Value;

/// The value of a scalar that stands without quotes.
///
/// A whole number beyond 64 bits becomes the nearest floating-point number, so that a reader of whole numbers refuses it.
pub(crate) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Boolean(true),
        "false" | "False" | "FALSE" => Value::Boolean(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Value::Number(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Value::Number(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => Value::Number(f64::NAN),
        text => number(text).unwrap_or_else(|| Value::Text(text.to_owned())),
    }
}

fn number(text: &str) -> Option<Value> {
    let digits = |radix| text.get(2..).filter(|digits| !digits.starts_with(['+', '-'])).map(|d| (d, radix));
    let based = if text.starts_with("0x") {
        digits(16)
    } else if text.starts_with("0o") {
        digits(8)
    } else {
        None
    };
    if let Some((digits, radix)) = based {
        return i64::from_str_radix(digits, radix).ok().map(Value::Integer);
    }
    // Rust also reads `inf` and `nan`, which are texts here.
    if !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().map(Value::Integer).or_else(|_| text.parse().map(Value::Number)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_are_those_of_the_core_schema() {
        for (text, value) in [
            ("", Value::Null),
            ("~", Value::Null),
            ("null", Value::Null),
            ("TRUE", Value::Boolean(true)),
            ("false", Value::Boolean(false)),
            ("12", Value::Integer(12)),
            ("-12", Value::Integer(-12)),
            ("+12", Value::Integer(12)),
            ("014", Value::Integer(14)),
            ("0o14", Value::Integer(12)),
            ("0x3A", Value::Integer(58)),
            ("9223372036854775807", Value::Integer(i64::MAX)),
            ("18446744073709551616", Value::Number(18_446_744_073_709_551_616.0)),
            ("12e03", Value::Number(12000.0)),
            ("-2E+05", Value::Number(-200_000.0)),
            (".5", Value::Number(0.5)),
            ("1.", Value::Number(1.0)),
            ("-.inf", Value::Number(f64::NEG_INFINITY)),
        ] {
            assert_eq!(plain(text), value, "{text:?}");
        }
        assert!(matches!(plain(".nan"), Value::Number(number) if number.is_nan()));
    }

    #[test]
    fn everything_else_is_a_text() {
        for text in [
            "yes", "no", "nUll", "inf", "nan", "infinity", "1_000", "0x", "0x-1", "0o8", "1e", "1.2.0", ".",
            "-",
        ] {
            assert_eq!(plain(text), Value::Text(text.to_owned()), "{text:?}");
        }
    }
}
