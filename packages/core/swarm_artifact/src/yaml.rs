//! Reading a YAML document so that all its mistakes are reported at once, each with line and field.
//!
//! Deserializing straight into a struct stops at the first mistake. So the document is first read into a tree of
//! located values; a [`Cursor`] then walks it, and whatever it finds wrong is noted with the line and the path of the
//! field (`roles.leader.tree`), while the walk goes on.

use std::cell::RefCell;
use std::fmt::{self, Write as _};

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// One mistake in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Line, from 1.
    pub line: u64,
    /// Path of the field, `roles.leader.tree` or `files[3].size`; empty for the document itself.
    pub field: String,
    pub problem: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if !self.field.is_empty() {
            write!(f, ", {}", self.field)?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// All mistakes of a document, in the order of its lines; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    pub fn as_slice(&self) -> &[Mistake] {
        &self.0
    }
}

impl fmt::Display for Mistakes {
    /// One mistake on one line; several as a list below their number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [only] => only.fmt(f),
            all => {
                write!(f, "{} mistakes", all.len())?;
                all.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
            }
        }
    }
}

/// Reads `text` and lets `walk` build a `T` from it. `walk` may give `None` only after it noted a mistake.
pub fn read<T>(text: &str, walk: impl FnOnce(Cursor<'_>) -> Option<T>) -> Result<T, Mistakes> {
    let document: Node =
        serde_saphyr::from_str(text).map_err(|error| Mistakes(vec![syntax_mistake(&error)]))?;
    let noted = RefCell::new(Vec::new());
    let value = walk(Cursor { node: &document, field: String::new(), noted: &noted });
    let mut mistakes = noted.into_inner();
    mistakes.sort_by_key(|mistake: &Mistake| mistake.line);
    match value {
        Some(value) if mistakes.is_empty() => Ok(value),
        _ => Err(Mistakes(mistakes)),
    }
}

/// `text` as a double-quoted YAML scalar (JSON's quoting, which YAML 1.2 contains).
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                let _ = write!(quoted, "\\u{:04x}", c as u32);
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn syntax_mistake(error: &serde_saphyr::Error) -> Mistake {
    let error = error.without_snippet();
    let line = error.location().map_or(1, |location| location.line());
    // The library ends its message with the place, which stands in `line` already.
    let text = error.to_string();
    let problem = text.split(" at line ").next().unwrap_or(&text);
    Mistake { line, field: String::new(), problem: format!("not valid YAML: {}", problem.trim()) }
}

/// A value of the document, where it stands, and the list that its mistakes go to.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    node: &'a Node,
    field: String,
    noted: &'a RefCell<Vec<Mistake>>,
}

impl<'a> Cursor<'a> {
    /// Notes that this value is wrong.
    pub fn wrong(&self, problem: impl fmt::Display) {
        self.noted.borrow_mut().push(Mistake {
            line: self.node.line,
            field: self.field.clone(),
            problem: problem.to_string(),
        });
    }

    fn expected<T>(&self, what: &str) -> Option<T> {
        self.wrong(format!("expected {what}, found {}", self.node.value));
        None
    }

    pub fn text(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Text(text) => Some(text),
            _ => self.expected("a text"),
        }
    }

    /// A text that parses as `T`; the mistake is `T`'s own error.
    pub fn parse<T: std::str::FromStr<Err: fmt::Display>>(&self) -> Option<T> {
        self.text()?.parse().map_err(|error| self.wrong(error)).ok()
    }

    pub fn unsigned(&self) -> Option<u64> {
        match self.node.value {
            Value::Integer(number) if u64::try_from(number).is_ok() => u64::try_from(number).ok(),
            _ => self.expected("a whole number from 0"),
        }
    }

    pub fn boolean(&self) -> Option<bool> {
        match self.node.value {
            Value::Bool(value) => Some(value),
            _ => self.expected("true or false"),
        }
    }

    /// The items of a list.
    pub fn items(&self) -> Option<Vec<Self>> {
        let Value::List(items) = &self.node.value else { return self.expected("a list") };
        let at = |(index, node)| Self { node, field: format!("{}[{index}]", self.field), noted: self.noted };
        Some(items.iter().enumerate().map(at).collect())
    }

    /// The entries of a mapping whose keys are free, such as names.
    pub fn entries(&self) -> Option<Vec<(&'a str, Self)>> {
        let Value::Map(entries) = &self.node.value else { return self.expected("a mapping") };
        Some(entries.iter().map(|(key, node)| (key.as_str(), self.child(key, node))).collect())
    }

    /// The entries if this is a mapping; notes nothing if it is not.
    pub fn peek_entries(&self) -> Option<Vec<(&'a str, Self)>> {
        matches!(self.node.value, Value::Map(_)).then(|| self.entries())?
    }

    /// The number if this is one; notes nothing if it is not.
    pub fn peek_unsigned(&self) -> Option<u64> {
        matches!(self.node.value, Value::Integer(0..)).then(|| self.unsigned())?
    }

    /// A mapping with the given fields and no others.
    pub fn fields(&self, known: &[&str]) -> Option<Fields<'a>> {
        let entries = self.entries()?;
        for (key, value) in &entries {
            if !known.contains(key) {
                value.wrong(format!("unknown field; known are {}", known.join(", ")));
            }
        }
        Some(Fields { of: self.clone(), entries })
    }

    fn child(&self, key: &str, node: &'a Node) -> Self {
        let field = if self.field.is_empty() { key.to_owned() } else { format!("{}.{key}", self.field) };
        Self { node, field, noted: self.noted }
    }
}

/// The fields of a mapping.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    of: Cursor<'a>,
    entries: Vec<(&'a str, Cursor<'a>)>,
}

impl<'a> Fields<'a> {
    /// A field that may be absent; an empty one counts as absent.
    pub fn optional(&self, key: &str) -> Option<Cursor<'a>> {
        let (_, value) = self.entries.iter().find(|(name, _)| *name == key)?;
        (!matches!(value.node.value, Value::Null)).then(|| value.clone())
    }

    pub fn required(&self, key: &str) -> Option<Cursor<'a>> {
        let found = self.optional(key);
        if found.is_none() {
            let missing = match self.entries.iter().find(|(name, _)| *name == key) {
                Some((_, empty)) => empty.clone(),
                None => self.of.child(key, self.of.node),
            };
            missing.wrong("missing");
        }
        found
    }
}

#[derive(Debug)]
struct Node {
    line: u64,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("nothing"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "the number {value}"),
            Self::Float(value) => write!(f, "the number {value:?}"),
            Self::Text(text) => write!(f, "'{}'", text.escape_debug()),
            Self::List(_) => f.write_str("a list"),
            Self::Map(_) => f.write_str("a mapping"),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { line: spanned.referenced.line(), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(text: &str) -> Result<(String, u64), String> {
        read(text, |document| {
            let fields = document.fields(&["name", "size"])?;
            let name = fields.required("name").and_then(|name| name.text());
            let size = fields.required("size").and_then(|size| size.unsigned());
            Some((name?.to_owned(), size?))
        })
        .map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn all_mistakes_are_listed_with_line_and_field() {
        assert_eq!(walk("name: a\nsize: 3\n"), Ok(("a".to_owned(), 3)));
        assert_eq!(
            walk("name: [a]\n").unwrap_err(),
            "2 mistakes\n  line 1, name: expected a text, found a list\n  line 1, size: missing"
        );
        assert_eq!(
            walk("# comment\nname: 1.0\nsize: -4\ncolour: red\n").unwrap_err(),
            "3 mistakes\n  line 2, name: expected a text, found the number 1.0\n  line 3, size: expected a whole number from 0, \
             found the number -4\n  line 4, colour: unknown field; known are name, size"
        );
    }

    #[test]
    fn broken_syntax_and_repeated_keys_name_their_line() {
        for (text, line) in [
            ("name: a\nsize: [3\n", 2),
            ("name: a\nsize: 3\nname: b\n", 3),
            ("", 1),
            ("name: *x\nsize: 1\n", 1),
        ] {
            let error = walk(text).unwrap_err();
            assert!(error.starts_with(&format!("line {line}")), "{text:?}: {error}");
        }
    }
}
