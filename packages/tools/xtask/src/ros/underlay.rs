//! Which ROS 2 the project stands on: a Jazzy that the user has sourced, or the one made from wheels under `.ros/`.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};

use crate::layout::Layout;

/// The variables of the process, as values, so that tests can make them up.
pub type Variables = BTreeMap<String, String>;

/// This process's variables. Those that are not UTF-8 cannot be paths of ours and are left out.
pub fn process_variables() -> Variables {
    env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Underlay {
    /// `source /opt/ros/jazzy/setup.bash`, perhaps with workspaces of the user over it; first found first.
    Sourced { prefixes: Vec<PathBuf> },
    /// `.ros/jazzy`.
    Wheels { prefix: PathBuf },
}

impl Underlay {
    /// Decides from the environment. Prefixes of our own, from a sourced `.ros/setup.bash` or `install/setup.bash`, do
    /// not count: with them or without, the same ROS is used and nothing is compiled twice.
    pub fn discover(layout: &Layout, variables: &Variables) -> Self {
        let prefixes: Vec<PathBuf> = split(variables.get("AMENT_PREFIX_PATH"))
            .map(PathBuf::from)
            .filter(|prefix| !is_ours(layout, prefix))
            .collect();
        let jazzy = variables.get("ROS_DISTRO").is_some_and(|distro| distro == "jazzy");
        if jazzy && prefixes.iter().any(|prefix| has_package(prefix, "rclpy")) {
            Self::Sourced { prefixes }
        } else {
            Self::Wheels { prefix: layout.wheel_prefix() }
        }
    }

    pub fn prefixes(&self) -> &[PathBuf] {
        match self {
            Self::Sourced { prefixes } => prefixes,
            Self::Wheels { prefix } => std::slice::from_ref(prefix),
        }
    }

    /// Where ROS package `name` is installed.
    pub fn find_package(&self, name: &str) -> Option<&Path> {
        self.prefixes().iter().map(PathBuf::as_path).find(|prefix| has_package(prefix, name))
    }
}

/// The non-empty entries of a `PATH`-like variable.
pub fn split(value: Option<&String>) -> impl Iterator<Item = &str> {
    value.map(String::as_str).unwrap_or_default().split(':').filter(|entry| !entry.is_empty())
}

/// Whether `path` is one that this repository makes.
pub fn is_ours(layout: &Layout, path: &Path) -> bool {
    path.starts_with(layout.ros()) || path.starts_with(layout.install())
}

fn has_package(prefix: &Path, name: &str) -> bool {
    prefix.join("share").join(name).join("package.xml").is_file()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn prefix_with_rclpy(folder: &Path) -> PathBuf {
        fs::create_dir_all(folder.join("share/rclpy")).unwrap();
        fs::write(folder.join("share/rclpy/package.xml"), "").unwrap();
        folder.to_path_buf()
    }

    fn variables(distro: &str, path: &str) -> Variables {
        [("ROS_DISTRO", distro), ("AMENT_PREFIX_PATH", path)].map(|(a, b)| (a.into(), b.into())).into()
    }

    #[test]
    fn a_sourced_jazzy_is_used_another_distribution_or_an_empty_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::at(folder.path().join("repository"));
        let opt = prefix_with_rclpy(&folder.path().join("opt"));
        let text = opt.to_str().unwrap();
        let found = |distro, path: &str| Underlay::discover(&layout, &variables(distro, path));

        assert_eq!(found("jazzy", text), Underlay::Sourced { prefixes: vec![opt.clone()] });
        let wheels = Underlay::Wheels { prefix: layout.wheel_prefix() };
        assert_eq!(found("humble", text), wheels);
        assert_eq!(found("jazzy", "/nowhere"), wheels);
        assert_eq!(Underlay::discover(&layout, &Variables::new()), wheels);
    }

    #[test]
    fn our_own_prefixes_do_not_count_as_sourced() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::at(folder.path());
        let own = prefix_with_rclpy(&layout.wheel_prefix());
        let path = format!("{}/swarm_msgs:{}", layout.install().display(), own.display());
        let found = Underlay::discover(&layout, &variables("jazzy", &path));
        assert_eq!(found, Underlay::Wheels { prefix: own });
    }
}
