//! Recordings with a known truth, for tests and evidence: coded streams that are there already, and arms that move as functions
//! of time do.

use std::f64::consts::TAU;
use std::path::Path;
use std::sync::Arc;

use swarm_bag::msg::{
    Float64MultiArray, FrameGroup, FrameTiming, GripperCommand, Header, JointState, Message, Time, Vector3,
    Wrench, WrenchStamped,
};
use swarm_bag::video::{Picture, VideoMessage};
use swarm_bag::{BagError, BagWriter, Definitions, Qos, Topic, TopicId, WriteOptions};

use crate::h264::frames;
use crate::messages::{GripperState, RuntimeStatus};

/// When every recording begins, nanoseconds since the epoch.
pub const START: i64 = 1_767_225_600_000_000_000;
/// From capture to the bag.
const LATENCY: i64 = 60_000_000;

/// A coded stream, frame by frame.
#[derive(Clone, Debug)]
pub struct Stream {
    frames: Arc<Vec<Vec<u8>>>,
}

impl Stream {
    /// Cuts Annex B into frames.
    pub fn from_annex_b(bytes: &[u8]) -> Self {
        Self { frames: Arc::new(frames(bytes)) }
    }

    /// How many frames it has before it begins anew.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The frame with this number; the stream is repeated for ever.
    pub fn frame(&self, number: usize) -> &[u8] {
        &self.frames[number % self.frames.len()]
    }
}

/// A camera.
#[derive(Clone, Debug)]
pub struct Camera {
    pub name: String,
    pub stream: Stream,
    pub format: String,
    pub message: VideoMessage,
    /// Frames per second, as they are.
    pub rate: f64,
    /// Of the first frame behind [`START`], s.
    pub phase: f64,
    /// Number of the stream's frame with which the recording begins.
    pub joined_at: usize,
    /// Numbers of frames, counted from the recording's first, that never came.
    pub lost: Vec<usize>,
    /// The last frame's number.
    pub frames: Option<usize>,
    /// Another stream from this frame on.
    pub then: Option<(usize, Stream, String)>,
    /// Whether timing messages are recorded.
    pub timing: bool,
}

impl Camera {
    /// 30 frames/s, whole, from a key frame on.
    pub fn new(name: &str, stream: &Stream) -> Self {
        Self {
            name: name.to_owned(),
            stream: stream.clone(),
            format: "h264".to_owned(),
            message: VideoMessage::CompressedVideo,
            rate: 30.0,
            phase: 0.0,
            joined_at: 0,
            lost: Vec::new(),
            frames: None,
            then: None,
            timing: true,
        }
    }

    /// When its frames were captured, with their numbers.
    pub fn captures(&self, seconds: f64) -> Vec<(usize, i64)> {
        let count = ((seconds - self.phase) * self.rate).max(0.0) as usize;
        (0..self.frames.unwrap_or(count).min(count))
            .filter(|number| !self.lost.contains(number))
            .map(|number| (number, START + ((number as f64 / self.rate + self.phase) * 1e9).round() as i64))
            .collect()
    }
}

/// What is recorded.
#[derive(Clone, Debug)]
pub struct Recording {
    pub cameras: Vec<Camera>,
    /// Each with this many joints, a gripper and a wrench.
    pub robots: Vec<String>,
    pub joints: usize,
    pub seconds: f64,
    /// When the arms' states are missing, s from the start.
    pub silence: Option<(f64, f64)>,
    /// Runs of a skill: name, from, to, s from the start.
    pub runs: Vec<(String, f64, f64)>,
    /// Whether the recording says that frames with the same number belong together.
    pub grouped: bool,
}

impl Recording {
    /// Two arms with six joints, 10 s.
    pub fn new(cameras: Vec<Camera>) -> Self {
        Self {
            cameras,
            robots: vec!["left".into(), "right".into()],
            joints: 6,
            seconds: 10.0,
            silence: None,
            runs: Vec::new(),
            grouped: false,
        }
    }

    /// Position of a joint, rad, `seconds` after the start; joints are counted over all arms.
    pub fn position(joint: usize, seconds: f64) -> f64 {
        (TAU * 0.2 * seconds + joint as f64).sin()
    }

    /// Velocity that the joint is commanded, rad/s.
    pub fn velocity(joint: usize, seconds: f64) -> f64 {
        TAU * 0.2 * (TAU * 0.2 * seconds + joint as f64).cos()
    }

    /// Writes the bag.
    pub fn write(&self, path: &Path) -> Result<(), BagError> {
        self.write_with(path, WriteOptions::default())
    }

    pub fn write_with(&self, path: &Path, options: WriteOptions) -> Result<(), BagError> {
        let mut bag = BagWriter::create(path, options)?;
        let events = self.events(&mut bag)?;
        for (time, topic, event) in events {
            let message = self.message(time, event);
            bag.write_bytes(topic, time, &message)?;
        }
        bag.finish().map(|_| ())
    }
}

/// A message to be made: what it is about, and where in the lists above.
#[derive(Clone, Copy, Debug)]
enum Event {
    Frame { camera: usize, number: usize, capture: i64 },
    Timing { camera: usize, number: usize, capture: i64 },
    Joints { robot: usize },
    Command { robot: usize },
    Gripper { robot: usize },
    Grip { robot: usize },
    Wrench { robot: usize },
    Status { run: usize, running: bool },
    Group { number: usize },
}

impl Recording {
    fn events(&self, bag: &mut BagWriter) -> Result<Vec<(i64, TopicId, Event)>, BagError> {
        let mut events = Vec::new();
        let qos = || Qos::reliable(10);
        for (camera, about) in self.cameras.iter().enumerate() {
            let name = &about.name;
            let suite = Definitions::suite();
            let video = Topic::new(&format!("/{name}/video"), about.message.type_name(), qos(), &suite)?;
            let video = bag.add_topic(video)?;
            let timing = if about.timing {
                Some(bag.add_topic(Topic::of::<FrameTiming>(&format!("/{name}/timing"), qos())?)?)
            } else {
                None
            };
            for (number, capture) in about.captures(self.seconds) {
                events.push((capture + LATENCY, video, Event::Frame { camera, number, capture }));
                if let Some(topic) = timing {
                    events.push((capture + LATENCY, topic, Event::Timing { camera, number, capture }));
                }
            }
        }
        let joints = bag.add_topic(Topic::of::<JointState>("/joint_states", qos())?)?;
        let silent = |seconds: f64| self.silence.is_some_and(|(from, to)| (from..to).contains(&seconds));
        let ticks = |rate: f64| (0..(self.seconds * rate) as usize).map(move |tick| tick as f64 / rate);
        let moment = |seconds: f64| START + (seconds * 1e9).round() as i64;
        for (robot, name) in self.robots.iter().enumerate() {
            let command =
                bag.add_topic(Topic::of::<Float64MultiArray>(&format!("/{name}/joint_command"), qos())?)?;
            let state =
                bag.add_topic(Topic::of::<GripperState>(&format!("/{name}/gripper_state"), qos())?)?;
            let grip =
                bag.add_topic(Topic::of::<GripperCommand>(&format!("/{name}/gripper_command"), qos())?)?;
            let wrench = bag.add_topic(Topic::of::<WrenchStamped>(&format!("/{name}/wrench"), qos())?)?;
            for seconds in ticks(100.0) {
                if !silent(seconds) {
                    events.push((moment(seconds), joints, Event::Joints { robot }));
                }
                events.push((moment(seconds), command, Event::Command { robot }));
                events.push((moment(seconds), wrench, Event::Wrench { robot }));
            }
            events.extend(ticks(50.0).map(|seconds| (moment(seconds), state, Event::Gripper { robot })));
            events.extend(ticks(0.5).map(|seconds| (moment(seconds), grip, Event::Grip { robot })));
        }
        if !self.runs.is_empty() {
            let status = bag.add_topic(Topic::of::<RuntimeStatus>("/skill_runtime/status", qos())?)?;
            for (run, (_, from, to)) in self.runs.iter().enumerate() {
                events.push((moment(*from), status, Event::Status { run, running: true }));
                events.push((moment(*to), status, Event::Status { run, running: false }));
            }
        }
        if self.grouped {
            let groups = bag.add_topic(Topic::of::<FrameGroup>("/capture/groups", qos())?)?;
            let numbers = 0..(self.seconds * 30.0) as usize;
            let group = |number| {
                let latest = self.group(number).into_iter().map(|(_, capture)| capture).max()?;
                Some((latest + LATENCY, groups, Event::Group { number }))
            };
            events.extend(numbers.filter_map(group));
        }
        events.sort_by_key(|(time, topic, _)| (*time, *topic));
        Ok(events)
    }

    /// The cameras that have the frame of this number, and when they captured it.
    fn group(&self, number: usize) -> Vec<(&Camera, i64)> {
        let frame = |camera: &Camera| {
            let all = camera.captures(self.seconds);
            all.binary_search_by_key(&number, |(number, _)| *number).ok().map(|at| all[at].1)
        };
        self.cameras.iter().filter_map(|camera| Some((camera, frame(camera)?))).collect()
    }

    fn message(&self, time: i64, event: Event) -> Vec<u8> {
        let seconds = (time - START) as f64 / 1e9;
        let stamp = |time: i64| Header { stamp: Time::from_nanos(time), frame_id: String::new() };
        let header = || stamp(time);
        let all = |robot: usize, of: fn(usize, f64) -> f64| -> Vec<f64> {
            (0..self.joints).map(|joint| of(robot * self.joints + joint, seconds)).collect()
        };
        match event {
            Event::Frame { camera, number, capture } => {
                let (data, format) = self.cameras[camera].coded(number);
                let (frame_id, key_frame) = ("optical", false);
                let picture = Picture {
                    captured: capture,
                    frame_id,
                    format,
                    width: 0,
                    height: 0,
                    pts: 0,
                    key_frame,
                    data,
                };
                self.cameras[camera].message.encode(&picture).unwrap_or_default()
            }
            Event::Timing { camera, number, capture } => encode(&FrameTiming {
                header: stamp(capture),
                sequence: number as u64,
                lost_frames: u32::from(number > 0 && self.cameras[camera].lost.contains(&(number - 1))),
                clock_state: 2,
                ..FrameTiming::default()
            }),
            Event::Joints { robot } => encode(&JointState {
                header: header(),
                name: (0..self.joints).map(|joint| format!("{}_joint_{joint}", self.robots[robot])).collect(),
                position: all(robot, Self::position),
                velocity: all(robot, Self::velocity),
                effort: Vec::new(),
            }),
            Event::Command { robot } => encode(&Float64MultiArray::list(all(robot, Self::velocity))),
            Event::Gripper { robot } => encode(&GripperState {
                header: header(),
                robot: self.robots[robot].clone(),
                width: 0.04 + 0.02 * Self::position(robot, seconds),
                ..GripperState::default()
            }),
            Event::Grip { robot } => encode(&GripperCommand {
                header: header(),
                robot: self.robots[robot].clone(),
                width: if seconds % 4.0 < 2.0 { 0.02 } else { 0.06 },
                ..GripperCommand::default()
            }),
            Event::Wrench { robot } => {
                let vector = |part: usize| Vector3 {
                    x: Self::position(part + robot, seconds),
                    y: Self::position(part + robot + 1, seconds),
                    z: Self::position(part + robot + 2, seconds),
                };
                encode(&WrenchStamped {
                    header: header(),
                    wrench: Wrench { force: vector(0), torque: vector(3) },
                })
            }
            Event::Group { number } => {
                let frames = self.group(number);
                let captures = || frames.iter().map(|(_, capture)| *capture);
                let (first, last) = (captures().min().unwrap_or(0), captures().max().unwrap_or(0));
                let middle = first + (last - first) / 2;
                encode(&FrameGroup {
                    header: stamp(middle),
                    sequence: number as u64,
                    cameras: frames.iter().map(|(camera, _)| camera.name.clone()).collect(),
                    frames: vec![number as u64; frames.len()],
                    offsets: captures().map(|capture| (capture - middle) as f64 / 1e9).collect(),
                    residual: (last - first) as f64 / 1e9,
                    complete: frames.len() == self.cameras.len(),
                })
            }
            Event::Status { run, running } => encode(&RuntimeStatus {
                header: header(),
                trace_id: self.runs[run].0.clone(),
                running,
                ..RuntimeStatus::default()
            }),
        }
    }
}

impl Camera {
    /// Bytes and format of a frame of the recording.
    fn coded(&self, number: usize) -> (&[u8], &str) {
        match &self.then {
            Some((from, stream, format)) if number >= *from => (stream.frame(number - from), format),
            _ => (self.stream.frame(self.joined_at + number), &self.format),
        }
    }
}

fn encode<M: Message>(message: &M) -> Vec<u8> {
    swarm_bag::cdr::encode(message).unwrap_or_default()
}
