//! All roles side by side: every order in which they are ticked, with every answer of their leaves.

use std::collections::{HashMap, VecDeque};

use swarm_bt::{NodeStatus, Status};

use super::local::{Edge, Event, Local, LocalId, Target};
use super::shared::{Answer, Cooperation, Op, Shared};

/// The role's tree has ended well.
pub(super) const ENDED: LocalId = LocalId::MAX;

/// Where every role is, and what they share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) locals: Box<[LocalId]>,
    pub(super) shared: Shared,
}

/// One tick of one role.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) role: u8,
    /// Place among the edges of the role's local state.
    pub(super) edge: u32,
    /// `None`: the run is over for every role.
    pub(super) to: Option<u32>,
}

/// How a world was reached first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) from: u32,
    pub(super) step: Step,
    pub(super) depth: u32,
}

/// A role at a phase that is not the next one: the world before, and the step.
#[derive(Clone, Copy, Debug)]
pub(super) struct OutOfOrder {
    pub(super) world: u32,
    pub(super) step: Step,
    pub(super) uid: u16,
}

/// The worlds that can be reached.
pub(super) struct Product<'t> {
    pub(super) roles: Vec<Local<'t>>,
    pub(super) cooperation: Cooperation,
    pub(super) worlds: Vec<World>,
    /// How each was reached; `None` for the first.
    pub(super) origins: Vec<Option<Origin>>,
    /// By world; `None` where it has not been looked at.
    pub(super) steps: Vec<Option<Box<[Step]>>>,
    pub(super) out_of_order: Vec<OutOfOrder>,
    index: HashMap<World, u32>,
}

enum Taken {
    Impossible,
    Over,
    To(World),
}

impl<'t> Product<'t> {
    pub(super) fn new(roles: Vec<Local<'t>>, cooperation: Cooperation) -> Self {
        let start = World { locals: vec![0; roles.len()].into(), shared: cooperation.start() };
        Product {
            roles,
            index: HashMap::from([(start.clone(), 0)]),
            worlds: vec![start],
            origins: vec![None],
            steps: vec![None],
            out_of_order: Vec::new(),
            cooperation,
        }
    }

    /// Breadth first, so that the way to each world is a shortest one, up to so many worlds. True if there are no more.
    ///
    /// Of ticks that concern no other role it does not matter when they happen. So where a role is at one, only that role is ticked:
    /// whatever the others can do before they can do after it, and none of its ways is left out (a *persistent set*; Godefroid,
    /// "Partial-Order Methods for the Verification of Concurrent Systems", 1996). All roles are ticked where that role would
    /// otherwise be alone for ever: where none of its ticks leads to a new world.
    pub(super) fn explore(&mut self, limit: usize) -> bool {
        let mut open = VecDeque::from([0_u32]);
        let mut exhausted = true;
        while let Some(id) = open.pop_front() {
            let mut steps = Vec::new();
            let known = self.worlds.len();
            let first = (0..self.roles.len()).find(|role| self.is_private(id, *role));
            if let Some(role) = first {
                exhausted &= self.step_all(id, role, limit, &mut steps, &mut open);
            }
            if self.worlds.len() == known {
                for role in (0..self.roles.len()).filter(|role| Some(*role) != first) {
                    exhausted &= self.step_all(id, role, limit, &mut steps, &mut open);
                }
            }
            self.steps[id as usize] = Some(steps.into());
        }
        exhausted && self.roles.iter().all(|role| !role.cut)
    }

    /// Whether the role's next tick concerns no other, whatever its leaves answer, and does not end the run in any case. A role that
    /// another can make stand is never without concern for that one.
    fn is_private(&mut self, id: u32, role: usize) -> bool {
        let world = &self.worlds[id as usize];
        let local = world.locals[role];
        if local == ENDED || !Cooperation::may_act(&world.shared, role) {
            return false;
        }
        let mut others =
            (0..self.roles.len()).filter(|other| *other != role && world.locals[*other] != ENDED);
        if others.any(|other| self.cooperation.holds(other)) {
            return false;
        }
        let cooperation = &self.cooperation;
        let concerns = |event: &Event| match event {
            Event::Answered { uid, .. } | Event::Halted { uid } => cooperation.op_of(role, *uid).is_some(),
            Event::Empty { .. } | Event::Given { .. } => false,
        };
        let edges = self.roles[role].edges(local);
        edges.iter().all(|edge| !edge.events.iter().any(concerns))
            && edges.iter().any(|edge| matches!(edge.target, Target::State(to) if to != local))
    }

    fn step_all(
        &mut self,
        id: u32,
        role: usize,
        limit: usize,
        steps: &mut Vec<Step>,
        open: &mut VecDeque<u32>,
    ) -> bool {
        let local = self.worlds[id as usize].locals[role];
        if local == ENDED || !Cooperation::may_act(&self.worlds[id as usize].shared, role) {
            return true;
        }
        let count = self.roles[role].edges(local).len();
        let mut all = true;
        for edge in 0..count {
            let world = self.worlds[id as usize].clone();
            let mut step = Step { role: role as u8, edge: edge as u32, to: None };
            let mut disorder = None;
            match self.take(world, role, &self.roles[role].known_edges(local)[edge], &mut disorder) {
                Taken::Impossible => continue,
                Taken::Over => {}
                Taken::To(world) => {
                    let known = self.index.get(&world).copied();
                    if known.is_none() && self.worlds.len() >= limit {
                        all = false;
                        continue;
                    }
                    let to = known.unwrap_or_else(|| self.add(world, id, step, open));
                    step.to = Some(to);
                }
            }
            if let Some(uid) = disorder {
                self.out_of_order.push(OutOfOrder { world: id, step, uid });
            }
            if step.to != Some(id) {
                steps.push(step);
            }
        }
        all
    }

    fn add(&mut self, world: World, from: u32, step: Step, open: &mut VecDeque<u32>) -> u32 {
        let to = self.worlds.len() as u32;
        let depth = self.origins[from as usize].map_or(0, |origin| origin.depth) + 1;
        self.index.insert(world.clone(), to);
        self.worlds.push(world);
        self.origins.push(Some(Origin { from, step: Step { to: Some(to), ..step }, depth }));
        self.steps.push(None);
        open.push_back(to);
        to
    }

    /// What a tick of a role leads to, if the others are where it needs them to be.
    fn take(&self, mut world: World, role: usize, edge: &Edge, disorder: &mut Option<u16>) -> Taken {
        let (mut gives_up, mut over) = (false, false);
        for event in &edge.events {
            // Nobody is bound by what a role does after the run has ended.
            if over {
                break;
            }
            let (uid, claimed) = match event {
                Event::Answered { uid, answer, .. } => (*uid, Some(*answer)),
                Event::Halted { uid } => (*uid, None),
                Event::Empty { .. } | Event::Given { .. } => continue,
            };
            let Some(op) = self.cooperation.op_of(role, uid) else { continue };
            let Some(claimed) = claimed else {
                over = self.cooperation.leave_wait(&mut world.shared, role, op);
                continue;
            };
            match self.cooperation.answer(&mut world.shared, role, op, claimed) {
                Answer::Fits => over = *op == Op::EndRun,
                Answer::GivesUp => {
                    gives_up = true;
                    over = self.cooperation.leave_wait(&mut world.shared, role, op);
                }
                Answer::OutOfOrder => *disorder = Some(uid),
                Answer::Impossible => return Taken::Impossible,
            }
        }
        match edge.target {
            _ if over => Taken::Over,
            // A wait that ends the run by its time-out is no way out of it.
            Target::Ended(Status::Failure) if gives_up => Taken::Impossible,
            Target::Ended(Status::Failure) | Target::Failed(_) => Taken::Over,
            Target::Ended(_) => {
                world.locals[role] = ENDED;
                Cooperation::leave(&mut world.shared, role);
                Taken::To(world)
            }
            Target::State(local) => {
                world.locals[role] = local;
                Taken::To(world)
            }
        }
    }

    /// The leaves at which a role waits for others.
    pub(super) fn waits(&self, world: u32, role: usize) -> impl Iterator<Item = u16> {
        let local = self.worlds[world as usize].locals[role];
        let tree = self.roles[role].tree;
        tree.nodes().iter().map(|info| info.uid).filter(move |uid| {
            let waits = matches!(
                self.cooperation.op_of(role, *uid),
                Some(Op::Phase(_) | Op::Meet { .. } | Op::Acquire(_))
            );
            waits && local != ENDED && self.roles[role].state(local).status(*uid) == Some(NodeStatus::Running)
        })
    }

    /// For each world, whether one for which `goal` holds, or one that was not looked at, can be reached from it. With `over`
    /// the end of the run counts, too.
    pub(super) fn can_reach(&self, goal: impl Fn(u32) -> bool, over: bool) -> Vec<bool> {
        let mut before: Vec<Vec<u32>> = vec![Vec::new(); self.worlds.len()];
        let mut good = vec![false; self.worlds.len()];
        let mut open = Vec::new();
        for id in 0..self.worlds.len() as u32 {
            let steps = self.steps[id as usize].as_deref();
            let mut reached = steps.is_none() || goal(id);
            for step in steps.unwrap_or_default() {
                match step.to {
                    Some(to) => before[to as usize].push(id),
                    None => reached |= over,
                }
            }
            if reached {
                good[id as usize] = true;
                open.push(id);
            }
        }
        while let Some(id) = open.pop() {
            for &from in &before[id as usize] {
                if !good[from as usize] {
                    good[from as usize] = true;
                    open.push(from);
                }
            }
        }
        good
    }

    /// The steps that lead to a world, in order: the role, and what happened to its leaves.
    pub(super) fn way_to(&self, world: u32) -> Vec<(usize, &Edge)> {
        let mut way = Vec::new();
        let mut at = world;
        while let Some(origin) = self.origins[at as usize] {
            way.push(self.edge_of(origin.from, origin.step));
            at = origin.from;
        }
        way.reverse();
        way
    }

    pub(super) fn edge_of(&self, from: u32, step: Step) -> (usize, &Edge) {
        let role = usize::from(step.role);
        let local = self.worlds[from as usize].locals[role];
        (role, &self.roles[role].known_edges(local)[step.edge as usize])
    }

    pub(super) fn depth(&self) -> u32 {
        self.origins.iter().flatten().map(|origin| origin.depth).max().unwrap_or(0)
    }
}
