//! `demo --record`: the cell's own cameras, arms and safety state, recorded by the node that records real cells.
//!
//! 1. [`Plan::of`] reads from the declaration which cameras the simulator has, and takes a port for them.
//! 2. The simulator serves them there ([`Plan::address`]); `swarm_capture` connects and records ([`Plan::capture`]).
//! 3. Afterwards `cell bag check` reads the whole bag, and [`Summary`] is what it says of it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
use swarm_cell::{CellConfig, Cpu, Lifecycle, NodeConfig, Schedule, SchedulePolicy};

use crate::error::{Error, IoContext, Result};

/// Name of the recorder's process, and so of its log.
pub const CAPTURE: &str = "capture";

/// What is recorded, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Where the simulator serves its cameras.
    pub address: SocketAddr,
    pub cameras: Vec<Camera>,
    /// A folder, as rosbag2 makes it.
    pub bag: PathBuf,
}

/// A camera of the simulator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Camera {
    /// Of its topics and its stream.
    pub name: String,
    /// As the declaration has it: frames per second.
    pub rate_hz: String,
}

impl Plan {
    /// For a run in `folder`. The port is free now; whoever takes it before the simulator does makes the run fail.
    pub fn of(cell: &CellConfig, folder: &Path) -> Result<Self> {
        let cameras = cameras_of(cell)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let address = listener.and_then(|listener| listener.local_addr());
        let address = address.doing("find a free port for the cameras of", folder)?;
        Ok(Self { address, cameras, bag: folder.join("recording") })
    }

    /// The recorder, as a declaration would name it.
    pub fn capture(&self) -> NodeConfig {
        let names: Vec<&str> = self.cameras.iter().map(|camera| camera.name.as_str()).collect();
        let streams: Vec<String> =
            names.iter().map(|name| format!("rtsp://{}/{name}", self.address)).collect();
        let parameters: [(&str, Value); 4] = [
            ("camera_ips", json!(streams)),
            ("camera_names", json!(names)),
            ("output_bag", json!(self.bag.to_string_lossy())),
            ("progress", json!(false)),
        ];
        NodeConfig {
            name: CAPTURE.to_owned(),
            package: "swarm_capture".to_owned(),
            executable: "swarm_capture".to_owned(),
            namespace: String::new(),
            lifecycle: Lifecycle::Managed,
            simulation_only: false,
            schedule: Schedule {
                policy: SchedulePolicy::Other,
                priority: 0,
                cpu: Cpu::Any,
                period_us: 10_000,
                deadline_us: 10_000,
            },
            remappings: BTreeMap::new(),
            parameters: parameters.map(|(name, value)| (name.to_owned(), value)).into(),
        }
    }

    /// What the recorder's log has when the recording is under way: the bag is open, and each camera's frames are stamped.
    pub fn signs_of_recording(&self) -> Vec<String> {
        let followed = |camera: &Camera| format!("{}: the clock is followed by sender reports", camera.name);
        let cameras = self.cameras.iter().map(followed);
        std::iter::once("recording into ".to_owned()).chain(cameras).collect()
    }
}

/// What the simulator's parameter `cameras` lists: `overview 640x480 15`.
fn cameras_of(cell: &CellConfig) -> Result<Vec<Camera>> {
    let camera = |listed: &Value| {
        let [name, _size, rate_hz] =
            listed.as_str()?.split_whitespace().collect::<Vec<_>>().try_into().ok()?;
        Some(Camera { name: name.to_owned(), rate_hz: rate_hz.to_owned() })
    };
    let listed = cell.nodes.iter().filter(|node| node.simulation_only).find_map(|node| {
        node.parameters.get("cameras")?.as_array()?.iter().map(camera).collect::<Option<Vec<_>>>()
    });
    match listed {
        Some(cameras) if !cameras.is_empty() => Ok(cameras),
        _ => Err(Error::Malformed {
            path: "config/cell.yaml".into(),
            problem: "to be recorded, the simulator (simulation_only: true) needs cameras among its parameters, as in cameras: \
                      [overview 640x480 15]"
                .to_owned(),
        }),
    }
}

/// A finished recording, as `cell bag check --json` tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    bag: PathBuf,
    cameras: Vec<Camera>,
    check: Check,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Check {
    topics: Vec<Topic>,
    problems: Vec<Problem>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Topic {
    name: String,
    messages: u64,
    /// Nanoseconds since 1970.
    start: Option<i64>,
    end: Option<i64>,
    loss: Option<Loss>,
}

/// received = recorded + dropped_queue + dropped_disk
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
struct Loss {
    received: u64,
    recorded: u64,
    dropped_queue: u64,
    dropped_disk: u64,
    lost_network: u64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Problem {
    kind: String,
    subject: String,
    expected: String,
    actual: String,
}

impl Summary {
    pub fn read(plan: &Plan, json: &str) -> Result<Self> {
        let check = serde_json::from_str(json)
            .map_err(|error| Error::Malformed { path: plan.bag.clone(), problem: error.to_string() })?;
        Ok(Self { bag: plan.bag.clone(), cameras: plan.cameras.clone(), check })
    }

    pub fn path(&self) -> &Path {
        &self.bag
    }

    /// From the first message to the last.
    fn seconds(&self) -> f64 {
        let first = self.check.topics.iter().filter_map(|topic| topic.start).min();
        let last = self.check.topics.iter().filter_map(|topic| topic.end).max();
        first.zip(last).map_or(0.0, |(first, last)| (last - first) as f64 * 1e-9)
    }

    fn topic(&self, name: &str) -> Option<&Topic> {
        self.check.topics.iter().find(|topic| topic.name == name)
    }

    /// Over all topics.
    fn loss(&self) -> Loss {
        self.check.topics.iter().filter_map(|topic| topic.loss).fold(Loss::default(), |sum, loss| Loss {
            received: sum.received + loss.received,
            recorded: sum.recorded + loss.recorded,
            dropped_queue: sum.dropped_queue + loss.dropped_queue,
            dropped_disk: sum.dropped_disk + loss.dropped_disk,
            lost_network: sum.lost_network + loss.lost_network,
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bag = self.bag.display();
        writeln!(f, "recording: {bag}, {:.1} s", self.seconds())?;
        for Camera { name, rate_hz } in &self.cameras {
            let Some(video) = self.topic(&format!("/{name}/video")) else {
                writeln!(f, "  {name}: no frames")?;
                continue;
            };
            let (frames, lost) = (video.messages, video.loss.unwrap_or_default().lost_network);
            // Over the whole recording: the first frames come together, as they wait for the first sender report.
            let rate = frames as f64 / self.seconds().max(1.0);
            writeln!(f, "  {name}: {frames} frames, {lost} lost on the way; {rate:.1} Hz of {rate_hz} Hz")?;
        }
        let Loss { received, recorded, dropped_queue, dropped_disk, .. } = self.loss();
        writeln!(
            f,
            "  messages: {received} received = {recorded} recorded + {dropped_queue} dropped in the queue + {dropped_disk} \
             dropped by the disk"
        )?;
        let (gaps, others): (Vec<_>, Vec<_>) =
            self.check.problems.iter().partition(|problem| problem.kind == "gap");
        for Problem { kind, subject, expected, actual } in others {
            writeln!(f, "  {kind} of {subject}: {actual}, expected {expected}")?;
        }
        if !gaps.is_empty() {
            writeln!(
                f,
                "  topics with gaps, as on every machine without real time: {}; cell bag check {bag} lists them",
                gaps.len()
            )?;
        }
        write!(f, "  to look at it: cell bag info {bag}   or: ros2 bag info {bag}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let cell = CellConfig::parse(include_str!("../../../../../config/cell.yaml")).unwrap();
        Plan { address: "127.0.0.1:8554".parse().unwrap(), ..Plan::of(&cell, Path::new("/run")).unwrap() }
    }

    #[test]
    fn the_recorder_takes_every_camera_that_the_simulator_declares() {
        let plan = plan();
        let names: Vec<&str> = plan.cameras.iter().map(|camera| camera.name.as_str()).collect();
        assert_eq!(names, ["overview", "panda_wrist"]);
        let parameters = plan.capture().parameters;
        assert_eq!(
            parameters["camera_ips"],
            json!(["rtsp://127.0.0.1:8554/overview", "rtsp://127.0.0.1:8554/panda_wrist"])
        );
        assert_eq!(parameters["camera_names"], json!(["overview", "panda_wrist"]));
        assert_eq!(parameters["output_bag"], json!("/run/recording"));
    }

    #[test]
    fn a_simulator_without_cameras_is_not_recorded() {
        let mut cell = CellConfig::parse(include_str!("../../../../../config/cell.yaml")).unwrap();
        for node in &mut cell.nodes {
            node.parameters.remove("cameras");
        }
        let error = Plan::of(&cell, Path::new("/run")).unwrap_err().to_string();
        assert!(error.contains("cameras: [overview 640x480 15]"), "{error}");
    }

    #[test]
    fn the_summary_names_frames_losses_and_what_is_wrong() {
        let json = json!({"good": false, "finished": true, "notes": [],
            "problems": [{"kind": "gap", "subject": "/tf", "expected": "no gap over 0.1 s", "actual": "0.4 s"},
                         {"kind": "count", "subject": "/tf", "expected": "900 messages", "actual": "899"}],
            "topics": [
                {"name": "/overview/video", "type": "t", "messages": 466, "start": 1_000_000_000_i64, "end": 32_000_000_000_i64,
                 "loss": {"received": 468, "recorded": 466, "dropped_queue": 2, "dropped_disk": 0, "lost_network": 1}},
                {"name": "/joint_states", "type": "t", "messages": 900, "start": 500_000_000_i64, "end": 31_500_000_000_i64,
                 "loss": {"received": 900, "recorded": 900, "dropped_queue": 0, "dropped_disk": 0, "lost_network": 0}},
                {"name": "/emergency_stop", "type": "t", "messages": 0, "start": null, "end": null, "loss": null}]});
        let summary = Summary::read(&plan(), &json.to_string()).unwrap().to_string();
        let expected = [
            "recording: /run/recording, 31.5 s",
            "  overview: 466 frames, 1 lost on the way; 14.8 Hz of 15 Hz",
            "  panda_wrist: no frames",
            "  messages: 1368 received = 1366 recorded + 2 dropped in the queue + 0 dropped by the disk",
            "  count of /tf: 899, expected 900 messages",
            "  topics with gaps, as on every machine without real time: 1; cell bag check /run/recording lists them",
            "  to look at it: cell bag info /run/recording   or: ros2 bag info /run/recording",
        ];
        assert_eq!(summary.lines().collect::<Vec<_>>(), expected);
    }
}
