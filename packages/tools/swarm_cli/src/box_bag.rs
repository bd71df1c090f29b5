//! A black box as a rosbag2 bag: what was heard and said, on the topics on which the cell hears and says it.

use std::path::Path;

use anyhow::Context as _;
use swarm_bag::msg::{
    Bool, Float64MultiArray, Header as MsgHeader, JointCommand, JointState, RobotSafety, SafetyStatus,
    Time as MsgTime, Vector3, Wrench, WrenchStamped,
};
use swarm_bag::{BagWriter, Qos, Topic, TopicId, WriteOptions};
use swarm_black_box::{Cycle, Header, Limits, Record, Replay, records};
use swarm_safety_core::{Config, RobotInputs, SafetyState};

use crate::box_files::BoxFile;

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
    robots: Vec<RobotTopics>,
}

#[derive(Clone, Copy)]
struct RobotTopics {
    wrench: TopicId,
    wish: TopicId,
    told: TopicId,
}

/// What was written last, so that a sample that stays is one message.
#[derive(Default)]
struct Before {
    robots: [RobotInputs; swarm_safety_core::MAX_ROBOTS],
    stop: Option<bool>,
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
            let name = &robot.name;
            robots.push(RobotTopics {
                wrench: bag.add_topic(Topic::of::<WrenchStamped>(&format!("/{name}/wrench"), sensor)?)?,
                wish: bag.add_topic(Topic::of::<JointCommand>(
                    &format!("/{name}/skill_command"),
                    Qos::reliable(1),
                )?)?,
                told: bag.add_topic(Topic::of::<Float64MultiArray>(
                    &format!("/{name}/joint_command"),
                    Qos::reliable(1),
                )?)?,
            });
        }
        let topics = Topics {
            joints: bag.add_topic(Topic::of::<JointState>("/joint_states", sensor)?)?,
            status: bag.add_topic(Topic::of::<SafetyStatus>("/safety_monitor", status)?)?,
            stop: bag.add_topic(Topic::of::<Bool>("/emergency_stop", Qos::reliable(10))?)?,
            robots,
        };
        Ok(Self {
            bag,
            topics,
            replay: Replay::begin(header.clone())?,
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
        for (i, arm) in config.arms().iter().enumerate() {
            let (input, before) = (&cycle.inputs.robots[i], self.before.robots[i]);
            let (topics, dof) = (self.topics.robots[i], arm.model.dof());
            let values = |vector: &swarm_kinematics::JointVector| vector.as_slice()[..dof].to_vec();
            let names = || arm.model.joints().iter().map(|joint| joint.name.clone()).collect();
            if let Some(joints) = input.joints.filter(|new| Some(*new) != before.joints) {
                let message = JointState {
                    header: stamped(joints.stamp_ns, ""),
                    name: names(),
                    position: values(&joints.q),
                    velocity: values(&joints.qd),
                    effort: joints.effort.map(|effort| values(&effort)).unwrap_or_default(),
                };
                self.bag.write(self.topics.joints, at, &message)?;
                self.done.messages += 1;
            }
            if let Some(wrench) = input.wrench.filter(|new| Some(*new) != before.wrench) {
                let [force, torque] =
                    [wrench.force, wrench.torque].map(|v| Vector3 { x: v.x, y: v.y, z: v.z });
                let header = stamped(wrench.stamp_ns, &self.flanges[i]);
                let message = WrenchStamped { header, wrench: Wrench { force, torque } };
                self.bag.write(topics.wrench, at, &message)?;
                self.done.messages += 1;
            }
            if let Some(command) = input.command.filter(|new| Some(*new) != before.command) {
                let message = JointCommand {
                    header: stamped(self.header.unix_ns(command.arrival), ""),
                    robot: arm.name.clone(),
                    joint_names: names(),
                    velocity: values(&command.velocity),
                    skill: self.limits.skill.clone(),
                    artifact: if command.artifact_matches {
                        self.limits.artifact.clone()
                    } else {
                        String::new()
                    },
                    role: String::new(),
                    // The trace id itself is not recorded, but the number that stands for it.
                    trace_id: format!("{:016x}", command.run),
                    epoch: command.epoch,
                    sequence: command.sequence,
                };
                self.bag.write(topics.wish, at, &message)?;
                self.done.messages += 1;
            }
            let told = Float64MultiArray::list(values(&cycle.verdict.robots[i].velocity));
            self.bag.write(topics.told, at, &told)?;
            self.done.messages += 1;
        }
        let stop = cycle.inputs.emergency_stop;
        for said in [stop.pressed.then_some(true), Some(stop.held)].into_iter().flatten() {
            if self.before.stop.unwrap_or(false) != said {
                self.bag.write(self.topics.stop, at, &Bool { data: said })?;
                self.done.messages += 1;
                self.before.stop = Some(said);
            }
        }
        let due =
            self.before.status_ns.is_none_or(|last| cycle.now.0.saturating_sub(last) >= STATUS_PERIOD_NS);
        if due || cycle.verdict.changed {
            let message = status(&config, cycle, &self.limits, at);
            self.bag.write(self.topics.status, at, &message)?;
            self.done.messages += 1;
            self.before.status_ns = Some(cycle.now.0);
        }
        self.before.robots = cycle.inputs.robots;
        self.done.cycles += 1;
        Ok(())
    }
}

fn stamped(unix_ns: u64, frame: &str) -> MsgHeader {
    let stamp = MsgTime::from_nanos(i64::try_from(unix_ns).unwrap_or(i64::MAX));
    MsgHeader { stamp, frame_id: frame.to_owned() }
}

/// `STATE_*` of `swarm_msgs/msg/SafetyStatus`.
const fn state_number(state: SafetyState) -> u8 {
    match state {
        SafetyState::Deny => 0,
        SafetyState::Ready => 1,
        SafetyState::Run => 2,
        SafetyState::Slow => 3,
        SafetyState::Stop2 => 4,
        SafetyState::Stop1 => 5,
        SafetyState::Estop => 6,
    }
}

/// The status as the monitor publishes it. Whether the thread had real-time scheduling and the run's trace id are not part of a
/// verdict: they are left at false and empty.
fn status(config: &Config, cycle: &Cycle, limits: &Limits, at: i64) -> SafetyStatus {
    let verdict = &cycle.verdict;
    let robots = config.arms().iter().zip(&verdict.robots).map(|(arm, robot)| {
        let m = &robot.measures;
        RobotSafety {
            robot: arm.name.clone(),
            speed_scale: robot.scale,
            tcp_speed: m.tcp_speed_m_s,
            tcp_speed_limit: m.tcp_speed_limit_m_s,
            elbow_speed: m.elbow_speed_m_s,
            elbow_speed_limit: m.elbow_speed_limit_m_s,
            momentum: m.momentum_kg_m_s,
            momentum_limit: m.momentum_limit_kg_m_s,
            power: m.power_w,
            power_limit: m.power_limit_w,
            contact_force: m.contact_force_n,
            contact_force_limit: m.contact_force_limit_n,
            separation: m.separation_m,
            separation_limit: m.separation_limit_m,
            self_separation: m.self_separation_m,
            fixture_separation: m.fixture_separation_m,
            human_separation: m.human_separation_m,
            joint_velocity_ratio: m.joint_velocity_ratio,
            input_age: m.input_age_s,
            stop_ineffective: robot.stop_ineffective,
        }
    });
    let cause = verdict.cause.as_ref();
    SafetyStatus {
        header: stamped(u64::try_from(at).unwrap_or(0), "world"),
        state: state_number(verdict.state),
        cause: cause.map_or("", |cause| cause.kind.code()).to_owned(),
        detail: cause.map(|cause| cause.detail(config)).unwrap_or_default(),
        robot: cause.map_or("", |cause| cause.robot_name(config)).to_owned(),
        joint: cause.map(|cause| cause.joint_name(config)).unwrap_or_default(),
        value: cause.map_or(0.0, |cause| cause.value),
        limit: cause.map_or(0.0, |cause| cause.limit),
        skill: limits.skill.clone(),
        artifact: limits.artifact.clone(),
        trace_id: String::new(),
        epoch: verdict.epoch,
        cycle: verdict.cycle,
        cause_cycle: verdict.cause_cycle,
        real_time: false,
        degraded: false,
        robots: robots.collect(),
    }
}
