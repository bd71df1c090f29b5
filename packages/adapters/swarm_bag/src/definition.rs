//! Message definitions: the text a bag carries so that it can be read without the package, and the type hash.
//!
//! - *text*: what a `.msg` file holds.
//! - *full text*: the text, and behind it that of every type it names, directly or not, each under a line of 80 `=` and
//!   `MSG: package/Name`. This is rosbag2's encoding `ros2msg`.
//! - *type hash*: `RIHS01_` and the SHA-256 of the type's description as JSON, as rosidl's type-description generator makes
//!   it (REP-2016). Names and types of the fields go in; comments, constants and default values do not.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use sha2::{Digest, Sha256};

/// What a bag says about a topic's type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definition {
    /// `ros2msg` or `ros2idl`; empty where a bag carries none.
    pub encoding: String,
    /// The full text.
    pub text: String,
    /// `RIHS01_...`; empty where it is not known.
    pub type_hash: String,
}

/// Why a type cannot be described.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum DefinitionError {
    #[error("no definition is known of {wanted}, which {user} needs; add its .msg text to the definitions")]
    Unknown { wanted: String, user: String },
    #[error("{type_name} is no full type name, expected package/msg/Name")]
    TypeName { type_name: String },
    #[error("{type_name}, line {line}: `{text}` is no field and no constant of a .msg file")]
    Line { type_name: String, line: usize, text: String },
}

/// `.msg` texts by their full type name.
#[derive(Clone, Debug)]
pub struct Definitions {
    texts: BTreeMap<String, Cow<'static, str>>,
}

macro_rules! ours {
    ($name:literal) => {
        (
            concat!("swarm_msgs/msg/", $name),
            include_str!(concat!("../../../../msg/swarm_msgs/msg/", $name, ".msg")),
        )
    };
}

/// Upstream's are given by their fields alone: neither the hash nor a reader wants the comments.
const KNOWN: &[(&str, &str)] = &[
    ("builtin_interfaces/msg/Time", "int32 sec\nuint32 nanosec\n"),
    ("std_msgs/msg/Header", "builtin_interfaces/Time stamp\nstring frame_id\n"),
    ("std_msgs/msg/Bool", "bool data\n"),
    ("std_msgs/msg/MultiArrayDimension", "string label\nuint32 size\nuint32 stride\n"),
    ("std_msgs/msg/MultiArrayLayout", "MultiArrayDimension[] dim\nuint32 data_offset\n"),
    ("std_msgs/msg/Float64MultiArray", "MultiArrayLayout layout\nfloat64[] data\n"),
    ("geometry_msgs/msg/Vector3", "float64 x\nfloat64 y\nfloat64 z\n"),
    ("geometry_msgs/msg/Wrench", "Vector3 force\nVector3 torque\n"),
    ("geometry_msgs/msg/WrenchStamped", "std_msgs/Header header\nWrench wrench\n"),
    (
        "sensor_msgs/msg/JointState",
        "std_msgs/Header header\nstring[] name\nfloat64[] position\nfloat64[] velocity\nfloat64[] effort\n",
    ),
    (
        "sensor_msgs/msg/Range",
        "std_msgs/Header header\nuint8 radiation_type\nfloat32 field_of_view\nfloat32 min_range\nfloat32 max_range\nfloat32 range\nfloat32 variance\n",
    ),
    ("std_msgs/msg/String", "string data\n"),
    ("geometry_msgs/msg/Quaternion", "float64 x 0\nfloat64 y 0\nfloat64 z 0\nfloat64 w 1\n"),
    ("geometry_msgs/msg/Transform", "Vector3 translation\nQuaternion rotation\n"),
    (
        "geometry_msgs/msg/TransformStamped",
        "std_msgs/Header header\nstring child_frame_id\nTransform transform\n",
    ),
    ("tf2_msgs/msg/TFMessage", "geometry_msgs/TransformStamped[] transforms\n"),
    (
        "sensor_msgs/msg/RegionOfInterest",
        "uint32 x_offset\nuint32 y_offset\nuint32 height\nuint32 width\nbool do_rectify\n",
    ),
    (
        "sensor_msgs/msg/CameraInfo",
        "std_msgs/Header header\nuint32 height\nuint32 width\nstring distortion_model\nfloat64[] d\nfloat64[9] k\nfloat64[9] r\nfloat64[12] p\nuint32 binning_x\nuint32 binning_y\nRegionOfInterest roi\n",
    ),
    ("sensor_msgs/msg/CompressedImage", "std_msgs/Header header\nstring format\nuint8[] data\n"),
    (
        "foxglove_msgs/msg/CompressedVideo",
        include_str!("../../../../msg/underlay/foxglove_msgs/msg/CompressedVideo.msg"),
    ),
    (
        "ffmpeg_image_transport_msgs/msg/FFMPEGPacket",
        include_str!("../../../../msg/underlay/ffmpeg_image_transport_msgs/msg/FFMPEGPacket.msg"),
    ),
    ours!("CameraStatus"),
    ours!("CaptureStatus"),
    ours!("FrameGroup"),
    ours!("FrameTiming"),
    ours!("GripperCommand"),
    ours!("GripperState"),
    ours!("JointCommand"),
    ours!("Permit"),
    ours!("RecordingLoss"),
    ours!("RobotSafety"),
    ours!("RoleState"),
    ours!("RuntimeStatus"),
    ours!("SafetyStatus"),
];

impl Default for Definitions {
    fn default() -> Self {
        Self::suite()
    }
}

impl Definitions {
    /// Those of the suite's messages, and of the upstream ones they need.
    pub fn suite() -> Self {
        Self { texts: KNOWN.iter().map(|(name, text)| ((*name).to_owned(), (*text).into())).collect() }
    }

    /// Adds the text of a `.msg` file, or replaces it.
    pub fn insert(
        &mut self,
        type_name: &str,
        text: impl Into<Cow<'static, str>>,
    ) -> Result<(), DefinitionError> {
        let text = text.into();
        parse(type_name, &text)?;
        self.texts.insert(type_name.to_owned(), text);
        Ok(())
    }

    pub fn known(&self) -> impl Iterator<Item = &str> {
        self.texts.keys().map(String::as_str)
    }

    /// Full text and type hash of `type_name`.
    pub fn describe(&self, type_name: &str) -> Result<Definition, DefinitionError> {
        let mut order = vec![(type_name.to_owned(), self.fields(type_name, "a topic")?)];
        let mut seen = BTreeSet::from([type_name.to_owned()]);
        let mut next = 0;
        while let Some((user, fields)) = order.get(next) {
            let mut found = Vec::new();
            for field in fields.iter().filter(|field| !field.nested.is_empty()) {
                if seen.insert(field.nested.clone()) {
                    found.push((field.nested.clone(), self.fields(&field.nested, user)?));
                }
            }
            let rest = order.split_off(next + 1);
            order.extend(found);
            order.extend(rest);
            next += 1;
        }
        let mut text = self.texts[type_name].clone().into_owned();
        for (name, _) in &order[1..] {
            let short = name.replacen("/msg/", "/", 1);
            let _ = write!(text, "\n{}\nMSG: {short}\n{}", "=".repeat(80), self.texts[name]);
        }
        let (top, mut references) = (order.remove(0), order);
        references.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Definition { encoding: "ros2msg".to_owned(), text, type_hash: type_hash(&top, &references) })
    }

    fn fields(&self, type_name: &str, user: &str) -> Result<Vec<Field>, DefinitionError> {
        let text = self.texts.get(type_name).ok_or_else(|| DefinitionError::Unknown {
            wanted: type_name.to_owned(),
            user: user.to_owned(),
        })?;
        parse(type_name, text)
    }
}

/// A field as type_description_interfaces/FieldType has it.
#[derive(Debug, PartialEq, Eq)]
struct Field {
    name: String,
    type_id: u8,
    capacity: u64,
    string_capacity: u64,
    nested: String,
}

/// FIELD_TYPE_NESTED_TYPE and the offsets of its array forms, type_description_interfaces/msg/FieldType.msg.
const NESTED: u8 = 1;
const BOUNDED_STRING: u8 = 21;
const BOUNDED_WSTRING: u8 = 22;
const ARRAY: u8 = 48;
const BOUNDED_SEQUENCE: u8 = 96;
const UNBOUNDED_SEQUENCE: u8 = 144;

fn basic_type(name: &str) -> Option<u8> {
    Some(match name {
        "int8" => 2,
        "uint8" | "char" => 3, // a char of a .msg file is rosidl's uint8
        "int16" => 4,
        "uint16" => 5,
        "int32" => 6,
        "uint32" => 7,
        "int64" => 8,
        "uint64" => 9,
        "float32" => 10,
        "float64" => 11,
        "bool" => 15,
        "byte" => 16,
        "string" => 17,
        "wstring" => 18,
        _ => return None,
    })
}

fn parse(type_name: &str, text: &str) -> Result<Vec<Field>, DefinitionError> {
    let package = match type_name.split('/').collect::<Vec<_>>()[..] {
        [package, "msg", name] if !package.is_empty() && !name.is_empty() => package,
        _ => return Err(DefinitionError::TypeName { type_name: type_name.to_owned() }),
    };
    let mut fields = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let wrong = || DefinitionError::Line {
            type_name: type_name.to_owned(),
            line: index + 1,
            text: line.to_owned(),
        };
        // A `#` inside a constant's text cuts its value short, which nobody reads here.
        let code = line.split('#').next().unwrap_or_default().trim();
        let mut words = code.split_whitespace();
        let Some(of) = words.next() else { continue };
        let name = words.next().ok_or_else(wrong)?;
        if name.contains('=') || words.next().is_some_and(|word| word.starts_with('=')) {
            continue; // a constant
        }
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(wrong());
        }
        fields.push(field(package, of, name).ok_or_else(wrong)?);
    }
    if fields.is_empty() {
        // rosidl_adapter gives an empty message this member, since C knows no empty struct.
        fields.extend(field(package, "uint8", "structure_needs_at_least_one_member"));
    }
    Ok(fields)
}

fn field(package: &str, of: &str, name: &str) -> Option<Field> {
    let (element, form, capacity) = match of.strip_suffix(']') {
        None => (of, 0, 0),
        Some(rest) => {
            let (element, size) = rest.rsplit_once('[')?;
            match size.strip_prefix("<=") {
                Some(bound) => (element, BOUNDED_SEQUENCE, bound.parse().ok()?),
                None if size.is_empty() => (element, UNBOUNDED_SEQUENCE, 0),
                None => (element, ARRAY, size.parse().ok()?),
            }
        }
    };
    let (element_id, string_capacity, nested) = if let Some((string, bound)) = element.split_once("<=") {
        let id = match string {
            "string" => BOUNDED_STRING,
            "wstring" => BOUNDED_WSTRING,
            _ => return None,
        };
        (id, bound.parse().ok()?, String::new())
    } else if let Some(id) = basic_type(element) {
        (id, 0, String::new())
    } else {
        let nested = match element.split('/').collect::<Vec<_>>()[..] {
            ["Header"] => "std_msgs/msg/Header".to_owned(), // as ROS 1 had it, and rosidl still takes it
            [name] if name.starts_with(|c: char| c.is_ascii_uppercase()) => format!("{package}/msg/{name}"),
            [package, name] | [package, "msg", name] => format!("{package}/msg/{name}"),
            _ => return None,
        };
        (NESTED, 0, nested)
    };
    Some(Field { name: name.to_owned(), type_id: element_id + form, capacity, string_capacity, nested })
}

/// The JSON is Python's `json.dumps(..., separators=(', ', ': '))` to the byte; names need no escapes.
fn type_hash(top: &(String, Vec<Field>), references: &[(String, Vec<Field>)]) -> String {
    let individual = |(name, fields): &(String, Vec<Field>)| {
        let fields: Vec<String> = fields
            .iter()
            .map(|field| {
                format!(
                    r#"{{"name": "{}", "type": {{"type_id": {}, "capacity": {}, "string_capacity": {}, "nested_type_name": "{}"}}}}"#,
                    field.name, field.type_id, field.capacity, field.string_capacity, field.nested
                )
            })
            .collect();
        format!(r#"{{"type_name": "{name}", "fields": [{}]}}"#, fields.join(", "))
    };
    let references: Vec<String> = references.iter().map(individual).collect();
    let json = format!(
        r#"{{"type_description": {}, "referenced_type_descriptions": [{}]}}"#,
        individual(top),
        references.join(", ")
    );
    Sha256::digest(json).iter().fold("RIHS01_".to_owned(), |mut hash, byte| {
        let _ = write!(hash, "{byte:02x}");
        hash
    })
}

#[cfg(test)]
impl Definitions {
    /// An empty message as JSON, its fields in order.
    pub(crate) fn empty_as_json(&self, type_name: &str) -> String {
        let value = |field: &Field| match field.type_id {
            UNBOUNDED_SEQUENCE.. => "[]".to_owned(),
            59 => format!("[{}]", vec!["0.0"; field.capacity as usize].join(",")), // an array of float64
            NESTED => self.empty_as_json(&field.nested),
            2..=9 => "0".to_owned(),
            10 | 11 => "0.0".to_owned(),
            15 => "false".to_owned(),
            17 => "\"\"".to_owned(),
            other => panic!("no empty value for field type {other}"),
        };
        let fields = self.fields(type_name, "a test").unwrap();
        let fields: Vec<_> =
            fields.iter().map(|field| format!("\"{}\":{}", field.name, value(field))).collect();
        format!("{{{}}}", fields.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_that_jazzy_ships() {
        // From share/<package>/msg/<Name>.json of ROS 2 Jazzy.
        let definitions = Definitions::suite();
        for (name, hash) in [
            (
                "builtin_interfaces/msg/Time",
                "b106235e25a4c5ed35098aa0a61a3ee9c9b18d197f398b0e4206cea9acf9c197",
            ),
            ("sensor_msgs/msg/Range", "b42b62562e93cbfe9d42b82fe5994dfa3d63d7d5c90a317981703f7388adff3a"),
            ("std_msgs/msg/Header", "f49fb3ae2cf070f793645ff749683ac6b06203e41c891e17701b1cb597ce6a01"),
        ] {
            assert_eq!(definitions.describe(name).unwrap().type_hash, format!("RIHS01_{hash}"), "{name}");
        }
    }

    #[test]
    fn a_full_text_carries_each_dependency_once() {
        let text = Definitions::suite().describe("std_msgs/msg/Float64MultiArray").unwrap().text;
        let line = "=".repeat(80);
        assert_eq!(
            text,
            format!(
                "MultiArrayLayout layout\nfloat64[] data\n\n{line}\nMSG: std_msgs/MultiArrayLayout\n\
                 MultiArrayDimension[] dim\nuint32 data_offset\n\n{line}\nMSG: std_msgs/MultiArrayDimension\n\
                 string label\nuint32 size\nuint32 stride\n"
            )
        );
        let status = Definitions::suite().describe("swarm_msgs/msg/SafetyStatus").unwrap().text;
        assert_eq!(status.matches("MSG: std_msgs/Header").count(), 1);
        assert_eq!(status.matches("MSG: swarm_msgs/RobotSafety").count(), 1);
    }

    #[test]
    fn every_known_type_can_be_described() {
        let definitions = Definitions::suite();
        for name in definitions.known() {
            definitions.describe(name).unwrap();
        }
    }

    #[test]
    fn all_forms_of_a_field_are_told_apart() {
        let text = "int8 A=1\nstring B = 'x' # why\nstring<=5[<=3] a\nOwn[4] b\nother/Thing c 7\nwstring d \"x\"\nbyte[] e # f";
        let fields = parse("pkg/msg/Type", text).unwrap();
        let seen: Vec<_> = fields
            .iter()
            .map(|f| (f.name.as_str(), f.type_id, f.capacity, f.string_capacity, f.nested.as_str()))
            .collect();
        assert_eq!(
            seen,
            [
                ("a", 117, 3, 5, ""),
                ("b", 49, 4, 0, "pkg/msg/Own"),
                ("c", 1, 0, 0, "other/msg/Thing"),
                ("d", 18, 0, 0, ""),
                ("e", 160, 0, 0, ""),
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let mut definitions = Definitions::suite();
        assert!(matches!(definitions.insert("pkg/Type", "bool a"), Err(DefinitionError::TypeName { .. })));
        assert!(matches!(
            definitions.insert("pkg/msg/Type", "bool a\nbool"),
            Err(DefinitionError::Line { line: 2, .. })
        ));
        definitions.insert("pkg/msg/Type", "Missing a").unwrap();
        assert_eq!(
            definitions.describe("pkg/msg/Type"),
            Err(DefinitionError::Unknown { wanted: "pkg/msg/Missing".into(), user: "pkg/msg/Type".into() })
        );
    }
}
