//! A cell's disk: a small file system that can be filled, where this process may mount one.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

const SIZE: &str = "size=16m";
const FILLER: &str = "filler";

#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    mounted: bool,
}

impl Disk {
    pub(crate) fn open(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).with_context(|| format!("cannot make '{}'", root.display()))?;
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "drill"]).arg(root).output();
        let mounted = output.is_ok_and(|output| output.status.success());
        Ok(Self { root: root.to_owned(), mounted })
    }

    pub(crate) fn can_be_filled(&self) -> bool {
        self.mounted
    }

    /// Where the cell lives.
    pub(crate) fn cell(&self) -> PathBuf {
        self.root.join("cell")
    }

    /// An empty one.
    pub(crate) fn exchange(&self) -> Result<()> {
        let cell = self.cell();
        if cell.exists() {
            fs::remove_dir_all(&cell).with_context(|| format!("cannot remove '{}'", cell.display()))?;
        }
        fs::create_dir_all(&cell).with_context(|| format!("cannot make '{}'", cell.display()))
    }

    /// To the last byte.
    pub(crate) fn fill(&self) -> Result<()> {
        ensure!(self.mounted, "'{}' is on a disk that others use", self.root.display());
        let mut file = File::create(self.root.join(FILLER))?;
        for chunk in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![0; chunk]).is_ok() {}
        }
        Ok(())
    }

    pub(crate) fn free(&self) -> Result<()> {
        let filler = self.root.join(FILLER);
        if filler.exists() { fs::remove_file(filler).context("cannot free a cell's disk") } else { Ok(()) }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount").arg(&self.root).status();
        }
    }
}
