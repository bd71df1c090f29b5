//! A target into a folder: what is there already is verified again, and what comes is verified before it is there.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use swarm_tuf::{Limits, Target, TargetCheck, encoded};

use crate::HostError;
use crate::http::{Server, failed};

/// Makes sure that `folder` has the target's bytes, and returns their file. Nothing unverified ever has its name.
pub fn download(
    server: &Server,
    target: &Target,
    limits: &Limits,
    folder: &Path,
) -> Result<PathBuf, HostError> {
    let path = folder.join(encoded(target.path.as_str()));
    fs::create_dir_all(folder).map_err(HostError::at("make the folder", folder))?;
    if is_there(target, &path)? {
        return Ok(path);
    }
    let (url, limit) = (server.url(&target.remote_file()), limits.time_for(target.file.length));
    let mut body =
        server.open(&url, limit)?.ok_or_else(|| HostError::Status { url: url.clone(), status: 404 })?;
    let mut staged = tempfile::NamedTempFile::new_in(folder).map_err(HostError::at("write in", folder))?;
    let mut check = target.check()?;
    copy(
        &mut body,
        &mut check,
        |bytes| staged.write_all(bytes).map_err(HostError::at("write", &path)),
        |error| failed(&url, limit, error),
    )?;
    check.finish()?;
    replace(staged, &path).map_err(HostError::at("write", &path))?;
    Ok(path)
}

/// Puts a finished file in its place: synced before the rename, and the rename synced too.
fn replace(staged: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    staged.as_file().sync_all()?;
    staged.persist(path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Whether the file is there with the right bytes. A wrong one is not an error: it is fetched again.
fn is_there(target: &Target, path: &Path) -> Result<bool, HostError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(HostError::at("read", path)(error)),
    };
    let mut check = target.check()?;
    match copy(&mut file, &mut check, |_| Ok(()), HostError::at("read", path)) {
        Ok(()) => Ok(check.finish().is_ok()),
        Err(HostError::Refused(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

fn copy(
    from: &mut impl Read,
    check: &mut TargetCheck,
    mut to: impl FnMut(&[u8]) -> Result<(), HostError>,
    failed: impl FnOnce(io::Error) -> HostError,
) -> Result<(), HostError> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                check.update(&buffer[..length])?;
                to(&buffer[..length])?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}
