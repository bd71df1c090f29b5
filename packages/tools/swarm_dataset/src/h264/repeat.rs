//! A coded picture that shows its predecessor once more: one slice in which every macroblock is skipped.
//!
//! A grid slot without a frame of its own needs a sample, and nothing may be coded anew. A skipped macroblock of a P slice
//! copies the newest reference without a residual (8.4.1.1: with no other vectors around, its own is zero), so the copy is
//! exact and costs some twenty bytes. Where the camera's frame numbers have a gap, because frames were lost, the copies take
//! the missing numbers and are references, and the stream has no gap any more; elsewhere they are not references, and no
//! later picture can tell that they were put in.

use h264_reader::nal::sps::{ChromaFormat, PicOrderCntType};
use h264_reader::rbsp::{BitWrite, BitWriter, ByteWriter};
use std::io::Write as _;

use super::{ParameterSets, Picture, is_progressive};

/// Why a picture cannot be repeated without coding it anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRepeat {
    #[error("it is interlaced")]
    Interlaced,
    #[error("it has slice groups or separate colour planes")]
    Layout,
    #[error("its picture order count is of type 1")]
    OrderType,
    #[error("the frame before is no plain reference")]
    NotReference,
    #[error("its frame numbers leave no room for {0} more pictures")]
    NoRoom(usize),
}

/// `count` copies of `before`, as NAL units in order. `after` is the picture that follows in the stream; `None` where none
/// does, or where the next is to begin anew.
pub(crate) fn repeats(
    sets: &ParameterSets,
    before: &Picture,
    after: Option<&Picture>,
    count: usize,
) -> Result<Vec<Vec<u8>>, NoRepeat> {
    let (sps, pps) = (&sets.parsed_sps, &sets.parsed_pps);
    if !is_progressive(sps) {
        return Err(NoRepeat::Interlaced);
    }
    if pps.slice_groups.is_some() || sps.chroma_info.separate_colour_plane_flag {
        return Err(NoRepeat::Layout);
    }
    if !before.reference || !before.plain_marking {
        return Err(NoRepeat::NotReference);
    }
    let after = after.filter(|after| !after.key);
    // 7.4.3: frame_num is one more than that of the reference before, modulo MaxFrameNum; a picture that is no reference has
    // the number that the next reference will have.
    let max_frame_num = 1u32 << sps.log2_max_frame_num();
    let missing = after.map_or(u32::MAX, |after| {
        after.frame_num.wrapping_sub(before.frame_num).wrapping_sub(1) & (max_frame_num - 1)
    });
    let references = u32::try_from(count).unwrap_or(u32::MAX).min(missing);
    let others = count - references as usize;
    let room = match &sps.pic_order_cnt {
        PicOrderCntType::TypeZero { log2_max_pic_order_cnt_lsb_minus4 } => {
            let max = 1u32 << (log2_max_pic_order_cnt_lsb_minus4 + 4);
            let (Some(first), next) = (before.order, after.and_then(|after| after.order)) else {
                return Err(NoRepeat::OrderType);
            };
            let room = next.map_or(u32::MAX, |next| next.wrapping_sub(first).wrapping_sub(1) & (max - 1));
            count as u64 <= u64::from(room)
        }
        PicOrderCntType::TypeOne { .. } => return Err(NoRepeat::OrderType),
        // 7.4.2.1.1: no two pictures in a row that are no references.
        PicOrderCntType::TypeTwo => others <= 1,
    };
    if !room {
        return Err(NoRepeat::NoRoom(count));
    }
    let copy = |nth: u32| {
        let reference = nth <= references;
        let number = before.frame_num + nth.min(references + 1);
        slice(sets, reference, number & (max_frame_num - 1), before.order.map(|order| order + nth))
    };
    (1..=u32::try_from(count).unwrap_or(u32::MAX)).map(|nth| Ok(copy(nth))).collect()
}

/// The slice; syntax elements in the order of 7.3.3.
fn slice(sets: &ParameterSets, reference: bool, frame_num: u32, order: Option<u32>) -> Vec<u8> {
    let mut unit = vec![if reference { 0x41 } else { 0x01 }];
    let mut escaped = ByteWriter::new(&mut unit);
    let rbsp = slice_rbsp(sets, reference, frame_num, order).expect("writing into memory does not fail");
    escaped.write_all(&rbsp).expect("writing into memory does not fail");
    unit
}

fn slice_rbsp(
    sets: &ParameterSets,
    reference: bool,
    frame_num: u32,
    order: Option<u32>,
) -> std::io::Result<Vec<u8>> {
    let (sps, pps) = (&sets.parsed_sps, &sets.parsed_pps);
    let mut rbsp = Vec::new();
    let mut bits = BitWriter::new(&mut rbsp);
    bits.write_ue(0)?; // first_mb_in_slice
    bits.write_ue(5)?; // slice_type: P, as the whole picture is
    bits.write_ue(u32::from(pps.pic_parameter_set_id.id()))?;
    bits.write_var(u32::from(sps.log2_max_frame_num()), frame_num)?;
    if let PicOrderCntType::TypeZero { log2_max_pic_order_cnt_lsb_minus4 } = sps.pic_order_cnt {
        let width = u32::from(log2_max_pic_order_cnt_lsb_minus4) + 4;
        bits.write_var(width, order.unwrap_or(0) & ((1 << width) - 1))?;
        if pps.bottom_field_pic_order_in_frame_present_flag {
            bits.write_se(0)?; // delta_pic_order_cnt_bottom
        }
    }
    if pps.redundant_pic_cnt_present_flag {
        bits.write_ue(0)?;
    }
    bits.write_bit(true)?; // num_ref_idx_active_override_flag
    bits.write_ue(0)?; // one reference: the newest (8.2.4.2.1)
    bits.write_bit(false)?; // ref_pic_list_modification_flag_l0
    if pps.weighted_pred_flag {
        let colour = sps.chroma_info.chroma_format != ChromaFormat::Monochrome;
        bits.write_ue(0)?; // luma_log2_weight_denom
        if colour {
            bits.write_ue(0)?;
        }
        bits.write_bit(false)?; // luma_weight_l0_flag
        if colour {
            bits.write_bit(false)?;
        }
    }
    if reference {
        bits.write_bit(false)?; // adaptive_ref_pic_marking_mode_flag
    }
    if pps.entropy_coding_mode_flag {
        bits.write_ue(0)?; // cabac_init_idc
    }
    bits.write_se(HIGHEST_QP - 26 - pps.pic_init_qp_minus26)?; // slice_qp_delta
    if pps.deblocking_filter_control_present_flag {
        bits.write_ue(1)?; // no deblocking; without this field there is none either between skipped macroblocks (8.7.2.1)
    }
    let macroblocks = sps.pic_size_in_map_units();
    if pps.entropy_coding_mode_flag {
        while bits.writer().is_none() {
            bits.write_bit(true)?; // cabac_alignment_one_bit
        }
        skip_all(&mut bits, macroblocks)?;
    } else {
        bits.write_ue(macroblocks)?; // mb_skip_run
        bits.write_rbsp_trailing_bits()?;
    }
    Ok(rbsp)
}

/// With it the flag "skipped" is likely from the start.
const HIGHEST_QP: i32 = 51;

/// `mb_skip_flag` = 1 and `end_of_slice_flag` for every macroblock, in CABAC (9.3.4). All neighbours are skipped too, so that one
/// context is used, and it starts at the likely value and never leaves it: with cabac_init_idc 0 context 11 has m 23, n 33
/// (table 9-13), which at QP 51 is state 42 for the value 1 (9.3.1.1).
fn skip_all<W: std::io::Write>(bits: &mut BitWriter<W>, macroblocks: u32) -> std::io::Result<()> {
    let mut coder = Coder { bits, low: 0, range: 510, outstanding: 0, first: true };
    for left in (0..macroblocks).rev() {
        let state = FIRST_STATE + usize::try_from(macroblocks - 1 - left).unwrap_or(usize::MAX);
        coder.likely(&RANGE_OF_UNLIKELY[state.min(LAST_STATE) - FIRST_STATE])?;
        coder.end_of_slice(left == 0)?;
    }
    Ok(())
}

const FIRST_STATE: usize = 42;
const LAST_STATE: usize = 62;

/// Rows 42 to 62 of rangeTabLPS, table 9-44.
#[rustfmt::skip]
const RANGE_OF_UNLIKELY: [[u32; 4]; LAST_STATE - FIRST_STATE + 1] = [
    [16, 20, 23, 27], [15, 19, 22, 25], [14, 18, 21, 24], [14, 17, 20, 23], [13, 16, 19, 22], [12, 15, 18, 21],
    [12, 14, 17, 20], [11, 14, 16, 19], [11, 13, 15, 18], [10, 12, 15, 17], [10, 12, 14, 16], [9, 11, 13, 15],
    [9, 11, 12, 14], [8, 10, 12, 14], [8, 9, 11, 13], [7, 9, 11, 12], [7, 9, 10, 12], [7, 8, 10, 11],
    [6, 8, 9, 11], [6, 7, 9, 10], [6, 7, 8, 9],
];

/// The arithmetic encoder of 9.3.4.2, for likely values only.
struct Coder<'a, W: std::io::Write> {
    bits: &'a mut BitWriter<W>,
    low: u32,
    range: u32,
    outstanding: u32,
    first: bool,
}

impl<W: std::io::Write> Coder<'_, W> {
    fn likely(&mut self, unlikely: &[u32; 4]) -> std::io::Result<()> {
        self.range -= unlikely[(self.range >> 6) as usize & 3];
        self.renormalise()
    }

    fn end_of_slice(&mut self, end: bool) -> std::io::Result<()> {
        self.range -= 2;
        if !end {
            return self.renormalise();
        }
        self.low += self.range;
        self.range = 2;
        self.renormalise()?;
        self.put(self.low >> 9 & 1 == 1)?;
        self.bits.write_bit(self.low >> 8 & 1 == 1)?;
        self.bits.write_rbsp_trailing_bits() // its first bit is the last one of the flush, which is 1
    }

    fn renormalise(&mut self) -> std::io::Result<()> {
        while self.range < 256 {
            if self.low < 256 {
                self.put(false)?;
            } else if self.low >= 512 {
                self.low -= 512;
                self.put(true)?;
            } else {
                self.low -= 256;
                self.outstanding += 1;
            }
            self.range <<= 1;
            self.low <<= 1;
        }
        Ok(())
    }

    fn put(&mut self, bit: bool) -> std::io::Result<()> {
        if !std::mem::take(&mut self.first) {
            self.bits.write_bit(bit)?;
        }
        for _ in 0..std::mem::take(&mut self.outstanding) {
            self.bits.write_bit(!bit)?;
        }
        Ok(())
    }
}
