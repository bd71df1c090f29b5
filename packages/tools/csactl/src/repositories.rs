//! The two update repositories as this program believes them: refreshed like a cell does it, then opened for a change.
//!
//! 1. Begin with the root of the last time, or with the pinned one of the ceremony.
//! 2. Refresh, and follow every delegation. A registry that was taken over can neither show an older state to be signed
//!    again, nor slip anything into what is signed: versions only rise, and the folder remembers them.
//! 3. Look whether what has to be in date is: the top level, and what is changed. A skill whose role has expired keeps nobody from withdrawing an
//!    artifact of another one.
//! 4. Open what was believed as a [`Repository`], in which the change is made.

use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use swarm_api::update::Which;
use swarm_registry_client::{ClientError, Folder};
use swarm_tuf::repository::{Lifetimes, Repository, Stored};
use swarm_tuf::{
    Client, Fetch, Host, Limits, Mode, Moment, ROOT, Refusal, SNAPSHOT, TARGETS, TIMESTAMP, find, local_file,
    refresh,
};

use crate::connection::{CallError, Registry};
use crate::draft::DraftFile;

const DAY_S: i64 = 86_400;
const ROOT_DAYS: u32 = 365;
const TARGETS_DAYS: u32 = 180;

/// Where what is believed is kept, and for how long what is signed is good.
#[derive(Debug, clap::Args)]
pub(crate) struct Believed {
    /// Folder with what is believed of the update repositories; begins with image_root.json and director_root.json of the
    /// ceremony, as a cell does.
    #[arg(long, env = "CSACTL_METADATA", value_name = "DIR")]
    pub(crate) metadata: PathBuf,
    #[command(flatten)]
    pub(crate) days: Days,
}

#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Days {
    /// For how many days a root is good once it is signed.
    #[arg(long, default_value_t = ROOT_DAYS, value_parser = clap::value_parser!(u32).range(1..=3650))]
    root_days: u32,
    /// For how many days targets, and the roles of skills, are good once they are signed.
    #[arg(long, default_value_t = TARGETS_DAYS, value_parser = clap::value_parser!(u32).range(1..=3650))]
    targets_days: u32,
}

impl Days {
    pub(crate) fn lifetimes(self) -> Lifetimes {
        // Snapshot and timestamp are signed by the registry, with lifetimes of its own.
        Lifetimes {
            root_s: i64::from(self.root_days) * DAY_S,
            targets_s: i64::from(self.targets_days) * DAY_S,
            snapshot_s: 7 * DAY_S,
            timestamp_s: DAY_S,
        }
    }
}

impl Default for Days {
    fn default() -> Self {
        Self { root_days: ROOT_DAYS, targets_days: TARGETS_DAYS }
    }
}

/// Who withholds updates is noticed by these.
pub(crate) const TOP_LEVEL: [&str; 4] = [ROOT, TIMESTAMP, SNAPSHOT, TARGETS];

/// Whether metadata that has expired is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry<'a> {
    /// Of these roles, where they are there.
    Checked(&'a [&'a str]),
    /// For signing anew what has expired, and nothing else.
    Ignored,
}

/// What has to be in date for a change of this role.
pub(crate) fn top_level_and(role: &str) -> [&str; 5] {
    let [root, timestamp, snapshot, targets] = TOP_LEVEL;
    [root, timestamp, snapshot, targets, role]
}

/// Why there is no believed state to change.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpdateError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Folder(#[from] ClientError),
}

struct Update<'a> {
    registry: &'a Registry,
    which: Which,
    folder: &'a Folder,
}

impl Host for Update<'_> {
    type Error = UpdateError;

    fn load(&mut self, file: &str) -> Result<Option<Vec<u8>>, UpdateError> {
        Ok(self.folder.load(file)?)
    }

    fn fetch(&mut self, fetch: &Fetch) -> Result<Option<Vec<u8>>, UpdateError> {
        let path = format!("/api/v1/update/{}/metadata/{}", self.which.as_str(), fetch.file);
        Ok(self.registry.find(&path, fetch.max_length, fetch.time_limit)?)
    }

    fn store(&mut self, file: &str, bytes: &[u8]) -> Result<(), UpdateError> {
        Ok(self.folder.store(file, bytes)?)
    }

    fn remove(&mut self, file: &str) -> Result<(), UpdateError> {
        Ok(self.folder.remove(file)?)
    }
}

impl Believed {
    /// The repository as the registry has it and as it is believed. The numbers are those of the module.
    pub(crate) fn open(
        &self,
        registry: &Registry,
        which: Which,
        now: Moment,
        expiry: Expiry<'_>,
    ) -> anyhow::Result<Repository> {
        let name = which.as_str();
        let folder = Folder::open(&self.metadata.join(name))?;
        // 1.
        let root = match folder.load(&local_file(ROOT))? {
            Some(root) => root,
            None => self.pinned(&folder, which)?,
        };
        // What is to be in date is held against the clock below.
        let mut client = Client::new(&root, Moment(i64::MIN), Mode::Online, Limits::default())
            .with_context(|| format!("the {name} root in '{}'", self.metadata.display()))?;
        // 2.
        let mut update = Update { registry, which, folder: &folder };
        let believed = format!("refreshing what is believed of the {name} repository");
        refresh(&mut client, &mut update).with_context(|| believed.clone())?;
        let targets = client.targets().context("the repository has no targets")?.clone();
        let delegated = targets.body().delegations.iter().flat_map(|all| all.roles.iter().flatten());
        let roles: Vec<String> = delegated.map(|role| role.name.clone()).collect();
        for role in &roles {
            // Nothing is called so; the search visits the role, and that is what it is for.
            match find(&mut client, &mut update, &format!("{role}/none").parse()?) {
                Ok(_) | Err(UpdateError::Refused(Refusal::NoSuchTarget { .. })) => {}
                Err(error) => return Err(error).with_context(|| format!("role {role}: {believed}")),
            }
        }
        let bytes = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec).unwrap_or_default();
        let mut stored = Stored {
            root: client.root().bytes().to_vec(),
            timestamp: bytes(client.timestamp().map(swarm_tuf::Signed::bytes)),
            snapshot: bytes(client.snapshot().map(swarm_tuf::Signed::bytes)),
            roles: [(TARGETS.to_owned(), targets.bytes().to_vec())].into(),
        };
        for role in roles {
            let bytes = folder.load(&local_file(&role))?;
            stored.roles.insert(role.clone(), bytes.with_context(|| format!("role {role} was not stored"))?);
        }
        let repository = Repository::open(&stored, self.days.lifetimes())?;
        // 3.
        if let Expiry::Checked(roles) = expiry {
            in_date(&repository, roles, now).with_context(|| believed)?;
        }
        // 4.
        Ok(repository)
    }

    /// Looks whether the registry shows what it says it has published, and remembers it: from now on anything older is a
    /// rollback, what was withdrawn a moment ago included.
    pub(crate) fn confirm(&self, registry: &Registry, draft: &DraftFile) -> anyhow::Result<()> {
        let which = draft.repository;
        // Another role may have expired; that is no reason to forget this one.
        let shown = self.open(registry, which, now(), Expiry::Ignored)?;
        for file in draft.progress()? {
            let version = match file.role.as_str() {
                ROOT => shown.root().head.version,
                role => shown.role(role)?.head.version,
            };
            ensure!(
                version.get() >= file.version,
                "the registry says that {} version {} is published in the {} repository, and shows version {version}; suspect \
                 the registry",
                file.role,
                file.version,
                which.as_str()
            );
        }
        Ok(())
    }

    fn pinned(&self, folder: &Folder, which: Which) -> anyhow::Result<Vec<u8>> {
        let path = self.metadata.join(format!("{}_root.json", which.as_str()));
        if !path.exists() {
            bail!(
                "'{}' is missing: --metadata names a folder that begins with the pinned roots of the ceremony; copy them \
                 from its folder `cells`",
                path.display()
            );
        }
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read '{}'", path.display()))?;
        // A root that does not believe itself is refused before it is remembered.
        Client::new(&bytes, Moment(0), Mode::Online, Limits::default())
            .with_context(|| format!("'{}'", path.display()))?;
        folder.store(&local_file(ROOT), &bytes)?;
        Ok(bytes)
    }
}

fn in_date(repository: &Repository, roles: &[&str], now: Moment) -> Result<(), Refusal> {
    let expired = roles.iter().filter_map(|role| Some((role, repository.expires(role)?)));
    match expired.into_iter().find(|(_, expires)| *expires <= now) {
        Some((role, expires)) => Err(Refusal::Expired { role: (*role).to_owned(), expires, now }),
        None => Ok(()),
    }
}

/// By this machine's clock.
pub(crate) fn now() -> Moment {
    Moment(swarm_store::unix_now())
}
