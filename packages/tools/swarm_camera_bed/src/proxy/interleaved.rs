//! An RTSP connection cut into what may be lost and what may not (RFC 2326 section 10.12): packets of `$`, channel, length
//! and data, and RTSP messages between them.

use std::mem;

/// One piece, bytes as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// RTP where the channel is even, RTCP where it is odd: what every client and server agrees on.
    Packet { channel: u8, bytes: Vec<u8> },
    /// An RTSP message with its body, or bytes that are neither it nor a packet.
    Text(Vec<u8>),
}

impl Piece {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Packet { bytes, .. } | Self::Text(bytes) => bytes,
        }
    }
}

/// Headers of a message are shorter than this; what is not is passed on without being understood.
const MAX_HEADERS: usize = 64 * 1024;
/// And bodies than this.
const MAX_BODY: usize = 1024 * 1024;

/// Takes bytes in as they come and gives pieces out. Nothing is ever lost or reordered: the pieces, put together, are the
/// stream, and they are the same however the stream was cut on its way in.
#[derive(Debug, Default)]
pub struct Splitter {
    buffer: Vec<u8>,
    taken: usize,
}

impl Splitter {
    pub fn push(&mut self, bytes: &[u8]) {
        if self.taken > 0 {
            self.buffer.drain(..mem::take(&mut self.taken));
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes that are not a whole piece yet.
    pub fn rest(&self) -> &[u8] {
        &self.buffer[self.taken..]
    }

    fn length(rest: &[u8]) -> Option<usize> {
        if *rest.first()? == b'$' {
            let length = usize::from(u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]));
            return Some(4 + length);
        }
        let head = &rest[..rest.len().min(MAX_HEADERS)];
        match head.windows(4).position(|four| four == b"\r\n\r\n") {
            Some(end) => Some(end + 4 + body_length(&head[..end])),
            None if rest.len() >= MAX_HEADERS => Some(MAX_HEADERS),
            None => None,
        }
    }
}

impl Iterator for Splitter {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let rest = self.rest();
        let length = Self::length(rest).filter(|length| *length <= rest.len())?;
        let bytes = rest[..length].to_vec();
        self.taken += length;
        Some(match bytes[0] {
            b'$' => Piece::Packet { channel: bytes[1], bytes },
            _ => Piece::Text(bytes),
        })
    }
}

fn body_length(headers: &[u8]) -> usize {
    let text = String::from_utf8_lossy(headers);
    let mut lines = text.split("\r\n").filter_map(|line| line.split_once(':'));
    let length = lines.find(|(name, _)| name.trim().eq_ignore_ascii_case("content-length"));
    length.and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0).min(MAX_BODY)
}

/// Time stamp of an RTP packet in a [`Piece::Packet`]; none where the packet is too short for RTP version 2.
pub fn rtp_time(packet: &[u8]) -> Option<u32> {
    let rtp = packet.get(4..)?;
    (rtp.len() >= 12 && rtp[0] >> 6 == 2).then(|| u32::from_be_bytes([rtp[4], rtp[5], rtp[6], rtp[7]]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(stream: &[u8], cuts: &[usize]) -> (Vec<Piece>, Vec<u8>) {
        let mut splitter = Splitter::default();
        let mut all = Vec::new();
        let mut from = 0;
        for cut in cuts.iter().copied().chain([stream.len()]) {
            let to = cut.clamp(from, stream.len());
            splitter.push(&stream[from..to]);
            all.extend(splitter.by_ref());
            from = to;
        }
        (all, splitter.rest().to_vec())
    }

    #[test]
    fn a_dollar_in_a_description_begins_no_packet() {
        let answer = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\ncontent-length: 6\r\n\r\ns=$\0\0\0";
        let packet = b"$\x01\x00\x03abc";
        let stream = [&answer[..], packet, b"RTSP/1.0 200 OK\r\nCSeq: 2\r\n\r\n"].concat();
        let (pieces, rest) = pieces(&stream, &[]);
        assert_eq!(rest, b"");
        assert_eq!(
            pieces,
            [
                Piece::Text(answer.to_vec()),
                Piece::Packet { channel: 1, bytes: packet.to_vec() },
                Piece::Text(b"RTSP/1.0 200 OK\r\nCSeq: 2\r\n\r\n".to_vec()),
            ]
        );
    }

    #[test]
    fn what_is_no_rtsp_passes_in_bounded_pieces() {
        let (pieces, rest) = pieces(&vec![b'x'; MAX_HEADERS + 5], &[]);
        assert_eq!((pieces.len(), rest.len()), (1, 5));
    }

    /// Bytes that meet the framing's own: dollars, small lengths, ends of headers, announced bodies.
    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..60))
                .prop_map(|(channel, data)| { [&[b'$', channel, 0, data.len() as u8][..], &data].concat() }),
            (0_usize..20)
                .prop_map(|n| format!("RTSP/1.0 200 OK\r\nContent-Length: {n}\r\n\r\n").into_bytes()),
            Just(b"\r\n\r\n".to_vec()),
            Just(b"Content-Length: 99999999999999999999\r\n\r\n".to_vec()),
        ];
        proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_stream_however_it_was_cut(stream in stream(), cuts in proptest::collection::vec(0_usize..600, 0..8)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            let (whole, rest) = pieces(&stream, &[]);
            prop_assert_eq!(&pieces(&stream, &cuts), &(whole.clone(), rest.clone()));
            let again: Vec<u8> = whole.iter().flat_map(Piece::bytes).chain(&rest).copied().collect();
            prop_assert_eq!(again, stream);
        }
    }
}
