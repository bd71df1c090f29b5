//! The variables that programs of the project run with. A pure function of the underlay and of the process's own variables,
//! so that `xtask`, colcon and a shell that sourced `.ros/setup.bash` agree to the letter: r2r is compiled anew when
//! `AMENT_PREFIX_PATH`, `CMAKE_PREFIX_PATH`, `ROS_DISTRO` or `IDL_PACKAGE_FILTER` change.

use std::path::{Path, PathBuf};

use super::underlay::{Underlay, Variables, is_ours, split};
use crate::layout::Layout;
use crate::process::quoted;

/// What the environment is made of.
#[derive(Debug, Clone)]
pub struct Parts<'a> {
    pub layout: &'a Layout,
    pub underlay: &'a Underlay,
    /// The virtual environment whose `bin` comes first on `PATH`.
    pub venv: &'a Path,
    /// `lib/python3.*/site-packages` of `venv`.
    pub site_packages: &'a Path,
    /// Library folders inside the wheels.
    pub wheel_libraries: &'a [PathBuf],
    /// The overlay with our messages; none while it is being built.
    pub overlay: Option<&'a Path>,
    /// Message packages that r2r makes Rust types of; closed under dependencies.
    pub idl_packages: &'a [String],
}

/// Sets what children need, over the process's own `variables`. Only changed or added variables are given.
pub fn compose(parts: &Parts<'_>, variables: &Variables) -> Variables {
    let layout = parts.layout;
    let venv = parts.venv.display().to_string();
    let own_prefixes =
        || parts.overlay.into_iter().chain(parts.underlay.prefixes().iter().map(PathBuf::as_path));
    let foreign = |name: &str| {
        let ours = |entry: &&str| is_ours(layout, Path::new(entry)) || is_cargos(layout, entry);
        split(variables.get(name)).filter(move |entry| !ours(entry)).map(str::to_owned).collect::<Vec<_>>()
    };
    let prefixes = join(own_prefixes().map(|prefix| prefix.display().to_string()));

    let mut libraries: Vec<String> = Vec::new();
    let mut modules: Vec<String> = Vec::new();
    if let Some(overlay) = parts.overlay {
        libraries.push(overlay.join("lib").display().to_string());
        let relative = parts.site_packages.strip_prefix(parts.venv).unwrap_or(parts.site_packages);
        modules.push(overlay.join(relative).display().to_string());
    }
    libraries.push(layout.native().display().to_string());
    let mut set = Variables::new();
    let mut put = |name: &str, value: String| set.insert(name.to_owned(), value);
    if let Underlay::Wheels { prefix } = parts.underlay {
        libraries.push(prefix.join("lib").display().to_string());
        libraries.extend(parts.wheel_libraries.iter().map(|path| path.display().to_string()));
        put("ROS_DISTRO", "jazzy".to_owned());
        put("ROS_VERSION", "2".to_owned());
        put("ROS_PYTHON_VERSION", "3".to_owned());
        put("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp".to_owned());
        // The wheels start every Python process twice, to set LD_LIBRARY_PATH in an order that differs each time. It is
        // set here; this tells them so.
        put("_ROS_WHEELS_BOOTSTRAP_COMPLETE", "1".to_owned());
    } else {
        // A sourced ROS answers for its own Python modules.
        modules.extend(foreign("PYTHONPATH"));
    }
    libraries.extend(foreign("LD_LIBRARY_PATH"));
    put("AMENT_PREFIX_PATH", prefixes.clone());
    put("CMAKE_PREFIX_PATH", prefixes);
    put("LD_LIBRARY_PATH", join(libraries));
    put("PYTHONPATH", join(modules));
    put("PATH", join(std::iter::once(format!("{venv}/bin")).chain(foreign("PATH"))));
    put("VIRTUAL_ENV", venv);
    put("IDL_PACKAGE_FILTER", parts.idl_packages.join(";"));
    put("MUJOCO_DYNAMIC_LINK_DIR", layout.native().display().to_string());
    put("ORT_DYLIB_PATH", layout.native().join("libonnxruntime.so").display().to_string());
    // Without it discovery multicasts on every interface, and finds the neighbour's robots.
    let range = variables.get("ROS_AUTOMATIC_DISCOVERY_RANGE").map_or("LOCALHOST", String::as_str);
    put("ROS_AUTOMATIC_DISCOVERY_RANGE", range.to_owned());
    // Shared memory outlives whoever is killed in it, locks and all. Our nodes leave it by themselves; this is for others that look for
    // each other on a network. On one host rmw_fastrtps gives them shared memory all the same, as users' own nodes have it.
    let transports = variables.get("FASTDDS_BUILTIN_TRANSPORTS").map_or("UDPv4", String::as_str);
    put("FASTDDS_BUILTIN_TRANSPORTS", transports.to_owned());
    let profiles = layout.root().join("config/fastdds.xml").display().to_string();
    put(
        "FASTRTPS_DEFAULT_PROFILES_FILE",
        variables.get("FASTRTPS_DEFAULT_PROFILES_FILE").cloned().unwrap_or(profiles),
    );
    set
}

/// Folders that `cargo run` adds for the program it starts; a shell does not have them.
fn is_cargos(layout: &Layout, entry: &str) -> bool {
    let compiled = ["debug", "release"].map(|profile| layout.target().join(profile));
    compiled.iter().any(|folder| Path::new(entry).starts_with(folder))
        || entry.contains("/.rustup/toolchains/")
}

fn join(entries: impl IntoIterator<Item = String>) -> String {
    let mut seen: Vec<String> = Vec::new();
    for entry in entries {
        if !seen.contains(&entry) {
            seen.push(entry);
        }
    }
    seen.join(":")
}

/// `variables` as lines that a POSIX shell evaluates.
pub fn exports(variables: &Variables) -> String {
    let lines: Vec<String> =
        variables.iter().map(|(name, value)| format!("export {name}={}\n", quoted(value))).collect();
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn composed(layout: &Layout, underlay: &Underlay, variables: &Variables) -> Variables {
        let venv = layout.wheel_prefix();
        compose(
            &Parts {
                layout,
                underlay,
                venv: &venv,
                site_packages: &venv.join("lib/python3.11/site-packages"),
                wheel_libraries: &[venv.join("lib/python3.11/site-packages/ros_rcl.libs")],
                overlay: Some(&layout.overlays().join("abc")),
                idl_packages: &["std_msgs".to_owned(), "swarm_msgs".to_owned()],
            },
            variables,
        )
    }

    fn of(pairs: &[(&str, &str)]) -> Variables {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn the_environment_is_the_same_from_inside_itself() {
        let layout = Layout::at("/repository");
        let underlay = Underlay::Wheels { prefix: layout.wheel_prefix() };
        let user = of(&[("PATH", "/usr/bin:/bin"), ("LD_LIBRARY_PATH", "/opt/cuda")]);
        let once = composed(&layout, &underlay, &user);
        let twice = composed(&layout, &underlay, &once);
        assert_eq!(once, twice);
        assert_eq!(once["AMENT_PREFIX_PATH"], "/repository/.ros/overlay/abc:/repository/.ros/jazzy");
        assert_eq!(once["PATH"], "/repository/.ros/jazzy/bin:/usr/bin:/bin");
        assert!(once["LD_LIBRARY_PATH"].ends_with("ros_rcl.libs:/opt/cuda"), "{}", once["LD_LIBRARY_PATH"]);
        assert_eq!(once["PYTHONPATH"], "/repository/.ros/overlay/abc/lib/python3.11/site-packages");
    }

    #[test]
    fn what_cargo_and_colcon_add_does_not_reach_children() {
        let layout = Layout::at("/repository");
        let underlay = Underlay::Wheels { prefix: layout.wheel_prefix() };
        let target = layout.target().join("debug/deps");
        let added =
            format!("{}:/root/.rustup/toolchains/stable/lib:/repository/install/lib", target.display());
        let with = composed(&layout, &underlay, &of(&[("LD_LIBRARY_PATH", &added)]));
        let without = composed(&layout, &underlay, &Variables::new());
        assert_eq!(with, without);
    }

    #[test]
    fn a_sourced_ros_keeps_its_middleware_modules_and_order() {
        let layout = Layout::at("/repository");
        let prefixes = vec![PathBuf::from("/home/user/ws/install"), PathBuf::from("/opt/ros/jazzy")];
        let underlay = Underlay::Sourced { prefixes };
        let user = of(&[
            ("PYTHONPATH", "/opt/ros/jazzy/lib/python3.12/site-packages"),
            ("LD_LIBRARY_PATH", "/opt/ros/jazzy/lib"),
        ]);
        let set = composed(&layout, &underlay, &user);
        assert_eq!(
            set["AMENT_PREFIX_PATH"],
            "/repository/.ros/overlay/abc:/home/user/ws/install:/opt/ros/jazzy"
        );
        assert!(set["PYTHONPATH"].ends_with(":/opt/ros/jazzy/lib/python3.12/site-packages"));
        assert!(set["LD_LIBRARY_PATH"].ends_with(":/opt/ros/jazzy/lib"));
        assert!(!set.contains_key("RMW_IMPLEMENTATION") && !set.contains_key("ROS_DISTRO"));
    }

    #[test]
    fn discovery_stays_on_this_machine_unless_the_user_says_otherwise() {
        let layout = Layout::at("/repository");
        let underlay = Underlay::Wheels { prefix: layout.wheel_prefix() };
        let range = |variables: &Variables| {
            composed(&layout, &underlay, variables)["ROS_AUTOMATIC_DISCOVERY_RANGE"].clone()
        };
        assert_eq!(range(&Variables::new()), "LOCALHOST");
        assert_eq!(range(&of(&[("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")])), "SUBNET");
    }
}
