//! Topics of other nodes that are recorded beside the cameras.
//!
//! Bytes are taken as they come and never decoded. A subscription must be made before the node spins, and its QoS must suit
//! publishers that may come later: each known topic has the profile that its publishers offer. Of topics that the user names,
//! those of publishers that are there are taken; without any, best effort, which every publisher suits.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt as _;
use r2r::QosProfile;
use r2r::qos::{DurabilityPolicy, ReliabilityPolicy};
use swarm_bag::recorder::Share;
use swarm_bag::video::VideoMessage;
use swarm_bag::{Definitions, Durability, Kind, Qos, Reliability, Topic};
use swarm_ros::NodeShell;

use crate::now;
use crate::outlets::Outlets;

/// Deep enough for a burst of 500 Hz while the node is held up.
const DEPTH: u32 = 1000;

/// A topic to record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub name: String,
    /// `package/msg/Type`; none: that of its publisher.
    pub type_name: Option<String>,
    pub qos: Option<Qos>,
}

/// Of the cell, without its robots.
const CELL: [(&str, &str, Kept); 12] = [
    ("/joint_states", "sensor_msgs/msg/JointState", Kept::Sampled),
    ("/tf", "tf2_msgs/msg/TFMessage", Kept::Sampled),
    ("/tf_static", "tf2_msgs/msg/TFMessage", Kept::Latched),
    ("/robot_description", "std_msgs/msg/String", Kept::Latched),
    ("/emergency_stop", "std_msgs/msg/Bool", Kept::Sampled),
    ("/safety_monitor", "swarm_msgs/msg/SafetyStatus", Kept::Latched),
    ("/safety_monitor/permit", "swarm_msgs/msg/Permit", Kept::Sampled),
    ("/human_presence", "sensor_msgs/msg/Range", Kept::Sampled),
    ("/skill_runtime/status", "swarm_msgs/msg/RuntimeStatus", Kept::Latched),
    ("/part_poses", "swarm_msgs/msg/PartPoses", Kept::Sampled),
    ("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray", Kept::Sampled),
    ("/rosout", "rcl_interfaces/msg/Log", Kept::Latched),
];

/// Of each robot, below its name.
const ROBOT: [(&str, &str); 6] = [
    ("wrench", "geometry_msgs/msg/WrenchStamped"),
    ("skill_command", "swarm_msgs/msg/JointCommand"),
    ("joint_command", "std_msgs/msg/Float64MultiArray"),
    ("skill_gripper_command", "swarm_msgs/msg/GripperCommand"),
    ("gripper_command", "swarm_msgs/msg/GripperCommand"),
    ("gripper_state", "swarm_msgs/msg/GripperState"),
];

/// How a topic's publishers keep its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Sampled,
    Latched,
}

impl Kept {
    fn qos(self) -> Qos {
        match self {
            // A reliable publisher serves it too; a best-effort one would not serve a reliable subscription.
            Self::Sampled => Qos::best_effort(DEPTH),
            Self::Latched => Qos::reliable(10).transient_local(),
        }
    }
}

/// The topics of a cell with these robots.
pub fn of_cell(robots: &[String]) -> Vec<Wanted> {
    let known = |name: String, type_name: &str, kept: Kept| Wanted {
        name,
        type_name: Some(type_name.to_owned()),
        qos: Some(kept.qos()),
    };
    let own = CELL.iter().map(|(name, type_name, kept)| known((*name).to_owned(), type_name, *kept));
    let each = robots.iter().flat_map(|robot| {
        ROBOT.iter().map(move |(name, type_name)| known(format!("/{robot}/{name}"), type_name, Kept::Sampled))
    });
    own.chain(each).collect()
}

/// The topics that a user lists, `/name` or `/name package/msg/Type`; or every mistake among them.
pub fn listed(lines: &[String], robots: &[String]) -> Result<Vec<Wanted>, Vec<String>> {
    let cell = of_cell(robots);
    let mut mistakes = Vec::new();
    let mut wanted: Vec<Wanted> = Vec::new();
    for line in lines {
        let mut words = line.split_whitespace();
        let (name, type_name, more) = (words.next().unwrap_or(""), words.next(), words.next());
        let is_name = name.len() > 1
            && name.starts_with('/')
            && !name.ends_with('/')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '/');
        let is_type = type_name.is_none_or(|text| {
            let parts: Vec<&str> = text.split('/').collect();
            parts.len() == 3 && parts[1] == "msg" && parts.iter().all(|part| !part.is_empty())
        });
        if !is_name || !is_type || more.is_some() {
            mistakes.push(format!("topics: '{line}' is neither \"/name\" nor \"/name package/msg/Type\""));
            continue;
        }
        if wanted.iter().any(|other| other.name == name) {
            mistakes.push(format!("topics: '{name}' is there twice"));
            continue;
        }
        let known = cell.iter().find(|known| known.name == name);
        let given = type_name.map(str::to_owned);
        wanted.push(Wanted {
            name: name.to_owned(),
            qos: known.and_then(|known| known.qos),
            type_name: given.or_else(|| known.and_then(|known| known.type_name.clone())),
        });
    }
    if mistakes.is_empty() { Ok(wanted) } else { Err(mistakes) }
}

/// Arrivals of all of them, for diagnostics.
#[derive(Clone, Debug, Default)]
pub struct Arrivals(Arc<Mutex<Vec<(String, u64)>>>);

impl Arrivals {
    pub fn counts(&self) -> Vec<(String, u64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Why a topic cannot be recorded.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    #[error(
        "nobody publishes '{0}' yet, and its type is not known here; give it, as in \"{0} sensor_msgs/msg/Imu\""
    )]
    NoType(String),
    #[error("'{topic}' has publishers of several types: {types}; give the one to record")]
    Ambiguous { topic: String, types: String },
    #[error(
        "'{topic}' is of type {type_name}, which this node was not built with; set SWARM_MESSAGE_PACKAGES and build it again"
    )]
    Unbuilt { topic: String, type_name: String, source: r2r::Error },
    #[error("the definition of {type_name} on '{topic}' is nowhere in AMENT_PREFIX_PATH: {reason}")]
    NoDefinition { topic: String, type_name: String, reason: String },
}

/// Subscribes to all of `wanted`.
pub fn subscribe(
    shell: &mut NodeShell,
    wanted: &[Wanted],
    outlets: &Arc<Outlets>,
) -> anyhow::Result<Arrivals> {
    let arrivals = Arrivals::default();
    for Wanted { name, type_name, qos } in wanted {
        let type_name = match type_name {
            Some(type_name) => type_name.clone(),
            None => published_type(shell, name)?,
        };
        let qos = qos.unwrap_or_else(|| offered(shell, name));
        let definitions = definitions(&type_name).map_err(|reason| TopicError::NoDefinition {
            topic: name.clone(),
            type_name: type_name.clone(),
            reason,
        })?;
        let topic =
            Topic::new(name, &type_name, qos, &definitions).map_err(|error| TopicError::NoDefinition {
                topic: name.clone(),
                type_name: type_name.clone(),
                reason: error.to_string(),
            })?;
        let messages = shell.node().subscribe_raw(name, &type_name, profile(qos)).map_err(|source| {
            TopicError::Unbuilt { topic: name.clone(), type_name: type_name.clone(), source }
        })?;
        let video = VideoMessage::of_type(&type_name);
        let large = video.is_some() || type_name.ends_with("/Image") || type_name.ends_with("/PointCloud2");
        let share = if large { Share::Bulk } else { Share::State };
        let outlet = outlets.add(topic, share, None)?;
        let index = {
            let mut counts = arrivals.0.lock().unwrap_or_else(PoisonError::into_inner);
            counts.push((name.clone(), 0));
            counts.len() - 1
        };
        let (outlets, counted) = (Arc::clone(outlets), arrivals.clone());
        shell.run(messages.for_each(move |bytes| {
            let kind = match video.map(|message| message.decode(&bytes)) {
                Some(Ok(decoded)) if !decoded.key_frame => Kind::DeltaFrame,
                Some(Ok(_)) => Kind::KeyFrame,
                _ => Kind::Message,
            };
            outlets.give(outlet, now(), bytes.into(), kind);
            counted.0.lock().unwrap_or_else(PoisonError::into_inner)[index].1 += 1;
            futures::future::ready(())
        }));
    }
    Ok(arrivals)
}

fn published_type(shell: &mut NodeShell, name: &str) -> Result<String, TopicError> {
    let mut types: Vec<String> = shell
        .node()
        .get_publishers_info_by_topic(name, false)
        .unwrap_or_default()
        .into_iter()
        .map(|publisher| publisher.topic_type)
        .collect();
    types.sort();
    types.dedup();
    match types.as_slice() {
        [] => Err(TopicError::NoType(name.to_owned())),
        [one] => Ok(one.clone()),
        several => Err(TopicError::Ambiguous { topic: name.to_owned(), types: several.join(", ") }),
    }
}

/// What suits the publishers that are there.
fn offered(shell: &mut NodeShell, name: &str) -> Qos {
    let publishers = shell.node().get_publishers_info_by_topic(name, false).unwrap_or_default();
    let known = !publishers.is_empty();
    let qos = if known
        && publishers.iter().all(|info| info.qos_profile.reliability == ReliabilityPolicy::Reliable)
    {
        Qos::reliable(DEPTH)
    } else {
        Qos::best_effort(DEPTH)
    };
    if known && publishers.iter().all(|info| info.qos_profile.durability == DurabilityPolicy::TransientLocal)
    {
        qos.transient_local()
    } else {
        qos
    }
}

fn profile(qos: Qos) -> QosProfile {
    let profile = QosProfile::default().keep_last(qos.depth as usize);
    let profile = match qos.reliability {
        Reliability::Reliable => profile.reliable(),
        Reliability::BestEffort => profile.best_effort(),
    };
    match qos.durability {
        Durability::Volatile => profile.volatile(),
        Durability::TransientLocal => profile.transient_local(),
    }
}

/// What is known of the suite's types, and for others the installed `.msg` texts.
fn definitions(type_name: &str) -> Result<Definitions, String> {
    let mut known = Definitions::suite();
    let mut missing = vec![type_name.to_owned()];
    while let Some(name) = missing.pop() {
        if known.known().any(|other| other == name) {
            continue;
        }
        let text = installed_text(&name)?;
        known.insert(&name, text).map_err(|error| error.to_string())?;
        // Each type that its fields name.
        while let Err(error) = known.describe(type_name) {
            match error {
                swarm_bag::DefinitionError::Unknown { wanted, .. } if !missing.contains(&wanted) => {
                    let text = installed_text(&wanted)?;
                    known.insert(&wanted, text).map_err(|error| error.to_string())?;
                }
                error => return Err(error.to_string()),
            }
        }
    }
    Ok(known)
}

/// The text of an installed message.
fn installed_text(type_name: &str) -> Result<String, String> {
    let file = PathBuf::from("share").join(format!("{type_name}.msg"));
    let prefixes = std::env::var_os("AMENT_PREFIX_PATH").unwrap_or_default();
    std::env::split_paths(&prefixes)
        .find_map(|prefix| std::fs::read_to_string(prefix.join(&file)).ok())
        .ok_or_else(|| format!("no prefix has {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_cell_has_the_topics_of_each_robot() {
        let names: Vec<String> =
            of_cell(&strings(&["left", "right"])).into_iter().map(|topic| topic.name).collect();
        for expected in ["/joint_states", "/safety_monitor", "/left/wrench", "/right/joint_command"] {
            assert!(names.iter().any(|name| name == expected), "{expected} in {names:?}");
        }
        assert_eq!(names.len(), CELL.len() + 2 * ROBOT.len());
    }

    #[test]
    fn a_known_name_needs_no_type_and_every_mistake_is_told() {
        let found = listed(&strings(&["/tf_static", "/imu sensor_msgs/msg/Imu", "/other"]), &[]).unwrap();
        let shown: Vec<(&str, Option<&str>, bool)> = found
            .iter()
            .map(|topic| (topic.name.as_str(), topic.type_name.as_deref(), topic.qos.is_some()))
            .collect();
        assert_eq!(
            shown,
            [
                ("/tf_static", Some("tf2_msgs/msg/TFMessage"), true),
                ("/imu", Some("sensor_msgs/msg/Imu"), false),
                ("/other", None, false),
            ]
        );

        let wrong = ["joint_states", "/a b", "/a c/msg/D e", "/a/", "/tf", "/tf", ""];
        let mistakes = listed(&strings(&wrong), &[]).unwrap_err();
        assert_eq!(mistakes.len(), 6, "{mistakes:?}");
        assert_eq!(mistakes[0], "topics: 'joint_states' is neither \"/name\" nor \"/name package/msg/Type\"");
        assert!(mistakes.contains(&"topics: '/tf' is there twice".to_owned()));
    }

    #[test]
    fn every_topic_of_the_cell_has_a_definition_or_an_installed_one() {
        let without: Vec<&str> = CELL
            .iter()
            .map(|topic| topic.1)
            .chain(ROBOT.iter().map(|topic| topic.1))
            .filter(|name| Definitions::suite().describe(name).is_err())
            .collect();
        // These come with every ROS 2.
        assert_eq!(
            without,
            ["swarm_msgs/msg/PartPoses", "diagnostic_msgs/msg/DiagnosticArray", "rcl_interfaces/msg/Log"]
        );
    }
}
