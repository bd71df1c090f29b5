//! The files of a report, all or none.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};

use super::{Recorded, Report, foxglove, page};

/// Writes `incident.html`, `incident.json` and `foxglove_layout.json` into the new folder `out`: made beside it and put in its
/// place by one rename, so that a reader sees all of them or none.
pub(crate) fn write(out: &Path, recorded: &Recorded, report: &Report) -> anyhow::Result<()> {
    refuse_if_taken(out)?;
    let files = [
        ("incident.html", page::page(recorded, report)),
        ("incident.json", serde_json::to_string_pretty(report)? + "\n"),
        ("foxglove_layout.json", serde_json::to_string_pretty(&foxglove::layout(&recorded.robots))? + "\n"),
    ];
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let doing = || format!("cannot write the report into '{}'", out.display());
    fs::create_dir_all(parent).with_context(doing)?;
    let made = tempfile::Builder::new().prefix(".incident-").tempdir_in(parent).with_context(doing)?;
    for (name, text) in files {
        let mut file = File::create_new(made.path().join(name)).with_context(doing)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(doing)?;
    }
    fs::set_permissions(made.path(), Permissions::from_mode(0o755)).with_context(doing)?;
    // Replaces an empty folder and no other: whoever was quicker keeps what is theirs.
    fs::rename(made.path(), out).with_context(doing)?;
    File::open(parent).and_then(|parent| parent.sync_all()).with_context(doing)
}

fn refuse_if_taken(out: &Path) -> anyhow::Result<()> {
    let taken = match fs::read_dir(out) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => out.symlink_metadata().is_ok(),
    };
    if taken {
        bail!(
            "'{}' exists already and is not overwritten: name a new folder with --out, or remove it yourself",
            out.display()
        );
    }
    Ok(())
}
