//! Where the trees come from.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use flate2::read::GzDecoder;
use swarm_artifact::{Limits, SkillSource};
use swarm_base::Role;
use swarm_bt_script::included;
use swarm_store::{check_contents, hash_archive};

use crate::output::read;

/// The tree of one role as it stands on disk.
#[derive(Debug)]
pub(super) struct Document {
    /// Empty for a single tree.
    pub(super) role: String,
    /// Tree to run, where the document does not say so.
    pub(super) main: Option<String>,
    /// Name and text: the document, then what it includes.
    pub(super) texts: Vec<(String, String)>,
}

pub(super) fn documents(what: &[PathBuf]) -> anyhow::Result<Vec<Document>> {
    match what {
        [one] if one.is_dir() => of_folder(one),
        [one] if one.extension().is_some_and(|extension| extension == "gz") => of_artifact(one),
        [one] => Ok(vec![of_file(one, String::new())?]),
        several => several.iter().map(|path| of_file(path, role_of(path))).collect(),
    }
}

fn role_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn of_file(path: &Path, role: String) -> anyhow::Result<Document> {
    if path.is_dir() || path.extension().is_none_or(|extension| extension != "xml") {
        bail!("'{}' is no tree (.xml); a folder or an artifact is checked by itself", path.display());
    }
    Ok(Document { role, main: None, texts: with_included(path)? })
}

/// A document and those that it includes, which are looked for beside it.
fn with_included(path: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut texts = vec![(path.display().to_string(), read(path)?)];
    let mut next = 0;
    while let Some((_, text)) = texts.get(next) {
        for include in included(text) {
            if texts.iter().all(|(known, _)| *known != include) {
                let text = read(&folder.join(&include))?;
                texts.push((include, text));
            }
        }
        next += 1;
    }
    Ok(texts)
}

fn of_folder(folder: &Path) -> anyhow::Result<Vec<Document>> {
    let file = folder.join("skill.yaml");
    let source =
        SkillSource::parse(&read(&file)?).with_context(|| format!("'{}' is no skill", file.display()))?;
    let document = |(role, entry): (&Role, &swarm_artifact::RoleEntry)| {
        let texts = vec![(entry.tree.as_str().to_owned(), read(&folder.join(entry.tree.as_str()))?)];
        Ok(Document { role: role.to_string(), main: Some(entry.tree_id.clone()), texts })
    };
    source.roles.iter().map(document).collect()
}

/// The contents are held against the manifest first; signatures are not looked at.
fn of_artifact(path: &Path) -> anyhow::Result<Vec<Document>> {
    let open = || File::open(path).with_context(|| format!("cannot open '{}'", path.display()));
    let manifest = check_contents(&open()?, &hash_archive(path)?, Limits::default())
        .with_context(|| format!("'{}' is no artifact", path.display()))?;
    let mut documents = Vec::new();
    let mut archive = tar::Archive::new(GzDecoder::new(open()?));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        let mut roles = manifest.skill.roles.iter().filter(|(_, role)| role.tree.as_str() == name).peekable();
        if roles.peek().is_none() {
            continue;
        }
        let mut text = String::new();
        entry.read_to_string(&mut text).with_context(|| format!("{name} in '{}'", path.display()))?;
        documents.extend(roles.map(|(role, of_role)| Document {
            role: role.to_string(),
            main: Some(of_role.tree_id.clone()),
            texts: vec![(name.clone(), text.clone())],
        }));
    }
    documents.sort_by_key(|document| document.role.parse::<Role>().ok());
    Ok(documents)
}
