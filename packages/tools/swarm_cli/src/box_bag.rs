//! A black box as a rosbag2 bag: what was heard and said, on the topics on which the cell hears and says it.

use std::path::Path;

use anyhow::Context as _;
use swarm_bag::msg::{
    Bool, Float64MultiArray, GripperCommand, Header as MsgHeader, JointCommand, JointState, Message, Range,
    SafetyStatus, Time as MsgTime, Vector3, Wrench, WrenchStamped,
};
use swarm_bag::{BagWriter, Qos, Topic, TopicId, WriteOptions};
use swarm_black_box::{Cycle, Header, Limits, Record, Replay, records};
use swarm_safety_core::{Config, MAX_ROBOTS, MAX_ZONES, PresenceSample, RobotInputs};

use crate::box_files::BoxFile;
use crate::status::{number_of, robot_safety, run_text, trace_id};

/// Statuses come at every change, else this often, as from the monitor.
const STATUS_PERIOD_NS: u64 = 20_000_000;

/// How much was written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Exported {
    pub messages: u64,
    pub cycles: u64,
}

/// Writes all cycles of the files, oldest first, into a new bag.
pub(crate) fn export(files: &[BoxFile], out: &Path) -> anyhow::Result<Exported> {
    let mut exporter: Option<Exporter> = None;
    for file in files {
        let named = || format!("'{}'", file.path.display());
        for (_, record) in records(&file.bytes).with_context(named)? {
            match (&mut exporter, record) {
                (Some(exporter), record) => exporter.record(&record).with_context(named)?,
                (None, Record::Header(header)) => exporter = Some(Exporter::begin(header, out)?),
                (None, _) => anyhow::bail!("{} begins with no header: nothing can be made of it", named()),
            }
        }
    }
    let exporter = exporter.context("the files hold no whole record")?;
    exporter.bag.finish()?;
    Ok(exporter.done)
}

struct Exporter {
    bag: BagWriter,
    topics: Topics,
    replay: Replay,
    header: Header,
    limits: Limits,
    flanges: Vec<String>,
    before: Before,
    done: Exported,
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
    stop: Option<bool>,
    /// Epoch that the last reset began; 0 before one was recorded.
    reset_epoch: u64,
    status_ns: Option<u64>,
}

impl Exporter {
    fn begin(header: Header, out: &Path) -> anyhow::Result<Self> {
        let cell = header.sources.cell()?;
        let mut bag = BagWriter::create(out, WriteOptions::default())?;
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
        let replay = Replay::begin(header.clone())?;
        let presence = if replay.config().in_force().humans.is_monitored() {
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
        Ok(Self {
            bag,
            topics,
            replay,
            limits: header.limits.clone(),
            flanges: cell.robots.iter().map(swarm_cell::RobotConfig::flange_frame).collect(),
            header,
            before: Before::default(),
            done: Exported::default(),
        })
    }

    fn record(&mut self, record: &Record) -> anyhow::Result<()> {
        self.replay.take(record)?;
        match record {
            Record::Header(header) => {
                self.limits = header.limits.clone();
                self.header = header.clone();
            }
            Record::Limits(limits) => self.limits = limits.clone(),
            Record::Cycle(cycle) => self.cycle(cycle)?,
            _ => {}
        }
        Ok(())
    }

    fn cycle(&mut self, cycle: &Cycle) -> anyhow::Result<()> {
        let at = i64::try_from(self.header.unix_ns(cycle.now)).unwrap_or(i64::MAX);
        let config = self.replay.config().clone();
        for i in 0..config.arms().len() {
            self.heard(&config, i, cycle, at)?;
            self.told(&config, i, cycle, at)?;
        }
        if let Some(topic) = self.topics.presence {
            let zones = config.in_force().humans.zones.as_slice();
            for (k, zone) in zones.iter().enumerate() {
                let Some(new) = cycle.inputs.presence[k].filter(|new| Some(*new) != self.before.presence[k])
                else {
                    continue;
                };
                let header = stamped(new.stamp_ns, zone.name.as_str());
                self.write(topic, at, &Range { header, range: new.range_m as f32, ..Range::default() })?;
            }
        }
        let stop = cycle.inputs.emergency_stop;
        for said in [stop.pressed.then_some(true), Some(stop.held)].into_iter().flatten() {
            if self.before.stop.unwrap_or(false) != said {
                self.write(self.topics.stop, at, &Bool { data: said })?;
                self.before.stop = Some(said);
            }
        }
        self.before.reset_epoch = cycle.verdict.reset_began().unwrap_or(self.before.reset_epoch);
        let due =
            self.before.status_ns.is_none_or(|last| cycle.now.0.saturating_sub(last) >= STATUS_PERIOD_NS);
        if due || cycle.verdict.changed {
            let message = SafetyStatus {
                reset_epoch: self.before.reset_epoch,
                ..status(&config, cycle, &self.limits, at)
            };
            self.write(self.topics.status, at, &message)?;
            self.before.status_ns = Some(cycle.now.0);
        }
        self.before.robots = cycle.inputs.robots;
        self.before.presence = cycle.inputs.presence;
        self.done.cycles += 1;
        Ok(())
    }

    /// What came from and for one robot, if it is new.
    fn heard(&mut self, config: &Config, i: usize, cycle: &Cycle, at: i64) -> anyhow::Result<()> {
        let (arm, topics) = (&config.arms()[i], self.topics.robots[i]);
        let (input, before) = (&cycle.inputs.robots[i], self.before.robots[i]);
        let dof = arm.model.dof();
        let values = |vector: &swarm_kinematics::JointVector| vector.as_slice()[..dof].to_vec();
        let names = || arm.model.joints().iter().map(|joint| joint.name.clone()).collect();
        let limits = self.limits.clone();
        let artifact = |matches: bool| if matches { limits.artifact.clone() } else { String::new() };
        if let Some(joints) = input.joints.filter(|new| Some(*new) != before.joints) {
            let message = JointState {
                header: stamped(joints.stamp_ns, ""),
                name: names(),
                position: values(&joints.q),
                velocity: values(&joints.qd),
                effort: joints.effort.map(|effort| values(&effort)).unwrap_or_default(),
            };
            self.write(self.topics.joints, at, &message)?;
        }
        if let Some(wrench) = input.wrench.filter(|new| Some(*new) != before.wrench) {
            let [force, torque] = [wrench.force, wrench.torque].map(|v| Vector3 { x: v.x, y: v.y, z: v.z });
            let header = stamped(wrench.stamp_ns, &self.flanges[i]);
            self.write(topics.wrench, at, &WrenchStamped { header, wrench: Wrench { force, torque } })?;
        }
        if let Some(command) = input.command.filter(|new| Some(*new) != before.command) {
            let message = JointCommand {
                header: stamped(self.header.unix_ns(command.sent), ""),
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
                header: stamped(self.header.unix_ns(grip.arrival), ""),
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
    fn told(&mut self, config: &Config, i: usize, cycle: &Cycle, at: i64) -> anyhow::Result<()> {
        let (arm, topics, robot) = (&config.arms()[i], self.topics.robots[i], &cycle.verdict.robots[i]);
        let velocity = robot.velocity.as_slice()[..arm.model.dof()].to_vec();
        self.write(topics.told, at, &Float64MultiArray::list(velocity))?;
        if let Some(target) = robot.gripper.filter(|_| robot.gripper_new) {
            self.before.grip_sequence[i] += 1;
            let message = GripperCommand {
                header: stamped(u64::try_from(at).unwrap_or(0), ""),
                robot: arm.name.clone(),
                width: target.width_m,
                force: target.force_n,
                artifact: self.limits.artifact.clone(),
                epoch: cycle.verdict.epoch,
                sequence: self.before.grip_sequence[i],
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
