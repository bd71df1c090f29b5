//! Where an ONNX model keeps its weights. Only as much of the format is read as it takes to find them: the fields
//! `ModelProto.graph.initializer[].{name, raw_data, float_data}` of <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>.
//!
//! Nothing depends on it but the size of a delta: where a model is read wrongly, the wrong bytes are compared.

use std::ops::Range;

const GRAPH: u64 = 7;
const INITIALIZER: u64 = 5;
const FLOAT_DATA: u64 = 4;
const NAME: u64 = 8;
const RAW_DATA: u64 = 9;

/// So many tensors are looked for; a model with more is compared as a whole.
const MAX_TENSORS: usize = 100_000;

/// Names and places of the weights, in the order of the file. `None` if this is no such model.
pub(crate) fn tensors(bytes: &[u8]) -> Option<Vec<(String, Range<usize>)>> {
    let mut found = Vec::new();
    for field in Fields::new(bytes, 0..bytes.len()) {
        let (GRAPH, graph) = field? else { continue };
        for field in Fields::new(bytes, graph) {
            let (INITIALIZER, tensor) = field? else { continue };
            let (mut name, mut data) = (None, None);
            for field in Fields::new(bytes, tensor) {
                match field? {
                    (NAME, text) => name = Some(String::from_utf8_lossy(&bytes[text]).into_owned()),
                    (RAW_DATA | FLOAT_DATA, place) => data = Some(place),
                    _ => {}
                }
            }
            if let (Some(name), Some(data)) = (name, data) {
                found.push((name, data));
            }
            if found.len() > MAX_TENSORS {
                return None;
            }
        }
    }
    (!found.is_empty()).then_some(found)
}

/// The fields of a protobuf message: number, and the place of what has a length; an empty place for plain numbers.
struct Fields<'b> {
    bytes: &'b [u8],
    rest: Range<usize>,
}

impl<'b> Fields<'b> {
    fn new(bytes: &'b [u8], rest: Range<usize>) -> Self {
        Self { bytes, rest }
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.rest.next()?)?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<Range<usize>> {
        let begin = self.rest.start;
        let end = begin.checked_add(length).filter(|end| *end <= self.rest.end)?;
        self.rest.start = end;
        Some(begin..end)
    }

    fn field(&mut self) -> Option<(u64, Range<usize>)> {
        let key = self.varint()?;
        let place = match key & 7 {
            0 => {
                self.varint()?;
                self.take(0)?
            }
            1 => self.take(8)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                self.take(length)?
            }
            5 => self.take(4)?,
            _ => return None,
        };
        Some((key >> 3, place))
    }
}

impl Iterator for Fields<'_> {
    /// `None` inside: this is no protobuf message.
    type Item = Option<(u64, Range<usize>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.rest = 0..0;
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tensors and sizes as the Python package `onnx` lists them.
    #[test]
    fn the_weights_of_a_real_policy_are_found() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../../tests/data/cooperative_assembly/policies/insert_peg.onnx"
        );
        let model = std::fs::read(path).unwrap();
        let found = tensors(&model).unwrap();
        let sizes: Vec<(&str, usize)> =
            found.iter().map(|(name, place)| (name.as_str(), place.len())).collect();
        assert_eq!(
            sizes,
            [("w1", 4_608), ("b1", 256), ("w2", 16_384), ("b2", 256), ("w3", 1_536), ("b3", 24)]
        );
        assert!(found.is_sorted_by_key(|(_, place)| place.start));
    }

    #[test]
    fn what_is_no_model_has_none() {
        for bytes in [&b""[..], b"text", &[0x3a, 0xff], &[0x3a, 0xff, 0xff, 0xff, 0xff, 0xff], &[0xff; 40]] {
            assert_eq!(tensors(bytes), None, "{bytes:02x?}");
        }
    }
}
