//! Message packages built with CMake into `.ros/overlay/<hash>`: ours, and beside a sourced Jazzy those of `msg/underlay` that
//! it lacks ([`lacking`]).
//!
//! The folder is named for the hash of the sources, because r2r keeps the types it made for as long as the prefix paths
//! stay the same: a changed message gets a new path, and r2r notices. It is built under another name and renamed when
//! complete, so a folder that exists is whole.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::message_package::{MessagePackage, name_of, packages_in, remove};
use super::underlay::{Underlay, Variables};
use crate::error::{Error, IoContext, Result};
use crate::layout::Layout;
use crate::stamp::{Digest, Inputs};
use crate::ui::Task;

/// To be raised when the way of building changes.
const REVISION: &str = "1";

/// Message packages that the nodes use; what these need is added by [`close_under_dependencies`].
const USED_BY_NODES: [&str; 14] = [
    "builtin_interfaces",
    "diagnostic_msgs",
    "ffmpeg_image_transport_msgs",
    "foxglove_msgs",
    "geometry_msgs",
    "lifecycle_msgs",
    "rcl_interfaces",
    "rosgraph_msgs",
    "sensor_msgs",
    "std_msgs",
    "std_srvs",
    "swarm_msgs",
    "tf2_msgs",
    "trajectory_msgs",
];

/// Of vendors, and what peripherals often speak; a node that was built without one says so when it is asked for what needs it.
const USED_WHERE_INSTALLED: [&str; 4] = ["control_msgs", "example_interfaces", "franka_msgs", "ur_msgs"];

/// Variable with further packages, for peripherals with types of their own: names separated by spaces.
const FURTHER: &str = "SWARM_MESSAGE_PACKAGES";

/// What every service and action is made of, though no package.xml says so.
const BEHIND_SERVICES: [&str; 4] =
    ["action_msgs", "service_msgs", "type_description_interfaces", "unique_identifier_msgs"];

/// Where the overlay belongs, and what it is built from.
#[derive(Debug, Clone)]
pub struct Plan {
    pub folder: PathBuf,
    /// Sources of message packages; ours is the last.
    sources: Vec<PathBuf>,
}

impl Plan {
    /// `identity` stands for the underlay's content.
    pub fn of(layout: &Layout, underlay: &Underlay, identity: &Digest) -> Result<Self> {
        let mut inputs = Inputs::new().text(REVISION).text(identity.as_str()).path(layout.root());
        let mut sources = lacking(layout, underlay)?;
        for source in &sources {
            inputs = inputs.path(source).tree(source)?;
        }
        sources.push(layout.messages());
        let digest = inputs.tree(&layout.messages())?.digest();
        Ok(Self { folder: layout.overlays().join(digest.short()), sources })
    }

    pub fn is_built(&self) -> bool {
        self.folder.is_dir()
    }

    /// Builds it with the environment `variables` of the underlay alone, and takes older ones away.
    pub fn build(&self, layout: &Layout, variables: &Variables, python: &Path) -> Result<()> {
        // CMake writes the final path into exported files, so the prefix is final and only the place is not.
        let staging = layout.ros().join("overlay-in-making");
        remove(&layout.overlays())?;
        remove(&staging)?;
        let names: Vec<String> = self.sources.iter().map(|source| name_of(source)).collect();
        let task = Task::start(format!("build the messages of {}", names.join(", ")));
        for source in &self.sources {
            let staging = Some(staging.as_path());
            MessagePackage { source, prefix: &self.folder, staging, variables, python }
                .build(layout, &task)?;
        }
        let staged = staging.join(self.folder.strip_prefix("/").unwrap_or(&self.folder));
        fs::create_dir_all(layout.overlays()).doing("create", layout.overlays())?;
        fs::rename(&staged, &self.folder).doing("move into place", &staged)?;
        remove(&staging)?;
        task.done();
        Ok(())
    }
}

/// Packages of `msg/underlay` that nodes need and a sourced Jazzy does not bring: `foxglove_msgs` is in none of its metapackages.
/// Into one made from wheels all of them were built. A vendor's are never built beside a sourced Jazzy: what is here of them is
/// one interface, and it would hide the vendor's own package.
pub fn lacking(layout: &Layout, underlay: &Underlay) -> Result<Vec<PathBuf>> {
    if matches!(underlay, Underlay::Wheels { .. }) {
        return Ok(Vec::new());
    }
    let mut sources = packages_in(&layout.underlay_messages())?;
    sources.retain(|source| {
        let name = name_of(source);
        !USED_WHERE_INSTALLED.contains(&name.as_str()) && underlay.find_package(&name).is_none()
    });
    Ok(sources)
}

/// The message packages that r2r has to know: [`USED_BY_NODES`], [`USED_WHERE_INSTALLED`], those that `variables` name under
/// [`FURTHER`], and whatever their package.xml files need.
pub fn idl_packages(overlay: &Path, underlay: &Underlay, variables: &Variables) -> Result<Vec<String>> {
    let prefixes = std::iter::once(overlay).chain(underlay.prefixes().iter().map(PathBuf::as_path));
    close_under_dependencies(&needs_in(prefixes)?, &further(variables))
        .map_err(|absent| absent_error(&absent))
}

/// Message packages that are needed, and neither in the underlay nor built from here. Looks only.
pub fn absent(layout: &Layout, underlay: &Underlay, variables: &Variables) -> Result<BTreeSet<String>> {
    let mut needs = needs_in(underlay.prefixes().iter().map(PathBuf::as_path))?;
    let mut sources = lacking(layout, underlay)?;
    sources.push(layout.messages());
    for source in sources {
        needs.insert(name_of(&source), needs_of(&source.join("package.xml"))?);
    }
    Ok(close_under_dependencies(&needs, &further(variables)).err().unwrap_or_default())
}

/// The command that brings `packages` to a sourced Jazzy.
pub fn remedy(packages: &BTreeSet<String>) -> String {
    let debian: Vec<String> =
        packages.iter().map(|name| format!("ros-jazzy-{}", name.replace('_', "-"))).collect();
    format!("sudo apt-get install -y {}  # or source the workspace that has them", debian.join(" "))
}

fn absent_error(packages: &BTreeSet<String>) -> Error {
    let names = packages.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let what = format!("message packages that are neither in the sourced ROS 2 nor built from msg/: {names}");
    Error::Missing { what, hint: remedy(packages) }
}

fn further(variables: &Variables) -> Vec<&str> {
    variables.get(FURTHER).map(|names| names.split_whitespace().collect()).unwrap_or_default()
}

/// What each message package in `prefixes` depends on. One that is in several is taken from the first.
fn needs_in<'a>(prefixes: impl Iterator<Item = &'a Path>) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut needs = BTreeMap::new();
    for prefix in prefixes {
        let index = prefix.join("share/ament_index/resource_index/rosidl_interfaces");
        for entry in fs::read_dir(&index).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let manifest = prefix.join("share").join(&name).join("package.xml");
            if let Entry::Vacant(place) = needs.entry(name) {
                place.insert(needs_of(&manifest)?);
            }
        }
    }
    Ok(needs)
}

fn needs_of(manifest: &Path) -> Result<BTreeSet<String>> {
    Ok(dependencies(&fs::read_to_string(manifest).doing("read", manifest)?))
}

/// All that is needed, sorted; else what of it is nowhere.
fn close_under_dependencies(
    needs: &BTreeMap<String, BTreeSet<String>>,
    further: &[&str],
) -> std::result::Result<Vec<String>, BTreeSet<String>> {
    let installed = USED_WHERE_INSTALLED.iter().filter(|name| needs.contains_key(**name));
    let mut left: Vec<&str> =
        USED_BY_NODES.iter().chain(&BEHIND_SERVICES).chain(installed).chain(further).copied().collect();
    let (mut closed, mut absent) = (BTreeSet::new(), BTreeSet::new());
    while let Some(name) = left.pop() {
        let Some(more) = needs.get(name) else {
            absent.insert(name.to_owned());
            continue;
        };
        if closed.insert(name.to_owned()) {
            // Build tools are named as dependencies too; only message packages count.
            left.extend(more.iter().map(String::as_str).filter(|name| needs.contains_key(*name)));
        }
    }
    if absent.is_empty() { Ok(closed.into_iter().collect()) } else { Err(absent) }
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
        needs.insert("swarm_msgs".into(), ["shape_msgs".into(), "ament_cmake".into()].into());
        needs.insert("shape_msgs".into(), BTreeSet::new());
        needs.insert("nav_msgs".into(), BTreeSet::new());
        let closed = close_under_dependencies(&needs, &[]).unwrap();
        assert!(closed.contains(&"shape_msgs".to_owned()));
        assert!(!closed.contains(&"ament_cmake".to_owned()) && !closed.contains(&"nav_msgs".to_owned()));
        assert!(!closed.contains(&"ur_msgs".to_owned()), "a vendor's, and not installed");
        needs.insert("ur_msgs".into(), BTreeSet::new());
        let closed = close_under_dependencies(&needs, &["nav_msgs"]).unwrap();
        assert!(closed.contains(&"ur_msgs".to_owned()) && closed.contains(&"nav_msgs".to_owned()));
    }

    /// A repository with the message packages of `msg/`, each with the dependencies that are named.
    fn repository(folder: &Path) -> Layout {
        let layout = Layout::at(folder.join("repository"));
        for name in ["ffmpeg_image_transport_msgs", "foxglove_msgs", "tf2_msgs", "ur_msgs"] {
            lay_manifest(&layout.underlay_messages().join(name), &["std_msgs"]);
        }
        lay_manifest(&layout.messages(), &["sensor_msgs"]);
        layout
    }

    fn lay_manifest(folder: &Path, depends: &[&str]) {
        fs::create_dir_all(folder).unwrap();
        let depends: Vec<String> = depends.iter().map(|name| format!("<depend>{name}</depend>")).collect();
        fs::write(folder.join("package.xml"), depends.concat()).unwrap();
    }

    /// A sourced Jazzy that has `packages`.
    fn sourced(folder: &Path, packages: &[&str]) -> Underlay {
        let prefix = folder.join("opt");
        let index = prefix.join("share/ament_index/resource_index/rosidl_interfaces");
        fs::create_dir_all(&index).unwrap();
        for name in packages {
            lay_manifest(&prefix.join("share").join(name), &[]);
            fs::write(index.join(name), "").unwrap();
        }
        Underlay::Sourced { prefixes: vec![prefix] }
    }

    /// What `ros-jazzy-desktop` brings of what the nodes use.
    fn desktop() -> Vec<&'static str> {
        let ours = ["foxglove_msgs", "ffmpeg_image_transport_msgs", "swarm_msgs"];
        let all = USED_BY_NODES.iter().chain(&BEHIND_SERVICES).copied();
        all.filter(|name| !ours.contains(name)).collect()
    }

    fn names(sources: &[PathBuf]) -> Vec<String> {
        sources.iter().map(|source| name_of(source)).collect()
    }

    #[test]
    fn what_a_sourced_ros_lacks_is_built_from_here_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let layout = repository(folder.path());
        let underlay = sourced(folder.path(), &desktop());
        let lacked = lacking(&layout, &underlay).unwrap();
        assert_eq!(names(&lacked), ["ffmpeg_image_transport_msgs", "foxglove_msgs"], "not a vendor's");
        assert_eq!(absent(&layout, &underlay, &Variables::new()).unwrap(), BTreeSet::new());

        let underlay = sourced(folder.path(), &["foxglove_msgs"]);
        assert_eq!(names(&lacking(&layout, &underlay).unwrap()), ["ffmpeg_image_transport_msgs"]);

        let wheels = Underlay::Wheels { prefix: layout.wheel_prefix() };
        assert!(lacking(&layout, &wheels).unwrap().is_empty(), "they are built into the prefix itself");
    }

    #[test]
    fn the_overlay_is_another_where_the_underlay_lacks_another_package() {
        let folder = tempfile::tempdir().unwrap();
        let layout = repository(folder.path());
        let identity = Inputs::new().digest();
        let plan =
            |packages: &[&str]| Plan::of(&layout, &sourced(folder.path(), packages), &identity).unwrap();
        let poor = plan(&desktop());
        assert_eq!(names(&poor.sources), ["ffmpeg_image_transport_msgs", "foxglove_msgs", "swarm_msgs"]);
        assert_eq!(plan(&desktop()).folder, poor.folder);
        let rich = plan(&["foxglove_msgs"]);
        assert_eq!(names(&rich.sources), ["ffmpeg_image_transport_msgs", "swarm_msgs"]);
        assert_ne!(rich.folder, poor.folder);
    }

    #[test]
    fn packages_that_nobody_has_are_all_named_with_what_brings_them() {
        let folder = tempfile::tempdir().unwrap();
        let layout = repository(folder.path());
        let mut packages = desktop();
        packages.retain(|name| !["sensor_msgs", "diagnostic_msgs"].contains(name));
        let underlay = sourced(folder.path(), &packages);
        let variables = [(FURTHER.to_owned(), "driver_msgs".to_owned())].into();
        let missing = absent(&layout, &underlay, &variables).unwrap();
        let error = absent_error(&missing).to_string();
        assert!(error.contains("nor built from msg/: diagnostic_msgs, driver_msgs, sensor_msgs"), "{error}");
        assert!(
            error.contains("apt-get install -y ros-jazzy-diagnostic-msgs ros-jazzy-driver-msgs"),
            "{error}"
        );
    }
}
