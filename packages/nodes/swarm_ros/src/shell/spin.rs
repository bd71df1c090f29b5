//! Spinning: the middleware waited for, what comes handed to the tasks, log and diagnostics sent.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::executor::LocalPool;
use futures::task::LocalSpawnExt as _;
use r2r::rcl_interfaces::msg::Log as LogMsg;

use super::{NodeShell, ShellError};
use crate::diagnostics::Report;
use crate::lifecycle::{self, Managed};
use crate::logging::Logging;
use crate::parameters::{self, ParameterSpec};
use crate::qos;

/// Longest wait for the middleware in one turn; bounds the reaction to a shutdown request and to requests made by other threads.
pub const SPIN_PERIOD: Duration = Duration::from_millis(10);

/// As many messages of one subscription are handled at a wake: what [`qos::SENSOR_BACKLOG`] holds.
const MOST_GATHERED: usize = 10;

/// Time between two messages on `/diagnostics`.
const DIAGNOSTICS_PERIOD: Duration = Duration::from_secs(1);

impl NodeShell {
    /// Wakes for messages at most once in `time`, and then handles all that have come. A wake costs some 80 us for 60 entities
    /// whatever it finds, since `r2r` makes a new wait set for each. Not for a node whose messages stop something.
    pub fn gather(&mut self, time: Duration) {
        self.gathering = time;
    }

    /// Spins until shutdown is requested, with a managed life cycle (parameter `autostart`, default true).
    pub fn spin_managed(mut self, managed: impl Managed + 'static) -> Result<(), ShellError> {
        let autostart = self.declare(
            ParameterSpec::<bool>::new("autostart", true)
                .describe("Configure and activate at start; false where a launch file or operator does it")
                .read_only(),
        );
        self.check_parameters()?;
        let state = self.lifecycle.clone();
        let lifecycle = lifecycle::services::serve(&mut self, Box::new(managed), state)?;
        let ended = lifecycle.clone();
        let node = self.fully_qualified_name.clone();
        self.spin(
            move || {
                for (label, wanted) in [("configure", "configured"), ("activate", "activated")] {
                    if autostart.get() && lifecycle.lock().change(0, label) != Ok(true) {
                        return Err(ShellError::AutoStart { node, wanted });
                    }
                }
                Ok(())
            },
            move || ended.lock().end(),
        )
    }

    fn spin(
        mut self,
        start: impl FnOnce() -> Result<(), ShellError>,
        end: impl FnOnce(),
    ) -> Result<(), ShellError> {
        let parameters = self.parameters.clone();
        parameters::services::serve(&mut self, &parameters)?;
        self.serve_logger_levels()?;
        self.report_node();
        for name in parameters.lock().unused_overrides() {
            tracing::warn!(
                "the parameter '{name}' was given and this node does not have it; is it misspelt?"
            );
        }
        let rosout = if self.rosout { Some(self.publisher::<LogMsg>("/rosout", qos::ROSOUT)?) } else { None };
        let diagnostics = self.publisher("/diagnostics", qos::DIAGNOSTICS)?;
        let logger = self.fully_qualified_name.trim_start_matches('/').replace('/', ".");
        let flush_log = |logging: &Logging| {
            for record in logging.take_rosout() {
                // A failure cannot be logged: it would come back here.
                let _ = rosout.as_ref().map(|rosout| rosout.publish(&record.into_msg(&logger)));
            }
        };

        let mut pool = LocalPool::new();
        for task in self.tasks.drain(..) {
            // Fails only if the pool is gone.
            let _ = pool.spawner().spawn_local(task);
        }
        let started = start();
        let mut diagnostics_due = Instant::now();
        while started.is_ok() && !self.shutdown.is_requested() {
            self.node.spin_once(SPIN_PERIOD);
            let woken = Instant::now();
            pool.run_until_stalled();
            if !self.gathering.is_zero() {
                // One message of each subscription comes at a time.
                for _ in 0..MOST_GATHERED {
                    if !self.received.swap(false, Ordering::Relaxed) {
                        break;
                    }
                    self.node.spin_once(Duration::ZERO);
                    pool.run_until_stalled();
                }
            }
            flush_log(&self.logging);
            let now = Instant::now();
            if now >= diagnostics_due {
                diagnostics_due = now + DIAGNOSTICS_PERIOD;
                if let Err(error) = diagnostics.publish(&self.diagnostics.collect(&self.name)) {
                    tracing::warn!("cannot publish diagnostics: {error}");
                }
            }
            if let Some(rest) = self.gathering.checked_sub(woken.elapsed()) {
                std::thread::sleep(rest);
            }
        }
        self.shutdown.request();
        end();
        pool.run_until_stalled();
        flush_log(&self.logging);
        started
    }

    fn report_node(&self) {
        let (lifecycle, logging, started) = (self.lifecycle.clone(), self.logging.clone(), Instant::now());
        self.diagnostics.add("node", move || {
            Report::ok(lifecycle.label())
                .with("uptime_s", format!("{:.1}", started.elapsed().as_secs_f64()))
                .with("log_records_dropped", logging.rosout_dropped())
                .with("process_id", std::process::id())
        });
    }
}
