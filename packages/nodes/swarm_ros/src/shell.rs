//! The node with everything around it; see the crate's page for the flow.

mod log;
mod spin;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::stream::{Stream, StreamExt as _};
use r2r::{QosProfile, ServiceRequest, WrappedServiceTypeSupport, WrappedTypesupport};
use swarm_base::Shutdown;

use crate::answer;
use crate::arguments::Arguments;
use crate::diagnostics::Diagnostics;
use crate::lifecycle::LifecycleState;
use crate::logging::Logging;
use crate::parameters::{Parameter, ParameterMistakes, ParameterSpec, ParameterType, Parameters};
use crate::queue::{ArrivalCounter, CountedQueue, LossWatch};
use crate::stamp::RosClock;
use crate::{qos, signals, transport};

pub use self::spin::SPIN_PERIOD;

/// Why a node could not be made or could not run.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    #[error("cannot create the node '{name}' from its ROS environment and --ros-args: {reason}")]
    Create { name: String, reason: String },
    #[error("cannot create {what} '{name}'")]
    Entity { what: &'static str, name: String, source: r2r::Error },
    #[error(transparent)]
    Parameters(#[from] ParameterMistakes),
    #[error("cannot listen for SIGINT and SIGTERM")]
    Signals(#[source] std::io::Error),
    #[error("the node '{node}' could not be {wanted} at start; the log says why")]
    AutoStart { node: String, wanted: &'static str },
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A node while it is being put together.
pub struct NodeShell {
    node: r2r::Node,
    name: String,
    fully_qualified_name: String,
    tasks: Vec<Task>,
    parameters: Parameters,
    diagnostics: Diagnostics,
    logging: Logging,
    lifecycle: LifecycleState,
    shutdown: Shutdown,
    rosout: bool,
    /// At least so long from one wake to the next.
    gathering: Duration,
    /// Set by every message.
    received: Arc<AtomicBool>,
}

impl std::fmt::Debug for NodeShell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeShell").field("node", &self.fully_qualified_name).finish_non_exhaustive()
    }
}

impl NodeShell {
    /// Creates the node of this process from its command line, with logging and signal handling.
    pub fn create(name: &str) -> Result<Self, ShellError> {
        let arguments = Arguments::of_process();
        let failed = |reason: String| ShellError::Create { name: name.to_owned(), reason };
        let context = create_context().map_err(failed)?;
        let node = r2r::Node::create(context, name, "").map_err(|error| failed(error.to_string()))?;
        let (name, fully_qualified_name) = node
            .name()
            .and_then(|name| Ok((name, node.fully_qualified_name()?)))
            .map_err(|error| failed(error.to_string()))?;

        let overrides: Vec<_> = node
            .params
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|(name, parameter)| (name.clone(), parameter.value.clone()))
            .collect();
        let parameters = Parameters::new(overrides);
        let (logging, rosout) = log::start_logging(&arguments, &parameters);
        let shutdown = Shutdown::new();
        signals::request_shutdown_on_signals(&shutdown).map_err(ShellError::Signals)?;

        let mut shell = Self {
            node,
            name,
            fully_qualified_name,
            tasks: Vec::new(),
            parameters,
            diagnostics: Diagnostics::default(),
            logging,
            lifecycle: LifecycleState::default(),
            shutdown,
            rosout,
            gathering: Duration::ZERO,
            received: Arc::default(),
        };
        shell.use_sim_time_if_asked()?;
        Ok(shell)
    }

    /// Name without namespace, after remapping.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Name with namespace, after remapping.
    pub fn fully_qualified_name(&self) -> &str {
        &self.fully_qualified_name
    }

    /// Declares a parameter; mistakes are reported together by [`Self::check_parameters`] and at the latest when spinning.
    pub fn declare<T: ParameterType>(&self, spec: ParameterSpec<T>) -> Parameter<T> {
        self.parameters.declare(spec)
    }

    /// Reports every wrong override of what has been declared so far.
    pub fn check_parameters(&self) -> Result<(), ShellError> {
        Ok(self.parameters.check()?)
    }

    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    pub fn diagnostics(&self) -> &Diagnostics {
        &self.diagnostics
    }

    pub fn lifecycle(&self) -> LifecycleState {
        self.lifecycle.clone()
    }

    /// Requested by SIGINT and SIGTERM; requesting it ends the spin.
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    pub fn clock(&self) -> RosClock {
        RosClock::new(self.node.get_ros_clock())
    }

    /// The node itself, for entities that the shell has no short way for (actions, clients).
    pub fn node(&mut self) -> &mut r2r::Node {
        &mut self.node
    }

    pub fn publisher<T: WrappedTypesupport>(
        &mut self,
        topic: &str,
        profile: QosProfile,
    ) -> Result<r2r::Publisher<T>, ShellError> {
        self.node.create_publisher(topic, profile).map_err(entity("the publisher of", topic))
    }

    /// Calls `handler` on the spin thread for each message. Arrivals are counted in `/diagnostics`.
    pub fn subscribe<T: WrappedTypesupport + Send + 'static>(
        &mut self,
        topic: &str,
        profile: QosProfile,
        mut handler: impl FnMut(T) + Send + 'static,
    ) -> Result<(), ShellError> {
        let counter = Arc::new(Mutex::new(ArrivalCounter::default()));
        let counted = Arc::clone(&counter);
        let messages =
            self.node.subscribe::<T>(topic, profile).map_err(entity("the subscription to", topic))?;
        let received = Arc::clone(&self.received);
        self.run(messages.for_each(move |message| {
            received.store(true, Ordering::Relaxed);
            counted.lock().unwrap_or_else(PoisonError::into_inner).arrived(None);
            handler(message);
            futures::future::ready(())
        }));
        let mut watch = LossWatch::default();
        self.diagnostics.add(&format!("subscription {topic}"), move || {
            let counts = counter.lock().unwrap_or_else(PoisonError::into_inner).counts;
            watch.report(counts, Instant::now())
        });
        Ok(())
    }

    /// As [`NodeShell::subscribe`], for a type that is known by name only; messages come as JSON.
    pub fn subscribe_untyped(
        &mut self,
        topic: &str,
        message_type: &str,
        profile: QosProfile,
        mut handler: impl FnMut(serde_json::Value) + Send + 'static,
    ) -> Result<(), ShellError> {
        let messages = self
            .node
            .subscribe_untyped(topic, message_type, profile)
            .map_err(entity("the subscription to", topic))?;
        let (topic, received) = (topic.to_owned(), Arc::clone(&self.received));
        self.run(messages.for_each(move |message| {
            received.store(true, Ordering::Relaxed);
            match message {
                Ok(message) => handler(message),
                Err(error) => tracing::warn!("a message of {topic} cannot be read: {error}"),
            }
            futures::future::ready(())
        }));
        Ok(())
    }

    /// Leaves messages in a queue of `capacity` for another thread; `sequence` reads a message's own number, for counting gaps.
    pub fn subscribe_queued<T: WrappedTypesupport + Send + 'static>(
        &mut self,
        topic: &str,
        profile: QosProfile,
        capacity: usize,
        sequence: fn(&T) -> Option<u64>,
    ) -> Result<CountedQueue<T>, ShellError> {
        let queue = CountedQueue::new(capacity);
        let filled = queue.clone();
        let messages =
            self.node.subscribe::<T>(topic, profile).map_err(entity("the subscription to", topic))?;
        let received = Arc::clone(&self.received);
        self.run(messages.for_each(move |message| {
            received.store(true, Ordering::Relaxed);
            let number = sequence(&message);
            filled.push(message, number);
            futures::future::ready(())
        }));
        let (counted, mut watch) = (queue.clone(), LossWatch::default());
        let report = move || watch.report(counted.counts(), Instant::now());
        self.diagnostics.add(&format!("subscription {topic}"), report);
        Ok(queue)
    }

    /// Answers a service on the spin thread: for handlers that are done at once.
    pub fn serve<S: WrappedServiceTypeSupport + 'static>(
        &mut self,
        service: &str,
        mut handler: impl FnMut(S::Request) -> S::Response + Send + 'static,
    ) -> Result<(), ShellError>
    where
        S::Request: Clone + Send,
        S::Response: Clone + Send,
    {
        let requests = self.requests::<S>(service)?;
        let service = service.to_owned();
        self.run(requests.for_each(move |request| {
            let response = handler(request.message.clone());
            answer::respond(&service, request, response);
            futures::future::ready(())
        }));
        Ok(())
    }

    /// Answers a service on a thread of its own, one request after the other: for handlers that wait or compute.
    pub fn serve_on_thread<S: WrappedServiceTypeSupport + 'static>(
        &mut self,
        service: &str,
        mut handler: impl FnMut(S::Request) -> S::Response + Send + 'static,
    ) -> Result<(), ShellError>
    where
        S::Request: Clone + Send,
        S::Response: Clone + Send,
    {
        let mut requests = self.requests::<S>(service)?;
        let service = service.to_owned();
        std::thread::spawn(move || {
            // The stream ends when the node is dropped.
            while let Some(request) = futures::executor::block_on(requests.next()) {
                let response = handler(request.message.clone());
                answer::respond(&service, request, response);
            }
        });
        Ok(())
    }

    /// The requests of a service as a stream, for nodes with an executor of their own.
    pub fn requests<S: WrappedServiceTypeSupport + 'static>(
        &mut self,
        service: &str,
    ) -> Result<impl Stream<Item = ServiceRequest<S>> + Unpin + Send + use<S>, ShellError> {
        self.node.create_service::<S>(service, qos::SERVICE).map_err(entity("the service", service))
    }

    /// Runs a future on the spin thread.
    pub fn run(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push(Box::pin(task));
    }

    fn use_sim_time_if_asked(&mut self) -> Result<(), ShellError> {
        let use_sim_time = self.declare(
            ParameterSpec::<bool>::new("use_sim_time", false)
                .describe("Stamp messages with /clock; freshness and deadlines always go by the machine's monotonic clock")
                .read_only(),
        );
        if use_sim_time.get() {
            let source = self.node.get_time_source();
            source.enable_sim_time(&mut self.node).map_err(entity("the time source of", "/clock"))?;
        }
        Ok(())
    }
}

/// The process's ROS context, see also [`crate::transport`]. `r2r` panics on malformed ROS arguments; its words are rcl's and become the error here.
pub(crate) fn create_context() -> Result<r2r::Context, String> {
    transport::leave_shared_memory();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let created = std::panic::catch_unwind(r2r::Context::create);
    std::panic::set_hook(hook);
    match created {
        Ok(created) => created.map_err(|error| error.to_string()),
        Err(panic) => {
            Err(panic.downcast_ref::<String>().map_or("rcl_init failed", String::as_str).to_owned())
        }
    }
}

fn entity(what: &'static str, name: &str) -> impl FnOnce(r2r::Error) -> ShellError + use<> {
    let name = name.to_owned();
    move |source| ShellError::Entity { what, name, source }
}
