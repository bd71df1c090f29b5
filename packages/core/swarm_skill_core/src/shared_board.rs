//! Shared entries between the blackboard of a tree and the reports: `cell_...` and `role_...` of the main tree.

use swarm_bt::{ConvertError, SlotId, State, Tree, Value};

use crate::cooperation::{Cooperation, SharedError};
use crate::message::{SharedValue, Stamp};

/// The shared entries of one tree.
#[derive(Clone, Debug)]
pub(crate) struct SharedBoard {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    slot: SlotId,
    key: String,
    /// What the tree has last been given, or has last written.
    stamp: Option<Stamp>,
    /// How often the entry had been written then.
    writes: u64,
}

/// A shared entry that cannot go where it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BoardError {
    #[error("shared entry '{key}': {source}")]
    Convert { key: String, source: ConvertError },
    #[error(transparent)]
    Shared(#[from] SharedError),
}

/// Whether roles share an entry of this key.
pub(crate) fn is_shared(key: &str) -> bool {
    key.starts_with("cell_") || key.starts_with("role_")
}

impl SharedBoard {
    pub(crate) fn new(tree: &Tree) -> Self {
        let shared = tree.slots().filter(|(_, scope, key, _)| scope.is_empty() && is_shared(key));
        let entry =
            |(slot, _, key, _): (_, _, &str, _)| Entry { slot, key: key.to_owned(), stamp: None, writes: 0 };
        Self { entries: shared.map(entry).collect() }
    }

    /// Before the tree is ticked: what the others have written.
    pub(crate) fn take_in(
        &mut self,
        tree: &Tree,
        state: &mut State,
        cooperation: &Cooperation,
    ) -> Result<(), BoardError> {
        for entry in &mut self.entries {
            let Some(known) = cooperation.shared(&entry.key) else { continue };
            if entry.stamp.is_none_or(|stamp| stamp < known.stamp) {
                let key = || entry.key.clone();
                let set = state.set(tree, entry.slot, value(&known.value));
                set.map_err(|source| BoardError::Convert { key: key(), source })?;
                entry.stamp = Some(known.stamp);
                entry.writes = state.writes(entry.slot);
            }
        }
        Ok(())
    }

    /// What the tree has written while a successor's was skipped to its safe point counts for nothing against what its predecessor left.
    pub(crate) fn forget(&mut self, state: &State) {
        for entry in &mut self.entries {
            entry.stamp = None;
            entry.writes = state.writes(entry.slot);
        }
    }

    /// After the tree was ticked: what it has written.
    pub(crate) fn give_out(
        &mut self,
        state: &State,
        cooperation: &mut Cooperation,
    ) -> Result<(), BoardError> {
        for entry in &mut self.entries {
            let writes = state.writes(entry.slot);
            if let Some(written) = state.get(entry.slot).filter(|_| writes != entry.writes) {
                entry.writes = writes;
                cooperation.share(&entry.key, shared(written))?;
                entry.stamp = cooperation.shared(&entry.key).map(|known| known.stamp);
            }
        }
        Ok(())
    }
}

fn value(shared: &SharedValue) -> Value {
    match shared {
        SharedValue::Bool(value) => Value::Bool(*value),
        SharedValue::Int(value) => Value::Int(*value),
        SharedValue::Float(value) => Value::Float(*value),
        SharedValue::Text(value) => Value::Str(value.as_str().into()),
        SharedValue::Vector(values) => Value::Vector(values.as_slice().into()),
    }
}

fn shared(value: &Value) -> SharedValue {
    match value {
        Value::Bool(value) => SharedValue::Bool(*value),
        Value::Int(value) => SharedValue::Int(*value),
        Value::Float(value) => SharedValue::Float(*value),
        Value::Str(value) => SharedValue::Text(value.to_string()),
        Value::Vector(values) => SharedValue::Vector(values.to_vec()),
    }
}
