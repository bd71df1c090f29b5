//! Bags from a cell's spool to a person's disk.

use std::fs;

use crate::common::{Csactl, Setup, text};
use swarm_registry_client::{Connection, Settings, Spool};

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
    let settings = Settings { url: registry.address.clone(), ..Settings::default() };
    let connection = Connection::new(&settings).unwrap();
    let said = spool.upload_next(&connection, &|| true).unwrap().unwrap();
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
