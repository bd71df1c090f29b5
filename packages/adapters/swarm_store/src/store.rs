//! The store: verified artifacts by their SHA-256, and one pointer to the deployed one.
//!
//! ```text
//! ROOT/objects/<sha256>/archive.tar.gz     as it was verified
//!                       archive.sig
//!                       accepted.json      when it was accepted
//!                       unpacked/...
//!     /staging/...                         work in progress; removed by the next ingest
//!     /deployed.json                       the pointer, see [`Deployed`]
//!     /ingest.lock, pointer.lock           held by the one process that writes
//! ```
//!
//! Ingest: 1. copy the archive and its signatures into a staging folder, hashing; 2. verify the signatures of the copy;
//! 3. unpack the copy with its guards; 4. put everything on the disk; 5. rename the folder to its place; 6. sync the parent.
//! Prune: what nobody needs any more is renamed into the staging folder, and removed there; see [`Store::prune`].
//! Deploy: 1. write the new pointer to a temporary file; 2. sync it; 3. rename it over the old; 4. sync the folder.
//! A crash between any two steps leaves the old state or the new one, never a half of either.
//!
//! Reading takes no lock. Whatever is read back is verified again: hash, signatures (revoked keys stop counting at once;
//! expiry is judged by the time of acceptance) and every unpacked file against the archive.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use semver::Version;
use serde::{Deserialize, Serialize};
use swarm_artifact::{
    ArchiveDigest, ArtifactId, EntryPath, Intent, Limits, Manifest, Trust, Verified, verify,
};

use crate::compare::Compare;
use crate::durable::{Fault, Step, remove, sync_folder, write_new};
use crate::error::{ArchiveError, StoreError};
use crate::pointer::{self, Deployed, Deployment};
use crate::unpack::{Folder, unpack};
use crate::verify::{hash_archive, read_archive, read_signatures, read_text};

const ARCHIVE: &str = "archive.tar.gz";
const SIGNATURES: &str = "archive.sig";
const ACCEPTED: &str = "accepted.json";
const UNPACKED: &str = "unpacked";
const MAX_POINTER_BYTES: u64 = 1 << 20;

/// An artifact in the store that has just been verified.
#[derive(Clone, Debug)]
pub struct Object {
    id: ArtifactId,
    folder: PathBuf,
    manifest: Manifest,
    verified: Verified,
}

impl Object {
    pub fn id(&self) -> ArtifactId {
        self.id
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Who signed it.
    pub fn verified(&self) -> &Verified {
        &self.verified
    }

    /// Folder with the unpacked files.
    pub fn folder(&self) -> PathBuf {
        self.folder.join(UNPACKED)
    }

    /// Where a file of the manifest lies.
    pub fn path(&self, file: &EntryPath) -> PathBuf {
        self.folder().join(file)
    }

    pub fn archive_path(&self) -> PathBuf {
        self.folder.join(ARCHIVE)
    }

    pub fn signature_path(&self) -> PathBuf {
        self.folder.join(SIGNATURES)
    }
}

/// A store on disk.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    limits: Limits,
    fault: Fault,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acceptance {
    pub(crate) accepted_at_unix: i64,
}

impl Store {
    /// Opens the store at `root`; makes it if there is none.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let store = Self { root: root.into(), limits: Limits::default(), fault: Fault::default() };
        for folder in [store.objects(), store.staging()] {
            // A reader opens the store often, and may have no right to write in it.
            if !folder.is_dir() {
                fs::create_dir_all(&folder).map_err(io_error("create the folder", &folder))?;
                sync_folder(&store.root).map_err(io_error("sync", &store.root))?;
            }
        }
        Ok(store)
    }

    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// For tests: lets steps fail.
    #[must_use]
    pub fn with_fault(self, fault: Fault) -> Self {
        Self { fault, ..self }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Verifies an artifact and takes it into the store. What is deployed does not change.
    ///
    /// One that is in the store already, and is sound, is left as it is.
    pub fn ingest(
        &self,
        archive: &Path,
        signatures: &Path,
        trust: &Trust,
        now_unix: i64,
    ) -> Result<Object, StoreError> {
        let _lock = self.lock("ingest.lock")?;
        self.clear_staging()?;
        let stage = self.staging().join("incoming");
        let staged = self.stage(&stage, archive, signatures, trust, now_unix);
        let staged = staged.and_then(|(id, manifest, verified)| {
            self.publish(&stage, id, trust)?;
            Ok(Object { id, folder: self.object_folder(id), manifest, verified })
        });
        // On an error the next ingest would clear up, too; but a refused artifact need not fill the disk until then.
        let cleared = remove(&stage).map_err(io_error("remove", &stage));
        let object = staged?;
        cleared?;
        Ok(object)
    }

    /// Opens an artifact of the store, verifying again everything that will be used.
    pub fn object(&self, id: ArtifactId, trust: &Trust) -> Result<Object, StoreError> {
        let folder = self.object_folder(id);
        if !folder.exists() {
            return Err(StoreError::NotInStore { root: self.root.clone(), artifact: id });
        }
        let damaged = |problem: String| StoreError::Damaged { artifact: id, folder: folder.clone(), problem };
        let accepted = read_acceptance(&folder.join(ACCEPTED)).map_err(damaged)?;
        let signatures =
            read_signatures(&folder.join(SIGNATURES)).map_err(|error| damaged(error.to_string()))?;
        let digest = hash_archive(&folder.join(ARCHIVE)).map_err(|error| damaged(error.to_string()))?;
        if digest.id != id {
            return Err(damaged(format!("its archive has SHA-256 {}", digest.id)));
        }
        let verified = verify(&digest, &signatures, trust, accepted.accepted_at_unix)?;
        let archive = File::open(folder.join(ARCHIVE)).map_err(|error| damaged(error.to_string()))?;
        let unpacked = folder.join(UNPACKED);
        let mut compare = Compare::new(&unpacked);
        let manifest = unpack(archive, &digest, self.limits, &mut compare)
            .map_err(|error| damaged(error.to_string()))?;
        compare.finish().map_err(|error| damaged(error.to_string()))?;
        Ok(Object { id, folder, manifest, verified })
    }

    /// Makes `object` the deployed one. The caller has checked whatever the store cannot (trees, policies, envelope).
    ///
    /// Deploying what is deployed already changes nothing. An older or equal version needs [`Intent::Rollback`].
    pub fn deploy(&self, object: &Object, intent: Intent, now_unix: i64) -> Result<Deployed, StoreError> {
        let _lock = self.lock("pointer.lock")?;
        let (before, after) = self.next_pointer(object, intent, now_unix)?;
        if before.as_ref() != Some(&after) {
            self.replace_pointer(&after)?;
        }
        Ok(after)
    }

    /// Whether [`deploy`](Self::deploy) would take `object` now; changes nothing.
    pub fn check_deploy(&self, object: &Object, intent: Intent, now_unix: i64) -> Result<(), StoreError> {
        self.next_pointer(object, intent, now_unix).map(drop)
    }

    /// The pointer as it is, and as it would be with `object` deployed: the same if that is deployed already.
    fn next_pointer(
        &self,
        object: &Object,
        intent: Intent,
        now_unix: i64,
    ) -> Result<(Option<Deployed>, Deployed), StoreError> {
        let before = self.deployed()?;
        if let Some(deployed) = before.as_ref().filter(|deployed| deployed.current == object.id).cloned() {
            return Ok((before, deployed));
        }
        if !object.folder.exists() {
            return Err(StoreError::NotInStore { root: self.root.clone(), artifact: object.id });
        }
        let after = pointer::next(before.as_ref(), object.id, &object.manifest, intent, now_unix)
            .map_err(|(skill, source)| StoreError::Version { skill, source })?;
        Ok((before, after))
    }

    /// Notes that the deployment of this generation works. A late call about an earlier generation is refused.
    pub fn mark_good(&self, generation: u64) -> Result<Deployed, StoreError> {
        let _lock = self.lock("pointer.lock")?;
        let mut deployed = self.deployed()?.ok_or_else(|| self.nothing_deployed())?;
        if deployed.generation != generation {
            return Err(StoreError::Stale { asked: generation, current: deployed.generation });
        }
        if !deployed.current_deployment().good {
            deployed.mark_good();
            self.replace_pointer(&deployed)?;
        }
        Ok(deployed)
    }

    /// What is deployed, without verifying the artifact itself.
    pub fn deployed(&self) -> Result<Option<Deployed>, StoreError> {
        let path = self.pointer_path();
        let text = match read_text(&path, "read the pointer file", MAX_POINTER_BYTES) {
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            text => text?,
        };
        let bad = |problem: String| StoreError::BadPointer { path: path.clone(), problem };
        let deployed: Deployed = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
        deployed.check().map_err(bad)?;
        Ok(Some(deployed))
    }

    /// The deployed artifact, verified again; `None` if nothing is deployed.
    pub fn current(&self, trust: &Trust) -> Result<Option<Object>, StoreError> {
        self.deployed()?.map(|deployed| self.object(deployed.current, trust)).transpose()
    }

    /// The artifact that was last good, verified again.
    pub fn last_good(&self, trust: &Trust) -> Result<Option<Object>, StoreError> {
        self.deployed()?.and_then(|deployed| deployed.last_good).map(|id| self.object(id, trust)).transpose()
    }

    /// Where an unnamed rollback goes: the newest good deployment that is neither current nor withdrawn.
    pub fn rollback_target(&self) -> Result<Deployment, StoreError> {
        let deployed = self.deployed()?.ok_or_else(|| self.nothing_deployed())?;
        let target = deployed.rollback_candidates().first().copied().cloned();
        target.ok_or_else(|| StoreError::NothingToRollBackTo {
            current: describe(deployed.current_deployment()),
        })
    }

    /// Where a rollback to a named version goes: a version of the deployed skill that was good here before.
    pub fn rollback_target_of(&self, version: &Version) -> Result<Deployment, StoreError> {
        let deployed = self.deployed()?.ok_or_else(|| self.nothing_deployed())?;
        let good = deployed.good_versions();
        match good.iter().find(|entry| entry.version == *version) {
            Some(target) => Ok((*target).clone()),
            None => Err(StoreError::NotGoodBefore {
                skill: deployed.current_deployment().skill_id.clone(),
                version: version.clone(),
                candidates: good
                    .iter()
                    .filter(|entry| entry.artifact != deployed.current)
                    .map(|entry| entry.version.to_string())
                    .collect(),
            }),
        }
    }

    /// The artifact to go back to: the newest good one that is neither current nor withdrawn, and that is sound.
    ///
    /// One that is damaged, or whose keys were revoked, is passed over: in an incident, an older good version is better
    /// than none. If none is sound, the error is the first one's.
    pub fn rollback_object(&self, trust: &Trust) -> Result<Object, StoreError> {
        let first = self.rollback_target()?;
        let deployed = self.deployed()?.ok_or_else(|| self.nothing_deployed())?;
        let candidates = deployed.rollback_candidates();
        let mut sound = candidates.iter().filter_map(|entry| self.object(entry.artifact, trust).ok());
        match sound.next() {
            Some(object) => Ok(object),
            None => self.object(first.artifact, trust),
        }
    }

    /// Goes back to the last good artifact that is sound, in one call. The artifact that is left counts as withdrawn.
    ///
    /// A caller with checks of its own takes [`rollback_object`](Self::rollback_object) and [`deploy`](Self::deploy) with
    /// [`Intent::Rollback`] instead.
    pub fn rollback(&self, trust: &Trust, now_unix: i64) -> Result<Deployed, StoreError> {
        self.deploy(&self.rollback_object(trust)?, Intent::Rollback, now_unix)
    }

    /// Goes to a named version of the deployed skill that was good here before.
    pub fn rollback_to(
        &self,
        version: &Version,
        trust: &Trust,
        now_unix: i64,
    ) -> Result<Deployed, StoreError> {
        let target = self.object(self.rollback_target_of(version)?.artifact, trust)?;
        self.deploy(&target, Intent::Rollback, now_unix)
    }

    pub(crate) fn objects(&self) -> PathBuf {
        self.root.join("objects")
    }

    pub(crate) fn staging(&self) -> PathBuf {
        self.root.join("staging")
    }

    pub(crate) fn object_folder(&self, id: ArtifactId) -> PathBuf {
        self.objects().join(id.to_string())
    }

    pub(crate) fn accepted_path(&self, id: ArtifactId) -> PathBuf {
        self.object_folder(id).join(ACCEPTED)
    }

    fn pointer_path(&self) -> PathBuf {
        self.root.join("deployed.json")
    }

    fn nothing_deployed(&self) -> StoreError {
        StoreError::NothingDeployed { root: self.root.clone() }
    }

    /// The kernel drops the lock when this process ends, however it ends.
    pub(crate) fn lock(&self, name: &str) -> Result<Lock, StoreError> {
        let path = self.root.join(name);
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(io_error("open the lock file", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock(file)),
            Err(TryLockError::WouldBlock) => Err(StoreError::Busy { root: self.root.clone() }),
            Err(TryLockError::Error(error)) => Err(io_error("lock", &path)(error)),
        }
    }

    pub(crate) fn clear_staging(&self) -> Result<(), StoreError> {
        let staging = self.staging();
        for entry in fs::read_dir(&staging).map_err(io_error("read the folder", &staging))? {
            let path = entry.map_err(io_error("read the folder", &staging))?.path();
            remove(&path).map_err(io_error("remove", &path))?;
        }
        Ok(())
    }

    pub(crate) fn step(&self, step: Step, what: &'static str, path: &Path) -> Result<(), StoreError> {
        self.fault.before(step).map_err(io_error(what, path))
    }

    /// Steps 1 to 4 of an ingest.
    fn stage(
        &self,
        stage: &Path,
        archive: &Path,
        signatures: &Path,
        trust: &Trust,
        now_unix: i64,
    ) -> Result<(ArtifactId, Manifest, Verified), StoreError> {
        let signature_file = read_signatures(signatures)?;
        self.step(Step::CreateStaging, "create the folder", stage)?;
        fs::create_dir(stage).map_err(io_error("create the folder", stage))?;

        let staged_archive = stage.join(ARCHIVE);
        self.step(Step::CopyArchive, "write", &staged_archive)?;
        let digest = copy_hashing(archive, &staged_archive, self.limits.max_archive_bytes)?;
        let verified = verify(&digest, &signature_file, trust, now_unix)?;

        let staged_signatures = stage.join(SIGNATURES);
        self.step(Step::CopySignatures, "write", &staged_signatures)?;
        // What was parsed is what is kept, whatever happens to the file meanwhile.
        write_new(&staged_signatures, signature_file.to_yaml().as_bytes())
            .map_err(io_error("write", &staged_signatures))?;

        let unpacked = stage.join(UNPACKED);
        self.step(Step::Unpack, "create the folder", &unpacked)?;
        fs::create_dir(&unpacked).map_err(io_error("create the folder", &unpacked))?;
        let copy = File::open(&staged_archive).map_err(io_error("open", &staged_archive))?;
        let mut target = Folder::new(&unpacked);
        let refused = |source: ArchiveError| StoreError::Refused { artifact: digest.id, source };
        let manifest = unpack(copy, &digest, self.limits, &mut target).map_err(refused)?;

        let accepted = stage.join(ACCEPTED);
        self.step(Step::WriteAcceptance, "write", &accepted)?;
        let text = format!("{{\"accepted_at_unix\": {now_unix}}}\n");
        write_new(&accepted, text.as_bytes()).map_err(io_error("write", &accepted))?;

        self.step(Step::SyncStaging, "sync", stage)?;
        for folder in target.folders.iter().map(PathBuf::as_path).chain([stage]) {
            sync_folder(folder).map_err(io_error("sync", folder))?;
        }
        Ok((digest.id, manifest, verified))
    }

    /// Steps 5 and 6 of an ingest.
    fn publish(&self, stage: &Path, id: ArtifactId, trust: &Trust) -> Result<(), StoreError> {
        let place = self.object_folder(id);
        if place.exists() {
            if self.object(id, trust).is_ok() {
                return Ok(());
            }
            // Damaged, or believed no more under its old signatures: it cannot be run, so nothing is lost between this
            // and the rename below.
            self.step(Step::DiscardDamagedObject, "move away", &place)?;
            let discarded = self.staging().join("discarded");
            fs::rename(&place, &discarded).map_err(io_error("move away", &place))?;
        }
        self.step(Step::PublishObject, "rename to", &place)?;
        fs::rename(stage, &place).map_err(io_error("rename to", &place))?;
        self.step(Step::SyncObjects, "sync", &self.objects())?;
        sync_folder(&self.objects()).map_err(io_error("sync", &self.objects()))?;
        self.clear_staging()
    }

    fn replace_pointer(&self, pointer: &Deployed) -> Result<(), StoreError> {
        let path = self.pointer_path();
        let temporary = self.root.join("deployed.json.new");
        let mut text = serde_json::to_string_pretty(pointer)
            .map_err(|error| StoreError::BadPointer { path: path.clone(), problem: error.to_string() })?;
        text.push('\n');
        self.step(Step::WritePointer, "write", &temporary)?;
        let mut file = File::create(&temporary).map_err(io_error("write", &temporary))?;
        file.write_all(text.as_bytes()).map_err(io_error("write", &temporary))?;
        self.step(Step::SyncPointer, "sync", &temporary)?;
        file.sync_all().map_err(io_error("sync", &temporary))?;
        self.step(Step::ReplacePointer, "replace", &path)?;
        fs::rename(&temporary, &path).map_err(io_error("replace", &path))?;
        self.step(Step::SyncRoot, "sync", &self.root)?;
        sync_folder(&self.root).map_err(io_error("sync", &self.root))
    }
}

/// A held lock file.
pub(crate) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing would not do: a child process that is being started holds the same open file until it executes.
        let _ = self.0.unlock();
    }
}

pub(crate) fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::Io { what, path: path.to_owned(), source }
}

fn describe(deployment: &Deployment) -> String {
    format!("{} {}", deployment.skill_id, deployment.version)
}

pub(crate) fn read_acceptance(path: &Path) -> Result<Acceptance, String> {
    let text = read_text(path, "read", 4096).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| format!("'{}': {error}", path.display()))
}

/// Copies an archive and hashes what it wrote, in constant memory.
fn copy_hashing(from: &Path, to: &Path, limit: u64) -> Result<ArchiveDigest, StoreError> {
    let mut copy = File::create_new(to).map_err(io_error("write", to))?;
    let digest = read_archive(from, limit, |chunk| copy.write_all(chunk).map_err(io_error("write", to)))?;
    copy.sync_all().map_err(io_error("sync", to))?;
    Ok(digest)
}
