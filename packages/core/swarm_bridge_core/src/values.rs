//! What a plan is made from, as plain values.

use semver::Version;
use serde::{Deserialize, Serialize};
use swarm_api::cell::Motion;
use swarm_artifact::ArtifactId;
use swarm_base::Time;

use crate::cache::Cached;
use crate::memory::Memory;
use crate::retry::Schedule;

/// Both clocks, read together. Metadata, windows and policies are about the time of day, which may jump; back-off is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Seconds since 1970-01-01 UTC.
    pub unix_s: i64,
    pub monotonic: Time,
}

/// An artifact that director and image repository agree on for this cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub artifact: ArtifactId,
    /// Of the archive.
    pub bytes: u64,
    pub skill: String,
    pub version: Version,
}

/// What the cell is to run.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Want {
    /// No metadata is believed, or what was believed has expired.
    #[default]
    Unknown,
    /// The director has nothing for this cell.
    Nothing,
    Artifact(Wanted),
    /// The director has something that is not taken: the image repository does not agree, or it cannot be meant.
    Disagreed {
        artifact: Option<ArtifactId>,
        why: String,
    },
}

impl Want {
    pub fn artifact(&self) -> Option<ArtifactId> {
        match self {
            Self::Artifact(wanted) => Some(wanted.artifact),
            _ => None,
        }
    }
}

/// An artifact in force on the skill runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployed {
    pub artifact: ArtifactId,
    pub skill: String,
    pub version: Version,
}

/// What the skill runtime says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// Nothing, for too long.
    Silent,
    Says {
        deployed: Option<Deployed>,
        /// Version of the deployed skill that its own rollback would go to.
        last_good: Option<Version>,
    },
}

impl Runtime {
    pub fn deployed(&self) -> Option<&Deployed> {
        match self {
            Self::Silent => None,
            Self::Says { deployed, .. } => deployed.as_ref(),
        }
    }
}

/// Whether an artifact may be run, as the believed metadata says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Belief {
    #[default]
    NotAsked,
    /// The image repository has it.
    Has,
    HasNot,
    /// The director has this cell leave it.
    ToLeave,
}

/// Why the last look at the registry failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It does not answer, or not as it should; it may be back at any moment.
    Away(String),
    /// It answered with something that is not believed.
    NotBelieved(String),
}

impl Trouble {
    pub fn why(&self) -> &str {
        match self {
            Self::Away(why) | Self::NotBelieved(why) => why,
        }
    }
}

/// How the registry is known.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RegistryView {
    /// When metadata is fetched next.
    pub refresh: Schedule,
    /// What was wrong the last time; none if it was believed, or was not asked yet.
    pub trouble: Option<Trouble>,
    /// Earliest expiry of the metadata believed, seconds since 1970-01-01 UTC.
    pub expires_unix_s: Option<i64>,
}

/// The cell as it is.
#[derive(Clone, Debug)]
pub struct Have<'a> {
    pub runtime: &'a Runtime,
    pub motion: Motion,
    pub running_believed: Belief,
    pub last_good_believed: Belief,
    pub cache: &'a [Cached],
    pub cache_limit_bytes: u64,
    pub registry: &'a RegistryView,
    /// When the wanted artifact may be downloaded again, and when it may be deployed again; and what was wrong.
    pub download: (&'a Schedule, &'a str),
    pub deploy: (&'a Schedule, &'a str),
    pub memory: &'a Memory,
    /// The runtime that was told to begin no run is still that process, and nobody has activated it since, as far as was heard.
    pub refusal_stands: bool,
}

impl Have<'_> {
    /// Artifact that the runtime's own rollback goes to, where this bridge has seen it run.
    pub fn last_good(&self) -> Option<&Deployed> {
        let Runtime::Says { deployed: Some(running), last_good: Some(version) } = self.runtime else {
            return None;
        };
        self.memory.history().iter().map(|ran| &ran.deployed).find(|ran| {
            ran.skill == running.skill && ran.version == *version && ran.artifact != running.artifact
        })
    }

    /// The runtime has had it before, so that it is in its store: its own rollback may reach it.
    pub fn is_in_store(&self, wanted: &Wanted) -> bool {
        let same_skill = self.runtime.deployed().is_some_and(|running| running.skill == wanted.skill);
        same_skill && self.memory.history().iter().any(|ran| ran.deployed.artifact == wanted.artifact)
    }

    /// What runs was believed once and is no more, or is to be left. Where nobody was asked, what was heard before holds.
    pub fn withdrawn(&self) -> bool {
        let Some(running) = self.runtime.deployed() else { return false };
        match self.running_believed {
            Belief::ToLeave => true,
            Belief::HasNot => self.memory.believed_once(running.artifact),
            Belief::NotAsked => self.memory.withdrawn(running.artifact),
            Belief::Has => false,
        }
    }
}
