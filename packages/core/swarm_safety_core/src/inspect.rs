//! What a [`State`] holds, to be read by whoever has to tell states apart: the exhaustive exploration of [`step`](crate::step).
//! No way to make or change one.

use swarm_base::Time;
use swarm_kinematics::{JointVector, MAX_JOINTS};

use crate::state::{RobotState, State};
use crate::{GripperTarget, MAX_ROBOTS};

/// What is kept of one robot.
#[derive(Clone, Copy, Debug)]
pub struct RobotView<'a>(&'a RobotState);

/// All robots of a state.
pub fn robots(state: &State) -> [RobotView<'_>; MAX_ROBOTS] {
    state.robots.each_ref().map(RobotView)
}

/// Since when nothing has been wrong in a protective stop.
pub fn clear_since(state: &State) -> Option<Time> {
    state.clear_since
}

impl<'a> RobotView<'a> {
    /// Velocity last sent, rad/s.
    pub fn output(self) -> &'a JointVector {
        &self.0.output
    }

    /// Last accepted wish, rad/s.
    pub fn target(self) -> &'a JointVector {
        &self.0.target
    }

    /// When that wish was sent; `None` when no run moves the robot.
    pub fn target_since(self) -> Option<Time> {
        self.0.target_since
    }

    /// Run and sequence of the newest command seen.
    pub fn seen_command(self) -> Option<(u64, u64)> {
        self.0.seen_command
    }

    /// Run and sequence of the newest command accepted.
    pub fn last_command(self) -> Option<(u64, u64)> {
        self.0.last_command
    }

    pub fn gripper(self) -> Option<GripperTarget> {
        self.0.gripper
    }

    /// Filtered measured acceleration, rad/s^2.
    pub fn acceleration(self) -> &'a JointVector {
        &self.0.acceleration
    }

    /// Lowest and highest velocity told lately, in the newer and in the older half of the time kept, rad/s.
    pub fn told(self) -> [(&'a JointVector, &'a JointVector); 2] {
        let told = &self.0.told;
        [(&told.newest.low, &told.newest.high), (&told.before.low, &told.before.high)]
    }

    /// Begin of the newer half.
    pub fn told_since(self) -> Option<Time> {
        self.0.told.since
    }

    /// When each joint last followed what it was told.
    pub fn followed(self) -> &'a [Time; MAX_JOINTS] {
        &self.0.told.followed
    }

    /// Where each joint was told to stand, rad.
    pub fn stood(self) -> &'a JointVector {
        &self.0.told.stood
    }

    /// Positions less the sum of velocities, fading, rad.
    pub fn residual(self) -> &'a JointVector {
        &self.0.told.residual
    }

    /// Since when a stop has been asking it to brake.
    pub fn stopping(self) -> Option<Time> {
        self.0.stopping
    }

    /// Since when it has been at rest in a stop.
    pub fn resting(self) -> Option<Time> {
        self.0.resting
    }
}
