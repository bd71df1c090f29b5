//! Errors of the store: what was tried, on which file, what was found, what to do.

use std::io;
use std::path::PathBuf;

use semver::Version;
use swarm_artifact::{
    ArtifactId, ContentsError, ManifestError, PathError, SignatureFileError, SkillId, TrustError,
    VerifyError, VersionError,
};

/// Why an archive cannot be unpacked, although its signatures are good.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("the archive cannot be read: {0}")]
    Read(#[source] io::Error),
    #[error("the archive cannot be decompressed (truncated or damaged gzip data): {0}")]
    Gzip(String),
    #[error("the archive ends in the middle of {0}; it was cut off before it was signed")]
    Truncated(String),
    #[error("the header of entry {index} is damaged: {problem}")]
    BadHeader { index: usize, problem: String },
    #[error("entry {index} has a name that is refused: {source}")]
    BadPath {
        index: usize,
        #[source]
        source: PathError,
    },
    #[error("'{path}' is a {kind}; an artifact contains regular files only (make it with `cell package`)")]
    NotAFile { path: String, kind: &'static str },
    #[error("the archive begins with '{found}', not with manifest.yaml (make it with `cell package`)")]
    ManifestNotFirst { found: String },
    #[error("the archive is empty; expected manifest.yaml as its first entry")]
    Empty,
    #[error("manifest.yaml is not UTF-8 text")]
    ManifestNotText,
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Contents(#[from] ContentsError),
    #[error("the archive has more than {limit} files, which is the limit")]
    TooManyFiles { limit: usize },
    #[error("'{path}' is {size} bytes long, the limit is {limit}")]
    FileTooLarge { path: String, size: u64, limit: u64 },
    #[error("the archive unpacks to {size} bytes, the limit is {limit}")]
    TooLarge { size: u64, limit: u64 },
    #[error(
        "gzip bomb: {unpacked} bytes would come out of {packed}, more than {limit} to 1; nothing real is packed that tightly"
    )]
    GzipBomb { unpacked: u64, packed: u64, limit: u64 },
    #[error("{0} after the end of the archive; a clean archive ends there")]
    TrailingData(&'static str),
    #[error("the archive changed while it was being read: verified as {verified}, now {now}")]
    Changed { verified: ArtifactId, now: ArtifactId },
    #[error("'{path}' differs from the archive: {source}")]
    Differs {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write '{path}': {source}")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl ArchiveError {
    /// A short, stable name of the variant, for scripts and counters.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Read(_) | Self::Write { .. } => "io",
            Self::Gzip(_) => "damaged_gzip",
            Self::Truncated(_) | Self::Empty => "truncated",
            Self::BadHeader { .. } => "bad_header",
            Self::BadPath { .. } => "bad_path",
            Self::NotAFile { .. } => "not_a_file",
            Self::ManifestNotFirst { .. } => "manifest_not_first",
            Self::ManifestNotText | Self::Manifest(ManifestError::Mistakes { .. }) => "bad_manifest",
            Self::Manifest(ManifestError::WrongSchema { .. }) => "wrong_schema_version",
            Self::Contents(error) => error.code(),
            Self::TooManyFiles { .. } => "too_many_files",
            Self::FileTooLarge { .. } | Self::TooLarge { .. } => "too_large",
            Self::GzipBomb { .. } => "gzip_bomb",
            Self::TrailingData(_) => "trailing_data",
            Self::Changed { .. } => "changed_while_read",
            Self::Differs { .. } => "differs_from_archive",
        }
    }
}

/// Why a folder cannot be packaged.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    #[error("cannot {what} '{path}': {source}")]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "'{folder}' has no {}: describe the skill there (see `cell package --help`)",
        swarm_artifact::SkillSource::FILE_NAME
    )]
    NoSource { folder: PathBuf },
    #[error("in '{folder}': {source}")]
    Source {
        folder: PathBuf,
        #[source]
        source: ManifestError,
    },
    #[error("'{path}' is a {kind}; an artifact contains regular files only")]
    NotAFile { path: PathBuf, kind: &'static str },
    #[error("'{path}' cannot be packaged: {source}")]
    BadPath {
        path: PathBuf,
        #[source]
        source: PathError,
    },
    #[error("{} names '{path}', which is not in '{folder}'", swarm_artifact::SkillSource::FILE_NAME)]
    MissingFile { folder: PathBuf, path: String },
    #[error("the folder holds '{0}', which `cell package` makes itself; remove it")]
    ManifestPresent(PathBuf),
    #[error("the packaged artifact breaks the rules it is checked by on the cell: {0}")]
    Refused(#[source] ArchiveError),
}

/// Why the store did not do what it was asked for. What was deployed before is still deployed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot {what} '{path}': {source}")]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("'{path}' is {size} bytes long, more than the {limit} that such a file may have")]
    FileTooLarge { path: PathBuf, size: u64, limit: u64 },
    #[error("'{path}' is not a regular file; an archive is one")]
    NotAFile { path: PathBuf },
    #[error(
        "there is no signature file '{path}'; sign the artifact with `cell sign`, or name its signature file"
    )]
    NoSignatureFile { path: PathBuf },
    #[error("'{path}': {source}")]
    SignatureFile {
        path: PathBuf,
        #[source]
        source: SignatureFileError,
    },
    #[error("'{path}': {source}")]
    TrustFile {
        path: PathBuf,
        #[source]
        source: TrustError,
    },
    #[error(transparent)]
    NotBelieved(#[from] VerifyError),
    #[error("artifact {artifact} is refused: {source}")]
    Refused {
        artifact: ArtifactId,
        #[source]
        source: ArchiveError,
    },
    #[error("artifact {artifact} is not in the store '{root}'; ingest it first")]
    NotInStore { root: PathBuf, artifact: ArtifactId },
    #[error(
        "the store's copy of artifact {artifact} is damaged: {problem}; it is not used: delete '{folder}' and ingest the \
         artifact again"
    )]
    Damaged { artifact: ArtifactId, folder: PathBuf, problem: String },
    #[error("the pointer file '{path}' cannot be used: {problem}; restore it, or delete it and deploy again")]
    BadPointer { path: PathBuf, problem: String },
    #[error("another process is writing to the store '{root}'; try again when it is done")]
    Busy { root: PathBuf },
    #[error("skill '{skill}': {source}")]
    Version {
        skill: SkillId,
        #[source]
        source: VersionError,
    },
    #[error("nothing is deployed in '{root}'")]
    NothingDeployed { root: PathBuf },
    #[error("there is no earlier good version to roll back to; {current} stays deployed")]
    NothingToRollBackTo { current: String },
    #[error(
        "version {version} of skill '{skill}' was not good here before; versions to go back to: {}",
        if candidates.is_empty() { "none".to_owned() } else { candidates.join(", ") }
    )]
    NotGoodBefore { skill: String, version: Version, candidates: Vec<String> },
    #[error(
        "generation {asked} is not deployed any more (it is {current} now); what was learned about it changes nothing"
    )]
    Stale { asked: u64, current: u64 },
}

impl StoreError {
    /// The code of the refusal, if this says that an artifact is bad (and not that the store could not look at it).
    pub fn refusal_code(&self) -> Option<&'static str> {
        match self {
            Self::NoSignatureFile { .. } => Some("no_signature_file"),
            Self::SignatureFile { .. } => Some("bad_signature_file"),
            Self::NotBelieved(error) => Some(error.code()),
            Self::Refused { source: ArchiveError::Read(_) | ArchiveError::Write { .. }, .. } => None,
            Self::Refused { source, .. } => Some(source.code()),
            Self::Version { source: VersionError::Older { .. }, .. } => Some("older_version"),
            Self::Version { source: VersionError::Equal { .. }, .. } => Some("equal_version"),
            _ => None,
        }
    }
}
