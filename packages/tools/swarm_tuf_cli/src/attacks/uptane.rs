//! The seven demonstrations of Uptane's reference implementation, on a director and an image repository. A cell takes what
//! both say, and the image repository's targets are signed with keys that no server has.

use std::collections::BTreeMap;

use swarm_tuf::{ROOT, SNAPSHOT, TARGETS, TIMESTAMP, TargetFile, director};

use super::world::{
    Cell, NOW, Outcome, ROOT_KEYS, Reply, SNAPSHOT_KEY, Site, TARGETS_KEYS, TIMESTAMP_KEY, path, say,
};
use super::{Attack, refused, same};

const GOOD: &[u8] = b"pick, as its team made it";
const EVIL: &[u8] = b"pick, as the thief made..";
const PICK: &str = "skills/pick/pick.tar.gz";

pub(super) const ATTACKS: &[Attack] = &[
    Attack { name: "Uptane 3.1: an arbitrary artifact on the director, without keys", run: on_the_director },
    Attack {
        name: "Uptane 3.2: an arbitrary artifact on the image repository, without keys",
        run: on_the_images,
    },
    Attack { name: "Uptane 3.3: the metadata of both, as it was", run: replay },
    Attack { name: "Uptane 3.4: the director's keys", run: director_keys },
    Attack { name: "Uptane 3.5: both servers at once, with the keys that they have", run: both_servers },
    Attack { name: "Uptane 3.6: recovery when all keys but the root's were stolen", run: recovery },
    Attack { name: "Uptane 3.7: both servers at once, with keys that were revoked", run: revoked },
];

struct Fleet {
    director: Site,
    image: Site,
    cell: Cell,
}

/// The director sends the cell to a target of the image repository, and the cell has got it.
fn begin() -> Outcome<Fleet> {
    let (mut director, mut image) = (Site::director()?, Site::new()?);
    image.put("pick", PICK, GOOD)?;
    image.publish(NOW)?;
    assign(&mut director, GOOD)?;
    let fleet = Fleet { director, image, cell: Cell::new()? };
    fleet.got(GOOD)?;
    Ok(fleet)
}

fn assign(director: &mut Site, bytes: &[u8]) -> Outcome {
    let file = TargetFile::of(bytes);
    director::assign(&mut director.repository, Cell::ID, &path(PICK)?, &file).map_err(say)?;
    director.publish(NOW)
}

impl Fleet {
    /// The cell updates and gets exactly this.
    fn got(&self, bytes: &[u8]) -> Outcome {
        let got = self.cell.get_assigned(&self.director, &self.image).map_err(say)?;
        same(&got, &BTreeMap::from([(PICK.to_owned(), bytes.to_vec())]))
    }

    /// The cell refuses, and keeps what it had.
    fn refuses(&self, code: &str) -> Outcome {
        refused(self.cell.get_assigned(&self.director, &self.image), code)?;
        same(&self.cell.on_disk(PICK), &Some(GOOD.to_vec()))
    }

    /// The evil bytes lie where the image repository's server would have them.
    fn serve_evil(&self) -> Outcome {
        let digest = TargetFile::of(EVIL).hashes;
        let remote = path(PICK)?.remote_file(digest.get("sha256").map(String::as_str));
        self.image.serve_target(&remote, Reply::File(EVIL.to_vec()));
        Ok(())
    }
}

/// Does to a repository what its thief can: the role names the evil target, signed with `numbers` where it was signed before.
fn deface(site: &mut Site, role: &str, numbers: &[u8]) -> Outcome {
    let version = site.repository.role(role).map_err(say)?.head.version.get() + 1;
    let forged = site.forge(role, numbers, |targets: &mut swarm_tuf::Targets| {
        targets.head.version = targets.head.version.saturating_add(1);
        if let Some(file) = targets.targets.get_mut(PICK) {
            *file = TargetFile { custom: file.custom.clone(), ..TargetFile::of(EVIL) };
        }
    })?;
    site.serve_metadata(&swarm_tuf::remote_file(role, Some(version)), Reply::File(forged));
    let listed = super::world::version_only(version)?;
    let mut number = 0;
    let snapshot = site.forge(SNAPSHOT, numbers, |snapshot: &mut swarm_tuf::Snapshot| {
        snapshot.head.version = snapshot.head.version.saturating_add(1);
        snapshot.meta.insert(format!("{role}.json"), listed);
        number = snapshot.head.version.get();
    })?;
    site.serve_metadata(&swarm_tuf::remote_file(SNAPSHOT, Some(number)), Reply::File(snapshot));
    let listed = super::world::version_only(number)?;
    let timestamp = site.forge(TIMESTAMP, numbers, |timestamp: &mut swarm_tuf::Timestamp| {
        timestamp.head.version = timestamp.head.version.saturating_add(1);
        timestamp.meta.insert("snapshot.json".to_owned(), listed);
    })?;
    site.serve_metadata("timestamp.json", Reply::File(timestamp));
    Ok(())
}

fn on_the_director() -> Outcome {
    let mut fleet = begin()?;
    deface(&mut fleet.director, TARGETS, &[])?;
    fleet.serve_evil()?;
    fleet.refuses("signatures")
}

fn on_the_images() -> Outcome {
    let mut fleet = begin()?;
    deface(&mut fleet.image, "pick", &[])?;
    fleet.serve_evil()?;
    fleet.refuses("signatures")?;
    // The bytes alone.
    let fleet = begin()?;
    let good = path(PICK)?.remote_file(TargetFile::of(GOOD).hashes.get("sha256").map(String::as_str));
    fleet.image.serve_target(&good, Reply::File(EVIL.to_vec()));
    let fresh = Cell::new()?;
    refused(fresh.get_assigned(&fleet.director, &fleet.image), "digest")?;
    same(&fresh.on_disk(PICK), &None)
}

fn replay() -> Outcome {
    let mut fleet = begin()?;
    let (before, images) = (fleet.director.recording(), fleet.image.recording());
    fleet.image.put("pick", PICK, b"pick, mended")?;
    fleet.image.publish(NOW)?;
    assign(&mut fleet.director, b"pick, mended")?;
    fleet.got(b"pick, mended")?;
    let now = fleet.director.recording();
    let cell = |fleet: &Fleet| fleet.cell.get_assigned(&fleet.director, &fleet.image);
    fleet.director.replay(before);
    refused(cell(&fleet), "rollback")?;
    fleet.director.replay(now);
    fleet.image.replay(images);
    refused(cell(&fleet), "rollback")?;
    same(&fleet.cell.on_disk(PICK), &Some(b"pick, mended".to_vec()))
}

/// The director's thief has all keys of the director but the root's.
fn director_keys() -> Outcome {
    let mut fleet = begin()?;
    let stolen = [TARGETS_KEYS[0], TARGETS_KEYS[1], SNAPSHOT_KEY, TIMESTAMP_KEY];
    deface(&mut fleet.director, TARGETS, &stolen)?;
    fleet.serve_evil()?;
    fleet.refuses("disagreement")
}

/// Both servers, all keys of the director, and of the image repository those that its server needs: snapshot and timestamp.
fn both_servers() -> Outcome {
    let mut fleet = begin()?;
    let stolen = [TARGETS_KEYS[0], TARGETS_KEYS[1], SNAPSHOT_KEY, TIMESTAMP_KEY];
    deface(&mut fleet.director, TARGETS, &stolen)?;
    deface(&mut fleet.image, "pick", &[SNAPSHOT_KEY, TIMESTAMP_KEY])?;
    fleet.serve_evil()?;
    fleet.refuses("signatures")
}

/// Everything but the roots is in the thief's hands, and the cell believed it once. With the root's keys the people change all
/// others; then the cell gets what they sign.
fn recovery() -> Outcome {
    let mut fleet = begin()?;
    let stolen = [TARGETS_KEYS[0], TARGETS_KEYS[1], SNAPSHOT_KEY, TIMESTAMP_KEY, super::world::PICK_KEY];
    let (director, images) = (fleet.director.recording(), fleet.image.recording());
    for _ in 0..3 {
        deface(&mut fleet.director, TARGETS, &stolen)?;
        deface(&mut fleet.image, "pick", &stolen)?;
    }
    fleet.serve_evil()?;
    fleet.got(EVIL)?; // every key that there is was stolen; this is why the root's are kept apart
    fleet.director.replay(director);
    fleet.image.replay(images);
    for (site, numbers) in [(&mut fleet.director, 100), (&mut fleet.image, 110)] {
        site.rotate(TARGETS, &[numbers, numbers + 1])?;
        site.rotate(SNAPSHOT, &[numbers + 2])?;
        site.rotate(TIMESTAMP, &[numbers + 3])?;
    }
    fleet.image.rotate("pick", &[120])?;
    fleet.image.publish(NOW)?;
    fleet.director.publish(NOW)?;
    fleet.got(GOOD)?;
    // What the thief still has is worth nothing.
    deface(&mut fleet.director, TARGETS, &stolen)?;
    fleet.refuses("signatures")
}

fn revoked() -> Outcome {
    let mut fleet = begin()?;
    let stolen =
        [ROOT_KEYS[0], ROOT_KEYS[1], TARGETS_KEYS[0], TARGETS_KEYS[1], SNAPSHOT_KEY, TIMESTAMP_KEY, 8];
    for (site, numbers) in [(&mut fleet.director, 100), (&mut fleet.image, 110)] {
        site.rotate(ROOT, &[numbers + 4, numbers + 5])?;
        site.rotate(TARGETS, &[numbers, numbers + 1])?;
        site.rotate(SNAPSHOT, &[numbers + 2])?;
        site.rotate(TIMESTAMP, &[numbers + 3])?;
        site.publish(NOW)?;
    }
    fleet.image.rotate("pick", &[120])?;
    fleet.image.publish(NOW)?;
    fleet.got(GOOD)?;
    let (director, images) = (fleet.director.recording(), fleet.image.recording());
    deface(&mut fleet.director, TARGETS, &stolen)?;
    fleet.serve_evil()?;
    fleet.refuses("signatures")?;
    fleet.director.replay(director);
    deface(&mut fleet.image, "pick", &stolen)?;
    fleet.refuses("signatures")?;
    fleet.image.replay(images);
    fleet.got(GOOD)
}
