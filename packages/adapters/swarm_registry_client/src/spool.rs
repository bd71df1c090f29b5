//! What waits to be handed in: a folder into which files are put, and a mark beside each that is complete.
//!
//! ```text
//! SPOOL/X.tar.gz, X.tar.gz.sig      an artifact
//!      /X.tar.gz.upload             the mark: who uploads and where it comes from (JSON, all fields optional), and how far it is
//!      /X.tar.gz.uploaded           the registry has it; archive and signature file are removed
//!      /X.tar.gz.refused            the registry does not take it, and why; the files stay
//!      /Y, Y.upload                 anything else, such as a bag: the registry has no place for it yet, so it is counted and kept
//! ```
//!
//! A file that is still being written has no mark. Uploads go on at the byte that the registry has, also after an end of this process.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use swarm_api::artifact::Artifact;

use crate::connection::Connection;
use crate::upload::{self, Outcome};
use crate::{ClientError, files};

const MARK: &str = ".upload";
const DONE: &str = ".uploaded";
const REFUSED: &str = ".refused";
const ARCHIVE: &str = ".tar.gz";
const MOST_MARK_BYTES: u64 = 64 * 1024;

/// What the mark says, and what is kept in it while the upload is under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Mark {
    /// Who uploads; empty: the site.
    pub(crate) uploaded_by: String,
    /// Digest of the artifact that it was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) training_data: Option<String>,
    /// The upload in parts that is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) upload_id: Option<String>,
}

/// The spool's folder.
#[derive(Clone, Debug)]
pub struct Spool {
    folder: PathBuf,
    site_id: String,
}

/// How full it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpoolState {
    /// Artifacts that wait to be handed in.
    pub artifacts: usize,
    /// Bags and whatever else is marked; kept.
    pub bags: usize,
    /// What the registry did not take.
    pub refused: usize,
}

impl Spool {
    pub fn open(folder: &Path, site_id: &str) -> Result<Self, ClientError> {
        files::make_folder(folder)?;
        Ok(Self { folder: folder.to_owned(), site_id: site_id.to_owned() })
    }

    pub fn state(&self) -> Result<SpoolState, ClientError> {
        let mut state = SpoolState::default();
        for name in self.names()? {
            match name.strip_suffix(MARK) {
                Some(file) if file.ends_with(ARCHIVE) => state.artifacts += 1,
                Some(_) => state.bags += 1,
                None => state.refused += usize::from(name.ends_with(REFUSED)),
            }
        }
        Ok(state)
    }

    /// Hands the next marked artifact in, whole. `Ok(None)`: nothing waits. The error says what is in the way; it is tried again.
    pub fn upload_next(
        &self,
        connection: &Connection,
        keep_on: &dyn Fn() -> bool,
    ) -> Result<Option<String>, ClientError> {
        let marked = self.names()?.into_iter().find_map(|name| {
            let file = name.strip_suffix(MARK)?;
            file.ends_with(ARCHIVE).then(|| file.to_owned())
        });
        let Some(name) = marked else { return Ok(None) };
        let archive = self.folder.join(&name);
        let said = match upload::upload(connection, self, &archive, keep_on)? {
            Outcome::Taken(artifact) => {
                Self::finish(&archive, &artifact)?;
                format!(
                    "{name} was handed in as artifact {} ({} {})",
                    artifact.id, artifact.skill_name, artifact.version
                )
            }
            Outcome::Refused(why) => {
                files::write(&with(&archive, REFUSED), why.as_bytes())?;
                files::remove(&with(&archive, MARK))?;
                format!("{name} is not taken: {why}")
            }
        };
        Ok(Some(said))
    }

    /// The registry has all of it. The mark goes last: whatever a crash leaves of this is done again, and the registry knows the
    /// artifact by its digest.
    fn finish(archive: &Path, artifact: &Artifact) -> Result<(), ClientError> {
        let answer = serde_json::to_vec_pretty(artifact).expect("an artifact is JSON");
        files::write(&with(archive, DONE), &answer)?;
        files::remove(&with(archive, REFUSED))?;
        files::remove(&with(archive, MARK))?;
        files::remove(&with(archive, ".sig"))?;
        files::remove(archive)
    }

    pub(crate) fn mark(&self, archive: &Path) -> Result<Mark, ClientError> {
        let path = with(archive, MARK);
        let bytes = files::read(&path, MOST_MARK_BYTES)?.unwrap_or_default();
        let mut mark: Mark = if bytes.iter().all(u8::is_ascii_whitespace) {
            Mark::default()
        } else {
            serde_json::from_slice(&bytes)
                .map_err(|error| ClientError::BadFile { path, problem: error.to_string() })?
        };
        if mark.uploaded_by.is_empty() {
            mark.uploaded_by.clone_from(&self.site_id);
        }
        Ok(mark)
    }

    pub(crate) fn note(archive: &Path, mark: &Mark) -> Result<(), ClientError> {
        files::write(&with(archive, MARK), &serde_json::to_vec(mark).expect("a mark is JSON"))
    }

    /// Names in the folder, in their order, so that nothing waits behind what comes later.
    fn names(&self) -> Result<Vec<String>, ClientError> {
        let list = fs::read_dir(&self.folder).map_err(ClientError::at("list", &self.folder))?;
        let mut names: Vec<_> =
            list.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        Ok(names)
    }
}

pub(crate) fn with(archive: &Path, ending: &str) -> PathBuf {
    let mut name = archive.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
