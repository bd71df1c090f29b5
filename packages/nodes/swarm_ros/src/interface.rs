//! What an interface takes, read from the definition that its package has installed.
//!
//! `r2r` knows every type that it was built with, but what is made of JSON it takes as it comes: an unknown field is passed over, and a
//! goal with a value of another type ends the process. So whoever lets others write JSON checks it here first.
//!
//! Of a message everything counts; of a service the request; of an action the goal. Fields that are left out have their defaults.
//!
//! The format: <https://docs.ros.org/en/jazzy/Concepts/Basic/About-Interfaces.html>.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The part of an interface that a client sends.
#[derive(Clone, Debug, PartialEq)]
pub struct Interface {
    fields: Vec<Field>,
}

/// Why an interface is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InterfaceError {
    #[error("'{0}' is no type, expected package/msg/Name, package/srv/Name or package/action/Name")]
    Name(String),
    #[error("there is no {file} in any prefix of AMENT_PREFIX_PATH; is the package installed and sourced?")]
    Missing { file: String },
    #[error("cannot read {file}: {reason}")]
    Unreadable { file: String, reason: String },
    #[error("{file}, line {line}: '{text}' is no field")]
    Line { file: String, line: usize, text: String },
    #[error("{0} holds itself")]
    Recursive(String),
}

#[derive(Clone, Debug, PartialEq)]
struct Field {
    name: String,
    kind: Kind,
    many: Many,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Bool,
    /// From, to.
    Int(i128, i128),
    Float,
    /// Longest, in bytes.
    Text(Option<usize>),
    Nested(Vec<Field>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Many {
    One,
    Any,
    AtMost(usize),
    Exactly(usize),
}

impl Interface {
    /// Reads `package/msg/Name`, `package/srv/Name` or `package/action/Name` from the prefixes of `AMENT_PREFIX_PATH`.
    pub fn installed(name: &str) -> Result<Self, InterfaceError> {
        let prefixes = std::env::var("AMENT_PREFIX_PATH").unwrap_or_default();
        Self::within(name, &std::env::split_paths(&prefixes).collect::<Vec<_>>())
    }

    /// As [`Interface::installed`], from these prefixes.
    pub fn within(name: &str, prefixes: &[PathBuf]) -> Result<Self, InterfaceError> {
        Ok(Self { fields: read(name, prefixes, &mut Vec::new())? })
    }

    /// Whether an object can be sent; the error names the field.
    pub fn check(&self, content: &Value) -> Result<(), String> {
        check_fields(&self.fields, content, "")
    }
}

/// `outer` are the types that this one stands in.
fn read(name: &str, prefixes: &[PathBuf], outer: &mut Vec<String>) -> Result<Vec<Field>, InterfaceError> {
    let parts: Vec<&str> = name.split('/').collect();
    let [package, folder @ ("msg" | "srv" | "action"), type_name] = parts[..] else {
        return Err(InterfaceError::Name(name.to_owned()));
    };
    if outer.iter().any(|outer| outer == name) {
        return Err(InterfaceError::Recursive(name.to_owned()));
    }
    outer.push(name.to_owned());
    let file = format!("share/{package}/{folder}/{type_name}.{folder}");
    let path = prefixes.iter().map(|prefix| prefix.join(&file)).find(|path| path.is_file());
    let path = path.ok_or(InterfaceError::Missing { file })?;
    let unreadable = |reason: std::io::Error| InterfaceError::Unreadable {
        file: path.display().to_string(),
        reason: reason.to_string(),
    };
    let text = std::fs::read_to_string(&path).map_err(unreadable)?;
    let mut fields = Vec::new();
    // What is sent stands before the first line of dashes.
    for (line, text) in text.lines().enumerate().take_while(|(_, text)| text.trim() != "---") {
        let text = text.split('#').next().unwrap_or_default().trim();
        if !text.is_empty() && !is_constant(text) {
            let field = field(text, package, prefixes, outer)?;
            fields.push(field.ok_or_else(|| malformed(&path, line, text))?);
        }
    }
    outer.pop();
    Ok(fields)
}

fn malformed(path: &Path, line: usize, text: &str) -> InterfaceError {
    InterfaceError::Line { file: path.display().to_string(), line: line + 1, text: text.to_owned() }
}

/// `int8 NAME=3`; the `<=` of a bound is no such sign.
fn is_constant(text: &str) -> bool {
    text.replace("<=", "").split_once('=').is_some_and(|(before, _)| before.split_whitespace().count() == 2)
}

/// `type name`, maybe with a default. `None` if it is neither.
fn field(
    text: &str,
    package: &str,
    prefixes: &[PathBuf],
    outer: &mut Vec<String>,
) -> Result<Option<Field>, InterfaceError> {
    let mut words = text.split_whitespace();
    let (Some(declared), Some(name)) = (words.next(), words.next()) else { return Ok(None) };
    let (element, many) = match declared.strip_suffix(']').and_then(|text| text.rsplit_once('[')) {
        None => (declared, Many::One),
        Some((element, "")) => (element, Many::Any),
        Some((element, count)) => match (count.strip_prefix("<=").map(str::parse), count.parse()) {
            (Some(Ok(most)), _) => (element, Many::AtMost(most)),
            (None, Ok(exactly)) => (element, Many::Exactly(exactly)),
            _ => return Ok(None),
        },
    };
    let kind = if let Some(kind) = primitive(element) {
        kind
    } else {
        let parts: Vec<&str> = element.split('/').collect();
        let nested = match parts[..] {
            [name] => format!("{package}/msg/{name}"),
            [package, name] | [package, "msg", name] => format!("{package}/msg/{name}"),
            _ => return Ok(None),
        };
        Kind::Nested(read(&nested, prefixes, outer)?)
    };
    Ok(Some(Field { name: name.to_owned(), kind, many }))
}

fn primitive(element: &str) -> Option<Kind> {
    let signed = |bits: u32| Kind::Int(-(1 << (bits - 1)), (1 << (bits - 1)) - 1);
    let unsigned = |bits: u32| Kind::Int(0, (1 << bits) - 1);
    let (word, bound) = match element.split_once("<=") {
        Some((word, bound)) => (word, Some(bound.parse().ok()?)),
        None => (element, None),
    };
    Some(match word {
        "bool" => Kind::Bool,
        "byte" | "char" | "uint8" => unsigned(8),
        "uint16" => unsigned(16),
        "uint32" => unsigned(32),
        "uint64" => unsigned(64),
        "int8" => signed(8),
        "int16" => signed(16),
        "int32" => signed(32),
        "int64" => signed(64),
        "float32" | "float64" => Kind::Float,
        "string" | "wstring" => Kind::Text(bound),
        _ => return None,
    })
}

fn check_fields(fields: &[Field], content: &Value, at: &str) -> Result<(), String> {
    let Some(given) = content.as_object() else { return Err(wrong(at, "an object", content)) };
    for (name, value) in given {
        let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
        let Some(field) = fields.iter().find(|field| field.name == *name) else {
            let known = fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ");
            let known =
                if known.is_empty() { "there is none".to_owned() } else { format!("there are {known}") };
            return Err(format!("there is no field {path}; {known}"));
        };
        check_field(field, value, &path)?;
    }
    Ok(())
}

fn check_field(field: &Field, value: &Value, path: &str) -> Result<(), String> {
    if field.many == Many::One {
        return check_one(&field.kind, value, path);
    }
    let Some(items) = value.as_array() else { return Err(wrong(path, "a list", value)) };
    let (fits, count) = match field.many {
        Many::One | Many::Any => (true, String::new()),
        Many::AtMost(most) => (items.len() <= most, format!("at most {most}")),
        Many::Exactly(exactly) => (items.len() == exactly, exactly.to_string()),
    };
    if !fits {
        return Err(format!("{path} has {} items, expected {count}", items.len()));
    }
    items
        .iter()
        .enumerate()
        .try_for_each(|(index, item)| check_one(&field.kind, item, &format!("{path}[{index}]")))
}

fn check_one(kind: &Kind, value: &Value, path: &str) -> Result<(), String> {
    let (fits, expected) = match kind {
        Kind::Nested(fields) => return check_fields(fields, value, path),
        Kind::Bool => (value.is_boolean(), "true or false".to_owned()),
        Kind::Float => (value.is_number(), "a number".to_owned()),
        Kind::Int(from, to) => {
            let number = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
            (
                number.is_some_and(|number| (*from..=*to).contains(&number)),
                format!("a whole number from {from} to {to}"),
            )
        }
        Kind::Text(None) => (value.is_string(), "a text".to_owned()),
        Kind::Text(Some(most)) => (
            value.as_str().is_some_and(|text| text.len() <= *most),
            format!("a text of at most {most} bytes"),
        ),
    };
    if fits { Ok(()) } else { Err(wrong(path, &expected, value)) }
}

fn wrong(path: &str, expected: &str, found: &Value) -> String {
    let path = if path.is_empty() { "the message" } else { path };
    format!("{path} is {found}, expected {expected}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A prefix of its own, gone with the guard.
    struct Prefix(PathBuf);

    impl Prefix {
        fn new(test: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("swarm_ros_{test}_{}", std::process::id()));
            for (file, text) in files {
                let path = root.join("share").join(file);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            Self(root)
        }

        fn interface(&self, name: &str) -> Result<Interface, InterfaceError> {
            Interface::within(name, std::slice::from_ref(&self.0))
        }
    }

    impl Drop for Prefix {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    const TURN: &str = "# How far.\nuint8 FAST=2   # a constant\nfloat64 torque 1.5\nint8 speed\nstring<=4 tool \"bit\"\n\
        Limit[<=2] limits\nfloat32[3] axis\nbool[] dry\ndriver_msgs/msg/Limit one\n---\nfloat64 angle\n---\nfloat64 now\n";

    #[test]
    fn a_goal_is_checked_field_by_field() {
        let files =
            [("driver_msgs/action/Turn.action", TURN), ("driver_msgs/msg/Limit.msg", "uint16 most\n")];
        let prefix = Prefix::new("goal", &files);
        let turn = prefix.interface("driver_msgs/action/Turn").unwrap();
        let good = json!({"torque": 2, "speed": -128, "tool": "long", "limits": [{"most": 65535}, {}],
                          "axis": [0, 0.5, 1], "dry": [true], "one": {"most": 1}});
        assert_eq!(turn.check(&good), Ok(()));
        assert_eq!(turn.check(&json!({})), Ok(()));
        for (bad, why) in [
            (json!([]), "the message is [], expected an object"),
            (
                json!({"torqe": 1}),
                "there is no field torqe; there are torque, speed, tool, limits, axis, dry, one",
            ),
            (
                json!({"angle": 1.0}),
                "there is no field angle; there are torque, speed, tool, limits, axis, dry, one",
            ),
            (json!({"torque": "1"}), "torque is \"1\", expected a number"),
            (json!({"speed": 128}), "speed is 128, expected a whole number from -128 to 127"),
            (json!({"speed": 1.5}), "speed is 1.5, expected a whole number from -128 to 127"),
            (json!({"tool": "longer"}), "tool is \"longer\", expected a text of at most 4 bytes"),
            (json!({"limits": [{}, {}, {}]}), "limits has 3 items, expected at most 2"),
            (json!({"limits": [{"least": 1}]}), "there is no field limits[0].least; there are most"),
            (
                json!({"limits": [{"most": -1}]}),
                "limits[0].most is -1, expected a whole number from 0 to 65535",
            ),
            (json!({"axis": [1, 2]}), "axis has 2 items, expected 3"),
            (json!({"dry": true}), "dry is true, expected a list"),
            (json!({"one": 1}), "one is 1, expected an object"),
        ] {
            assert_eq!(turn.check(&bad), Err(why.to_owned()));
        }
    }

    #[test]
    fn what_cannot_be_read_says_which_file_and_line() {
        let files = [
            ("bad_msgs/msg/Line.msg", "int8 one\nint8[three] two\n"),
            ("bad_msgs/msg/Self.msg", "Self[] more\n"),
            ("bad_msgs/msg/Lacks.msg", "other_msgs/Gone gone\n"),
        ];
        let prefix = Prefix::new("bad", &files);
        let error = |name: &str| prefix.interface(name).unwrap_err().to_string();
        assert!(
            error("bad_msgs/msg/Line")
                .ends_with("share/bad_msgs/msg/Line.msg, line 2: 'int8[three] two' is no field")
        );
        assert_eq!(error("bad_msgs/msg/Self"), "bad_msgs/msg/Self holds itself");
        assert!(
            error("bad_msgs/msg/Lacks")
                .starts_with("there is no share/other_msgs/msg/Gone.msg in any prefix")
        );
        assert!(error("bad_msgs/Line").starts_with("'bad_msgs/Line' is no type"));
    }
}
