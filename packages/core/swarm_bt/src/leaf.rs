//! The other side of a tick: what the leaves do is an input.
//!
//! Part of the tick: nothing here panics, and the lints below keep it so.
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used
)]

use swarm_base::Time;

use crate::board::Board;
use crate::model::{Direction, LeafModel, Port, PortKey};
use crate::state::{SlotId, State};
use crate::status::Status;
use crate::tree::{Binding, Leaf, Tree};
use crate::value::{ConvertError, FromValue, PortType, Value};

/// Carries out the leaves of a tree. The answers are the inputs of a tick: the same answers give the same run.
///
/// An action that answered RUNNING is ticked through [`Leaves::running`] until it answers otherwise, or interrupted
/// once through [`Leaves::halt`]. A condition is only ever started.
///
/// Stopping may take time: a goal that has not been accepted yet cannot be cancelled, a robot has to brake. An action that
/// answers a halt with [`Halt::Pending`] is *halting*, whatever its node shows: it is asked through [`Leaves::halting`] at the
/// beginning of every tick and of every [`halt`](crate::halt()) until it is [`Halt::Done`], and not started again before. A node
/// whose action is still halting from the time before answers RUNNING.
pub trait Leaves {
    /// The leaf is ticked while idle. Must not block.
    fn start(&mut self, leaf: &mut LeafCall<'_>) -> Status;

    /// An action that is under way is ticked again.
    fn running(&mut self, leaf: &mut LeafCall<'_>) -> Status;

    /// An action that is under way must stop. Must not block.
    fn halt(&mut self, leaf: &mut LeafCall<'_>) -> Halt;

    /// Has the action stopped meanwhile? Only asked of leaves that answered [`Halt::Pending`].
    fn halting(&mut self, leaf: &mut LeafCall<'_>) -> Halt {
        let _ = leaf;
        Halt::Done
    }
}

/// Whether an action that was told to stop has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Halt {
    /// It does nothing any more, and no result of it can come.
    Done,
    /// Not yet. [`Leaves::halting`] is asked from the next tick on.
    Pending,
}

/// Which leaf is called, and its ports.
#[derive(Debug)]
pub struct LeafCall<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) state: &'a mut State,
    pub(crate) leaf: &'a Leaf,
    pub(crate) model: &'a LeafModel,
    pub(crate) uid: u16,
    pub(crate) now: Time,
}

/// A port that could not be read or written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PortError {
    #[error("leaf {leaf} has no port '{port}' of that direction")]
    Unknown { leaf: String, port: String },
    #[error("port '{port}' of {leaf} is not given in the tree")]
    NotGiven { leaf: String, port: String },
    #[error("port '{port}' of {leaf} reads blackboard entry '{key}', which has not been written yet")]
    Empty { leaf: String, port: String, key: String },
    #[error("port '{port}' of {leaf}: {source}")]
    Type { leaf: String, port: String, source: ConvertError },
    #[error("port '{port}' of {leaf} is an output, but the tree gives it a literal instead of an {{entry}}")]
    OutputToLiteral { leaf: String, port: String },
}

impl<'a> LeafCall<'a> {
    /// The id of the leaf in the registry, as `MoveTo`.
    pub fn id(&self) -> &str {
        &self.model.id
    }

    /// The leaf's place in the registry, see [`crate::Registry::add`].
    pub fn model(&self) -> usize {
        self.leaf.model as usize
    }

    /// The node, unique in the tree: two uses of the same leaf have different uids.
    pub fn uid(&self) -> u16 {
        self.uid
    }

    /// The `name` in XML, else the id.
    pub fn name(&self) -> &str {
        self.tree.node(self.uid).map_or("", |node| &node.name)
    }

    pub fn path(&self) -> &str {
        self.tree.node(self.uid).map_or("", |node| &node.path)
    }

    /// The time of this tick.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Reads an input port in the type asked for.
    #[inline]
    pub fn get<T: FromValue>(&self, port: impl PortKey) -> Result<T, PortError> {
        let (port, binding) = self.find(port, Direction::Output)?;
        match self.value(binding) {
            Some(value) => self.read(port, value),
            None => Err(self.empty(port, binding)),
        }
    }

    /// As [`LeafCall::get`], but `None` where the tree does not give the port or nothing has been written.
    pub fn get_opt<T: FromValue>(&self, port: impl PortKey) -> Result<Option<T>, PortError> {
        let (port, binding) = self.find(port, Direction::Output)?;
        self.value(binding).map(|value| self.read(port, value)).transpose()
    }

    #[inline]
    fn value<'v>(&'v self, binding: &'v Binding) -> Option<&'v Value> {
        match binding {
            Binding::Unset => None,
            Binding::Literal(value) => Some(value),
            Binding::Slot(slot) => self.state.get(*slot),
        }
    }

    #[inline]
    fn read<T: FromValue>(&self, port: &Port, value: &Value) -> Result<T, PortError> {
        match T::peek(value) {
            Some(value) => Ok(value),
            None => self.convert(port, value),
        }
    }

    fn convert<T: FromValue>(&self, port: &Port, value: &Value) -> Result<T, PortError> {
        // Text is read as the port's type first: `"1"` on a port of type bool is `true`, whoever asks.
        let value = match value {
            Value::Str(text) => value.convert(port.ty).or_else(|error| {
                let constant = self.tree.enum_value(text).filter(|_| port.ty == PortType::Int);
                constant.map(Value::Int).ok_or(error)
            }),
            other => Ok(other.clone()),
        };
        let converted =
            value.and_then(|v| if T::PORT_TYPE == PortType::Any { Ok(v) } else { v.convert(T::PORT_TYPE) });
        let converted = converted.map_err(|source| self.type_error(port, source))?;
        // `convert` has just made the type right, so that `from_value` finds what it wants.
        T::from_value(converted).ok_or_else(|| self.empty(port, &Binding::Unset))
    }

    #[cold]
    fn empty(&self, port: &Port, binding: &Binding) -> PortError {
        let (leaf, port) = (self.model.id.clone(), port.name.clone());
        match binding {
            Binding::Slot(slot) => {
                let key = self.tree.slots.get(slot.0 as usize).map_or("", |slot| &*slot.key);
                PortError::Empty { leaf, port, key: key.to_owned() }
            }
            Binding::Unset | Binding::Literal(_) => PortError::NotGiven { leaf, port },
        }
    }

    /// The entries that the leaf can write, those that the tree connects to its outputs. For who records a run.
    pub fn outputs(&self) -> impl Iterator<Item = SlotId> + Clone + use<'_> {
        let ports = self.model.ports.iter().zip(&self.leaf.ports);
        ports.filter(|(port, _)| port.direction != Direction::Input).filter_map(
            |(_, binding)| match binding {
                Binding::Slot(slot) => Some(*slot),
                Binding::Unset | Binding::Literal(_) => None,
            },
        )
    }

    /// The tree that is being ticked.
    pub fn tree(&self) -> &Tree {
        self.tree
    }

    /// The state of the tree, as it is in the middle of this tick.
    pub fn state(&self) -> &State {
        self.state
    }

    /// Writes an entry as the leaf did in a recorded run, `times` times.
    pub fn restore(&mut self, slot: SlotId, value: Value, times: u64) {
        self.state.restore(slot, value, times);
    }

    /// Writes an output port. An output that the tree does not connect is dropped.
    pub fn set(&mut self, port: impl PortKey, value: impl Into<Value>) -> Result<(), PortError> {
        let (port, binding) = self.find(port, Direction::Input)?;
        let slot = match binding {
            Binding::Unset => return Ok(()),
            Binding::Literal(_) => {
                let (leaf, port) = (self.model.id.clone(), port.name.clone());
                return Err(PortError::OutputToLiteral { leaf, port });
            }
            Binding::Slot(slot) => *slot,
        };
        let declared = Board { tree: self.tree, state: self.state }.declared(slot);
        let value = value
            .into()
            .convert(port.ty)
            .and_then(|value| fit(&value, declared))
            .map_err(|source| self.type_error(port, source))?;
        self.state.put(slot, value);
        Ok(())
    }

    /// The port and what the tree connects it with, unless it goes only the other way.
    #[inline]
    fn find(&self, port: impl PortKey, not: Direction) -> Result<(&'a Port, &'a Binding), PortError> {
        let (model, leaf) = (self.model, self.leaf);
        let found = port.place(model).and_then(|at| Some((model.ports.get(at)?, leaf.ports.get(at)?)));
        found
            .filter(|(port, _)| port.direction != not)
            .ok_or_else(|| PortError::Unknown { leaf: model.id.clone(), port: port.describe(model) })
    }

    fn type_error(&self, port: &Port, source: ConvertError) -> PortError {
        PortError::Type { leaf: self.model.id.clone(), port: port.name.clone(), source }
    }
}

/// What is written into an entry of a declared type. Text may become anything, but only text becomes text: an entry of type
/// string is no place for numbers.
fn fit(value: &Value, declared: PortType) -> Result<Value, ConvertError> {
    let from = value.port_type();
    if declared == PortType::Str && from != PortType::Str {
        return Err(ConvertError { value: value.to_string(), from, to: declared });
    }
    value.convert(declared)
}
