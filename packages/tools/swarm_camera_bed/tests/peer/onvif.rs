//! `swarm_onvif` against devices of others, found and talked to over real multicast and HTTP.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use clap::Parser as _;
use swarm_camera_bed::namespace::{Bench, Namespace};
use swarm_camera_bed::onvif::fleet::{Fleet, Manner};
use swarm_camera_bed::onvif::peers::{self, Peer};
use swarm_onvif::discover_command::{self, Arguments};
use swarm_onvif::{
    Access, Camera, ClockSource, Codec, Credentials, Discovery, Encoder, Failure, Gop, Host, Interfaces,
    Media, Multicast, Ntp, NtpServer, Operation, RateControl, Resolution, SetClock, TimeSource, Verdict,
    Wanted, discover,
};

const ROUND: Duration = Duration::from_millis(1400);

/// Runs `work` inside of `host`, on a runtime of its own.
fn inside<T: Send>(host: &Namespace, work: impl AsyncFnOnce() -> T + Send) -> T {
    host.run(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work()))
        .unwrap()
}

fn found(recorder: &Namespace) -> Discovery {
    inside(recorder, async || discover(&Interfaces::All, ROUND).await.unwrap())
}

fn logged_in(user: &str, password: &str) -> Access {
    Access { credentials: Some(Credentials::new(user, password)), ..Access::default() }
}

/// The addresses of the cell's runbook, with real cameras behind them.
struct Cell {
    recorder: Namespace,
    peers: Vec<Peer>,
    // Dropped last: the bridge goes when nobody is on it.
    _hosts: Vec<Namespace>,
    _bench: Bench,
}

fn cell() -> Cell {
    let mut bench = Bench::new().unwrap();
    let (peers, hosts) = peers::cell(&mut bench).unwrap();
    let recorder = bench.host("rec", &["192.168.1.10/24"]).unwrap();
    Cell { recorder, peers, _hosts: hosts, _bench: bench }
}

#[test]
fn every_real_device_is_found_once_and_a_strict_client_finds_fewer() {
    let cell = cell();
    let discovery = found(&cell.recorder);
    let addresses: Vec<String> =
        discovery.devices.iter().map(|device| device.address().to_string()).collect();
    let expected: Vec<String> = cell.peers.iter().map(|peer| peer.address.clone()).collect();
    assert_eq!(addresses, expected);
    let strict = peers::strict_client(&cell.recorder, 3.0).unwrap();
    assert!(strict.len() < cell.peers.len(), "{strict:?}");
}

#[test]
fn the_command_shows_model_and_video_where_it_may_log_in() {
    let cell = cell();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cameras.yaml");
    std::fs::write(
        &file,
        "schema: 1\ncameras:\n  192.168.1.101: {user: admin, password: pw}\n  192.168.1.104: {user: admin, password: admin}\n",
    )
    .unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let arguments =
        Arguments::try_parse_from(["discover_cameras", "--json", "--credentials", file.to_str().unwrap()])
            .unwrap();
    let text = inside(&cell.recorder, async || {
        let (mut out, mut messages) = (Vec::new(), Vec::new());
        let status = discover_command::run(&arguments, &mut out, &mut messages).await;
        assert_eq!(format!("{status:?}"), format!("{:?}", std::process::ExitCode::SUCCESS));
        String::from_utf8(out).unwrap()
    });
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let camera = |address: &str| {
        let cameras = json["cameras"].as_array().unwrap();
        cameras.iter().find(|camera| camera["address"].as_str().unwrap().contains(address)).unwrap().clone()
    };
    assert_eq!(camera("192.168.1.101")["profiles"][0]["video"]["codec"], "H264");
    assert_eq!(camera("192.168.1.102")["profiles"][0]["video"]["codec"], "H264");
    assert!(camera("192.168.1.103")["problem"].as_str().unwrap().contains("cannot connect"));
    assert_eq!(camera("192.168.1.104")["manufacturer"], "oxvif-mock");
    assert_eq!(camera("192.168.1.105")["needs_password"], true);
}

#[test]
fn a_camera_with_both_media_services_is_set_up_once() {
    let mut bench = Bench::new().unwrap();
    let host = bench.host("cam", &["192.168.1.103/24"]).unwrap();
    let peer = peers::oxvif(&host, "192.168.1.103".parse().unwrap(), true).unwrap();
    let recorder = bench.host("rec", &["192.168.1.10/24"]).unwrap();
    inside(&recorder, async || {
        let mut camera =
            Camera::connect(peer.address.parse().unwrap(), logged_in("admin", "admin")).await.unwrap();
        let wanted = |server| Wanted {
            frame_rate: Some(15.0),
            time: TimeSource::Ntp(vec![NtpServer::new(server)]),
            ..Wanted::default()
        };
        let first = camera.configure(&wanted("recorder.cell")).await.unwrap();
        assert_eq!(first.profile.media, Media::Media2, "{first}");
        assert_eq!(first.has_key_frame_each_second(), Some(true), "{first}");
        assert!(first.outcomes.iter().all(|outcome| outcome.verdict == Verdict::Accepted), "{first}");
        let second = camera.configure(&wanted("recorder.cell")).await.unwrap();
        assert!(second.plan.steps.is_empty(), "{second}");
        // It says yes to the address of a server, and keeps none: it knows names alone.
        let lossy = camera.configure(&wanted("192.168.1.10")).await.unwrap();
        assert_eq!(
            lossy.outcomes[0].to_string(),
            "NTP: no server (was recorder.cell), though 192.168.1.10 was asked for"
        );
        assert!(camera.stream_uri(&second.profile).await.unwrap().starts_with("rtsp://"));
        let wrong = Camera::connect(peer.address.parse().unwrap(), logged_in("admin", "wrong")).await;
        let error = wrong.unwrap_err();
        assert!(matches!(error.failure, Failure::WrongPassword { .. }), "{error}");
    });
}

#[test]
fn cameras_that_can_set_nothing_are_reported_and_still_give_their_stream() {
    let cell = cell();
    inside(&cell.recorder, async || {
        for (index, access) in
            [(0, logged_in("admin", "pw")), (1, Access::default()), (4, logged_in("admin", "password"))]
        {
            let peer = &cell.peers[index];
            let mut camera = Camera::connect(peer.address.parse().unwrap(), access).await.unwrap();
            assert!(!camera.information().await.unwrap().model.is_empty());
            let wanted = Wanted { gop: Gop::Frames(7), ..Wanted::default() };
            let report = camera.configure(&wanted).await.unwrap();
            assert_eq!(report.profile.media, Media::Media1, "{}", peer.name);
            assert!(
                report.outcomes.iter().all(|outcome| matches!(outcome.verdict, Verdict::Refused(_))),
                "{report}"
            );
            assert!(!report.outcomes.is_empty(), "{report}");
            let uri = camera.stream_uri(&report.profile).await.unwrap();
            assert!(uri.starts_with(&format!("rtsp://192.168.1.10{}:8554/", index + 1)), "{uri}");
        }
    });
}

#[test]
fn a_link_full_of_bad_manners_is_found_whole() {
    let mut bench = Bench::new().unwrap();
    let mut manners: Vec<Manner> =
        Manner::DEVICES.into_iter().cycle().take(4 * Manner::DEVICES.len()).collect();
    manners.extend([Manner::Junk, Manner::Printer]);
    let fleet = Fleet::start(&mut bench, &manners).unwrap();
    let recorder = bench.host("rec", &["192.168.1.10/24"]).unwrap();
    let discovery = found(&recorder);
    let devices: BTreeSet<(IpAddr, String)> =
        discovery.devices.iter().flat_map(|device| &device.addresses).filter_map(reached).collect();
    let missed: Vec<_> = fleet
        .fakes
        .iter()
        .filter(|fake| Manner::DEVICES.contains(&fake.manner) && !devices.contains(&fake.expected()))
        .collect();
    assert!(missed.is_empty(), "missed {missed:?}; unreadable {:?}", discovery.unreadable);
    assert_eq!(discovery.devices.len(), 4 * Manner::DEVICES.len(), "each once, and neither page nor printer");
    assert_eq!(discovery.unreadable.len(), 1);
    assert_eq!(discovery.unreadable[0].problem, "expected a SOAP envelope, found <html>");
}

fn reached(address: &swarm_onvif::ServiceUrl) -> Option<(IpAddr, String)> {
    let ip = match address.host() {
        Host::V4(address) => (*address).into(),
        Host::V6(address, zone) => {
            assert_ne!(*zone, 0, "a link-local address without a zone is no way");
            (*address).into()
        }
        Host::Name(_) => return None,
    };
    Some((ip, address.path().to_owned()))
}

#[test]
fn every_body_that_is_sent_is_valid_by_onvifs_own_schemas() {
    let encoder = Encoder {
        token: "V<1>".into(),
        name: "main & more".into(),
        use_count: 2,
        codec: Codec::H264,
        resolution: Resolution::new(1920, 1080),
        quality: 4.5,
        rate: Some(RateControl {
            frame_rate: 29.97,
            bitrate_kbps: 4096,
            encoding_interval: 1,
            constant_bit_rate: Some(true),
        }),
        gop: Some(30),
        coding_profile: Some("Main".into()),
        anchor_distance: Some(1),
        guaranteed_frame_rate: Some(false),
        multicast: Some(Multicast {
            address: Some("239.0.0.1".parse().unwrap()),
            port: 40_000,
            ttl: 1,
            auto_start: false,
        }),
        session_timeout: Some("PT30S".into()),
    };
    let bare = Encoder {
        rate: None,
        gop: None,
        coding_profile: None,
        anchor_distance: None,
        guaranteed_frame_rate: None,
        multicast: None,
        session_timeout: None,
        ..encoder.clone()
    };
    let six = Multicast { address: Some("ff05::1".parse().unwrap()), port: 1, ttl: 1, auto_start: true };
    let six = Encoder { multicast: Some(six), ..encoder.clone() };
    let clock = |source, utc_unix_s| SetClock {
        source,
        daylight_savings: true,
        time_zone: Some("UTC0".into()),
        utc_unix_s,
    };
    let servers = ["192.168.1.10", "fd00::1", "ntp.cell"].map(NtpServer::new).to_vec();
    let mut operations = vec![
        Operation::GetSystemDateAndTime,
        Operation::SetSystemDateAndTime(clock(ClockSource::Ntp, None)),
        Operation::SetSystemDateAndTime(clock(ClockSource::Manual, Some(1_800_000_000))),
        Operation::GetNtp,
        Operation::SetNtp(Ntp { from_dhcp: false, servers }),
        Operation::SetNtp(Ntp { from_dhcp: true, servers: vec![] }),
        Operation::GetDeviceInformation,
        Operation::GetServices,
        Operation::GetCapabilities,
    ];
    for media in [Media::Media1, Media::Media2] {
        let (token, profile) = (encoder.token.clone(), "P1".to_owned());
        operations.extend([
            Operation::GetProfiles(media),
            Operation::GetStreamUri { media, profile: profile.clone() },
            Operation::GetEncoder { media, encoder: token.clone() },
            Operation::GetEncoderOptions { media, encoder: token, profile },
        ]);
        let encoders = [&encoder, &bare, &six].map(|encoder| Box::new(encoder.clone()));
        operations.extend(encoders.map(|encoder| Operation::SetEncoder { media, encoder }));
    }
    let mut bodies: Vec<String> = operations.iter().map(Operation::body).collect();
    assert_eq!(peers::schema_errors(&bodies).unwrap(), [""; 0]);
    // The judge does find errors.
    bodies[1] = bodies[1].replace("DaylightSavings", "DaylightSaving");
    assert_eq!(peers::schema_errors(&bodies).unwrap().len(), 1);
}
