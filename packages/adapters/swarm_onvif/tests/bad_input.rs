//! What cameras and other things at their address answer that is no answer; each with the whole message that a person reads.

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Stub, access, clock, fault, http, services, soap};
use swarm_onvif::{Access, Camera, Fingerprint, ServiceUrl, Trust};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// What `information` says of a camera that answers `reply`, without operation and address.
async fn message(reply: Vec<u8>) -> String {
    let stub = Stub::start(move |request| match request.operation().as_str() {
        "GetSystemDateAndTime" => clock(0),
        "GetServices" => services(&["ver10/device"]),
        _ => reply.clone(),
    })
    .await;
    let error = stub.connect(access()).await.unwrap().information().await.unwrap_err().to_string();
    let begin = format!("GetDeviceInformation at {}: ", stub.url());
    error.strip_prefix(&begin).unwrap_or_else(|| panic!("{error} does not begin with {begin}")).to_owned()
}

#[tokio::test]
async fn what_is_no_soap_is_told_with_its_begin() {
    let html = "<!DOCTYPE html><html><head><title>Login</title></head></html>";
    let cases = [
        (
            http("200 OK", "Content-Type: text/html\r\n", html),
            format!("expected a SOAP envelope, found an HTML page `{html}`; is this the address of the ONVIF service?"),
        ),
        (
            http("404 Not Found", "", "<html><body>nothing here</body></html>"),
            "HTTP status 404 without a SOAP envelope: an HTML page `<html><body>nothing here</body></html>`".into(),
        ),
        (
            http("200 OK", "", ""),
            "expected a SOAP envelope, found nothing; is this the address of the ONVIF service?".into(),
        ),
        (
            http("200 OK", "", "{\"json\": true}"),
            "the answer is not XML: unknown token at 1:1; it begins `{\"json\": true}`".into(),
        ),
        (
            http("200 OK", "", "<env:Envelope xmlns:env=\"e\"><env:Body>"),
            "the answer is not XML: the root node was opened but never closed; it begins \
             `<env:Envelope xmlns:env=\"e\"><env:Body>`"
                .into(),
        ),
        (
            http("200 OK", "", "<rss><channel/></rss>"),
            "expected a SOAP envelope, found `<rss><channel/></rss>`; is this the address of the ONVIF service?".into(),
        ),
        (
            http("301 Moved", "Location: https://192.168.1.101/onvif/device_service\r\n", ""),
            "moved to https://192.168.1.101/onvif/device_service (HTTP status 301); use that address".into(),
        ),
        (
            soap("<tds:GetHostnameResponse/>"),
            "expected GetDeviceInformationResponse, found GetHostnameResponse".into(),
        ),
        (soap(""), "expected GetDeviceInformationResponse, found an empty body".into()),
        (
            fault("500 Internal Server Error", "ActionNotSupported", "Optional Action&#x202e; Not Implemented"),
            "SOAP fault Sender/ActionNotSupported: Optional Action\u{fffd} Not Implemented".into(),
        ),
        (b"\x16\x03\x01garbage\r\n\r\n".to_vec(), "the connection broke before a whole answer: invalid HTTP version parsed".into()),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort".to_vec(), "the connection broke before a whole answer: error reading a body from connection".into()),
    ];
    for (reply, expected) in cases {
        assert_eq!(message(reply).await, expected);
    }
}

#[tokio::test]
async fn a_refused_password_says_how_it_was_refused() {
    let challenge = "WWW-Authenticate: Digest realm=\"stub\", qop=\"auth\", nonce=\"x\"\r\n";
    assert_eq!(
        message(http("401 Unauthorized", challenge, "")).await,
        "the camera refuses user `admin` with this password (HTTP status 401, offers Digest)"
    );
    assert_eq!(
        message(fault("400 Bad Request", "NotAuthorized", "Sender not Authorized")).await,
        "the camera refuses user `admin` with this password (SOAP fault Sender/NotAuthorized: Sender not Authorized)"
    );
    assert_eq!(
        message(http("401 Unauthorized", "WWW-Authenticate: Basic realm=\"stub\"\r\n", "")).await,
        "the camera asks for the password in the clear (HTTP Basic), which is never sent; switch its web service to Digest"
    );
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let endless = "x".repeat(5 << 20);
    assert_eq!(
        message(http("200 OK", "", &endless)).await,
        "an answer of over 4194304 bytes, expected a SOAP envelope"
    );
}

#[tokio::test]
async fn a_camera_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let url = ServiceUrl::device(address.ip(), address.port());
    let access = Access { timeout: Duration::from_millis(50), ..Access::default() };
    let error = Camera::connect(url.clone(), access.clone()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("GetSystemDateAndTime at {url}: connected, but no whole answer within 50ms")
    );
    drop(listener);
    let error = Camera::connect(url.clone(), access).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "GetSystemDateAndTime at {url}: cannot connect: Connection refused (os error 111); \
             is the camera on, and is this its address?"
        )
    );
}

/// A camera behind TLS with a certificate of its own making; its address and the certificate's fingerprint.
async fn private_camera() -> (ServiceUrl, Fingerprint) {
    let made = rcgen::generate_simple_self_signed(vec!["camera".to_owned()]).unwrap();
    let fingerprint = Fingerprint::of(made.cert.der());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let answer: common::Handler = Arc::new(|request| match request.operation().as_str() {
            "GetSystemDateAndTime" => clock(0),
            "GetServices" => services(&["ver10/device"]),
            _ => common::information(),
        });
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                tokio::spawn(common::serve(stream, Arc::clone(&answer), Arc::new(Mutex::new(Vec::new()))));
            }
        }
    });
    (format!("https://{address}/onvif/device_service").parse().unwrap(), fingerprint)
}

#[tokio::test]
async fn a_certificate_must_be_known_or_the_danger_asked_for() {
    let (url, shown) = private_camera().await;
    let trusting = |trust| Access { trust, timeout: Duration::from_secs(20), ..access() };
    let connect = async |trust| Camera::connect(url.clone(), trusting(trust)).await;
    assert_eq!(
        connect(Trust::Nothing).await.unwrap_err().to_string(),
        format!(
            "GetSystemDateAndTime at {url}: the camera's certificate is not known, and nothing was sent. Its SHA-256 fingerprint \
             is {shown}: compare it with what the camera's own page shows, and put it into the credentials file as \
             `certificate` of this camera"
        )
    );
    let pinned = Fingerprint::of(b"another");
    assert_eq!(
        connect(Trust::Certificate(pinned)).await.unwrap_err().to_string(),
        format!(
            "GetSystemDateAndTime at {url}: the camera shows another certificate than the pinned one, and nothing was sent: \
             expected {pinned}, found {shown}. It was given a new one, or this is not that camera"
        )
    );
    for trust in [Trust::Certificate(shown), Trust::DangerouslyAnyCertificate] {
        assert_eq!(connect(trust).await.unwrap().information().await.unwrap().serial_number, "42");
    }
}

#[tokio::test]
async fn tls_where_none_is_spoken_says_so() {
    let stub = Stub::start(|_| clock(0)).await;
    let url: ServiceUrl = format!("https://{}/onvif/device_service", stub.address).parse().unwrap();
    let listener_that_hangs_up = Access { timeout: Duration::from_millis(200), ..access() };
    let error = Camera::connect(url.clone(), listener_that_hangs_up).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("GetSystemDateAndTime at {url}: ")), "{error}");
}
