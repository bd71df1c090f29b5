//! Expanding the main tree into the arena.

use std::collections::BTreeSet;

use roxmltree::Node as Xml;

use super::builtin::{self, BUILTINS, Builtin, Family};
use super::scope::{Blackboards, Scope, ScopeId};
use super::{LoadError, LoadErrorKind, MAX_DEPTH, MAX_NODES, Place, Source, nearest};
use crate::model::{Direction, LeafKind, Registry};
use crate::script::{Name, Script, compile};
use crate::state::SlotId;
use crate::tree::{
    Binding, Hooks, Int, Kind, Leaf, NO_HOOKS, Node, NodeInfo, ScriptId, Source as ValueSource, Tree,
};
use crate::value::{PortType, Value, parse};

/// In the order of [`Hooks`].
const HOOKS: [&str; 8] =
    ["_failureIf", "_successIf", "_skipIf", "_while", "_onHalted", "_onFailure", "_onSuccess", "_post"];

type Checked<T> = Result<T, LoadErrorKind>;

pub(super) struct Builder<'s, 'd> {
    registry: &'s Registry,
    source: &'s Source<'d>,
    boards: Blackboards,
    /// Literals given to SubTrees: where, and under which attribute.
    given: Vec<(SlotId, Place, String)>,
    nodes: Vec<Node>,
    /// Children of each node, until all are known.
    family: Vec<Vec<u16>>,
    info: Vec<NodeInfo>,
    scripts: Vec<Script>,
    hooks: Vec<Hooks>,
    leaves: Vec<Leaf>,
    literals: Vec<Value>,
    timers: u32,
    done_words: u32,
    /// Ids of the trees that are being expanded, outermost first.
    expanding: Vec<String>,
    /// Elements down to the current one, for messages.
    path: Vec<String>,
    errors: Vec<LoadError>,
    /// Set when going on would only take time.
    full: bool,
}

/// Where a node is built.
#[derive(Clone, Copy)]
struct Context {
    document: usize,
    scope: ScopeId,
    parent: Option<u16>,
    depth: usize,
}

impl<'s, 'd> Builder<'s, 'd> {
    pub(super) fn new(registry: &'s Registry, source: &'s Source<'d>) -> Self {
        Builder {
            registry,
            source,
            boards: Blackboards::default(),
            given: Vec::new(),
            nodes: Vec::new(),
            family: Vec::new(),
            info: Vec::new(),
            scripts: Vec::new(),
            hooks: Vec::new(),
            leaves: Vec::new(),
            literals: Vec::new(),
            timers: 0,
            done_words: 0,
            expanding: Vec::new(),
            path: Vec::new(),
            errors: Vec::new(),
            full: false,
        }
    }

    /// The tree, if nothing was wrong with it. Adds the ids of all trees it is made of to `seen`.
    pub(super) fn build(
        mut self,
        main: &str,
        seen: &mut BTreeSet<String>,
        errors: &mut Vec<LoadError>,
    ) -> Option<Tree> {
        let scope = self.boards.add(Scope::default());
        let start = Context { document: 0, scope, parent: None, depth: 0 };
        self.expand(main, start, None, seen);
        self.settle_literals();
        let failed = !self.errors.is_empty() || self.full;
        errors.append(&mut self.errors);
        (!failed).then(|| self.finish(main))
    }

    fn finish(self, main: &str) -> Tree {
        let mut nodes = self.nodes;
        let mut children = Vec::with_capacity(nodes.len());
        for (node, family) in nodes.iter_mut().zip(&self.family) {
            node.first_child = children.len() as u32;
            node.child_count = family.len() as u16;
            children.extend_from_slice(family);
        }
        Tree {
            nodes: nodes.into(),
            children: children.into(),
            scripts: self.scripts.into(),
            hooks: self.hooks.into(),
            leaves: self.leaves.into(),
            models: self.registry.leaves.as_slice().into(),
            slots: self.boards.slots.into(),
            literals: self.literals.into(),
            info: self.info.into(),
            enums: self.registry.enums.iter().map(|(name, value)| (name.as_str().into(), *value)).collect(),
            main: main.into(),
            timers: self.timers,
            done_words: self.done_words,
        }
    }

    /// Puts the tree `id` below `context.parent`.
    fn expand(&mut self, id: &str, context: Context, from: Option<Place>, seen: &mut BTreeSet<String>) {
        let Some(&(document, tree)) = self.source.trees.get(id) else {
            let nearest = nearest(id, self.source.trees.keys().copied());
            let kind = LoadErrorKind::UnknownTree { id: id.to_owned(), nearest };
            self.report(from.unwrap_or(Place { document: 0, offset: 0 }), kind);
            return;
        };
        let at = Place { document, offset: tree.range().start };
        if let Some(start) = self.expanding.iter().position(|open| open == id) {
            let mut cycle = self.expanding[start..].to_vec();
            cycle.push(id.to_owned());
            self.report(from.unwrap_or(at), LoadErrorKind::Cycle { cycle });
            return;
        }
        seen.insert(id.to_owned());
        self.expanding.push(id.to_owned());
        let outside = std::mem::replace(&mut self.path, vec![id.to_owned()]);
        let roots: Vec<_> = tree.children().filter(Xml::is_element).collect();
        match roots[..] {
            [root] => self.node(root, Context { document, ..context }, seen),
            _ => {
                let kind = LoadErrorKind::Children {
                    id: id.to_owned(),
                    found: roots.len(),
                    expected: "exactly one",
                };
                self.report(at, kind);
            }
        }
        self.path = outside;
        self.expanding.pop();
    }

    /// Adds a node and all below it.
    fn node(&mut self, xml: Xml<'d, 'd>, context: Context, seen: &mut BTreeSet<String>) {
        if self.full {
            return;
        }
        let element = xml.tag_name().name();
        let at = Place { document: context.document, offset: xml.range().start };
        self.path.push(element.to_owned());
        if context.depth >= MAX_DEPTH {
            self.full = true;
            self.report(at, LoadErrorKind::TooDeep { limit: MAX_DEPTH });
        } else if self.nodes.len() >= MAX_NODES {
            self.full = true;
            self.report(at, LoadErrorKind::TooManyNodes { limit: MAX_NODES });
        } else {
            match self.identify(xml) {
                Ok(id) => self.identified(xml, id, at, context, seen),
                Err(kind) => {
                    self.report(at, kind);
                    self.below(xml, Context { depth: context.depth + 1, ..context }, seen);
                }
            }
        }
        self.path.pop();
    }

    /// The registration id: the element's name, or its ID in the explicit forms.
    fn identify(&self, xml: Xml<'d, 'd>) -> Checked<&'d str> {
        let element = xml.tag_name().name();
        let id = xml.attribute("ID");
        if matches!(element, "Action" | "Condition" | "Control" | "Decorator" | "SubTree") {
            return id.ok_or_else(|| LoadErrorKind::MissingAttribute {
                element: element.to_owned(),
                attribute: "ID",
            });
        }
        if id.is_some() {
            return Err(LoadErrorKind::IdNotAllowed { element: element.to_owned() });
        }
        if element == "BehaviorTree" {
            return Err(LoadErrorKind::Element { element: element.to_owned(), expected: "a node" });
        }
        Ok(element)
    }

    fn identified(
        &mut self,
        xml: Xml<'d, 'd>,
        id: &str,
        at: Place,
        context: Context,
        seen: &mut BTreeSet<String>,
    ) {
        let is_subtree = xml.tag_name().name() == "SubTree";
        let builtin = if is_subtree {
            builtin::find("SubTree")
        } else {
            builtin::find(id).filter(|b| b.id != "SubTree")
        };
        let model = if is_subtree { None } else { self.registry.find(id) };
        let below = Context { depth: context.depth + 1, ..context };
        if builtin.is_none() && model.is_none() {
            let known =
                BUILTINS.iter().map(|b| b.id).chain(self.registry.leaves.iter().map(|leaf| leaf.id.as_str()));
            let kind = LoadErrorKind::UnknownNode { id: id.to_owned(), nearest: nearest(id, known) };
            self.report(at, kind);
            return self.below(xml, below, seen);
        }

        let children = xml.children().filter(Xml::is_element).count();
        let family = builtin.map_or(Family::Leaf, |b| b.family);
        let (fits, expected) = match family {
            Family::Control => (children > 0, "at least one"),
            Family::Decorator => (children == 1, "exactly one"),
            Family::Leaf => (children == 0, "none"),
        };
        if !fits {
            self.report(at, LoadErrorKind::Children { id: id.to_owned(), found: children, expected });
        }

        let index = self.nodes.len() as u16;
        let name = xml.attribute("name").unwrap_or(id);
        let mut path = self.boards.scopes[context.scope].path.clone();
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(name);
        if name == id {
            path.push_str(&format!("::{}", index + 1));
        }
        let (document, lines, _) = &self.source.documents[at.document];
        self.info.push(NodeInfo {
            uid: index + 1,
            parent: context.parent.map(|parent| parent + 1),
            name: name.to_owned(),
            id: id.to_owned(),
            path: path.clone(),
            document: (*document).to_owned(),
            line: lines.at(at.offset).0,
        });
        self.nodes.push(Node { kind: Kind::AlwaysSuccess, first_child: 0, child_count: 0, hooks: NO_HOOKS });
        self.family.push(Vec::new());
        if let Some(parent) = context.parent {
            self.family[usize::from(parent)].push(index);
        }

        let hooks = self.hooks_of(xml, context);
        let kind = match (builtin, model) {
            _ if is_subtree => Ok(Kind::SubTree),
            (Some(builtin), _) => {
                self.check_ports(xml, at.document, builtin.id, builtin.ports);
                self.builtin(builtin, xml, context.scope, children)
            }
            (None, model) => self.leaf(model.unwrap_or_default(), xml, at, context.scope),
        };
        let node = &mut self.nodes[usize::from(index)];
        node.hooks = hooks;
        match kind {
            Ok(kind) => node.kind = kind,
            Err(kind) => self.report(at, kind),
        }
        let below = Context { parent: Some(index), ..below };
        if is_subtree {
            let scope = self.subtree_scope(xml, id, at, context.scope, path);
            self.expand(id, Context { scope, ..below }, Some(at), seen);
        } else {
            self.below(xml, below, seen);
        }
    }

    fn below(&mut self, xml: Xml<'d, 'd>, context: Context, seen: &mut BTreeSet<String>) {
        for child in xml.children().filter(Xml::is_element) {
            self.node(child, context, seen);
        }
    }

    fn builtin(
        &mut self,
        builtin: &Builtin,
        xml: Xml<'d, 'd>,
        scope: ScopeId,
        children: usize,
    ) -> Checked<Kind> {
        Ok(match builtin.id {
            "Sequence" => Kind::Sequence { yields: false },
            "AsyncSequence" => Kind::Sequence { yields: true },
            "SequenceWithMemory" => Kind::SequenceWithMemory,
            "Fallback" => Kind::Fallback { yields: false },
            "AsyncFallback" => Kind::Fallback { yields: true },
            "ReactiveSequence" => Kind::ReactiveSequence,
            "ReactiveFallback" => Kind::ReactiveFallback,
            "Parallel" => {
                let success_count = self.int(xml, scope, "success_count", Some(-1), i64::MIN)?;
                let failure_count = self.int(xml, scope, "failure_count", Some(1), i64::MIN)?;
                for (attribute, threshold) in
                    [("success_count", success_count), ("failure_count", failure_count)]
                {
                    if let Int::Is(threshold) = threshold
                        && threshold > children as i64
                    {
                        return Err(LoadErrorKind::Threshold { attribute, threshold, children });
                    }
                }
                let done = self.done_words;
                self.done_words += (children as u32).div_ceil(64);
                Kind::Parallel { success_count, failure_count, done }
            }
            "Inverter" => Kind::Inverter,
            "ForceSuccess" => Kind::ForceSuccess,
            "ForceFailure" => Kind::ForceFailure,
            "KeepRunningUntilFailure" => Kind::KeepRunningUntilFailure,
            "Repeat" => Kind::Repeat { cycles: self.int(xml, scope, "num_cycles", None, -1)? },
            "RetryUntilSuccessful" => {
                Kind::Retry { attempts: self.int(xml, scope, "num_attempts", None, -1)? }
            }
            "Timeout" => Kind::Timeout { msec: self.int(xml, scope, "msec", None, 0)?, timer: self.timer() },
            "Delay" => {
                Kind::Delay { msec: self.int(xml, scope, "delay_msec", None, 0)?, timer: self.timer() }
            }
            "Sleep" => Kind::Sleep { msec: self.int(xml, scope, "msec", None, 0)?, timer: self.timer() },
            "AlwaysFailure" => Kind::AlwaysFailure,
            "Script" => Kind::Script(self.code(xml, scope)?),
            "ScriptCondition" => Kind::ScriptCondition(self.code(xml, scope)?),
            "SetBlackboard" => self.set_blackboard(xml, scope)?,
            _ => Kind::AlwaysSuccess,
        })
    }

    fn timer(&mut self) -> u32 {
        self.timers += 1;
        self.timers - 1
    }

    /// A whole number of at least `min`, or `{entry}`.
    fn int(
        &mut self,
        xml: Xml<'d, 'd>,
        scope: ScopeId,
        attribute: &'static str,
        default: Option<i64>,
        min: i64,
    ) -> Checked<Int> {
        let Some(text) = xml.attribute(attribute) else {
            let missing =
                || LoadErrorKind::MissingAttribute { element: xml.tag_name().name().to_owned(), attribute };
            return default.map(Int::Is).ok_or_else(missing);
        };
        if let Some(key) = pointer(attribute, text) {
            let slot = self.boards.resolve(scope, key);
            let at = self.place_of(xml);
            self.declare(slot, PortType::Int, attribute, at)?;
            return Ok(Int::At(slot));
        }
        match parse(text, PortType::Int) {
            Some(Value::Int(i)) if i >= min && i <= i64::from(i32::MAX) => Ok(Int::Is(i)),
            _ => {
                let expected = if min == i64::MIN {
                    "a whole number".to_owned()
                } else {
                    format!("a whole number from {min} to {}", i32::MAX)
                };
                Err(LoadErrorKind::Value {
                    attribute: attribute.to_owned(),
                    value: text.to_owned(),
                    expected,
                })
            }
        }
    }

    fn code(&mut self, xml: Xml<'d, 'd>, scope: ScopeId) -> Checked<ScriptId> {
        let element = xml.tag_name().name().to_owned();
        let code =
            xml.attribute("code").ok_or(LoadErrorKind::MissingAttribute { element, attribute: "code" })?;
        if pointer("code", code).is_some() {
            let expected =
                "a script: code that is itself read from the blackboard cannot be checked at load".to_owned();
            return Err(LoadErrorKind::Value {
                attribute: "code".to_owned(),
                value: code.to_owned(),
                expected,
            });
        }
        self.script("code", code, scope)
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
    fn set_blackboard(&mut self, xml: Xml<'d, 'd>, scope: ScopeId) -> Checked<Kind> {
        let missing =
            |attribute| LoadErrorKind::MissingAttribute { element: "SetBlackboard".to_owned(), attribute };
        let value = xml.attribute("value").ok_or_else(|| missing("value"))?;
        let key = xml.attribute("output_key").ok_or_else(|| missing("output_key"))?;
        if key.is_empty() || pointer("output_key", key).is_some() {
            let expected = "the plain name of an entry (without braces)".to_owned();
            return Err(LoadErrorKind::Value {
                attribute: "output_key".to_owned(),
                value: key.to_owned(),
                expected,
            });
        }
        let value = match pointer("value", value) {
            Some(source) => ValueSource::Entry(self.boards.resolve(scope, source)),
            None => {
                self.literals.push(Value::from(value));
                ValueSource::Literal((self.literals.len() - 1) as u32)
            }
        };
        Ok(Kind::SetBlackboard { value, target: self.boards.resolve(scope, key) })
    }

    fn leaf(&mut self, model: usize, xml: Xml<'d, 'd>, at: Place, scope: ScopeId) -> Checked<Kind> {
        let registry = self.registry;
        let leaf = &registry.leaves[model];
        let names: Vec<&str> = leaf.ports.iter().map(|port| port.name.as_str()).collect();
        self.check_ports(xml, at.document, &leaf.id, &names);
        let mut ports = Vec::with_capacity(leaf.ports.len());
        for port in &leaf.ports {
            let Some(text) = xml.attribute(port.name.as_str()).or(port.default.as_deref()) else {
                ports.push(Binding::Unset);
                continue;
            };
            ports.push(if let Some(key) = pointer(&port.name, text) {
                let slot = self.boards.resolve(scope, key);
                if let Err(kind) = self.declare(slot, port.ty, &port.name, at) {
                    self.report(at, kind);
                }
                Binding::Slot(slot)
            } else if port.direction == Direction::Output {
                let kind = LoadErrorKind::OutputLiteral { port: port.name.clone(), value: text.to_owned() };
                self.report(at, kind);
                Binding::Unset
            } else if let Some(value) = parse(text, port.ty) {
                Binding::Literal(value)
            } else {
                let expected = format!("a {}", port.ty);
                self.report(
                    at,
                    LoadErrorKind::Value { attribute: port.name.clone(), value: text.to_owned(), expected },
                );
                Binding::Unset
            });
        }
        self.leaves.push(Leaf { model: model as u16, ports: ports.into() });
        let kind: LeafKind = leaf.kind;
        Ok(Kind::Leaf { leaf: (self.leaves.len() - 1) as u16, kind })
    }

    /// The blackboard of a SubTree, with what its attributes remap or give.
    fn subtree_scope(
        &mut self,
        xml: Xml<'d, 'd>,
        id: &str,
        at: Place,
        parent: ScopeId,
        path: String,
    ) -> ScopeId {
        let autoremap = match xml.attribute("_autoremap").map(|text| (text, parse(text, PortType::Bool))) {
            Some((_, Some(Value::Bool(on)))) => on,
            None => false,
            Some((value, _)) => {
                let (attribute, value) = ("_autoremap".to_owned(), value.to_owned());
                self.report(at, LoadErrorKind::Value { attribute, value, expected: "a bool".to_owned() });
                false
            }
        };
        let mut scope = Scope { path, parent: Some(parent), autoremap, ..Scope::default() };
        let mut given: Vec<(&str, &str)> = xml
            .attributes()
            .filter(|a| {
                a.name().starts_with(|c: char| c.is_ascii_alphabetic()) && !matches!(a.name(), "name" | "ID")
            })
            .map(|a| (a.name(), a.value()))
            .collect();
        for (port, default) in self.source.models.get(id).map(Vec::as_slice).unwrap_or_default() {
            if !autoremap && !given.iter().any(|(name, _)| name == port) {
                match default {
                    Some(default) => given.push((port, default)),
                    None => {
                        let kind =
                            LoadErrorKind::MissingRemap { id: id.to_owned(), port: (*port).to_owned() };
                        self.report(at, kind);
                    }
                }
            }
        }
        let mut literals = Vec::new();
        for (name, value) in given {
            match pointer(name, value) {
                Some(outer) => {
                    scope.remap.insert(name.to_owned(), outer.to_owned());
                }
                None => literals.push((name, literal(value))),
            }
        }
        let scope = self.boards.add(scope);
        for (name, value) in literals {
            self.boards.literal(scope, name, value);
            let slot = self.boards.resolve(scope, name);
            self.given.push((slot, at, name.to_owned()));
        }
        scope
    }

    /// Literals given to SubTrees become what the ports that read them declare.
    fn settle_literals(&mut self) {
        for (slot, at, attribute) in std::mem::take(&mut self.given) {
            let info = &mut self.boards.slots[slot.0 as usize];
            let Some(value) = info.initial.take() else { continue };
            match value.convert(info.ty) {
                Ok(value) => info.initial = Some(value),
                Err(error) => {
                    let expected = format!("a {}", info.ty);
                    self.report(at, LoadErrorKind::Value { attribute, value: error.value, expected });
                }
            }
        }
    }

    fn hooks_of(&mut self, xml: Xml<'d, 'd>, context: Context) -> u16 {
        let mut scripts = [None; HOOKS.len()];
        for attribute in xml.attributes().filter(|a| a.name().starts_with('_')) {
            let at = Place { document: context.document, offset: attribute.range().start };
            if let Some(hook) = HOOKS.iter().position(|name| *name == attribute.name()) {
                match self.script(attribute.name(), attribute.value(), context.scope) {
                    Ok(script) => scripts[hook] = Some(script),
                    Err(kind) => self.report(at, kind),
                }
            } else if attribute.name() != "_autoremap"
                && let Some(nearest) = nearest(attribute.name(), HOOKS.into_iter().chain(["_autoremap"]))
            {
                // Other attributes with an underscore are notes for tools; a misspelt condition must not pass as one.
                self.report(
                    at,
                    LoadErrorKind::UnknownAttribute { attribute: attribute.name().to_owned(), nearest },
                );
            }
        }
        if scripts.iter().all(Option::is_none) {
            return NO_HOOKS;
        }
        let [failure_if, success_if, skip_if, while_true, on_halted, on_failure, on_success, post] = scripts;
        self.hooks.push(Hooks {
            failure_if,
            success_if,
            skip_if,
            while_true,
            on_halted,
            on_failure,
            on_success,
            post,
        });
        (self.hooks.len() - 1) as u16
    }

    fn check_ports(&mut self, xml: Xml<'d, 'd>, document: usize, id: &str, ports: &[&str]) {
        for attribute in xml.attributes() {
            let name = attribute.name();
            if name.starts_with('_') || matches!(name, "name" | "ID") || ports.contains(&name) {
                continue;
            }
            let at = Place { document, offset: attribute.range().start };
            let nearest = nearest(name, ports.iter().copied());
            self.report(at, LoadErrorKind::UnknownPort { id: id.to_owned(), port: name.to_owned(), nearest });
        }
    }

    fn declare(&mut self, slot: SlotId, wanted: PortType, port: &str, at: Place) -> Checked<()> {
        let source = self.source;
        self.boards.declare(slot, wanted, || source.place(at)).map_err(|(declared, first)| {
            LoadErrorKind::TypeClash {
                key: self.boards.slots[slot.0 as usize].key.to_string(),
                declared,
                first,
                port: port.to_owned(),
                wanted,
            }
        })
    }

    fn place_of(&self, xml: Xml<'d, 'd>) -> Place {
        let document = self.source.documents.iter().position(|(_, _, d)| d.root() == xml.document().root());
        Place { document: document.unwrap_or(0), offset: xml.range().start }
    }

    fn report(&mut self, at: Place, kind: LoadErrorKind) {
        let error = self.source.error(at, &self.path.join("/"), kind);
        self.errors.push(error);
    }
}

/// The key in `{key}`, with `{=}` and `=` for the port's own name; `None` for a literal.
fn pointer<'a>(port: &'a str, text: &'a str) -> Option<&'a str> {
    if matches!(text, "{=}" | "=") {
        return Some(port);
    }
    let inner = text.trim_matches(' ').strip_prefix('{')?.strip_suffix('}')?;
    if inner == "=" { Some(port) } else { (!inner.is_empty()).then_some(inner) }
}

/// A literal given to a SubTree: a number where it is one, else text.
fn literal(text: &str) -> Value {
    let integer = (!text.contains(['.', 'e', 'E', '+'])).then(|| text.parse().ok()).flatten();
    let float = || {
        text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '.'))
            .then(|| text.parse().ok())
            .flatten()
    };
    integer.map(Value::Int).or_else(|| float().map(Value::Float)).unwrap_or_else(|| Value::from(text))
}
