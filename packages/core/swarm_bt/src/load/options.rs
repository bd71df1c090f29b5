//! What the attributes of built-in nodes give: numbers, flags, answers, entries, cases, queues.

use super::build::{Builder, Checked};
use super::error::LoadErrorKind;
use super::nodes::{bad_value, pointer};
use super::scope::ScopeId;
use super::source::Element;
use crate::state::SlotId;
use crate::status::Status;
use crate::tree::{Binding, Flag, Int, Items, Kind, Loop, Mode, Switch, case_number};
use crate::value::{PortType, Value, parse};

impl<'d> Builder<'_, 'd> {
    /// A whole number of at least `min` that fits 32 bits, or `{entry}`.
    pub(super) fn int(
        &mut self,
        element: Element<'d>,
        scope: ScopeId,
        attribute: &'static str,
        min: i32,
    ) -> Checked<Int> {
        let text = element.required(attribute)?;
        if let Some(slot) = self.entry(element, scope, attribute, text, PortType::Int)? {
            return Ok(Int::At(slot));
        }
        let number = match parse(text, PortType::Int) {
            Some(Value::Int(i)) => i32::try_from(i).ok().filter(|i| *i >= min),
            _ => None,
        };
        let expected = || format!("a whole number from {min} to {}", i32::MAX);
        number.map(Int::Is).ok_or_else(|| bad_value(attribute, text, expected()))
    }

    pub(super) fn int_or(
        &mut self,
        element: Element<'d>,
        scope: ScopeId,
        attribute: &'static str,
        default: i32,
    ) -> Checked<Int> {
        match element.attribute(attribute) {
            Some(_) => self.int(element, scope, attribute, i32::MIN),
            None => Ok(Int::Is(default)),
        }
    }

    pub(super) fn flag(
        &mut self,
        element: Element<'d>,
        scope: ScopeId,
        attribute: &'static str,
        default: bool,
    ) -> Checked<Flag> {
        let Some(text) = element.attribute(attribute) else { return Ok(Flag::Is(default)) };
        if let Some(slot) = self.entry(element, scope, attribute, text, PortType::Bool)? {
            return Ok(Flag::At(slot));
        }
        match parse(text, PortType::Bool) {
            Some(Value::Bool(flag)) => Ok(Flag::Is(flag)),
            _ => Err(bad_value(attribute, text, PortType::Bool.with_article().to_owned())),
        }
    }

    /// What a node answers where its child is not ticked.
    pub(super) fn answer(element: Element<'d>, attribute: &'static str, default: Status) -> Checked<Status> {
        let Some(text) = element.attribute(attribute) else { return Ok(default) };
        let all = [Status::Running, Status::Success, Status::Failure, Status::Skipped];
        let named = all.into_iter().find(|status| status.as_str() == text);
        let expected = || "SUCCESS, FAILURE, SKIPPED or RUNNING".to_owned();
        named.ok_or_else(|| bad_value(attribute, text, expected()))
    }

    /// `entry` of the nodes that look for updates: the name of an entry, in braces or not.
    pub(super) fn watched(&mut self, element: Element<'d>, scope: ScopeId) -> Checked<(SlotId, u32)> {
        let text = element.required("entry")?;
        if text.is_empty() {
            return Err(bad_value("entry", text, "the name of a blackboard entry".to_owned()));
        }
        let slot = match self.entry(element, scope, "entry", text, PortType::Any)? {
            Some(slot) => slot,
            None => self.boards.resolve(scope, text),
        };
        Ok((slot, self.word()))
    }

    /// `key` is the name of an entry. The original removes it only where it lives, not through a remapping.
    pub(super) fn unset_blackboard(&mut self, element: Element<'d>, scope: ScopeId) -> Checked<Kind> {
        let key = element.required("key")?;
        if key.is_empty() || pointer("key", key).is_some() {
            let expected = "the plain name of an entry, without braces".to_owned();
            return Err(bad_value("key", key, expected));
        }
        let slot = self.boards.resolve(scope, key);
        let own = self.boards.scopes[scope].local.get(key) == Some(&slot);
        Ok(Kind::UnsetBlackboard((own || self.mode == Mode::Strict).then_some(slot)))
    }

    /// A number from the blackboard or XML for each case; the last child is the default.
    pub(super) fn switch(
        &mut self,
        element: Element<'d>,
        scope: ScopeId,
        cases: &[&'static str],
    ) -> Checked<Kind> {
        let children = element.children().count();
        if children != cases.len() + 1 {
            let id = element.tag().to_owned();
            let expected = "one for each case, and the default";
            return Err(LoadErrorKind::Children { id, found: children, expected });
        }
        let variable = self.text(element, scope, "variable")?;
        let cases =
            cases.iter().map(|case| self.text(element, scope, case)).collect::<Checked<Box<[_]>>>()?;
        let number = |case: &Binding| match case {
            Binding::Literal(Value::Str(text)) => {
                case_number(text, |name| self.registry.enums.get(name).copied())
            }
            _ => None,
        };
        let numbers = cases.iter().map(number).collect();
        self.switches.push(Switch { variable, cases, numbers });
        Ok(Kind::Switch((self.switches.len() - 1) as u32))
    }

    fn text(&mut self, element: Element<'d>, scope: ScopeId, attribute: &'static str) -> Checked<Binding> {
        let Some(text) = element.attribute(attribute) else { return Ok(Binding::Unset) };
        let slot = self.entry(element, scope, attribute, text, PortType::Any)?;
        Ok(slot.map_or_else(|| Binding::Literal(Value::from(text)), Binding::Slot))
    }

    /// `queue` is a list `1;2;3` or an entry that holds one; `value` the entry that each item is written to.
    pub(super) fn looped(&mut self, element: Element<'d>, scope: ScopeId, ty: PortType) -> Checked<Kind> {
        let text = element.required("queue")?;
        let queue = if let Some(slot) = self.entry(element, scope, "queue", text, PortType::Any)? {
            Items::Entry(slot)
        } else {
            let items = text.split_terminator(';').map(|item| parse(item, ty)).collect::<Option<_>>();
            let expected = || format!("a list in which each item is {}, as 1;2;3", ty.with_article());
            Items::Literal(items.ok_or_else(|| bad_value("queue", text, expected()))?)
        };
        let item = match element.attribute("value") {
            None => None,
            Some(text) => Some(self.entry(element, scope, "value", text, ty)?.ok_or_else(|| {
                LoadErrorKind::OutputLiteral { port: "value".to_owned(), value: text.to_owned() }
            })?),
        };
        let if_empty = Self::answer(element, "if_empty", Status::Success)?;
        self.loops.push(Loop { queue, ty, item, if_empty });
        Ok(Kind::Loop((self.loops.len() - 1) as u32))
    }

    /// A place for a number of the state.
    fn word(&mut self) -> u32 {
        self.words += 1;
        self.words - 1
    }
}
