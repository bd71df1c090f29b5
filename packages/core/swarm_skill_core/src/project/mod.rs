//! One document for all roles, and what becomes of it in the tree of each: projection, text to text, before a tree is loaded.
//!
//! 1. `<SubTree ID="X" role="leader"/>` (a list is separated by `;`) stands only in the trees of the roles named. What has no `role` is in
//!    the trees of all. Only SubTrees have the attribute: on a leaf, `role` is a port.
//! 2. Nodes that several roles do together are written as what BehaviorTree.CPP knows, around leaves of the [registry](crate::registry):
//!
//! | node | children | becomes |
//! |---|---|---|
//! | `Lease resource timeout_s` | one | acquire; then the child beside a leaf that keeps the lease, and gives it back however the child ends, once the arm stands |
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

use roxmltree::Node;
use swarm_base::{ParseRoleError, Role};
use swarm_bt::{Xml, XmlError, XmlErrorKind};

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
    #[error(transparent)]
    Xml(XmlErrorKind),
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

/// Mistakes after which no more are looked for.
const MAX_MISTAKES: usize = 200;

/// The document as `role` has it. `name` is what errors call it. What is not written otherwise stays as its author wrote it.
pub fn project(name: &str, xml: &str, role: Role) -> Result<String, ProjectErrors> {
    let malformed = |XmlError { line, column, kind }| {
        let kind = ProjectErrorKind::Xml(kind);
        ProjectErrors(vec![ProjectError { document: name.to_owned(), line, column, kind }])
    };
    let xml = Xml::new(xml).map_err(malformed)?;
    let document = xml.parse().map_err(malformed)?;
    let mut projection = Projection { role, xml: &xml, edits: Vec::new(), errors: Vec::new() };
    projection.visit(document.root_element());
    if projection.errors.is_empty() {
        return Ok(projection.written());
    }
    let place = |(offset, kind): (usize, ProjectErrorKind)| {
        let (line, column) = xml.line_and_column(offset);
        ProjectError { document: name.to_owned(), line, column, kind }
    };
    Err(ProjectErrors(projection.errors.into_iter().map(place).collect()))
}

struct Projection<'x> {
    role: Role,
    xml: &'x Xml<'x>,
    /// Of the original, in the order of the text, none within another.
    edits: Vec<(Range<usize>, String)>,
    /// With offsets of the parsed document.
    errors: Vec<(usize, ProjectErrorKind)>,
}

impl Projection<'_> {
    /// Elements below the root, without recursion. Of what is gone nothing is looked at.
    fn visit(&mut self, root: Node<'_, '_>) {
        let mut open = vec![root];
        while let Some(element) = open.pop().filter(|_| self.errors.len() < MAX_MISTAKES) {
            let answer = match element.tag_name().name() {
                "SubTree" => self.subtree(element),
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

    /// Whether nothing of it is left to look at.
    fn subtree(&mut self, element: Node<'_, '_>) -> Result<bool, ProjectErrorKind> {
        let Some(attribute) = element.attribute_node("role") else { return Ok(false) };
        let names = attribute.value().split(';').map(str::trim).filter(|name| !name.is_empty());
        let parsed = names.map(str::parse).collect::<Result<Vec<Role>, _>>();
        let roles = parsed
            .map_err(|source| ProjectErrorKind::Role { found: attribute.value().to_owned(), source })?;
        if roles.is_empty() {
            return Err(ProjectErrorKind::NoRole);
        }
        let gone = !roles.contains(&self.role);
        self.replace(if gone { element.range() } else { attribute.range() }, "");
        Ok(gone)
    }

    /// What stands in `range` of the parsed document, as it was written.
    fn original(&self, range: &Range<usize>) -> (Range<usize>, &str) {
        let range = self.xml.original_offset(range.start)..self.xml.original_offset(range.end);
        (range.clone(), &self.xml.original()[range])
    }

    /// Lines stay what they were.
    fn replace(&mut self, range: Range<usize>, by: &str) {
        let (range, text) = self.original(&range);
        let lines = text.matches('\n').count();
        self.edits.push((range, format!("{by}{}", "\n".repeat(lines))));
    }

    fn written(mut self) -> String {
        // An insertion and a replacement may begin at one place; what was put there first comes first.
        self.edits.sort_by_key(|(range, _)| (range.start, range.end));
        let original = self.xml.original();
        let mut text = String::with_capacity(original.len() + 64 * self.edits.len());
        let mut at = 0;
        for (range, by) in self.edits {
            text.push_str(&original[at..range.start]);
            text.push_str(&by);
            at = range.end;
        }
        text.push_str(&original[at..]);
        text
    }
}

#[cfg(test)]
mod tests;
