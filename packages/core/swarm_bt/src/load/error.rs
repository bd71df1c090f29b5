//! What can be wrong with a tree, and where.

use std::fmt;

use super::xml::{XmlError, XmlErrorKind};
use crate::script::SyntaxError;
use crate::value::PortType;

/// All that is wrong with a set of documents; never empty.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadErrors(pub Vec<LoadError>);

impl fmt::Display for LoadErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            write!(f, "{}{error}", if i == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadErrors {}

/// One mistake and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadError {
    pub document: String,
    /// From 1 on; 0 where the mistake is in no particular line.
    pub line: u32,
    pub column: u32,
    /// Tree and elements down to the mistake, as `MainTree/Sequence/MoveTo`; empty outside of a tree.
    pub path: String,
    pub kind: LoadErrorKind,
}

impl LoadError {
    pub(super) fn of_xml(document: &str, error: XmlError) -> Self {
        let XmlError { line, column, kind } = error;
        let kind = LoadErrorKind::Xml(kind);
        LoadError { document: document.to_owned(), line, column, path: String::new(), kind }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.document)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.kind)?;
        if !self.path.is_empty() {
            write!(f, " (in {})", self.path)?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.kind.source_error()
    }
}

/// The mistakes.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LoadErrorKind {
    #[error(transparent)]
    Xml(XmlErrorKind),
    #[error("the root element is <{found}>, expected <root BTCPP_format=\"4\">")]
    Root { found: String },
    #[error("BTCPP_format is {found}, only \"4\" is understood: write <root BTCPP_format=\"4\">")]
    Format { found: String },
    #[error("<{element}> is not allowed here; expected {expected}")]
    Element { element: String, expected: &'static str },
    #[error("<{element}> needs attribute {attribute}")]
    MissingAttribute { element: String, attribute: &'static str },
    #[error("leaf '{id}' of the registry has the name of a built-in node")]
    HidesBuiltin { id: String },
    #[error("'{id}' is a tree, not a node: write <SubTree ID=\"{id}\"/>")]
    TreeAsNode { id: String },
    #[error("unknown node '{id}'{}", did_you_mean(.nearest.as_deref()))]
    UnknownNode { id: String, nearest: Option<String> },
    #[error("node '{id}' is not supported: {why}")]
    Unsupported { id: String, why: &'static str },
    #[error("node '{id}' has no port '{port}'{}", did_you_mean(.nearest.as_deref()))]
    UnknownPort { id: String, port: String, nearest: Option<String> },
    #[error("a substitution rule puts unknown node '{id}' here{}", did_you_mean(.nearest.as_deref()))]
    UnknownReplacement { id: String, nearest: Option<String> },
    #[error("unknown attribute '{attribute}'{}", did_you_mean(Some(.nearest)))]
    UnknownAttribute { attribute: String, nearest: String },
    #[error("attribute ID is not allowed in <{element}>: use name, or the form <Action ID=\"{element}\">")]
    IdNotAllowed { element: String },
    #[error("'{id}' has {found} children, expected {expected}")]
    Children { id: String, found: usize, expected: &'static str },
    #[error(
        "a ReactiveSequence cannot have more than one AsyncSequence: the first that yields halts the others"
    )]
    TwoAsync,
    #[error("tree '{id}' is not defined{}", did_you_mean(.nearest.as_deref()))]
    UnknownTree { id: String, nearest: Option<String> },
    #[error("tree '{id}' is defined twice; the first is at {first}")]
    DuplicateTree { id: String, first: String },
    #[error("tree id '{id}' {why}")]
    TreeName { id: String, why: String },
    #[error("node id '{id}' {why}")]
    NodeName { id: String, why: String },
    #[error("port name '{port}' {why}")]
    PortName { port: String, why: String },
    #[error("name=\"{}\" contains a control character", .name.escape_debug())]
    InstanceName { name: String },
    #[error("leaf '{id}' of the registry: {why}")]
    Leaf { id: String, why: String },
    #[error(
        "TreeNodesModel has port '{port}' of '{id}' as {modelled}, the registry as {registered}: export the models again"
    )]
    ModelDiffers { id: String, port: String, modelled: String, registered: String },
    #[error("another SubTree here has the path '{path}' too: give each a name of its own, or none")]
    DuplicatePath { path: String },
    #[error("tree contains itself: {}", .cycle.join(" -> "))]
    Cycle { cycle: Vec<String> },
    #[error("which tree is the main one? Set main_tree_to_execute to one of: {}", .trees.join(", "))]
    NoMainTree { trees: Vec<String> },
    #[error("more than {limit} nodes after all SubTrees are expanded")]
    TooManyNodes { limit: usize },
    #[error("nested more than {limit} deep after all SubTrees are expanded")]
    TooDeep { limit: usize },
    #[error("{attribute}: {error}")]
    Script { attribute: String, error: SyntaxError },
    #[error("{attribute}=\"{value}\" is not {expected}")]
    Value { attribute: String, value: String, expected: String },
    #[error("output port '{port}' needs a blackboard entry in braces, as {{entry}}, not \"{value}\"")]
    OutputLiteral { port: String, value: String },
    #[error(
        "blackboard entry '{key}' is {} (first used at {first}) but port '{port}' is {}",
        .declared.with_article(), .wanted.with_article()
    )]
    TypeClash { key: String, declared: PortType, first: String, port: String, wanted: PortType },
    #[error(
        "SubTree '{id}' declares port '{port}' in TreeNodesModel without a default, but it is not remapped here"
    )]
    MissingRemap { id: String, port: String },
    #[error("{id} has {children} children, so {attribute}={threshold} can never be reached")]
    Threshold { id: String, attribute: &'static str, threshold: i64, children: usize },
    #[error("<include path=\"{path}\">: {why}")]
    Include { path: String, why: IncludeProblem },
    #[error("blackboard key '{key}' has '@' inside; only at the beginning it means the main tree's entry")]
    Key { key: String },
    #[error("more than {limit} bytes of {what} after all SubTrees are expanded")]
    TooMuch { what: &'static str, limit: usize },
    #[error("more than {limit} mistakes; these are the first")]
    TooManyMistakes { limit: usize },
    #[error("the documents of this tree have more than {limit} bytes together")]
    TooLarge { limit: usize },
}

/// Why an included document cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IncludeProblem {
    #[error("the path leaves the place that holds the tree; only relative paths below it are read")]
    Outside,
    #[error("'{name}' was not given to the loader")]
    NotGiven { name: String },
    #[error("cannot read '{name}': {reason}")]
    Unreadable { name: String, reason: String },
    #[error("documents include each other: {}", .0.join(" -> "))]
    Cycle(Vec<String>),
    #[error("included more than {limit} deep")]
    TooDeep { limit: usize },
    #[error("more than {limit} documents")]
    TooMany { limit: usize },
}

impl LoadErrorKind {
    fn source_error(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LoadErrorKind::Script { error, .. } => Some(error),
            _ => None,
        }
    }
}

fn did_you_mean(name: Option<&str>) -> String {
    name.map(|name| format!("; did you mean '{name}'?")).unwrap_or_default()
}
