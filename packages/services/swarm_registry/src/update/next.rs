//! The next state of an update repository, from what is stored and what is to change. No database, no clock.

use std::collections::BTreeSet;

use swarm_api::update::{SignedFile, Versions, Which};
use swarm_tuf::repository::{Chore, File, Lifetimes, PublishError, Repository, Stored, Upkeep};
use swarm_tuf::{
    Metadata, Moment, ROOT, Refusal, Root, SNAPSHOT, Signed, TARGETS, TIMESTAMP, TargetFile, TargetPath,
    Targets, director, remote_file,
};

use super::{UpdateError, UpdateKeys};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// For how long what the registry signs is good. Whoever withholds updates is noticed after a day; a registry that is away for
/// a day is, too. `root_s` is not used here: people sign it.
pub(super) const LIFETIMES: Lifetimes =
    Lifetimes { root_s: 365 * DAY, targets_s: 7 * DAY, snapshot_s: 7 * DAY, timestamp_s: DAY };

/// Half of each life is left for repairs.
const UPKEEP: Upkeep = Upkeep {
    renew_before: Lifetimes { root_s: 0, targets_s: 3 * DAY, snapshot_s: 3 * DAY, timestamp_s: 12 * HOUR },
    rotate_after: Lifetimes {
        root_s: i64::MAX,
        targets_s: i64::MAX,
        snapshot_s: i64::MAX,
        timestamp_s: i64::MAX,
    },
};

/// Files to write, and how far the repository is with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) files: Vec<File>,
    pub(crate) versions: Versions,
}

/// What is stored was believed when it was written; that it no longer is means that somebody changed it.
pub(crate) fn open(which: Which, stored: &Stored) -> Result<Repository, UpdateError> {
    Repository::open(stored, LIFETIMES).map_err(|source| UpdateError::Changed { which, source })
}

/// Takes in files that people signed, all or none.
pub(super) fn hand_in(
    which: Which,
    stored: Option<&Stored>,
    files: &[SignedFile],
    keys: &UpdateKeys,
    now: Moment,
) -> Result<Next, UpdateError> {
    let mut repository = stored.map(|stored| open(which, stored)).transpose()?;
    let mut seen = BTreeSet::new();
    for SignedFile { role, text } in files {
        let bytes = text.as_bytes();
        if matches!(role.as_str(), SNAPSHOT | TIMESTAMP) || (which == Which::Director && role != ROOT) {
            return Err(UpdateError::OwnRole { which, role: role.clone() });
        }
        // A chain of roots is handed in at once after a ceremony that took several steps.
        if role != ROOT && !seen.insert(role) {
            return Err(UpdateError::Twice { role: role.clone() });
        }
        let Some(repository) = &mut repository else {
            if role != ROOT {
                return Err(UpdateError::Empty { which });
            }
            let root = read::<Root>(role, bytes, now)?;
            expect(role, 1, root.version())?;
            repository = Some(Repository::begin(bytes, LIFETIMES)?);
            continue;
        };
        if role == ROOT {
            let root = read::<Root>(role, bytes, now)?;
            expect(role, repository.root().head.version.get() + 1, root.version())?;
            repository.adopt_root(bytes)?;
        } else {
            let known = repository.snapshot().and_then(|snapshot| snapshot.body().file(role));
            let expected = known.map_or(0, |file| file.version.get()) + 1;
            repository.role(role)?;
            expect(role, expected, read::<Targets>(role, bytes, now)?.version())?;
            repository.adopt_role(role, bytes)?;
        }
    }
    let mut repository = repository.ok_or(UpdateError::Empty { which })?;
    if !repository.root().consistent_snapshot {
        return Err(UpdateError::NotConsistent { which });
    }
    publish(&mut repository, keys, now)
}

fn read<T: Metadata>(role: &str, bytes: &[u8], now: Moment) -> Result<Signed<T>, UpdateError> {
    let metadata = Signed::<T>::parse(role, &remote_file(role, None), bytes).map_err(PublishError::from)?;
    let expires = metadata.expires();
    if expires <= now {
        return Err(PublishError::from(Refusal::Expired { role: role.to_owned(), expires, now }).into());
    }
    Ok(metadata)
}

fn expect(role: &str, expected: u64, offered: u64) -> Result<(), UpdateError> {
    if expected == offered {
        return Ok(());
    }
    Err(UpdateError::NotTheNextVersion { role: role.to_owned(), expected, offered })
}

/// What the director is to say of one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) site_id: String,
    pub(crate) say: Say,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Say {
    /// It is to run the target, as the image repository has it.
    Run(TargetPath, TargetFile),
    /// It is to run the target no more, and nothing in particular in its place.
    Leave(TargetPath, TargetFile),
    Nothing,
}

/// Sends cells to targets, or away from them. What was said of a cell before is taken back.
pub(crate) fn direct(
    stored: &Stored,
    orders: &[Order],
    keys: &UpdateKeys,
    now: Moment,
) -> Result<Next, UpdateError> {
    let mut repository = open(Which::Director, stored)?;
    for Order { site_id, say } in orders {
        director::forget(&mut repository, site_id)?;
        match say {
            Say::Run(path, file) => director::assign(&mut repository, site_id, path, file)?,
            Say::Leave(path, file) => director::send_away(&mut repository, site_id, path, file)?,
            Say::Nothing => {}
        }
    }
    publish(&mut repository, keys, now)
}

/// What has to be signed anew before it expires; `None` where nothing is due. What people signed is theirs to renew.
pub(super) fn renew(
    which: Which,
    stored: &Stored,
    keys: &UpdateKeys,
    now: Moment,
) -> Result<Option<Next>, UpdateError> {
    let mut repository = open(which, stored)?;
    let mut due = false;
    for chore in repository.chores(now, &UPKEEP) {
        let Chore::Renew { role } = chore else { continue };
        let ours =
            matches!(role.as_str(), SNAPSHOT | TIMESTAMP) || (which == Which::Director && role == TARGETS);
        if ours {
            repository.touch(&role)?;
            due = true;
        }
    }
    if due { publish(&mut repository, keys, now).map(Some) } else { Ok(None) }
}

fn publish(repository: &mut Repository, keys: &UpdateKeys, now: Moment) -> Result<Next, UpdateError> {
    let files = repository.publish(&keys.keyring(repository.root()), now)?;
    let version = |metadata: Option<u64>| metadata.unwrap_or_default();
    let versions = Versions {
        root: repository.root().head.version.get(),
        timestamp: version(repository.timestamp().map(Signed::version)),
        snapshot: version(repository.snapshot().map(Signed::version)),
        targets: repository.role(TARGETS)?.head.version.get(),
    };
    Ok(Next { files, versions })
}
