//! Everything the gate hears: messages are checked on arrival, on the middleware's threads, and their samples left in the cells
//! of [`crate::heard`].
//!
//! Commands, stops and resets wake the deciding thread; sensor values only lie ready for its next cycle. The lock here is one
//! between the threads that hear; the deciding thread never takes it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use r2r::geometry_msgs::msg::WrenchStamped;
use r2r::sensor_msgs::msg::{JointState, Range};
use r2r::swarm_msgs::msg::{GripperCommand, JointCommand};
use swarm_base::Clock as _;
use swarm_ros::stamp::to_nanos;
use swarm_rt::KernelClock;
use swarm_safety_core::ingest::Refused;
use swarm_safety_core::ingest::{
    CommandIngest, GripperIngest, JointStateIngest, Origin, PresenceIngest, Repeats, Stamp, StampRules,
    WrenchIngest,
};
use swarm_safety_core::{Config, Input, ResetRequest, RobotInputs};

use crate::heard::Mouth;

/// How far the clocks of the cell's computers may disagree, and how old a message may be when it arrives.
#[derive(Clone, Copy, Debug)]
pub struct StampTolerance {
    pub future_s: f64,
}

/// The gate's ears.
#[derive(Debug)]
pub struct Intake {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    robots: Vec<RobotIntake>,
    /// Names of the zones in which people are looked for, and the checks of their messages.
    zones: Vec<(String, PresenceIngest)>,
    mouth: Mouth,
    /// Artifact whose envelope is in force.
    loaded: Option<String>,
    /// Trace id of the newest command that names it.
    trace_id: String,
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
    pub fn new(config: &Config, flange_frames: &[String], tolerance: StampTolerance, mouth: Mouth) -> Self {
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
        let state = State { robots, zones, mouth, loaded: None, trace_id: String::new() };
        Self { state: Mutex::new(state) }
    }

    /// Joint states of one or more robots.
    pub fn joint_state(&self, message: &JointState) {
        let stamp = Self::stamp(&message.header.stamp);
        let mut state = self.lock();
        let State { robots, mouth, .. } = &mut *state;
        for (index, robot) in robots.iter_mut().enumerate() {
            let (names, values) = (&message.name, (&message.position, &message.velocity, &message.effort));
            match robot.joints.accept(names, values.0, values.1, values.2, &stamp) {
                Ok(Some(sample)) => mouth.say(|inputs| inputs.robots[index].joints = Some(sample)),
                Ok(None) => {}
                Err(refused) => mouth.refuse(index, Input::JointState, refused),
            }
        }
    }

    pub fn wrench(&self, index: usize, message: &WrenchStamped) {
        let stamp = Self::stamp(&message.header.stamp);
        let (f, t) = (&message.wrench.force, &message.wrench.torque);
        self.hear(index, Input::Wrench, |robot, _| {
            let frame = &message.header.frame_id;
            let sample = robot.wrench.accept(frame, [f.x, f.y, f.z], [t.x, t.y, t.z], &stamp)?;
            Ok(move |heard: &mut RobotInputs| heard.wrench = Some(sample))
        });
    }

    /// What a sensor that looks for people says; a message that is refused counts as somebody at its point.
    pub fn presence(&self, message: &Range) {
        let stamp = Self::stamp(&message.header.stamp);
        let mut state = self.lock();
        let State { zones, mouth, .. } = &mut *state;
        let zone = zones.iter_mut().enumerate().find(|(_, (name, _))| *name == message.header.frame_id);
        if let Some((index, (_, ingest))) = zone {
            let sample = ingest.accept(f64::from(message.range), &stamp).ok();
            mouth.say(|inputs| inputs.presence[index] = sample);
        }
    }

    pub fn command(&self, index: usize, message: &JointCommand) {
        let stamp = Self::stamp(&message.header.stamp);
        let origin = Origin {
            robot: &message.robot,
            artifact: &message.artifact,
            trace_id: &message.trace_id,
            epoch: message.epoch,
            sequence: message.sequence,
        };
        let mut of_loaded = false;
        self.hear(index, Input::Command, |robot, loaded| {
            let sample =
                robot.command.accept(&origin, &message.joint_names, &message.velocity, loaded, &stamp)?;
            of_loaded = sample.artifact_matches;
            Ok(move |heard: &mut RobotInputs| heard.command = Some(sample))
        });
        let mut state = self.lock();
        if of_loaded && state.trace_id != message.trace_id {
            state.trace_id.clone_from(&message.trace_id);
        }
    }

    /// Gripper commands name no run; that of the epoch is the only one there can be.
    pub fn gripper(&self, index: usize, message: &GripperCommand) {
        let stamp = Self::stamp(&message.header.stamp);
        let origin = Origin {
            robot: &message.robot,
            artifact: &message.artifact,
            trace_id: "",
            epoch: message.epoch,
            sequence: message.sequence,
        };
        self.hear(index, Input::GripperCommand, |robot, loaded| {
            let sample = robot.gripper.accept(&origin, message.width, message.force, loaded, &stamp)?;
            Ok(move |heard: &mut RobotInputs| heard.gripper = Some(sample))
        });
    }

    /// `/emergency_stop`, whichever subscription heard it.
    pub fn emergency_stop(&self, stop: bool) {
        self.lock().mouth.emergency_stop(stop);
    }

    /// A reset for the next step.
    pub fn reset(&self, request: ResetRequest) {
        self.lock().mouth.reset(request);
    }

    /// Whether the threads have lost the real time that the cell was armed with.
    pub fn real_time_lost(&self, lost: bool) {
        self.lock().mouth.say_now(|inputs| inputs.not_real_time = lost);
    }

    /// Names the artifact whose commands count from now on.
    pub fn loaded(&self, artifact: Option<&str>) {
        self.lock().loaded = artifact.map(str::to_owned);
    }

    /// Trace id of the newest command that came from the loaded artifact.
    pub fn trace_id(&self, into: &mut String) {
        into.clone_from(&self.lock().trace_id);
    }

    /// Checks a message of one robot and leaves its sample, or the refusal, for the deciding thread. Only wrenches may wait for
    /// its next cycle.
    fn hear<F: FnOnce(&mut RobotInputs)>(
        &self,
        index: usize,
        input: Input,
        check: impl FnOnce(&mut RobotIntake, Option<&str>) -> Result<F, Refused>,
    ) {
        let mut state = self.lock();
        let State { robots, mouth, loaded, .. } = &mut *state;
        let Some(robot) = robots.get_mut(index) else { return };
        match check(robot, loaded.as_deref()) {
            Ok(change) if input == Input::Wrench => mouth.say(|inputs| change(&mut inputs.robots[index])),
            Ok(change) => mouth.say_now(|inputs| change(&mut inputs.robots[index])),
            Err(refused) => mouth.refuse(index, input, refused),
        }
    }

    fn stamp(sent: &r2r::builtin_interfaces::msg::Time) -> Stamp {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Stamp { sent_ns: to_nanos(sent), received_ns: wall.as_nanos() as u64, arrival: KernelClock.now() }
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
    use crate::heard::{self, Ears};
    use crate::setup;

    const LEFT: usize = 0;
    const DIGEST: &str = "be3bf29f";

    fn intake() -> (Intake, Ears, Config) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../config/cell.yaml");
        let cell = CellFile::read(&path).unwrap();
        let config = setup::sources(&cell).unwrap().config(Timing::default(), Tolerances::default()).unwrap();
        let flanges: Vec<_> = cell.config.robots.iter().map(RobotConfig::flange_frame).collect();
        let (_sleeper, waker) = swarm_rt::wake::pair();
        let (mouth, ears) = heard::pair(waker);
        let intake = Intake::new(&config, &flanges, StampTolerance { future_s: 0.005 }, mouth);
        (intake, ears, config)
    }

    fn trace_id(intake: &Intake) -> String {
        let mut text = String::new();
        intake.trace_id(&mut text);
        text
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
        let (intake, mut ears, config) = intake();
        intake.joint_state(&states(&config));
        let inputs = ears.take();
        assert!(inputs.robots.iter().all(|robot| robot.joints.is_some() && robot.refused.is_none()));
    }

    #[test]
    fn a_value_that_is_no_number_concerns_its_robot_only_and_is_handed_over_once() {
        let (intake, mut ears, config) = intake();
        let mut message = states(&config);
        message.position[1] = f64::NAN;
        intake.joint_state(&message);
        let inputs = ears.take();
        let (input, refused) = inputs.robots[LEFT].refused.unwrap();
        assert_eq!((input, refused.fault), (Input::JointState, InputFault::NotFinite));
        assert!(inputs.robots[1].joints.is_some());
        assert!(ears.take().robots[LEFT].refused.is_none());
    }

    #[test]
    fn a_wrench_in_another_frame_is_refused() {
        let (intake, mut ears, _) = intake();
        let mut message = WrenchStamped::default();
        message.header.stamp = wall_now();
        message.header.frame_id = "ur5e_right_tool0".to_owned();
        intake.wrench(LEFT, &message);
        assert_eq!(ears.take().robots[LEFT].refused.unwrap().1.fault, InputFault::WrongRobot);
    }

    #[test]
    fn a_command_counts_for_the_loaded_artifact_only() {
        let (intake, mut ears, config) = intake();
        intake.command(LEFT, &command(&config));
        assert!(!ears.take().robots[LEFT].command.unwrap().artifact_matches);
        assert_eq!(trace_id(&intake), "");
        intake.loaded(Some(DIGEST));
        intake.command(LEFT, &command(&config));
        assert!(ears.take().robots[LEFT].command.unwrap().artifact_matches);
        assert_eq!(trace_id(&intake), "run_1");
    }
}
