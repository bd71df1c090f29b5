//! Setting up: planned as text, carried out against a camera with a state and a character of its own.

mod common;

use std::sync::{Arc, Mutex};

use common::{Request, Stub, clock, fault, services, soap};
use swarm_onvif::{
    Access, CameraClock, ClockSource, Codec, Encoder, EncoderOptions, Found, FrameRates, Gop, Media, Ntp,
    NtpServer, Profile, ProfileChoice, RateControl, Report, Resolution, TimeSource, Verdict, Wanted, plan,
};

fn encoder() -> Encoder {
    Encoder {
        token: "V1".into(),
        name: "main".into(),
        use_count: 1,
        codec: Codec::H264,
        resolution: Resolution::new(1920, 1080),
        quality: 4.0,
        rate: Some(RateControl {
            frame_rate: 25.0,
            bitrate_kbps: 4096,
            encoding_interval: 1,
            constant_bit_rate: None,
        }),
        gop: Some(50),
        coding_profile: Some("High".into()),
        anchor_distance: None,
        guaranteed_frame_rate: None,
        multicast: None,
        session_timeout: None,
    }
}

fn options() -> EncoderOptions {
    EncoderOptions {
        codec: Codec::H264,
        resolutions: vec![Resolution::new(640, 480), Resolution::new(1280, 720), Resolution::new(1920, 1080)],
        frame_rates: FrameRates::Range(1.0, 25.0),
        gop: Some((1, 400)),
        bitrate_kbps: Some((64, 8192)),
        coding_profiles: vec!["Baseline".into(), "Main".into(), "High".into()],
        max_anchor_distance: None,
    }
}

fn found(media: Media, encoder: Encoder, options: Vec<EncoderOptions>) -> Found {
    let profile = Profile { media, token: "P1".into(), name: "main".into(), encoder: Some(encoder) };
    let clock = CameraClock {
        source: ClockSource::Manual,
        daylight_savings: true,
        time_zone: Some("CET-1CEST".into()),
        utc_unix_s: Some(0),
        ahead_s: Some(0),
    };
    Found::new(profile, options, Some(clock), Some(Ntp { from_dhcp: true, servers: vec![] }))
}

#[track_caller]
fn assert_plan(wanted: &Wanted, found: &Found, expected: &str) {
    assert_eq!(plan(wanted, found).to_string(), expected);
}

#[test]
fn by_default_only_key_frames_and_b_frames_are_seen_to() {
    assert_plan(
        &Wanted::default(),
        &found(Media::Media1, encoder(), vec![options()]),
        "SetVideoEncoderConfiguration of encoder V1 (Media1)\n  GOP: 50 -> 25\n  coding profile: High -> Baseline\n",
    );
    let good = Encoder { gop: Some(10), coding_profile: Some("Baseline".into()), ..encoder() };
    assert_plan(&Wanted::default(), &found(Media::Media1, good, vec![options()]), "nothing to set\n");
}

#[test]
fn what_is_not_offered_is_replaced_by_the_nearest_and_told() {
    let wanted = Wanted {
        codec: Some(Codec::H265),
        resolution: Some(Resolution::new(1296, 720)),
        frame_rate: Some(60.0),
        bitrate_kbps: Some(20_000),
        gop: Gop::Frames(1000),
        ..Wanted::default()
    };
    let mut options = options();
    options.coding_profiles.retain(|profile| profile != "Baseline");
    assert_plan(
        &wanted,
        &found(Media::Media1, encoder(), vec![options]),
        "SetVideoEncoderConfiguration of encoder V1 (Media1)\n  resolution: 1920x1080 -> 1280x720\n  \
         bit rate: 4096 kbit/s -> 8192 kbit/s\n  GOP: 50 -> 400\n  coding profile: High -> Main\n\
         not offered: codec H265; H264 taken\n\
         not offered: resolution 1296x720; 1280x720 taken\n\
         not offered: frame rate 60 frames/s; 25 frames/s taken\n\
         not offered: bit rate 20000 kbit/s; 8192 kbit/s taken\n\
         not offered: GOP 1000; 400 taken\n\
         not offered: coding profile Baseline; Main taken\n",
    );
}

#[test]
fn media2_switches_b_frames_off_and_keeps_the_coding_profile() {
    let before = Encoder { anchor_distance: Some(3), ..encoder() };
    let mut list = EncoderOptions { max_anchor_distance: Some(4), ..options() };
    list.frame_rates = FrameRates::List(vec![12.5, 25.0, 29.97]);
    let wanted = Wanted { frame_rate: Some(30.0), ..Wanted::default() };
    assert_plan(
        &wanted,
        &found(Media::Media2, before, vec![list]),
        "SetVideoEncoderConfiguration of encoder V1 (Media2)\n  frame rate: 25 frames/s -> 29.97 frames/s\n  \
         GOP: 50 -> 29\n  B-frames: up to 2 in a row -> none\n\
         not offered: frame rate 30 frames/s; 29.97 frames/s taken\n",
    );
}

#[test]
fn another_codec_brings_its_own_coding_profile() {
    let h265 = EncoderOptions {
        codec: Codec::H265,
        coding_profiles: vec!["Main".into(), "Main10".into()],
        ..options()
    };
    let wanted = Wanted { codec: Some(Codec::H265), ..Wanted::default() };
    assert_plan(
        &wanted,
        &found(Media::Media2, encoder(), vec![options(), h265]),
        "SetVideoEncoderConfiguration of encoder V1 (Media2)\n  codec: H264 -> H265\n  GOP: 50 -> 25\n  coding profile: High -> Main\n",
    );
}

#[test]
fn an_encoding_interval_makes_a_second_shorter() {
    let mut before = Encoder { coding_profile: Some("Baseline".into()), ..encoder() };
    before.rate.as_mut().unwrap().encoding_interval = 5;
    assert_plan(
        &Wanted::default(),
        &found(Media::Media1, before, vec![options()]),
        "SetVideoEncoderConfiguration of encoder V1 (Media1)\n  GOP: 50 -> 5\n",
    );
}

#[test]
fn the_time_comes_from_the_servers_that_are_named() {
    let time = TimeSource::Ntp(vec![NtpServer::new("192.168.1.10"), NtpServer::new("ntp.cell")]);
    let before = Encoder { gop: Some(25), coding_profile: Some("Baseline".into()), ..encoder() };
    let mut found = found(Media::Media1, before, vec![options()]);
    let wanted = Wanted { time, ..Wanted::default() };
    assert_plan(
        &wanted,
        &found,
        "SetNTP\n  NTP: by DHCP -> 192.168.1.10, ntp.cell\nSetSystemDateAndTime\n  clock: set by hand -> NTP\n",
    );
    found.ntp = None;
    assert_plan(
        &wanted,
        &found,
        "nothing to set\nnot offered: NTP 192.168.1.10, ntp.cell; the camera has no NTP taken\n",
    );
}

/// How the stub treats what it is told.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Character {
    Obedient,
    /// Says yes and does nothing.
    Deaf,
    /// Says yes, and has a GOP of its own taste.
    Stubborn,
    /// Says no.
    Refusing,
    /// Says yes, and changes the bit rate besides.
    Meddling,
}

#[derive(Debug)]
struct State {
    gop: u32,
    profile: String,
    bitrate: u32,
    ntp: Option<String>,
    source: &'static str,
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    let rest = &text[text.find(begin)? + begin.len()..];
    Some(&rest[..rest.find(end)?])
}

fn configuration(state: &State, element: &str) -> String {
    format!(
        "<trt:{element} token=\"V1\"><tt:Name>main</tt:Name><tt:UseCount>1</tt:UseCount><tt:Encoding>H264</tt:Encoding>\
         <tt:Resolution><tt:Width>1920</tt:Width><tt:Height>1080</tt:Height></tt:Resolution><tt:Quality>4</tt:Quality>\
         <tt:RateControl><tt:FrameRateLimit>25</tt:FrameRateLimit><tt:EncodingInterval>1</tt:EncodingInterval>\
         <tt:BitrateLimit>{}</tt:BitrateLimit></tt:RateControl><tt:H264><tt:GovLength>{}</tt:GovLength>\
         <tt:H264Profile>{}</tt:H264Profile></tt:H264></trt:{element}>",
        state.bitrate, state.gop, state.profile
    )
}

fn answer(state: &mut State, character: Character, request: &Request) -> Vec<u8> {
    let operation = request.operation();
    if operation.starts_with("Set") {
        match character {
            Character::Refusing => return fault("400 Bad Request", "ConfigModify", "no"),
            Character::Deaf => return soap(&format!("<trt:{operation}Response/>")),
            Character::Obedient | Character::Stubborn | Character::Meddling => {}
        }
    }
    match operation.as_str() {
        "GetSystemDateAndTime" => {
            let text =
                String::from_utf8(clock(0)).unwrap().replace(">Manual<", &format!(">{}<", state.source));
            common::http("200 OK", "", text.split_once("\r\n\r\n").unwrap().1)
        }
        "GetServices" => services(&["ver10/device", "ver10/media", "ver20/media"]),
        // Media2 is listed, and has nothing.
        "GetProfiles" if request.path.contains("ver20") => soap("<tr2:GetProfilesResponse/>"),
        "GetProfiles" => soap(&format!(
            "<trt:GetProfilesResponse><trt:Profiles token=\"P0\"><tt:Name>sound</tt:Name></trt:Profiles>\
             <trt:Profiles token=\"P1\"><tt:Name>main</tt:Name>{}</trt:Profiles></trt:GetProfilesResponse>",
            configuration(state, "VideoEncoderConfiguration")
        )),
        "GetVideoEncoderConfiguration" => soap(&format!(
            "<trt:GetVideoEncoderConfigurationResponse>{}</trt:GetVideoEncoderConfigurationResponse>",
            configuration(state, "Configuration")
        )),
        "GetVideoEncoderConfigurationOptions" => soap(
            "<trt:GetVideoEncoderConfigurationOptionsResponse><trt:Options><tt:H264>\
             <tt:ResolutionsAvailable><tt:Width>1920</tt:Width><tt:Height>1080</tt:Height></tt:ResolutionsAvailable>\
             <tt:GovLengthRange><tt:Min>1</tt:Min><tt:Max>400</tt:Max></tt:GovLengthRange>\
             <tt:FrameRateRange><tt:Min>1</tt:Min><tt:Max>25</tt:Max></tt:FrameRateRange>\
             <tt:H264ProfilesSupported>Baseline</tt:H264ProfilesSupported><tt:H264ProfilesSupported>High</tt:H264ProfilesSupported>\
             </tt:H264></trt:Options></trt:GetVideoEncoderConfigurationOptionsResponse>",
        ),
        "SetVideoEncoderConfiguration" => {
            state.gop = between(&request.body, "<tt:GovLength>", "<").unwrap().parse().unwrap();
            state.profile = between(&request.body, "<tt:H264Profile>", "<").unwrap().into();
            match character {
                Character::Stubborn => state.gop = 32,
                Character::Meddling => state.bitrate = 512,
                _ => {}
            }
            soap("<trt:SetVideoEncoderConfigurationResponse/>")
        }
        "GetNTP" => {
            let server = |server| {
                format!(
                    "<tt:NTPManual><tt:Type>IPv4</tt:Type><tt:IPv4Address>{server}</tt:IPv4Address></tt:NTPManual>"
                )
            };
            let servers = state.ntp.as_ref().map(server).unwrap_or_default();
            soap(&format!(
                "<tds:GetNTPResponse><tds:NTPInformation><tt:FromDHCP>false</tt:FromDHCP>{servers}</tds:NTPInformation>\
                 </tds:GetNTPResponse>"
            ))
        }
        "SetNTP" => {
            state.ntp = between(&request.body, "<tt:IPv4Address>", "<").map(str::to_owned);
            soap("<tds:SetNTPResponse/>")
        }
        "SetSystemDateAndTime" => {
            state.source = "NTP";
            soap("<tds:SetSystemDateAndTimeResponse/>")
        }
        other => panic!("the stub knows no {other}"),
    }
}

async fn stub(character: Character) -> Stub {
    stub_and_its_state(character).await.0
}

async fn stub_and_its_state(character: Character) -> (Stub, Arc<Mutex<State>>) {
    let state = State { gop: 50, profile: "High".into(), bitrate: 4096, ntp: None, source: "Manual" };
    let state = Arc::new(Mutex::new(state));
    let own = Arc::clone(&state);
    let stub = Stub::start(move |request| answer(&mut own.lock().unwrap(), character, request)).await;
    (stub, state)
}

fn wanted() -> Wanted {
    Wanted { time: TimeSource::Ntp(vec![NtpServer::new("192.168.1.10")]), ..Wanted::default() }
}

async fn configured(stub: &Stub) -> Report {
    stub.connect(Access::default()).await.unwrap().configure(&wanted()).await.unwrap()
}

#[tokio::test]
async fn an_obedient_camera_is_set_once_and_left_alone_afterwards() {
    let stub = stub(Character::Obedient).await;
    let report = configured(&stub).await;
    assert_eq!(
        report.to_string(),
        "profile main (token P1, Media1)\n  GOP: 25 (was 50)\n  coding profile: Baseline (was High)\n  \
         NTP: 192.168.1.10 (was no server)\n  clock: NTP (was set by hand)\n"
    );
    assert!(report.is_as_wanted());
    assert_eq!(report.has_key_frame_each_second(), Some(true));
    assert_eq!(stub.sets(), 3);
    // Each Set is followed by the Get that shows what came of it.
    let operations = stub.operations();
    let after: Vec<&str> = operations
        .windows(2)
        .filter(|pair| pair[0].starts_with("Set"))
        .map(|pair| pair[1].as_str())
        .collect();
    assert_eq!(after, ["GetVideoEncoderConfiguration", "GetNTP", "GetSystemDateAndTime"]);

    let second = configured(&stub).await;
    assert_eq!(stub.sets(), 3, "the second run sends no Set");
    assert_eq!(second.to_string(), "profile main (token P1, Media1)\n  nothing to set\n");
}

#[tokio::test]
async fn what_a_camera_makes_of_it_is_told_from_what_it_says() {
    let encoder = async |character| {
        let report = configured(&stub(character).await).await;
        let all: Vec<String> = report.outcomes.iter().map(ToString::to_string).collect();
        (all[..3].join("\n"), report)
    };
    let (deaf, report) = encoder(Character::Deaf).await;
    assert_eq!(
        deaf,
        "GOP: still 50; the camera accepted 25 and ignored it\n\
         coding profile: still High; the camera accepted Baseline and ignored it\n\
         NTP: still no server; the camera accepted 192.168.1.10 and ignored it"
    );
    assert_eq!((report.is_as_wanted(), report.has_key_frame_each_second()), (false, Some(false)));

    let (stubborn, _) = encoder(Character::Stubborn).await;
    assert!(stubborn.starts_with("GOP: 32 (was 50), though 25 was asked for\n"), "{stubborn}");

    let (refusing, report) = encoder(Character::Refusing).await;
    assert!(
        refusing.starts_with("GOP: still 50; the camera refused 25: SOAP fault Sender/ConfigModify: no\n"),
        "{refusing}"
    );
    assert_eq!(report.outcomes.len(), 4, "the other steps are still taken");

    let (meddling, report) = encoder(Character::Meddling).await;
    assert!(
        meddling.ends_with("bit rate: 512 kbit/s (was 4096 kbit/s), changed by the camera itself"),
        "{meddling}"
    );
    assert_eq!(report.outcomes[2].verdict, Verdict::ChangedUnasked);
}

async fn configured_again(stub: &Stub, before: &Report) -> Report {
    let mut camera = stub.connect(Access::default()).await.unwrap();
    camera.configure_again(&wanted(), before).await.unwrap()
}

#[tokio::test]
async fn what_a_camera_did_not_do_it_is_told_once() {
    for character in
        [Character::Obedient, Character::Deaf, Character::Stubborn, Character::Refusing, Character::Meddling]
    {
        let stub = stub(character).await;
        let first = configured(&stub).await;
        let sets = stub.sets();
        let mut report = first.clone();
        for _ in 0..3 {
            report = configured_again(&stub, &report).await;
        }
        assert_eq!(stub.sets(), sets, "{character:?}");
        let in_vain = |report: &Report| -> Vec<String> {
            let done = [Verdict::Accepted, Verdict::ChangedUnasked];
            let in_vain = report.outcomes.iter().filter(|outcome| !done.contains(&outcome.verdict));
            in_vain.map(ToString::to_string).collect()
        };
        assert_eq!(in_vain(&report), in_vain(&first), "{character:?}: it is still told");
    }
}

#[tokio::test]
async fn what_somebody_has_changed_since_is_tried_again() {
    let (stub, state) = stub_and_its_state(Character::Stubborn).await;
    let first = configured(&stub).await;
    let sets = stub.sets();
    state.lock().unwrap().gop = 100;
    let second = configured_again(&stub, &first).await;
    assert_eq!(stub.sets(), sets + 1, "the encoder alone");
    let gop = second.outcomes[0].to_string();
    assert_eq!(gop, "GOP: 32 (was 100), though 25 was asked for");
    configured_again(&stub, &second).await;
    assert_eq!(stub.sets(), sets + 1);
}

#[tokio::test]
async fn a_profile_that_is_not_there_is_named_with_those_that_are() {
    let stub = stub(Character::Obedient).await;
    let mut camera = stub.connect(Access::default()).await.unwrap();
    let wanted = Wanted { profile: ProfileChoice::Named("sub".into()), ..Wanted::default() };
    assert_eq!(
        camera.configure(&wanted).await.unwrap_err().to_string(),
        format!(
            "GetProfiles at {}: the camera has no profile `sub` with video; it has: sound (token P0), main (token P1)",
            stub.url()
        )
    );
}

#[tokio::test]
async fn a_camera_without_get_services_is_asked_for_its_capabilities() {
    let stub = Stub::start(|request| match request.operation().as_str() {
        "GetSystemDateAndTime" => clock(0),
        "GetServices" => fault("400 Bad Request", "ActionNotSupported", "old"),
        "GetCapabilities" => soap(
            "<tds:GetCapabilitiesResponse><tds:Capabilities><tt:Media><tt:XAddr>http://0.0.0.0/onvif/media</tt:XAddr></tt:Media>\
             </tds:Capabilities></tds:GetCapabilitiesResponse>",
        ),
        _ => soap(
            "<trt:GetStreamUriResponse><trt:MediaUri><tt:Uri>rtsp://admin:pw@0.0.0.0:554/live?x=a@b</tt:Uri></trt:MediaUri>\
             </trt:GetStreamUriResponse>",
        ),
    })
    .await;
    // Port 80 of the address that the camera names is not where the stub is.
    let camera = stub.connect(Access::default()).await.unwrap();
    assert_eq!(camera.services().short_names(), ["media"]);
}
