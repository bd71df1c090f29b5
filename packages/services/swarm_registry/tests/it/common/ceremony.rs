//! The people who hold the keys that the registry does not have.

use std::num::NonZeroU64;

use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use swarm_artifact::private_key_to_pem;
use swarm_registry::update::UpdateKeys;
use swarm_tuf::repository::{Keyring, Lifetimes, NewDelegation, NewRole, NewRoles, Repository};
use swarm_tuf::{Ed25519Signer, Moment, TargetFile};

use super::Registry;
use super::artifacts::Signed;

pub(crate) const SKILL: &str = "cooperative_assembly";
const DAY: i64 = 86_400;
const LIFETIMES: Lifetimes =
    Lifetimes { root_s: 365 * DAY, targets_s: 90 * DAY, snapshot_s: 7 * DAY, timestamp_s: DAY };

fn signer(seed: u8) -> Ed25519Signer {
    Ed25519Signer::new(SigningKey::from_bytes(&[seed; 32]))
}

const ONLINE: u8 = 50;

/// The registry's own key.
pub(crate) fn update_keys() -> UpdateKeys {
    UpdateKeys::parse(&private_key_to_pem(&SigningKey::from_bytes(&[ONLINE; 32])).unwrap()).unwrap()
}

/// Those who sign for one of the two repositories. They keep a copy of it, to know what the next versions are.
pub(crate) struct People {
    pub(crate) repository: Repository,
    pub(crate) keyring: Keyring,
    name: &'static str,
    pub(crate) now: Moment,
}

impl People {
    fn new(name: &'static str, root: &[u8], targets: u8, now_unix: i64) -> Self {
        let mut keyring = Keyring::default();
        let mut role = |seeds: &[u8]| NewRole {
            keys: seeds.iter().map(|seed| keyring.add(signer(*seed))).collect(),
            threshold: NonZeroU64::new(seeds.len() as u64).unwrap(),
        };
        let roles = NewRoles {
            root: role(root),
            targets: role(&[targets]),
            snapshot: role(&[ONLINE]),
            timestamp: role(&[ONLINE]),
        };
        let repository = Repository::create(roles, LIFETIMES);
        Self { repository, keyring, name, now: Moment(now_unix) }
    }

    /// Two people sign the root, a third the targets.
    pub(crate) fn of_the_image(now_unix: i64) -> Self {
        Self::new("image", &[51, 52], 53, now_unix)
    }

    pub(crate) fn of_the_director(now_unix: i64) -> Self {
        Self::new("director", &[54, 55], ONLINE, now_unix)
    }

    pub(crate) fn path(&self) -> String {
        format!("/api/v1/update/{}/publish", self.name)
    }

    /// Signs what changed; what is handed in, in the order in which it is taken.
    pub(crate) fn sign(&mut self) -> Value {
        let mut files = Vec::new();
        for file in self.repository.publish(&self.keyring, self.now).unwrap() {
            let stem = file.name.strip_suffix(".json").unwrap();
            let Some((_, role)) = stem.split_once('.') else { continue };
            let own = role == "snapshot" || (self.name == "director" && role != "root");
            if !own {
                files.push(json!({"role": role, "text": String::from_utf8(file.bytes).unwrap()}));
            }
        }
        files.sort_by_key(|file| match file["role"].as_str().unwrap() {
            "root" => 0,
            "targets" => 1,
            _ => 2,
        });
        json!({ "files": files })
    }

    pub(crate) fn delegate(&mut self, skill: &str, seed: u8) {
        let delegation = NewDelegation {
            name: skill.to_owned(),
            keys: vec![self.keyring.add(signer(seed))],
            threshold: NonZeroU64::MIN,
            paths: vec![format!("{skill}/*")],
            terminating: true,
        };
        self.repository.delegate("targets", &delegation).unwrap();
    }

    pub(crate) fn add(&mut self, version: &str, bytes: &[u8]) {
        let path = target_path(version).parse().unwrap();
        self.repository.set_target(SKILL, &path, TargetFile::of(bytes)).unwrap();
    }

    pub(crate) fn withdraw(&mut self, version: &str) {
        self.repository.remove_target(SKILL, &target_path(version).parse().unwrap()).unwrap();
    }
}

pub(crate) fn target_path(version: &str) -> String {
    format!("{SKILL}/{SKILL}_v{version}.tar.gz")
}

impl Registry {
    /// Both repositories begin; the image repository delegates to the example skill. Gives those who sign for it.
    pub(crate) async fn begin_updates(&self) -> People {
        let now_unix = (self.app.now_unix)();
        let mut image = People::of_the_image(now_unix);
        image.delegate(SKILL, 60);
        self.post(&image.path(), &image.sign()).await.expect(200);
        let mut director = People::of_the_director(now_unix);
        self.post(&director.path(), &director.sign()).await.expect(200);
        image
    }

    /// Uploads these versions of the example skill and publishes them; gives their numbers.
    pub(crate) async fn release(&self, image: &mut People, versions: &[&str]) -> Vec<i64> {
        let mut ids = Vec::new();
        for version in versions {
            let signed = Signed::version(version);
            ids.push(self.upload(&signed).await.expect(201).json()["id"].as_i64().unwrap());
            image.add(version, &signed.archive);
        }
        self.post(&image.path(), &image.sign()).await.expect(200);
        ids
    }
}
