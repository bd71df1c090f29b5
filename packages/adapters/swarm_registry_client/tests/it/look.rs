//! What a cell believes of its registry.

use crate::common::{Bench, DAY, Fault, NOTHING, NOW, bytes, path};
use swarm_bridge_core::{Belief, Deployed, Want};
use swarm_registry_client::{ClientError, OfInterest};
use swarm_tuf::{Mode, Refusal, TargetFile};

const ONLINE: Mode = Mode::Online;
const OFFLINE: Mode = Mode::Offline { grace_s: 7 * DAY };

/// Of a cell that runs this.
fn runs(known: &Deployed) -> OfInterest {
    OfInterest { in_force: vec![known.clone()], before: Vec::new() }
}

fn disagreed(want: &Want) -> &str {
    match want {
        Want::Disagreed { why, .. } => why,
        other => panic!("expected that it is not taken, got {other:?}"),
    }
}

#[test]
fn what_both_repositories_say_is_wanted_also_without_the_network_until_it_is_too_old() {
    let mut bench = Bench::new();
    let archive = bytes(3_000);
    let artifact = bench.artifact("1.2.0", &archive);
    let mut repositories = bench.repositories();
    assert_eq!(repositories.look(ONLINE, NOW, &NOTHING).unwrap().want, Want::Nothing);
    bench.assign("1.2.0", &archive);
    let look = repositories.look(ONLINE, NOW, &NOTHING).unwrap();
    let Want::Artifact(wanted) = &look.want else { panic!("{:?}", look.want) };
    assert_eq!((wanted.artifact, wanted.bytes, wanted.to_string().as_str()), (artifact, 3_000, "pick 1.2.0"));
    assert_eq!((look.director, look.expires_unix_s), (2, Some(NOW + DAY)));
    drop(repositories);

    bench.server.fault("/", std::iter::repeat_n(Fault::CutAfter(0), 100));
    bench.server.asked();
    let mut repositories = bench.repositories();
    let again = repositories.look(OFFLINE, NOW + 2 * DAY, &NOTHING).unwrap();
    assert_eq!(again.want, look.want);
    assert!(bench.server.asked().is_empty(), "nobody was asked");
    let error = repositories.look(OFFLINE, NOW + 9 * DAY, &NOTHING).unwrap_err();
    assert!(matches!(error, ClientError::Refused(Refusal::Expired { .. })), "{error}");
    let error = repositories.look(ONLINE, NOW, &NOTHING).unwrap_err();
    assert!(!error.is_refusal(), "a cut link is no reason to distrust anybody: {error}");
}

#[test]
fn a_director_that_has_been_taken_over_sends_a_cell_nowhere_that_the_image_repository_does_not_have() {
    let mut bench = Bench::new();
    let (good, forged) = (bytes(100), vec![9; 100]);
    bench.artifact("1.0.0", &good);
    let mut repositories = bench.repositories();
    bench.assign("1.0.0", &forged);
    let look = repositories.look(ONLINE, NOW, &NOTHING).unwrap();
    assert!(disagreed(&look.want).contains("sha256 digests differ"), "{:?}", look.want);
    assert!(look.target.is_none());
    bench.assign("6.6.6", &forged);
    let look = repositories.look(ONLINE, NOW, &NOTHING).unwrap();
    assert!(disagreed(&look.want).contains("does not have"), "{:?}", look.want);
    bench.assign("1.0.0", &good);
    bench.artifact("1.1.0", &bytes(50));
    bench.assign_too("1.1.0", &bytes(50));
    let look = repositories.look(ONLINE, NOW, &NOTHING).unwrap();
    assert!(disagreed(&look.want).contains("assigns 2 artifacts"), "{:?}", look.want);
}

#[test]
fn what_is_withdrawn_from_the_image_repository_is_known_as_that() {
    let mut bench = Bench::new();
    let archive = bytes(100);
    let artifact = bench.artifact("1.0.0", &archive);
    bench.assign("1.0.0", &archive);
    let known = Deployed { artifact, skill: "pick".to_owned(), version: "1.0.0".parse().unwrap() };
    let other = Deployed { version: "1.9.0".parse().unwrap(), ..known.clone() };
    let mut repositories = bench.repositories();
    let look = repositories.look(ONLINE, NOW, &runs(&known)).unwrap();
    assert_eq!(look.believed[&artifact], Belief::Has);
    assert_eq!(repositories.look(ONLINE, NOW, &runs(&other)).unwrap().believed[&artifact], Belief::HasNot);
    bench.image.repository.remove_target("targets", &path("1.0.0")).unwrap();
    bench.image.publish(&bench.server, NOW);
    let look = repositories.look(ONLINE, NOW, &runs(&known)).unwrap();
    assert_eq!(look.believed[&artifact], Belief::HasNot);
    disagreed(&look.want);
}

#[test]
fn what_the_director_has_a_cell_leave_is_known_as_that_whatever_the_image_repository_has() {
    let mut bench = Bench::new();
    let archive = bytes(100);
    let artifact = bench.artifact("1.0.0", &archive);
    bench.assign("1.0.0", &archive);
    let known = Deployed { artifact, skill: "pick".to_owned(), version: "1.0.0".parse().unwrap() };
    let mut repositories = bench.repositories();
    bench.send_away("1.0.0", &archive);
    let look = repositories.look(ONLINE, NOW, &runs(&known)).unwrap();
    assert_eq!(look.want, Want::Nothing);
    assert!(look.to_leave.contains(&artifact) && look.believed[&artifact] == Belief::Has);
    bench.assign("1.0.0", &archive);
    let look = repositories.look(ONLINE, NOW, &runs(&known)).unwrap();
    assert!(look.to_leave.is_empty(), "assigned again, it is to be left no more");
}

#[test]
fn a_request_that_fails_in_the_middle_leaves_what_was_agreed_before() {
    let mut bench = Bench::new();
    let (old, new) = (bytes(100), bytes(200));
    let artifact = bench.artifact("1.0.0", &old);
    bench.assign("1.0.0", &old);
    let mut repositories = bench.repositories();
    repositories.look(ONLINE, NOW, &NOTHING).unwrap();
    bench.artifact("1.1.0", &new);
    bench.assign("1.1.0", &new);
    bench.server.fault("/api/v1/update/image/metadata/timestamp.json", [Fault::CutAfter(0)]);
    let error = repositories.look(ONLINE, NOW, &NOTHING).unwrap_err();
    assert!(!error.is_refusal(), "{error}");
    let offline = repositories.look(OFFLINE, NOW, &NOTHING).unwrap();
    assert_eq!(offline.want.artifact(), Some(artifact), "{:?}", offline.want);
    let Want::Artifact(wanted) = repositories.look(ONLINE, NOW, &NOTHING).unwrap().want else {
        panic!("not taken")
    };
    assert_eq!(wanted.to_string(), "pick 1.1.0");
}

#[test]
fn a_name_that_is_no_artifacts_is_not_taken() {
    let mut bench = Bench::new();
    let name = "pick/readme.txt".parse().unwrap();
    bench.image.repository.set_target("targets", &name, TargetFile::of(b"x")).unwrap();
    bench.image.publish(&bench.server, NOW);
    swarm_tuf::director::assign(
        &mut bench.director.repository,
        crate::common::CELL,
        &name,
        &TargetFile::of(b"x"),
    )
    .unwrap();
    bench.director.publish(&bench.server, NOW);
    let look = bench.repositories().look(ONLINE, NOW, &NOTHING).unwrap();
    assert!(disagreed(&look.want).contains("no artifact of a skill"), "{:?}", look.want);
}

#[test]
fn answers_of_every_bad_kind_end_the_update_and_say_why() {
    let bench = Bench::new();
    let file = "/api/v1/update/director/metadata/timestamp.json";
    let instead = |status, body: &[u8]| Fault::Instead { status, headers: vec![], body: body.to_vec() };
    let problem =
        br#"{"type":"urn:swarm-registry:problem:no_update_key","title":"Service Unavailable","status":503,
        "code":"no_update_key","detail":"The registry has no update key.","action":"Set UPDATE_KEY_PATH."}"#;
    let cases: Vec<(Fault, &str, bool)> = vec![
        (instead("404 Not Found", b""), "which its metadata promises", true),
        (instead("500 Internal Server Error", b"sorry"), "status 500", false),
        (
            instead("503 Service Unavailable", problem),
            "The registry has no update key. Set UPDATE_KEY_PATH.",
            false,
        ),
        (instead("302 Found", b""), "status 302", false),
        (instead("200 OK", b"{}"), "is not metadata of role timestamp", true),
        (Fault::Endless, "endless data", true),
        (Fault::CutAfter(10), "is not there", false),
    ];
    let mut repositories = bench.repositories();
    for (fault, expected, refusal) in cases {
        bench.server.fault(file, [fault.clone()]);
        let error = repositories.look(ONLINE, NOW, &NOTHING).unwrap_err();
        assert!(error.to_string().contains(expected) && error.is_refusal() == refusal, "{fault:?}: {error}");
    }
    assert_eq!(
        repositories.look(ONLINE, NOW, &NOTHING).unwrap().want,
        Want::Nothing,
        "and the next one goes well"
    );
}

#[test]
fn a_registry_that_withholds_its_updates_is_noticed() {
    let bench = Bench::new();
    let mut repositories = bench.repositories();
    repositories.look(ONLINE, NOW, &NOTHING).unwrap();
    let error = repositories.look(ONLINE, NOW + 2 * DAY, &NOTHING).unwrap_err();
    assert!(matches!(error, ClientError::Refused(Refusal::Expired { .. })) && error.is_refusal(), "{error}");
}

#[test]
fn another_pinned_root_begins_anew_and_without_it_nothing_is_believed() {
    let mut bench = Bench::new();
    bench.assign("1.0.0", b"x");
    bench.repositories().look(ONLINE, NOW, &NOTHING).unwrap();
    // The registry is set up anew, with other keys and versions that begin at one again.
    bench.director = crate::common::Made::new(swarm_api::update::Which::Director, 60);
    let files = bench.director.publish(&bench.server, NOW);
    let error = bench.repositories().look(ONLINE, NOW, &NOTHING).unwrap_err();
    assert!(error.is_refusal(), "{error}");
    std::fs::write(bench.path("director_root.json"), &files["1.root.json"]).unwrap();
    let look = bench.repositories().look(ONLINE, NOW, &NOTHING).unwrap();
    assert_eq!((look.want, look.director), (Want::Nothing, 1));
}

#[test]
fn a_second_bridge_is_kept_away() {
    let bench = Bench::new();
    let _first = bench.repositories();
    let folder = bench.path("metadata/image");
    let second = swarm_registry_client::Folder::open(&folder).unwrap_err();
    assert!(second.to_string().contains("another process works in"), "{second}");
}
