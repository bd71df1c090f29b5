//! BehaviorTree.CPP v4 XML to a [`Tree`].
//!
//! 1. [`source`]: parse every document, note where each `<BehaviorTree>` and each SubTree model stands.
//! 2. Choose the main tree.
//! 3. [`build`] expands it: nodes in pre-order, SubTrees in place; [`nodes`] says what each node is, its scripts compiled;
//!    [`scope`] turns blackboard keys into slots.
//! 4. Trees that the main one does not reach are built for their mistakes alone.
//!
//! Loading goes on after a mistake as far as that makes sense, so that all of them are reported at once.

mod build;
mod builtin;
mod error;
mod nodes;
mod options;
mod scope;
mod source;

use std::collections::BTreeSet;

use swarm_base::Duration;

pub use error::{LoadError, LoadErrorKind, LoadErrors};

use crate::model::Registry;
use crate::tree::{Mode, Tree};
use build::Builder;
use source::{Source, Text};

/// Nodes after expansion; uids are 16 bits wide, as in BehaviorTree.CPP.
pub const MAX_NODES: usize = 65_535;
/// Depth after expansion. It bounds the stack of a tick.
pub const MAX_DEPTH: usize = 256;

/// Reads documents and builds a [`Tree`].
///
/// ```
/// use swarm_bt::{LeafModel, Loader, PortType, Registry};
///
/// let registry = Registry::new().leaf(LeafModel::action("MoveTo").input("goal", PortType::Vector));
/// let xml = r#"<root BTCPP_format="4">
///   <BehaviorTree ID="Main"> <MoveTo goal="0.1;0.2;0.3"/> </BehaviorTree>
/// </root>"#;
/// let tree = Loader::new(&registry).document("main.xml", xml).load()?;
/// assert_eq!(tree.nodes().len(), 1);
/// # Ok::<(), swarm_bt::LoadErrors>(())
/// ```
#[derive(Debug)]
pub struct Loader<'a> {
    registry: &'a Registry,
    documents: Vec<(String, &'a str)>,
    main: Option<String>,
    mode: Mode,
    halt_timeout: Option<Duration>,
}

impl<'a> Loader<'a> {
    pub fn new(registry: &'a Registry) -> Self {
        Loader { registry, documents: Vec::new(), main: None, mode: Mode::default(), halt_timeout: None }
    }

    /// Adds a document. The first one says which tree is the main one; the others may hold trees that it uses.
    /// `name` is what `<include path=..>` and messages call it.
    #[must_use]
    pub fn document(mut self, name: impl Into<String>, xml: &'a str) -> Self {
        self.documents.push((name.into(), xml));
        self
    }

    /// Overrides `main_tree_to_execute`.
    #[must_use]
    pub fn main_tree(mut self, id: impl Into<String>) -> Self {
        self.main = Some(id.into());
        self
    }

    /// Whose rules the tree goes by, unless the first document says so itself: `<root BTCPP_format="4" mode="compat">`.
    /// Without either it is [`Mode::Strict`].
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// How long each leaf may take to stop before [`State::overdue`](crate::State::overdue) reports it; an attribute
    /// `_halt_timeout_ms` of a leaf overrides it. Only in [`Mode::Strict`]; without either a leaf may take for ever.
    #[must_use]
    pub fn halt_timeout(mut self, timeout: Duration) -> Self {
        self.halt_timeout = Some(timeout);
        self
    }

    /// Builds the tree, or says everything that is wrong.
    pub fn load(self) -> Result<Tree, LoadErrors> {
        let mut errors = self.check_registry();
        let mut texts = Vec::new();
        for (name, xml) in &self.documents {
            match Text::parse(name, xml) {
                Ok(text) => texts.push(text),
                Err(error) => errors.push(*error),
            }
        }
        let source = Source::scan(&texts, self.registry, &mut errors);
        if texts.len() < self.documents.len() {
            // What the unreadable documents would have defined is unknown, so nothing more can be judged.
            return Err(LoadErrors(errors));
        }
        let Some(main) = self.main.as_deref().or_else(|| source.main_tree()) else {
            let trees = source.trees.keys().map(ToString::to_string).collect();
            errors.push(self.error(LoadErrorKind::NoMainTree { trees }));
            return Err(LoadErrors(errors));
        };

        let mode = source.mode(&mut errors).unwrap_or(self.mode);
        let builder = || Builder::new(self.registry, &source, mode, self.halt_timeout);
        let mut seen = BTreeSet::new();
        let tree = builder().build(main, &mut seen, &mut errors);
        for id in source.trees.keys() {
            if !seen.contains(*id) {
                builder().check(id, &mut seen, &mut errors);
            }
        }
        match tree {
            Some(tree) if errors.is_empty() => Ok(tree),
            _ => Err(LoadErrors(sorted_once(errors))),
        }
    }

    /// A leaf must not hide a built-in node.
    fn check_registry(&self) -> Vec<LoadError> {
        let hidden = self.registry.leaves.iter().filter(|leaf| builtin::find(&leaf.id).is_some());
        hidden.map(|leaf| self.error(LoadErrorKind::HidesBuiltin { id: leaf.id.clone() })).collect()
    }

    /// A mistake that is in no particular line.
    fn error(&self, kind: LoadErrorKind) -> LoadError {
        let document = self.documents.first().map(|(name, _)| name.clone()).unwrap_or_default();
        LoadError { document, line: 0, column: 0, path: String::new(), kind }
    }
}

/// By place; a SubTree that is used twice has its mistakes twice.
fn sorted_once(mut errors: Vec<LoadError>) -> Vec<LoadError> {
    errors.sort_by_cached_key(|e| (e.document.clone(), e.line, e.column, e.kind.to_string()));
    errors.dedup_by(|a, b| {
        (&a.document, a.line, a.column, &a.kind) == (&b.document, b.line, b.column, &b.kind)
    });
    errors
}

/// Whether trees may use a node of that id without a registry.
pub fn is_builtin(id: &str) -> bool {
    builtin::find(id).is_some()
}

/// Names of nodes and trees, as BehaviorTree.CPP has them (`findForbiddenChar`).
fn check_name(name: &str) -> Result<(), String> {
    const FORBIDDEN: &str = " <>&\"'/\\:*?|.";
    if name.is_empty() {
        return Err("is empty".to_owned());
    }
    if matches!(name, "root" | "Root") {
        return Err("is reserved".to_owned());
    }
    match name.chars().find(|&c| c.is_ascii_control() || FORBIDDEN.contains(c)) {
        Some(c) => Err(format!("contains the forbidden character {c:?}")),
        None => Ok(()),
    }
}

/// The most similar name, if one is similar enough for a typing mistake.
fn nearest<'n>(name: &str, among: impl Iterator<Item = &'n str>) -> Option<String> {
    let lower = name.to_lowercase();
    among
        .map(|other| (strsim::damerau_levenshtein(&lower, &other.to_lowercase()), other))
        .filter(|(distance, other)| *distance <= 1 + name.len().max(other.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other.to_owned())
}
