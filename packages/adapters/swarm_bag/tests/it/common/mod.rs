//! Messages of every type that is written into bags, and bags of them.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use swarm_bag::msg::{
    Bool, Float64MultiArray, Header, JointCommand, JointState, Message, MultiArrayDimension, Permit,
    RobotSafety, SafetyStatus, Time, Vector3, Wrench, WrenchStamped,
};
use swarm_bag::{BagWriter, Qos, Storage, Topic, WriteOptions};

/// 2026-01-01 UTC, nanoseconds since the epoch.
pub(crate) const START: i64 = 1_767_225_600_000_000_000;

pub(crate) fn header(nanos: i64, frame: &str) -> Header {
    Header { stamp: Time::from_nanos(nanos), frame_id: frame.to_owned() }
}

/// Odd lengths of texts and lists, so that a wrong alignment shows.
pub(crate) fn joint_state(nanos: i64, joints: usize) -> JointState {
    JointState {
        header: header(nanos, "wörld"),
        name: (0..joints).map(|joint| format!("joint_{joint}")).collect(),
        position: (0..joints).map(|joint| joint as f64 * 0.1).collect(),
        velocity: (0..joints).map(|joint| -(joint as f64)).collect(),
        effort: vec![],
    }
}

pub(crate) fn wrench(nanos: i64) -> WrenchStamped {
    let vector = |x, y, z| Vector3 { x, y, z };
    let wrench = Wrench { force: vector(1.0, -2.0, 3e-9), torque: vector(0.0, f64::MAX, 0.5) };
    WrenchStamped { header: header(nanos, "flange"), wrench }
}

pub(crate) fn command(data: Vec<f64>) -> Float64MultiArray {
    let mut command = Float64MultiArray::list(data);
    command.layout.dim.push(MultiArrayDimension { label: "a".into(), size: 3, stride: 7 });
    command.layout.data_offset = 1;
    command
}

pub(crate) fn safety_status(nanos: i64, robots: usize) -> SafetyStatus {
    let robot = |index| RobotSafety {
        robot: format!("ur{}", "x".repeat(index)),
        speed_scale: 0.5,
        separation: index as f64,
        human_separation: f64::MAX,
        stop_ineffective: index == 1,
        input_age: 0.001,
        ..RobotSafety::default()
    };
    SafetyStatus {
        header: header(nanos, ""),
        state: 4,
        cause: "joint_velocity".into(),
        detail: "3.2 rad/s, limit 3.1".into(),
        value: 3.2,
        limit: 3.1,
        epoch: u64::MAX,
        reset_epoch: 7,
        cycle: 12,
        real_time: true,
        robots: (0..robots).map(robot).collect(),
        ..SafetyStatus::default()
    }
}

pub(crate) fn permit(nanos: i64) -> Permit {
    Permit {
        header: header(nanos, "w"),
        epoch: 3,
        sequence: 9,
        robots: vec!["ur".into(), "panda".into()],
        speed_scale: vec![1.0, 0.0],
    }
}

pub(crate) fn joint_command(nanos: i64) -> JointCommand {
    JointCommand {
        header: header(nanos, "w"),
        robot: "ur".into(),
        joint_names: vec!["a".into(), "bcd".into()],
        velocity: vec![0.1, -0.2],
        role: "leader".into(),
        epoch: 3,
        sequence: 10,
        ..JointCommand::default()
    }
}

/// A bag, and what was put into it: topic, time, fields as JSON.
pub(crate) struct Filled {
    pub(crate) bag: BagWriter,
    pub(crate) written: Vec<(String, i64, serde_json::Value)>,
}

impl Filled {
    pub(crate) fn put<M: Message>(&mut self, topic: &str, nanos: i64, message: &M) {
        let topic = Topic::of::<M>(topic, Qos::best_effort(10)).unwrap();
        let name = topic.name.clone();
        let id = self.bag.add_topic(topic).unwrap();
        self.bag.write(id, nanos, message).unwrap();
        self.written.push((name, nanos, serde_json::to_value(message).unwrap()));
    }
}

/// A bag with every type in it, not finished yet.
pub(crate) fn every_type(path: &Path, options: WriteOptions) -> Filled {
    let bag = BagWriter::create(path, options).unwrap();
    let mut filled = Filled { bag, written: Vec::new() };
    for round in 0..5 {
        let now = START + round * 10_000_000;
        let count = round as usize;
        filled.put("/joint_states", now, &joint_state(now, count));
        filled.put("/safety_monitor", now + 1, &safety_status(now, count));
        filled.put("/safety_monitor/permit", now + 2, &permit(now));
        filled.put("/ur/wrench", now + 3, &wrench(now));
        filled.put("/ur/skill_command", now + 4, &joint_command(now));
        filled.put("/ur/joint_command", now + 5, &command(vec![0.25; count]));
        filled.put("/emergency_stop", now + 6, &Bool { data: round % 2 == 1 });
    }
    filled
}

/// The four forms a bag can have.
pub(crate) fn forms(folder: &Path) -> [(PathBuf, WriteOptions); 4] {
    let of = |storage| WriteOptions { storage, ..WriteOptions::default() };
    [
        (folder.join("one.db3"), of(Storage::Sqlite)),
        (folder.join("one.mcap"), of(Storage::Mcap)),
        (folder.join("directory_db3"), of(Storage::Sqlite)),
        (folder.join("directory_mcap"), of(Storage::Mcap)),
    ]
}

/// Set for a process that writes a bag until it is killed.
const WRITE_UNTIL_KILLED: &str = "SWARM_BAG_WRITE_UNTIL_KILLED";

/// Lets `test` (the one that calls this) run once more as a process of its own, which writes to `path`, and kills it with
/// SIGKILL a while after its `syncs`th sync. Returns how many messages were synced by then, for certain.
pub(crate) fn kill_a_writer(test: &str, path: &Path, syncs: usize, after: Duration) -> usize {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(WRITE_UNTIL_KILLED, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(writer.stdout.take().unwrap()).lines().map_while(Result::ok);
    // The test runner may put its own words before the first count.
    let count = |line: String| line.rsplit("synced ").next().and_then(|count| count.parse::<usize>().ok());
    let mut synced =
        said.by_ref().filter_map(count).nth(syncs).expect("the writer should write until it is killed");
    std::thread::sleep(after);
    writer.kill().unwrap();
    writer.wait().unwrap();
    synced = said.filter_map(count).last().unwrap_or(synced);
    synced
}

/// In the process that [`kill_a_writer`] starts: writes, and never returns. Elsewhere does nothing.
pub(crate) fn write_if_told_to() {
    let Some(path) = std::env::var_os(WRITE_UNTIL_KILLED) else { return };
    let options = WriteOptions { sync_every: Duration::from_hours(1), ..WriteOptions::default() };
    let mut bag = BagWriter::create(PathBuf::from(path), options).unwrap();
    let topic = Topic::of::<JointState>("/joint_states", Qos::reliable(10)).unwrap();
    let joints = bag.add_topic(topic).unwrap();
    // A bound, should nobody kill it.
    for index in 0..1_000_000 {
        bag.write(joints, START + index, &joint_state(START + index, 100)).unwrap();
        if index % 100 == 99 {
            bag.sync().unwrap();
            println!("synced {}", index + 1);
        }
    }
}
