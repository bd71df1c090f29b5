//! A camera that does what a test says, to the byte. It answers one connection after the other on a port of its own, each as
//! its [`Script`] wants, and says what it saw.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;

/// What `x264` made of ten frames of 64x48, two groups of five, and the like; see `tests/data/README.md`.
pub(crate) const SMALL: &[u8] = include_bytes!("../data/x264_64x48.h264");
pub(crate) const LARGE: &[u8] = include_bytes!("../data/x264_96x64.h264");
pub(crate) const B_FRAMES: &[u8] = include_bytes!("../data/x264_64x48_b_frames.h264");
pub(crate) const H265: &[u8] = include_bytes!("../data/x265_64x48.h265");
pub(crate) const H265_B_FRAMES: &[u8] = include_bytes!("../data/x265_64x48_b_frames.h265");

const SSRC: u32 = 0x5157_4152;
/// Small, so that frames take several packets.
const PAYLOAD: usize = 160;
const FRAME_TICKS: u32 = 3000;

/// One packet, for channel 0 (RTP) or 1 (RTCP).
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) channel: u8,
    pub(crate) bytes: Vec<u8>,
}

/// Coded frames made into packets, with what a receiver should get.
#[derive(Clone, Debug, Default)]
pub(crate) struct Film {
    pub(crate) packets: Vec<Packet>,
    /// RTP time stamp, whether key, and the NAL units without parameter sets and delimiters.
    pub(crate) frames: Vec<(u32, bool, Vec<Vec<u8>>)>,
    sequence: u16,
    pub(crate) rtp: u32,
}

impl Film {
    pub(crate) fn new() -> Self {
        Self { sequence: 65_530, rtp: 0xffff_f000, ..Self::default() } // both wrap around soon
    }

    /// All frames of `annex_b`, `ticks` apart.
    pub(crate) fn h264(mut self, annex_b: &[u8], parameters: Parameters) -> Self {
        for units in access_units(annex_b, |unit| matches!(unit[0] & 0x1f, 1..=5), |unit| unit[1] & 0x80 != 0)
        {
            let kind = |unit: &Vec<u8>| unit[0] & 0x1f;
            let key = units.iter().any(|unit| kind(unit) == 5);
            let sent: Vec<_> = units
                .iter()
                .filter(|u| parameters == Parameters::InStream || !matches!(kind(u), 7 | 8))
                .collect();
            for (index, unit) in sent.iter().enumerate() {
                self.h264_unit(unit, index + 1 == sent.len());
            }
            let kept = units.iter().filter(|u| !matches!(kind(u), 7..=9)).cloned().collect();
            self.frames.push((self.rtp, key, kept));
            self.rtp = self.rtp.wrapping_add(FRAME_TICKS);
        }
        self
    }

    pub(crate) fn h265(mut self, annex_b: &[u8]) -> Self {
        for units in access_units(annex_b, |unit| unit[0] >> 1 < 32, |unit| unit[2] & 0x80 != 0) {
            let kind = |unit: &Vec<u8>| unit[0] >> 1 & 0x3f;
            let key = units.iter().any(|unit| (16..=23).contains(&kind(unit)));
            for (index, unit) in units.iter().enumerate() {
                self.h265_unit(unit, index + 1 == units.len());
            }
            let kept = units.iter().filter(|u| !matches!(kind(u), 32..=35)).cloned().collect();
            self.frames.push((self.rtp, key, kept));
            self.rtp = self.rtp.wrapping_add(FRAME_TICKS);
        }
        self
    }

    /// A sender report that says: the clock was `ntp` when the time stamp was the next frame's.
    pub(crate) fn report(mut self, ntp: u64) -> Self {
        let mut bytes = vec![0x80, 200, 0, 6];
        bytes.extend(SSRC.to_be_bytes());
        bytes.extend(ntp.to_be_bytes());
        bytes.extend(self.rtp.to_be_bytes());
        bytes.extend([0; 8]); // packets and bytes so far
        bytes.extend([0x81, 202, 0, 2]); // who it is, without which GStreamer takes no report
        bytes.extend(SSRC.to_be_bytes());
        bytes.extend([1, 1, b'c', 0]);
        self.packets.push(Packet { channel: 1, bytes });
        self
    }

    /// RFC 6184 section 5.6 and 5.8.
    fn h264_unit(&mut self, unit: &[u8], last: bool) {
        if unit.len() <= PAYLOAD {
            return self.rtp_packet(unit, last);
        }
        let chunks: Vec<&[u8]> = unit[1..].chunks(PAYLOAD - 2).collect();
        for (index, chunk) in chunks.iter().enumerate() {
            let (first, end) = (index == 0, index + 1 == chunks.len());
            let head = [unit[0] & 0xe0 | 0x1c, u8::from(first) << 7 | u8::from(end) << 6 | unit[0] & 0x1f];
            self.rtp_packet(&[&head, *chunk].concat(), last && end);
        }
    }

    /// RFC 7798 section 4.4.
    fn h265_unit(&mut self, unit: &[u8], last: bool) {
        if unit.len() <= PAYLOAD {
            return self.rtp_packet(unit, last);
        }
        let kind = unit[0] >> 1 & 0x3f;
        let chunks: Vec<&[u8]> = unit[2..].chunks(PAYLOAD - 3).collect();
        for (index, chunk) in chunks.iter().enumerate() {
            let (first, end) = (index == 0, index + 1 == chunks.len());
            let head = [unit[0] & 0x81 | 0x62, unit[1], u8::from(first) << 7 | u8::from(end) << 6 | kind];
            self.rtp_packet(&[&head, *chunk].concat(), last && end);
        }
    }

    fn rtp_packet(&mut self, payload: &[u8], marker: bool) {
        let mut bytes = vec![0x80, 0x60 | u8::from(marker) << 7];
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.rtp.to_be_bytes());
        bytes.extend(SSRC.to_be_bytes());
        bytes.extend(payload);
        self.sequence = self.sequence.wrapping_add(1);
        self.packets.push(Packet { channel: 0, bytes });
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parameters {
    InStream,
    Nowhere,
}

/// NAL units of Annex B bytes, by frames. Written apart from the crate's own on purpose.
fn access_units(
    annex_b: &[u8],
    is_slice: impl Fn(&[u8]) -> bool,
    is_first_slice: impl Fn(&[u8]) -> bool,
) -> Vec<Vec<Vec<u8>>> {
    let mut frames: Vec<Vec<Vec<u8>>> = vec![Vec::new()];
    let mut complete = false;
    for unit in units(annex_b) {
        let begins = if is_slice(&unit) { is_first_slice(&unit) } else { true };
        if complete && begins {
            frames.push(Vec::new());
            complete = false;
        }
        complete |= is_slice(&unit);
        frames.last_mut().expect("begun above").push(unit);
    }
    frames
}

pub(crate) fn units(annex_b: &[u8]) -> Vec<Vec<u8>> {
    let mut starts: Vec<usize> = (0..annex_b.len().saturating_sub(2))
        .filter(|&i| annex_b[i..i + 3] == [0, 0, 1])
        .map(|i| i + 3)
        .collect();
    starts.push(annex_b.len() + 3);
    let unit = |pair: &[usize]| {
        let mut unit = annex_b[pair[0]..pair[1] - 3].to_vec();
        while unit.last() == Some(&0) {
            unit.pop();
        }
        unit
    };
    starts.windows(2).map(unit).collect()
}

/// `sprop-parameter-sets` of the stream's first SPS and PPS.
pub(crate) fn sdp_h264(annex_b: Option<&[u8]>) -> String {
    let encode = |kind: u8, stream| {
        let found: Vec<Vec<u8>> = units(stream);
        let unit = found.iter().find(|unit| unit[0] & 0x1f == kind).expect("a parameter set").clone();
        base64::engine::general_purpose::STANDARD.encode(unit)
    };
    let sets =
        annex_b.map(|stream| format!(";sprop-parameter-sets={},{}", encode(7, stream), encode(8, stream)));
    sdp(&format!("a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1{}\r\n", sets.unwrap_or_default()))
}

pub(crate) fn sdp_h265() -> String {
    sdp("a=rtpmap:96 H265/90000\r\n")
}

fn sdp(format: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\n\
         c=IN IP4 0.0.0.0\r\na=control:video\r\n{format}"
    )
}

pub(crate) const SDP_AUDIO: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\na=control:*\r\n\
    m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=control:audio\r\n";

/// What one connection gets.
#[derive(Clone, Debug)]
pub(crate) enum Script {
    /// A description, and after PLAY these packets; then the connection stays open or ends.
    Play { sdp: String, packets: Vec<Packet>, then: Then },
    /// Every request is answered with this status; with 401 it is asked for a digest.
    Refuse(u16),
    /// These bytes in place of an answer, and the end.
    Bytes(&'static [u8]),
    /// No answer at all.
    Mute,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Hold,
    Close,
}

impl Script {
    pub(crate) fn film(film: &Film, sdp: String) -> Self {
        Self::Play { sdp, packets: film.packets.clone(), then: Then::Hold }
    }
}

/// The camera. It ends with its value.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    pub(crate) played: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Fake {
    /// Connection `n` that asks for something gets script `n`, and the last one goes on for all that follow.
    pub(crate) fn start(scripts: Vec<Script>) -> Self {
        Self::start_on("127.0.0.1:0".parse().unwrap(), scripts)
    }

    pub(crate) fn start_on(address: SocketAddr, scripts: Vec<Script>) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener: TcpListener = socket.listen(16).unwrap();
        let address = listener.local_addr().unwrap();
        let (played, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let connections = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn({
            let (played, requests) = (Arc::clone(&played), Arc::clone(&requests));
            async move {
                let mut serving = tokio::task::JoinSet::new();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let scripts = scripts.clone();
                    let (played, requests) = (Arc::clone(&played), Arc::clone(&requests));
                    let connections = Arc::clone(&connections);
                    serving.spawn(async move {
                        let _ = serve(stream, &scripts, &connections, &played, &requests).await;
                    });
                }
            }
        });
        Self { address, played, requests, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("rtsp://{}/cam", self.address)
    }

    /// All that was asked for, as it came.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn request(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    loop {
        let byte = stream.read_u8().await?;
        if bytes.is_empty() && byte == b'$' {
            stream.read_u8().await?;
            let length = stream.read_u16().await?;
            stream.read_exact(&mut vec![0; usize::from(length)]).await?;
            continue;
        }
        bytes.push(byte);
        if bytes.ends_with(b"\r\n\r\n") {
            return Ok(String::from_utf8(bytes).unwrap());
        }
    }
}

async fn serve(
    mut stream: TcpStream,
    scripts: &[Script],
    connections: &AtomicUsize,
    played: &AtomicUsize,
    requests: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut asked = request(&mut stream).await?;
    let number = connections.fetch_add(1, Ordering::SeqCst);
    let script = &scripts[number.min(scripts.len() - 1)];
    let mut udp = None;
    loop {
        requests.lock().unwrap().push(asked.clone());
        let header = |name: &str| {
            let line = asked.lines().find(|l| l.to_lowercase().starts_with(&format!("{name}:")));
            line.map(|line| line.split_once(':').unwrap().1.trim().to_owned())
        };
        let cseq = header("cseq").unwrap_or_default();
        let answer = |more: &str| format!("RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\n{more}\r\n");
        let (sdp, packets, then) = match script {
            Script::Play { sdp, packets, then } => (sdp, packets, *then),
            Script::Refuse(status) => {
                let ask = if *status == 401 {
                    "WWW-Authenticate: Digest realm=\"cam\", nonce=\"1\"\r\n"
                } else {
                    ""
                };
                let text = format!("RTSP/1.0 {status} No\r\nCSeq: {cseq}\r\n{ask}\r\n");
                stream.write_all(text.as_bytes()).await?;
                asked = request(&mut stream).await?;
                continue;
            }
            Script::Bytes(bytes) => {
                stream.write_all(bytes).await?;
                return stream.shutdown().await;
            }
            Script::Mute => std::future::pending().await,
        };
        match asked.split(' ').next().unwrap() {
            "DESCRIBE" => {
                let base = asked.split(' ').nth(1).unwrap();
                let length = sdp.len();
                let head = answer(&format!(
                    "Content-Base: {base}/\r\nContent-Type: application/sdp\r\nContent-Length: {length}\r\n"
                ));
                stream.write_all((head + sdp).as_bytes()).await?;
            }
            "SETUP" => {
                let wanted = header("transport").unwrap();
                let ports = wanted.split(';').find_map(|part| part.strip_prefix("client_port="));
                let transport = if let Some(ports) = ports {
                    let to: u16 = ports.split('-').next().unwrap().parse().unwrap();
                    let rtp = UdpSocket::bind("127.0.0.1:0").await?;
                    rtp.connect(("127.0.0.1", to)).await?;
                    let rtcp = UdpSocket::bind("127.0.0.1:0").await?;
                    rtcp.connect(("127.0.0.1", to + 1)).await?;
                    let server = [rtp.local_addr()?.port(), rtcp.local_addr()?.port()];
                    udp = Some([rtp, rtcp]);
                    format!("RTP/AVP;unicast;client_port={ports};server_port={}-{}", server[0], server[1])
                } else {
                    "RTP/AVP/TCP;unicast;interleaved=0-1".to_owned()
                };
                let text =
                    answer(&format!("Session: 1;timeout=60\r\nTransport: {transport};ssrc={SSRC:08X}\r\n"));
                stream.write_all(text.as_bytes()).await?;
            }
            "PLAY" => {
                stream.write_all(answer("Session: 1\r\n").as_bytes()).await?;
                played.fetch_add(1, Ordering::SeqCst);
                for Packet { channel, bytes } in packets {
                    if let Some(sockets) = &udp {
                        sockets[usize::from(*channel)].send(bytes).await?;
                    } else {
                        stream.write_all(&[b'$', *channel]).await?;
                        stream.write_all(&(bytes.len() as u16).to_be_bytes()).await?;
                        stream.write_all(bytes).await?;
                    }
                }
                if then == Then::Close {
                    return stream.shutdown().await;
                }
            }
            "OPTIONS" => {
                let methods = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER\r\n";
                stream.write_all(answer(methods).as_bytes()).await?;
            }
            _ => stream.write_all(answer("Session: 1\r\n").as_bytes()).await?,
        }
        asked = request(&mut stream).await?;
    }
}
