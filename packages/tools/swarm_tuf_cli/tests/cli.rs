//! The command `tuf` against a server on the loopback.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::num::NonZeroU64;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use ed25519_dalek::SigningKey;
use swarm_tuf::repository::{Keyring, Lifetimes, NewRole, NewRoles, Repository};
use swarm_tuf::{Ed25519Signer, Moment, TargetFile};

const DAY: i64 = 86_400;

struct Server {
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    asked: Arc<Mutex<Vec<String>>>,
    url: String,
}

impl Server {
    /// With one target in a folder, and a name that a URL cannot have as it is.
    fn start() -> Self {
        let mut keyring = Keyring::default();
        let mut role = |seed| NewRole {
            keys: vec![keyring.add(Ed25519Signer::new(SigningKey::from_bytes(&[seed; 32])))],
            threshold: NonZeroU64::MIN,
        };
        let roles = NewRoles { root: role(1), targets: role(2), snapshot: role(3), timestamp: role(4) };
        let lifetimes =
            Lifetimes { root_s: 9 * DAY, targets_s: 9 * DAY, snapshot_s: 9 * DAY, timestamp_s: DAY };
        let mut repository = Repository::create(roles, lifetimes);
        let path = "skills/pick up.gz".parse().unwrap();
        let file = TargetFile::of(b"an archive");
        let digest = file.hashes["sha256"].clone();
        repository.set_target("targets", &path, file).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
        let files = repository.publish(&keyring, Moment(now)).unwrap();
        let mut files: BTreeMap<String, Vec<u8>> =
            files.into_iter().map(|file| (format!("/m/{}", file.name), file.bytes)).collect();
        files.insert(format!("/t/skills/{digest}.pick%20up.gz"), b"an archive".to_vec());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { files: Arc::new(Mutex::new(files)), asked: Arc::default(), url };
        let (files, asked) = (Arc::clone(&server.files), Arc::clone(&server.asked));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let Some(Ok(request)) = lines.next() else { continue };
                while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                let file = request.split(' ').nth(1).unwrap().to_owned();
                let reply = files.lock().unwrap().get(&file).cloned();
                asked.lock().unwrap().push(file);
                let (status, body) = reply.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
            }
        });
        server
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn tuf(folder: &Path, server: &Server, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tuf"));
    command.arg("--metadata-dir").arg(folder.join("metadata"));
    command.arg("--metadata-url").arg(format!("{}/m/", server.url));
    command.arg("--target-base-url").arg(format!("{}/t/", server.url));
    command.arg("--target-dir").arg(folder.join("targets")).args(arguments);
    command.output().unwrap()
}

fn fails(output: &Output, expected: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(expected), "{said}");
}

#[test]
fn a_target_is_downloaded_once_and_verified_each_time() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let root = folder.path().join("trusted.json");
    std::fs::write(&root, &server.files.lock().unwrap()["/m/1.root.json"]).unwrap();
    let download = ["download", "--target-name", "skills/pick up.gz"];

    fails(&tuf(folder.path(), &server, &["refresh"]), "the folder believes no root yet");
    let init = tuf(folder.path(), &server, &["init", root.to_str().unwrap()]);
    assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
    fails(&tuf(folder.path(), &server, &["init", root.to_str().unwrap()]), "believes a root already");
    assert_eq!(server.asked(), [""; 0]);

    let first = tuf(folder.path(), &server, &download);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let file = folder.path().join("targets/skills%2Fpick%20up.gz");
    assert_eq!(String::from_utf8(first.stdout).unwrap().trim(), file.to_str().unwrap());
    assert_eq!(std::fs::read(&file).unwrap(), b"an archive");
    let targets_asked =
        |server: &Server| server.asked().iter().filter(|file| file.starts_with("/t/")).count();
    assert_eq!(targets_asked(&server), 1);

    assert!(tuf(folder.path(), &server, &download).status.success());
    assert_eq!(targets_asked(&server), 0);
    std::fs::write(&file, b"an archivE").unwrap();
    assert!(tuf(folder.path(), &server, &download).status.success());
    assert_eq!((targets_asked(&server), std::fs::read(&file).unwrap()), (1, b"an archive".to_vec()));

    fails(&tuf(folder.path(), &server, &["download", "--target-name", "other"]), "'other'");
    fails(&tuf(folder.path(), &server, &["download", "--target-name", "../x"]), "is no path of a target");
    // Nothing half-written is left.
    let mut names: Vec<_> = std::fs::read_dir(folder.path().join("metadata"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, [".lock", "root.json", "snapshot.json", "targets.json", "timestamp.json"]);
}

#[test]
fn a_folder_is_updated_by_one_process_at_a_time() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let held = swarm_tuf_cli::Folder::open(&folder.path().join("metadata")).unwrap();
    fails(&tuf(folder.path(), &server, &["refresh"]), "another process works in");
    drop(held);
    fails(&tuf(folder.path(), &server, &["refresh"]), "believes no root yet");
}

#[test]
fn a_root_that_does_not_sign_itself_is_not_begun_with() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let root = folder.path().join("trusted.json");
    let text = String::from_utf8(server.files.lock().unwrap()["/m/1.root.json"].clone()).unwrap();
    std::fs::write(&root, text.replace("\"version\":1", "\"version\":2")).unwrap();
    fails(
        &tuf(folder.path(), &server, &["init", root.to_str().unwrap()]),
        "root is signed by 0 of the 1 keys",
    );
}
