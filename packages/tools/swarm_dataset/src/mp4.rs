//! H.264 in MP4, one sample per slot, with a constant frame rate.
//!
//! Boxes are `shiguredo_mp4`'s. The file around them is simple, since every sample has the same length: samples come first, tables
//! of one duration and a chunk per second behind them, so that a file of any length is written front to back.
//!
//! Sample k is at exactly k / fps, for readers that go by times and for those that go by numbers. There is no edit list: libav
//! does not find key frames reliably in a file with one (seeking in a test with several edits landed behind the frame).

use std::fs::File;
use std::io::{BufWriter, Seek as _, SeekFrom, Write as _};
use std::num::{NonZeroU16, NonZeroU32};
use std::path::{Path, PathBuf};

use shiguredo_mp4::boxes::{
    Avc1Box, AvccBox, Brand, Co64Box, DinfBox, FtypBox, HdlrBox, MdhdBox, MdiaBox, MediaHeader, MinfBox,
    MoovBox, MvhdBox, SampleEntry, StblBox, StscBox, StscEntry, StsdBox, StssBox, StszBox, SttsBox,
    SttsEntry, TkhdBox, TrakBox, VisualSampleEntryFields, VmhdBox,
};
use shiguredo_mp4::{Either, FixedPointNumber, LanguageCode, Mp4FileTime, Uint};

use crate::error::{At, ExportError};
use crate::h264::ParameterSets;

/// Ticks per slot; 512 are what ffmpeg writes too.
const TICKS: u32 = 512;

#[derive(Debug)]
struct Sample {
    size: u32,
    key: bool,
}

/// Writes one file.
#[derive(Debug)]
pub(crate) struct Mp4Writer {
    path: PathBuf,
    file: BufWriter<File>,
    /// Of the box that holds the samples.
    mdat: u64,
    place: u64,
    fps: u32,
    samples: Vec<Sample>,
    /// Where each second's samples begin.
    chunks: Vec<u64>,
}

impl Mp4Writer {
    pub(crate) fn create(path: &Path, fps: u32) -> Result<Self, ExportError> {
        let file = File::create(path).at("create", path)?;
        let mut writer = Self {
            path: path.to_owned(),
            file: BufWriter::with_capacity(1 << 20, file),
            mdat: 0,
            place: 0,
            fps,
            samples: Vec::new(),
            chunks: Vec::new(),
        };
        let head = FtypBox {
            major_brand: Brand::ISOM,
            minor_version: 512,
            compatible_brands: vec![Brand::ISOM, Brand::ISO2, Brand::AVC1, Brand::MP41],
        };
        writer.put_box(&head)?;
        writer.mdat = writer.place;
        // A size of 1 says that 64 bits of it follow; they are filled in at the end.
        writer.put(&[0, 0, 0, 1, b'm', b'd', b'a', b't', 0, 0, 0, 0, 0, 0, 0, 0])?;
        Ok(writer)
    }

    /// Adds a sample of these NAL units.
    pub(crate) fn sample<'a>(
        &mut self,
        units: impl Iterator<Item = &'a [u8]>,
        key: bool,
    ) -> Result<(), ExportError> {
        if self.samples.len().is_multiple_of(self.fps as usize) {
            self.chunks.push(self.place);
        }
        let start = self.place;
        for unit in units {
            let length = u32::try_from(unit.len()).map_err(|_| self.error("a NAL unit has 4 GiB or more"))?;
            self.put(&length.to_be_bytes())?;
            self.put(unit)?;
        }
        let size = u32::try_from(self.place - start).map_err(|_| self.error("a frame has 4 GiB or more"))?;
        self.samples.push(Sample { size, key });
        Ok(())
    }

    /// Writes the tables, and makes the file durable. Returns its size.
    pub(crate) fn finish(mut self, sets: &ParameterSets) -> Result<u64, ExportError> {
        let end = self.place;
        let tables = self.tables(sets)?;
        self.put_box(&tables)?;
        let (path, mdat) = (self.path, self.mdat);
        let mut file =
            self.file.into_inner().map_err(std::io::IntoInnerError::into_error).at("write", &path)?;
        file.seek(SeekFrom::Start(mdat + 8)).at("write", &path)?;
        file.write_all(&(end - mdat).to_be_bytes()).at("write", &path)?;
        file.sync_all().at("sync", &path)?;
        Ok(self.place)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        self.file.write_all(bytes).at("write", &self.path)?;
        self.place += bytes.len() as u64;
        Ok(())
    }

    fn put_box(&mut self, content: &impl shiguredo_mp4::Encode) -> Result<(), ExportError> {
        let bytes = content.encode_to_vec().map_err(|error| self.error(&format!("{error:?}")))?;
        self.put(&bytes)
    }

    fn error(&self, problem: &str) -> ExportError {
        ExportError::Encode { path: self.path.clone(), problem: problem.to_owned() }
    }

    fn tables(&self, sets: &ParameterSets) -> Result<MoovBox, ExportError> {
        let timescale =
            NonZeroU32::new(self.fps * TICKS).ok_or_else(|| self.error("a rate of 0 frames/s"))?;
        let duration = self.samples.len() as u64 * u64::from(TICKS);
        let (Ok(width), Ok(height)) = (u16::try_from(sets.width), u16::try_from(sets.height)) else {
            return Err(self.error("the picture has more than 65535 pixels on a side"));
        };
        Ok(MoovBox {
            mvhd_box: MvhdBox {
                creation_time: Mp4FileTime::default(),
                modification_time: Mp4FileTime::default(),
                timescale,
                duration,
                rate: MvhdBox::DEFAULT_RATE,
                volume: MvhdBox::DEFAULT_VOLUME,
                matrix: MvhdBox::DEFAULT_MATRIX,
                next_track_id: 2,
            },
            trak_boxes: vec![TrakBox {
                tkhd_box: TkhdBox {
                    flag_track_enabled: true,
                    flag_track_in_movie: true,
                    flag_track_in_preview: false,
                    flag_track_size_is_aspect_ratio: false,
                    creation_time: Mp4FileTime::default(),
                    modification_time: Mp4FileTime::default(),
                    track_id: 1,
                    duration,
                    layer: TkhdBox::DEFAULT_LAYER,
                    alternate_group: TkhdBox::DEFAULT_ALTERNATE_GROUP,
                    volume: TkhdBox::DEFAULT_VIDEO_VOLUME,
                    matrix: TkhdBox::DEFAULT_MATRIX,
                    width: FixedPointNumber::new(width.cast_signed(), 0),
                    height: FixedPointNumber::new(height.cast_signed(), 0),
                },
                edts_box: None,
                mdia_box: MdiaBox {
                    mdhd_box: MdhdBox {
                        creation_time: Mp4FileTime::default(),
                        modification_time: Mp4FileTime::default(),
                        timescale,
                        duration,
                        language: LanguageCode::UNDEFINED,
                    },
                    hdlr_box: HdlrBox {
                        handler_type: HdlrBox::HANDLER_TYPE_VIDE,
                        name: b"camera\0".to_vec(),
                    },
                    minf_box: MinfBox {
                        media_header: Some(MediaHeader::Vmhd(VmhdBox::default())),
                        dinf_box: DinfBox::LOCAL_FILE,
                        stbl_box: self.sample_table(sets, width, height),
                        unknown_boxes: Vec::new(),
                    },
                    unknown_boxes: Vec::new(),
                },
                unknown_boxes: Vec::new(),
            }],
            mvex_box: None,
            unknown_boxes: Vec::new(),
        })
    }

    fn sample_table(&self, sets: &ParameterSets, width: u16, height: u16) -> StblBox {
        let count = u32::try_from(self.samples.len()).unwrap_or(u32::MAX);
        // The last chunk may be shorter.
        let full = count / self.fps;
        let rest = count % self.fps;
        let entry = |first: u32, samples: u32| StscEntry {
            first_chunk: NonZeroU32::new(first).unwrap_or(NonZeroU32::MIN),
            sample_per_chunk: samples,
            sample_description_index: NonZeroU32::MIN,
        };
        let mut chunks = Vec::new();
        if full > 0 {
            chunks.push(entry(1, self.fps));
        }
        if rest > 0 {
            chunks.push(entry(full + 1, rest));
        }
        let keys = (1..).zip(&self.samples).filter(|(_, sample)| sample.key);
        StblBox {
            stsd_box: StsdBox { entries: vec![SampleEntry::Avc1(sample_entry(sets, width, height))] },
            stts_box: SttsBox { entries: vec![SttsEntry { sample_count: count, sample_delta: TICKS }] },
            ctts_box: None,
            cslg_box: None,
            stsc_box: StscBox { entries: chunks },
            stsz_box: StszBox::Variable {
                entry_sizes: self.samples.iter().map(|sample| sample.size).collect(),
            },
            stco_or_co64_box: Either::B(Co64Box { chunk_offsets: self.chunks.clone() }),
            stss_box: Some(StssBox {
                sample_numbers: keys.filter_map(|(number, _)| NonZeroU32::new(number)).collect(),
            }),
            sdtp_box: None,
            unknown_boxes: Vec::new(),
        }
    }
}

fn sample_entry(sets: &ParameterSets, width: u16, height: u16) -> Avc1Box {
    let chroma = &sets.parsed_sps.chroma_info;
    // ISO/IEC 14496-15, 5.3.3.1: only the profiles above Extended say these.
    let high = !matches!(sets.sps[1], 66 | 77 | 88);
    Avc1Box {
        visual: VisualSampleEntryFields {
            data_reference_index: NonZeroU16::MIN,
            width,
            height,
            horizresolution: VisualSampleEntryFields::DEFAULT_HORIZRESOLUTION,
            vertresolution: VisualSampleEntryFields::DEFAULT_VERTRESOLUTION,
            frame_count: VisualSampleEntryFields::DEFAULT_FRAME_COUNT,
            compressorname: VisualSampleEntryFields::NULL_COMPRESSORNAME,
            depth: VisualSampleEntryFields::DEFAULT_DEPTH,
        },
        avcc_box: AvccBox {
            avc_profile_indication: sets.sps[1],
            profile_compatibility: sets.sps[2],
            avc_level_indication: sets.sps[3],
            length_size_minus_one: Uint::new(3),
            sps_list: vec![sets.sps.clone()],
            pps_list: sets.pps.clone(),
            chroma_format: high.then(|| Uint::new(chroma.chroma_format.to_u32() as u8)),
            bit_depth_luma_minus8: high.then(|| Uint::new(chroma.bit_depth_luma_minus8)),
            bit_depth_chroma_minus8: high.then(|| Uint::new(chroma.bit_depth_chroma_minus8)),
            sps_ext_list: Vec::new(),
        },
        unknown_boxes: Vec::new(),
    }
}
