//! Metadata beside python-tuf, the specification's reference implementation; see `tests/tuf/peer.py`.
//!
//! Needs the feature `peer-tests`, and Python with `tuf` and `securesystemslib[crypto]`; `SWARM_TEST_PYTHON` names the
//! interpreter.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use common::{Server, path, signer};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use swarm_tuf::{
    Client, Fetch, Host, Json, Limits, Mode, Moment, Refusal, Signer, TargetFile, find, refresh,
};

fn peer(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new(std::env::var_os("SWARM_TEST_PYTHON").unwrap_or_else(|| "python3".into()));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/tuf/peer.py")).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn now() -> Moment {
    Moment(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed())
}

/// A folder as a web server has it.
struct Folder<'a> {
    server: &'a Path,
    local: BTreeMap<String, Vec<u8>>,
}

impl Host for Folder<'_> {
    type Error = Refusal;

    fn load(&mut self, file: &str) -> Result<Option<Vec<u8>>, Refusal> {
        Ok(self.local.get(file).cloned())
    }

    fn fetch(&mut self, fetch: &Fetch) -> Result<Option<Vec<u8>>, Refusal> {
        Ok(fs::read(self.server.join("metadata").join(&fetch.file)).ok())
    }

    fn store(&mut self, file: &str, bytes: &[u8]) -> Result<(), Refusal> {
        self.local.insert(file.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn remove(&mut self, file: &str) -> Result<(), Refusal> {
        self.local.remove(file);
        Ok(())
    }
}

/// Publishes into the folder, and has python-tuf update from it as a new client.
fn python_reads(server: &mut Server, folder: &Path, targets: &[(&str, &str, &str)]) -> Value {
    fs::create_dir_all(folder.join("metadata")).unwrap();
    for (role, name, bytes) in targets {
        let file = TargetFile::of(bytes.as_bytes());
        let digest = file.hashes["sha256"].clone();
        server.repository.set_target(role, &path(name), file).unwrap();
        let (head, last) = name.rsplit_once('/').map_or(("", *name), |(head, last)| (head, last));
        fs::create_dir_all(folder.join("targets").join(head)).unwrap();
        fs::write(folder.join("targets").join(head).join(format!("{digest}.{last}")), bytes).unwrap();
    }
    server.publish();
    for (name, bytes) in &server.files {
        fs::write(folder.join("metadata").join(name), bytes).unwrap();
    }
    let mut arguments = vec!["read", folder.to_str().unwrap()];
    arguments.extend(targets.iter().map(|(_, name, _)| *name));
    serde_json::from_slice(&peer(&arguments, b"")).unwrap()
}

#[test]
fn python_tuf_takes_what_is_written_here() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::new();
    server.now = now();
    server.skill("pick", 10);
    server.delegate("pick", "pick é/\u{1f600}", 11, &["skills/pick/beta*"]);
    let read = python_reads(
        &mut server,
        folder.path(),
        &[
            ("targets", "top.gz", "top"),
            ("pick", "skills/pick/a b.gz", "pick"),
            ("pick é/\u{1f600}", "skills/pick/beta\u{301}.gz", "beta"),
        ],
    );
    let names = ["top.gz", "skills/pick/a b.gz", "skills/pick/beta\u{301}.gz"];
    assert_eq!(names.map(|name| read["targets"][name].clone()), ["top", "pick", "beta"].map(Value::from));

    // Every role changes its keys, two of three sign the root, and the target goes back to what it was.
    for (role, seed) in [("timestamp", 20), ("snapshot", 21), ("targets", 22), ("pick", 23)] {
        server.rotate(role, seed);
    }
    let people: Vec<_> =
        [30, 31, 32].into_iter().map(|seed| server.keyring.add(signer(seed).created(server.now))).collect();
    server.repository.set_keys("root", &people, 2.try_into().unwrap()).unwrap();
    let newer = python_reads(&mut server, folder.path(), &[("pick", "skills/pick/a b.gz", "pick 1.1")]);
    assert_eq!(newer["targets"]["skills/pick/a b.gz"], "pick 1.1");
    let back = python_reads(&mut server, folder.path(), &[("pick", "skills/pick/a b.gz", "pick")]);
    assert_eq!(back["targets"]["skills/pick/a b.gz"], "pick");
    assert_eq!(back["versions"], json!({"root": 2, "timestamp": 3, "snapshot": 3, "targets": 2}));
    assert!(people[0].created_at().is_some() && signer(1).public().created_at().is_none());
}

#[test]
fn what_python_tuf_writes_is_taken_here() {
    let folder = tempfile::tempdir().unwrap();
    let server = folder.path().join("repository");
    peer(&["write", server.to_str().unwrap()], b"");
    let root = fs::read(server.join("metadata/1.root.json")).unwrap();
    let mut host = Folder { server: &server, local: BTreeMap::new() };
    let mut client = Client::new(&root, now(), Mode::Online, Limits::default()).unwrap();
    refresh(&mut client, &mut host).unwrap();
    assert_eq!(client.root().version(), 2);
    for (name, role, bytes) in [
        ("top", "targets", "top"),
        ("skills/pick/a b.gz", "skills/pick", "pick"),
        ("other/x", "digest", "by digest"),
        ("bins/a1", "bin-", "bins/a1"),
        ("bins/b2", "bin-", "bins/b2"),
        ("bins/c3", "bin-", "bins/c3"),
    ] {
        let target = find(&mut client, &mut host, &path(name)).unwrap();
        assert!(target.role.starts_with(role), "{name} from {}", target.role);
        let mut check = target.check().unwrap();
        check.update(bytes.as_bytes()).unwrap();
        check.finish().unwrap();
    }
    for name in ["bins/d4", "nope", "skills/pick/b/c"] {
        assert_eq!(find(&mut client, &mut host, &path(name)).unwrap_err().code(), "no_such_target", "{name}");
    }
    // What it wrote into the folder is enough without the server, byte for byte.
    let root = host.local["root.json"].clone();
    let mut client = Client::new(&root, now(), Mode::Offline { grace_s: 0 }, Limits::default()).unwrap();
    let mut host = Folder { server: Path::new("/nonexistent"), ..host };
    refresh(&mut client, &mut host).unwrap();
    find(&mut client, &mut host, &path("skills/pick/a b.gz")).unwrap();
    assert_eq!(host.local["targets.json"], fs::read(server.join("metadata/1.targets.json")).unwrap());
}

#[test]
fn canonical_bytes_are_those_of_securesystemslib() {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[\\PC\\n\"\\\\\u{301}]*".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    let mut runner = TestRunner::default();
    let values: Vec<Value> = (0..400).map(|_| value.new_tree(&mut runner).unwrap().current()).collect();
    let text = serde_json::to_vec(&values).unwrap();
    let theirs = String::from_utf8(peer(&["canonical"], &text)).unwrap();
    assert!(
        theirs.trim() == hex::encode(Json::parse(&text).unwrap().canonical()),
        "they differ on {values:?}"
    );
}
