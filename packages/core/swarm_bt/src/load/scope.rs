//! Blackboards at load: which slot a key stands for.
//!
//! Every SubTree has a blackboard of its own. A key in it is, in this order: `@key`, an entry of the main tree; a
//! literal given to the SubTree; remapped to an entry outside; with `_autoremap` the outer entry of the same name,
//! unless it begins with `_`; else an entry of its own.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::state::SlotId;
use crate::tree::SlotInfo;
use crate::value::{PortType, Value};

pub(super) type ScopeId = usize;

#[derive(Debug, Default)]
pub(super) struct Scope {
    pub(super) path: Arc<str>,
    pub(super) parent: Option<ScopeId>,
    pub(super) remap: BTreeMap<String, String>,
    pub(super) autoremap: bool,
    /// Keys that live here: literals given to the SubTree at first, then whatever is resolved to this scope.
    pub(super) local: HashMap<String, SlotId>,
}

#[derive(Debug, Default)]
pub(super) struct Blackboards {
    pub(super) scopes: Vec<Scope>,
    pub(super) slots: Vec<SlotInfo>,
    /// Keys with more than one `@`, until they are reported.
    pub(super) doubtful: Vec<String>,
    /// Where a slot's type comes from, for messages: document and line.
    origins: Vec<String>,
}

impl Blackboards {
    pub(super) fn add(&mut self, scope: Scope) -> ScopeId {
        self.scopes.push(scope);
        self.scopes.len() - 1
    }

    /// The slot that `key` stands for in `scope`, created if it is new.
    pub(super) fn resolve(&mut self, scope: ScopeId, key: &str) -> SlotId {
        if key.bytes().skip(1).any(|byte| byte == b'@') {
            self.doubtful.push(key.to_owned());
        }
        let (mut scope, mut key) = (scope, key.to_owned());
        loop {
            if let Some(rest) = key.strip_prefix('@') {
                key = rest.to_owned();
                scope = 0;
            }
            let here = &self.scopes[scope];
            if let Some(slot) = here.local.get(&key) {
                return *slot;
            }
            let Some(parent) = here.parent else { break };
            if let Some(outer) = here.remap.get(&key) {
                key.clone_from(outer);
            } else if !here.autoremap || key.starts_with('_') {
                break;
            }
            scope = parent;
        }
        self.create(scope, &key, None)
    }

    /// A literal given to a SubTree: it lives in the SubTree whatever is remapped.
    pub(super) fn literal(&mut self, scope: ScopeId, key: &str, value: Value) -> SlotId {
        self.create(scope, key, Some(value))
    }

    fn create(&mut self, scope: ScopeId, key: &str, initial: Option<Value>) -> SlotId {
        let id = SlotId(self.slots.len() as u32);
        self.slots.push(SlotInfo {
            key: key.into(),
            scope: Arc::clone(&self.scopes[scope].path),
            ty: PortType::Any,
            exists: initial.is_some(),
            initial,
        });
        self.origins.push(String::new());
        self.scopes[scope].local.insert(key.to_owned(), id);
        id
    }

    /// The type of an entry and where it comes from.
    pub(super) fn declared(&self, slot: SlotId) -> (PortType, &str) {
        (self.slots[slot.0 as usize].ty, &self.origins[slot.0 as usize])
    }

    /// A port of type `ty` is connected to the slot. The first type stays; text may be read as any other type
    /// (`docs/PORT_CONNECTION_RULES.md` of BehaviorTree.CPP). Gives the clashing type and where it was first used.
    pub(super) fn declare(
        &mut self,
        slot: SlotId,
        ty: PortType,
        at: impl Fn() -> String,
    ) -> Result<(), (PortType, String)> {
        let index = slot.0 as usize;
        let info = &mut self.slots[index];
        info.exists = true;
        if ty == PortType::Any || ty == info.ty || info.ty == PortType::Str {
            return Ok(());
        }
        if info.ty != PortType::Any {
            return Err((info.ty, self.origins[index].clone()));
        }
        info.ty = ty;
        self.origins[index] = at();
        Ok(())
    }
}
