//! Who takes part in a run, in which phases, and how patient everybody is.

use std::fmt;
use std::sync::Arc;

use swarm_base::{Duration, Role};

/// One role's part in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CooperationConfig {
    /// Trace id of the run.
    pub run: Arc<str>,
    /// Epoch in which the run begins. A run never shares it with an earlier one of the same id.
    pub epoch: u64,
    pub me: Role,
    /// Tells executors that play the same role apart: a robot that takes the role over, or the same one started again, has
    /// another number.
    pub instance: u64,
    /// All roles of the run, `me` among them.
    pub roles: Vec<Role>,
    /// Phases in the order in which they are entered.
    pub phases: Vec<Phase>,
    pub timing: Timing,
}

/// A part of a run that all roles enter together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    pub name: String,
    /// A role that stands at this barrier may be taken over by another robot: the phase is a *safe point*.
    pub takeover: bool,
}

/// Patience with the other roles. Only differences of one clock are ever compared, never times of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// An unchanged report is repeated after this time.
    pub heartbeat: Duration,
    /// Silence of a peer that makes a role hold.
    pub peer_timeout: Duration,
    /// Holding for longer than this, for whatever reason, becomes an abort.
    pub hold_timeout: Duration,
    /// Who holds a resource stands still once a peer has not confirmed any message younger than this.
    pub lease_term: Duration,
    /// Time in which an arm that is told to stand does stand.
    pub stop_margin: Duration,
    /// How wrong each clock's rate may be, in millionths.
    pub clock_drift_ppm: u32,
}

impl Phase {
    /// A phase in which no role is taken over.
    pub fn barrier(name: impl Into<String>) -> Self {
        Self { name: name.into(), takeover: false }
    }

    /// A phase at whose barrier a role may be taken over.
    pub fn safe_point(name: impl Into<String>) -> Self {
        Self { name: name.into(), takeover: true }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, if self.takeover { " (safe point)" } else { "" })
    }
}

impl Timing {
    /// Silence of a peer after which it is certain, by this role's clock, that the peer stands and uses no resource: the peer's
    /// lease term by the slowest clock allowed, measured by the fastest, and the time in which it comes to rest.
    pub fn fence(&self) -> Duration {
        let drift = u128::from(self.clock_drift_ppm.min(500_000));
        let term = u128::from(self.lease_term.0) * (1_000_000 + drift) / (1_000_000 - drift);
        Duration(u64::try_from(term).unwrap_or(u64::MAX).saturating_add(self.stop_margin.0))
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(20),
            peer_timeout: Duration::from_millis(200),
            hold_timeout: Duration::from_millis(2_000),
            lease_term: Duration::from_millis(400),
            stop_margin: Duration::from_millis(500),
            // Quartz is better than 100 ppm; this leaves room for a clock that is being steered.
            clock_drift_ppm: 10_000,
        }
    }
}
