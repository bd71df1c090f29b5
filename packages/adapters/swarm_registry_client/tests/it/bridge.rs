//! The engine, with a registry, a runtime and a disk that do badly.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{Bench, CELL, Fault, NOW, apply_delta, bytes};
use ed25519_dalek::SigningKey;
use swarm_artifact::{ArchiveDigest, SignatureFile, Trust};
use swarm_base::Shutdown;
use swarm_bridge_core::{Deployed, Ended, OfflinePolicy, RunSeen, State, Step, Then, Windows};
use swarm_registry_client::bridge::{
    Bridge, Exchange, Refused, RuntimeHeard, SafetyHeard, Settings, Shared, Site,
};
use swarm_registry_client::{ApplyDelta, ClientError, Settings as Registry};

const VERSION: &str = "1.2.0";

struct Machine(Trust);

impl Site for Machine {
    fn unix_now(&self) -> i64 {
        NOW
    }

    fn trust(&self) -> Result<Trust, String> {
        Ok(self.0.clone())
    }

    fn deltas(&self) -> Option<ApplyDelta> {
        Some(apply_delta)
    }
}

/// A runtime that takes everything, and is always at rest.
#[derive(Default)]
struct Runtime(Mutex<Option<Deployed>>);

impl Exchange for Runtime {
    fn deploy(&self, archive: &str, _: &str, skill: &str, _: bool) -> Result<String, Refused> {
        let artifact = ArchiveDigest::of(&fs::read(archive).unwrap()).id;
        let deployed = Deployed { artifact, skill: skill.to_owned(), version: VERSION.parse().unwrap() };
        *self.0.lock().unwrap() = Some(deployed);
        Ok("deployed".to_owned())
    }

    fn roll_back_to(&self, version: &str) -> Result<String, String> {
        Err(format!("nothing else was deployed here, not {version}"))
    }

    fn let_runs_begin(&self, _: bool) -> Result<(), String> {
        Ok(())
    }
}

pub(crate) fn settings(bench: &Bench) -> Settings {
    Settings {
        registry: Registry { url: bench.server.url.clone(), ..Registry::default() },
        site_id: CELL.to_owned(),
        image_root: bench.path("image_root.json"),
        director_root: bench.path("director_root.json"),
        data: bench.path("data"),
        cache_limit_bytes: 1 << 20,
        windows: Windows::parse([], "+00:00").unwrap(),
        offline: OfflinePolicy { keep_running_for_s: 100, then: Then::Keep },
    }
}

fn open(bench: &Bench) -> Result<Bridge, ClientError> {
    Bridge::open(settings(bench), Arc::new(Machine(bench.trust.clone())))
}

/// Lets the engine work until it stands so; gives what it says then.
fn work_until(bench: &Bench, state: State) -> String {
    let bridge = open(bench).unwrap();
    let (shared, runtime, shutdown) =
        (Arc::clone(bridge.shared()), Arc::new(Runtime::default()), Shutdown::new());
    let active: swarm_registry_client::bridge::Active = Arc::new(|| true);
    let threads = bridge.start(Arc::clone(&runtime) as _, &active, &shutdown).unwrap();
    let begun = Instant::now();
    let detail = loop {
        say(&shared, &runtime);
        let standing = shared.view().decide(shared.now()).standing;
        if standing.state == state {
            break standing.detail;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{standing:?}");
        thread::sleep(Duration::from_millis(10));
    };
    shutdown.request();
    for thread in threads {
        thread.join().unwrap();
    }
    detail
}

fn say(shared: &Shared, runtime: &Runtime) {
    let deployed = runtime.0.lock().unwrap().clone();
    if hear(shared, 1, deployed) {
        shared.wake();
    }
}

/// What process `process` of a runtime at rest says, and the safety monitor beside it; gives whether it is news.
fn hear(shared: &Shared, process: u64, deployed: Option<Deployed>) -> bool {
    let artifact = deployed.as_ref().map(|deployed| deployed.artifact);
    let run = RunSeen { process, artifact, trace_id: String::new(), running: false, ended: Ended::Not };
    let safety = SafetyHeard { passes_motion: false, stopped_by: String::new(), artifact };
    let now = shared.now().monotonic;
    let mut view = shared.view();
    let news = view.hear_safety(now, safety);
    view.hear_runtime(now, RuntimeHeard { deployed, last_good: None, run }) || news
}

fn signed_by_nobody(archive: &[u8]) -> Vec<u8> {
    let mut signatures = SignatureFile::empty();
    signatures.sign(
        &ArchiveDigest::of(archive).signing_digest(),
        &SigningKey::from_bytes(&[9; 32]),
        "nobody",
    );
    signatures.to_yaml().into_bytes()
}

#[test]
fn a_signature_file_that_came_changed_is_fetched_again() {
    let mut bench = Bench::new();
    let archive = bytes(3_000);
    let artifact = bench.artifact(VERSION, &archive);
    bench.assign(VERSION, &archive);
    let changed = Fault::Instead { status: "200 OK", headers: vec![], body: signed_by_nobody(&archive) };
    bench.server.fault(&format!("/api/v1/csa/{artifact}/signature"), [changed]);
    work_until(&bench, State::InStep);
}

#[test]
fn what_nobody_who_is_trusted_signed_is_refused_for_good() {
    let mut bench = Bench::new();
    let archive = bytes(3_000);
    let artifact = bench.artifact(VERSION, &archive);
    bench.assign(VERSION, &archive);
    bench.server.put(&format!("/api/v1/csa/{artifact}/signature"), &signed_by_nobody(&archive));
    let detail = work_until(&bench, State::Refused);
    assert!(detail.contains("unknown key"), "{detail}");
}

#[test]
fn a_clock_that_is_wrong_refuses_nothing_for_good() {
    let mut bench = Bench::new();
    let archive = bytes(3_000);
    bench.artifact(VERSION, &archive);
    bench.assign(VERSION, &archive);
    // By the cell's clock, the key is not valid yet.
    let valid = bench.trust.clone();
    bench.trust.keys[0].not_before_unix = Some(NOW + 1);
    let bridge = open(&bench).unwrap();
    let (shared, runtime, shutdown) =
        (Arc::clone(bridge.shared()), Arc::new(Runtime::default()), Shutdown::new());
    let active: swarm_registry_client::bridge::Active = Arc::new(|| true);
    let threads = bridge.start(Arc::clone(&runtime) as _, &active, &shutdown).unwrap();
    let begun = Instant::now();
    while shared.view().deploy_failures() < 4 {
        say(&shared, &runtime);
        let now = shared.now().monotonic;
        shared.view().try_again(now);
        assert!(begun.elapsed() < Duration::from_mins(1));
        thread::sleep(Duration::from_millis(10));
    }
    let artifact = ArchiveDigest::of(&archive).id;
    assert_eq!(shared.view().memory.refusal(artifact), None);
    shutdown.request();
    for thread in threads {
        thread.join().unwrap();
    }
    bench.trust = valid;
    work_until(&bench, State::InStep);
}

#[test]
fn a_second_bridge_is_kept_away_and_changes_nothing() {
    let bench = Bench::new();
    let _first = open(&bench).unwrap();
    let memory = || fs::read(bench.path("data/bridge.json")).unwrap();
    let before = memory();
    let second = open(&bench).unwrap_err();
    assert!(matches!(second, ClientError::Busy { .. }), "{second}");
    assert_eq!(memory(), before);
}

#[test]
fn what_a_kill_left_half_written_is_gone_after_the_next_start() {
    let bench = Bench::new();
    drop(open(&bench).unwrap());
    let data = bench.path("data");
    let left = ["", "metadata/image", "metadata/director", "spool"].map(|folder| data.join(folder));
    for folder in &left {
        fs::write(folder.join(".staged-Xa81Wq"), "half").unwrap();
        fs::write(folder.join("somebody's"), "whole").unwrap();
    }
    drop(open(&bench).unwrap());
    let is_there = |folder: &Path, name: &str| folder.join(name).exists();
    assert!(left.iter().all(|folder| !is_there(folder, ".staged-Xa81Wq") && is_there(folder, "somebody's")));
}

#[test]
fn a_version_is_made_out_of_the_one_that_ran_before() {
    let mut bench = Bench::new();
    let (old, mut new) = (bytes(300_000), bytes(300_000));
    new[100_000..100_400].fill(7);
    let base = bench.artifact("1.1.0", &old);
    bench.assign("1.1.0", &old);
    work_until(&bench, State::InStep);
    let artifact = bench.artifact(VERSION, &new);
    bench.assign(VERSION, &new);
    let delta = format!("/api/v1/csa/{artifact}/delta?from={base}");
    bench.server.put(&delta, &swarm_delta::encode(&old, &new));
    bench.server.asked();
    work_until(&bench, State::InStep);
    let asked: Vec<_> = bench.server.asked().into_iter().map(|request| request.path).collect();
    assert!(asked.contains(&delta), "{asked:?}");
    assert!(!asked.contains(&format!("/api/v1/csa/{artifact}/download")), "{asked:?}");
    assert!(fs::read(bench.path(&format!("data/cache/{artifact}.tar.gz"))).unwrap() == new);
}

#[test]
fn a_runtime_that_is_started_again_is_told_again_to_begin_no_run() {
    let bench = Bench::new();
    let offline = OfflinePolicy { keep_running_for_s: 100, then: Then::RefuseNewRuns };
    let settings = Settings { offline, ..settings(&bench) };
    let bridge = Bridge::open(settings, Arc::new(Machine(bench.trust.clone()))).unwrap();
    let shared = bridge.shared();
    shared.view().memory.last_believed_unix_s = Some(NOW - 101);
    let is_to_be_told = |process| {
        hear(shared, process, None);
        shared.view().decide(shared.now()).plan.steps.contains(&Step::RefuseRuns)
    };
    assert!(is_to_be_told(1));
    shared.view().runs_allowed(false, Some(1));
    assert!(!is_to_be_told(1), "it was told");
    assert!(is_to_be_told(2), "it is another process");
    shared.view().runs_allowed(false, Some(1));
    assert!(is_to_be_told(2), "the one before it was told");
    shared.view().runs_allowed(false, Some(2));
    assert!(!is_to_be_told(2), "it was told");
    shared.view().hear_lifecycle(false);
    assert!(is_to_be_told(2), "somebody activated it");
}
