//! The QoS a topic was offered with, in the form in which Jazzy writes it (metadata version 9).

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};

use swarm_yaml::{Cursor, Value};

/// Whether a lost message is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reliability {
    Reliable,
    BestEffort,
}

/// Whether a late subscriber is given what was published before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    Volatile,
    TransientLocal,
}

/// Offered QoS: keep last `depth`, no deadline, no lifespan, automatic liveliness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Qos {
    pub reliability: Reliability,
    pub durability: Durability,
    pub depth: u32,
}

impl Qos {
    pub fn reliable(depth: u32) -> Self {
        Self { reliability: Reliability::Reliable, durability: Durability::Volatile, depth }
    }

    pub fn best_effort(depth: u32) -> Self {
        Self { reliability: Reliability::BestEffort, ..Self::reliable(depth) }
    }

    #[must_use]
    pub fn transient_local(self) -> Self {
        Self { durability: Durability::TransientLocal, ..self }
    }

    /// A list of this one profile, as YAML. `ros2 bag play` offers it again; every reader that matches the list in
    /// metadata.yaml against the storage's wants the two equal.
    pub fn to_yaml(self) -> String {
        let reliability = match self.reliability {
            Reliability::Reliable => "reliable",
            Reliability::BestEffort => "best_effort",
        };
        let durability = match self.durability {
            Durability::Volatile => "volatile",
            Durability::TransientLocal => "transient_local",
        };
        // RMW_DURATION_INFINITE, rmw/types.h
        let never = |name: &str| format!("  {name}:\n    sec: 9223372036\n    nsec: 854775807\n");
        format!(
            "- history: keep_last\n  depth: {}\n  reliability: {reliability}\n  durability: {durability}\n{}{}  liveliness: automatic\n{}  avoid_ros_namespace_conventions: false",
            self.depth,
            never("deadline"),
            never("lifespan"),
            never("liveliness_lease_duration"),
        )
    }
}

/// Offered profiles as they stand in a bag, in one form whatever version of rosbag2 wrote them: before version 9 of its
/// metadata their values are numbers, since then names.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Profiles(Vec<BTreeMap<String, String>>);

impl Profiles {
    /// From the text of [`Topic::offered_qos`](crate::Topic::offered_qos). None if that is no list of profiles.
    pub fn parse(text: &str) -> Option<Self> {
        if text.trim().is_empty() {
            return Some(Self::default());
        }
        swarm_yaml::read(text, Self::list).ok()
    }

    /// From a list, or from a text that holds one, as metadata.yaml has had both.
    pub(crate) fn walk(cursor: &Cursor<'_>) -> Option<Self> {
        match cursor.value() {
            Value::Text(text) => Self::parse(text).or_else(|| cursor.expected("a list of QoS profiles")),
            _ => Self::list(cursor),
        }
    }

    fn list(cursor: &Cursor<'_>) -> Option<Self> {
        let profiles =
            cursor.list("a list of QoS profiles", |profile| profile.mapping("a QoS profile", entries))?;
        Some(Self(profiles.into_iter().map(|fields| fields.into_values().flatten().collect()).collect()))
    }

    /// As version 9 writes them.
    pub fn to_yaml(&self) -> String {
        let lines = |profile: &BTreeMap<String, String>| {
            let mut out = String::new();
            let mut lead = "- ";
            let mut open = "";
            for name in ORDER.iter().copied().filter(|name| profile.contains_key(*name)) {
                let value = &profile[name];
                match name.split_once('.') {
                    None => _ = writeln!(out, "{lead}{name}: {value}"),
                    Some((group, part)) => {
                        if group != open {
                            _ = writeln!(out, "{lead}{group}:");
                            open = group;
                        }
                        _ = writeln!(out, "    {part}: {value}");
                    }
                }
                lead = "  ";
            }
            out
        };
        self.0.iter().map(lines).collect::<String>().trim_end().to_owned()
    }

    /// Whether a late subscriber is given what was published before.
    pub fn is_latched(&self) -> bool {
        self.0.iter().any(|profile| profile.get("durability").is_some_and(|value| value == "transient_local"))
    }
}

impl Display for Profiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (index, profile) in self.0.iter().enumerate() {
            let of = |name: &str| profile.get(name).map_or("?", String::as_str);
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{} {} {} {}", of("reliability"), of("durability"), of("history"), of("depth"))?;
        }
        Ok(())
    }
}

/// Fields of a profile; those of durations with a dot.
const ORDER: [&str; 12] = [
    "history",
    "depth",
    "reliability",
    "durability",
    "deadline.sec",
    "deadline.nsec",
    "lifespan.sec",
    "lifespan.nsec",
    "liveliness",
    "liveliness_lease_duration.sec",
    "liveliness_lease_duration.nsec",
    "avoid_ros_namespace_conventions",
];

fn entries(name: &str, value: &Cursor<'_>) -> Option<Vec<(String, String)>> {
    if let Value::Mapping(_) = value.value() {
        let parts = value.mapping("a duration", |part, value| scalar(part, value))?;
        return Some(parts.into_iter().map(|(part, text)| (format!("{name}.{part}"), text)).collect());
    }
    Some(vec![(name.to_owned(), scalar(name, value)?)])
}

fn scalar(name: &str, value: &Cursor<'_>) -> Option<String> {
    match value.value() {
        Value::Boolean(value) => Some(value.to_string()),
        Value::Integer(number) => {
            Some(policy(name, *number).map_or_else(|| number.to_string(), str::to_owned))
        }
        Value::Number(number) => Some(number.to_string()),
        Value::Text(text) => Some(text.clone()),
        _ => value.expected("a name or a number"),
    }
}

/// rmw/types.h.
fn policy(field: &str, number: i64) -> Option<&'static str> {
    let names: &[&str] = match field {
        "history" => &["system_default", "keep_last", "keep_all", "unknown"],
        "reliability" => &["system_default", "reliable", "best_effort", "unknown", "best_available"],
        "durability" => &["system_default", "transient_local", "volatile", "unknown", "best_available"],
        "liveliness" => {
            &["system_default", "automatic", "unknown", "manual_by_topic", "unknown", "best_available"]
        }
        _ => return None,
    };
    usize::try_from(number).ok().and_then(|number| names.get(number)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_of_every_version_are_one() {
        let now = Qos::reliable(7).transient_local().to_yaml();
        let humble = "- history: 1\n  depth: 7\n  reliability: 1\n  durability: 1\n  deadline:\n    sec: 9223372036\n    nsec: 854775807\n  \
                      lifespan:\n    sec: 9223372036\n    nsec: 854775807\n  liveliness: 1\n  liveliness_lease_duration:\n    \
                      sec: 9223372036\n    nsec: 854775807\n  avoid_ros_namespace_conventions: false";
        let (of_now, of_humble) = (Profiles::parse(&now).unwrap(), Profiles::parse(humble).unwrap());
        assert_eq!(of_now, of_humble);
        assert_eq!(of_humble.to_yaml(), now);
        assert!(of_humble.is_latched());
        assert_eq!(of_humble.to_string(), "reliable transient_local keep_last 7");
        let other = Profiles::parse(&Qos::best_effort(7).to_yaml()).unwrap();
        assert!(other != of_now && !other.is_latched());
        let both = format!("{now}\n{}", Qos::best_effort(7).to_yaml());
        assert_eq!(Profiles::parse(&both).unwrap().to_yaml(), both);
        assert_eq!(Profiles::parse(" ").unwrap().to_string(), "none");
        assert_eq!(Profiles::parse("7"), None);
        assert_eq!(Profiles::parse("\"- history: 1\""), None, "a text in a text");
        assert_eq!(Profiles::parse("- history: [1]"), None);
    }
}
