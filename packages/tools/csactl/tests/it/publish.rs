//! From the ceremony to a cell: keys, signed metadata, deployments and rollbacks, against a registry.

use std::path::PathBuf;

use crate::common::{Csactl, Registry, Setup, artifact, sql, text, trust_file};
use serde_json::{Value, json};
use swarm_registry::approval::TwoPerson;
use swarm_store::unix_now;
use swarm_tuf::{Client, Limits, Mode, Moment, Target, find, refresh};
use swarm_tuf_cli::{Folder, HostError, Server, Update, download};

/// A registry after its ceremony, with whoever holds all keys at the command line.
pub(crate) struct Bed {
    folder: tempfile::TempDir,
    pub(crate) registry: Registry,
    pub(crate) csactl: Csactl,
}

impl Bed {
    fn new() -> Self {
        Self::with(|setup| setup)
    }

    pub(crate) fn with(change: impl FnOnce(Setup) -> Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ceremony = folder.path().join("ceremony");
        let nobody = Csactl::at("http://127.0.0.1:1");
        nobody.run(&["keys", "ceremony", "--out", text(&ceremony)]).expect(0);
        let setup = Setup {
            update_keys: Some(ceremony.join("registry/online.pem")),
            ..Setup::local(&folder.path().join("data"))
        };
        let registry = change(setup).start();
        let trust = trust_file(folder.path());
        let csactl = Csactl::at(&registry.address)
            .with("CSACTL_METADATA", text(&ceremony.join("cells")))
            .with("TRUST_PATH", text(&trust));
        csactl
            .run(&["publish-root", text(&ceremony.join("publish"))])
            .says(0, &["image repository", "director"]);
        Self { folder, registry, csactl }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn key(&self, name: &str) -> String {
        text(&self.path("ceremony/offline").join(name)).to_owned()
    }

    /// A key for the example skill, made and published.
    pub(crate) fn skill_key(&self) -> String {
        let key = self.path("skill.pem");
        let targets = self.key("targets-1.pem");
        self.csactl
            .run(&["keys", "skill", "cooperative_assembly", "--key", &targets, "--out", text(&key)])
            .says(0, &["published in the image repository"]);
        text(&key).to_owned()
    }

    pub(crate) fn upload(&self, version: &str) -> Value {
        self.csactl.json(&["upload", text(&artifact(self.folder.path(), version))])
    }

    pub(crate) fn publish(&self, version: &str, key: &str) -> crate::common::Ended {
        self.csactl.run(&["publish", "cooperative_assembly", version, "--key", key])
    }

    /// The same people at another registry.
    fn csactl_at(&self, registry: &Registry) -> Csactl {
        Csactl::at(&registry.address).with("CSACTL_METADATA", text(&self.path("ceremony/cells")))
    }

    /// One update of a cell, which remembers what it believed.
    fn refreshed(&self, registry: &Registry, cell: &Cell) -> Result<(), &'static str> {
        cell.update(self, registry, |_, _| Ok(())).map_err(|error| error.code())
    }

    /// What a cell finds that begins with the pinned root.
    fn cell_finds(&self, path: &str) -> Result<Target, &'static str> {
        let path = path.parse().unwrap();
        let found = Cell::default().update(self, &self.registry, |client, host| find(client, host, &path));
        found.map_err(|error| error.code())
    }
}

/// A cell, which updates as the command `tuf` does.
struct Cell(tempfile::TempDir);

impl Default for Cell {
    fn default() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl Cell {
    fn update<T>(
        &self,
        bed: &Bed,
        registry: &Registry,
        then: impl FnOnce(&mut Client, &mut Update<'_>) -> Result<T, HostError>,
    ) -> Result<T, HostError> {
        let folder = Folder::open(self.0.path())?;
        let pinned = || std::fs::read(bed.path("ceremony/cells/image_root.json")).unwrap();
        let root = folder.load("root.json")?.unwrap_or_else(pinned);
        let mut client = Client::new(&root, Moment(unix_now()), Mode::Online, Limits::default()).unwrap();
        let server = Server::new(&format!("{}/api/v1/update/image/metadata", registry.address));
        let mut host = Update { folder: &folder, server: &server };
        refresh(&mut client, &mut host)?;
        then(&mut client, &mut host)
    }
}

const V1: &str = "cooperative_assembly/cooperative_assembly_v1.0.0.tar.gz";

#[test]
fn what_is_published_a_cell_finds_and_what_is_withdrawn_it_does_not() {
    let bed = Bed::new();
    let digest = bed.upload("1.0.0")["digest"].as_str().unwrap().to_owned();
    bed.publish("1.0.0", &bed.key("targets-1.pem"))
        .says(2, &["nobody may sign for skill", "csactl keys skill"]);
    let key = bed.skill_key();
    assert_eq!(bed.cell_finds(V1).unwrap_err(), "no_such_target");
    bed.publish("1.0.0", &key).expect(0);
    let found = bed.cell_finds(V1).unwrap();
    assert_eq!(found.file.hashes["sha256"], digest);
    let targets = Server::new(&format!("{}/api/v1/update/image/targets", bed.registry.address));
    let file = download(&targets, &found, &Limits::default(), &bed.path("targets")).unwrap();
    assert!(
        std::fs::read(file).unwrap()
            == std::fs::read(bed.path("cooperative_assembly_v1.0.0.tar.gz")).unwrap()
    );
    bed.publish("1.0.0", &key).says(0, &["in the image repository already"]);
    bed.csactl.run(&["keys", "show"]).says(0, &["cooperative_assembly", "1 of 1", "2 of 3"]);
    bed.csactl.run(&["withdraw", "cooperative_assembly", "1.0.0", "--key", &key]).expect(0);
    assert_eq!(bed.cell_finds(V1).unwrap_err(), "no_such_target");
    bed.csactl
        .run(&["withdraw", "cooperative_assembly", "1.0.0", "--key", &key])
        .says(0, &["is not in the image"]);
}

#[test]
fn nothing_is_published_that_was_not_verified_here() {
    let bed = Bed::new();
    let key = bed.skill_key();
    bed.upload("1.0.0");
    let mut other = crate::common::trust();
    other.keys[0].key = ed25519_dalek::SigningKey::from_bytes(&[8; 32]).verifying_key();
    let strict = bed.path("strict.yaml");
    std::fs::write(&strict, other.to_yaml()).unwrap();
    let arguments = ["publish", "cooperative_assembly", "1.0.0", "--key", &key, "--trust", text(&strict)];
    bed.csactl.run(&arguments).says(1, &["unknown key"]);
    bed.csactl.run(&["quarantine", "1", "--reason", "drops the peg"]).expect(0);
    bed.publish("1.0.0", &key).says(2, &["is quarantined (drops the peg)"]);
    bed.publish("9.9.9", &key).says(1, &["404"]);
    // Another skill's key, and one that is nobody's.
    bed.csactl.run(&["release", "1", "--reason", "x"]).expect(0);
    bed.publish("1.0.0", &bed.key("targets-1.pem")).says(1, &["422 not_believed"]);
    assert_eq!(bed.cell_finds(V1).unwrap_err(), "no_such_target");
}

#[test]
fn cells_are_sent_to_an_artifact_and_back() {
    let bed = Bed::new();
    let key = bed.skill_key();
    let (one, two) = (bed.upload("1.0.0"), bed.upload("1.1.0"));
    bed.publish("1.0.0", &key).expect(0);
    let deploy = |version: &str| {
        let csa = format!("cooperative_assembly@{version}");
        bed.csactl.run(&["deploy", &csa, "--cell", "cell-1", "--cell", "cell-2", "--reason", "first"])
    };
    deploy("1.1.0").says(1, &["409"]);
    let assigned = deploy("1.0.0").says(0, &["cell-1", "cell-2", "assigned"]);
    drop(assigned);
    deploy("1.0.0").says(0, &["assigned already"]);
    let promote =
        ["promote", "cooperative_assembly", "1.1.0", "--key", &key, "--cell", "cell-1", "--reason", "better"];
    bed.csactl.run(&promote).says(0, &["published", "cell-1", "1.1.0"]);
    let cell = bed.csactl.json(&["cells", "cell-1"]);
    assert_eq!(cell["assigned"], two["digest"]);
    let to = "cooperative_assembly@1.0.0";
    bed.csactl.run(&["rollback", "ALL", "--to", to]).says(2, &["nothing was done", "--yes"]);
    let back = bed.csactl.json(&["rollback", "ALL", "--to", to, "--reason", "drops the peg", "--yes"]);
    assert_eq!(back["deployments"][0]["site_id"], "cell-1");
    assert_eq!(back["unchanged"], json!(["cell-2"]));
    let cells = bed.csactl.json(&["cells"]);
    assert!(cells.as_array().unwrap().iter().all(|cell| cell["assigned"] == one["digest"]), "{cells}");
    bed.csactl
        .run(&["deployments", "--cell", "cell-1"])
        .says(0, &["rollback", "drops the peg", "superseded"]);
    bed.csactl.run(&["cells"]).says(0, &["cell-1", "cell-2"]);
    bed.csactl.run(&["decommission", "cell-2"]).says(2, &["nothing was done", "--yes"]);
    bed.csactl.run(&["decommission", "cell-2", "--yes"]).says(0, &["cell-2 is taken out"]);
    bed.csactl.run(&["decommission", "cell-2", "--yes"]).says(1, &["404", "cell-2"]);
    let left = bed.csactl.json(&["cells"]);
    assert_eq!(left.as_array().unwrap().len(), 1, "{left}");
    bed.csactl.run(&["deployments", "--cell", "cell-2"]).says(0, &["cell-2", "1.0.0"]);
    bed.csactl.run(&["provenance", "cooperative_assembly@1.1.0"]).says(0, &["this", "cell-1 (superseded)"]);
}

#[test]
fn keys_are_replaced_and_a_cell_that_was_away_follows() {
    let bed = Bed::new();
    let key = bed.skill_key();
    bed.upload("1.0.0");
    bed.publish("1.0.0", &key).expect(0);
    let (root1, root2, targets) = (bed.key("root-1.pem"), bed.key("root-2.pem"), bed.key("targets-1.pem"));
    // Keys that nobody has seen yet, made as another ceremony makes them.
    let new = bed.path("new");
    bed.csactl.run(&["keys", "ceremony", "--out", text(&new)]).expect(0);
    let new = |name: &str| text(&new.join(name)).to_owned();

    // One of two signatures of the old root is not enough, and nothing happens.
    let rotate = |role: &str, new_keys: &[&str], keys: &[&str]| {
        let mut arguments = vec!["keys", "rotate", role];
        for key in new_keys {
            arguments.extend(["--new-key", key]);
        }
        for key in keys {
            arguments.extend(["--key", key]);
        }
        bed.csactl.run(&arguments)
    };
    let new_roots = [new("offline/root-1.pem"), new("offline/root-2.pem"), new("offline/root-3.pem")];
    let new_roots: Vec<&str> = new_roots.iter().map(String::as_str).collect();
    rotate("root", &new_roots, &[&root1, new_roots[0], new_roots[1]]).says(1, &["not_believed"]);
    rotate("root", &new_roots, &[&root1, &root2, new_roots[0], new_roots[1]]).expect(0);
    assert!(bed.cell_finds(V1).is_ok(), "a cell that believes the first root alone");

    let new_targets = new("offline/targets-1.pem");
    rotate("targets", &[&new_targets], &[new_roots[0], new_roots[2], &new_targets]).expect(0);
    let new_skill = new("registry/online.pem");
    rotate("cooperative_assembly", &[&new_skill], &[&new_targets, &new_skill]).expect(0);
    bed.upload("1.1.0");
    bed.publish("1.1.0", &key).says(1, &["not_believed"]);
    bed.publish("1.1.0", &new_skill).expect(0);
    rotate("cooperative_assembly", &[&key], &[&targets, &key]).says(1, &["not_believed"]);
    assert!(bed.cell_finds(V1).is_ok());
    rotate("nobody", &[&key], &[&targets]).says(2, &["there is no role 'nobody'"]);
    bed.csactl.run(&["keys", "renew", "targets", "--key", &new_targets]).expect(0);
    bed.csactl.run(&["keys", "renew", "timestamp", "--key", &new_targets]).says(2, &["does it by itself"]);
}

#[test]
fn several_people_sign_one_after_the_other() {
    let bed = Bed::new();
    let (draft, skill) = (bed.path("draft.json"), bed.path("skill.pem"));
    let targets = bed.key("targets-1.pem");
    let roots = [bed.key("root-1.pem"), bed.key("root-2.pem"), bed.key("root-3.pem")];
    let arguments = ["keys", "renew", "root", "--key", &roots[2], "--draft", text(&draft)];
    bed.csactl.run(&arguments).says(0, &["1 signatures, 2 needed", "nothing was handed in"]);
    bed.csactl.run(&["publish-metadata", text(&draft)]).says(1, &["422 not_believed"]);
    bed.csactl.run(&["sign-metadata", text(&draft), "--key", &targets]).says(2, &["counts for none"]);
    bed.csactl.run(&["sign-metadata", text(&draft), "--key", &roots[0]]).says(0, &["2 signatures, 2 needed"]);
    let versions = bed.csactl.json(&["publish-metadata", text(&draft)]);
    assert_eq!(versions["root"], 2);
    // Not twice.
    bed.csactl.run(&["publish-metadata", text(&draft)]).says(1, &["409 not_the_next_version"]);
    assert!(!skill.exists());
}

#[test]
fn a_registry_that_goes_back_gets_nothing_signed() {
    let bed = Bed::new();
    let key = bed.skill_key();
    bed.upload("1.0.0");
    bed.publish("1.0.0", &key).expect(0);
    // Whoever takes it over has this copy, which was signed by the right keys.
    let (database, copy) = (bed.path("data/registry.db"), bed.path("copy.db"));
    sql(&database, &format!("VACUUM INTO '{}'", text(&copy)));
    let withdraw = ["withdraw", "cooperative_assembly", "1.0.0", "--key", &key];
    bed.csactl.run(&withdraw).expect(0);
    let Bed { folder, registry, csactl: _ } = bed;
    drop(registry);
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", text(&database)));
    }
    std::fs::rename(&copy, &database).unwrap();
    let online = folder.path().join("ceremony/registry/online.pem");
    let setup = Setup { update_keys: Some(online), ..Setup::local(&folder.path().join("data")) };
    let registry = setup.start();
    // What would be signed again is the list that still has the withdrawn artifact.
    let csactl =
        Csactl::at(&registry.address).with("CSACTL_METADATA", text(&folder.path().join("ceremony/cells")));
    csactl
        .run(&["keys", "renew", "cooperative_assembly", "--key", &key])
        .says(1, &["rollback", "suspect the server"]);
}

#[test]
fn two_people_are_needed_where_the_policy_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, file, ceremony) =
        (folder.path().join("keys"), folder.path().join("token_keys.yaml"), folder.path().join("ceremony"));
    let nobody = Csactl::at("http://127.0.0.1:1");
    let make =
        ["token", "key", "--id", "ops", "--role", "admin", "--out", text(&keys), "--token-keys", text(&file)];
    nobody.run(&make).expect(0);
    nobody.run(&["keys", "ceremony", "--out", text(&ceremony)]).expect(0);
    let setup = Setup {
        token_keys: Some(file),
        update_keys: Some(ceremony.join("registry/online.pem")),
        two_person: TwoPerson::Required,
        ..Setup::local(&folder.path().join("data"))
    };
    let registry = setup.start();
    let person = |name: &str| {
        let key = keys.join("ops.pem");
        let token =
            nobody.run(&["token", "issue", "--key", text(&key), "--subject", name, "--role", "admin"]);
        Csactl::at(&registry.address).with("CSACTL_TOKEN", token.expect(0).stdout.trim())
    };
    let (ada, bob) = (person("ada"), person("bob"));
    let image = ceremony.join("publish/image.json");
    ada.run(&["publish-metadata", text(&image)])
        .says(0, &["nothing was done yet", "csactl approvals confirm 1"]);
    ada.run(&["approvals", "list"]).says(0, &["ada", "waiting"]);
    ada.run(&["approvals", "confirm", "1"]).says(1, &["403 same_person"]);
    bob.run(&["approvals", "confirm", "1"]).says(0, &["confirmed", "bob"]);
    bob.run(&["approvals", "confirm", "1"]).says(1, &["already_confirmed"]);
    // The image repository is there now. The director is not, so that all of it cannot be shown.
    let cells = ceremony.join("cells");
    bob.run(&["keys", "show", "--metadata", text(&cells)]).says(1, &["director repository"]);
    assert!(cells.join("image/snapshot.json").exists() && !cells.join("director/snapshot.json").exists());
}

#[test]
fn a_roll_out_is_begun_from_a_plan_and_people_stay_in_charge() {
    let bed = Bed::new();
    let key = bed.skill_key();
    for version in ["1.0.0", "1.1.0"] {
        bed.upload(version);
        bed.publish(version, &key).expect(0);
    }
    bed.csactl
        .run(&["deploy", "cooperative_assembly@1.0.0", "--cell", "cell-1", "--reason", "first"])
        .expect(0);
    let plan = bed.path("plan.yaml");
    let gates = "gates: {observe_s: 60, min_runs: 1, min_success_rate: 0.9}";
    let write = |stages: &str| {
        let text = format!("artifact: cooperative_assembly@1.1.0\ncells: all\nstages: {stages}\n{gates}\n");
        std::fs::write(&plan, text).unwrap();
    };
    write("[]");
    bed.csactl.run(&["rollout", "start", text(&plan)]).says(2, &["stages"]);
    write("[{name: canary, percent: 50}, {name: all, percent: 100}]");
    let begun = bed.csactl.json(&["rollout", "start", text(&plan)]);
    let id = begun["id"].to_string();
    bed.csactl.run(&["rollout", "list"]).says(0, &["cooperative_assembly", "1.1.0"]);
    bed.csactl.run(&["rollout", "pause", &id, "--reason", "lunch"]).says(0, &["paused", "canary"]);
    bed.csactl.run(&["rollout", "resume", &id, "--reason", "back"]).expect(0);
    bed.csactl.run(&["rollout", "abort", &id, "--reason", "enough"]).says(0, &["aborted"]);
    bed.csactl.run(&["rollout", "show", &id]).says(0, &["aborted", "1.1.0"]);
    bed.csactl.run(&["rollout", "pause", &id, "--reason", "x"]).says(1, &["409"]);
}

/// A backup is older than what cells have seen: they refuse its metadata, as they should. Another online key has them forget
/// the old one's word, and they follow again.
#[test]
fn cells_follow_a_registry_that_was_restored_once_it_has_another_online_key() {
    let bed = Bed::new();
    let key = bed.skill_key();
    bed.upload("1.0.0");
    bed.publish("1.0.0", &key).expect(0);
    let place = bed.path("backups");
    let backups = |data: &str| {
        let data = bed.path(data);
        Csactl::at("http://127.0.0.1:1")
            .with("REGISTRY_DATA_PATH", text(&data))
            .with("BACKUP_PLACE", text(&place))
    };
    backups("data").run(&["backup"]).expect(0);
    let cell = Cell::default();
    for _ in 0..2 {
        bed.csactl.run(&["keys", "renew", "cooperative_assembly", "--key", &key]).expect(0);
        assert_eq!(bed.refreshed(&bed.registry, &cell), Ok(()));
    }
    backups("new").run(&["restore"]).says(0, &["csactl keys rotate online"]);
    // The registry's file of update keys has the old and the new key until the new root is there.
    let (new, both) = (bed.path("another"), bed.path("both.pem"));
    backups("new").run(&["keys", "ceremony", "--out", text(&new)]).expect(0);
    let new = new.join("registry/online.pem");
    let pems = [bed.path("ceremony/registry/online.pem"), new.clone()]
        .map(|path| std::fs::read_to_string(path).unwrap());
    std::fs::write(&both, pems.concat()).unwrap();
    std::fs::set_permissions(&both, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let registry = Setup { update_keys: Some(both), ..Setup::local(&bed.path("new")) }.start();
    assert_eq!(bed.refreshed(&registry, &cell), Err("rollback"));

    // Whoever signs begins with the pinned roots, as a new cell does.
    let fresh = bed.path("fresh");
    std::fs::create_dir(&fresh).unwrap();
    for root in ["image_root.json", "director_root.json"] {
        std::fs::copy(bed.path("ceremony/cells").join(root), fresh.join(root)).unwrap();
    }
    let csactl = Csactl::at(&registry.address).with("CSACTL_METADATA", text(&fresh));
    let roots = [bed.key("root-1.pem"), bed.key("root-2.pem")];
    let rotate =
        ["keys", "rotate", "online", "--new-key", text(&new), "--key", &roots[0], "--key", &roots[1]];
    csactl.run(&rotate).says(0, &["image repository", "director"]);
    assert_eq!(bed.refreshed(&registry, &cell), Ok(()));
    bed.csactl_at(&registry).run(&["keys", "show"]).expect(0);
}
