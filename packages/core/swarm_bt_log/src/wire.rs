//! How numbers, texts and values are written. See the table in the crate's documentation.

use swarm_bt::Value;

/// Bytes that are no value of the kind that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its bytes are not those of {expected}")]
pub struct Malformed {
    pub(crate) expected: &'static str,
}

pub(crate) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Small for small numbers of either sign.
pub(crate) fn put_signed(out: &mut Vec<u8>, number: i64) {
    put_number(out, ((number << 1) ^ (number >> 63)) as u64);
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Bool(b) => out.extend_from_slice(&[0, u8::from(*b)]),
        Value::Int(i) => {
            out.push(1);
            put_signed(out, *i);
        }
        Value::Float(x) => {
            out.push(2);
            out.extend_from_slice(&x.to_bits().to_le_bytes());
        }
        Value::Str(text) => {
            out.push(3);
            put_text(out, text);
        }
        Value::Vector(numbers) => {
            out.push(4);
            put_number(out, numbers.len() as u64);
            for x in numbers.iter() {
                out.extend_from_slice(&x.to_bits().to_le_bytes());
            }
        }
    }
}

/// Takes one thing after the other off the front of bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        let (&first, rest) = self.0.split_first().ok_or(Malformed { expected: "a byte" })?;
        self.0 = rest;
        Ok(first)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed { expected: "so many bytes" })?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            // The tenth byte holds the one bit that is left.
            if shift == 63 && byte > 1 {
                break;
            }
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Malformed { expected: "a number of 64 bits" })
    }

    pub(crate) fn signed(&mut self) -> Result<i64, Malformed> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    pub(crate) fn fixed(&mut self) -> Result<u64, Malformed> {
        let bytes = self.bytes(8)?.try_into().map_err(|_| Malformed { expected: "8 bytes" })?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// A count of things that each take at least one byte, so that it cannot ask for more memory than there are bytes.
    pub(crate) fn count(&mut self) -> Result<usize, Malformed> {
        let count = self.number()?;
        let fits = usize::try_from(count).ok().filter(|count| *count <= self.0.len());
        fits.ok_or(Malformed { expected: "a count of what follows" })
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Malformed> {
        let count = self.count()?;
        std::str::from_utf8(self.bytes(count)?).map_err(|_| Malformed { expected: "UTF-8 text" })
    }

    pub(crate) fn value(&mut self) -> Result<Value, Malformed> {
        Ok(match self.byte()? {
            0 => Value::Bool(self.byte()? != 0),
            1 => Value::Int(self.signed()?),
            2 => Value::Float(f64::from_bits(self.fixed()?)),
            3 => Value::from(self.text()?),
            4 => {
                let count = self.count()?;
                let numbers: Result<Vec<f64>, Malformed> =
                    (0..count).map(|_| self.fixed().map(f64::from_bits)).collect();
                Value::from(numbers?)
            }
            _ => return Err(Malformed { expected: "a value" }),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_put_is_taken(a in any::<u64>(), b in any::<i64>(), text in ".{0,20}", bits in any::<u64>()) {
            let mut out = Vec::new();
            put_number(&mut out, a);
            put_signed(&mut out, b);
            put_text(&mut out, &text);
            let values = [
                Value::Bool(a % 2 == 0), Value::Int(b), Value::Float(f64::from_bits(bits)), Value::from(text.as_str()),
                Value::from(vec![f64::from_bits(bits), f64::from_bits(a)]),
            ];
            for value in &values {
                put_value(&mut out, value);
            }
            let mut cursor = Cursor(&out);
            prop_assert_eq!(cursor.number(), Ok(a));
            prop_assert_eq!(cursor.signed(), Ok(b));
            prop_assert_eq!(cursor.text(), Ok(text.as_str()));
            for value in &values {
                prop_assert_eq!(&cursor.value().unwrap(), value);
            }
            prop_assert!(cursor.0.is_empty());
        }

        #[test]
        fn no_bytes_bring_the_reader_down(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut cursor = Cursor(&bytes);
            while cursor.value().is_ok() {}
            let _ = (Cursor(&bytes).number(), Cursor(&bytes).text(), Cursor(&bytes).signed());
        }
    }
}
