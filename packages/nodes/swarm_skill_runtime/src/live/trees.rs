//! Which leaves of a role's tree run now, and whether one of them stands at a barrier.

use swarm_base::Role;
use swarm_bt::{NodeInfo, NodeStatus, State, Tree};
use swarm_view::Place;

/// A leaf at which a role stands until others have come.
#[derive(Debug)]
struct Barrier {
    place: Place,
    is_of_phase: bool,
}

/// One role's tree as it is shown.
#[derive(Debug)]
pub(super) struct TreeView {
    role: Role,
    /// By uid - 1: the path that is shown, and the barrier that it is, if it is one.
    nodes: Vec<(String, Option<Barrier>)>,
    /// By uid - 1: the parent's uid.
    parents: Vec<Option<u16>>,
    /// uids of the nodes that run and have no child that does.
    running: Vec<u16>,
}

impl TreeView {
    pub(super) fn new(role: Role, tree: &Tree) -> Self {
        let nodes = tree.nodes().iter().map(|node| (node.path.clone(), barrier(tree, node)));
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

    /// The barrier that the role stands at.
    pub(super) fn barrier(&self) -> Option<&Place> {
        self.barriers().map(|barrier| &barrier.place).next()
    }

    /// The phase at whose barrier the role stands.
    pub(super) fn phase_barrier(&self) -> Option<&str> {
        self.barriers().find(|barrier| barrier.is_of_phase).map(|barrier| barrier.place.name.as_str())
    }

    fn barriers(&self) -> impl Iterator<Item = &Barrier> {
        self.running.iter().filter_map(|uid| self.node(*uid)?.1.as_ref())
    }

    fn node(&self, uid: u16) -> Option<&(String, Option<Barrier>)> {
        self.nodes.get(usize::from(uid).checked_sub(1)?)
    }
}

/// A name or a list of roles that is taken from the blackboard is not known here.
fn barrier(tree: &Tree, node: &NodeInfo) -> Option<Barrier> {
    let text = |port: &str| tree.literal(node.uid, port).map(ToString::to_string);
    let (name, roles) = match node.id.as_str() {
        "EnterPhase" => (text("phase")?, String::new()),
        "SafePoint" => (text("point")?, String::new()),
        "Barrier" => (text("meeting")?, text("roles").unwrap_or_default()),
        _ => return None,
    };
    let roles = roles.split(';').map(str::trim).filter(|role| !role.is_empty()).map(str::to_owned);
    let place = Place { name, roles: roles.collect() };
    Some(Barrier { place, is_of_phase: node.id != "Barrier" })
}
