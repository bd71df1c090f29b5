//! All parameters of a node as plain data, with the rules for changing them. No ROS entity is needed to use or test it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::value::{Value, display};

/// Decides whether a value of the right type and range is acceptable; the error says why not.
pub type Check = Box<dyn Fn(&Value) -> Result<(), String> + Send + Sync>;

/// Told of each accepted change.
pub type Listener = Arc<dyn Fn(&Value) + Send + Sync>;

/// Bounds of a number, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    Any,
    Integer { from: i64, to: i64 },
    Double { from: f64, to: f64 },
}

/// A parameter: what was declared, and its present value.
pub struct Declaration {
    pub name: String,
    pub value: Value,
    pub type_id: u8,
    pub type_name: &'static str,
    /// Brings a value to the declared type, e.g. a whole number to a double.
    pub convert: fn(&Value) -> Option<Value>,
    pub description: String,
    pub constraints: String,
    pub range: Range,
    pub read_only: bool,
    pub checks: Vec<Check>,
    pub listener: Option<Listener>,
}

impl std::fmt::Debug for Declaration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Declaration")
            .field("name", &self.name)
            .field("value", &self.value)
            .finish_non_exhaustive()
    }
}

/// An accepted change, for `/parameter_events` and the listener.
#[derive(Clone)]
pub struct Change {
    pub name: String,
    pub value: Value,
    pub listener: Option<Listener>,
}

impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Change").field("name", &self.name).field("value", &self.value).finish_non_exhaustive()
    }
}

/// Names found by a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    pub names: Vec<String>,
    pub prefixes: Vec<String>,
}

/// The parameters of a node.
#[derive(Debug)]
pub struct Store {
    declared: BTreeMap<String, Declaration>,
    overrides: BTreeMap<String, Value>,
    mistakes: Vec<String>,
}

impl Store {
    pub fn new(overrides: impl IntoIterator<Item = (String, Value)>) -> Self {
        Self { declared: BTreeMap::new(), overrides: overrides.into_iter().collect(), mistakes: Vec::new() }
    }

    /// Adds a parameter with its override or, if there is none or a wrong one, its default.
    pub fn declare(&mut self, mut declaration: Declaration) {
        let given = self.overrides.remove(&declaration.name);
        match declaration.accept(given.as_ref().unwrap_or(&declaration.value)) {
            Ok(value) => declaration.value = value,
            Err(reason) => self.mistakes.push(reason),
        }
        self.declared.insert(declaration.name.clone(), declaration);
    }

    /// What was wrong with overrides (and with the defaults of required parameters) so far.
    pub fn mistakes(&self) -> &[String] {
        &self.mistakes
    }

    /// Overrides that no declaration asked for: probably misspelt.
    pub fn unused_overrides(&self) -> impl Iterator<Item = &str> {
        self.overrides.keys().map(String::as_str)
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.declared.get(name).map(|declaration| &declaration.value)
    }

    pub fn describe(&self, name: &str) -> Option<&Declaration> {
        self.declared.get(name)
    }

    pub fn declared(&self) -> impl Iterator<Item = &Declaration> {
        self.declared.values()
    }

    /// Changes one parameter at run time.
    pub fn set(&mut self, name: &str, value: &Value) -> Result<Change, String> {
        let value = self.check(name, value)?;
        Ok(self.apply(name, value))
    }

    /// Changes all or none.
    pub fn set_all(&mut self, values: &[(String, Value)]) -> Result<Vec<Change>, String> {
        let mut accepted = Vec::with_capacity(values.len());
        for (name, value) in values {
            accepted.push((name, self.check(name, value)?));
        }
        Ok(accepted.into_iter().map(|(name, value)| self.apply(name, value)).collect())
    }

    /// Lists names under `prefixes` (all if empty) down to `depth` levels (0 = all), as `rcl_interfaces/srv/ListParameters`.
    pub fn list(&self, prefixes: &[String], depth: u64) -> Listing {
        let deep_enough = |rest: &str| depth == 0 || (rest.matches('.').count() as u64) < depth;
        let wanted = |name: &str| {
            if prefixes.is_empty() {
                return deep_enough(name);
            }
            prefixes.iter().any(|prefix| {
                name == prefix
                    || name
                        .strip_prefix(prefix.as_str())
                        .and_then(|rest| rest.strip_prefix('.'))
                        .is_some_and(deep_enough)
            })
        };
        let names: Vec<String> = self.declared.keys().filter(|name| wanted(name)).cloned().collect();
        let prefixes: BTreeSet<String> = names
            .iter()
            .filter_map(|name| name.rsplit_once('.').map(|(prefix, _)| prefix.to_owned()))
            .collect();
        Listing { names, prefixes: prefixes.into_iter().collect() }
    }

    fn check(&self, name: &str, value: &Value) -> Result<Value, String> {
        let declaration = self.declared.get(name).ok_or_else(|| {
            let declared: Vec<_> = self.declared.keys().map(String::as_str).collect();
            format!("parameter '{name}' is not declared; this node has: {}", declared.join(", "))
        })?;
        if declaration.read_only {
            return Err(format!(
                "parameter '{name}' is read-only while the node runs (now {}); give it at start instead",
                display(&declaration.value)
            ));
        }
        declaration.accept(value)
    }

    fn apply(&mut self, name: &str, value: Value) -> Change {
        let mut listener = None;
        if let Some(declaration) = self.declared.get_mut(name) {
            declaration.value = value.clone();
            listener.clone_from(&declaration.listener);
        }
        Change { name: name.to_owned(), value, listener }
    }
}

impl Declaration {
    /// The value brought to the declared type, or why it cannot be used.
    fn accept(&self, value: &Value) -> Result<Value, String> {
        let refuse = |reason: String| format!("parameter '{}': {reason}", self.name);
        let value = (self.convert)(value).ok_or_else(|| {
            refuse(format!("expected {}, got {} {}", self.type_name, value.type_name(), display(value)))
        })?;
        let outside = match (self.range, &value) {
            (Range::Integer { from, to }, Value::Integer(value)) => !(from..=to).contains(value),
            // Not-a-number lies in no range.
            (Range::Double { from, to }, Value::Double(value)) => !(from..=to).contains(value),
            _ => false,
        };
        if outside {
            return Err(refuse(format!("{} is outside of {}", display(&value), self.range)));
        }
        for check in &self.checks {
            check(&value).map_err(refuse)?;
        }
        Ok(value)
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("any value"),
            Self::Integer { from, to } => write!(f, "{from}..{to}"),
            Self::Double { from, to } => write!(f, "{from:?}..{to:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::ParameterSpec;

    fn store(overrides: &[(&str, Value)]) -> Store {
        let mut store = Store::new(overrides.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        store.declare(ParameterSpec::<f64>::new("rate_hz", 10.0).range(0.5..=100.0).erase());
        store.declare(ParameterSpec::<i64>::new("timeout_us", 20_000).range(1_000..=1_000_000).erase());
        store.declare(
            ParameterSpec::<String>::new("log.format", "text").one_of(&["text", "json"]).read_only().erase(),
        );
        store
    }

    #[test]
    fn an_override_replaces_the_default() {
        assert_eq!(store(&[("rate_hz", Value::Integer(25))]).get("rate_hz"), Some(&Value::Double(25.0)));
    }

    #[test]
    fn all_wrong_overrides_are_reported_together() {
        let store = store(&[
            ("rate_hz", Value::Double(0.0)),
            ("timeout_us", Value::String("soon".to_owned())),
            ("log.format", Value::String("xml".to_owned())),
        ]);
        assert_eq!(
            store.mistakes(),
            [
                "parameter 'rate_hz': 0.0 is outside of 0.5..100.0",
                "parameter 'timeout_us': expected integer, got string 'soon'",
                "parameter 'log.format': 'xml' is none of: text, json",
            ]
        );
    }

    #[test]
    fn not_a_number_is_outside_of_every_range() {
        assert!(store(&[]).set("rate_hz", &Value::Double(f64::NAN)).is_err());
    }

    #[test]
    fn a_misspelt_override_is_found() {
        assert_eq!(store(&[("rate", Value::Integer(1))]).unused_overrides().collect::<Vec<_>>(), ["rate"]);
    }

    #[test]
    fn a_read_only_parameter_can_be_given_at_start_and_not_changed() {
        let json = Value::String("json".to_owned());
        let mut store = store(&[("log.format", json.clone())]);
        assert_eq!(store.get("log.format"), Some(&json));
        assert_eq!(
            store.set("log.format", &Value::String("text".to_owned())).unwrap_err(),
            "parameter 'log.format' is read-only while the node runs (now 'json'); give it at start instead"
        );
    }

    #[test]
    fn an_undeclared_parameter_is_refused_with_those_there_are() {
        assert_eq!(
            store(&[]).set("rate", &Value::Integer(1)).unwrap_err(),
            "parameter 'rate' is not declared; this node has: log.format, rate_hz, timeout_us"
        );
    }

    #[test]
    fn an_atomic_change_is_all_or_nothing() {
        let mut store = store(&[]);
        let changes =
            [("rate_hz".to_owned(), Value::Double(50.0)), ("timeout_us".to_owned(), Value::Integer(1))];
        assert!(store.set_all(&changes).is_err());
        assert_eq!(store.get("rate_hz"), Some(&Value::Double(10.0)));
    }

    #[test]
    fn listing_goes_by_prefix_and_depth() {
        let store = store(&[]);
        assert_eq!(store.list(&[], 1).names, ["rate_hz", "timeout_us"]);
        let log = store.list(&["log".to_owned()], 0);
        assert_eq!((log.names, log.prefixes), (vec!["log.format".to_owned()], vec!["log".to_owned()]));
    }
}
