//! What waits to be handed in: a folder into which files are put, and a mark beside each that is complete.
//!
//! ```text
//! SPOOL/X.tar.gz, X.tar.gz.sig      an artifact
//!      /X.tar.gz.upload             the mark: who uploads and where it comes from (JSON, all fields optional), and how far it is
//!      /X.tar.gz.uploaded           the registry has it; archive and signature file are removed
//!      /X.tar.gz.refused            the registry does not take it, and why; the files stay
//!      /Y, Y.upload                 anything else is a bag: the folder that `ros2 bag record` made, or a single file
//!      /.packed-Y.tar               the bag as it is handed in
//!      /Y.uploaded, Y.refused       as for an artifact; Y is removed with all that is in it once the registry has it, unless it changed
//! ```
//!
//! What is still being written has no mark. Artifacts come before bags, also before one that is half handed in. Uploads go on at the byte
//! that the registry has, also after an end of this process.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use swarm_api::artifact::Artifact;
use swarm_api::bag::Bag;
use swarm_artifact::SignatureFile;

use crate::connection::Connection;
use crate::upload::{PART, Submission, Upload};
use crate::{ClientError, files, pack};

const MARK: &str = ".upload";
const DONE: &str = ".uploaded";
const REFUSED: &str = ".refused";
const ARCHIVE: &str = ".tar.gz";
const MOST_MARK_BYTES: u64 = 64 * 1024;

/// What the mark says, and what is kept in it while the upload is under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Mark {
    /// Who uploads; empty: the site.
    uploaded_by: String,
    /// Digest of the artifact that it was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    training_data: Option<String>,
    /// The upload in parts that is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    upload_id: Option<String>,
}

/// What a marked name stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Artifact,
    Bag,
}

impl Kind {
    fn of(file: &str) -> Self {
        if file.ends_with(ARCHIVE) { Self::Artifact } else { Self::Bag }
    }
}

enum Outcome {
    Taken(Box<Artifact>),
    /// The registry will never take it; why, in its words.
    Refused(String),
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
    /// Bags that do.
    pub bags: usize,
    /// What the registry did not take.
    pub refused: usize,
}

impl Spool {
    pub fn open(folder: &Path, site_id: &str) -> Result<Self, ClientError> {
        files::make_folder(folder)?;
        files::sweep(folder)?;
        Ok(Self { folder: folder.to_owned(), site_id: site_id.to_owned() })
    }

    pub fn state(&self) -> Result<SpoolState, ClientError> {
        let mut state = SpoolState::default();
        for name in self.names()? {
            match name.strip_suffix(MARK) {
                Some(file) if Kind::of(file) == Kind::Artifact => state.artifacts += 1,
                Some(_) => state.bags += 1,
                None => state.refused += usize::from(name.ends_with(REFUSED)),
            }
        }
        Ok(state)
    }

    /// Hands the next marked artifact in, or else the next bag, whole. `Ok(None)`: nothing waits. The error says what is in the way; it
    /// is tried again. What cannot be read here holds up nothing but itself, and what may not be read is refused.
    pub fn upload_next(
        &self,
        connection: &Connection,
        keep_on: &dyn Fn() -> bool,
    ) -> Result<Option<String>, ClientError> {
        let artifacts = self.marked(Kind::Artifact)?;
        let bags = self.marked(Kind::Bag)?;
        let mut first_error = None;
        for name in artifacts.iter().chain(&bags) {
            let handed_in = match Kind::of(name) {
                Kind::Artifact => self.upload_artifact(connection, name, keep_on),
                Kind::Bag => self.upload_bag(connection, name, &artifacts, keep_on),
            };
            match handed_in {
                Ok(said) => return Ok(Some(said)),
                Err(error @ ClientError::Disk { .. }) => {
                    match self.refuse_what_may_not_be_read(name, &error) {
                        Ok(Some(said)) => return Ok(Some(said)),
                        Ok(None) => drop(first_error.get_or_insert(error)),
                        Err(worse) => drop(first_error.get_or_insert(worse)),
                    }
                }
                Err(error) => return Err(error),
            }
        }
        first_error.map_or(Ok(None), Err)
    }

    /// Waiting does not help against permissions; a person does. Any other trouble of a disk may pass.
    fn refuse_what_may_not_be_read(
        &self,
        name: &str,
        error: &ClientError,
    ) -> Result<Option<String>, ClientError> {
        let ClientError::Disk { source, .. } = error else { return Ok(None) };
        if source.kind() != io::ErrorKind::PermissionDenied {
            return Ok(None);
        }
        let why = format!("{error}; let the bridge's user read it, and mark it again");
        Self::refuse(&self.folder.join(name), &why)?;
        Ok(Some(format!("{name} is not taken: {why}")))
    }

    fn marked(&self, kind: Kind) -> Result<Vec<String>, ClientError> {
        let names = self.names()?;
        let files = names.iter().filter_map(|name| name.strip_suffix(MARK));
        Ok(files.filter(|file| Kind::of(file) == kind).map(str::to_owned).collect())
    }

    fn upload_artifact(
        &self,
        connection: &Connection,
        name: &str,
        keep_on: &dyn Fn() -> bool,
    ) -> Result<String, ClientError> {
        let archive = self.folder.join(name);
        let said = match self.upload(connection, &archive, keep_on)? {
            Outcome::Taken(artifact) => {
                Self::finish(&archive, &artifact)?;
                format!(
                    "{name} was handed in as artifact {} ({} {})",
                    artifact.id, artifact.skill_name, artifact.version
                )
            }
            Outcome::Refused(why) => {
                Self::refuse(&archive, &why)?;
                format!("{name} is not taken: {why}")
            }
        };
        Ok(said)
    }

    fn upload_bag(
        &self,
        connection: &Connection,
        name: &str,
        artifacts: &[String],
        keep_on: &dyn Fn() -> bool,
    ) -> Result<String, ClientError> {
        let path = self.folder.join(name);
        // An artifact that is marked meanwhile need not wait for hours of video.
        let none_is_new = || {
            let marked = self.marked(Kind::Artifact);
            marked.is_ok_and(|marked| marked.iter().all(|name| artifacts.contains(name)))
        };
        let keep_on = || keep_on() && none_is_new();
        match self.send_bag(connection, name, &keep_on) {
            Ok(bag) => {
                let kept =
                    if self.finish_bag(&path, name, &bag)? { "" } else { "; it changed since, and is kept" };
                Ok(format!("{name} was handed in as bag {} ({} bytes){kept}", bag.id, bag.size))
            }
            Err(error) if is_final(&error) || matches!(error, ClientError::BadFile { .. }) => {
                let why = error.to_string();
                files::remove(&pack::packed(&self.folder, name))?;
                Self::refuse(&path, &why)?;
                Ok(format!("{name} is not taken: {why}"))
            }
            Err(error) => Err(error),
        }
    }

    fn send_bag(
        &self,
        connection: &Connection,
        name: &str,
        keep_on: &dyn Fn() -> bool,
    ) -> Result<Bag, ClientError> {
        let path = self.folder.join(name);
        let mark = self.mark(&path)?;
        let packed = pack::packed(&self.folder, name);
        // Without an upload under way, it is what somebody marked before, and may have changed since.
        if mark.upload_id.is_none() || !packed.is_file() {
            if !path.exists() {
                let problem = "it is marked, and is not there".to_owned();
                return Err(ClientError::BadFile { path, problem });
            }
            pack::pack(&self.folder, name)?;
        }
        let mut upload = Upload::begin_bag(connection, &packed, mark.upload_id.as_deref())?;
        note(&path, &Mark { upload_id: Some(upload.id().to_owned()), ..mark })?;
        upload.send(PART, |_| keep_on())?;
        upload.complete_bag(name)
    }

    /// In the order of [`Self::finish`].
    /// `false`: the registry may not have all of it, so that it stays.
    fn finish_bag(&self, path: &Path, name: &str, bag: &Bag) -> Result<bool, ClientError> {
        let packed = pack::packed(&self.folder, name);
        let changed = pack::changed_since(path, &packed)?;
        files::write(&with(path, DONE), &serde_json::to_vec_pretty(bag).expect("a bag is JSON"))?;
        files::remove(&with(path, REFUSED))?;
        files::remove(&with(path, MARK))?;
        files::remove(&packed)?;
        match (changed, path.is_dir()) {
            (true, _) => {}
            (false, true) => fs::remove_dir_all(path).map_err(ClientError::at("remove", path))?,
            (false, false) => files::remove(path)?,
        }
        Ok(!changed)
    }

    fn refuse(path: &Path, why: &str) -> Result<(), ClientError> {
        files::write(&with(path, REFUSED), why.as_bytes())?;
        files::remove(&with(path, MARK))
    }

    /// What is in the way for now is an error.
    fn upload(
        &self,
        connection: &Connection,
        archive: &Path,
        keep_on: &dyn Fn() -> bool,
    ) -> Result<Outcome, ClientError> {
        let signature = with(archive, ".sig");
        let Some(bytes) = files::read(&signature, SignatureFile::MAX_BYTES)? else {
            return Ok(Outcome::Refused(format!(
                "{} is not there; sign the artifact with `cell sign`",
                signature.display()
            )));
        };
        let Ok(signature) = String::from_utf8(bytes) else {
            return Ok(Outcome::Refused(format!("{} is not text", signature.display())));
        };
        if !archive.is_file() {
            return Ok(Outcome::Refused(format!("{} is marked, and is not there", archive.display())));
        }
        let mark = match self.mark(archive) {
            Ok(mark) => mark,
            Err(error @ ClientError::BadFile { .. }) => return Ok(Outcome::Refused(error.to_string())),
            Err(error) => return Err(error),
        };
        match send(connection, archive, signature, mark, keep_on) {
            Ok(artifact) => Ok(Outcome::Taken(Box::new(artifact))),
            Err(error) if is_final(&error) => Ok(Outcome::Refused(error.to_string())),
            Err(error) => Err(error),
        }
    }

    /// The registry has all of it, and says so in a file before anything is removed. The mark goes before what it marks: whatever a crash
    /// leaves of this has no mark, and is handed in no more.
    fn finish(archive: &Path, artifact: &Artifact) -> Result<(), ClientError> {
        let answer = serde_json::to_vec_pretty(artifact).expect("an artifact is JSON");
        files::write(&with(archive, DONE), &answer)?;
        files::remove(&with(archive, REFUSED))?;
        files::remove(&with(archive, MARK))?;
        files::remove(&with(archive, ".sig"))?;
        files::remove(archive)
    }

    fn mark(&self, archive: &Path) -> Result<Mark, ClientError> {
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

    /// Names in the folder, in their order, so that nothing waits behind what comes later.
    fn names(&self) -> Result<Vec<String>, ClientError> {
        let list = fs::read_dir(&self.folder).map_err(ClientError::at("list", &self.folder))?;
        let mut names: Vec<_> =
            list.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        Ok(names)
    }
}

fn with(archive: &Path, ending: &str) -> PathBuf {
    let mut name = archive.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn send(
    connection: &Connection,
    archive: &Path,
    signature: String,
    mark: Mark,
    keep_on: &dyn Fn() -> bool,
) -> Result<Artifact, ClientError> {
    let mut upload = Upload::begin(connection, archive, mark.upload_id.as_deref())?;
    let mark = Mark { upload_id: Some(upload.id().to_owned()), ..mark };
    note(archive, &mark)?;
    upload.send(PART, |_| keep_on())?;
    let Mark { uploaded_by, parent, training_data, .. } = mark;
    upload.complete(Submission { signature, uploaded_by, parent, training_data })
}

fn note(path: &Path, mark: &Mark) -> Result<(), ClientError> {
    files::write(&with(path, MARK), &serde_json::to_vec(mark).expect("a mark is JSON"))
}

/// What another try would not change: the registry understood, and does not want it.
fn is_final(error: &ClientError) -> bool {
    matches!(error, ClientError::Status { url, status: 400 | 409 | 413 | 415 | 422, problem: Some(problem), .. }
        if (url.ends_with("/uploads") || url.ends_with("/complete")) && !["incomplete", "bags_full"].contains(&problem.code.as_str()))
}
