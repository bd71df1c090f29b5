//! CDR, the encoding of every ROS 2 message: plain XCDR1, little endian, behind a header of four bytes.
//!
//! Alignment counts from the end of the header. The encoding itself is `cdr-encoding`'s; here are the header and the errors.

use byteorder::{BigEndian, LittleEndian};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Representation identifiers of the DDS-RTPS specification, 10.5; the two bytes behind are options, zero in plain CDR.
const PLAIN_BIG_ENDIAN: [u8; 2] = [0, 0];
const PLAIN_LITTLE_ENDIAN: [u8; 2] = [0, 1];
const HEADER: usize = 4;

/// Why bytes are no message, or a value cannot be one.
#[derive(Debug, thiserror::Error)]
pub enum CdrError {
    #[error("{0} bytes are no CDR message: its header alone has 4")]
    NoHeader(usize),
    #[error("representation {0:02x?} is not plain CDR, expected 00 00 or 00 01")]
    Representation([u8; 2]),
    #[error("the bytes do not have the form of {type_name}: {source}")]
    Decode { type_name: &'static str, source: cdr_encoding::Error },
    #[error("{type_name} cannot be encoded: {source}")]
    Encode { type_name: &'static str, source: cdr_encoding::Error },
}

/// The message as ROS 2 puts it on the wire and into a bag. The fields go in the order in which `T` declares them.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, CdrError> {
    let mut bytes = encode_sized(message, 256)?;
    bytes.shrink_to_fit(); // a ring keeps thousands of them
    Ok(bytes)
}

/// As [`encode`], for a message whose size is known: `size` bytes are had at once.
pub(crate) fn encode_sized<T: Serialize>(message: &T, size: usize) -> Result<Vec<u8>, CdrError> {
    let mut bytes = Vec::with_capacity(size);
    bytes.extend(PLAIN_LITTLE_ENDIAN);
    bytes.extend([0, 0]);
    cdr_encoding::to_writer::<T, LittleEndian, _>(&mut bytes, message)
        .map_err(|source| CdrError::Encode { type_name: std::any::type_name::<T>(), source })?;
    Ok(bytes)
}

/// Reads a message of either byte order. Bytes behind it are left alone: middlewares pad messages to four bytes.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CdrError> {
    decode_borrowed(bytes)
}

/// As [`decode`], of a message that keeps pointing into `bytes`.
pub(crate) fn decode_borrowed<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, CdrError> {
    let (header, body) = bytes.split_at_checked(HEADER).ok_or(CdrError::NoHeader(bytes.len()))?;
    let read = match [header[0], header[1]] {
        PLAIN_LITTLE_ENDIAN => cdr_encoding::from_bytes::<T, LittleEndian>(body),
        PLAIN_BIG_ENDIAN => cdr_encoding::from_bytes::<T, BigEndian>(body),
        other => return Err(CdrError::Representation(other)),
    };
    read.map(|(message, _)| message)
        .map_err(|source| CdrError::Decode { type_name: std::any::type_name::<T>(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::msg::{Header, JointState, Time};

    fn joints() -> JointState {
        JointState {
            header: Header { stamp: Time { sec: 1, nanosec: 2 }, frame_id: "ab".into() },
            name: vec!["joint".into()],
            position: vec![1.0],
            velocity: vec![],
            effort: vec![],
        }
    }

    #[test]
    fn fields_are_aligned_to_their_size_from_the_end_of_the_header() {
        #[rustfmt::skip]
        let expected = [
            0, 1, 0, 0,
            1, 0, 0, 0,  2, 0, 0, 0,                            // stamp
            3, 0, 0, 0,  b'a', b'b', 0,  0,                     // frame_id with its end, and a byte of padding
            1, 0, 0, 0,  6, 0, 0, 0,  b'j', b'o', b'i', b'n', b't', 0,  0, 0,
            1, 0, 0, 0,  0, 0, 0, 0,                            // one position; a double begins at a multiple of 8
            0, 0, 0, 0, 0, 0, 0xf0, 0x3f,
            0, 0, 0, 0,  0, 0, 0, 0,                            // an empty sequence is not padded
        ];
        let bytes = encode(&joints()).unwrap();
        assert_eq!(bytes, expected);
        assert_eq!(decode::<JointState>(&bytes).unwrap(), joints());
    }

    #[test]
    fn what_is_no_plain_cdr_is_refused() {
        assert!(matches!(decode::<JointState>(&[0, 1]), Err(CdrError::NoHeader(2))));
        assert!(matches!(decode::<JointState>(&[0, 7, 0, 0]), Err(CdrError::Representation([0, 7]))));
        let whole = encode(&joints()).unwrap();
        for end in HEADER..whole.len() {
            assert!(matches!(decode::<JointState>(&whole[..end]), Err(CdrError::Decode { .. })), "{end}");
        }
    }
}
