//! A bag as one file, to be handed in: a tar archive, written as a stream, so that memory does not depend on its size.

use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::{ClientError, files};

/// Where the archive of a bag in the spool is.
pub(crate) fn packed(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!(".packed-{name}.tar"))
}

/// Packs a bag, a folder or a single file, as `name`; the archive appears whole or not at all, and its time is when that began. Links are
/// packed as links.
pub(crate) fn pack(folder: &Path, name: &str) -> Result<PathBuf, ClientError> {
    let (bag, archive, begun) = (folder.join(name), packed(folder, name), SystemTime::now());
    let written = (|| {
        let mut staged = tempfile::Builder::new().prefix(files::STAGED).tempfile_in(folder)?;
        let mut builder = tar::Builder::new(BufWriter::with_capacity(1 << 20, staged.as_file_mut()));
        builder.follow_symlinks(false);
        if bag.is_dir() {
            builder.append_dir_all(name, &bag)?;
        } else {
            builder.append_path_with_name(&bag, name)?;
        }
        builder.into_inner()?.flush()?;
        staged.as_file().set_modified(begun)?;
        staged.as_file().sync_all()?;
        staged.persist(&archive)?;
        files::sync_folder(folder)
    })();
    written.map_err(ClientError::at("pack", &bag))?;
    Ok(archive)
}

/// Whether anything of a bag was written since it was packed.
pub(crate) fn changed_since(bag: &Path, archive: &Path) -> Result<bool, ClientError> {
    let packed = fs::metadata(archive).and_then(|metadata| metadata.modified());
    let packed = packed.map_err(ClientError::at("look at", archive))?;
    newer(bag, packed).map_err(ClientError::at("look at", bag))
}

fn newer(path: &Path, than: SystemTime) -> io::Result<bool> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        // What somebody removed has nothing to lose.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if metadata.modified()? >= than {
        return Ok(true);
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            if newer(&entry?.path(), than)? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
