//! Inputs, verdicts and states as bytes, for whoever records them: every bit comes back.
//!
//! Layout, little endian, without gaps; a value is its fields in the order of their declaration in `tables`:
//!
//! | type | bytes |
//! |---|---|
//! | `bool` | 1: 0 or 1 |
//! | `u64`, indices, [`Time`] (ns) | 8 |
//! | `f64` | 8, the bit pattern: also that of a value that is not a number |
//! | vectors and arrays | their entries |
//! | text | 8: length in bytes, then UTF-8 |
//! | `Option` | 1: 0, or 1 and the value |
//! | enumerations | 1: the number of the variant in `tables`, then what it holds |
//!
//! Anything else than what [`Wire::put`] gives is refused: there is one way to write a value. Numbers of variants and the
//! order of fields are never changed; a new form gets a new version in whatever file holds these bytes.

mod tables;

use nalgebra::SVector;
use swarm_base::Time;

/// A value with a form in bytes.
pub trait Wire: Sized {
    /// Appends the value's bytes.
    fn put(&self, out: &mut Vec<u8>);

    /// Reads a value from the front of `bytes`.
    fn take(bytes: &mut Bytes<'_>) -> Result<Self, WireError>;

    /// Lists the value's leaves, each with its path below `path`, for people.
    fn leaves(&self, path: &str, out: &mut Vec<Leaf>);

    /// The value's bytes.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out);
        out
    }

    /// Reads a value that takes up all of `bytes`.
    fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        let mut bytes = Bytes::new(bytes);
        let value = Self::take(&mut bytes)?;
        bytes.end()?;
        Ok(value)
    }
}

/// One figure of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Such as `robots[1].joints.q[3]`.
    pub path: String,
    /// Written so that two texts are equal only if the bits are.
    pub text: String,
}

/// Two values that should have been the same: the first leaf in which they are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub path: String,
    pub left: String,
    pub right: String,
}

/// The first difference between two values, bit for bit; `None` if there is none.
pub fn first_difference<T: Wire>(left: &T, right: &T) -> Option<Difference> {
    if left.to_bytes() == right.to_bytes() {
        return None;
    }
    let leaves = |value: &T| {
        let mut out = Vec::new();
        value.leaves("", &mut out);
        out
    };
    let missing = || Leaf { path: String::new(), text: "nothing".to_owned() };
    let (mut left, mut right) = (leaves(left).into_iter(), leaves(right).into_iter());
    loop {
        let (one, two) = (left.next().unwrap_or_else(missing), right.next().unwrap_or_else(missing));
        if one != two {
            return Some(Difference { path: one.path, left: one.text, right: two.text });
        }
    }
}

/// Every value of an enumeration that holds nothing but enumerations, in the order of their numbers: so that nobody keeps a
/// second list of them.
pub fn every<T: Wire>() -> Vec<T> {
    fn below<T: Wire>(begin: &mut Vec<u8>, found: &mut Vec<T>) {
        for tag in 0..=u8::MAX {
            begin.push(tag);
            match T::from_bytes(begin) {
                Ok(value) => found.push(value),
                Err(WireError::Ends { missing: 1, .. }) => below(begin, found),
                Err(_) => {}
            }
            begin.pop();
        }
    }
    let mut found = Vec::new();
    below(&mut Vec::new(), &mut found);
    found
}

/// Bytes being read.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a> {
    rest: &'a [u8],
    read: usize,
}

/// Bytes that are no value of the expected type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("the value ends after {at} bytes, {missing} more were expected")]
    Ends { at: usize, missing: usize },
    #[error("byte {at} is {found}, which is no {expected}")]
    Tag { at: usize, found: u8, expected: &'static str },
    #[error("byte {at} is not UTF-8 text")]
    Text { at: usize },
    #[error("{left} bytes are left behind the value, at byte {at}")]
    Left { at: usize, left: usize },
}

impl<'a> Bytes<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, read: 0 }
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let Some((bytes, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(WireError::Ends { at: self.read, missing: N - self.rest.len() });
        };
        self.rest = rest;
        self.read += N;
        Ok(*bytes)
    }

    /// The next `length` bytes.
    pub fn slice(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let Some((bytes, rest)) = self.rest.split_at_checked(length) else {
            return Err(WireError::Ends { at: self.read, missing: length - self.rest.len() });
        };
        self.rest = rest;
        self.read += length;
        Ok(bytes)
    }

    /// Nothing may be left.
    pub fn end(&self) -> Result<(), WireError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(WireError::Left { at: self.read, left }),
        }
    }

    /// A byte that tells what follows; `expected` names the type in the error.
    pub fn tag(&mut self, most: u8, expected: &'static str) -> Result<u8, WireError> {
        let at = self.read;
        let [found] = self.array()?;
        if found > most { Err(WireError::Tag { at, found, expected }) } else { Ok(found) }
    }
}

fn leaf(path: &str, text: String, out: &mut Vec<Leaf>) {
    out.push(Leaf { path: path.to_owned(), text });
}

pub(crate) fn below(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

impl Wire for u8 {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }

    fn take(bytes: &mut Bytes<'_>) -> Result<Self, WireError> {
        bytes.array().map(|[byte]| byte)
    }

    fn leaves(&self, path: &str, out: &mut Vec<Leaf>) {
        leaf(path, self.to_string(), out);
    }
}

impl Wire for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn take(bytes: &mut Bytes<'_>) -> Result<Self, WireError> {
        bytes.array().map(Self::from_le_bytes)
    }

    fn leaves(&self, path: &str, out: &mut Vec<Leaf>) {
        leaf(path, self.to_string(), out);
    }
}

impl Wire for usize {
    fn put(&self, out: &mut Vec<u8>) {
        (*self as u64).put(out);
    }

    fn take(bytes: &mut Bytes<'_>) -> Result<Self, WireError> {
        u64::take(bytes).map(|value| value as Self)
    }

    fn leaves(&self, path: &str, out: &mut Vec<Leaf>) {
        leaf(path, self.to_string(), out);
    }
}

impl Wire for f64 {
    fn put(&self, out: &mut Vec<u8>) {
        self.to_bits().put(out);
    }

    fn take(bytes: &mut Bytes<'_>) -> Result<Self, WireError> {
        u64::take(bytes).map(Self::from_bits)
    }

    fn leaves(&self, path: &str, out: &mut Vec<Leaf>) {
        let text =
            if self.is_nan() { format!("NaN (bits {:#018x})", self.to_bits()) } else { format!("{self:?}") };
        leaf(path, text, out);
    }
}

impl Wire for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn take(bytes: &mut Bytes<'_>) -> Result<Self, WireError> {
        bytes.tag(1, "bool").map(|tag| tag == 1)
    }

    fn leaves(&self, path: &str, out: &mut Vec<Leaf>) {
        leaf(path, self.to_string(), out);
    }
}

/// Length as `u64`, then UTF-8.
impl Wire for String {
    fn put(&self, out: &mut Vec<u8>) {
        self.len().put(out);
        out.extend_from_slice(self.as_bytes());
    }

    fn take(bytes: &mut Bytes<'_>) -> Result<Self, WireError> {
        let length = usize::take(bytes)?;
        let at = bytes.read;
        let text = std::str::from_utf8(bytes.slice(length)?)
            .map_err(|error| WireError::Text { at: at + error.valid_up_to() })?;
        Ok(text.to_owned())
    }

    fn leaves(&self, path: &str, out: &mut Vec<Leaf>) {
        leaf(path, format!("{self:?}"), out);
    }
}

impl Wire for Time {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn take(bytes: &mut Bytes<'_>) -> Result<Self, WireError> {
        u64::take(bytes).map(Self)
    }

    fn leaves(&self, path: &str, out: &mut Vec<Leaf>) {
        leaf(path, format!("{} ns", self.0), out);
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(bytes: &mut Bytes<'_>) -> Result<Self, WireError> {
        Ok(if bytes.tag(1, "option")? == 1 { Some(T::take(bytes)?) } else { None })
    }

    fn leaves(&self, path: &str, out: &mut Vec<Leaf>) {
        match self {
            Some(value) => value.leaves(path, out),
            None => leaf(path, "none".to_owned(), out),
        }
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(bytes: &mut Bytes<'_>) -> Result<Self, WireError> {
        Ok((A::take(bytes)?, B::take(bytes)?))
    }

    fn leaves(&self, path: &str, out: &mut Vec<Leaf>) {
        self.0.leaves(&below(path, "0"), out);
        self.1.leaves(&below(path, "1"), out);
    }
}

impl<T: Wire, const N: usize> Wire for [T; N] {
    fn put(&self, out: &mut Vec<u8>) {
        for item in self {
            item.put(out);
        }
    }

    fn take(bytes: &mut Bytes<'_>) -> Result<Self, WireError> {
        let items = (0..N).map(|_| T::take(bytes)).collect::<Result<Vec<_>, _>>()?;
        Ok(items.try_into().unwrap_or_else(|_| unreachable!("N items were taken")))
    }

    fn leaves(&self, path: &str, out: &mut Vec<Leaf>) {
        for (i, item) in self.iter().enumerate() {
            item.leaves(&format!("{path}[{i}]"), out);
        }
    }
}

impl<const N: usize> Wire for SVector<f64, N> {
    fn put(&self, out: &mut Vec<u8>) {
        for item in self {
            item.put(out);
        }
    }

    fn take(bytes: &mut Bytes<'_>) -> Result<Self, WireError> {
        <[f64; N]>::take(bytes).map(Self::from)
    }

    fn leaves(&self, path: &str, out: &mut Vec<Leaf>) {
        for (i, item) in self.iter().enumerate() {
            item.leaves(&format!("{path}[{i}]"), out);
        }
    }
}

/// A struct as its fields in this order. A field that is forgotten here does not compile.
macro_rules! wire_struct {
    ($type:ident { $($field:ident),* $(,)? }) => {
        impl $crate::wire::Wire for $type {
            fn put(&self, out: &mut Vec<u8>) {
                let Self { $($field),* } = self;
                $($crate::wire::Wire::put($field, out);)*
            }

            fn take(bytes: &mut $crate::wire::Bytes<'_>) -> Result<Self, $crate::wire::WireError> {
                Ok(Self { $($field: $crate::wire::Wire::take(bytes)?),* })
            }

            fn leaves(&self, path: &str, out: &mut Vec<$crate::wire::Leaf>) {
                $($crate::wire::Wire::leaves(&self.$field, &$crate::wire::below(path, stringify!($field)), out);)*
            }
        }
    };
}
pub(crate) use wire_struct;

/// An enumeration as the number of its variant, and then what that holds. Numbers run from 0.
macro_rules! wire_enum {
    ($type:ident, $most:literal { $($tag:literal = $variant:ident
        $(( $($item:ident),* ))? $({ $($field:ident),* })?),* $(,)? }) => {
        impl $crate::wire::Wire for $type {
            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $(($($item),*))? $({ $($field),* })? => {
                        out.push($tag);
                        $($($item.put(out);)*)?
                        $($($field.put(out);)*)?
                    })*
                }
            }

            fn take(bytes: &mut $crate::wire::Bytes<'_>) -> Result<Self, $crate::wire::WireError> {
                Ok(match bytes.tag($most, stringify!($type))? {
                    $($tag => {
                        $($(let $item = $crate::wire::Wire::take(bytes)?;)*)?
                        $($(let $field = $crate::wire::Wire::take(bytes)?;)*)?
                        Self::$variant $(($($item),*))? $({ $($field),* })?
                    })*
                    _ => unreachable!("tags run from 0 to the most"),
                })
            }

            fn leaves(&self, path: &str, out: &mut Vec<$crate::wire::Leaf>) {
                match self {
                    $(Self::$variant $(($($item),*))? $({ $($field),* })? => {
                        $crate::wire::variant(path, stringify!($variant), out);
                        $($($crate::wire::Wire::leaves($item, &$crate::wire::below(path, stringify!($item)), out);)*)?
                        $($($crate::wire::Wire::leaves($field, &$crate::wire::below(path, stringify!($field)), out);)*)?
                    })*
                }
            }
        }
    };
}
use wire_enum;

fn variant(path: &str, name: &str, out: &mut Vec<Leaf>) {
    leaf(path, name.to_owned(), out);
}
