//! What a cell's spool hands in: bags, to a person's disk, and artifacts.

use std::fs;
use std::path::Path;

use crate::common::{Csactl, Registry, Setup, artifact, text};
use swarm_registry_client::{Connection, PART, Settings, Spool, Upload};

pub(crate) fn connection(registry: &Registry) -> Connection {
    Connection::new(&Settings { url: registry.address.clone(), ..Settings::default() }).unwrap()
}

/// Hands in a bag of one file.
pub(crate) fn hand_in_bag(registry: &Registry, folder: &Path, name: &str) {
    let spool = Spool::open(folder, "cell-7").unwrap();
    fs::write(folder.join(name), name).unwrap();
    fs::write(folder.join(format!("{name}.upload")), "").unwrap();
    let said = spool.upload_next(&connection(registry), &|| true).unwrap().unwrap();
    assert!(said.contains("was handed in as bag"), "{said}");
}

#[test]
fn a_bag_goes_from_the_spool_to_whoever_gets_it() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Setup::local(&folder.path().join("data")).start();
    let csactl = Csactl::at(&registry.address);
    csactl.run(&["bags", "list"]).says(0, &["no bags"]);

    let place = folder.path().join("spool");
    let spool = Spool::open(&place, "cell-7").unwrap();
    let video: Vec<u8> = (0..500_000_u32).flat_map(|at| (at / 3).to_le_bytes()).collect();
    fs::create_dir(place.join("demo_001")).unwrap();
    fs::write(place.join("demo_001/metadata.yaml"), "rosbag2_bagfile_information:").unwrap();
    fs::write(place.join("demo_001/demo_001_0.mcap"), &video).unwrap();
    fs::write(place.join("demo_001.upload"), "").unwrap();
    let said = spool.upload_next(&connection(&registry), &|| true).unwrap().unwrap();
    assert!(said.starts_with("demo_001 was handed in as bag 1"), "{said}");
    assert!(!place.join("demo_001").exists() && place.join("demo_001.uploaded").is_file());

    csactl.run(&["bags", "list"]).says(0, &["demo_001", "developer", "1.91 MiB"]);
    let out = folder.path().join("got.tar");
    csactl.run(&["bags", "get", "1", "--out", text(&out)]).says(0, &["tar -xf"]);
    csactl.run(&["bags", "get", "1", "--out", text(&out)]).says(2, &["not overwritten"]);
    let unpacked = folder.path().join("unpacked");
    tar::Archive::new(fs::File::open(&out).unwrap()).unpack(&unpacked).unwrap();
    assert!(fs::read(unpacked.join("demo_001/demo_001_0.mcap")).unwrap() == video);

    csactl.run(&["bags", "remove", "1"]).says(0, &["removed"]);
    csactl.run(&["bags", "get", "1"]).says(1, &["no_such_bag"]);
    assert!(csactl.json(&["bags", "list"]).as_array().unwrap().is_empty());
}

#[test]
fn an_upload_whose_parts_the_registry_has_lost_is_sent_anew() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let registry = Setup::local(&data).start();
    let (connection, place) = (connection(&registry), folder.path().join("spool"));
    let spool = Spool::open(&place, "cell-7").unwrap();
    let archive = artifact(&place, "1.0.0");
    let mut upload = Upload::begin(&connection, &archive, None).unwrap();
    upload.send(PART, |_| true).unwrap();
    let mark = serde_json::json!({"upload_id": upload.id()}).to_string();
    fs::write(format!("{}.upload", text(&archive)), mark).unwrap();
    fs::remove_dir_all(data.join("artifacts/incoming")).unwrap();
    let error = spool.upload_next(&connection, &|| true).unwrap_err().to_string();
    assert!(error.contains("status 404"), "{error}");
    let said = spool.upload_next(&connection, &|| true).unwrap().unwrap();
    assert!(said.contains("was handed in as artifact 1"), "{said}");
}
