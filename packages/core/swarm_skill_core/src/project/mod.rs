//! One document for all roles, and what becomes of it in the tree of each: projection, text to text, before a tree is loaded.
//!
//! 1. `<SubTree ID="X" role="leader"/>` (a list is separated by `;`) stands only in the trees of the roles named. What has no `role` is in
//!    the trees of all. Only SubTrees have the attribute: on a leaf, `role` is a port.
//! 2. Nodes that several roles do together are written as what BehaviorTree.CPP knows, around leaves of the [registry](crate::registry):
//!
//! | node | children | becomes |
//! |---|---|---|
//! | `Lease resource timeout_s` | one | acquire; then the child beside a leaf that keeps the lease, and gives it back however the child ends |
//! | `Handover item from to timeout_s` | one: how this role lets go, or takes hold | wait for the other role; the child; tell it. In a third role's tree: `AlwaysSuccess` |
//! | `ProgressSync work value delta roles` | one | the child beside a leaf that reports `value` |
//! | `OnRoleLost role` | two: what to do when it is lost, what to do else | watch the role; FAILURE after the first child |
//!
//! `name` and pre- and post-conditions go to the outermost node. Lines stay what they were, so that every later error points to
//! the line that its author wrote.
//!
//! An artifact may as well have one document per role: projecting it changes nothing that carries no role.
//!
//! # Entries that roles share
//!
//! Entries of the main tree whose key begins with `cell_` are shared by all roles, those with `role_` by all who play one role in turn
//! (from a SubTree: `{@cell_goal}`); all others are local. [`check_entries`] refuses a tree that reads what only another role writes as
//! its own.

mod entries;
mod nodes;

use std::fmt;
use std::ops::Range;

use roxmltree::{Document, Node, ParsingOptions};
use swarm_base::{ParseRoleError, Role};

pub use entries::{EntryProblem, RoleDocuments, check_entries};

/// A mistake, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{document}:{line}:{column}: {kind}")]
pub struct ProjectError {
    pub document: String,
    /// From 1 on.
    pub line: u32,
    pub column: u32,
    pub kind: ProjectErrorKind,
}

/// What cannot be projected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProjectErrorKind {
    #[error("not well-formed XML: {0}")]
    Xml(String),
    #[error("role=\"{found}\": {source}")]
    Role { found: String, source: ParseRoleError },
    #[error("role=\"\" names no role; leave the attribute out for all roles")]
    NoRole,
    #[error("<{element}> needs attribute {attribute}")]
    Missing { element: String, attribute: &'static str },
    #[error("<{element}> has no attribute '{attribute}'; it has {known}")]
    Unknown { element: String, attribute: String, known: String },
    #[error("<{element}> has {found} children, expected {expected}")]
    Children { element: String, found: usize, expected: &'static str },
    #[error("<Handover> from {0} to itself")]
    ToItself(Role),
}

/// Every mistake of a document; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectErrors(pub Vec<ProjectError>);

impl fmt::Display for ProjectErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            write!(f, "{}{error}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for ProjectErrors {}

/// Elements and texts of a document at most; the loader's own bound on nodes is lower.
const MOST_XML_NODES: u32 = 300_000;

/// The document as `role` has it. `name` is what errors call it.
pub fn project(name: &str, xml: &str, role: Role) -> Result<String, ProjectErrors> {
    let document = parse(xml).map_err(|(line, column, kind)| {
        ProjectErrors(vec![ProjectError { document: name.to_owned(), line, column, kind }])
    })?;
    let mut projection = Projection { role, xml, edits: Vec::new(), errors: Vec::new() };
    projection.visit(document.root_element());
    if projection.errors.is_empty() {
        return Ok(projection.written());
    }
    let place = |(offset, kind): (usize, ProjectErrorKind)| {
        let at = document.text_pos_at(offset);
        ProjectError { document: name.to_owned(), line: at.row, column: at.col, kind }
    };
    Err(ProjectErrors(projection.errors.into_iter().map(place).collect()))
}

/// Document type definitions are refused, as by the loader.
fn parse(xml: &str) -> Result<Document<'_>, (u32, u32, ProjectErrorKind)> {
    let options =
        ParsingOptions { allow_dtd: false, nodes_limit: MOST_XML_NODES, ..ParsingOptions::default() };
    Document::parse_with_options(xml, options)
        .map_err(|error| (error.pos().row, error.pos().col, ProjectErrorKind::Xml(error.to_string())))
}

struct Projection<'x> {
    role: Role,
    xml: &'x str,
    /// In the order of the text, none within another.
    edits: Vec<(Range<usize>, String)>,
    errors: Vec<(usize, ProjectErrorKind)>,
}

impl Projection<'_> {
    /// Elements below the root, without recursion: a document may be nested as deep as it likes.
    fn visit(&mut self, root: Node<'_, '_>) {
        let mut open = vec![root];
        while let Some(element) = open.pop() {
            let answer = match element.tag_name().name() {
                "SubTree" => self.subtree(element).map(|()| false),
                _ => nodes::expand(self, element),
            };
            match answer {
                Ok(gone) if gone => continue,
                Ok(_) => {}
                Err(kind) => self.errors.push((element.range().start, kind)),
            }
            open.extend(element.children().filter(Node::is_element));
        }
    }

    fn subtree(&mut self, element: Node<'_, '_>) -> Result<(), ProjectErrorKind> {
        let Some(attribute) = element.attribute_node("role") else { return Ok(()) };
        let names = attribute.value().split(';').map(str::trim).filter(|name| !name.is_empty());
        let parsed = names.map(str::parse).collect::<Result<Vec<Role>, _>>();
        let roles = parsed
            .map_err(|source| ProjectErrorKind::Role { found: attribute.value().to_owned(), source })?;
        if roles.is_empty() {
            return Err(ProjectErrorKind::NoRole);
        }
        if roles.contains(&self.role) {
            self.replace(attribute.range(), "");
        } else {
            self.replace(element.range(), "");
        }
        Ok(())
    }

    /// Lines stay what they were.
    fn replace(&mut self, range: Range<usize>, by: &str) {
        let lines = self.xml[range.clone()].matches('\n').count();
        self.edits.push((range, format!("{by}{}", "\n".repeat(lines))));
    }

    fn written(mut self) -> String {
        // An insertion and a replacement may begin at one place; what was put there first comes first.
        self.edits.sort_by_key(|(range, _)| (range.start, range.end));
        let mut text = String::with_capacity(self.xml.len() + 64 * self.edits.len());
        let mut at = 0;
        for (range, by) in self.edits {
            text.push_str(&self.xml[at..range.start]);
            text.push_str(&by);
            at = range.end;
        }
        text.push_str(&self.xml[at..]);
        text
    }
}

#[cfg(test)]
mod tests;
