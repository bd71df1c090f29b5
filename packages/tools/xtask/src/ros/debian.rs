//! Debian packages that the builds need. Installed where we may; else the exact line to type is given.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::python;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::process::{find_program, run_logged};
use crate::ui::Task;

/// One thing that has to be there, and the packages that bring it.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    pub what: &'static str,
    packages: &'static [&'static str],
    present: fn(&OsStr) -> Option<String>,
}

impl Need {
    /// Where it was found, or its version; `None` when it is missing.
    pub fn look(&self) -> Option<String> {
        (self.present)(&search_path())
    }

    /// The packages that bring it, as this distribution names them.
    pub fn packages(&self) -> impl Iterator<Item = &'static str> {
        let ubuntu = fs::read_to_string("/etc/os-release").is_ok_and(|text| is_ubuntu(&text));
        self.packages.iter().map(move |name| if ubuntu { of_ubuntu(name) } else { name })
    }
}

pub const NEEDS: [Need; 6] = [
    Need { what: "git", packages: &["git"], present: |path| program("git", path) },
    Need { what: "cmake", packages: &["cmake"], present: |path| program("cmake", path) },
    Need { what: "make", packages: &["make"], present: |path| program("make", path) },
    Need { what: "C++ compiler", packages: &["g++"], present: |path| program("g++", path) },
    Need { what: "libclang", packages: &["libclang-dev"], present: |_| libclang() },
    Need {
        what: "Python with venv and headers",
        packages: &["python3", "python3-venv", "python3-dev"],
        present: |path| {
            let python = python::find(&env::split_paths(path).collect::<Vec<_>>(), None).ok()?;
            Some(format!("{} {}", python.executable.display(), python.short_version()))
        },
    },
];

/// What evidence about real time is measured beside.
pub const REAL_TIME_TOOLS: [Need; 2] = [
    Need { what: "cyclictest", packages: &["rt-tests"], present: |path| program("cyclictest", path) },
    Need { what: "stress-ng", packages: &["stress-ng"], present: |path| program("stress-ng", path) },
];

/// What the GStreamer back end of `swarm_rtsp` (feature `gstreamer`) and `swarm_rtsp_server` are built with, and what the former
/// loads when it runs.
pub const STREAM_TOOLS: [Need; 7] = [
    Need { what: "pkg-config", packages: &["pkg-config"], present: |path| program("pkg-config", path) },
    Need {
        what: "GStreamer's headers",
        packages: &["libgstreamer1.0-dev", "libgstreamer-plugins-base1.0-dev"],
        present: |_| library("pkgconfig/gstreamer-app-1.0.pc"),
    },
    Need {
        what: "headers of GStreamer's RTSP server",
        packages: &["libgstrtspserver-1.0-dev"],
        present: |_| library("pkgconfig/gstreamer-rtsp-server-1.0.pc"),
    },
    Need {
        what: "GStreamer's converter of pictures",
        packages: &["gstreamer1.0-plugins-base"],
        present: |_| library("gstreamer-1.0/libgstapp.so"),
    },
    Need {
        what: "GStreamer's RTSP and RTP",
        packages: &["gstreamer1.0-plugins-good"],
        present: |_| library("gstreamer-1.0/libgstrtsp.so"),
    },
    Need {
        what: "GStreamer's parsers of coded video",
        packages: &["gstreamer1.0-plugins-bad"],
        present: |_| library("gstreamer-1.0/libgstvideoparsersbad.so"),
    },
    Need {
        what: "GStreamer's decoders",
        packages: &["gstreamer1.0-libav"],
        present: |_| library("gstreamer-1.0/libgstlibav.so"),
    },
];

/// What `.mcap` files are read with by their inventors' own reader, in tests. Both come together where Node.js is not Debian's.
pub const NODE_TOOLS: [Need; 2] = [
    Need { what: "Node.js", packages: &["nodejs"], present: |path| program("node", path) },
    Need { what: "npm", packages: &["npm"], present: |path| program("npm", path) },
];

/// What the simulator draws its cameras with, and codes them with, beside [`STREAM_TOOLS`]: `cargo xtask demo --record`.
pub const DRAWN_CAMERA_TOOLS: [Need; 2] = [
    Need {
        what: "drawing without a display",
        packages: &["libegl1", "libgl1-mesa-dri"],
        present: |_| library("libEGL.so.1"),
    },
    H264_ENCODER,
];

const H264_ENCODER: Need = Need {
    what: "an H.264 encoder for GStreamer",
    packages: &["gstreamer1.0-plugins-ugly"],
    present: |_| library("gstreamer-1.0/libgstx264.so"),
};

/// What cameras are made of where there are none (`swarm_camera_bed`), beside [`STREAM_TOOLS`].
pub const CAMERA_BED_TOOLS: [Need; 7] = [
    Need {
        what: "gst-launch-1.0",
        packages: &["gstreamer1.0-tools"],
        present: |path| program("gst-launch-1.0", path),
    },
    H264_ENCODER,
    Need {
        what: "GStreamer's RTSP server for Python",
        packages: &["gir1.2-gst-rtsp-server-1.0", "gir1.2-gst-plugins-base-1.0"],
        present: |_| library("girepository-1.0/GstRtspServer-1.0.typelib"),
    },
    Need {
        what: "GObject bindings of Debian's Python",
        packages: &["python3-gi"],
        present: |_| existing("/usr/lib/python3/dist-packages/gi/__init__.py"),
    },
    Need {
        what: "libfaketime",
        packages: &["faketime"],
        present: |_| library("faketime/libfaketimeMT.so.1"),
    },
    Need { what: "ffmpeg", packages: &["ffmpeg"], present: |path| program("ffmpeg", path) },
    Need { what: "ip", packages: &["iproute2"], present: |path| program("ip", path) },
];

/// What a power cut is made with: file systems on loop devices.
pub const POWER_CUT_TOOLS: [Need; 2] = [
    Need { what: "mkfs.ext4", packages: &["e2fsprogs"], present: |path| program("mkfs.ext4", path) },
    Need { what: "mkfs.xfs", packages: &["xfsprogs"], present: |path| program("mkfs.xfs", path) },
];

/// The other database that the registry is tested on.
pub const REGISTRY_TOOLS: [Need; 1] =
    [Need { what: "the PostgreSQL server", packages: &["postgresql"], present: |_| postgresql() }];

/// What the registry is loaded with.
pub const HTTP_LOAD_TOOLS: [Need; 1] =
    [Need { what: "wrk", packages: &["wrk"], present: |path| program("wrk", path) }];

/// What shows the registry's pages in tests. Other browsers of the family do as well; `tests/registry/browse.py` looks for the same
/// names.
pub const PAGE_TOOLS: [Need; 1] = [Need {
    what: "Chromium (chromium, chromium-browser or google-chrome)",
    packages: &["chromium"],
    present: |path| {
        ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(|name| program(name, path))
    },
}];

fn is_ubuntu(os_release: &str) -> bool {
    os_release.lines().any(|line| matches!(line, "ID=ubuntu" | "ID=\"ubuntu\""))
}

/// Ubuntu's name of a Debian package: its Chromium is a snap, which a package of another name installs.
fn of_ubuntu(package: &'static str) -> &'static str {
    if package == "chromium" { "chromium-browser" } else { package }
}

/// The line that installs `packages`, as a person types it.
pub fn install_line<'a>(packages: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = packages.into_iter().collect();
    format!("apt-get update && apt-get install -y --no-install-recommends {}", names.join(" "))
}

/// Installs what is missing when this is root on Debian or Ubuntu; otherwise fails with the line to type.
pub fn ensure(layout: &Layout, needs: &[Need]) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| need.look().is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: BTreeSet<&str> = missing.iter().flat_map(|need| need.packages()).collect();
    let line = install_line(packages.iter().copied());
    let what = missing.iter().map(|need| need.what).collect::<Vec<_>>().join(", ");
    let root = fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0);
    let Some(apt) = find_program("apt-get", &search_path()).filter(|_| root) else {
        let hint = if root { line } else { format!("sudo sh -c '{line}'") };
        return Err(Error::Missing { what: format!("missing on this machine: {what}"), hint });
    };

    let task = Task::start(format!(
        "install Debian packages: {}",
        packages.iter().copied().collect::<Vec<_>>().join(" ")
    ));
    let log = layout.log("apt");
    run_logged("updating the package lists", Command::new(&apt).arg("update"), &log, |line| task.say(line))?;
    let mut install = Command::new(&apt);
    install.args(["install", "-y", "--no-install-recommends"]).args(&packages);
    install.env("DEBIAN_FRONTEND", "noninteractive");
    run_logged("installing Debian packages", &mut install, &log, |line| task.say(line))?;
    task.done();
    // Installed, and still not found: say so here rather than in a compiler's words later.
    match needs.iter().find(|need| need.look().is_none()) {
        None => Ok(()),
        Some(need) => Err(Error::Missing {
            what: format!("{} is still missing after its packages were installed", need.what),
            hint: line,
        }),
    }
}

fn search_path() -> std::ffi::OsString {
    env::var_os("PATH").unwrap_or_default()
}

fn program(name: &str, search_path: &OsStr) -> Option<String> {
    find_program(name, search_path).map(|path| path.display().to_string())
}

/// A file of the distribution's library folders, `/usr/lib/x86_64-linux-gnu` and the like.
fn library(file: &str) -> Option<String> {
    entries(Path::new("/usr/lib")).find_map(|folder| existing(folder.join(file)))
}

fn existing(file: impl AsRef<Path>) -> Option<String> {
    let file = file.as_ref();
    file.exists().then(|| file.display().to_string())
}

/// Debian keeps the server's programs in a folder for each version, not in the search path.
fn postgresql() -> Option<String> {
    entries(Path::new("/usr/lib/postgresql")).find_map(|version| existing(version.join("bin/postgres")))
}

/// Looks where `clang-sys` does: `LIBCLANG_PATH`, then the distribution's folders. The library alone is no use: bindgen
/// needs clang's own headers (`stddef.h`), which come in another package.
fn libclang() -> Option<String> {
    if let Some(folder) = env::var_os("LIBCLANG_PATH") {
        return libclang_in(Path::new(&folder)); // whoever sets it knows where the headers are
    }
    let versions: Vec<PathBuf> =
        entries(Path::new("/usr/lib")).filter(|path| in_name(path, "llvm-")).collect();
    let headers = |version: &PathBuf| {
        entries(&version.join("lib/clang")).any(|folder| folder.join("include/stddef.h").is_file())
    };
    if !versions.iter().any(headers) {
        return None;
    }
    let plain = ["/usr/lib/x86_64-linux-gnu", "/usr/lib"].map(PathBuf::from);
    plain
        .into_iter()
        .chain(versions.into_iter().map(|version| version.join("lib")))
        .find_map(|path| libclang_in(&path))
}

fn libclang_in(folder: &Path) -> Option<String> {
    let library = entries(folder).find(|path| in_name(path, "libclang.so") || in_name(path, "libclang-"))?;
    Some(library.display().to_string())
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn in_name(path: &Path, start: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browser_has_another_name_on_ubuntu() {
        assert!(is_ubuntu("NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\n"));
        assert!(!is_ubuntu("NAME=\"Debian GNU/Linux\"\nID=debian\n"));
        assert_eq!((of_ubuntu("chromium"), of_ubuntu("git")), ("chromium-browser", "git"));
    }
}
