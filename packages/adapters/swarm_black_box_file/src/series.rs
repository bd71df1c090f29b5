//! The files of a folder as one series: where it goes on, and which of them make room.

use std::collections::BTreeSet;
use std::io;

use swarm_black_box::{Place, Unreadable, frames, verify};

use crate::disk::{Disk, Output};
use crate::names::{BEGUN, BoxName, to_remove};

/// A file begins with what was removed before it, and with a seal that vouches for that: header and notes take a fraction of
/// this. A whole file is tens of megabytes, and the cell's memory is locked.
const START_BYTES: usize = 2 << 20;

/// The folder's files of the series.
pub(crate) fn box_files(disk: &mut dyn Disk) -> io::Result<Vec<(BoxName, u64)>> {
    let files = disk.list()?;
    Ok(files.into_iter().filter_map(|(name, bytes)| Some((BoxName::parse(&name)?, bytes))).collect())
}

/// What goes to make room.
#[derive(Debug, Default)]
pub(crate) struct Going {
    pub files: Vec<BoxName>,
    /// Numbers of those that are then missing behind the oldest one that is left: what goes now, and what it knew to be
    /// removed before.
    pub missing: Vec<u64>,
}

/// Which files go so that there is room. Removes none.
pub(crate) fn look_for_room(disk: &mut dyn Disk, files: &[(BoxName, u64)], room: u64) -> io::Result<Going> {
    let mut missing = BTreeSet::new();
    let going = to_remove(files, room);
    for name in &going {
        let start = disk.read_start(&name.text(), START_BYTES)?;
        if let Ok(found) = verify(&start, None)
            && found.faults.is_empty()
            && found.segments > 0
        {
            missing.extend(found.removed);
        }
        missing.insert(name.number);
    }
    let left = files.iter().map(|(name, _)| name).filter(|name| !going.contains(name));
    let oldest = left.map(|name| name.number).min().unwrap_or(0);
    Ok(Going { files: going, missing: missing.split_off(&oldest).into_iter().collect() })
}

/// Begins a file of the series with its header. It has its name only once the disk has the whole header: a writer that is killed leaves
/// no file that nobody can read.
pub(crate) fn begin_file(disk: &mut dyn Disk, name: &BoxName, header: &[u8]) -> io::Result<Box<dyn Output>> {
    let mut output = disk.create(&name.begun())?;
    let written = output.write_all(header).and_then(|()| output.sync());
    if let Err(error) = written.and_then(|()| disk.rename(&name.begun(), &name.text())) {
        // Where that fails too, the next look at the folder does it.
        let _ = disk.remove(&name.begun());
        return Err(error);
    }
    Ok(output)
}

/// Where the next file stands: behind the newest one that can be read. A file that was begun and has no whole header holds
/// nothing, and goes.
pub(crate) fn place_after(disk: &mut dyn Disk) -> io::Result<Place> {
    for (name, _) in disk.list()? {
        if name.strip_suffix(BEGUN).is_some_and(|name| BoxName::parse(name).is_some()) {
            disk.remove(&name)?;
        }
    }
    let mut files = box_files(disk)?;
    files.sort_by_key(|(name, _)| name.number);
    let mut number = None;
    while let Some((name, _)) = files.pop() {
        let bytes = disk.read(&name.text())?;
        match verify(&bytes, None) {
            Ok(found) => {
                return Ok(Place { file: number.unwrap_or(name.number) + 1, ..found.next });
            }
            Err(Unreadable::NoHeader) if frames(&bytes).is_ok_and(|mut all| all.next().is_none()) => {
                disk.remove(&name.text())?;
            }
            Err(_) if bytes.is_empty() => disk.remove(&name.text())?,
            Err(_) => number = number.or(Some(name.number)),
        }
    }
    Ok(Place { file: number.map_or(0, |number| number + 1), ..Place::default() })
}
