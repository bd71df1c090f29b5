//! `cell bt check`: what the static checker says of trees, of a skill's folder, or of an artifact.

mod documents;
mod print;

use std::path::PathBuf;

use swarm_base::Role;
use swarm_bt::{Loader, Mode, Tree};
use swarm_bt_check::{Finding, Given, Limits, Report, RoleTree, Severity, check};
use swarm_bt_script::{Scripts, declare};
use swarm_skill_core::project::{ProjectError, project};
use swarm_skill_core::{leaf_table, registry, shared_entries};

use crate::Outcome;
use documents::{Document, documents};

/// Find out what can go wrong in behaviour trees, before a robot does.
///
/// Several trees are those of the roles of one skill and run together; a role is called as its file. Leaves of skills are known;
/// of others it is assumed that an action may answer RUNNING, SUCCESS or FAILURE whenever it is ticked, and a condition SUCCESS or
/// FAILURE. Ports and kinds of unknown leaves are taken from <TreeNodesModel> and from their use.
///
/// A finding with an example shows a run that leads to it; --examples writes what `cell bt run` needs to play it.
///
/// Exit codes: 0 no errors (there may be warnings), 1 errors, 2 the trees could not be read.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Trees (.xml), or one folder of a skill (with skill.yaml), or one artifact (.tar.gz).
    #[arg(value_name = "TREE.xml|DIR|ARTIFACT", required = true)]
    what: Vec<PathBuf>,
    /// Entry of the main blackboard that is written from outside before the first tick; repeat for several.
    #[arg(long, value_name = "KEY")]
    given: Vec<String>,
    /// Whose rules the trees go by unless they say so: BehaviorTree.CPP's to the transition, instead of those without its defects.
    #[arg(long)]
    compat: bool,
    /// Writes the examples into this folder: CODE-NUMBER-ROLE.json with the answers of the leaves.
    #[arg(long, value_name = "DIR")]
    examples: Option<PathBuf>,
    /// States that are looked at before giving up, of all trees side by side; a tenth of it for a single one, and 1,300 bytes for each.
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().worlds)]
    states: usize,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let documents = documents(&args.what)?;
    let report = checked(&documents, args);
    let examples = match &args.examples {
        Some(folder) => print::write_examples(folder, &report)?,
        None => Vec::new(),
    };
    if args.json {
        print::json(&report, &documents)?;
    } else {
        print::text(&report, &documents, &examples);
    }
    Ok(if report.errors().count() == 0 { Outcome::Done } else { Outcome::Refused })
}

/// All findings. Trees that do not load are left out of what the others are checked for together.
fn checked(documents: &[Document], args: &Args) -> Report {
    let mut not_loaded = Vec::new();
    let mut trees: Vec<(&str, Tree)> = Vec::new();
    for document in documents {
        match load(document, args.compat) {
            Ok(tree) => trees.push((&document.role, tree)),
            Err(mut findings) => {
                for finding in &mut findings {
                    finding.role.clone_from(&document.role);
                }
                not_loaded.append(&mut findings);
            }
        }
    }
    let roles: Vec<RoleTree<'_>> = trees.iter().map(|(role, tree)| RoleTree { role, tree }).collect();
    let mut given: Given = shared_entries(trees.iter().map(|(_, tree)| tree));
    given.extend(args.given.iter().cloned());
    let mut report = check(&roles, &leaf_table(), &given, Limits::of_worlds(args.states));
    report.findings.splice(0..0, not_loaded);
    report
}

fn load(document: &Document, compat: bool) -> Result<Tree, Vec<Finding>> {
    let mut texts = document.texts.clone();
    if let Ok(role) = document.role.parse::<Role>() {
        for (name, text) in &mut texts {
            *text = project(name, text, role)
                .map_err(|errors| errors.0.iter().map(of_projection).collect::<Vec<_>>())?;
        }
    }
    let registry = declare(registry(), &texts, &Scripts::default());
    let mode = if compat { Mode::Compat } else { Mode::Strict };
    let mut loader = Loader::new(&registry).mode(mode);
    for (name, text) in &texts {
        loader = loader.document(name, text);
    }
    if let Some(main) = &document.main {
        loader = loader.main_tree(main);
    }
    loader.load().map_err(|errors| errors.0.iter().map(Finding::of_load_error).collect())
}

/// What keeps a document from being the tree of one role.
fn of_projection(error: &ProjectError) -> Finding {
    Finding::of_document(&error.document, error.line, &error.kind.to_string())
}

/// Number of findings of a severity.
fn count(report: &Report, severity: Severity) -> usize {
    report.findings.iter().filter(|finding| finding.severity == severity).count()
}
