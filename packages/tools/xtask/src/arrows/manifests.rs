//! What `cargo metadata` does not tell and the manifests do: the arrows of fuzz crates, and who takes the workspace's lints.

use std::collections::BTreeSet;
use std::fs;

use super::{Edge, Layer, Metadata, Package, WrongArrow, objection};
use crate::error::{IoContext, Result};

/// May set its own lints.
const UNSAFE_CRATE: &str = "swarm_rt";

/// Wrong arrows of the fuzz crates, which cargo does not list: those of `fuzz/Cargo.toml` beside each member.
pub(super) fn fuzz_arrows(metadata: &Metadata) -> Result<BTreeSet<WrongArrow>> {
    let members: Vec<&Package> =
        metadata.packages.iter().filter(|package| metadata.workspace_members.contains(&package.id)).collect();
    let mut wrong = BTreeSet::new();
    for owner in &members {
        let Some((folder, layer)) = owner.manifest_path.parent().zip(Layer::of(owner)) else { continue };
        let fuzz = folder.join("fuzz");
        let manifest = fuzz.join("Cargo.toml");
        if !manifest.is_file() {
            continue;
        }
        let text = fs::read_to_string(&manifest).doing("read", &manifest)?;
        for path in dependency_paths(&text) {
            let place = fuzz.join(path).canonicalize().doing("find", fuzz.join(path))?;
            let is_there = |member: &&&Package| member.manifest_path.parent() == Some(place.as_path());
            let (to, why) = match members.iter().find(is_there) {
                Some(to) if to.id == owner.id => continue,
                Some(to) => {
                    let test = Edge { pkg: to.id.clone(), dep_kinds: Vec::new() };
                    let Some(why) = objection(owner, layer, to, &test) else { continue };
                    (to.name.clone(), why)
                }
                None => (path.to_owned(), "it is no crate of the workspace".to_owned()),
            };
            wrong.insert(WrongArrow { from: format!("{}/fuzz", owner.name), to, why });
        }
    }
    Ok(wrong)
}

/// The paths of `name = { path = ".." }` in a manifest.
fn dependency_paths(manifest: &str) -> impl Iterator<Item = &str> {
    manifest.lines().filter(|line| line.contains('{')).filter_map(|line| {
        let (_, rest) = line.split_once("path")?;
        rest.split('"').nth(1)
    })
}

/// Crates that do not take the workspace's lints, and so could allow unsafe code.
pub(super) fn crates_with_own_lints(metadata: &Metadata) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for package in metadata.packages.iter().filter(|package| metadata.workspace_members.contains(&package.id))
    {
        let text = fs::read_to_string(&package.manifest_path).doing("read", &package.manifest_path)?;
        if package.name != UNSAFE_CRATE && !takes_workspace_lints(&text) {
            let path = package.manifest_path.display();
            lines.push(format!(
                "{path}: has no `[lints] workspace = true`; only {UNSAFE_CRATE} may set its own lints"
            ));
        }
    }
    Ok(lines)
}

fn takes_workspace_lints(manifest: &str) -> bool {
    let mut lines = manifest.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
    lines.find(|line| !line.is_empty()).is_some_and(|line| line.replace(' ', "") == "workspace=true")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{MEMBERS, workspace};
    use super::*;

    #[test]
    fn a_fuzz_crate_names_its_crate_and_what_that_may_name() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let mut metadata = workspace(&MEMBERS, &[], &[]);
        for package in &mut metadata.packages {
            package.manifest_path = root.join(package.manifest_path.strip_prefix("/w").unwrap());
            fs::create_dir_all(package.manifest_path.parent().unwrap()).unwrap();
        }
        let fuzz = root.join("packages/adapters/swarm_store/fuzz");
        fs::create_dir_all(&fuzz).unwrap();
        let mut manifest = String::from(
            "[dependencies]\nswarm_store = { path = \"..\" }\nswarm_base = { path = \"../../../core/swarm_base\" }\n",
        );
        fs::write(fuzz.join("Cargo.toml"), &manifest).unwrap();
        assert_eq!(fuzz_arrows(&metadata).unwrap(), BTreeSet::new());
        manifest +=
            "swarm_cli = { path = \"../../../tools/swarm_cli\" }\n[[bin]]\npath = \"fuzz_targets/x.rs\"\n";
        fs::write(fuzz.join("Cargo.toml"), &manifest).unwrap();
        let found: Vec<String> = fuzz_arrows(&metadata).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(found, ["swarm_store/fuzz -> swarm_cli: adapters depend on core alone"]);
    }

    #[test]
    fn a_crate_with_lints_of_its_own_is_noticed() {
        assert!(takes_workspace_lints("[package]\nname = \"x\"\n\n[lints]\nworkspace = true\n"));
        assert!(!takes_workspace_lints("[package]\nname = \"x\"\n"));
        assert!(!takes_workspace_lints("[lints]\nrust.unsafe_code = \"allow\"\n"));
        assert!(!takes_workspace_lints("[lints.rust]\nunsafe_code = \"allow\"\n[x]\nworkspace = true"));
    }
}
