//! The server's half of ZMTP 3.0 (rfc.zeromq.org/spec/23), mechanism NULL, socket type REP: bytes in, messages out, no socket.
//!
//! 1. Both sides send a greeting of 64 bytes, then a READY command that names the socket type.
//! 2. A message is a row of frames: flags (1 more, 2 long, 4 command), length (1 or 8 bytes, big-endian), body.
//! 3. A requester puts an envelope in front, which ends with an empty frame, and wants it back in front of the reply.
//!
//! Everything a peer can say is bounded by [`Limits`] before memory is taken for it. That is why this is written here: `zeromq` 0.7
//! takes as much memory as a peer *announces*, so that nine bytes abort the process that runs the arms, and libzmq (`zmq`), which can
//! bound one frame, cannot bound their number, and would bring a C++ build.

/// How much a peer may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one message, all its frames together.
    pub message_bytes: usize,
    /// Frames of one message, its envelope included.
    pub frames: usize,
}

impl Default for Limits {
    /// The largest request there is names every blackboard of a tree.
    fn default() -> Self {
        Self { message_bytes: 64 * 1024, frames: 8 }
    }
}

/// What the peer did wrong; the connection is closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZmtpError {
    #[error("it does not begin with a ZMTP signature")]
    Signature,
    #[error("it speaks ZMTP {0}, not 3")]
    Version(u8),
    #[error("it wants the security mechanism {0:?}, only NULL is offered")]
    Mechanism(String),
    #[error("its first frame is no READY command")]
    NotReady,
    #[error("its socket type {0:?} is none that asks (REQ, DEALER)")]
    SocketType(String),
    #[error("a frame has the flags {0:#04x}, which mean nothing")]
    Flags(u8),
    #[error("a message of {announced} bytes is announced, at most {limit} are taken")]
    TooLong { announced: u64, limit: usize },
    #[error("a message has more than {0} frames")]
    TooManyFrames(usize),
    #[error("a message has no empty frame that ends its envelope")]
    Envelope,
}

/// A request: what is to stand in front of the reply, and what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    envelope: Vec<Vec<u8>>,
    pub body: Vec<Vec<u8>>,
}

/// What is sent first, before anything is heard.
pub fn greeting() -> [u8; GREETING] {
    let mut bytes = [0; GREETING];
    (bytes[0], bytes[8], bytes[9], bytes[10]) = (0xff, 1, 0x7f, 3);
    bytes[12..16].copy_from_slice(b"NULL");
    bytes
}

/// What is sent second.
pub fn ready() -> Vec<u8> {
    let body = [&b"\x05READY\x0bSocket-Type"[..], &3_u32.to_be_bytes(), b"REP"].concat();
    let mut out = Vec::new();
    put_frame(&mut out, COMMAND, &body);
    out
}

/// A reply to `request` as bytes.
pub fn encode(request: &Message, reply: &[Vec<u8>]) -> Vec<u8> {
    let envelope = request.envelope.iter().map(Vec::as_slice);
    let frames: Vec<&[u8]> = envelope.chain([&[][..]]).chain(reply.iter().map(Vec::as_slice)).collect();
    let mut out = Vec::with_capacity(frames.iter().map(|frame| frame.len() + 9).sum());
    for (index, frame) in frames.iter().enumerate() {
        put_frame(&mut out, if index + 1 < frames.len() { MORE } else { 0 }, frame);
    }
    out
}

const GREETING: usize = 64;
const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

fn put_frame(out: &mut Vec<u8>, flags: u8, body: &[u8]) {
    if let Ok(length) = u8::try_from(body.len()) {
        out.extend([flags, length]);
    } else {
        out.push(flags | LONG);
        out.extend((body.len() as u64).to_be_bytes());
    }
    out.extend_from_slice(body);
}

/// What has been received from one peer and not been understood yet.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    stage: Stage,
    bytes: Vec<u8>,
    frames: Vec<Vec<u8>>,
    /// Bytes in `frames`.
    taken: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Greeting,
    Ready,
    Messages,
}

impl Decoder {
    pub fn new(limits: Limits) -> Self {
        Self { limits, stage: Stage::Greeting, bytes: Vec::new(), frames: Vec::new(), taken: 0 }
    }

    /// Takes in what has arrived. Ask [`Decoder::next_message`] until it gives none before the next call: this is what bounds it.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether greeting and READY have come.
    pub fn is_connected(&self) -> bool {
        self.stage == Stage::Messages
    }

    /// Whether a message has begun and not ended.
    pub fn is_within_message(&self) -> bool {
        !(self.bytes.is_empty() && self.frames.is_empty())
    }

    /// The next whole message, if it is there.
    pub fn next_message(&mut self) -> Result<Option<Message>, ZmtpError> {
        if self.stage == Stage::Greeting {
            if !self.take_greeting()? {
                return Ok(None);
            }
            self.stage = Stage::Ready;
        }
        while let Some((flags, body)) = self.take_frame()? {
            match (self.stage, flags & COMMAND != 0) {
                (Stage::Messages, true) => {}
                (_, true) => {
                    check_ready(&body)?;
                    self.stage = Stage::Messages;
                }
                (Stage::Messages, false) => {
                    self.taken += body.len();
                    self.frames.push(body);
                    if flags & MORE == 0 {
                        self.taken = 0;
                        return open(std::mem::take(&mut self.frames)).map(Some);
                    }
                    if self.frames.len() >= self.limits.frames {
                        return Err(ZmtpError::TooManyFrames(self.limits.frames));
                    }
                }
                (_, false) => return Err(ZmtpError::NotReady),
            }
        }
        Ok(None)
    }

    fn take_greeting(&mut self) -> Result<bool, ZmtpError> {
        let wrong = |at: usize, byte: u8| self.bytes.get(at).is_some_and(|found| *found != byte);
        if wrong(0, 0xff) || wrong(9, 0x7f) {
            return Err(ZmtpError::Signature);
        }
        if let Some(&version) = self.bytes.get(10).filter(|version| **version < 3) {
            return Err(ZmtpError::Version(version));
        }
        let Some(greeting) = self.bytes.get(..GREETING) else {
            return Ok(false);
        };
        let mechanism = greeting[12..32].split(|byte| *byte == 0).next().unwrap_or_default();
        if mechanism != b"NULL" {
            return Err(ZmtpError::Mechanism(String::from_utf8_lossy(mechanism).into_owned()));
        }
        self.bytes.drain(..GREETING);
        Ok(true)
    }

    fn take_frame(&mut self) -> Result<Option<(u8, Vec<u8>)>, ZmtpError> {
        let Some(&flags) = self.bytes.first() else {
            return Ok(None);
        };
        if flags & !(MORE | LONG | COMMAND) != 0 || flags & (MORE | COMMAND) == MORE | COMMAND {
            return Err(ZmtpError::Flags(flags));
        }
        let (header, length) = if flags & LONG == 0 {
            let Some(&length) = self.bytes.get(1) else {
                return Ok(None);
            };
            (2, u64::from(length))
        } else {
            let Some(length) = self.bytes.get(1..9) else {
                return Ok(None);
            };
            (9, length.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
        };
        let limit = self.limits.message_bytes;
        let announced = length.saturating_add(self.taken as u64);
        if announced > limit as u64 {
            return Err(ZmtpError::TooLong { announced, limit });
        }
        let end = header + length as usize;
        if self.bytes.len() < end {
            return Ok(None);
        }
        let body = self.bytes[header..end].to_vec();
        self.bytes.drain(..end);
        Ok(Some((flags, body)))
    }
}

/// A READY command of somebody who asks.
fn check_ready(body: &[u8]) -> Result<(), ZmtpError> {
    let mut rest = body.strip_prefix(b"\x05READY").ok_or(ZmtpError::NotReady)?;
    while let Some((&name_length, after)) = rest.split_first() {
        let name_length = usize::from(name_length);
        let length = after.get(name_length..name_length + 4).ok_or(ZmtpError::NotReady)?;
        let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let value = after.get(name_length + 4..).ok_or(ZmtpError::NotReady)?;
        let value = value.get(..length).ok_or(ZmtpError::NotReady)?;
        if after[..name_length].eq_ignore_ascii_case(b"Socket-Type") {
            return match value {
                b"REQ" | b"DEALER" => Ok(()),
                other => Err(ZmtpError::SocketType(String::from_utf8_lossy(other).into_owned())),
            };
        }
        rest = &after[name_length + 4 + length..];
    }
    Err(ZmtpError::SocketType(String::new()))
}

/// Takes the envelope off.
fn open(mut frames: Vec<Vec<u8>>) -> Result<Message, ZmtpError> {
    let end = frames.iter().position(Vec::is_empty).ok_or(ZmtpError::Envelope)?;
    let body = frames.split_off(end + 1);
    frames.pop();
    Ok(Message { envelope: frames, body })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hello(socket_type: &[u8]) -> Vec<u8> {
        let mut body = b"\x05READY\x0bSocket-Type".to_vec();
        body.extend((socket_type.len() as u32).to_be_bytes());
        body.extend_from_slice(socket_type);
        let mut out = greeting().to_vec();
        put_frame(&mut out, COMMAND, &body);
        out
    }

    fn after_hello(bytes: &[u8]) -> Result<Option<Message>, ZmtpError> {
        let mut decoder = Decoder::new(Limits::default());
        decoder.receive(&hello(b"REQ"));
        assert_eq!(decoder.next_message(), Ok(None));
        assert!(decoder.is_connected());
        decoder.receive(bytes);
        decoder.next_message()
    }

    #[test]
    fn a_request_arrives_whole_also_byte_by_byte_and_its_reply_has_its_envelope() {
        let mut decoder = Decoder::new(Limits::default());
        let request = [&hello(b"DEALER")[..], &[1, 2, b'i', b'd', 1, 0, 1, 1, b'x', 0, 1, b'y']].concat();
        let mut found = None;
        for byte in request {
            assert_eq!(found, None);
            decoder.receive(&[byte]);
            found = decoder.next_message().unwrap();
        }
        let message = found.unwrap();
        assert_eq!(message.body, [b"x", b"y"]);
        assert!(!decoder.is_within_message());
        let reply = encode(&message, &[vec![7; 300]]);
        assert_eq!(reply[..4], [1, 2, b'i', b'd']);
        assert_eq!(reply[4..6], [1, 0]);
        assert_eq!(reply[6..15], [2, 0, 0, 0, 0, 0, 0, 1, 44]);
    }

    #[test]
    fn what_is_announced_too_long_is_refused_before_it_comes() {
        let huge = [&[2][..], &(1_u64 << 62).to_be_bytes()].concat();
        let limit = Limits::default().message_bytes;
        assert_eq!(after_hello(&huge), Err(ZmtpError::TooLong { announced: 1 << 62, limit }));
        // Also in parts that are each allowed.
        let part = [&[1 | 2][..], &40_000_u64.to_be_bytes(), &vec![0; 40_000]].concat();
        let parts = [&part[..], &part].concat();
        assert_eq!(after_hello(&parts), Err(ZmtpError::TooLong { announced: 80_000, limit }));
    }

    #[test]
    fn a_message_without_end_is_refused() {
        assert_eq!(after_hello(&[1, 0].repeat(9)), Err(ZmtpError::TooManyFrames(8)));
    }

    #[test]
    fn whoever_does_not_ask_in_zmtp_3_is_refused() {
        let refused = |bytes: &[u8]| {
            let mut decoder = Decoder::new(Limits::default());
            decoder.receive(bytes);
            decoder.next_message().unwrap_err()
        };
        assert_eq!(refused(b"GET / HTTP/1.1\r\n"), ZmtpError::Signature);
        assert_eq!(refused(&hello(b"PUB")), ZmtpError::SocketType("PUB".into()));
        let mut old = greeting();
        old[10] = 1;
        assert_eq!(refused(&old), ZmtpError::Version(1));
        let mut plain = greeting();
        plain[12..17].copy_from_slice(b"PLAIN");
        assert_eq!(refused(&plain), ZmtpError::Mechanism("PLAIN".into()));
        assert_eq!(refused(&[&greeting()[..], &[0, 1, 0]].concat()), ZmtpError::NotReady);
        assert_eq!(after_hello(&[0, 1, b'x']), Err(ZmtpError::Envelope));
        assert_eq!(after_hello(&[0x80, 0]), Err(ZmtpError::Flags(0x80)));
    }

    proptest! {
        #[test]
        fn no_bytes_at_all_make_it_panic_or_hold_more_than_allowed(
            garbage in proptest::collection::vec(any::<u8>(), 0..400),
            behind_hello in any::<bool>(),
            chunk in 1_usize..50,
        ) {
            let bytes = if behind_hello { [hello(b"REQ"), garbage].concat() } else { garbage };
            let limits = Limits { message_bytes: 64, frames: 3 };
            let mut decoder = Decoder::new(limits);
            for part in bytes.chunks(chunk) {
                decoder.receive(part);
                while let Ok(Some(message)) = decoder.next_message() {
                    prop_assert!(message.body.iter().map(Vec::len).sum::<usize>() <= limits.message_bytes);
                }
                prop_assert!(decoder.frames.len() <= limits.frames && decoder.taken <= limits.message_bytes);
            }
        }
    }
}
