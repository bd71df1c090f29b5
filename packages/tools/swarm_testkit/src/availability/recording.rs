//! What the demo skill really does: the streams of one lock-step run, as the gate heard them and as it answered.

use swarm_kinematics::JointVector;
use swarm_safety_core::{GripperSample, Inputs, MAX_ROBOTS, Verdict, WrenchSample};

use crate::lockstep::Bystander;

/// One robot in one cycle of the lock-step cell.
#[derive(Clone, Debug)]
pub struct Robot {
    /// As measured at the beginning of the cycle: rad, rad/s, N m.
    pub q: JointVector,
    pub qd: JointVector,
    pub effort: JointVector,
    /// N and N m, flange axes.
    pub wrench: [f64; 6],
    /// What the gate granted for the cycle, rad/s.
    pub granted: JointVector,
    /// A command that came in this cycle, rad/s.
    pub wish: Option<JointVector>,
    /// A gripper command that came in this cycle: m, N.
    pub gripper: Option<(f64, f64)>,
}

/// All robots in one cycle.
pub type Moment = [Robot; MAX_ROBOTS];

/// Writes down a run from the reset on; the cell has [`MAX_ROBOTS`] robots.
#[derive(Debug, Default)]
pub struct Recorder {
    pub moments: Vec<Moment>,
    ready: bool,
    commands: [Option<(u64, u64)>; MAX_ROBOTS],
    grippers: [Option<GripperSample>; MAX_ROBOTS],
}

impl Bystander for Recorder {
    fn after(&mut self, inputs: &Inputs, verdict: &Verdict) {
        if !self.ready {
            self.ready = matches!(verdict.reset, Some(Ok(_)));
            return;
        }
        self.moments.push(std::array::from_fn(|i| {
            let heard = &inputs.robots[i];
            let command = heard.command.map(|command| (command.run, command.sequence));
            let new_command = command != std::mem::replace(&mut self.commands[i], command);
            let new_gripper = heard.gripper != std::mem::replace(&mut self.grippers[i], heard.gripper);
            let zero = JointVector::zeros();
            let joints = heard.joints.map_or((zero, zero, zero), |joints| {
                (joints.q, joints.qd, joints.effort.unwrap_or_default())
            });
            Robot {
                q: joints.0,
                qd: joints.1,
                effort: joints.2,
                wrench: heard.wrench.map_or([0.0; 6], |wrench| six(&wrench)),
                granted: verdict.robots[i].velocity,
                wish: heard.command.filter(|_| new_command).map(|command| command.velocity),
                gripper: heard
                    .gripper
                    .filter(|_| new_gripper)
                    .map(|gripper| (gripper.width_m, gripper.force_n)),
            }
        }));
    }
}

fn six(wrench: &WrenchSample) -> [f64; 6] {
    let (f, t) = (wrench.force, wrench.torque);
    [f.x, f.y, f.z, t.x, t.y, t.z]
}
