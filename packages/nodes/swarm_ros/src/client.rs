//! Calling services from short-lived operator commands: one node, one thread, every wait with an end.

use std::time::{Duration, Instant};

use futures::FutureExt as _;
use r2r::WrappedServiceTypeSupport;

use crate::qos;
use crate::shell::create_context;

/// Longest wait for the middleware in one turn.
const TURN: Duration = Duration::from_millis(5);

/// A server that has not been there for this long is gone. (One that was killed is believed to be there for the middleware's
/// lease, 20 s with Fast DDS.)
const GONE_AFTER: Duration = Duration::from_secs(1);

/// Why a call had no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("no node offers the service '{service}' (waited {} s); is the node running, and is ROS_DOMAIN_ID the same?", waited.as_secs_f64())]
    NoServer { service: String, waited: Duration },
    #[error("the service '{service}' was called and has not answered within {} s", waited.as_secs_f64())]
    NoAnswer { service: String, waited: Duration },
    #[error(
        "the node that offers the service '{service}' went away before it answered; whether it did what it was asked is not known: \
         look at its state before calling it again"
    )]
    ServerGone { service: String },
    #[error("cannot create a node from its ROS environment and --ros-args: {0}")]
    Context(String),
    #[error("cannot {what}")]
    Ros { what: String, source: r2r::Error },
}

/// The node of an operator command, e.g. `ros2 run swarm_safety_monitor reset_safety`.
pub struct CommandNode {
    pub node: r2r::Node,
}

impl std::fmt::Debug for CommandNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommandNode").finish_non_exhaustive()
    }
}

impl CommandNode {
    /// A node named `<name>_<process id>`, so that several may run at once.
    pub fn create(name: &str) -> Result<Self, CallError> {
        let name = format!("{name}_{}", std::process::id());
        let context = create_context().map_err(CallError::Context)?;
        let node = r2r::Node::create(context, &name, "")
            .map_err(|source| CallError::Ros { what: format!("create the node '{name}'"), source })?;
        Ok(Self { node })
    }

    /// Spins until `done` gives a value or `timeout` has passed.
    pub fn wait_for<T>(
        &mut self,
        timeout: Duration,
        mut done: impl FnMut(&mut r2r::Node) -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(value) = done(&mut self.node) {
                return Some(value);
            }
            if Instant::now() >= deadline {
                return None;
            }
            self.node.spin_once(TURN);
        }
    }

    /// Calls a service once it is there.
    pub fn call<S: WrappedServiceTypeSupport + 'static>(
        &mut self,
        service: &str,
        request: &S::Request,
        server_timeout: Duration,
        answer_timeout: Duration,
    ) -> Result<S::Response, CallError> {
        let ros = |what: &str| {
            let what = format!("{what} the service '{service}'");
            move |source| CallError::Ros { what, source }
        };
        let client = self.node.create_client::<S>(service, qos::SERVICE).map_err(ros("make a client of"))?;
        let mut available = Box::pin(r2r::Node::is_available(&client).map_err(ros("look for"))?);
        self.wait_for(server_timeout, |_| available.as_mut().now_or_never())
            .ok_or_else(|| CallError::NoServer { service: service.to_owned(), waited: server_timeout })?
            .map_err(ros("look for"))?;
        let mut answer = Box::pin(client.request(request).map_err(ros("call"))?);
        let mut seen = Instant::now();
        let mut there = None;
        self.wait_for(answer_timeout, |_| {
            if let Some(answer) = answer.as_mut().now_or_never() {
                return Some(answer.map_err(ros("call")));
            }
            if there.is_none() {
                match r2r::Node::is_available(&client) {
                    Ok(available) => there = Some(Box::pin(available)),
                    Err(error) => return Some(Err(ros("look for")(error))),
                }
            }
            if there.as_mut().is_some_and(|available| available.as_mut().now_or_never().is_some()) {
                seen = Instant::now();
                there = None;
            }
            (seen.elapsed() > GONE_AFTER).then(|| Err(CallError::ServerGone { service: service.to_owned() }))
        })
        .ok_or_else(|| CallError::NoAnswer { service: service.to_owned(), waited: answer_timeout })?
    }
}
