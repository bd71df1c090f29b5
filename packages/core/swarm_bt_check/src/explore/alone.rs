//! One tree by itself: ticks that fail, trees that never end, nodes that are never ticked.

use std::collections::{BTreeSet, VecDeque};

use swarm_bt::{NodeStatus, Tree};

use super::example::{example, leaf_name};
use super::local::{Edge, Event, Local, LocalId, Target};
use crate::finding::{Code, Example, Finding, Severity};

/// The states of one tree that can be reached, with a shortest way to each.
pub(super) struct Alone<'l, 't> {
    local: &'l mut Local<'t>,
    role: &'l str,
    /// The state before and the edge; `None` for the first.
    origins: Vec<Option<(LocalId, u32)>>,
    depth: Vec<u32>,
}

impl<'l, 't> Alone<'l, 't> {
    /// Looks at every state, breadth first.
    pub(super) fn explore(local: &'l mut Local<'t>, role: &'l str) -> Self {
        let (mut origins, mut depth) = (vec![None], vec![0]);
        let mut open = VecDeque::from([0]);
        while let Some(id) = open.pop_front() {
            let targets: Vec<Target> = local.edges(id).iter().map(|edge| edge.target.clone()).collect();
            for (edge, target) in targets.into_iter().enumerate() {
                // States are numbered as they are found, and from here only this loop finds any.
                if let Target::State(to) = target
                    && to as usize >= origins.len()
                {
                    origins.resize(to as usize + 1, None);
                    depth.resize(to as usize + 1, 0);
                    origins[to as usize] = Some((id, edge as u32));
                    depth[to as usize] = depth[id as usize] + 1;
                    open.push_back(to);
                }
            }
        }
        Alone { local, role, origins, depth }
    }

    pub(super) fn depth(&self) -> u32 {
        self.depth.iter().copied().max().unwrap_or(0)
    }

    fn tree(&self) -> &'t Tree {
        self.local.tree
    }

    fn states(&self) -> impl Iterator<Item = LocalId> + use<> {
        0..self.origins.len() as LocalId
    }

    /// The run that leads to a state, and goes on with one more edge if given.
    fn example(&self, to: LocalId, then: Option<&Edge>) -> Example {
        let mut way = Vec::new();
        let mut at = to;
        while let Some((from, edge)) = self.origins[at as usize] {
            way.push((0, &self.local.known_edges(from)[edge as usize]));
            at = from;
        }
        way.reverse();
        way.extend(then.map(|edge| (0, edge)));
        example(&[(self.role, self.tree())], &way)
    }

    /// The first edge, in order of distance, for which something holds.
    fn first(&self, holds: impl Fn(LocalId, &Edge) -> bool) -> Option<(LocalId, &Edge)> {
        self.states().find_map(|id| {
            let edge = self.local.known_edges(id).iter().find(|edge| holds(id, edge));
            edge.map(|edge| (id, edge))
        })
    }

    /// Gives findings of the linear checks a run that shows them.
    pub(super) fn illustrate(&self, findings: &mut [Finding]) {
        for finding in findings.iter_mut().filter(|finding| finding.example.is_none()) {
            let found = match finding.code {
                Code::ReadBeforeWrite | Code::NeverWritten => {
                    self.first(|_, edge| fails_at(edge, finding.uid))
                }
                Code::RestartLoop => self.first(|id, edge| self.restarts(id, edge, finding.uid)),
                _ => None,
            };
            finding.example = found.map(|(id, edge)| self.example(id, Some(edge)));
        }
    }

    /// A leaf below the node that ran is halted, while one that stands before it answers RUNNING.
    fn restarts(&self, id: LocalId, edge: &Edge, child: u16) -> bool {
        let halted = edge.events.iter().any(|event| {
            matches!(event, Event::Halted { uid } if *uid >= child)
                && self.local.state(id).status(child) == Some(NodeStatus::Running)
        });
        let mut before = edge.events.iter().filter_map(|event| match event {
            Event::Answered { uid, answer: swarm_bt::Status::Running, .. } => Some(*uid),
            _ => None,
        });
        halted && before.any(|uid| uid < child)
    }

    /// Ticks that fail, other than by what is known already.
    pub(super) fn failing_ticks(&self, known: &[Finding], findings: &mut Vec<Finding>) {
        let mut seen: BTreeSet<u16> = known.iter().map(|finding| finding.uid).collect();
        for id in self.states() {
            for edge in self.local.known_edges(id) {
                let Target::Failed(error) = &edge.target else { continue };
                if !seen.insert(error.uid) {
                    continue;
                }
                // What a leaf writes is a guess.
                let guessed = self.local.guesses();
                let severity = if guessed { Severity::Warning } else { Severity::Error };
                let mut finding = Finding::at(self.tree(), error.uid, Code::TickFails, severity).says(
                    format!("a tick fails here, which ends the run: {}", error.kind),
                    "mend the script or the attribute, or keep it from being reached like this",
                );
                finding.example = Some(self.example(id, Some(edge)));
                findings.push(finding);
            }
        }
    }

    /// The first state from which the tree cannot end.
    pub(super) fn livelock(&self, findings: &mut Vec<Finding>) {
        let ends = self.can_end();
        let Some(trap) = self.states().find(|id| !ends[*id as usize]) else { return };
        // The last state found in there is one to which the tree comes back, or stays in.
        let last = self.reachable(trap).into_iter().next_back().unwrap_or(trap);
        let inside = self.reachable(last);
        let calls = |id: LocalId| self.local.known_edges(id).iter().any(|edge| !edge.events.is_empty());
        let lives = inside.iter().any(|id| calls(*id) || self.local.state(*id).next_timer().is_some());
        // The innermost node that runs all the while is the one that does not let go.
        let running =
            |uid: u16| inside.iter().all(|id| self.local.state(*id).status(uid) == Some(NodeStatus::Running));
        let tree = self.tree();
        let uid = tree
            .nodes()
            .iter()
            .map(|info| info.uid)
            .filter(|uid| running(*uid))
            .max_by_key(|uid| depth_of(tree, *uid));
        let uid = uid.unwrap_or(1);
        let is_leaf = tree.leaf_model(uid).is_some();
        let (code, problem) = if !lives {
            (
                Code::DeadTick,
                "once the tree is here nothing runs and nothing changes any more, and it never ends"
                    .to_owned(),
            )
        } else if is_leaf {
            (Code::Livelock, format!("{} never completes, and nothing halts it", leaf_name(tree, uid)))
        } else {
            (Code::Livelock, "once the tree is here it runs for ever, whatever its leaves answer".to_owned())
        };
        let mut finding = Finding::at(tree, uid, code, Severity::Error).says(problem, advice(tree, uid));
        finding.example = Some(self.example(trap, None));
        findings.push(finding);
    }

    /// All states that can be reached from one, itself included.
    fn reachable(&self, from: LocalId) -> BTreeSet<LocalId> {
        let mut inside = BTreeSet::from([from]);
        let mut open = vec![from];
        while let Some(id) = open.pop() {
            for edge in self.local.known_edges(id) {
                if let Target::State(to) = edge.target
                    && inside.insert(to)
                {
                    open.push(to);
                }
            }
        }
        inside
    }

    /// By state: whether some answers lead to an end, or to where nobody has looked.
    fn can_end(&self) -> Vec<bool> {
        let mut ends = vec![false; self.origins.len()];
        let mut before: Vec<Vec<LocalId>> = vec![Vec::new(); self.origins.len()];
        let mut open = Vec::new();
        for id in self.states() {
            let edges = self.local.known_edges(id);
            let mut ended = self.local.is_cut(id);
            for edge in edges {
                match edge.target {
                    Target::State(to) => before[to as usize].push(id),
                    Target::Ended(_) | Target::Failed(_) => ended = true,
                }
            }
            if ended {
                ends[id as usize] = true;
                open.push(id);
            }
        }
        while let Some(id) = open.pop() {
            for &from in &before[id as usize] {
                if !ends[from as usize] {
                    ends[from as usize] = true;
                    open.push(from);
                }
            }
        }
        ends
    }

    /// Nodes that no run ever ticks though their parent is ticked, and that the linear check could not tell.
    pub(super) fn never_ticked(&self, known: &[Finding], findings: &mut Vec<Finding>) {
        let fails = |edge: &Edge| matches!(edge.target, Target::Failed(_));
        if self.local.cut || self.local.guesses() || self.first(|_, edge| fails(edge)).is_some() {
            return;
        }
        let tree = self.tree();
        let ticked = |uid: u16| self.local.ticked[usize::from(uid - 1)];
        let told =
            |uid: u16| known.iter().any(|finding| finding.uid == uid && finding.code == Code::Unreachable);
        for view in
            tree.nodes().iter().filter_map(|info| tree.view(info.uid)).filter(|view| ticked(view.uid()))
        {
            if view.children().any(told) {
                continue;
            }
            // A node that is always skipped is left alone: somebody has written that condition.
            let skipped = |uid: u16| tree.view(uid).is_some_and(|view| view.has_hooks());
            if let Some(child) = view.children().find(|child| !ticked(*child) && !skipped(*child)) {
                findings.push(Finding::at(tree, child, Code::Unreachable, Severity::Warning).says(
                    "is never ticked in any run, because of what is on the blackboard by then",
                    "take it out, or mend the condition that keeps it from being ticked",
                ));
            }
        }
    }
}

/// A tick that fails at the node, or starts it with an empty input.
fn fails_at(edge: &Edge, at: u16) -> bool {
    matches!(&edge.target, Target::Failed(error) if error.uid == at)
        || edge.events.iter().any(|event| matches!(event, Event::Empty { uid } if *uid == at))
}

fn depth_of(tree: &Tree, uid: u16) -> usize {
    std::iter::successors(tree.node(uid), |info| tree.node(info.parent?)).count()
}

fn advice(tree: &Tree, uid: u16) -> &'static str {
    match tree.view(uid).map_or("", |view| view.id()) {
        "RetryUntilSuccessful" => "bound num_attempts, or mend what below it can never succeed",
        "Repeat" => "bound num_cycles, or let something below it fail when it is enough",
        "KeepRunningUntilFailure" => "let its child fail when it is enough, or leave the node out",
        "Parallel" => {
            "choose success_count and failure_count so that they are reached however its children end, also when they are skipped"
        }
        _ => "let something end it: a condition, a Timeout, or a child that completes",
    }
}
