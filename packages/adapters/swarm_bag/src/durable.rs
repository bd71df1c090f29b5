//! Files that are there, whole, after the power failed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::error::{At, BagError};
use crate::write::Survives;

/// Puts `text` in the place of the file, in one step.
pub(crate) fn replace(path: &Path, text: &str, survives: Survives) -> Result<(), BagError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(text.as_bytes())?;
        if survives == Survives::PowerCut {
            file.sync_data()?;
        }
        fs::rename(&new, path)
    };
    write().at("write", path).inspect_err(|_| {
        let _ = fs::remove_file(&new);
    })?;
    match survives {
        Survives::PowerCut => folder_of(path),
        Survives::ProcessEnd => Ok(()),
    }
}

/// Makes a folder and those above it, where they are not there yet.
pub(crate) fn make_folders(folder: &Path, survives: Survives) -> Result<(), BagError> {
    let missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let missing: Vec<&Path> = folder.ancestors().take_while(missing).collect();
    fs::create_dir_all(folder).at("create", folder)?;
    match survives {
        Survives::PowerCut => missing.into_iter().rev().try_for_each(folder_of),
        Survives::ProcessEnd => Ok(()),
    }
}

/// Makes a folder that nobody has made yet.
pub(crate) fn make_new_folder(folder: &Path, survives: Survives) -> Result<(), BagError> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(BagError::Exists { path: folder.to_owned() });
        }
        made => made.at("create", folder)?,
    }
    match survives {
        Survives::PowerCut => folder_of(folder),
        Survives::ProcessEnd => Ok(()),
    }
}

/// Makes the names in the folder of `path` durable.
pub(crate) fn folder_of(path: &Path) -> Result<(), BagError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder).and_then(|folder| folder.sync_all()).at("write", folder)
}
