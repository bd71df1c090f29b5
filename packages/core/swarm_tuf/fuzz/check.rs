//! What must hold for every input. Used by the fuzz target and by `tests/any_bytes.rs`.
#![allow(dead_code)] // the fuzz target uses one of them

use std::num::NonZeroU64;
use std::sync::LazyLock;

use ed25519_dalek::SigningKey;
use swarm_tuf::repository::{Keyring, Lifetimes, NewRole, NewRoles, Repository};
use swarm_tuf::{
    Answer, Client, DelegatedRole, Draft, Ed25519Signer, Json, Limits, Metadata, Mode, Moment, Root, Signed,
    Snapshot, Step, Targets, Timestamp,
};

const NOW: Moment = Moment(1_800_000_000);

/// Metadata of any kind: it is refused with a text, or reads the same again after it was written. As the first root, and as
/// the answer of a server to every question, it leads to an end, and nothing is believed that is not signed.
pub(crate) fn metadata(bytes: &[u8]) {
    if let Ok(json) = Json::parse(bytes) {
        let written = serde_json::to_vec(&json).unwrap();
        assert_eq!(Json::parse(&written).unwrap(), json);
    }
    again::<Root>("root", bytes);
    again::<Timestamp>("timestamp", bytes);
    again::<Snapshot>("snapshot", bytes);
    again::<Targets>("targets", bytes);
    if let Ok(mut client) = Client::new(bytes, NOW, Mode::Online, Limits::default()) {
        drive(&mut client, bytes);
    }
    let (mut client, _) = honest();
    drive(&mut client, bytes);
    assert!(client.targets().is_none(), "the bytes were believed as every role");
}

fn again<T: Metadata + PartialEq + std::fmt::Debug>(role: &str, bytes: &[u8]) {
    match Signed::<T>::parse(role, "input", bytes) {
        Ok(signed) => {
            let body = signed.body().clone();
            let written = Draft::from(signed).to_bytes();
            assert_eq!(*Signed::<T>::parse(role, "input", &written).unwrap().body(), body);
        }
        Err(refusal) => assert!(!refusal.to_string().is_empty()),
    }
}

/// Answers every question with the same bytes.
fn drive(client: &mut Client, bytes: &[u8]) {
    let mut answer = Answer::Done;
    for _ in 0..10_000 {
        answer = match client.step(answer) {
            Ok(Step::Load { .. } | Step::Fetch(_)) => Answer::Bytes(bytes.to_vec()),
            Ok(Step::Store { .. } | Step::Remove { .. }) => Answer::Done,
            Ok(Step::Refreshed | Step::Found(_)) | Err(_) => return,
        };
    }
    panic!("an update does not end");
}

/// A client that believes an honest root, and that repository's next root.
fn honest() -> (Client, &'static [u8]) {
    static ROOTS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(roots);
    let [first, second] = &*ROOTS;
    (Client::new(first, NOW, Mode::Online, Limits::default()).unwrap(), second)
}

fn roots() -> [Vec<u8>; 2] {
    let mut keyring = Keyring::default();
    let mut role = |seed| NewRole {
        keys: vec![keyring.add(Ed25519Signer::new(SigningKey::from_bytes(&[seed; 32])))],
        threshold: NonZeroU64::MIN,
    };
    let roles = NewRoles { root: role(1), targets: role(2), snapshot: role(3), timestamp: role(4) };
    let lifetimes = Lifetimes { root_s: 1_000, targets_s: 1_000, snapshot_s: 1_000, timestamp_s: 1_000 };
    let mut repository = Repository::create(roles, lifetimes);
    let first = repository.publish(&keyring, NOW).unwrap().swap_remove(0);
    repository.touch("root").unwrap();
    let second = repository.publish(&keyring, NOW).unwrap().swap_remove(0);
    assert_eq!((first.name.as_str(), second.name.as_str()), ("1.root.json", "2.root.json"));
    [first.bytes, second.bytes]
}

/// A root in which one byte was changed is believed only if it says the same.
pub(crate) fn signature_holds(at: usize, byte: u8) {
    let (mut client, root) = honest();
    let mut changed = root.to_vec();
    let at = at % changed.len();
    changed[at] = byte;
    let same =
        |bytes: &[u8]| Signed::<Root>::parse("root", "input", bytes).map(|root| root.body().clone()).ok();
    let says_the_same = same(&changed) == same(root);
    assert!(matches!(client.step(Answer::Done), Ok(Step::Fetch(_))));
    if client.step(Answer::Bytes(changed)).is_ok() {
        assert!(says_the_same, "byte {at} was changed to {byte}");
    }
}

/// A path is provided or not; by a pattern without special characters only if both are the same.
pub(crate) fn pattern(pattern: &str, path: &str) {
    let role = DelegatedRole {
        name: "role".to_owned(),
        keyids: Vec::new(),
        threshold: NonZeroU64::MIN,
        terminating: false,
        paths: Some(vec![pattern.to_owned()]),
        path_hash_prefixes: None,
    };
    let provided = role.may_provide(path);
    if !pattern.contains(['*', '?', '[']) {
        assert_eq!(provided, pattern == path);
    }
    if provided {
        assert_eq!(pattern.matches('/').count(), path.matches('/').count(), "'{pattern}' on '{path}'");
    }
}
