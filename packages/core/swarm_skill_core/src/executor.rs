//! One role of one run: its tree, its robot, its end of the link.
//!
//! Every tick, in this order:
//!
//! 1. Take in what the other roles sent, and judge: go, hold, or abort.
//! 2. Go: tick the tree until it settles, and every leaf that is under way once. Its time stands still while the role holds, so that no
//!    Timeout runs off behind its back.
//! 3. Hold or abort: want no velocity. An abort halts the tree, and goes on asking until every leaf has stopped.
//! 4. Limit speed and change of speed of the joints; send the others this role's report.

use std::collections::HashMap;
use std::sync::Arc;

use swarm_base::{Duration, Role, Time};
use swarm_bt::{Ring, State, Status, Tree};
use swarm_bt_log::TickRecorder;
use swarm_kinematics::JointVector;

use crate::body::{Body, Memory};
use crate::carrier::{Active, Carrier};
use crate::cooperation::{Cooperation, CooperationConfig, Leave, Token};
use crate::errand::{Errands, Order};
use crate::leaves::{Behaviour, Context};
use crate::link::Link;
use crate::message::{Report, Standing};
use crate::motion::{Mover, Slew};
use crate::policy::PolicyTick;
use crate::role_io::{RoleInputs, RoleOutputs};
use crate::role_spec::{Activity, RoleSpec, RoleState, RunIdentity};
use crate::shared_board::SharedBoard;

/// A tick that comes this late counts as that late for motions: none of them makes a leap.
const LONGEST_TICK_S: f64 = 0.05;

/// Ticks of the tree within one of the role at most, for control nodes that yield between children.
const TREE_TICKS: u32 = 8;

/// Transitions that are kept for whoever watches, see [`RoleExecutor::watched`]; a tick makes two or three per node.
const WATCHED: usize = 4_096;

/// One role of one run.
#[derive(Debug)]
pub struct RoleExecutor {
    spec: RoleSpec,
    body: Body,
    cooperation: Cooperation,
    link: Box<dyn Link>,
    tree_state: State,
    watched: Ring,
    recorder: Option<Box<dyn TickRecorder>>,
    shared: SharedBoard,
    /// Name of the safe point up to which a successor's tree is skipped.
    skip_to: Option<String>,
    /// The tree has been ticked.
    begun: bool,
    /// The last message that was refused: who it claimed to be from, and why.
    refused: Option<(Role, &'static str)>,
    active: HashMap<u16, Active>,
    /// Those that were interrupted and have not stopped yet.
    halting: HashMap<u16, Box<dyn Behaviour>>,
    errands: Errands,
    slew: Slew,
    outputs: RoleOutputs,
    last_tick: Option<Time>,
    ticks: u64,
    /// Time in which the tree was being ticked, since the start of the run.
    tree_time: Time,
    leave: Leave,
    last_failure: Option<String>,
    halted: bool,
    /// The tree has come to its end, though a leaf may still be stopping.
    answered: bool,
}

impl RoleExecutor {
    /// An executor that is there from the start of the run.
    pub fn new(spec: RoleSpec, identity: &RunIdentity, link: Box<dyn Link>, now: Time) -> Self {
        Self::make(spec, identity, link, Cooperation::new, now)
    }

    /// A robot that stands by for `spec.role`, and takes it over if the role is lost at a safe point. Its tree then begins at that point:
    /// leaves of the registry before it answer SUCCESS
    /// without being carried out; scripts run, but what the predecessor has shared stands. The instance of `identity` is its own.
    pub fn stand_by(spec: RoleSpec, identity: &RunIdentity, link: Box<dyn Link>, now: Time) -> Self {
        Self::make(spec, identity, link, Cooperation::stand_by, now)
    }

    fn make(
        spec: RoleSpec,
        identity: &RunIdentity,
        link: Box<dyn Link>,
        cooperation: fn(CooperationConfig, Time) -> Cooperation,
        now: Time,
    ) -> Self {
        let config = CooperationConfig {
            run: identity.run.as_str().into(),
            epoch: identity.epoch,
            me: spec.role,
            instance: identity.instance,
            roles: identity.roles.clone(),
            phases: identity.phases.clone(),
            timing: identity.timing,
        };
        let body = Body {
            arm: Arc::clone(&spec.arm),
            mover: Mover::new(&spec.arm, spec.limits, spec.home),
            tool: spec.tool,
            home: spec.home,
            input_timeout: spec.input_timeout,
            policy: spec.policy.clone(),
            policy_tick: PolicyTick::default(),
            pace: None,
            memory: Memory::default(),
        };
        Self {
            body,
            cooperation: cooperation(config, now),
            link,
            tree_state: State::new(&spec.tree),
            watched: Ring::new(WATCHED),
            recorder: None,
            shared: SharedBoard::new(&spec.tree),
            skip_to: None,
            begun: false,
            refused: None,
            active: HashMap::new(),
            halting: HashMap::new(),
            errands: Errands::new(),
            slew: Slew::at_rest(),
            outputs: RoleOutputs { velocity: JointVector::zeros(), gripper: None },
            last_tick: None,
            ticks: 0,
            tree_time: Time::ZERO,
            leave: Leave::Go,
            last_failure: None,
            halted: false,
            answered: false,
            spec,
        }
    }

    /// Records every tick of the tree; to be given before the first. The recorder was begun with the tree of [`RoleSpec::tree`].
    #[must_use]
    pub fn with_recorder(mut self, recorder: Box<dyn TickRecorder>) -> Self {
        self.recorder = Some(recorder);
        self
    }

    /// The recorder, to be finished when the run has ended.
    pub fn take_recorder(&mut self) -> Option<Box<dyn TickRecorder>> {
        self.recorder.take()
    }

    /// One tick, nominally every 10 ms.
    pub fn tick(&mut self, inputs: &RoleInputs, now: Time) -> RoleOutputs {
        let elapsed = self.last_tick.map_or(Duration::from_millis(10), |last| now.since(last));
        let dt = elapsed.as_secs_f64().min(LONGEST_TICK_S);
        self.last_tick = Some(now);
        self.ticks += 1;

        while let Some(message) = self.link.receive() {
            if let Some(why) = self.cooperation.receive(&message, now).refusal() {
                self.refused = Some((message.from, why));
            }
        }
        self.body.policy_tick = PolicyTick::default();
        self.check_inputs(inputs, now);
        self.errands.tick(&inputs.words, now);
        self.body.memory.see(&inputs.parts);
        let contact = self.body.contact(inputs);
        self.cooperation.set_contact_force(contact[0].hypot(contact[1]).hypot(contact[2]));

        self.leave = self.cooperation.judge(now);
        self.cooperation.forget_watched();
        let mut velocity = JointVector::zeros();
        if self.leave == Leave::Go && self.cooperation.own_report().standing == Standing::Active {
            self.tree_time = self.tree_time + elapsed;
            self.tick_tree(inputs, dt, &mut velocity);
        }
        if matches!(self.cooperation.own_report().standing, Standing::Aborted(_)) {
            velocity = JointVector::zeros();
            if self.halted {
                // Leaves that are still stopping have only so much time.
                self.tree_time = self.tree_time + elapsed;
            }
            self.halt_tree(inputs, dt);
        }
        self.look_for_alarms();
        self.outputs = RoleOutputs {
            velocity: self.slew.follow(&velocity, &self.body.mover.limits, dt),
            gripper: self.body.memory.gripper,
        };
        self.cooperation.set_at_rest(self.outputs.velocity == JointVector::zeros());
        if let Some(message) = self.cooperation.outgoing(now) {
            self.link.send(&message);
        }
        self.outputs
    }

    /// Ends the run for every role; this one from its next tick on.
    pub fn abort(&mut self, reason: &str) {
        self.cooperation.abort(reason.to_owned());
    }

    /// What was wanted in the last tick.
    pub fn outputs(&self) -> &RoleOutputs {
        &self.outputs
    }

    /// What the last tick wants of the cell's peripherals.
    pub fn orders(&self) -> &[Order] {
        self.errands.orders()
    }

    /// Why the cell has to be stopped from outside: something that a leaf has begun goes on, and nobody can stop it from here.
    pub fn alarm(&self) -> Option<&str> {
        self.errands.alarm()
    }

    /// Whether a leaf that was interrupted is still being waited for.
    pub fn is_stopping(&self) -> bool {
        self.tree_state.halting() > 0 && self.errands.alarm().is_none()
    }

    /// What the role's chunked policy did in the last tick.
    pub fn policy_tick(&self) -> PolicyTick {
        self.body.policy_tick
    }

    /// In its next tick the role's chunked policy takes questions and gives answers as that one did.
    pub(crate) fn set_pace(&mut self, pace: PolicyTick) {
        self.body.pace = Some(pace);
    }

    pub fn spec(&self) -> &RoleSpec {
        &self.spec
    }

    /// The tree as the last tick has left it, and the transitions since they were drained last; the oldest go first.
    pub fn watched(&mut self) -> (&RoleSpec, &State, &mut Ring) {
        (&self.spec, &self.tree_state, &mut self.watched)
    }

    /// Paths of the tree's leaves that are under way, in the order of the tree.
    pub fn active_nodes(&self) -> impl Iterator<Item = &str> {
        let tree = &self.spec.tree;
        tree.nodes().iter().filter(|node| self.active.contains_key(&node.uid)).map(|node| node.path.as_str())
    }

    pub fn standing(&self) -> &Standing {
        &self.cooperation.own_report().standing
    }

    /// The resources that are leased, with the tokens that go with their use.
    pub fn tokens(&self) -> impl Iterator<Item = (&str, Token)> {
        self.cooperation.tokens()
    }

    /// What this role tells the others: its place in phases, meetings and queues.
    pub fn report(&self) -> &Report {
        self.cooperation.own_report()
    }

    /// Who was refused last, and why: a stale leader, a second player of a role, a stranger.
    pub fn refused(&self) -> Option<(Role, &'static str)> {
        self.refused
    }

    /// Whether the arm is meant to stand, and does: nothing is wanted of it and its joints are measured, lately, to be slower than
    /// `rad_per_s`. A speed that is not a number is no rest.
    pub fn is_at_rest(&self, inputs: &RoleInputs, rad_per_s: f64, now: Time) -> bool {
        let is_known = now.since(inputs.joints.at) <= self.spec.input_timeout;
        let stands = inputs.joints.qd.iter().all(|qd| qd.abs() <= rad_per_s);
        self.outputs.velocity == JointVector::zeros() && is_known && stands
    }

    pub fn state(&self) -> RoleState {
        let (activity, message) = match (self.standing(), &self.leave) {
            (Standing::Aborted(reason), _) => (Activity::Aborted, reason.clone()),
            (Standing::Done, _) => (Activity::Succeeded, String::new()),
            (Standing::Active | Standing::Standby, Leave::Go) => (Activity::Running, String::new()),
            (Standing::Active | Standing::Standby, Leave::Hold(reason) | Leave::Abort(reason)) => {
                (Activity::Holding, reason.clone())
            }
        };
        RoleState {
            role: self.spec.role,
            robot: self.spec.robot.clone(),
            phase: self.cooperation.phase().to_owned(),
            progress: self.cooperation.progress(),
            activity,
            message,
        }
    }

    fn check_inputs(&mut self, inputs: &RoleInputs, now: Time) {
        let robot = &self.spec.robot;
        if let Some(stale) = self.spec.stale_input(inputs, now) {
            self.cooperation.abort(stale);
        }
        let gripper = inputs.gripper.map(|gripper| [gripper.width_m, gripper.force_n]);
        let measured: [(&str, &[f64]); 4] = [
            ("joint positions", inputs.joints.q.as_slice()),
            ("joint velocities", inputs.joints.qd.as_slice()),
            ("wrench", &inputs.wrench.flange),
            ("gripper's width and force", gripper.as_ref().map_or(&[][..], |values| &values[..])),
        ];
        if let Some((what, values)) =
            measured.into_iter().find(|(_, values)| !values.iter().all(|value| value.is_finite()))
        {
            self.cooperation.abort(format!("the {what} of {robot} is {values:?}, expected finite numbers"));
        }
    }

    fn tick_tree(&mut self, inputs: &RoleInputs, dt: f64, velocity: &mut JointVector) {
        if self.answered {
            if self.tree_state.halting() > 0 {
                self.halt_tree(inputs, dt);
            }
            self.finish_if_stopped();
            return;
        }
        if !self.begun {
            self.begun = true;
            self.skip_to = self.cooperation.taken_over_at().map(str::to_owned);
        }
        let skipped = self.skip_to.is_some();
        if let Err(error) = self.shared.take_in(&self.spec.tree, &mut self.tree_state, &self.cooperation) {
            self.cooperation.abort(error.to_string());
            return;
        }
        let answer = self.with_leaves(inputs, dt, velocity, |recorder, tree, state, now, leaves, watched| {
            match recorder {
                Some(recorder) => recorder.tick_until_settled(tree, state, now, leaves, watched, TREE_TICKS),
                None => swarm_bt::tick_until_settled(tree, state, now, leaves, watched, TREE_TICKS),
            }
        });
        if skipped {
            self.shared.forget(&self.tree_state);
        } else if let Err(error) = self.shared.give_out(&self.tree_state, &mut self.cooperation) {
            self.cooperation.abort(error.to_string());
        }
        match (answer, &self.skip_to) {
            (Ok(Status::Running), _) => {}
            (Ok(Status::Success | Status::Skipped), None) => {
                self.answered = true;
                self.finish_if_stopped();
            }
            (Ok(Status::Success | Status::Skipped), Some(point)) => {
                self.cooperation.abort(format!("its tree ends without coming to safe point '{point}'"));
            }
            (Ok(Status::Failure), _) => {
                let reason = self.last_failure.clone().unwrap_or_else(|| "its tree failed".into());
                self.cooperation.abort(reason);
            }
            (Err(error), _) => self.cooperation.abort(error.to_string()),
        }
    }

    /// The tree has ended, but maybe not all that it had begun.
    fn finish_if_stopped(&mut self) {
        if self.tree_state.halting() == 0 {
            self.cooperation.finish();
        }
    }

    /// Halts the tree; again and again while a leaf has not stopped, which asks it.
    fn halt_tree(&mut self, inputs: &RoleInputs, dt: f64) {
        if self.halted && self.tree_state.halting() == 0 {
            return;
        }
        self.halted = true;
        let mut unused = JointVector::zeros();
        // The only error is that of an `_onHalted` script; every leaf has been halted by then.
        let halted =
            self.with_leaves(inputs, dt, &mut unused, |recorder, tree, state, now, leaves, watched| {
                match recorder {
                    Some(recorder) => recorder.halt(tree, state, now, leaves, watched),
                    None => swarm_bt::halt(tree, state, now, leaves, watched),
                }
            });
        if let Err(error) = halted {
            self.last_failure.get_or_insert(error.to_string());
        }
        self.active.clear();
    }

    /// Calls the engine with everything that it works on.
    fn with_leaves<T>(
        &mut self,
        inputs: &RoleInputs,
        dt: f64,
        velocity: &mut JointVector,
        call: impl FnOnce(
            Option<&mut Box<dyn TickRecorder>>,
            &Tree,
            &mut State,
            Time,
            &mut Carrier<'_>,
            &mut Ring,
        ) -> T,
    ) -> T {
        let context = Context {
            now: self.tree_time,
            clock: self.last_tick.unwrap_or_default(),
            dt,
            inputs,
            body: &mut self.body,
            cooperation: &mut self.cooperation,
            errands: &mut self.errands,
            wish: None,
            velocity,
        };
        let mut carrier = Carrier {
            context,
            tick: self.ticks,
            active: &mut self.active,
            halting: &mut self.halting,
            last_failure: &mut self.last_failure,
            skip_to: &mut self.skip_to,
        };
        let recorder = self.recorder.as_mut();
        call(recorder, &self.spec.tree, &mut self.tree_state, self.tree_time, &mut carrier, &mut self.watched)
    }

    /// A leaf that cannot be stopped ends the run, and more than that, see [`RoleExecutor::alarm`].
    fn look_for_alarms(&mut self) {
        let tree = &self.spec.tree;
        if let Some(late) = self.tree_state.overdue(tree).next() {
            let path = tree.node(late.uid).map_or("", |node| &node.path);
            let seconds = late.timeout.unwrap_or_default().as_secs_f64();
            self.errands.raise_alarm(format!("{path} was told to stop and has not within {seconds:.1} s"));
        }
        if let Some(alarm) = self.errands.alarm()
            && !matches!(self.cooperation.own_report().standing, Standing::Aborted(_))
        {
            self.cooperation.abort(alarm.to_owned());
        }
    }
}
