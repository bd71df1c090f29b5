//! What a bag holds that a dataset is made of: everything but the video's bytes, of which only the heads are read.

mod camera;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use swarm_bag::msg::{
    Float64MultiArray, FrameGroup, FrameTiming, GripperCommand, Header, JointCommand, JointState, Message,
    WrenchStamped,
};
use swarm_bag::video::VideoMessage;
use swarm_bag::{BagMessage, BagReader, Filter};

use crate::error::ExportError;
use crate::messages::{GripperState, RuntimeStatus};
use crate::series::Series;

pub(crate) use camera::{Camera, Frame};

/// One joint of any arm.
#[derive(Debug, Default)]
pub(crate) struct Joint {
    pub name: String,
    pub position: Series,
    pub velocity: Series,
}

/// One commanded quantity.
#[derive(Debug, Default)]
pub(crate) struct Command {
    pub name: String,
    pub values: Series,
}

/// A stretch of time that is an episode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub name: String,
    pub start: i64,
    pub end: i64,
}

/// A bag, read once.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    pub path: PathBuf,
    /// Files with their sizes, to know the bag again.
    pub files: Vec<(String, u64)>,
    pub first: i64,
    pub last: i64,
    /// By name.
    pub cameras: BTreeMap<String, Camera>,
    /// In order of appearance.
    pub joints: Vec<Joint>,
    /// Measured opening of each gripper, by robot.
    pub grippers: BTreeMap<String, Series>,
    /// Force and torque, by robot.
    pub wrenches: BTreeMap<String, Vec<Series>>,
    /// By topic.
    pub actions: BTreeMap<String, Vec<Command>>,
    /// By topic.
    pub gripper_actions: BTreeMap<String, Series>,
    pub runs: Vec<Run>,
    /// What of the bag could not be read.
    pub damage: Vec<String>,
    /// Names of all its topics.
    pub topics: Vec<String>,
    joint_places: BTreeMap<String, usize>,
    running: Option<(String, i64)>,
}

/// Components of a wrench.
pub(crate) const WRENCH: [&str; 6] = ["force.x", "force.y", "force.z", "torque.x", "torque.y", "torque.z"];

impl Recording {
    /// Reads a bag; `progress` hears how far it is, 0 to 1.
    pub(crate) fn read(path: &Path, progress: &mut dyn FnMut(f64)) -> Result<Self, ExportError> {
        let mut bag = BagReader::open(path)?;
        let span = bag.metadata().files.iter().fold((i64::MAX, i64::MIN), |(first, last), file| {
            if file.span.count == 0 {
                (first, last)
            } else {
                (first.min(file.span.first), last.max(file.span.last))
            }
        });
        let mut recording = Self {
            path: path.to_owned(),
            files: files(path, &bag),
            first: span.0,
            last: span.1,
            topics: bag.topics().iter().map(|topic| topic.name.clone()).collect(),
            ..Self::default()
        };
        let mut notes = Notes::default();
        let kinds: Vec<Option<Kind>> =
            bag.topics().iter().map(|topic| Kind::of(&topic.name, &topic.type_name)).collect();
        for (kind, topic) in kinds.iter().zip(bag.topics()) {
            if let Some(Kind::Video(camera, video)) = kind {
                recording.cameras.entry(camera.clone()).or_insert_with(|| Camera::new(&topic.name, *video));
            }
        }
        let wanted = bag.topics().iter().zip(&kinds).filter(|(_, kind)| kind.is_some());
        let wanted = wanted.map(|(topic, _)| topic.name.clone()).collect();
        bag.rewind(&Filter { topics: Some(wanted), ..Filter::default() });
        let length = (span.1.saturating_sub(span.0)).max(1) as f64;
        let mut number = 0u64;
        while let Some(message) = bag.next() {
            if number.is_multiple_of(512) {
                progress((message.stamp.received - span.0) as f64 / length);
            }
            number += 1;
            if let Some(kind) = &kinds[message.topic] {
                recording.take(kind, &message, &mut notes, &bag)?;
            }
        }
        recording.damage = bag.damage();
        if let Some((name, start)) = recording.running.take() {
            recording.runs.push(Run { name, start, end: recording.last });
        }
        for (name, camera) in &mut recording.cameras {
            camera.mark_damage(notes.timings.get(name).unwrap_or(&BTreeMap::new()));
            camera.mark_groups(notes.groups.get(name).unwrap_or(&BTreeMap::new()));
        }
        Ok(recording)
    }
}

/// What a topic's messages are to a dataset.
#[derive(Clone, Debug)]
enum Kind {
    Video(String, VideoMessage),
    Timing(String),
    Groups,
    Joints,
    Wrench(String),
    Gripper(String),
    /// Plain joint velocities.
    Velocities(String),
    /// Joint velocities with names.
    Named(String),
    GripperCommand(String),
    Runs,
}

impl Kind {
    fn of(topic: &str, type_name: &str) -> Option<Self> {
        if let Some(video) = VideoMessage::of_type(type_name) {
            return Some(Self::Video(camera_of(topic, "video"), video));
        }
        let owner = || owner(topic);
        match type_name {
            FrameTiming::TYPE => Some(Self::Timing(camera_of(topic, "timing"))),
            FrameGroup::TYPE => Some(Self::Groups),
            JointState::TYPE if topic == "/joint_states" => Some(Self::Joints),
            WrenchStamped::TYPE => Some(Self::Wrench(owner())),
            GripperState::TYPE => Some(Self::Gripper(owner())),
            Float64MultiArray::TYPE if topic.ends_with("/joint_command") => {
                Some(Self::Velocities(topic.to_owned()))
            }
            JointCommand::TYPE => Some(Self::Named(topic.to_owned())),
            GripperCommand::TYPE => Some(Self::GripperCommand(topic.to_owned())),
            RuntimeStatus::TYPE => Some(Self::Runs),
            _ => None,
        }
    }
}

/// `/front/video` is camera `front`; a topic of another form keeps its whole name, without what a feature's name must not have.
fn camera_of(topic: &str, last: &str) -> String {
    let name = topic.trim_start_matches('/');
    name.strip_suffix(last).and_then(|name| name.strip_suffix('/')).unwrap_or(name).replace('/', "_")
}

/// The first part of a topic's name: the robot.
pub(crate) fn owner(topic: &str) -> String {
    topic.trim_start_matches('/').split('/').next().unwrap_or_default().to_owned()
}

/// What timing messages say of the frame with this time of capture: clock state, and whether something before it was lost.
type Timings = BTreeMap<i64, (u8, bool)>;

/// Frames that belong together, as capture has decided.
#[derive(Clone, Copy, Debug)]
struct Group {
    /// Counted over the bag: the node's own number begins anew with the node.
    number: u64,
    /// Nanoseconds since the epoch.
    stamp: i64,
}

/// What other topics say of the cameras' frames, by the camera's name.
#[derive(Debug, Default)]
struct Notes {
    timings: BTreeMap<String, Timings>,
    /// By the capture of the camera's frame.
    groups: BTreeMap<String, BTreeMap<i64, Group>>,
    groups_seen: u64,
}

impl Notes {
    fn group(&mut self, said: &FrameGroup) {
        let group = Group { number: self.groups_seen, stamp: said.header.stamp.nanos() };
        self.groups_seen += 1;
        for (camera, offset) in said.cameras.iter().zip(&said.offsets) {
            let capture = group.stamp + (offset * 1e9).round() as i64;
            self.groups.entry(camera.clone()).or_default().insert(capture, group);
        }
    }
}

impl Recording {
    fn take(
        &mut self,
        kind: &Kind,
        message: &BagMessage,
        notes: &mut Notes,
        bag: &BagReader,
    ) -> Result<(), ExportError> {
        let received = message.stamp.received;
        match kind {
            Kind::Video(camera, _) => {
                if let Some(camera) = self.cameras.get_mut(camera) {
                    camera.take(received, &message.data);
                }
            }
            Kind::Timing(camera) => {
                let timing: FrameTiming = bag.decode(message)?;
                let lost = timing.lost_frames > 0 || timing.lost_packets > 0;
                notes
                    .timings
                    .entry(camera.clone())
                    .or_default()
                    .insert(timing.header.stamp.nanos(), (timing.clock_state, lost));
            }
            Kind::Groups => notes.group(&bag.decode(message)?),
            Kind::Joints => {
                let states: JointState = bag.decode(message)?;
                let time = stamp(&states.header, received);
                for (at, name) in states.name.iter().enumerate() {
                    let joint = self.joint(name);
                    if let Some(position) = states.position.get(at) {
                        joint.position.push(time, *position);
                    }
                    if let Some(velocity) = states.velocity.get(at) {
                        joint.velocity.push(time, *velocity);
                    }
                }
            }
            Kind::Wrench(robot) => {
                let measured: WrenchStamped = bag.decode(message)?;
                let time = stamp(&measured.header, received);
                let (force, torque) = (&measured.wrench.force, &measured.wrench.torque);
                let values = [force.x, force.y, force.z, torque.x, torque.y, torque.z];
                let series = self
                    .wrenches
                    .entry(robot.clone())
                    .or_insert_with(|| vec![Series::default(); WRENCH.len()]);
                series.iter_mut().zip(values).for_each(|(series, value)| series.push(time, value));
            }
            Kind::Gripper(robot) => {
                let state: GripperState = bag.decode(message)?;
                let time = stamp(&state.header, received);
                self.grippers.entry(robot.clone()).or_default().push(time, state.width);
            }
            Kind::Velocities(topic) => {
                let velocities: Float64MultiArray = bag.decode(message)?;
                let robot = owner(topic);
                let named = (0..).zip(&velocities.data).map(|(at, value)| (format!("{robot}.{at}"), *value));
                self.command(topic, received, named);
            }
            Kind::Named(topic) => {
                let command: JointCommand = bag.decode(message)?;
                let time = stamp(&command.header, received);
                self.command(topic, time, command.joint_names.into_iter().zip(command.velocity));
            }
            Kind::GripperCommand(topic) => {
                let command: GripperCommand = bag.decode(message)?;
                let time = stamp(&command.header, received);
                self.gripper_actions.entry(topic.clone()).or_default().push(time, command.width);
            }
            Kind::Runs => {
                let status: RuntimeStatus = bag.decode(message)?;
                self.status(status, received);
            }
        }
        Ok(())
    }

    fn joint(&mut self, name: &str) -> &mut Joint {
        let at = *self.joint_places.entry(name.to_owned()).or_insert_with(|| {
            self.joints.push(Joint { name: name.to_owned(), ..Joint::default() });
            self.joints.len() - 1
        });
        &mut self.joints[at]
    }

    fn command(&mut self, topic: &str, time: i64, values: impl Iterator<Item = (String, f64)>) {
        let commands = self.actions.entry(topic.to_owned()).or_default();
        for (name, value) in values {
            if let Some(command) = commands.iter_mut().find(|command| command.name == name) {
                command.values.push(time, value);
            } else {
                let mut series = Series::default();
                series.push(time, value);
                commands.push(Command { name, values: series });
            }
        }
    }

    fn status(&mut self, status: RuntimeStatus, received: i64) {
        let time = stamp(&status.header, received);
        let same = self.running.as_ref().is_some_and(|(name, _)| status.running && *name == status.trace_id);
        if same {
            return;
        }
        if let Some((name, start)) = self.running.take() {
            self.runs.push(Run { name, start, end: time });
        }
        self.running = status.running.then_some((status.trace_id, time));
    }
}

/// When something was measured or commanded; where the message does not say it, when it came.
fn stamp(header: &Header, received: i64) -> i64 {
    match header.stamp.nanos() {
        0 => received,
        stamp => stamp,
    }
}

fn files(path: &Path, bag: &BagReader) -> Vec<(String, u64)> {
    let size = |name: &str| {
        let file = if path.is_dir() { path.join(name) } else { path.to_owned() };
        file.metadata().map_or(0, |metadata| metadata.len())
    };
    bag.metadata().files.iter().map(|file| (file.name.clone(), size(&file.name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras_are_named_by_their_topics() {
        assert_eq!(camera_of("/front/video", "video"), "front");
        assert_eq!(camera_of("/cell/front/video", "video"), "cell_front");
        assert_eq!(camera_of("/image_raw/h264", "video"), "image_raw_h264");
        assert_eq!(camera_of("/front/timing", "timing"), "front");
        assert_eq!(owner("/ur/joint_command"), "ur");
    }

    #[test]
    fn runs_are_the_times_between_changes_of_the_runtimes_status() {
        let mut recording = Recording::default();
        for (time, trace, running) in
            [(1, "", false), (2, "a", true), (3, "a", true), (4, "a", false), (5, "b", true), (6, "c", true)]
        {
            let status = RuntimeStatus { trace_id: trace.to_owned(), running, ..RuntimeStatus::default() };
            recording.status(status, time);
        }
        let run = |name: &str, start, end| Run { name: name.to_owned(), start, end };
        assert_eq!(recording.runs, [run("a", 2, 4), run("b", 5, 6)]);
        assert_eq!(recording.running, Some(("c".to_owned(), 6)));
    }
}
