//! The little that has to be read inside of coded frames: where NAL units are, and whether pictures are reordered.
//!
//! These bytes come from outside and may be anything; every function returns, and none panics.

use crate::Codec;

/// The NAL units of an Annex B stream (H.264 appendix B), without start codes and the zeros before and after them.
pub fn nal_units(annex_b: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(annex_b);
    std::iter::from_fn(move || {
        let unit = before_start_code(rest?);
        rest = after_start_code(&rest?[unit.len()..]);
        Some(unit)
    })
    .filter(|unit| !unit.is_empty())
}

/// Without the zeros that end it.
fn before_start_code(bytes: &[u8]) -> &[u8] {
    let end = bytes.windows(3).position(|three| three == [0, 0, 1]).unwrap_or(bytes.len());
    let used = bytes[..end].iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    &bytes[..used]
}

fn after_start_code(bytes: &[u8]) -> Option<&[u8]> {
    let at = bytes.windows(3).position(|three| three == [0, 0, 1])?;
    Some(&bytes[at + 3..])
}

/// More of a slice than [`is_b_slice`] ever reads: its NAL header, and two numbers of at most 63 bits (H.264 section 9.1) with
/// one byte more behind every two that could look like a start code, are 25 bytes.
const SLICE_HEAD: usize = 64;

/// Whether the first slice of this frame is a B slice (H.264 section 7.3.3). Of the slice only its head is read: macroblocks,
/// which are nearly all of a frame, are not looked through.
pub fn first_slice_is_b(frame: &[u8]) -> bool {
    let mut rest = frame;
    while let Some(unit) = after_start_code(rest) {
        if unit.first().is_some_and(|head| is_slice(*head)) {
            return is_b_slice(before_start_code(&unit[..unit.len().min(SLICE_HEAD)]));
        }
        rest = unit;
    }
    false
}

/// Whether a NAL unit with this first byte is a slice, or the part of one with its header (H.264 table 7-1).
fn is_slice(head: u8) -> bool {
    matches!(head & 0x1f, 1 | 2 | 5)
}

fn is_b_slice(slice: &[u8]) -> bool {
    let mut bits = Bits::new(&slice[1..]);
    let (_first_macroblock, slice_type) = (bits.exp_golomb(), bits.exp_golomb());
    slice_type.is_some_and(|slice_type| slice_type % 5 == 1)
}

/// Whether the parameter sets before this H.265 key frame allow pictures to be shown in another order than they are coded
/// (`sps_max_num_reorder_pics`, H.265 section 7.3.2.2). Slice types do not tell there: good coders write P frames as B slices.
pub fn reorders(key_frame: &[u8]) -> bool {
    const SPS: u8 = 33;
    let sps = nal_units(key_frame).find(|unit| unit[0] >> 1 & 0x3f == SPS);
    sps.and_then(|sps| max_reordered(sps.get(2..)?)).is_some_and(|pictures| pictures > 0)
}

fn max_reordered(sps: &[u8]) -> Option<u32> {
    let bits = &mut Bits::new(sps);
    bits.skip(4)?; // video parameter set id
    let sub_layers = bits.take(3)?; // minus 1
    bits.skip(1)?;
    bits.skip(88 + 8)?; // general profile, tier and level
    let present: Vec<(u32, u32)> =
        (0..sub_layers).map(|_| Some((bits.take(1)?, bits.take(1)?))).collect::<Option<_>>()?;
    if sub_layers > 0 {
        bits.skip(2 * (8 - sub_layers))?;
    }
    for (profile, level) in present {
        bits.skip(88 * profile + 8 * level)?;
    }
    bits.exp_golomb()?; // sequence parameter set id
    if bits.exp_golomb()? == 3 {
        bits.skip(1)?; // separate colour planes
    }
    bits.exp_golomb()?; // width
    bits.exp_golomb()?; // height
    if bits.take(1)? == 1 {
        for _ in 0..4 {
            bits.exp_golomb()?; // conformance window
        }
    }
    bits.exp_golomb()?; // bit depth of luma
    bits.exp_golomb()?; // and of chroma
    bits.exp_golomb()?; // bits of the picture order count
    let each = bits.take(1)? == 1;
    let mut reordered = 0;
    for _ in 0..=if each { sub_layers } else { 0 } {
        bits.exp_golomb()?; // decoder's buffer
        reordered = bits.exp_golomb()?;
        bits.exp_golomb()?; // latency
    }
    Some(reordered)
}

/// Whether frames of this stream come in another order than they were taken.
pub(crate) fn has_b_frames(codec: Codec, key: bool, frame: &[u8]) -> bool {
    match codec {
        Codec::H264 => !key && first_slice_is_b(frame),
        Codec::H265 => key && reorders(frame),
        Codec::Mjpeg => false,
    }
}

/// Bits of a NAL unit, without the bytes that keep start codes out of it (H.264 section 7.4.1.1).
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    zeros: u32,
    current: u8,
    left: u32,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, zeros: 0, current: 0, left: 0 }
    }

    fn bit(&mut self) -> Option<u32> {
        if self.left == 0 {
            let mut byte = *self.bytes.get(self.at)?;
            self.at += 1;
            if self.zeros >= 2 && byte == 3 {
                byte = *self.bytes.get(self.at)?;
                self.at += 1;
                self.zeros = 0;
            }
            self.zeros = if byte == 0 { self.zeros + 1 } else { 0 };
            (self.current, self.left) = (byte, 8);
        }
        self.left -= 1;
        Some(u32::from(self.current >> self.left & 1))
    }

    fn take(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | self.bit()?))
    }

    fn skip(&mut self, count: u32) -> Option<()> {
        (0..count).try_for_each(|_| self.bit().map(drop))
    }

    /// `ue(v)`, H.264 section 9.1.
    fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bit()? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.take(zeros)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_are_found_behind_both_start_codes() {
        let stream = [0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3, 0, 0, 0, 1, 0x65, 0, 0, 3, 1, 0];
        let units: Vec<_> = nal_units(&stream).collect();
        assert_eq!(units, [&[0x67, 1, 2][..], &[0x68, 3], &[0x65, 0, 0, 3, 1]]);
    }

    #[test]
    fn slice_types_of_h264_are_told_apart() {
        // first_mb_in_slice 0 is the bit 1; slice types 0 (P) 1, 5 (P) 00110, 1 (B) 010, 6 (B) 00111, 2 (I) 011, 7 (I) 0001000.
        let slice = |bits: u8| [0, 0, 0, 1, 0x09, 0xf0, 0, 0, 1, 0x41, bits, 0xff];
        for (bits, expected) in [
            (0b1100_0000, false),
            (0b1001_1000, false),
            (0b1010_0000, true),
            (0b1001_1100, true),
            (0b1011_0000, false),
            (0b1000_1000, false),
        ] {
            assert_eq!(first_slice_is_b(&slice(bits)), expected, "{bits:#010b}");
        }
    }

    #[test]
    fn bytes_against_start_codes_are_no_bits() {
        let mut bits = Bits::new(&[0, 0, 3, 1, 0x80]);
        assert_eq!((bits.take(24), bits.take(1), bits.take(8)), (Some(1), Some(1), None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_the_end(bytes in proptest::collection::vec(prop_oneof![3 => 0..4_u8, 1 => any::<u8>()], 0..300)) {
            let found: usize = nal_units(&bytes).map(<[u8]>::len).sum();
            prop_assert!(found <= bytes.len());
            prop_assert!(nal_units(&bytes).all(|unit| !unit.windows(3).any(|three| three == [0, 0, 1])));
            reorders(&bytes);
        }

        #[test]
        fn the_head_of_a_slice_says_what_all_of_it_says(
            before in proptest::collection::vec(0..4_u8, 0..20),
            bytes in proptest::collection::vec(prop_oneof![8 => 0..4_u8, 1 => any::<u8>()], 0..80),
        ) {
            let frame = [&before[..], &[0, 0, 1, 0x41], &bytes].concat();
            let whole = nal_units(&frame).find(|unit| is_slice(unit[0])).is_some_and(is_b_slice);
            prop_assert_eq!(first_slice_is_b(&frame), whole);
        }

        #[test]
        fn units_come_back_as_they_were_put_together(units in proptest::collection::vec(proptest::collection::vec(1_u8.., 1..40), 0..8)) {
            let stream: Vec<u8> = units.iter().flat_map(|unit| [&[0, 0, 0, 1], unit.as_slice()].concat()).collect();
            prop_assert!(nal_units(&stream).eq(units.iter().map(Vec::as_slice)));
        }
    }
}
