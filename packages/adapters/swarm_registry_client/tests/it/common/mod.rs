//! A registry on the loopback that does as it is told, well or badly, and the two repositories and artifacts that it serves.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use ed25519_dalek::SigningKey;
use swarm_api::update::Which;
use swarm_artifact::{ArchiveDigest, ArtifactId, KeyRole, SignatureFile, Trust, TrustedKey};
use swarm_delta::{Limits, apply};
use swarm_registry_client::{Cache, Connection, OfInterest, Repositories, Repository as Client, Settings};
use swarm_tuf::repository::{Keyring, Lifetimes, NewDelegation, NewRole, NewRoles, Repository};
use swarm_tuf::{Ed25519Signer, Moment, TargetFile, director};

pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const DAY: i64 = 86_400;
pub(crate) const CELL: &str = "cell_1";
/// Of a cell on which nothing has run yet.
pub(crate) const NOTHING: OfInterest = OfInterest { in_force: Vec::new(), before: Vec::new() };

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// What goes wrong with an answer.
#[derive(Clone)]
pub(crate) enum Fault {
    /// Another answer than the right one.
    Instead { status: &'static str, headers: Vec<(&'static str, String)>, body: Vec<u8> },
    /// The connection ends after so many bytes of the body.
    CutAfter(usize),
    /// The body goes on and on.
    Endless,
    /// The range that was asked for is ignored: everything comes.
    Whole,
}

impl std::fmt::Debug for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Instead { status, headers, body } => {
                write!(f, "{status} {headers:?} with {} bytes", body.len())
            }
            Self::CutAfter(count) => write!(f, "cut after {count} bytes"),
            Self::Endless => f.write_str("endless"),
            Self::Whole => f.write_str("whole"),
        }
    }
}

#[derive(Default)]
struct Inner {
    files: BTreeMap<String, Vec<u8>>,
    /// By beginning of the path; used up one after the other.
    faults: Vec<(String, VecDeque<Fault>)>,
    asked: Vec<Request>,
    uploads: BTreeMap<String, (usize, Vec<u8>)>,
    next_upload: usize,
    bags: Vec<Vec<u8>>,
}

/// The server.
#[derive(Clone)]
pub(crate) struct Server {
    inner: Arc<Mutex<Inner>>,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { inner: Arc::default(), url };
        let serving = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (server, stream) = (serving.clone(), stream.unwrap());
                thread::spawn(move || server.answer(stream));
            }
        });
        server
    }

    pub(crate) fn put(&self, path: &str, bytes: &[u8]) {
        self.inner.lock().unwrap().files.insert(path.to_owned(), bytes.to_vec());
    }

    pub(crate) fn remove(&self, path: &str) {
        self.inner.lock().unwrap().files.remove(path);
    }

    /// The next answers under this path go wrong so.
    pub(crate) fn fault(&self, path: &str, faults: impl IntoIterator<Item = Fault>) {
        self.inner.lock().unwrap().faults.push((path.to_owned(), faults.into_iter().collect()));
    }

    /// What was asked since the last time.
    pub(crate) fn asked(&self) -> Vec<Request> {
        std::mem::take(&mut self.inner.lock().unwrap().asked)
    }

    pub(crate) fn connection(&self) -> Connection {
        Connection::new(&Settings { url: self.url.clone(), ..Settings::default() }).unwrap()
    }

    fn answer(&self, mut stream: TcpStream) -> Option<()> {
        let request = read_request(&stream)?;
        let fault = {
            let mut inner = self.inner.lock().unwrap();
            inner.asked.push(request.clone());
            let faults = inner
                .faults
                .iter_mut()
                .find(|(path, faults)| request.path.starts_with(path) && !faults.is_empty());
            faults.and_then(|(_, faults)| faults.pop_front())
        };
        let (status, headers, body) = match &fault {
            Some(Fault::Instead { status, headers, body }) => (*status, headers.clone(), body.clone()),
            _ => self.good(&request, matches!(fault, Some(Fault::Whole))),
        };
        let length = if matches!(fault, Some(Fault::Endless)) { u64::MAX / 4 } else { body.len() as u64 };
        let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n");
        for (name, value) in headers {
            head.extend([name, ": ", value.as_str(), "\r\n"]);
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).ok()?;
        match fault {
            Some(Fault::CutAfter(count)) => stream.write_all(&body[..count.min(body.len())]).ok(),
            Some(Fault::Endless) => {
                stream.write_all(&body).ok()?;
                while stream.write_all(&[0; 4096]).is_ok() {}
                None
            }
            _ => stream.write_all(&body).ok(),
        }
    }

    fn good(&self, request: &Request, whole: bool) -> (&'static str, Vec<(&'static str, String)>, Vec<u8>) {
        if ["/api/v1/csa/uploads", "/api/v1/bags/uploads"].iter().any(|path| request.path.starts_with(path)) {
            return self.upload(request);
        }
        let Some(body) = self.inner.lock().unwrap().files.get(&request.path).cloned() else {
            return ("404 Not Found", vec![], b"{}".to_vec());
        };
        let from = request
            .headers
            .get("range")
            .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        match from {
            Some(from) if !whole && from < body.len() => {
                let range = format!("bytes {from}-{}/{}", body.len() - 1, body.len());
                ("206 Partial Content", vec![("Content-Range", range)], body[from..].to_vec())
            }
            _ => ("200 OK", vec![], body),
        }
    }

    /// As the registry takes uploads in parts.
    fn upload(&self, request: &Request) -> (&'static str, Vec<(&'static str, String)>, Vec<u8>) {
        let mut inner = self.inner.lock().unwrap();
        let (_, rest) = request.path.split_once("/uploads").unwrap();
        let rest = rest.trim_start_matches('/');
        let status = |id: &str, length: usize, received: usize| {
            format!(r#"{{"upload_id":"{id}","length":{length},"received":{received}}}"#).into_bytes()
        };
        match (request.method.as_str(), rest.split_once('/').unwrap_or((rest, ""))) {
            ("POST", ("", "")) => {
                let length = std::str::from_utf8(&request.body).unwrap();
                let length = length.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
                inner.next_upload += 1;
                let id = format!("{:032x}", inner.next_upload);
                inner.uploads.insert(id.clone(), (length, Vec::new()));
                ("201 Created", vec![], status(&id, length, 0))
            }
            ("GET", (id, "")) => match inner.uploads.get(id) {
                Some((length, bytes)) => ("200 OK", vec![], status(id, *length, bytes.len())),
                None => ("404 Not Found", vec![], vec![]),
            },
            ("PATCH", (id, "")) => {
                let Some((_, bytes)) = inner.uploads.get_mut(id) else {
                    return ("404 Not Found", vec![], vec![]);
                };
                assert_eq!(request.headers["upload-offset"], bytes.len().to_string());
                bytes.extend(&request.body);
                ("204 No Content", vec![], vec![])
            }
            ("POST", (id, "complete")) => {
                let (length, bytes) = inner.uploads.remove(id).unwrap();
                assert_eq!(length, bytes.len(), "all of it came");
                let digest = ArchiveDigest::of(&bytes).id;
                if request.path.starts_with("/api/v1/bags") {
                    let name: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
                    let bag = format!(
                        r#"{{"id":3,"name":{},"digest":"{digest}","size":{length},"site":"cell_1","uploaded_at":"2027-01-01T00:00:00Z"}}"#,
                        name["name"]
                    );
                    inner.bags.push(bytes);
                    return ("201 Created", vec![], bag.into_bytes());
                }
                let artifact = format!(
                    r#"{{"id":7,"digest":"{digest}","skill_name":"pick","version":"1.0.0","size":{length},"status":"active",
                    "signature_verified":true,"signers":["a"],"uploaded_at":"2027-01-01T00:00:00Z","provenance":{{"parent":null,
                    "base_version":null,"training_data":null,"uploaded_by":"x","uploader":"x","notes":{{}}}}}}"#
                );
                ("201 Created", vec![], artifact.into_bytes())
            }
            other => panic!("no such request: {other:?}"),
        }
    }

    /// Archives of the bags that were handed in.
    pub(crate) fn bags(&self) -> Vec<Vec<u8>> {
        self.inner.lock().unwrap().bags.clone()
    }

    /// Forgets the uploads, as a registry does with those that were idle for long.
    pub(crate) fn forget_uploads(&self) {
        self.inner.lock().unwrap().uploads.clear();
    }
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let mut body = Vec::new();
    if let Some(length) = headers.get("content-length").and_then(|length| length.parse().ok()) {
        reader.take(length).read_to_end(&mut body).ok()?;
    }
    Some(Request { method, path, headers, body })
}

/// A repository with one key for each role.
pub(crate) struct Made {
    pub(crate) which: Which,
    pub(crate) repository: Repository,
    keyring: Keyring,
}

impl Made {
    pub(crate) fn new(which: Which, seed: u8) -> Self {
        let mut keyring = Keyring::default();
        let mut role = |offset| NewRole {
            keys: vec![keyring.add(Ed25519Signer::new(SigningKey::from_bytes(&[seed + offset; 32])))],
            threshold: NonZeroU64::MIN,
        };
        let roles = NewRoles { root: role(1), targets: role(2), snapshot: role(3), timestamp: role(4) };
        let lifetimes =
            Lifetimes { root_s: 90 * DAY, targets_s: 30 * DAY, snapshot_s: 9 * DAY, timestamp_s: DAY };
        Self { which, repository: Repository::create(roles, lifetimes), keyring }
    }

    /// Trusts a role of its own with the artifacts of a skill.
    pub(crate) fn delegate(&mut self, skill: &str) {
        let keys = vec![self.keyring.add(Ed25519Signer::new(SigningKey::from_bytes(&[90; 32])))];
        let (name, paths) = (skill.to_owned(), vec![format!("{skill}/*")]);
        let new = NewDelegation { name, keys, threshold: NonZeroU64::MIN, paths, terminating: true };
        self.repository.delegate("targets", &new).unwrap();
    }

    /// Signs what has changed, and lets the server have it.
    pub(crate) fn publish(&mut self, server: &Server, now: i64) -> BTreeMap<String, Vec<u8>> {
        let files = self.repository.publish(&self.keyring, Moment(now)).unwrap();
        let files: BTreeMap<_, _> = files.into_iter().map(|file| (file.name, file.bytes)).collect();
        for (name, bytes) in &files {
            server.put(&format!("/api/v1/update/{}/metadata/{name}", self.which.as_str()), bytes);
        }
        files
    }
}

/// A registry with its repositories, and a cell's folder.
pub(crate) struct Bench {
    pub(crate) server: Server,
    pub(crate) image: Made,
    pub(crate) director: Made,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) key: SigningKey,
    pub(crate) trust: Trust,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let key = SigningKey::from_bytes(&[7; 32]);
        let trusted = TrustedKey {
            key: key.verifying_key(),
            signer: "a".to_owned(),
            roles: [KeyRole::Artifact].into(),
            not_before_unix: None,
            not_after_unix: None,
            revoked: false,
        };
        let folder = tempfile::tempdir().unwrap();
        let mut bench = Self {
            server: Server::start(),
            image: Made::new(Which::Image, 10),
            director: Made::new(Which::Director, 20),
            folder,
            key,
            trust: Trust { threshold: 1, keys: vec![trusted] },
        };
        for (made, name) in
            [(&mut bench.image, "image_root.json"), (&mut bench.director, "director_root.json")]
        {
            let files = made.publish(&bench.server, NOW);
            std::fs::write(bench.folder.path().join(name), &files["1.root.json"]).unwrap();
        }
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An archive in the registry, signed, and in the image repository.
    pub(crate) fn artifact(&mut self, version: &str, bytes: &[u8]) -> ArtifactId {
        let digest = ArchiveDigest::of(bytes);
        let mut signatures = SignatureFile::empty();
        signatures.sign(&digest.signing_digest(), &self.key, "a");
        self.server.put(&format!("/api/v1/csa/{}/download", digest.id), bytes);
        self.server.put(&format!("/api/v1/csa/{}/signature", digest.id), signatures.to_yaml().as_bytes());
        self.image.repository.set_target("targets", &path(version), TargetFile::of(bytes)).unwrap();
        self.image.publish(&self.server, NOW);
        digest.id
    }

    pub(crate) fn assign(&mut self, version: &str, bytes: &[u8]) {
        director::forget(&mut self.director.repository, CELL).unwrap();
        self.assign_too(version, bytes);
    }

    /// Nothing is assigned any more, and this is to be left.
    pub(crate) fn send_away(&mut self, version: &str, bytes: &[u8]) {
        let director = &mut self.director.repository;
        director::forget(director, CELL).unwrap();
        director::send_away(director, CELL, &path(version), &TargetFile::of(bytes)).unwrap();
        self.director.publish(&self.server, NOW);
    }

    pub(crate) fn assign_too(&mut self, version: &str, bytes: &[u8]) {
        director::assign(&mut self.director.repository, CELL, &path(version), &TargetFile::of(bytes))
            .unwrap();
        self.director.publish(&self.server, NOW);
    }

    pub(crate) fn repositories(&self) -> Repositories {
        let open = |which: Which, root: &str| {
            let folder = self.path(&format!("metadata/{}", which.as_str()));
            Client::open(which, &folder, &self.path(root), self.server.connection()).unwrap()
        };
        Repositories::new(
            open(Which::Image, "image_root.json"),
            open(Which::Director, "director_root.json"),
            CELL,
        )
    }

    pub(crate) fn cache(&self) -> Cache {
        Cache::open(&self.path("cache")).unwrap()
    }
}

pub(crate) fn path(version: &str) -> swarm_tuf::TargetPath {
    format!("pick/pick_v{version}.tar.gz").parse().unwrap()
}

/// Bytes that are not the same everywhere.
pub(crate) fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * n / 7 % 251) as u8).collect()
}

/// Archives of these tests are plain bytes, so that a delta is applied to them as they are.
pub(crate) fn apply_delta(base: &Path, delta: &Path, _: ArtifactId, output: &Path) -> Result<(), String> {
    let made = File::create(output).map_err(|error| error.to_string())?;
    let (base, delta) = (File::open(base).unwrap(), File::open(delta).unwrap());
    apply(delta, base, made, Limits { max_result: 1_000_000 }).map(drop).map_err(|error| error.to_string())
}
