//! `cell` against implementations that share no code with us: one can be wrong about itself, two rarely in the same way.
//! Verdicts on artifacts against `tests/artifact/verify_csa.py`, which was written from the description of the format;
//! kinematics against Pinocchio and Coal (`tests/kinematics_oracle/compare.py`).
//!
//! Needs the feature `peer-tests`, and Python with `cryptography`, `pyyaml` and `pin`; `SWARM_TEST_PYTHON` names the
//! interpreter.

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use swarm_cli::cases::{Case, generate};
use swarm_store::signature_path;

fn python() -> Command {
    Command::new(std::env::var_os("SWARM_TEST_PYTHON").unwrap_or_else(|| "python3".into()))
}

/// Exit code 0 and 1 are verdicts; anything else means that the verifier could not run.
fn second_opinion(case: &Case) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/artifact/verify_csa.py");
    let mut command = python();
    command.arg(script).arg(&case.archive).arg(signature_path(&case.archive)).arg(&case.trust);
    command.args(case.deployed.as_ref().map(ToString::to_string));
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned();
    let verdict = match output.status.code() {
        Some(0) => true,
        Some(1) if said.starts_with("refused: ") => false,
        _ => panic!("{}: the second verifier failed: {said}", case.name),
    };
    (verdict, said)
}

#[test]
fn both_verifiers_agree_on_every_case() {
    let folder = tempfile::tempdir().unwrap();
    let cases = generate(folder.path()).unwrap();
    let differing = Mutex::new(Vec::new());
    // Starting Python is most of the time, so the cases share the cores.
    let next = AtomicUsize::new(0);
    let judge_some = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let ours = case.verdict().unwrap();
            let (theirs, said) = second_opinion(case);
            if ours.is_ok() != theirs {
                let text = format!("{}: we say {ours:?}, the second verifier says {said}", case.name);
                differing.lock().unwrap().push(text);
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(judge_some))));
    let differing = differing.into_inner().unwrap();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn keys_made_on_either_side_are_read_on_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let run = |command: &mut Command| {
        let output = command.current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let cell = || Command::new(env!("CARGO_BIN_EXE_cell"));
    let made = run(cell().args(["keys", "generate", "--out", ".", "--signer", "ours", "--json"]));
    let script = "
import hashlib, os
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
ours = s.load_pem_private_key(open('ours.pem', 'rb').read(), None).public_key()
assert ours == s.load_pem_public_key(open('ours.pub.pem', 'rb').read())
print(hashlib.sha256(ours.public_bytes_raw()).hexdigest())
theirs = Ed25519PrivateKey.generate()
pem = theirs.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
os.write(os.open('theirs.pem', os.O_WRONLY | os.O_CREAT, 0o600), pem)
public = theirs.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
open('theirs.pub.pem', 'wb').write(public)";
    let key_id = run(python().args(["-c", script]));
    assert!(made.contains(key_id.trim()), "{made} does not name {key_id}");

    std::fs::write(folder.path().join("a.tar.gz"), "any bytes can be signed").unwrap();
    run(cell().args("sign --artifact a.tar.gz --private-key theirs.pem --signer-id theirs".split(' ')));
    run(cell().args("keys trust --trust t.yaml --public-key theirs.pub.pem --signer theirs".split(' ')));
    run(cell().args("verify --artifact a.tar.gz --trust t.yaml --signatures-only".split(' ')));
}

#[test]
fn arms_move_and_keep_their_distance_as_pinocchio_and_coal_say() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/kinematics_oracle/compare.py");
    let output = python().arg(script).arg(env!("CARGO_BIN_EXE_cell")).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.contains("60 random robots"), "{said}");
}

/// Every transition of the trace, as another program reads it from the exported log of BehaviorTree.CPP.
#[test]
fn an_exported_btlog_is_read_by_a_reader_that_nobody_here_shares_code_with() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let tree = r#"<root BTCPP_format="4" main_tree_to_execute="M">
      <BehaviorTree ID="M"><Fallback><Look/><SubTree ID="S"/></Fallback></BehaviorTree>
      <BehaviorTree ID="S"><Inverter><Grasp name="gently"/></Inverter></BehaviorTree></root>"#;
    std::fs::write(at("tree.xml"), tree).unwrap();
    std::fs::write(at("leaves.json"), r#"{"Look": "F", "gently": "RRSF"}"#).unwrap();
    let cell = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_cell"))
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    cell(&[
        "bt",
        "run",
        "tree.xml",
        "--leaves",
        "leaves.json",
        "--ticks",
        "9",
        "--trace",
        "t.jsonl",
        "--record",
        "a.run",
    ]);
    cell(&["bt", "replay", "a.run", "--export-btlog", "a.btlog"]);

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/bt_oracle/read_btlog.py");
    let output = python().arg(script).arg(at("a.btlog")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let lines = |text: &str| -> Vec<serde_json::Value> {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let read: Vec<_> = lines(std::str::from_utf8(&output.stdout).unwrap())
        .iter()
        .skip(1)
        .map(|line| (line["us"].as_u64().unwrap(), line["uid"].clone(), line["status"].clone()))
        .collect();
    let trace = lines(&std::fs::read_to_string(at("t.jsonl")).unwrap());
    let transitions = trace.iter().filter(|line| line["event"] == "transition");
    let ours: Vec<_> = transitions
        .map(|line| ((line["step"].as_u64().unwrap() - 1) * 10_000, line["uid"].clone(), line["to"].clone()))
        .collect();
    assert_eq!(read, ours);
}
