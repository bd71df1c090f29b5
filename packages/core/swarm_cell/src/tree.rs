//! YAML text into a tree whose nodes know their place.
//!
//! Built from the parser's events and not from its ready-made documents, because those keep only one of two fields of the
//! same name. Aliases are refused: a declaration is read by people, and by launch files, top to bottom.

use saphyr::Scalar;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use crate::Mistake;

/// Place in the text; both count from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl From<Marker> for Mark {
    fn from(marker: Marker) -> Self {
        Self { line: marker.line(), column: marker.col() + 1 }
    }
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) mark: Mark,
    pub(crate) value: Value,
}

#[derive(Debug)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    Number(f64),
    String(String),
    Sequence(Vec<Node>),
    /// Entries in the order of the text; a name may stand twice.
    Mapping(Vec<(Mark, String, Node)>),
}

/// Reads the one document of `text`.
pub(crate) fn parse(text: &str) -> Result<Node, Mistake> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            not_yaml((*error.marker()).into(), format!("text that is not YAML: {}", error.info()))
        })?;
        builder.take(event, span.start.into())?;
    }
    builder.root.ok_or_else(|| {
        let start = Mark { line: 1, column: 1 };
        Mistake { expected: "a declaration".into(), ..not_yaml(start, "an empty file".into()) }
    })
}

fn not_yaml(mark: Mark, found: String) -> Mistake {
    let expected = "one YAML document of plain mappings, sequences and scalars".into();
    Mistake { line: mark.line, column: mark.column, field: String::new(), found, expected }
}

/// A collection that is being filled.
enum Open {
    Sequence(Mark, Vec<Node>),
    /// With the name whose value comes next.
    Mapping(Mark, Vec<(Mark, String, Node)>, Option<(Mark, String)>),
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, mark: Mark) -> Result<(), Mistake> {
        match event {
            Event::Scalar(text, style, ..) => {
                if let Some(Open::Mapping(_, _, name @ None)) = self.open.last_mut() {
                    *name = Some((mark, text.into_owned()));
                    return Ok(());
                }
                self.add(Node { mark, value: scalar(&text, style) })
            }
            Event::SequenceStart(..) => self.open(mark, Open::Sequence(mark, Vec::new())),
            Event::MappingStart(..) => self.open(mark, Open::Mapping(mark, Vec::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::Sequence(mark, items)) => self.add(Node { mark, value: Value::Sequence(items) }),
                Some(Open::Mapping(mark, entries, _)) => {
                    self.add(Node { mark, value: Value::Mapping(entries) })
                }
                None => Ok(()), // the parser never ends what it did not start
            },
            Event::Alias(_) => Err(not_yaml(mark, "an alias (*name)".into())),
            _ => Ok(()),
        }
    }

    fn open(&mut self, mark: Mark, collection: Open) -> Result<(), Mistake> {
        if let Some(Open::Mapping(_, _, None)) = self.open.last() {
            return Err(not_yaml(mark, "a collection as a field's name".into()));
        }
        self.open.push(collection);
        Ok(())
    }

    fn add(&mut self, node: Node) -> Result<(), Mistake> {
        match self.open.last_mut() {
            Some(Open::Sequence(_, items)) => items.push(node),
            Some(Open::Mapping(_, entries, name)) => {
                let (mark, name) = name.take().expect("a scalar without a name became the name, see take()");
                entries.push((mark, name, node));
            }
            None if self.root.is_some() => return Err(not_yaml(node.mark, "a second document".into())),
            None => self.root = Some(node),
        }
        Ok(())
    }
}

/// The value of a scalar under YAML's core schema; only plain ones are anything else than a string.
fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::String(text.to_owned());
    }
    match Scalar::parse_from_cow(text.into()) {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => Value::Boolean(value),
        Scalar::Integer(value) => Value::Integer(value),
        Scalar::FloatingPoint(value) => Value::Number(*value),
        Scalar::String(value) => Value::String(value.into_owned()),
    }
}
