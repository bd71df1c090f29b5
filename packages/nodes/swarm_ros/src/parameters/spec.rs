//! How a node says what a parameter is.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::store::{Check, Declaration, Listener, Range};
use super::value::{ParameterType, Value, display};

/// Declaration of one parameter: `ParameterSpec::new("rate_hz", 10.0).describe("...").range(0.1..=100.0)`.
#[must_use]
pub struct ParameterSpec<T> {
    name: String,
    default: T,
    description: String,
    constraints: Vec<String>,
    range: Range,
    read_only: bool,
    checks: Vec<Check>,
    listener: Option<Listener>,
}

impl<T: std::fmt::Debug> std::fmt::Debug for ParameterSpec<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParameterSpec")
            .field("name", &self.name)
            .field("default", &self.default)
            .finish_non_exhaustive()
    }
}

impl<T: ParameterType> ParameterSpec<T> {
    pub fn new(name: &str, default: impl Into<T>) -> Self {
        Self {
            name: name.to_owned(),
            default: default.into(),
            description: String::new(),
            constraints: Vec::new(),
            range: Range::Any,
            read_only: false,
            checks: Vec::new(),
            listener: None,
        }
    }

    /// What it means, with its unit. Shown by `ros2 param describe`.
    pub fn describe(mut self, description: &str) -> Self {
        description.clone_into(&mut self.description);
        self
    }

    /// May be given at start and not changed while the node runs.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// A rule that values must follow beyond type and range; `constraint` is its wording for `ros2 param describe`, the error
    /// says why a value breaks it.
    pub fn validate(
        mut self,
        constraint: &str,
        rule: impl Fn(&T) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.constraints.push(constraint.to_owned());
        self.checks.push(Box::new(move |value| T::from_value(value).map_or(Ok(()), |value| rule(&value))));
        self
    }

    /// Called on the spin thread after each accepted change at run time.
    pub fn on_change(mut self, listener: impl Fn(&T) + Send + Sync + 'static) -> Self {
        self.listener = Some(Arc::new(move |value: &Value| {
            if let Some(value) = T::from_value(value) {
                listener(&value);
            }
        }));
        self
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn default_value(&self) -> &T {
        &self.default
    }

    pub(super) fn erase(self) -> Declaration {
        Declaration {
            name: self.name,
            value: self.default.into_value(),
            type_id: T::TYPE_ID,
            type_name: T::TYPE_NAME,
            convert: |value| T::from_value(value).map(T::into_value),
            description: self.description,
            constraints: self.constraints.join("; "),
            range: self.range,
            read_only: self.read_only,
            checks: self.checks,
            listener: self.listener,
        }
    }
}

impl ParameterSpec<i64> {
    pub fn range(mut self, range: RangeInclusive<i64>) -> Self {
        self.range = Range::Integer { from: *range.start(), to: *range.end() };
        self
    }
}

impl ParameterSpec<f64> {
    pub fn range(mut self, range: RangeInclusive<f64>) -> Self {
        self.range = Range::Double { from: *range.start(), to: *range.end() };
        self
    }
}

impl ParameterSpec<String> {
    /// Only these words.
    pub fn one_of(self, words: &'static [&'static str]) -> Self {
        let listed = words.join(", ");
        self.validate(&format!("one of: {listed}"), move |value: &String| {
            if words.contains(&value.as_str()) {
                Ok(())
            } else {
                Err(format!("{} is none of: {listed}", display(&Value::String(value.clone()))))
            }
        })
    }

    /// Must be given: an empty text is refused.
    pub fn required(self) -> Self {
        self.validate("not empty", |value: &String| {
            if value.is_empty() { Err("must be given and is empty".to_owned()) } else { Ok(()) }
        })
    }
}
