//! Our message package, built with CMake into `.ros/overlay/<hash>`.
//!
//! The folder is named for the hash of the sources, because r2r keeps the types it made for as long as the prefix paths
//! stay the same: a changed message gets a new path, and r2r notices. It is built under another name and renamed when
//! complete, so a folder that exists is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::message_package::{MessagePackage, remove};
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

/// Where the overlay belongs.
#[derive(Debug, Clone)]
pub struct Plan {
    pub folder: PathBuf,
}

impl Plan {
    /// `identity` stands for the underlay's content.
    pub fn of(layout: &Layout, identity: &Digest) -> Result<Self> {
        let inputs = Inputs::new().text(REVISION).text(identity.as_str()).path(layout.root());
        let digest = inputs.tree(&layout.messages())?.digest();
        Ok(Self { folder: layout.overlays().join(digest.short()) })
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
        let task = Task::start("build the messages of swarm_msgs");
        let messages = layout.messages();
        let package = MessagePackage {
            source: &messages,
            prefix: &self.folder,
            staging: Some(&staging),
            variables,
            python,
        };
        package.build(layout, &task)?;
        let staged = staging.join(self.folder.strip_prefix("/").unwrap_or(&self.folder));
        fs::create_dir_all(layout.overlays()).doing("create", layout.overlays())?;
        fs::rename(&staged, &self.folder).doing("move into place", &staged)?;
        remove(&staging)?;
        task.done();
        Ok(())
    }
}

/// The message packages that r2r has to know: [`USED_BY_NODES`], [`USED_WHERE_INSTALLED`], those that `variables` name under
/// [`FURTHER`], and whatever their package.xml files need.
pub fn idl_packages(overlay: &Path, underlay: &Underlay, variables: &Variables) -> Result<Vec<String>> {
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
    let further: Vec<&str> =
        variables.get(FURTHER).map(|names| names.split_whitespace().collect()).unwrap_or_default();
    close_under_dependencies(&needs, &further)
}

fn close_under_dependencies(
    needs: &BTreeMap<String, BTreeSet<String>>,
    further: &[&str],
) -> Result<Vec<String>> {
    let installed = USED_WHERE_INSTALLED.iter().filter(|name| needs.contains_key(**name));
    let mut left: Vec<&str> =
        USED_BY_NODES.iter().chain(&BEHIND_SERVICES).chain(installed).chain(further).copied().collect();
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

    #[test]
    fn a_package_that_nobody_has_is_named() {
        let error = close_under_dependencies(&BTreeMap::new(), &[]).unwrap_err().to_string();
        assert!(error.contains("is neither in the underlay nor in the overlay"), "{error}");
    }
}
