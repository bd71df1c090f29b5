//! Dependencies point one way: core <- adapters <- nodes, services, tools. This module reads `cargo metadata` and names each
//! arrow that does not.
//!
//! Architecture invariants, each checked here:
//! - core depends on core alone, and reaches no ROS, socket or async runtime through anybody, and of native libraries only those
//!   that [`NATIVE_IN_CORE`] names with its reason;
//! - adapters depend on core, never on each other;
//! - nodes depend on core and adapters, and on no node but `swarm_ros`; they alone may name `r2r`;
//! - services and tools depend on core and adapters, and a tool on the libraries of other tools: a command shows what a
//!   library of its own layer works out from several adapters;
//! - tests (dev-dependencies) of nodes and services may use `swarm_test_postgres` besides;
//! - a fuzz crate, which is outside of the workspace, names its crate and what that may name;
//! - `default-members` build without ROS and MuJoCo;
//! - every crate takes the workspace's lints, which forbid unsafe code; `swarm_rt` alone may set its own.

mod manifests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::process;

/// What core may not reach, not even through others, beside packages that link a native library.
const NOT_FOR_CORE: [&str; 9] =
    ["r2r", "tokio", "async-std", "smol", "mio", "socket2", "hyper", "reqwest", "axum"];

/// Crates of core that reach a package which links a native library (`links` in its manifest), and why they may: both are functions of
/// bytes, without files, sockets and clocks, and are built from source that comes with the package.
const NATIVE_IN_CORE: [(&str, &str); 2] = [
    ("swarm_delta", "zstd-sys"), // compression; there is no encoder in Rust whose ratio comes near
    ("swarm_tuf", "ring"),       // ECDSA and RSA of update metadata; the crate `rsa` has a standing advisory
];

/// What `default-members` may not reach: it would not build on a laptop without ROS and MuJoCo.
const NOT_FOR_DEFAULT_MEMBERS: [&str; 2] = ["r2r", "mujoco-rs"];

const SHARED_NODE: &str = "swarm_ros";
/// What the tests of nodes and services may use besides; a tool may as any other tool.
const TEST_KIT: &str = "swarm_test_postgres";

/// The part of `cargo metadata` that is read here.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    workspace_default_members: Vec<String>,
    resolve: Resolve,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
    manifest_path: PathBuf,
    /// The native library that its build links.
    #[serde(default)]
    links: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Debug, Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<EdgeKind>,
}

#[derive(Debug, Deserialize)]
struct EdgeKind {
    /// `None` is a normal dependency; else `dev` or `build`.
    kind: Option<String>,
}

impl Edge {
    fn ships(&self) -> bool {
        self.dep_kinds.iter().any(|kind| kind.kind.as_deref() != Some("dev"))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    Core,
    Adapters,
    Nodes,
    Services,
    Tools,
}

impl Layer {
    fn of(package: &Package) -> Option<Self> {
        let folder = package.manifest_path.parent()?.parent()?;
        match folder.file_name()?.to_str()? {
            "core" => Some(Self::Core),
            "adapters" => Some(Self::Adapters),
            "nodes" => Some(Self::Nodes),
            "services" => Some(Self::Services),
            "tools" => Some(Self::Tools),
            _ => None,
        }
    }
}

/// A dependency that points the wrong way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WrongArrow {
    pub from: String,
    pub to: String,
    pub why: String,
}

impl fmt::Display for WrongArrow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}: {}", self.from, self.to, self.why)
    }
}

/// Reads the workspace's metadata and gives what is wrong, as lines to print.
pub fn check(layout: &Layout) -> Result<Vec<String>> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--format-version", "1", "--locked"]).current_dir(layout.root());
    command.args(["--filter-platform", "x86_64-unknown-linux-gnu"]);
    let text = process::output("reading the workspace", &mut command)?;
    let metadata: Metadata = serde_json::from_str(&text)
        .map_err(|error| Error::Malformed { path: "cargo metadata".into(), problem: error.to_string() })?;
    let mut lines: Vec<String> = wrong_arrows(&metadata).iter().map(ToString::to_string).collect();
    lines.extend(manifests::fuzz_arrows(&metadata)?.iter().map(ToString::to_string));
    lines.extend(manifests::crates_with_own_lints(&metadata)?);
    Ok(lines)
}

/// Every wrong arrow, sorted.
pub fn wrong_arrows(metadata: &Metadata) -> BTreeSet<WrongArrow> {
    let graph = Graph::of(metadata);
    let mut wrong = BTreeSet::new();
    for member in &metadata.workspace_members {
        let from = graph.package(member);
        let Some(layer) = Layer::of(from) else {
            let why = format!("{} is in none of the layers' folders", from.manifest_path.display());
            wrong.insert(WrongArrow { from: from.name.clone(), to: "?".to_owned(), why });
            continue;
        };
        for edge in graph.edges(member) {
            let to = graph.package(&edge.pkg);
            if let Some(why) = objection(from, layer, to, edge) {
                wrong.insert(WrongArrow { from: from.name.clone(), to: to.name.clone(), why });
            }
        }
        if layer == Layer::Core {
            let why = "core decides, without ROS, sockets, async runtimes and native libraries";
            let is_excepted = |to: &Package| NATIVE_IN_CORE.contains(&(from.name.as_str(), to.name.as_str()));
            let forbidden = |to: &Package| {
                NOT_FOR_CORE.contains(&to.name.as_str()) || to.links.is_some() && !is_excepted(to)
            };
            wrong.extend(graph.reaches(member, forbidden, Edge::ships, why));
        }
    }
    for member in &metadata.workspace_default_members {
        let why = "default-members build where there is no ROS and no MuJoCo";
        // Tests of default-members run there too, so their dev-dependencies count; those of others are not built.
        let counts = |edge: &Edge| edge.ships() || metadata.workspace_default_members.contains(&edge.pkg);
        let forbidden = |to: &Package| NOT_FOR_DEFAULT_MEMBERS.contains(&to.name.as_str());
        for edge in graph.edges(member).iter().filter(|edge| !edge.ships()) {
            wrong.extend(graph.reaches(&edge.pkg, forbidden, counts, why));
        }
        wrong.extend(graph.reaches(member, forbidden, counts, why));
    }
    wrong
}

/// Why `from`, of `layer`, may not name `to`; `None` when it may.
fn objection(from: &Package, layer: Layer, to: &Package, edge: &Edge) -> Option<String> {
    use Layer::{Adapters, Core, Nodes, Services, Tools};
    if (to.name == "r2r" || to.name.starts_with("r2r_")) && layer != Nodes {
        return Some("only packages/nodes may name r2r".to_owned());
    }
    let target = Layer::of_workspace(to)?;
    if to.name == TEST_KIT && !edge.ships() && matches!(layer, Nodes | Services) {
        return None;
    }
    match (layer, target) {
        (_, Core) | (Nodes | Services | Tools, Adapters) => None,
        (Nodes, Nodes) if to.name == SHARED_NODE => None,
        (Tools, Tools) => None,
        // A client's tests have the real service in their own process.
        (Tools, Services) if !edge.ships() => None,
        (Nodes, Nodes) => Some(format!("nodes meet over ROS; they share only {SHARED_NODE}")),
        (Core, _) => Some("core depends on core alone".to_owned()),
        (Adapters, Adapters) => Some("adapters never depend on each other".to_owned()),
        (Adapters, _) => Some("adapters depend on core alone".to_owned()),
        (Nodes | Services | Tools, Nodes | Services | Tools) => {
            Some(format!("{} depends on core and adapters alone", from.name))
        }
    }
}

impl Layer {
    /// The layer of a package of ours; none for one from a registry.
    fn of_workspace(package: &Package) -> Option<Self> {
        if package.id.starts_with("path+") { Self::of(package) } else { None }
    }
}

/// Lookup by package id.
struct Graph<'a> {
    packages: BTreeMap<&'a str, &'a Package>,
    nodes: BTreeMap<&'a str, &'a [Edge]>,
}

impl<'a> Graph<'a> {
    fn of(metadata: &'a Metadata) -> Self {
        Self {
            packages: metadata.packages.iter().map(|package| (package.id.as_str(), package)).collect(),
            nodes: metadata
                .resolve
                .nodes
                .iter()
                .map(|node| (node.id.as_str(), node.deps.as_slice()))
                .collect(),
        }
    }

    fn package(&self, id: &str) -> &'a Package {
        self.packages[id] // cargo lists every package that its graph names
    }

    fn edges(&self, id: &str) -> &'a [Edge] {
        self.nodes.get(id).copied().unwrap_or_default()
    }

    /// The shortest way from `start` to each package that is `forbidden`, over edges that `counts`; as the arrow that ends it.
    fn reaches(
        &self,
        start: &'a str,
        forbidden: impl Fn(&Package) -> bool,
        counts: impl Fn(&Edge) -> bool,
        why: &str,
    ) -> Vec<WrongArrow> {
        let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut left = VecDeque::from([start]);
        let mut wrong = Vec::new();
        while let Some(id) = left.pop_front() {
            let name = &self.package(id).name;
            if id != start && forbidden(self.package(id)) {
                let mut way = vec![name.as_str()];
                let mut at = id;
                while let Some(before) = came_from.get(at) {
                    way.push(&self.package(before).name);
                    at = before;
                }
                way.reverse();
                let why = format!("{why} (by way of {})", way.join(" -> "));
                wrong.push(WrongArrow { from: self.package(start).name.clone(), to: name.clone(), why });
                continue;
            }
            for edge in self.edges(id).iter().filter(|edge| counts(edge)) {
                if edge.pkg != start && !came_from.contains_key(edge.pkg.as_str()) {
                    came_from.insert(&edge.pkg, id);
                    left.push_back(&edge.pkg);
                }
            }
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A made-up workspace: `members` as (layer, name), `registry` crates, and `arrows` as (from, to, kind).
    pub(super) fn workspace(
        members: &[(&str, &str)],
        registry: &[&str],
        arrows: &[(&str, &str, Option<&str>)],
    ) -> Metadata {
        let path_of = |name: &str| match members.iter().find(|(_, member)| *member == name) {
            Some((layer, _)) => {
                (format!("path+file:///w/{name}"), format!("/w/packages/{layer}/{name}/Cargo.toml"))
            }
            None => (format!("registry+{name}"), format!("/registry/src/{name}-1.0.0/Cargo.toml")),
        };
        let names = || members.iter().map(|(_, name)| *name).chain(registry.iter().copied());
        let packages: Vec<_> = names()
            .map(|name| {
                let (id, manifest_path) = path_of(name);
                let links = name.strip_suffix("-sys");
                serde_json::json!({"id": id, "name": name, "manifest_path": manifest_path, "links": links})
            })
            .collect();
        let nodes: Vec<_> = names()
            .map(|name| {
                let deps: Vec<_> = arrows
                    .iter()
                    .filter(|(from, _, _)| *from == name)
                    .map(|(_, to, kind)| serde_json::json!({"pkg": path_of(to).0, "dep_kinds": [{"kind": kind}]}))
                    .collect();
                serde_json::json!({"id": path_of(name).0, "deps": deps})
            })
            .collect();
        let ids: Vec<_> = members.iter().map(|(_, name)| path_of(name).0).collect();
        let defaults: Vec<_> =
            members.iter().filter(|(layer, _)| *layer == "core").map(|(_, name)| path_of(name).0).collect();
        serde_json::from_value(serde_json::json!({
            "packages": packages,
            "workspace_members": ids,
            "workspace_default_members": defaults,
            "resolve": {"nodes": nodes},
        }))
        .unwrap()
    }

    pub(super) const MEMBERS: [(&str, &str); 12] = [
        ("core", "swarm_base"),
        ("core", "swarm_bt"),
        ("core", "swarm_delta"),
        ("adapters", "swarm_store"),
        ("adapters", "swarm_onnx"),
        ("nodes", "swarm_ros"),
        ("nodes", "swarm_sim"),
        ("nodes", "swarm_safety_monitor"),
        ("services", "swarm_registry"),
        ("tools", "swarm_test_postgres"),
        ("tools", "swarm_cli"),
        ("tools", "swarm_dataset"),
    ];

    fn lines(arrows: &[(&str, &str, Option<&str>)]) -> Vec<String> {
        let metadata = workspace(&MEMBERS, &["r2r", "tokio", "serde", "mio", "zstd", "zstd-sys"], arrows);
        wrong_arrows(&metadata).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn arrows_that_point_inwards_are_right() {
        let right = [
            ("swarm_bt", "swarm_base", None),
            ("swarm_bt", "serde", None),
            ("swarm_store", "swarm_base", None),
            ("swarm_store", "tokio", None),
            ("swarm_sim", "swarm_store", None),
            ("swarm_sim", "swarm_ros", None),
            ("swarm_sim", "r2r", None),
            ("swarm_sim", "swarm_test_postgres", Some("dev")),
            ("swarm_cli", "swarm_store", None),
            ("swarm_cli", "swarm_dataset", None),
            ("swarm_cli", "swarm_registry", Some("dev")),
            ("swarm_bt", "tokio", Some("dev")),
            ("swarm_delta", "zstd", None),
            ("zstd", "zstd-sys", None),
        ];
        assert_eq!(lines(&right), Vec::<String>::new());
    }

    #[test]
    fn a_native_library_that_core_reaches_is_named_unless_it_is_excepted() {
        let found = lines(&[("swarm_bt", "zstd", None), ("zstd", "zstd-sys", None)]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("swarm_bt -> zstd-sys: core decides"), "{found:?}");
        assert!(found[0].ends_with("(by way of swarm_bt -> zstd -> zstd-sys)"), "{found:?}");
    }

    #[test]
    fn each_wrong_arrow_is_named_with_its_reason() {
        let cases = [
            (("swarm_base", "swarm_store", None), "swarm_base -> swarm_store: core depends on core alone"),
            (
                ("swarm_store", "swarm_onnx", None),
                "swarm_store -> swarm_onnx: adapters never depend on each other",
            ),
            (
                ("swarm_store", "swarm_onnx", Some("dev")),
                "swarm_store -> swarm_onnx: adapters never depend on each other",
            ),
            (("swarm_store", "swarm_ros", None), "swarm_store -> swarm_ros: adapters depend on core alone"),
            (
                ("swarm_store", "swarm_test_postgres", Some("dev")),
                "swarm_store -> swarm_test_postgres: adapters depend on core alone",
            ),
            (
                ("swarm_sim", "swarm_safety_monitor", None),
                "swarm_sim -> swarm_safety_monitor: nodes meet over ROS; they share only swarm_ros",
            ),
            (
                ("swarm_sim", "swarm_test_postgres", None),
                "swarm_sim -> swarm_test_postgres: swarm_sim depends on core and adapters alone",
            ),
            (
                ("swarm_cli", "swarm_sim", None),
                "swarm_cli -> swarm_sim: swarm_cli depends on core and adapters alone",
            ),
            (
                ("swarm_cli", "swarm_registry", None),
                "swarm_cli -> swarm_registry: swarm_cli depends on core and adapters alone",
            ),
            (("swarm_cli", "r2r", None), "swarm_cli -> r2r: only packages/nodes may name r2r"),
        ];
        for (arrow, line) in cases {
            assert_eq!(lines(&[arrow]), [line], "{arrow:?}");
        }
    }

    #[test]
    fn core_reaches_no_runtime_through_others_either() {
        let found = lines(&[("swarm_bt", "serde", None), ("serde", "mio", None)]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("swarm_bt -> mio: core decides"), "{found:?}");
        assert!(found[0].ends_with("(by way of swarm_bt -> serde -> mio)"), "{found:?}");
    }

    #[test]
    fn default_members_need_no_ros_not_even_in_their_tests() {
        let found = lines(&[("swarm_bt", "serde", Some("dev")), ("serde", "r2r", None)]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("default-members build where there is no ROS"), "{found:?}");
    }

    #[test]
    fn a_crate_outside_the_layers_is_named() {
        let metadata = workspace(&[("misc", "stray")], &[], &[]);
        let found: Vec<String> = wrong_arrows(&metadata).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            ["stray -> ?: /w/packages/misc/stray/Cargo.toml is in none of the layers' folders"]
        );
    }
}
