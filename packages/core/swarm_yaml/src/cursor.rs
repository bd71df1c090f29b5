//! A node together with its field path. Every read either gives a value or notes a mistake and gives nothing, so that the
//! walk goes on to the next field and finds the next mistake.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::fmt::Display;
use std::ops::{Bound, RangeBounds};
use std::str::FromStr;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::mistake::Notes;
use crate::tree::{Entry, Node, Value};

/// Longest name for which a nearest known one is looked for; a longer one is no slip of the finger.
const MAX_SLIP: usize = 64;

/// Where the walk stands.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    node: &'a Node,
    path: String,
    notes: &'a Notes,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(node: &'a Node, notes: &'a Notes) -> Self {
        Self { node, path: String::new(), notes }
    }

    /// Path of the field, `robots[0].gripper`; empty for the document itself.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Line, from 1.
    pub fn line(&self) -> usize {
        self.node.mark.line
    }

    pub fn value(&self) -> &'a Value {
        &self.node.value
    }

    /// Notes a mistake here, in words of its own.
    pub fn note(&self, problem: impl Display) {
        self.notes.add(self.node.mark, &self.path, &problem.to_string());
    }

    /// As [`Self::note`]; always `None`, for use as the result of a read.
    pub fn wrong<T>(&self, problem: impl Display) -> Option<T> {
        self.note(problem);
        None
    }

    /// Notes that something else is expected than what stands here; always `None`, for use as the result of a read.
    pub fn expected<T>(&self, expected: impl Display) -> Option<T> {
        self.wrong(format!("expected {expected}, found {}", describe(&self.node.value)))
    }

    /// A text, also an empty one.
    pub fn text(&self) -> Option<String> {
        self.text_that(|_| true, "a text")
    }

    /// A text for which `good` holds.
    pub fn text_that(&self, good: impl Fn(&str) -> bool, expected: &str) -> Option<String> {
        match self.value() {
            Value::Text(text) if good(text) => Some(text.clone()),
            _ => self.expected(expected),
        }
    }

    /// A text that parses as `T`; the mistake is `T`'s own error.
    pub fn parse<T: FromStr<Err: Display>>(&self) -> Option<T> {
        self.text()?.parse().map_err(|error| self.note(error)).ok()
    }

    /// One of several words.
    pub fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let Value::Text(text) = self.value() else { return self.expected(alternatives(words)) };
        match words.iter().find(|(word, _)| word == text) {
            Some((_, value)) => Some(*value),
            None => self.expected(alternatives(words)),
        }
    }

    /// A moment in RFC 3339, as seconds since 1970.
    pub fn moment(&self) -> Option<i64> {
        match OffsetDateTime::parse(&self.text()?, &Rfc3339) {
            Ok(time) => Some(time.unix_timestamp()),
            Err(_) => self.expected("a time such as 2027-01-01T00:00:00Z (RFC 3339)"),
        }
    }

    pub fn boolean(&self) -> Option<bool> {
        match *self.value() {
            Value::Boolean(value) => Some(value),
            _ => self.expected("true or false"),
        }
    }

    /// A finite number within `range`; `unit` is only for the message.
    pub fn number(&self, range: impl RangeBounds<f64>, unit: &str) -> Option<f64> {
        let number = match *self.value() {
            Value::Number(number) => Some(number),
            Value::Integer(number) => Some(number as f64),
            _ => None,
        };
        if let Some(number) = number.filter(|number| number.is_finite() && range.contains(number)) {
            return Some(number);
        }
        let finite = if number.is_some_and(|number| !number.is_finite()) { "finite " } else { "" };
        let space = if unit.is_empty() { "" } else { " " };
        self.expected(format!(
            "a {finite}number{}{space}{unit}",
            bounds(&range, |bound| (bound * 1e4).round() / 1e4)
        ))
    }

    /// A whole number within `range`.
    pub fn integer(&self, range: impl RangeBounds<u64>) -> Option<u64> {
        match *self.value() {
            Value::Integer(number @ 0..) if range.contains(&number.unsigned_abs()) => {
                Some(number.unsigned_abs())
            }
            _ => self.expected(format!("a whole number{}", bounds(&range, |bound| *bound))),
        }
    }

    /// The number of the file's form, which must be `known`.
    pub fn schema(&self, known: u64) -> Option<u64> {
        match *self.value() {
            Value::Integer(number) if u64::try_from(number) == Ok(known) => Some(known),
            _ => self.expected(format!("{known} (the form that this program reads)")),
        }
    }

    /// The items of a list.
    pub fn items(&self, expected: &str) -> Option<Vec<Self>> {
        let Value::List(items) = self.value() else { return self.expected(expected) };
        Some(items.iter().enumerate().map(|(index, node)| self.item(index, node)).collect())
    }

    /// A list whose every item is read by `read`; all are read, also after one with a mistake.
    pub fn list<T>(&self, expected: &str, read: impl FnMut(&Self) -> Option<T>) -> Option<Vec<T>> {
        let items: Vec<Option<T>> = self.items(expected)?.iter().map(read).collect();
        items.into_iter().collect()
    }

    /// Three finite numbers within `range`.
    pub fn triple(&self, range: impl RangeBounds<f64> + Clone, unit: &str) -> Option<[f64; 3]> {
        let expected = format!("three numbers ({unit})");
        let items = self.items(&expected)?;
        let [x, y, z] = items.as_slice() else { return self.expected(expected) };
        let [x, y, z] = [x, y, z].map(|item| item.number(range.clone(), unit));
        Some([x?, y?, z?])
    }

    /// A mapping whose names are free and whose every value is read by `read`; all are read, also after one with a mistake.
    pub fn mapping<T>(
        &self,
        expected: &str,
        mut read: impl FnMut(&'a str, &Self) -> Option<T>,
    ) -> Option<BTreeMap<String, T>> {
        let Value::Mapping(entries) = self.value() else { return self.expected(expected) };
        let read = |entry: &'a Entry| (entry.name.clone(), read(&entry.name, &self.child(entry)));
        let values: Vec<(String, Option<T>)> = entries.iter().map(read).collect();
        values.into_iter().map(|(name, value)| Some((name, value?))).collect()
    }

    /// The names in a mapping; none if this is no mapping, and notes nothing then.
    pub fn names(&self) -> Vec<&'a str> {
        let Value::Mapping(entries) = self.value() else { return Vec::new() };
        entries.iter().map(|entry| entry.name.as_str()).collect()
    }

    /// The fields of a mapping that has these names and no others; every other one is noted.
    pub fn fields<const N: usize>(&self, names: [&'static str; N]) -> Option<[Field<'a>; N]> {
        let Value::Mapping(entries) = self.value() else {
            return self.expected(format!("a mapping with {}", names.join(", ")));
        };
        for entry in entries.iter().filter(|entry| !names.contains(&entry.name.as_str())) {
            let known = match nearest(&entry.name, &names) {
                Some(nearest) => format!("did you mean {nearest}?"),
                None => format!("known: {}", names.join(", ")),
            };
            let path = child_path(&self.path, &entry.name);
            self.notes.add(entry.mark, &path, &format!("unknown field; {known}"));
        }
        let found = |name| entries.iter().find(|entry| entry.name == name).map(|entry| self.child(entry));
        Some(names.map(|name| Field { of: self.clone(), name, found: found(name) }))
    }

    /// Notes every name that stands twice in one mapping, here and below.
    pub(crate) fn note_repeated_names(&self) {
        match self.value() {
            Value::List(items) => {
                for (index, node) in items.iter().enumerate() {
                    self.item(index, node).note_repeated_names();
                }
            }
            Value::Mapping(entries) => {
                let mut lines = BTreeMap::new();
                for entry in entries {
                    let child = self.child(entry);
                    match lines.entry(&entry.name) {
                        Slot::Vacant(slot) => {
                            slot.insert(entry.mark.line);
                        }
                        Slot::Occupied(first) => {
                            let problem = format!("stands a second time, first on line {}", first.get());
                            self.notes.add(entry.mark, &child.path, &problem);
                        }
                    }
                    child.note_repeated_names();
                }
            }
            _ => {}
        }
    }

    fn item(&self, index: usize, node: &'a Node) -> Self {
        Self { node, path: format!("{}[{index}]", self.path), notes: self.notes }
    }

    fn child(&self, entry: &'a Entry) -> Self {
        Self { node: &entry.node, path: child_path(&self.path, &entry.name), notes: self.notes }
    }
}

/// A field that a mapping may have.
#[derive(Clone, Debug)]
pub struct Field<'a> {
    of: Cursor<'a>,
    name: &'static str,
    found: Option<Cursor<'a>>,
}

impl<'a> Field<'a> {
    /// What stands in the field, if it is there.
    pub fn get(&self) -> Option<&Cursor<'a>> {
        self.found.as_ref()
    }

    /// A field that must be there, read by `read`; `what` says in the message what is missing.
    pub fn required<T>(&self, what: &str, read: impl FnOnce(&Cursor<'a>) -> Option<T>) -> Option<T> {
        match &self.found {
            Some(cursor) => read(cursor),
            None => self.missing(what),
        }
    }

    /// A field that may be absent and then has the value `otherwise`.
    pub fn optional<T>(&self, otherwise: T, read: impl FnOnce(&Cursor<'a>) -> Option<T>) -> Option<T> {
        match &self.found {
            Some(cursor) => read(cursor),
            None => Some(otherwise),
        }
    }

    fn missing<T>(&self, what: &str) -> Option<T> {
        let path = child_path(&self.of.path, self.name);
        self.of.notes.add(self.of.node.mark, &path, &format!("missing; expected {what}"));
        None
    }
}

fn child_path(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// ` from 0 to 5`, ` above 0`, or nothing if every number will do.
fn bounds<T, U: Display>(range: &impl RangeBounds<T>, shown: impl Fn(&T) -> U) -> String {
    let low = match range.start_bound() {
        Bound::Included(low) => format!(" from {}", shown(low)),
        Bound::Excluded(low) => format!(" above {}", shown(low)),
        Bound::Unbounded => String::new(),
    };
    let high = match range.end_bound() {
        Bound::Included(high) => format!(" to {}", shown(high)),
        Bound::Excluded(high) => format!(" below {}", shown(high)),
        Bound::Unbounded => String::new(),
    };
    low + &high
}

/// `a`, `a or b`, `a, b or c`.
fn alternatives<T>(words: &[(&str, T)]) -> String {
    let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    match words.as_slice() {
        [most @ .., last] if !most.is_empty() => format!("{} or {last}", most.join(", ")),
        few => few.concat(),
    }
}

/// The known name that `name` most likely was meant to be, if one is near.
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    if name.len() > MAX_SLIP {
        return None;
    }
    let (distance, best) = known.iter().map(|known| (strsim::levenshtein(name, known), *known)).min()?;
    (distance <= name.chars().count().div_ceil(3)).then_some(best)
}

/// A value in the words of a message.
fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Boolean(value) => value.to_string(),
        Value::Integer(value) => format!("the number {value}"),
        Value::Number(value) => format!("the number {value:?}"),
        Value::Text(text) => format!("'{text}'"),
        Value::List(items) => format!("a list of {}", items.len()),
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
