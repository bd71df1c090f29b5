//! The trees of a skill: read with what they include, written for their role, loaded.
//!
//! 1. A role's document is read from the artifact and written for the role ([`crate::project`]).
//! 2. Loading it reads what it includes: `<include path="lib.xml"/>`, relative to the document that it stands in. That is written
//!    for the role as well. It comes from the artifact alone: a path that leaves it, or a ROS package, is refused, since nobody has
//!    signed what lies there.
//! 3. Text by text, with the leaves that there are, this is the tree's [`Recipe`]: a recorded run needs it to be carried out again.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use swarm_artifact::{EntryPath, SkillSource};
use swarm_base::Role;
use swarm_bt::{Include, Loader, Registry, Tree};
use swarm_bt_log::Recipe;

use crate::errand::STOP_TIMEOUT;
use crate::leaves::registry;
use crate::project::{RoleDocuments, check_entries, project};
use crate::skill::Material;
use crate::skill_problem::{Fault, SkillProblem};

/// A tree, and what it is made from.
pub(crate) struct LoadedTree {
    pub(crate) tree: Arc<Tree>,
    pub(crate) recipe: Arc<Recipe>,
}

/// The trees of all roles; what is wrong with one is added to `problems`.
pub(crate) fn load_trees(
    source: &SkillSource,
    material: &dyn Material,
    problems: &mut Vec<SkillProblem>,
) -> BTreeMap<Role, LoadedTree> {
    let registry = registry();
    let mut trees = BTreeMap::new();
    let mut read = Vec::new();
    for (&role, entry) in &source.roles {
        let text = match document(&entry.tree, role, material) {
            Ok(text) => text,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        let mut recipe = Recipe::new(entry.tree.as_str(), text, &registry);
        recipe.main_tree = Some(entry.tree_id.clone());
        recipe.halt_timeout = Some(STOP_TIMEOUT);
        match load(&mut recipe, role, material, &registry) {
            Ok(tree) => {
                let loaded = LoadedTree { tree: Arc::new(tree), recipe: Arc::new(recipe.clone()) };
                trees.insert(role, loaded);
            }
            Err(problem) => problems.push(problem),
        }
        read.push((role, recipe.documents, &entry.tree_id));
    }
    let documents: Vec<RoleDocuments<'_>> = read
        .iter()
        .map(|(role, documents, main_tree)| RoleDocuments { role: *role, documents, main_tree })
        .collect();
    problems.extend(check_entries(&documents, &registry).into_iter().map(SkillProblem::Entry));
    trees
}

/// Loads the tree of a recipe with one document, and adds what that includes.
fn load(
    recipe: &mut Recipe,
    role: Role,
    material: &dyn Material,
    registry: &Registry,
) -> Result<Tree, SkillProblem> {
    let included = RefCell::new(Vec::new());
    // What the loader is told is only that it cannot be read.
    let unreadable = RefCell::new(None);
    let include = |include: Include<'_>| {
        if let Some(package) = include.package {
            return Err(format!(
                "it is in the ROS package {package}, and nothing outside of the artifact is signed"
            ));
        }
        let path: EntryPath = include.path.parse().map_err(|error| format!("{error}"))?;
        let text = read_text(&path, material).map_err(|fault| {
            let reason = fault.to_string();
            if let Fault::OfCell(_) = fault {
                *unreadable.borrow_mut() = Some(SkillProblem::Unreadable { path: path.clone(), fault });
            }
            reason
        })?;
        let text = project(path.as_str(), &text, role).map_err(|errors| errors.to_string())?;
        included.borrow_mut().push((path.as_str().to_owned(), text.clone()));
        Ok(text)
    };
    let loader = recipe
        .documents
        .iter()
        .fold(Loader::new(registry).includes(&include), |loader, (name, text)| loader.document(name, text));
    let loader = recipe.main_tree.iter().fold(loader, Loader::main_tree);
    let loader = recipe.halt_timeout.iter().fold(loader, |loader, limit| loader.halt_timeout(*limit));
    let loaded = loader.load();
    recipe.documents.extend(included.into_inner());
    loaded.map_err(|errors| unreadable.take().unwrap_or(SkillProblem::Tree { role, errors }))
}

/// The role's own document as it has it.
fn document(path: &EntryPath, role: Role, material: &dyn Material) -> Result<String, SkillProblem> {
    let text =
        read_text(path, material).map_err(|fault| SkillProblem::Unreadable { path: path.clone(), fault })?;
    project(path.as_str(), &text, role).map_err(|errors| SkillProblem::Projection { role, errors })
}

fn read_text(path: &EntryPath, material: &dyn Material) -> Result<String, Fault> {
    String::from_utf8(material.read(path)?).map_err(|error| Fault::OfArtifact(error.to_string()))
}
