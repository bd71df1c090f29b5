//! Coded pictures as messages: one picture, one message, its bytes copied once.
//!
//! The same bytes fit three messages, and [`VideoMessage`] says which; users' tools disagree on what they read. H.264 and
//! H.265 are Annex B with the parameter sets before every key frame, so that a player can begin there.

use serde::{Deserialize, Serialize, Serializer};

use crate::cdr::{self, CdrError};
use crate::msg::{CompressedImage, CompressedVideo, FfmpegPacket, Header, Message, Time};

/// Which message a camera's video is recorded as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VideoMessage {
    /// `foxglove_msgs/msg/CompressedVideo`: Foxglove, Lichtblick.
    #[default]
    CompressedVideo,
    /// `sensor_msgs/msg/CompressedImage` with format `h264`: Rerun, and whatever wants a header.
    CompressedImage,
    /// `ffmpeg_image_transport_msgs/msg/FFMPEGPacket`: image_transport.
    FfmpegPacket,
}

/// A coded picture that borrows what it is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture<'a> {
    /// When it was captured, nanoseconds since the epoch.
    pub captured: i64,
    /// The camera's optical frame.
    pub frame_id: &'a str,
    /// `h264`, `h265`, `jpeg`.
    pub format: &'a str,
    /// Pixels; only an FFMPEGPacket holds them, elsewhere they read as 0.
    pub width: u32,
    pub height: u32,
    /// The coder's presentation time; only an FFMPEGPacket holds it.
    pub pts: u64,
    pub key_frame: bool,
    pub data: &'a [u8],
}

impl VideoMessage {
    /// `package/msg/Name`.
    pub fn type_name(self) -> &'static str {
        match self {
            Self::CompressedVideo => CompressedVideo::TYPE,
            Self::CompressedImage => CompressedImage::TYPE,
            Self::FfmpegPacket => FfmpegPacket::TYPE,
        }
    }

    /// The message of that type, if it is one of video.
    pub fn of_type(type_name: &str) -> Option<Self> {
        [Self::CompressedVideo, Self::CompressedImage, Self::FfmpegPacket]
            .into_iter()
            .find(|message| message.type_name() == type_name)
    }

    /// The message as it goes on the wire and into a bag.
    pub fn encode(self, picture: &Picture<'_>) -> Result<Vec<u8>, CdrError> {
        let &Picture { captured, frame_id, format, data, .. } = picture;
        let (stamp, data) = (Time::from_nanos(captured), Octets(data));
        let header = || Header { stamp: stamp.clone(), frame_id: frame_id.to_owned() };
        // All else of a message: numbers, lengths, padding.
        let size = 64 + frame_id.len() + format.len() + data.0.len();
        match self {
            Self::CompressedVideo => cdr::encode_sized(&(&stamp, frame_id, data, format), size),
            Self::CompressedImage => cdr::encode_sized(&(header(), format, data), size),
            Self::FfmpegPacket => {
                let flags = u8::from(picture.key_frame);
                let (width, height) = (picture.width.cast_signed(), picture.height.cast_signed());
                cdr::encode_sized(&(header(), width, height, format, picture.pts, flags, false, data), size)
            }
        }
    }

    /// Reads a message, also one that another recorder wrote; `data` borrows from `bytes`.
    pub fn decode(self, bytes: &[u8]) -> Result<Decoded<'_>, CdrError> {
        Ok(match self {
            Self::CompressedVideo => {
                let (stamp, frame_id, data, format): (Time, String, &[u8], String) =
                    cdr::decode_borrowed(bytes)?;
                Decoded {
                    captured: stamp.nanos(),
                    frame_id,
                    key_frame: is_key_frame(&format, data),
                    format,
                    data,
                }
            }
            Self::CompressedImage => {
                let (Header { stamp, frame_id }, format, data): (Header, String, &[u8]) =
                    cdr::decode_borrowed(bytes)?;
                Decoded {
                    captured: stamp.nanos(),
                    frame_id,
                    key_frame: is_key_frame(&format, data),
                    format,
                    data,
                }
            }
            Self::FfmpegPacket => {
                let packet: BorrowedPacket<'_> = cdr::decode_borrowed(bytes)?;
                let Header { stamp, frame_id } = packet.header;
                let (format, key_frame) = (packet.encoding, packet.flags & 1 == 1);
                Decoded { captured: stamp.nanos(), frame_id, key_frame, format, data: packet.data }
            }
        })
    }
}

/// What is common to the three messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// Nanoseconds since the epoch.
    pub captured: i64,
    pub frame_id: String,
    pub format: String,
    /// Whether a decoder can begin here.
    pub key_frame: bool,
    pub data: &'a [u8],
}

/// Whether a decoder can begin with this picture. Of H.264 and H.265 the bytes say so; every other format is taken for
/// pictures that stand alone, as JPEG is.
pub fn is_key_frame(format: &str, data: &[u8]) -> bool {
    // ITU-T H.264 table 7-1: 5 is a slice of an IDR picture. ITU-T H.265 table 7-1: 16 to 23 are random-access pictures.
    let is_slice: fn(u8) -> Option<bool> = match format {
        "h264" | "H264" | "avc" => |head| match head & 0x1f {
            5 => Some(true),
            1..=4 => Some(false),
            _ => None,
        },
        "h265" | "H265" | "hevc" => |head| match head >> 1 & 0x3f {
            16..=23 => Some(true),
            0..=9 => Some(false),
            _ => None,
        },
        _ => return true,
    };
    // The first slice decides: all of a picture are of one kind.
    nal_heads(data).find_map(is_slice).unwrap_or(false)
}

/// First byte of each NAL unit of an Annex B stream.
fn nal_heads(data: &[u8]) -> impl Iterator<Item = u8> + '_ {
    data.windows(4).filter(|window| window[..3] == [0, 0, 1]).map(|window| window[3])
}

/// A sequence of octets that is written in one piece.
#[derive(Clone, Copy)]
struct Octets<'a>(&'a [u8]);

impl Serialize for Octets<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(self.0)
    }
}

/// As [`FfmpegPacket`].
#[derive(Deserialize)]
struct BorrowedPacket<'a> {
    header: Header,
    _width: i32,
    _height: i32,
    encoding: String,
    _pts: u64,
    flags: u8,
    _is_bigendian: bool,
    data: &'a [u8],
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(data: &[u8]) -> Picture<'_> {
        Picture {
            captured: 1_767_225_600_000_000_123,
            frame_id: "cam1_optical",
            format: "h264",
            width: 1920,
            height: 1080,
            pts: 77,
            key_frame: true,
            data,
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_message_encoded_field_by_field() {
        let data = [0, 0, 0, 1, 0x65, 7, 8];
        let picture = picture(&data);
        let stamp = Time::from_nanos(picture.captured);
        let header = Header { stamp: stamp.clone(), frame_id: "cam1_optical".into() };
        let (format, data) = ("h264".to_owned(), data.to_vec());
        let video = CompressedVideo {
            timestamp: stamp,
            frame_id: header.frame_id.clone(),
            data: data.clone(),
            format: format.clone(),
        };
        let image = CompressedImage { header: header.clone(), format: format.clone(), data: data.clone() };
        let packet = FfmpegPacket {
            header,
            width: 1920,
            height: 1080,
            encoding: format,
            pts: 77,
            flags: 1,
            is_bigendian: false,
            data,
        };
        let encoded = |message: VideoMessage| message.encode(&picture).unwrap();
        assert_eq!(encoded(VideoMessage::CompressedVideo), cdr::encode(&video).unwrap());
        assert_eq!(encoded(VideoMessage::CompressedImage), cdr::encode(&image).unwrap());
        assert_eq!(encoded(VideoMessage::FfmpegPacket), cdr::encode(&packet).unwrap());
    }

    #[test]
    fn what_is_encoded_is_decoded_and_borrows_the_picture() {
        let data = [0, 0, 1, 0x65, 1, 2, 3];
        for message in
            [VideoMessage::CompressedVideo, VideoMessage::CompressedImage, VideoMessage::FfmpegPacket]
        {
            assert_eq!(VideoMessage::of_type(message.type_name()), Some(message));
            let bytes = message.encode(&picture(&data)).unwrap();
            let decoded = message.decode(&bytes).unwrap();
            assert_eq!((decoded.data, decoded.key_frame), (&data[..], true));
            assert_eq!((decoded.frame_id.as_str(), decoded.format.as_str()), ("cam1_optical", "h264"));
            assert_eq!(decoded.captured, 1_767_225_600_000_000_123);
            for end in 0..bytes.len() {
                let cut = message.decode(&bytes[..end]);
                assert!(cut.is_err(), "{message:?} cut at {end}");
            }
        }
        assert_eq!(VideoMessage::of_type("sensor_msgs/msg/Image"), None);
    }

    #[test]
    fn a_key_frame_is_told_by_its_first_slice() {
        let h264 = |heads: &[u8]| {
            let bytes: Vec<u8> = heads.iter().flat_map(|head| [0, 0, 0, 1, *head, 9]).collect();
            is_key_frame("h264", &bytes)
        };
        assert!(h264(&[0x67, 0x68, 0x65]), "parameter sets, then an IDR slice");
        assert!(h264(&[0x09, 0x06, 0x25, 0x25]), "delimiter and SEI before it");
        assert!(!h264(&[0x67, 0x68, 0x41]), "parameter sets alone make no key frame");
        assert!(!h264(&[]) && !h264(&[0x67]));
        assert!(is_key_frame("h265", &[0, 0, 1, 0x26, 1]) && !is_key_frame("h265", &[0, 0, 1, 0x02, 1]));
        assert!(is_key_frame("jpeg", &[0xff, 0xd8]));
    }
}
