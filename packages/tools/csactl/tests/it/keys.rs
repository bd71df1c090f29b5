//! The ceremony, and what is made of it before a registry has it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::common::{Csactl, text};
use serde_json::{Value, json};
use swarm_store::unix_now;
use swarm_tuf::{Client, Limits, Mode, Moment, Root, Signed};

fn ceremony(out: &Path) -> Csactl {
    let csactl = Csactl::at("http://127.0.0.1:1");
    csactl.run(&["keys", "ceremony", "--out", text(out)]).says(
        0,
        &["kept away from any network", "UPDATE_KEY_PATH", "csactl publish-root", "2 of them together"],
    );
    csactl
}

fn root(path: &Path) -> Signed<Root> {
    let bytes = std::fs::read(path).unwrap();
    // A cell begins with these bytes.
    Client::new(&bytes, Moment(unix_now()), Mode::Online, Limits::default()).unwrap();
    Signed::parse("root", "root.json", &bytes).unwrap()
}

#[test]
fn a_ceremony_makes_keys_that_are_secret_and_roots_that_cells_believe() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("ceremony");
    let csactl = ceremony(&out);
    for key in ["offline/root-1.pem", "offline/root-3.pem", "offline/targets-1.pem", "registry/online.pem"] {
        let mode = std::fs::metadata(out.join(key)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{key}");
    }
    let (image, director) =
        (root(&out.join("cells/image_root.json")), root(&out.join("cells/director_root.json")));
    for root in [&image, &director] {
        let role = &root.body().roles["root"];
        assert_eq!((role.keyids.len(), role.threshold.get()), (3, 2));
        assert_eq!(root.body().roles["snapshot"].keyids, root.body().roles["timestamp"].keyids);
        assert!(root.body().consistent_snapshot);
    }
    // The registry's key signs which cell runs what, and never what exists.
    assert_eq!(director.body().roles["targets"].keyids, director.body().roles["timestamp"].keyids);
    assert_ne!(image.body().roles["targets"].keyids, image.body().roles["timestamp"].keyids);
    csactl.run(&["keys", "ceremony", "--out", text(&out)]).says(2, &["holds a ceremony already"]);
    let other = folder.path().join("other");
    csactl
        .run(&["keys", "ceremony", "--out", text(&other), "--root-keys", "1"])
        .says(2, &["--root-threshold is 2, but only 1 root keys"]);
    assert!(!other.exists());
}

#[test]
fn a_draft_shows_what_is_signed_and_takes_only_keys_that_count() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("ceremony");
    let csactl = ceremony(&out);
    let draft = out.join("publish/image.json");
    let mut text_of: Value = serde_json::from_str(&std::fs::read_to_string(&draft).unwrap()).unwrap();
    assert_eq!(text_of["repository"], "image");
    // As it would be with none of the signatures.
    let root = text_of["files"][0]["text"].as_str().unwrap();
    let mut root: Value = serde_json::from_str(root).unwrap();
    root["signatures"] = json!([]);
    text_of["files"][0]["text"] = json!(root.to_string());
    std::fs::write(&draft, text_of.to_string()).unwrap();
    let sign = |key: &str| csactl.run(&["sign-metadata", text(&draft), "--key", text(&out.join(key))]);
    sign("offline/root-2.pem")
        .says(0, &["image root version 1", "1 signatures, 2 needed", "snapshot: 1 of the keys"]);
    sign("offline/root-1.pem").says(0, &["2 signatures, 2 needed"]);
    sign("registry/online.pem").says(2, &["counts for none of the draft's files"]);
}

#[test]
fn nothing_is_signed_on_the_word_of_a_registry_that_cannot_be_asked() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("ceremony");
    let csactl = ceremony(&out);
    let (key, skill, cells) =
        (out.join("offline/targets-1.pem"), folder.path().join("skill.pem"), out.join("cells"));
    let arguments = ["keys", "skill", "pick", "--key", text(&key), "--out", text(&skill), "--metadata"];
    csactl.run(&[&arguments[..], &[text(&cells)]].concat()).says(2, &["got no answer", "image repository"]);
    assert!(!skill.exists());
    let empty = folder.path().join("empty");
    csactl
        .run(&[&arguments[..], &[text(&empty)]].concat())
        .says(2, &["begins with the pinned roots of the ceremony"]);
}
