//! What the roles share: phases, meetings, resources, and who makes whom stand still.
//!
//! No message is lost here, though it may take any time. What a link can do to messages is
//! the affair of the protocols and their simulator; here it is the trees that are judged.

use swarm_bt::{Status, Tree};

use crate::leaves::{LeafTable, Meeting, Together};

/// What a cooperative leaf of one role does, with names resolved to places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// From 1 on, in the order of the skill's phases; 0 for one that it does not have.
    Phase(u8),
    Meet {
        place: usize,
        who: u32,
        enough: u32,
    },
    Acquire(usize),
    GiveBack(usize),
    Keep(usize),
    Hold,
    ReleaseHold,
    EndRun,
}

/// Names of what the roles share, and for each role what its leaves do.
#[derive(Debug)]
pub(super) struct Cooperation {
    roles: usize,
    phases: Vec<String>,
    meetings: Vec<String>,
    resources: Vec<String>,
    /// By role, by uid - 1.
    ops: Vec<Vec<Option<Op>>>,
}

/// Where everybody is. Small numbers only, so that equal situations are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shared {
    /// By role.
    phases: Box<[Phase]>,
    /// By meeting and role: rounds that it stands ready for, and that it has passed.
    meetings: Box<[(u8, u8)]>,
    /// By resource: the role that holds it.
    holders: Box<[Option<u8>]>,
    /// One bit for each role that makes the others stand still.
    holds: u32,
}

impl Shared {
    /// The role that makes another one stand still.
    pub(super) fn holder_of(&self, role: usize) -> Option<usize> {
        let holds = self.holds & !(1 << role);
        (holds != 0).then(|| holds.trailing_zeros() as usize)
    }
}

/// Phases that a role stands ready for, that it has entered, and in which it has acted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Phase {
    ready: u8,
    entered: u8,
    acted: u8,
}

/// Whether a leaf can give an answer where everybody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Fits,
    /// It does, once its own time-out has run off.
    GivesUp,
    /// It does: the phase is not the next one.
    OutOfOrder,
    Impossible,
}

impl Cooperation {
    /// `phases` are those of the skill, in order.
    pub(super) fn new(trees: &[(&str, &Tree)], table: &LeafTable, phases: Vec<String>) -> Self {
        let mut cooperation = Cooperation {
            roles: trees.len(),
            phases,
            meetings: Vec::new(),
            resources: Vec::new(),
            ops: Vec::new(),
        };
        for (me, (_, tree)) in trees.iter().enumerate() {
            let ops = tree.nodes().iter().map(|info| {
                let together = table.facts(tree.leaf_model(info.uid)?).together?;
                cooperation.op(trees, me, info.uid, together)
            });
            let ops = ops.collect();
            cooperation.ops.push(ops);
        }
        cooperation
    }

    /// A leaf whose name is not a literal cannot be told from others; it is taken as one that has nothing to do with them.
    fn op(&mut self, trees: &[(&str, &Tree)], me: usize, uid: u16, together: Together) -> Option<Op> {
        let tree = trees.get(me)?.1;
        let text = |port: &str| tree.literal(uid, port).map(ToString::to_string);
        Some(match together {
            Together::Phase { name } => {
                let name = text(name)?;
                Op::Phase(self.phases.iter().position(|phase| *phase == name).map_or(0, |at| at as u8 + 1))
            }
            Together::Meet(Meeting { kind, name, roles, enough }) => {
                let name = format!("{kind} '{}'", text(name)?);
                let place = place(&mut self.meetings, name);
                let named: Vec<String> =
                    roles.iter().filter_map(|port| text(port)).filter(|names| !names.is_empty()).collect();
                let takes_part = |role: &str| {
                    named.is_empty()
                        || named
                            .iter()
                            .flat_map(|names| names.split([';', ',', ' ']))
                            .any(|name| name.trim() == role)
                };
                let members = trees.iter().enumerate().filter(|(_, (role, _))| takes_part(role));
                let who = members.fold(0_u32, |who, (role, _)| who | 1 << role) | 1 << me;
                let enough =
                    enough.and_then(text).and_then(|text| text.parse().ok()).unwrap_or(who.count_ones());
                Op::Meet { place, who, enough }
            }
            Together::Acquire { resource } => Op::Acquire(place(&mut self.resources, text(resource)?)),
            Together::GiveBack { resource } => Op::GiveBack(place(&mut self.resources, text(resource)?)),
            Together::Keep { resource } => Op::Keep(place(&mut self.resources, text(resource)?)),
            Together::Hold => Op::Hold,
            Together::ReleaseHold => Op::ReleaseHold,
            Together::EndRun => Op::EndRun,
        })
    }

    pub(super) fn op_of(&self, role: usize, uid: u16) -> Option<&Op> {
        self.ops.get(role)?.get(usize::from(uid - 1))?.as_ref()
    }

    /// Whether the role can make others stand.
    pub(super) fn holds(&self, role: usize) -> bool {
        self.ops.get(role).is_some_and(|ops| ops.iter().flatten().any(|op| *op == Op::Hold))
    }

    pub(super) fn start(&self) -> Shared {
        Shared {
            phases: vec![Phase::default(); self.roles].into(),
            meetings: vec![(0, 0); self.roles * self.meetings.len()].into(),
            holders: vec![None; self.resources.len()].into(),
            holds: 0,
        }
    }

    /// The name of what a leaf waits for, and for whom.
    pub(super) fn describe(&self, op: &Op, role: usize, shared: &Shared, names: &[&str]) -> String {
        let list = |roles: Vec<usize>| {
            let names: Vec<&str> = roles.into_iter().filter_map(|role| names.get(role).copied()).collect();
            if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
        };
        match op {
            Op::Phase(number) => {
                let name = self.phases.get(usize::from(*number).wrapping_sub(1)).map_or("?", |name| name);
                let missing = (0..self.roles).filter(|other| shared.phases[*other].ready < *number).collect();
                format!("at the barrier of phase '{name}' for {}", list(missing))
            }
            Op::Meet { place, who, .. } => {
                let round = self.meeting(shared, *place, role).0;
                let missing = (0..self.roles)
                    .filter(|other| who & 1 << other != 0 && self.meeting(shared, *place, *other).0 < round)
                    .collect();
                format!("at {} for {}", self.meetings[*place], list(missing))
            }
            Op::Acquire(place) => {
                let holder = shared.holders[*place].map(usize::from);
                format!(
                    "for resource '{}', which {} holds",
                    self.resources[*place],
                    list(holder.into_iter().collect())
                )
            }
            Op::GiveBack(_) | Op::Keep(_) | Op::Hold | Op::ReleaseHold | Op::EndRun => {
                "for nothing".to_owned()
            }
        }
    }

    fn meeting(&self, shared: &Shared, place: usize, role: usize) -> (u8, u8) {
        shared.meetings.get(place * self.roles + role).copied().unwrap_or_default()
    }

    /// Whether the role may act at all: nobody else makes it stand still.
    pub(super) fn may_act(shared: &Shared, role: usize) -> bool {
        shared.holder_of(role).is_none()
    }

    /// Whether the leaf can answer so now; if so, what the roles share afterwards.
    pub(super) fn answer(&self, shared: &mut Shared, role: usize, op: &Op, claimed: Status) -> Answer {
        let fits = |answer: Status| if answer == claimed { Answer::Fits } else { Answer::Impossible };
        // Messages take their time: a role may go on waiting where it need not.
        let waits = |succeeds: bool| match claimed {
            Status::Running => Answer::Fits,
            Status::Success if succeeds => Answer::Fits,
            Status::Failure if !succeeds => Answer::GivesUp,
            _ => Answer::Impossible,
        };
        match *op {
            Op::Phase(number) => {
                let entered = shared.phases[role].entered;
                if number == 0 || number < entered || number > entered + 1 {
                    return if claimed == Status::Failure { Answer::OutOfOrder } else { Answer::Impossible };
                }
                shared.phases[role].ready = shared.phases[role].ready.max(number);
                // A role enters what it stands ready for as soon as all do.
                let all_ready = shared.phases.iter().map(|phase| phase.ready).min().unwrap_or(0);
                for phase in &mut shared.phases {
                    phase.entered = phase.entered.max(phase.ready.min(all_ready));
                }
                let acts = all_ready >= number;
                if acts && claimed == Status::Success {
                    shared.phases[role].acted = shared.phases[role].acted.max(number);
                }
                waits(acts)
            }
            Op::Meet { place, who, enough } => {
                let at = place * self.roles;
                let round = shared.meetings[at + role].1.saturating_add(1);
                shared.meetings[at + role].0 = round;
                let there = (0..self.roles)
                    .filter(|other| who & 1 << other != 0 && shared.meetings[at + other].0 >= round);
                let passes = there.count() as u32 >= enough;
                if passes && claimed == Status::Success {
                    shared.meetings[at + role].1 = round;
                    self.settle(shared, place, who);
                }
                waits(passes)
            }
            Op::Acquire(place) => {
                let free = shared.holders[place].is_none_or(|holder| usize::from(holder) == role);
                if free && claimed == Status::Success {
                    shared.holders[place] = Some(role as u8);
                }
                waits(free)
            }
            Op::Keep(_) => fits(Status::Running),
            Op::GiveBack(place) => {
                if shared.holders[place] == Some(role as u8) {
                    shared.holders[place] = None;
                }
                fits(Status::Success)
            }
            Op::Hold => {
                shared.holds |= 1 << role;
                fits(Status::Success)
            }
            Op::ReleaseHold => {
                shared.holds &= !(1 << role);
                fits(Status::Success)
            }
            Op::EndRun => fits(Status::Success),
        }
    }

    /// The leaf stops waiting without having got what it waited for. True if that ends the run: the role had entered with the others,
    /// who may act relying on it.
    pub(super) fn leave_wait(&self, shared: &mut Shared, role: usize, op: &Op) -> bool {
        match *op {
            Op::Phase(number) => {
                let phase = &mut shared.phases[role];
                if number <= phase.acted || number != phase.ready {
                    return false;
                }
                if number == phase.entered {
                    return true;
                }
                phase.ready = number - 1;
            }
            Op::Meet { place, .. } => {
                let (ready, passed) = &mut shared.meetings[place * self.roles + role];
                *ready = *passed;
            }
            Op::Keep(place) if shared.holders[place] == Some(role as u8) => shared.holders[place] = None,
            Op::Keep(_) | Op::Acquire(_) | Op::GiveBack(_) | Op::Hold | Op::ReleaseHold | Op::EndRun => {}
        }
        false
    }

    /// Rounds only matter relative to one another: what all have passed is taken off.
    fn settle(&self, shared: &mut Shared, place: usize, who: u32) {
        let members: Vec<usize> = (0..self.roles)
            .filter(|role| who & 1 << role != 0)
            .map(|role| place * self.roles + role)
            .collect();
        let passed = members.iter().map(|at| shared.meetings[*at].1).min().unwrap_or(0);
        for at in members {
            let (ready, entered) = shared.meetings[at];
            shared.meetings[at] = (ready - passed.min(ready), entered - passed);
        }
    }

    /// The role has ended well: it gives everything back.
    pub(super) fn leave(shared: &mut Shared, role: usize) {
        for holder in &mut shared.holders {
            if *holder == Some(role as u8) {
                *holder = None;
            }
        }
        shared.holds &= !(1 << role);
    }
}

fn place(names: &mut Vec<String>, name: String) -> usize {
    names.iter().position(|known| *known == name).unwrap_or_else(|| {
        names.push(name);
        names.len() - 1
    })
}
