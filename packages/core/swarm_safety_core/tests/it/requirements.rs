//! The safety manual's requirements: each has code that meets it and a test that would fail without it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../..");
const MANUAL: &str = "packages/nodes/swarm_safety_monitor/SAFETY.md";
/// Where requirements are met, and where they are tested; a file of the first kind tests from its `mod tests` on.
const SOURCES: [&str; 4] = [
    "packages/core/swarm_safety_core/src",
    "packages/nodes/swarm_safety_monitor/src",
    "packages/adapters/swarm_rt/src",
    "packages/core/swarm_driver_core/src",
];
const TESTS: [&str; 3] =
    ["packages/core/swarm_safety_core/tests", "packages/adapters/swarm_rt/tests", "tests/ros"];

fn ids(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    words
        .filter(|word| {
            word.strip_prefix("SR-").is_some_and(|number| number.len() == 2 && number.parse::<u8>().is_ok())
        })
        .map(str::to_owned)
        .collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "py") {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_requirement_has_its_code_and_its_test() {
    let root = Path::new(ROOT);
    let promised = ids(&fs::read_to_string(root.join(MANUAL)).unwrap());
    assert!(promised.len() >= 20, "{promised:?}");
    let (mut met, mut tested) = (BTreeSet::new(), BTreeSet::new());
    for file in SOURCES.iter().flat_map(|folder| files(&root.join(folder))) {
        let text = fs::read_to_string(file).unwrap();
        let (code, tests) = text.split_once("mod tests {").unwrap_or((&text, ""));
        met.extend(ids(code));
        tested.extend(ids(tests));
    }
    for file in TESTS.iter().flat_map(|folder| files(&root.join(folder))) {
        tested.extend(ids(&fs::read_to_string(file).unwrap()));
    }
    let without = |known: &BTreeSet<String>| promised.difference(known).cloned().collect::<Vec<_>>();
    assert_eq!(without(&met), Vec::<String>::new(), "requirements without code");
    assert_eq!(without(&tested), Vec::<String>::new(), "requirements without a test");
    let unknown: Vec<_> = met.union(&tested).filter(|id| !promised.contains(*id)).collect();
    assert!(unknown.is_empty(), "ids that the manual does not know: {unknown:?}");
}
