//! What a bag says about itself: metadata.yaml of the directory form, and the same text inside the storage.
//!
//! Written is version 9, Jazzy's; versions 4 to 9 are read (Foxy to Jazzy and later). The order of the fields is rosbag2's
//! (rosbag2_storage/yaml.hpp).

use std::collections::BTreeMap;
use std::fmt::Write;

use swarm_yaml::{Cursor, Value, quoted};

use crate::qos::Profiles;
use crate::topic::Topic;

/// Name of the file that makes a directory a bag.
pub(crate) const FILE_NAME: &str = "metadata.yaml";
/// Version that is written.
pub(crate) const VERSION: u8 = 9;

/// How the messages are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// `.db3`, rosbag2's storage plugin `sqlite3`.
    Sqlite,
    /// `.mcap`, Jazzy's default.
    Mcap,
}

impl Storage {
    pub fn identifier(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite3",
            Self::Mcap => "mcap",
        }
    }

    /// Without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Sqlite => "db3",
            Self::Mcap => "mcap",
        }
    }
}

/// Count and times of some messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub count: u64,
    /// First and last time, nanoseconds since the epoch; both 0 when there is no message.
    pub first: i64,
    pub last: i64,
}

impl Span {
    pub(crate) fn add(&mut self, time: i64) {
        self.merge(Self { count: 1, first: time, last: time });
    }

    pub(crate) fn merge(&mut self, other: Self) {
        *self = match (self.count, other.count) {
            (_, 0) => *self,
            (0, _) => other,
            _ => Self {
                count: self.count + other.count,
                first: self.first.min(other.first),
                last: self.last.max(other.last),
            },
        };
    }

    fn duration(&self) -> i64 {
        self.last - self.first
    }
}

/// One storage file of a bag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Relative to the bag's directory.
    pub name: String,
    pub span: Span,
}

/// A topic and how many messages it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicCount {
    pub topic: Topic,
    pub count: u64,
}

/// The whole bag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    pub storage: Storage,
    pub topics: Vec<TopicCount>,
    pub files: Vec<FileInfo>,
    /// Free text by name; `ros2 bag info -v` shows it.
    pub custom: BTreeMap<String, String>,
    pub ros_distro: String,
}

impl Metadata {
    /// All messages of all files.
    pub fn span(&self) -> Span {
        let mut whole = Span::default();
        self.files.iter().for_each(|file| whole.merge(file.span));
        whole
    }

    /// The text of metadata.yaml.
    pub(crate) fn to_yaml(&self) -> String {
        format!("rosbag2_bagfile_information:\n{}", indented(&self.bare_yaml(), 2))
    }

    /// The mapping alone, as rosbag2 keeps it inside a storage.
    pub(crate) fn bare_yaml(&self) -> String {
        let whole = self.span();
        let mut out = String::new();
        let mut line = |text: std::fmt::Arguments<'_>| {
            let _ = writeln!(out, "{text}");
        };
        line(format_args!("version: {VERSION}"));
        line(format_args!("storage_identifier: {}", self.storage.identifier()));
        line(format_args!("duration:\n  nanoseconds: {}", whole.duration()));
        line(format_args!("starting_time:\n  nanoseconds_since_epoch: {}", whole.first));
        line(format_args!("message_count: {}", whole.count));
        let topics = concat(self.topics.iter().map(topic_yaml));
        line(format_args!("topics_with_message_count:{}", list(&topics)));
        line(format_args!("compression_format: \"\"\ncompression_mode: \"\""));
        let names = concat(self.files.iter().map(|file| format!("- {}\n", scalar(&file.name))));
        line(format_args!("relative_file_paths:{}", list(&names)));
        let files = concat(self.files.iter().map(file_yaml));
        line(format_args!("files:{}", list(&files)));
        let custom =
            concat(self.custom.iter().map(|(name, text)| format!("{}: {}\n", scalar(name), scalar(text))));
        // An empty mapping is `~`, as yaml-cpp writes a node that was given nothing.
        let custom = if custom.is_empty() { " ~".to_owned() } else { format!("\n{}", indented(&custom, 2)) };
        line(format_args!("custom_data:{}", custom.trim_end()));
        line(format_args!("ros_distro: {}", scalar(&self.ros_distro)));
        out
    }
}

fn topic_yaml(counted: &TopicCount) -> String {
    let topic = &counted.topic;
    let offered = topic.offered_qos.trim_end();
    let offered =
        if offered.starts_with('-') { format!("\n{}", indented(offered, 6)) } else { " []\n".to_owned() };
    format!(
        "- topic_metadata:\n    name: {}\n    type: {}\n    serialization_format: {}\n    offered_qos_profiles:{offered}    \
         type_description_hash: {}\n  message_count: {}\n",
        scalar(&topic.name),
        scalar(&topic.type_name),
        scalar(&topic.serialization),
        scalar(&topic.definition.type_hash),
        counted.count
    )
}

fn file_yaml(file: &FileInfo) -> String {
    format!(
        "- path: {}\n  starting_time:\n    nanoseconds_since_epoch: {}\n  duration:\n    nanoseconds: {}\n  message_count: {}\n",
        scalar(&file.name),
        file.span.first,
        file.span.duration(),
        file.span.count
    )
}

fn concat(texts: impl Iterator<Item = String>) -> String {
    texts.collect()
}

/// Behind a name: items on lines of their own, or `[]`.
fn list(items: &str) -> String {
    if items.is_empty() { " []".to_owned() } else { format!("\n{}", indented(items, 2).trim_end()) }
}

fn indented(text: &str, by: usize) -> String {
    let space = " ".repeat(by);
    text.lines().fold(String::new(), |mut out, line| {
        let _ = writeln!(out, "{space}{line}");
        out
    })
}

/// Plain where every YAML reader takes it as the same text, else in quotes.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c == '/' || c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "/_.-".contains(c))
        && !["true", "false", "yes", "no", "on", "off", "null", "y", "n"]
            .contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { quoted(text) }
}

/// What a bag says about itself, in metadata.yaml or inside a storage file. For reading it does not matter, since the storage
/// is never older; a bag whose two sides differ is read differently by different readers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// 9 in Jazzy, 5 in Humble.
    pub version: Option<u64>,
    /// `sqlite3` or `mcap`.
    pub storage: String,
    pub messages: Option<u64>,
    pub topics: Vec<ListedTopic>,
    /// Paths relative to the bag, and where the version has it, how many messages each holds.
    pub files: Vec<(String, Option<u64>)>,
    /// Mode of compression of whole files or messages; empty for none.
    pub compression: String,
    pub custom: BTreeMap<String, String>,
    pub ros_distro: String,
}

/// A topic in a [`Listing`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedTopic {
    pub name: String,
    pub type_name: String,
    pub qos: Profiles,
    pub messages: u64,
}

impl Listing {
    /// Reads a metadata.yaml, also one with fields that are not known here.
    pub fn parse(text: &str) -> Result<Self, String> {
        swarm_yaml::read(text, |root| {
            let mut listing = None;
            root.mapping("a mapping", |name, field| {
                if name == "rosbag2_bagfile_information" {
                    listing = Some(Self::walk(field)?);
                }
                Some(())
            })?;
            listing.or_else(|| {
                root.wrong("no rosbag2_bagfile_information in it, so this is not a bag's metadata")
            })
        })
        .map_err(|mistakes| mistakes.to_string())
    }

    /// Reads what a storage keeps of it inside, see [`Metadata::bare_yaml`].
    pub(crate) fn parse_bare(text: &str) -> Result<Self, String> {
        swarm_yaml::read(text, Self::walk).map_err(|mistakes| mistakes.to_string())
    }

    fn walk(information: &Cursor<'_>) -> Option<Self> {
        let mut listing = Self::default();
        let (mut paths, mut files) = (Vec::new(), Vec::new());
        information.mapping("a mapping", |name, field| {
            match name {
                "version" => listing.version = Some(field.integer(..)?),
                "storage_identifier" => listing.storage = field.text()?,
                "message_count" => listing.messages = Some(field.integer(..)?),
                "topics_with_message_count" => {
                    listing.topics = field.list("a list of topics", listed_topic)?;
                }
                "relative_file_paths" => paths = field.list("a list of files", Cursor::text)?,
                "files" => files = field.list("a list of files", listed_file)?,
                "compression_mode" => listing.compression = field.text()?,
                "custom_data" if *field.value() != Value::Null => {
                    listing.custom = field.mapping("texts by name", |_, text| text.text())?;
                }
                "ros_distro" => listing.ros_distro = field.text()?,
                _ => {}
            }
            Some(())
        })?;
        let count = |path: &String| files.iter().find(|(name, _)| name == path).map(|(_, count)| *count);
        listing.files = paths.into_iter().map(|path| (path.clone(), count(&path))).collect();
        Some(listing)
    }
}

fn listed_topic(item: &Cursor<'_>) -> Option<ListedTopic> {
    let mut topic = ListedTopic::default();
    item.mapping("a topic with its count", |name, field| {
        match name {
            "message_count" => topic.messages = field.integer(..)?,
            "topic_metadata" => {
                field.mapping("a topic", |name, field| {
                    match name {
                        "name" => topic.name = field.text()?,
                        "type" => topic.type_name = field.text()?,
                        "offered_qos_profiles" => topic.qos = Profiles::walk(field)?,
                        _ => {}
                    }
                    Some(())
                })?;
            }
            _ => {}
        }
        Some(())
    })?;
    Some(topic)
}

fn listed_file(item: &Cursor<'_>) -> Option<(String, u64)> {
    let mut file = (String::new(), 0);
    item.mapping("a file with its count", |name, field| {
        match name {
            "path" => file.0 = field.text()?,
            "message_count" => file.1 = field.integer(..)?,
            _ => {}
        }
        Some(())
    })?;
    Some(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Definitions, Qos};

    fn metadata() -> Metadata {
        let topic = Topic::new(
            "/joint_states",
            "sensor_msgs/msg/JointState",
            Qos::best_effort(5),
            &Definitions::suite(),
        );
        Metadata {
            storage: Storage::Mcap,
            topics: vec![TopicCount { topic: topic.unwrap(), count: 3 }],
            files: vec![
                FileInfo { name: "bag_0.mcap".into(), span: Span { count: 2, first: 100, last: 150 } },
                FileInfo { name: "bag_1.mcap".into(), span: Span { count: 1, first: 170, last: 170 } },
            ],
            custom: BTreeMap::from([("why".to_owned(), "a \"stop\": yes".to_owned())]),
            ros_distro: "jazzy".into(),
        }
    }

    #[test]
    fn the_file_is_written_as_jazzy_writes_it() {
        let hash = "RIHS01_a13ee3a330e346c9d87b5aa18d24e11690752bd33a0350f11c5882bc9179260e";
        let expected = format!(
            r#"rosbag2_bagfile_information:
  version: 9
  storage_identifier: mcap
  duration:
    nanoseconds: 70
  starting_time:
    nanoseconds_since_epoch: 100
  message_count: 3
  topics_with_message_count:
    - topic_metadata:
        name: /joint_states
        type: sensor_msgs/msg/JointState
        serialization_format: cdr
        offered_qos_profiles:
          - history: keep_last
            depth: 5
            reliability: best_effort
            durability: volatile
            deadline:
              sec: 9223372036
              nsec: 854775807
            lifespan:
              sec: 9223372036
              nsec: 854775807
            liveliness: automatic
            liveliness_lease_duration:
              sec: 9223372036
              nsec: 854775807
            avoid_ros_namespace_conventions: false
        type_description_hash: {hash}
      message_count: 3
  compression_format: ""
  compression_mode: ""
  relative_file_paths:
    - bag_0.mcap
    - bag_1.mcap
  files:
    - path: bag_0.mcap
      starting_time:
        nanoseconds_since_epoch: 100
      duration:
        nanoseconds: 50
      message_count: 2
    - path: bag_1.mcap
      starting_time:
        nanoseconds_since_epoch: 170
      duration:
        nanoseconds: 0
      message_count: 1
  custom_data:
    why: "a \"stop\": yes"
  ros_distro: jazzy
"#
        );
        assert_eq!(metadata().to_yaml(), expected);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let read = Listing::parse(&metadata().to_yaml()).unwrap();
        assert_eq!(read.files, [("bag_0.mcap".to_owned(), Some(2)), ("bag_1.mcap".to_owned(), Some(1))]);
        assert_eq!((read.version, read.storage.as_str(), read.messages), (Some(9), "mcap", Some(3)));
        let qos = Profiles::parse(&metadata().topics[0].topic.offered_qos).unwrap();
        let (name, type_name) = ("/joint_states".into(), "sensor_msgs/msg/JointState".into());
        assert_eq!(read.topics, [ListedTopic { name, type_name, qos, messages: 3 }]);
        assert_eq!(read.custom["why"], "a \"stop\": yes");
        assert_eq!((read.compression.as_str(), read.ros_distro.as_str()), ("", "jazzy"));
        let empty = Metadata { topics: vec![], files: vec![], custom: BTreeMap::new(), ..metadata() };
        assert_eq!(Listing::parse(&empty.to_yaml()).unwrap().files, []);
    }

    #[test]
    fn another_document_is_refused_by_name() {
        assert!(Listing::parse("a: 1").unwrap_err().contains("rosbag2_bagfile_information"));
        assert!(Listing::parse("rosbag2_bagfile_information: {relative_file_paths: 7}").is_err());
    }

    #[test]
    fn a_span_covers_what_was_put_in_also_out_of_order() {
        let mut span = Span::default();
        for time in [7, 3, 9] {
            span.add(time);
        }
        assert_eq!(span, Span { count: 3, first: 3, last: 9 });
    }
}
