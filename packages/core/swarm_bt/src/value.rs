//! Values on the blackboard, the types ports declare, and the conversions between them.
//!
//! The conversions are those of BehaviorTree.CPP's `Any` (`utils/safe_any.hpp`): numbers convert where nothing is
//! lost, a string is read as whatever the reader's port asks for, everything else is an error.
//! Cloning a value never allocates: strings up to 23 bytes are stored in place, longer ones and vectors are shared.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use smol_str::SmolStr;

/// A value on the blackboard.
#[derive(Clone, Debug)]
pub enum Value {
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(SmolStr),
    /// A list of numbers (a pose, joint angles); in XML `1.5;2;3` or `json:[1.5, 2, 3]`.
    Vector(Arc<[f64]>),
}

/// What a port accepts. `Any` takes every value as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortType {
    Any,
    Bool,
    Int,
    Float,
    Str,
    Vector,
}

impl PortType {
    /// For messages: "a bool".
    pub(crate) fn with_article(self) -> &'static str {
        match self {
            PortType::Any => "any value",
            PortType::Bool => "a bool",
            PortType::Int => "an int",
            PortType::Float => "a float",
            PortType::Str => "a string",
            PortType::Vector => "a vector",
        }
    }
}

impl fmt::Display for PortType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PortType::Any => "any",
            PortType::Bool => "bool",
            PortType::Int => "int",
            PortType::Float => "float",
            PortType::Str => "string",
            PortType::Vector => "vector",
        })
    }
}

/// A value that cannot be had in the type asked for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("cannot convert {from} {value} to {to} without loss")]
pub struct ConvertError {
    /// The value, as text.
    pub value: String,
    pub from: PortType,
    pub to: PortType,
}

impl Value {
    /// The type of the value; never [`PortType::Any`].
    pub fn port_type(&self) -> PortType {
        match self {
            Value::Bool(_) => PortType::Bool,
            Value::Int(_) => PortType::Int,
            Value::Float(_) => PortType::Float,
            Value::Str(_) => PortType::Str,
            Value::Vector(_) => PortType::Vector,
        }
    }

    /// True for booleans too, as in BehaviorTree.CPP, where a boolean is the number 0 or 1.
    #[inline]
    pub fn is_number(&self) -> bool {
        matches!(self, Value::Bool(_) | Value::Int(_) | Value::Float(_))
    }

    /// A number as `f64`. An integer of 2^53 or more gives `None`, and so does any non-number.
    #[inline]
    pub(crate) fn number(&self) -> Option<f64> {
        match *self {
            Value::Bool(b) => Some(f64::from(u8::from(b))),
            Value::Float(f) => Some(f),
            Value::Int(i) => exact_float(i),
            Value::Str(_) | Value::Vector(_) => None,
        }
    }

    /// The value in another type; text is parsed, numbers must not lose anything.
    pub fn convert(&self, to: PortType) -> Result<Value, ConvertError> {
        self.try_convert(to).ok_or_else(|| ConvertError {
            value: self.to_string(),
            from: self.port_type(),
            to,
        })
    }

    fn try_convert(&self, to: PortType) -> Option<Value> {
        if let (Value::Str(s), false) = (self, matches!(to, PortType::Any | PortType::Str)) {
            return parse(s, to);
        }
        Some(match to {
            PortType::Any => self.clone(),
            PortType::Bool => match *self {
                Value::Bool(b) => Value::Bool(b),
                Value::Int(i @ (0 | 1)) => Value::Bool(i == 1),
                Value::Float(f) => Value::Bool(f != 0.0),
                _ => return None,
            },
            PortType::Int => match *self {
                Value::Bool(b) => Value::Int(i64::from(b)),
                Value::Int(i) => Value::Int(i),
                Value::Float(f) => Value::Int(exact_int(f)?),
                _ => return None,
            },
            PortType::Float => Value::Float(self.number()?),
            PortType::Str => match self {
                Value::Str(s) => Value::Str(s.clone()),
                other => Value::Str(other.to_string().into()),
            },
            PortType::Vector => match self {
                Value::Vector(v) => Value::Vector(Arc::clone(v)),
                _ => return None,
            },
        })
    }
}

/// The text of a port as a value of its type; spaces around it are ignored for all types but text.
pub(crate) fn parse(text: &str, to: PortType) -> Option<Value> {
    let trimmed = text.trim();
    Some(match to {
        PortType::Any | PortType::Str => Value::Str(text.into()),
        PortType::Bool => match trimmed {
            "0" | "false" | "False" | "FALSE" => Value::Bool(false),
            "1" | "true" | "True" | "TRUE" => Value::Bool(true),
            _ => return None,
        },
        PortType::Int => Value::Int(trimmed.parse().ok()?),
        PortType::Float => Value::Float(trimmed.parse().ok()?),
        PortType::Vector => {
            if let Some(json) = trimmed.strip_prefix("json:") {
                return serde_json::from_str(json).ok().map(|v: Vec<f64>| Value::Vector(v.into()));
            }
            let numbers: Option<Vec<f64>> = trimmed
                .split(';')
                .filter(|part| !part.trim().is_empty())
                .map(|p| p.trim().parse().ok())
                .collect();
            Value::Vector(numbers?.into())
        }
    })
}

/// `i` as a float, up to 2^53 - 1: beyond it a float no longer tells an integer from the next. The limit is BehaviorTree.CPP's
/// (`utils/convert_impl.hpp`), which refuses 2^54 too, although there is such a float.
#[inline]
pub(crate) fn exact_float(i: i64) -> Option<f64> {
    (i.unsigned_abs() < 1 << f64::MANTISSA_DIGITS).then_some(i as f64)
}

/// `f` as an integer, if it is one and fits.
#[inline]
pub(crate) fn exact_int(f: f64) -> Option<i64> {
    // The conversion saturates, and gives 0 for NaN. 2^63 is the first float beyond i64, and equals i64::MAX as a float.
    let i = f as i64;
    (i as f64 == f && i != i64::MAX).then_some(i)
}

/// As BehaviorTree.CPP turns values into text (`std::to_string`): floats with six decimals.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bool(b) => write!(f, "{}", u8::from(*b)),
            Value::Int(i) => write!(f, "{i}"),
            Value::Float(x) => write!(f, "{x:.6}"),
            Value::Str(s) => f.write_str(s),
            Value::Vector(v) => {
                for (i, x) in v.iter().enumerate() {
                    write!(f, "{}{x}", if i == 0 { "" } else { ";" })?;
                }
                Ok(())
            }
        }
    }
}

/// Bit for bit, so that a state with a NaN equals itself: equality here means "replays the same", not arithmetic.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
            (Value::Str(a), Value::Str(b)) => a == b,
            (Value::Vector(a), Value::Vector(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(x, y)| x.to_bits() == y.to_bits())
            }
            _ => false,
        }
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, h: &mut H) {
        match self {
            Value::Bool(b) => h.write(&[0, u8::from(*b)]),
            Value::Int(i) => {
                h.write(&[1]);
                h.write(&i.to_le_bytes());
            }
            Value::Float(x) => {
                h.write(&[2]);
                h.write(&x.to_bits().to_le_bytes());
            }
            Value::Str(s) => {
                h.write(&[3]);
                h.write(&(s.len() as u64).to_le_bytes());
                h.write(s.as_bytes());
            }
            Value::Vector(v) => {
                h.write(&[4]);
                h.write(&(v.len() as u64).to_le_bytes());
                for x in v.iter() {
                    h.write(&x.to_bits().to_le_bytes());
                }
            }
        }
    }
}

macro_rules! value_from {
    ($($from:ty => $name:ident => $make:expr),* $(,)?) => {$(
        impl From<$from> for Value {
            fn from($name: $from) -> Self {
                $make
            }
        }
    )*};
}

value_from! {
    bool => b => Value::Bool(b),
    i64 => i => Value::Int(i),
    i32 => i => Value::Int(i64::from(i)),
    u32 => i => Value::Int(i64::from(i)),
    f64 => x => Value::Float(x),
    &str => s => Value::Str(s.into()),
    String => s => Value::Str(s.into()),
    SmolStr => s => Value::Str(s),
    &[f64] => v => Value::Vector(v.into()),
    Vec<f64> => v => Value::Vector(v.into()),
    Arc<[f64]> => v => Value::Vector(v),
}

/// Rust types that a port can be read as.
pub trait FromValue: Sized {
    /// The type that is asked for.
    const PORT_TYPE: PortType;

    /// From a value that has been converted to [`Self::PORT_TYPE`].
    fn from_value(value: Value) -> Option<Self>;

    /// From a value that needs no conversion: the short way for numbers. `None` takes the long way.
    #[inline]
    fn peek(_: &Value) -> Option<Self> {
        None
    }
}

macro_rules! from_value {
    ($($to:ty, $port:ident, $pattern:pat => $out:expr $(, $peek:pat => $copy:expr)?);* $(;)?) => {$(
        impl FromValue for $to {
            const PORT_TYPE: PortType = PortType::$port;
            $(#[inline]
            fn peek(value: &Value) -> Option<Self> {
                match value {
                    $peek => Some($copy),
                    _ => None,
                }
            })?
            fn from_value(value: Value) -> Option<Self> {
                match value {
                    $pattern => Some($out),
                    _ => None,
                }
            }
        }
    )*};
}

from_value! {
    bool, Bool, Value::Bool(b) => b, Value::Bool(b) => *b;
    i64, Int, Value::Int(i) => i, Value::Int(i) => *i;
    f64, Float, Value::Float(x) => x, Value::Float(x) => *x;
    SmolStr, Str, Value::Str(s) => s;
    String, Str, Value::Str(s) => s.into();
    Arc<[f64]>, Vector, Value::Vector(v) => v;
}

impl FromValue for Value {
    const PORT_TYPE: PortType = PortType::Any;
    fn from_value(value: Value) -> Option<Self> {
        Some(value)
    }
}
