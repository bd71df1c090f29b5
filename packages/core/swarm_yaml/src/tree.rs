//! YAML text into a tree whose nodes know their place.
//!
//! Built from the parser's events and not from ready-made documents, because those keep only one of two fields of the same
//! name, and unfold aliases without a bound.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use crate::mistake::Mistake;
use crate::scalar;

/// Deepest nesting of lists and mappings. Deeper recursion would be a stranger's way into the stack.
pub const MAX_DEPTH: usize = 32;

/// Largest document: the bytes of its texts and names and 16 for each of them, with every alias counted as what it stands
/// for. A manifest with the most files that an artifact may have is a fifth of it.
pub const MAX_SIZE: usize = 2 << 20;

/// What a value or a name weighs beside its text, in bytes of [`MAX_SIZE`].
const NODE_SIZE: usize = 16;

/// Place in the text; both count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl From<Marker> for Mark {
    fn from(marker: Marker) -> Self {
        Self { line: marker.line(), column: marker.col() + 1 }
    }
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub(crate) mark: Mark,
    pub(crate) value: Value,
}

/// What may stand in a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    /// May be infinite or not a number.
    Number(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order of the text; a name may stand twice.
    Mapping(Vec<Entry>),
}

/// A name in a mapping and what stands behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub(crate) mark: Mark,
    pub(crate) name: String,
    pub(crate) node: Node,
}

/// Reads the one document of `text`.
pub(crate) fn parse(text: &str) -> Result<Node, Mistake> {
    let mut builder = Builder { open: Vec::new(), anchors: BTreeMap::new(), root: None, room: MAX_SIZE };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            // A list that nobody closes is missed at the end of the file; the way back to it is worth telling.
            let at: Mark = (*error.marker()).into();
            let within = match builder.open.last() {
                Some(Open { mark, .. }) if mark.line != at.line => {
                    format!(" (in what begins on line {}, column {})", mark.line, mark.column)
                }
                _ => String::new(),
            };
            Mistake::new(at, "", &format!("not YAML: {}{within}", error.info()))
        })?;
        let mark = span.start.into();
        builder.take(event, mark).map_err(|Refused(problem)| Mistake::new(mark, "", problem))?;
    }
    let start = Mark { line: 1, column: 1 };
    builder.root.ok_or_else(|| Mistake::new(start, "", "the file is empty"))
}

/// Why a text that is YAML is not read.
struct Refused(&'static str);

const TOO_DEEP: Refused =
    Refused("nested too deeply; at most 32 lists and mappings may stand in one another");
const TOO_LARGE: Refused =
    Refused("the document is too large; with all aliases written out it may have 2 MiB, 16 bytes per value");

/// A list or mapping that is being filled.
struct Open {
    mark: Mark,
    anchor: usize,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    /// With the name whose value comes next.
    Mapping(Vec<Entry>, Option<(Mark, String)>),
}

struct Builder {
    open: Vec<Open>,
    /// What is complete and has an anchor, by the parser's number for it; 0 is no anchor.
    anchors: BTreeMap<usize, Node>,
    root: Option<Node>,
    /// What is left of [`MAX_SIZE`].
    room: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, mark: Mark) -> Result<(), Refused> {
        match event {
            Event::Scalar(.., Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => {
                Err(Refused("a tag (!name); the form of the file says what each value is"))
            }
            Event::Scalar(text, style, anchor, None) => {
                self.spend(NODE_SIZE + text.len())?;
                if let Some(name) = self.missing_name() {
                    *name = Some((mark, text.into_owned()));
                    return Ok(());
                }
                let value = match style {
                    ScalarStyle::Plain => scalar::plain(&text),
                    _ => Value::Text(text.into_owned()),
                };
                self.add(Node { mark, value }, anchor)
            }
            Event::SequenceStart(anchor, None) => self.open(mark, anchor, OpenKind::List(Vec::new())),
            Event::MappingStart(anchor, None) => self.open(mark, anchor, OpenKind::Mapping(Vec::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => {
                // The parser never ends what it did not start.
                let Some(Open { mark, anchor, kind }) = self.open.pop() else { return Ok(()) };
                let value = match kind {
                    OpenKind::List(items) => Value::List(items),
                    OpenKind::Mapping(entries, _) => Value::Mapping(entries),
                };
                self.add(Node { mark, value }, anchor)
            }
            Event::Alias(anchor) => self.alias(anchor),
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(Refused("a second document; a file has one"))
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn open(&mut self, mark: Mark, anchor: usize, kind: OpenKind) -> Result<(), Refused> {
        self.spend(NODE_SIZE)?;
        if self.missing_name().is_some() {
            return Err(Refused("a list or mapping as a field's name"));
        }
        if self.open.len() == MAX_DEPTH {
            return Err(TOO_DEEP);
        }
        self.open.push(Open { mark, anchor, kind });
        Ok(())
    }

    fn alias(&mut self, anchor: usize) -> Result<(), Refused> {
        if self.missing_name().is_some() {
            return Err(Refused("an alias (*name) as a field's name"));
        }
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(Refused("an alias (*name) within what it stands for, or for a field's name"));
        };
        // Measured before it is copied.
        let (depth, size) = node.measure();
        if self.open.len() + depth > MAX_DEPTH {
            return Err(TOO_DEEP);
        }
        self.spend(size)?;
        let copy = self.anchors[&anchor].clone();
        self.add(copy, 0)
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Refused> {
        if anchor != 0 {
            // The copy that is kept for the aliases; it takes memory too.
            self.spend(node.measure().1)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            Some(OpenKind::List(items)) => items.push(node),
            Some(OpenKind::Mapping(entries, name)) => {
                let (mark, name) = name.take().expect("a scalar without a name became the name, see take()");
                entries.push(Entry { mark, name, node });
            }
            None => self.root = Some(node),
        }
        Ok(())
    }

    /// The place for a name, if a name comes next.
    fn missing_name(&mut self) -> Option<&mut Option<(Mark, String)>> {
        match &mut self.open.last_mut()?.kind {
            OpenKind::Mapping(_, name @ None) => Some(name),
            _ => None,
        }
    }

    fn spend(&mut self, size: usize) -> Result<(), Refused> {
        self.room = self.room.checked_sub(size).ok_or(TOO_LARGE)?;
        Ok(())
    }
}

impl Node {
    /// Lists and mappings that stand in one another, and size in bytes of [`MAX_SIZE`].
    fn measure(&self) -> (usize, usize) {
        let within = |depth: usize, size: usize, (d, s): (usize, usize)| (depth.max(d), size + s);
        match &self.value {
            Value::Text(text) => (0, NODE_SIZE + text.len()),
            Value::List(items) => {
                let (depth, size) = items
                    .iter()
                    .fold((0, NODE_SIZE), |(depth, size), item| within(depth, size, item.measure()));
                (depth + 1, size)
            }
            Value::Mapping(entries) => {
                let (depth, size) = entries.iter().fold((0, NODE_SIZE), |(depth, size), entry| {
                    within(depth, size + NODE_SIZE + entry.name.len(), entry.node.measure())
                });
                (depth + 1, size)
            }
            Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Number(_) => (0, NODE_SIZE),
        }
    }
}
