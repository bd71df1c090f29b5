//! Logging in: what is sent is what an independent calculation on the camera's side expects.

mod common;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use common::{PASSWORD, Request, Stub, access, clock, fault, http, information, services};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use swarm_onvif::Access;

fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let from = text.find(begin).unwrap_or_else(|| panic!("no {begin} in {text}")) + begin.len();
    &text[from..from + text[from..].find(end).unwrap()]
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// RFC 7616, 3.4.1, with qop auth.
fn is_digest(header: &str, method: &str, nonce: &str, hash: fn(&str) -> String) -> bool {
    let field = |name: &str| {
        let value = header.split([',', ' ']).find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("no {name} in {header}")).trim_matches('"').to_owned()
    };
    let a1 = hash(&format!("admin:stub:{PASSWORD}"));
    let a2 = hash(&format!("{method}:{}", field("uri")));
    let expected = hash(&format!("{a1}:{nonce}:{}:{}:auth:{a2}", field("nc"), field("cnonce")));
    field("response") == expected && field("nonce") == nonce
}

async fn digest_camera(algorithm: &'static str, hash: fn(&str) -> String) -> Stub {
    Stub::start(move |request| {
        let challenge = format!(
            "WWW-Authenticate: Basic realm=\"stub\"\r\nWWW-Authenticate: Digest realm=\"stub\", qop=\"auth\", \
             nonce=\"n0nce\", algorithm={algorithm}\r\n"
        );
        match (request.operation().as_str(), request.header("Authorization")) {
            ("GetSystemDateAndTime", _) => clock(0),
            ("GetServices", _) => services(&["ver10/device"]),
            (_, Some(header)) if is_digest(header, "POST", "n0nce", hash) => information(),
            _ => http("401 Unauthorized", &challenge, ""),
        }
    })
    .await
}

#[tokio::test]
async fn digest_with_md5_and_with_sha_256_opens_the_camera_and_stays() {
    let md5: fn(&str) -> String = |text| hex(&Md5::digest(text));
    let sha256: fn(&str) -> String = |text| hex(&Sha256::digest(text));
    for (algorithm, hash) in [("MD5", md5), ("SHA-256", sha256)] {
        let stub = digest_camera(algorithm, hash).await;
        let mut camera = stub.connect(access()).await.unwrap();
        assert_eq!(camera.information().await.unwrap().serial_number, "42");
        camera.information().await.unwrap();
        // The challenge is answered once; later requests bring the answer along, with the next count.
        let seen = stub.operations();
        assert_eq!(seen[2..], ["GetDeviceInformation"; 3], "{algorithm}");
        let last = stub.requests.lock().unwrap().last().unwrap().header("Authorization").unwrap().to_owned();
        assert!(last.contains("nc=00000002"), "{last}");
    }
}

/// As a camera checks it: the digest, and a time within 5 s of its own clock.
fn is_token(request: &Request, ahead_s: i64) -> bool {
    if !request.body.contains("UsernameToken") {
        return false;
    }
    let nonce = BASE64_STANDARD.decode(between(&request.body, "#Base64Binary\">", "<")).unwrap();
    let created = between(&request.body, "<wsu:Created>", "<");
    let digest = between(&request.body, "#PasswordDigest\">", "<");
    let mut hash = Sha1::new();
    hash.update(&nonce);
    hash.update(created);
    hash.update(PASSWORD);
    let format = &time::format_description::well_known::Rfc3339;
    let created = time::OffsetDateTime::parse(created, format).unwrap();
    let now = time::OffsetDateTime::now_utc() + time::Duration::seconds(ahead_s);
    BASE64_STANDARD.encode(hash.finalize()) == digest && (created - now).abs() < time::Duration::seconds(5)
}

#[tokio::test]
async fn a_token_is_made_with_the_cameras_clock() {
    for ahead_s in [0, 7_200, -86_400 * 365] {
        let stub = Stub::start(move |request| match request.operation().as_str() {
            "GetSystemDateAndTime" => clock(ahead_s),
            "GetServices" => services(&["ver10/device"]),
            _ if is_token(request, ahead_s) => information(),
            _ => fault("400 Bad Request", "NotAuthorized", "Sender not Authorized"),
        })
        .await;
        let mut camera = stub.connect(access()).await.unwrap();
        camera.information().await.unwrap();
        camera.information().await.unwrap();
        assert_eq!(stub.operations().len(), 5, "one refusal, and then the token at once");
    }
}

#[tokio::test]
async fn a_camera_that_offers_digest_and_takes_only_the_token_is_opened() {
    let stub = Stub::start(|request| match request.operation().as_str() {
        "GetSystemDateAndTime" => clock(0),
        "GetServices" => services(&["ver10/device"]),
        _ if is_token(request, 0) => information(),
        _ => http(
            "401 Unauthorized",
            "WWW-Authenticate: Digest realm=\"stub\", qop=\"auth\", nonce=\"x\"\r\n",
            "",
        ),
    })
    .await;
    stub.connect(access()).await.unwrap().information().await.unwrap();
}

#[tokio::test]
async fn a_camera_that_tells_its_time_only_to_users_is_dated_by_its_refusal() {
    // ipycam asks for the token before it tells anything.
    let stub = Stub::start(|request| match request.operation().as_str() {
        _ if !is_token(request, 7_200) => {
            let now = time::OffsetDateTime::now_utc() + time::Duration::hours(2);
            let date = now.format(&time::format_description::well_known::Rfc2822).unwrap();
            http("401 Unauthorized", &format!("Date: {date}\r\n"), "")
        }
        "GetSystemDateAndTime" => clock(7_200),
        "GetServices" => services(&["ver10/device"]),
        _ => information(),
    })
    .await;
    stub.connect(access()).await.unwrap().information().await.unwrap();
}

#[tokio::test]
async fn an_open_camera_is_sent_nothing_of_the_credentials() {
    let stub = Stub::start(|request| match request.operation().as_str() {
        "GetSystemDateAndTime" => clock(0),
        "GetServices" => services(&["ver10/device"]),
        _ => information(),
    })
    .await;
    stub.connect(access()).await.unwrap().information().await.unwrap();
    let requests = stub.requests.lock().unwrap();
    assert!(
        requests
            .iter()
            .all(|request| !request.body.contains("admin") && request.header("Authorization").is_none())
    );
}

#[tokio::test]
async fn no_password_is_in_any_error_or_debug_text() {
    let refusals: [fn(&Request) -> Vec<u8>; 3] = [
        |_| {
            http(
                "401 Unauthorized",
                "WWW-Authenticate: Digest realm=\"stub\", qop=\"auth\", nonce=\"x\"\r\n",
                "",
            )
        },
        |_| fault("400 Bad Request", "NotAuthorized", "no"),
        // A camera that repeats all it was sent.
        |request| http("500 Oops", "", &format!("{request:?}")),
    ];
    for refuse in refusals {
        let stub = Stub::start(move |request| match request.operation().as_str() {
            "GetSystemDateAndTime" => clock(0),
            "GetServices" => services(&["ver10/device"]),
            _ => refuse(request),
        })
        .await;
        let mut camera = stub.connect(access()).await.unwrap();
        let error = camera.information().await.unwrap_err();
        let all = format!("{error} {error:?} {camera:?} {:?}", access());
        assert!(!all.contains(PASSWORD), "{all}");
        let sent = format!("{:?}", stub.requests.lock().unwrap());
        assert!(!sent.contains(PASSWORD), "in the clear: {sent}");
    }
}

#[tokio::test]
async fn without_credentials_the_error_says_that_some_are_needed() {
    let stub = Stub::start(|request| match request.operation().as_str() {
        "GetSystemDateAndTime" => clock(0),
        "GetServices" => services(&["ver10/device"]),
        _ => http(
            "401 Unauthorized",
            "WWW-Authenticate: Digest realm=\"stub\", qop=\"auth\", nonce=\"x\"\r\n",
            "",
        ),
    })
    .await;
    let error = stub.connect(Access::default()).await.unwrap().information().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "GetDeviceInformation at {}: the camera asks for a user and a password, and none are given for it \
             (HTTP status 401, offers Digest)",
            stub.url()
        )
    );
}
