//! Expanding a tree into the arena.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use swarm_base::Duration;

use super::builtin::{self, BUILTINS, Family};
use super::error::{LoadError, LoadErrorKind};
use super::scope::{Blackboards, Scope, ScopeId};
use super::source::{Element, Place, Source};
use super::{MAX_ATTRIBUTE_BYTES, MAX_DEPTH, MAX_MISTAKES, MAX_NAME, MAX_NODES, MAX_PATH_BYTES, nearest};
use crate::model::Registry;
use crate::script::Script;
use crate::state::SlotId;
use crate::substitute::{Replacement, Substitutions};
use crate::tree::{Hooks, Kind, Leaf, Loop, Mode, NO_HOOKS, Node, NodeInfo, Switch, TestLeaf, Tree};
use crate::value::Value;

pub(super) type Checked<T> = Result<T, LoadErrorKind>;

/// A tree under construction.
pub(super) struct Builder<'s, 'd> {
    pub(super) registry: &'s Registry,
    pub(super) source: &'s Source<'d>,
    pub(super) mode: Mode,
    substitutions: &'s Substitutions,
    /// The attributes of the current element are another node's: it was replaced.
    pub(super) foreign_ports: bool,
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
    pub(super) tests: Vec<TestLeaf>,
    pub(super) literals: Vec<Value>,
    pub(super) switches: Vec<Switch>,
    pub(super) loops: Vec<Loop>,
    pub(super) timers: u32,
    pub(super) words: u32,
    pub(super) halt_timeout: Option<Duration>,
    /// Bytes of attributes, and of paths, so far.
    pub(super) attribute_bytes: usize,
    path_bytes: usize,
    /// Paths of the SubTrees so far.
    subtree_paths: BTreeSet<String>,
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
#[derive(Clone, Copy)]
enum Meaning<'d> {
    Builtin(&'static builtin::Builtin),
    /// A leaf, by its place in the registry.
    Leaf(usize),
    SubTree(&'d str),
}

impl<'s, 'd> Builder<'s, 'd> {
    pub(super) fn new(
        registry: &'s Registry,
        source: &'s Source<'d>,
        mode: Mode,
        substitutions: &'s Substitutions,
        halt_timeout: Option<Duration>,
    ) -> Self {
        Builder {
            registry,
            source,
            mode,
            substitutions,
            foreign_ports: false,
            boards: Blackboards::default(),
            given: Vec::new(),
            nodes: Vec::new(),
            families: Vec::new(),
            info: Vec::new(),
            scripts: Vec::new(),
            hooks: Vec::new(),
            leaves: Vec::new(),
            tests: Vec::new(),
            literals: Vec::new(),
            switches: Vec::new(),
            loops: Vec::new(),
            timers: 0,
            words: 0,
            halt_timeout,
            attribute_bytes: 0,
            path_bytes: 0,
            subtree_paths: BTreeSet::new(),
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
        let max_visits = max_visits(&nodes, &children);
        Tree {
            nodes: nodes.into(),
            children: children.into(),
            scripts: self.scripts.into(),
            hooks: self.hooks.into(),
            leaves: self.leaves.into(),
            tests: self.tests.into(),
            switches: self.switches.into(),
            loops: self.loops.into(),
            models: self.registry.leaves.as_slice().into(),
            slots: self.boards.slots.into(),
            literals: self.literals.into(),
            info: self.info.into(),
            enums: self.registry.enums.iter().map(|(name, value)| (name.as_str().into(), *value)).collect(),
            main: main.into(),
            mode: self.mode,
            timers: self.timers,
            words: self.words,
            max_visits,
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
        if let Err(kind) = check_length(element.tag()) {
            // Nothing below is looked at: no node can have such a name.
            return self.report(element.place(), kind);
        }
        self.path.push(element.tag());
        if context.depth >= MAX_DEPTH {
            self.full = true;
            self.report(element.place(), LoadErrorKind::TooDeep { limit: MAX_DEPTH });
        } else if self.nodes.len() >= MAX_NODES {
            self.full = true;
            self.report(element.place(), LoadErrorKind::TooManyNodes { limit: MAX_NODES });
        } else if self.attribute_bytes > MAX_ATTRIBUTE_BYTES {
            self.full = true;
            let kind = LoadErrorKind::TooMuch { what: "attributes", limit: MAX_ATTRIBUTE_BYTES };
            self.report(element.place(), kind);
        } else if self.path_bytes > MAX_PATH_BYTES {
            self.full = true;
            let kind = LoadErrorKind::TooMuch { what: "paths", limit: MAX_PATH_BYTES };
            self.report(element.place(), kind);
        } else {
            self.attribute_bytes +=
                element.attributes().map(|(name, value, _)| name.len() + value.len()).sum::<usize>();
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
                check_length(id)?;
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
        check_length(id)?;
        if let Some(builtin) = builtin::find(id).filter(|builtin| builtin.id != "SubTree") {
            return Ok((id, Meaning::Builtin(builtin)));
        }
        if let Some(model) = self.registry.find(id) {
            return Ok((id, Meaning::Leaf(model)));
        }
        if self.source.trees.contains_key(id) {
            return Err(LoadErrorKind::TreeAsNode { id: id.to_owned() });
        }
        if let Some(why) = builtin::unsupported(id) {
            return Err(LoadErrorKind::Unsupported { id: id.to_owned(), why });
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
        self.path_bytes += path.len();
        self.nodes.push(Node { kind: Kind::AlwaysSuccess, first_child: 0, child_count: 0, hooks: NO_HOOKS });
        self.families.push(Vec::new());
        if let Some(parent) = context.parent {
            self.families[usize::from(parent)].push(index);
        }

        let hooks = self.hooks_of(element, context.scope);
        let replacement = self.replacement_of(element, id, meaning, &path);
        let scope = context.scope;
        let (kind, family) = match (*meaning, replacement) {
            (_, Some(replacement)) => match self.replacement(replacement, element, scope) {
                Ok((kind, family)) => (Ok(kind), family),
                Err(kind) => (Err(kind), Family::Leaf),
            },
            (Meaning::Builtin(builtin), None) => (self.builtin(builtin, element, scope), builtin.family),
            (Meaning::Leaf(model), None) => {
                let leaf = &self.registry.leaves[model];
                let names: Vec<&str> = leaf.ports.iter().map(|port| port.name.as_str()).collect();
                self.check_ports(element, &leaf.id, &names);
                (Ok(self.leaf(model, element, scope)), Family::Leaf)
            }
            (Meaning::SubTree(_), None) => (Ok(Kind::SubTree), Family::Leaf),
        };
        match kind {
            Ok(kind) => self.nodes[usize::from(index)].kind = kind,
            Err(kind) => self.report(element.place(), kind),
        }
        self.nodes[usize::from(index)].hooks = hooks;
        for key in std::mem::take(&mut self.boards.doubtful) {
            self.report(element.place(), LoadErrorKind::Key { key });
        }
        if replacement.is_some() && family == Family::Leaf {
            // What is below the original is left out with it.
            return;
        }

        let children = element.children().count();
        let (fits, expected) = match family {
            Family::Control => (children > 0, "at least one"),
            Family::Try => (children > 1, "at least two"),
            Family::Branch => ((2..=3).contains(&children), "two or three"),
            Family::Decorator => (children == 1, "exactly one"),
            Family::Leaf => (children == 0, "none"),
        };
        if !fits {
            let kind = LoadErrorKind::Children { id: id.to_owned(), found: children, expected };
            self.report(element.place(), kind);
        }
        if id == "ReactiveSequence" && element.children().filter(|c| c.tag() == "AsyncSequence").count() > 1 {
            self.report(element.place(), LoadErrorKind::TwoAsync);
        }
        let inside = Context { parent: Some(index), depth: context.depth + 1, ..context };
        if let Meaning::SubTree(tree) = *meaning {
            if !self.subtree_paths.insert(path.clone()) {
                self.report(element.place(), LoadErrorKind::DuplicatePath { path: path.clone() });
            }
            let scope = self.subtree_scope(element, tree, context.scope, path);
            self.expand(tree, Context { scope, ..inside }, Some(element.place()), seen);
        } else {
            self.below(element, inside, seen);
        }
    }

    /// What a substitution rule puts in the place of a node.
    fn replacement_of(
        &self,
        element: Element<'d>,
        id: &str,
        meaning: &Meaning<'d>,
        path: &str,
    ) -> Option<&'s Replacement> {
        let name = element.attribute("name").unwrap_or(id);
        // As in the original, the id of a SubTree node is SubTree; the tree's is its name unless it has another.
        let id = if matches!(meaning, Meaning::SubTree(_)) { "SubTree" } else { id };
        self.substitutions.find(name, id, path)
    }

    fn below(&mut self, element: Element<'d>, context: Context, seen: &mut BTreeSet<&'d str>) {
        for child in element.children() {
            self.node(child, context, seen);
        }
    }

    /// Notes down what a person knows the node by; returns its path.
    fn describe(&mut self, element: Element<'d>, id: &str, index: u16, context: Context) -> String {
        let name = element.attribute("name").unwrap_or(id);
        if name.contains(|c: char| c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r')) {
            self.report(element.place(), LoadErrorKind::InstanceName { name: name.to_owned() });
        }
        let mut path = self.boards.scopes[context.scope].path.to_string();
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
        });
        path
    }

    /// Index of the node that is being added.
    pub(super) fn current(&self) -> u16 {
        (self.nodes.len() - 1) as u16
    }

    pub(super) fn report(&mut self, at: Place, kind: LoadErrorKind) {
        if self.errors.len() >= MAX_MISTAKES {
            self.full = true;
            return;
        }
        let error = self.source.error(at, &self.path.join("/"), kind);
        self.errors.push(error);
    }
}

/// An id that is far longer than any name.
fn check_length(id: &str) -> Checked<()> {
    if id.len() <= MAX_NAME {
        return Ok(());
    }
    let id = id.chars().take(20).chain("..".chars()).collect();
    Err(LoadErrorKind::NodeName { id, why: format!("is longer than {MAX_NAME} bytes") })
}

/// See [`Tree::max_visits`]. Children come behind their parents in the arena.
fn max_visits(nodes: &[Node], children: &[u16]) -> u64 {
    // What ticking each node visits at most, and what halting it does.
    let mut ticked = vec![0_u64; nodes.len()];
    let mut halted = vec![0_u64; nodes.len()];
    for (id, node) in nodes.iter().enumerate().rev() {
        let first = node.first_child as usize;
        let below = &children[first..first + usize::from(node.child_count)];
        let sum =
            |of: &[u64]| below.iter().fold(0_u64, |sum, child| sum.saturating_add(of[usize::from(*child)]));
        let (mut tick, mut halt) = (sum(&ticked), sum(&halted));
        match node.kind {
            // A round that was under way, and one from its beginning.
            Kind::Repeat { .. } | Kind::Retry { .. } => tick = tick.saturating_mul(2),
            Kind::TryCatch { .. } => {
                let catch = below.last().map_or(0, |child| ticked[usize::from(*child)]);
                halt = halt.saturating_add(catch);
            }
            _ => {}
        }
        halted[id] = halt.saturating_add(1);
        // Each child may be ticked, and then halted.
        ticked[id] = tick.saturating_add(sum(&halted)).saturating_add(1);
    }
    ticked.first().copied().unwrap_or(0)
}
