//! What is read in RTP and RTCP packets on their way through GStreamer: which frames are whole, how many packets are missing,
//! and what sender reports say. GStreamer gives out frames with holes and says of none how many packets it missed.

use std::collections::VecDeque;

use retina::NtpTimestamp;
use swarm_capture_core::{HostTime, SenderReport};

use crate::Codec;
use crate::by_retina::camera_time;

/// One frame whose packets have been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// GStreamer's time of its packets, nanoseconds: the only thing that a frame keeps on its way.
    pub pts: Option<u64>,
    pub rtp: u32,
    pub first_arrival: HostTime,
    pub arrival: HostTime,
    /// Packets that were missing before it or in it.
    pub lost: u32,
    pub key: bool,
    whole: bool,
}

/// Frames whose packets came and that did not come out yet; some never do.
const MOST_SEEN: usize = 256;
/// Key frames that go in while no frame comes out, until it is clear that none ever will.
const KEYS_WITHOUT_PARAMETERS: u32 = 3;

#[derive(Debug)]
pub(super) struct Track {
    codec: Codec,
    seen: VecDeque<Seen>,
    /// Sequence number that comes next, and whether the packet before it ended its frame.
    next: Option<(u16, bool)>,
    keys_in: u32,
    any_out: bool,
    carried: u32,
}

impl Track {
    pub(super) fn new(codec: Codec) -> Self {
        Self { codec, seen: VecDeque::new(), next: None, keys_in: 0, any_out: false, carried: 0 }
    }

    /// A packet, in order of sequence numbers. False when it is clear that no frame will ever come out.
    pub(super) fn packet(&mut self, packet: &[u8], pts: Option<u64>, arrival: HostTime) -> bool {
        let Some((header, payload)) = header(packet) else { return true };
        let (lost, ended) = match self.next {
            Some((next, ended)) => (u32::from(header.sequence.wrapping_sub(next)), ended),
            None => (0, true),
        };
        if lost > 0x8000 {
            return true; // late: GStreamer has given it up before
        }
        self.next = Some((header.sequence.wrapping_add(1), header.marker));
        let units = units(self.codec, payload);
        if let Some(seen) = self.seen.back_mut().filter(|seen| seen.rtp == header.rtp) {
            seen.arrival = arrival;
            seen.lost += lost;
            seen.whole &= lost == 0;
            seen.key |= units.key;
        } else {
            if lost > 0
                && !ended
                && let Some(before) = self.seen.back_mut()
            {
                before.whole = false;
            }
            if self.seen.len() == MOST_SEEN {
                self.carried += self.seen.pop_front().map_or(0, |seen| seen.lost);
            }
            let whole = lost == 0 || units.begins;
            let Header { rtp, .. } = header;
            let first_arrival = arrival;
            self.seen.push_back(Seen { pts, rtp, first_arrival, arrival, lost, key: units.key, whole });
            self.keys_in += u32::from(units.key);
        }
        self.any_out || self.keys_in < KEYS_WITHOUT_PARAMETERS
    }

    /// The frame that came out with this time; none where it had a hole, or where nothing is known of it.
    pub(super) fn frame(&mut self, pts: Option<u64>) -> Option<Seen> {
        self.any_out = true;
        let at = self.seen.iter().position(|seen| seen.pts == pts)?;
        let before: u32 = self.seen.drain(..at).map(|seen| seen.lost).sum();
        let mut seen = self.seen.pop_front()?;
        seen.lost += before + self.carried;
        self.carried = 0;
        if seen.whole {
            return Some(seen);
        }
        self.carried = seen.lost;
        None
    }
}

struct Header {
    sequence: u16,
    rtp: u32,
    marker: bool,
}

/// RFC 3550 section 5.1.
fn header(packet: &[u8]) -> Option<(Header, &[u8])> {
    let fixed = packet.first_chunk::<12>()?;
    if fixed[0] >> 6 != 2 {
        return None;
    }
    let mut at = 12 + 4 * usize::from(fixed[0] & 15);
    if fixed[0] & 16 != 0 {
        let words = u16::from_be_bytes([*packet.get(at + 2)?, *packet.get(at + 3)?]);
        at += 4 + 4 * usize::from(words);
    }
    let header = Header {
        sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
        rtp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
        marker: fixed[1] & 0x80 != 0,
    };
    Some((header, packet.get(at..)?))
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Units {
    /// A frame can begin with it.
    begins: bool,
    /// Holds a part of a key frame.
    key: bool,
}

/// What the payload of one packet holds (RFC 6184 section 5.2, RFC 7798 section 4.4, RFC 2435 section 3.1).
fn units(codec: Codec, payload: &[u8]) -> Units {
    let byte = |at: usize| payload.get(at).copied().unwrap_or_default();
    let first_bit = |at: usize| byte(at) & 0x80 != 0;
    match codec {
        Codec::H264 => match byte(0) & 0x1f {
            kind @ 1..=5 => Units { begins: first_bit(1), key: kind == 5 },
            28 => Units { begins: first_bit(1) && first_bit(2), key: byte(1) & 0x1f == 5 },
            24 => Units { begins: true, key: aggregated(&payload[1..]).any(|unit| unit[0] & 0x1f == 5) },
            _ => Units { begins: true, key: false },
        },
        Codec::H265 => match byte(0) >> 1 & 0x3f {
            kind @ 0..32 => Units { begins: first_bit(2), key: (16..=23).contains(&kind) },
            49 => Units { begins: first_bit(2) && first_bit(3), key: (16..=23).contains(&(byte(2) & 0x3f)) },
            48 => {
                let rest = payload.get(2..).unwrap_or_default();
                Units {
                    begins: true,
                    key: aggregated(rest).any(|unit| (16..=23).contains(&(unit[0] >> 1 & 0x3f))),
                }
            }
            _ => Units { begins: true, key: false },
        },
        Codec::Mjpeg => Units { begins: payload.get(1..4) == Some(&[0, 0, 0]), key: true },
    }
}

/// The units of an aggregation packet, each behind its length; none of them is empty.
fn aggregated(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, tail) = rest.split_first_chunk::<2>()?;
        let (unit, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        rest = tail;
        Some(unit)
    })
    .filter(|unit| !unit.is_empty())
}

/// The sender reports of a compound packet (RFC 3550 section 6.1 and 6.4.1).
pub(super) fn reports(mut rest: &[u8], arrival: HostTime) -> Vec<SenderReport> {
    let mut found = Vec::new();
    while let Some(head) = rest.first_chunk::<4>() {
        let length = 4 * (1 + usize::from(u16::from_be_bytes([head[2], head[3]])));
        let Some((packet, tail)) = rest.split_at_checked(length) else { break };
        if head[0] >> 6 == 2
            && head[1] == 200
            && let Some(body) = packet.get(8..).and_then(|body| body.first_chunk::<12>())
        {
            let (ntp, rtp) = body.split_at(8);
            let ntp = NtpTimestamp(u64::from_be_bytes(ntp.try_into().expect("8 bytes")));
            let rtp = u32::from_be_bytes(rtp.try_into().expect("4 bytes"));
            found.extend(camera_time(ntp).map(|camera| SenderReport { camera, rtp, arrival }));
        }
        rest = tail;
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(sequence: u16, rtp: u32, marker: bool, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x80, 0x60 | u8::from(marker) << 7];
        bytes.extend(sequence.to_be_bytes());
        bytes.extend(rtp.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(payload);
        bytes
    }

    const START: &[u8] = &[28, 0x81, 0x80];
    const MIDDLE: &[u8] = &[28, 0x01, 0x80];

    /// Sends frames of four packets but for those of `lost`; gives (rtp, lost) of the frames that come out as whole.
    fn send(lost: &[u16]) -> Vec<(u32, u32)> {
        let mut track = Track::new(Codec::H264);
        let mut out = Vec::new();
        for frame in 0..5_u16 {
            for part in 0..4 {
                let sequence = frame * 4 + part;
                if !lost.contains(&sequence) {
                    let payload = if part == 0 { START } else { MIDDLE };
                    let bytes = packet(sequence, u32::from(frame), part == 3, payload);
                    track.packet(&bytes, Some(u64::from(frame)), HostTime(0));
                }
            }
        }
        for frame in 0..5 {
            out.extend(track.frame(Some(frame)).map(|seen| (seen.rtp, seen.lost)));
        }
        out
    }

    #[test]
    fn frames_with_a_hole_are_held_back_and_their_packets_counted_with_the_next() {
        assert_eq!(send(&[]), [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0)]);
        assert_eq!(send(&[5]), [(0, 0), (2, 1), (3, 0), (4, 0)], "middle of frame 1");
        assert_eq!(send(&[8]), [(0, 0), (1, 0), (3, 1), (4, 0)], "beginning of frame 2");
        assert_eq!(send(&[7, 8]), [(0, 0), (3, 2), (4, 0)], "end of frame 1, beginning of frame 2");
        assert_eq!(send(&[7]), [(0, 0), (2, 1), (3, 0), (4, 0)], "end of frame 1");
        assert_eq!(send(&[4, 5, 6, 7]), [(0, 0), (2, 4), (3, 0), (4, 0)], "all of frame 1");
    }

    proptest! {
        #[test]
        fn packets_may_hold_anything(
            packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..64), 0..40),
            codec in prop_oneof![Just(Codec::H264), Just(Codec::H265), Just(Codec::Mjpeg)],
        ) {
            let mut track = Track::new(codec);
            for (at, bytes) in packets.iter().enumerate() {
                track.packet(bytes, Some(at as u64 / 3), HostTime(0));
                reports(bytes, HostTime(0));
                prop_assert!(track.seen.len() <= MOST_SEEN);
            }
            track.frame(Some(0));
        }
    }
}
