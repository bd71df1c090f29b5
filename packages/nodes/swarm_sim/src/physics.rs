//! The physics thread: one control cycle after the other at the pace of the wall clock, and the orders that change what it does.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use swarm_base::{Clock, Duration, MonotonicClock, Time};
use swarm_mujoco::{CONTROL_PERIOD, Cell};
use swarm_ros::diagnostics::{Level, Report};
use swarm_rt::{ThreadWish, prepare_thread};

use crate::canvas::Canvas;
use crate::inbox::Inbox;
use crate::pace::{Due, Pace};
use crate::report::Watch;
use crate::topics::Topics;

/// How long one part of a cycle takes before it is told.
const STANDSTILL: Duration = Duration::from_millis(50);

/// Simulated time of the thread's start: what is older than the first cycle has its place on it, too, beyond every time-out.
const BEGIN: Time = Time::from_millis(10_000);

/// What of the physics thread's stack is touched beforehand.
const STACK_BYTES: usize = 256 << 10;

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
    /// Ends the thread.
    End,
}

/// How the simulation does, for diagnostics.
#[derive(Clone, Debug, Default)]
pub struct Status {
    pub running: bool,
    /// Why the physics stands although it is to run: it cannot go on from the state it is in.
    pub failed: Option<String>,
    pub cycle: u64,
    pub lag: Duration,
    pub lost: Duration,
    /// Largest wall-clock time that one cycle took to compute and publish since the last look.
    pub longest_cycle: Duration,
    pub messages_dropped: u64,
    pub publish_failures: u64,
}

/// Lag from which the diagnostics warn: ten cycles.
const WARN_LAG: Duration = Duration::from_millis(20);

impl Status {
    /// What diagnostics say.
    pub fn report(&self) -> Report {
        let report = if let Some(reason) = &self.failed {
            let mend = "/sim/reset, or cleanup and configure, begins anew";
            Report::new(Level::Error, format!("the physics failed and stands still: {reason}; {mend}"))
        } else if !self.running {
            Report::ok("paused")
        } else if self.lag > WARN_LAG {
            Report::new(Level::Warn, "slower than real time")
        } else {
            Report::ok("in time")
        };
        report
            .with("cycle", self.cycle)
            .with("lag_ms", millis(self.lag))
            .with("lost_ms", millis(self.lost))
            .with("longest_cycle_ms", millis(self.longest_cycle))
            .with("messages_dropped", self.messages_dropped)
            .with("publish_failures", self.publish_failures)
    }
}

fn millis(span: Duration) -> String {
    format!("{:.3}", span.as_secs_f64() * 1e3)
}

/// The running thread; it ends when this is dropped.
#[derive(Debug)]
pub struct Physics {
    orders: Option<Sender<Order>>,
    status: Arc<Mutex<Status>>,
    thread: Option<JoinHandle<()>>,
}

impl Physics {
    /// `clock` is the one that arrivals in `inbox` are told by. `priority` is of `SCHED_FIFO`; none = the system's fair time sharing.
    pub fn start(
        topics: Topics,
        inbox: Arc<Inbox>,
        clock: MonotonicClock,
        realtime_factor: f64,
        canvases: Vec<Canvas>,
        priority: Option<u8>,
    ) -> std::io::Result<Self> {
        let (orders, received) = mpsc::channel();
        let status = Arc::new(Mutex::new(Status::default()));
        let worker = Worker {
            topics,
            inbox,
            canvases,
            pace: Pace::new(CONTROL_PERIOD, realtime_factor, clock.now()),
            clock,
            status: Arc::clone(&status),
            simulated: BEGIN,
            cell: None,
            running: false,
            failed: None,
        };
        let thread = std::thread::Builder::new().name("physics".to_owned()).spawn(move || {
            if let Some(priority) = priority {
                run_as_a_controller(priority);
            }
            worker.work(&received);
        })?;
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
            let read = status.clone();
            status.longest_cycle = Duration::ZERO;
            read
        }
    }
}

impl Drop for Physics {
    fn drop(&mut self) {
        // Other senders live in the node's service handlers, so the thread is told and does not wait for the last of them.
        if let Some(orders) = self.orders.take() {
            let _ = orders.send(Order::End);
        }
        if let Some(thread) = self.thread.take() {
            // It looks at its orders in every cycle. A panic in it has been printed where it happened.
            let _ = thread.join();
        }
    }
}

/// An arm's controller goes on while its computer does something else, and so does the simulated one where it may.
fn run_as_a_controller(priority: u8) {
    for lack in prepare_thread(&ThreadWish { priority, cpu: None, stack_bytes: STACK_BYTES }) {
        tracing::info!("the simulation can be held up by other programs: {lack}");
    }
}

/// A cell whose sensors fall silent is stopped by its gate; whoever looks for the reason finds it here.
fn tell_standstill(woken_late: Duration, computing: Duration, publishing: Duration) {
    if woken_late.max(computing).max(publishing) >= STANDSTILL {
        let [woken_late_s, computing_s, publishing_s] =
            [woken_late, computing, publishing].map(Duration::as_secs_f64);
        tracing::warn!(woken_late_s, computing_s, publishing_s, "the simulation stood still");
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
    /// Goes on from [`BEGIN`]; a reset of the cell does not turn it back.
    simulated: Time,
    cell: Option<Loaded>,
    running: bool,
    /// Why the cell cannot go on, until it is reset or another is loaded.
    failed: Option<String>,
}

impl Worker {
    fn work(mut self, orders: &Receiver<Order>) {
        loop {
            let order = if self.running && self.failed.is_none() && self.cell.is_some() {
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
            match order {
                Some(Order::End) => return,
                Some(order) => self.obey(order),
                None => {}
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Load(cell) => {
                self.topics.describe(&cell);
                let watch = Watch::new(cell.scene().robots.len());
                self.cell = Some(Loaded { cell, watch });
                self.failed = None;
            }
            Order::Unload => (self.cell, self.failed) = (None, None),
            Order::Run => {
                self.running = true;
                self.pace.resume(self.clock.now());
            }
            Order::Pause => self.running = false,
            Order::Reset { seed, reply } => {
                // The caller may have given up; the reset is made all the same.
                let _ = reply.send(self.reset(seed));
            }
            Order::End => {} // the loop's own
        }
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.running = self.running && self.cell.is_some();
        status.failed.clone_from(&self.failed);
    }

    fn reset(&mut self, seed: u64) -> Result<(), String> {
        let Some(Loaded { cell, watch }) = &mut self.cell else {
            return Err("there is no cell to reset: configure the node first".to_owned());
        };
        // What a failed physics was about to do says nothing any more.
        if self.failed.is_none() && !watch.standing() {
            return Err(
                "an arm is commanded to move: stop it first (cancel the run, or /emergency_stop)".to_owned()
            );
        }
        cell.reset(seed);
        *watch = Watch::new(watch.drivers.len());
        if self.failed.take().is_some() {
            self.pace.resume(self.clock.now());
        }
        tracing::info!(seed, "the simulated cell is back at its start");
        Ok(())
    }

    fn cycle(&mut self) {
        let began = self.clock.now();
        self.simulated = self.simulated + CONTROL_PERIOD;
        let commands = self.inbox.take(self.simulated, began);
        let Some(Loaded { cell, watch }) = &mut self.cell else { return };
        let observation = match cell.step(&commands) {
            Ok(observation) => observation,
            Err(error) => {
                // Standing still is the safe answer: drivers and sensors fall silent, and the gate stops.
                tracing::error!("the physics failed: {error}; the simulation stands still");
                self.failed = Some(error.to_string());
                self.status.lock().unwrap_or_else(PoisonError::into_inner).failed.clone_from(&self.failed);
                return;
            }
        };
        let computed = self.clock.now();
        self.topics.publish(cell, &observation);
        for canvas in &self.canvases {
            canvas.show(&observation);
        }
        if watch.cycle(self.inbox.take_emergency_stop(), &commands, &observation.robots) {
            self.topics.report(cell.scene(), &observation, watch, &self.pace);
        }
        let done = self.clock.now();
        let took = done - began;
        tell_standstill(self.pace.lag(), computed - began, done - computed);
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.cycle = observation.cycle;
        status.lag = self.pace.lag();
        status.lost = self.pace.lost();
        status.longest_cycle = status.longest_cycle.max(took);
        status.messages_dropped = self.inbox.dropped();
        status.publish_failures = self.topics.failures();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_physics_that_failed_is_an_error_and_not_in_time() {
        let good = Status { running: true, cycle: 500, ..Status::default() };
        assert_eq!((good.report().level, good.report().message.as_str()), (Level::Ok, "in time"));
        let late = Status { lag: Duration::from_millis(21), ..good.clone() };
        assert_eq!(late.report().level, Level::Warn);
        let failed = Status { failed: Some("a velocity is not finite".to_owned()), ..good };
        assert_eq!(failed.report().level, Level::Error);
        assert!(failed.report().message.contains("stands still: a velocity is not finite; /sim/reset"));
    }
}
