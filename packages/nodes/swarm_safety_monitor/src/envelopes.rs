//! From the digest of an artifact to limits that are ready to use. Slow and suspicious: signatures, hashes and files are checked
//! here again, whoever asks.

use std::path::{Path, PathBuf};

use swarm_artifact::ArtifactId;
use swarm_base::ErrorChain;
use swarm_safety_core::{Config, EnvelopeError, EnvelopeFile};
use swarm_store::{Store, StoreError};

/// Where artifacts are, whom the cell trusts, and which robot plays which role.
#[derive(Clone, Debug)]
pub struct Envelopes {
    /// Name of this cell.
    pub cell: String,
    pub store: PathBuf,
    pub trust_file: PathBuf,
    pub roles: Vec<Option<&'static str>>,
}

/// Limits of an artifact, or of the ceiling alone, not yet in force.
#[derive(Clone, Debug)]
pub struct Limits {
    pub config: Config,
    /// Skill id and version, empty for the ceiling alone.
    pub skill: String,
    /// Artifact digest, absent for the ceiling alone.
    pub artifact: Option<String>,
    /// Text of the envelope, absent for the ceiling alone.
    pub envelope: Option<String>,
}

/// Why an envelope was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("'{0}' is no artifact digest; expected 64 hexadecimal digits (SHA-256)")]
    Digest(String),
    #[error("the artifact is not accepted from the store {}", store.display())]
    Store { store: PathBuf, source: Box<StoreError> },
    #[error("cannot read the envelope {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the envelope of {skill} is refused")]
    Envelope { skill: String, source: EnvelopeError },
}

impl LoadError {
    /// The error with its causes, for a service's answer.
    pub fn text(&self) -> String {
        ErrorChain(self).to_string()
    }
}

impl Envelopes {
    /// Limits of `config`'s cell under the envelope of `artifact`; an empty digest means the ceiling alone.
    /// `generation` numbers the exchange.
    pub fn load(&self, config: &Config, artifact: &str, generation: u64) -> Result<Limits, LoadError> {
        if artifact.is_empty() {
            let source = |source| LoadError::Envelope { skill: "no skill".to_owned(), source };
            let config = config.with_envelope(None, &self.roles, generation).map_err(source)?;
            return Ok(Limits { config, skill: String::new(), artifact: None, envelope: None });
        }
        let id: ArtifactId = artifact.parse().map_err(|_| LoadError::Digest(artifact.to_owned()))?;
        let refused = |source| LoadError::Store { store: self.store.clone(), source: Box::new(source) };
        // SR-17
        let trust = swarm_store::read_trust(&self.trust_file).map_err(refused)?;
        let object = Store::open(&self.store).and_then(|store| store.object(id, &trust)).map_err(refused)?;
        let manifest = object.manifest();
        let skill = format!("{}@{}", manifest.skill.skill_id, manifest.skill.version);
        let text = read(&object.path(&manifest.skill.envelope))?;
        let envelope = EnvelopeFile::parse(&text).and_then(|envelope| {
            envelope.validity()?.check(&self.cell, swarm_store::unix_now())?;
            config.with_envelope(Some(&envelope), &self.roles, generation)
        });
        match envelope {
            Ok(config) => Ok(Limits { config, skill, artifact: Some(id.to_string()), envelope: Some(text) }),
            Err(source) => Err(LoadError::Envelope { skill, source }),
        }
    }
}

fn read(path: &Path) -> Result<String, LoadError> {
    std::fs::read_to_string(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })
}
