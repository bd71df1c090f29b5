//! The pointer: which artifact is deployed, which was last good, and how it came to that.
//!
//! Everything here is a value; [`crate::Store`] reads and replaces the file `deployed.json`.

use semver::Version;
use serde::{Deserialize, Serialize};
use swarm_artifact::{ArtifactId, Intent, Manifest, SkillId, VersionError, check_version};

/// Entries kept in the history, beside the newest of each skill, which is never dropped.
const HISTORY: usize = 100;

/// One deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// Counts up with every deployment of this store.
    pub generation: u64,
    pub artifact: ArtifactId,
    pub skill_id: String,
    pub version: Version,
    /// Seconds since 1970-01-01 UTC.
    pub deployed_at_unix: i64,
    /// It ran well, see [`crate::Store::mark_good`].
    pub good: bool,
    /// It was left by a rollback; an unnamed rollback does not come back to it.
    pub withdrawn: bool,
}

/// Contents of `deployed.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployed {
    pub schema_version: u32,
    /// Generation of the current deployment.
    pub generation: u64,
    pub current: ArtifactId,
    /// The newest artifact that was good and is not withdrawn; may be the current one.
    pub last_good: Option<ArtifactId>,
    /// Oldest first; the last entry is the current deployment.
    pub history: Vec<Deployment>,
}

impl Deployed {
    pub(crate) const SCHEMA_VERSION: u32 = 1;

    /// Checks what the type cannot say. The text names what is wrong.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.schema_version != Self::SCHEMA_VERSION {
            return Err(format!("schema version {}, expected {}", self.schema_version, Self::SCHEMA_VERSION));
        }
        let Some(newest) = self.history.last() else { return Err("its history is empty".to_owned()) };
        if newest.generation != self.generation || newest.artifact != self.current {
            return Err(format!(
                "generation {} with artifact {} is current, but the newest entry of the history is generation {} with {}",
                self.generation, self.current, newest.generation, newest.artifact
            ));
        }
        if !self.history.is_sorted_by(|a, b| a.generation < b.generation) {
            return Err("the generations of its history do not rise".to_owned());
        }
        if self.last_good != newest_good(&self.history) {
            return Err("last_good is not the newest good entry of the history".to_owned());
        }
        Ok(())
    }

    pub fn current_deployment(&self) -> &Deployment {
        // `check` made sure of it when the file was read, and `next` always adds one.
        self.history.last().expect("a pointer has at least one deployment")
    }

    /// Where an unnamed rollback may go: newest first, good, not withdrawn, not the current artifact.
    pub fn rollback_candidates(&self) -> Vec<&Deployment> {
        let mut seen = vec![self.current];
        let newest_of_each = self.history.iter().rev().filter(|entry| {
            let first = !seen.contains(&entry.artifact);
            seen.push(entry.artifact);
            first
        });
        newest_of_each.filter(|entry| entry.good && !entry.withdrawn).collect()
    }

    /// Versions of the current skill that were good once, newest deployment first.
    pub fn good_versions(&self) -> Vec<&Deployment> {
        let skill = &self.current_deployment().skill_id;
        let mut seen = Vec::new();
        let good = self.history.iter().rev().filter(|entry| entry.good && entry.skill_id == *skill);
        good.filter(|entry| {
            let first = !seen.contains(&entry.artifact);
            seen.push(entry.artifact);
            first
        })
        .collect()
    }

    pub(crate) fn mark_good(&mut self) {
        if let Some(newest) = self.history.last_mut() {
            newest.good = true;
        }
        self.last_good = newest_good(&self.history);
    }
}

/// The pointer after deploying `artifact` on top of `before`.
pub(crate) fn next(
    before: Option<&Deployed>,
    artifact: ArtifactId,
    manifest: &Manifest,
    intent: Intent,
    now_unix: i64,
) -> Result<Deployed, (SkillId, VersionError)> {
    let (skill, version) = (&manifest.skill.skill_id, &manifest.skill.version);
    let mut history = before.map_or_else(Vec::new, |before| before.history.clone());
    let newest_of_skill = history.iter().rev().find(|entry| entry.skill_id == skill.as_str());
    check_version(newest_of_skill.map(|entry| &entry.version), version, intent)
        .map_err(|error| (skill.clone(), error))?;

    let rollback = intent == Intent::Rollback;
    let was_good = history.iter().any(|entry| entry.artifact == artifact && entry.good);
    if let (true, Some(left)) = (rollback, before.map(|before| before.current)) {
        history.iter_mut().filter(|entry| entry.artifact == left).for_each(|entry| entry.withdrawn = true);
    }
    let generation = before.map_or(0, |before| before.generation) + 1;
    history.push(Deployment {
        generation,
        artifact,
        skill_id: skill.to_string(),
        version: version.clone(),
        deployed_at_unix: now_unix,
        good: rollback && was_good,
        withdrawn: false,
    });
    shorten(&mut history);
    let last_good = newest_good(&history);
    Ok(Deployed {
        schema_version: Deployed::SCHEMA_VERSION,
        generation,
        current: artifact,
        last_good,
        history,
    })
}

fn newest_good(history: &[Deployment]) -> Option<ArtifactId> {
    history.iter().rev().find(|entry| entry.good && !entry.withdrawn).map(|entry| entry.artifact)
}

/// Drops the oldest entries, but never the newest of a skill (the rollback rule needs it) nor the newest good one.
fn shorten(history: &mut Vec<Deployment>) {
    let last_good = newest_good(history);
    while history.len() > HISTORY {
        let needed = |index: usize| {
            let entry: &Deployment = &history[index];
            let newest_of_skill = !history[index + 1..].iter().any(|later| later.skill_id == entry.skill_id);
            newest_of_skill || (entry.good && Some(entry.artifact) == last_good)
        };
        let Some(index) = (0..history.len()).find(|index| !needed(*index)) else { return };
        history.remove(index);
    }
}

#[cfg(test)]
mod tests {
    use swarm_artifact::Sha256Sum;

    use super::*;

    fn manifest(skill: &str, version: &str) -> Manifest {
        let empty = Sha256Sum::of(b"");
        let text = format!(
            "schema_version: 1\nskill_id: {skill}\nversion: {version}\n\
             roles: {{leader: {{tree: t.xml, tree_id: T, robot_group: g}}}}\nenvelope: e.yaml\n\
             files: [{{path: t.xml, size: 0, sha256: \"{empty}\"}}, {{path: e.yaml, size: 0, sha256: \"{empty}\"}}]\n"
        );
        Manifest::parse(&text).unwrap()
    }

    fn deploy(before: Option<&Deployed>, skill: &str, version: &str) -> Deployed {
        let artifact = ArtifactId(Sha256Sum::of(format!("{skill} {version}").as_bytes()));
        next(before, artifact, &manifest(skill, version), Intent::Upgrade, 0).unwrap()
    }

    #[test]
    fn a_long_history_is_shortened_but_keeps_what_the_rules_need() {
        let mut pointer = deploy(None, "polishing", "3.0.0");
        pointer = deploy(Some(&pointer), "assembly", "0.1.0");
        pointer.mark_good();
        let last_good = pointer.last_good;
        for patch in 0..300 {
            pointer = deploy(Some(&pointer), "assembly", &format!("1.0.{patch}"));
            pointer.check().unwrap();
        }
        assert_eq!((pointer.generation, pointer.history.len()), (302, HISTORY));
        assert_eq!(pointer.last_good, last_good);
        assert_eq!(pointer.rollback_candidates()[0].version, Version::new(0, 1, 0));
        let old = next(Some(&pointer), pointer.current, &manifest("polishing", "2.9.9"), Intent::Upgrade, 0);
        assert!(matches!(old, Err((_, VersionError::Older { .. }))), "{old:?}");
    }

    #[test]
    fn a_pointer_that_contradicts_itself_is_told() {
        let good = deploy(Some(&deploy(None, "assembly", "1.0.0")), "assembly", "1.1.0");
        let spoilt = |spoil: fn(&mut Deployed)| {
            let mut pointer = good.clone();
            spoil(&mut pointer);
            pointer.check().unwrap_err()
        };
        assert_eq!(spoilt(|pointer| pointer.schema_version = 2), "schema version 2, expected 1");
        assert_eq!(spoilt(|pointer| pointer.history.clear()), "its history is empty");
        assert!(
            spoilt(|pointer| pointer.current = pointer.history[0].artifact)
                .starts_with("generation 2 with artifact ")
        );
        assert_eq!(
            spoilt(|pointer| pointer.history[0].generation = 2),
            "the generations of its history do not rise"
        );
        let claimed = spoilt(|pointer| pointer.last_good = Some(pointer.current));
        assert_eq!(claimed, "last_good is not the newest good entry of the history");
    }
}
