//! From messages to samples: names, sizes, order of joints, numbers, stamps. One ingest per robot and topic.
//!
//! A message is either taken whole or refused whole, with the [`Refused`] to be handed to the next step through
//! [`RobotInputs::refuse`](crate::RobotInputs::refuse): a refused message of a moving robot stops the cell.

use nalgebra::Vector3;
use swarm_base::Time;
use swarm_kinematics::{ArmModel, JointVector, MAX_JOINTS};

pub use crate::inputs::Refused;
use crate::inputs::{CommandSample, GripperSample, InputFault, JointSample, PresenceSample, WrenchSample};

/// When a message was sent and received, all in ns: `sent` and `received` by the wall clock that stamps are made with,
/// `arrival` by the monotonic clock of the steps.
///
/// A sample counts as sent at `arrival - (received - sent)`, never after `arrival`. Clocks that disagree shift that by as much as
/// they do: AoU-04 takes for granted that this is at most [`StampRules::future_tolerance_s`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub sent_ns: u64,
    pub received_ns: u64,
    pub arrival: Time,
}

/// Which stamps are believed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StampRules {
    /// How far clocks may disagree, s.
    pub future_tolerance_s: f64,
    /// Oldest message that is taken, s.
    pub max_age_s: f64,
    /// Whether two messages may carry the same stamp.
    pub repeats: Repeats,
}

/// Whether a sender may stamp two messages alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeats {
    /// A sensor: an equal stamp means that it repeats itself.
    Refused,
    /// A commander that may compute two messages in one tick.
    Allowed,
}

#[derive(Clone, Copy, Debug)]
struct StampCheck {
    rules: StampRules,
    last_ns: Option<u64>,
}

impl StampCheck {
    /// When the message was sent, by the clock of the steps; or why its stamp is not believed.
    fn check(&mut self, stamp: &Stamp) -> Result<Time, Refused> {
        let seconds = |ns: u64| ns as f64 * 1e-9;
        let refused = |fault, value, limit| Err(Refused { fault, joint: None, value, limit });
        let (sent, received) = (stamp.sent_ns, stamp.received_ns);
        let ahead = seconds(sent.saturating_sub(received));
        if ahead > self.rules.future_tolerance_s {
            return refused(InputFault::StampFuture, ahead, self.rules.future_tolerance_s);
        }
        let under_way = received.saturating_sub(sent);
        let age = seconds(under_way);
        if age > self.rules.max_age_s {
            return refused(InputFault::StampOld, age, self.rules.max_age_s);
        }
        if let Some(last) = self.last_ns {
            if sent < last {
                return refused(InputFault::StampBackwards, seconds(last - sent), 0.0);
            }
            if sent == last && self.rules.repeats == Repeats::Refused {
                return refused(InputFault::StampFrozen, 0.0, 0.0);
            }
        }
        self.last_ns = Some(sent);
        Ok(Time(stamp.arrival.0.saturating_sub(under_way)))
    }
}

/// `/joint_states` of one robot.
#[derive(Clone, Debug)]
pub struct JointStateIngest {
    names: Vec<String>,
    stamps: StampCheck,
    sequence: u64,
}

impl JointStateIngest {
    pub fn new(model: &ArmModel, rules: StampRules) -> Self {
        Self { names: joint_names(model), stamps: StampCheck { rules, last_ns: None }, sequence: 0 }
    }

    /// `None` if the message names none of the robot's joints (it is another robot's). Joints of others are skipped. Efforts
    /// may be absent.
    pub fn accept<S: AsRef<str>>(
        &mut self,
        names: &[S],
        position: &[f64],
        velocity: &[f64],
        effort: &[f64],
        stamp: &Stamp,
    ) -> Result<Option<JointSample>, Refused> {
        let places = match places(&self.names, names, Strangers::Skipped)? {
            (_, 0) => return Ok(None),
            (places, _) => places,
        };
        same_size(names.len(), position.len())?;
        same_size(names.len(), velocity.len())?;
        let q = picked(&places, position)?;
        let qd = picked(&places, velocity)?;
        let effort = if effort.is_empty() {
            None
        } else {
            same_size(names.len(), effort.len())?;
            Some(picked(&places, effort)?)
        };
        let sent = self.stamps.check(stamp)?;
        self.sequence += 1;
        Ok(Some(JointSample { q, qd, effort, stamp_ns: stamp.sent_ns, sent, sequence: self.sequence }))
    }
}

/// `/<robot>/wrench`.
#[derive(Clone, Debug)]
pub struct WrenchIngest {
    frame: String,
    stamps: StampCheck,
    sequence: u64,
}

impl WrenchIngest {
    /// `frame` is the flange frame that the wrench must be given in.
    pub fn new(frame: &str, rules: StampRules) -> Self {
        Self { frame: frame.to_owned(), stamps: StampCheck { rules, last_ns: None }, sequence: 0 }
    }

    pub fn accept(
        &mut self,
        frame: &str,
        force: [f64; 3],
        torque: [f64; 3],
        stamp: &Stamp,
    ) -> Result<WrenchSample, Refused> {
        if frame != self.frame {
            return Err(plain(InputFault::WrongRobot));
        }
        if force.iter().chain(&torque).any(|value| !value.is_finite()) {
            return Err(plain(InputFault::NotFinite));
        }
        if force.iter().chain(&torque).all(|value| *value == 0.0) {
            return Err(plain(InputFault::DeadSensor));
        }
        let sent = self.stamps.check(stamp)?;
        self.sequence += 1;
        Ok(WrenchSample {
            force: Vector3::from(force),
            torque: Vector3::from(torque),
            stamp_ns: stamp.sent_ns,
            sent,
            sequence: self.sequence,
        })
    }
}

/// `/human_presence` of one zone.
#[derive(Clone, Copy, Debug)]
pub struct PresenceIngest {
    stamps: StampCheck,
}

impl PresenceIngest {
    pub fn new(rules: StampRules) -> Self {
        Self { stamps: StampCheck { rules, last_ns: None } }
    }

    /// `range_m` as REP 117 has it: infinite if nobody is in range, minus infinity if somebody is too close to be measured, not a
    /// number if the sensor has failed.
    pub fn accept(&mut self, range_m: f64, stamp: &Stamp) -> Result<PresenceSample, Refused> {
        if range_m.is_nan() {
            return Err(plain(InputFault::NotFinite));
        }
        let sent = self.stamps.check(stamp)?;
        Ok(PresenceSample { range_m: range_m.max(0.0), stamp_ns: stamp.sent_ns, sent })
    }
}

/// What every command says about where it comes from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    pub robot: &'a str,
    /// SHA-256 (hex) of the artifact that commands.
    pub artifact: &'a str,
    pub trace_id: &'a str,
    pub epoch: u64,
    pub sequence: u64,
}

impl Origin<'_> {
    /// True if an envelope is loaded and it is this artifact's.
    fn matches(&self, loaded: Option<&str>) -> bool {
        loaded.is_some_and(|loaded| !loaded.is_empty() && loaded == self.artifact)
    }
}

/// `/<robot>/skill_command`.
#[derive(Clone, Debug)]
pub struct CommandIngest {
    robot: String,
    names: Vec<String>,
    stamps: StampCheck,
}

impl CommandIngest {
    pub fn new(robot: &str, model: &ArmModel, rules: StampRules) -> Self {
        Self {
            robot: robot.to_owned(),
            names: joint_names(model),
            stamps: StampCheck { rules, last_ns: None },
        }
    }

    /// `loaded` is the artifact whose envelope is in force.
    pub fn accept<S: AsRef<str>>(
        &mut self,
        origin: &Origin,
        names: &[S],
        velocity: &[f64],
        loaded: Option<&str>,
        stamp: &Stamp,
    ) -> Result<CommandSample, Refused> {
        if origin.robot != self.robot {
            return Err(plain(InputFault::WrongRobot));
        }
        let (places, found) = places(&self.names, names, Strangers::Refused)?;
        same_size(self.names.len(), found)?;
        same_size(names.len(), velocity.len())?;
        let velocity = picked(&places, velocity)?;
        let sent = self.stamps.check(stamp)?;
        Ok(CommandSample {
            velocity,
            epoch: origin.epoch,
            run: run_id(origin.trace_id),
            sequence: origin.sequence,
            artifact_matches: origin.matches(loaded),
            sent,
        })
    }
}

/// `/<robot>/skill_gripper_command`.
#[derive(Clone, Debug)]
pub struct GripperIngest {
    robot: String,
    stamps: StampCheck,
}

impl GripperIngest {
    pub fn new(robot: &str, rules: StampRules) -> Self {
        Self { robot: robot.to_owned(), stamps: StampCheck { rules, last_ns: None } }
    }

    pub fn accept(
        &mut self,
        origin: &Origin,
        width_m: f64,
        force_n: f64,
        loaded: Option<&str>,
        stamp: &Stamp,
    ) -> Result<GripperSample, Refused> {
        if origin.robot != self.robot {
            return Err(plain(InputFault::WrongRobot));
        }
        if !width_m.is_finite() || !force_n.is_finite() {
            return Err(plain(InputFault::NotFinite));
        }
        self.stamps.check(stamp)?;
        Ok(GripperSample {
            width_m,
            force_n,
            epoch: origin.epoch,
            artifact_matches: origin.matches(loaded),
            arrival: stamp.arrival,
        })
    }
}

/// Number of a run: FNV-1a (64 bit) of its trace id.
pub fn run_id(trace_id: &str) -> u64 {
    trace_id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Strangers {
    Skipped,
    Refused,
}

fn joint_names(model: &ArmModel) -> Vec<String> {
    model.joints().iter().map(|joint| joint.name.clone()).collect()
}

/// Where in the message each of the robot's joints stands, and how many of them were found: all or none.
fn places<S: AsRef<str>>(
    own: &[String],
    names: &[S],
    strangers: Strangers,
) -> Result<([Option<usize>; MAX_JOINTS], usize), Refused> {
    let mut places = [None; MAX_JOINTS];
    let mut found = 0;
    for (at, name) in names.iter().enumerate() {
        match own.iter().position(|own| own == name.as_ref()).filter(|joint| *joint < MAX_JOINTS) {
            Some(joint) if places[joint].is_some() => {
                return Err(Refused { joint: Some(joint), ..plain(InputFault::DuplicateJoint) });
            }
            Some(joint) => {
                places[joint] = Some(at);
                found += 1;
            }
            None if strangers == Strangers::Refused => return Err(plain(InputFault::UnknownJoint)),
            None => {}
        }
    }
    if found > 0
        && let Some(missing) = (0..own.len().min(MAX_JOINTS)).find(|joint| places[*joint].is_none())
    {
        return Err(Refused { joint: Some(missing), ..plain(InputFault::MissingJoint) });
    }
    Ok((places, found))
}

fn picked(places: &[Option<usize>; MAX_JOINTS], values: &[f64]) -> Result<JointVector, Refused> {
    let mut vector = JointVector::zeros();
    for (joint, place) in places.iter().enumerate() {
        let Some(place) = place else { continue };
        match values.get(*place) {
            Some(value) if value.is_finite() => vector[joint] = *value,
            Some(_) => return Err(Refused { joint: Some(joint), ..plain(InputFault::NotFinite) }),
            None => return Err(plain(InputFault::WrongSize)),
        }
    }
    Ok(vector)
}

fn same_size(expected: usize, found: usize) -> Result<(), Refused> {
    if expected == found {
        return Ok(());
    }
    Err(Refused { fault: InputFault::WrongSize, joint: None, value: found as f64, limit: expected as f64 })
}

const fn plain(fault: InputFault) -> Refused {
    Refused { fault, joint: None, value: 0.0, limit: 0.0 }
}
