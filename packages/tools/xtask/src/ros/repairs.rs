//! What the wheels of ROS 2 Jazzy get wrong, mended after installation. Each repair may be applied twice.
//!
//! 1. `librmw_implementation.so` is missing (they are built for one middleware): a link to `librmw_fastrtps_cpp.so`.
//! 2. `librcl*.so` need `lib*__rosidl_generator_py.so`, which have unresolved Python symbols, so a process that is not Python
//!    dies at its start ("undefined symbol: PyExc_RuntimeError"): those entries are removed.
//! 3. Exported CMake files name the include folder of the Python they were built with: replaced by this Python's.
//! 4. They name that Python's numpy headers: replaced by this environment's. Without 3 and 4 CMake ends with
//!    "includes non-existent path".
//!
//! (empy 4 would break the message generators as well; the requirements pin 3.3.)

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::python::Python;
use super::wheels::site_packages;
use crate::error::{Error, IoContext, Result};
use crate::process::output;

/// To be raised when the repairs change, so that they are applied again.
pub const REVISION: &str = "1";

/// Applies all repairs to the prefix; `log` gets one line for each file touched.
pub fn apply(prefix: &Path, python: &Python, log: &Path) -> Result<()> {
    let mut report = Vec::new();
    link_middleware(prefix, &mut report)?;
    detach_python_from_rcl(prefix, &mut report)?;
    correct_cmake_files(prefix, python, &mut report)?;
    fs::write(log, report.join("\n")).doing("write", log)
}

fn link_middleware(prefix: &Path, report: &mut Vec<String>) -> Result<()> {
    let link = prefix.join("lib/librmw_implementation.so");
    if link.symlink_metadata().is_err() {
        symlink("librmw_fastrtps_cpp.so", &link).doing("create the link", &link)?;
        report.push(format!("linked {}", link.display()));
    }
    Ok(())
}

fn detach_python_from_rcl(prefix: &Path, report: &mut Vec<String>) -> Result<()> {
    let patchelf = prefix.join("bin/patchelf");
    for library in files_below(&prefix.join("lib"), Depth::One)? {
        let name = library.file_name().unwrap_or_default().to_string_lossy();
        if !(name.starts_with("librcl") && name.contains(".so")) || name.contains("rosidl") {
            continue;
        }
        let needed =
            output("reading a library", Command::new(&patchelf).arg("--print-needed").arg(&library))?;
        for entry in needed.lines().filter(|entry| entry.contains("__rosidl_generator_py")) {
            let mut command = Command::new(&patchelf);
            command.args(["--remove-needed", entry]).arg(&library);
            output("detaching Python from a library", &mut command)?;
            report.push(format!("{name} no longer needs {entry}"));
        }
    }
    Ok(())
}

fn correct_cmake_files(prefix: &Path, python: &Python, report: &mut Vec<String>) -> Result<()> {
    let version = python.short_version();
    let tag = format!("cp{}", version.replace('.', ""));
    let site = site_packages(prefix).ok_or_else(|| Error::Malformed {
        path: prefix.to_path_buf(),
        problem: "has no lib/python3.*/site-packages".to_owned(),
    })?;
    let numpy = site.join("numpy/_core/include");
    if !numpy.is_dir() {
        return Err(Error::Malformed { path: numpy, problem: "numpy's headers are not there".to_owned() });
    }
    let built_with = format!("/opt/python/{tag}-{tag}");
    let replacements = [
        (format!("{built_with}/lib/python{version}/site-packages/numpy/_core/include"), numpy),
        (format!("{built_with}/include/python{version}"), python.include.clone()),
    ];
    for file in files_below(&prefix.join("share"), Depth::Any)? {
        if file.extension().is_none_or(|extension| extension != "cmake") {
            continue;
        }
        let text = fs::read_to_string(&file).doing("read", &file)?;
        let mut mended = text.clone();
        for (wrong, right) in &replacements {
            mended = mended.replace(wrong, &right.to_string_lossy());
        }
        if mended != text {
            fs::write(&file, mended).doing("write", &file)?;
            report.push(format!("corrected {}", file.display()));
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    One,
    Any,
}

/// The regular files in `folder` (links are not followed).
fn files_below(folder: &Path, depth: Depth) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).doing("list", folder)? {
        let entry = entry.doing("list", folder)?;
        let kind = entry.file_type().doing("look at", entry.path())?;
        if kind.is_file() {
            files.push(entry.path());
        } else if kind.is_dir() && depth == Depth::Any {
            files.extend(files_below(&entry.path(), depth)?);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cmake_files_name_this_python_and_this_numpy_afterwards_and_a_second_pass_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let prefix = folder.path();
        let numpy = prefix.join("lib/python3.11/site-packages/numpy/_core/include");
        fs::create_dir_all(&numpy).unwrap();
        fs::create_dir_all(prefix.join("share/x/cmake")).unwrap();
        let file = prefix.join("share/x/cmake/export.cmake");
        let built_with = "/opt/python/cp311-cp311";
        let text = format!(
            "{built_with}/lib/python3.11/site-packages/numpy/_core/include;{built_with}/include/python3.11"
        );
        fs::write(&file, text).unwrap();
        let python = Python {
            executable: "/usr/bin/python3".into(),
            version: (3, 11, 2),
            include: "/usr/include/python3.11".into(),
            has_headers: true,
            has_venv: true,
            platform: "linux-x86_64".into(),
        };

        let mut report = Vec::new();
        correct_cmake_files(prefix, &python, &mut report).unwrap();
        assert_eq!(
            fs::read_to_string(&file).unwrap(),
            format!("{};/usr/include/python3.11", numpy.display())
        );
        assert_eq!(report.len(), 1);
        correct_cmake_files(prefix, &python, &mut report).unwrap();
        assert_eq!(report.len(), 1);
    }
}
