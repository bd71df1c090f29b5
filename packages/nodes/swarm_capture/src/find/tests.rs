//! Looks for cameras that are named, and for one that the test plays itself.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use swarm_bag::recorder::RecorderOptions;
use swarm_bag::ring::RingOptions;
use swarm_bag::video::VideoMessage;
use swarm_capture_core::search::Search;

use super::*;

#[tokio::test]
async fn a_host_goes_by_its_name_and_by_its_numbers() {
    for (one, other) in
        [("10.0.0.1", "10.0.0.1"), ("localhost", "127.0.0.1"), ("[::ffff:10.0.0.1]", "10.0.0.1")]
    {
        assert!(is_same_host(one, other).await, "{one} {other}");
    }
    for (one, other) in [("10.0.0.1", "10.0.0.2"), ("127.0.0.1", "10.0.0.1"), ("nobody.invalid", "10.0.0.1")]
    {
        assert!(!is_same_host(one, other).await, "{one} {other}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_tried_four_times_in_half_a_minute_at_most() {
    let tried = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&tried);
    let address = camera(move |request| {
        let with = request.contains("UsernameToken") || request.to_lowercase().contains("\r\nauthorization:");
        counter.fetch_add(usize::from(with), Ordering::SeqCst);
        open_to_everybody(request).unwrap_or_else(|| REFUSED.to_owned())
    });
    let folder = tempfile::tempdir().unwrap();
    let (settings, keyring) = (settings(), keyring(folder.path()));
    let camera = named(address);
    let finder = Finder::new(&settings, &keyring, &camera);
    let (mut search, mut waited) = (Search::default(), Duration::ZERO);
    while waited < Duration::from_secs(30) {
        let missing = finder.find().await.unwrap_err();
        assert_eq!(missing.state, CameraState::Refused);
        assert!(missing.detail.contains("refuses user `admin`"), "{}", missing.detail);
        waited += search.missed(missing.remedy);
    }
    let tried = tried.load(Ordering::SeqCst);
    assert!((1..=4).contains(&tried), "{tried} requests with credentials");
}

#[tokio::test]
async fn a_calibrated_camera_is_not_found_until_it_says_who_it_is() {
    for (calibrated, serials) in [(true, [None, Some("S1")]), (false, [Some(""), Some("S1")])] {
        let asked = AtomicUsize::new(0);
        let address = camera(move |request| {
            let first = || asked.fetch_add(1, Ordering::SeqCst) == 0;
            let told = open_to_everybody(request);
            told.unwrap_or_else(|| match request {
                request if request.contains("<GetDeviceInformation") && first() => BUSY.to_owned(),
                request if request.contains("<GetDeviceInformation") => soap(
                    "<d:GetDeviceInformationResponse><d:SerialNumber>S1</d:SerialNumber></d:GetDeviceInformationResponse>",
                ),
                request if request.contains("<GetProfiles") => soap(PROFILES),
                _ => soap(STREAM),
            })
        });
        let calibration_file = calibrated.then(|| "biases.yaml".into());
        let settings = Settings { configure: None, calibration_file, ..settings() };
        let (keyring, camera) = (Keyring::default(), named(address));
        let finder = Finder::new(&settings, &keyring, &camera);
        for expected in serials {
            match (finder.find().await, expected) {
                (Ok(found), Some(serial)) => assert_eq!(found.serial, serial, "calibrated: {calibrated}"),
                (Err(missing), None) => {
                    assert_eq!(missing.state, CameraState::Connecting);
                    assert!(missing.detail.contains("its calibration is not known"), "{}", missing.detail);
                }
                (found, _) => panic!("expected {expected:?}, found {found:?}"),
            }
        }
    }
}

#[test]
fn a_camera_that_refuses_a_password_is_not_looked_for_at_another_port() {
    let refusal = swarm_onvif::Refusal::Http401(Vec::new());
    assert!(!is_elsewhere(&Failure::WrongPassword { user: "admin".to_owned(), refusal: refusal.clone() }));
    assert!(!is_elsewhere(&Failure::CredentialsNeeded(refusal)));
    assert!(!is_elsewhere(&Failure::AnswerTimeout(Duration::from_secs(5))));
    assert!(is_elsewhere(&Failure::ConnectTimeout(Duration::from_secs(5))));
}

const REFUSED: &str = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"c\", qop=\"auth\", nonce=\"n\"\r\n\
                       Content-Length: 0\r\n\r\n";

const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

const PROFILES: &str = "<m:GetProfilesResponse><m:Profiles token=\"P1\"><t:Name>main</t:Name>\
    <t:VideoEncoderConfiguration token=\"V1\"><t:Name>main</t:Name><t:Encoding>H264</t:Encoding>\
    <t:Resolution><t:Width>640</t:Width><t:Height>480</t:Height></t:Resolution></t:VideoEncoderConfiguration>\
    </m:Profiles></m:GetProfilesResponse>";

const STREAM: &str = "<m:GetStreamUriResponse><m:MediaUri><t:Uri>rtsp://0.0.0.0/live</t:Uri></m:MediaUri></m:GetStreamUriResponse>";

/// A camera on the loopback that gives `answer` to each request.
fn camera(answer: impl Fn(&str) -> String + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut request) = (stream.unwrap(), String::new());
            while !request.ends_with("</s:Envelope>") {
                let mut buffer = [0; 4096];
                let length = stream.read(&mut buffer).unwrap();
                request.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
            }
            stream.write_all(answer(&request).as_bytes()).unwrap();
        }
    });
    address
}

/// What a camera tells whoever asks: its time and its services. Of an address on another host only the path is taken.
fn open_to_everybody(request: &str) -> Option<String> {
    if request.contains("<GetSystemDateAndTime") {
        return Some(soap(
            "<d:GetSystemDateAndTimeResponse><d:SystemDateAndTime/></d:GetSystemDateAndTimeResponse>",
        ));
    }
    request.contains("<GetServices").then(|| {
        soap(
            "<d:GetServicesResponse><d:Service><d:Namespace>http://www.onvif.org/ver10/media/wsdl</d:Namespace>\
             <d:XAddr>http://10.9.9.9/onvif/media</d:XAddr></d:Service></d:GetServicesResponse>",
        )
    })
}

fn soap(body: &str) -> String {
    let envelope = format!(
        "<e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\" xmlns:d=\"http://www.onvif.org/ver10/device/wsdl\" \
         xmlns:m=\"http://www.onvif.org/ver10/media/wsdl\" xmlns:t=\"http://www.onvif.org/ver10/schema\">\
         <e:Body>{body}</e:Body></e:Envelope>"
    );
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{envelope}", envelope.len())
}

fn named(address: SocketAddr) -> CameraSettings {
    CameraSettings { name: "cam1".to_owned(), address: format!("http://{address}") }
}

fn keyring(folder: &Path) -> Keyring {
    let file = folder.join("cameras.yaml");
    std::fs::write(&file, "schema: 1\ndefault: {user: admin, password: \"wrong\"}\ncameras: {}\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    Keyring::load(Some(&file)).unwrap()
}

fn settings() -> Settings {
    Settings {
        cameras: Vec::new(),
        video: VideoMessage::CompressedVideo,
        configure: Some(crate::settings::Wanted { frame_rate: 0.0, resolution: None }),
        ntp_server: String::new(),
        credentials_file: None,
        calibration_file: None,
        camera_info_urls: Vec::new(),
        cell_config: None,
        gstreamer: false,
        udp: false,
        raw_images: false,
        output_bag: String::new(),
        topics: Vec::new(),
        group_tolerance: Duration::ZERO,
        recorder: RecorderOptions::default(),
        ring: RingOptions::default(),
        progress: false,
    }
}
