//! Many artifacts against what is said of them: digest, length, signatures. In parallel, since hashing is all the work.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Mutex;

use indicatif::ProgressBar;
use serde::Serialize;
use swarm_artifact::{ArchiveDigest, SignatureFile, Trust};

/// What is said of an artifact.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) digest: String,
    /// Skill and version, for people.
    pub(crate) name: String,
    pub(crate) size: u64,
    /// Text of the signature file; `None` where it is fetched when it is needed.
    pub(crate) signature: Option<String>,
    /// When the artifact came in. A key that expired later could still sign it; a revoked one counts at no time.
    pub(crate) accepted_unix: i64,
}

/// What is wrong with one.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Bad {
    pub(crate) digest: String,
    pub(crate) name: String,
    pub(crate) problem: String,
}

/// Of all of them.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) artifacts: usize,
    pub(crate) bytes: u64,
    pub(crate) signatures_judged: bool,
    /// In the order of the digests.
    pub(crate) bad: Vec<Bad>,
}

/// Where the bytes and the signature files are.
pub(crate) trait Source: Sync {
    /// Reads the whole artifact.
    fn hash(&self, item: &Item) -> anyhow::Result<ArchiveDigest>;

    fn signature(&self, item: &Item) -> anyhow::Result<String>;
}

/// Verifies all of them; without a trust file, the digests alone.
pub(crate) fn verify_all(
    items: Vec<Item>,
    source: &impl Source,
    trust: Option<&Trust>,
    bar: &ProgressBar,
) -> Verdict {
    let (artifacts, bytes) = (items.len(), items.iter().map(|item| item.size).sum());
    let left = Mutex::new(VecDeque::from(items));
    let bad = Mutex::new(Vec::new());
    let next = || left.lock().ok().and_then(|mut left| left.pop_front());
    let work = || {
        while let Some(item) = next() {
            if let Err(error) = verify_one(&item, source, trust) {
                let problem = swarm_base::ErrorChain(error.as_ref()).to_string();
                if let Ok(mut bad) = bad.lock() {
                    bad.push(Bad { digest: item.digest.clone(), name: item.name.clone(), problem });
                }
            }
            bar.inc(item.size);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(artifacts.max(1));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    bar.finish_and_clear();
    let mut bad = bad.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    bad.sort_by(|one, other| one.digest.cmp(&other.digest));
    Verdict { artifacts, bytes, signatures_judged: trust.is_some(), bad }
}

fn verify_one(item: &Item, source: &impl Source, trust: Option<&Trust>) -> anyhow::Result<()> {
    let found = source.hash(item)?;
    anyhow::ensure!(
        found.length == item.size,
        "it has {} bytes, and {} are listed; it was cut short or changed",
        found.length,
        item.size
    );
    anyhow::ensure!(
        found.id.to_string() == item.digest,
        "its bytes have the digest {}; it was changed where it is kept",
        found.id
    );
    if let Some(trust) = trust {
        let text = match &item.signature {
            Some(text) => text.clone(),
            None => source.signature(item)?,
        };
        let signatures = SignatureFile::parse(&text)?;
        swarm_artifact::verify(&found, &signatures, trust, item.accepted_unix)?;
    }
    Ok(())
}

impl Verdict {
    pub(crate) fn good(&self) -> bool {
        self.bad.is_empty()
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for bad in &self.bad {
            let problem = crate::output::plain(&bad.problem);
            let _ = writeln!(text, "BAD {} {}: {problem}", bad.digest, crate::output::plain(&bad.name));
        }
        let judged = if self.signatures_judged {
            "digests and signatures"
        } else {
            "digests alone; give --trust for the signatures"
        };
        let size = crate::output::size(self.bytes);
        text + &format!("{} artifacts ({size}), {} bad; {judged}\n", self.artifacts, self.bad.len())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use ed25519_dalek::SigningKey;
    use swarm_artifact::{KeyRole, TrustedKey};

    use super::*;

    struct Memory(BTreeMap<String, Vec<u8>>);

    impl Source for Memory {
        fn hash(&self, item: &Item) -> anyhow::Result<ArchiveDigest> {
            let bytes = self.0.get(&item.digest).ok_or_else(|| anyhow::anyhow!("it is not there"))?;
            Ok(ArchiveDigest::of(bytes))
        }

        fn signature(&self, item: &Item) -> anyhow::Result<String> {
            anyhow::bail!("asked for the signature of {}", item.digest)
        }
    }

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn trust() -> Trust {
        let key = TrustedKey {
            key: key(1).verifying_key(),
            signer: "a".to_owned(),
            roles: BTreeSet::from([KeyRole::Artifact]),
            not_before_unix: None,
            not_after_unix: Some(100),
            revoked: false,
        };
        Trust { threshold: 1, keys: vec![key] }
    }

    fn item(bytes: &[u8], seed: u8) -> Item {
        let digest = ArchiveDigest::of(bytes);
        let mut file = SignatureFile::empty();
        file.sign(&digest.signing_digest(), &key(seed), "a");
        Item {
            digest: digest.id.to_string(),
            name: String::from_utf8_lossy(bytes).into_owned(),
            size: digest.length,
            signature: Some(file.to_yaml()),
            accepted_unix: 100,
        }
    }

    #[test]
    fn each_bad_artifact_is_named_with_what_is_wrong() {
        let names = ["good", "changed", "short", "gone", "forged", "late"];
        let mut items: Vec<Item> = names.iter().map(|name| item(name.as_bytes(), 1)).collect();
        let mut memory =
            Memory(items.iter().map(|item| (item.digest.clone(), item.name.clone().into_bytes())).collect());
        memory.0.insert(items[1].digest.clone(), b"changeD".to_vec());
        memory.0.insert(items[2].digest.clone(), b"shor".to_vec());
        memory.0.remove(&items[3].digest);
        items[4] = item(b"forged", 2);
        items[5].accepted_unix = 101;
        let verdict = verify_all(items, &memory, Some(&trust()), &ProgressBar::hidden());
        let bad: BTreeMap<&str, &str> =
            verdict.bad.iter().map(|bad| (bad.name.as_str(), bad.problem.as_str())).collect();
        assert_eq!(bad.keys().copied().collect::<Vec<_>>(), ["changed", "forged", "gone", "late", "short"]);
        for (name, part) in [
            ("changed", "changed where it is kept"),
            ("forged", "unknown key"),
            ("gone", "not there"),
            ("late", "expired key"),
            ("short", "cut short"),
        ] {
            assert!(bad[name].contains(part), "{name}: {}", bad[name]);
        }
        assert!(!verdict.good() && verdict.text().contains("6 artifacts"));
    }
}
