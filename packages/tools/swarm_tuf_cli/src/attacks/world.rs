//! A repository with its server on the loopback, and a cell with its folders. The thief writes what the server serves, and
//! signs with the keys that were stolen.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use swarm_tuf::repository::{Keyring, Lifetimes, NewDelegation, NewRole, NewRoles, Repository};
use swarm_tuf::{
    Client, Draft, Ed25519Signer, Key, Limits, MetaFile, Metadata, Mode, Moment, ROOT, SNAPSHOT, Signed,
    Signer, TARGETS, TIMESTAMP, Target, TargetFile, TargetPath, director, encoded, find, local_file, refresh,
    remote_file,
};

use crate::{Folder, HostError, Server, Update, download};

pub(crate) const DAY: i64 = 86_400;
pub(crate) const NOW: Moment = Moment(1_800_000_000);
pub(crate) const LIFETIMES: Lifetimes =
    Lifetimes { root_s: 365 * DAY, targets_s: 90 * DAY, snapshot_s: 7 * DAY, timestamp_s: DAY };

pub(crate) type Outcome<T = ()> = Result<T, String>;

#[expect(clippy::needless_pass_by_value, reason = "goes into map_err, which gives it away")]
pub(crate) fn say(problem: impl ToString) -> String {
    problem.to_string()
}

pub(crate) fn path(path: &str) -> Outcome<TargetPath> {
    path.parse().map_err(say)
}

/// A key that everybody in this world can make who knows its number; who is said to have stolen it, uses it.
pub(crate) fn key(number: u8) -> Ed25519Signer {
    Ed25519Signer::new(SigningKey::from_bytes(&[number; 32]))
}

/// What the server answers with.
#[derive(Clone)]
pub(crate) enum Reply {
    File(Vec<u8>),
    /// Bytes without an end, and no word of how many.
    Endless,
    /// One byte every 20 ms.
    Trickle,
}

type Files = Arc<Mutex<BTreeMap<String, Reply>>>;

/// A repository and its server.
pub(crate) struct Site {
    pub(crate) repository: Repository,
    pub(crate) keyring: Keyring,
    files: Files,
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Keys of a new site: two of three for root, two of two for targets, one each for snapshot and timestamp.
pub(crate) const ROOT_KEYS: [u8; 3] = [1, 2, 3];
pub(crate) const TARGETS_KEYS: [u8; 2] = [4, 5];
pub(crate) const SNAPSHOT_KEY: u8 = 6;
pub(crate) const TIMESTAMP_KEY: u8 = 7;
/// Of the skill `pick`, which provides `skills/pick/*`.
pub(crate) const PICK_KEY: u8 = 8;

impl Site {
    /// An image repository, with a role of its own for the skill `pick`.
    pub(crate) fn new() -> Outcome<Self> {
        Self::build(true)
    }

    /// A director, which delegates to nobody.
    pub(crate) fn director() -> Outcome<Self> {
        Self::build(false)
    }

    fn build(delegates: bool) -> Outcome<Self> {
        let mut keyring = Keyring::default();
        let mut role = |numbers: &[u8], threshold: u64| NewRole {
            keys: numbers.iter().map(|number| keyring.add(key(*number))).collect(),
            threshold: NonZeroU64::MIN.saturating_add(threshold - 1),
        };
        let roles = NewRoles {
            root: role(&ROOT_KEYS, 2),
            targets: role(&TARGETS_KEYS, 2),
            snapshot: role(&[SNAPSHOT_KEY], 1),
            timestamp: role(&[TIMESTAMP_KEY], 1),
        };
        let pick = NewDelegation {
            name: "pick".to_owned(),
            keys: vec![keyring.add(key(PICK_KEY))],
            threshold: NonZeroU64::MIN,
            paths: vec!["skills/pick/*".to_owned()],
            terminating: true,
        };
        let mut repository = Repository::create(roles, LIFETIMES);
        if delegates {
            repository.delegate(TARGETS, &pick).map_err(say)?;
        }
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(say)?;
        let address = listener.local_addr().map_err(say)?;
        let (files, stop) = (Files::default(), Arc::new(AtomicBool::new(false)));
        let thread = {
            let (files, stop) = (Arc::clone(&files), Arc::clone(&stop));
            thread::spawn(move || serve(&listener, &files, &stop))
        };
        let mut site = Self { repository, keyring, files, address, stop, thread: Some(thread) };
        site.publish(NOW)?;
        Ok(site)
    }

    /// Puts a target on the server and into the metadata of a role.
    pub(crate) fn put(&mut self, role: &str, name: &str, bytes: &[u8]) -> Outcome {
        let (path, file) = (path(name)?, TargetFile::of(bytes));
        let remote = path.remote_file(file.hashes.get("sha256").map(String::as_str));
        self.repository.set_target(role, &path, file).map_err(say)?;
        self.serve_target(&remote, Reply::File(bytes.to_vec()));
        Ok(())
    }

    pub(crate) fn publish(&mut self, now: Moment) -> Outcome {
        for file in self.repository.publish(&self.keyring, now).map_err(say)? {
            self.serve_metadata(&file.name, Reply::File(file.bytes));
        }
        Ok(())
    }

    /// Gives a role one other key, or as many as numbers are given, all of which must sign.
    pub(crate) fn rotate(&mut self, role: &str, numbers: &[u8]) -> Outcome {
        let keys: Vec<Key> = numbers.iter().map(|number| self.keyring.add(key(*number))).collect();
        let threshold = NonZeroU64::new(numbers.len() as u64).ok_or("no key")?;
        self.repository.set_keys(role, &keys, threshold).map_err(say)
    }

    pub(crate) fn serve_metadata(&self, name: &str, reply: Reply) {
        self.files().insert(format!("/metadata/{name}"), reply);
    }

    pub(crate) fn serve_target(&self, name: &str, reply: Reply) {
        self.files().insert(format!("/targets/{name}"), reply);
    }

    /// Everything that the server has now, for a thief who keeps it.
    pub(crate) fn recording(&self) -> BTreeMap<String, Reply> {
        self.files().clone()
    }

    pub(crate) fn replay(&self, recording: BTreeMap<String, Reply>) {
        *self.files() = recording;
    }

    pub(crate) fn metadata(&self, name: &str) -> Outcome<Vec<u8>> {
        match self.files().get(&format!("/metadata/{name}")) {
            Some(Reply::File(bytes)) => Ok(bytes.clone()),
            _ => Err(format!("the server has no {name}")),
        }
    }

    /// The name of a role's newest file on the server.
    pub(crate) fn newest(&self, role: &str) -> Outcome<String> {
        let version = match role {
            TIMESTAMP => return Ok(remote_file(TIMESTAMP, None)),
            ROOT => self.repository.root().head.version.get(),
            SNAPSHOT => self.repository.snapshot().ok_or("no snapshot")?.version(),
            role => self.repository.role(role).map_err(say)?.head.version.get(),
        };
        Ok(remote_file(role, Some(version)))
    }

    /// Metadata of this role as a thief would have it, signed with what was stolen.
    pub(crate) fn forge<T: Metadata>(
        &self,
        role: &str,
        keys: &[u8],
        edit: impl FnOnce(&mut T),
    ) -> Outcome<Vec<u8>> {
        let name = self.newest(role)?;
        let signed = Signed::<T>::parse(role, &name, &self.metadata(&name)?).map_err(say)?;
        let mut body = signed.body().clone();
        edit(&mut body);
        let mut draft = Draft::new(body);
        for number in keys {
            let signer = key(*number);
            let signature = signer.sign(&draft.signing_bytes())?;
            draft.add(signer.public().id(), &signature);
        }
        Ok(draft.to_bytes())
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Reply>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn server(&self, folder: &str) -> Server {
        Server::new(&format!("http://{}/{folder}", self.address))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address); // wakes `accept`
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What one file of metadata says of another, without length and digests, as a thief may leave them out.
pub(crate) fn version_only(version: u64) -> Outcome<MetaFile> {
    let version = NonZeroU64::new(version).ok_or("version 0")?;
    Ok(MetaFile { version, length: None, hashes: None })
}

fn serve(listener: &TcpListener, files: &Files, stop: &Arc<AtomicBool>) {
    for stream in listener.incoming() {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let (files, stop) = (Arc::clone(files), Arc::clone(stop));
        if let Ok(stream) = stream {
            // A client that hangs up is the end of an answer, and no error.
            thread::spawn(move || answer(&stream, &files, &stop));
        }
    }
}

fn answer(mut stream: &TcpStream, files: &Files, stop: &AtomicBool) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let file = request.split(' ').nth(1).unwrap_or_default();
    let reply = files.lock().unwrap_or_else(PoisonError::into_inner).get(file).cloned();
    let head = |status: &str, length: &str| {
        format!("HTTP/1.1 {status}\r\n{length}Connection: close\r\n\r\n").into_bytes()
    };
    match reply {
        None => stream.write_all(&head("404 Not Found", "Content-Length: 0\r\n")),
        Some(Reply::File(bytes)) => {
            stream.write_all(&head("200 OK", &format!("Content-Length: {}\r\n", bytes.len())))?;
            stream.write_all(&bytes)
        }
        Some(Reply::Endless) => {
            stream.write_all(&head("200 OK", ""))?;
            while !stop.load(Ordering::SeqCst) {
                stream.write_all(&[b'x'; 4_096])?;
            }
            Ok(())
        }
        Some(Reply::Trickle) => {
            stream.write_all(&head("200 OK", "Content-Length: 10000\r\n"))?;
            while !stop.load(Ordering::SeqCst) {
                stream.write_all(b"x")?;
                thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        }
    }
}

/// A cell that was set up with the first root of each repository that it follows.
pub(crate) struct Cell {
    folder: tempfile::TempDir,
    pub(crate) now: Moment,
    pub(crate) limits: Limits,
}

impl Cell {
    pub(crate) const ID: &'static str = "bench_01";

    pub(crate) fn new() -> Outcome<Self> {
        // Loopback is fast; a patience of 20 s would be waited for.
        let limits =
            Limits { patience: Duration::from_millis(700), bytes_per_s: 50_000_000, ..Limits::default() };
        Ok(Self { folder: tempfile::tempdir().map_err(say)?, now: NOW, limits })
    }

    /// Updates from one repository, and gets a target.
    pub(crate) fn get(&self, site: &Site, name: &str) -> Result<Vec<u8>, HostError> {
        let target = self.find(site, "image", name)?;
        self.fetch(site, &target)
    }

    /// Updates from the director and then from the image repository, and gets what both say.
    pub(crate) fn get_assigned(
        &self,
        director: &Site,
        image: &Site,
    ) -> Result<BTreeMap<String, Vec<u8>>, HostError> {
        let folder = self.begin(director, "director")?;
        let mut client = self.client(&folder)?;
        refresh(&mut client, &mut Update { folder: &folder, server: &director.server("metadata") })?;
        let targets = client.targets().map(|targets| targets.body().clone());
        let assigned = targets.map(|targets| director::assigned(&targets, Self::ID)).transpose()?;
        let mut got = BTreeMap::new();
        for (path, file) in assigned.unwrap_or_default() {
            let target = self.find(image, "image", path.as_str())?;
            director::agree(&path, &file, &target)?;
            got.insert(path.to_string(), self.fetch(image, &target)?);
        }
        Ok(got)
    }

    /// What is in the folder of targets, whatever an update said.
    pub(crate) fn on_disk(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.folder.path().join("targets").join(encoded(name))).ok()
    }

    fn find(&self, site: &Site, repository: &str, name: &str) -> Result<Target, HostError> {
        let folder = self.begin(site, repository)?;
        let mut client = self.client(&folder)?;
        let server = site.server("metadata");
        let mut update = Update { folder: &folder, server: &server };
        refresh(&mut client, &mut update)?;
        let path: TargetPath =
            name.parse().map_err(|_| swarm_tuf::Refusal::NoSuchTarget { path: name.to_owned() })?;
        find(&mut client, &mut update, &path)
    }

    fn fetch(&self, site: &Site, target: &Target) -> Result<Vec<u8>, HostError> {
        let folder = self.folder.path().join("targets");
        let file = download(&site.server("targets"), target, &self.limits, &folder)?;
        fs::read(&file).map_err(HostError::at("read", &file))
    }

    /// The folder of a repository, with its first root if this is the first time.
    fn begin(&self, site: &Site, repository: &str) -> Result<Folder, HostError> {
        let folder = Folder::open(&self.folder.path().join(repository))?;
        if folder.load(&local_file(ROOT))?.is_none() {
            folder.store(&local_file(ROOT), &site.metadata("1.root.json").unwrap_or_default())?;
        }
        Ok(folder)
    }

    fn client(&self, folder: &Folder) -> Result<Client, HostError> {
        let root = folder.load(&local_file(ROOT))?.unwrap_or_default();
        Ok(Client::new(&root, self.now, Mode::Online, self.limits)?)
    }
}
