//! A skill beside the one that runs: ticked on the same inputs, moving nothing, to see where the two first part.
//!
//! A run is a function of what its roles are told, and of the ticks in which their chunked policies take questions and give
//! answers. So a version that comes in the middle of a run is first given everything that the run has been told since its start
//! ([`Told`], tick by tick), and then goes on beside it. Its roles talk among themselves. Its policies are its own, and need
//! runners that answer at once ([`InlineRunner`](crate::InlineRunner) without delay): whether they are as fast as those of the run
//! is not compared. From the first difference on its arms would be elsewhere than the real ones, and nothing that it wants after
//! that says anything; so one difference is all there is.
//!
//! Flow: 1. whoever ticks a [`Run`] keeps a [`Told`] of every tick. 2. [`Shadow::new`] with the other skill's roles and the run's
//! identity. 3. [`Shadow::follow`], tick by tick, until it answers with a [`Difference`] or the run ends.

use std::fmt;

use swarm_base::{Role, Time};

use crate::cooperation::Phase;
use crate::errand::Order;
use crate::link::{Link, LocalLink};
use crate::policy::PolicyTick;
use crate::role_io::{RoleInputs, RoleOutputs};
use crate::role_spec::{RoleSpec, RunIdentity};
use crate::run::{Run, RunState, SafetyView};

/// One tick of a run: what it was told, and what it then wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub now: Time,
    pub safety: SafetyView,
    /// In the order of the run's roles.
    pub inputs: Vec<RoleInputs>,
    pub wishes: Vec<RoleOutputs>,
    /// What the roles wanted of the cell's peripherals.
    pub orders: Vec<(Role, Order)>,
    /// What the roles' chunked policies did, in the order of the roles.
    pub policies: Vec<PolicyTick>,
    pub state: RunState,
}

/// The first difference between the two.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Of the run, from 1 on.
    pub tick: u64,
    /// Seconds since the run began.
    pub at_s: f64,
    pub what: Departure,
}

/// What differs.
#[derive(Clone, Debug, PartialEq)]
pub enum Departure {
    /// The other skill has other roles, or gives them to other robots.
    Cast {
        running: String,
        other: String,
    },
    /// Velocity that a role wants of a joint (0 is next to the base), rad/s.
    Velocity {
        role: Role,
        phase: String,
        joint: usize,
        running: f64,
        other: f64,
    },
    Gripper {
        role: Role,
        phase: String,
        running: String,
        other: String,
    },
    /// What is asked of the cell's peripherals.
    Orders {
        running: Vec<(Role, Order)>,
        other: Vec<(Role, Order)>,
    },
    /// The run goes on in one of them and ends in the other, or ends otherwise.
    End {
        running: RunState,
        other: RunState,
    },
}

/// The other skill, as it would do.
#[derive(Debug)]
pub struct Shadow {
    run: Run,
    cast: Vec<(Role, String)>,
    begun: Time,
    ticks: u64,
    difference: Option<Difference>,
}

impl Shadow {
    /// `specs` and `phases` are the other skill's, everything else is the run's: `running` as it is identified, the epoch and
    /// the time under which it was begun.
    pub fn new(
        specs: &[RoleSpec],
        phases: &[Phase],
        running: &RunIdentity,
        safety_epoch: u64,
        begun: Time,
    ) -> Self {
        let roles: Vec<Role> = specs.iter().map(|spec| spec.role).collect();
        let links =
            LocalLink::connect(&roles).into_iter().map(|link| Box::new(link) as Box<dyn Link>).collect();
        let identity = RunIdentity { roles, phases: phases.to_vec(), ..running.clone() };
        Self {
            run: Run::new(specs.to_vec(), identity, links, safety_epoch, begun),
            cast: specs.iter().map(|spec| (spec.role, spec.robot.clone())).collect(),
            begun,
            ticks: 0,
            difference: None,
        }
    }

    /// Ticks that it has followed, the one with the difference included.
    pub fn ticks(&self) -> u64 {
        self.ticks
    }

    pub fn difference(&self) -> Option<&Difference> {
        self.difference.as_ref()
    }

    /// The run's next tick; `cast` are the run's roles and their robots, in the order of what `told` holds. The first difference
    /// is the answer to this call and to all later ones.
    pub fn follow(&mut self, cast: &[(Role, String)], told: &Told) -> Option<&Difference> {
        if self.difference.is_none() {
            self.ticks += 1;
            let what = self.departure(cast, told);
            let at_s = told.now.since(self.begun).as_secs_f64();
            self.difference = what.map(|what| Difference { tick: self.ticks, at_s, what });
        }
        self.difference.as_ref()
    }

    fn departure(&mut self, cast: &[(Role, String)], told: &Told) -> Option<Departure> {
        if self.cast != cast || told.inputs.len() != cast.len() || told.wishes.len() != cast.len() {
            return Some(Departure::Cast { running: named(cast), other: named(&self.cast) });
        }
        self.run.set_pace(&told.policies);
        let other = self.run.tick(&told.inputs, &told.safety, told.now).clone();
        let states = self.run.role_states();
        for (((spec, wish), running), state) in self.run.outputs().zip(&told.wishes).zip(states) {
            let (role, phase) = (spec.role, state.phase);
            if wish.gripper != running.gripper {
                let words = |wish: &RoleOutputs| {
                    wish.gripper.map_or_else(
                        || "nothing".to_owned(),
                        |target| format!("{:.4} m at {:.1} N", target.width_m, target.force_n),
                    )
                };
                return Some(Departure::Gripper { role, phase, running: words(running), other: words(wish) });
            }
            // Both are worked out by the same instructions: what is the same is so to the last bit.
            let differs = |joint: &usize| wish.velocity[*joint] != running.velocity[*joint];
            if let Some(joint) = (0..wish.velocity.len()).find(differs) {
                let (running, other) = (running.velocity[joint], wish.velocity[joint]);
                return Some(Departure::Velocity { role, phase, joint, running, other });
            }
        }
        let orders: Vec<(Role, Order)> =
            self.run.orders().map(|(role, order)| (role, order.clone())).collect();
        if orders != told.orders {
            return Some(Departure::Orders { running: told.orders.clone(), other: orders });
        }
        (other != told.state).then(|| Departure::End { running: told.state.clone(), other })
    }
}

fn named(cast: &[(Role, String)]) -> String {
    cast.iter().map(|(role, robot)| format!("{role} {robot}")).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tick {} ({:.2} s into the run): {}", self.tick, self.at_s, self.what)
    }
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cast { running, other } => {
                write!(f, "its roles are {other}; those of the run are {running}")
            }
            Self::Velocity { role, phase, joint, running, other } => write!(
                f,
                "{role} in phase '{phase}' wants {other:.6} rad/s of joint {joint}, the run {running:.6} rad/s"
            ),
            Self::Gripper { role, phase, running, other } => {
                write!(f, "{role} in phase '{phase}' wants {other} of its gripper, the run {running}")
            }
            Self::Orders { running, other } => {
                let words = |orders: &[(Role, Order)]| match orders {
                    [] => "nothing".to_owned(),
                    some => some
                        .iter()
                        .map(|(role, order)| format!("{role} {order}"))
                        .collect::<Vec<_>>()
                        .join(", "),
                };
                write!(f, "of the peripherals it wants {}, the run {}", words(other), words(running))
            }
            Self::End { running, other } => write!(f, "it is {other:?}, the run {running:?}"),
        }
    }
}
