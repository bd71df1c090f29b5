//! Writing results: lines for people, JSON for scripts; files that appear complete or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::Serialize;

/// Prints a value as JSON on one line.
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(value)?);
    Ok(())
}

/// Who may read a new file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Access {
    /// Mode 0600.
    OwnerOnly,
    /// Mode 0644.
    Everyone,
}

/// Writes a file that must not exist yet.
pub(crate) fn create(path: &Path, text: &str, access: Access) -> anyhow::Result<()> {
    let mode = match access {
        Access::OwnerOnly => 0o600,
        Access::Everyone => 0o644,
    };
    let opened = File::options().write(true).create_new(true).mode(mode).open(path);
    if let Err(error) = &opened
        && error.kind() == io::ErrorKind::AlreadyExists
    {
        bail!(
            "'{}' exists already and is not overwritten; choose another name or remove it yourself",
            path.display()
        );
    }
    let mut file = opened.with_context(|| format!("cannot create '{}'", path.display()))?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.with_context(|| format!("cannot write '{}'", path.display()))
}

/// Replaces a file (or makes it): a reader sees the old text or the new one.
pub(crate) fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let replaced = (|| {
        let mut file = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(parent)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(parent)?.sync_all()
    })();
    replaced.with_context(|| format!("cannot write '{}'", path.display()))
}

pub(crate) fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read '{}'", path.display()))
}
