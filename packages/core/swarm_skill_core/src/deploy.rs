//! How an artifact becomes the deployed skill: the steps as data, the order in one place, and what is undone when one fails.
//!
//! The shell carries a step out and reports; this module says what comes next. What is deployed stays deployed until [`Step::Activate`],
//! and until [`Step::Flip`] nothing of it has changed at all.
//!
//! ```text
//!            begin            ok            ok              ok               ok           ok
//!   Idle ----------> Verify -----> Check -----> RequireRest -----> LoadEnvelope -----> Flip -----> Activate -----> Idle
//!                       |            |              |                   |               | (not for a reload)
//!                       +------------+--------------+-------------------+               v failed
//!                                         refused, nothing has changed         RestoreEnvelope -----> Idle
//! ```
//!
//! - *good*: an artifact that was in force, that is, passed every step; [`Step::Activate`] marks it. A rollback goes to the newest
//!   good one that nobody has rolled back from (the rule itself is the store's).
//! - *at rest*: no run in progress, and every arm measured, lately, to stand: [`check_rest`].

use swarm_base::Duration;

use crate::run::REST_RAD_PER_S;

/// What an operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// An archive from a path.
    Deploy,
    /// What is deployed, from the store again. Also what a restarted runtime does first.
    Reload,
    /// An artifact that was good before.
    Rollback,
}

/// One thing to do. Each either succeeds or fails with a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Signatures, hashes and version of the artifact; for a deployment, put it into the store.
    Verify,
    /// Trees, roles, policies with their golden vectors, and envelope against the cell's ceiling.
    Check,
    /// No run, and every arm stands.
    RequireRest,
    /// The safety monitor verifies the artifact itself and takes its envelope.
    LoadEnvelope,
    /// The store's pointer: atomic.
    Flip,
    /// The new skill is what the next run uses; it counts as good from now on.
    Activate,
    /// The safety monitor goes back to the envelope of what is still deployed.
    RestoreEnvelope,
}

/// The steps of a request, in their order.
pub const fn plan(request: Request) -> &'static [Step] {
    match request {
        Request::Deploy | Request::Rollback => {
            &[Step::Verify, Step::Check, Step::RequireRest, Step::LoadEnvelope, Step::Flip, Step::Activate]
        }
        Request::Reload => {
            &[Step::Verify, Step::Check, Step::RequireRest, Step::LoadEnvelope, Step::Activate]
        }
    }
}

/// What to do after a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    Do(Step),
    /// The request has been carried out.
    Done,
    /// It has not, and what was deployed still is.
    Refused(String),
}

/// One request is being carried out already.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {0} is being carried out; try again when it is done")]
pub struct Busy(&'static str);

/// The state of the deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deployment {
    stage: Stage,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Idle,
    Working {
        request: Request,
        /// Index into the plan.
        at: usize,
    },
    Restoring {
        reason: String,
    },
}

impl Request {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Deploy => "deployment",
            Self::Reload => "reload",
            Self::Rollback => "rollback",
        }
    }
}

impl Step {
    /// What the step does, for the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "verify the artifact",
            Self::Check => "check trees, roles, policies and envelope",
            Self::RequireRest => "require every arm at rest",
            Self::LoadEnvelope => "load the envelope into the safety monitor",
            Self::Flip => "make it the deployed artifact",
            Self::Activate => "activate it",
            Self::RestoreEnvelope => "restore the envelope of the deployed artifact",
        }
    }
}

impl Deployment {
    /// Nothing is being carried out: a run may start.
    pub fn is_idle(&self) -> bool {
        self.stage == Stage::Idle
    }

    /// Starts a request; the answer is its first step.
    pub fn begin(&mut self, request: Request) -> Result<Step, Busy> {
        match &self.stage {
            Stage::Idle => {
                self.stage = Stage::Working { request, at: 0 };
                Ok(plan(request)[0])
            }
            Stage::Working { request, .. } => Err(Busy(request.as_str())),
            Stage::Restoring { .. } => Err(Busy("restoration")),
        }
    }

    /// Takes in how the step that was asked for went. Every transition is here.
    pub fn report(&mut self, outcome: Result<(), String>) -> Next {
        let (stage, next) = match (std::mem::take(&mut self.stage), outcome) {
            (Stage::Working { request, at }, Ok(())) => match plan(request).get(at + 1) {
                Some(&step) => (Stage::Working { request, at: at + 1 }, Next::Do(step)),
                None => (Stage::Idle, Next::Done),
            },
            (Stage::Working { request, at }, Err(reason)) => match plan(request)[at] {
                // From here on the monitor holds an envelope that is not the deployed artifact's.
                Step::Flip => (Stage::Restoring { reason }, Next::Do(Step::RestoreEnvelope)),
                _ => (Stage::Idle, Next::Refused(reason)),
            },
            (Stage::Restoring { reason }, Ok(())) => (Stage::Idle, Next::Refused(reason)),
            (Stage::Restoring { reason }, Err(second)) => {
                let both = format!(
                    "{reason}; and the envelope of the deployed artifact could not be restored ({second}): no motion is \
                     possible until /skill_runtime/reload succeeds"
                );
                (Stage::Idle, Next::Refused(both))
            }
            (Stage::Idle, _) => (Stage::Idle, Next::Refused("nothing is being carried out".into())),
        };
        self.stage = stage;
        next
    }
}

/// What is known of an arm's motion.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmAtRest {
    pub robot: String,
    /// Age of the last joint state and its largest joint speed, rad/s; `None` if none was ever heard.
    pub joints: Option<(Duration, f64)>,
}

/// Why the cell is not at rest.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NotAtRest {
    #[error("run {0} is in progress; cancel it or wait for its end")]
    Run(String),
    #[error(
        "{robot} moves at {rad_per_s:.3} rad/s; deploying needs every arm at rest (at most {REST_RAD_PER_S} rad/s)"
    )]
    Moving { robot: String, rad_per_s: f64 },
    #[error("it is not known whether {robot} stands: no joint state has been heard")]
    Unheard { robot: String },
    #[error("it is not known whether {robot} stands: its last joint state is {:.1} s old", age.as_secs_f64())]
    Old { robot: String, age: Duration },
}

/// A joint state older than this says nothing about now.
const REST_WITHIN: Duration = Duration::from_millis(500);

/// Whether nothing moves. `run` is the trace id of a run in progress.
pub fn check_rest(run: Option<&str>, arms: &[ArmAtRest]) -> Result<(), NotAtRest> {
    if let Some(run) = run {
        return Err(NotAtRest::Run(run.to_owned()));
    }
    for arm in arms {
        let robot = arm.robot.clone();
        match arm.joints {
            None => return Err(NotAtRest::Unheard { robot }),
            Some((age, _)) if age > REST_WITHIN => return Err(NotAtRest::Old { robot, age }),
            // A speed that is not a number is no rest.
            Some((_, rad_per_s)) if rad_per_s <= REST_RAD_PER_S => {}
            Some((_, rad_per_s)) => return Err(NotAtRest::Moving { robot, rad_per_s }),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Carries a request out; the step given fails. Gives the steps that were done and the end.
    fn carry_out(request: Request, failing: &[Step]) -> (Vec<Step>, Next) {
        let mut deployment = Deployment::default();
        let mut next = Next::Do(deployment.begin(request).unwrap());
        let mut done = Vec::new();
        while let Next::Do(step) = next {
            assert!(!deployment.is_idle());
            done.push(step);
            let failed = failing.contains(&step);
            next = deployment.report(if failed { Err(format!("{step:?} failed")) } else { Ok(()) });
        }
        assert!(deployment.is_idle(), "the next request can come");
        (done, next)
    }

    #[test]
    fn every_step_is_done_in_order() {
        for request in [Request::Deploy, Request::Reload, Request::Rollback] {
            assert_eq!(carry_out(request, &[]), (plan(request).to_vec(), Next::Done));
        }
    }

    #[test]
    fn nothing_is_changed_before_everything_is_checked() {
        for request in [Request::Deploy, Request::Rollback] {
            for failing in [Step::Verify, Step::Check, Step::RequireRest, Step::LoadEnvelope] {
                let (done, next) = carry_out(request, &[failing]);
                assert!(
                    !done.contains(&Step::Flip) && !done.contains(&Step::Activate),
                    "{failing:?}: {done:?}"
                );
                assert_eq!(next, Next::Refused(format!("{failing:?} failed")));
            }
        }
    }

    #[test]
    fn the_envelope_goes_back_when_the_pointer_cannot_be_flipped() {
        let (done, next) = carry_out(Request::Deploy, &[Step::Flip]);
        assert_eq!(done.last(), Some(&Step::RestoreEnvelope));
        assert_eq!(next, Next::Refused("Flip failed".into()));
        let (_, next) = carry_out(Request::Deploy, &[Step::Flip, Step::RestoreEnvelope]);
        assert_eq!(
            next,
            Next::Refused(
                "Flip failed; and the envelope of the deployed artifact could not be restored (RestoreEnvelope failed): \
                 no motion is possible until /skill_runtime/reload succeeds"
                    .into()
            )
        );
    }

    #[test]
    fn one_request_at_a_time() {
        let mut deployment = Deployment::default();
        deployment.begin(Request::Deploy).unwrap();
        let error = deployment.begin(Request::Rollback).unwrap_err();
        assert_eq!(error.to_string(), "a deployment is being carried out; try again when it is done");
    }

    fn arm(robot: &str, age_ms: u64, rad_per_s: f64) -> ArmAtRest {
        ArmAtRest { robot: robot.into(), joints: Some((Duration::from_millis(age_ms), rad_per_s)) }
    }

    #[test]
    fn rest_is_measured_and_not_assumed() {
        let still = arm("ur5e_left", 2, 0.001);
        assert_eq!(check_rest(None, std::slice::from_ref(&still)), Ok(()));
        for (run, second, message) in [
            (Some("r7"), still.clone(), "run r7 is in progress; cancel it or wait for its end"),
            (
                None,
                arm("panda", 2, 0.2),
                "panda moves at 0.200 rad/s; deploying needs every arm at rest (at most 0.01 rad/s)",
            ),
            (
                None,
                arm("panda", 2, f64::NAN),
                "panda moves at NaN rad/s; deploying needs every arm at rest (at most 0.01 rad/s)",
            ),
            (
                None,
                arm("panda", 1_500, 0.0),
                "it is not known whether panda stands: its last joint state is 1.5 s old",
            ),
            (
                None,
                ArmAtRest { robot: "panda".into(), joints: None },
                "it is not known whether panda stands: no joint state has been heard",
            ),
        ] {
            assert_eq!(check_rest(run, &[still.clone(), second]).unwrap_err().to_string(), message);
        }
    }
}
