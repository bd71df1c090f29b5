//! Expanding a tree into the arena.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::builtin::{self, BUILTINS, Family};
use super::error::{LoadError, LoadErrorKind};
use super::scope::{Blackboards, Scope, ScopeId};
use super::source::{Element, Place, Source};
use super::{MAX_DEPTH, MAX_NODES, nearest};
use crate::model::Registry;
use crate::script::Script;
use crate::state::SlotId;
use crate::tree::{Hooks, Kind, Leaf, NO_HOOKS, Node, NodeInfo, Tree};
use crate::value::Value;

pub(super) type Checked<T> = Result<T, LoadErrorKind>;

/// A tree under construction.
pub(super) struct Builder<'s, 'd> {
    pub(super) registry: &'s Registry,
    pub(super) source: &'s Source<'d>,
    pub(super) boards: Blackboards,
    /// Literals given to SubTrees: where, and under which attribute.
    pub(super) given: Vec<(SlotId, Place, String)>,
    nodes: Vec<Node>,
    /// Children of each node, until all are known.
    families: Vec<Vec<u16>>,
    info: Vec<NodeInfo>,
    pub(super) scripts: Vec<Script>,
    pub(super) hooks: Vec<Hooks>,
    pub(super) leaves: Vec<Leaf>,
    pub(super) literals: Vec<Value>,
    pub(super) timers: u32,
    pub(super) done_words: u32,
    /// Ids of the trees that are being expanded, outermost first.
    expanding: Vec<&'d str>,
    /// Tree and elements down to the current one, for messages.
    path: Vec<&'d str>,
    errors: Vec<LoadError>,
    /// Each tree is expanded only once: its mistakes are wanted, not the whole.
    check_only: bool,
    /// A limit has been hit: going on would only take time.
    full: bool,
}

/// What is around a node.
#[derive(Clone, Copy)]
struct Context {
    parent: Option<u16>,
    scope: ScopeId,
    depth: usize,
}

/// The node that an element stands for.
enum Meaning<'d> {
    Builtin(&'static builtin::Builtin),
    /// A leaf, by its place in the registry.
    Leaf(usize),
    SubTree(&'d str),
}

impl<'s, 'd> Builder<'s, 'd> {
    pub(super) fn new(registry: &'s Registry, source: &'s Source<'d>) -> Self {
        Builder {
            registry,
            source,
            boards: Blackboards::default(),
            given: Vec::new(),
            nodes: Vec::new(),
            families: Vec::new(),
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
            check_only: false,
            full: false,
        }
    }

    /// The tree, if nothing was wrong with it. Adds the ids of all trees it is made of to `seen`.
    pub(super) fn build(
        mut self,
        main: &str,
        seen: &mut BTreeSet<&'d str>,
        errors: &mut Vec<LoadError>,
    ) -> Option<Tree> {
        self.run(main, seen);
        let failed = !self.errors.is_empty();
        errors.append(&mut self.errors);
        (!failed).then(|| self.finish(main))
    }

    /// Only what is wrong with a tree, leaving out the trees in `seen`.
    pub(super) fn check(mut self, id: &str, seen: &mut BTreeSet<&'d str>, errors: &mut Vec<LoadError>) {
        self.check_only = true;
        self.run(id, seen);
        errors.append(&mut self.errors);
    }

    fn run(&mut self, main: &str, seen: &mut BTreeSet<&'d str>) {
        let scope = self.boards.add(Scope::default());
        self.expand(main, Context { parent: None, scope, depth: 0 }, None, seen);
        self.settle_literals();
    }

    fn finish(self, main: &str) -> Tree {
        let mut nodes = self.nodes;
        let mut children = Vec::with_capacity(nodes.len());
        for (node, family) in nodes.iter_mut().zip(&self.families) {
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

    /// Puts the tree `id` below `context.parent`; `from` is the SubTree element.
    fn expand(&mut self, id: &str, context: Context, from: Option<Place>, seen: &mut BTreeSet<&'d str>) {
        let Some((&id, &tree)) = self.source.trees.get_key_value(id) else {
            let nearest = nearest(id, self.source.trees.keys().copied());
            let at = from.unwrap_or(Place { document: 0, offset: 0 });
            return self.report(at, LoadErrorKind::UnknownTree { id: id.to_owned(), nearest });
        };
        if let Some(start) = self.expanding.iter().position(|open| *open == id) {
            let cycle = self.expanding[start..].iter().chain([&id]).map(ToString::to_string).collect();
            return self.report(from.unwrap_or(tree.place()), LoadErrorKind::Cycle { cycle });
        }
        let new = seen.insert(id);
        if self.check_only && !new {
            return;
        }
        self.expanding.push(id);
        let outside = std::mem::replace(&mut self.path, vec![id]);
        let mut roots = tree.children();
        if let (Some(root), None) = (roots.next(), roots.next()) {
            self.node(root, context, seen);
        } else {
            let found = tree.children().count();
            let kind = LoadErrorKind::Children { id: id.to_owned(), found, expected: "exactly one" };
            self.report(tree.place(), kind);
        }
        self.path = outside;
        self.expanding.pop();
    }

    /// Adds a node and all below it.
    fn node(&mut self, element: Element<'d>, context: Context, seen: &mut BTreeSet<&'d str>) {
        if self.full {
            return;
        }
        self.path.push(element.tag());
        if context.depth >= MAX_DEPTH {
            self.full = true;
            self.report(element.place(), LoadErrorKind::TooDeep { limit: MAX_DEPTH });
        } else if self.nodes.len() >= MAX_NODES {
            self.full = true;
            self.report(element.place(), LoadErrorKind::TooManyNodes { limit: MAX_NODES });
        } else {
            match self.meaning(element) {
                Ok((id, meaning)) => self.add(element, id, &meaning, context, seen),
                Err(kind) => {
                    // Its children are looked at all the same, for their mistakes.
                    self.report(element.place(), kind);
                    self.below(element, Context { depth: context.depth + 1, ..context }, seen);
                }
            }
        }
        self.path.pop();
    }

    /// Compact form: the tag is the id. Explicit form: the attribute ID is, whatever the tag says of the kind.
    fn meaning(&self, element: Element<'d>) -> Checked<(&'d str, Meaning<'d>)> {
        let id = match element.tag() {
            "SubTree" => {
                let id = element.required("ID")?;
                return Ok((id, Meaning::SubTree(id)));
            }
            "Action" | "Condition" | "Control" | "Decorator" => element.required("ID")?,
            "BehaviorTree" => {
                return Err(LoadErrorKind::Element {
                    element: "BehaviorTree".to_owned(),
                    expected: "a node",
                });
            }
            tag if element.attribute("ID").is_some() => {
                return Err(LoadErrorKind::IdNotAllowed { element: tag.to_owned() });
            }
            tag => tag,
        };
        if let Some(builtin) = builtin::find(id).filter(|builtin| builtin.id != "SubTree") {
            return Ok((id, Meaning::Builtin(builtin)));
        }
        if let Some(model) = self.registry.find(id) {
            return Ok((id, Meaning::Leaf(model)));
        }
        if self.source.trees.contains_key(id) {
            return Err(LoadErrorKind::TreeAsNode { id: id.to_owned() });
        }
        let known = BUILTINS.iter().map(|b| b.id).chain(self.registry.leaves.iter().map(|l| l.id.as_str()));
        Err(LoadErrorKind::UnknownNode { id: id.to_owned(), nearest: nearest(id, known) })
    }

    fn add(
        &mut self,
        element: Element<'d>,
        id: &'d str,
        meaning: &Meaning<'d>,
        context: Context,
        seen: &mut BTreeSet<&'d str>,
    ) {
        let index = self.nodes.len() as u16;
        let path = self.describe(element, id, index, context);
        // The kind is filled in below: what it needs may add to the arena's other parts, not to the nodes.
        self.nodes.push(Node { kind: Kind::AlwaysSuccess, first_child: 0, child_count: 0, hooks: NO_HOOKS });
        self.families.push(Vec::new());
        if let Some(parent) = context.parent {
            self.families[usize::from(parent)].push(index);
        }

        let hooks = self.hooks_of(element, context.scope);
        let (kind, family) = match *meaning {
            Meaning::Builtin(builtin) => (self.builtin(builtin, element, context.scope), builtin.family),
            Meaning::Leaf(model) => (Ok(self.leaf(model, element, context.scope)), Family::Leaf),
            Meaning::SubTree(_) => (Ok(Kind::SubTree), Family::Leaf),
        };
        match kind {
            Ok(kind) => self.nodes[usize::from(index)].kind = kind,
            Err(kind) => self.report(element.place(), kind),
        }
        self.nodes[usize::from(index)].hooks = hooks;

        let children = element.children().count();
        let (fits, expected) = match family {
            Family::Control => (children > 0, "at least one"),
            Family::Decorator => (children == 1, "exactly one"),
            Family::Leaf => (children == 0, "none"),
        };
        if !fits {
            let kind = LoadErrorKind::Children { id: id.to_owned(), found: children, expected };
            self.report(element.place(), kind);
        }
        let inside = Context { parent: Some(index), depth: context.depth + 1, ..context };
        if let Meaning::SubTree(tree) = *meaning {
            let scope = self.subtree_scope(element, tree, context.scope, path);
            self.expand(tree, Context { scope, ..inside }, Some(element.place()), seen);
        } else {
            self.below(element, inside, seen);
        }
    }

    fn below(&mut self, element: Element<'d>, context: Context, seen: &mut BTreeSet<&'d str>) {
        for child in element.children() {
            self.node(child, context, seen);
        }
    }

    /// Notes down what a person knows the node by; returns its path.
    fn describe(&mut self, element: Element<'d>, id: &str, index: u16, context: Context) -> String {
        let name = element.attribute("name").unwrap_or(id);
        let mut path = self.boards.scopes[context.scope].path.clone();
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(name);
        if name == id {
            let _ = write!(path, "::{}", index + 1);
        }
        let (document, line, _) = self.source.locate(element.place());
        self.info.push(NodeInfo {
            uid: index + 1,
            parent: context.parent.map(|parent| parent + 1),
            name: name.to_owned(),
            id: id.to_owned(),
            path: path.clone(),
            document: document.to_owned(),
            line,
            is_subtree: element.tag() == "SubTree",
            attributes: element
                .attributes()
                .filter(|(attribute, ..)| !matches!(*attribute, "ID" | "name"))
                .map(|(attribute, text, _)| (attribute.to_owned(), text.to_owned()))
                .collect(),
        });
        path
    }

    pub(super) fn report(&mut self, at: Place, kind: LoadErrorKind) {
        let error = self.source.error(at, &self.path.join("/"), kind);
        self.errors.push(error);
    }
}
