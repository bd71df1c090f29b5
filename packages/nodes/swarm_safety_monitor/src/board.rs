//! What the publishing thread, the services and the diagnostics share: how the gate does, and who waits for which answer.

use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use swarm_base::Duration;
use swarm_safety_core::{Config, Inputs, SafetyState};

/// Limits as the status names them.
#[derive(Clone, Debug)]
pub struct InForce {
    pub config: Arc<Config>,
    /// Skill id and version, empty for the ceiling alone.
    pub skill: String,
    /// Artifact digest, empty for the ceiling alone.
    pub artifact: String,
}

/// How the gate does, for diagnostics and the services.
#[derive(Clone, Debug)]
pub struct Status {
    pub config: Arc<Config>,
    pub state: SafetyState,
    pub inputs: Inputs,
    pub epoch: u64,
    pub cycle: u64,
    /// Every part of the set-up took, and is still there.
    pub real_time: bool,
    /// Started although some of it did not.
    pub degraded: bool,
    /// What did not take.
    pub lacks: Vec<String>,
    /// What took and has been taken away since.
    pub lost: Vec<String>,
    /// Periods that passed without a step of their own.
    pub overruns: u64,
    /// Longest time between two steps since the last look.
    pub longest_gap: Duration,
    /// Well-formed commands that were not taken.
    pub refused_commands: u64,
    pub publish_failures: u64,
    /// Cycles that found the queue to this thread full.
    pub lost_cycles: u64,
}

/// The epoch in force, and the epoch that the reset began or why it was refused.
pub type ResetAnswer = (u64, Result<u64, String>);

/// Shared by the publishing thread, the services and the diagnostics.
#[derive(Debug)]
pub struct Board {
    status: Mutex<Status>,
    /// Limits handed to the deciding thread, until newer ones are in force.
    limits: Mutex<Vec<Arc<InForce>>>,
    /// Who waits for the next answer to a reset.
    resets: Mutex<Vec<mpsc::Sender<ResetAnswer>>>,
    /// Who waits for the limits of this number to be in force, for their epoch.
    exchanges: Mutex<Vec<(u64, mpsc::Sender<u64>)>>,
}

impl Board {
    pub fn new(config: Arc<Config>, epoch: u64) -> Self {
        let in_force = InForce { config: Arc::clone(&config), skill: String::new(), artifact: String::new() };
        Self {
            status: Mutex::new(Status {
                config,
                state: SafetyState::Deny,
                inputs: Inputs::default(),
                epoch,
                cycle: 0,
                real_time: false,
                degraded: false,
                lacks: Vec::new(),
                lost: Vec::new(),
                overruns: 0,
                longest_gap: Duration::ZERO,
                refused_commands: 0,
                publish_failures: 0,
                lost_cycles: 0,
            }),
            limits: Mutex::new(vec![Arc::new(in_force)]),
            resets: Mutex::default(),
            exchanges: Mutex::default(),
        }
    }

    pub fn status(&self) -> Status {
        lock(&self.status).clone()
    }

    /// The status, starting a new longest gap.
    pub fn look(&self) -> Status {
        let mut status = lock(&self.status);
        let seen = status.clone();
        status.longest_gap = Duration::ZERO;
        seen
    }

    /// Says how the threads were set up.
    pub fn set_up(&self, lacks: Vec<String>, degraded: bool) {
        let mut status = lock(&self.status);
        status.real_time = lacks.is_empty();
        (status.lacks, status.degraded) = (lacks, degraded);
    }

    /// Says what the threads have lost of their set-up by now.
    pub(crate) fn lost(&self, lost: Vec<String>) {
        let mut status = lock(&self.status);
        status.real_time = status.lacks.is_empty() && lost.is_empty();
        status.lost = lost;
    }

    /// Announces limits before they are handed over, and waits on `reply` for their epoch.
    pub fn announce(&self, limits: InForce, reply: mpsc::Sender<u64>) {
        lock(&self.exchanges).push((limits.config.generation(), reply));
        lock(&self.limits).push(Arc::new(limits));
    }

    pub fn await_reset(&self, reply: mpsc::Sender<ResetAnswer>) {
        lock(&self.resets).push(reply);
    }

    /// The limits of that number; older ones are let go.
    pub(crate) fn limits(&self, generation: u64) -> Option<Arc<InForce>> {
        let mut limits = lock(&self.limits);
        let at = limits.iter().position(|limits| limits.config.generation() == generation)?;
        limits.drain(..at);
        limits.first().cloned()
    }

    /// Answers whoever waits for limits that are in force now.
    pub(crate) fn in_force_since(&self, generation: u64, epoch: u64) {
        lock(&self.exchanges).retain(|(awaited, reply)| {
            let waits = *awaited > generation;
            if !waits {
                // The asker may have given up waiting; the limits hold all the same.
                let _ = reply.send(epoch);
            }
            waits
        });
    }

    pub(crate) fn answer_reset(&self, answer: &ResetAnswer) {
        for reply in lock(&self.resets).drain(..) {
            // The asker may have given up waiting; the reset was carried out all the same.
            let _ = reply.send(answer.clone());
        }
    }

    /// Notes what has changed.
    pub(crate) fn note(&self, change: impl FnOnce(&mut Status)) {
        change(&mut lock(&self.status));
    }

    /// Whether the threads run in real time, and whether they may go without.
    pub(crate) fn real_time(&self) -> (bool, bool) {
        let status = lock(&self.status);
        (status.real_time, status.degraded)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every holder leaves a whole value behind at each point where it could panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
