//! H.264 as far as an export needs it: which frame is what, and the one picture that says "as before".
//!
//! Clause numbers are those of ITU-T H.264. Parsing is `h264-reader`'s, which the RTSP client uses too.

mod repeat;

use std::collections::BTreeMap;

use h264_reader::Context;
use h264_reader::nal::pps::PicParameterSet;
use h264_reader::nal::slice::{
    DecRefPicMarking, FieldPic, PicOrderCountLsb, SliceFamily, SliceHeader, SliceHeaderError,
};
use h264_reader::nal::sps::{FrameMbsFlags, SeqParameterSet};
use h264_reader::nal::{Nal, RefNal, UnitType};
use memchr::memmem;

pub(crate) use repeat::{NoRepeat, repeats};

/// Parameter sets as they came, and what they say.
#[derive(Clone, Debug)]
pub(crate) struct ParameterSets {
    pub sps: Vec<u8>,
    /// In the order of their ids: pictures of one stream may use several.
    pub pps: Vec<Vec<u8>>,
    pub parsed_sps: SeqParameterSet,
    /// The one that the first picture under these sets uses.
    pub parsed_pps: PicParameterSet,
    /// Of the picture that is shown, pixels.
    pub width: u32,
    pub height: u32,
}

impl PartialEq for ParameterSets {
    fn eq(&self, other: &Self) -> bool {
        self.sps == other.sps && self.pps == other.pps
    }
}

/// What the first slice of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // each is a flag of the bit stream
pub(crate) struct Picture {
    /// An IDR picture: decoding can begin here.
    pub key: bool,
    /// Other pictures may refer to it.
    pub reference: bool,
    pub bidirectional: bool,
    /// Its reference marking is the plain sliding window, so that it is the newest short-term reference behind it.
    pub plain_marking: bool,
    pub frame_num: u32,
    /// pic_order_cnt_lsb, where the stream has it.
    pub order: Option<u32>,
}

/// Why a frame is none that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PictureError {
    #[error("no parameter sets (SPS, PPS) came before it")]
    NoParameterSets,
    #[error("there is no picture in it")]
    NoPicture,
    #[error("{0}")]
    Malformed(String),
}

/// Follows one camera's stream.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    context: Context,
    sps: Vec<u8>,
    /// By their ids; none of those that came before this SPS.
    pps: BTreeMap<u8, Vec<u8>>,
    current: Option<ParameterSets>,
}

impl Stream {
    /// The parameter sets in force.
    pub(crate) fn parameter_sets(&self) -> Option<&ParameterSets> {
        self.current.as_ref()
    }

    /// Reads the head of a frame: its parameter sets and its first slice, and nothing behind that.
    pub(crate) fn frame(&mut self, annex_b: &[u8]) -> Result<Picture, PictureError> {
        let malformed = |what: &str, error: &dyn std::fmt::Debug| {
            PictureError::Malformed(format!("its {what} cannot be read: {error:?}"))
        };
        for unit in nal_units(annex_b) {
            let nal = RefNal::new(unit, &[], true);
            let header = nal.header().map_err(|error| malformed("NAL header", &error))?;
            match header.nal_unit_type() {
                UnitType::SeqParameterSet if self.sps != unit => {
                    let sps = SeqParameterSet::from_bits(nal.rbsp_bits())
                        .map_err(|error| malformed("sequence parameter set", &error))?;
                    self.context.put_seq_param_set(sps);
                    unit.clone_into(&mut self.sps);
                    self.pps.clear();
                    self.current = None;
                }
                UnitType::PicParameterSet if !self.pps.values().any(|known| known == unit) => {
                    let pps = PicParameterSet::from_bits(&self.context, nal.rbsp_bits())
                        .map_err(|error| malformed("picture parameter set", &error))?;
                    self.pps.insert(pps.pic_parameter_set_id.id(), unit.to_owned());
                    self.context.put_pic_param_set(pps);
                    self.current = None;
                }
                UnitType::SliceLayerWithoutPartitioningIdr
                | UnitType::SliceLayerWithoutPartitioningNonIdr => {
                    let (slice, sps, pps) =
                        SliceHeader::from_bits(&self.context, &mut nal.rbsp_bits(), header, None).map_err(
                            |error| match error {
                                SliceHeaderError::UndefinedPicParamSetId(_)
                                | SliceHeaderError::UndefinedSeqParamSetId(_) => {
                                    PictureError::NoParameterSets
                                }
                                error => malformed("slice header", &error),
                            },
                        )?;
                    let key = header.nal_unit_type() == UnitType::SliceLayerWithoutPartitioningIdr;
                    let picture = picture(&slice, key, header.nal_ref_idc() != 0);
                    if self.current.is_none() {
                        let (width, height) =
                            sps.pixel_dimensions().map_err(|error| malformed("picture size", &error))?;
                        self.current = Some(ParameterSets {
                            sps: self.sps.clone(),
                            pps: self.pps.values().cloned().collect(),
                            parsed_sps: sps.clone(),
                            parsed_pps: pps.clone(),
                            width,
                            height,
                        });
                    }
                    return Ok(picture);
                }
                _ => {}
            }
        }
        Err(PictureError::NoPicture)
    }
}

fn picture(slice: &SliceHeader, key: bool, reference: bool) -> Picture {
    Picture {
        key,
        reference,
        bidirectional: slice.slice_type.family == SliceFamily::B,
        plain_marking: matches!(
            slice.dec_ref_pic_marking,
            Some(
                DecRefPicMarking::SlidingWindow
                    | DecRefPicMarking::Idr { long_term_reference_flag: false, .. }
            )
        ) && slice.field_pic == FieldPic::Frame,
        frame_num: u32::from(slice.frame_num),
        order: match slice.pic_order_cnt_lsb {
            Some(
                PicOrderCountLsb::Frame(order)
                | PicOrderCountLsb::FieldsAbsolute { pic_order_cnt_lsb: order, .. },
            ) => Some(order),
            _ => None,
        },
    }
}

/// Whether every picture is a whole frame.
pub(crate) fn is_progressive(sps: &SeqParameterSet) -> bool {
    matches!(sps.frame_mbs_flags, FrameMbsFlags::Frames)
}

/// The NAL units of Annex B, without start codes and trailing zeros.
pub(crate) fn nal_units(annex_b: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut starts = memmem::find_iter(annex_b, &[0, 0, 1]).map(|at| at + 3).peekable();
    std::iter::from_fn(move || {
        let start = starts.next()?;
        let end = starts.peek().map_or(annex_b.len(), |next| next - 3);
        Some(&annex_b[start..end])
    })
    .map(|unit| &unit[..unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)])
    .filter(|unit| !unit.is_empty())
}

/// Cuts a stream into frames: a new one begins with what is no slice behind a slice, or with a picture's first slice
/// (7.4.1.2.3).
pub(crate) fn frames(annex_b: &[u8]) -> Vec<Vec<u8>> {
    let mut frames: Vec<Vec<u8>> = Vec::new();
    let mut has_slice = true;
    for unit in nal_units(annex_b) {
        let slice = matches!(unit[0] & 0x1f, 1 | 5);
        // first_mb_in_slice is 0 where the first bit is 1.
        let first = slice && unit.get(1).is_some_and(|byte| byte & 0x80 != 0);
        if has_slice && (first || !slice) {
            frames.push(Vec::new());
            has_slice = false;
        }
        if let Some(frame) = frames.last_mut() {
            frame.extend([0, 0, 0, 1]);
            frame.extend(unit);
        }
        has_slice |= slice;
    }
    frames
}

/// What stays of a NAL unit in an MP4, whose `avcC` has the parameter sets and whose samples need no delimiters.
pub(crate) fn belongs_in_sample(unit: &[u8]) -> bool {
    !matches!(unit.first().map(|header| header & 0x1f), Some(7..=9) | None)
}

#[cfg(test)]
mod tests {
    use h264_reader::rbsp::{BitWrite, BitWriter};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_are_found_behind_both_start_codes_and_trailing_zeros_are_none_of_them() {
        let stream = [0, 0, 0, 1, 9, 16, 0, 0, 1, 0x65, 1, 2, 0, 0, 0, 1, 0x41, 3, 0];
        let units: Vec<&[u8]> = nal_units(&stream).collect();
        assert_eq!(units, [&[9, 16][..], &[0x65, 1, 2], &[0x41, 3]]);
        assert_eq!(nal_units(&[1, 2, 3]).count(), 0);
    }

    /// A NAL unit of what `fill` writes.
    fn unit(header: u8, fill: impl Fn(&mut BitWriter<&mut Vec<u8>>) -> std::io::Result<()>) -> Vec<u8> {
        let mut unit = vec![0, 0, 0, 1, header];
        let mut bits = BitWriter::new(&mut unit);
        fill(&mut bits).and_then(|()| bits.write_rbsp_trailing_bits()).unwrap();
        unit
    }

    /// Syntax elements in the order of 7.3.2.1.1, for 160 x 128 pixels.
    fn sps() -> Vec<u8> {
        unit(0x67, |bits| {
            bits.write_var(24, 0x42_00_1e)?; // baseline, level 3
            for element in [0, 0, 0, 0, 1] {
                bits.write_ue(element)?; // id, log2_max_frame_num 4, order count of type 0 and 4 bits, one reference
            }
            bits.write_bit(false)?;
            bits.write_ue(9)?;
            bits.write_ue(7)?;
            [true, false, false, false].into_iter().try_for_each(|flag| bits.write_bit(flag))
        })
    }

    /// 7.3.2.2.
    fn pps(id: u32, qp: i32) -> Vec<u8> {
        unit(0x68, |bits| {
            bits.write_ue(id)?;
            bits.write_ue(0)?;
            bits.write_var(2, 0)?;
            for element in [0, 0, 0] {
                bits.write_ue(element)?; // one slice group, one reference in each list
            }
            bits.write_var(3, 0)?;
            bits.write_se(qp)?;
            bits.write_se(0)?;
            bits.write_se(0)?;
            bits.write_var(3, 0)
        })
    }

    /// An IDR picture's slice, 7.3.3, with some bits for its data.
    fn key_frame(pps: u32) -> Vec<u8> {
        unit(0x65, |bits| {
            for element in [0, 7, pps] {
                bits.write_ue(element)?;
            }
            bits.write_var(4, 0)?; // frame_num
            bits.write_ue(0)?; // idr_pic_id
            bits.write_var(4, 0)?; // pic_order_cnt_lsb
            bits.write_var(2, 0)?;
            bits.write_se(0)?;
            bits.write_var(16, 0x5a5a)
        })
    }

    fn sets_of(stream: &mut Stream, units: &[Vec<u8>]) -> Vec<Vec<u8>> {
        stream.frame(&units.concat()).unwrap();
        stream.parameter_sets().unwrap().pps.clone()
    }

    #[test]
    fn every_picture_parameter_set_is_kept_until_the_sequence_changes() {
        let mut stream = Stream::default();
        let bare = |unit: Vec<u8>| unit[4..].to_vec();
        let both = [bare(pps(0, 0)), bare(pps(1, 3))];
        assert_eq!(sets_of(&mut stream, &[sps(), pps(0, 0), pps(1, 3), key_frame(0)]), both);
        let before = stream.parameter_sets().unwrap().clone();
        assert_eq!(before.parsed_pps.pic_parameter_set_id.id(), 0);
        assert_eq!(sets_of(&mut stream, &[sps(), pps(0, 0), pps(1, 3), key_frame(1)]), both);
        assert!(before == *stream.parameter_sets().unwrap());
        // One is replaced by another of its id.
        assert_eq!(sets_of(&mut stream, &[pps(1, 5), key_frame(1)]), [bare(pps(0, 0)), bare(pps(1, 5))]);
        let mut other = sps();
        other[7] = 0x1f; // level 3.1
        assert_eq!(sets_of(&mut stream, &[other, pps(2, 0), key_frame(2)]), [bare(pps(2, 0))]);
    }

    proptest! {
        #[test]
        fn no_bytes_bring_the_parser_down(units in proptest::collection::vec(
            (0u8..32, proptest::collection::vec(any::<u8>(), 0..60)), 0..6
        )) {
            let mut stream = Stream::default();
            let mut bytes = Vec::new();
            for (kind, payload) in units {
                bytes.extend([0, 0, 1, kind | 0x60]);
                bytes.extend(payload);
            }
            let _ = stream.frame(&bytes);
        }
    }
}
