//! The cycle thread of one robot: decides, tells the controller, passes requests on.

use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

use r2r::Publisher;
use r2r::builtin_interfaces::msg::Duration as DurationMsg;
use r2r::std_msgs::msg::Float64MultiArray;
use r2r::trajectory_msgs::msg::{JointTrajectory, JointTrajectoryPoint};
use swarm_base::{Duration, Shutdown, Time};
use swarm_cell::{ControllerKind, DriverConfig};
use swarm_driver_core::{Doing, Output, Point, Request};
use swarm_ros::stamp::duration_msg;
use swarm_ros::{NodeShell, ShellError, qos};
use swarm_rt::{ThreadWish, prepare_thread};

use crate::shell::Shell;

/// Longest time that an ending process goes on braking the arm.
const LAST_BRAKING: Duration = Duration::from_millis(2_000);

/// Stack that is made resident.
const STACK_BYTES: usize = 256 << 10;

/// Stands that are told before an ending process is believed to have been heard.
const LAST_STANDS: u32 = 5;

/// The way to one controller.
#[derive(Debug)]
pub struct Controller {
    joints: Vec<String>,
    velocity: Option<Publisher<Float64MultiArray>>,
    trajectory: Option<Publisher<JointTrajectory>>,
}

impl Controller {
    /// `joints` are named as in `/joint_states`.
    pub fn create(
        node: &mut NodeShell,
        driver: &DriverConfig,
        joints: Vec<String>,
    ) -> Result<Self, ShellError> {
        let (mut velocity, mut trajectory) = (None, None);
        match driver.controller_kind {
            ControllerKind::ForwardVelocity => {
                velocity = Some(node.publisher(&format!("{}/commands", driver.controller), qos::COMMAND)?);
            }
            ControllerKind::JointTrajectory => {
                trajectory =
                    Some(node.publisher(&format!("{}/joint_trajectory", driver.controller), qos::COMMAND)?);
            }
        }
        Ok(Self { joints, velocity, trajectory })
    }

    fn tell(&self, output: Output) -> r2r::Result<()> {
        match (output, &self.velocity, &self.trajectory) {
            (Output::Velocity(data), Some(publisher), _) => {
                publisher.publish(&Float64MultiArray { data, ..Float64MultiArray::default() })
            }
            (Output::Trajectory(points), _, Some(publisher)) => publisher.publish(&JointTrajectory {
                // A stamp of zero: begin at once.
                joint_names: self.joints.clone(),
                points: points.into_iter().map(point_msg).collect(),
                ..JointTrajectory::default()
            }),
            _ => Ok(()),
        }
    }
}

/// What the thread works with.
#[derive(Debug)]
pub struct Cycle {
    pub robot: String,
    pub shell: Shell,
    pub controller: Controller,
    pub requests: Sender<Request>,
    pub period: Duration,
    /// Of `SCHED_FIFO`; none = the system's fair time sharing.
    pub priority: Option<u8>,
}

/// Starts the thread. After a shutdown request it goes on until the arm was told to stand.
pub fn start(cycle: Cycle, shutdown: Shutdown) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(format!("cycle {}", cycle.robot)).spawn(move || cycle.work(&shutdown))
}

impl Cycle {
    fn work(&self, shutdown: &Shutdown) {
        if let Some(priority) = self.priority {
            for lack in prepare_thread(&ThreadWish { priority, cpu: None, stack_bytes: STACK_BYTES }) {
                tracing::warn!(robot = self.robot, "the cycle is not in real time: {lack}");
            }
        }
        let mut due = self.shell.now();
        let mut before = None;
        let mut ending: Option<Time> = None;
        let mut last_stands = 0;
        let mut failing = false;
        loop {
            if shutdown.is_requested() && ending.is_none() {
                ending = Some(self.shell.now());
                self.shell.hear(|driver, _| driver.set_active(false));
            }
            let said = self.shell.cycle();
            let stands = said.output.stands();
            let told = self.controller.tell(said.output);
            if let Err(error) = &told
                && !failing
            {
                tracing::error!(robot = self.robot, "cannot tell the controller anything: {error}");
            }
            failing = told.is_err();
            for request in said.requests {
                // The acts thread ends after this one.
                let _ = self.requests.send(request);
            }
            self.log(before, said.doing);
            before = Some(said.doing);
            if let Some(since) = ending {
                last_stands += u32::from(stands);
                if last_stands >= LAST_STANDS || self.shell.now().since(since) > LAST_BRAKING {
                    return;
                }
            }
            let now = self.shell.now();
            if now >= due {
                // A cycle that comes out of turn leaves the next one's turn as it is; missed turns are not made up for.
                due = due + self.period;
                if now >= due {
                    due = now + self.period;
                }
            }
            self.shell.wait_until(due);
        }
    }

    fn log(&self, before: Option<Doing>, doing: Doing) {
        if before == Some(doing) {
            return;
        }
        match doing {
            Doing::Following => tracing::info!(robot = self.robot, "follows"),
            Doing::Standing(cause) => tracing::info!(robot = self.robot, cause = cause.code(), "stands"),
        }
    }
}

fn point_msg(point: Point) -> JointTrajectoryPoint {
    let time_from_start: DurationMsg = duration_msg(point.from_start.to_std());
    JointTrajectoryPoint {
        positions: point.position_rad,
        velocities: point.velocity_rad_s,
        time_from_start,
        ..JointTrajectoryPoint::default()
    }
}
