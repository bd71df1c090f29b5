//! Which leaves of a role's tree run now, and whether one of them stands at a barrier.

use swarm_base::Role;
use swarm_bt::{NodeStatus, State, Tree, Value};

/// One role's tree as it is shown.
#[derive(Debug)]
pub(super) struct TreeView {
    role: Role,
    /// By uid - 1: the path that is shown, and for `EnterPhase` the phase.
    nodes: Vec<(String, Option<String>)>,
    /// By uid - 1: the parent's uid.
    parents: Vec<Option<u16>>,
    /// uids of the nodes that run and have no child that does.
    running: Vec<u16>,
}

impl TreeView {
    pub(super) fn new(role: Role, tree: &Tree) -> Self {
        let nodes = tree.nodes().iter().map(|node| {
            let phase = match tree.literal(node.uid, "phase") {
                Some(Value::Str(phase)) if node.id == "EnterPhase" => Some(phase.to_string()),
                _ => None,
            };
            (node.path.clone(), phase)
        });
        Self {
            role,
            nodes: nodes.collect(),
            parents: tree.nodes().iter().map(|node| node.parent).collect(),
            running: Vec::new(),
        }
    }

    /// After a tick.
    pub(super) fn look(&mut self, tree: &Tree, state: &State) {
        self.running.clear();
        for node in tree.nodes().iter().filter(|node| state.status(node.uid) == Some(NodeStatus::Running)) {
            // Parents come before their children: whoever has a running child was taken for a leaf until now.
            let parent = self.parents.get(usize::from(node.uid) - 1).copied().flatten();
            self.running.retain(|uid| Some(*uid) != parent);
            self.running.push(node.uid);
        }
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }

    /// The paths of the leaves that run.
    pub(super) fn leaves(&self) -> Vec<String> {
        self.running.iter().filter_map(|uid| Some(self.node(*uid)?.0.clone())).collect()
    }

    /// The phase at whose barrier the role stands.
    pub(super) fn barrier(&self) -> Option<&str> {
        self.running.iter().find_map(|uid| self.node(*uid)?.1.as_deref())
    }

    fn node(&self, uid: u16) -> Option<&(String, Option<String>)> {
        self.nodes.get(usize::from(uid).checked_sub(1)?)
    }
}
