//! Which artifact a cell is to run (Uptane's split). The *image repository* says what exists and who made it; its keys are
//! kept away from the network. The *director* says who runs what, and its keys are at hand. A cell believes only what both
//! say: whoever takes the director over can at most send a cell to another artifact of the image repository, and whoever takes
//! the image repository's server over can send it nowhere.
//!
//! The director is a repository like any other. Its top-level targets have the field `custom.cells`, and nothing is
//! delegated. All cells read the same file, so that what was meant for one cannot be replayed to another.

use std::collections::{BTreeMap, BTreeSet};

use crate::json::Json;
use crate::metadata::{TargetFile, Targets};
use crate::names::{TARGETS, TargetPath};
use crate::refusal::Refusal;
use crate::repository::{PublishError, Repository};
use crate::target::Target;

const CELLS: &str = "cells";

/// Has the director send a cell to a target; `file` as the image repository has it.
pub fn assign(
    director: &mut Repository,
    cell: &str,
    path: &TargetPath,
    file: &TargetFile,
) -> Result<(), PublishError> {
    let mut cells = match director.role(TARGETS)?.targets.get(path.as_str()) {
        Some(known) => cells_of(known),
        None => BTreeSet::new(),
    };
    cells.insert(cell.to_owned());
    director.set_target(TARGETS, path, with_cells(file, cells))
}

/// Takes an assignment back; a target that no cell has any more is no longer named.
pub fn unassign(director: &mut Repository, cell: &str, path: &TargetPath) -> Result<(), PublishError> {
    let Some(file) = director.role(TARGETS)?.targets.get(path.as_str()).cloned() else { return Ok(()) };
    let mut cells = cells_of(&file);
    cells.remove(cell);
    if cells.is_empty() {
        director.remove_target(TARGETS, path).map(|_| ())
    } else {
        director.set_target(TARGETS, path, with_cells(&file, cells))
    }
}

/// The targets that the director sends a cell to.
pub fn targets_of(director: &Repository, cell: &str) -> Result<Vec<TargetPath>, PublishError> {
    let targets = &director.role(TARGETS)?.targets;
    let mine = targets.iter().filter(|(_, file)| cells_of(file).contains(cell));
    Ok(mine.filter_map(|(path, _)| path.parse().ok()).collect())
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
    let mine = director.targets.iter().filter(|(_, file)| cells_of(file).contains(cell));
    mine.map(|(path, file)| match path.parse() {
        Ok(path) => Ok((path, file.clone())),
        Err(_) => Err(refused(path, "the director names a target that has no proper path")),
    })
    .collect()
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

fn cells_of(file: &TargetFile) -> BTreeSet<String> {
    match file.custom.as_ref().and_then(|custom| custom.get(CELLS)) {
        Some(Json::List(cells)) => cells.iter().filter_map(Json::as_text).map(str::to_owned).collect(),
        _ => BTreeSet::new(),
    }
}

fn with_cells(file: &TargetFile, cells: BTreeSet<String>) -> TargetFile {
    let mut custom = match &file.custom {
        Some(Json::Map(custom)) => custom.clone(),
        _ => BTreeMap::new(),
    };
    custom.insert(CELLS.to_owned(), Json::List(cells.into_iter().map(Json::Text).collect()));
    TargetFile { custom: Some(Json::Map(custom)), ..file.clone() }
}
