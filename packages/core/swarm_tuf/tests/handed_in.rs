//! A repository that holds the keys of snapshot and timestamp only: everything else is signed elsewhere and handed in.

mod common;

use std::collections::BTreeMap;

use common::{LIFETIMES, Server, path, signer};
use swarm_tuf::TargetFile;
use swarm_tuf::repository::{Keyring, PublishError, Repository};

/// The keys that `Server::new` gives snapshot and timestamp.
fn online() -> Keyring {
    let mut keyring = Keyring::default();
    for seed in [3, 4] {
        keyring.add(signer(seed));
    }
    keyring
}

struct Registry {
    repository: Repository,
    files: BTreeMap<String, Vec<u8>>,
}

impl Registry {
    fn new(people: &Server) -> Self {
        let mut repository = Repository::begin(&people.files["1.root.json"], LIFETIMES).unwrap();
        repository.adopt_role("targets", &people.files["1.targets.json"]).unwrap();
        let mut registry = Self { repository, files: BTreeMap::new() };
        registry.publish(people).unwrap();
        registry
    }

    fn publish(&mut self, people: &Server) -> Result<(), PublishError> {
        for file in self.repository.publish(&online(), people.now)? {
            self.files.insert(file.name, file.bytes);
        }
        Ok(())
    }

    /// Takes the files over, all or none.
    fn hand_in(&mut self, people: &Server, files: &[(&str, &str)]) -> Result<(), PublishError> {
        let before = self.repository.clone();
        let adopted = files.iter().try_for_each(|(role, name)| match *role {
            "root" => self.repository.adopt_root(&people.files[*name]),
            role => self.repository.adopt_role(role, &people.files[*name]),
        });
        let result = adopted.and_then(|()| self.publish(people));
        if result.is_err() {
            self.repository = before;
        }
        result
    }
}

fn refused(result: Result<(), PublishError>) -> &'static str {
    match result.unwrap_err() {
        PublishError::Refused(refusal) => refusal.code(),
        other => panic!("{other}"),
    }
}

#[test]
fn what_people_signed_is_published_with_the_online_keys() {
    let mut people = Server::new();
    people.publish();
    let mut registry = Registry::new(&people);
    people.skill("pick", 10);
    people.publish_target("pick", "skills/pick/a.gz", b"an archive");
    registry.hand_in(&people, &[("targets", "2.targets.json"), ("pick", "1.pick.json")]).unwrap();
    let (role, file) = registry.repository.find(&path("skills/pick/a.gz")).unwrap();
    assert_eq!((role, file), ("pick", &TargetFile::of(b"an archive")));
    assert!(registry.repository.find(&path("skills/pick/b.gz")).is_none());
    // Cells that pinned the first root follow; the registry's files are enough.
    let mirror = Server { files: registry.files.clone(), ..Server::new() };
    common::Cell::new(&mirror).find(&mirror, "skills/pick/a.gz").unwrap();
}

#[test]
fn a_delegation_needs_its_role_in_the_same_breath() {
    let mut people = Server::new();
    people.publish();
    let mut registry = Registry::new(&people);
    people.skill("pick", 10);
    people.publish();
    assert_eq!(refused(registry.hand_in(&people, &[("targets", "2.targets.json")])), "signatures");
    registry.hand_in(&people, &[("targets", "2.targets.json"), ("pick", "1.pick.json")]).unwrap();
    // Other keys of the role: what the old ones signed is no longer believed.
    people.rotate("pick", 20);
    people.publish();
    assert_eq!(refused(registry.hand_in(&people, &[("targets", "3.targets.json")])), "signatures");
    registry.hand_in(&people, &[("targets", "3.targets.json"), ("pick", "2.pick.json")]).unwrap();
    // Nobody delegates to it any more.
    people.repository.revoke("targets", "pick").unwrap();
    people.publish();
    registry.hand_in(&people, &[("targets", "4.targets.json")]).unwrap();
    assert!(registry.repository.role("pick").is_err());
}

#[test]
fn a_first_root_of_another_version_or_without_its_keys_is_refused() {
    let mut people = Server::new();
    people.publish();
    people.rotate("root", 40);
    people.publish();
    let begun = Repository::begin(&people.files["2.root.json"], LIFETIMES).map(|_| ());
    assert_eq!(refused(begun), "mix_and_match");
    let begun = Repository::begin(&people.files["1.targets.json"], LIFETIMES).map(|_| ());
    assert_eq!(refused(begun), "format");
    // The registry could not keep up a root that gives its roles to other keys.
    let mut registry = Registry::new(&people);
    registry.hand_in(&people, &[("root", "2.root.json")]).unwrap();
    people.rotate("timestamp", 41);
    people.publish();
    assert_eq!(refused(registry.hand_in(&people, &[("root", "3.root.json")])), "signatures");
}

#[test]
fn a_search_ends_where_a_clients_does() {
    let mut people = Server::new();
    people.delegate("targets", "pick", 10, &["skills/*"]);
    people.delegate("targets", "place", 11, &["skills/*"]);
    people.repository.set_target("place", &path("skills/b.gz"), TargetFile::of(b"b")).unwrap();
    assert!(people.repository.find(&path("skills/b.gz")).is_some());
    people.terminate("targets", "pick", 10, &["skills/*"]);
    people.publish_target("pick", "skills/a.gz", b"a");
    assert!(people.repository.find(&path("skills/a.gz")).is_some());
    // Behind a terminating delegation nothing is looked for.
    assert!(people.repository.find(&path("skills/b.gz")).is_none());
    let mut cell = common::Cell::new(&people);
    assert_eq!(cell.find(&people, "skills/b.gz").unwrap_err().code(), "no_such_target");
}
