//! What each node is: its kind from the element; its numbers, scripts and ports from the attributes.

use swarm_base::Duration;

use super::build::{Builder, Checked};
use super::builtin::Builtin;
use super::error::LoadErrorKind;
use super::scope::{Scope, ScopeId};
use super::source::Element;
use super::{check_port_name, nearest};
use crate::model::{Direction, Port};
use crate::script::{Name, compile};
use crate::state::SlotId;
use crate::status::Status;
use crate::tree::{Binding, Hooks, Int, Kind, Leaf, Mode, NO_HOOKS, ScriptId, Source as Copied};
use crate::value::{PortType, Value, parse};

/// In the order of [`Hooks`].
const HOOKS: [&str; 8] =
    ["_failureIf", "_successIf", "_skipIf", "_while", "_onHalted", "_onFailure", "_onSuccess", "_post"];

/// Attribute of a leaf, see [`crate::Leaves::halting`].
const HALT_TIMEOUT: &str = "_halt_timeout_ms";

impl<'d> Builder<'_, 'd> {
    pub(super) fn builtin(
        &mut self,
        builtin: &Builtin,
        element: Element<'d>,
        scope: ScopeId,
    ) -> Checked<Kind> {
        self.check_ports(element, builtin.id, builtin.ports);
        Ok(match builtin.id {
            "Sequence" => Kind::Sequence { yields: false },
            "AsyncSequence" => Kind::Sequence { yields: true },
            "SequenceWithMemory" => Kind::SequenceWithMemory,
            "Fallback" => Kind::Fallback { yields: false },
            "AsyncFallback" => Kind::Fallback { yields: true },
            "ReactiveSequence" => Kind::ReactiveSequence,
            "ReactiveFallback" => Kind::ReactiveFallback,
            "Parallel" => self.parallel(element, scope)?,
            "ParallelAll" => self.parallel_all(element, scope)?,
            "IfThenElse" => Kind::IfThenElse,
            "WhileDoElse" => Kind::WhileDoElse,
            "Switch2" | "Switch3" | "Switch4" | "Switch5" | "Switch6" => {
                self.switch(element, scope, builtin.ports.get(1..).unwrap_or_default())?
            }
            "TryCatch" => {
                Kind::TryCatch { catch_on_halt: self.flag(element, scope, "catch_on_halt", false)? }
            }
            "Inverter" => Kind::Inverter,
            "ForceSuccess" => Kind::ForceSuccess,
            "ForceFailure" => Kind::ForceFailure,
            "KeepRunningUntilFailure" => Kind::KeepRunningUntilFailure,
            "Repeat" => Kind::Repeat { cycles: self.int(element, scope, "num_cycles", -1)? },
            "RetryUntilSuccessful" => Kind::Retry { attempts: self.int(element, scope, "num_attempts", -1)? },
            "Timeout" => Kind::Timeout { msec: self.int(element, scope, "msec", 0)?, timer: self.timer() },
            "Delay" => Kind::Delay { msec: self.int(element, scope, "delay_msec", 0)?, timer: self.timer() },
            "Sleep" => Kind::Sleep { msec: self.int(element, scope, "msec", 0)?, timer: self.timer() },
            "RunOnce" => Kind::RunOnce { then_skip: self.flag(element, scope, "then_skip", true)? },
            "Precondition" => Kind::Precondition {
                condition: self.code(element, scope, "if")?,
                otherwise: Self::answer(element, "else", Status::Failure)?,
            },
            "LoopInt" => self.looped(element, scope, PortType::Int)?,
            "LoopBool" => self.looped(element, scope, PortType::Bool)?,
            "LoopDouble" => self.looped(element, scope, PortType::Float)?,
            "LoopString" => self.looped(element, scope, PortType::Str)?,
            "SkipUnlessUpdated" => {
                let (entry, seen) = self.watched(element, scope)?;
                Kind::IfUpdated { entry, otherwise: Status::Skipped, seen }
            }
            "WaitValueUpdate" => {
                let (entry, seen) = self.watched(element, scope)?;
                Kind::IfUpdated { entry, otherwise: Status::Running, seen }
            }
            "SubTree" => Kind::SubTree,
            "AlwaysFailure" => Kind::AlwaysFailure,
            "Script" => Kind::Script(self.code(element, scope, "code")?),
            "ScriptCondition" => Kind::ScriptCondition(self.code(element, scope, "code")?),
            "SetBlackboard" => self.set_blackboard(element, scope)?,
            "UnsetBlackboard" => self.unset_blackboard(element, scope)?,
            "WasEntryUpdated" => {
                let (entry, seen) = self.watched(element, scope)?;
                Kind::WasEntryUpdated { entry, seen }
            }
            // The only one left of `BUILTINS`; a test goes through them all.
            _ => Kind::AlwaysSuccess,
        })
    }

    fn parallel(&mut self, element: Element<'d>, scope: ScopeId) -> Checked<Kind> {
        let success_count = self.threshold(element, scope, "success_count", -1)?;
        let failure_count = self.threshold(element, scope, "failure_count", 1)?;
        Ok(Kind::Parallel { success_count, failure_count, done: self.bits(element) })
    }

    fn parallel_all(&mut self, element: Element<'d>, scope: ScopeId) -> Checked<Kind> {
        let max_failures = self.threshold(element, scope, "max_failures", 1)?;
        Ok(Kind::ParallelAll { max_failures, done: self.bits(element) })
    }

    fn threshold(
        &mut self,
        element: Element<'d>,
        scope: ScopeId,
        attribute: &'static str,
        default: i32,
    ) -> Checked<Int> {
        let children = element.children().count();
        match self.int_or(element, scope, attribute, default)? {
            Int::Is(n) if usize::try_from(n).is_ok_and(|n| n > children) => {
                let (id, threshold) = (element.tag().to_owned(), i64::from(n));
                Err(LoadErrorKind::Threshold { id, attribute, threshold, children })
            }
            threshold => Ok(threshold),
        }
    }

    /// Words of the state with a bit for each child.
    fn bits(&mut self, element: Element<'d>) -> u32 {
        let first = self.words;
        self.words += (element.children().count() as u32).div_ceil(64);
        first
    }

    fn timer(&mut self) -> u32 {
        self.timers += 1;
        self.timers - 1
    }

    fn code(&mut self, element: Element<'d>, scope: ScopeId, attribute: &'static str) -> Checked<ScriptId> {
        let code = element.required(attribute)?;
        if pointer(attribute, code).is_some() {
            let expected =
                "a script (one that is itself read from the blackboard could not be checked at load)";
            return Err(bad_value(attribute, code, expected.to_owned()));
        }
        self.script(attribute, code, scope)
    }

    fn script(&mut self, attribute: &str, code: &str, scope: ScopeId) -> Checked<ScriptId> {
        let (registry, boards) = (self.registry, &mut self.boards);
        let mut resolve = |name: &str| match registry.enums.get(name) {
            Some(value) => Name::Enum(*value),
            None => Name::Slot(boards.resolve(scope, name)),
        };
        let script = compile(code, &mut resolve)
            .map_err(|error| LoadErrorKind::Script { attribute: attribute.to_owned(), error })?;
        self.scripts.push(script);
        Ok((self.scripts.len() - 1) as ScriptId)
    }

    /// `output_key` is the name of an entry; `value` a literal or `{entry}`.
    fn set_blackboard(&mut self, element: Element<'d>, scope: ScopeId) -> Checked<Kind> {
        let value = element.required("value")?;
        let key = element.required("output_key")?;
        if key.is_empty() || pointer("output_key", key).is_some() {
            let expected = "the plain name of an entry, without braces".to_owned();
            return Err(bad_value("output_key", key, expected));
        }
        let value = if let Some(from) = pointer("value", value) {
            Copied::Entry(self.boards.resolve(scope, from))
        } else {
            self.literals.push(Value::from(value));
            Copied::Literal((self.literals.len() - 1) as u32)
        };
        Ok(Kind::SetBlackboard { value, target: self.boards.resolve(scope, key) })
    }

    /// A leaf of the registry, by its place there. That the element has no other ports is checked by the caller.
    pub(super) fn leaf(&mut self, model: usize, element: Element<'d>, scope: ScopeId) -> Kind {
        let leaf = &self.registry.leaves[model];
        let mut bindings = Vec::with_capacity(leaf.ports.len());
        for port in &leaf.ports {
            bindings.push(self.bind(port, element, scope).unwrap_or_else(|kind| {
                self.report(element.place(), kind);
                Binding::Unset
            }));
        }
        let halt_timeout = self.time_to_halt(element);
        let node = self.current();
        self.leaves.push(Leaf { node, model: model as u32, halt_timeout, ports: bindings.into() });
        Kind::Leaf { leaf: (self.leaves.len() - 1) as u16, kind: leaf.kind }
    }

    /// How long a leaf may take to stop: what XML says, else what the loader does. BehaviorTree.CPP has no such attribute, so that
    /// in compat mode it is a note for tools, as others with an underscore.
    fn time_to_halt(&mut self, element: Element<'d>) -> Option<Duration> {
        let strict = self.mode == Mode::Strict;
        let Some(text) = element.attribute(HALT_TIMEOUT).filter(|_| strict) else { return self.halt_timeout };
        if let Some(Value::Int(ms @ 1..=86_400_000)) = parse(text, PortType::Int) {
            return Some(Duration::from_millis(ms.unsigned_abs()));
        }
        let expected = "a whole number of milliseconds from 1 to 86400000 (a day)".to_owned();
        self.report(element.place(), bad_value(HALT_TIMEOUT, text, expected));
        None
    }

    fn bind(&mut self, port: &Port, element: Element<'d>, scope: ScopeId) -> Checked<Binding> {
        let Some(text) = element.attribute(&port.name).or(port.default.as_deref()) else {
            return Ok(Binding::Unset);
        };
        if let Some(slot) = self.entry(element, scope, &port.name, text, port.ty)? {
            self.check_writer(slot, port)?;
            return Ok(Binding::Slot(slot));
        }
        if port.direction == Direction::Output {
            return Err(LoadErrorKind::OutputLiteral { port: port.name.clone(), value: text.to_owned() });
        }
        let constant = || self.registry.enums.get(text.trim()).filter(|_| port.ty == PortType::Int);
        let literal = parse(text, port.ty).or_else(|| constant().map(|value| Value::Int(*value)));
        let literal = literal.map(Binding::Literal);
        literal.ok_or_else(|| bad_value(&port.name, text, port.ty.with_article().to_owned()))
    }

    /// The blackboard of a SubTree, with what its attributes remap or give.
    pub(super) fn subtree_scope(
        &mut self,
        element: Element<'d>,
        id: &str,
        parent: ScopeId,
        path: String,
    ) -> ScopeId {
        let at = element.place();
        let autoremap = match element.attribute("_autoremap").map(|text| (text, parse(text, PortType::Bool)))
        {
            None => false,
            Some((_, Some(Value::Bool(on)))) => on,
            Some((text, _)) => {
                self.report(at, bad_value("_autoremap", text, "a bool".to_owned()));
                false
            }
        };
        let is_port = |name: &str| !name.starts_with('_') && !matches!(name, "name" | "ID");
        let attributes = element.attributes().filter(|(name, ..)| is_port(name));
        let mut given: Vec<(&str, &str)> = attributes.map(|(name, value, _)| (name, value)).collect();
        for (port, _) in &given {
            if let Err(why) = check_port_name(port) {
                self.report(at, LoadErrorKind::PortName { port: (*port).to_owned(), why });
            }
        }
        for (&port, &default) in self.source.models.get(id).into_iter().flatten() {
            self.attribute_bytes += port.len() + default.map_or(0, str::len);
            if autoremap || given.iter().any(|(name, _)| *name == port) {
                continue;
            }
            if let Some(default) = default.filter(|default| !default.is_empty()) {
                given.push((port, default));
            } else {
                self.report(at, LoadErrorKind::MissingRemap { id: id.to_owned(), port: port.to_owned() });
            }
        }

        let mut scope = Scope { path: path.into(), parent: Some(parent), autoremap, ..Scope::default() };
        let mut literals = Vec::new();
        for (name, value) in given {
            if let Some(outer) = pointer(name, value) {
                scope.remap.insert(name.to_owned(), outer.to_owned());
            } else {
                literals.push((name, subtree_literal(value)));
            }
        }
        let scope = self.boards.add(scope);
        for (name, value) in literals {
            let slot = self.boards.literal(scope, name, value);
            self.given.push((slot, at, name.to_owned()));
        }
        scope
    }

    /// Literals given to SubTrees become what the ports that read them declare.
    pub(super) fn settle_literals(&mut self) {
        for (slot, at, attribute) in std::mem::take(&mut self.given) {
            let info = &mut self.boards.slots[slot.0 as usize];
            let ty = info.ty;
            match info.initial.take().map(|value| value.convert(ty)) {
                Some(Ok(value)) => info.initial = Some(value),
                Some(Err(error)) => {
                    self.report(at, bad_value(&attribute, &error.value, ty.with_article().to_owned()));
                }
                None => {}
            }
        }
    }

    /// Index of the node's pre- and post-conditions.
    pub(super) fn hooks_of(&mut self, element: Element<'d>, scope: ScopeId) -> u16 {
        let mut scripts = [None; HOOKS.len()];
        for (name, value, at) in element.attributes().filter(|(name, ..)| name.starts_with('_')) {
            if let Some(hook) = HOOKS.iter().position(|hook| *hook == name) {
                match self.script(name, value, scope) {
                    Ok(script) => scripts[hook] = Some(script),
                    Err(kind) => self.report(at, kind),
                }
            } else if !matches!(name, "_autoremap" | HALT_TIMEOUT)
                && let Some(nearest) = nearest(name, HOOKS.into_iter().chain(["_autoremap", HALT_TIMEOUT]))
            {
                // Other attributes with an underscore are notes for tools; a misspelt condition must not pass as one.
                self.report(at, LoadErrorKind::UnknownAttribute { attribute: name.to_owned(), nearest });
            }
        }
        if scripts.iter().all(Option::is_none) {
            return NO_HOOKS;
        }
        let [failure_if, success_if, skip_if, while_true, on_halted, on_failure, on_success, post] = scripts;
        let hooks =
            Hooks { failure_if, success_if, skip_if, while_true, on_halted, on_failure, on_success, post };
        self.hooks.push(hooks);
        (self.hooks.len() - 1) as u16
    }

    pub(super) fn check_ports(&mut self, element: Element<'d>, id: &str, ports: &[&str]) {
        let any = id == "SubTree" || self.foreign_ports;
        for (name, _, at) in element.attributes() {
            if any || name.starts_with('_') || matches!(name, "name" | "ID") || ports.contains(&name) {
                continue;
            }
            let nearest = nearest(name, ports.iter().copied());
            self.report(at, LoadErrorKind::UnknownPort { id: id.to_owned(), port: name.to_owned(), nearest });
        }
    }

    /// A string may be read as any other type, but an entry that holds strings takes nothing else. In the original that is
    /// an error of the first write.
    fn check_writer(&self, slot: SlotId, port: &Port) -> Checked<()> {
        let strict = self.mode == Mode::Strict;
        let writes = port.direction != Direction::Input && !matches!(port.ty, PortType::Any | PortType::Str);
        match self.boards.declared(slot) {
            (PortType::Str, first) if strict && writes => Err(LoadErrorKind::TypeClash {
                key: self.boards.slots[slot.0 as usize].key.to_string(),
                declared: PortType::Str,
                first: first.to_owned(),
                port: port.name.clone(),
                wanted: port.ty,
            }),
            _ => Ok(()),
        }
    }

    /// The entry that the text of an attribute names, which is of type `wanted` from then on; `None` for a literal.
    pub(super) fn entry(
        &mut self,
        element: Element<'d>,
        scope: ScopeId,
        attribute: &str,
        text: &str,
        wanted: PortType,
    ) -> Checked<Option<SlotId>> {
        let Some(key) = pointer(attribute, text) else { return Ok(None) };
        let slot = self.boards.resolve(scope, key);
        let source = self.source;
        let clash = self.boards.declare(slot, wanted, || source.describe(element.place()));
        clash.map_err(|(declared, first)| LoadErrorKind::TypeClash {
            key: self.boards.slots[slot.0 as usize].key.to_string(),
            declared,
            first,
            port: attribute.to_owned(),
            wanted,
        })?;
        Ok(Some(slot))
    }
}

pub(super) fn bad_value(attribute: &str, value: &str, expected: String) -> LoadErrorKind {
    LoadErrorKind::Value { attribute: attribute.to_owned(), value: value.to_owned(), expected }
}

/// The key in `{key}`, with `{=}` and `=` for the port's own name; `None` for a literal.
pub(super) fn pointer<'a>(port: &'a str, text: &'a str) -> Option<&'a str> {
    if text == "=" {
        return Some(port);
    }
    let key = text.trim_matches(' ').strip_prefix('{')?.strip_suffix('}')?;
    match key {
        "" => None,
        "=" => Some(port),
        key => Some(key),
    }
}

/// A literal given to a SubTree keeps its type: an integer, a float, else text (as from BehaviorTree.CPP 4.9.1 on).
fn subtree_literal(text: &str) -> Value {
    // Rust reads `+1`, `inf` and `nan` as numbers, `std::from_chars` does not.
    let plain = text.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let integer = text.parse().ok().filter(|_| plain).map(Value::Int);
    let float = || text.parse().ok().filter(|_| plain).map(Value::Float);
    integer.or_else(float).unwrap_or_else(|| Value::from(text))
}
