//! Which artifact a cell is to run (Uptane's split). The *image repository* says what exists and who made it; its keys are
//! kept away from the network. The *director* says who runs what, and its keys are at hand. A cell believes only what both
//! say: whoever takes the director over can at most send a cell to another artifact of the image repository, and whoever takes
//! the image repository's server over can send it nowhere.
//!
//! The director is a repository like any other. Its top-level targets have the field `custom.cells`, and nothing is
//! delegated. All cells read the same file, so that what was meant for one cannot be replayed to another.
//!
//! A cell that is to run nothing in particular may still have to stop running something: `custom.leave` lists the cells that are to
//! leave a target. It names no other, so that a cell goes by its own means to what was good there before.

use std::collections::{BTreeMap, BTreeSet};

use crate::json::Json;
use crate::metadata::{TargetFile, Targets};
use crate::names::{TARGETS, TargetPath};
use crate::refusal::Refusal;
use crate::repository::{PublishError, Repository};
use crate::target::Target;

/// The cells that are to run a target.
const CELLS: &str = "cells";
/// Those that are to leave it.
const LEAVE: &str = "leave";

/// Has the director send a cell to a target; `file` as the image repository has it.
pub fn assign(
    director: &mut Repository,
    cell: &str,
    path: &TargetPath,
    file: &TargetFile,
) -> Result<(), PublishError> {
    add(director, CELLS, cell, path, file)
}

/// Has the director send a cell away from a target; `file` as the cell runs it.
pub fn send_away(
    director: &mut Repository,
    cell: &str,
    path: &TargetPath,
    file: &TargetFile,
) -> Result<(), PublishError> {
    add(director, LEAVE, cell, path, file)
}

/// Has the director say nothing of a cell any more. A target of which nothing is said to any cell is no longer named.
pub fn forget(director: &mut Repository, cell: &str) -> Result<(), PublishError> {
    let said = |file: &TargetFile| [CELLS, LEAVE].iter().any(|list| cells_of(file, list).contains(cell));
    let named = director.role(TARGETS)?.targets.iter().filter(|(_, file)| said(file));
    let named: Vec<_> = named.map(|(path, file)| (path.clone(), file.clone())).collect();
    for (path, file) in named {
        let Ok(path) = path.parse() else { continue };
        let [mut cells, mut leave] = [CELLS, LEAVE].map(|list| cells_of(&file, list));
        cells.remove(cell);
        leave.remove(cell);
        if cells.is_empty() && leave.is_empty() {
            director.remove_target(TARGETS, &path)?;
        } else {
            director.set_target(TARGETS, &path, with_lists(&file, cells, leave))?;
        }
    }
    Ok(())
}

/// Whether the director says anything of a cell.
pub fn names(director: &Repository, cell: &str) -> Result<bool, PublishError> {
    let mut targets = director.role(TARGETS)?.targets.values();
    Ok(targets.any(|file| [CELLS, LEAVE].iter().any(|list| cells_of(file, list).contains(cell))))
}

/// What the director's metadata, believed by a [`crate::Client`] of its own, has for this cell.
pub fn assigned(director: &Targets, cell: &str) -> Result<BTreeMap<TargetPath, TargetFile>, Refusal> {
    let refused = |path: &str, problem: &str| Refusal::Disagreement {
        path: path.to_owned(),
        problem: problem.to_owned(),
    };
    if director.delegations.is_some() {
        return Err(refused(TARGETS, "the director's metadata delegates, which it must not"));
    }
    let mine = director.targets.iter().filter(|(_, file)| cells_of(file, CELLS).contains(cell));
    mine.map(|(path, file)| match path.parse() {
        Ok(path) => Ok((path, file.clone())),
        Err(_) => Err(refused(path, "the director names a target that has no proper path")),
    })
    .collect()
}

/// What the director's metadata has this cell leave.
pub fn to_leave<'d>(director: &'d Targets, cell: &str) -> Vec<&'d TargetFile> {
    director.targets.values().filter(|file| cells_of(file, LEAVE).contains(cell)).collect()
}

/// Whether both repositories mean the same bytes; `image` was found under the name that the director gives.
///
/// Name and length must be the same, and at least one digest; none may differ.
pub fn agree(path: &TargetPath, director: &TargetFile, image: &Target) -> Result<(), Refusal> {
    let refused = |problem: String| Err(Refusal::Disagreement { path: path.to_string(), problem });
    if *path != image.path {
        return refused(format!("the image repository's target is '{}'", image.path));
    }
    if director.length != image.file.length {
        let (director, image) = (director.length, image.file.length);
        return refused(format!("the director says {director} bytes, the image repository {image}"));
    }
    let mut same = 0;
    for algorithm in ["sha256", "sha512"] {
        match (director.hashes.get(algorithm), image.file.hashes.get(algorithm)) {
            (Some(one), Some(other)) if one == other => same += 1,
            (Some(_), Some(_)) => return refused(format!("their {algorithm} digests differ")),
            _ => {}
        }
    }
    if same == 0 {
        return refused("they have no digest in common".to_owned());
    }
    Ok(())
}

/// Puts a cell on a list of a target.
fn add(
    director: &mut Repository,
    list: &str,
    cell: &str,
    path: &TargetPath,
    file: &TargetFile,
) -> Result<(), PublishError> {
    let known = director.role(TARGETS)?.targets.get(path.as_str());
    let [mut cells, mut leave] =
        [CELLS, LEAVE].map(|list| known.map(|known| cells_of(known, list)).unwrap_or_default());
    if list == CELLS { &mut cells } else { &mut leave }.insert(cell.to_owned());
    director.set_target(TARGETS, path, with_lists(file, cells, leave))
}

fn cells_of(file: &TargetFile, list: &str) -> BTreeSet<String> {
    match file.custom.as_ref().and_then(|custom| custom.get(list)) {
        Some(Json::List(cells)) => cells.iter().filter_map(Json::as_text).map(str::to_owned).collect(),
        _ => BTreeSet::new(),
    }
}

fn with_lists(file: &TargetFile, cells: BTreeSet<String>, leave: BTreeSet<String>) -> TargetFile {
    let mut custom = match &file.custom {
        Some(Json::Map(custom)) => custom.clone(),
        _ => BTreeMap::new(),
    };
    for (list, cells) in [(CELLS, cells), (LEAVE, leave)] {
        if cells.is_empty() {
            custom.remove(list);
        } else {
            custom.insert(list.to_owned(), Json::List(cells.into_iter().map(Json::Text).collect()));
        }
    }
    TargetFile { custom: Some(Json::Map(custom)), ..file.clone() }
}
