//! Disks to cut the power of: ext4 images on an XFS image, each on a loop device, all gone at the end.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

/// Sizes of the images, bytes. They are sparse.
const OUTER: u64 = 16 << 30;
const INNER: u64 = 1 << 30;

/// An ext4 file system in a file.
pub(crate) struct Disk {
    image: PathBuf,
    pub(crate) mounted: PathBuf,
}

pub(crate) struct Bench {
    pub(crate) ours: Disk,
    pub(crate) theirs: Disk,
    outer: PathBuf,
    /// Unmounted in this order.
    mounts: Vec<Mount>,
    clones: std::cell::Cell<usize>,
    _folder: tempfile::TempDir,
}

/// Both disks as they were at an instant.
pub(crate) struct Clone {
    pub(crate) ours: PathBuf,
    pub(crate) theirs: PathBuf,
    /// Just after they were cloned, nanoseconds since the epoch.
    pub(crate) at: i64,
    pub(crate) reference_at: i64,
    /// When the recordings had all begun.
    pub(crate) begun: i64,
    /// Names of the bags.
    pub(crate) bags: Vec<OsString>,
    pub(crate) references: Vec<OsString>,
}

/// A mount that ends with this value.
pub(crate) struct Mount(pub(crate) PathBuf);

impl Mount {
    pub(crate) fn new(image: &Path, at: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(at)?;
        run("mount", &["-o".as_ref(), "loop".as_ref(), image.as_os_str(), at.as_os_str()])
            .context("loop devices and root are needed")?;
        Ok(Self(at.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Err(error) = run("umount", &[self.0.as_os_str()]) {
            eprintln!("{error:#}");
        }
    }
}

impl Bench {
    pub(crate) fn set_up() -> anyhow::Result<Self> {
        if !rustix::process::geteuid().is_root() {
            bail!("this needs root, to mount file systems in images");
        }
        for program in ["mkfs.ext4", "mkfs.xfs"] {
            if Command::new(program).arg("-V").output().is_err() {
                bail!("this needs {program}; Debian has it in e2fsprogs and xfsprogs");
            }
        }
        let folder = tempfile::tempdir()?;
        let outer_image = folder.path().join("outer.img");
        File::create_new(&outer_image)?.set_len(OUTER)?;
        run("mkfs.xfs", &["-q".as_ref(), outer_image.as_os_str()])?;
        let outer = folder.path().join("outer");
        let mut mounts = vec![Mount::new(&outer_image, &outer)?];
        let mut disk = |name: &str| -> anyhow::Result<Disk> {
            let image = outer.join(format!("{name}.img"));
            File::create_new(&image)?.set_len(INNER)?;
            run("mkfs.ext4", &["-q".as_ref(), image.as_os_str()])?;
            let mounted = folder.path().join(name);
            mounts.insert(0, Mount::new(&image, &mounted)?);
            Ok(Disk { image, mounted })
        };
        let (ours, theirs) = (disk("ours")?, disk("theirs")?);
        Ok(Self { ours, theirs, outer, mounts, clones: 0.into(), _folder: folder })
    }

    /// The disk as it is now. What its own file system has not yet written is not in it.
    pub(crate) fn clone_disk(&self, disk: &Disk) -> anyhow::Result<PathBuf> {
        // The bytes of the image go down first, so that the clone itself takes no time. The file system within knows nothing
        // of this: it writes nothing earlier because of it.
        let image = File::open(&disk.image)?;
        image.sync_data()?;
        self.clones.set(self.clones.get() + 1);
        let path = self.outer.join(format!("clone_{}.img", self.clones.get()));
        let clone = File::create_new(&path)?;
        rustix::fs::ioctl_ficlone(&clone, &image).context("XFS clones no file here")?;
        Ok(path)
    }

    /// Mounts a clone, as after the power has come back.
    pub(crate) fn power_up(&self, image: &Path) -> anyhow::Result<Mount> {
        Mount::new(image, &self.outer.join("up"))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.mounts.drain(..).for_each(drop);
    }
}

fn run(program: &str, arguments: &[&std::ffi::OsStr]) -> anyhow::Result<()> {
    let output =
        Command::new(program).args(arguments).output().with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        bail!("{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
