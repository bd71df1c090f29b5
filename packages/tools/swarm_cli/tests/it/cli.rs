//! The `cell` binary as a user or a script sees it: what it writes, prints, and exits with.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

struct Bench(tempfile::TempDir);

/// Exit code, standard output, standard error.
type Said = (i32, String, String);

impl Bench {
    fn new() -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        let model = bench.path("model");
        fs::create_dir_all(model.join("trees")).unwrap();
        let skill = "schema_version: 1\nskill_id: assembly\nversion: 1.0.0\n\
                     roles:\n  leader: {tree: trees/leader.xml, tree_id: Leader, robot_group: leader}\n\
                     envelope: safety_envelope.yaml\n";
        fs::write(model.join("skill.yaml"), skill).unwrap();
        fs::write(model.join("trees/leader.xml"), "<root BTCPP_format=\"4\"/>\n").unwrap();
        fs::write(model.join("safety_envelope.yaml"), "joints: {}\n").unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn cell(&self, line: &str) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cell"));
        let output = command.current_dir(self.0.path()).args(line.split_whitespace()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn cell_done(&self, line: &str) -> String {
        let (code, out, err) = self.cell(line);
        assert_eq!((code, err.as_str()), (0, ""), "cell {line}\n{out}");
        out
    }

    /// A packaged artifact, signed by site_a, whom the cell trusts.
    fn signed() -> Self {
        let bench = Self::new();
        bench.cell_done("keys generate --out keys --signer site_a");
        bench.cell_done("keys trust --trust trust.yaml --public-key keys/site_a.pub.pem --signer site_a");
        bench.cell_done("package --model-dir model --output a.tar.gz");
        bench.cell_done("sign --artifact a.tar.gz --private-key keys/site_a.pem --signer-id site_a");
        bench
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn from_keys_to_a_verified_artifact() {
    let bench = Bench::signed();
    let verdict = json(&bench.cell_done("verify --artifact a.tar.gz --trust trust.yaml --json"));
    assert_eq!(verdict["verdict"], "good");
    assert_eq!(verdict["skill_id"], "assembly");
    assert_eq!(verdict["version"], "1.0.0");
    assert_eq!(verdict["signers"], serde_json::json!(["site_a"]));
    let text = bench.cell_done("verify --artifact a.tar.gz --trust trust.yaml");
    assert!(text.starts_with("good: assembly 1.0.0\nartifact   "), "{text}");
    bench.cell_done("verify --artifact a.tar.gz --trust trust.yaml --signatures-only");

    let inside = json(&bench.cell_done("inspect --artifact a.tar.gz --json"));
    assert_eq!(inside["artifact"], verdict["artifact"]);
    assert_eq!(inside["roles"]["leader"]["tree_id"], "Leader");
    assert_eq!(inside["files"].as_array().unwrap().len(), 2);
    assert_eq!(inside["unverified_signatures"][0]["claimed_signer"], "site_a");
    let text = bench.cell_done("inspect --artifact a.tar.gz");
    assert!(text.contains("role      leader: tree Leader in trees/leader.xml, robots 'leader'"), "{text}");
}

#[test]
fn a_refused_artifact_exits_with_1_and_says_why() {
    let bench = Bench::signed();
    bench.cell_done("package --model-dir model --output a.tar.gz --version 1.0.1");
    let (code, out, err) = bench.cell("verify --artifact a.tar.gz --trust trust.yaml");
    assert_eq!((code, err.as_str()), (1, ""));
    assert!(out.starts_with("refused: bad signature on artifact "), "{out}");
    let (code, out, _) = bench.cell("verify --artifact a.tar.gz --trust trust.yaml --json");
    assert_eq!((code, &json(&out)["code"]), (1, &Value::from("bad_signature")));

    bench.cell_done("sign --artifact a.tar.gz --private-key keys/site_a.pem --signer-id site_a");
    let (code, out, _) =
        bench.cell("verify --artifact a.tar.gz --trust trust.yaml --newer-than 1.1.0 --json");
    assert_eq!((code, &json(&out)["code"]), (1, &Value::from("older_version")));
}

#[test]
fn what_cannot_be_looked_at_exits_with_2() {
    let bench = Bench::signed();
    let (code, out, err) = bench.cell("verify --artifact a.tar.gz --trust nowhere.yaml");
    assert_eq!((code, out.as_str()), (2, ""));
    assert_eq!(
        err,
        "error: cannot read the trust file 'nowhere.yaml': No such file or directory (os error 2)\n"
    );
    fs::copy(bench.path("a.tar.gz.sig"), bench.path("b.tar.gz.sig")).unwrap();
    let (code, _, err) = bench.cell("verify --artifact b.tar.gz --trust trust.yaml");
    assert_eq!((code, err.contains("cannot open the archive 'b.tar.gz'")), (2, true), "{err}");
    assert_eq!(bench.cell("verify --artifact a.tar.gz").0, 2);
    assert_eq!(bench.cell("no-such-command").0, 2);
}

#[test]
fn keys_are_private_and_never_overwritten() {
    let bench = Bench::new();
    bench.cell_done("keys generate --out keys --signer site_a");
    assert_eq!(
        (mode(&bench.path("keys/site_a.pem")), mode(&bench.path("keys/site_a.pub.pem"))),
        (0o600, 0o644)
    );
    let before = fs::read(bench.path("keys/site_a.pem")).unwrap();
    let (code, _, err) = bench.cell("keys generate --out keys --signer site_a");
    assert_eq!(code, 2);
    assert!(err.contains("exists already and is not overwritten"), "{err}");
    fs::remove_file(bench.path("keys/site_a.pub.pem")).unwrap();
    assert_eq!(bench.cell("keys generate --out keys --signer site_a").0, 2);
    assert_eq!(fs::read(bench.path("keys/site_a.pem")).unwrap(), before);
    assert_eq!(bench.cell("keys generate --out keys --signer ../site_b").0, 2);
}

#[test]
fn a_private_key_that_others_can_read_is_not_used() {
    let bench = Bench::signed();
    fs::set_permissions(bench.path("keys/site_a.pem"), fs::Permissions::from_mode(0o640)).unwrap();
    let (code, _, err) =
        bench.cell("sign --artifact a.tar.gz --private-key keys/site_a.pem --signer-id site_a");
    assert_eq!(code, 2);
    assert_eq!(
        err,
        "error: 'keys/site_a.pem' has mode 0640: others can read or change this private key; run `chmod 600 keys/site_a.pem`\n"
    );
}

#[test]
fn a_trust_file_grows_sets_its_threshold_and_revokes() {
    let bench = Bench::signed();
    let key = json(&bench.cell_done("keys generate --out keys --signer site_b --json"));
    bench.cell_done(
        "keys trust --trust trust.yaml --public-key keys/site_b.pub.pem --signer site_b --threshold 2",
    );
    let (code, out, _) = bench.cell("verify --artifact a.tar.gz --trust trust.yaml --json");
    assert_eq!((code, &json(&out)["code"]), (1, &Value::from("too_few_signatures")));
    bench.cell_done("sign --artifact a.tar.gz --private-key keys/site_b.pem --signer-id site_b");
    bench.cell_done("verify --artifact a.tar.gz --trust trust.yaml");

    bench.cell_done(&format!("keys revoke --trust trust.yaml --key-id {}", key["key_id"].as_str().unwrap()));
    let (code, out, _) = bench.cell("verify --artifact a.tar.gz --trust trust.yaml --json");
    assert_eq!((code, &json(&out)["code"]), (1, &Value::from("revoked_key")));
    bench.cell_done("keys trust --trust trust.yaml --threshold 1");
    bench.cell_done("verify --artifact a.tar.gz --trust trust.yaml");

    let before = fs::read(bench.path("trust.yaml")).unwrap();
    assert_eq!(bench.cell("keys trust --trust trust.yaml --threshold 3").0, 2, "nobody could reach it");
    assert_eq!(bench.cell("keys trust --trust trust.yaml --threshold 0").0, 2);
    assert_eq!(
        bench.cell("keys trust --trust trust.yaml --public-key keys/site_a.pub.pem --signer x").0,
        2,
        "known"
    );
    assert_eq!(fs::read(bench.path("trust.yaml")).unwrap(), before);
}

#[test]
fn the_evidence_is_complete() {
    let bench = Bench::new();
    bench.cell_done("evidence-artifact --out figures.json --large-mib 3 --rounds 1");
    let figures = json(&fs::read_to_string(bench.path("figures.json")).unwrap());
    assert_eq!(figures["figures"]["bad_total"], figures["figures"]["bad_refused"]);
    assert!(figures["figures"]["bad_total"].as_u64().unwrap() >= 20);
    for key in ["verify_gb_per_s", "verify_peak_kib_large", "ingest_peak_kib_large"] {
        assert!(figures["figures"][key].as_f64().unwrap() > 0.0, "{key}");
    }
    assert!(figures["ratios"]["ratio_sha256"].as_f64().unwrap() > 0.0);
    assert_eq!(fs::read_dir(bench.0.path()).unwrap().count(), 2, "the work files are gone");
}
