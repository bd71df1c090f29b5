//! `cell bt check`: what the static checker says of trees, of a skill's folder, or of an artifact.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use flate2::read::GzDecoder;
use serde_json::json;
use swarm_artifact::{Limits, SkillSource};
use swarm_bt::Loader;
use swarm_bt_check::{Finding, Severity, check_tree};
use swarm_skill_core::{leaf_table, registry};
use swarm_store::{check_contents, hash_archive};

use crate::Outcome;
use crate::output::{print_json, read};

/// Find out what can go wrong in behaviour trees, before a robot does.
///
/// Exit codes: 0 no errors (warnings may be there), 1 errors, 2 the trees could not be read.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Trees (.xml), each that of one role, named after the file; or a skill's folder (with skill.yaml); or an artifact (.tar.gz).
    #[arg(value_name = "TREE.xml | DIR | ARTIFACT", required = true)]
    what: Vec<PathBuf>,
    /// An entry of the main blackboard that is written from outside before the first tick; may be repeated.
    #[arg(long, value_name = "KEY")]
    given: Vec<String>,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

/// One role's tree as it stands on disk.
struct Document {
    role: String,
    name: String,
    /// Tree to run; that of the document itself where nothing else says so.
    main: Option<String>,
    text: String,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let documents = documents(&args.what)?;
    let given: BTreeSet<String> = args.given.iter().cloned().collect();
    let (registry, table) = (registry(), leaf_table());
    let mut findings = Vec::new();
    for document in &documents {
        let mut loader = Loader::new(&registry).document(&document.name, &document.text);
        if let Some(main) = &document.main {
            loader = loader.main_tree(main);
        }
        let mut found = match loader.load() {
            Ok(tree) => check_tree(&tree, &table, &given),
            Err(errors) => errors.0.iter().map(Finding::of_load_error).collect(),
        };
        for finding in &mut found {
            finding.role.clone_from(&document.role);
        }
        findings.append(&mut found);
    }
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    if args.json {
        print_json(&as_json(&findings))?;
    } else {
        for finding in &findings {
            println!("{finding}");
        }
        println!("{} trees, {errors} errors, {} warnings", documents.len(), findings.len() - errors);
    }
    Ok(if errors == 0 { Outcome::Done } else { Outcome::Refused })
}

fn as_json(findings: &[Finding]) -> serde_json::Value {
    let findings = findings.iter().map(|finding| {
        json!({
            "code": finding.code.as_str(), "severity": finding.severity.as_str(), "role": finding.role,
            "document": finding.document, "line": finding.line, "path": finding.path,
            "problem": finding.problem, "advice": finding.advice,
        })
    });
    json!({"findings": findings.collect::<Vec<_>>()})
}

fn documents(what: &[PathBuf]) -> anyhow::Result<Vec<Document>> {
    if let [one] = what {
        if one.is_dir() {
            return of_folder(one);
        }
        if one.extension().is_some_and(|extension| extension == "gz") {
            return of_artifact(one);
        }
    }
    what.iter().map(|path| of_file(path)).collect()
}

fn of_file(path: &Path) -> anyhow::Result<Document> {
    if path.is_dir() || path.extension().is_none_or(|extension| extension != "xml") {
        bail!("'{}' is no tree (.xml); a folder or an artifact is checked by itself", path.display());
    }
    let role = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Document { role, name: path.display().to_string(), main: None, text: read(path)? })
}

fn of_folder(folder: &Path) -> anyhow::Result<Vec<Document>> {
    let file = folder.join("skill.yaml");
    let source =
        SkillSource::parse(&read(&file)?).with_context(|| format!("'{}' is no skill", file.display()))?;
    let document = |(role, entry): (&swarm_base::Role, &swarm_artifact::RoleEntry)| {
        let path = folder.join(entry.tree.as_str());
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read '{}'", path.display()))?;
        let name = path.display().to_string();
        Ok(Document { role: role.to_string(), name, main: Some(entry.tree_id.clone()), text })
    };
    source.roles.iter().map(document).collect()
}

/// Contents are held against the manifest first; signatures are not looked at.
fn of_artifact(path: &Path) -> anyhow::Result<Vec<Document>> {
    let open = || File::open(path).with_context(|| format!("cannot open '{}'", path.display()));
    let manifest = check_contents(&open()?, &hash_archive(path)?, Limits::default())
        .with_context(|| format!("'{}' is no artifact", path.display()))?;
    let mut documents = Vec::new();
    let mut archive = tar::Archive::new(GzDecoder::new(open()?));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        let roles = manifest.skill.roles.iter().filter(|(_, role)| role.tree.as_str() == name);
        let roles: Vec<_> = roles.collect();
        if roles.is_empty() {
            continue;
        }
        let mut text = String::new();
        entry.read_to_string(&mut text).with_context(|| format!("{name} in '{}'", path.display()))?;
        for (role, of_role) in roles {
            let (role, main) = (role.to_string(), Some(of_role.tree_id.clone()));
            documents.push(Document { role, name: name.clone(), main, text: text.clone() });
        }
    }
    Ok(documents)
}
