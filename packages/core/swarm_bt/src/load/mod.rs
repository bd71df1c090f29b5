//! BehaviorTree.CPP v4 XML to a [`Tree`].
//!
//! 1. Parse every document, note where each `<BehaviorTree>` and each SubTree model stands.
//! 2. Choose the main tree.
//! 3. [`build`] expands it: nodes in pre-order, SubTrees in place, names to slots ([`scope`]), scripts compiled.
//! 4. Trees that the main one does not reach are built once for their mistakes, and thrown away.
//!
//! Loading goes on after a mistake as far as that makes sense, so that all of them are reported at once.

mod build;
mod builtin;
mod error;
mod scope;

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::{Document, Node, ParsingOptions};

pub use error::{LoadError, LoadErrorKind, LoadErrors};

use crate::model::Registry;
use crate::tree::Tree;
use build::Builder;

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
}

impl<'a> Loader<'a> {
    pub fn new(registry: &'a Registry) -> Self {
        Loader { registry, documents: Vec::new(), main: None }
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

    /// Builds the tree, or says everything that is wrong.
    pub fn load(self) -> Result<Tree, LoadErrors> {
        let mut errors = Vec::new();
        let mut parsed = Vec::new();
        for (name, xml) in &self.documents {
            match read(xml) {
                Ok(document) => parsed.push((name.as_str(), LineIndex::new(xml), document)),
                Err((line, column, message)) => errors.push(LoadError {
                    document: name.clone(),
                    line,
                    column,
                    path: String::new(),
                    kind: LoadErrorKind::Xml(message),
                }),
            }
        }
        let mut source = Source { documents: &parsed, trees: BTreeMap::new(), models: BTreeMap::new() };
        source.scan(self.registry, &mut errors);
        if parsed.len() < self.documents.len() {
            // Half the trees are missing: what they would have defined cannot be judged.
            return Err(LoadErrors(errors));
        }

        let main = match self.main.or_else(|| source.main_tree()) {
            Some(main) => main,
            None => {
                let kind = LoadErrorKind::NoMainTree {
                    trees: source.trees.keys().map(ToString::to_string).collect(),
                };
                errors.push(LoadError {
                    document: self.documents.first().map(|d| d.0.clone()).unwrap_or_default(),
                    line: 0,
                    column: 0,
                    path: String::new(),
                    kind,
                });
                return Err(LoadErrors(errors));
            }
        };
        let mut seen = BTreeSet::new();
        let tree = Builder::new(self.registry, &source).build(&main, &mut seen, &mut errors);
        for id in source.trees.keys() {
            if !seen.contains(*id) {
                Builder::new(self.registry, &source).build(id, &mut seen, &mut errors);
            }
        }

        if errors.is_empty() {
            // `build` gives no tree only when it has reported why.
            return tree.ok_or(LoadErrors(errors));
        }
        // A SubTree used twice has its mistakes twice.
        let mut once: Vec<LoadError> = Vec::new();
        for error in errors {
            let same = |e: &LoadError| {
                (&e.document, e.line, e.column, &e.kind)
                    == (&error.document, error.line, error.column, &error.kind)
            };
            if !once.iter().any(same) {
                once.push(error);
            }
        }
        once.sort_by(|a, b| (&a.document, a.line, a.column).cmp(&(&b.document, b.line, b.column)));
        Err(LoadErrors(once))
    }
}

/// The XML, or line, column and message of what is wrong with it. Document type definitions (and with them entities)
/// are refused, and so is absurd nesting, before the reader recurses into it.
fn read(xml: &str) -> Result<Document<'_>, (u32, u32, String)> {
    const DEEPEST: usize = 2 * MAX_DEPTH;
    let bytes = xml.as_bytes();
    let mut depth = 0usize;
    for (i, &byte) in bytes.iter().enumerate() {
        match (byte, bytes.get(i + 1)) {
            (b'<', Some(b'/')) | (b'/', Some(b'>')) => depth = depth.saturating_sub(1),
            (b'<', Some(b'!' | b'?')) => {}
            (b'<', _) => depth += 1,
            _ => {}
        }
        if depth > DEEPEST {
            let (line, column) = LineIndex::new(xml).at(i);
            return Err((line, column, format!("elements are nested more than {DEEPEST} deep")));
        }
    }
    let options =
        ParsingOptions { allow_dtd: false, nodes_limit: 4 * MAX_NODES as u32, ..ParsingOptions::default() };
    Document::parse_with_options(xml, options).map_err(|error| {
        let at = error.pos();
        (at.row, at.col, error.to_string())
    })
}

/// Byte offsets to lines and columns.
#[derive(Debug)]
struct LineIndex(Vec<usize>);

impl LineIndex {
    fn new(text: &str) -> Self {
        LineIndex(std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i + 1)).collect())
    }

    /// Line and column from 1 on; columns count bytes.
    fn at(&self, offset: usize) -> (u32, u32) {
        let line = self.0.partition_point(|&start| start <= offset);
        (line as u32, (offset - self.0[line - 1] + 1) as u32)
    }
}

/// Where something stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    document: usize,
    offset: usize,
}

/// All documents, and what they define.
#[derive(Debug)]
struct Source<'d> {
    documents: &'d [(&'d str, LineIndex, Document<'d>)],
    trees: BTreeMap<&'d str, (usize, Node<'d, 'd>)>,
    /// Ports of SubTrees in `<TreeNodesModel>` and their defaults.
    models: BTreeMap<&'d str, Vec<(&'d str, Option<&'d str>)>>,
}

impl<'d> Source<'d> {
    fn scan(&mut self, registry: &Registry, errors: &mut Vec<LoadError>) {
        for (document, (_, _, xml)) in self.documents.iter().enumerate() {
            let root = xml.root_element();
            let at = Place { document, offset: root.range().start };
            if root.tag_name().name() != "root" {
                errors.push(self.error(
                    at,
                    "",
                    LoadErrorKind::Root { found: root.tag_name().name().to_owned() },
                ));
                continue;
            }
            if root.attribute("BTCPP_format") != Some("4") {
                let found =
                    root.attribute("BTCPP_format").map_or("missing".to_owned(), |f| format!("\"{f}\""));
                errors.push(self.error(at, "", LoadErrorKind::Format { found }));
                continue;
            }
            for child in root.children().filter(Node::is_element) {
                let at = Place { document, offset: child.range().start };
                let result = match child.tag_name().name() {
                    "BehaviorTree" => self.scan_tree(document, child, registry),
                    "TreeNodesModel" => self.scan_models(child),
                    "include" => self.check_include(child),
                    other => Err(LoadErrorKind::Element {
                        element: other.to_owned(),
                        expected: "<BehaviorTree>, <TreeNodesModel> or <include>",
                    }),
                };
                if let Err(kind) = result {
                    errors.push(self.error(at, "", kind));
                }
            }
        }
    }

    fn scan_tree(
        &mut self,
        document: usize,
        node: Node<'d, 'd>,
        registry: &Registry,
    ) -> Result<(), LoadErrorKind> {
        let id = node.attribute("ID").ok_or_else(|| LoadErrorKind::MissingAttribute {
            element: "BehaviorTree".to_owned(),
            attribute: "ID",
        })?;
        check_name(id).map_err(|why| LoadErrorKind::TreeName { id: id.to_owned(), why })?;
        if registry.find(id).is_some() || builtin::find(id).is_some() {
            let why = "is the name of a node".to_owned();
            return Err(LoadErrorKind::TreeName { id: id.to_owned(), why });
        }
        if let Some(&(first, node)) = self.trees.get(id) {
            let first = self.place(Place { document: first, offset: node.range().start });
            return Err(LoadErrorKind::DuplicateTree { id: id.to_owned(), first });
        }
        self.trees.insert(id, (document, node));
        Ok(())
    }

    /// Only SubTree models mean something to the engine; the others are there for editors.
    fn scan_models(&mut self, models: Node<'d, 'd>) -> Result<(), LoadErrorKind> {
        for model in models.children().filter(Node::is_element) {
            let Some(id) = model.attribute("ID") else {
                let element = model.tag_name().name().to_owned();
                return Err(LoadErrorKind::MissingAttribute { element, attribute: "ID" });
            };
            if model.tag_name().name() != "SubTree" {
                continue;
            }
            let ports = model.children().filter(Node::is_element);
            let ports = ports.filter_map(|port| Some((port.attribute("name")?, port.attribute("default"))));
            self.models.insert(id, ports.collect());
        }
        Ok(())
    }

    fn check_include(&self, include: Node<'d, 'd>) -> Result<(), LoadErrorKind> {
        let path = include.attribute("path").ok_or_else(|| LoadErrorKind::MissingAttribute {
            element: "include".to_owned(),
            attribute: "path",
        })?;
        let known =
            self.documents.iter().any(|(name, ..)| *name == path || name.ends_with(&format!("/{path}")));
        if known { Ok(()) } else { Err(LoadErrorKind::Include { path: path.to_owned() }) }
    }

    fn main_tree(&self) -> Option<String> {
        let first = self.documents.first()?;
        let named = first.2.root_element().attribute("main_tree_to_execute");
        let only = || (self.trees.len() == 1).then(|| self.trees.keys().next().copied()).flatten();
        named.or_else(only).map(str::to_owned)
    }

    fn error(&self, at: Place, path: &str, kind: LoadErrorKind) -> LoadError {
        let (name, lines, _) = &self.documents[at.document];
        let (line, column) = lines.at(at.offset);
        LoadError { document: (*name).to_owned(), line, column, path: path.to_owned(), kind }
    }

    /// `document:line`, for messages.
    fn place(&self, at: Place) -> String {
        let (name, lines, _) = &self.documents[at.document];
        format!("{name}:{}", lines.at(at.offset).0)
    }
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
