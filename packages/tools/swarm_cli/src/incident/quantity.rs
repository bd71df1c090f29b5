//! The figures that stand beside a limit.

use serde::{Serialize, Serializer};
use swarm_kinematics::JointVector;
use swarm_safety_core::{Config, Measures, RobotInputs};

/// A figure that each robot has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantity {
    ToolSpeed,
    ElbowSpeed,
    JointSpeed,
    Momentum,
    Power,
    ContactForce,
    JointEffort,
    JointRange,
    Workspace,
    Separation,
    SelfSeparation,
    FixtureSeparation,
    HumanSeparation,
    InputAge,
}

/// Value and limit; not a number where they are not known, infinite where nothing is monitored or near.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Figure {
    pub value: f64,
    pub limit: f64,
}

/// Figures of one robot, in the order of [`Quantity::ALL`].
pub(crate) type Figures = [Figure; Quantity::ALL.len()];

impl Figure {
    pub(crate) const UNKNOWN: Self = Self { value: f64::NAN, limit: f64::NAN };
}

impl Quantity {
    pub(crate) const ALL: [Self; 14] = [
        Self::ToolSpeed,
        Self::ElbowSpeed,
        Self::JointSpeed,
        Self::Momentum,
        Self::Power,
        Self::ContactForce,
        Self::JointEffort,
        Self::JointRange,
        Self::Workspace,
        Self::Separation,
        Self::SelfSeparation,
        Self::FixtureSeparation,
        Self::HumanSeparation,
        Self::InputAge,
    ];

    /// Name in JSON.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::ToolSpeed => "tool_speed",
            Self::ElbowSpeed => "elbow_speed",
            Self::JointSpeed => "joint_speed",
            Self::Momentum => "momentum",
            Self::Power => "power",
            Self::ContactForce => "contact_force",
            Self::JointEffort => "joint_effort",
            Self::JointRange => "joint_range",
            Self::Workspace => "workspace",
            Self::Separation => "separation",
            Self::SelfSeparation => "self_separation",
            Self::FixtureSeparation => "fixture_separation",
            Self::HumanSeparation => "human_separation",
            Self::InputAge => "input_age",
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::ToolSpeed => "tool speed",
            Self::ElbowSpeed => "elbow speed",
            Self::JointSpeed => "fastest joint, share of its limit",
            Self::Momentum => "momentum",
            Self::Power => "power",
            Self::ContactForce => "contact force",
            Self::JointEffort => "strongest joint, share of its limit",
            Self::JointRange => "joint range left",
            Self::Workspace => "tool's depth in its workspace",
            Self::Separation => "distance to other robots",
            Self::SelfSeparation => "distance between own links",
            Self::FixtureSeparation => "distance to fixtures",
            Self::HumanSeparation => "distance to people",
            Self::InputAge => "age of the oldest sensor input",
        }
    }

    /// Empty for a share.
    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::ToolSpeed | Self::ElbowSpeed => "m/s",
            Self::JointSpeed | Self::JointEffort => "",
            Self::Momentum => "kg m/s",
            Self::Power => "W",
            Self::ContactForce => "N",
            Self::JointRange => "rad",
            Self::Workspace
            | Self::Separation
            | Self::SelfSeparation
            | Self::FixtureSeparation
            | Self::HumanSeparation => "m",
            Self::InputAge => "s",
        }
    }

    /// Whether the limit is a least and not a most.
    pub(crate) const fn stays_above(self) -> bool {
        matches!(
            self,
            Self::JointRange
                | Self::Workspace
                | Self::Separation
                | Self::SelfSeparation
                | Self::FixtureSeparation
                | Self::HumanSeparation
        )
    }

    /// What is left to the limit; negative beyond it.
    pub(crate) fn margin(self, figure: Figure) -> f64 {
        if self.stays_above() { figure.value - figure.limit } else { figure.limit - figure.value }
    }

    /// The figure that a cause of this code is about, if it is one of these.
    pub(crate) fn of_cause(code: &str) -> Option<Self> {
        Some(match code {
            "tcp_speed" | "tcp_speed_command" => Self::ToolSpeed,
            "elbow_speed" => Self::ElbowSpeed,
            "joint_velocity" | "joint_velocity_command" => Self::JointSpeed,
            "momentum" => Self::Momentum,
            "power" => Self::Power,
            "collision_force" => Self::ContactForce,
            "joint_effort" => Self::JointEffort,
            "joint_position" => Self::JointRange,
            "workspace" => Self::Workspace,
            "separation" => Self::Separation,
            "self_separation" => Self::SelfSeparation,
            "fixture_separation" => Self::FixtureSeparation,
            "human_separation" => Self::HumanSeparation,
            "joint_state_timeout" | "wrench_timeout" => Self::InputAge,
            _ => return None,
        })
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.key())
    }
}

/// What the monitor measured of a robot, as far as a status says it.
pub(crate) fn of_measures(measures: &Measures) -> Figures {
    let m = measures;
    Quantity::ALL.map(|quantity| {
        let (value, limit) = match quantity {
            Quantity::ToolSpeed => (m.tcp_speed_m_s, m.tcp_speed_limit_m_s),
            Quantity::ElbowSpeed => (m.elbow_speed_m_s, m.elbow_speed_limit_m_s),
            Quantity::JointSpeed => (m.joint_velocity_ratio, 1.0),
            Quantity::Momentum => (m.momentum_kg_m_s, m.momentum_limit_kg_m_s),
            Quantity::Power => (m.power_w, m.power_limit_w),
            Quantity::ContactForce => (m.contact_force_n, m.contact_force_limit_n),
            Quantity::Separation => (m.separation_m, m.separation_limit_m),
            Quantity::SelfSeparation => (m.self_separation_m, f64::NAN),
            Quantity::FixtureSeparation => (m.fixture_separation_m, f64::NAN),
            // What a person's distance must be follows from all speeds of the cycle.
            Quantity::HumanSeparation => (m.human_separation_m, f64::NAN),
            Quantity::InputAge => (m.input_age_s, f64::NAN),
            Quantity::JointEffort | Quantity::JointRange | Quantity::Workspace => return Figure::UNKNOWN,
        };
        Figure { value, limit }
    })
}

/// The same, and what can be worked out from a cycle's inputs and the limits in force.
pub(crate) fn of_cycle(config: &Config, robot: usize, measures: &Measures, inputs: &RobotInputs) -> Figures {
    let mut figures = of_measures(measures);
    let cell = &config.in_force().cell;
    let (limits, model) = (&config.in_force().robots[robot], &config.arms()[robot].model);
    let dof = model.dof();
    let mut set = |quantity: Quantity, change: &dyn Fn(&mut Figure)| {
        if let Some(index) = Quantity::ALL.iter().position(|other| *other == quantity) {
            change(&mut figures[index]);
        }
    };
    set(Quantity::SelfSeparation, &|figure| figure.limit = cell.self_separation_m);
    set(Quantity::FixtureSeparation, &|figure| figure.limit = cell.fixture_separation_m);
    set(Quantity::InputAge, &|figure| figure.limit = cell.joint_state_timeout_s.min(cell.wrench_timeout_s));
    let Some(joints) = &inputs.joints else { return figures };
    let largest_share = |values: &JointVector, most: &JointVector| {
        (0..dof).map(|i| values[i].abs() / most[i]).fold(0.0, f64::max)
    };
    let left =
        (0..dof).map(|i| (joints.q[i] - limits.joints.lower[i]).min(limits.joints.upper[i] - joints.q[i]));
    let left = left.fold(f64::INFINITY, f64::min);
    set(Quantity::JointRange, &|figure| *figure = Figure { value: left, limit: 0.0 });
    if let Some(effort) = &joints.effort {
        let value = largest_share(effort, &limits.joints.effort);
        set(Quantity::JointEffort, &|figure| *figure = Figure { value, limit: 1.0 });
    }
    let tool = model.tool(&model.forward(&joints.q)).translation.vector.into();
    let depth = limits.workspace.depth(&tool).min(limits.planes.depth(&tool));
    set(Quantity::Workspace, &|figure| *figure = Figure { value: depth, limit: 0.0 });
    figures
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_safety_core::CauseKind;

    #[test]
    fn every_figure_of_a_cause_has_the_causes_unit_or_is_a_share() {
        for quantity in Quantity::ALL {
            assert!(!quantity.key().contains(' '));
        }
        for code in
            ["tcp_speed", "elbow_speed", "momentum", "power", "collision_force", "separation", "workspace"]
        {
            let kind = CauseKind::of_code(code).unwrap();
            assert_eq!(Quantity::of_cause(code).unwrap().unit(), kind.unit(), "{code}");
        }
    }
}
