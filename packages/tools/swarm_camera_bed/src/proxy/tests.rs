use std::io::ErrorKind;

use super::*;

const ANSWER: &[u8] = b"RTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n$$";
const PACKETS: u16 = 2000;

/// Packets of two channels: RTP whose time stamp is its number, RTCP after every tenth.
fn stream() -> Vec<u8> {
    let mut bytes = ANSWER.to_vec();
    for number in 0..PACKETS {
        bytes.extend([b'$', 0, 0, 12, 0x80, 96, 0, 0, 0, 0]);
        bytes.extend(number.to_be_bytes());
        bytes.extend([0; 4]);
        if number % 10 == 0 {
            bytes.extend([b'$', 1, 0, 1, 7]);
        }
    }
    bytes
}

/// A server that sends `stream()` to whoever has sent one byte, and then what it hears.
fn camera() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            thread::spawn(move || {
                let mut byte = [0];
                if client.read_exact(&mut byte).is_ok() && client.write_all(&stream()).is_ok() {
                    while client.read_exact(&mut byte).is_ok() && client.write_all(&byte).is_ok() {}
                }
            });
        }
    });
    address
}

fn connect(proxy: &Proxy) -> TcpStream {
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    client.write_all(b"x").unwrap();
    client
}

/// What came until `stream()` is over, as pieces.
fn pieces(client: &mut TcpStream) -> Vec<Piece> {
    client.write_all(b"$\x03\0\0").unwrap(); // comes back behind the stream
    let mut splitter = Splitter::default();
    let (mut buffer, mut pieces) = ([0; 4096], Vec::new());
    let last = Piece::Packet { channel: 3, bytes: b"$\x03\0\0".to_vec() };
    while pieces.last() != Some(&last) {
        let length = client.read(&mut buffer).unwrap();
        assert!(length > 0, "the stream ended after {} pieces", pieces.len());
        splitter.push(&buffer[..length]);
        pieces.extend(splitter.by_ref());
    }
    pieces
}

#[test]
fn a_good_cable_changes_nothing() {
    let proxy = Proxy::start(camera(), None, 1).unwrap();
    proxy.set(Weather { jitter: Duration::from_millis(1), ..Weather::default() });
    let all: Vec<u8> = pieces(&mut connect(&proxy)).iter().flat_map(Piece::bytes).copied().collect();
    assert!(all == [&stream()[..], b"$\x03\0\0"].concat());
}

#[test]
fn packets_are_lost_whole_and_counted_and_messages_and_reports_never() {
    let lost_with = |seed| {
        let proxy = Proxy::start(camera(), None, seed).unwrap();
        proxy.set(Weather { loss: 0.1, ..Weather::default() });
        let pieces = pieces(&mut connect(&proxy));
        let times: Vec<u32> = pieces
            .iter()
            .filter_map(|piece| match piece {
                Piece::Packet { channel: 0, bytes } => rtp_time(bytes),
                _ => None,
            })
            .collect();
        let reports = pieces.iter().filter(|p| matches!(p, Piece::Packet { channel: 1, .. })).count();
        assert_eq!((&pieces[0], reports), (&Piece::Text(ANSWER.to_vec()), usize::from(PACKETS) / 10));
        let counts = proxy.counts();
        let missing: Vec<u32> = (0..u32::from(PACKETS)).filter(|time| !times.contains(time)).collect();
        assert_eq!(counts.frames_hurt, missing);
        assert_eq!(counts.rtp_lost, missing.len() as u64);
        assert!((100..300).contains(&missing.len()), "{} of {PACKETS}", missing.len());
        missing
    };
    assert_eq!(lost_with(5), lost_with(5), "the same seed loses the same");
    assert_ne!(lost_with(5), lost_with(6));
}

#[test]
fn a_pulled_cable_keeps_connections_and_brings_all_when_it_is_back() {
    let proxy = Proxy::start(camera(), None, 1).unwrap();
    let mut client = connect(&proxy);
    let first = pieces(&mut client).len();
    proxy.set(Weather { cable: Cable::Pulled, ..Weather::default() });
    client.write_all(b"$\x03\0\0").unwrap();
    client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let waiting = client.read(&mut [0]).unwrap_err().kind();
    assert!(matches!(waiting, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{waiting}");
    proxy.set(Weather::default());
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut packet = [0; 4];
    client.read_exact(&mut packet).unwrap();
    assert_eq!((&packet, first), (b"$\x03\0\0", usize::from(PACKETS) * 11 / 10 + 2));
}

#[test]
fn a_refused_port_refuses_until_it_answers_again() {
    let proxy = Proxy::start(camera(), None, 1).unwrap();
    let mut client = connect(&proxy);
    pieces(&mut client);
    for _ in 0..3 {
        proxy.set(Weather { cable: Cable::Refused, ..Weather::default() });
        assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)), "connections are cut");
        assert_eq!(TcpStream::connect(proxy.address()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        proxy.set(Weather::default());
        client = connect(&proxy);
        pieces(&mut client);
    }
    assert_eq!(proxy.counts().connections, 4);
}
