//! A camera on the loopback whose every byte the test decides.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use swarm_onvif::{Access, Camera, Credentials, OnvifError, ServiceUrl, Trust};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    /// As sent, `Name: value`.
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let matches =
            |line: &&String| line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name));
        self.headers.iter().find(matches).and_then(|line| line.split_once(':')).map(|(_, value)| value.trim())
    }

    /// Name of the operation: the first element in the body.
    pub(crate) fn operation(&self) -> String {
        let rest = &self.body[self.body.find("<s:Body><").expect("a body") + 9..];
        rest[..rest.find([' ', '>', '/']).expect("a name")].to_owned()
    }
}

pub(crate) type Handler = Arc<dyn Fn(&Request) -> Vec<u8> + Send + Sync>;

/// Answers until it is dropped.
pub(crate) struct Stub {
    pub(crate) address: SocketAddr,
    pub(crate) requests: Arc<Mutex<Vec<Request>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stub {
    pub(crate) async fn start(answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answer, seen): (Handler, _) = (Arc::new(answer), Arc::clone(&requests));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answer), Arc::clone(&seen)));
            }
        });
        Self { address, requests, task }
    }

    pub(crate) fn url(&self) -> ServiceUrl {
        ServiceUrl::device(self.address.ip(), self.address.port())
    }

    pub(crate) async fn connect(&self, access: Access) -> Result<Camera, OnvifError> {
        Camera::connect(self.url(), access).await
    }

    pub(crate) fn operations(&self) -> Vec<String> {
        self.requests.lock().unwrap().iter().map(Request::operation).collect()
    }

    /// How many `Set` were sent.
    pub(crate) fn sets(&self) -> usize {
        self.operations().iter().filter(|name| name.starts_with("Set")).count()
    }
}

pub(crate) async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: Handler,
    seen: Arc<Mutex<Vec<Request>>>,
) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let head = loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
        }
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let mut lines = text.split("\r\n").map(str::to_owned);
    let path = lines.next().and_then(|line| line.split(' ').nth(1).map(str::to_owned)).unwrap_or_default();
    let mut request = Request { path, headers: lines.collect(), body: String::new() };
    let length: usize = request.header("Content-Length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while bytes.len() < head + 4 + length {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
        }
    }
    request.body = String::from_utf8_lossy(&bytes[head + 4..]).into_owned();
    let reply = answer(&request);
    seen.lock().unwrap().push(request);
    let _ = stream.write_all(&reply).await;
    let _ = stream.shutdown().await;
}

pub(crate) fn http(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

pub(crate) fn envelope(body: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><env:Envelope xmlns:env=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:tds=\"http://www.onvif.org/ver10/device/wsdl\" xmlns:trt=\"http://www.onvif.org/ver10/media/wsdl\" \
         xmlns:tr2=\"http://www.onvif.org/ver20/media/wsdl\" xmlns:ter=\"http://www.onvif.org/ver10/error\" \
         xmlns:tt=\"http://www.onvif.org/ver10/schema\"><env:Body>{body}</env:Body></env:Envelope>"
    )
}

pub(crate) fn soap(body: &str) -> Vec<u8> {
    http("200 OK", "Content-Type: application/soap+xml\r\n", &envelope(body))
}

pub(crate) fn fault(status: &str, code: &str, reason: &str) -> Vec<u8> {
    let body = format!(
        "<env:Fault><env:Code><env:Value>env:Sender</env:Value><env:Subcode><env:Value>ter:{code}</env:Value></env:Subcode>\
         </env:Code><env:Reason><env:Text xml:lang=\"en\">{reason}</env:Text></env:Reason></env:Fault>"
    );
    http(status, "Content-Type: application/soap+xml\r\n", &envelope(&body))
}

/// A camera's clock, `ahead_s` seconds ahead of ours.
pub(crate) fn clock(ahead_s: i64) -> Vec<u8> {
    let now = time::OffsetDateTime::now_utc() + time::Duration::seconds(ahead_s);
    soap(&format!(
        "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>Manual</tt:DateTimeType>\
         <tt:DaylightSavings>false</tt:DaylightSavings><tt:UTCDateTime><tt:Time><tt:Hour>{}</tt:Hour>\
         <tt:Minute>{}</tt:Minute><tt:Second>{}</tt:Second></tt:Time><tt:Date><tt:Year>{}</tt:Year><tt:Month>{}</tt:Month>\
         <tt:Day>{}</tt:Day></tt:Date></tt:UTCDateTime></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>",
        now.hour(),
        now.minute(),
        now.second(),
        now.year(),
        u8::from(now.month()),
        now.day()
    ))
}

pub(crate) fn services(namespaces: &[&str]) -> Vec<u8> {
    let service = |name: &&str| {
        format!(
            "<tds:Service><tds:Namespace>http://www.onvif.org/{name}/wsdl</tds:Namespace>\
             <tds:XAddr>http://10.9.9.9/onvif/{name}</tds:XAddr></tds:Service>"
        )
    };
    let listed: String = namespaces.iter().map(service).collect();
    // Host and port are not ours: only the path may be taken.
    soap(&format!("<tds:GetServicesResponse>{listed}</tds:GetServicesResponse>"))
}

pub(crate) fn information() -> Vec<u8> {
    soap(
        "<tds:GetDeviceInformationResponse><tds:Manufacturer>Stub</tds:Manufacturer><tds:Model>S1</tds:Model>\
         <tds:FirmwareVersion>1</tds:FirmwareVersion><tds:SerialNumber>42</tds:SerialNumber><tds:HardwareId>h</tds:HardwareId>\
         </tds:GetDeviceInformationResponse>",
    )
}

pub(crate) const PASSWORD: &str = "s3cret-Pa55";

pub(crate) fn access() -> Access {
    Access {
        credentials: Some(Credentials::new("admin", PASSWORD)),
        trust: Trust::Nothing,
        timeout: Duration::from_secs(20),
    }
}
