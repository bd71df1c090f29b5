//! The two C++ libraries that come in Python wheels and that Rust crates load: MuJoCo and ONNX Runtime. `.ros/native` has
//! links to them under the names that linker and loader look for.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::wheels::site_packages;
use crate::error::{Error, IoContext, Result};

/// A library inside a wheel.
#[derive(Debug, Clone, Copy)]
pub struct Library {
    pub what: &'static str,
    /// The folder in `site-packages`.
    folder: &'static str,
    /// Its file name up to the version.
    pub stem: &'static str,
}

pub const LIBRARIES: [Library; 2] = [
    Library { what: "MuJoCo", folder: "mujoco", stem: "libmujoco.so" },
    Library { what: "ONNX Runtime", folder: "onnxruntime/capi", stem: "libonnxruntime.so" },
];

impl Library {
    /// The versioned file in the environment at `venv`, for instance `libmujoco.so.3.17.0`.
    pub fn find(self, venv: &Path) -> Result<PathBuf> {
        let folder = site_packages(venv).unwrap_or_default().join(self.folder);
        let versioned = |path: &PathBuf| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(&format!("{}.", self.stem)))
        };
        fs::read_dir(&folder)
            .doing("list", &folder)?
            .flatten()
            .map(|entry| entry.path())
            .find(versioned)
            .ok_or_else(|| Error::Malformed {
                path: folder,
                problem: format!("holds no {}.<version>", self.stem),
            })
    }
}

/// Makes the links anew.
pub fn link(venv: &Path, native: &Path) -> Result<()> {
    if native.exists() {
        fs::remove_dir_all(native).doing("remove", native)?;
    }
    fs::create_dir_all(native).doing("create", native)?;
    for library in LIBRARIES {
        let file = library.find(venv)?;
        let soname = native.join(file.file_name().unwrap_or_default());
        symlink(&file, &soname).doing("create the link", &soname)?;
        let plain = native.join(library.stem);
        symlink(&file, &plain).doing("create the link", &plain)?;
    }
    Ok(())
}
