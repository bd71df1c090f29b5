//! The documents: parsed, with what they define, and where each thing stands.

use std::collections::BTreeMap;

use roxmltree::{Document, Node};

use super::error::{LoadError, LoadErrorKind};
use super::models::SubTreePorts;
use super::xml::{Xml, XmlError};
use super::{builtin, check_name};
use crate::model::Registry;
use crate::tree::Mode;

/// A document, parsed.
#[derive(Debug)]
pub(super) struct Text<'d> {
    name: &'d str,
    source: &'d Xml<'d>,
    xml: Document<'d>,
}

impl<'d> Text<'d> {
    pub(super) fn parse(name: &'d str, source: &'d Xml<'d>) -> Result<Self, XmlError> {
        Ok(Text { name, source, xml: source.parse()? })
    }

    /// The root element; `document` is the place of this text among all.
    pub(super) fn root(&'d self, document: usize) -> Element<'d> {
        Element { xml: self.xml.root_element(), document }
    }

    pub(super) fn line_and_column(&self, at: Place) -> (u32, u32) {
        self.source.line_and_column(at.offset)
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
