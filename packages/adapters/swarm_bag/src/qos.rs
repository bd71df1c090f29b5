//! The QoS a topic was offered with, in the form in which Jazzy writes it (metadata version 9).

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
