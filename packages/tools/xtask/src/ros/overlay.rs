//! Our message package, and those of upstream that the underlay lacks, built with CMake into `.ros/overlay/<hash>`.
//!
//! The folder is named for the hash of the sources, because r2r keeps the types it made for as long as the prefix paths
//! stay the same: a changed message gets a new path, and r2r notices. It is built under another name and renamed when
//! complete, so a folder that exists is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::underlay::{Underlay, Variables};
use crate::error::{Error, IoContext, Result};
use crate::layout::Layout;
use crate::process::run_logged;
use crate::stamp::{Digest, Inputs};
use crate::ui::Task;

/// To be raised when the way of building changes.
const REVISION: &str = "1";

/// Message packages that the nodes use; what these need is added by [`close_under_dependencies`].
const USED_BY_NODES: [&str; 11] = [
    "builtin_interfaces",
    "diagnostic_msgs",
    "geometry_msgs",
    "lifecycle_msgs",
    "rcl_interfaces",
    "rosgraph_msgs",
    "sensor_msgs",
    "std_msgs",
    "std_srvs",
    "swarm_msgs",
    "tf2_msgs",
];

/// What every service and action is made of, though no package.xml says so.
const BEHIND_SERVICES: [&str; 4] =
    ["action_msgs", "service_msgs", "type_description_interfaces", "unique_identifier_msgs"];

/// The packages to build, in order.
#[derive(Debug, Clone)]
pub struct Plan {
    pub folder: PathBuf,
    sources: Vec<PathBuf>,
}

impl Plan {
    /// Decides what belongs into the overlay of `underlay`. `identity` stands for the underlay's content.
    pub fn of(layout: &Layout, underlay: &Underlay, identity: &Digest) -> Result<Self> {
        let mut sources = Vec::new();
        let upstream = layout.underlay_messages();
        for entry in fs::read_dir(&upstream).doing("list", &upstream)?.flatten() {
            let lacking = underlay.find_package(&entry.file_name().to_string_lossy()).is_none();
            if entry.path().join("package.xml").is_file() && lacking {
                sources.push(entry.path());
            }
        }
        sources.sort();
        sources.push(layout.messages());
        let mut inputs = Inputs::new().text(REVISION).text(identity.as_str()).path(layout.root());
        for source in &sources {
            inputs = inputs.tree(source)?;
        }
        Ok(Self { folder: layout.overlays().join(inputs.digest().short()), sources })
    }

    pub fn is_built(&self) -> bool {
        self.folder.is_dir()
    }

    /// Builds it with the environment `variables` (of the underlay alone) and the given Python.
    pub fn build(
        &self,
        layout: &Layout,
        underlay: &Underlay,
        variables: &Variables,
        python: &Path,
    ) -> Result<()> {
        let overlays = layout.overlays();
        if overlays.exists() {
            fs::remove_dir_all(&overlays).doing("remove", &overlays)?;
        }
        // CMake writes the final path into exported files, so the prefix is final and only the place is not.
        let place = layout.ros().join("overlay-in-making");
        let builds = layout.ros().join("build");
        for folder in [&place, &builds] {
            if folder.exists() {
                fs::remove_dir_all(folder).doing("remove", folder)?;
            }
        }
        let staged = staged(&place, &self.folder);
        for source in &self.sources {
            build_package(layout, source, &builds, &self.folder, &place, underlay, variables, python)?;
        }
        let parent = self.folder.parent().unwrap_or(&overlays);
        fs::create_dir_all(parent).doing("create", parent)?;
        fs::rename(&staged, &self.folder).doing("move into place", &staged)?;
        for folder in [&place, &builds] {
            fs::remove_dir_all(folder).doing("remove", folder)?;
        }
        Ok(())
    }
}

/// Where `DESTDIR=place` puts what is installed under `prefix`.
fn staged(place: &Path, prefix: &Path) -> PathBuf {
    place.join(prefix.strip_prefix("/").unwrap_or(prefix))
}

#[allow(clippy::too_many_arguments)] // a private helper of one caller
fn build_package(
    layout: &Layout,
    source: &Path,
    builds: &Path,
    prefix: &Path,
    place: &Path,
    underlay: &Underlay,
    variables: &Variables,
    python: &Path,
) -> Result<()> {
    let name = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let task = Task::start(format!("build the messages of {name}"));
    let build = builds.join(&name);
    let log = |step: &str| layout.log(&format!("{name}-{step}"));
    let jobs = std::thread::available_parallelism().map_or(2, usize::from);

    // A package may need another one that was just staged.
    let mut prefixes = vec![staged(place, prefix).display().to_string()];
    prefixes.extend(underlay.prefixes().iter().map(|path| path.display().to_string()));
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(source).arg("-B").arg(&build);
    configure.arg(format!("-DCMAKE_INSTALL_PREFIX={}", prefix.display()));
    configure.arg(format!("-DCMAKE_PREFIX_PATH={}", prefixes.join(";")));
    configure.arg(format!("-DPython3_EXECUTABLE={}", python.display()));
    configure.args(["-DBUILD_TESTING=OFF", "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS_RELEASE=-O1"]);
    configure.envs(variables).env("AMENT_PREFIX_PATH", prefixes.join(":"));
    run_logged("configuring the messages", &mut configure, &log("configure"), |_| ())?;

    let mut compile = Command::new("cmake");
    compile.arg("--build").arg(&build).arg("-j").arg(jobs.to_string()).envs(variables);
    task.set_length(100);
    run_logged("building the messages", &mut compile, &log("build"), |line| {
        if let Some((percent, what)) = progress_of_make(line) {
            task.advance_to(percent);
            task.say(what);
        }
    })?;

    let mut install = Command::new("cmake");
    install.arg("--install").arg(&build).env("DESTDIR", place).envs(variables);
    run_logged("installing the messages", &mut install, &log("install"), |_| ())?;
    task.done();
    Ok(())
}

/// `[ 42%] Building C object x.c.o` -> 42 and the rest.
fn progress_of_make(line: &str) -> Option<(u64, &str)> {
    let (percent, what) = line.strip_prefix('[')?.split_once("%]")?;
    Some((percent.trim().parse().ok()?, what.trim()))
}

/// The message packages that r2r has to know: [`USED_BY_NODES`] and whatever their package.xml files need.
pub fn idl_packages(overlay: &Path, underlay: &Underlay) -> Result<Vec<String>> {
    let prefixes: Vec<&Path> =
        std::iter::once(overlay).chain(underlay.prefixes().iter().map(PathBuf::as_path)).collect();
    let mut needs = BTreeMap::new();
    for prefix in prefixes {
        let index = prefix.join("share/ament_index/resource_index/rosidl_interfaces");
        for entry in fs::read_dir(&index).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let manifest = prefix.join("share").join(&name).join("package.xml");
            let text = fs::read_to_string(&manifest).doing("read", &manifest)?;
            needs.entry(name).or_insert_with(|| dependencies(&text));
        }
    }
    close_under_dependencies(&needs)
}

fn close_under_dependencies(needs: &BTreeMap<String, BTreeSet<String>>) -> Result<Vec<String>> {
    let mut left: Vec<&str> = USED_BY_NODES.iter().chain(&BEHIND_SERVICES).copied().collect();
    let mut closed = BTreeSet::new();
    while let Some(name) = left.pop() {
        let Some(more) = needs.get(name) else {
            return Err(Error::Failed(format!(
                "message package {name} is neither in the underlay nor in the overlay"
            )));
        };
        if closed.insert(name.to_owned()) {
            // Build tools are named as dependencies too; only message packages count.
            left.extend(more.iter().map(String::as_str).filter(|name| needs.contains_key(*name)));
        }
    }
    Ok(closed.into_iter().collect())
}

/// Every `<...depend>name</...depend>` of a package.xml.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for element in manifest.split('<') {
        let Some((tag, text)) = element.split_once('>') else { continue };
        let tag = tag.split_whitespace().next().unwrap_or_default();
        if tag.ends_with("depend") && !tag.starts_with('/') {
            found.insert(text.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_gives_its_dependencies_of_every_kind() {
        let manifest = r#"<package format="3"><depend>std_msgs</depend><build_depend version_gte="1">a</build_depend>
            <exec_depend>b</exec_depend><name>c</name></package>"#;
        assert_eq!(dependencies(manifest).into_iter().collect::<Vec<_>>(), ["a", "b", "std_msgs"]);
    }

    #[test]
    fn the_filter_is_closed_under_dependencies_and_leaves_build_tools_out() {
        let mut needs: BTreeMap<String, BTreeSet<String>> = USED_BY_NODES
            .iter()
            .chain(&BEHIND_SERVICES)
            .map(|name| ((*name).to_owned(), BTreeSet::new()))
            .collect();
        needs.insert("swarm_msgs".into(), ["trajectory_msgs".into(), "ament_cmake".into()].into());
        needs.insert("trajectory_msgs".into(), BTreeSet::new());
        needs.insert("nav_msgs".into(), BTreeSet::new());
        let closed = close_under_dependencies(&needs).unwrap();
        assert!(closed.contains(&"trajectory_msgs".to_owned()));
        assert!(!closed.contains(&"ament_cmake".to_owned()) && !closed.contains(&"nav_msgs".to_owned()));
    }

    #[test]
    fn a_package_that_nobody_has_is_named() {
        let error = close_under_dependencies(&BTreeMap::new()).unwrap_err().to_string();
        assert!(error.contains("is neither in the underlay nor in the overlay"), "{error}");
    }

    #[test]
    fn makes_percentages_are_understood() {
        assert_eq!(progress_of_make("[  7%] Building C object x.o"), Some((7, "Building C object x.o")));
        assert_eq!(progress_of_make("Scanning dependencies"), None);
    }
}
