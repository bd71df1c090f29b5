//! One cell and one repository in memory.

mod common;

use common::{Cell, DAY, Server, path, signer};
use swarm_tuf::{Limits, Mode, Refusal, Signer, TargetFile};

#[test]
fn a_target_is_found_with_its_role_and_verified() {
    let mut server = Server::new();
    server.skill("pick", 10);
    server.publish_target("pick", "skills/pick/a.gz", b"an archive");
    let mut cell = Cell::new(&server);
    let target = cell.find(&server, "skills/pick/a.gz").unwrap();
    assert_eq!((target.role.as_str(), target.file.length), ("pick", 10));
    let digest = &target.file.hashes["sha256"];
    assert_eq!(target.remote_file(), format!("skills/pick/{digest}.a.gz"));
    let mut check = target.check().unwrap();
    check.update(b"an archivE").unwrap();
    assert_eq!(check.finish().unwrap_err().code(), "digest");
    assert_eq!(target.check().unwrap().update(b"an archive!").unwrap_err().code(), "endless_data");
    assert_eq!(target.check().unwrap().finish().unwrap_err().code(), "length");
}

#[test]
fn nothing_is_fetched_twice() {
    let mut server = Server::new();
    server.skill("pick", 10);
    server.skill("place", 11);
    server.publish_target("pick", "skills/pick/a.gz", b"an archive");
    let mut cell = Cell::new(&server);
    cell.find(&server, "skills/pick/a.gz").unwrap();
    assert_eq!(
        cell.fetched(),
        ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json", "1.pick.json"]
    );
    cell.find(&server, "skills/pick/a.gz").unwrap();
    assert_eq!(cell.fetched(), ["2.root.json", "timestamp.json"]);
    server.publish_target("place", "skills/place/b.gz", b"another");
    cell.find(&server, "skills/pick/a.gz").unwrap();
    assert_eq!(cell.fetched(), ["2.root.json", "timestamp.json", "2.snapshot.json"]);
}

#[test]
fn without_a_network_the_folder_is_enough_until_the_grace_ends() {
    let mut server = Server::new();
    server.publish_target("targets", "a.gz", b"an archive");
    let mut cell = Cell::new(&server);
    cell.mode = Mode::Offline { grace_s: 0 };
    assert_eq!(cell.find(&server, "a.gz").unwrap_err().code(), "not_here");
    cell.mode = Mode::Online;
    cell.find(&server, "a.gz").unwrap();
    cell.fetched();
    cell.mode = Mode::Offline { grace_s: 5 * DAY };
    cell.now = cell.now.plus(6 * DAY - 1); // the timestamp is good for a day
    cell.find(&server, "a.gz").unwrap();
    cell.now = cell.now.plus(1);
    let refusal = cell.find(&server, "a.gz").unwrap_err();
    assert_eq!(refusal.code(), "expired");
    assert_eq!(cell.fetched(), [""; 0]);
}

#[test]
fn a_damaged_folder_is_mended_with_a_network_and_refused_without() {
    let mut server = Server::new();
    server.publish_target("targets", "a.gz", b"an archive");
    let mut cell = Cell::new(&server);
    for file in ["timestamp.json", "snapshot.json", "targets.json"] {
        cell.find(&server, "a.gz").unwrap();
        cell.folder.get_mut(file).unwrap().truncate(40);
        cell.mode = Mode::Offline { grace_s: 0 };
        cell.find(&server, "a.gz").unwrap_err();
        cell.mode = Mode::Online;
        cell.find(&server, "a.gz").unwrap();
    }
}

#[test]
fn a_crash_at_any_change_of_the_folder_leaves_a_cell_that_can_update() {
    for crash_at in 0.. {
        let mut server = Server::new();
        server.publish_target("targets", "a.gz", b"an archive");
        let mut cell = Cell::new(&server);
        cell.find(&server, "a.gz").unwrap();
        // An attacker with the snapshot key counts up; the recovery goes back, with other keys for the snapshot alone.
        let honest = server.repository.clone();
        for _ in 0..5 {
            server.repository.touch("snapshot").unwrap();
            server.publish();
        }
        cell.find(&server, "a.gz").unwrap();
        server.repository = honest;
        server.rotate("snapshot", 77);
        server.publish();
        cell.crash_after = Some(crash_at);
        let crashed = cell.find(&server, "a.gz").is_err();
        cell.crash_after = None;
        cell.find(&server, "a.gz").unwrap();
        if !crashed {
            assert!(crash_at >= 5, "the recovery makes five changes or more");
            return;
        }
    }
}

#[test]
fn adding_a_key_does_not_make_a_cell_forget() {
    let mut server = Server::new();
    server.publish_target("targets", "a.gz", b"an archive");
    let old = server.files["timestamp.json"].clone();
    server.publish();
    let mut cell = Cell::new(&server);
    cell.find(&server, "a.gz").unwrap();
    server.add_key("timestamp", 88);
    server.publish();
    server.files.insert("timestamp.json".to_owned(), old);
    assert!(matches!(cell.find(&server, "a.gz").unwrap_err(), Refusal::Rollback { .. }));
}

#[test]
fn a_withdrawn_target_is_not_found_and_a_rollback_is_newer_metadata() {
    let mut server = Server::new();
    server.publish_target("targets", "pick", b"v1.0.0");
    let mut cell = Cell::new(&server);
    let first = cell.find(&server, "pick").unwrap();
    server.publish_target("targets", "pick", b"v1.1.0");
    assert_ne!(cell.find(&server, "pick").unwrap().file, first.file);
    server.publish_target("targets", "pick", b"v1.0.0");
    assert_eq!(cell.find(&server, "pick").unwrap().file, first.file);
    server.repository.remove_target("targets", &path("pick")).unwrap();
    server.publish();
    assert!(matches!(cell.find(&server, "pick").unwrap_err(), Refusal::NoSuchTarget { .. }));
}

#[test]
fn a_broken_role_spoils_only_what_is_searched_through_it() {
    let mut server = Server::new();
    server.skill("pick", 10);
    server.skill("place", 11);
    server.publish_target("pick", "skills/pick/a.gz", b"a");
    server.publish_target("place", "skills/place/b.gz", b"b");
    server.files.insert("1.pick.json".to_owned(), b"{}".to_vec());
    let mut cell = Cell::new(&server);
    let mut client = cell.client().unwrap();
    let mut host = cell.host(&server);
    swarm_tuf::refresh(&mut client, &mut host).unwrap();
    for _ in 0..2 {
        swarm_tuf::find(&mut client, &mut host, &path("skills/pick/a.gz")).unwrap_err();
        swarm_tuf::find(&mut client, &mut host, &path("skills/place/b.gz")).unwrap();
        swarm_tuf::find(&mut client, &mut host, &path("skills/other/c.gz")).unwrap_err();
    }
}

#[test]
fn a_search_ends() {
    let mut server = Server::new();
    // A chain that is longer than a client follows.
    let mut delegator = "targets".to_owned();
    for i in 0..8 {
        let name = format!("role{i}");
        server.delegate(&delegator, &name, 20, &["*"]);
        delegator = name;
    }
    server.publish_target("role7", "a", b"a");
    let mut cell = Cell::new(&server);
    cell.find(&server, "a").unwrap();
    cell.limits = Limits { roles: 8, ..Limits::default() };
    assert!(matches!(cell.find(&server, "a").unwrap_err(), Refusal::TooManyRoles { limit: 8 }));
}

#[test]
fn a_cell_that_missed_more_roots_than_one_update_follows_goes_on_with_the_next() {
    let mut server = Server::new();
    server.publish_target("targets", "a", b"a");
    let mut cell = Cell::new(&server);
    for seed in 100..110 {
        server.rotate("root", seed);
        server.publish();
    }
    cell.limits = Limits { roots: 4, ..Limits::default() };
    for expected in [5, 9, 11] {
        cell.find(&server, "a").unwrap();
        assert_eq!(cell.root_version(), expected);
    }
}

#[test]
fn what_a_client_would_refuse_is_not_published() {
    let mut server = Server::new();
    server.publish_target("targets", "a", b"a");
    let before = server.repository.clone();
    server.repository.set_target("targets", &path("b"), TargetFile::of(b"b")).unwrap();
    let keys = server.keys("targets");
    server.keyring.remove(&keys[0]);
    let error = server.repository.publish(&server.keyring, server.now).unwrap_err().to_string();
    assert!(error.contains("targets is signed by 0 of the 1 keys it needs"), "{error}");
    assert_eq!(before.snapshot().unwrap().version(), server.repository.snapshot().unwrap().version());
    server.skill_in_repository("pick", 10);
    let error = server.repository.set_target("pick", &path("skills/place/b.gz"), TargetFile::of(b"b"));
    assert!(error.unwrap_err().to_string().contains("may not provide 'skills/place/b.gz'"));
}

#[test]
fn a_repository_goes_on_from_its_files_and_not_from_others() {
    let mut server = Server::new();
    server.skill("pick", 10);
    server.publish_target("pick", "skills/pick/a.gz", b"a");
    let mut cell = Cell::new(&server);
    cell.find(&server, "skills/pick/a.gz").unwrap();
    server.reopen().unwrap();
    server.publish_target("pick", "skills/pick/b.gz", b"b");
    cell.find(&server, "skills/pick/b.gz").unwrap();
    // Somebody writes into the storage: the registry's keys must not sign it.
    let file = server.files.get_mut("2.pick.json").unwrap();
    let text = String::from_utf8(file.clone()).unwrap().replace("a.gz", "x.gz");
    *file = text.into_bytes();
    assert_eq!(server.reopen().unwrap_err().code(), "digest");
}

#[test]
fn people_sign_a_root_one_after_the_other() {
    let mut server = Server::new();
    server.publish_target("targets", "a", b"a");
    let mut cell = Cell::new(&server);
    let people = [signer(201), signer(202)];
    let keys: Vec<_> = people.iter().map(Signer::public).collect();
    server.repository.set_keys("root", &keys, 2.try_into().unwrap()).unwrap();
    let mut draft = server.repository.draft_root(server.now).unwrap();
    let old = server.keys_published("root");
    server.keyring.sign(&mut draft, &old).unwrap();
    for (i, person) in people.iter().enumerate() {
        let too_few = server.repository.clone().adopt_root(&draft.to_bytes()).unwrap_err().to_string();
        assert!(too_few.contains(&format!("{i} of the 2 keys")), "{too_few}");
        // It goes to the next one as a file.
        draft = swarm_tuf::Signed::parse("root", "root.json", &draft.to_bytes()).unwrap().into();
        let signature = person.sign(&draft.signing_bytes()).unwrap();
        draft.add(person.public().id(), &signature);
    }
    server.repository.adopt_root(&draft.to_bytes()).unwrap();
    server.publish();
    cell.find(&server, "a").unwrap();
    assert_eq!(cell.root_version(), 2);
}

#[test]
fn director_and_image_repository_must_mean_the_same_bytes() {
    let mut image = Server::new();
    image.publish_target("targets", "pick", b"v1.0.0");
    let target = Cell::new(&image).find(&image, "pick").unwrap();
    let same = TargetFile::of(b"v1.0.0");
    swarm_tuf::director::agree(&path("pick"), &same, &target).unwrap();
    for (name, file, expected) in [
        ("place", same.clone(), "the image repository's target is 'pick'"),
        ("pick", TargetFile::of(b"v1.1.0"), "their sha256 digests differ"),
        ("pick", TargetFile::of(b"v1"), "the director says 2 bytes, the image repository 6"),
        (
            "pick",
            TargetFile { hashes: [("sha512".into(), "00".into())].into(), ..same },
            "no digest in common",
        ),
    ] {
        let error = swarm_tuf::director::agree(&path(name), &file, &target).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// Two teams delegate to one role, with a key each; it is signed with the first team's alone.
#[test]
fn a_role_that_is_believed_by_one_delegation_is_not_by_another() {
    let mut server = Server::new();
    server.delegate("targets", "team-a", 30, &["team-a/*"]);
    server.delegate("targets", "team-b", 31, &["team-b/*"]);
    server.delegate("team-a", "release", 32, &["team-a/*"]);
    server.publish_target("release", "team-a/x", b"of team a");
    let mut release = server.repository.role("release").unwrap().clone();
    release.head.version = release.head.version.saturating_add(1);
    release.targets.insert("team-b/x".to_owned(), TargetFile::of(b"smuggled"));
    let signed = server.signed_by(release, 32);
    server.repository.adopt_role("release", &signed).unwrap();
    let mut team_b = server.repository.role("team-b").unwrap().clone();
    let mut delegations = server.repository.role("team-a").unwrap().delegations.clone().unwrap();
    let other = signer(33).public();
    let role = &mut delegations.roles.as_mut().unwrap()[0];
    (role.keyids, role.paths) = (vec![other.id()], Some(vec!["team-b/*".to_owned()]));
    delegations.keys = [(other.id(), other)].into();
    (team_b.delegations, team_b.head.version) = (Some(delegations), team_b.head.version.saturating_add(1));
    let signed = server.signed_by(team_b, 31);
    server.repository.adopt_role("team-b", &signed).unwrap();
    server.publish();

    let mut cell = Cell::new(&server);
    let mut client = cell.client().unwrap();
    let mut host = cell.host(&server);
    swarm_tuf::refresh(&mut client, &mut host).unwrap();
    swarm_tuf::find(&mut client, &mut host, &path("team-a/x")).unwrap();
    for _ in 0..2 {
        let refusal = swarm_tuf::find(&mut client, &mut host, &path("team-b/x")).unwrap_err();
        assert_eq!(refusal.code(), "signatures");
    }
    // Nor from the folder, where it was stored for the first team.
    assert_eq!(cell.find(&server, "team-b/x").unwrap_err().code(), "signatures");
}

#[test]
fn a_timestamp_that_changes_without_a_new_version_changes_nothing() {
    let mut server = Server::new();
    server.publish_target("targets", "a", b"a");
    let mut cell = Cell::new(&server);
    cell.find(&server, "a").unwrap();
    let before = cell.folder.clone();
    let mut timestamp = server.repository.timestamp().unwrap().body().clone();
    timestamp.meta.get_mut("snapshot.json").unwrap().version = 100.try_into().unwrap();
    server.files.insert("timestamp.json".to_owned(), server.signed_by(timestamp, 4));
    cell.find(&server, "a").unwrap();
    assert_eq!(cell.folder, before);
}

#[test]
fn a_cell_takes_its_own_assignments_from_a_director_that_delegates_to_nobody() {
    let mut server = Server::new();
    let (pick, place) = (path("pick"), path("place"));
    for (cell, path) in [("bench_01", &pick), ("bench_02", &pick), ("bench_02", &place)] {
        swarm_tuf::director::assign(&mut server.repository, cell, path, &TargetFile::of(b"x")).unwrap();
    }
    let assigned = |server: &Server, cell: &str| {
        let targets = server.repository.role("targets").unwrap();
        swarm_tuf::director::assigned(targets, cell).map(|found| found.into_keys().collect::<Vec<_>>())
    };
    assert_eq!(assigned(&server, "bench_01").unwrap(), std::slice::from_ref(&pick));
    assert_eq!(assigned(&server, "bench_02").unwrap(), [pick.clone(), place]);
    assert_eq!(assigned(&server, "bench").unwrap(), []);
    swarm_tuf::director::forget(&mut server.repository, "bench_01").unwrap();
    assert_eq!(assigned(&server, "bench_01").unwrap(), []);
    swarm_tuf::director::forget(&mut server.repository, "bench_02").unwrap();
    assert!(!server.repository.role("targets").unwrap().targets.contains_key("pick"));
    server.skill("pick", 10);
    assert_eq!(assigned(&server, "bench_02").unwrap_err().code(), "disagreement");
}

#[test]
fn a_cell_is_sent_away_from_a_target_until_it_is_told_something_else() {
    use swarm_tuf::director::{assign, assigned, forget, names, send_away, to_leave};
    let mut server = Server::new();
    let (pick, file) = (path("pick"), TargetFile::of(b"x"));
    assign(&mut server.repository, "bench_01", &pick, &file).unwrap();
    assign(&mut server.repository, "bench_02", &pick, &file).unwrap();
    forget(&mut server.repository, "bench_01").unwrap();
    send_away(&mut server.repository, "bench_01", &pick, &file).unwrap();
    let said = |server: &Server, cell: &str| {
        let targets = server.repository.role("targets").unwrap();
        let leave: Vec<_> = to_leave(targets, cell).into_iter().map(|file| file.hashes.clone()).collect();
        (assigned(targets, cell).unwrap().len(), leave)
    };
    assert_eq!(said(&server, "bench_01"), (0, vec![file.hashes.clone()]));
    assert_eq!(said(&server, "bench_02"), (1, vec![]), "nobody else is sent away");
    forget(&mut server.repository, "bench_02").unwrap();
    assert_eq!(
        said(&server, "bench_01"),
        (0, vec![file.hashes.clone()]),
        "it is named as long as somebody is to leave it"
    );
    assert!(names(&server.repository, "bench_01").unwrap());
    forget(&mut server.repository, "bench_01").unwrap();
    assert!(!names(&server.repository, "bench_01").unwrap());
    assert!(!server.repository.role("targets").unwrap().targets.contains_key("pick"));
}

#[test]
fn what_is_due_is_renewed_and_nothing_else() {
    use swarm_tuf::repository::{Chore, Lifetimes, Upkeep};
    let mut server = Server::new();
    server.publish_target("targets", "a", b"a");
    let upkeep = Upkeep {
        renew_before: Lifetimes {
            root_s: 60 * DAY,
            targets_s: 30 * DAY,
            snapshot_s: 2 * DAY,
            timestamp_s: DAY / 2,
        },
        rotate_after: Lifetimes { root_s: 1, targets_s: 1, snapshot_s: 1, timestamp_s: 40 * DAY },
    };
    let renew = |role: &str| Chore::Renew { role: role.to_owned() };
    // Keys that do not say how old they are, are left alone.
    for (days, expected) in [
        (0, vec![]),
        (1, vec![renew("timestamp")]),
        (5, vec![renew("snapshot"), renew("timestamp")]),
        (60, vec![renew("snapshot"), renew("timestamp"), renew("targets")]),
    ] {
        assert_eq!(
            server.repository.chores(server.now.plus(days * DAY), &upkeep),
            expected,
            "after {days} days"
        );
    }
    let key = server.keyring.add(signer(70).created(server.now));
    server.repository.set_keys("timestamp", &[key], 1.try_into().unwrap()).unwrap();
    server.publish();
    let rotate = Chore::Rotate { role: "timestamp".to_owned() };
    assert!(!server.repository.chores(server.now.plus(40 * DAY - 1), &upkeep).contains(&rotate));
    assert!(server.repository.chores(server.now.plus(40 * DAY), &upkeep).contains(&rotate));
}

/// Written by python-tuf: signed by an RSA, an ECDSA and an Ed25519 key, all of which are needed, and by a fourth that is not.
#[test]
fn a_signature_of_every_key_type_counts_only_as_it_is() {
    let bytes = std::fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fuzz/corpus/metadata/root_of_every_key_type.json"
    ));
    let root: serde_json::Value = serde_json::from_slice(&bytes.unwrap()).unwrap();
    let begin = |root: &serde_json::Value| {
        let bytes = serde_json::to_vec(root).unwrap();
        swarm_tuf::Client::new(&bytes, common::NOW, Mode::Online, Limits::default()).map(|_| ())
    };
    begin(&root).unwrap();
    let mut needed = Vec::new();
    for (i, signature) in root["signatures"].as_array().unwrap().iter().enumerate() {
        let keyid = signature["keyid"].as_str().unwrap();
        let key = root["signed"]["keys"].get(keyid);
        for at in [8, 40, 100] {
            let mut sig = signature["sig"].as_str().unwrap().to_owned();
            let other = if &sig[at..=at] == "0" { "1" } else { "0" };
            sig.replace_range(at..=at, other);
            let mut changed = root.clone();
            changed["signatures"][i]["sig"] = sig.into();
            match key {
                Some(_) => assert_eq!(begin(&changed).unwrap_err().code(), "signatures", "{keyid} at {at}"),
                None => begin(&changed).unwrap(),
            }
        }
        needed.extend(key.map(|key| key["keytype"].as_str().unwrap().to_owned()));
    }
    needed.sort();
    assert_eq!(needed, ["ecdsa", "ed25519", "rsa"]);
}

#[test]
fn a_key_under_a_name_that_is_not_its_own_counts_for_nothing() {
    let mut server = Server::new();
    server.publish();
    let mut root = server.repository.root().clone();
    let begin = |body: swarm_tuf::Root, name: swarm_tuf::KeyId| {
        let mut draft = swarm_tuf::Draft::new(body);
        let signature = signer(1).sign(&draft.signing_bytes()).unwrap();
        draft.add(name, &signature);
        swarm_tuf::Client::new(&draft.to_bytes(), common::NOW, Mode::Online, Limits::default()).map(|_| ())
    };
    let own = signer(1).public().id();
    begin(root.clone(), own.clone()).unwrap();
    let other = swarm_tuf::KeyId("ab".repeat(32));
    let key = root.keys.remove(&own).unwrap();
    root.keys.insert(other.clone(), key);
    root.roles.get_mut("root").unwrap().keyids = vec![other.clone()];
    let refusal = begin(root, other).unwrap_err();
    assert!(refusal.to_string().contains("is not what its id says"), "{refusal}");
}

#[test]
fn behind_a_terminating_delegation_nobody_else_is_asked() {
    let mut server = Server::new();
    server.delegate("targets", "a", 30, &["*"]);
    server.delegate("targets", "b", 31, &["*"]);
    server.delegate("a", "c", 32, &["x*"]);
    server.publish_target("b", "x", b"of b");
    server.publish_target("b", "y", b"of b");
    let mut cell = Cell::new(&server);
    assert_eq!(cell.find(&server, "x").unwrap().role, "b");
    server.terminate("a", "c", 32, &["x*"]);
    server.publish();
    assert_eq!(cell.find(&server, "x").unwrap_err().code(), "no_such_target");
    assert_eq!(cell.find(&server, "y").unwrap().role, "b");
}
