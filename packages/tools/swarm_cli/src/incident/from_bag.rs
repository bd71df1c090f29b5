//! An incident from a bag, exported from a black box or recorded by `ros2 bag record`: what the statuses say of each stop, and
//! when messages came on the topics of the inputs.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use swarm_bag::msg::{
    Bool, GripperCommand, JointCommand, JointState, Message, Permit, SafetyStatus, Time, WrenchStamped,
};
use swarm_bag::{BagMessage, BagReader, Definitions, Filter};
use swarm_safety_core::{CauseKind, SafetyState};

use super::Question;
use super::quantity::of_measures;
use super::recorded::{
    AFTER_NS, Arrival, BEFORE_NS, InForce, Point, Proof, ProofVerdict, Recorded, Source, SourceKind, Stop,
    Track, arrived,
};
use crate::status::{measures, state_of};
use crate::verdict_json::CauseText;

/// Whether a path is a bag and not a file or folder of the black box: by its name, and a folder by what is in it.
pub(crate) fn is_bag(path: &Path) -> bool {
    let storage =
        |path: &Path| path.extension().is_some_and(|extension| extension == "mcap" || extension == "db3");
    if !path.is_dir() {
        return storage(path);
    }
    let inside = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    path.join("metadata.yaml").is_file() || inside.into_iter().any(|path| path.is_file() && storage(&path))
}

/// Reads the incident that `question` asks for.
pub(crate) fn read(path: &Path, question: &Question<'_>) -> anyhow::Result<Recorded> {
    ensure!(
        question.what_if.is_none(),
        "--what-if needs every cycle's inputs, which '{}' does not have: a bag holds statuses; give the black box's files (*.swarmbox) of the same time",
        path.display()
    );
    ensure!(
        question.start.is_none(),
        "--start is for files of the black box: a bag does not tell starts apart"
    );
    let mut bag = Bag::open(path)?;
    let statuses = bag.statuses()?;
    let stops = stops(&statuses)?;
    ensure!(
        !stops.is_empty(),
        "there is no stop among the {} statuses of '{}'{}; give a recording of the time in question",
        statuses.len(),
        path.display(),
        bag.damage_in_words()
    );
    let chosen = question.stop.checked_sub(1).filter(|index| *index < stops.len()).with_context(|| {
        format!("stop {} was asked for, '{}' has {}", question.stop, path.display(), stops.len())
    })?;
    let stop_ns = stops[chosen].at_ns;
    let inside = |at_ns: i64| (stop_ns - BEFORE_NS..=stop_ns + AFTER_NS).contains(&at_ns);
    let at_stop = statuses.iter().find(|status| stamp_ns(&status.header.stamp) == stop_ns);
    let at_stop = at_stop.context("the status of the stop cannot be found again")?;
    let robots: Vec<String> = at_stop.robots.iter().map(|robot| robot.robot.clone()).collect();
    let mut points = Vec::new();
    for status in statuses.iter().filter(|status| inside(stamp_ns(&status.header.stamp))) {
        let figures = status.robots.iter().map(|robot| of_measures(&measures(robot)));
        points.push(Point {
            at_ns: stamp_ns(&status.header.stamp),
            state: state(status)?,
            robots: figures.collect(),
        });
    }
    let tracks = bag.tracks(&robots, stop_ns)?;
    Ok(Recorded {
        source: Source { kind: SourceKind::Bag, files: vec![path.display().to_string()] },
        cell: None,
        software: None,
        proof: Proof {
            verdict: ProofVerdict::Unsealed,
            keys: Vec::new(),
            open_end: false,
            problems: bag.reader.damage(),
        },
        starts: Vec::new(),
        start: None,
        chosen,
        in_force: InForce {
            skill: at_stop.skill.clone(),
            artifact: at_stop.artifact.clone(),
            generation: None,
            since_s: None,
            epoch: at_stop.epoch,
            trace_id: at_stop.trace_id.clone(),
        },
        limit_source: None,
        robots,
        stops,
        points,
        tracks,
        lost_cycles: None,
        what_if: None,
    })
}

struct Bag {
    path: PathBuf,
    reader: BagReader,
}

fn stamp_ns(stamp: &Time) -> i64 {
    stamp.nanos()
}

fn state(status: &SafetyStatus) -> anyhow::Result<SafetyState> {
    state_of(status.state).with_context(|| {
        format!("a status has the state {}, which no monitor of this version has", status.state)
    })
}

/// Each status in which a stop state stands that did not stand in the one before.
fn stops(statuses: &[SafetyStatus]) -> anyhow::Result<Vec<Stop>> {
    let mut before = None;
    let mut stops = Vec::new();
    for status in statuses {
        let state = state(status)?;
        if state.is_stop() && before != Some(state) {
            let cause = (!status.cause.is_empty()).then(|| CauseText {
                code: status.cause.clone(),
                robot: status.robot.clone(),
                joint: status.joint.clone(),
                value: status.value,
                limit: status.limit,
                unit: CauseKind::of_code(&status.cause).map_or("", CauseKind::unit),
                detail: status.detail.clone(),
            });
            stops.push(Stop {
                at_ns: stamp_ns(&status.header.stamp),
                cycle: status.cycle,
                state,
                before,
                cause,
            });
        }
        before = Some(state);
    }
    Ok(stops)
}

impl Bag {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let reader = BagReader::open(path)?;
        let bag = Self { path: path.to_owned(), reader };
        // A bag that was cut off before its first whole chunk names no topic either: then the damage is said.
        let statuses = bag.reader.topics().iter().find(|topic| topic.type_name == SafetyStatus::TYPE);
        let Some(topic) = statuses else {
            bail!(
                "'{}' has no topic of type {}{}: record /safety_monitor too, or give the black box's files (*.swarmbox)",
                path.display(),
                SafetyStatus::TYPE,
                bag.damage_in_words()
            );
        };
        let known = Definitions::suite().describe(SafetyStatus::TYPE)?.type_hash;
        let found = &topic.definition.type_hash;
        ensure!(
            found.is_empty() || *found == known,
            "'{}' was recorded with another version of {} (type hash {found}, this program knows {known}): use the `cell` of the version that recorded it",
            path.display(),
            SafetyStatus::TYPE
        );
        Ok(bag)
    }

    fn statuses(&mut self) -> anyhow::Result<Vec<SafetyStatus>> {
        let topics = self.of_type(|kind| kind == SafetyStatus::TYPE);
        self.reader.rewind(&Filter { topics: Some(topics), ..Filter::default() });
        let mut statuses = Vec::new();
        while let Some(message) = self.reader.next() {
            statuses.push(self.decode::<SafetyStatus>(&message)?);
        }
        Ok(statuses)
    }

    fn decode<M: Message>(&self, message: &BagMessage) -> anyhow::Result<M> {
        self.reader.decode(message).with_context(|| format!("'{}'", self.path.display()))
    }

    fn of_type(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let topics = self.reader.topics().iter().filter(|topic| wanted(&topic.type_name));
        topics.map(|topic| topic.name.clone()).collect()
    }

    fn damage_in_words(&self) -> String {
        match self.reader.damage().as_slice() {
            [] => String::new(),
            damage => format!(" ({})", damage.join("; ")),
        }
    }

    /// When messages came on the inputs' topics up to a second behind the stop: those of the window, and the last before it.
    fn tracks(&mut self, robots: &[String], stop_ns: i64) -> anyhow::Result<Vec<Track>> {
        const TYPES: [&str; 6] = [
            JointState::TYPE,
            WrenchStamped::TYPE,
            JointCommand::TYPE,
            GripperCommand::TYPE,
            Permit::TYPE,
            Bool::TYPE,
        ];
        let topics = self.of_type(|kind| TYPES.contains(&kind));
        let until = Some(stop_ns + AFTER_NS + 1);
        self.reader.rewind(&Filter { topics: Some(topics), from: None, until });
        let mut tracks = Vec::new();
        for input in ["joint state", "wrench", "command", "gripper command"] {
            let of_robot =
                |robot: &String| Track { robot: robot.clone(), input: input.to_owned(), ..Track::default() };
            tracks.extend(robots.iter().map(of_robot));
        }
        tracks.sort_by_key(|track: &Track| robots.iter().position(|robot| *robot == track.robot));
        for input in ["emergency stop", "permit"] {
            tracks.push(Track { input: input.to_owned(), ..Track::default() });
        }
        while let Some(message) = self.reader.next() {
            let topic = self.reader.topics()[message.topic].clone();
            let (input, of, stamp) = match topic.type_name.as_str() {
                JointState::TYPE => {
                    let joints: JointState = self.decode(&message)?;
                    let named = |robot: &&String| {
                        joints.name.iter().any(|joint| {
                            joint.strip_prefix(robot.as_str()).is_some_and(|rest| rest.starts_with('_'))
                        })
                    };
                    ("joint state", robots.iter().filter(named).cloned().collect(), Some(joints.header.stamp))
                }
                WrenchStamped::TYPE => {
                    let wrench: WrenchStamped = self.decode(&message)?;
                    ("wrench", of_topic(&topic.name, robots), Some(wrench.header.stamp))
                }
                JointCommand::TYPE => {
                    let command: JointCommand = self.decode(&message)?;
                    ("command", vec![command.robot], Some(command.header.stamp))
                }
                GripperCommand::TYPE if topic.name.ends_with("/skill_gripper_command") => {
                    let command: GripperCommand = self.decode(&message)?;
                    ("gripper command", vec![command.robot], Some(command.header.stamp))
                }
                Permit::TYPE => {
                    let permit: Permit = self.decode(&message)?;
                    ("permit", vec![String::new()], Some(permit.header.stamp))
                }
                Bool::TYPE if topic.name.ends_with("/emergency_stop") => {
                    let stop: Bool = self.decode(&message)?;
                    let of = if stop.data { vec![String::new()] } else { Vec::new() };
                    ("emergency stop", of, None)
                }
                _ => continue,
            };
            let at_ns = message.stamp.received;
            let arrival = Arrival { at_ns, since_ns: stamp.map_or(at_ns, |stamp| stamp_ns(&stamp)) };
            for track in tracks.iter_mut().filter(|track| track.input == input && of.contains(&track.robot)) {
                if at_ns < stop_ns - BEFORE_NS {
                    track.arrivals.clear();
                }
                arrived(&mut track.arrivals, arrival);
            }
        }
        Ok(tracks)
    }
}

/// The robot of a topic `/<robot>/wrench`.
fn of_topic(name: &str, robots: &[String]) -> Vec<String> {
    let first = name.trim_start_matches('/').split('/').next().unwrap_or_default();
    robots.iter().filter(|robot| *robot == first).cloned().collect()
}
