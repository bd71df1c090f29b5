//! What has a name in a file: the entries of a tar archive, and in them, or in a plain file, the tensors of ONNX models.

use std::ops::Range;

use crate::onnx;

/// Bytes with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) name: String,
    pub(crate) place: Range<usize>,
}

const BLOCK: usize = 512;
/// So many entries are looked at; an archive with more is compared as a whole.
const MAX_ENTRIES: usize = 100_000;

/// In the order of the file, without overlap. Empty where nothing is known about it.
pub(crate) fn regions(bytes: &[u8]) -> Vec<Region> {
    let Some(entries) = tar_entries(bytes) else {
        let tensors = onnx::tensors(bytes).unwrap_or_default();
        return tensors.into_iter().map(|(name, place)| Region { name, place }).collect();
    };
    let mut regions = Vec::new();
    for Region { name, place } in entries {
        match onnx::tensors(&bytes[place.clone()]) {
            Some(tensors) => regions.extend(tensors.into_iter().map(|(tensor, inside)| Region {
                name: format!("{name}\n{tensor}"),
                place: place.start + inside.start..place.start + inside.end,
            })),
            None => regions.push(Region { name, place }),
        }
    }
    regions
}

/// Entries with plain ustar headers, as artifacts have them. `None` if the file does not begin with one.
fn tar_entries(bytes: &[u8]) -> Option<Vec<Region>> {
    let mut entries = Vec::new();
    let mut at = 0;
    while let Some(header) = bytes.get(at..at + BLOCK) {
        if header[257..262] != *b"ustar" {
            break;
        }
        let Some(size) = octal(&header[124..136]) else { break };
        let begin = at + BLOCK;
        let Some(end) = begin.checked_add(size).filter(|end| *end <= bytes.len()) else { break };
        let name = [text(&header[345..500]), text(&header[..100])].join("/");
        entries.push(Region { name, place: begin..end });
        at = end.next_multiple_of(BLOCK);
        if entries.len() > MAX_ENTRIES {
            return None;
        }
    }
    (!entries.is_empty()).then_some(entries)
}

fn octal(field: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    usize::from_str_radix(text, 8).ok()
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}
