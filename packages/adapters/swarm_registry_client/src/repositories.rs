//! The two repositories of a registry: what exists, and what this cell is to run. Both must agree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use swarm_api::update::Which;
use swarm_artifact::ArtifactId;
use swarm_bridge_core::{Belief, Deployed, Want, Wanted};
use swarm_tuf::{
    Client, Fetch, Host, Limits, Mode, Moment, Refusal, Signed, Target, TargetFile, TargetPath, director,
    director::to_leave, find, refresh,
};

use crate::connection::Connection;
use crate::folder::Folder;
use crate::names::{parse_target_path, target_path};
use crate::{ClientError, files};

/// A root has at most this many bytes.
const MOST_ROOT_BYTES: u64 = 512_000;

/// One repository, and the folder with what is believed of it.
#[derive(Debug)]
pub struct Repository {
    which: Which,
    folder: Folder,
    pinned: Vec<u8>,
    connection: Connection,
    /// What an update has changed and does not keep yet, in its order; none where it is kept at once.
    held: Option<Vec<Change>>,
}

/// A file of the folder, and its new contents; none to remove it.
type Change = (String, Option<Vec<u8>>);

/// Director and image repository of one registry.
#[derive(Debug)]
pub struct Repositories {
    image: Repository,
    director: Repository,
    site_id: String,
}

/// What the believed metadata says.
#[derive(Clone, Debug)]
pub struct Look {
    pub want: Want,
    /// The wanted artifact as the image repository signs it: its bytes are checked against this.
    pub target: Option<Target>,
    /// Versions of the timestamps.
    pub image: u64,
    pub director: u64,
    /// The earliest expiry of what the cell needs, seconds since 1970-01-01 UTC.
    pub expires_unix_s: Option<i64>,
    /// Whether the image repository has what was asked about.
    pub believed: BTreeMap<ArtifactId, Belief>,
    /// What the director has this cell leave, whatever the image repository has.
    pub to_leave: BTreeSet<ArtifactId>,
}

/// Artifacts of which a cell asks whether the image repository has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfInterest {
    /// What runs, and what its runtime would go back to. Where the role of one of these is not believed, nothing is.
    pub in_force: Vec<Deployed>,
    /// What ran before. Where its role is not believed, it is not asked about: a skill that nobody keeps up any more keeps no cell back
    /// that does not run it.
    pub before: Vec<Deployed>,
}

impl Repository {
    /// `pinned_root` is a file on the cell, that came there by a way that is trusted.
    pub fn open(
        which: Which,
        folder: &Path,
        pinned_root: &Path,
        connection: Connection,
    ) -> Result<Self, ClientError> {
        let pinned = files::read(pinned_root, MOST_ROOT_BYTES)?.ok_or_else(|| ClientError::BadFile {
            path: pinned_root.to_owned(),
            problem: format!(
                "it is not there; it is to hold the root of the {} repository, from a person who is trusted",
                which.as_str()
            ),
        })?;
        Ok(Self { which, folder: Folder::open(folder)?, pinned, connection, held: None })
    }

    /// Has an update keep nothing until [`Self::keep`].
    fn hold(&mut self) {
        self.held = Some(Vec::new());
    }

    fn keep(&mut self) -> Result<(), ClientError> {
        for (file, bytes) in self.held.take().unwrap_or_default() {
            match bytes {
                Some(bytes) => self.folder.store(&file, &bytes)?,
                None => self.folder.remove(&file)?,
            }
        }
        Ok(())
    }

    /// Begins an update, and brings the top-level roles up to date.
    fn refresh(&mut self, mode: Mode, now: Moment) -> Result<Client, ClientError> {
        let root = self.folder.root(&self.pinned)?;
        let mut client = Client::new(&root, now, mode, Limits::default())?;
        refresh(&mut client, self)?;
        Ok(client)
    }
}

impl Host for Repository {
    type Error = ClientError;

    fn load(&mut self, file: &str) -> Result<Option<Vec<u8>>, ClientError> {
        let mut held = self.held.iter().flatten().rev();
        match held.find(|(name, _)| name == file) {
            Some((_, bytes)) => Ok(bytes.clone()),
            None => self.folder.load(file),
        }
    }

    fn fetch(&mut self, fetch: &Fetch) -> Result<Option<Vec<u8>>, ClientError> {
        let path = format!("/api/v1/update/{}/metadata/{}", self.which.as_str(), fetch.file);
        self.connection.find(&path, fetch.max_length, fetch.time_limit)
    }

    fn store(&mut self, file: &str, bytes: &[u8]) -> Result<(), ClientError> {
        match &mut self.held {
            Some(held) => held.push((file.to_owned(), Some(bytes.to_vec()))),
            None => self.folder.store(file, bytes)?,
        }
        Ok(())
    }

    fn remove(&mut self, file: &str) -> Result<(), ClientError> {
        match &mut self.held {
            Some(held) => held.push((file.to_owned(), None)),
            None => self.folder.remove(file)?,
        }
        Ok(())
    }
}

impl Repositories {
    pub fn new(image: Repository, director: Repository, site_id: &str) -> Self {
        Self { image, director, site_id: site_id.to_owned() }
    }

    /// Brings both up to date, or reads what is on the disk, and says what this cell is to run, and whether the image repository has
    /// what is of interest.
    ///
    /// The director comes first: what it points at was published in the image repository before. What it says is kept last, once all of
    /// the image repository that matters is here: a link that is cut in between must not leave an assignment to something that this cell has
    /// not heard of, as if the two did not agree.
    pub fn look(
        &mut self,
        mode: Mode,
        now_unix_s: i64,
        of_interest: &OfInterest,
    ) -> Result<Look, ClientError> {
        self.director.hold();
        let look = self.look_at_both(mode, Moment(now_unix_s), of_interest);
        if look.is_ok() {
            self.director.keep()?;
        }
        self.director.held = None;
        look
    }

    fn look_at_both(
        &mut self,
        mode: Mode,
        now: Moment,
        of_interest: &OfInterest,
    ) -> Result<Look, ClientError> {
        let director = self.director.refresh(mode, now)?;
        let mut image = self.image.refresh(mode, now)?;
        let (want, target) = self.want(&director, &mut image)?;
        let mut believed = BTreeMap::new();
        for known in &of_interest.in_force {
            believed.insert(known.artifact, self.belief(&mut image, known)?);
        }
        let expires = [director.expires(), image.expires()].into_iter().flatten().min();
        for known in &of_interest.before {
            match self.belief(&mut image, known) {
                Err(ClientError::Refused(_)) => {}
                belief => drop(believed.insert(known.artifact, belief?)),
            }
        }
        let to_leave =
            director.targets().map(|targets| to_leave(targets.body(), &self.site_id)).unwrap_or_default();
        let version = |client: &Client| client.timestamp().map_or(0, Signed::version);
        Ok(Look {
            want,
            target,
            image: version(&image),
            director: version(&director),
            expires_unix_s: expires.map(|moment| moment.0),
            believed,
            to_leave: to_leave.into_iter().filter_map(digest).collect(),
        })
    }

    fn want(&mut self, director: &Client, image: &mut Client) -> Result<(Want, Option<Target>), ClientError> {
        let disagreed = |file: Option<&TargetFile>, why: String| {
            Ok((Want::Disagreed { artifact: file.and_then(digest), why }, None))
        };
        let Some(targets) = director.targets() else { return Ok((Want::Unknown, None)) };
        let assigned = match director::assigned(targets.body(), &self.site_id) {
            Ok(assigned) => assigned,
            Err(refusal) => return disagreed(None, refusal.to_string()),
        };
        let (path, file) = match assigned.iter().collect::<Vec<_>>()[..] {
            [] => return Ok((Want::Nothing, None)),
            [one] => one,
            _ => {
                let names: Vec<_> = assigned.keys().map(TargetPath::as_str).collect();
                let why = format!(
                    "the director assigns {} artifacts to this cell ({}), expected one",
                    names.len(),
                    names.join(", ")
                );
                return disagreed(None, why);
            }
        };
        let target = match find(image, &mut self.image, path) {
            Ok(target) => target,
            Err(ClientError::Refused(refusal @ Refusal::NoSuchTarget { .. })) => {
                return disagreed(
                    Some(file),
                    format!("the director assigns what the image repository does not have: {refusal}"),
                );
            }
            Err(error) => return Err(error),
        };
        if let Err(refusal) = director::agree(path, file, &target) {
            return disagreed(Some(file), refusal.to_string());
        }
        let (Some((skill, version)), Some(artifact)) = (parse_target_path(path), digest(&target.file)) else {
            let why = format!(
                "'{path}' is no artifact of a skill, expected SKILL/SKILL_vX.Y.Z.tar.gz with its SHA-256"
            );
            return disagreed(Some(file), why);
        };
        let wanted = Wanted { artifact, bytes: target.file.length, skill, version };
        Ok((Want::Artifact(wanted), Some(target)))
    }

    fn belief(&mut self, image: &mut Client, known: &Deployed) -> Result<Belief, ClientError> {
        let Some(path) = target_path(&known.skill, &known.version) else { return Ok(Belief::HasNot) };
        match find(image, &mut self.image, &path) {
            Ok(target) if digest(&target.file) == Some(known.artifact) => Ok(Belief::Has),
            Ok(_) | Err(ClientError::Refused(Refusal::NoSuchTarget { .. })) => Ok(Belief::HasNot),
            // Without the network, of a role that was never here.
            Err(ClientError::Refused(Refusal::NotHere { .. })) => Ok(Belief::NotAsked),
            Err(error) => Err(error),
        }
    }
}

fn digest(file: &TargetFile) -> Option<ArtifactId> {
    file.hashes.get("sha256")?.parse().ok()
}
