//! The skill runtime's services. Every wait has an end; an answer that does not come says nothing about what the runtime did, so
//! that its status is looked at afterwards.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::FutureExt as _;
use r2r::WrappedServiceTypeSupport;
use r2r::lifecycle_msgs::msg::{State, Transition};
use r2r::lifecycle_msgs::srv::{ChangeState, GetState};
use r2r::std_srvs::srv::Trigger;
use r2r::swarm_msgs::srv::{Deploy, RollbackTo};
use swarm_registry_client::bridge::{Exchange, Refused};
use swarm_ros::{NodeShell, qos};

/// A node that is there is found within this time.
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);
/// A deployment reads hundreds of megabytes, loads policies, and may wait for a run to end where the runtime is set so.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);
/// Its state is answered at once.
const STATE_TIMEOUT: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Clients of the runtime; each is used by one thread at a time.
pub struct RuntimeClients {
    deploy: Mutex<r2r::Client<Deploy::Service>>,
    rollback: Mutex<r2r::Client<Trigger::Service>>,
    rollback_to: Mutex<r2r::Client<RollbackTo::Service>>,
    change_state: Mutex<r2r::Client<ChangeState::Service>>,
    get_state: Mutex<r2r::Client<GetState::Service>>,
}

impl std::fmt::Debug for RuntimeClients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuntimeClients").finish_non_exhaustive()
    }
}

impl RuntimeClients {
    pub fn create(shell: &mut NodeShell) -> anyhow::Result<Self> {
        Ok(Self {
            deploy: client(shell, "/skill_runtime/deploy")?,
            rollback: client(shell, "/skill_runtime/rollback")?,
            rollback_to: client(shell, "/skill_runtime/rollback_to")?,
            change_state: client(shell, "/skill_runtime/change_state")?,
            get_state: client(shell, "/skill_runtime/get_state")?,
        })
    }

    pub fn rollback(&self) -> Result<String, String> {
        self.state()?;
        let request = Trigger::Request::default();
        let answer = call(&self.rollback, "/skill_runtime/rollback", &request, ANSWER_TIMEOUT)?;
        if answer.success { Ok(answer.message) } else { Err(answer.message) }
    }

    /// State of the runtime's life cycle. Asked before everything that takes longer: a runtime that was killed is offered by the
    /// middleware until its lease ends, one that was started in its place too, and what is sent meanwhile may reach neither.
    fn state(&self) -> Result<u8, String> {
        let request = GetState::Request::default();
        let answer = call(&self.get_state, "/skill_runtime/get_state", &request, STATE_TIMEOUT)?;
        Ok(answer.current_state.id)
    }
}

impl Exchange for RuntimeClients {
    fn deploy(
        &self,
        archive: &str,
        signatures: &str,
        skill: &str,
        allow_older: bool,
    ) -> Result<String, Refused> {
        let request = Deploy::Request {
            csa_path: archive.to_owned(),
            signature_path: signatures.to_owned(),
            skill_id: skill.to_owned(),
            allow_older,
        };
        let answers = self.state();
        match answers.and_then(|_| call(&self.deploy, "/skill_runtime/deploy", &request, ANSWER_TIMEOUT)) {
            Ok(answer) if answer.success => Ok(answer.message),
            Ok(answer) => Err(Refused { why: answer.message, unacceptable: answer.unacceptable }),
            Err(why) => Err(Refused { why, unacceptable: false }),
        }
    }

    fn roll_back_to(&self, version: &str) -> Result<String, String> {
        let request = RollbackTo::Request { version: version.to_owned() };
        self.state()?;
        let answer = call(&self.rollback_to, "/skill_runtime/rollback_to", &request, ANSWER_TIMEOUT)?;
        if answer.success { Ok(answer.message) } else { Err(answer.message) }
    }

    fn let_runs_begin(&self, allowed: bool) -> Result<(), String> {
        let (id, what) = if allowed {
            (Transition::TRANSITION_ACTIVATE as u8, "activated")
        } else {
            (Transition::TRANSITION_DEACTIVATE as u8, "deactivated")
        };
        // It is asked anew after every silence, and may be so already: that is no transition.
        if (self.state()? == State::PRIMARY_STATE_ACTIVE as u8) == allowed {
            return Ok(());
        }
        let request = ChangeState::Request { transition: Transition { id, label: String::new() } };
        let answer = call(&self.change_state, "/skill_runtime/change_state", &request, ANSWER_TIMEOUT)?;
        if answer.success {
            Ok(())
        } else {
            Err(format!("the skill runtime could not be {what}; its log says why"))
        }
    }
}

fn client<S: WrappedServiceTypeSupport + 'static>(
    shell: &mut NodeShell,
    service: &str,
) -> anyhow::Result<Mutex<r2r::Client<S>>> {
    let client = shell.node().create_client::<S>(service, qos::SERVICE);
    client.map(Mutex::new).with_context(|| format!("cannot make a client of {service}"))
}

fn call<S: WrappedServiceTypeSupport + 'static>(
    client: &Mutex<r2r::Client<S>>,
    service: &str,
    request: &S::Request,
    at_most: Duration,
) -> Result<S::Response, String> {
    let client = client.lock().unwrap_or_else(PoisonError::into_inner);
    let looked = |error| format!("cannot look for {service}: {error}");
    let there = || r2r::Node::is_available(&*client).map_err(looked);
    wait(there()?, SERVER_TIMEOUT, || true)
        .ok_or_else(|| format!("no node offers {service}; is the skill runtime running?"))?
        .map_err(looked)?;
    let answer = client.request(request).map_err(|error| format!("cannot call {service}: {error}"))?;
    // A runtime that is killed never answers; its service is gone after the middleware's lease.
    let mut seen = Instant::now();
    let mut looking = Box::pin(there()?);
    let still_there = || {
        if looking.as_mut().now_or_never().is_some() {
            seen = Instant::now();
            match there() {
                Ok(next) => looking = Box::pin(next),
                Err(_) => return false,
            }
        }
        seen.elapsed() < SERVER_TIMEOUT
    };
    wait(answer, at_most, still_there)
        .ok_or_else(|| format!("{service} was called and has not answered; its status says what it did"))?
        .map_err(|error| format!("cannot call {service}: {error}"))
}

/// Waits on a thread of its own for what the spin thread will fulfil.
fn wait<T>(
    future: impl Future<Output = T>,
    at_most: Duration,
    mut goes_on: impl FnMut() -> bool,
) -> Option<T> {
    let deadline = Instant::now() + at_most;
    let mut future = Box::pin(future);
    loop {
        if let Some(value) = future.as_mut().now_or_never() {
            return Some(value);
        }
        if Instant::now() >= deadline || !goes_on() {
            return None;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}
