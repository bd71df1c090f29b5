//! The safety decision of a cell: [`step`] takes the state, this cycle's inputs and the time, and returns the next state and
//! a [`Verdict`]. It does not allocate, lock, log, block, read a clock or panic, and gives the same answer for the same
//! arguments, so that it can be replayed, explored and compared bit for bit.
//!
//! Vocabulary
//! - *ceiling*: the cell's own limits. *Envelope*: what a skill promises to keep; it can only tighten the ceiling. Both are
//!   written in the same form ([`EnvelopeFile`]) and become an [`Envelope`].
//! - *epoch*: number of the present permission to move. A reset begins a new one; commands carry the epoch they were meant for.
//! - *cause*: which check refused motion, with the measured value and its limit. The first one is kept until the reset.
//! - *permit scale*: share of the commanded speed that a robot is granted, 0 (stand still) to 1. The velocities in the verdict
//!   are already scaled.
//!
//! Flow of a cycle
//! 1. The shell turns messages into samples with [`ingest`]; what is malformed, out of order or from the future becomes a
//!    fault of that input, for the next step to stop on.
//! 2. [`step`] checks every input for age, then the measured motion, forces and distances against the limits in force.
//! 3. The state follows from the worst finding ([`SafetyState`]); a stop is latched in the same step.
//! 4. Commands of the present epoch are scaled, ramped with the acceleration limits, and the result is checked again: could
//!    the cell still stop in time from there? If not, the cell stops now.
//! 5. The verdict says what each robot is told, and how near it is to each limit.
//!
//! States: DENY at start; `reset` leads to READY, never farther; a valid command leads to RUN; RUN and SLOW differ in the
//! permit scale. STOP2 is a protective stop, STOP1 follows a fault, ESTOP follows `/emergency_stop`; each is held until a
//! reset. Every stop ramps the commanded velocity to zero and withdraws the permit at once.
//!
//! Deliberately absent: message types, threads, publishing, the black box. No safety integrity level is claimed: this is
//! software beside a hard-wired emergency-stop circuit.

mod cause;
mod checks;
mod compose;
mod config;
mod envelope_reader;
mod few;
mod file;
mod foreseen;
mod human;
pub mod ingest;
mod inputs;
#[doc(hidden)]
pub mod inspect;
mod limits;
mod motion;
mod obedience;
mod observed;
mod place_reader;
pub mod shipped;
mod state;
mod step;
mod told;
mod transition;
mod validity;
mod verdict;
pub mod wire;

pub use cause::{Cause, CauseKind, Other, Severity};
pub use compose::{LooserField, LooserThanCeiling, compose};
pub use config::{ArmConfig, Config, ConfigError, PERMIT_TIMEOUT_S, Timing, Tolerances};
pub use few::{Few, Label};
pub use file::{EnvelopeError, EnvelopeFile, RobotShape};
pub use inputs::{
    CommandSample, EmergencyStop, GripperSample, Input, InputFault, Inputs, JointSample, PresenceSample,
    ResetRequest, RobotInputs, WrenchSample,
};
pub use limits::{
    Boxes, CellLimits, Envelope, Fixture, Fixtures, GripperLimits, HumanLimits, HumanZone, JointLimits,
    MAX_BOXES, MAX_FIXTURES, MAX_ZONES, Plane, Planes, RobotLimits, WorldBox, WrenchLimits,
};
pub use state::{SafetyState, State};
pub use step::step;
pub use validity::Validity;
pub use verdict::{GripperTarget, Measures, Refusal, ResetRefusal, RobotVerdict, Verdict};

/// Most robots of one cell.
pub const MAX_ROBOTS: usize = 3;
