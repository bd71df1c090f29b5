//! Which artifacts go from the store, so that the disk always has room for the next one.

use std::cmp::Reverse;
use std::fs;

use swarm_artifact::ArtifactId;

use crate::durable::{Step, sync_folder};
use crate::error::StoreError;
use crate::store::{Store, io_error, read_acceptance};

/// Artifacts that stay beside the current one and the one that a rollback goes to. A rollback to a version that has gone has to be handed
/// the artifact again.
pub const KEPT: usize = 8;

impl Store {
    /// Removes artifacts from the store, the ones that were deployed, or only taken in, the longest ago. What is current, was last good, or
    /// is where an unnamed rollback goes stays, and of all others the `newest` newest. While nothing is deployed, all stay. Gives what
    /// was removed.
    ///
    /// 1. Both locks are held: nothing is taken in or deployed meanwhile, and whoever tries is told that the store is busy.
    /// 2. An artifact is renamed out of its place: it is in the store whole, or not at all.
    /// 3. Its files are removed. After a crash before that, the next ingest does it.
    pub fn prune(&self, newest: usize) -> Result<Vec<ArtifactId>, StoreError> {
        // 1.
        let _ingest = self.lock("ingest.lock")?;
        let _pointer = self.lock("pointer.lock")?;
        let Some(deployed) = self.deployed()? else { return Ok(Vec::new()) };
        let target = deployed.rollback_candidates().first().map(|entry| entry.artifact);
        let needed = [Some(deployed.current), deployed.last_good, target];
        let mut others = self.ids()?;
        others.retain(|id| !needed.contains(&Some(*id)));
        others.sort_by_cached_key(|id| {
            let last = deployed.history.iter().rev().find(|entry| entry.artifact == *id);
            let accepted =
                || read_acceptance(&self.accepted_path(*id)).map_or(i64::MIN, |it| it.accepted_at_unix);
            Reverse((
                last.map_or_else(accepted, |entry| entry.deployed_at_unix),
                last.map(|entry| entry.generation),
            ))
        });
        let gone = others.split_off(newest.min(others.len()));
        // 2.
        for id in &gone {
            let place = self.object_folder(*id);
            self.step(Step::RemoveObject, "move away", &place)?;
            fs::rename(&place, self.staging().join(format!("removed-{id}")))
                .map_err(io_error("move away", &place))?;
        }
        if !gone.is_empty() {
            sync_folder(&self.objects()).map_err(io_error("sync", &self.objects()))?;
        }
        // 3.
        self.clear_staging()?;
        Ok(gone)
    }

    /// All artifacts of the store. What is there and is none is nobody's business.
    fn ids(&self) -> Result<Vec<ArtifactId>, StoreError> {
        let objects = self.objects();
        let entries = fs::read_dir(&objects).map_err(io_error("read the folder", &objects))?;
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.map_err(io_error("read the folder", &objects))?.file_name();
            ids.extend(name.to_str().and_then(|name| name.parse::<ArtifactId>().ok()));
        }
        Ok(ids)
    }
}
