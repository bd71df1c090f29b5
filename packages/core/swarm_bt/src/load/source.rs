//! The documents: parsed, with what they define, and where each thing stands.

use std::collections::BTreeMap;

use roxmltree::{Document, Node, ParsingOptions};

use super::error::{LoadError, LoadErrorKind};
use super::lenient::{MAX_ATTRIBUTES, Mended};
use super::models::SubTreePorts;
use super::{MAX_NODES, builtin, check_name};
use crate::model::Registry;
use crate::tree::Mode;

/// An XML document and its lines.
#[derive(Debug)]
pub(super) struct Text<'d> {
    name: &'d str,
    source: &'d Mended<'d>,
    lines: LineIndex,
    xml: Document<'d>,
}

impl<'d> Text<'d> {
    /// Document type definitions, and with them entities, are refused: they can make a small file arbitrarily large.
    /// `original` is the text as it came, `source` what is parsed.
    pub(super) fn parse(
        name: &'d str,
        original: &str,
        source: &'d Mended<'d>,
    ) -> Result<Self, Box<LoadError>> {
        let lines = LineIndex::new(original);
        if let Some(offset) = source.crowded {
            let (line, column) = lines.at(offset);
            let kind = LoadErrorKind::TooManyAttributes { limit: MAX_ATTRIBUTES };
            let document = name.to_owned();
            return Err(Box::new(LoadError { document, line, column, path: String::new(), kind }));
        }
        // Elements, texts and comments: a tree of the largest size with comments passes.
        let nodes_limit = 4 * MAX_NODES as u32;
        let options = ParsingOptions { allow_dtd: false, nodes_limit, ..ParsingOptions::default() };
        match Document::parse_with_options(&source.text, options) {
            Ok(xml) => Ok(Text { name, source, lines, xml }),
            Err(error) => {
                let at = error.pos();
                let message = error.to_string();
                let message = message.trim_end_matches(&format!(" at {at}"));
                let kind = LoadErrorKind::Xml(message.to_owned());
                Err(Box::new(LoadError {
                    document: name.to_owned(),
                    line: at.row,
                    column: at.col,
                    path: String::new(),
                    kind,
                }))
            }
        }
    }
}

impl<'d> Text<'d> {
    /// The root element; `document` is the place of this text among all.
    pub(super) fn root(&'d self, document: usize) -> Element<'d> {
        Element { xml: self.xml.root_element(), document }
    }

    pub(super) fn line_and_column(&self, at: Place) -> (u32, u32) {
        self.lines.at(self.source.original(at.offset))
    }
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
pub(super) struct Place {
    pub(super) document: usize,
    pub(super) offset: usize,
}

/// An element and the document it is in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'d> {
    xml: Node<'d, 'd>,
    document: usize,
}

impl<'d> Element<'d> {
    pub(super) fn tag(self) -> &'d str {
        self.xml.tag_name().name()
    }

    pub(super) fn place(self) -> Place {
        Place { document: self.document, offset: self.xml.range().start }
    }

    pub(super) fn attribute(self, name: &str) -> Option<&'d str> {
        self.xml.attribute(name)
    }

    pub(super) fn required(self, attribute: &'static str) -> Result<&'d str, LoadErrorKind> {
        let missing = || LoadErrorKind::MissingAttribute { element: self.tag().to_owned(), attribute };
        self.attribute(attribute).ok_or_else(missing)
    }

    /// Name, value and place of every attribute.
    pub(super) fn attributes(self) -> impl Iterator<Item = (&'d str, &'d str, Place)> {
        let document = self.document;
        self.xml.attributes().map(move |a| (a.name(), a.value(), Place { document, offset: a.range().start }))
    }

    pub(super) fn children(self) -> impl Iterator<Item = Element<'d>> {
        let document = self.document;
        self.xml.children().filter(Node::is_element).map(move |xml| Element { xml, document })
    }
}

/// What BehaviorTree.CPP calls a tree without ID.
const ANONYMOUS: &str = "BehaviorTree_0";

/// All documents, and what they define.
#[derive(Debug)]
pub(super) struct Source<'d> {
    texts: &'d [Text<'d>],
    pub(super) trees: BTreeMap<&'d str, Element<'d>>,
    /// The SubTrees of all `<TreeNodesModel>`.
    pub(super) models: BTreeMap<&'d str, SubTreePorts<'d>>,
}

impl<'d> Source<'d> {
    /// Looks through all documents; mistakes are added to `errors`.
    pub(super) fn scan(texts: &'d [Text<'d>], registry: &Registry, errors: &mut Vec<LoadError>) -> Self {
        let mut source = Source { texts, trees: BTreeMap::new(), models: BTreeMap::new() };
        for (document, text) in texts.iter().enumerate() {
            let root = text.root(document);
            if let Err(kind) = check_root(root) {
                errors.push(source.error(root.place(), "", kind));
                continue;
            }
            let mut models = false;
            for child in root.children() {
                let result = match child.tag() {
                    "BehaviorTree" => source.add_tree(child, root, registry),
                    "TreeNodesModel" if models => {
                        let expected = "only one <TreeNodesModel> in a document";
                        Err(LoadErrorKind::Element { element: child.tag().to_owned(), expected })
                    }
                    "TreeNodesModel" => {
                        models = true;
                        source.add_models(child, registry, errors);
                        Ok(())
                    }
                    // `include::gather` has followed it.
                    "include" => Ok(()),
                    other => Err(LoadErrorKind::Element {
                        element: other.to_owned(),
                        expected: "<BehaviorTree>, <TreeNodesModel> or <include>",
                    }),
                };
                if let Err(kind) = result {
                    errors.push(source.error(child.place(), "", kind));
                }
            }
        }
        source
    }

    fn add_tree(
        &mut self,
        tree: Element<'d>,
        root: Element<'d>,
        registry: &Registry,
    ) -> Result<(), LoadErrorKind> {
        // The only tree of a document may do without a name, as in BehaviorTree.CPP: no SubTree can mean it.
        let only = || root.children().filter(|child| child.tag() == "BehaviorTree").count() == 1;
        let id = match tree.attribute("ID") {
            None if only() && !self.trees.contains_key(ANONYMOUS) => ANONYMOUS,
            _ => tree.required("ID")?,
        };
        check_name(id).map_err(|why| LoadErrorKind::TreeName { id: id.to_owned(), why })?;
        if registry.find(id).is_some() || builtin::find(id).is_some() {
            let why = "is the name of a node".to_owned();
            return Err(LoadErrorKind::TreeName { id: id.to_owned(), why });
        }
        if let Some(first) = self.trees.get(id) {
            let first = self.describe(first.place());
            return Err(LoadErrorKind::DuplicateTree { id: id.to_owned(), first });
        }
        self.trees.insert(id, tree);
        Ok(())
    }

    /// What the first document says, if it says anything.
    pub(super) fn mode(&self, errors: &mut Vec<LoadError>) -> Option<Mode> {
        let root = Element { xml: self.texts.first()?.xml.root_element(), document: 0 };
        match root.attribute("mode")? {
            "compat" => Some(Mode::Compat),
            "strict" => Some(Mode::Strict),
            other => {
                let (attribute, value) = ("mode".to_owned(), other.to_owned());
                let expected = "compat or strict".to_owned();
                let kind = LoadErrorKind::Value { attribute, value, expected };
                errors.push(self.error(root.place(), "", kind));
                None
            }
        }
    }

    /// What the first document names, else the only tree there is.
    pub(super) fn main_tree(&self) -> Option<&'d str> {
        let named = self.texts.first()?.xml.root_element().attribute("main_tree_to_execute");
        let mut ids = self.trees.keys().copied();
        let only = ids.next().filter(|_| ids.next().is_none());
        named.or(only)
    }

    pub(super) fn error(&self, at: Place, path: &str, kind: LoadErrorKind) -> LoadError {
        let (document, line, column) = self.locate(at);
        LoadError { document: document.to_owned(), line, column, path: path.to_owned(), kind }
    }

    /// `document:line`, for messages.
    pub(super) fn describe(&self, at: Place) -> String {
        let (document, line, _) = self.locate(at);
        format!("{document}:{line}")
    }

    /// Document, line and column.
    pub(super) fn locate(&self, at: Place) -> (&'d str, u32, u32) {
        let text = &self.texts[at.document];
        let (line, column) = text.line_and_column(at);
        (text.name, line, column)
    }
}

fn check_root(root: Element<'_>) -> Result<(), LoadErrorKind> {
    if root.tag() != "root" {
        return Err(LoadErrorKind::Root { found: root.tag().to_owned() });
    }
    match root.attribute("BTCPP_format") {
        Some("4") => Ok(()),
        Some(other) => Err(LoadErrorKind::Format { found: format!("\"{other}\"") }),
        None => Err(LoadErrorKind::Format { found: "missing".to_owned() }),
    }
}
