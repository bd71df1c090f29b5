//! JSON as metadata uses it, and its canonical bytes, which are what is signed.
//!
//! The canonical form is that of securesystemslib (and so of python-tuf, go-tuf and tuf-on-ci): keys sorted by code point, no
//! white space, integers only, and in strings only `"` and `\` escaped, so that it need not be JSON again.
//! `olpc-cjson` is not used: it normalises strings to NFC, and a name with a combining accent then has other bytes than in
//! every other implementation.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// A JSON value without floating-point numbers, and without an object that has a key twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    Null,
    Bool(bool),
    /// From `i64::MIN` to `u64::MAX`.
    Int(i128),
    Text(String),
    List(Vec<Json>),
    Map(BTreeMap<String, Json>),
}

impl Json {
    /// Reads one value and nothing behind it but white space. At most 128 levels deep.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(map) => map.get(key),
            _ => None,
        }
    }

    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The bytes that are hashed and signed.
    pub fn canonical(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Int(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Self::Text(text) => quote(text, out),
            Self::List(items) => {
                out.push(b'[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    item.write(out);
                }
                out.push(b']');
            }
            Self::Map(map) => {
                out.push(b'{');
                // UTF-8 sorts as its code points do.
                for (i, (key, value)) in map.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    quote(key, out);
                    out.push(b':');
                    value.write(out);
                }
                out.push(b'}');
            }
        }
    }
}

fn quote(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i128(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::List(items) => items.serialize(serializer),
            Self::Map(map) => map.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Json;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value with whole numbers only")
            }

            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
                Ok(Json::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
                Ok(Json::Int(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
                Ok(Json::Int(value.into()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Json, E> {
                Ok(Json::Text(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Json::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
                let mut map = BTreeMap::new();
                while let Some(key) = entries.next_key::<String>()? {
                    // Two readers may take different ones of the two.
                    if map.contains_key(&key) {
                        return Err(de::Error::custom(format!(
                            "the key '{}' is there twice",
                            key.escape_debug()
                        )));
                    }
                    map.insert(key, entries.next_value()?);
                }
                Ok(Json::Map(map))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        String::from_utf8(Json::parse(text.as_bytes()).unwrap().canonical()).unwrap()
    }

    /// The expected texts were made with `securesystemslib.formats.encode_canonical` 1.6.0.
    #[test]
    fn the_canonical_form_is_that_of_securesystemslib() {
        for (json, expected) in [
            (
                r#" {"b": [1, -2, true, null], "a": {"y": "", "x": false}} "#,
                r#"{"a":{"x":false,"y":""},"b":[1,-2,true,null]}"#,
            ),
            (r#""a\n\t\"\\\/""#, "\"a\n\t\\\"\\\\/\""),
            // Composed and decomposed stay what they are; sorting is by code point and not by UTF-16 unit.
            (
                "{\"\\ud83d\\ude00\":1,\"\\uff5a\":2,\"e\\u0301\":3,\"\\u00e9\":4}",
                "{\"e\u{301}\":3,\"\u{e9}\":4,\"\u{ff5a}\":2,\"\u{1f600}\":1}",
            ),
            ("18446744073709551615", "18446744073709551615"),
        ] {
            assert_eq!(canonical(json), expected);
        }
    }

    #[test]
    fn what_has_no_canonical_form_is_refused() {
        for (json, expected) in [
            (r#"{"a": 1.0}"#, "floating point"),
            (r#"{"a": 1, "b": {"c": 1, "c": 2}}"#, "the key 'c' is there twice"),
            (r#"{"a": 1} x"#, "trailing characters"),
            ("18446744073709551616", "floating point"),
        ] {
            let error = Json::parse(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(Json::parse("[".repeat(200).as_bytes()).is_err());
    }
}
