//! The written form of limits: `safety_envelope.yaml` of an artifact and the cell's ceiling share it.
//!
//! ```yaml
//! schema: 1
//! valid: {cells: [demo_bench], until: 2027-06-30T00:00:00Z}   # of an envelope only, and optional: looked at when it is loaded
//! cell:
//!   separation: {provenance: "why these figures", min_m: 0.02, slow_m: 0.10}
//!   timeouts: {provenance: "..", joint_state_s: 0.02, wrench_s: 0.02, command_s: 0.05}
//! robots:
//!   ur5e_left:                    # name of a robot, or a role of the skill
//!     joints:
//!       provenance: ".."
//!       lower_rad: [-3.1, -3.1, -3.1, -3.1, -3.1, -3.1]   # one per joint, base to flange, or one number for all
//!       upper_rad: 3.1
//!       velocity_rad_s: 1.0
//!       acceleration_rad_s2: 5.0
//!     tcp: {provenance: "..", speed_m_s: 0.25}
//!     workspace:
//!       provenance: ".."
//!       allowed: [{min_m: [-1, -1, 0], max_m: [1, 1, 1]}]
//!       keep_out: []
//!     wrench: {provenance: "..", contact_force_n: 30, contact_torque_nm: 4, collision_force_n: 60, collision_torque_nm: 8}
//!     gripper: {provenance: "..", min_width_m: 0.0, max_width_m: 0.085, max_force_n: 40}
//! ```
//!
//! A ceiling names every field of every robot, less boxes to keep out of. An envelope names what it tightens; what it leaves
//! out is the ceiling's. So a file is judged when it is known what it is to be, and for which robots: [`EnvelopeFile::ceiling`]
//! and [`EnvelopeFile::under`] list all its mistakes at once, with line and field.

use swarm_yaml::{Cursor, Document, Mistakes};

use crate::compose::{LooserThanCeiling, compose};
use crate::envelope_reader::{FIELDS, read_envelope};
use crate::limits::Envelope;
use crate::validity::Validity;

/// A file of limits that has been found to be YAML; nothing else is known of it yet.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvelopeFile {
    document: Document,
}

/// What the reader needs to know of a robot of the cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RobotShape<'a> {
    pub name: &'a str,
    /// Role that it plays in the skill; an envelope may call it so.
    pub role: Option<&'a str>,
    pub dof: usize,
}

/// Why limits were refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EnvelopeError {
    /// Every mistake of the file.
    #[error("the limits are not usable: {0}")]
    Mistakes(Mistakes),
    #[error(transparent)]
    Looser(#[from] LooserThanCeiling),
    #[error("the envelope is for {}, and this cell is '{cell}'; package the skill with an envelope for this cell", .cells.join(", "))]
    OtherCell { cells: Vec<String>, cell: String },
    #[error(
        "the envelope was valid until {until}; have it looked at, and package the skill with a newer one"
    )]
    Expired { until: String },
}

impl EnvelopeFile {
    /// Newest schema that is understood.
    pub const SCHEMA: u64 = 1;

    /// Only a text that is not YAML is refused here.
    pub fn parse(text: &str) -> Result<Self, EnvelopeError> {
        Document::parse(text).map(|document| Self { document }).map_err(EnvelopeError::Mistakes)
    }

    /// For which cells and how long the envelope is meant; it does not change what the limits are.
    pub fn validity(&self) -> Result<Validity, EnvelopeError> {
        let valid = |at: &Cursor<'_>| {
            let [_, valid, ..] = at.fields(FIELDS)?;
            valid.optional(Validity::default(), Validity::read)
        };
        self.document.read(valid).map_err(EnvelopeError::Mistakes)
    }

    /// The cell's ceiling: every field of every robot must be there, each group with its provenance.
    pub fn ceiling(&self, robots: &[RobotShape]) -> Result<Envelope, EnvelopeError> {
        self.read(robots, None)
    }

    /// Limits in force under this envelope: what it names, tightened from `ceiling`; everything else the ceiling's.
    pub fn under(&self, ceiling: &Envelope, robots: &[RobotShape]) -> Result<Envelope, EnvelopeError> {
        let envelope = self.read(robots, Some(ceiling))?;
        let names: Vec<&str> = robots.iter().map(|robot| robot.name).collect();
        Ok(compose(ceiling, &envelope, &names)?)
    }

    fn read(&self, robots: &[RobotShape], base: Option<&Envelope>) -> Result<Envelope, EnvelopeError> {
        self.document.read(|at| read_envelope(at, robots, base)).map_err(EnvelopeError::Mistakes)
    }
}
