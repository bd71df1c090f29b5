//! Finding a Python interpreter that fits, and asking it about itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::process;

/// The interpreters the pinned wheels are hashed for. onnxruntime 1.31 has none for 3.10.
pub const WHEEL_VERSIONS: [(u32, u32); 3] = [(3, 11), (3, 12), (3, 13)];

/// What an interpreter says of itself.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
pub struct Python {
    /// The real executable, behind shims and links.
    pub executable: PathBuf,
    pub version: (u32, u32, u32),
    /// Where `Python.h` belongs.
    pub include: PathBuf,
    pub has_headers: bool,
    /// Whether `python -m venv` can work; Debian packages that apart.
    pub has_venv: bool,
    /// `linux-x86_64`, ...
    pub platform: String,
}

const ASK: &str = "
import importlib.util, json, os, sys, sysconfig
include = sysconfig.get_path('include')
print(json.dumps({
    'executable': sys.executable,
    'version': sys.version_info[:3],
    'include': include,
    'has_headers': os.path.exists(os.path.join(include, 'Python.h')),
    'has_venv': all(importlib.util.find_spec(m) for m in ('venv', 'ensurepip')),
    'platform': sysconfig.get_platform(),
}))";

impl Python {
    pub fn ask(executable: &Path) -> Result<Self> {
        // -I: neither PYTHONPATH nor the user's site folder may answer for the interpreter.
        let mut command = Command::new(executable);
        command.args(["-I", "-c", ASK]);
        let text = process::output("asking Python about itself", &mut command)?;
        serde_json::from_str(&text)
            .map_err(|error| Error::Malformed { path: executable.to_path_buf(), problem: error.to_string() })
    }

    /// `3.11`
    pub fn short_version(&self) -> String {
        format!("{}.{}", self.version.0, self.version.1)
    }

    fn differs_from(&self, wanted: Option<(u32, u32)>) -> Option<String> {
        let (major, minor) = wanted?;
        let differs = (self.version.0, self.version.1) != (major, minor);
        differs.then(|| {
            let name = self.executable.display();
            format!("{name} is Python {}; the sourced ROS is for {major}.{minor}", self.short_version())
        })
    }

    /// Why the wheels cannot be installed for this interpreter, if so.
    pub fn objection(&self) -> Option<String> {
        let (major, minor, _) = self.version;
        let name = self.executable.display();
        if !WHEEL_VERSIONS.contains(&(major, minor)) {
            return Some(format!("{name} is Python {major}.{minor}; the wheels are for 3.11, 3.12 and 3.13"));
        }
        if self.platform != "linux-x86_64" {
            return Some(format!("{name} is for {}; the wheels are for linux-x86_64", self.platform));
        }
        if !self.has_venv {
            return Some(format!("{name} has no venv module"));
        }
        if !self.has_headers {
            return Some(format!("{name} has no Python.h in {}", self.include.display()));
        }
        None
    }
}

/// The Python that `prefix` was compiled for, by its folder `lib/python3.X`.
pub fn version_behind(prefix: &Path) -> Option<(u32, u32)> {
    let site = super::wheels::site_packages(prefix)?;
    let (major, minor) = site.parent()?.file_name()?.to_str()?.strip_prefix("python")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The first interpreter in `folders` (those of `PATH`, in its order) that the wheels fit, and that is of the version
/// `wanted`, if one is: a sourced ROS is compiled for one. The error names every interpreter that was looked at.
pub fn find(folders: &[PathBuf], wanted: Option<(u32, u32)>) -> Result<Python> {
    let mut objections = Vec::new();
    let names = ["python3", "python3.12", "python3.11", "python3.13"];
    for path in folders.iter().flat_map(|folder| names.map(|name| folder.join(name))) {
        if !process::is_executable(&path) {
            continue;
        }
        match Python::ask(&path) {
            Ok(python) => match python.objection().or_else(|| python.differs_from(wanted)) {
                None => return Ok(python),
                Some(objection) => objections.push(objection),
            },
            // A version manager's shim may be there without the version.
            Err(error) => objections.push(format!("{}: {error}", path.display())),
        }
    }
    if objections.is_empty() {
        objections.push("no python3 on PATH".to_owned());
    }
    Err(Error::Missing {
        what: format!("no Python that fits:\n    {}", objections.join("\n    ")),
        hint: "apt-get install -y python3 python3-venv python3-dev".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn python() -> Python {
        Python {
            executable: "/usr/bin/python3".into(),
            version: (3, 11, 2),
            include: "/usr/include/python3.11".into(),
            has_headers: true,
            has_venv: true,
            platform: "linux-x86_64".into(),
        }
    }

    #[test]
    fn beside_a_sourced_ros_only_its_own_version_fits() {
        assert_eq!(python().differs_from(None), None);
        assert_eq!(python().differs_from(Some((3, 11))), None);
        let why = python().differs_from(Some((3, 12))).unwrap();
        assert_eq!(why, "/usr/bin/python3 is Python 3.11; the sourced ROS is for 3.12");
    }

    #[test]
    fn an_interpreter_is_refused_for_its_version_platform_venv_or_headers() {
        assert_eq!(python().objection(), None);
        let refused = [
            (Python { version: (3, 10, 12), ..python() }, "is Python 3.10"),
            (Python { platform: "linux-aarch64".into(), ..python() }, "is for linux-aarch64"),
            (Python { has_venv: false, ..python() }, "has no venv"),
            (Python { has_headers: false, ..python() }, "has no Python.h in /usr/include/python3.11"),
        ];
        for (python, why) in refused {
            assert!(python.objection().unwrap().contains(why), "{:?}", python.objection());
        }
    }
}
