//! Metadata that people sign: files that belong together, in the order in which they are handed in, until enough have signed.
//!
//! A draft travels from person to person as one JSON file. It says which keys count for each of its files; nobody believes
//! that but the program that picks the key to sign with. Whether enough have signed is decided by the registry, and by every
//! cell again.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Deserialize, Serialize};
use swarm_api::update::{Publish, SignedFile, Which};
use swarm_tuf::{Draft, Ed25519Signer, Json, Key, Metadata, ROOT, Root, Signed, Signer as _, Targets};

use crate::files;

/// Files that are published together.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DraftFile {
    pub(crate) repository: Which,
    /// A new root first, then targets, then the roles of skills.
    pub(crate) files: Vec<SignedFile>,
    /// The keys whose signatures count, by role.
    pub(crate) keys: BTreeMap<String, Vec<Key>>,
    /// How many of them are needed, by role. A new root needs as many of the old one's besides.
    pub(crate) thresholds: BTreeMap<String, u64>,
}

/// How far one file is.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Progress {
    pub(crate) role: String,
    pub(crate) version: u64,
    pub(crate) expires: String,
    pub(crate) signatures: usize,
    pub(crate) needed: u64,
    /// What the metadata says, for whoever is about to sign it.
    pub(crate) says: Vec<String>,
}

impl DraftFile {
    pub(crate) fn new(repository: Which) -> Self {
        Self { repository, files: Vec::new(), keys: BTreeMap::new(), thresholds: BTreeMap::new() }
    }

    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        serde_json::from_str(&files::read(path)?)
            .with_context(|| format!("'{}' is no draft as `csactl` writes it", path.display()))
    }

    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        files::replace(path, format!("{}\n", serde_json::to_string_pretty(self)?).as_bytes())
    }

    /// Adds a file with the signatures that it has; `eligible` are the keys whose signatures count.
    pub(crate) fn add<T: Metadata>(
        &mut self,
        role: &str,
        draft: &Draft<T>,
        eligible: &[Key],
        threshold: u64,
    ) {
        let text = String::from_utf8_lossy(&draft.to_bytes()).into_owned();
        self.files.push(SignedFile { role: role.to_owned(), text });
        self.keys.insert(role.to_owned(), eligible.to_vec());
        self.thresholds.insert(role.to_owned(), threshold);
    }

    /// Signs every file for which the key counts; says which.
    pub(crate) fn sign(&mut self, key: &SigningKey) -> anyhow::Result<Vec<String>> {
        let mut signed = Vec::new();
        for file in &mut self.files {
            let eligible = self.keys.get(&file.role).map_or(&[][..], Vec::as_slice);
            let text = if file.role == ROOT {
                add_signature::<Root>(file, eligible, key)?
            } else {
                add_signature::<Targets>(file, eligible, key)?
            };
            if let Some(text) = text {
                file.text = text;
                signed.push(file.role.clone());
            }
        }
        if signed.is_empty() {
            let roles: Vec<&str> = self.files.iter().map(|file| file.role.as_str()).collect();
            bail!(
                "the key {} counts for none of the draft's files ({}); sign with a key that the role's metadata names",
                Key::ed25519(&key.verifying_key()).id(),
                roles.join(", ")
            );
        }
        Ok(signed)
    }

    pub(crate) fn progress(&self) -> anyhow::Result<Vec<Progress>> {
        let of = |file: &SignedFile| {
            let needed = self.thresholds.get(&file.role).copied().unwrap_or(1);
            if file.role == ROOT {
                let signed = parse::<Root>(file)?;
                Ok(progress(&file.role, &signed, needed, describe_root(signed.body())))
            } else {
                let signed = parse::<Targets>(file)?;
                Ok(progress(&file.role, &signed, needed, describe_targets(signed.body())))
            }
        };
        self.files.iter().map(of).collect()
    }

    pub(crate) fn publish(&self) -> Publish {
        Publish { files: self.files.clone() }
    }
}

/// Signs with those of `keys` that count; says how many did.
pub(crate) fn sign_with<T: Metadata>(draft: &mut Draft<T>, eligible: &[Key], keys: &[SigningKey]) -> usize {
    let message = draft.signing_bytes();
    let mut count = 0;
    for key in keys {
        // The id is what the metadata says of the key, which may have further fields.
        for public in eligible {
            if let Some(signer) = Ed25519Signer::known_as(key.clone(), public.clone()) {
                draft.add(signer.public().id(), &key.sign(&message).to_bytes());
                count += 1;
            }
        }
    }
    count
}

fn add_signature<T: Metadata>(
    file: &SignedFile,
    eligible: &[Key],
    key: &SigningKey,
) -> anyhow::Result<Option<String>> {
    let signed = parse::<T>(file)?;
    let canonical = Json::parse(file.text.as_bytes())?.get("signed").map(Json::canonical);
    let mut draft = Draft::from(signed);
    if canonical != Some(draft.signing_bytes()) {
        bail!(
            "{} has fields that this program does not know; sign it with the program that made it",
            file.role
        );
    }
    if sign_with(&mut draft, eligible, std::slice::from_ref(key)) == 0 {
        return Ok(None);
    }
    Ok(Some(String::from_utf8(draft.to_bytes())?))
}

fn parse<T: Metadata>(file: &SignedFile) -> anyhow::Result<Signed<T>> {
    Ok(Signed::<T>::parse(&file.role, &format!("{} of the draft", file.role), file.text.as_bytes())?)
}

fn progress<T: Metadata>(role: &str, signed: &Signed<T>, needed: u64, says: Vec<String>) -> Progress {
    Progress {
        role: role.to_owned(),
        version: signed.version(),
        expires: signed.expires().to_string(),
        signatures: signed.signatures().len(),
        needed,
        says,
    }
}

fn describe_root(root: &Root) -> Vec<String> {
    let role = |(name, keys): (&String, &swarm_tuf::RoleKeys)| {
        let ids: Vec<String> = keys.keyids.iter().map(|id| crate::output::short(&id.0)).collect();
        format!("{name}: {} of the keys {}", keys.threshold, ids.join(", "))
    };
    root.roles.iter().map(role).collect()
}

fn describe_targets(targets: &Targets) -> Vec<String> {
    let file = |(path, file): (&String, &swarm_tuf::TargetFile)| {
        let digest = file.hashes.get("sha256").map(|digest| crate::output::short(digest)).unwrap_or_default();
        format!("{path}: {} bytes, sha256 {digest}", file.length)
    };
    let delegated = targets.delegations.iter().flat_map(|delegations| delegations.roles.iter().flatten());
    let delegated = delegated.map(|role| {
        let ids: Vec<String> = role.keyids.iter().map(|id| crate::output::short(&id.0)).collect();
        format!(
            "{} to {} of the keys {}",
            role.paths.iter().flatten().cloned().collect::<Vec<_>>().join(" "),
            role.threshold,
            ids.join(", ")
        )
    });
    targets.targets.iter().map(file).chain(delegated).collect()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use swarm_tuf::Moment;
    use swarm_tuf::repository::{Lifetimes, NewRole, NewRoles, Repository};

    use super::*;

    const NOW: Moment = Moment(1_800_000_000);

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn public(seed: u8) -> Key {
        Key::ed25519(&key(seed).verifying_key())
    }

    fn repository() -> Repository {
        let role = |seeds: &[u8], threshold| NewRole {
            keys: seeds.iter().map(|seed| public(*seed)).collect(),
            threshold: NonZeroU64::new(threshold).unwrap(),
        };
        let roles = NewRoles {
            root: role(&[1, 2, 3], 2),
            targets: role(&[4], 1),
            snapshot: role(&[5], 1),
            timestamp: role(&[5], 1),
        };
        Repository::create(roles, Lifetimes { root_s: 9, targets_s: 9, snapshot_s: 9, timestamp_s: 9 })
    }

    #[test]
    fn people_sign_one_after_the_other_until_a_cell_believes_it() {
        let mut repository = repository();
        let mut draft = DraftFile::new(Which::Image);
        draft.add(ROOT, &repository.draft_root(NOW).unwrap(), &[public(1), public(2), public(3)], 2);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("draft.json");
        for (seed, believed) in [(3, false), (3, false), (1, true)] {
            draft.write(&path).unwrap();
            draft = DraftFile::read(&path).unwrap();
            assert_eq!(draft.sign(&key(seed)).unwrap(), [ROOT]);
            assert_eq!(repository.adopt_root(draft.files[0].text.as_bytes()).is_ok(), believed);
        }
        let progress = draft.progress().unwrap();
        assert_eq!((progress[0].signatures, progress[0].needed), (2, 2), "one key twice counts once");
    }

    #[test]
    fn a_stranger_s_key_and_unknown_fields_are_refused() {
        let repository = repository();
        let mut draft = DraftFile::new(Which::Image);
        draft.add(ROOT, &repository.draft_root(NOW).unwrap(), &[public(1)], 2);
        let error = draft.sign(&key(9)).unwrap_err().to_string();
        assert!(error.contains("counts for none"), "{error}");
        draft.files[0].text = draft.files[0].text.replacen("\"signed\":{", "\"signed\":{\"x\":1,", 1);
        let error = draft.sign(&key(1)).unwrap_err().to_string();
        assert!(error.contains("fields that this program does not know"), "{error}");
    }
}
