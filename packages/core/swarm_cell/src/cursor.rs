//! A node together with its field path. Every read either gives a value or notes a mistake and gives nothing, so that a
//! reader goes on to the next field and finds the next mistake.

use std::cell::RefCell;
use std::ops::RangeInclusive;

use crate::Mistake;
use crate::tree::{Mark, Node, Value};

/// Collects the mistakes of one declaration.
#[derive(Debug, Default)]
pub(crate) struct Notes(RefCell<Vec<Mistake>>);

impl Notes {
    pub(crate) fn into_mistakes(self) -> Vec<Mistake> {
        self.0.into_inner()
    }

    fn add(&self, mark: Mark, field: &str, found: String, expected: String) {
        let Mark { line, column } = mark;
        self.0.borrow_mut().push(Mistake { line, column, field: field.to_owned(), found, expected });
    }
}

/// Where the reader stands.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    node: &'a Node,
    path: String,
    notes: &'a Notes,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(node: &'a Node, notes: &'a Notes) -> Self {
        Self { node, path: String::new(), notes }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn line(&self) -> usize {
        self.node.mark.line
    }

    pub(crate) fn value(&self) -> &'a Value {
        &self.node.value
    }

    /// Notes that what stands here is not what is expected; always `None`, for use as the result of a read.
    pub(crate) fn refuse<T>(&self, expected: impl Into<String>) -> Option<T> {
        self.refuse_found(describe(&self.node.value), expected)
    }

    /// As [`Self::refuse`], with other words for what stands here.
    pub(crate) fn refuse_found<T>(&self, found: impl Into<String>, expected: impl Into<String>) -> Option<T> {
        self.notes.add(self.node.mark, &self.path, found.into(), expected.into());
        None
    }

    /// A text that is not empty.
    pub(crate) fn text(&self, expected: &str) -> Option<String> {
        match self.value() {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            _ => self.refuse(expected),
        }
    }

    /// A text for which `good` holds.
    pub(crate) fn text_that(&self, good: impl Fn(&str) -> bool, expected: &str) -> Option<String> {
        match self.value() {
            Value::String(text) if good(text) => Some(text.clone()),
            _ => self.refuse(expected),
        }
    }

    /// One of several words.
    pub(crate) fn one_of<T: Clone>(&self, words: &[(&str, T)]) -> Option<T> {
        let known =
            |text: &String| words.iter().find(|(word, _)| word == text).map(|(_, value)| value.clone());
        match self.value() {
            Value::String(text) if known(text).is_some() => known(text),
            _ => self.refuse(alternatives(words.iter().map(|(word, _)| *word))),
        }
    }

    /// A finite number within `range`; `unit` is only for the message.
    pub(crate) fn number(&self, range: RangeInclusive<f64>, unit: &str) -> Option<f64> {
        let number = match *self.value() {
            Value::Number(number) => number,
            Value::Integer(number) => number as f64,
            _ => f64::NAN,
        };
        if range.contains(&number) {
            return Some(number);
        }
        let space = if unit.is_empty() { "" } else { " " };
        let rounded = |bound: f64| (bound * 1e4).round() / 1e4;
        let (low, high) = (rounded(*range.start()), rounded(*range.end()));
        self.refuse(format!("a number from {low} to {high}{space}{unit}"))
    }

    pub(crate) fn boolean(&self) -> Option<bool> {
        match *self.value() {
            Value::Boolean(value) => Some(value),
            _ => self.refuse("true or false"),
        }
    }

    /// A whole number within `range`.
    pub(crate) fn integer(&self, range: RangeInclusive<i64>) -> Option<i64> {
        match *self.value() {
            Value::Integer(number) if range.contains(&number) => Some(number),
            _ => self.refuse(format!("a whole number from {} to {}", range.start(), range.end())),
        }
    }

    /// The items of a sequence.
    pub(crate) fn items(&self, expected: &str) -> Option<Vec<Cursor<'a>>> {
        let Value::Sequence(items) = self.value() else { return self.refuse(expected) };
        let at = |(index, node)| Cursor { node, path: format!("{}[{index}]", self.path), notes: self.notes };
        Some(items.iter().enumerate().map(at).collect())
    }

    /// Three finite numbers within `range`.
    pub(crate) fn triple(&self, range: RangeInclusive<f64>, unit: &str) -> Option<[f64; 3]> {
        let expected = format!("three numbers ({unit})");
        let items = self.items(&expected)?;
        if items.len() != 3 {
            return self.refuse_found(format!("{} values", items.len()), expected);
        }
        let numbers = items.iter().map(|item| item.number(range.clone(), unit)).collect::<Vec<_>>();
        Some([numbers[0]?, numbers[1]?, numbers[2]?])
    }

    /// The entries of a mapping, whatever their names; a name that stands twice is noted.
    pub(crate) fn entries(&self, expected: &str) -> Option<Vec<(String, Cursor<'a>)>> {
        let Value::Mapping(entries) = self.value() else { return self.refuse(expected) };
        for (index, (mark, name, _)) in entries.iter().enumerate() {
            if let Some((first, ..)) = entries[..index].iter().find(|(_, earlier, _)| earlier == name) {
                let found = format!("the field a second time (first on line {})", first.line);
                self.notes.add(*mark, &self.child_path(name), found, "it once".into());
            }
        }
        let at = |(_, name, node): &'a (Mark, String, Node)| {
            (name.clone(), Cursor { node, path: self.child_path(name), notes: self.notes })
        };
        Some(entries.iter().map(at).collect())
    }

    /// The fields of a mapping whose field names are known.
    pub(crate) fn fields(&self, expected: &str) -> Option<Fields<'a>> {
        Some(Fields { entries: self.entries(expected)?, of: self.clone(), known: Vec::new() })
    }

    fn child_path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

/// The fields of one mapping. Ask for each field, then call [`Fields::end`], which notes those nobody asked for.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    of: Cursor<'a>,
    entries: Vec<(String, Cursor<'a>)>,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// A field that must be there, read by `read`; `what` says in a message what is missing.
    pub(crate) fn required<T>(
        &mut self,
        name: &'static str,
        what: &str,
        read: impl FnOnce(&Cursor<'a>) -> Option<T>,
    ) -> Option<T> {
        if let Some(cursor) = self.find(name) {
            return read(&cursor);
        }
        self.of.notes.add(self.of.node.mark, &self.of.child_path(name), "nothing".into(), what.to_owned());
        None
    }

    /// A field that may be absent and then has the value `otherwise`.
    pub(crate) fn optional<T>(
        &mut self,
        name: &'static str,
        otherwise: T,
        read: impl FnOnce(&Cursor<'a>) -> Option<T>,
    ) -> Option<T> {
        match self.find(name) {
            Some(cursor) => read(&cursor),
            None => Some(otherwise),
        }
    }

    /// Notes every field that is not known, with the nearest name that is.
    pub(crate) fn end(self) {
        let Value::Mapping(entries) = self.of.value() else { return };
        for (mark, name, _) in entries.iter().filter(|(_, name, _)| !self.known.contains(&name.as_str())) {
            let expected = match nearest(name, &self.known) {
                Some(nearest) => format!("'{nearest}' (the nearest known field)"),
                None => alternatives(self.known.iter().copied()),
            };
            self.of.notes.add(*mark, &self.of.child_path(name), "an unknown field".into(), expected);
        }
    }

    fn find(&mut self, name: &'static str) -> Option<Cursor<'a>> {
        self.known.push(name);
        self.entries.iter().find(|(known, _)| known == name).map(|(_, cursor)| cursor.clone())
    }
}

/// `a`, `a or b`, `a, b or c`.
fn alternatives<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let words: Vec<_> = words.collect();
    match words.as_slice() {
        [] => "nothing".into(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// The known name that `name` most likely was meant to be, if one is near.
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let (distance, best) = known.iter().map(|known| (strsim::levenshtein(name, known), *known)).min()?;
    (distance <= name.chars().count().div_ceil(3)).then_some(best)
}

/// A value in the words of a message.
fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Boolean(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(text) => format!("'{text}'"),
        Value::Sequence(items) => format!("a list of {}", items.len()),
        Value::Mapping(entries) => format!("a mapping of {}", entries.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_has_a_nearest_name_and_another_word_has_none() {
        let known = ["name", "model", "home_rad"];
        assert_eq!(nearest("modle", &known), Some("model"));
        assert_eq!(nearest("home_deg", &known), Some("home_rad"));
        assert_eq!(nearest("colour", &known), None);
    }
}
