//! A black box as a rosbag2 bag: what was heard and said, on the topics on which the cell hears and says it.

use std::path::Path;

use swarm_bag::msg::{
    Bool, Float64MultiArray, GripperCommand, Header as MsgHeader, JointCommand, JointState, Message, Range,
    SafetyStatus, Time as MsgTime, Vector3, Wrench, WrenchStamped,
};
use swarm_bag::{BagWriter, Qos, Topic, TopicId, WriteOptions};
use swarm_black_box::{Cycle, Limits, Record};
use swarm_safety_core::{Config, MAX_ROBOTS, MAX_ZONES, PresenceSample, RobotInputs};

use crate::box_files::BoxFile;
use crate::box_walk::{Context, starts, unix_ns, walk};
use crate::status::{number_of, robot_safety, run_text, trace_id};

/// Statuses come at every change, else this often, as from the monitor.
const STATUS_PERIOD_NS: u64 = 20_000_000;

/// How much was written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Exported {
    pub messages: u64,
    pub cycles: u64,
}

/// Writes all cycles of the files, oldest first, into a new bag; after an error there is none. The files may be of several starts of
/// the monitor, also of cells that differ.
pub(crate) fn export(files: Vec<BoxFile>, out: &Path) -> anyhow::Result<Exported> {
    let starts = starts(files)?;
    let (_, done) = BagWriter::make(out, WriteOptions::default(), |bag| {
        let mut exporter = Exporter { bag, start: None, stop: false, done: Exported::default() };
        for files in starts {
            exporter.start = None;
            walk(&files, |context, record| exporter.record(context, record))?;
        }
        anyhow::Ok(exporter.done)
    })?;
    Ok(done)
}

struct Exporter<'a> {
    bag: &'a mut BagWriter,
    /// What is being written of; none before its first record.
    start: Option<Start>,
    /// What /emergency_stop said last.
    stop: bool,
    done: Exported,
}

/// One start of the monitor.
struct Start {
    topics: Topics,
    flanges: Vec<String>,
    before: Before,
}

struct Topics {
    joints: TopicId,
    status: TopicId,
    stop: TopicId,
    /// Only of a cell that looks for people.
    presence: Option<TopicId>,
    robots: Vec<RobotTopics>,
}

#[derive(Clone, Copy)]
struct RobotTopics {
    wrench: TopicId,
    wish: TopicId,
    told: TopicId,
    grip_wish: TopicId,
    grip_told: TopicId,
}

/// What was written last, so that a sample that stays is one message.
#[derive(Default)]
struct Before {
    robots: [RobotInputs; MAX_ROBOTS],
    presence: [Option<PresenceSample>; MAX_ZONES],
    /// Gripper commands sent so far, as the monitor counts them.
    grip_sequence: [u64; MAX_ROBOTS],
    /// Epoch that the last reset began; 0 before one was recorded.
    reset_epoch: u64,
    status_ns: Option<u64>,
}

impl Start {
    fn begin(bag: &mut BagWriter, context: &Context) -> anyhow::Result<Self> {
        let cell = context.header.sources.cell()?;
        let sensor = Qos::best_effort(10);
        let status = Qos::reliable(10).transient_local();
        let mut robots = Vec::new();
        for robot in &cell.robots {
            let topic = |name: &str| format!("/{}/{name}", robot.name);
            let command = Qos::reliable(1);
            robots.push(RobotTopics {
                wrench: bag.add_topic(Topic::of::<WrenchStamped>(&topic("wrench"), sensor)?)?,
                wish: bag.add_topic(Topic::of::<JointCommand>(&topic("skill_command"), command)?)?,
                told: bag.add_topic(Topic::of::<Float64MultiArray>(&topic("joint_command"), command)?)?,
                grip_wish: bag
                    .add_topic(Topic::of::<GripperCommand>(&topic("skill_gripper_command"), command)?)?,
                grip_told: bag.add_topic(Topic::of::<GripperCommand>(&topic("gripper_command"), command)?)?,
            });
        }
        let presence = if context.config.in_force().humans.is_monitored() {
            Some(bag.add_topic(Topic::of::<Range>("/human_presence", sensor)?)?)
        } else {
            None
        };
        let topics = Topics {
            joints: bag.add_topic(Topic::of::<JointState>("/joint_states", sensor)?)?,
            status: bag.add_topic(Topic::of::<SafetyStatus>("/safety_monitor", status)?)?,
            stop: bag.add_topic(Topic::of::<Bool>("/emergency_stop", Qos::reliable(10))?)?,
            presence,
            robots,
        };
        let flanges = cell.robots.iter().map(swarm_cell::RobotConfig::flange_frame).collect();
        Ok(Self { topics, flanges, before: Before::default() })
    }
}

impl Exporter<'_> {
    fn record(&mut self, context: &Context, record: &Record) -> anyhow::Result<()> {
        let mut start = match self.start.take() {
            Some(start) => start,
            None => Start::begin(self.bag, context)?,
        };
        if let Record::Cycle(cycle) = record {
            self.cycle(&mut start, context, cycle)?;
        }
        self.start = Some(start);
        Ok(())
    }

    fn cycle(&mut self, start: &mut Start, context: &Context, cycle: &Cycle) -> anyhow::Result<()> {
        let at = unix_ns(&context.header, cycle.now);
        let config = &context.config;
        for i in 0..config.arms().len() {
            self.heard(start, context, i, cycle, at)?;
            self.told(start, context, i, cycle, at)?;
        }
        if let Some(topic) = start.topics.presence {
            let zones = config.in_force().humans.zones.as_slice();
            for (k, zone) in zones.iter().enumerate() {
                let Some(new) = cycle.inputs.presence[k].filter(|new| Some(*new) != start.before.presence[k])
                else {
                    continue;
                };
                let header = stamped(new.stamp_ns, zone.name.as_str());
                self.write(topic, at, &Range { header, range: new.range_m as f32, ..Range::default() })?;
            }
        }
        let stop = cycle.inputs.emergency_stop;
        for said in [stop.pressed.then_some(true), Some(stop.held)].into_iter().flatten() {
            if self.stop != said {
                self.write(start.topics.stop, at, &Bool { data: said })?;
                self.stop = said;
            }
        }
        start.before.reset_epoch = cycle.verdict.reset_began().unwrap_or(start.before.reset_epoch);
        let due =
            start.before.status_ns.is_none_or(|last| cycle.now.0.saturating_sub(last) >= STATUS_PERIOD_NS);
        if due || cycle.verdict.changed {
            let message = SafetyStatus {
                reset_epoch: start.before.reset_epoch,
                ..status(config, cycle, &context.limits, at)
            };
            self.write(start.topics.status, at, &message)?;
            start.before.status_ns = Some(cycle.now.0);
        }
        start.before.robots = cycle.inputs.robots;
        start.before.presence = cycle.inputs.presence;
        self.done.cycles += 1;
        Ok(())
    }

    /// What came from and for one robot, if it is new.
    fn heard(
        &mut self,
        start: &Start,
        context: &Context,
        i: usize,
        cycle: &Cycle,
        at: i64,
    ) -> anyhow::Result<()> {
        let (arm, topics) = (&context.config.arms()[i], start.topics.robots[i]);
        let (input, before) = (&cycle.inputs.robots[i], start.before.robots[i]);
        let dof = arm.model.dof();
        let values = |vector: &swarm_kinematics::JointVector| vector.as_slice()[..dof].to_vec();
        let names = || arm.model.joints().iter().map(|joint| joint.name.clone()).collect();
        let limits = &context.limits;
        let artifact = |matches: bool| if matches { limits.artifact.clone() } else { String::new() };
        if let Some(joints) = input.joints.filter(|new| Some(*new) != before.joints) {
            let message = JointState {
                header: stamped(joints.stamp_ns, ""),
                name: names(),
                position: values(&joints.q),
                velocity: values(&joints.qd),
                effort: joints.effort.map(|effort| values(&effort)).unwrap_or_default(),
            };
            self.write(start.topics.joints, at, &message)?;
        }
        if let Some(wrench) = input.wrench.filter(|new| Some(*new) != before.wrench) {
            let [force, torque] = [wrench.force, wrench.torque].map(|v| Vector3 { x: v.x, y: v.y, z: v.z });
            let header = stamped(wrench.stamp_ns, &start.flanges[i]);
            self.write(topics.wrench, at, &WrenchStamped { header, wrench: Wrench { force, torque } })?;
        }
        if let Some(command) = input.command.filter(|new| Some(*new) != before.command) {
            let message = JointCommand {
                header: stamped(context.header.unix_ns(command.sent), ""),
                robot: arm.name.clone(),
                joint_names: names(),
                velocity: values(&command.velocity),
                skill: limits.skill.clone(),
                artifact: artifact(command.artifact_matches),
                role: String::new(),
                trace_id: run_text(command.run),
                epoch: command.epoch,
                sequence: command.sequence,
            };
            self.write(topics.wish, at, &message)?;
        }
        if let Some(grip) = input.gripper.filter(|new| Some(*new) != before.gripper) {
            let message = GripperCommand {
                header: stamped(context.header.unix_ns(grip.arrival), ""),
                robot: arm.name.clone(),
                width: grip.width_m,
                force: grip.force_n,
                artifact: artifact(grip.artifact_matches),
                epoch: grip.epoch,
                sequence: 0,
            };
            self.write(topics.grip_wish, at, &message)?;
        }
        Ok(())
    }

    /// What the monitor told one robot.
    fn told(
        &mut self,
        start: &mut Start,
        context: &Context,
        i: usize,
        cycle: &Cycle,
        at: i64,
    ) -> anyhow::Result<()> {
        let arm = &context.config.arms()[i];
        let (topics, robot) = (start.topics.robots[i], &cycle.verdict.robots[i]);
        let velocity = robot.velocity.as_slice()[..arm.model.dof()].to_vec();
        self.write(topics.told, at, &Float64MultiArray::list(velocity))?;
        if let Some(target) = robot.gripper.filter(|_| robot.gripper_new) {
            start.before.grip_sequence[i] += 1;
            let message = GripperCommand {
                header: stamped(u64::try_from(at).unwrap_or(0), ""),
                robot: arm.name.clone(),
                width: target.width_m,
                force: target.force_n,
                artifact: context.limits.artifact.clone(),
                epoch: cycle.verdict.epoch,
                sequence: start.before.grip_sequence[i],
            };
            self.write(topics.grip_told, at, &message)?;
        }
        Ok(())
    }

    fn write<M: Message>(&mut self, topic: TopicId, at: i64, message: &M) -> anyhow::Result<()> {
        self.bag.write(topic, at, message)?;
        self.done.messages += 1;
        Ok(())
    }
}

fn stamped(unix_ns: u64, frame: &str) -> MsgHeader {
    let stamp = MsgTime::from_nanos(i64::try_from(unix_ns).unwrap_or(i64::MAX));
    MsgHeader { stamp, frame_id: frame.to_owned() }
}

/// The status as the monitor publishes it, less what does not stand in one cycle: the epoch of the last reset is left at 0, whether
/// its threads had real-time scheduling at false, and the run's number stands for its trace id.
fn status(config: &Config, cycle: &Cycle, limits: &Limits, at: i64) -> SafetyStatus {
    let verdict = &cycle.verdict;
    let robots = config.arms().iter().zip(&verdict.robots).map(|(arm, robot)| robot_safety(&arm.name, robot));
    let cause = verdict.cause.as_ref();
    SafetyStatus {
        header: stamped(u64::try_from(at).unwrap_or(0), "world"),
        state: number_of(verdict.state),
        cause: cause.map_or("", |cause| cause.kind.code()).to_owned(),
        detail: cause.map(|cause| cause.detail(config)).unwrap_or_default(),
        robot: cause.map_or("", |cause| cause.robot_name(config)).to_owned(),
        joint: cause.map(|cause| cause.joint_name(config)).unwrap_or_default(),
        value: cause.map_or(0.0, |cause| cause.value),
        limit: cause.map_or(0.0, |cause| cause.limit),
        skill: limits.skill.clone(),
        artifact: limits.artifact.clone(),
        trace_id: trace_id(&cycle.inputs),
        epoch: verdict.epoch,
        reset_epoch: 0,
        cycle: verdict.cycle,
        cause_cycle: verdict.cause_cycle,
        real_time: false,
        degraded: false,
        robots: robots.collect(),
    }
}
