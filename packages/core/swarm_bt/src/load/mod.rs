//! BehaviorTree.CPP v4 XML to a [`Tree`].
//!
//! 1. [`include`]: the documents given, and those they include.
//! 2. [`xml`]: every document, parsed; [`source`]: where each `<BehaviorTree>` stands; [`models`]: what `<TreeNodesModel>` says.
//! 3. Choose the main tree.
//! 4. [`build`] expands it: nodes in pre-order, SubTrees in place; [`nodes`] says what each node is, its scripts compiled;
//!    [`scope`] turns blackboard keys into slots.
//! 5. Trees that the main one does not reach are built for their mistakes alone.
//!
//! Loading goes on after a mistake as far as that makes sense, so that all of them are reported at once.

mod build;
mod builtin;
mod error;
mod include;
mod models;
mod nodes;
mod options;
mod scope;
mod source;
mod substitute;
mod xml;

use std::collections::BTreeSet;

use swarm_base::Duration;

pub use error::{IncludeProblem, LoadError, LoadErrorKind, LoadErrors};
pub use include::{Include, Resolve};
pub use xml::{Xml, XmlError, XmlErrorKind};

use crate::model::Registry;
use crate::substitute::Substitutions;
use crate::tree::{Mode, Tree};
use build::Builder;
use source::{Source, Text};

/// Nodes after expansion; uids are 16 bits wide, as in BehaviorTree.CPP.
pub const MAX_NODES: usize = 65_535;
/// Depth after expansion. It bounds the stack of a tick.
pub const MAX_DEPTH: usize = 256;

/// Bytes of attributes after expansion: a short document can use a long script very often.
const MAX_ATTRIBUTE_BYTES: usize = 16 << 20;
/// Bytes of the nodes' paths.
const MAX_PATH_BYTES: usize = 64 << 20;
/// Bytes of an id or a port's name.
const MAX_NAME: usize = 256;
/// Mistakes after which no more are looked for.
const MAX_MISTAKES: usize = 200;

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
    includes: Option<&'a dyn Resolve>,
    main: Option<String>,
    mode: Mode,
    halt_timeout: Option<Duration>,
    substitutions: Substitutions,
}

impl<'a> Loader<'a> {
    pub fn new(registry: &'a Registry) -> Self {
        Loader {
            registry,
            documents: Vec::new(),
            includes: None,
            main: None,
            mode: Mode::default(),
            halt_timeout: None,
            substitutions: Substitutions::default(),
        }
    }

    /// Adds a document. The first one says which tree is the main one; the others may hold trees that it uses.
    /// `name` is what messages call it, and the path that `<include>`s in it are relative to.
    #[must_use]
    pub fn document(mut self, name: impl Into<String>, xml: &'a str) -> Self {
        self.documents.push((name.into(), xml));
        self
    }

    /// Where documents come from that are included and not given. Without it, every included document must be given.
    ///
    /// ```
    /// use swarm_bt::{Include, Loader, Registry};
    ///
    /// let main = r#"<root BTCPP_format="4" main_tree_to_execute="Main">
    ///   <include path="lib.xml"/> <BehaviorTree ID="Main"> <SubTree ID="Wait"/> </BehaviorTree>
    /// </root>"#;
    /// let lib = r#"<root BTCPP_format="4"> <BehaviorTree ID="Wait"> <Sleep msec="10"/> </BehaviorTree> </root>"#;
    /// let archive = |include: Include<'_>| match include.path {
    ///     "trees/lib.xml" => Ok(lib.to_owned()),
    ///     _ => Err("not in the archive".to_owned()),
    /// };
    /// let registry = Registry::new();
    /// let tree = Loader::new(&registry).document("trees/main.xml", main).includes(&archive).load()?;
    /// assert_eq!(tree.nodes().len(), 2);
    /// # Ok::<(), swarm_bt::LoadErrors>(())
    /// ```
    #[must_use]
    pub fn includes(mut self, resolver: &'a dyn Resolve) -> Self {
        self.includes = Some(resolver);
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

    /// How long each leaf may take to stop before [`State::overdue`](crate::State::overdue) reports it, in both modes: it changes no
    /// transition. In [`Mode::Strict`] an attribute `_halt_timeout_ms` of a leaf overrides it. Without either a leaf may take for ever.
    #[must_use]
    pub fn halt_timeout(mut self, timeout: Duration) -> Self {
        self.halt_timeout = Some(timeout);
        self
    }

    /// Replaces nodes, for tests.
    #[must_use]
    pub fn substitute(mut self, substitutions: Substitutions) -> Self {
        self.substitutions = substitutions;
        self
    }

    /// Builds the tree, or says everything that is wrong.
    pub fn load(self) -> Result<Tree, LoadErrors> {
        let mut errors = self.check_registry();
        let mut missing = Vec::new();
        let documents = include::gather(&self.documents, self.includes, &mut missing);
        // That there is too much of it has been said.
        let read = documents.iter().filter(|(_, text)| text.len() <= xml::MAX_BYTES);
        let mended: Vec<_> = read.map(|(name, text)| (name.as_str(), Xml::new(text))).collect();
        let mut texts = Vec::new();
        for (name, xml) in &mended {
            match xml.as_ref().map_err(Clone::clone).and_then(|xml| Text::parse(name, xml)) {
                Ok(text) => texts.push(text),
                Err(error) => missing.push(LoadError::of_xml(name, error)),
            }
        }
        let source = Source::scan(&texts, self.registry, &mut errors);
        if !missing.is_empty() {
            // What the missing documents would have defined is unknown, so nothing more can be judged.
            errors.append(&mut missing);
            return Err(LoadErrors(sorted_once(errors)));
        }
        let Some(main) = self.main.as_deref().or_else(|| source.main_tree()) else {
            let trees = source.trees.keys().map(ToString::to_string).collect();
            errors.push(self.error(LoadErrorKind::NoMainTree { trees }));
            return Err(LoadErrors(errors));
        };

        let mode = source.mode(&mut errors).unwrap_or(self.mode);
        let builder = || Builder::new(self.registry, &source, mode, &self.substitutions, self.halt_timeout);
        let mut seen = BTreeSet::new();
        let tree = builder().build(main, &mut seen, &mut errors);
        for id in source.trees.keys() {
            if !seen.contains(*id) && errors.len() < MAX_MISTAKES {
                builder().check(id, &mut seen, &mut errors);
            }
        }
        match tree {
            Some(tree) if errors.is_empty() => Ok(tree),
            _ => {
                if errors.len() >= MAX_MISTAKES {
                    errors.truncate(MAX_MISTAKES);
                    errors.push(self.error(LoadErrorKind::TooManyMistakes { limit: MAX_MISTAKES }));
                }
                Err(LoadErrors(sorted_once(errors)))
            }
        }
    }

    /// A leaf must not hide a built-in node; its id and its ports must be such that XML can name them.
    fn check_registry(&self) -> Vec<LoadError> {
        let mut errors = Vec::new();
        for leaf in &self.registry.leaves {
            if builtin::find(&leaf.id).is_some() {
                errors.push(self.error(LoadErrorKind::HidesBuiltin { id: leaf.id.clone() }));
            }
            let mut refuse = |why| errors.push(self.error(LoadErrorKind::Leaf { id: leaf.id.clone(), why }));
            if let Err(why) = check_name(&leaf.id) {
                refuse(format!("its id {why}"));
            }
            for (at, port) in leaf.ports.iter().enumerate() {
                if let Err(why) = check_port_name(&port.name) {
                    refuse(format!("port name '{}' {why}", port.name));
                }
                if leaf.ports[..at].iter().any(|other| other.name == port.name) {
                    refuse(format!("port '{}' is declared twice", port.name));
                }
            }
        }
        errors
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

/// The ids of the nodes that trees may use without a registry.
pub fn builtins() -> impl Iterator<Item = &'static str> {
    builtin::BUILTINS.iter().map(|builtin| builtin.id)
}

/// Whether trees may use a node of that id without a registry.
pub fn is_builtin(id: &str) -> bool {
    builtin::find(id).is_some()
}

/// Names of nodes and trees, as BehaviorTree.CPP has them (`docs/name_validation_rules.md`).
fn check_name(name: &str) -> Result<(), String> {
    if matches!(name, "root" | "Root") {
        return Err("is reserved".to_owned());
    }
    check_characters(name)
}

/// Names of ports, by the same rules.
fn check_port_name(name: &str) -> Result<(), String> {
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err("begins with a digit".to_owned());
    }
    if matches!(name, "name" | "ID") || name.starts_with('_') {
        return Err("is reserved".to_owned());
    }
    check_characters(name)
}

fn check_characters(name: &str) -> Result<(), String> {
    const FORBIDDEN: &str = " <>&\"'/\\:*?|.";
    if name.is_empty() {
        return Err("is empty".to_owned());
    }
    if name.len() > MAX_NAME {
        return Err(format!("is longer than {MAX_NAME} bytes"));
    }
    match name.chars().find(|&c| c.is_ascii_control() || FORBIDDEN.contains(c)) {
        Some(c) => Err(format!("contains the forbidden character {c:?}")),
        None => Ok(()),
    }
}

/// The most similar name, if one is similar enough for a typing mistake. Of very many names only the first are looked at, so
/// that a large document full of mistakes does not take long to refuse.
fn nearest<'n>(name: &str, among: impl Iterator<Item = &'n str>) -> Option<String> {
    const MANY: usize = 2000;
    if name.len() > MAX_NAME {
        return None;
    }
    let lower = name.to_lowercase();
    among
        .take(MANY)
        .map(|other| (other, 1 + name.len().max(other.len()) / 4))
        .filter(|(other, distance)| name.len().abs_diff(other.len()) <= *distance)
        .map(|(other, allowed)| (strsim::damerau_levenshtein(&lower, &other.to_lowercase()), allowed, other))
        .filter(|(distance, allowed, _)| distance <= allowed)
        .min_by_key(|(distance, ..)| *distance)
        .map(|(.., other)| other.to_owned())
}
