//! Everything the gate hears, from the middleware's threads to the deciding thread.
//!
//! Messages are checked on arrival, under one short lock. Commands, stops and resets wake the deciding thread; sensor values
//! only lie ready for its next cycle.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration as StdDuration, Instant, SystemTime, UNIX_EPOCH};

use r2r::geometry_msgs::msg::WrenchStamped;
use r2r::sensor_msgs::msg::{JointState, Range};
use r2r::swarm_msgs::msg::{GripperCommand, JointCommand};
use swarm_base::{Clock, MonotonicClock};
use swarm_ros::stamp::to_nanos;
use swarm_safety_core::ingest::{
    CommandIngest, GripperIngest, JointStateIngest, Origin, PresenceIngest, Repeats, Stamp, StampRules,
    WrenchIngest,
};
use swarm_safety_core::{Config, Input, Inputs, ResetRequest, RobotInputs};

/// How far the clocks of the cell's computers may disagree, and how old a message may be when it arrives.
#[derive(Clone, Copy, Debug)]
pub struct StampTolerance {
    pub future_s: f64,
}

/// The gate's ears.
#[derive(Debug)]
pub struct Intake {
    clock: MonotonicClock,
    state: Mutex<State>,
    woken: Condvar,
}

#[derive(Debug)]
struct State {
    robots: Vec<RobotIntake>,
    /// Names of the zones in which people are looked for, and the checks of their messages.
    zones: Vec<(String, PresenceIngest)>,
    inputs: Inputs,
    /// Artifact whose envelope is in force.
    loaded: Option<String>,
    /// Trace id of the newest command that names it.
    trace_id: String,
    wake: bool,
}

/// The checks of one robot's topics.
#[derive(Debug)]
struct RobotIntake {
    joints: JointStateIngest,
    wrench: WrenchIngest,
    command: CommandIngest,
    gripper: GripperIngest,
}

impl Intake {
    /// `flange_frames` are the frames in which the robots' wrenches must be given.
    pub fn new(
        config: &Config,
        flange_frames: &[String],
        tolerance: StampTolerance,
        clock: MonotonicClock,
    ) -> Self {
        let cell = &config.ceiling().cell;
        let rules = |timeout_s: f64, repeats| StampRules {
            future_tolerance_s: tolerance.future_s,
            max_age_s: timeout_s + tolerance.future_s,
            repeats,
        };
        let robots = config
            .arms()
            .iter()
            .zip(flange_frames)
            .map(|(arm, flange)| {
                let commands = rules(cell.command_timeout_s, Repeats::Allowed);
                RobotIntake {
                    joints: JointStateIngest::new(
                        &arm.model,
                        rules(cell.joint_state_timeout_s, Repeats::Refused),
                    ),
                    wrench: WrenchIngest::new(flange, rules(cell.wrench_timeout_s, Repeats::Refused)),
                    command: CommandIngest::new(&arm.name, &arm.model, commands),
                    gripper: GripperIngest::new(&arm.name, commands),
                }
            })
            .collect();
        let humans = &config.ceiling().humans;
        let presence = rules(humans.timeout_s, Repeats::Refused);
        let zones = humans.zones.as_slice().iter();
        let zones =
            zones.map(|zone| (zone.name.as_str().to_owned(), PresenceIngest::new(presence))).collect();
        let state = State {
            robots,
            zones,
            inputs: Inputs::default(),
            loaded: None,
            trace_id: String::new(),
            wake: false,
        };
        Self { clock, state: Mutex::new(state), woken: Condvar::new() }
    }

    /// Joint states of one or more robots.
    pub fn joint_state(&self, message: &JointState) {
        let stamp = self.stamp(&message.header.stamp);
        let mut state = self.lock();
        let State { robots, inputs, .. } = &mut *state;
        for (robot, heard) in robots.iter_mut().zip(&mut inputs.robots) {
            match robot.joints.accept(
                &message.name,
                &message.position,
                &message.velocity,
                &message.effort,
                &stamp,
            ) {
                Ok(Some(sample)) => heard.joints = Some(sample),
                Ok(None) => {}
                Err(refused) => heard.refuse(Input::JointState, refused),
            }
        }
    }

    pub fn wrench(&self, index: usize, message: &WrenchStamped) {
        let stamp = self.stamp(&message.header.stamp);
        let (f, t) = (&message.wrench.force, &message.wrench.torque);
        self.robot(index, |robot, heard, _| {
            match robot.wrench.accept(&message.header.frame_id, [f.x, f.y, f.z], [t.x, t.y, t.z], &stamp) {
                Ok(sample) => heard.wrench = Some(sample),
                Err(refused) => heard.refuse(Input::Wrench, refused),
            }
        });
    }

    /// What a sensor that looks for people says; a message that is refused counts as somebody at its point.
    pub fn presence(&self, message: &Range) {
        let stamp = self.stamp(&message.header.stamp);
        let mut state = self.lock();
        let State { zones, inputs, .. } = &mut *state;
        let zone = zones.iter_mut().zip(&mut inputs.presence);
        if let Some(((_, ingest), heard)) =
            zone.into_iter().find(|((name, _), _)| *name == message.header.frame_id)
        {
            *heard = ingest.accept(f64::from(message.range), &stamp).ok();
        }
    }

    pub fn command(&self, index: usize, message: &JointCommand) {
        let stamp = self.stamp(&message.header.stamp);
        let origin = Origin {
            robot: &message.robot,
            artifact: &message.artifact,
            trace_id: &message.trace_id,
            epoch: message.epoch,
            sequence: message.sequence,
        };
        let mut of_loaded = false;
        self.robot(index, |robot, heard, loaded| {
            match robot.command.accept(&origin, &message.joint_names, &message.velocity, loaded, &stamp) {
                Ok(sample) => {
                    of_loaded = sample.artifact_matches;
                    heard.command = Some(sample);
                }
                Err(refused) => heard.refuse(Input::Command, refused),
            }
        });
        let mut state = self.lock();
        if of_loaded && state.trace_id != message.trace_id {
            state.trace_id.clone_from(&message.trace_id);
        }
        self.wake(&mut state);
    }

    /// Gripper commands name no run; that of the epoch is the only one there can be.
    pub fn gripper(&self, index: usize, message: &GripperCommand) {
        let stamp = self.stamp(&message.header.stamp);
        let origin = Origin {
            robot: &message.robot,
            artifact: &message.artifact,
            trace_id: "",
            epoch: message.epoch,
            sequence: message.sequence,
        };
        self.robot(index, |robot, heard, loaded| {
            match robot.gripper.accept(&origin, message.width, message.force, loaded, &stamp) {
                Ok(sample) => heard.gripper = Some(sample),
                Err(refused) => heard.refuse(Input::GripperCommand, refused),
            }
        });
        self.wake(&mut self.lock());
    }

    /// `/emergency_stop`, whichever subscription heard it.
    pub fn emergency_stop(&self, stop: bool) {
        let mut state = self.lock();
        state.inputs.hear_emergency_stop(stop);
        self.wake(&mut state);
    }

    /// A reset for the next step.
    pub fn reset(&self, request: ResetRequest) {
        let mut state = self.lock();
        state.inputs.reset = Some(request);
        self.wake(&mut state);
    }

    /// Names the artifact whose envelope is in force from the next step on.
    pub fn loaded(&self, artifact: Option<&str>) {
        let mut state = self.lock();
        state.loaded = artifact.map(str::to_owned);
        self.wake(&mut state);
    }

    /// Wakes the deciding thread for something that it will find elsewhere.
    pub fn poke(&self) {
        self.wake(&mut self.lock());
    }

    /// Waits until something urgent has arrived or `timeout` has passed.
    pub fn wait(&self, timeout: StdDuration) {
        let deadline = Instant::now() + timeout;
        let mut state = self.lock();
        while !state.wake {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { break };
            state = self.woken.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.wake = false;
    }

    /// What has been heard; events are handed over once.
    pub fn take(&self) -> Inputs {
        let mut state = self.lock();
        let inputs = state.inputs;
        state.inputs.forget_events();
        inputs
    }

    /// Trace id of the newest command that came from the loaded artifact.
    pub fn trace_id(&self) -> String {
        self.lock().trace_id.clone()
    }

    fn robot(&self, index: usize, hear: impl FnOnce(&mut RobotIntake, &mut RobotInputs, Option<&str>)) {
        let mut state = self.lock();
        let State { robots, inputs, loaded, .. } = &mut *state;
        if let (Some(robot), Some(heard)) = (robots.get_mut(index), inputs.robots.get_mut(index)) {
            hear(robot, heard, loaded.as_deref());
        }
    }

    fn stamp(&self, sent: &r2r::builtin_interfaces::msg::Time) -> Stamp {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Stamp { sent_ns: to_nanos(sent), received_ns: wall.as_nanos() as u64, arrival: self.clock.now() }
    }

    fn wake(&self, state: &mut MutexGuard<'_, State>) {
        state.wake = true;
        self.woken.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each handler leaves the state consistent at every point where it could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use swarm_cell::RobotConfig;
    use swarm_ros::CellFile;
    use swarm_ros::stamp::wall_now;
    use swarm_safety_core::{InputFault, Timing, Tolerances};

    use super::*;
    use crate::setup;

    const LEFT: usize = 0;
    const DIGEST: &str = "be3bf29f";

    fn intake() -> (Intake, Config) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../config/cell.yaml");
        let cell = CellFile::read(&path).unwrap();
        let config = setup::sources(&cell).unwrap().config(Timing::default(), Tolerances::default()).unwrap();
        let flanges: Vec<_> = cell.config.robots.iter().map(RobotConfig::flange_frame).collect();
        let intake =
            Intake::new(&config, &flanges, StampTolerance { future_s: 0.005 }, MonotonicClock::new());
        (intake, config)
    }

    fn states(config: &Config) -> JointState {
        let mut message = JointState::default();
        message.header.stamp = wall_now();
        message.name.push("a_finger_of_some_gripper".to_owned());
        for arm in config.arms() {
            message.name.extend(arm.model.joints().iter().map(|joint| joint.name.clone()));
        }
        message.position = vec![0.5; message.name.len()];
        message.velocity = vec![0.0; message.name.len()];
        message.effort = vec![0.0; message.name.len()];
        message
    }

    fn command(config: &Config) -> JointCommand {
        let arm = &config.arms()[LEFT];
        let mut message = JointCommand {
            robot: arm.name.clone(),
            joint_names: arm.model.joints().iter().map(|joint| joint.name.clone()).collect(),
            velocity: vec![0.1; arm.model.dof()],
            artifact: DIGEST.to_owned(),
            trace_id: "run_1".to_owned(),
            ..JointCommand::default()
        };
        message.header.stamp = wall_now();
        message
    }

    #[test]
    fn one_joint_state_message_serves_every_robot_and_strangers_are_passed_over() {
        let (intake, config) = intake();
        intake.joint_state(&states(&config));
        let inputs = intake.take();
        assert!(inputs.robots.iter().all(|robot| robot.joints.is_some() && robot.refused.is_none()));
    }

    #[test]
    fn a_value_that_is_no_number_concerns_its_robot_only_and_is_handed_over_once() {
        let (intake, config) = intake();
        let mut message = states(&config);
        message.position[1] = f64::NAN;
        intake.joint_state(&message);
        let inputs = intake.take();
        let (input, refused) = inputs.robots[LEFT].refused.unwrap();
        assert_eq!((input, refused.fault), (Input::JointState, InputFault::NotFinite));
        assert!(inputs.robots[1].joints.is_some());
        assert!(intake.take().robots[LEFT].refused.is_none());
    }

    #[test]
    fn a_wrench_in_another_frame_is_refused() {
        let (intake, _) = intake();
        let mut message = WrenchStamped::default();
        message.header.stamp = wall_now();
        message.header.frame_id = "ur5e_right_tool0".to_owned();
        intake.wrench(LEFT, &message);
        assert_eq!(intake.take().robots[LEFT].refused.unwrap().1.fault, InputFault::WrongRobot);
    }

    #[test]
    fn a_command_counts_for_the_loaded_artifact_only() {
        let (intake, config) = intake();
        intake.command(LEFT, &command(&config));
        assert!(!intake.take().robots[LEFT].command.unwrap().artifact_matches);
        assert_eq!(intake.trace_id(), "");
        intake.loaded(Some(DIGEST));
        intake.command(LEFT, &command(&config));
        assert!(intake.take().robots[LEFT].command.unwrap().artifact_matches);
        assert_eq!(intake.trace_id(), "run_1");
    }

    #[test]
    fn sensors_do_not_wake_the_deciding_thread_and_a_stop_does() {
        let (intake, config) = intake();
        let waited = |limit: StdDuration| {
            let began = Instant::now();
            intake.wait(limit);
            began.elapsed()
        };
        intake.joint_state(&states(&config));
        let limit = StdDuration::from_millis(20);
        assert!(waited(limit) >= limit);
        intake.emergency_stop(true);
        let long = StdDuration::from_secs(30);
        assert!(waited(long) < long);
    }

    #[test]
    fn a_stop_that_is_taken_back_at_once_still_counts() {
        let (intake, _) = intake();
        intake.emergency_stop(true);
        intake.emergency_stop(false);
        let stop = intake.take().emergency_stop;
        assert!(stop.pressed && !stop.held);
        assert!(!intake.take().emergency_stop.pressed);
    }
}
