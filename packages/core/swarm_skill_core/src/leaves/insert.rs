//! The leaf that lets a policy mate two parts.

use std::sync::{Arc, Mutex, PoisonError};

use nalgebra::Isometry3;
use swarm_base::Duration;
use swarm_bt::LeafCall;

use super::moves::{held, located};
use super::{Behaviour, Context, Failure, Progress};
use crate::body::to_isometry;
use crate::insertion::{
    ACTION_LEN, Insertion, InsertionInputs, InsertionWatch, OBSERVATION_LEN, clip_action, is_finite, observe,
    tcp_twist_in_world,
};
use crate::policy::{NamedPolicy, Policy, PolicyKind};

/// Observe, infer, move, until the part is seated. A late answer, or one that is no number, is FAILURE.
#[derive(Debug)]
pub(super) struct RunPolicy {
    policy: Arc<Mutex<dyn Policy>>,
    deadline: Duration,
    pocket_in_world: Isometry3<f64>,
    tip_in_tcp: Isometry3<f64>,
    previous_action: [f64; ACTION_LEN],
    watch: InsertionWatch,
}

impl RunPolicy {
    pub(super) fn new(call: &LeafCall<'_>, context: &Context<'_>) -> Result<Self, Failure> {
        let (name, pocket, tip): (String, String, String) =
            (call.get("policy")?, call.get("pocket")?, call.get("tip")?);
        let policy = of_role(context, &name)?;
        let PolicyKind::Reactive(function) = policy.kind else {
            return Err(Failure(format!("policy '{name}' answers with chunks of actions; use FollowPolicy")));
        };
        Ok(Self {
            policy: function,
            deadline: policy.deadline,
            pocket_in_world: located(&context.body.memory, &pocket)?,
            tip_in_tcp: held(&context.body.memory, &tip)?,
            previous_action: [0.0; ACTION_LEN],
            watch: InsertionWatch::start(context.now),
        })
    }
}

impl Behaviour for RunPolicy {
    fn tick(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        let tcp_in_world = to_isometry(&context.body.tool_in_world(context.inputs));
        let tip_in_world = tcp_in_world * self.tip_in_tcp;
        let observation: [f32; OBSERVATION_LEN] = observe(&InsertionInputs {
            tip_in_world,
            pocket_in_world: self.pocket_in_world,
            flange_in_world: to_isometry(&context.body.flange_in_world(context.inputs)),
            wrench_flange: context.inputs.wrench.flange,
            wrench_tare: context.body.memory.tare,
            previous_action: self.previous_action,
        });
        if !is_finite(&observation) {
            return Err(Failure("the observation holds a value that is not finite".into()));
        }
        match self.watch.judge(&observation, context.now) {
            Insertion::Going => {}
            Insertion::Seated { .. } => return Ok(Progress::Done),
            Insertion::Failed(why) => return Err(why.into()),
        }
        let mut answer = [0.0_f32; ACTION_LEN];
        self.policy
            .lock()
            // A poisoned lock means that another run's thread panicked in an inference; the session itself is still whole.
            .unwrap_or_else(PoisonError::into_inner)
            .infer(&observation, &mut answer, self.deadline)?;
        let action =
            clip_action(&answer).ok_or_else(|| Failure("the policy's answer is not finite".into()))?;
        self.previous_action = action;
        let twist = tcp_twist_in_world(&action, &self.pocket_in_world, &tip_in_world, &tcp_in_world);
        let body = &context.body;
        context.wish = Some(body.mover.servo(&body.arm, &context.inputs.joints.q, &twist).qd);
        Ok(Progress::Running)
    }
}

/// The role's policy, if it is the one that is asked for.
pub(super) fn of_role(context: &Context<'_>, name: &str) -> Result<NamedPolicy, Failure> {
    let known = context.body.policy.as_ref().map_or("none", |policy| policy.name.as_str());
    context
        .body
        .policy
        .clone()
        .filter(|policy| policy.name == name)
        .ok_or_else(|| Failure(format!("policy '{name}' is not this role's; the manifest gives it {known}")))
}
