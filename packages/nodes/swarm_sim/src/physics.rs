//! The physics thread: one control cycle after the other at the pace of the wall clock, and the orders that change what it does.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use swarm_base::{Clock, Duration, MonotonicClock, Time};
use swarm_mujoco::{CONTROL_PERIOD, Cell, SimError};

use crate::canvas::Canvas;
use crate::inbox::Inbox;
use crate::pace::{Due, Pace};
use crate::report::Watch;
use crate::topics::Topics;

/// What the physics thread is told to do.
#[derive(Debug)]
pub enum Order {
    /// Takes a new cell; it stands still until [`Order::Run`].
    Load(Box<Cell>),
    Run,
    Pause,
    /// Drops the cell.
    Unload,
    /// Back to the initial state with the parts where `seed` puts them.
    Reset {
        seed: u64,
        reply: Sender<Result<(), String>>,
    },
}

/// How the simulation does, for diagnostics.
#[derive(Clone, Copy, Debug, Default)]
pub struct Status {
    pub running: bool,
    pub cycle: u64,
    pub lag: Duration,
    pub lost: Duration,
    /// Largest wall-clock time that one cycle took to compute and publish since the last look.
    pub longest_cycle: Duration,
    pub messages_dropped: u64,
    pub publish_failures: u64,
}

/// The running thread; it ends when this is dropped.
#[derive(Debug)]
pub struct Physics {
    orders: Option<Sender<Order>>,
    status: Arc<Mutex<Status>>,
    thread: Option<JoinHandle<()>>,
}

impl Physics {
    pub fn start(
        topics: Topics,
        inbox: Arc<Inbox>,
        realtime_factor: f64,
        canvases: Vec<Canvas>,
    ) -> std::io::Result<Self> {
        let (orders, received) = mpsc::channel();
        let status = Arc::new(Mutex::new(Status::default()));
        let clock = MonotonicClock::new();
        let worker = Worker {
            topics,
            inbox,
            canvases,
            pace: Pace::new(CONTROL_PERIOD, realtime_factor, clock.now()),
            clock,
            status: Arc::clone(&status),
            simulated: Time::ZERO,
            cell: None,
            running: false,
        };
        let thread =
            std::thread::Builder::new().name("physics".to_owned()).spawn(move || worker.work(&received))?;
        Ok(Self { orders: Some(orders), status, thread: Some(thread) })
    }

    /// Where orders go.
    pub fn orders(&self) -> Sender<Order> {
        self.orders.clone().expect("present until dropped")
    }

    /// Reads the status; each look starts a new longest cycle.
    pub fn status(&self) -> impl FnMut() -> Status + Send + use<> {
        let status = Arc::clone(&self.status);
        move || {
            let mut status = status.lock().unwrap_or_else(PoisonError::into_inner);
            let read = *status;
            status.longest_cycle = Duration::ZERO;
            read
        }
    }
}

impl Drop for Physics {
    fn drop(&mut self) {
        // Other senders live in the node's service handlers, which are gone or going: an explicit end does not wait for them.
        if let Some(orders) = self.orders.take() {
            let _ = orders.send(Order::Unload);
        }
        if let Some(thread) = self.thread.take()
            && thread.is_finished()
        {
            // A panic in the thread has been printed where it happened.
            let _ = thread.join();
        }
    }
}

struct Loaded {
    cell: Box<Cell>,
    watch: Watch,
}

struct Worker {
    topics: Topics,
    inbox: Arc<Inbox>,
    /// Where pictures of the run are drawn.
    canvases: Vec<Canvas>,
    pace: Pace,
    clock: MonotonicClock,
    status: Arc<Mutex<Status>>,
    /// Simulated time since the thread's start; a reset of the cell does not turn it back.
    simulated: Time,
    cell: Option<Loaded>,
    running: bool,
}

impl Worker {
    fn work(mut self, orders: &Receiver<Order>) {
        loop {
            let order = if self.running && self.cell.is_some() {
                match self.pace.next(self.clock.now()) {
                    Due::Now => {
                        self.cycle();
                        orders.try_recv().ok()
                    }
                    Due::In(wait) => match orders.recv_timeout(wait.to_std()) {
                        Ok(order) => Some(order),
                        Err(RecvTimeoutError::Timeout) => None,
                        Err(RecvTimeoutError::Disconnected) => return,
                    },
                }
            } else {
                match orders.recv() {
                    Ok(order) => Some(order),
                    Err(_) => return,
                }
            };
            if let Some(order) = order {
                self.obey(order);
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Load(cell) => {
                self.topics.describe(&cell);
                let watch = Watch::new(cell.scene().robots.len());
                self.cell = Some(Loaded { cell, watch });
            }
            Order::Unload => self.cell = None,
            Order::Run => {
                self.running = true;
                self.pace.resume(self.clock.now());
            }
            Order::Pause => self.running = false,
            Order::Reset { seed, reply } => {
                // The caller may have given up; the reset is made all the same.
                let _ = reply.send(self.reset(seed));
            }
        }
        self.status.lock().unwrap_or_else(PoisonError::into_inner).running =
            self.running && self.cell.is_some();
    }

    fn reset(&mut self, seed: u64) -> Result<(), String> {
        let Some(Loaded { cell, watch }) = &mut self.cell else {
            return Err("there is no cell to reset: configure the node first".to_owned());
        };
        if !watch.standing() {
            return Err(
                "an arm is commanded to move: stop it first (cancel the run, or /emergency_stop)".to_owned()
            );
        }
        cell.reset(seed);
        *watch = Watch::new(watch.drivers.len());
        tracing::info!(seed, "the simulated cell is back at its start");
        Ok(())
    }

    fn cycle(&mut self) {
        let began = self.clock.now();
        self.simulated = self.simulated + CONTROL_PERIOD;
        let commands = self.inbox.take(self.simulated);
        let Some(Loaded { cell, watch }) = &mut self.cell else { return };
        let observation = match cell.step(&commands) {
            Ok(observation) => observation,
            Err(error @ SimError::Robots { .. }) => {
                // Cannot happen: inbox and cell are made from one declaration. Standing still is the safe answer.
                tracing::error!("{error}; the simulation stands still");
                self.running = false;
                return;
            }
            Err(error) => {
                tracing::error!("the physics failed: {error}; the simulation stands still");
                self.running = false;
                return;
            }
        };
        self.topics.publish(cell, &observation);
        for canvas in &self.canvases {
            canvas.show(&observation);
        }
        if watch.cycle(self.inbox.take_emergency_stop(), &commands, &observation.robots) {
            self.topics.report(cell.scene(), &observation, watch, &self.pace);
        }
        let took = self.clock.now() - began;
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.cycle = observation.cycle;
        status.lag = self.pace.lag();
        status.lost = self.pace.lost();
        status.longest_cycle = status.longest_cycle.max(took);
        status.messages_dropped = self.inbox.dropped();
        status.publish_failures = self.topics.failures();
    }
}
