//! The leaf that lets a chunked policy move the arm.

use std::sync::{Arc, PoisonError};

use swarm_artifact::ActionKind;
use swarm_base::{Duration, Time};
use swarm_bt::LeafCall;
use swarm_kinematics::JointVector;

use super::insert::of_role;
use super::{Behaviour, Context, Failure, Progress, number, span};
use crate::body::Body;
use crate::motion::{FEEDBACK, limited};
use crate::policy::{Answer, ChunkPlayer, ChunkedPolicy, Due, Observer, PolicyError, PolicyKind, QuestionId};
use crate::role_io::GripperTarget;

/// Follows a policy's chunks for a time.
///
/// Every tick: 1. take in what is measured; 2. take the answer, if there is one; 3. ask again, if it is time; 4. do what is due. In a
/// hold of the role the leaf is not ticked: it then begins anew, with no chunk and no history, because both belong to a time that is over.
#[derive(Debug)]
pub(super) struct FollowPolicy {
    /// The node's place in the tree, for messages.
    path: String,
    policy: Arc<ChunkedPolicy>,
    deadline: Duration,
    duration: Duration,
    force_n: f64,
    started: Time,
    /// Difference of the clock and the tree's time; it grows in a hold.
    behind: Duration,
    observer: Observer,
    player: ChunkPlayer,
    question: Option<Question>,
    /// When the last observation was made.
    observed: Option<Time>,
    /// The position that was due in the last tick, and its time. Where it is next has to do with the time that has really passed, while a
    /// late tick counts as less for motions.
    target: Option<(Time, JointVector)>,
    observation: Vec<Vec<f64>>,
    network: Vec<Vec<f32>>,
    actions: Vec<f64>,
}

/// A question that is not answered yet.
#[derive(Clone, Copy, Debug)]
struct Question {
    /// When it was first put; the deadline runs from here.
    since: Time,
    /// The instant of its observation.
    about: Time,
    /// None as long as the runner is busy with the question of an earlier run.
    ticket: Option<QuestionId>,
}

impl FollowPolicy {
    pub(super) fn new(call: &LeafCall<'_>, context: &Context<'_>) -> Result<Self, Failure> {
        let name: String = call.get("policy")?;
        let named = of_role(context, &name)?;
        let PolicyKind::Chunked(policy) = named.kind else {
            return Err(Failure(format!("policy '{name}' answers every tick; use RunPolicy")));
        };
        let observer = policy.observer();
        let lens: Vec<usize> = observer.lens().map(|(_, len)| len).collect();
        let shape = policy.shape();
        Ok(Self {
            path: call.path().to_owned(),
            deadline: named.deadline,
            duration: span(call, "duration_s")?,
            force_n: number(call, "force", 0.0..=500.0)?,
            started: context.now,
            behind: context.clock - context.now,
            player: ChunkPlayer::new(policy.playing()),
            question: None,
            observed: None,
            target: None,
            observation: lens.iter().map(|len| vec![0.0; *len]).collect(),
            network: lens.iter().map(|len| vec![0.0; *len]).collect(),
            actions: vec![0.0; shape.horizon * shape.action_len],
            observer,
            policy,
        })
    }

    fn step(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        let behind = context.clock - context.now;
        if behind != self.behind {
            self.behind = behind;
            self.begin_anew();
        }
        if context.now.since(self.started) >= self.duration {
            return Ok(Progress::Done);
        }
        self.observer.see(context.inputs);
        self.take_answer(context.body, context.clock)?;
        let due = self.observed.is_none_or(|at| context.clock.since(at) >= self.policy.replan());
        if self.question.map_or(due, |question| question.ticket.is_none()) {
            self.ask(context.body, context.clock)?;
        }
        self.act(context);
        Ok(Progress::Running)
    }

    fn begin_anew(&mut self) {
        self.observer.clear();
        self.player.clear();
        (self.question, self.observed, self.target) = (None, None, None);
    }

    fn take_answer(&mut self, body: &mut Body, now: Time) -> Result<(), Failure> {
        let may = body.pace.is_none_or(|pace| pace.answered);
        // A poisoned lock means that another run's thread panicked while asking; the runner itself is whole between its calls.
        let runner = || self.policy.runner.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = if may { runner().poll() } else { None };
        body.policy_tick.answered |= answer.is_some();
        let Some(Question { since, about, ticket }) = self.question else { return Ok(()) };
        match answer {
            Some(Answer { ticket: answered, took, chunk }) if ticket == Some(answered) => {
                if took > self.deadline {
                    return Err(PolicyError::Late { took, deadline: self.deadline }.into());
                }
                let chunk = chunk?;
                self.policy.shape().check_chunk(&chunk)?;
                if let Some(at) = chunk.iter().position(|value| !value.is_finite()) {
                    let (step, value) =
                        (at / self.policy.shape().action_len, at % self.policy.shape().action_len);
                    return Err(Failure(format!(
                        "value {value} of action {step} of the policy's answer is not finite"
                    )));
                }
                self.policy.denormalise(&chunk, &mut self.actions);
                self.player.accept(about, &self.actions, now);
                self.question = None;
                Ok(())
            }
            // Nothing yet, or the answer to a run that is over.
            _ if now.since(since) > self.deadline => {
                Err(PolicyError::Late { took: now.since(since), deadline: self.deadline }.into())
            }
            _ => Ok(()),
        }
    }

    /// Asks about the present.
    fn ask(&mut self, body: &mut Body, now: Time) -> Result<(), Failure> {
        self.observer.observe(now, &mut self.observation)?;
        body.policy_tick.score = Some(self.policy.score(&self.observation));
        self.policy.judge(&self.observation)?;
        self.policy.normalise(&self.observation, &mut self.network);
        let runner = || self.policy.runner.lock().unwrap_or_else(PoisonError::into_inner);
        let may = body.pace.is_none_or(|pace| pace.asked);
        let asked = if may { runner().submit(&self.network) } else { Err(PolicyError::Busy) };
        body.policy_tick.asked |= asked.is_ok();
        let ticket = match asked {
            Ok(ticket) => Some(ticket),
            Err(PolicyError::Busy) => None,
            Err(error) => return Err(error.into()),
        };
        let since = self.question.map_or(now, |question| question.since);
        self.question = Some(Question { since, about: now, ticket });
        self.observed = Some(now);
        Ok(())
    }

    /// What is due, within the role's limits; no velocity where nothing is.
    fn act(&mut self, context: &mut Context<'_>) {
        let dof = context.body.arm.dof();
        let q = context.inputs.joints.q;
        let standing = match self.policy.action_kind() {
            ActionKind::JointPosition => q,
            ActionKind::JointVelocity => JointVector::zeros(),
        };
        let width = context.body.memory.gripper.map(|target| target.width_m);
        let width = width.or(context.inputs.gripper.map(|gripper| gripper.width_m)).unwrap_or_default();
        let mut rest = [0.0; swarm_kinematics::MAX_JOINTS + 1];
        rest[..dof].copy_from_slice(&standing.as_slice()[..dof]);
        rest[dof] = width;
        let Due::Act(action) = self.player.due(context.clock, &rest[..self.policy.shape().action_len]) else {
            self.target = None;
            return;
        };
        let wanted = JointVector::from_fn(|i, _| if i < dof { action[i] } else { 0.0 });
        let arm = &context.body.arm;
        let qd = match self.policy.action_kind() {
            ActionKind::JointVelocity => wanted,
            ActionKind::JointPosition => {
                let target =
                    wanted.zip_zip_map(&arm.lower_limits(), &arm.upper_limits(), |value, low, high| {
                        value.clamp(low.min(high), high)
                    });
                let feed = self.target.map_or(JointVector::zeros(), |(at, last)| {
                    (target - last) / context.clock.since(at).as_secs_f64().max(1e-6)
                });
                self.target = Some((context.clock, target));
                feed + (target - q) * FEEDBACK
            }
        };
        // The joints' own limits are kept by whoever carries the wish out; those of the tool are kept here.
        let twist = arm.tool_twist(&arm.forward(&q), &qd);
        let share = limited(&twist, &context.body.mover.limits).norm() / twist.norm().max(1e-12);
        context.wish = Some(qd * share.min(1.0));
        if self.policy.moves_gripper() {
            let width_m = action[dof].clamp(0.0, 0.5);
            context.body.memory.gripper = Some(GripperTarget { width_m, force_n: self.force_n });
        }
    }
}

impl Behaviour for FollowPolicy {
    fn tick(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        self.step(context).map_err(|Failure(reason)| Failure(format!("{reason} (node {})", self.path)))
    }
}
