//! Which leaves a tree may use: the registry given to the loader.

use std::collections::BTreeMap;
use std::fmt;

use crate::value::PortType;

/// A port of a leaf, found once by name with [`LeafModel::port_id`] and then used in every tick without looking for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortId(u16);

/// How a leaf's code says which port it means: by name, or by [`PortId`].
pub trait PortKey: Copy {
    /// The place of the port in the model, if it has such a port.
    fn place(self, model: &LeafModel) -> Option<usize>;

    /// For messages.
    fn describe(self, model: &LeafModel) -> String;
}

impl PortKey for &str {
    #[inline]
    fn place(self, model: &LeafModel) -> Option<usize> {
        model.ports.iter().position(|port| port.name == self)
    }

    fn describe(self, _: &LeafModel) -> String {
        self.to_owned()
    }
}

impl PortKey for &String {
    #[inline]
    fn place(self, model: &LeafModel) -> Option<usize> {
        self.as_str().place(model)
    }

    fn describe(self, _: &LeafModel) -> String {
        self.clone()
    }
}

impl PortKey for PortId {
    #[inline]
    fn place(self, model: &LeafModel) -> Option<usize> {
        let place = usize::from(self.0);
        (place < model.ports.len()).then_some(place)
    }

    fn describe(self, model: &LeafModel) -> String {
        model.ports.get(usize::from(self.0)).map_or_else(|| format!("#{}", self.0), |port| port.name.clone())
    }
}

/// What kind of leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeafKind {
    /// May answer RUNNING; is then continued by [`crate::Leaves::running`] and interrupted by [`crate::Leaves::halt`].
    Action,
    /// Answers at once, every time it is ticked; must not answer RUNNING.
    Condition,
}

/// Which way values go through a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    Input,
    Output,
    InOut,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Input => "input",
            Direction::Output => "output",
            Direction::InOut => "inout",
        })
    }
}

/// One port of a leaf.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    pub name: String,
    pub direction: Direction,
    pub ty: PortType,
    /// What is used where the XML does not mention the port: a literal, `{entry}`, or `{=}` for the entry of the port's name.
    pub default: Option<String>,
}

/// A leaf that trees may use: its name in XML and its ports.
#[derive(Clone, Debug, PartialEq)]
pub struct LeafModel {
    pub id: String,
    pub kind: LeafKind,
    pub ports: Vec<Port>,
}

impl LeafModel {
    pub fn action(id: impl Into<String>) -> Self {
        LeafModel { id: id.into(), kind: LeafKind::Action, ports: Vec::new() }
    }

    pub fn condition(id: impl Into<String>) -> Self {
        LeafModel { id: id.into(), kind: LeafKind::Condition, ports: Vec::new() }
    }

    /// A handle on one of the ports, good for every leaf of this model. `None` if there is no such port.
    pub fn port_id(&self, name: &str) -> Option<PortId> {
        self.ports.iter().position(|port| port.name == name).map(|place| PortId(place as u16))
    }

    #[must_use]
    pub fn input(self, name: impl Into<String>, ty: PortType) -> Self {
        self.port(Direction::Input, name, ty, None)
    }

    /// An input that need not be given.
    #[must_use]
    pub fn input_or(self, name: impl Into<String>, ty: PortType, default: impl Into<String>) -> Self {
        self.port(Direction::Input, name, ty, Some(default.into()))
    }

    #[must_use]
    pub fn output(self, name: impl Into<String>, ty: PortType) -> Self {
        self.port(Direction::Output, name, ty, None)
    }

    /// An output that goes to `{entry}` where the tree does not say anything else.
    #[must_use]
    pub fn output_or(self, name: impl Into<String>, ty: PortType, default: impl Into<String>) -> Self {
        self.port(Direction::Output, name, ty, Some(default.into()))
    }

    #[must_use]
    pub fn inout(self, name: impl Into<String>, ty: PortType) -> Self {
        self.port(Direction::InOut, name, ty, None)
    }

    /// As [`LeafModel::output_or`] for a port that goes both ways.
    #[must_use]
    pub fn inout_or(self, name: impl Into<String>, ty: PortType, default: impl Into<String>) -> Self {
        self.port(Direction::InOut, name, ty, Some(default.into()))
    }

    fn port(
        mut self,
        direction: Direction,
        name: impl Into<String>,
        ty: PortType,
        default: Option<String>,
    ) -> Self {
        self.ports.push(Port { name: name.into(), direction, ty, default });
        self
    }
}

/// The leaves and the enum constants that trees may use.
///
/// A leaf's place in the registry is its [`LeafCall::model`](crate::LeafCall::model), so that whoever implements
/// [`crate::Leaves`] can `match` on a number instead of comparing names in every tick.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    pub(crate) leaves: Vec<LeafModel>,
    pub(crate) enums: BTreeMap<String, i64>,
}

impl Registry {
    pub fn new() -> Self {
        Registry::default()
    }

    /// Adds a leaf. A second leaf of the same id replaces the first, in its place.
    #[must_use]
    pub fn leaf(mut self, model: LeafModel) -> Self {
        self.add(model);
        self
    }

    /// As [`Registry::leaf`]; returns the leaf's place.
    pub fn add(&mut self, model: LeafModel) -> usize {
        if let Some(at) = self.find(&model.id) {
            self.leaves[at] = model;
            return at;
        }
        self.leaves.push(model);
        self.leaves.len() - 1
    }

    /// A name that scripts read as a number, as `registerScriptingEnum` of BehaviorTree.CPP.
    #[must_use]
    pub fn constant(mut self, name: impl Into<String>, value: i64) -> Self {
        self.enums.insert(name.into(), value);
        self
    }

    /// The place of a leaf.
    pub fn find(&self, id: &str) -> Option<usize> {
        self.leaves.iter().position(|leaf| leaf.id == id)
    }

    /// The names that scripts read as numbers, sorted.
    pub fn constants(&self) -> impl Iterator<Item = (&str, i64)> {
        self.enums.iter().map(|(name, value)| (name.as_str(), *value))
    }

    pub fn leaves(&self) -> &[LeafModel] {
        &self.leaves
    }
}
